import json

import numpy as np
import pytest
import xgboost

from focalkit import InputError
from focalkit.boosting import FocalObjective, FocalXGBClassifier
from focalkit.boosting.xgboost import native_metric, native_objective, sklearn_objective, start_parameters
from tests.boosting.models import table


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("weighted", [False, True])
def test_without_gamma_and_alpha_it_is_xgboosts_own_model_bit_for_bit(n_classes, weighted):
    X, y = table(n_classes)
    weight = np.linspace(0.5, 2, len(y)) if weighted else None
    ours = FocalXGBClassifier(gamma=0.0, n_estimators=20, n_jobs=1).fit(X, y, sample_weight=weight)
    theirs = xgboost.XGBClassifier(n_estimators=20, n_jobs=1).fit(X, y, sample_weight=weight)
    np.testing.assert_array_equal(ours.predict(X, output_margin=True), theirs.predict(X, output_margin=True))
    trees, own = (model.get_booster().trees_to_dataframe() for model in (ours, theirs))
    assert trees.equals(own)


@pytest.mark.parametrize("n_classes", [2, 4])
def test_the_objective_at_gamma_0_grows_xgboosts_trees_to_rounding(n_classes):
    X, y = table(n_classes, n=4000)
    focal = FocalObjective.from_counts(np.bincount(y), 0.0)
    params = {"nthread": 1, "max_depth": 4, **start_parameters(focal)}
    data = xgboost.QuantileDMatrix(X, y, nthread=1)
    ours = xgboost.train(params, data, 10, obj=native_objective(focal))
    theirs = xgboost.train({**params, "base_score": None}, data, 10)
    scores = [booster.predict(data, output_margin=True) for booster in (ours, theirs)]
    np.testing.assert_allclose(*scores, rtol=1e-4, atol=1e-5)
    trees, own = (booster.trees_to_dataframe() for booster in (ours, theirs))
    assert (trees.Feature == own.Feature).all()
    np.testing.assert_array_equal(trees.Split, own.Split)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_native_sklearn_and_estimator_train_the_same_model(n_classes):
    X, y = table(n_classes)
    weight = np.linspace(0.5, 2, len(y))
    model = FocalXGBClassifier(gamma=2.0, alpha="sqrt", n_estimators=8, n_jobs=1).fit(X, y, sample_weight=weight)
    focal = FocalObjective.from_counts(np.bincount(y, weights=weight), 2.0, "sqrt")
    assert focal == model.focal_
    data = xgboost.QuantileDMatrix(X, y, weight=weight, nthread=1)
    booster = xgboost.train({"nthread": 1, **start_parameters(focal)}, data, 8, obj=native_objective(focal))
    np.testing.assert_allclose(booster.predict(data, output_margin=True), model.decision_function(X), rtol=1e-6)
    start = {"base_score": start_parameters(focal)["base_score"]}
    plain = xgboost.XGBClassifier(objective=sklearn_objective(focal), n_estimators=8, n_jobs=1, **start)
    plain.fit(X, y, sample_weight=weight)
    np.testing.assert_allclose(plain.predict(X, output_margin=True), model.decision_function(X), rtol=1e-6)


def test_the_booster_itself_holds_start_and_link():
    X, y = table(2)
    model = FocalXGBClassifier(gamma=2.0, n_estimators=5).fit(X, y)
    raw = model.get_booster().predict(xgboost.DMatrix(X))
    np.testing.assert_allclose(raw, 1 / (1 + np.exp(-model.decision_function(X))), rtol=1e-5)


@pytest.mark.parametrize("gamma", [0.0, 2.0])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_the_metrics_are_those_of_the_predictions(gamma, n_classes):
    X, y = table(n_classes)
    model = FocalXGBClassifier(gamma=gamma, alpha="sqrt", n_estimators=3).fit(X, y)
    data = xgboost.DMatrix(X, y)
    scores = model.get_booster().predict(data, output_margin=True)
    found = dict(
        native_metric(model.focal_, "focal_loss", "recovered_log_loss", "macro_average_precision")(scores, data)
    )
    own = model.predict_proba(X) / model.alpha_
    own /= own.sum(axis=1, keepdims=True)
    assert np.isclose(found["recovered_log_loss"], -np.log(own[np.arange(len(y)), y]).mean(), rtol=1e-5)
    z = np.column_stack([np.zeros(len(y)), scores]) if n_classes == 2 else scores.astype(np.float64)
    p = np.exp(z - z.max(1, keepdims=True))
    p_t = (p / p.sum(1, keepdims=True))[np.arange(len(y)), y]
    assert np.isclose(found["focal_loss"], (model.alpha_[y] * -((1 - p_t) ** gamma) * np.log(p_t)).mean(), rtol=1e-4)
    assert 0.3 < found["macro_average_precision"] <= 1
    with pytest.raises(InputError, match="metric must be one of"):
        native_metric(model.focal_, "accuracy")


def test_xgboosts_metrics_and_callables_may_stand_beside_ours():
    X, y = table(2)

    def mine(y_true, scores):
        return float(np.mean((scores > 0) != y_true))

    model = FocalXGBClassifier(n_estimators=4, eval_metric=["focal_loss", "auc", mine], early_stopping_rounds=2)
    model.fit(X[:400], y[:400], eval_set=[(X[400:], y[400:])])
    held = model.evals_result()["validation_0"]
    assert set(held) == {"focal_loss", "auc", "mine"}
    stopped = FocalXGBClassifier(n_estimators=50, eval_metric="auc", early_stopping_rounds=3, learning_rate=1.0)
    stopped.fit(X[:400], y[:400], eval_set=[(X[400:], y[400:])])
    assert stopped.best_iteration == int(np.argmax(stopped.evals_result()["validation_0"]["auc"]))


def test_xgboosts_own_gamma_is_min_split_loss():
    X, y = table(2)
    bushy = FocalXGBClassifier(n_estimators=2).fit(X, y)
    bare = FocalXGBClassifier(n_estimators=2, min_split_loss=1e6).fit(X, y)
    config = json.loads(bare.get_booster().save_config())
    held = config["learner"]["gradient_booster"]["tree_train_param"]
    assert float(held["gamma"]) == 1e6
    assert float(held["alpha"]) == 0
    assert len(bare.get_booster().trees_to_dataframe()) == 2 < len(bushy.get_booster().trees_to_dataframe())


@pytest.mark.parametrize("gamma", [1.0, 2.0, 5.0])
def test_min_child_weight_keeps_its_meaning(gamma):
    X, y = table(2, n=3000)

    def leaves(model):
        frame = model.set_params(n_estimators=1, min_child_weight=20, max_depth=8).fit(X, y).get_booster()
        return (frame.trees_to_dataframe().Feature == "Leaf").sum()

    plain, focal = leaves(xgboost.XGBClassifier()), leaves(FocalXGBClassifier(gamma=gamma))
    assert plain / 1.7 <= focal <= 1.7 * plain


def test_training_goes_on_from_a_model_and_a_start_of_ones_own_is_taken():
    X, y = table(2)
    first = FocalXGBClassifier(n_estimators=5, n_jobs=1).fit(X, y)
    more = FocalXGBClassifier(n_estimators=5, n_jobs=1).fit(X, y, xgb_model=first)
    whole = FocalXGBClassifier(n_estimators=10, n_jobs=1).fit(X, y)
    np.testing.assert_allclose(more.decision_function(X), whole.decision_function(X), atol=1e-5)
    own = FocalXGBClassifier(n_estimators=1, learning_rate=1e-6, base_score=0.25).fit(X, y)
    np.testing.assert_allclose(own.decision_function(X), np.log(1 / 3), atol=1e-4)


@pytest.mark.parametrize("tree_method", ["exact", "approx"])
def test_other_tree_methods_work(tree_method):
    X, y = table(3)
    assert FocalXGBClassifier(tree_method=tree_method, n_estimators=5).fit(X, y).score(X, y) > 0.8


def test_an_objective_of_ones_own_is_refused():
    X, y = table(2)
    with pytest.raises(InputError, match="objective must be left alone"):
        FocalXGBClassifier(objective="reg:squarederror").fit(X, y)
