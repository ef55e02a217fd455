"""One unit of work: some cells in one fold, trained and scored."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
import warnings
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from focalkit.decisions import Cost
from focalkit.tuning.data import Data, Prediction, Trainer
from focalkit.tuning.folds import Split
from focalkit.tuning.grid import Plan
from focalkit.tuning.measures import CostOf
from focalkit.tuning.result import Cell
from focalkit.tuning.scores import METRICS, Metric, score
from focalkit.tuning.shifts import count_decisions, decisions_at, places_of, taus_of


class Unit(NamedTuple):
    """A plan in a fold, by their positions."""

    plan: int
    fold: int


@dataclass(frozen=True)
class Task:
    """What every unit needs; sent to each process once.

    ``metric`` is what the run goes by; ``scored`` (n_classes,) are the classes that folds score.
    """

    trainer: Trainer
    data: Data
    splits: tuple[Split, ...]
    plans: tuple[Plan, ...]
    metric: Metric | None = None
    scored: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class UnitScores:
    """Scores (n_cells, n_metrics) of a unit's cells, and what they decide at every shift of the prior.

    ``decided`` is (n_cells, n_taus + 2, 2, n_classes), as :func:`focalkit.tuning.shifts.count_decisions` says.
    ``measured`` (n_cells, n_taus + 2) is what a measure says of the same decisions, NaN of strengths that it was not
    asked about; of one that judges probabilities the entry before the last is filled alone. ``ce_logits``
    are plain cross-entropy's where the unit holds it, in the first repeat only.
    """

    scores: NDArray[np.float64]
    decided: NDArray[Any]
    ce_logits: NDArray[np.float64] | None
    n_unconverged: int
    measured: NDArray[np.float64] | None = None


def run_unit(task: Task, unit: Unit) -> tuple[Unit, UnitScores]:
    """Train and score the cells of ``unit``, on one thread, whatever the process."""
    if multiprocessing.parent_process() is not None and threading.current_thread() is threading.main_thread():
        # Ctrl-C reaches every process of the terminal; the parent alone answers it
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        end_with(os.getppid())
    with threadpool_limits(limits=1), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        told = getattr(sys.modules.get("sklearn.exceptions"), "ConvergenceWarning", ())
        if told:  # else there is nothing that could warn
            warnings.simplefilter("always", told)
        found = _scored(task, task.plans[unit.plan], task.splits[unit.fold])
    stopped = sum(issubclass(warning.category, told) for warning in caught)
    return unit, replace(found, n_unconverged=found.n_unconverged + stopped)


WATCH_SECONDS = 0.5


@cache
def end_with(parent: int) -> None:
    """End this worker when the program that started it is gone: killed, it could not tell its workers."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(WATCH_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="focalkit-watch").start()


def _scored(task: Task, plan: Plan, split: Split) -> UnitScores:
    targets, n_classes = task.data.targets, task.data.n_classes
    test_y = targets[split.test]
    counts = task.data.masses(split.train)
    prior = counts / counts.sum()
    if task.scored is not None:
        prior = np.where(task.scored, prior, 0.0)  # no shift goes to a class that cannot be scored
    weight = None if task.data.weight is None else task.data.weight[split.test]
    scores = np.full((len(plan), len(METRICS)), np.nan)
    decided = np.zeros(
        (len(plan), len(taus_of(n_classes)) + 2, 2, n_classes), np.int32 if weight is None else np.float64
    )
    measured = None
    if task.metric is not None and task.metric.measure is not None:
        measured = np.full((len(plan), len(taus_of(n_classes)) + 2), np.nan)
    logits, stopped, places = None, 0, {cell: at for at, cell in enumerate(plan)}
    for cell, found in task.trainer.predictions(task.data, plan, split.train, split.test):
        at = places[cell]
        stopped += not found.converged
        scores[at] = score(test_y, found.decisions, found.posterior, counts, weight)
        closed = None if task.metric is None else closed_decisions(task.metric, found.posterior, split.test)
        decided[at] = count_decisions(found.posterior, found.decisions, test_y, prior, closed, weight)
        if measured is not None:
            assert task.metric is not None
            measured[at] = _measured(task.metric, found, closed, test_y, prior, split.test, weight)
        if cell == Cell() and split.repeat == 0 and found.logits is not None:
            logits = np.asarray(found.logits, np.float64)
    return UnitScores(scores, decided, logits, stopped, measured)


def _measured(
    metric: Metric,
    found: Prediction,
    closed: NDArray[Any] | None,
    targets: NDArray[np.intp],
    prior: NDArray[np.float64],
    rows: NDArray[np.intp],
    weight: NDArray[np.float64] | None,
) -> NDArray[np.float64]:
    """What the measure says of the decisions at every strength, of the model's own, and of the closed ones."""
    measure, own = metric.measure, np.asarray(found.decisions, np.intp)
    assert measure is not None
    out = np.full(len(taus_of(len(prior))) + 2, np.nan)
    if metric.judges != "decisions":
        out[-2] = measure.of_probabilities(targets, own, found.posterior, rows, weight)
        return out
    taus = taus_of(len(prior))
    places = [*places_of(len(prior), measure.stride), len(taus), len(taus) + 1]
    decided = (*decisions_at(found.posterior, prior, taus[places[:-2]]), own, own if closed is None else closed)
    known: dict[bytes, float] = {}  # many strengths decide alike
    for place, said in zip(places, decided, strict=True):
        key = said.astype(np.int32).tobytes()
        if key not in known:
            known[key] = measure.of_decisions(targets, said, rows, weight)
        out[place] = known[key]
    return out


def closed_decisions(metric: Metric, posterior: NDArray[np.float64], rows: NDArray[np.intp]) -> NDArray[np.intp] | None:
    """What the costs of a goal ask for of these probabilities; None of a goal that has no closed form."""
    if isinstance(metric.goal, Cost):
        return np.asarray(posterior[:, 1] > metric.goal.cutoff, np.intp)
    return metric.measure.closed(posterior, rows) if isinstance(metric.measure, CostOf) else None
