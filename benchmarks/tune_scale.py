"""The linear path at scale: `tune` over its default surface against scikit-learn's grid search with as many cells.

    python benchmarks/tune_scale.py [--rows 1000000] [--folds 2] [--jobs 2] [--only tune|sklearn]

One repeat of the folds. Each side runs in a process of its own. Memory is the largest sum of the proportional set
sizes of that process and its workers (shared pages count once), CPU the sum of their processor times, both read five
times a second from /proc. On a busy machine only the latter says what the work costs.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

N_FEATURES, N_CLASSES = 100, 10


def write_data(folder: Path, n_rows: int) -> None:
    """float32 features, a softmax model with an exponential profile of ten classes, 1 in about 200 of the rarest."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n_rows, N_FEATURES), dtype=np.float32)
    W = 0.3 * rng.normal(size=(N_FEATURES, N_CLASSES)).astype(np.float32)
    y = np.empty(n_rows, np.int64)
    for rows in np.array_split(np.arange(n_rows), n_rows // 65536 + 1):
        logits = X[rows] @ W - 0.9 * np.arange(N_CLASSES) + rng.gumbel(size=(len(rows), N_CLASSES))
        y[rows] = logits.argmax(axis=1)
    np.save(folder / "X.npy", X)
    np.save(folder / "y.npy", y)
    print("rows per class:", *np.bincount(y))


def run_tune(X: np.ndarray, y: np.ndarray, folds: int, jobs: int) -> str:
    from focalkit.tuning import tune
    from focalkit.tuning.estimators import named_estimator

    estimator = named_estimator("linear", N_FEATURES, missing=False)
    result = tune(estimator, X, y, n_splits=folds, n_repeats=1, n_jobs=jobs)
    n_fits = sum(cell.tau is None for cell in result.cells) + 3
    return f"{n_fits * folds} fits, {len(result.cells)} cells, six figures each"


def run_sklearn(X: np.ndarray, y: np.ndarray, folds: int, jobs: int) -> str:
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, StratifiedKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    counts = np.bincount(y)
    weights = [dict(enumerate((counts / counts.max()) ** -beta)) for beta in (0, 0.25, 0.5, 0.75, 1)]
    grid = {
        "logisticregression__class_weight": weights,
        "logisticregression__C": [0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30],
    }
    search = GridSearchCV(
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)),
        grid,
        scoring="balanced_accuracy",
        cv=StratifiedKFold(folds, shuffle=True, random_state=0),
        n_jobs=jobs,
        refit=False,
    ).fit(X, y)
    n_cells = len(search.cv_results_["params"])
    return f"{n_cells * folds} fits, {n_cells} cells, one figure each"


def tree(root: int) -> list[int]:
    """A process and all below it."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    found = [root]
    for pid in found:
        found.extend(child for child, parent in parents.items() if parent == pid)
    return found


def memory(root: int) -> int:
    """Bytes of the proportional set sizes."""
    total = 0
    for pid in tree(root):
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total


def processor_times(root: int) -> dict[int, float]:
    """Seconds of user and system time of each process."""
    out = {}
    for pid in tree(root):
        try:
            parts = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        out[pid] = (int(parts[11]) + int(parts[12])) / os.sysconf("SC_CLK_TCK")
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--folds", type=int, default=2)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", choices=["tune", "sklearn"])
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        folder = Path(options.inside)
        side = {"tune": run_tune, "sklearn": run_sklearn}[options.only]
        print(side(np.load(folder / "X.npy"), np.load(folder / "y.npy"), options.folds, options.jobs))
        return
    with tempfile.TemporaryDirectory() as folder:
        write_data(Path(folder), options.rows)
        print("| side | work | CPU, s | time, s | memory, GiB |\n|---|---|---|---|---|", flush=True)
        for side in [options.only] if options.only else ["tune", "sklearn"]:
            command = [sys.executable, __file__, "--only", side, "--inside", folder]
            command += ["--folds", str(options.folds), "--jobs", str(options.jobs)]
            start, peak, cpu = time.perf_counter(), 0, {}
            process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            while process.poll() is None:
                peak = max(peak, memory(process.pid))
                cpu.update(processor_times(process.pid))
                time.sleep(0.2)
            work = process.communicate()[0].strip()
            seconds = time.perf_counter() - start
            print(f"| {side} | {work} | {sum(cpu.values()):.0f} | {seconds:.0f} | {peak / 2**30:.1f} |", flush=True)


if __name__ == "__main__":
    main()
