"""A cut-off for each of several labels, shrunk towards the common one so that rare labels do not over-fit.

A label's own best cut-off t_l scatters about the common one t with some variance tau^2, and its estimate about t_l with
variance sigma^2 / n_l, n_l being its positives. The best guess of t_l is then the empirical Bayes mean
(n_l t_l + kappa t) / (n_l + kappa) with kappa = sigma^2 / tau^2, all in log-odds. kappa is chosen by cross-fitting: it
is the one whose cut-offs, learned on the other folds, do best on the rows left out.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from focalkit._metrics import DECISION_METRICS
from focalkit.decisions.cutoffs import Cutoffs as Sorted
from focalkit.decisions.cutoffs import sorted_cutoffs
from focalkit.decisions.fit import best_cutoff, constrained
from focalkit.decisions.goals import Constraint, Cost, CostMatrix, Goal, Maximize
from focalkit.decisions.rules import Cutoffs

Real = NDArray[np.float64]
KAPPAS = (0.0, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, np.inf)
#: Candidates for the common cut-off.
GRID = 200


def fit_labels(
    goal: Goal,
    p: Real,
    targets: NDArray[Any],
    weight: Real | None = None,
    *,
    folds: NDArray[np.intp] | None = None,
    kappa: float | None = None,
) -> tuple[Cutoffs, float]:
    """Cut-offs of ``p`` (n, n_labels) for 0/1 ``targets`` of its shape, and the kappa they were shrunk with.

    The goal is that of each label, averaged over labels; ``weight`` is (n,), or (n, n_labels).
    ``folds`` (n,) number the folds that choose kappa; it can be given instead (0: each label alone).
    """
    if kappa is None:
        if folds is None:
            folds = np.random.default_rng(0).permutation(len(p)) % 5
        worth = np.zeros(len(KAPPAS))
        for fold in np.unique(folds):
            train, test = folds != fold, folds == fold
            own, common, n = _estimates(goal, p[train], targets[train], _rows(weight, train))
            sorted_ = [_sorted(p[test], targets[test], _rows(weight, test), k) for k in range(p.shape[1])]
            for i, kappa_ in enumerate(KAPPAS):
                cut = _shrunk(own, common, n, kappa_)
                of_labels = [_value_at(goal, s, t) for s, t in zip(sorted_, cut, strict=True) if s is not None]
                worth[i] += np.mean(of_labels) if of_labels else 0.0
        # of equally good ones the strongest
        kappa = KAPPAS[int(np.flatnonzero(worth >= worth.max() - 1e-12)[-1])]
    own, common, n = _estimates(goal, p, targets, weight)
    return Cutoffs(tuple(map(float, _shrunk(own, common, n, kappa)))), float(kappa)


def _of_label(weight: Real | None, k: int) -> Real | None:
    """Weights of the rows for one label; they differ between labels where each has a prior of its own."""
    return weight if weight is None or weight.ndim == 1 else weight[:, k]


def _rows(weight: Real | None, rows: NDArray[np.bool_]) -> Real | None:
    return None if weight is None else weight[rows]


def _sorted(p: Real, y: NDArray[Any], weight: Real | None, k: int) -> Sorted | None:
    """The label's cut-offs, or None where it has no positives or no negatives."""
    found = sorted_cutoffs(p[:, k], y[:, k] == 1, _of_label(weight, k))
    return found if found.positives > 0 and found.negatives > 0 else None


def _estimates(goal: Goal, p: Real, y: NDArray[Any], weight: Real | None) -> tuple[Real, float, Real]:
    """Each label's own cut-off (NaN without positives), the common one, and the positives of each."""
    own, n = np.full(p.shape[1], np.nan), np.zeros(p.shape[1])
    grid = np.unique(np.quantile(p, np.linspace(0, 1, GRID)))
    total = np.zeros(len(grid))
    for k in range(p.shape[1]):
        found = _sorted(p, y, weight, k)
        if found is None:
            continue
        own[k] = best_cutoff(goal, found).cutoff  # type: ignore[attr-defined]
        w = _of_label(weight, k)
        of_positives = np.ones(int((y[:, k] == 1).sum())) if w is None else w[y[:, k] == 1]
        n[k] = of_positives.sum() ** 2 / (of_positives**2).sum()
        total += _values(goal, found)[_index(found, grid)]
    return own, float(grid[int(np.argmax(total))]), n


def _index(found: Sorted, cutoff: Any) -> Any:
    """Which cut-off a number is: how many distinct scores lie above it."""
    return np.searchsorted(-found.scores, -np.asarray(cutoff), side="left")


def _values(goal: Goal, found: Sorted) -> Real:
    """What each cut-off is worth."""
    hit, named, true = found.counts()
    if isinstance(goal, Maximize):
        return np.asarray(DECISION_METRICS[goal.metric].value(hit, named, true, goal.beta))
    if isinstance(goal, Constraint):
        return constrained(goal, hit, named, true)[0]
    assert isinstance(goal, Cost | CostMatrix)
    c = goal.array
    cost = (c[0, 1] - c[0, 0]) * found.fp + (c[1, 1] - c[1, 0]) * found.tp
    return np.asarray(-cost / true.sum())


def _value_at(goal: Goal, found: Sorted, cutoff: float) -> float:
    return float(_values(goal, found)[_index(found, cutoff)])


def _logit(p: Any) -> Any:
    inside = np.clip(p, 1e-12, 1 - 1e-12)
    return np.log(inside) - np.log1p(-inside)


def _shrunk(own: Real, common: float, n: Real, kappa: float) -> Real:
    keep = np.zeros(len(n)) if np.isinf(kappa) else n / np.maximum(n + kappa, 1e-300)
    own = np.where(np.isnan(own), common, own)
    z = keep * _logit(own) + (1 - keep) * _logit(common)
    # own cut-offs that are kept whole stay as they are, beyond the ends too
    return np.where(keep >= 1, own, 1 / (1 + np.exp(-z)))
