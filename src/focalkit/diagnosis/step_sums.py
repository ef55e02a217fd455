"""Sums over cells of a focal loss whose gamma steps with the probability (FLSD-53), gamma not differentiated.

A cell on one side of every step is one of the focal loss. In one that a step divides it is not known how many samples
lie on either side: there the sums lie between those of the extreme values of both.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from focalkit._core import definition
from focalkit.diagnosis import bins
from focalkit.diagnosis.expansion import CellSums, Real, cell_sums, rounding


def step_sums(
    bin_index: NDArray[Any],
    count: NDArray[Any],
    weight: Real,
    s1: Real,
    s2: Real,
    table: tuple[tuple[float, float], ...],
) -> CellSums:
    """:func:`~focalkit.diagnosis.expansion.cell_sums` of it, for a table of (p, gamma) with p rising to 1."""
    steps = np.array([np.log(p) - np.log1p(-p) for p, _ in table[:-1]])
    gammas = np.array([gamma for _, gamma in table])
    lower = np.where(bin_index == bins.LEFT, -np.inf, bins.LOWER[bin_index])
    upper = np.where(bin_index == bins.RIGHT, np.inf, bins.UPPER[bin_index])
    # a sample within rounding of a step may lie on either side of it
    slack = 1e-12
    first = np.searchsorted(steps, lower - slack, "right")  # of the gammas that a sample of the cell may have
    last = np.searchsorted(steps, upper + slack, "right")
    whole = cell_sums(bin_index, count, weight, s1, s2, gammas[first])
    divided = np.flatnonzero(first != last)
    for cell in divided:
        possible = gammas[first[cell] : last[cell] + 1]
        ends = np.array([bins.LOWER[bin_index[cell]], bins.UPPER[bin_index[cell]]])
        for name, low, high in zip(("loss", "grad"), *_extremes(ends, possible), strict=True):
            half = weight[cell] * (high - low) / 2
            at = weight[cell] * (high + low) / 2
            getattr(whole, name)[cell] = at
            getattr(whole, name + "_error")[cell] = half + rounding(count[cell], possible.max(), at)
    return whole


def _extremes(ends: Real, gammas: Real) -> tuple[Real, Real]:
    """The least and the most that loss and |d1| may be in a finite cell, with any of these gammas."""
    columns = ends[:, None]
    losses = definition.loss(columns, gammas, np)  # falls with m
    p, q, nll = definition.probabilities(columns, np)
    steepest = p[1] * q[0] ** gammas * ((1 + 2 * gammas) * q[0] + gammas * nll[0] * (gammas * p[1] + q[0]))
    slopes = -definition.d1(columns, gammas, np)
    reach = (ends[1] - ends[0]) / 2 * steepest
    low = np.array([losses[1].min(), (slopes.mean(axis=0) - reach).min()])
    high = np.array([losses[0].max(), (slopes.mean(axis=0) + reach).max()])
    return np.maximum(low, 0.0), high
