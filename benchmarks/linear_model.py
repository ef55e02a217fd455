"""FocalClassifier against scikit-learn's LogisticRegression: seconds, steps, and the risk that each ends at.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/linear_model.py [--rounds 5] [--only wide] [--wall]

Interleaved; medians of processor time, so that a machine that others use tells the ratio too, or of wall time. Both
minimise the same risk at gamma 0, each to its own default tolerance.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression

from focalkit.estimator import FocalClassifier

Table = tuple[Any, np.ndarray, float]


def wide(density: float, planted: bool) -> Table:
    """5,000 sparse rows of 20,000 features, 8 classes: of chance, or of a linear model."""
    rng = np.random.default_rng(0)
    X = sparse.random(5000, 20_000, density, format="csr", random_state=0)
    z = X @ rng.normal(size=(20_000, 8)) * 2 if planted else np.zeros((5000, 8))
    return X, (z + rng.gumbel(size=z.shape)).argmax(axis=1), 100.0


def words() -> Table:
    """5,000 texts of some 100 words out of 20,000 (Zipf), 8 classes from 33 % to 2 %, log counts, rows of length 1."""
    rng = np.random.default_rng(0)
    share = (1 / np.arange(1, 20_001)) * np.exp(0.7 * rng.normal(size=(8, 20_000)))
    bounds = np.cumsum(share / share.sum(axis=1, keepdims=True), axis=1)
    size = np.geomspace(1, 0.05, 8)
    y = rng.choice(8, 5000, p=size / size.sum())
    lengths = rng.poisson(100, 5000) + 5
    found = [np.searchsorted(bounds[k], rng.random(m) * bounds[k, -1]) for k, m in zip(y, lengths, strict=True)]
    rows = np.repeat(np.arange(5000), lengths)
    X = sparse.coo_matrix((np.ones(len(rows)), (rows, np.concatenate(found))), (5000, 20_000)).tocsr()
    X.data = 1 + np.log(X.data)
    lengths_of_rows = np.sqrt(np.asarray(X.multiply(X).sum(axis=1)).ravel())
    return sparse.csr_matrix(sparse.diags(1 / lengths_of_rows) @ X), y, 100.0


def dense(n: int, d: int, classes: int) -> Table:
    """A dense table of classes that overlap."""
    X, y = make_classification(
        n, d, n_informative=d // 2, n_redundant=0, n_classes=classes, class_sep=0.7, random_state=0
    )
    return X, y, 1.0


TABLES = {
    "wide, 0.2 %, labels of chance": lambda: wide(0.002, False),
    "wide, 1 %, labels of chance": lambda: wide(0.01, False),
    "wide, 0.5 %, a linear model": lambda: wide(0.005, True),
    "wide, texts": words,
    "dense 100 × 5,000, 2 classes": lambda: dense(100, 5000, 2),
    "dense 5,000 × 10, 2 classes": lambda: dense(5000, 10, 2),
    "dense 20,000 × 50, 5 classes": lambda: dense(20_000, 50, 5),
}


def risk(X: Any, y: np.ndarray, C: float, model: Any) -> float:
    """What both minimise at gamma 0."""
    z = np.asarray(X @ model.coef_.T + model.intercept_)
    z = np.hstack([np.zeros_like(z), z]) if z.shape[1] == 1 else z
    top = z.max(axis=1, keepdims=True)
    loss = np.log(np.exp(z - top).sum(axis=1)) + top[:, 0] - z[np.arange(len(y)), y]
    return float(loss.mean() + (model.coef_**2).sum() / (2 * C * len(y)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="")
    parser.add_argument("--wall", action="store_true", help="wall time, for a quiet machine")
    arguments = parser.parse_args()
    clock = time.perf_counter if arguments.wall else time.process_time
    print("| table | scikit-learn, s | γ = 0, s | γ = 2, s | ratio | risk, scikit-learn | risk, ours |")
    print("|---|---|---|---|---|---|---|")
    for name, make in TABLES.items():
        if arguments.only not in name:
            continue
        X, y, C = make()
        models = [LogisticRegression(C=C, max_iter=1000), FocalClassifier(0.0, C=C), FocalClassifier(2.0, C=C)]
        times: list[list[float]] = [[], [], []]
        for _ in range(arguments.rounds):
            for model, seconds in zip(models, times, strict=True):
                start = clock()
                model.fit(X, y)
                seconds.append(clock() - start)
        theirs, ours, focal = (statistics.median(seconds) for seconds in times)
        ends = [risk(X, y, C, model) for model in models[:2]]
        shown = [f"{figure:.3f}" for figure in (theirs, ours, focal)] + [f"{theirs / ours:.1f}"]
        print("|", " | ".join([name, *shown, *(f"{end:.8f}" for end in ends)]), "|", flush=True)


if __name__ == "__main__":
    main()
