"""What a candidate decides by on new data: the strength of its shift, or of two classes a cut-off."""

from __future__ import annotations

import math
from typing import NamedTuple

from focalkit.tuning.result import Cell, TuneResult
from focalkit.tuning.scores import Metric
from focalkit.weights import alpha_vector


class Decision(NamedTuple):
    """How a candidate decides.

    ``tau`` is the strength of the prior shift, None where the largest probability decides. ``cutoff`` is, of two
    classes, what the probability of the second must exceed, as the model gives it: gamma undone and alpha not.
    """

    tau: float | None
    cutoff: float | None


def decision(result: TuneResult, at: int, metric: Metric) -> Decision:
    """What the candidate at a position decides by."""
    cell = result.cells[at]
    if cell.tau is None:
        return Decision(None, None)
    tau: float | None = None
    if cell.tau == "closed":
        threshold = float(getattr(metric.goal, "cutoff", 0.5))
        log_odds = (
            math.log(threshold) - math.log1p(-threshold)
            if 0 < threshold < 1
            else math.copysign(math.inf, threshold - 0.5)
        )
    else:
        tau = strength(result, at)
        if len(result.classes) != 2:
            return Decision(tau, None)
        log_odds = tau * math.log(result.prior[1] / result.prior[0])
    log_odds += _tilt(cell, result)
    return Decision(tau, 1 / (1 + math.exp(-log_odds)) if abs(log_odds) < 700 else float(log_odds > 0))


def strength(result: TuneResult, at: int) -> float:
    """The shift's strength for new data."""
    tau = result.cells[at].tau
    if isinstance(tau, (int, float)):
        return float(tau)
    return float(result.taus.mean() if result.final_taus is None else result.final_taus[at])


def _tilt(cell: Cell, result: TuneResult) -> float:
    """What alpha adds to the log-odds of the second class."""
    if cell.alpha is None:
        return 0.0
    weights = alpha_vector(cell.alpha, result.counts if result.masses is None else result.masses)
    return math.log(weights[1] / weights[0])
