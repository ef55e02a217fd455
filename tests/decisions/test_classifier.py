"""DecisionClassifier is a whole scikit-learn estimator, and its rule is learned on rows its models did not see."""

import pickle

import numpy as np
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import StackingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, GroupKFold, StratifiedKFold, cross_val_predict
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.estimator_checks import parametrize_with_checks

from focalkit import InputError
from focalkit.decisions import Abstain, CaseCost, Cost, DecisionClassifier, decide


def data(n=600, k=2, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.choice(k, n, p=[0.85, 0.15] if k == 2 else [0.7, 0.2, 0.1])
    return rng.normal(size=(n, 3)) + y[:, None], y


# scikit-learn's checks hold that predict is the class of the largest probability: a goal whose rule that is
@parametrize_with_checks(
    [
        DecisionClassifier(GaussianNB(), "accuracy", learned=False, calibrate=None),
        DecisionClassifier(
            LogisticRegression(solver="newton-cholesky"), "accuracy", cv=3, learned=False, calibrate=None
        ),
    ]
)
def test_it_is_an_estimator_of_scikit_learn(estimator, check):
    check(estimator)


def test_it_decides_by_the_rule_and_leaves_probabilities_alone():
    X, y = data()
    model = DecisionClassifier(LogisticRegression(), Cost(fn=9)).fit(X, y)
    plain = LogisticRegression().fit(X, y)
    assert np.array_equal(model.predict_proba(X), plain.predict_proba(X))
    assert np.array_equal(model.predict(X), (plain.predict_proba(X)[:, 1] > model.rule_.cutoff).astype(int))
    report = model.decision_report_
    assert report.cross_fitted
    assert report.figure("cost").after.value < report.figure("cost").before.value


def test_a_model_that_learns_rows_by_heart_is_not_believed():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(400, 5)), (rng.random(400) < 0.3).astype(int)
    tree = DecisionClassifier(DecisionTreeClassifier(random_state=0), "accuracy").fit(X, y)
    assert tree.decision_report_.figure("accuracy").after.value < 0.8


@pytest.mark.parametrize("k", [2, 3])
def test_names_of_classes_come_back(k):
    X, y = data(k=k)
    names = np.array(["ok", "odd", "bad"])[:k]
    model = DecisionClassifier(LogisticRegression(), "macro_f1").fit(X, names[y])
    assert set(model.predict(X)) <= set(names)
    assert model.classes_.tolist() == sorted(names)
    assert model.rule_.classes == tuple(sorted(names))


def test_it_nests_and_pickles():
    X, y = data()
    model = DecisionClassifier(make_pipeline(StandardScaler(), LogisticRegression()), "f1")
    grid = {"goal": ["f1", Cost(fn=9)], "estimator__logisticregression__C": [0.1, 1.0]}
    found = GridSearchCV(model, grid, cv=2, scoring="f1").fit(X, y)
    assert found.best_estimator_.rule_.goal is not None
    again = pickle.loads(pickle.dumps(found.best_estimator_))
    assert np.array_equal(again.predict(X), found.predict(X))
    assert CalibratedClassifierCV(model, cv=2).fit(X, y).predict_proba(X).shape == (600, 2)
    assert StackingClassifier([("a", model)], LogisticRegression(), cv=2).fit(X, y).predict(X).shape == (600,)
    assert clone(model).goal == "f1"


def test_a_prefit_model_and_stored_predictions_serve():
    X, y = data(1200)
    fitted = LogisticRegression().fit(X[:600], y[:600])
    held_out = DecisionClassifier(fitted, Cost(fn=9), cv="prefit").fit(X[600:], y[600:])
    assert held_out.estimator_ is fitted
    stored = cross_val_predict(LogisticRegression(), X, y, cv=StratifiedKFold(5), method="predict_proba")
    for estimator, cv in ((LogisticRegression(), 5), (fitted, "prefit")):
        model = DecisionClassifier(estimator, "mcc", cv=cv).fit(X, y, probabilities=stored)
        assert model.rule_.cutoff == decide(stored, y, "mcc").cutoff
    assert model.estimator_ is fitted
    grouped = DecisionClassifier(fitted, "mcc", cv="prefit").fit(X, y, groups=np.arange(1200) // 3)
    assert len(grouped.decision_report_.fold_rules) == 5


def test_metadata_is_routed():
    X, y = data()
    groups, weight = np.arange(600) // 3, np.random.default_rng(0).random(600) + 0.5
    with config_context(enable_metadata_routing=True):
        inner = LogisticRegression().set_fit_request(sample_weight=True)
        model = DecisionClassifier(inner, "f1", cv=GroupKFold(3)).set_fit_request(sample_weight=True, groups=True)
        model.fit(X, y, sample_weight=weight, groups=groups)
        assert np.allclose(model.estimator_.coef_, LogisticRegression().fit(X, y, weight).coef_)
        model.set_score_request(sample_weight=True)
        grid = GridSearchCV(model, {"goal": ["f1", "mcc"]}, cv=2)
        grid.fit(X, y, sample_weight=weight, groups=groups)
        deaf = DecisionClassifier(DummyClassifier().set_fit_request(sample_weight=False), "accuracy")
        assert deaf.fit(X, y, sample_weight=weight).decision_report_.interval == "jackknife"


def test_costs_of_each_case_are_asked_for():
    X, y = data()
    amounts = np.random.default_rng(0).lognormal(2, 1, 600)
    model = DecisionClassifier(LogisticRegression(), CaseCost(fp=2)).fit(X, y, costs=amounts)
    cheap, dear = model.predict(X, costs=np.full(600, 0.1)), model.predict(X, costs=np.full(600, 1e6))
    assert cheap.sum() < dear.sum()
    with pytest.raises(InputError, match="costs must be given"):
        model.predict(X)


def test_doubtful_cases_are_named_so():
    X, y = data()
    said = DecisionClassifier(LogisticRegression(), Abstain(share=0.1)).fit(X, y).predict(X)
    assert set(said) == {0, 1, "review"}


def test_rare_classes_leave_something_to_learn_from():
    X, y = data(60)
    y[:] = 0
    y[:3] = 1
    model = DecisionClassifier(GaussianNB(), "f1").fit(X, y)
    assert model.decision_report_.n_rows == 60
    y[:2] = 0
    assert DecisionClassifier(GaussianNB(), "accuracy").fit(X, y).predict(X).shape == (60,)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cv": 1}, "cv must be"),
        ({"cv": "often"}, "cv must be"),
        ({"goal": "auc"}, "metric must be"),
        ({"goal": 3}, "goal"),
    ],
)
def test_bad_options_are_refused_at_fit(options, message):
    X, y = data(50)
    with pytest.raises(InputError, match=message):
        DecisionClassifier(GaussianNB(), **options).fit(X, y)


@pytest.mark.parametrize("labels", [(0, 1), (False, True), ("no", "yes")], ids=str)
def test_a_classifier_that_abstains_has_a_score_whatever_the_labels(labels):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 3))
    y = np.asarray(labels)[(X[:, 0] + rng.normal(size=200) > 0).astype(int)]
    model = DecisionClassifier(LogisticRegression(), Abstain(share=0.2)).fit(X, y)
    decided = model.predict(X)
    assert 0 < np.mean(decided == "review") <= 0.2
    assert model.score(X, y) == np.mean([a == b for a, b in zip(decided, y, strict=True)])
    assert model.score(X, y, sample_weight=(decided != "review") * 1.0) > model.score(X, y)
