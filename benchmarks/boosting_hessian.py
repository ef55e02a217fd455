"""Which Hessian should be the default? Held-out log loss and average precision of all three, round by round.

    python benchmarks/boosting_hessian.py [FOLDER WITH THE CSV FILES]

Stratified folds, XGBoost and LightGBM with their default parameters, alpha = None.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np
from sklearn.model_selection import StratifiedKFold

from focalkit.boosting import FocalLGBMClassifier, FocalXGBClassifier
from focalkit.boosting.metrics import METRICS
from focalkit.boosting.objective import HESSIANS
from focalkit.io.features import read_table

DATA = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[2] / "shared" / "data")
NAMES = ("mammography", "creditcard_subset", "page_blocks", "kropt")
GAMMAS = (1.0, 2.0, 5.0)
N_ROUNDS, N_FOLDS = 100, 3
PICKED = ("recovered_log_loss", "macro_average_precision")


def curve(library: str, X, y, train, test, gamma: float, hessian: str) -> np.ndarray:
    """Held-out figures (n_rounds, 2)."""
    common = {"gamma": gamma, "hessian": hessian, "n_estimators": N_ROUNDS, "n_jobs": 1}
    if library == "xgboost":
        model = FocalXGBClassifier(**common, eval_metric=list(PICKED))
        model.fit(X[train], y[train], eval_set=[(X[test], y[test])])
        held = model.evals_result()["validation_0"]
    else:
        model = FocalLGBMClassifier(**common, verbose=-1)
        model.fit(X[train], y[train], eval_set=[(X[test], y[test])], eval_metric=list(PICKED))
        held = model.evals_result_["valid_0"]
    figures = np.full((N_ROUNDS, len(PICKED)), np.nan)
    for i, name in enumerate(PICKED):
        figures[: len(held[name]), i] = held[name]
    return figures


def main() -> None:
    """Print one row per library, data set and gamma."""
    assert set(PICKED) <= set(METRICS)
    print("| library | data | gamma | log loss, best round | log loss, round 100 | average precision, best round |")
    print("|---|---|---|---|---|---|")
    print("| | | | " + " | ".join([" / ".join(HESSIANS)] * 3) + " |")
    for library in ("xgboost", "lightgbm"):
        for name in NAMES:
            path = DATA / f"{name}.csv"
            if not path.exists():
                print(f"| {library} | {name} | | not there: {path.name} | | |")
                continue
            table = read_table(path)
            X, (_, y) = table.X, np.unique(table.y, return_inverse=True)
            splits = list(StratifiedKFold(N_FOLDS, shuffle=True, random_state=0).split(X, y))
            for gamma in GAMMAS if name != "kropt" else (2.0,):
                mean = [
                    np.mean([curve(library, X, y, *split, gamma, hessian) for split in splits], axis=0)
                    for hessian in HESSIANS
                ]
                best = " / ".join(f"{np.nanmin(m[:, 0]):.4f} ({np.nanargmin(m[:, 0]) + 1})" for m in mean)
                last = " / ".join(f"{m[-1, 0]:.4f}" for m in mean)
                ranked = " / ".join(f"{np.nanmax(m[:, 1]):.4f}" for m in mean)
                print(f"| {library} | {name} | {gamma:g} | {best} | {last} | {ranked} |", flush=True)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
