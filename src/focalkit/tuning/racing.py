"""Which cells go on after the first repeat, where every fit is paid for by itself.

Successive halving (Jamieson and Talwalkar 2016, arXiv 1502.07943) over the repeats of cross-validation: after the first
one, fits that are behind the best of their own kind of loss are left. Plain cross-entropy always goes on, and so does
the leader of each kind by every figure that has a verdict. What is left depends on the scores of the first repeat
alone, so that a result stays the same for any number of processes and for a journal that is gone on with.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from focalkit.tuning.collection import Collection, Left
from focalkit.tuning.result import FREE, Cell
from focalkit.tuning.scores import Metric, judged_by

#: A kind's fits that go on: one in so many, by the run's own metric.
ONE_IN = 5
#: Fits of a kind that go on at the least.
LEAST = 2
#: Below this many fits, and below this many repeats, nothing is left.
FEWEST_FITS, FEWEST_REPEATS = 8, 3


def left_behind(collection: Collection, metric: Metric) -> Left:
    """What goes no further than the first repeat."""
    folds = [fold for fold in collection.folds() if collection.task.splits[fold].repeat == 0]
    plans = range(collection.n_surface)
    table = collection.table(list(plans), folds, metric)
    fits = {collection.task.plans[plan][0]: plan for plan in plans}
    go_on = {plan for cell, plan in fits.items() if cell.family in FREE}
    for name in judged_by(metric):
        merit = table.gain(name).mean(axis=1)
        trained = {cell: float(value) for cell, value in zip(table.cells, merit, strict=True) if cell in fits}
        best = _best_of_fits(table.cells, merit)
        for kind in _kinds(fits):
            n = max(LEAST, -(-len(kind) // ONE_IN)) if name == metric.name else 1
            ranked = sorted(kind, key=lambda cell: -best[cell])
            go_on |= {fits[cell] for cell in (*ranked[:n], max(kind, key=lambda cell: trained[cell]))}
    left = tuple(cell for cell, plan in fits.items() if plan not in go_on)
    places = [table.cells.index(cell) for cell in left]
    return Left(frozenset(plans) - go_on, left, table.scores[places])


def _kinds(fits: dict[Cell, int]) -> list[list[Cell]]:
    """Fits by family; those of focal loss with and without class weights are two kinds."""
    found: dict[tuple[str, bool], list[Cell]] = defaultdict(list)
    for cell in fits:
        if cell.family not in FREE:
            found[cell.family, cell.alpha is not None].append(cell)
    return list(found.values())


def _best_of_fits(cells: tuple[Cell, ...], merit: NDArray[np.float64]) -> dict[Cell, float]:
    """Of each fit the best it can do, as trained or with decisions chosen."""
    best: dict[Cell, float] = {}
    for cell, value in zip(cells, merit, strict=True):
        fit = replace(cell, tau=None)
        best[fit] = max(best.get(fit, -np.inf), float(value))
    return best
