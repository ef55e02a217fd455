"""Run the study: journalled, resumable, any number of processes.

python study/run.py --wheels FOLDER [--data FOLDER] --journal study/journal --processes 2
python study/run.py --wheels FOLDER --journal study/journal --learners linear --tables ecoli1 --dask tcp://HOST:8786

A unit of work is one outer fold of one table with one learner. A unit that stands in any file of the journal, or in
study/results.parquet, is not done again; the file of a run that was killed is read as far as its lines are whole.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from study.learners import LEARNERS, Fitted, Ids, Real, Variant, quietly
from study.outcomes import OUTCOMES, Outcome, choose, evaluate
from study.tables import Entry, entries, usable

LARGEST, INNER = 20_000, 3
MISSING = {"", "?", "NA", "<null>", "nan", "NaN"}

CE = Variant("ce")
ALPHAS = tuple(Variant(f"alpha:{a}", alpha=a) for a in ("power:0.25", "sqrt", "power:0.75", "balanced"))
FOCALS = tuple(Variant(f"focal:{g:g}", gamma=g) for g in (0.5, 1.0, 2.0, 5.0))
OHEM = Variant("ohem", keep_hardest=0.25)
SAMPLED = {name: Variant(name, resample=name) for name in ("under", "over", "smote", "bagging")}


@dataclass(frozen=True)
class Procedure:
    """What is trained, whether the training's tilt is undone, and how it decides."""

    name: str
    variants: tuple[Variant, ...]
    undone: bool
    rule: str


PROCEDURES = (
    Procedure("ce", (CE,), True, "argmax"),
    Procedure("ce+shift", (CE,), True, "shift"),
    Procedure("ce+shift*", (CE,), True, "shift*"),
    Procedure("ce+rule", (CE,), True, "rule"),
    Procedure("alpha", ALPHAS, False, "argmax"),
    Procedure("alpha+rule", ALPHAS, True, "rule"),
    Procedure("focal", FOCALS, True, "argmax"),
    Procedure("focal+rule", FOCALS, True, "rule"),
    Procedure("ohem", (OHEM,), True, "argmax"),
    Procedure("under", (SAMPLED["under"],), False, "argmax"),
    Procedure("over", (SAMPLED["over"],), False, "argmax"),
    Procedure("smote", (SAMPLED["smote"],), False, "argmax"),
    Procedure("under+undo+rule", (SAMPLED["under"],), True, "rule"),
    Procedure("bagging", (SAMPLED["bagging"],), False, "argmax"),
    Procedure("bagging+rule", (SAMPLED["bagging"],), True, "rule"),
)


@dataclass(frozen=True)
class Unit:
    """One outer fold of one table with one learner."""

    learner: str
    table: str
    repeat: int
    fold: int

    @property
    def key(self) -> str:
        """What the journal knows it by."""
        return json.dumps([self.learner, self.table, self.repeat, self.fold])


@dataclass(frozen=True)
class Table:
    """Numbers, with one column a category of each text column and NaN where a number is missing; class ids."""

    entry: Entry
    X: Real
    y: Ids


def encode(entry: Entry, rows: list[list[str]]) -> Table:
    """The table as numbers; the rarest class has the highest id, and a large table is a stratified sample."""
    from sklearn.model_selection import train_test_split

    labels, y = np.unique([row[-1] for row in rows], return_inverse=True)
    rank = np.argsort(np.argsort(-np.bincount(y), kind="stable"))
    y = rank[y]
    columns = [_column([row[j] for row in rows]) for j in range(len(rows[0]) - 1)]
    X = np.column_stack([c for c in columns if c.size])
    if len(y) > LARGEST:
        left_out = max(len(y) - LARGEST, entry.classes)  # a stratified part has a row of each class at least
        kept, _ = train_test_split(np.arange(len(y)), test_size=left_out, stratify=y, random_state=0)
        X, y = X[np.sort(kept)], y[np.sort(kept)]
    assert len(labels) == entry.classes
    return Table(entry, X, y.astype(np.intp))


def _column(cells: list[str]) -> Real:
    """A column of numbers (n, 1), or one column a category (n, k); (n, 0) where nothing varies."""
    present = [cell for cell in cells if cell not in MISSING]
    try:
        values = np.array([float(cell) if cell not in MISSING else np.nan for cell in cells])[:, None]
    except ValueError:
        names = sorted(set(present))
        values = np.array([[cell == name for name in names] for cell in cells], np.float64)
    return np.asarray(values[:, [len(np.unique(v[~np.isnan(v)])) > 1 for v in values.T]], np.float64)


def splits(X: Real, y: Ids, n_splits: int, n_repeats: int, seed: int) -> list[tuple[int, int, Ids, Ids]]:
    """Stratified folds in which equal rows stay together: repeat, fold, rows to train on, rows to score."""
    from focalkit.io.repeats import duplicate_groups
    from focalkit.tuning.folds import make_folds

    folds = make_folds(y, duplicate_groups(X), n_splits=n_splits, n_repeats=n_repeats, seed=seed)
    return [(s.repeat, s.fold, s.train, s.test) for s in folds.splits]


def prepared(train: Real, other: Real, *, scaled: bool) -> tuple[Real, Real]:
    """Gaps filled with the training part's median and numbers scaled, where the learner wants it."""
    if not scaled:
        return train, other
    middle = np.nan_to_num(np.nanmedian(train, axis=0))
    train, other = (np.where(np.isnan(part), middle, part) for part in (train, other))
    mean, spread = train.mean(axis=0), train.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    return (train - mean) / spread, (other - mean) / spread


def filled(train: Real, other: Real) -> tuple[Real, Real]:
    """Gaps filled with the training part's median (resampling by neighbours cannot have any)."""
    middle = np.nan_to_num(np.nanmedian(train, axis=0))
    return np.where(np.isnan(train), middle, train), np.where(np.isnan(other), middle, other)


def do(unit: Unit, table: Table) -> dict[str, Any]:
    """One outer fold: everything is chosen on out-of-fold predictions of its training part."""
    start = time.perf_counter()
    quietly()
    learner: Any = LEARNERS[unit.learner]
    n_repeats = 5 if len(table.y) <= 5000 else 2
    (train, test), *_ = [
        (a, b) for r, f, a, b in splits(table.X, table.y, 2, n_repeats, 0) if (r, f) == (unit.repeat, unit.fold)
    ]
    X, y, n_classes = table.X[train], table.y[train], table.entry.classes
    present = np.bincount(y, minlength=n_classes) > 0
    if not present.all():
        return _record(unit, table, {}, {}, start, "a class is missing in the training part")
    variants = [v for v in dict.fromkeys(v for p in PROCEDURES for v in p.variants) if learner.mines or v != OHEM]
    wanted = [(v, s) for v in variants for s in range(len(learner.settings))]
    shape = (len(y), n_classes)
    oof = {(v.name, s): (np.full(shape, np.nan), np.full(shape, np.nan)) for v, s in wanted}
    for _, fold, a, b in splits(X, y, INNER, 1, unit.repeat):
        Xa, Xb = prepared(*filled(X[a], X[b]), scaled=learner.scaled)
        if len(np.unique(y[a])) < n_classes:
            return _record(unit, table, {}, {}, start, "a class is missing in an inner fold")
        fitted: Fitted = learner.fit(wanted, Xa, y[a], seed=unit.repeat * 10 + fold)
        for key, model in fitted.items():
            for target, values in zip(oof[key], model.both(Xb), strict=True):
                target[b] = values
    scored = ~np.isnan(next(iter(oof.values()))[0][:, 0])  # a row whose class stands in one group alone is in no fold
    oof = {key: (raw[scored], undone[scored]) for key, (raw, undone) in oof.items()}
    choices = {}
    for procedure in PROCEDURES:
        names = [(v.name, s) for v in procedure.variants for s in range(len(learner.settings)) if (v.name, s) in oof]
        if names:
            for outcome in OUTCOMES:
                candidates = {name: oof[name][int(procedure.undone)] for name in names}
                choices[procedure.name, outcome.name] = choose(outcome, procedure.rule, candidates, y[scored])
    final = {choice.model for choice in choices.values()}
    by_name = {v.name: v for v in variants}
    Xa, Xb = prepared(*filled(X, table.X[test]), scaled=learner.scaled)
    again = learner.fit([(by_name[v], s) for v, s in sorted(final)], Xa, y, seed=unit.repeat * 10 + 9)
    predicted = {key: model.both(Xb) for key, model in again.items()}
    values: dict[str, dict[str, float]] = {}
    chosen: dict[str, dict[str, str]] = {}
    undone = {p.name: int(p.undone) for p in PROCEDURES}
    for (procedure, outcome), choice in choices.items():
        p = predicted[choice.model][undone[procedure]]
        value = evaluate(RULES_OF[outcome], choice, p, table.y[test], y)
        values.setdefault(procedure, {})[outcome] = round(value, 6) if np.isfinite(value) else float("nan")
        chosen.setdefault(procedure, {})[outcome] = choice.shown
    return _record(unit, table, values, chosen, start, None)


RULES_OF: dict[str, Outcome] = {outcome.name: outcome for outcome in OUTCOMES}


def _record(unit: Unit, table: Table, values: Any, chosen: Any, start: float, note: str | None) -> dict[str, Any]:
    entry, counts = table.entry, np.bincount(table.y)
    return {
        "key": unit.key, "learner": unit.learner, "table": entry.name, "family": entry.family, "repeat": unit.repeat,
        "fold": unit.fold, "rows": len(table.y), "classes": entry.classes, "minority": int(counts.min()),
        "majority": int(counts.max()), "values": values, "chosen": chosen, "note": note,
        "seconds": round(time.perf_counter() - start, 2),
    }  # fmt: skip


def finished(journal: Path) -> dict[str, dict[str, Any]]:
    """Records by key, of every file of the journal; a line whose checksum is wrong is no line."""
    done = {}
    for path in sorted(journal.glob("*.jsonl")):
        for line in path.read_text().splitlines():
            digest, _, text = line.partition(" ")
            if hashlib.sha256(text.encode()).hexdigest()[:16] == digest:
                record = json.loads(text)
                done[record["key"]] = record
    return done


def collected(results: Path) -> set[str]:
    """Units that ``analyse.py collect`` has put into the results: a clone goes on from there."""
    if not results.exists():
        return set()
    import polars as pl

    rows = pl.read_parquet(results, columns=["learner", "table", "repeat", "fold"]).unique().iter_rows()
    return {Unit(*row).key for row in rows}


def write(path: Path, record: dict[str, Any]) -> None:
    """Append one line with its checksum, in one call."""
    text = json.dumps(record)
    line = f"{hashlib.sha256(text.encode()).hexdigest()[:16]} {text}\n"
    with path.open("a") as file:
        file.write(line)
        file.flush()
        os.fsync(file.fileno())


def work(options: argparse.Namespace) -> Iterator[tuple[Unit, Table]]:
    """What is left: the linear model on all tables first, tables by rising size, so that a run cut short is whole."""
    done = set(finished(options.journal)) | collected(options.results)
    asked = (pair for pair in entries(options.wheels, options.data) if usable(pair[0]))
    if options.tables:
        asked = (pair for pair in asked if pair[0].name in options.tables)
    tables = [encode(*pair) for pair in asked if pair[0].classes <= options.most_classes]
    tables.sort(key=lambda t: (len(t.y) * t.X.shape[1], t.entry.name))
    for learner in options.learners:
        for repeat in range(options.repeats):
            for table in tables:
                if repeat >= (5 if len(table.y) <= 5000 else 2):
                    continue
                for fold in range(2):
                    unit = Unit(learner, table.entry.name, repeat, fold)
                    mine = int(hashlib.sha256(unit.key.encode()).hexdigest(), 16) % options.of == options.part
                    if unit.key not in done and mine:
                        yield unit, table


def main() -> None:
    """Do what is left."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wheels", type=Path, required=True)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--journal", type=Path, default=Path(__file__).parent / "journal")
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results.parquet")
    parser.add_argument("--learners", nargs="+", choices=list(LEARNERS), default=list(LEARNERS))
    parser.add_argument("--tables", nargs="*")
    parser.add_argument("--repeats", type=int, default=5, help="no more than these first repeats of the outer folds")
    parser.add_argument("--most-classes", type=int, default=10**6, help="no table of more classes than these")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--part", type=int, default=0, help="which part of the work, where several programs share it")
    parser.add_argument("--of", type=int, default=1, help="how many programs share it")
    parser.add_argument("--dask", help="address of a scheduler; its workers need this repository and its packages")
    options = parser.parse_args()
    options.journal.mkdir(parents=True, exist_ok=True)
    path = options.journal / f"part-{options.part}-of-{options.of}.jsonl"
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if options.dask:
        from distributed import Client
        from distributed import as_completed as dask_completed

        with Client(options.dask) as client:
            futures = [client.submit(do, unit, table, pure=False) for unit, table in work(options)]
            for future in dask_completed(futures):
                say(path, future.result())
        return
    if options.processes == 1:
        for unit, table in work(options):
            say(path, do(unit, table))
        return
    with ProcessPoolExecutor(options.processes) as pool:
        futures = {pool.submit(do, unit, table) for unit, table in work(options)}
        for future in as_completed(futures):
            say(path, future.result())


def say(path: Path, record: dict[str, Any]) -> None:
    """Write a record, then a line about it."""
    write(path, record)
    what = record["note"] or "balanced accuracy " + ", ".join(
        f"{name} {record['values'][name]['balanced_accuracy']:.3f}" for name in ("ce", "ce+rule", "alpha")
    )
    print(f"{record['key']}: {what} in {record['seconds']:.1f} s", flush=True)


if __name__ == "__main__":
    main()
