"""Where a candidate's minimum should be, seen from the cross-entropy fit."""

from __future__ import annotations

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
    """Where a candidate's minimum is, were the model right: from that of cross-entropy without weights.

    Class weights then move the logits by their logarithms, and gamma squeezes log-odds by the inverse of the map
    that recovers the posterior (Charoenphakdee et al. 2021); of that map the best straight line is taken.
    """
    at, _ = rows.sample()
    some = rows.once("some", lambda: sampled(rows, _some(len(rows.targets), at)))
    found = sparse_logits(rows, some, theta[None]) if rows.sparse else logits_of(some, theta[None].astype(np.float32))
    logits = found[0]
    with np.errstate(divide="ignore"):
        shift = np.log(np.maximum(candidate.class_weight, 1e-12 * candidate.class_weight.max()))
    theta = theta.copy()
    if rows.n_logits == 1:
        move = np.atleast_1d(shift[1] - shift[0])
        margin = np.asarray(logits, np.float64) + move
    else:
        move = shift - shift.mean()
        top = np.partition(np.asarray(logits, np.float64) + move, -2, axis=1)
        margin = top[:, -1] - top[:, -2]
    if rows.fit_intercept:
        theta[-1] += move
    if candidate.gamma == 0:
        return theta
    odds = rows.once(("odds", candidate.gamma), lambda: log_h(GRID, candidate.gamma, np))
    squeezed = np.interp(margin, odds - odds[::-1], GRID)
    if rows.n_logits == 1 and rows.fit_intercept:
        spread = margin - margin.mean()
        slope = float(spread @ squeezed) / max(float(spread @ spread), 1e-300)
        theta *= slope
        theta[-1] += squeezed.mean() - slope * margin.mean()
    else:
        theta *= float(margin @ squeezed) / max(float(margin @ margin), 1e-300)
    return theta
