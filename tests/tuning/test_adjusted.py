"""The logit-adjusted loss as a rival: train with it, or shift the decisions afterwards?"""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression

from focalkit._core.contracts import InputError
from focalkit.estimator import FocalClassifier
from focalkit.report.snippet import code
from focalkit.tuning import Cell, OutOfFold, RemedyClassifier, judge, tune

FEW = {"alphas": (), "gammas": (), "keep_hardest": (), "n_splits": 3, "n_repeats": 1}


def data(n_classes: int = 3):
    return make_classification(
        600, 6, n_informative=4, n_classes=n_classes, weights=[0.75, 0.2, 0.05][:n_classes], random_state=0
    )


@pytest.mark.parametrize("n_classes", [2, 3])
def test_of_a_linear_model_with_an_intercept_training_with_it_is_shifting_afterwards(n_classes: int) -> None:
    """The intercept takes the adjustment up whole, so its decisions are those of CE shifted by τ = 1."""
    X, y = data(n_classes)
    model = FocalClassifier(C=1e3, tol=1e-8, max_iter=2000)
    result = tune(model, X, y, rivals="logit-adjusted", **FEW)
    trained, shifted = (
        result.column("balanced_accuracy")[result.index(c)] for c in (Cell(logit_adjustment=1.0), Cell(tau=1.0))
    )
    np.testing.assert_allclose(trained, shifted, atol=0.02)
    loss = result.column("log_loss")
    np.testing.assert_allclose(loss[result.index(Cell(logit_adjustment=1.0))], loss[result.index(Cell())], rtol=1e-3)
    assert [family.family for family in judge(result).families] == ["CE", "CE + shift", "logit-adjusted"]


def test_a_training_function_is_told_the_adjustment_and_its_posterior_is_brought_back() -> None:
    X, y = data()
    rng = np.random.default_rng(0)
    true = rng.normal(size=(600, 3)) + 2 * np.eye(3)[y]
    told = []

    def fit_score(spec, train, test):
        told.append(spec.logit_adjustment)
        shift = 0.0 if spec.logit_adjustment is None else np.array(spec.logit_adjustment)
        return true[test] - shift  # what a fit to the adjusted loss ends at

    result = tune(fit_score, X, y, rivals="logit-adjusted", **FEW)
    assert {None} < set(told)
    counts = np.bincount(y[np.setdiff1d(np.arange(600), result.folds.splits[0].test)])
    np.testing.assert_allclose(next(t for t in told if t), np.log(counts / counts.sum()))
    for name in ("log_loss", "average_precision"):
        values = result.column(name)
        np.testing.assert_allclose(
            values[result.index(Cell(logit_adjustment=1.0))], values[result.index(Cell())], rtol=1e-9
        )
    values = result.column("balanced_accuracy")
    np.testing.assert_allclose(values[result.index(Cell(logit_adjustment=1.0))], values[result.index(Cell(tau=1.0))])


def test_the_remedy_decides_as_the_model_that_was_trained_with_it() -> None:
    X, y = data()
    remedy = RemedyClassifier(FocalClassifier(), gamma=0.0, logit_adjustment=1.0).fit(X, y)
    model = FocalClassifier(gamma=0.0, logit_adjustment=1.0).fit(X, y)
    np.testing.assert_array_equal(remedy.predict(X), model.predict(X))
    np.testing.assert_allclose(remedy.predict_proba(X), model.predict_proba(X))


def test_boosters_take_it_as_an_option_of_their_loss() -> None:
    xgboost = pytest.importorskip("focalkit.boosting.xgboost")
    X, y = data()
    model = xgboost.FocalXGBClassifier(n_estimators=10, max_depth=2)
    result = tune(model, X, y, rivals="logit-adjusted", **FEW)
    ce, adjusted = (
        result.column("balanced_accuracy")[result.index(c)].mean() for c in (Cell(), Cell(logit_adjustment=1.0))
    )
    assert adjusted > ce
    assert np.isfinite(result.column("log_loss")).all()


def test_where_the_loss_is_not_ours_it_is_left_out_of_all_and_refused_by_name() -> None:
    pytest.importorskip("imblearn")
    X, y = data(2)
    result = tune(LogisticRegression(), X, y, rivals="all", **FEW)
    assert not any(cell.logit_adjustment for cell in result.cells)
    for model, X_ in ((LogisticRegression(), X), (OutOfFold(np.full(600, 0.5)), None)):
        with pytest.raises(InputError, match="leave logit-adjusted out"):
            tune(model, X_, y, rivals="logit-adjusted", **FEW)


def test_its_code_is_whole() -> None:
    X, y = data()
    result = tune(FocalClassifier(), X, y, rivals=["logit-adjusted"], **FEW)
    verdict = judge(result)
    from dataclasses import replace

    trained = next(f for f in verdict.families if f.family == "logit-adjusted")
    names = {"X": X, "y": y, "X_new": X}
    text = code(result, replace(verdict, recommended=trained))
    assert "logit_adjustment=1.0" in text
    exec(text, names)
    assert len(names["decisions"]) == len(y)
