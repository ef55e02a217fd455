"""What all three estimators do alike."""

import copy
import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator

from focalkit import InputError
from focalkit.boosting import FocalCatBoostClassifier, FocalLGBMClassifier, FocalXGBClassifier
from focalkit.boosting.objective import FocalObjective
from focalkit.estimator import FocalClassifier
from focalkit.tuning import tune
from tests.boosting.models import LIBRARIES, table

NAMES = {
    "text": np.array(["common", "rare", "very rare", "odd"]),
    "negative": np.array([-7, 1, 12, 100]),
    "float": np.array([0.0, 1.0, 2.0, 3.0]),
    "bool": np.array([False, True]),
    "object": np.array(["ä", "b", "c", "d"], dtype=object),
}

# Checks that the parent library fails too, each on its own account.
WEIGHTS = "the parent's histograms are of rows, not of weights"
PARENTS_FAIL = {
    "FocalXGBClassifier": {},
    "FocalLGBMClassifier": {
        "check_no_attributes_set_in_init": "the parent keeps other parameters, here verbose, as attributes",
        "check_sample_weight_equivalence_on_dense_data": WEIGHTS,
        "check_sample_weight_equivalence_on_sparse_data": WEIGHTS,
    },
    "FocalCatBoostClassifier": {
        "check_do_not_raise_errors_in_init_or_set_params": "the parent looks at values in __init__",
        "check_sample_weight_equivalence_on_dense_data": WEIGHTS,
        "check_sample_weight_equivalence_on_sparse_data": WEIGHTS,
    },
}
# Checks closer than a library's float32 leaves: whether it passes is luck of rounding. They have a test of their own.
BELOW_FLOAT32 = {
    "FocalXGBClassifier": {
        "check_sample_weight_equivalence_on_dense_data",
        "check_sample_weight_equivalence_on_sparse_data",
    },
}


def checks():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # CatBoost does not inherit from BaseEstimator
        return [
            case
            for library in LIBRARIES
            for case in estimator_checks_generator(
                library.make(), mark="xfail", expected_failed_checks=PARENTS_FAIL[library.estimator.__name__]
            )
            if check_name(case) not in BELOW_FLOAT32.get(library.estimator.__name__, ())
        ]


def check_name(case):
    _, check = getattr(case, "values", case)  # a ParameterSet of pytest where it is marked
    return getattr(check, "func", check).__name__


@pytest.mark.parametrize(("estimator", "check"), checks())
@pytest.mark.filterwarnings("ignore")
def test_every_check_of_scikit_learn_passes_that_the_parent_does_not_fail(estimator, check):
    check(estimator)


@pytest.mark.parametrize("library", LIBRARIES, ids=lambda library: library.name)
@pytest.mark.filterwarnings("ignore")
def test_the_checks_named_as_failing_fail_for_the_parent_too(library):
    parent = library.parent(**library.quick)
    named = PARENTS_FAIL[library.estimator.__name__]
    for case in estimator_checks_generator(parent, legacy=True):
        estimator, check = case
        if check_name(case) in named:
            with pytest.raises(Exception, match=""):  # noqa: PT011
                check(clone(estimator))


@pytest.mark.parametrize("read", [np.asarray, csr_array], ids=["dense", "sparse"])
@pytest.mark.parametrize("seed", range(4))
def test_in_xgboost_an_integer_weight_is_that_many_equal_rows(seed, read):
    rng = np.random.default_rng(seed)
    y, weight = np.arange(60) % 3, rng.integers(0, 5, 60)
    X = rng.integers(0, 6, (60, 1)) + 1.0 + y[:, None]  # one feature: no two features tie, which rounding would decide
    make = LIBRARIES[0].make
    repeated = make().fit(read(X.repeat(weight, axis=0)), y.repeat(weight))
    weighted = make().fit(read(X), y, sample_weight=weight)
    np.testing.assert_allclose(weighted.predict_proba(read(X)), repeated.predict_proba(read(X)), rtol=2e-6)
    assert not np.allclose(make().fit(read(X), y).predict_proba(read(X)), repeated.predict_proba(read(X)), rtol=1e-2)


@pytest.fixture(params=LIBRARIES, ids=lambda library: library.name)
def library(request):
    return request.param


@pytest.mark.parametrize("kind", NAMES)
@pytest.mark.parametrize("n_classes", [2, 4])
def test_class_names_of_any_kind_come_back(library, kind, n_classes):
    if kind == "bool" and n_classes > 2:
        pytest.skip("there are two of them")
    X, y = table(n_classes, n=250)
    names = NAMES[kind][:n_classes]
    model = library.make(gamma=1.0).fit(X, names[y])
    plain = library.make(gamma=1.0).fit(X, y)
    order = np.argsort(names)
    assert (model.classes_ == names[order]).all()
    assert model.classes_.dtype == names.dtype
    assert set(model.predict(X)) <= set(names)
    if (order == np.arange(n_classes)).all():
        assert (model.predict(X) == names[plain.predict(X)]).all()


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0, 5.0])
def test_probabilities_sum_to_one_and_agree_with_decisions_and_logits(library, n_classes, gamma):
    X, y = table(n_classes, n=300)
    model = library.make(gamma=gamma, alpha="sqrt").fit(X, y)
    proba, logits = model.predict_proba(X), model.decision_function(X)
    np.testing.assert_allclose(proba.sum(axis=1), 1)
    assert proba.shape == (300, n_classes)
    assert logits.shape == ((300,) if n_classes == 2 else (300, n_classes))
    assert (model.classes_[proba.argmax(axis=1)] == model.predict(X)).all()
    np.testing.assert_array_equal(proba, model.focal_.posterior(logits))
    assert model.score(X, y) > 0.7


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("gamma", [0.0, 2.0, 5.0])
def test_before_the_first_split_the_posterior_is_the_class_frequency(library, n_classes, gamma):
    """A learning rate of next to nothing leaves the start alone."""
    X, y = table(n_classes, n=100)
    model = library.make(gamma=gamma, learning_rate=1e-5).fit(X, y)
    frequency = np.bincount(y) / len(y)
    np.testing.assert_allclose(model.predict_proba(X), np.tile(frequency, (100, 1)), atol=3e-4)
    balanced = library.make(gamma=gamma, learning_rate=1e-5, alpha="balanced").fit(X, y)
    np.testing.assert_allclose(balanced.predict_proba(X), 1 / n_classes, atol=3e-4)


def test_recovered_probabilities_are_calibrated_where_the_raw_ones_are_not(library):
    rng = np.random.default_rng(1)
    X = rng.normal(size=(8000, 1))
    true = 1 / (1 + np.exp(2 - 1.5 * X[:, 0]))
    y = (rng.random(len(X)) < true).astype(int)
    model = library.make(gamma=3.0, learning_rate=0.1, **{library.rounds: 40}).fit(X, y)
    raw = 1 / (1 + np.exp(-model.decision_function(X)))
    recovered = model.predict_proba(X)[:, 1]
    assert np.abs(recovered - true).mean() < 0.035
    assert np.abs(raw - true).mean() > 2.5 * np.abs(recovered - true).mean()


@pytest.mark.parametrize("alpha", [[0.5, 1.0, 4.0], {0: 0.5, 2: 4.0}, np.array([1.0, 2.0, 8.0])], ids=str)
def test_alpha_takes_a_vector_or_a_dict_and_only_its_proportions_count(library, alpha):
    X, y = table(3, n=250)
    model = library.make(alpha=alpha).fit(X, y)
    reference = library.make(alpha=(0.5, 1.0, 4.0)).fit(X, y)
    np.testing.assert_allclose(model.predict_proba(X), reference.predict_proba(X), atol=1e-5)
    assert np.isclose(model.alpha_[y].mean(), 1.0)


def test_alpha_is_the_linear_estimators_alpha(library):
    X, y = table(3, n=250)
    for alpha in ("balanced", "power:0.25", "effective:0.99", {1: 3.0}):
        model = library.make(alpha=alpha).fit(X, y)
        np.testing.assert_allclose(model.alpha_, FocalClassifier(alpha=alpha, max_iter=5000).fit(X, y).alpha_)
    X, y = table(2, n=250)
    pair = library.make(alpha=0.8).fit(X, y).alpha_
    assert np.isclose(pair[1] / pair[0], 4)


def test_alpha_equals_the_same_weights_given_per_sample(library):
    X, y = table(3, n=250)
    by_alpha = library.make(alpha="balanced", gamma=1.0).fit(X, y)
    by_weight = library.make(gamma=1.0).fit(X, y, sample_weight=by_alpha.alpha_[y])
    if library.name == "catboost":  # its bootstrap sees sample weights
        return
    np.testing.assert_allclose(by_alpha.decision_function(X), by_weight.decision_function(X), atol=0.05)


def test_sample_weights_count(library):
    X, y = table(2, n=300)
    light = library.make().fit(X, y, sample_weight=np.where(y == 1, 0.1, 1.0))
    heavy = library.make().fit(X, y, sample_weight=np.where(y == 1, 10.0, 1.0))
    assert heavy.predict_proba(X)[:, 1].mean() > light.predict_proba(X)[:, 1].mean() + 0.2


def test_early_stopping_goes_by_the_recovered_log_loss(library):
    X, y = table(3, n=500)
    names = NAMES["text"][y]
    stop = {"early_stopping_rounds": 3}
    model = library.make(gamma=2.0, learning_rate=0.5, **{library.rounds: 300}, **stop)
    if library.name == "lightgbm":
        model.fit(X[:300], names[:300], eval_set=[(X[300:], names[300:])])
        best, held = model.best_iteration_ - 1, model.evals_result_["valid_0"]["recovered_log_loss"]
    elif library.name == "xgboost":
        model.fit(X[:300], names[:300], eval_set=[(X[300:], names[300:])])
        best, held = model.best_iteration, model.evals_result()["validation_0"]["recovered_log_loss"]
    else:
        model.fit(X[:300], names[:300], eval_set=(X[300:], names[300:]))
        best, held = model.best_iteration_, model.evals_result_["validation"]["recovered_log_loss"]
    assert best == int(np.argmin(held)) < 100
    assert len(held) <= best + 5
    of_true = model.predict_proba(X[300:])[np.arange(200), y[300:]]
    assert np.isclose(-np.log(of_true).mean(), held[best], rtol=1e-5)


def test_early_stopping_by_average_precision_keeps_the_largest(library):
    X, y = table(2, n=600)
    metric = "macro_average_precision"
    if library.name == "lightgbm":
        model = library.make(early_stopping_rounds=4, learning_rate=0.5, n_estimators=200)
        model.fit(X[:300], y[:300], eval_set=[(X[300:], y[300:])], eval_metric=metric)
        best, held = model.best_iteration_ - 1, model.evals_result_["valid_0"][metric]
    else:
        params = {"early_stopping_rounds": 4, "learning_rate": 0.5, library.rounds: 200, "eval_metric": metric}
        model = library.make(**params).fit(X[:300], y[:300], eval_set=[(X[300:], y[300:])])
        best = model.best_iteration if library.name == "xgboost" else model.best_iteration_
        result = model.evals_result() if library.name == "xgboost" else model.evals_result_
        held = next(iter(result.values() if library.name == "xgboost" else [result["validation"]]))[metric]
    assert best == int(np.argmax(held)) < 150


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("kind", ["text", "negative", "object"])
def test_it_survives_pickle_copy_and_the_librarys_own_format(library, n_classes, kind, tmp_path):
    X, y = table(n_classes, n=250)
    model = library.make(gamma=1.5, alpha="sqrt").fit(X, NAMES[kind][y])
    loaded = library.estimator()

    path = str(tmp_path / f"model.{library.suffix}")
    model.save_model(path)
    loaded.load_model(path)
    for twin in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model), loaded):
        np.testing.assert_array_equal(twin.predict_proba(X), model.predict_proba(X))
        np.testing.assert_array_equal(twin.predict(X), model.predict(X))
        assert (twin.classes_ == model.classes_).all()
        assert twin.focal_ == model.focal_
        assert twin.gamma == 1.5
        np.testing.assert_array_equal(twin.alpha_, model.alpha_)


def test_a_model_file_of_the_parent_is_refused(library, tmp_path):
    X, y = table(2, n=100)
    path = str(tmp_path / f"model.{library.suffix}")
    parent = library.parent(**library.quick).fit(X, y)
    parent.booster_.save_model(path) if library.name == "lightgbm" else parent.save_model(path)
    with pytest.raises(InputError, match="model file must be one that a focalkit estimator saved"):
        library.estimator().load_model(path)


def test_it_clones_and_shows_all_parameters(library):
    model = library.make(gamma=1.5, alpha={0: 1.0, 1: 2.0}, hessian="clipped")
    params = model.get_params()
    assert params["gamma"] == 1.5
    assert params["alpha"] == {0: 1.0, 1: 2.0}
    assert params["hessian"] == "clipped"
    assert {key: params[key] for key in library.quick} == library.quick
    twin = clone(model)
    assert twin.get_params() == params
    X, y = table(2, n=100)
    fitted = twin.fit(X, y)
    assert fitted.get_params() == params
    again = fitted.set_params(gamma=0.0, alpha=None).fit(X, y)
    reference = clone(model).set_params(gamma=0.0, alpha=None).fit(X, y)
    np.testing.assert_array_equal(again.predict_proba(X), reference.predict_proba(X))


def test_it_works_within_scikit_learn(library):
    X, y = table(2, n=200)
    names = NAMES["text"][y]
    assert cross_val_score(make_pipeline(StandardScaler(), library.make()), X, names, cv=2).mean() > 0.7
    search = GridSearchCV(library.make(), {"gamma": [0.0, 2.0], "alpha": [None, "balanced"]}, cv=2).fit(X, names)
    assert search.best_estimator_.gamma in (0.0, 2.0)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_tune_takes_it(library, n_classes):
    X, y = table(n_classes, n=240)
    quick = {library.rounds: 4}
    result = tune(
        library.make(**quick), X, NAMES["text"][y], alphas=["balanced"], gammas=[2.0], n_splits=2, n_repeats=1
    )
    assert np.isfinite(result.scores).all()
    split = result.folds.splits[0]
    cell = next(i for i, cell in enumerate(result.cells) if cell.gamma == 2.0 and cell.alpha == "balanced")
    by_hand = library.make(**quick, gamma=2.0, alpha="balanced").fit(X[split.train], y[split.train])
    recall = [np.mean(by_hand.predict(X[split.test])[y[split.test] == k] == k) for k in range(n_classes)]
    assert np.isclose(result.scores[cell, 0, 0], np.mean(recall))


def test_data_frames_and_missing_values_are_taken(library):
    X, y = table(2, n=250)
    X[::7, 1] = np.nan
    frame = pd.DataFrame(X, columns=list("abcde"))
    by_frame = library.make().fit(frame, pd.Series(y))
    by_array = library.make().fit(X, y)
    np.testing.assert_allclose(by_frame.predict_proba(frame), by_array.predict_proba(X))


def test_the_hessians_differ_and_all_learn(library):
    X, y = table(2, n=400)
    scores = {}
    for hessian in ("majorizer", "clipped", "exact"):
        model = library.make(hessian=hessian, gamma=2.0).fit(X, y)
        scores[hessian] = model.decision_function(X)
        assert model.score(X, y) > 0.8
    assert not np.allclose(scores["majorizer"], scores["clipped"])


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"gamma": -1.0}, "gamma must be a number in"),
        ({"gamma": "high"}, "gamma must be a number in"),
        ({"alpha": "none such"}, "alpha must be"),
        ({"alpha": [1.0, 2.0]}, "alpha must be a number or have one entry for each of the 3 classes"),
        ({"alpha": {7: 1.0}}, "alpha must name classes out of"),
        ({"alpha": 0.5}, "alpha must be a vector for 3 classes"),
        ({"hessian": "none such"}, "hessian must be one of"),
    ],
)
def test_bad_parameters_are_refused_with_the_way_out(library, params, message):
    X, y = table(3, n=60)
    with pytest.raises(InputError, match=message):
        library.make(**params).fit(X, y)


def test_hostile_labels_and_weights_are_refused(library):
    X, y = table(2, n=60)
    bad = {
        "at least two classes": (X, np.ones(60), None),
        "Unknown label type|continuous": (X, np.linspace(0, 1, 60), None),
        "NaN": (X, np.where(y, np.nan, 0.0), None),
        "sample_weight must lie in": (X, y, np.full(60, -1.0)),
        "sample_weight must have shape": (X, y, np.ones(59)),
        "zero": (X, y, np.zeros(60)),
    }
    for message, (features, labels, weight) in bad.items():
        with warnings.catch_warnings(), pytest.raises(ValueError, match=message):
            library.make().fit(features, labels, sample_weight=weight)
    with pytest.raises(ValueError, match="eval_set\\[0\\] must have labels out of"):
        library.make().fit(X, y, eval_set=[(X, y + 1)])


@pytest.mark.parametrize("name", ["scale_pos_weight"])
def test_rival_class_weights_are_refused(library, name):
    X, y = table(2, n=60)
    with pytest.raises(InputError, match=f"{name} must be left alone"):
        library.make(**{name: 3.0}).fit(X, y)


def test_the_estimators_are_what_the_package_shows():
    assert {library.estimator for library in LIBRARIES} == {
        FocalXGBClassifier,
        FocalLGBMClassifier,
        FocalCatBoostClassifier,
    }
    assert FocalObjective.__doc__
