r"""Weights of several classes by coordinate ascent, each line searched exactly.

Decisions are argmin_j sum_k w_k p_k C[k, j]; with C = 1 - I that is argmax_j w_j p_j. Along one weight w_c a row's
expected cost of decision j is a line, intercept_j + w_c slope_j, so that its decision is the lower envelope of lines
and changes at finitely many numbers: its *events*, at most n_classes - 1. Sorted over all rows they are every
decision that w_c can bring about. An event moves one row from one class to another, which changes two terms of a
metric's sum (:mod:`focalkit._metrics`) or one entry of a sum of costs; running sums give the value after each event.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from focalkit._metrics import DecisionMetric

Real = NDArray[np.float64]
Ints = NDArray[np.intp]
#: Events closer than this, relatively, are one: rounding alone parts them.
APART = 1e-12
ROUNDS = 20
#: Rows on which several starts compete.
MOST = 20_000


class Events(NamedTuple):
    """Decisions where the weight is next to 0, and where they change as it grows, in order."""

    first: Ints
    at: Real
    row: Ints
    before: Ints
    after: Ints


@dataclass(frozen=True)
class MetricAim:
    """A metric of decisions, to be raised: ``targets`` (n,) and ``weight`` (n,)."""

    metric: DecisionMetric
    beta: float
    targets: Ints
    weight: Real
    n_classes: int

    def part(self, rows: Ints, stand_for: Real) -> MetricAim:
        """The same on some rows."""
        weight = self.weight[rows] * stand_for
        return MetricAim(self.metric, self.beta, self.targets[rows], weight, self.n_classes)

    def value(self, decided: Ints) -> float:
        """What decisions are worth."""
        hit, named, true = counts(self.targets, decided, self.weight, self.n_classes)
        return float(self.metric.value(hit, named, true, self.beta))

    def along(self, events: Events) -> Real:
        """What they are worth before the first event, and after each."""
        hit, named, true = counts(self.targets, events.first, self.weight, self.n_classes)
        # each event takes part twice, for the class left and the class entered; those of a class stand together
        pairs = np.stack([events.before, events.after], axis=1).ravel()
        order = np.argsort(pairs.astype(np.uint16) if self.n_classes < 1 << 16 else pairs, kind="stable")
        k, event = pairs[order], order // 2
        row = events.row[event]
        change = self.weight[row] * np.where(order % 2 == 0, -1.0, 1.0)
        named_now = _running(change, k, named)
        hit_now = _running(np.where(self.targets[row] == k, change, 0.0), k, hit)
        metric = self.metric
        end = metric.terms(hit_now, named_now, true[k], self.beta)
        start = metric.terms(hit, named, true, self.beta)
        counted = np.ones(self.n_classes, bool)
        counted[0] = not metric.positive_only
        sums = []
        new_class = np.ones(len(k), bool)
        new_class[1:] = k[1:] != k[:-1]
        for before, after in zip(start, end, strict=True):
            step = after - np.where(new_class, before[k], np.roll(after, 1))
            by_event = np.bincount(event, np.where(counted[k], step, 0.0), minlength=len(events.at))
            sums.append(np.concatenate([[0.0], np.cumsum(by_event)]) + before[counted].sum())
        return np.asarray(metric.finish(tuple(sums), true))


@dataclass(frozen=True)
class CostAim:
    """The negative mean cost: ``cost`` (n, n_classes) of each decision, ``weight`` (n,)."""

    cost: Real
    weight: Real

    def part(self, rows: Ints, stand_for: Real) -> CostAim:
        """The same on some rows."""
        return CostAim(self.cost[rows], self.weight[rows] * stand_for)

    def value(self, decided: Ints) -> float:
        """What decisions are worth."""
        of = np.take_along_axis(self.cost, decided[:, None], axis=1)[:, 0]
        return -float((self.weight * of).sum() / self.weight.sum())

    def along(self, events: Events) -> Real:
        """What they are worth before the first event, and after each."""
        rise = self.cost[events.row, events.after] - self.cost[events.row, events.before]
        steps = np.cumsum(self.weight[events.row] * rise) / self.weight.sum()
        return self.value(events.first) - np.concatenate([[0.0], steps])


def counts(targets: Ints, decided: Ints, weight: Real, n_classes: int) -> tuple[Real, Real, Real]:
    """Weight of each class that is decided rightly, that is decided, and that there is."""
    right = decided == targets
    hit = np.bincount(targets, np.where(right, weight, 0.0), n_classes).astype(np.float64)
    # a case that a person decides is named by no class
    named = np.bincount(np.maximum(decided, 0), np.where(decided >= 0, weight, 0.0), n_classes).astype(np.float64)
    return hit, named, np.bincount(targets, weight, n_classes).astype(np.float64)


def _running(change: Real, k: Ints, start: Real) -> Real:
    """Sums so far within each class, from ``start`` (n_classes,) on; classes stand together."""
    total = np.cumsum(change)
    first = np.searchsorted(k, np.arange(len(start)))
    before = np.concatenate([[0.0], total])[first]
    return np.asarray(total - before[k] + start[k])


def events_of(p: Real, w: Real, c: int, costs: Real | None) -> Events:
    """The events of weight ``c``, other weights being ``w`` (n_classes,).

    ``costs`` is None for argmax of w p, else (n_classes, n_classes) or (n, n_classes, n_classes).
    """
    if costs is None:
        weighed = p * w
        weighed[:, c] = -1.0
        first = weighed.argmax(axis=1)
        most = np.maximum(weighed[np.arange(len(p)), first], 0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            at = np.where(p[:, c] > 0, most / p[:, c], np.inf)
        rows = np.flatnonzero(np.isfinite(at))
        return _ordered(first, at[rows], rows, first[rows], np.full(len(rows), c))
    without = p * np.where(np.arange(len(w)) == c, 0.0, w)
    if costs.ndim == 2:
        intercept, slope = without @ costs, p[:, c, None] * costs[c]
    else:
        intercept, slope = np.einsum("ik,ikj->ij", without, costs), p[:, c, None] * costs[:, c]
    return _envelope(intercept, slope)


def _envelope(intercept: Real, slope: Real) -> Events:
    """The lower envelope of each row's lines over (0, inf), walked from the left."""
    n, k = intercept.shape
    # next to 0 the least intercept decides, and of equal ones the least slope
    least = intercept.min(axis=1, keepdims=True)
    now = np.where(intercept <= least + APART * np.abs(least), slope, np.inf).argmin(axis=1)
    first, at = now.copy(), np.zeros(n)
    rows = np.arange(n)
    found: list[tuple[Real, Ints, Ints, Ints]] = []
    for _ in range(k - 1):
        own_i, own_s = intercept[rows, now[rows], None], slope[rows, now[rows], None]
        falls = own_s - slope[rows]
        with np.errstate(divide="ignore", invalid="ignore"):
            meets = np.where(falls > 0, (intercept[rows] - own_i) / falls, np.inf)
        meets = np.maximum(meets, at[rows, None])
        nearest = meets.min(axis=1, keepdims=True)
        # where several lines meet at once, the one that falls most goes on
        to = np.where(meets <= nearest, falls, -np.inf).argmax(axis=1)
        here = np.isfinite(nearest[:, 0]) & (falls[np.arange(len(rows)), to] > 0)
        rows, to, place = rows[here], to[here], nearest[here, 0]
        if not len(rows):
            break
        found.append((place, rows, now[rows], to))
        now[rows], at[rows] = to, place
    if not found:
        empty = np.empty(0, np.intp)
        return Events(first, np.empty(0), empty, empty, empty)
    place, rows, before, after = (np.concatenate(part) for part in zip(*found, strict=True))
    return _ordered(first, place, rows, before, after)


def _ordered(first: Ints, at: Real, row: Ints, before: Ints, after: Ints) -> Events:
    order = np.argsort(at)
    return Events(first, at[order], row[order], before[order], after[order])


def line_search(aim: Any, events: Events, now: float) -> tuple[float, float]:
    """The best value of one weight and what it is worth; ``now`` where nothing is better.

    Equal events are one. Of equally good weights, those of the widest interval (in the logarithm); of it the middle.
    """
    at = events.at
    gap = np.empty(len(at) + 1, bool)
    gap[0] = len(at) == 0 or at[0] > 0
    gap[-1] = True
    gap[1:-1] = at[1:] > at[:-1] * (1 + APART)
    if not len(at):
        return now, float(aim.along(events)[0])
    places = np.flatnonzero(gap)
    value = aim.along(events)[places]
    low = np.where(places > 0, at[np.maximum(places - 1, 0)], 0.0)
    high = np.where(places < len(at), at[np.minimum(places, len(at) - 1)], np.inf)
    best = value.max()
    good = value >= best - APART * max(1.0, abs(best))
    inside = good & (low < now) & (now < high)
    if inside.any():
        return now, float(value[inside][0])
    # intervals that follow each other are one
    starts = np.flatnonzero(good & ~np.concatenate([[False], good[:-1]]))
    stops = np.flatnonzero(good & ~np.concatenate([good[1:], [False]]))
    left = np.where(low[starts] > 0, low[starts], high[starts] / 4)
    left = np.where(np.isfinite(left), left, 1.0)
    right = np.where(np.isfinite(high[stops]), high[stops], left * 4)
    widest = int(np.argmax(np.log(right) - np.log(left)))
    middle = float(np.sqrt(left[widest]) * np.sqrt(right[widest]))
    return middle, float(best)


def ascend(p: Real, aim: Any, starts: Real, targets: Ints, costs: Real | None = None) -> tuple[Real, float]:
    """Weights (n_classes,) that no change of one of them improves, the best from several ``starts``, and their worth.

    Each round costs one sort of the events of every class. Where rows are many, the starts compete on some of each
    class, and the winner goes on with all.
    """
    if len(targets) <= MOST:
        return _best(p, aim, starts, costs)
    rows, stand_for = some_of_each(targets)
    of_rows = costs[rows] if costs is not None and costs.ndim == 3 else costs
    w, _ = _best(p[rows], aim.part(rows, stand_for), starts, of_rows)
    return _climb(p, aim, w, costs)


def _best(p: Real, aim: Any, starts: Real, costs: Real | None) -> tuple[Real, float]:
    found = [_climb(p, aim, start, costs) for start in starts]
    return max(found, key=lambda pair: round(pair[1], 12))


def _climb(p: Real, aim: Any, start: Real, costs: Real | None) -> tuple[Real, float]:
    w, worth = start.astype(np.float64).copy(), -np.inf
    for _ in range(ROUNDS):
        before = worth
        for c in range(p.shape[1]):
            w[c], worth = line_search(aim, events_of(p, w, c, costs), w[c])
        w /= np.exp(np.log(w).mean())
        if worth <= before + APART * max(1.0, abs(before)):
            break
    return w, float(worth)


def some_of_each(targets: Ints, most: int = MOST) -> tuple[Ints, Real]:
    """At most ``most`` rows, evenly of each class, and how many each stands for."""
    sizes = np.bincount(targets)
    share = most // max(int((sizes > 0).sum()), 1)
    rng = np.random.default_rng(0)
    kept, stand_for = [], []
    for k in np.flatnonzero(sizes):
        rows = np.flatnonzero(targets == k)
        kept.append(rows if len(rows) <= share else np.sort(rng.choice(rows, share, replace=False)))
        stand_for.append(np.full(len(kept[-1]), len(rows) / len(kept[-1])))
    return np.concatenate(kept), np.concatenate(stand_for)
