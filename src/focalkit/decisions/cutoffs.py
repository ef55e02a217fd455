"""Every cut-off of one score, by one sort: what each of them flags.

Cut-off i of m distinct scores flags the i highest ones, i = 0 … m, so that equal scores are never parted. It lies in
the middle of the two scores it separates; beyond the ends, in the middle to 1 and to 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Real = NDArray[np.float64]
#: Values closer than this, relative to the largest, are one: sums of weights are rounded.
TOLERANCE = 1e-12


@dataclass(frozen=True)
class Cutoffs:
    """Distinct scores from the highest down, and the weight of positives and negatives flagged by each cut-off.

    ``tp`` and ``fp`` have one entry more than ``scores``: nothing flagged comes first.
    """

    scores: Real
    tp: Real
    fp: Real

    @property
    def positives(self) -> float:
        """Weight of all positives."""
        return float(self.tp[-1])

    @property
    def negatives(self) -> float:
        """Weight of all negatives."""
        return float(self.fp[-1])

    @cached_property
    def counts(self) -> tuple[Real, Real, Real]:
        """Hit, named (2, m + 1) and true (2,) of both classes, as metrics take them."""
        n, p = self.negatives, self.positives
        hit = np.stack([n - self.fp, self.tp])
        named = np.stack([n - self.fp + p - self.tp, self.tp + self.fp])
        return hit, named, np.array([n, p])

    def at(self, index: int) -> float:
        """The number that cut-off ``index`` is: p is flagged where it is above."""
        m = len(self.scores)
        if index == 0:
            high = float(self.scores[0])
            return high if high >= 1 else between(high, 1.0)
        if index == m:
            low = float(self.scores[-1])
            return between(0.0, low) if low > 0 else -1.0
        return between(float(self.scores[index]), float(self.scores[index - 1]))


def between(low: float, high: float) -> float:
    """The middle of two numbers, never the upper one, so that ``p > middle`` parts them."""
    middle = low + (high - low) / 2
    return middle if middle < high else low


def sort_cutoffs(p: Real, positive: NDArray[Any], weight: Real | None = None) -> Cutoffs:
    """All cut-offs of scores ``p`` (n,); ``positive`` (n,) is true of the rows that should be flagged.

    Rows of weight 0 take no part.
    """
    if weight is not None and not weight.all():
        some = weight > 0
        p, positive, weight = p[some], positive[some], weight[some]
    order = np.argsort(p)[::-1]
    high = p[order]
    hits = positive[order]
    last = np.empty(len(high), bool)
    np.not_equal(high[1:], high[:-1], out=last[:-1])
    last[-1:] = True
    ends = np.flatnonzero(last)
    if weight is None:
        up = np.cumsum(hits)[ends].astype(np.float64)
        down = (ends + 1) - up
    else:
        w = weight[order]
        up = np.cumsum(np.where(hits, w, 0.0))[ends]
        down = np.cumsum(np.where(hits, 0.0, w))[ends]
    zero = np.zeros(1)
    return Cutoffs(high[ends], np.concatenate([zero, up]), np.concatenate([zero, down]))


def first_best(value: Real, second: Real | None = None) -> int:
    """Where ``value`` is largest; of those, where ``second`` is; of those, the first: the fewest alerts."""
    among = value >= value.max() - _slack(value)
    if second is not None:
        rest = np.where(among, second, -np.inf)
        among &= rest >= rest.max() - _slack(second)
    return int(among.argmax())


def _slack(value: Real) -> float:
    finite = value[np.isfinite(value)]
    return TOLERANCE * float(np.abs(finite).max(initial=0.0))
