"""RemedyClassifier is what the experiment measured, as one classifier."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from focalkit import InputError, shift_prior
from focalkit.decisions import Cost
from focalkit.estimator import FocalClassifier
from focalkit.tuning import Cell, RemedyClassifier
from focalkit.tuning.classifiers import classifier_trainer
from focalkit.tuning.trainers import Data, EstimatorTrainer

FOCAL = make_pipeline(StandardScaler(), FocalClassifier())
OWN = make_pipeline(StandardScaler(), LogisticRegression())
CELLS = [Cell(), Cell("power:0.5"), Cell(gamma=2.0), Cell("balanced", 2.0), Cell(keep_hardest=0.5)]


@pytest.fixture(scope="module", params=[2, 3])
def data(request):
    return make_classification(
        400, 5, n_informative=4, n_redundant=0, n_classes=request.param, weights=[0.8, 0.15], random_state=0
    )


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("cell", CELLS, ids=lambda c: c.title)
@pytest.mark.parametrize("model", [FOCAL, OWN], ids=["focal", "own"])
def test_its_probabilities_and_decisions_are_those_that_were_measured(data, model, cell, weighted):
    if model is OWN and (cell.gamma or cell.keep_hardest):
        pytest.skip("a loss that it does not have")
    X, y = data
    weight = np.random.default_rng(0).random(len(y)) + 0.5 if weighted else None
    train, test = np.arange(300), np.arange(300, 400)
    trainer = EstimatorTrainer(model) if model is FOCAL else classifier_trainer(model, 0)
    k = y.max() + 1
    # alone, as the class fits it: several cells of a fold come by warm starts
    ((_, measured),) = trainer.predictions(Data(X, y, k, weight), [cell], train, test)
    names = np.array(["a", "b", "c"])
    asked = {"alpha": cell.alpha, "gamma": cell.gamma, "keep_hardest": cell.keep_hardest}
    made = RemedyClassifier(model, **asked)
    made.fit(X[train], names[y[train]], None if weight is None else weight[train])
    np.testing.assert_allclose(made.predict_proba(X[test]), measured.posterior, atol=2e-4)
    assert (made.predict(X[test]) == names[measured.decisions]).mean() > 0.98
    prior = np.bincount(y[train], weights=None if weight is None else weight[train])
    made.set_params(tau=0.7)
    shifted = shift_prior(made.predict_proba(X[test]), prior / prior.sum(), tau=0.7).argmax(axis=1)
    np.testing.assert_array_equal(made.predict(X[test]), names[shifted])


def test_a_cut_off_decides_on_the_probability_of_the_second_class():
    X, y = make_classification(300, weights=[0.9], random_state=1)
    model = RemedyClassifier(LogisticRegression(), alpha="power:1", cutoff=0.2).fit(X, y)
    np.testing.assert_array_equal(model.predict(X), model.predict_proba(X)[:, 1] > 0.2)
    assert model.predict_proba(X)[:, 1].mean() == pytest.approx(y.mean(), abs=0.03)


def test_no_shift_goes_to_a_label_that_is_never_decided_for():
    X, y = make_classification(300, 4, n_informative=3, n_redundant=0, n_classes=3, random_state=1)
    model = RemedyClassifier(LogisticRegression(), tau=2.0, never=[2]).fit(X, y)
    assert set(model.predict(X)) == {0, 1}


def test_it_is_a_classifier_that_can_be_cloned_and_crossvalidated():
    from sklearn.model_selection import cross_val_score

    X, y = make_classification(300, weights=[0.9], random_state=1)
    model = RemedyClassifier(FOCAL, gamma=1.0, alpha="power:0.5", tau=0.5)
    assert clone(model).get_params()["gamma"] == 1.0
    assert np.isfinite(cross_val_score(model, X, y, scoring="balanced_accuracy", cv=3)).all()


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        (GaussianNB(), {"gamma": 2.0}, "take gamma, keep_hardest"),
        (KNeighborsClassifier(), {"alpha": "power:1"}, "take class weights"),
        (GaussianNB(), {"resample": "nope"}, "resample must be one of"),
        (GaussianNB(), {"params": {"depth": 3}}, "params must name parameters of GaussianNB"),
        (GaussianNB(), {"goal": Cost(9.0)}, "goal must be a CostMatrix, a CaseCost or None"),
    ],
)
def test_what_an_estimator_does_not_take_is_refused(model, options, message):
    X, y = make_classification(100, random_state=1)
    with pytest.raises(InputError, match=message):
        RemedyClassifier(model, **options).fit(X, y)
    with pytest.raises(InputError, match="have at least two classes"):
        RemedyClassifier(GaussianNB()).fit(X, np.zeros(100))


def test_costs_that_would_not_count_are_refused():
    X, y = make_classification(100, random_state=1)
    with pytest.raises(InputError, match="costs must be left out; got None"):
        RemedyClassifier(GaussianNB()).fit(X, y).predict(X, np.ones(100))
