"""Which of two classes a miss, an alarm, precision, recall and F scores are of, and what is said of costs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from focalkit import InputError
from focalkit.decisions import CaseCost, Constraint, Cost, CostMatrix, Maximize
from focalkit.estimator import FocalClassifier
from focalkit.report.snippet import code, fitted
from focalkit.tuning import OutOfFold, judge, tune
from focalkit.tuning.findings import headline

SMALL = {"alphas": [None, "balanced", [3.0, 1.0]], "gammas": [0.0], "keep_hardest": [], "n_splits": 3, "n_repeats": 2}
RNG = np.random.default_rng(0)
N = 400
X = RNG.normal(size=(N, 3))
RARE = X[:, 0] + RNG.normal(size=N) > 1.6
AMOUNTS = RNG.lognormal(1, 1, size=N)
WORDS = np.where(RARE, "bad", "good")  # the rarer comes first


@pytest.mark.parametrize(
    "metric",
    [
        Cost(20, 1),
        Cost(5, 1, -2, -1),
        Maximize("f1"),
        Constraint("recall", 0.8),
        Constraint("alerts", 0.1),
        CaseCost(5),
    ],
    ids=str,
)
def test_of_texts_the_rarer_is_positive_and_all_is_as_with_0_and_1(metric):
    costs = {"costs": AMOUNTS} if isinstance(metric, CaseCost) else {}
    numbers = tune(FocalClassifier(), X, RARE.astype(int), metric=metric, **costs, **SMALL)
    asked = {**SMALL, "alphas": [None, "balanced", [1.0, 3.0]]}  # given in the order of the words
    words = tune(FocalClassifier(), X, WORDS, metric=metric, **costs, **asked)
    assert words.classes == ("good", "bad")
    assert words.cells == numbers.cells
    np.testing.assert_array_equal(words.scores, numbers.scores)
    of_numbers, of_words = judge(numbers), judge(words)
    assert str(headline(of_words)).replace("bad", "1") == str(headline(of_numbers))
    for place, cell in enumerate(numbers.cells):  # every remedy, its weights and cut-off too
        if cell.tau in ("closed", "chosen"):
            models = [trained(of_numbers, place, RARE.astype(int)), trained(of_words, place, WORDS)]
            decided = [model.predict(X, **(costs if cell.tau == "closed" else {})) for model in models]
            np.testing.assert_array_equal(decided[0] == 1, decided[1] == "bad")


def trained(verdict, place, y):
    """The cell at a place, as the verdict's recommendation would be trained."""
    verdict = replace(verdict, recommended=replace(verdict.recommended, cell=place))
    return fitted(verdict.result, verdict, FocalClassifier(), X, y)


def test_the_positive_class_can_be_named():
    metric = Cost(20, 1)
    flipped = tune(FocalClassifier(), X, (~RARE).astype(int), metric=metric, **SMALL)
    named = tune(
        FocalClassifier(),
        X,
        RARE.astype(int),
        metric=metric,
        positive=0,
        **{**SMALL, "alphas": [None, "balanced", [1.0, 3.0]]},
    )
    np.testing.assert_array_equal(named.scores, flipped.scores)
    assert tune(FocalClassifier(), X, WORDS, metric=metric, positive="good", **SMALL).classes == ("bad", "good")
    for wrong, y in (("ugly", WORDS), (1, np.arange(N) % 3)):
        with pytest.raises(InputError, match="positive must be"):
            tune(FocalClassifier(), X, y, metric="macro_f1", positive=wrong, **{**SMALL, "alphas": [None]})


def test_lines_of_a_matrix_are_in_the_order_of_the_labels():
    by_matrix = tune(FocalClassifier(), X, WORDS, metric=[[0, 20], [1, 0]], **SMALL)  # a bad one taken for good: 20
    by_costs = tune(FocalClassifier(), X, WORDS, metric=Cost(20, 1), **SMALL)
    plain = [r.scores[0, :, -1] for r in (by_matrix, by_costs)]
    np.testing.assert_array_equal(plain[0], plain[1])
    assert str(headline(judge(by_matrix))) == str(headline(judge(by_costs)))
    odd = CostMatrix(((0, 20), (-1, -3)))  # whose mistakes are not both the dearer decision of their line
    models = []
    for positive in ("bad", "good"):
        result = tune(FocalClassifier(), X, WORDS, metric=odd, positive=positive, **{**SMALL, "alphas": [None]})
        closed = next(i for i, cell in enumerate(result.cells) if cell.tau == "closed")
        verdict = judge(result)
        models.append(trained(verdict, closed, WORDS))
    np.testing.assert_array_equal(models[0].predict(X), models[1].predict(X))
    p = models[0].predict_proba(X)
    np.testing.assert_array_equal(models[0].predict(X) == "bad", (p @ odd.array).argmin(axis=1) == 0)


def test_predictions_are_decided_as_the_code_says():
    p = np.clip(RARE * 0.3 + RNG.uniform(0, 0.6, size=N), 0.01, 0.99)
    for metric, costs in ((Cost(20, 1), {}), (CostMatrix(((0, 9), (1, 0))), {}), (CaseCost(5), {"costs": AMOUNTS})):
        result = tune(
            OutOfFold(np.column_stack([p, 1 - p])), None, WORDS, metric=metric, n_splits=3, n_repeats=1, **costs
        )
        verdict = judge(result)
        order = [int(name == "good") for name in result.classes]
        names = {"probabilities": np.column_stack([p, 1 - p])[:, order], "costs": AMOUNTS}
        exec(code(result, verdict), names)
        matrix = np.array([[0.0, 20.0], [1.0, 0.0]])  # bad, good
        expected = names["probabilities"]
        if isinstance(metric, CostMatrix):
            want = (np.column_stack([p, 1 - p]) @ metric.array).argmin(axis=1) == 0
        elif isinstance(metric, CaseCost):
            want = expected[:, 1] * AMOUNTS > (1 - expected[:, 1]) * 5
        else:
            want = (np.column_stack([p, 1 - p]) @ matrix).argmin(axis=1) == 0
        if result.cells[verdict.recommended.cell].tau == "closed":
            np.testing.assert_array_equal(names["decisions"] == "bad", want)


def test_costs_of_several_classes_name_no_cut_off():
    y = np.where(RARE, "c", np.where(X[:, 1] > 1.5, "b", "a"))
    result = tune(LogisticRegression(), X, y, metric=[[0, 1, 1], [9, 0, 1], [9, 1, 0]], **{**SMALL, "alphas": [None]})
    verdict = judge(result)
    assert result.cells[verdict.recommended.cell].tau == "closed"
    assert "the class of the least expected cost" in str(headline(verdict))
    assert "p >" not in str(headline(verdict))
