"""What a candidate decides by on new data, and what it decided on the folds."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from focalkit.tuning.result import Cell, TuneResult
from focalkit.tuning.scores import Metric
from focalkit.tuning.verdict import FamilyVerdict
from focalkit.weights import alpha_vector


class Decision(NamedTuple):
    """How a candidate decides.

    ``tau`` is the strength of the prior shift, None where the largest probability decides. ``cutoff`` is, of two
    classes, what the probability of the second must exceed, as the model gives it: gamma undone and alpha not.
    """

    tau: float | None
    cutoff: float | None


class OperatingPoint(NamedTuple):
    """What a remedy's decisions do to each 1,000 cases: positives caught, and false alarms."""

    caught: float
    false_alarms: float


def operating_point(result: TuneResult, family: FamilyVerdict) -> OperatingPoint:
    """Of two classes, what a family of remedies decides on the rows of the first repeat, each fold's by its own pick.

    A fold's pick was chosen without that fold and trained without it.
    """
    assert result.decided is not None
    first = np.flatnonzero(result.repeat_of_fold == result.repeat_of_fold.min())
    hit, named = result.decided[np.array(family.picks)[first], first].sum(axis=0)
    per = 1000 / named.sum()
    return OperatingPoint(float(per * hit[1]), float(per * (named[1] - hit[1])))


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
