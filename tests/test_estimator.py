import pickle
import warnings

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_iris, make_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.utils.estimator_checks import parametrize_with_checks

from focalkit import InputError, LossSpec, class_weights, loss_grad_hess
from focalkit.estimator import FocalClassifier
from focalkit.linear_solver.held import joined

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")


@parametrize_with_checks([FocalClassifier(), FocalClassifier(gamma=0.0, alpha="balanced")])
@pytest.mark.filterwarnings("ignore")
def test_every_check_of_scikit_learn_passes(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def skewed():
    X, y = make_classification(
        900, 8, n_informative=5, n_classes=3, weights=[0.8, 0.15, 0.05], class_sep=0.7, random_state=3
    )
    return X * np.geomspace(1e-3, 1e3, 8), y


@pytest.mark.parametrize("C", [0.01, 1.0, 100.0])
def test_cross_entropy_equals_logistic_regression(skewed, C):
    X, y = skewed
    scaled = (X - X.mean(0)) / X.std(0)
    for classes in ([0, 1], [0, 1, 2]):
        keep = np.isin(y, classes)
        theirs = LogisticRegression(C=C, tol=1e-8, max_iter=5000).fit(scaled[keep], y[keep])
        ours = FocalClassifier(gamma=0.0, C=C, tol=1e-8).fit(scaled[keep], y[keep])
        np.testing.assert_allclose(ours.predict_proba(scaled), theirs.predict_proba(scaled), atol=2e-5)


def test_balanced_alpha_equals_balanced_class_weight_of_logistic_regression():
    X, y = load_breast_cancer(return_X_y=True)
    X = (X - X.mean(0)) / X.std(0)
    theirs = LogisticRegression(class_weight="balanced", tol=1e-9, max_iter=5000).fit(X, y)
    ours = FocalClassifier(gamma=0.0, alpha="balanced", tol=1e-8).fit(X, y)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=2e-5)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0, 5.0])
@pytest.mark.parametrize("alpha", [None, "sqrt"])
def test_the_fit_is_a_stationary_point_of_the_documented_risk(skewed, gamma, alpha):
    X, y = skewed
    X = X / X.std(0)
    model = FocalClassifier(gamma=gamma, alpha=alpha, tol=1e-9, max_iter=5000).fit(X, y)
    weight = model.alpha_[y]
    spec = LossSpec(gamma=gamma, reduction="sum")
    _, grad, _ = loss_grad_hess(spec, model.decision_function(X), y, sample_weight=weight, hess=False)
    of_coef = grad.T @ X / weight.sum() + model.coef_ / (model.C * len(y))
    assert np.abs(of_coef).max() < 1e-6
    assert np.abs(grad.sum(0) / weight.sum()).max() < 1e-6


TABLE = [(0.2, 5.0), (0.6, 1.0), (1.0, 3.0)]


@pytest.mark.parametrize(
    "form", [{"gamma": TABLE[::2]}, {"gamma": 0.0, "dft": 0.5}, {"gamma": 0.0, "dft": 1.0}], ids=str
)
@pytest.mark.parametrize("classes", [2, 3])
def test_a_loss_whose_weight_is_held_is_fitted_to_where_its_slopes_end(skewed, form, classes):
    X, y = skewed
    X, y = (X / X.std(0))[y < classes], y[y < classes]
    options = {name: value for name, value in form.items() if name != "gamma"}
    model = FocalClassifier(gamma=form["gamma"], options=options or None, alpha="sqrt", tol=1e-9, max_iter=5000)
    model.fit(X, y)
    logits, weight = model.decision_function(X), model.alpha_[y]
    spec = LossSpec("sigmoid" if classes == 2 else "softmax", reduction="sum", **form)
    grad = loss_grad_hess(spec, logits, y, sample_weight=weight, hess=False).grad.reshape(len(y), -1)
    of_coef = grad.T @ X / weight.sum() + model.coef_ / (model.C * len(y))
    assert np.abs(of_coef).max() < 1e-6
    assert np.abs(grad.sum(0) / weight.sum()).max() < 1e-6


def test_where_gamma_steps_what_is_minimised_does_not():
    p = np.array([0.1, 0.2, 0.2, 0.4, 0.6, 0.6, 0.9]) + np.array([0, -1e-9, 1e-9, 0, -1e-9, 1e-9, 0])
    logits, targets = np.log(p / (1 - p)), np.ones(len(p), np.intp)
    spec = LossSpec("sigmoid", TABLE, reduction="none")
    value = loss_grad_hess(spec, logits, targets, hess=False).loss + joined(spec, logits, targets, None)
    np.testing.assert_allclose(value[[1, 4]], value[[2, 5]], rtol=1e-7)
    assert (np.diff(value[[0, 1, 3, 4, 6]]) < 0).all()
    assert value[-1] == pytest.approx(-(0.1**3) * np.log(0.9))


def test_the_scale_and_offset_of_features_do_not_matter_to_an_unpenalised_fit(skewed):
    X, y = skewed
    plain = FocalClassifier(gamma=1.0, C=1e8, tol=1e-8).fit(X / X.std(0), y)
    moved = FocalClassifier(gamma=1.0, C=1e8, tol=1e-8).fit(X + 50 * X.std(0), y)
    assert (plain.predict(X / X.std(0)) == moved.predict(X + 50 * X.std(0))).mean() > 0.998


def test_dense_and_sparse_features_give_the_same_model(skewed):
    X, y = skewed
    X = np.where(np.abs(X) > np.abs(X).mean(0), X, 0.0)
    dense = FocalClassifier(tol=1e-8).fit(X, y)
    for form in (sparse.csr_matrix, sparse.csr_array, sparse.csc_matrix):
        np.testing.assert_allclose(FocalClassifier(tol=1e-8).fit(form(X), y).coef_, dense.coef_, rtol=1e-4, atol=1e-8)


def test_more_features_than_are_whitened_still_fit():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(80, 1100))
    y = (X[:, 0] > 0).astype(int)
    model = FocalClassifier(gamma=1.0, tol=1e-6).fit(X, y)
    assert model.score(X, y) == 1.0
    twin = FocalClassifier(gamma=1.0, tol=1e-6).fit(X[:, :1000], y)
    assert model.coef_.shape == (1, 1100)
    assert twin.coef_.shape == (1, 1000)


@pytest.mark.parametrize(
    "alpha",
    [[0.5, 1.0, 4.0], {0: 0.5, 1: 1.0, 2: 4.0}, np.array([1.0, 2.0, 8.0])],
    ids=["list", "dict", "proportional array"],
)
def test_alpha_takes_a_vector_or_a_dict_and_only_its_proportions_count(skewed, alpha):
    X, y = skewed
    X = X / X.std(0)
    model = FocalClassifier(alpha=alpha, tol=1e-8).fit(X, y)
    reference = FocalClassifier(alpha=(0.5, 1.0, 4.0), tol=1e-8).fit(X, y)
    np.testing.assert_allclose(model.coef_, reference.coef_, rtol=1e-6, atol=1e-9)
    assert np.isclose((model.alpha_[y]).mean(), 1.0)


def test_a_number_as_alpha_weighs_the_second_of_two_classes():
    X, y = load_breast_cancer(return_X_y=True)
    model = FocalClassifier(alpha=0.8).fit(X, y)
    assert np.isclose(model.alpha_[1] / model.alpha_[0], 4.0)


def test_a_scheme_uses_the_training_counts(skewed):
    X, y = skewed
    model = FocalClassifier(alpha="power:0.5").fit(X / X.std(0), y)
    np.testing.assert_allclose(model.alpha_, class_weights(np.bincount(y), "power", beta=0.5))


@pytest.mark.parametrize("gamma", [0.5, 2.0, 5.0])
def test_predict_agrees_with_predict_proba(skewed, gamma):
    X, y = skewed
    for classes in ([0, 1], [0, 1, 2]):
        keep = np.isin(y, classes)
        model = FocalClassifier(gamma=gamma, alpha="balanced").fit(X[keep], np.array(["a", "b", "c"])[y[keep]])
        proba = model.predict_proba(X)
        assert (model.classes_[proba.argmax(1)] == model.predict(X)).all()
        np.testing.assert_allclose(proba.sum(1), 1)


def test_predict_proba_undoes_the_distortion_of_gamma():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(40_000, 2))
    true = 1 / (1 + np.exp(-(1.5 * X[:, 0] - X[:, 1] - 2)))
    y = (rng.random(len(X)) < true).astype(int)
    model = FocalClassifier(gamma=3.0, C=1e6).fit(X, y)
    squashed = 1 / (1 + np.exp(-model.decision_function(X)))
    recovered = model.predict_proba(X)[:, 1]
    assert np.abs(recovered - true).mean() < 0.012
    assert np.abs(squashed - true).mean() > 3 * np.abs(recovered - true).mean()


def test_dividing_by_alpha_gives_the_populations_own_posterior():
    rng = np.random.default_rng(2)
    X = rng.normal(size=(40_000, 1))
    true = 1 / (1 + np.exp(-(2 * X[:, 0] - 3)))
    y = (rng.random(len(X)) < true).astype(int)
    model = FocalClassifier(gamma=2.0, alpha="balanced", C=1e6).fit(X, y)
    p = model.predict_proba(X) / model.alpha_
    p /= p.sum(axis=1, keepdims=True)
    assert np.abs(p[:, 1] - true).mean() < 0.02
    assert np.abs(model.predict_proba(X)[:, 1] - true).mean() > 0.1


def test_warm_start_begins_where_the_last_fit_ended(skewed):
    X, y = skewed
    X = X / X.std(0)
    model = FocalClassifier(gamma=1.0, warm_start=True).fit(X, y)
    first = model.n_iter_
    again = model.fit(X, y).n_iter_
    assert again < max(first / 4, 3)


def test_mining_trains_on_the_largest_losses_only(skewed):
    X, y = skewed
    X = X / X.std(0)
    model = FocalClassifier(gamma=0.0, keep_hardest=0.3, C=1e4).fit(X, y)
    whole = FocalClassifier(gamma=0.0, C=1e4).fit(X, y)
    spec = LossSpec(keep_hardest=0.3)
    mined = loss_grad_hess(spec, model.decision_function(X), y).loss
    assert mined < loss_grad_hess(spec, whole.decision_function(X), y).loss


def test_it_clones_and_pickles(skewed):
    X, y = skewed
    model = FocalClassifier(gamma=1.5, alpha={0: 1, 1: 2, 2: 3}).fit(X, y)
    assert clone(model).get_params() == model.get_params()
    assert (pickle.loads(pickle.dumps(model)).predict_proba(X) == model.predict_proba(X)).all()


def test_too_few_iterations_warn():
    X, y = load_iris(return_X_y=True)
    with pytest.warns(ConvergenceWarning, match="max_iter=2"):
        FocalClassifier(max_iter=2).fit(X, y)


def test_no_intercept_is_no_intercept(skewed):
    X, y = skewed
    X = X / X.std(0)
    model = FocalClassifier(fit_intercept=False).fit(X, y)
    assert (model.intercept_ == 0).all()
    theirs = LogisticRegression(fit_intercept=False, tol=1e-8, max_iter=5000).fit(X, y)
    ours = FocalClassifier(gamma=0.0, fit_intercept=False, tol=1e-8).fit(X, y)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=2e-5)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"gamma": -1.0}, "gamma must be a number in"),
        ({"C": 0.0}, "C must be a number in"),
        ({"alpha": "none such"}, "alpha must be none, inverse"),
        ({"alpha": [1.0, 2.0]}, "alpha must be a number or have one entry for each of the 3 classes"),
        ({"alpha": {7: 1.0}}, "alpha must name classes out of"),
        ({"alpha": 0.5}, "alpha must be a vector for 3 classes"),
        ({"alpha": "power:x"}, "alpha must be a scheme with a number"),
        ({"keep_hardest": 0.0}, "keep_hardest must be"),
    ],
)
def test_bad_parameters_are_refused_with_the_way_out(skewed, parameters, message):
    X, y = skewed
    with warnings.catch_warnings(), pytest.raises(InputError, match=message):
        FocalClassifier(**parameters).fit(X, y)


def test_a_single_class_is_refused():
    with pytest.raises(InputError, match="at least two classes"):
        FocalClassifier().fit(np.zeros((4, 1)), np.ones(4))


@pytest.mark.parametrize("classes", [2, 4])
def test_logit_adjustment_with_an_intercept_is_the_plain_fit_with_another_intercept(classes):
    rng = np.random.default_rng(0)
    y = rng.choice(classes, 400, p=np.arange(1, classes + 1) / sum(range(1, classes + 1)))
    X = rng.normal(size=(400, 3)) + y[:, None]
    plain = FocalClassifier(gamma=1.0, alpha="sqrt").fit(X, y)
    adjusted = FocalClassifier(gamma=1.0, alpha="sqrt", logit_adjustment=1.0).fit(X, y)
    np.testing.assert_array_equal(adjusted.coef_, plain.coef_)
    prior = np.log(np.bincount(y) / len(y))
    shift = prior[1:] - prior[:1] if classes == 2 else prior - prior.mean()
    np.testing.assert_allclose(adjusted.intercept_, plain.intercept_ - shift, rtol=1e-12)
    np.testing.assert_allclose(adjusted.predict_proba(X), plain.predict_proba(X), rtol=1e-9)
    without = FocalClassifier(gamma=0.0, logit_adjustment=1.0, fit_intercept=False, tol=1e-7).fit(X, y)
    assert (
        np.abs(without.coef_ - FocalClassifier(gamma=0.0, fit_intercept=False, tol=1e-7).fit(X, y).coef_).max() > 0.01
    )
    again = FocalClassifier(gamma=1.0, alpha="sqrt", logit_adjustment=1.0, warm_start=True).fit(X, y)
    assert again.fit(X, y).n_iter_ <= 2
