"""From a goal and predictions to a rule, and what a rule is worth: on arrays that were checked before.

These two functions are what a search calls thousands of times; :func:`focalkit.decisions.decide` checks, adjusts the
probabilities and says how sure the figures are.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from focalkit._core import contracts
from focalkit._metrics import DECISION_METRICS
from focalkit.decisions.ascent import CostAim, MetricAim, ascend, counts
from focalkit.decisions.cutoffs import TOLERANCE, Cutoffs, between, first_best, sorted_cutoffs
from focalkit.decisions.goals import Abstain, CaseCost, Constraint, Cost, CostMatrix, Goal, Maximize
from focalkit.decisions.rules import REVIEW, Bands, Cutoff, PerCase, Rule, Weighted, both_sides, positive

Real = NDArray[np.float64]


def fit_rule(
    goal: Goal,
    probabilities: Real,
    targets: NDArray[Any],
    sample_weight: Real | None = None,
    costs: Real | None = None,
    *,
    learned: bool | None = None,
    cutoffs: Cutoffs | None = None,
) -> Rule:
    """The rule that serves ``goal`` best on these predictions.

    Two classes: the best of all cut-offs, exactly. More: coordinate ascent, each line exactly. Goals of costs and
    abstention have a closed form from true probabilities, which is taken by default.

    Parameters
    ----------
    goal : Goal
    probabilities : (n,) of the second of two classes, or (n, n_classes)
    targets : integers (n,) in [0, n_classes)
    sample_weight : (n,), optional
    costs : (n,) or (n, n_classes, n_classes), optional
        Of each case, for :class:`CaseCost`.
    learned : bool, optional
        True: searched in the data. False: in closed form. None: the closed form for costs and abstention.
    cutoffs : Cutoffs, optional
        Of two classes, sorted before (:func:`sort_cutoffs`): several goals share one sort.

    Returns
    -------
    Rule

    Examples
    --------
    >>> fit_rule(Maximize("f1"), np.array([0.1, 0.3, 0.4, 0.8]), np.array([0, 0, 1, 1]))
    Cutoff(cutoff=0.35)
    """
    _goal(goal)
    p, targets, sample_weight = _rows(probabilities, targets, sample_weight)
    n_classes = 2 if p.ndim == 1 else p.shape[1]
    closed_form = is_closed(goal, learned)
    if isinstance(goal, CaseCost):
        return _per_case(goal, p, targets, sample_weight, costs, not closed_form, n_classes)
    if isinstance(goal, Maximize) and closed_form:
        return _closed_metric(goal, targets, _ones(sample_weight, len(p)), n_classes)
    if n_classes == 2:
        closed = _closed_two(goal, p, sample_weight) if closed_form else None
        if closed is not None:
            return closed
        if cutoffs is None:
            cutoffs = sorted_cutoffs(positive(p), targets == 1, sample_weight)
        elif not isinstance(cutoffs, Cutoffs):
            got = contracts.Words(type(cutoffs).__name__)
            contracts.reject("cutoffs", "be Cutoffs", got, "Pass what sort_cutoffs returned.")
        return best_cutoff(goal, cutoffs)
    if isinstance(goal, Cost | Constraint):
        what = "a cost of each kind of mistake" if isinstance(goal, Cost) else "a constraint"
        remedy = "Give a cost matrix." if isinstance(goal, Cost) else "Score one class against the rest."
        got = contracts.Words(f"{what} for {n_classes} classes")
        contracts.reject("goal", "suit the number of classes", got, remedy)
    if isinstance(goal, Maximize):
        return _weights(goal, p, targets, _ones(sample_weight, len(p)))
    assert isinstance(goal, CostMatrix | Abstain)
    return _by_cost(goal, p, targets, _ones(sample_weight, len(p)), not closed_form)


def _goal(goal: object) -> None:
    if not isinstance(goal, Goal):
        contracts.reject("goal", "be a Goal", goal, "E.g. Maximize('f1'); as_goal() makes one of a metric's name.")


def _rows(probabilities: object, targets: object, sample_weight: object) -> tuple[Real, NDArray[Any], Real | None]:
    p = contracts.shaped("probabilities", probabilities, (None,), (None, None))
    y = contracts.shaped("targets", targets, (len(p),))
    return p, y, None if sample_weight is None else contracts.shaped("sample_weight", sample_weight, (len(p),))


#: Metrics that true probabilities have a closed form for: of p, or of p over the class's frequency.
CLOSED = ("accuracy", "balanced_accuracy", "youden", "g_mean")


def is_closed(goal: Goal, learned: bool | None) -> bool:
    """Whether the rule is taken in closed form; a goal that has none is refused where ``learned`` is False."""
    if isinstance(goal, Maximize | Constraint):
        if learned is False and getattr(goal, "metric", "") not in CLOSED:
            name = goal.metric if isinstance(goal, Maximize) else goal.kind
            contracts.reject("learned", f"be True or None for {name}", learned, "It has no closed form.")
        return learned is False
    return not learned


def _closed_metric(goal: Maximize, targets: NDArray[Any], weight: Real, n_classes: int) -> Rule:
    """The largest p, or the largest p over its class's frequency (post-hoc logit adjustment with tau = 1)."""
    share = np.bincount(targets, weight, n_classes) / weight.sum()
    if goal.metric == "accuracy":
        share = np.full(n_classes, 1 / n_classes)
    if n_classes == 2:
        return Cutoff(float(share[1]))
    share = np.where(share > 0, share, share[share > 0].min())
    return Weighted(tuple(map(float, 1 / share)))


def score(
    goal: Goal,
    rule: Rule,
    probabilities: Real,
    targets: NDArray[Any],
    sample_weight: Real | None = None,
    costs: Real | None = None,
) -> float:
    """What ``rule`` achieves of ``goal`` on these predictions.

    The mean cost of a case, the metric, or for a constraint what it raises; where the bound is broken, minus the
    amount by which. ``goal.larger_is_better`` says which way is good.

    Examples
    --------
    >>> score(Maximize("f1"), Cutoff(0.35), np.array([0.1, 0.5, 0.4, 0.8]), np.array([0, 0, 1, 1]))
    0.8
    """
    _goal(goal)
    if not isinstance(rule, Rule):
        contracts.reject("rule", "be a Rule", contracts.Words(type(rule).__name__), "Pass DecisionRule.rule.")
    probabilities, targets, sample_weight = _rows(probabilities, targets, sample_weight)
    n_classes = 2 if probabilities.ndim == 1 else probabilities.shape[1]
    of_case = goal.matrices(costs, n_classes) if isinstance(goal, CaseCost) else None
    decided = rule.decide(probabilities, of_case)
    return score_decisions(goal, decided, targets, n_classes, sample_weight, of_case)


def score_decisions(
    goal: Goal,
    decided: NDArray[np.int64],
    targets: NDArray[Any],
    n_classes: int,
    sample_weight: Real | None = None,
    costs: Real | None = None,
) -> float:
    """:func:`score` of decisions (n,); ``costs`` (n, n_classes, n_classes) of each case where they have their own."""
    w = _ones(sample_weight, len(targets))
    if isinstance(goal, Maximize | Constraint):
        hit, named, true = counts(targets, decided, w, n_classes)
        if isinstance(goal, Maximize):
            return float(DECISION_METRICS[goal.metric].value(hit, named, true, goal.beta))
        return float(constrained(goal, hit, named, true)[0])
    each = case_costs(goal, decided, targets, n_classes, costs)
    return float((w * each).sum() / w.sum())


def case_costs(
    goal: Goal, decided: NDArray[np.int64], targets: NDArray[Any], n_classes: int, costs: Real | None = None
) -> Real:
    """What each decided case costs (n,), a person's look included."""
    y = targets.astype(np.intp)
    said = np.maximum(decided, 0)
    if isinstance(goal, CaseCost):
        assert costs is not None
        return np.asarray(costs[np.arange(len(y)), y, said])
    matrix = goal.matrix(n_classes) if isinstance(goal, Abstain) else goal.array  # type: ignore[attr-defined]
    each = matrix[y, said]
    review = goal.review_cost if isinstance(goal, Abstain) and goal.review_cost is not None else 0.0
    return np.where(decided == REVIEW, review, each)


def _ones(weight: Real | None, n: int) -> Real:
    return np.ones(n) if weight is None else weight


# --- two classes


def _closed_two(goal: Goal, p: Real, weight: Real | None) -> Rule | None:
    """The rule that calibrated probabilities need no data for."""
    if isinstance(goal, CostMatrix):
        goal = _as_cost(goal)
    if isinstance(goal, Cost):
        return Cutoff(goal.cutoff)
    if isinstance(goal, Abstain):
        return _closed_bands(goal, positive(p), weight)
    return None


def _as_cost(goal: CostMatrix) -> Cost:
    """A matrix (2, 2) in words; in units in which costs of mistakes are not negative."""
    c = goal.array
    # only differences within a row decide, and only the cost of a mistake over being right
    rise, fall = c[0, 1] - c[0, 0], c[1, 0] - c[1, 1]
    if rise <= 0 or fall <= 0:
        remedy = "Rows are the true class, columns the decision; or decide the same class always."
        contracts.reject("cost matrix", "make each mistake dearer than being right", c.tolist(), remedy)
    return Cost(fn=float(fall), fp=float(rise))


def _closed_bands(goal: Abstain, p: Real, weight: Real | None) -> Rule:
    c = goal.matrix(2)
    rise, fall = c[0, 1] - c[0, 0], c[1, 0] - c[1, 1]
    middle = rise / (rise + fall)
    if goal.review_cost is not None:
        # clear where c00 (1-p) + c10 p <= r, flag where c01 (1-p) + c11 p < r
        lower = (goal.review_cost - c[0, 0]) / fall
        upper = 1 - (goal.review_cost - c[1, 1]) / rise
        if lower >= upper:
            return Bands(float(middle), float(middle))
        return Bands(float(max(lower, -1.0)), float(min(upper, 1.0)))
    # the doubtful ones are those whose best decision still costs most
    least = np.where(p > middle, c[0, 1] * (1 - p) + c[1, 1] * p, c[0, 0] * (1 - p) + c[1, 0] * p)
    bar = _bar(least, goal.share or 0.0, weight)
    among = p[least > bar]
    if not len(among):
        return Bands(float(middle), float(middle))
    low, high = p[(p < among.min())], p[(p > among.max())]
    below = between(float(low.max()), float(among.min())) if len(low) else -1.0
    above = between(float(among.max()), float(high.min())) if len(high) else 1.0
    return Bands(min(below, float(middle)), max(above, float(middle)))


def _bar(least: Real, share: float, weight: Real | None) -> float:
    """The cost above which at most ``share`` of the cases lie."""
    order = np.argsort(-least, kind="stable")
    w = _ones(weight, len(least))[order]
    total, so_far = w.sum(), np.cumsum(w)
    over = np.flatnonzero(so_far > share * total * (1 + TOLERANCE))
    return float(least[order[over[0]]])


def best_cutoff(goal: Goal, cutoffs: Cutoffs) -> Rule:
    """The best of all cut-offs for a goal of two classes; of equally good ones that with the fewest alerts."""
    if isinstance(goal, Abstain):
        return _best_bands(goal, cutoffs)
    index, second = cutoffs.rising, None
    if isinstance(goal, Maximize):
        value = DECISION_METRICS[goal.metric].value(*cutoffs.counts(index), goal.beta)
    elif isinstance(goal, Constraint):
        value, second = constrained(goal, *cutoffs.counts(index))
    else:
        assert isinstance(goal, Cost | CostMatrix)
        c = goal.array
        rise, fall = c[0, 1] - c[0, 0], c[1, 0] - c[1, 1]
        if min(rise, fall) < 0:  # a matrix under which a mistake is a gain
            index = np.arange(len(cutoffs.tp))
        value = fall * cutoffs.tp[index] - rise * cutoffs.fp[index]
    return Cutoff(cutoffs.at(int(index[first_best(value, second)])))


def constrained(goal: Constraint, hit: Real, named: Real, true: Real) -> tuple[Real, Real]:
    """What a constraint raises, minus the shortfall where it is broken, and what decides between equals."""
    tp, flagged = hit[1], named[1]
    fp = np.maximum(flagged - tp, 0.0)
    recall = tp / true[1] if true[1] > 0 else np.zeros_like(tp)
    precision = np.divide(tp, flagged, out=np.zeros_like(tp), where=flagged > 0)
    raised, bounded, tie = {
        "precision": (recall, precision, precision),
        "recall": (precision, recall, recall),
        "false_positive_rate": (recall, fp / true[0] if true[0] > 0 else np.zeros_like(fp), -fp),
        "alerts": (recall, flagged / true.sum(), -flagged),
    }[goal.kind]
    gap = goal.bound - bounded if not goal.at_most else bounded - goal.bound
    # of bounds that are broken the least broken one; nothing flagged has no precision to be broken
    return np.where(gap <= TOLERANCE, raised, -gap), tie


def _best_bands(goal: Abstain, cutoffs: Cutoffs) -> Rule:
    """Two of all cut-offs, i <= j: the i highest scores are flagged, those from j on cleared."""
    c = goal.matrix(2)
    tp, fp, n, p = cutoffs.tp, cutoffs.fp, cutoffs.negatives, cutoffs.positives
    flagged = c[0, 1] * fp + c[1, 1] * tp
    cleared = c[0, 0] * (n - fp) + c[1, 0] * (p - tp)
    all_of = tp + fp
    if goal.review_cost is not None:
        # cost(i, j) = [flagged - r all](i) + [cleared + r all](j): the best i up to each j by a running minimum
        left = flagged - goal.review_cost * all_of
        best_i = _running_argmin(left)
        cost = left[best_i] + cleared + goal.review_cost * all_of
        j = first_best(-cost)
        i = int(best_i[j])
    else:
        # cleared falls by fewer misses and rises by nothing as j grows: as far as the share allows
        room = all_of + (goal.share or 0.0) * (n + p) * (1 + TOLERANCE)
        far = np.searchsorted(all_of, room, side="right") - 1
        best_j = _windowed_argmin(cleared, far)
        cost = flagged + cleared[best_j]
        i = first_best(-cost)
        j = int(best_j[i])
    return Bands(cutoffs.at(j), cutoffs.at(i))


def _running_argmin(values: Real) -> NDArray[np.intp]:
    """Where the least value up to each place is, the first of equal ones."""
    so_far = np.minimum.accumulate(values)
    new = np.concatenate([[True], so_far[1:] < so_far[:-1]])
    return np.maximum.accumulate(np.where(new, np.arange(len(values)), 0))


def _windowed_argmin(values: Real, far: NDArray[np.intp]) -> NDArray[np.intp]:
    """Where the least value between i and far[i] is, the first of equal ones; ``far`` never falls."""
    if np.all(values[1:] <= values[:-1]):  # as costs without gains are: the least comes last
        new = np.concatenate([[True], values[1:] < values[:-1]])
        first = np.maximum.accumulate(np.where(new, np.arange(len(values)), 0))
        return np.maximum(first[far], np.arange(len(values)))
    out = np.empty(len(values), np.intp)
    queue: list[int] = []
    head = end = 0
    listed = values.tolist()
    for i, stop in enumerate(far.tolist()):
        while end <= stop:
            while len(queue) > head and listed[queue[-1]] > listed[end]:
                queue.pop()
            queue.append(end)
            end += 1
        while queue[head] < i:
            head += 1
        out[i] = queue[head]
    return out


# --- more classes, and costs of each case


def starting_weights(targets: NDArray[Any], weight: Real, n_classes: int) -> Real:
    """Where the ascent begins: as they are, and evened out half-way and wholly for the classes' frequencies."""
    share = np.bincount(targets, weight, n_classes)
    share = np.where(share > 0, share, share[share > 0].min(initial=1.0)) / max(share.sum(), 1e-300)
    return np.stack([np.ones(n_classes), share**-0.5, share**-1.0])


def _weights(goal: Maximize, p: Real, targets: NDArray[Any], weight: Real) -> Rule:
    metric = DECISION_METRICS[goal.metric]
    if metric.positive_only:
        got = contracts.Words(f"{goal.metric} for {p.shape[1]} classes")
        contracts.reject("metric", "suit the number of classes", got, "Use macro_f_beta, or macro_f1.")
    y = targets.astype(np.intp)
    aim = MetricAim(metric, goal.beta, y, weight, p.shape[1])
    w, _ = ascend(p, aim, starting_weights(y, weight, p.shape[1]), y)
    return Weighted(tuple(map(float, w)))


def _by_cost(goal: CostMatrix | Abstain, p: Real, targets: NDArray[Any], weight: Real, learned: bool) -> Rule:
    k = p.shape[1]
    matrix = goal.array if isinstance(goal, CostMatrix) else goal.matrix(k)
    if matrix.shape != (k, k):
        contracts.reject(
            "cost matrix",
            f"have shape ({k}, {k})",
            contracts.Words(f"shape {matrix.shape}"),
            "A row and column a class.",
        )
    w = np.ones(k)
    if learned:
        y = targets.astype(np.intp)
        w, _ = ascend(p, CostAim(matrix[y], weight), np.ones((1, k)), y, matrix)
    as_tuples = tuple(tuple(map(float, row)) for row in matrix)
    rule = Weighted(tuple(map(float, w)), as_tuples)
    if isinstance(goal, CostMatrix):
        return rule
    if goal.review_cost is not None:
        return Weighted(rule.weights, as_tuples, goal.review_cost)
    weighed = p * w
    least = (weighed @ matrix).min(axis=1) / weighed.sum(axis=1)
    return Weighted(rule.weights, as_tuples, _bar(least, goal.share or 0.0, weight))


def _per_case(
    goal: CaseCost,
    p: Real,
    targets: NDArray[Any],
    weight: Real | None,
    costs: Real | None,
    learned: bool,
    n_classes: int,
) -> Rule:
    w = np.ones(n_classes)
    if learned:
        y, c = targets.astype(np.intp), goal.matrices(costs, n_classes)
        of_true = partial(np.take_along_axis, c, y[:, None, None], axis=1)
        aim = CostAim(of_true()[:, 0], _ones(weight, len(y)))
        w, _ = ascend(both_sides(p), aim, np.ones((1, n_classes)), y, c)
    return PerCase(tuple(map(float, w)))
