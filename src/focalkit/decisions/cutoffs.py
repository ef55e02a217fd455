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

from focalkit._core import contracts

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
    def rising(self) -> NDArray[np.intp]:
        """Nothing flagged, and the cut-offs that catch more than the one before: others only flag more in vain."""
        return np.concatenate([[0], 1 + np.flatnonzero(self.tp[1:] > self.tp[:-1])])

    def counts(self, index: Any = slice(None)) -> tuple[Real, Real, Real]:
        """Hit, named (2, ...) and true (2,) of both classes at some cut-offs, as metrics take them."""
        n, p, tp, fp = self.negatives, self.positives, self.tp[index], self.fp[index]
        hit = np.stack([n - fp, tp])
        return hit, np.stack([n - fp + p - tp, tp + fp]), np.array([n, p])

    def above(self, cutoff: float) -> int:
        """Which cut-off a number is: how many distinct scores lie above it."""
        return int(np.searchsorted(-self.scores, -cutoff, side="left"))

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

    Raises
    ------
    InputError
        Where these are no numbers of as many rows, or no row has a weight.
    """
    scores = contracts.vector("p", p, contracts.REAL, "Pass one score for each row.")
    rows = (len(scores),)
    flagged = contracts.events("positive", positive, len(scores))
    weights = contracts.sample_weight_array(weight, rows)
    if weights is not None and not weights.any():
        contracts.reject(
            "sample_weight", "be positive for a row", contracts.Words("only zeros"), "Give a row a weight."
        )
    return sorted_cutoffs(scores, flagged, weights)


def sorted_cutoffs(p: Real, positive: NDArray[Any], weight: Real | None = None) -> Cutoffs:
    """The same of what was checked."""
    if weight is not None and not weight.all():
        some = weight > 0
        p, positive, weight = p[some], positive[some], weight[some]
    if weight is None and p.dtype == np.float64 and len(p) and p.min() >= 0 and p.max() <= 1:
        high, hits = _sorted_bits(p, positive)
    else:
        order = np.argsort(p)[::-1]
        high, hits = p[order], positive[order]
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


def _sorted_bits(p: Real, positive: NDArray[Any]) -> tuple[Real, NDArray[np.bool_]]:
    """Probabilities from the highest down, and whether each is a positive, without a sort of places.

    The bits of numbers in [0, 1] are ordered as the numbers are, and their highest is free: shifted by one, they carry
    the target, and a sort of values is several times as fast as one of places.
    """
    key = (p + 0.0).view(np.uint64)  # + 0: the bits of -0 are those of a large number
    key <<= np.uint64(1)
    key |= np.asarray(positive, bool)
    key.sort()
    key = key[::-1]
    return (key >> np.uint64(1)).view(np.float64), (key & np.uint64(1)).astype(bool)


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
