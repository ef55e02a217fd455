"""One unit of work: some cells in one fold, trained and scored."""

from __future__ import annotations

import multiprocessing
import signal
import threading
import warnings
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from focalkit.posterior import shift_prior
from focalkit.tuning.folds import Split, make_folds
from focalkit.tuning.grid import Plan
from focalkit.tuning.result import Cell
from focalkit.tuning.scores import METRICS, confusion, decision_scores, score
from focalkit.tuning.trainers import Data, Trainer

TAUS = np.round(np.arange(0, 2.0001, 0.05), 2)


class Unit(NamedTuple):
    """A plan in a fold, by their positions."""

    plan: int
    fold: int


@dataclass(frozen=True)
class Task:
    """What every unit needs; sent to each process once."""

    trainer: Trainer
    data: Data
    groups: NDArray[Any]
    splits: tuple[Split, ...]
    plans: tuple[Plan, ...]
    tau_metric: int
    seed: int


@dataclass(frozen=True)
class UnitScores:
    """Scores (n_cells, n_metrics) of a unit's cells.

    ``tau`` is the shift chosen in the fold, and ``ce_logits`` are plain cross-entropy's, where the
    unit holds it (the logits in the first repeat only).
    """

    scores: NDArray[np.float64]
    tau: float
    ce_logits: NDArray[np.float64] | None
    n_unconverged: int


def run_unit(task: Task, unit: Unit) -> tuple[Unit, UnitScores]:
    """Train and score the cells of ``unit``, on one thread, whatever the process."""
    if multiprocessing.parent_process() is not None and threading.current_thread() is threading.main_thread():
        # Ctrl-C reaches every process of the terminal; the parent alone answers it
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    with threadpool_limits(limits=1), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", ConvergenceWarning)
        scores, tau, logits = _scored(task, task.plans[unit.plan], task.splits[unit.fold])
    stopped = sum(issubclass(warning.category, ConvergenceWarning) for warning in caught)
    return unit, UnitScores(scores, tau, logits, stopped)


def _scored(task: Task, plan: Plan, split: Split) -> tuple[NDArray[np.float64], float, NDArray[np.float64] | None]:
    targets, n_classes = task.data.targets, task.data.n_classes
    test_y = targets[split.test]
    counts = np.bincount(targets[split.train], minlength=n_classes)
    scores = np.full((len(plan), len(METRICS)), np.nan)
    tau, logits = float("nan"), None
    for cell, found in task.trainer.predictions(task.data, plan, split.train, split.test):
        scores[plan.index(cell)] = score(test_y, found.decisions, found.posterior, counts)
        if cell != Cell(params=cell.params):
            continue
        if split.repeat == 0 and not cell.params and found.logits is not None:
            logits = np.asarray(found.logits, np.float64)
        shifts = [other for other in plan if other.tau is not None]
        for shift in shifts:
            if shift.tau == "chosen":
                tau = _choose_tau(task, split, cell)
            strength = tau if shift.tau == "chosen" else float(shift.tau or 0)
            shifted = _shifted(found.posterior, counts / counts.sum(), strength)
            scores[plan.index(replace(cell, tau=shift.tau))] = score(test_y, shifted, found.posterior, counts)
    return scores, tau, logits


def _shifted(posterior: NDArray[np.float64], prior: NDArray[np.float64], tau: float) -> NDArray[Any]:
    safe = np.maximum(prior, np.finfo(np.float64).tiny)
    return np.asarray(shift_prior(posterior, safe / safe.sum(), tau).argmax(axis=1))


def _choose_tau(task: Task, split: Split, cell: Cell) -> float:
    """The shift that does best on inner folds of the training rows; of equals the one nearest to 1."""
    targets = task.data.targets[split.train]
    inner = make_folds(targets, task.groups[split.train], n_splits=3, n_repeats=1, seed=task.seed)
    posterior = np.zeros((len(targets), task.data.n_classes))
    scored = np.zeros(len(targets), bool)
    for part in inner.splits:
        rows, held = split.train[part.train], split.train[part.test]
        for _, found in task.trainer.predictions(task.data, (cell,), rows, held):
            posterior[part.test] = found.posterior
        scored[part.test] = True
    prior = np.bincount(targets, minlength=task.data.n_classes) / len(targets)
    sign = 1 if METRICS[task.tau_metric].larger_is_better else -1
    n_classes = task.data.n_classes
    tables = [confusion(targets[scored], _shifted(posterior[scored], prior, tau), n_classes) for tau in TAUS]
    merit = [sign * decision_scores(table)[task.tau_metric] for table in tables]
    best = np.flatnonzero(np.isclose(merit, max(merit), rtol=0, atol=1e-12))
    return float(TAUS[best[np.abs(TAUS[best] - 1).argmin()]])
