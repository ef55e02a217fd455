import numpy as np
import pytest

from focalkit import shift_prior
from focalkit.decisions import Constraint, Cost, Maximize
from focalkit.decisions.fit import score as score_rule
from focalkit.decisions.rules import Cutoff
from focalkit.tuning.scores import decision_scores, metric_named, score
from focalkit.tuning.shifts import choose, count_decisions, figure, taus_of


def predictions(n_classes, n=500, seed=0):
    rng = np.random.default_rng(seed)
    prior = np.geomspace(1, 0.05, n_classes)
    prior /= prior.sum()
    y = rng.choice(n_classes, n, p=prior)
    logits = rng.normal(size=(n, n_classes)) + 1.5 * np.eye(n_classes)[y] + np.log(prior)
    p = np.exp(logits)
    return y, p / p.sum(axis=1, keepdims=True), prior


@pytest.mark.parametrize("n_classes", [2, 3, 6])
def test_the_counts_of_every_strength_are_those_of_its_decisions(n_classes):
    y, p, prior = predictions(n_classes)
    counts = count_decisions(p, p.argmax(1), y, prior)
    shifted = [shift_prior(p, prior, tau).argmax(1) for tau in taus_of(n_classes)]
    for found, said in zip(counts, [*shifted, p.argmax(1)], strict=False):
        assert found[1].tolist() == np.bincount(said, minlength=n_classes).tolist()
        assert found[0].tolist() == np.bincount(y[said == y], minlength=n_classes).tolist()


def test_a_class_without_training_rows_is_never_decided():
    y, p, prior = predictions(3)
    prior = np.array([prior[0] + prior[1], prior[2], 0.0])
    p[:, 2] = 0
    counts = count_decisions(p / p.sum(1, keepdims=True), p.argmax(1), y, prior)
    assert (counts[:-2, 1, 2] == 0).all()


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("name", ["balanced_accuracy", "macro_f1", "mcc", "accuracy", "kappa", "g_mean"])
def test_figures_of_counts_are_those_of_decisions(n_classes, name):
    y, p, prior = predictions(n_classes)
    said = shift_prior(p, prior, 1.0).argmax(1)
    counts = count_decisions(p, said, y, prior)[-2]
    found = figure(metric_named(name).goal, counts, np.bincount(y, minlength=n_classes))
    six = score(y, said, p, np.bincount(y, minlength=n_classes))
    expected = dict(zip(("balanced_accuracy", "macro_f1", "mcc"), six, strict=False))
    if name in expected:
        assert found == pytest.approx(expected[name], abs=1e-12)
    else:
        assert 0 < found < 1


@pytest.mark.parametrize("goal", [Cost(20, 1), Constraint("recall", 0.8), Maximize("f2")])
def test_a_chosen_strength_serves_its_goal(goal):
    y, p, prior = predictions(2, 3000)
    taus = taus_of(2)
    counts, true = count_decisions(p, p.argmax(1), y, prior), np.bincount(y)
    at = int(choose(goal, counts[:-2], true, taus))
    sign = 1 if goal.larger_is_better else -1
    merits = sign * figure(goal, counts[:-2], true)
    # beside the edge of a bound it keeps a step away
    assert merits[at - 1 : at + 2].max() >= merits.max() - 0.05 * abs(merits.max())
    assert merits[at] >= 0 or not isinstance(goal, Constraint)
    odds = taus[at] * np.log(prior[1] / prior[0])
    rule = Cutoff(float(1 / (1 + np.exp(-odds))))
    assert figure(goal, counts[at], true) == pytest.approx(score_rule(goal, rule, p[:, 1], y), abs=1e-12)


def test_the_last_row_is_the_cut_off_that_costs_ask_for():
    y, p, prior = predictions(2)
    counts = count_decisions(p, p.argmax(1), y, prior, closed=(p[:, 1] > Cost(20, 1).cutoff).astype(int))
    assert counts[-1, 1, 1] == (p[:, 1] > 1 / 21).sum()


def test_confusions_give_scikit_learns_figures_where_nothing_varies():
    assert decision_scores(np.array([[5, 0], [0, 0]])) == (1.0, 1.0, 0.0)
    assert decision_scores(np.array([[5, 0], [3, 0]]))[2] == 0.0


@pytest.mark.parametrize("n_classes", [2, 4])
def test_weighted_counts_are_those_of_repeated_rows(n_classes):
    y, p, prior = predictions(n_classes)
    weight = np.random.default_rng(2).integers(0, 4, len(y))
    many = np.repeat(np.arange(len(y)), weight)
    closed = (p[:, 1] > 0.3).astype(int) if n_classes == 2 else None
    again = None if closed is None else closed[many]
    weighted = count_decisions(p, p.argmax(1), y, prior, closed, weight.astype(float))
    assert (weighted == count_decisions(p[many], p[many].argmax(1), y[many], prior, again)).all()
