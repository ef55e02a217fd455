import lightgbm
import numpy as np
import pytest

from focalkit import InputError
from focalkit.boosting import FocalLGBMClassifier, FocalObjective
from focalkit.boosting.lightgbm import (
    add_start,
    native_metric,
    native_objective,
    sklearn_objective,
    start_scores,
)
from tests.boosting.models import table

QUIET = {"verbose": -1, "n_jobs": 1}


@pytest.mark.parametrize("n_classes", [2, 4])
def test_without_gamma_and_alpha_it_grows_lightgbms_own_trees(n_classes):
    X, y = table(n_classes)
    ours = FocalLGBMClassifier(gamma=0.0, n_estimators=20, **QUIET).fit(X, y)
    theirs = lightgbm.LGBMClassifier(n_estimators=20, **QUIET).fit(X, y)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=1e-9)
    trees, own = (model.booster_.trees_to_dataframe() for model in (ours, theirs))
    leaves = own.split_feature.isna()
    assert (trees.split_feature[~leaves] == own.split_feature[~leaves]).all()
    np.testing.assert_array_equal(trees.threshold, own.threshold)
    np.testing.assert_allclose(trees.value[leaves], own.value[leaves], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_native_sklearn_and_estimator_train_the_same_model(n_classes):
    X, y = table(n_classes)
    weight = np.linspace(0.5, 2, len(y))
    model = FocalLGBMClassifier(gamma=2.0, alpha="sqrt", n_estimators=8, **QUIET).fit(X, y, sample_weight=weight)
    focal = FocalObjective.from_counts(np.bincount(y, weights=weight), 2.0, "sqrt", hessian="majorizer")
    assert focal == model.focal_
    start = start_scores(focal, len(y))
    params = {"verbose": -1, "num_threads": 1, "objective": native_objective(focal), "metric": "none"}
    params |= {"num_class": n_classes} if n_classes > 2 else {}
    data = lightgbm.Dataset(X, y, weight=weight, init_score=start, params={"verbose": -1})
    held = {}
    feval = native_metric(focal, "recovered_log_loss")
    callbacks = [lightgbm.record_evaluation(held)]
    booster = lightgbm.train(params, data, 8, valid_sets=[data], feval=feval, callbacks=callbacks)
    add_start(booster, focal)
    np.testing.assert_allclose(booster.predict(X, raw_score=True), model.decision_function(X), rtol=1e-9)
    own = focal.population_posterior(model.decision_function(X))[np.arange(len(y)), y]
    figure = held["training"]["recovered_log_loss"][-1]
    assert np.isclose(figure, -np.average(np.log(own), weights=weight), rtol=1e-6)
    plain = lightgbm.LGBMClassifier(objective=sklearn_objective(focal), n_estimators=8, **QUIET)
    plain.fit(X, y, sample_weight=weight, init_score=start)
    np.testing.assert_allclose(plain.predict(X, raw_score=True) + start, model.decision_function(X), rtol=1e-9)


def test_the_model_file_and_the_booster_are_whole(tmp_path):
    X, y = table(3)
    model = FocalLGBMClassifier(n_estimators=5, **QUIET).fit(X, y)
    model.save_model(tmp_path / "model.txt")
    bare = lightgbm.Booster(model_file=tmp_path / "model.txt")
    np.testing.assert_array_equal(bare.predict(X, raw_score=True), model.decision_function(X))
    contributions = model.predict(X, pred_contrib=True).reshape(len(X), 3, -1).sum(axis=2)
    np.testing.assert_allclose(contributions, model.decision_function(X), rtol=1e-6, atol=1e-6)
    assert model.predict(X, pred_leaf=True).shape == (len(X), 15)
    np.testing.assert_array_equal(model.predict(X, raw_score=True), model.decision_function(X))


@pytest.mark.parametrize("boosting_type", ["gbdt", "goss"])
def test_what_was_trained_is_what_is_predicted(boosting_type):
    X, y = table(2)
    model = FocalLGBMClassifier(n_estimators=6, boosting_type=boosting_type, **QUIET)
    model.fit(X, y, eval_set=[(X, y)])
    own = model.focal_.population_posterior(model.decision_function(X))[np.arange(len(y)), y]
    assert np.isclose(model.evals_result_["training"]["recovered_log_loss"][-1], -np.log(own).mean(), rtol=1e-6)


def test_a_model_without_a_split_predicts_the_class_frequencies():
    X, y = table(3)
    frequency = np.bincount(y) / len(y)
    for params in ({"min_split_gain": 1e9}, {"min_child_samples": 10_000}):
        model = FocalLGBMClassifier(n_estimators=3, **params, **QUIET).fit(X, y)
        np.testing.assert_allclose(model.predict_proba(X[:2]), [frequency, frequency], rtol=1e-6)


def test_constant_features_give_the_class_frequencies():
    y = (np.arange(100) % 4 == 0).astype(int)
    model = FocalLGBMClassifier(**QUIET).fit(np.ones((100, 2)), y)
    np.testing.assert_allclose(model.predict_proba(np.ones((1, 2))), [[0.75, 0.25]], rtol=1e-6)


def test_an_initial_score_of_ones_own_is_left_alone():
    X, y = table(2)
    model = FocalLGBMClassifier(n_estimators=1, learning_rate=1e-9, **QUIET).fit(X, y, init_score=np.full(len(y), -1.0))
    np.testing.assert_allclose(model.decision_function(X), 0, atol=1e-6)


def test_class_weight_multiplies_the_sample_weights():
    X, y = table(2)
    weighted = FocalLGBMClassifier(n_estimators=5, class_weight={0: 1.0, 1: 3.0}, **QUIET).fit(X, y)
    by_sample = FocalLGBMClassifier(n_estimators=5, **QUIET).fit(X, y, sample_weight=np.where(y == 1, 3.0, 1.0))
    np.testing.assert_allclose(weighted.predict_proba(X), by_sample.predict_proba(X), rtol=1e-6)


@pytest.mark.parametrize("params", [{"linear_tree": True}, {"is_unbalance": True}, {"objective": "binary"}])
def test_what_contradicts_the_focal_loss_is_refused(params):
    X, y = table(2)
    with pytest.raises(InputError, match="must be"):
        FocalLGBMClassifier(**params, **QUIET).fit(X, y)
