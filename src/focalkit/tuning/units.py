"""One unit of work: some cells in one fold, trained and scored."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
import warnings
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from focalkit.tuning.folds import Split
from focalkit.tuning.grid import Plan
from focalkit.tuning.result import Cell
from focalkit.tuning.scores import METRICS, score
from focalkit.tuning.shifts import count_decisions, taus_of
from focalkit.tuning.trainers import Data, Trainer


class Unit(NamedTuple):
    """A plan in a fold, by their positions."""

    plan: int
    fold: int


@dataclass(frozen=True)
class Task:
    """What every unit needs; sent to each process once. ``scored`` (n_classes,) are the classes that folds score."""

    trainer: Trainer
    data: Data
    splits: tuple[Split, ...]
    plans: tuple[Plan, ...]
    cutoff: float | None = None
    scored: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class UnitScores:
    """Scores (n_cells, n_metrics) of a unit's cells, and what they decide at every shift of the prior.

    ``decided`` is (n_cells, n_taus + 2, 2, n_classes), as :func:`focalkit.tuning.shifts.count_decisions` says.
    ``ce_logits`` are plain cross-entropy's where the unit holds it, in the first repeat only.
    """

    scores: NDArray[np.float64]
    decided: NDArray[Any]
    ce_logits: NDArray[np.float64] | None
    n_unconverged: int


def run_unit(task: Task, unit: Unit) -> tuple[Unit, UnitScores]:
    """Train and score the cells of ``unit``, on one thread, whatever the process."""
    if multiprocessing.parent_process() is not None and threading.current_thread() is threading.main_thread():
        # Ctrl-C reaches every process of the terminal; the parent alone answers it
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _end_with_parent()
    with threadpool_limits(limits=1), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", ConvergenceWarning)
        found = _scored(task, task.plans[unit.plan], task.splits[unit.fold])
    stopped = sum(issubclass(warning.category, ConvergenceWarning) for warning in caught)
    return unit, replace(found, n_unconverged=stopped)


WATCH_SECONDS = 0.5


@cache
def _end_with_parent() -> None:
    """End this worker when the program that started it is gone: killed, it could not tell its workers."""
    parent = os.getppid()

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
    logits = None
    for cell, found in task.trainer.predictions(task.data, plan, split.train, split.test):
        at = plan.index(cell)
        scores[at] = score(test_y, found.decisions, found.posterior, counts, weight)
        decided[at] = count_decisions(found.posterior, found.decisions, test_y, prior, task.cutoff, weight)
        if cell == Cell() and split.repeat == 0 and found.logits is not None:
            logits = np.asarray(found.logits, np.float64)
    return UnitScores(scores, decided, logits, 0)
