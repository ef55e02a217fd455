"""What decisions do per 1,000 cases, before and after a rule, with intervals.

Everything is counted in a table of classes by decisions. Where cases weigh alike, the table's rows are drawn anew
(stratified bootstrap: the classes keep their sizes); where they have weights or costs of their own, a fiftieth of each
class is left out by turns (stratified delete-a-group jackknife).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from focalkit._metrics import DECISION_METRICS
from focalkit.decisions.fit import case_costs
from focalkit.decisions.goals import Abstain, CaseCost, Constraint, Goal, Maximize

Real = NDArray[np.float64]
DRAWS = 2000
GROUPS = 50
LEVEL = 0.95
Z = 1.959963984540054
#: Cells of a table that are drawn at most; larger tables are jackknifed.
MOST_CELLS = 1000


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Figure:
    """A figure before the rule (the largest probability decides) and after it, and the change; all with intervals."""

    name: str
    before: Estimate
    after: Estimate
    change: Estimate

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        parts = {name: getattr(self, name) for name in ("before", "after", "change")}
        return {"name": self.name, **{name: [e.value, e.low, e.high] for name, e in parts.items()}}


class Tables:
    """Decisions as tables (..., n_classes, n_decisions) of weight, the last decision being a person's, and costs.

    ``factor`` (n_classes,) reweighs the classes, for another prior.
    """

    def __init__(self, n_classes: int, targets: NDArray[Any], weight: Real, factor: Real) -> None:
        self.k, self.y, self.w, self.factor = n_classes, targets.astype(np.intp), weight, factor

    def table(self, decided: NDArray[Any], groups: NDArray[np.intp] | None = None) -> Real:
        """(n_classes, n_classes + 1), or one for each group of rows."""
        cells = self.k * (self.k + 1)
        at = self.y * (self.k + 1) + np.where(decided < 0, self.k, decided)
        if groups is None:
            return np.bincount(at, self.w, cells).reshape(self.k, -1).astype(np.float64)
        every = np.bincount(groups * cells + at, self.w, GROUPS * cells)
        return every.reshape(GROUPS, self.k, -1).astype(np.float64)

    def cost(self, each: Real, groups: NDArray[np.intp] | None = None) -> Real:
        """Cost of each class (n_classes,), or of each group's (n_groups, n_classes)."""
        if groups is None:
            return np.bincount(self.y, self.w * each, self.k).astype(np.float64)
        every = np.bincount(groups * self.k + self.y, self.w * each, GROUPS * self.k)
        return every.reshape(GROUPS, self.k).astype(np.float64)


def figures_of(goal: Goal, t: Real, cost: Real | None) -> dict[str, Any]:
    """All figures from tables (..., n_classes, n_classes + 1) and costs of the classes (..., n_classes)."""
    k = t.shape[-2]
    n = t.sum(axis=(-2, -1))
    true = t.sum(axis=-1)
    named = t[..., :k].sum(axis=-2)
    hit = np.diagonal(t[..., :k], axis1=-2, axis2=-1)
    out: dict[str, Any] = {}
    per = 1000 / np.maximum(n, 1e-300)
    if k == 2:
        out["caught"], out["missed"] = per * t[..., 1, 1], per * t[..., 1, 0]
        out["false_alarms"], out["alerts"] = per * t[..., 0, 1], per * named[..., 1]
        out["recall"] = _over(hit[..., 1], true[..., 1])
        out["precision"] = _over(hit[..., 1], named[..., 1])
    else:
        out["right"] = per * hit.sum(axis=-1)
        out["wrong"] = per * (named.sum(axis=-1) - hit.sum(axis=-1))
    if isinstance(goal, Abstain):
        out["reviewed"] = per * t[..., k].sum(axis=-1)
    if cost is not None:
        out["cost"] = per * cost.sum(axis=-1)
    if isinstance(goal, Maximize):
        # the classes keep their weight in every draw
        of_class = true.reshape(-1, k)[0]
        sides = np.moveaxis(hit, -1, 0), np.moveaxis(named, -1, 0)
        out[goal.metric] = DECISION_METRICS[goal.metric].value(*sides, of_class, goal.beta)
    for j in range(k):
        out[f"recall:{j}"] = _over(hit[..., j], true[..., j])
    return out


def _over(a: Any, b: Any) -> Any:
    return np.divide(a, b, out=np.zeros(np.shape(a)), where=np.asarray(b) > 0)


def matrix_of(goal: Goal, n_classes: int) -> Real | None:
    """Costs by class and decision, a person's last; None where the goal has none or each case its own."""
    if isinstance(goal, Maximize | Constraint | CaseCost):
        return None
    c = goal.matrix(n_classes) if isinstance(goal, Abstain) else goal.array  # type: ignore[attr-defined]
    review = goal.review_cost if isinstance(goal, Abstain) and goal.review_cost is not None else 0.0
    return np.column_stack([c, np.full(n_classes, review)])


def compare(
    goal: Goal,
    before: NDArray[Any],
    after: NDArray[Any],
    targets: NDArray[Any],
    weight: Real | None,
    n_classes: int,
    costs: Real | None = None,
    factor: Real | None = None,
    seed: int = 0,
) -> tuple[tuple[Figure, ...], str]:
    """Figures of decisions ``before`` and ``after`` (n,), and the name of their interval: bootstrap or jackknife."""
    w = np.ones(len(targets)) if weight is None else weight
    f = np.ones(n_classes) if factor is None else factor
    tables = Tables(n_classes, targets, w, f)
    small = (n_classes * (n_classes + 1) ** 2) <= MOST_CELLS
    if weight is None and costs is None and small:
        return _bootstrap(goal, tables, before, after, seed), "bootstrap"
    each = None
    if isinstance(goal, CaseCost):
        each = [case_costs(goal, d, targets, n_classes, costs) for d in (before, after)]
    return _jackknife(goal, tables, before, after, each, seed), "jackknife"


def _costs(goal: Goal, t: Real) -> Real | None:
    matrix = matrix_of(goal, t.shape[-2])
    return None if matrix is None else (t * matrix).sum(axis=-1)


def _bootstrap(goal: Goal, tables: Tables, before: NDArray[Any], after: NDArray[Any], seed: int) -> tuple[Figure, ...]:
    k, d = tables.k, tables.k + 1
    said = [np.where(x < 0, k, x) for x in (before, after)]
    pairs = np.bincount(tables.y * d * d + said[0] * d + said[1], minlength=k * d * d).reshape(k, d * d)
    rng = np.random.default_rng(seed)
    sizes = pairs.sum(axis=1)
    drawn = np.stack([rng.multinomial(n, row / max(n, 1), DRAWS) for n, row in zip(sizes, pairs, strict=True)], axis=1)
    both = np.concatenate([pairs[None], drawn]).reshape(-1, k, d, d) * tables.factor[:, None, None]
    per_side = []
    for axis in (3, 2):
        t = both.sum(axis=axis)
        per_side.append(figures_of(goal, t, _costs(goal, t)))
    counts = np.stack([both[0].sum(axis=2), both[0].sum(axis=1)])
    return _collect(per_side, lambda v: _percentiles(v), counts)


def _percentiles(values: Real) -> Estimate:
    tail = 100 * (1 - LEVEL) / 2
    low, high = np.percentile(values[1:], [tail, 100 - tail])
    return Estimate(float(values[0]), float(min(low, values[0])), float(max(high, values[0])))


def _jackknife(
    goal: Goal, tables: Tables, before: NDArray[Any], after: NDArray[Any], each: Any, seed: int
) -> tuple[Figure, ...]:
    k, y = tables.k, tables.y
    groups = np.empty(len(y), np.intp)
    rng = np.random.default_rng(seed)
    for j in range(k):
        rows = np.flatnonzero(y == j)
        groups[rows] = rng.permutation(len(rows)) % GROUPS
    per_side, counts = [], []
    for side, decided in enumerate((before, after)):
        total, without = tables.table(decided), tables.table(decided, groups)
        rest = total - without
        # the classes keep their weight
        size, left = total.sum(axis=1), rest.sum(axis=2)
        grow = np.where(left > 0, size / np.where(left > 0, left, 1.0), 1.0)
        t = np.concatenate([total[None], rest * grow[..., None]]) * tables.factor[:, None]
        cost = _costs(goal, t)
        if each is not None:
            of_all, of_groups = tables.cost(each[side]), tables.cost(each[side], groups)
            cost = np.concatenate([of_all[None], (of_all - of_groups) * grow]) * tables.factor
        per_side.append(figures_of(goal, t, cost))
        counts.append(total)
    return _collect(per_side, _normal, np.stack(counts))


def _normal(values: Real) -> Estimate:
    without = values[1:]
    error = float(np.sqrt((GROUPS - 1) / GROUPS * ((without - without.mean()) ** 2).sum()))
    return Estimate(float(values[0]), float(values[0]) - Z * error, float(values[0]) + Z * error)


#: Figures that are shares, and those that are counts: where their intervals end.
SHARES = ("recall", "precision")
COUNTS = ("caught", "missed", "false_alarms", "alerts", "right", "wrong", "reviewed")


def _collect(per_side: list[dict[str, Any]], interval: Callable[[Real], Estimate], counts: Real) -> tuple[Figure, ...]:
    out = []
    for name in per_side[0]:
        b, a = (np.asarray(side[name], np.float64) for side in per_side)
        one = [_whole(name, interval(v), table) for v, table in zip((b, a), counts, strict=True)]
        out.append(Figure(name, one[0], one[1], interval(a - b)))
    return tuple(out)


def _whole(name: str, e: Estimate, table: Real) -> Estimate:
    """An interval within its range; a share of 0 or 1 is never certain: of n cases the exact bound of 0 in n."""
    kind = name.split(":")[0]
    low, high = e.low, e.high
    if kind in SHARES:
        j = int(name.split(":")[1]) if ":" in name else 1
        n = float(table[j].sum() if kind == "recall" else table[:, j].sum())
        if n >= 1:
            sure = ((1 - LEVEL) / 2) ** (1 / n)
            low, high = (min(low, sure) if e.value >= 1 else low), (max(high, 1 - sure) if e.value <= 0 else high)
        low, high = max(low, 0.0), min(high, 1.0)
    elif kind in COUNTS:
        low, high = max(low, 0.0), min(high, 1000.0)
    return Estimate(e.value, low, high)


def promise(
    goal: Constraint, decided: NDArray[Any], targets: NDArray[Any], weight: Real | None
) -> tuple[float, float, int]:
    """The bounded figure of decisions, its one-sided 95 % Clopper-Pearson bound on the unsafe side, and its cases.

    With weights, of the effective number of cases.
    """
    from scipy.special import betaincinv

    flagged, positives = decided == 1, targets == 1
    among, hit = {
        "precision": (flagged, flagged & positives),
        "recall": (positives, flagged & positives),
        "false_positive_rate": (~positives, flagged & ~positives),
        "alerts": (np.ones(len(targets), bool), flagged),
    }[goal.kind]
    w = np.ones(len(targets)) if weight is None else weight
    mass = float(w[among].sum())
    if mass <= 0:
        return 0.0, 0.0, 0
    n = mass**2 / float((w[among] ** 2).sum())
    share = float(w[hit].sum()) / mass
    x = share * n
    if goal.at_most:
        bound = 1.0 if x >= n else float(betaincinv(x + 1, n - x, 0.95))
    else:
        bound = 0.0 if x <= 0 else float(betaincinv(x, n - x + 1, 0.05))
    return share, bound, round(n)
