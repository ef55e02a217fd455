"""Where a candidate's minimum should be, seen from the cross-entropy fit."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from focalkit._core.definition import log_h
from focalkit.linear_solver.candidates import Candidate
from focalkit.linear_solver.curvature import sampled, sparse_logits
from focalkit.linear_solver.risk import logits_of
from focalkit.linear_solver.rows import Rows

GRID = np.linspace(-40, 40, 1601)
"""Log-odds at which the map of a gamma is known."""

LOOKED_AT = 1000
"""Rows that tell by how much the logits are squeezed."""


def _some(n: int, at: Any) -> NDArray[np.intp]:
    """About a thousand of the rows ``at`` of ``n``."""
    rows = np.arange(n)[at]
    return np.asarray(rows[:: max(1, len(rows) // LOOKED_AT)])


def predicted(rows: Rows, theta: NDArray[np.float64], candidate: Candidate) -> NDArray[np.float64]:
    """Where a candidate's minimum is, were the model right: from that of cross-entropy without weights."""
    return squeezed(rows, *weighed(rows, theta, candidate.class_weight), candidate.gamma)


def weighed(
    rows: Rows, theta: NDArray[np.float64], class_weight: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Coefficients whose logits class weights have moved by their logarithms, and log-odds of some rows there.

    Of two classes those of the second, of more the lead of the first over the next.
    """
    at, _ = rows.sample()
    some = rows.once("some", lambda: sampled(rows, _some(len(rows.targets), at)))
    found = sparse_logits(rows, some, theta[None]) if rows.sparse else logits_of(some, theta[None].astype(np.float32))
    logits = np.asarray(found[0], np.float64)
    with np.errstate(divide="ignore"):
        shift = np.log(np.maximum(class_weight, 1e-12 * class_weight.max()))
    theta = theta.copy()
    move = np.atleast_1d(shift[1] - shift[0]) if rows.n_logits == 1 else shift - shift.mean()
    if rows.fit_intercept:
        theta[-1] += move
    if rows.n_logits == 1:
        return theta, logits + move
    top = np.partition(logits + move, -2, axis=1)
    return theta, top[:, -1] - top[:, -2]


def squeezed(rows: Rows, theta: NDArray[np.float64], margin: NDArray[np.float64], gamma: float) -> NDArray[np.float64]:
    """Coefficients whose log-odds a gamma has squeezed, by what it does to those of some rows.

    It does so by the inverse of the map that recovers the posterior (Charoenphakdee et al. 2021); of that map the best
    straight line is taken.
    """
    if gamma == 0:
        return theta
    odds = _odds(gamma)
    made = np.interp(margin, odds - odds[::-1], GRID)
    if rows.n_logits == 1 and rows.fit_intercept:
        spread = margin - margin.mean()
        slope = float(spread @ made) / max(float(spread @ spread), 1e-300)
        theta = theta * slope
        theta[-1] += made.mean() - slope * margin.mean()
        return theta
    return theta * (float(margin @ made) / max(float(margin @ margin), 1e-300))


@lru_cache(64)
def _odds(gamma: float) -> NDArray[np.float64]:
    """The map of a gamma over the grid."""
    return np.asarray(log_h(GRID, gamma, np))
