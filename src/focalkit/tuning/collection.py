"""Finished units put together: how far a run is, and its result."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from focalkit.tuning.result import Cell, corrected_error
from focalkit.tuning.scores import METRICS
from focalkit.tuning.units import Task, Unit, UnitScores


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

    ``n_surface`` plans make up the alpha x gamma surface; those after them are the trials'.
    """

    def __init__(self, task: Task, n_surface: int, n_splits: int) -> None:
        self.task, self.n_surface, self.n_splits = task, n_surface, n_splits
        self.found: dict[Unit, UnitScores] = {}
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
        total = len(self.task.plans) * len(self.task.splits)
        name = METRICS[metric].name
        if not folds.any():
            return Progress(len(self.found), total, name, None, float("nan"), float("nan"))
        best = int(at[np.argmax(values[at][:, folds].mean(axis=1))])
        scores = self.scores[best, folds, metric]
        error = float(corrected_error(scores, self.n_splits))
        return Progress(len(self.found), total, name, self.cells[best], float(scores.mean()), error)

    def folds(self) -> list[int]:
        """The folds in which the whole surface is scored."""
        plans = range(self.n_surface)
        return [fold for fold in range(len(self.task.splits)) if all(Unit(plan, fold) in self.found for plan in plans)]

    def complete_plans(self, folds: list[int]) -> list[int]:
        """The plans that are scored in all of ``folds``."""
        n_plans = len(self.task.plans)
        return [plan for plan in range(n_plans) if all(Unit(plan, fold) in self.found for fold in folds)]

    def table(self, plans: list[int], folds: list[int]) -> tuple[tuple[Cell, ...], NDArray[np.float64]]:
        """The cells of ``plans`` and their scores (n_cells, n_folds, n_metrics)."""
        rows = [i for plan in plans for i in range(self.first[plan], self.first[plan + 1])]
        return tuple(self.cells[i] for i in rows), self.scores[rows][:, folds]

    def plain(self, fold: int) -> UnitScores:
        """The unit with plain cross-entropy; it comes first."""
        return self.found[Unit(0, fold)]
