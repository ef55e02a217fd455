"""What a candidate decides by on new data, and what it decided on the folds."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from focalkit.decisions import Cost
from focalkit.tuning.result import TuneResult
from focalkit.tuning.scores import Metric
from focalkit.tuning.verdict import FamilyVerdict


class Decision(NamedTuple):
    """How a candidate decides.

    ``tau`` is the strength of the prior shift, None where the largest probability decides. ``cutoff`` is, of two
    classes, what the probability of the second must exceed, with gamma and alpha undone. ``by_costs``: the class of the
    least expected cost is decided, by a matrix or by each case's own.
    """

    tau: float | None
    cutoff: float | None
    by_costs: bool = False


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
        if not isinstance(metric.goal, Cost):
            return Decision(None, None, True)
        threshold = metric.goal.cutoff
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
    return Decision(tau, 1 / (1 + math.exp(-log_odds)) if abs(log_odds) < 700 else float(log_odds > 0))


def strength(result: TuneResult, at: int) -> float:
    """The shift's strength for new data."""
    tau = result.cells[at].tau
    if isinstance(tau, (int, float)):
        return float(tau)
    return float(result.taus.mean() if result.final_taus is None else result.final_taus[at])
