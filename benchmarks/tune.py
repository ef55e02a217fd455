"""tune's default surface against scikit-learn's grid search with as many fits and the same metrics, interleaved.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/tune.py [table.csv ...] [--repeats 1] [--rounds 3]

Processor seconds and wall time of one process. Without tables it runs on the embedded long-tailed digits. GridSearchCV
runs LogisticRegression behind a StandardScaler: 5 class weights x 8 values of C are 40 cells (tune fits 38 and has 115
candidates), on the same number of folds, each scored by balanced accuracy, macro F1, Matthews correlation, average
precision and log loss.
"""

from __future__ import annotations

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, RepeatedStratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, label_binarize

from focalkit.io.features import read_table
from focalkit.tuning import tune
from focalkit.tuning.datasets import load_long_tail_digits
from focalkit.tuning.estimators import named_estimator


def ours(X: np.ndarray, y: np.ndarray, repeats: int) -> int:
    result = tune(named_estimator("linear", X.shape[1], missing=False), X, y, n_repeats=repeats)
    return len(result.cells)


def theirs(X: np.ndarray, y: np.ndarray, repeats: int) -> int:
    classes, counts = np.unique(y, return_counts=True)
    weights = [dict(zip(classes, (counts / counts.max()) ** -beta, strict=True)) for beta in (0, 0.25, 0.5, 0.75, 1)]
    scoring = ["balanced_accuracy", "f1_macro", "matthews_corrcoef", "neg_log_loss"]
    if len(classes) == 2:
        scoring.append("average_precision")
        y = label_binarize(y, classes=classes)[:, 0]
        weights = [{0: w[classes[0]], 1: w[classes[1]]} for w in weights]
    search = GridSearchCV(
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)),
        {"logisticregression__class_weight": weights, "logisticregression__C": np.geomspace(0.01, 30, 8)},
        scoring=scoring,
        refit=False,
        cv=RepeatedStratifiedKFold(n_splits=5, n_repeats=repeats, random_state=0),
    ).fit(X, y)
    return len(search.cv_results_["params"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", nargs="*", type=Path)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    data = {}
    for path in options.tables:
        table = read_table(path)
        X = np.asarray(table.X, np.float64)
        data[path.stem] = (np.where(np.isnan(X), np.nanmedian(X, axis=0), X), np.asarray(table.y))
    data = data or {"embedded digits": load_long_tail_digits()}
    print("| data | rows × features, classes | tune, CPU s | GridSearchCV, CPU s | ratio |\n|---|---|---|---|---|")
    warnings.simplefilter("ignore")
    for name, (X, y) in data.items():
        spent: dict[str, list[float]] = {"ours": [], "theirs": []}
        for _ in range(options.rounds):
            for side, job in (("ours", ours), ("theirs", theirs)):
                start = time.process_time()
                job(X, y, options.repeats)
                spent[side].append(time.process_time() - start)
        mine, other = (float(np.median(times)) for times in spent.values())
        size = f"{X.shape[0]:,} × {X.shape[1]}, {len(np.unique(y))}"
        print(f"| {name} | {size} | {mine:.2f} | {other:.1f} | {other / mine:.1f} |", flush=True)


if __name__ == "__main__":
    main()
