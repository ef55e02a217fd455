"""What decisions about several labels do: sums and means over labels, with a jackknife over rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from focalkit._metrics import DECISION_METRICS
from focalkit.decisions.figures import GROUPS, LEVEL, SHARES, Estimate, Figure, Z
from focalkit.decisions.goals import Cost, Goal, Maximize

Real = NDArray[np.float64]


def label_figures(
    goal: Goal,
    before: NDArray[Any],
    after: NDArray[Any],
    y: NDArray[Any],
    weight: Real | None,
    seed: int,
    factor: Real | None = None,
) -> tuple[tuple[Figure, ...], str]:
    """Labels caught, missed and falsely raised per 1,000 cases, recall and precision as means over labels.

    ``factor`` (n_labels, 2) reweighs the rows without and with each label, for another prior.
    """
    w = np.ones(len(y)) if weight is None else weight
    groups = np.random.default_rng(seed).permutation(len(y)) % GROUPS
    sides = []
    for said in (before, after):
        cells = np.zeros((GROUPS + 1, 4, y.shape[1]))
        for i, (truth, decided) in enumerate(((1, 1), (1, 0), (0, 1), (0, 0))):
            hit = w[:, None] * ((y == truth) & (said == decided))
            for g in range(GROUPS):
                cells[g + 1, i] = hit[groups == g].sum(axis=0) * (1.0 if factor is None else factor[:, truth])
        cells[0] = cells[1:].sum(axis=0)
        cells[1:] = cells[0] - cells[1:]
        sides.append(_figures(goal, cells))
    holds = (w[:, None] * (y == 1)).sum(axis=0)
    out = []
    for name in sides[0]:
        b, a = sides[0][name], sides[1][name]
        one = [_within(name, _estimate(side), holds) for side in (b, a)]
        out.append(Figure(name, one[0], one[1], _estimate(a - b)))
    return tuple(out), "jackknife"


def _figures(goal: Goal, cells: Real) -> dict[str, Real]:
    tp, fn, fp, tn = (cells[:, i] for i in range(4))
    per = 1000 / (tp + fn + fp + tn)[:, 0]
    out = {"caught": per * tp.sum(axis=1), "missed": per * fn.sum(axis=1), "false_alarms": per * fp.sum(axis=1)}
    recall, precision = (np.divide(tp, d, out=np.full(tp.shape, np.nan), where=d > 0) for d in (tp + fn, tp + fp))
    out["recall"] = np.nanmean(np.where((tp + fn).sum(axis=0) > 0, recall, np.nan), axis=1)
    out["precision"] = np.nanmean(np.where(np.isnan(precision), 0.0, precision), axis=1)
    for k in range(tp.shape[1]):
        out[f"recall:{k}"] = np.where(np.isnan(recall[:, k]), 0.0, recall[:, k])
    if isinstance(goal, Cost):
        c = goal.array
        out["cost"] = per * (c[1, 1] * tp + c[1, 0] * fn + c[0, 1] * fp + c[0, 0] * tn).sum(axis=1)
    if isinstance(goal, Maximize):
        metric = DECISION_METRICS[goal.metric]
        values = np.empty(len(cells))
        for g in range(len(cells)):
            each = [
                metric.value(np.array([tn[g, k], tp[g, k]]), np.array([tn[g, k] + fn[g, k], tp[g, k] + fp[g, k]]), t, b)
                for k in range(tp.shape[1])
                for t, b in [(np.array([tn[g, k] + fp[g, k], tp[g, k] + fn[g, k]]), goal.beta)]
            ]
            values[g] = np.mean(each)
        out[goal.metric] = values
    return out


def _within(name: str, e: Estimate, holds: Real) -> Estimate:
    """An interval within its range; a label's recall of 0 or 1 is never certain (``holds``: its positives)."""
    kind, _, k = name.partition(":")
    low, high = max(e.low, 0.0), e.high
    if k and holds[int(k)] > 0:
        sure = ((1 - LEVEL) / 2) ** (1 / max(float(holds[int(k)]), 1.0))
        low, high = (min(low, sure) if e.value >= 1 else low), (max(high, 1 - sure) if e.value <= 0 else high)
    return Estimate(e.value, low if kind != "cost" else e.low, min(high, 1.0) if kind in SHARES else high)


def _estimate(values: Real) -> Estimate:
    without = values[1:]
    error = float(np.sqrt((GROUPS - 1) / GROUPS * ((without - without.mean()) ** 2).sum()))
    return Estimate(float(values[0]), float(values[0] - Z * error), float(values[0] + Z * error))
