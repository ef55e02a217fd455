import dataclasses

import catboost
import numpy as np
import pytest

from focalkit import InputError
from focalkit.boosting import FocalCatBoostClassifier, FocalObjective
from focalkit.boosting.catboost import NativeObjective, add_start, native_metric, start_baseline
from tests.boosting.models import table

QUICK = {
    "iterations": 15,
    "learning_rate": 0.2,
    "depth": 3,
    "random_seed": 0,
    "thread_count": 1,
    "verbose": False,
    "allow_writing_files": False,
    "boosting_type": "Plain",
    "leaf_estimation_iterations": 1,
    "leaf_estimation_backtracking": "No",
}

pytestmark = pytest.mark.filterwarnings("ignore:Failed to import numba")


@pytest.mark.parametrize("n_classes", [2, 3])
def test_without_gamma_and_alpha_it_is_catboosts_own_model(n_classes):
    X, y = table(n_classes, n=250)
    ours = FocalCatBoostClassifier(gamma=0.0, **QUICK).fit(X, y)
    baseline = start_baseline(ours.focal_, len(y))
    loss = "Logloss" if n_classes == 2 else "MultiClass"
    theirs = catboost.CatBoostClassifier(loss_function=loss, **QUICK).fit(catboost.Pool(X, y, baseline=baseline))
    raw = theirs.predict(X, prediction_type="RawFormulaVal") + baseline
    np.testing.assert_allclose(ours.decision_function(X), raw, rtol=1e-9, atol=1e-9)


def test_without_gamma_and_alpha_it_is_catboost_boosted_from_the_average():
    X, y = table(2, n=250)
    ours = FocalCatBoostClassifier(gamma=0.0, **QUICK).fit(X, y)
    theirs = catboost.CatBoostClassifier(boost_from_average=True, **QUICK).fit(X, y)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-7)


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0, 5.0])
@pytest.mark.parametrize("alpha", [0.25, 0.5, 0.9])
@pytest.mark.parametrize("method", ["Gradient", "Newton"])
def test_the_binary_objective_is_catboosts_own_focal(gamma, alpha, method):
    X, y = table(2, n=400)
    focal = FocalObjective(gamma, (1 - alpha, alpha), (0.0, 0.0), hessian="exact")
    params = {**QUICK, "leaf_estimation_method": method}
    theirs = catboost.CatBoost({**params, "loss_function": f"Focal:focal_alpha={alpha};focal_gamma={gamma}"}).fit(X, y)
    ours = catboost.CatBoostClassifier(loss_function=NativeObjective(focal), eval_metric="Logloss", **params).fit(X, y)
    expected = theirs.predict(X, prediction_type="RawFormulaVal")
    np.testing.assert_allclose(ours.predict(X, prediction_type="RawFormulaVal"), expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_the_native_objective_and_the_estimator_train_the_same_model(n_classes):
    X, y = table(n_classes, n=250)
    model = FocalCatBoostClassifier(gamma=2.0, alpha="sqrt", **QUICK).fit(X, y)
    focal = FocalObjective.from_counts(np.bincount(y), 2.0, "sqrt")
    assert focal == model.focal_
    metric = native_metric(focal, "recovered_log_loss")
    more = {} if n_classes == 2 else {"classes_count": n_classes, "bootstrap_type": "Bayesian"}
    unweighted = dataclasses.replace(focal, alpha=(1.0,) * n_classes)  # alpha goes along as weights
    plain = catboost.CatBoostClassifier(loss_function=NativeObjective(unweighted), eval_metric=metric, **QUICK, **more)
    weights = np.asarray(focal.alpha)[y]
    plain.fit(catboost.Pool(X, y, weight=weights, baseline=start_baseline(focal, len(y))))
    add_start(plain, focal)
    raw = plain.predict(X, prediction_type="RawFormulaVal")
    np.testing.assert_allclose(raw, model.decision_function(X), rtol=1e-9, atol=1e-9)
    own = -np.log(focal.population_posterior(raw)[np.arange(len(y)), y])
    held = plain.evals_result_["learn"]["recovered_log_loss"]
    assert np.isclose(held[-1], np.average(own, weights=weights), rtol=1e-6)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_alpha_without_gamma_is_catboosts_class_weights(n_classes):
    X, y = table(n_classes, n=400)
    alpha = np.linspace(1, 5, n_classes)
    ours = FocalCatBoostClassifier(gamma=0.0, alpha=alpha, bootstrap_type="No", **QUICK).fit(X, y)
    own = {"class_weights": ours.alpha_.tolist(), "bootstrap_type": "No", **QUICK}
    loss = "Logloss" if n_classes == 2 else "MultiClass"
    baseline = start_baseline(ours.focal_, len(y))
    theirs = catboost.CatBoostClassifier(loss_function=loss, **own).fit(catboost.Pool(X, y, baseline=baseline))
    raw = theirs.predict(X, prediction_type="RawFormulaVal") + baseline
    np.testing.assert_allclose(ours.decision_function(X), raw, rtol=1e-6, atol=1e-6)


def test_own_metrics_of_the_training_data_leave_alpha_out():
    X, y = table(3, n=250)
    w = np.linspace(0.5, 2, 250)
    params = {**QUICK, "eval_metric": "recovered_log_loss"}
    model = FocalCatBoostClassifier(gamma=2.0, alpha="balanced", **params).fit(X, y, sample_weight=w, eval_set=(X, y))
    own = -np.log(model.focal_.population_posterior(model.decision_function(X))[np.arange(len(y)), y])
    held = {name: figures["recovered_log_loss"][model.tree_count_ - 1] for name, figures in model.evals_result_.items()}
    assert held["learn"] == pytest.approx(np.average(own, weights=w), rel=1e-5)
    assert held["validation"] == pytest.approx(own.mean(), rel=1e-5)


def test_derivatives_are_those_of_the_objective_with_the_sign_turned():
    focal = FocalObjective.from_counts([50, 30, 20], 2.0)
    grad, matrix = NativeObjective(focal).calc_ders_multi(np.array([0.1, -2.0, 1.0]), 1.0, 0.5)
    ours = focal.grad_hess(np.array([[0.1, -2.0, 1.0]]), np.array([1]), np.array([0.5]))
    np.testing.assert_allclose(grad, -ours[0][0], rtol=1e-12)
    np.testing.assert_allclose(np.diag(matrix), -ours[1][0], rtol=1e-9)
    pair = FocalObjective.from_counts([50, 50], 2.0)
    scores = np.array([0.1, -2.0, 1.0])
    ders = NativeObjective(pair).calc_ders_range(scores, np.array([0.0, 1.0, 1.0]), None)
    expected = pair.grad_hess(scores, np.array([0, 1, 1]))
    np.testing.assert_allclose(ders, -np.column_stack(expected), rtol=1e-12)


def test_categorical_columns_are_taken():
    X, y = table(2, n=250)
    frame = np.empty((250, 6), dtype=object)
    frame[:, :5] = X
    frame[:, 5] = np.where(y == 1, "often", "seldom")
    model = FocalCatBoostClassifier(cat_features=[5], **QUICK).fit(frame, y, eval_set=(frame, y))
    assert model.score(frame, y) > 0.9


def test_catboosts_other_predictions_are_there():
    X, y = table(2, n=250)
    model = FocalCatBoostClassifier(**QUICK).fit(X, y)
    np.testing.assert_array_equal(model.predict(X, "Probability"), model.predict_proba(X))
    np.testing.assert_array_equal(model.predict(X, "LogProbability"), model.predict_log_proba(X))
    np.testing.assert_array_equal(model.predict(X, "RawFormulaVal"), model.decision_function(X))


@pytest.mark.parametrize(
    "params", [{"class_weights": [1, 2]}, {"auto_class_weights": "Balanced"}, {"loss_function": "Logloss"}]
)
def test_what_contradicts_the_focal_loss_is_refused(params):
    X, y = table(2, n=60)
    with pytest.raises(InputError, match="must be left alone"):
        FocalCatBoostClassifier(**params, **QUICK).fit(X, y)


def test_an_indefinite_matrix_and_a_pool_are_refused():
    X, y = table(3, n=60)
    with pytest.raises(InputError, match="hessian must be 'majorizer' or 'clipped' for more than two classes"):
        FocalCatBoostClassifier(hessian="exact", **QUICK).fit(X, y)
    with pytest.raises(InputError, match="X must be an array or a data frame"):
        FocalCatBoostClassifier(**QUICK).fit(catboost.Pool(X, y))
