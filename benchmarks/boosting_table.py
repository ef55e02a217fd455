"""Does focal loss help boosted trees? The library's default, its class weighting, and focal, on the same folds.

    python benchmarks/boosting_table.py [--libraries xgboost lightgbm catboost] [--data FOLDER] [--only NAME ...]

Each row is one run of ``focalkit.tuning.tune``. "default" is gamma = 0 without alpha, which is the
library's own log loss (checked on the first fold against the library itself); "class weights" is
alpha = 1/n at gamma = 0, which is scale_pos_weight or balanced sample weights, of mean 1; "focal" is
the family of gamma > 0, its cell chosen in every fold without that fold. Errors are Nadeau-Bengio
standard errors, differences are paired over folds.
"""

from __future__ import annotations

import argparse
import importlib
import warnings
from pathlib import Path

import numpy as np
from scipy.special import softmax

from focalkit.boosting import FocalCatBoostClassifier, FocalLGBMClassifier, FocalXGBClassifier
from focalkit.boosting.catboost import start_baseline
from focalkit.io.features import read_table
from focalkit.tuning import Cell, judge, tune
from focalkit.tuning.verdict import estimate

METRICS = {"balanced_accuracy": "balanced accuracy", "average_precision": "average precision", "log_loss": "log loss"}
TABLES = {"mammography": (100, 2), "creditcard_subset": (100, 2), "page_blocks": (100, 2), "kropt": (40, 1)}
"""Boosting rounds and repeats of 5 folds."""
SLOW = {("catboost", "page_blocks"): (50, 1), ("catboost", "kropt"): None}
"""CatBoost asks for one sample after another: fewer, or none where that takes hours."""


def model(library: str, n_rounds: int):
    """The focal estimator with the library's default parameters."""
    if library == "xgboost":
        return FocalXGBClassifier(n_estimators=n_rounds, n_jobs=1)
    if library == "lightgbm":
        return FocalLGBMClassifier(n_estimators=n_rounds, n_jobs=1, verbose=-1)
    return FocalCatBoostClassifier(
        iterations=n_rounds, learning_rate=0.1, thread_count=1, verbose=False, allow_writing_files=False
    )


def parent(library: str, n_rounds: int):
    """The library's own estimator, alike."""
    ours = model(library, n_rounds)
    params = {k: v for k, v in ours.get_params().items() if k not in ("gamma", "alpha", "hessian", "min_split_loss")}
    if library == "catboost":
        params |= {"boost_from_average": True, "leaf_estimation_iterations": 1, "leaf_estimation_backtracking": "No"}
    name = {"xgboost": "XGBClassifier", "lightgbm": "LGBMClassifier", "catboost": "CatBoostClassifier"}[library]
    return getattr(importlib.import_module(library), name)(**params)


def agreement(library: str, n_rounds: int, X, y, split) -> float:
    """Largest difference of probabilities between gamma = 0 and the library itself, on the first fold."""
    ours = model(library, n_rounds).set_params(gamma=0.0).fit(X[split.train], y[split.train])
    theirs, start = parent(library, n_rounds), {}
    several = library == "catboost" and len(np.unique(y)) > 2
    if several:  # boost_from_average is for other losses: the same start by hand
        theirs.set_params(boost_from_average=False)
        start = {"baseline": start_baseline(ours.focal_, len(split.train))}
    theirs.fit(X[split.train], y[split.train], **start)
    found = theirs.predict_proba(X[split.test])
    if several:
        found = softmax(np.log(found) + start["baseline"][0], axis=1)
    return float(np.abs(ours.predict_proba(X[split.test]) - found).max())


def rows(library: str, name: str, folder: Path, size: tuple[int, int]) -> None:
    """Print the rows of one library and data set."""
    path = folder / f"{name}.csv"
    if not path.exists():
        print(f"| {library} | {name} | not there: {path.name} | | | | | |")
        return
    table = read_table(path)
    X, (_, y) = table.X, np.unique(table.y, return_inverse=True)
    n_rounds, n_repeats = size
    result = tune(
        model(library, n_rounds), X, y, alphas=["power:0.5", "power:1"], gammas=[1.0, 2.0], n_repeats=n_repeats
    )
    same = agreement(library, n_rounds, X, y, result.folds.splits[0])
    weighted = result.index(Cell("power:1"))
    for metric, title in METRICS.items():
        verdict = judge(result, metric)
        families = {f.family: f for f in verdict.families}
        gain = result.gain(metric)
        default, focal, shift = families["CE"].expected, families["focal"], families["CE + shift"]
        by_weight = estimate(gain[weighted] - gain[0], result.folds.n_splits)
        print(
            f"| {library} | {name} | {title} | {default.mean:.4f} ± {default.standard_error:.4f} "
            f"| {by_weight.mean:+.4f} ± {by_weight.standard_error:.4f} "
            f"| {shift.gain.mean:+.4f} ± {shift.gain.standard_error:.4f} "
            f"| {focal.gain.mean:+.4f} ± {focal.gain.standard_error:.4f} "
            f"| {result.cells[focal.cell].title} | {result.cells[verdict.recommended.cell].title} |",
            flush=True,
        )
    print(f"<!-- {library} {name}: gamma 0 against the library itself, largest difference {same:.1e} -->", flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--libraries", nargs="+", default=["xgboost", "lightgbm", "catboost"])
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data")
    parser.add_argument("--only", nargs="+", default=list(TABLES))
    options = parser.parse_args()
    print("| library | data | metric | default | class weights | shifted decisions | focal | focal's cell | verdict |")
    print("|---|---|---|---|---|---|---|---|---|")
    for library in options.libraries:
        for name in options.only:
            size = SLOW.get((library, name), TABLES[name])
            if size:
                rows(library, name, options.data, size)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
