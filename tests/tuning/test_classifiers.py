"""Any classifier of scikit-learn's manner is tuned by the weights that it takes."""

import warnings

import numpy as np
import pytest
from sklearn.compose import make_column_transformer
from sklearn.datasets import make_classification
from sklearn.ensemble import (
    BaggingClassifier,
    GradientBoostingClassifier,
    RandomForestClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

from focalkit import InputError
from focalkit.estimator import FocalClassifier
from focalkit.tuning import Cell, OutOfFold, RemedyClassifier, judge, tune
from focalkit.tuning.classifiers import classifier_trainer
from focalkit.tuning.trainers import Data

SMALL = {"alphas": [None, "power:1"], "gammas": [0.0, 2.0], "keep_hardest": [0.5], "n_splits": 3, "n_repeats": 1}


@pytest.fixture(scope="module")
def data():
    return make_classification(300, 5, weights=[0.85], class_sep=0.7, random_state=0)


WAYS = [
    (RandomForestClassifier(5), ("class_weight", "class_weight")),
    (make_pipeline(StandardScaler(), LogisticRegression()), ("class_weight", "logisticregression__class_weight")),
    (GradientBoostingClassifier(n_estimators=5), ("sample_weight", "sample_weight")),
    (make_pipeline(StandardScaler(), GaussianNB()), ("sample_weight", "gaussiannb__sample_weight")),
    (GridSearchCV(LogisticRegression(), {"C": [1.0]}, cv=2), ("class_weight", "estimator__class_weight")),
    (KNeighborsClassifier(), None),
    (
        VotingClassifier(
            [("a", LogisticRegression()), ("b", make_pipeline(StandardScaler(), LogisticRegression()))], voting="soft"
        ),
        ("class_weight", "a__class_weight", "b__logisticregression__class_weight"),
    ),
    (VotingClassifier([("a", LogisticRegression()), ("b", KNeighborsClassifier())], voting="soft"), None),
    (
        StackingClassifier([("a", LogisticRegression())], final_estimator=LogisticRegression(), cv=2),
        ("class_weight", "a__class_weight", "final_estimator__class_weight"),
    ),
    (StackingClassifier([("a", LogisticRegression())], final_estimator=KNeighborsClassifier(), cv=2), None),
]


@pytest.mark.parametrize(("model", "way"), WAYS, ids=lambda w: type(w).__name__)
def test_the_way_that_takes_class_weights_is_found_out(model, way):
    assert classifier_trainer(model, 0).way == way


@pytest.mark.parametrize("model", [model for model, _ in WAYS], ids=lambda m: type(m).__name__)
def test_each_is_tuned_without_gamma_and_with_alpha_where_it_can_be_had(data, model):
    found = tune(model, *data, **SMALL)
    families = {cell.family for cell in found.cells}
    can = classifier_trainer(model, 0).weighs
    assert families == {"CE", "CE + shift"} | ({"α-CE"} if can else set())
    assert np.isfinite(found.scores).all()
    assert any("γ and hard example mining are left out" in str(note) for note in found.notes)
    assert any("α is left out" in str(note) for note in found.notes) == (not can)
    assert judge(found).recommended.family in families


def test_logistic_regression_is_what_the_linear_model_is(data):
    """The same loss and penalty: the same figures by class_weight as by alpha."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = tune(LogisticRegression(C=1.0, tol=1e-8, max_iter=2000), *data, **SMALL)
        ours = tune(FocalClassifier(C=1.0), *data, **SMALL)
    for cell in (Cell(), Cell("power:1"), Cell(tau="chosen"), Cell("power:1", tau="chosen")):
        np.testing.assert_allclose(theirs.scores[theirs.index(cell)], ours.scores[ours.index(cell)], atol=2e-3)


def test_a_class_weight_and_a_sample_weight_of_a_row_are_one_thing(data):
    class ByRows(LogisticRegression):
        """Takes no class weights but those of rows."""

        def __init__(self, C=1.0):
            super().__init__(C=C)

        @classmethod
        def _get_param_names(cls):
            return ["C"]

    by_class = tune(LogisticRegression(), *data, **SMALL)
    by_row = tune(ByRows(), *data, **SMALL)
    assert classifier_trainer(ByRows(), 0).way == ("sample_weight", "sample_weight")
    np.testing.assert_allclose(by_row.scores, by_class.scores, atol=1e-6)


def test_the_result_is_the_same_twice_although_the_model_draws(data):
    first, second = (tune(RandomForestClassifier(5), *data, **SMALL) for _ in range(2))
    assert (first.scores == second.scores).all()


def test_the_users_own_class_weight_is_replaced_and_said_to_be(data):
    plain = tune(LogisticRegression(), *data, **SMALL)
    balanced = tune(LogisticRegression(class_weight="balanced"), *data, **SMALL)
    assert (plain.scores == balanced.scores).all()
    assert any("own class_weight is replaced" in str(note) for note in balanced.notes)


def test_a_frame_with_texts_goes_through_the_users_pipeline(data):
    pandas = pytest.importorskip("pandas")
    X, y = data
    frame = pandas.DataFrame({"a": X[:, 0], "colour": np.where(X[:, 1] > 0, "red", "blue")})
    prepare = make_column_transformer((OneHotEncoder(), ["colour"]), remainder="passthrough")
    model = make_pipeline(prepare, BaggingClassifier(DecisionTreeClassifier(max_depth=2), n_estimators=3))
    found = tune(model, frame, np.where(y, "ill", "well"), **SMALL)
    assert np.isfinite(found.scores).all()


def test_a_model_without_probabilities_and_one_that_cannot_be_trained_are_refused_in_words(data):
    with pytest.raises(InputError, match=r"have predict_proba; got .*LinearSVC"):
        tune(LinearSVC(), *data, **SMALL)
    X = data[0].copy()
    X[0, 0] = np.nan
    with pytest.raises(InputError, match=r"train on these data; got .*ValueError: Input X contains NaN"):
        tune(LogisticRegression(), X, data[1], **SMALL)


def test_out_of_fold_predictions_alone_are_enough_for_what_needs_no_training(data):
    X, y = data
    model = LogisticRegression()
    halves = np.arange(len(y)) % 2 == 0
    p = np.empty(len(y))
    for half in (halves, ~halves):
        p[~half] = model.fit(X[half], y[half]).predict_proba(X[~half])[:, 1]
    found = tune(OutOfFold(p), None, y, n_splits=3, n_repeats=2)
    assert [cell.title for cell in found.cells] == ["plain CE", "CE shifted, τ = 1", "CE shifted, τ chosen"]
    both = tune(OutOfFold(np.column_stack([1 - p, p])), None, y, n_splits=3, n_repeats=2)
    assert (both.scores == found.scores).all()
    verdict = judge(found)
    assert verdict.recommended.family == "CE + shift"
    assert verdict.recommended.gain.mean > 0.02
    with pytest.raises(InputError, match="have one row for each of the 300 labels"):
        tune(OutOfFold(p[:-1]), None, y)


@pytest.mark.parametrize("model", [LogisticRegression(tol=1e-8), GaussianNB()], ids=lambda m: type(m).__name__)
def test_a_row_of_weight_two_is_that_row_twice(data, model):
    X, y = data
    train, test = np.arange(200), np.arange(200, 300)
    twice = np.concatenate([train, train[y[train] == 1]])
    cells = [Cell(), Cell("power:0.5")]
    trainer = classifier_trainer(model, 0)
    weighted = trainer.predictions(Data(X, y, 2, 1.0 + y), cells, train, test)
    repeated = trainer.predictions(Data(X, y, 2), cells, twice, test)
    for (cell, one), (_, other) in zip(weighted, repeated, strict=True):
        np.testing.assert_allclose(one.posterior, other.posterior, atol=1e-6, err_msg=cell.title)
    with pytest.raises(InputError, match="take sample_weight in fit"):
        tune(KNeighborsClassifier(), X, y, **SMALL, sample_weight=1.0 + y)


def test_weights_reach_every_member_before_they_are_undone(data):
    X, y = data
    alike = VotingClassifier([("a", LogisticRegression()), ("b", LogisticRegression())], voting="soft")
    one, two = (RemedyClassifier(model, alpha="balanced").fit(X, y) for model in (LogisticRegression(), alike))
    np.testing.assert_allclose(two.predict_proba(X), one.predict_proba(X), rtol=1e-9)


def test_lists_and_numbers_in_texts_are_features_of_the_linear_model_as_of_others(data):
    X, y = data
    small = {**SMALL, "gammas": [0.0], "keep_hardest": []}
    plain = tune(FocalClassifier(), X, y, **small)
    for features in (X.tolist(), X.astype(str)):
        np.testing.assert_allclose(tune(FocalClassifier(), features, y, **small).scores, plain.scores, atol=1e-9)
    with pytest.raises(InputError, match="Expected 2D array"):
        tune(FocalClassifier(), X[:, 0], y, **small)


def test_what_is_wrong_with_an_estimator_or_a_figure_is_said_in_words(data):
    X, y = data
    for call in (tune, lambda model, *d: RemedyClassifier(model).fit(*d)):
        with pytest.raises(InputError, match="estimator must end in a classifier; got a Pipeline without steps"):
            call(Pipeline(steps=[]), X, y)
    with pytest.raises(NotFittedError):
        RemedyClassifier(FocalClassifier()).predict(X)
    trained = RemedyClassifier(FocalClassifier()).fit(X, y)
    for wrong in (X[:, :1], X[:0], np.full_like(X, np.nan)):
        with pytest.raises(InputError, match=r"estimator must predict for these rows; .* Pass rows as in training\."):
            trained.predict(wrong)
    with pytest.raises(InputError, match="metric must be a number; got inf from"):
        tune(FocalClassifier(), X, y, metric=lambda true, said: np.inf, **SMALL)
