"""What warm starts along gamma and the compiled kernels save on the alpha x gamma surface of one training fold.

    python benchmarks/tune.py [table.csv ...]

The surface as tune fits it, each model from the class prior, and as tune fits it with the loss in NumPy, interleaved.
Without tables it runs on the embedded long-tailed digits.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import numpy as np
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from focalkit.engines import _inputs, plain
from focalkit.estimator import FocalClassifier
from focalkit.io.features import read_table
from focalkit.tuning.datasets import load_long_tail_digits
from focalkit.tuning.grid import ALPHAS, GAMMAS, Grid
from focalkit.tuning.trainers import _path

ROUNDS = 15


def warm(X: np.ndarray, y: np.ndarray) -> int:
    """The surface as `tune` fits it; the number of L-BFGS iterations."""
    cells = Grid.checked(ALPHAS, GAMMAS, (), len(np.unique(y))).cells
    return sum(model.n_iter_ for _, model in _path(FocalClassifier(), True, cells, X, y))


def cold(X: np.ndarray, y: np.ndarray) -> int:
    """The same models, each fitted from the class prior."""
    return sum(FocalClassifier(gamma, alpha).fit(X, y).n_iter_ for alpha in ALPHAS for gamma in GAMMAS)


def in_numpy(X: np.ndarray, y: np.ndarray) -> int:
    """The surface as `tune` fits it, with the loss in NumPy."""

    def loss_grad_hess(spec, logits, targets, *, sample_weight, hess, out):
        loss, out[...], curvature = plain.truth(_inputs.read(spec, logits, targets, sample_weight), 2 if hess else 1)
        return loss, out, curvature

    with mock.patch("focalkit.estimator.loss_grad_hess", loss_grad_hess):
        return warm(X, y)


def main() -> None:
    tables = {Path(name).stem: read_table(name) for name in sys.argv[1:]}
    data = {name: (table.X, table.y) for name, table in tables.items()} or {"embedded digits": load_long_tail_digits()}
    print("| data | rows × features, classes | tune, s | cold / tune | loss in NumPy / tune | iterations tune | cold |")
    print("|---|---|---|---|---|---|---|")
    for name, (X, y) in data.items():
        X = StandardScaler().fit_transform(X)
        times: dict[Callable[..., int], list[float]] = {warm: [], cold: [], in_numpy: []}
        iterations = {}
        with threadpool_limits(1):
            for _ in range(ROUNDS):
                for job in times:
                    start = time.perf_counter()
                    iterations[job] = job(X, y)
                    times[job].append(time.perf_counter() - start)
        by_cold, by_numpy = (np.median(np.array(times[job]) / np.array(times[warm])) for job in (cold, in_numpy))
        size = f"{X.shape[0]:,} × {X.shape[1]}, {len(np.unique(y))}"
        print(
            f"| {name} | {size} | {np.median(times[warm]):.2f} | {by_cold:.2f} | {by_numpy:.2f} "
            f"| {iterations[warm]:,} | {iterations[cold]:,} |"
        )


if __name__ == "__main__":
    main()
