"""What the estimators inherit: every public method, attribute and parameter of the parents was looked at.

A new version of a library that brings another one fails here by its name; it is then made right, or refused.
"""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.metrics import accuracy_score, log_loss

from focalkit import InputError
from focalkit.boosting.catboost import REFUSED_METHODS
from tests.boosting.models import LIBRARIES, table

EACH = pytest.mark.parametrize("library", LIBRARIES, ids=lambda library: library.name)
XGBOOST, LIGHTGBM, CATBOOST = LIBRARIES

#: Of the parents, as they are: they do not look at the scores, or scikit-learn's go through predict.
AS_THEY_ARE = {
    "xgboost": """apply best_iteration best_score coef_ evals_result feature_importances_ feature_names_in_ get_booster
        get_metadata_routing get_num_boosting_rounds get_params intercept_ n_features_in_ score set_params""",
    "lightgbm": """best_iteration_ best_score_ booster_ evals_result_ feature_importances_ feature_name_
        feature_names_in_ get_metadata_routing get_params n_classes_ n_estimators_ n_features_ n_features_in_ n_iter_
        objective_ score set_params""",
    "catboost": """best_iteration_ best_score_ calc_leaf_indexes copy drop_unused_features evals_result_
        feature_importances_ feature_names_ get_all_params get_best_iteration get_best_score get_borders
        get_cat_feature_indices get_embedding_feature_indices get_evals_result get_feature_importance get_leaf_values
        get_leaf_weights get_metadata get_n_features_in get_param get_scale_and_bias
        get_sklearn_estimator_xfail_checks get_test_eval get_test_evals get_text_feature_indices get_tree_leaf_counts
        is_fitted iterate_leaf_indexes learning_rate_ plot_partial_dependence plot_tree random_seed_ save_borders
        set_feature_names set_leaf_values set_scale_and_bias shrink tree_count_""",
}

#: The parents' parameters; those that LightGBM and CatBoost take as **kwargs are their documentation's.
PARAMETERS = {
    "xgboost": """base_score booster callbacks colsample_bylevel colsample_bynode colsample_bytree device
        early_stopping_rounds enable_categorical eval_metric feature_types feature_weights gamma grow_policy
        importance_type interaction_constraints learning_rate max_bin max_cat_threshold max_cat_to_onehot
        max_delta_step max_depth max_leaves min_child_weight missing monotone_constraints multi_strategy n_estimators
        n_jobs num_parallel_tree objective random_state reg_alpha reg_lambda sampling_method scale_pos_weight subsample
        tree_method validate_parameters verbosity""",
    "lightgbm": """boosting_type class_weight colsample_bytree importance_type learning_rate max_depth min_child_samples
        min_child_weight min_split_gain n_estimators n_jobs num_leaves objective random_state reg_alpha reg_lambda
        subsample subsample_for_bin subsample_freq""",
}


def own(library):
    """Names that this package defines on the estimator."""
    mine = [cls for cls in library.estimator.__mro__ if cls.__module__.startswith("focalkit")]
    return {name for cls in mine for name in vars(cls)}


@EACH
def test_every_public_name_of_the_parent_was_looked_at(library):
    public = {name for name in dir(library.parent) if not name.startswith("_")}
    requests = {name for name in public if name.startswith("set_") and name.endswith("_request")}
    assert public - own(library) - requests - set(AS_THEY_ARE[library.name].split()) == set()


@pytest.mark.parametrize("library", [XGBOOST, LIGHTGBM], ids=lambda library: library.name)
def test_every_parameter_of_the_parent_was_looked_at(library):
    assert set(library.parent().get_params()) - set(PARAMETERS[library.name].split()) == set()


@pytest.mark.parametrize("name", REFUSED_METHODS)
def test_methods_of_catboost_that_know_nothing_of_the_focal_loss_are_refused(name):
    X, y = table(2)
    model = CATBOOST.make().fit(X, y)
    with pytest.raises(InputError, match=rf"{name}\(\) must not be called on a FocalCatBoostClassifier"):
        getattr(model, name)(X, y)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_staged_predictions_of_catboost_are_those_of_the_first_rounds(n_classes):
    X, ids = table(n_classes)
    y = np.array(["a", "b", "c"])[ids]
    model = CATBOOST.make(gamma=2.0, alpha="sqrt").fit(X, y)
    for kind in ("Class", "RawFormulaVal", "Probability", "LogProbability"):
        stages = list(model.staged_predict(X, kind, eval_period=4))
        assert len(stages) == 3
        for rounds, staged in zip((4, 8, 12), stages, strict=True):
            wanted = model.predict(X, kind, ntree_end=rounds)
            assert (staged == wanted).all() if kind == "Class" else np.allclose(staged, wanted, rtol=1e-12)
    (last,) = list(model.staged_predict_proba(X, ntree_start=0, eval_period=12))
    np.testing.assert_allclose(last, model.predict_proba(X), rtol=1e-12)
    (last,) = list(model.staged_predict_log_proba(X, eval_period=12))
    np.testing.assert_allclose(last, model.predict_log_proba(X), rtol=1e-12)


@pytest.mark.parametrize("n_classes", [2, 3])
@EACH
def test_a_model_that_is_continued_is_the_model_of_all_rounds(library, n_classes, tmp_path):
    X, y = table(n_classes)
    quiet = {"random_strength": 0, "bootstrap_type": "No"} if library is CATBOOST else {}
    first = library.make(gamma=2.0, alpha="sqrt", **quiet).fit(X, y)
    name = "xgb_model" if library is XGBOOST else "init_model"
    both = library.make(gamma=2.0, alpha="sqrt", **quiet).fit(X, y, **{name: first})
    whole = library.make(gamma=2.0, alpha="sqrt", **quiet, **{library.rounds: 24}).fit(X, y)
    np.testing.assert_allclose(both.decision_function(X), whole.decision_function(X), rtol=1e-4, atol=1e-4)
    assert log_loss(y, both.predict_proba(X)) < log_loss(y, first.predict_proba(X))
    if library is CATBOOST:
        first.save_model(tmp_path / "first.cbm")
        again = library.make(gamma=2.0, alpha="sqrt", **quiet).fit(X, y, init_model=str(tmp_path / "first.cbm"))
        # the file keeps the first model's scores in fewer digits
        np.testing.assert_allclose(again.decision_function(X), both.decision_function(X), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("alpha", [None, "balanced", [0.5, 1.0, 2.0], {"a": 1.0, "b": 2.0, "c": 0.5}], ids=str)
@EACH
def test_a_loaded_model_has_the_alpha_that_its_user_gave_and_can_be_fitted_again(library, alpha, tmp_path):
    X, ids = table(3)
    y = np.array(["a", "b", "c"])[ids]
    path = tmp_path / f"model.{library.suffix}"
    saved = library.make(alpha=alpha).fit(X, y)
    saved.save_model(path)
    loaded = library.make()
    loaded.load_model(path)
    assert loaded.alpha == alpha
    assert loaded.get_params()["gamma"] == 2.0
    np.testing.assert_allclose(clone(loaded).fit(X, y).predict_proba(X), saved.predict_proba(X))
    if not isinstance(alpha, (list, dict)):
        other = (ids > 0).astype(int)
        fresh = library.make(alpha=alpha).fit(X, other)
        np.testing.assert_allclose(loaded.fit(X, other).alpha_, fresh.alpha_)


PROBABILITY_METRICS = {
    "xgboost": ("logloss", "mlogloss", "error@0.3", "rmse"),
    "lightgbm": ("binary_logloss", "multi_logloss", "cross_entropy", "binary_error", "l2"),
    "catboost": ("Logloss", "MultiClass", "BrierScore", "CrossEntropy"),
}


@EACH
def test_metrics_that_read_scores_as_probabilities_are_refused(library):
    X, y = table(2)
    for metric in PROBABILITY_METRICS[library.name]:
        name = {"eval_metric": metric}
        made, fitted = ({}, name) if library is LIGHTGBM else (name, {})
        with pytest.raises(InputError, match=r"eval_metric must be .* use 'recovered_log_loss'"):
            library.make(**made).fit(X, y, eval_set=[(X, y)], **fitted)
    if library is LIGHTGBM:
        with pytest.raises(InputError, match=r"metric must be .* got 'binary_logloss'"):
            library.make(metric="auc,binary_logloss").fit(X, y)


def test_metrics_of_probabilities_are_right_where_the_loss_is_cross_entropy():
    X, y = table(2)
    model = XGBOOST.make(gamma=0.0, eval_metric="logloss").fit(X, y, eval_set=[(X, y)])
    said = model.evals_result()["validation_0"]["logloss"][-1]
    assert said == pytest.approx(log_loss(y, model.predict_proba(X)), rel=1e-5)


@EACH
def test_the_error_rate_is_that_of_predict(library):
    X, y = table(3)
    if library is LIGHTGBM:
        model = library.make().fit(X, y, eval_set=[(X, y)], eval_metric="error_rate")
        said = model.evals_result_["training"]["error_rate"][-1]
    else:
        model = library.make(eval_metric="error_rate").fit(X, y, eval_set=[(X, y)])
        found = model.evals_result() if library is XGBOOST else model.get_evals_result()
        said = next(iter(found.values()))["error_rate"] if library is XGBOOST else found["validation"]["error_rate"]
        said = said[model.best_iteration_ if library is CATBOOST else -1]
    assert said == pytest.approx(1 - accuracy_score(y, model.predict(X)), abs=1e-6)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"boosting_type": "dart"}, "boosting_type must be left alone; got 'dart'"),
        ({"boosting": "rf"}, "boosting must be left alone; got 'rf'"),
        ({"neg_bagging_fraction": 0.1}, "neg_bagging_fraction must be left alone"),
        ({"pos_subsample": 0.1}, "pos_subsample must be left alone"),
        ({"sigmoid": 2.0}, "sigmoid must be left alone"),
        ({"loss": "binary"}, "loss must be left alone"),
    ],
)
def test_parameters_of_lightgbm_without_effect_are_refused(params, message):
    with pytest.raises(InputError, match=message):
        LIGHTGBM.make(**params).fit(*table(2))


@pytest.mark.parametrize("n_classes", [2, 3])
def test_cross_entropy_drops_trees_as_lightgbm_itself(n_classes):
    X, y = table(n_classes)
    params = {"boosting_type": "dart", "drop_rate": 0.3}
    ours = LIGHTGBM.make(gamma=0.0, **params)
    ours.fit(X, y, eval_set=[(X, y)], eval_metric=["recovered_log_loss", "focal_loss"])
    theirs = LIGHTGBM.parent(**LIGHTGBM.quick, **params).fit(X, y)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=1e-6)
    for name in ("recovered_log_loss", "focal_loss"):
        said = ours.evals_result_["training"][name][-1]
        assert said == pytest.approx(log_loss(y, ours.predict_proba(X)), rel=1e-5)


def test_lightgbm_starts_at_zero_where_it_is_told_to():
    X, y = table(2)
    ours = LIGHTGBM.make(gamma=0.0, boost_from_average=False).fit(X, y).predict_proba(X)
    theirs = LIGHTGBM.parent(**LIGHTGBM.quick, boost_from_average=False).fit(X, y).predict_proba(X)
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_catboost_refuses_pools_and_another_start():
    import catboost

    X, y = table(2)
    with pytest.raises(InputError, match="eval_set must be"):
        CATBOOST.make().fit(X, y, eval_set=catboost.Pool(X, y))
    with pytest.raises(InputError, match="boost_from_average must be left alone; got False"):
        CATBOOST.make(boost_from_average=False).fit(X, y)


def test_the_text_of_catboosts_estimator_shows_gamma_and_alpha():
    text = repr(CATBOOST.estimator(gamma=1.5, alpha="sqrt", depth=3))
    assert text == "FocalCatBoostClassifier(gamma=1.5, alpha='sqrt', depth=3)"


def test_a_callable_metric_of_xgboost_is_given_the_weights():
    X, y = table(2)
    seen = []

    def share(y_true, scores, sample_weight=None):
        seen.append(sample_weight)
        return float(np.mean(scores > 0))

    weight = np.linspace(1, 2, len(y))
    options = {"eval_set": [(X, y)], "sample_weight_eval_set": [weight]}
    XGBOOST.make(eval_metric=share).fit(X, y, **options)
    np.testing.assert_allclose(seen[0], weight, rtol=1e-6)
    seen.clear()
    XGBOOST.make(eval_metric=share).fit(X, y, eval_set=[(X, y)])
    assert seen[0] is None


def test_feature_names_are_validated_by_xgboost_unless_told_otherwise():
    pandas = pytest.importorskip("pandas")
    X, y = table(2)
    model = XGBOOST.make().fit(pandas.DataFrame(X, columns=list("abcde")), y)
    other = pandas.DataFrame(X, columns=list("vwxyz"))
    for call in (model.predict, model.predict_proba, model.decision_function):
        with pytest.raises(ValueError, match="feature_names mismatch"):
            call(other)
        call(other, validate_features=False)


@EACH
def test_an_eval_set_is_a_pair_or_a_list_of_pairs(library):
    X, y = table(2)
    for wrong in (X, [X, y], [(X,)], 3):
        with pytest.raises(InputError, match=r"eval_set must be a pair \(X, y\), or a list of pairs; got "):
            library.make().fit(X, y, eval_set=wrong)
    one, several = (library.make().fit(X, y, eval_set=given) for given in ((X, y), [(X, y)]))
    assert np.array_equal(one.predict_proba(X), several.predict_proba(X))
