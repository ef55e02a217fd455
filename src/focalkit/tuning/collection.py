"""Finished units put together: how far a run is, and its result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from focalkit.decisions import Maximize
from focalkit.tuning.folds import Split
from focalkit.tuning.grid import with_decisions
from focalkit.tuning.result import Cell, corrected_error
from focalkit.tuning.scores import METRICS, NAMES, Metric
from focalkit.tuning.shifts import best_strength, choose, figure, taus_of
from focalkit.tuning.units import Task, Unit, UnitScores


class Table(NamedTuple):
    """Candidates, their scores (n_cells, n_folds, n_metrics), what they decide in each fold, and their shifts.

    ``decided`` is (n_cells, n_folds, 2, n_classes), ``final_taus`` (n_cells,) the shifts for new data, and
    ``plain_taus`` (n_folds,) those that were chosen for plain cross-entropy.
    """

    cells: tuple[Cell, ...]
    metrics: tuple[Metric, ...]
    scores: NDArray[np.float64]
    decided: NDArray[Any]
    final_taus: NDArray[np.float64]
    plain_taus: NDArray[np.float64]

    def gain(self, name: str) -> NDArray[np.float64]:
        """Scores (n_cells, n_folds) of one metric, with the sign changed where smaller is better."""
        at = [metric.name for metric in self.metrics].index(name)
        return self.scores[:, :, at] * (1 if self.metrics[at].larger_is_better else -1)


class Left(NamedTuple):
    """Plans that go no further than the first repeat, and their cells with scores (n_left, n_splits, n_metrics)."""

    plans: frozenset[int] = frozenset()
    cells: tuple[Cell, ...] = ()
    scores: NDArray[np.float64] = np.empty((0, 0, 0))


@dataclass(frozen=True)
class Progress:
    """How far a run is: units done, and the best cell so far with its mean and corrected standard error."""

    done: int
    total: int
    metric: str
    best: Cell | None
    mean: float
    standard_error: float


class Collection:
    """The units of a run as they come in.

    ``n_surface`` plans make up the alpha x gamma surface; those after them are the trials'. ``left`` is what
    the repeats after the first do without.
    """

    def __init__(self, task: Task, n_surface: int, n_splits: int) -> None:
        self.task, self.n_surface, self.n_splits = task, n_surface, n_splits
        self.found: dict[Unit, UnitScores] = {}
        self.left = Left()
        self.cells = tuple(cell for plan in task.plans for cell in plan)
        self.first = np.cumsum([0, *(len(plan) for plan in task.plans)])
        self.scores = np.full((len(self.cells), len(task.splits), len(METRICS)), np.nan)

    def add(self, unit: Unit, found: UnitScores) -> None:
        """Put a finished unit in its place."""
        self.found[unit] = found
        self.scores[self.first[unit.plan] : self.first[unit.plan + 1], unit.fold] = found.scores

    def progress(self, metric: int) -> Progress:
        """How far the run is; the best cell is sought among those with the most folds."""
        values = self.scores[:, :, metric] * (1 if METRICS[metric].larger_is_better else -1)
        n_scored = np.isfinite(values).sum(axis=1)
        at = np.flatnonzero(n_scored == n_scored.max())
        folds = np.isfinite(values[at]).all(axis=0)
        total = self.n_units
        name = METRICS[metric].name
        if not folds.any():
            return Progress(len(self.found), total, name, None, float("nan"), float("nan"))
        best = int(at[np.argmax(values[at][:, folds].mean(axis=1))])
        scores = self.scores[best, folds, metric]
        error = float(corrected_error(scores, self.n_splits))
        return Progress(len(self.found), total, name, self.cells[best], float(scores.mean()), error)

    @property
    def n_units(self) -> int:
        """How many units make the run whole."""
        later = sum(split.repeat > 0 for split in self.task.splits)
        return len(self.task.plans) * len(self.task.splits) - len(self.left.plans) * later

    def folds(self) -> list[int]:
        """The folds in which the surface is scored, without what was left."""
        plans = [plan for plan in range(self.n_surface) if plan not in self.left.plans]
        return [fold for fold in range(len(self.task.splits)) if all(Unit(plan, fold) in self.found for plan in plans)]

    def complete_plans(self, folds: list[int]) -> list[int]:
        """The plans that are scored in all of ``folds``."""
        n_plans = len(self.task.plans)
        return [plan for plan in range(n_plans) if all(Unit(plan, fold) in self.found for fold in folds)]

    def table(self, plans: list[int], folds: list[int], metric: Metric) -> Table:
        """Every candidate of ``plans`` in ``folds``: as trained, and with decisions for the metric's goal."""
        splits = [self.task.splits[i] for i in folds]
        n_classes = self.task.data.n_classes
        goal = metric.goal if metric.goal is not None and metric.measure is None else Maximize("balanced_accuracy")
        measured = None
        if metric.measure is not None:
            measured = np.stack([_measured([self.found[Unit(plan, fold)] for plan in plans]) for fold in folds], axis=1)
        taus = taus_of(n_classes)
        rows = [i for plan in plans for i in range(self.first[plan], self.first[plan + 1])]
        decided = np.stack(
            [np.concatenate([self.found[Unit(plan, fold)].decided for plan in plans]) for fold in folds], axis=1
        )
        true = np.stack([self.task.data.masses(split.test) for split in splits])
        if measured is None or metric.judges != "decisions":

            def best(among: NDArray[Any]) -> NDArray[np.intp]:
                return choose(goal, decided[:, among, :-2].sum(axis=1), true[among].sum(axis=0), taus)
        else:

            def best(among: NDArray[Any]) -> NDArray[np.intp]:
                assert measured is not None
                tried = np.flatnonzero(np.isfinite(measured[0, 0, :-2]))
                mean = np.average(measured[:, among][..., tried], axis=1, weights=true[among].sum(axis=1))
                return tried[best_strength(mean if metric.larger_is_better else -mean, taus[tried])]

        chosen = np.stack([_chosen(best, len(rows), splits, at, taus) for at in range(len(folds))], axis=1)
        final = best(np.ones(len(folds), bool))
        pairs = with_decisions([self.cells[i] for i in rows], closed=metric.costs)
        names = (*METRICS, metric) if metric.name not in NAMES else METRICS
        scores = np.empty((len(pairs), len(folds), len(names)))
        counts = np.empty(
            (len(pairs), len(folds), 2, n_classes), np.int64 if self.task.data.weight is None else np.float64
        )
        used = np.full(len(pairs), np.nan)
        at_one, all_folds = int(np.abs(taus - 1).argmin()), np.arange(len(folds))
        for place, (fit, cell) in enumerate(pairs):
            scores[place, :, : len(METRICS)] = self.scores[rows[fit]][folds]
            row: Any = -1 if cell.tau == "closed" else -2
            if cell.tau == "chosen":
                row, used[place] = chosen[fit], taus[final[fit]]
            elif cell.tau == 1.0:
                row, used[place] = at_one, 1.0
            counts[place] = decided[fit, all_folds, row]
            if measured is not None:
                scores[place, :, -1] = measured[fit, all_folds, row if metric.judges == "decisions" else -2]
        for column, one in enumerate(names):
            if one.goal is None or one.measure is not None:
                continue
            for at in range(len(folds)):
                scores[:, at, column] = figure(one.goal, counts[:, at], true[at])
        plain = next(place for place, (_, cell) in enumerate(pairs) if cell == Cell())
        return Table(tuple(cell for _, cell in pairs), names, scores, counts, used, taus[chosen[pairs[plain][0]]])

    def plain(self, fold: int) -> UnitScores:
        """The unit with plain cross-entropy; it comes first."""
        return self.found[Unit(0, fold)]


def _measured(units: list[UnitScores]) -> NDArray[np.float64]:
    """What the measure says of all cells of a fold (n_cells, n_taus + 2)."""
    return np.concatenate([unit.measured for unit in units if unit.measured is not None])


def _chosen(
    best: Callable[[NDArray[Any]], NDArray[np.intp]],
    n_fits: int,
    splits: list[Split],
    at: int,
    taus: NDArray[np.float64],
) -> NDArray[np.intp]:
    """The places of the strengths (n_fits,) that do best on the other folds of the same repeat, or on all others."""
    # in time only the earlier folds are among the rows that were trained on
    mine = splits[at]
    others = np.array([split.repeat == mine.repeat and bool(np.isin(split.test[0], mine.train)) for split in splits])
    if not others.any():
        others = np.arange(len(splits)) != at
    if not others.any():
        return np.full(n_fits, int(np.abs(taus - 1).argmin()))
    return best(others)
