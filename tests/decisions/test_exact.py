"""Rules equal what trying everything finds: ties, weights, classes that are missing, every goal."""

import numpy as np
import pytest

from focalkit._metrics import DECISION_METRICS
from focalkit.decisions import Abstain, CaseCost, Constraint, Cost, CostMatrix, Maximize, fit_rule, score
from focalkit.decisions.ascent import CostAim, MetricAim, events_of, line_search
from focalkit.decisions.rules import Weighted
from tests.decisions import brute
from tests.decisions.cases import several_classes, two_classes

CASES = 150


def check_metric(rng):
    p, y, w = two_classes(rng)
    name, beta = rng.choice(brute.METRICS), float(rng.choice([0.5, 1.0, 2.0]))
    goal = Maximize(str(name), beta)
    rule = fit_rule(goal, p, y, w)
    tries = [brute.metric(name, brute.confusion(y, s.astype(int), w, 2), beta) for s in brute.alert_sets(p)]
    assert score(goal, rule, p, y, w) == pytest.approx(max(tries), abs=1e-9), (goal, p, y, w)


def check_cost(rng):
    p, y, w = two_classes(rng)
    goal = Cost(fn=float(rng.integers(1, 50)), fp=float(rng.integers(1, 5)), tp=float(-rng.integers(0, 2)))
    rule = fit_rule(goal, p, y, w, learned=True)
    tries = [brute.two_class_costs(y, s, w, goal.array) for s in brute.alert_sets(p)]
    assert score(goal, rule, p, y, w) == pytest.approx(min(tries), abs=1e-9)


def check_constraint(rng):
    p, y, w = two_classes(rng)
    kind = str(rng.choice(["precision", "recall", "false_positive_rate", "alerts"]))
    goal = Constraint(kind, float(rng.choice([0.1, 0.25, 0.5, 0.75, 0.9])))
    tries = [brute.constrained(kind, goal.bound, y, s, w) for s in brute.alert_sets(p)]
    assert score(goal, fit_rule(goal, p, y, w), p, y, w) == pytest.approx(max(tries), abs=1e-9), (goal, p, y, w)


def check_bands(rng):
    p, y, w = two_classes(rng)
    cost = Cost(fn=float(rng.integers(1, 20)), fp=1.0, tn=float(rng.choice([0.0, -0.5])))
    limit = {"review_cost": float(rng.choice([0.05, 0.3, 1.0]))} if rng.random() < 0.5 else {"share": 0.3}
    goal = Abstain(cost=cost, **limit)
    rule = fit_rule(goal, p, y, w, learned=True)
    assert score(goal, rule, p, y, w) == pytest.approx(brute.bands(p, y, w, cost.array, **limit), abs=1e-9)


def check_line(rng):
    """Each line of the ascent, for a metric, a cost matrix, and costs of each case."""
    k = 3
    p, y, w = several_classes(rng, k)
    at, c = rng.exponential(size=k) + 0.1, int(rng.integers(k))
    kind = rng.integers(3)
    if kind == 0:
        name = str(rng.choice([m for m in brute.METRICS if m != "f_beta"]))
        costs, aim = None, MetricAim(DECISION_METRICS[name], 1.0, y, w, k)
        first = [brute.metric(name, brute.confusion(y, (p * v).argmax(axis=1), w, k)) for v in (at,)]
    else:
        shape = (k, k) if kind == 1 else (len(y), k, k)
        costs = rng.exponential(size=shape) * (1 - np.eye(k))
        aim = CostAim(costs[y] if kind == 1 else costs[np.arange(len(y)), y], w)
        first = None

    def decide(v):
        if costs is None:
            return (p * v).argmax(axis=1)
        expected = (p * v) @ costs if costs.ndim == 2 else np.einsum("ik,ikj->ij", p * v, costs)
        return expected.argmin(axis=1)

    if costs is None:
        assert aim.value(decide(at)) == pytest.approx(first[0], abs=1e-9)
    new, value = line_search(aim, events_of(p.T, at, c, costs), at[c])
    moved = at.copy()
    moved[c] = new
    assert aim.value(decide(moved)) == pytest.approx(value, abs=1e-9)
    if costs is None:
        assert value == pytest.approx(brute.along_one_weight(p, at, c, decide, aim.value), abs=1e-9)
    else:
        grid = np.concatenate([np.geomspace(1e-4, 1e4, 400), [new]])
        tries = []
        for v in grid:
            moved[c] = v
            tries.append(aim.value(decide(moved)))
        assert value >= max(tries) - 1e-9


def check_closed(rng):
    """The closed forms of several classes: costs, costs of each case, a person at a cost or for a share."""
    p, y, w = several_classes(rng)
    n, (matrix, *_) = len(y), rng.exponential(size=(1, 3, 3)) * (1 - np.eye(3)) - rng.choice([0.0, 0.3]) * np.eye(3)
    kind, costs, of_row = rng.integers(4), None, [matrix] * n
    if kind == 1:
        of_row = costs = rng.exponential(size=(n, 3, 3)) * (1 - np.eye(3))
    limit = {"review_cost": float(rng.choice([0.1, 0.4]))} if kind == 2 else {"share": float(rng.choice([0.2, 0.5]))}
    goal = CaseCost() if kind == 1 else CostMatrix(matrix) if kind == 0 else Abstain(cost=CostMatrix(matrix), **limit)
    decided = fit_rule(goal, p, y, w, costs).decide(p, costs)
    least = [min(brute.expected(row, c)) for row, c in zip(p.tolist(), of_row, strict=True)]
    for i, j in enumerate(decided.tolist()):
        if j >= 0:
            assert brute.expected(p[i].tolist(), of_row[i])[j] == pytest.approx(least[i], abs=1e-9)
        if kind == 2:
            assert (j < 0) == (least[i] > limit["review_cost"]) or least[i] == pytest.approx(limit["review_cost"])
    if kind == 3:  # the doubtful ones cost most, within the share, and the next would break it
        doubt = decided < 0
        assert w[doubt].sum() <= limit["share"] * w.sum() * (1 + 1e-9)
        rest = [least[i] for i in np.flatnonzero(~doubt)]
        assert not doubt.any() or min(least[i] for i in np.flatnonzero(doubt)) >= max(rest) - 1e-9
        ties = [w[i] for i in range(n) if not doubt[i] and least[i] >= max(rest) - 1e-9]
        assert w[doubt].sum() + sum(ties) > limit["share"] * w.sum() * (1 - 1e-9)


CHECKS = [check_metric, check_cost, check_constraint, check_bands, check_line, check_closed]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__[6:])
def test_a_rule_is_what_trying_everything_finds(check):
    rng = np.random.default_rng(15)
    for _ in range(CASES):
        check(rng)


def test_no_change_of_one_weight_improves_what_the_ascent_found():
    rng = np.random.default_rng(3)
    for _ in range(20):
        p, y, w = several_classes(rng)
        goal = Maximize(str(rng.choice(["macro_f_beta", "mcc", "balanced_accuracy", "kappa", "g_mean"])))
        rule = fit_rule(goal, p, y, w)
        aim = MetricAim(DECISION_METRICS[goal.metric], 1.0, y, w, 3)
        reached = score(goal, rule, p, y, w)
        assert reached >= aim.value(p.argmax(axis=1)) - 1e-12
        for c in range(3):
            assert (
                line_search(aim, events_of(p.T, np.array(rule.weights), c, None), rule.weights[c])[1] <= reached + 1e-9
            )


def test_costs_are_the_closed_form_where_the_probabilities_are_true():
    p = np.array([0.005, 0.0098, 0.01, 0.5])
    assert fit_rule(Cost(fn=100, fp=1), p, np.array([0, 0, 0, 1])).cutoff == 1 / 101
    matrix = [[0.0, 1.0, 4.0], [5.0, 0.0, 1.0], [9.0, 2.0, 0.0]]
    q = np.random.default_rng(0).dirichlet(np.ones(3), 200)
    rule = fit_rule(CostMatrix(matrix), q, np.zeros(200, int))
    want = [min(range(3), key=lambda j: sum(row[k] * matrix[k][j] for k in range(3))) for row in q]
    assert rule.decide(q).tolist() == want


def test_the_rows_of_a_cost_matrix_are_the_truth():
    # a class that is dear to miss is decided more often, not less often
    p = np.array([[0.6, 0.4]])
    assert fit_rule(CostMatrix([[0, 1], [100, 0]]), p, np.array([0])).decide(p).tolist() == [1]
    assert fit_rule(CostMatrix([[0, 100], [1, 0]]), p, np.array([0])).decide(p).tolist() == [0]


def test_costs_of_each_case_decide_by_its_own_amount():
    p, amounts = np.array([0.1, 0.1, 0.1]), np.array([5.0, 46.0, 44.0])
    goal = CaseCost(fp=5)  # flag where amount * p > 5 * (1 - p), an amount above 45
    rule = fit_rule(goal, p, np.array([0, 1, 0]), costs=amounts)
    assert rule.decide(p, goal.matrices(amounts)).tolist() == [0, 1, 0]
    learned = fit_rule(goal, p, np.array([0, 1, 1]), costs=amounts, learned=True)
    assert score(goal, learned, p, np.array([0, 1, 1]), costs=amounts) <= score(
        goal, rule, p, np.array([0, 1, 1]), costs=amounts
    )


def test_equal_scores_are_never_parted_and_a_cut_off_lies_in_the_middle():
    p = np.array([0.2, 0.2, 0.6, 0.6])
    rule = fit_rule(Maximize("f1"), p, np.array([0, 1, 1, 1]))
    assert rule.cutoff == 0.1
    rule = fit_rule(Maximize("accuracy"), p, np.array([0, 0, 1, 1]))
    assert rule.cutoff == pytest.approx(0.4)
    low = 0.3
    high = np.nextafter(low, 1)
    near = fit_rule(Maximize("accuracy"), np.array([low, high]), np.array([0, 1]))
    assert near.decide(np.array([low, high])).tolist() == [0, 1]


def test_the_fewest_alerts_are_taken_of_equally_good_cut_offs():
    p = np.array([0.1, 0.5, 0.9])
    rule = fit_rule(Cost(fn=1, fp=1), p, np.array([0, 0, 1]), np.array([1.0, 0.0, 1.0]), learned=True)
    assert rule.decide(p).tolist() == [0, 0, 1]


def test_a_person_decides_where_deciding_costs_more():
    p = np.array([0.05, 0.3, 0.5, 0.7, 0.95])
    goal = Abstain(review_cost=0.2)
    assert fit_rule(goal, p, np.zeros(5, int)).decide(p).tolist() == [0, -1, -1, -1, 1]
    q = np.column_stack([p, 1 - p])[:, ::-1]
    three = np.column_stack([q * 0.999, np.full(5, 0.001)])
    assert fit_rule(goal, three, np.zeros(5, int)).decide(three).tolist() == [0, -1, -1, -1, 1]
    shared = fit_rule(Abstain(share=0.4), p, np.zeros(5, int))
    assert shared.decide(p).tolist().count(-1) <= 2
    assert shared.decide(p)[2] == -1


def test_a_weight_of_two_is_two_rows():
    rng = np.random.default_rng(0)
    for _ in range(20):
        p, y, _ = several_classes(rng)
        w = rng.integers(1, 4, len(y))
        goal = Maximize("macro_f_beta")
        once = fit_rule(goal, p, y, w.astype(float))
        each = fit_rule(goal, np.repeat(p, w, axis=0), np.repeat(y, w))
        assert score(goal, once, p, y, w.astype(float)) == pytest.approx(score(goal, each, p, y, w.astype(float)))


def test_weights_of_rules_are_positive_numbers():
    rng = np.random.default_rng(1)
    for _ in range(30):
        p, y, w = several_classes(rng, 4)
        rule = fit_rule(Maximize("mcc"), p, y, w)
        assert isinstance(rule, Weighted)
        assert np.isfinite(rule.weights).all()
        assert min(rule.weights) > 0
