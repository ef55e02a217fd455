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

from focalkit.boosting import FocalCatBoostClassifier, FocalLGBMClassifier, FocalXGBClassifier
from focalkit.tuning import Cell, judge, tune
from focalkit.tuning.tables import read_table
from focalkit.tuning.verdict import estimate

METRICS = {"balanced_accuracy": "balanced accuracy", "average_precision": "average precision", "log_loss": "log loss"}
TABLES = {"mammography": (100, 2), "creditcard_subset": (100, 2), "page_blocks": (100, 2), "kropt": (40, 1)}
"""Boosting rounds and repeats of 5 folds."""


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
    theirs = parent(library, n_rounds).fit(X[split.train], y[split.train])
    return float(np.abs(ours.predict_proba(X[split.test]) - theirs.predict_proba(X[split.test])).max())


def rows(library: str, name: str, folder: Path) -> None:
    """Print the rows of one library and data set."""
    path = folder / f"{name}.csv"
    if not path.exists():
        print(f"| {library} | {name} | not there: {path.name} | | | | | |")
        return
    table = read_table(path)
    X, (_, y) = table.X, np.unique(table.y, return_inverse=True)
    n_rounds, n_repeats = TABLES[name]
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
            if library == "catboost" and name in ("page_blocks", "kropt"):
                continue  # one Python call per sample and round: hours
            rows(library, name, options.data)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
