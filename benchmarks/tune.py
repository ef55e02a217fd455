"""tune's default surface against scikit-learn's grid search with as many fits and the same metrics, interleaved.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/tune.py [table.csv ...] [--repeats 1] [--rounds 3]

Processor seconds and wall time of one process. Without tables it runs on the embedded long-tailed digits. GridSearchCV
runs LogisticRegression behind a StandardScaler: 5 class weights x 8 values of C are 40 cells (tune fits 38 and has 115
candidates), on the same number of folds, each scored by balanced accuracy, macro F1, Matthews correlation, average
precision and log loss.

    python benchmarks/tune.py table.csv … --command --repeats 5

takes the wall and processor time of whole programs instead, start and imports included: `focalkit tune TABLE --jobs 2`,
and a script that reads the table with pandas and runs the grid search with n_jobs=2. BLAS has one thread in both. The
table "embedded" is the program's own. One table with --rounds 1 is a piece that ends within two minutes.

    python benchmarks/tune.py table.csv … --first --repeats 5

takes the seconds until the first answer stands on the screen: the best candidate of the folds so far, with its ±.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
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


def theirs(X: np.ndarray, y: np.ndarray, repeats: int, n_jobs: int = 1) -> int:
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
        n_jobs=n_jobs,
        cv=RepeatedStratifiedKFold(n_splits=5, n_repeats=repeats, random_state=0),
    ).fit(X, y)
    return len(search.cv_results_["params"])


GRID_SEARCH = """
import sys, warnings
sys.path.insert(0, {here!r})
warnings.simplefilter("ignore")
import pandas
import tune
table = pandas.read_csv({table!r}, header=None)
tune.theirs(table.iloc[:, :-1].to_numpy(float), table.iloc[:, -1].to_numpy(), {repeats}, 2)
"""


EMBEDDED = """
import sys, warnings
sys.path.insert(0, {here!r})
warnings.simplefilter("ignore")
import tune
from focalkit.tuning.datasets import load_rare_digit
tune.theirs(*load_rare_digit(), {repeats}, 2)
"""


def first_answer(command: list[str], environment: dict[str, str]) -> tuple[float, float]:
    """Seconds until a terminal shows the first figure with its ±, and until the program ends."""
    screen, end = os.openpty()
    start = time.perf_counter()
    program = subprocess.Popen(command, env=environment, stdin=end, stdout=end, stderr=end)
    os.close(end)
    seen, first = b"", float("nan")
    try:
        while part := os.read(screen, 1 << 16):
            seen += part
            if first != first and "±".encode() in seen:
                first = time.perf_counter() - start
    except OSError:  # the end of a terminal whose program has ended
        pass
    program.wait()
    os.close(screen)
    return first, time.perf_counter() - start


def first_answers(options: argparse.Namespace) -> None:
    """How long one looks at an empty screen, best of the rounds."""
    print("| data | first answer, s | all, s |\n|---|---|---|")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "COLUMNS": "100"}
    for table in options.tables:
        command = commands(table, options.repeats)["ours"]
        times = min(first_answer(command, environment) for _ in range(options.rounds))
        print(f"| {table.stem} | {times[0]:.2f} | {times[1]:.2f} |", flush=True)


def commands(table: Path, repeats: int) -> dict[str, list[str]]:
    """What both sides are as programs."""
    if str(table) == "embedded":
        script = EMBEDDED.format(here=str(Path(__file__).parent), repeats=repeats)
        mine = [sys.executable, "-m", "focalkit", "tune", "--jobs", "2", "--repeats", str(repeats)]
        return {"ours": mine, "theirs": [sys.executable, "-c", script]}
    script = GRID_SEARCH.format(here=str(Path(__file__).parent), table=str(table), repeats=repeats)
    mine = [sys.executable, "-m", "focalkit", "tune", str(table), "--jobs", "2", "--repeats", str(repeats)]
    return {"ours": mine, "theirs": [sys.executable, "-c", script]}


def whole_programs(options: argparse.Namespace) -> None:
    """Wall time and processor time of whole programs, their workers included, interleaved, medians."""
    print("| data | tune, s | CPU s | GridSearchCV, s | CPU s | ratio of CPU |\n|---|---|---|---|---|---|")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    for table in options.tables:
        spent: dict[str, list[tuple[float, float]]] = {"ours": [], "theirs": []}
        for _ in range(options.rounds):
            for side, command in commands(table, options.repeats).items():
                if side == "theirs" and options.ours_only:
                    continue
                start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
                subprocess.run(command, env=environment, check=True, capture_output=True)
                after = resource.getrusage(resource.RUSAGE_CHILDREN)
                busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
                spent[side].append((time.perf_counter() - start, busy))
        mine, other = (np.median(times or [(np.nan, np.nan)], axis=0) for times in spent.values())
        figures = [f"{figure:.1f}" for figure in (*mine, *other, other[1] / mine[1])]
        print("|", " | ".join([table.stem, *figures]), "|", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", nargs="*", type=Path)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--command", action="store_true", help="wall time of whole programs, two processes each")
    parser.add_argument("--first", action="store_true", help="seconds until the first answer stands on the screen")
    parser.add_argument("--ours-only", action="store_true", help="with --command: without the grid search")
    options = parser.parse_args()
    if options.first:
        return first_answers(options)
    if options.command:
        return whole_programs(options)
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
