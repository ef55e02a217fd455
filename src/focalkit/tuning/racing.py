"""Which cells go on after the first repeat, where every fit is paid for by itself.

Successive halving (Jamieson and Talwalkar 2016, arXiv 1502.07943) over the repeats of cross-validation: after the first
one, fits that are behind the best of their own family are left. The cheapest remedies always go on, and so do those
that lead in ranking or in probabilities, which have verdicts of their own. What is left depends on the scores of the
first repeat alone, so that a result stays the same for any number of processes and for a journal that is gone on with.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from focalkit.tuning.collection import Collection
from focalkit.tuning.result import FREE, Cell
from focalkit.tuning.scores import METRICS, NAMES, Metric

#: A family's fits that go on: one in so many, by the run's own metric.
ONE_IN = 5
#: Fits of a family that go on at the least.
LEAST = 2
#: Below this many fits nothing is left.
FEWEST = 8


class Left(NamedTuple):
    """The plans, by position, that the repeats after the first do without, and their cells' scores in the first.

    ``scores`` is (n_left, n_splits, n_metrics) as those of a result, of the cells as trained.
    """

    plans: tuple[int, ...] = ()
    scores: NDArray[np.float64] | None = None


def left_behind(collection: Collection, metric: Metric) -> Left:
    """What goes no further than the first repeat."""
    folds = [fold for fold in collection.folds() if collection.task.splits[fold].repeat == 0]
    surface = list(range(collection.n_surface))
    table = collection.table(surface, folds, metric)
    fits: dict[Cell, int] = {plan[0]: at for at, plan in enumerate(collection.task.plans[: collection.n_surface])}
    names = [*NAMES, metric.name] if metric.name not in NAMES else list(NAMES)
    go_on = {at for cell, at in fits.items() if cell.family in FREE}
    for one in {m.name: m for m in (*METRICS, metric) if m.name in _judged(metric)}.values():
        merit = table.scores[:, :, names.index(one.name)].mean(axis=1) * (1 if one.larger_is_better else -1)
        best = _best_of_fits(table.cells, merit)
        for family in _families(fits).values():
            ranked = sorted(family, key=lambda cell: -best[cell])
            n = max(LEAST, -(-len(family) // ONE_IN)) if one.name == metric.name else 1
            go_on |= {fits[cell] for cell in ranked[:n]}
    plans = tuple(at for at in surface if at not in go_on)
    places = [table.cells.index(collection.task.plans[at][0]) for at in plans]
    return Left(plans, table.scores[places] if plans else None)


def _judged(metric: Metric) -> set[str]:
    """The figures that have a verdict: see :func:`focalkit.tuning.judge_all`."""
    return {metric.name, "average_precision", "log_loss"}


def _families(fits: dict[Cell, int]) -> dict[str, list[Cell]]:
    """Fits by family; those of focal loss with and without class weights are two."""
    found: dict[str, list[Cell]] = defaultdict(list)
    for cell in fits:
        if cell.family not in FREE:
            found[cell.family + " α" * (cell.alpha is not None)].append(cell)
    return found


def _best_of_fits(cells: tuple[Cell, ...], merit: NDArray[np.float64]) -> dict[Cell, float]:
    """Of each fit the best it can do, as trained or with decisions chosen; what has no figure is last."""
    best: dict[Cell, float] = {}
    for cell, value in zip(cells, merit, strict=True):
        fit = replace(cell, tau=None)
        best[fit] = max(best.get(fit, -np.inf), value if np.isfinite(value) else -np.inf)
    return best
