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

from focalkit._envelope import cheapest_changes
from focalkit._metrics import DecisionMetric

Real = NDArray[np.float64]
Ints = NDArray[np.intp]
#: Events closer than this, relatively, are one: rounding alone parts them.
APART = 1e-12
ROUNDS = 20
#: Rows on which several starts compete.
FEWEST = 4_000


class Events(NamedTuple):
    """Decisions where the weight is next to 0, and where they change as it grows: row after row."""

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

    def along(self, events: Events, order: Ints) -> Real:
        """What they are worth before the first event, and after each in ``order``; all events enter one class."""
        hit, named, true = counts(self.targets, events.first, self.weight, self.n_classes)
        metric, m = self.metric, len(events.at)
        start = metric.terms(hit, named, true, self.beta)
        counted = np.ones(self.n_classes, bool)
        counted[0] = not metric.positive_only
        sums = [np.full(m + 1, term[counted].sum()) for term in start]
        if m:
            k, row, c = events.before[order], events.row[order], int(events.after[0])
            target, weight = self.targets[row], self.weight[row]
            if counted[c]:
                now = hit[c] + np.cumsum(np.where(target == c, weight, 0.0)), named[c] + np.cumsum(weight)
                for total, term, before in zip(sums, metric.terms(*now, true[c], self.beta), start, strict=True):
                    total[1:] += term - before[c]
            # events that leave one class stand together, in their order
            together = np.argsort(k.astype(np.uint16) if self.n_classes < 1 << 16 else k, kind="stable")
            k, target, weight = k[together], target[together], weight[together]
            ends = np.cumsum(np.bincount(k, minlength=self.n_classes))
            now = _running(np.where(target == k, -weight, 0.0), k, ends, hit), _running(-weight, k, ends, named)
            heads = np.flatnonzero(np.diff(ends, prepend=0))
            by_event = np.empty(m)
            for total, term, before in zip(sums, metric.terms(*now, true[k], self.beta), start, strict=True):
                step = np.diff(term, prepend=0.0)
                first = np.concatenate([[0], ends[:-1]])[heads]
                step[first] = term[first] - before[heads]
                by_event[together] = np.where(counted[k], step, 0.0)
                total[1:] += np.cumsum(by_event)
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

    def along(self, events: Events, order: Ints) -> Real:
        """What they are worth before the first event, and after each in ``order``."""
        # looked up row after row, and put in order then: the other way round each look-up leaves the cache
        at = events.row * self.cost.shape[1]
        flat = self.cost.ravel()
        rise = self.weight[events.row] * (flat[at + events.after] - flat[at + events.before])
        steps = np.cumsum(rise[order]) / self.weight.sum()
        return self.value(events.first) - np.concatenate([[0.0], steps])


def counts(targets: Ints, decided: Ints, weight: Real, n_classes: int) -> tuple[Real, Real, Real]:
    """Weight of each class that is decided rightly, that is decided, and that there is."""
    right = decided == targets
    hit = np.bincount(targets, np.where(right, weight, 0.0), n_classes).astype(np.float64)
    # a case that a person decides is named by no class
    named = np.bincount(np.maximum(decided, 0), np.where(decided >= 0, weight, 0.0), n_classes).astype(np.float64)
    return hit, named, np.bincount(targets, weight, n_classes).astype(np.float64)


def _running(change: Real, k: Ints, ends: Ints, start: Real) -> Real:
    """Sums so far within each class, from ``start`` (n_classes,) on; those of class k stand before ``ends[k]``."""
    total = np.cumsum(change)
    before = np.concatenate([[0.0], total])[np.concatenate([[0], ends[:-1]])]
    return np.asarray(total + (start - before)[k])


def events_of(p: Real, w: Real, c: int, costs: Real | None) -> Events:
    """The events of weight ``c``, other weights being ``w`` (n_classes,).

    ``p`` is (n_classes, n): a class's probabilities stand together. ``costs`` is None for argmax of w p, else
    (n_classes, n_classes) or (n, n_classes, n_classes).
    """
    others = [k for k in range(len(w)) if k != c]
    if costs is None:
        first = np.full(p.shape[1], others[0])
        most = p[others[0]] * w[others[0]]
        for k in others[1:]:
            value = p[k] * w[k]
            first[value > most] = k
            np.maximum(most, value, out=most)
        rows = np.flatnonzero(p[c] > 0)
        with np.errstate(over="ignore"):
            at = most[rows] / p[c][rows]
        if np.isinf(at).any():
            rows, at = rows[np.isfinite(at)], at[np.isfinite(at)]
        return Events(first, at, rows, first[rows], np.full(len(rows), c))
    return Events(*cheapest_changes(p, w, c, costs, APART))


def line_search(aim: Any, events: Events, now: float) -> tuple[float, float]:
    """The best value of one weight and what it is worth; ``now`` where nothing is better.

    Equal events are one. Of equally good weights, those of the widest interval (in the logarithm); of it the middle.
    """
    order = np.argsort(events.at)
    at = events.at[order]
    gap = np.empty(len(at) + 1, bool)
    gap[0] = len(at) == 0 or at[0] > 0
    gap[-1] = True
    gap[1:-1] = at[1:] > at[:-1] * (1 + APART)
    if not len(at):
        return now, float(aim.along(events, order)[0])
    places = np.flatnonzero(gap)
    value = aim.along(events, order)[places]
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

    ``p`` is (n, n_classes). Each round costs one sort of the events of every class. Where rows are many, the starts
    compete on some of each class, and the winner goes on with more of them, and with all.
    """
    w, most = starts, FEWEST
    while True:
        rows, stand_for = some_of_each(targets, most) if most < len(targets) else (None, None)
        if rows is None:
            return _best(np.ascontiguousarray(p.T), aim, w, costs)
        of_rows = costs[rows] if costs is not None and costs.ndim == 3 else costs
        best, _ = _best(np.ascontiguousarray(p[rows].T), aim.part(rows, stand_for), w, of_rows)
        w, most = best[None], most * 5


def _best(p: Real, aim: Any, starts: Real, costs: Real | None) -> tuple[Real, float]:
    found = [_climb(p, aim, start, costs) for start in starts]
    return max(found, key=lambda pair: round(pair[1], 12))


def _climb(p: Real, aim: Any, start: Real, costs: Real | None) -> tuple[Real, float]:
    """One weight after the other, until as many as there are have not helped in a row."""
    w, worth, idle = start.astype(np.float64).copy(), -np.inf, 0
    for step in range(ROUNDS * len(p)):
        before, c = worth, step % len(p)
        w[c], worth = line_search(aim, events_of(p, w, c, costs), w[c])
        w /= np.exp(np.log(w).mean())
        idle = idle + 1 if worth <= before + APART * max(1.0, abs(before)) else 0
        if idle == len(p):
            break
    return w, float(worth)


def some_of_each(targets: Ints, most: int) -> tuple[Ints, Real]:
    """At most ``most`` rows, evenly of each class, and how many each stands for; all where they are no more."""
    if len(targets) <= most:
        return np.arange(len(targets)), np.ones(len(targets))
    sizes = np.bincount(targets)
    share = most // max(int((sizes > 0).sum()), 1)
    rng = np.random.default_rng(0)
    kept, stand_for = [], []
    for k in np.flatnonzero(sizes):
        rows = np.flatnonzero(targets == k)
        kept.append(rows if len(rows) <= share else np.sort(rng.choice(rows, share, replace=False)))
        stand_for.append(np.full(len(kept[-1]), len(rows) / len(kept[-1])))
    return np.concatenate(kept), np.concatenate(stand_for)
