"""Rivals that change the training rows: what they train on, and that their probabilities are undone."""

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from focalkit import InputError
from focalkit.estimator import FocalClassifier
from focalkit.tuning import Cell, OutOfFold, judge_all, tune
from focalkit.tuning.classifiers import classifier_trainer
from focalkit.tuning.resampling import ADJUSTED, N_MEMBERS, RIVALS, fit_rival
from focalkit.tuning.trainers import Data, EstimatorTrainer

SMALL = {"alphas": [None], "gammas": [0.0], "keep_hardest": [], "n_splits": 3, "n_repeats": 1}


def made(n=6000, seed=0, classes=2):
    """A well specified model: of two classes its log-odds are linear in x."""
    rng = np.random.default_rng(seed)
    sizes = [0.9, 0.1] if classes == 2 else [0.8, 0.15, 0.05]
    y = rng.choice(classes, n, p=sizes)
    return rng.normal(size=(n, 2)) + 1.2 * np.eye(max(classes, 2))[y][:, :2] * (y > 0)[:, None], y


@pytest.mark.parametrize("rival", RIVALS)
@pytest.mark.parametrize("classes", [2, 3])
def test_every_rival_trains_on_as_many_rows_of_each_class(rival, classes):
    pytest.importorskip("imblearn")
    X, y = made(600, classes=classes)
    seen = []

    def fit(X, y, weight):
        seen.append(np.bincount(y))
        return LogisticRegression().fit(X, y)

    members, tilt = fit_rival(fit, rival, X, y, None, classes, 0)
    assert len(members) == len(seen) == (N_MEMBERS if rival in ("bagging", "self-paced") else 1)
    for counts in seen:
        assert len(set(counts.tolist())) == 1
    least, most = np.bincount(y).min(), np.bincount(y).max()
    assert seen[0][0] == (most if rival in ("oversample", "smote") else least)
    np.testing.assert_allclose(tilt * np.bincount(y) / len(y), 1 / classes)


@pytest.mark.parametrize("rival", ["undersample", "oversample", "bagging"])
@pytest.mark.parametrize("kind", ["focal", "own"])
def test_undone_probabilities_are_those_of_the_plain_model_where_that_is_well_specified(rival, kind):
    X, y = made()
    trainer = (
        EstimatorTrainer(FocalClassifier(C=10)) if kind == "focal" else classifier_trainer(LogisticRegression(), 0)
    )
    train, test = np.arange(4000), np.arange(4000, 6000)
    found = dict(trainer.predictions(Data(X, y, 2), [Cell(), Cell(resample=rival)], train, test))
    plain, other = found[Cell()], found[Cell(resample=rival)]
    assert np.abs(other.posterior[:, 1] - plain.posterior[:, 1]).mean() < 0.015
    assert other.posterior[:, 1].mean() == pytest.approx(y[train].mean(), abs=0.02)
    assert other.decisions.mean() > 2 * plain.decisions.mean()


def test_the_rivals_are_families_of_their_own_with_a_cut_off_for_the_goal():
    pytest.importorskip("imblearn")
    X, y = made(600)
    found = tune(make_pipeline(StandardScaler(), FocalClassifier()), X, y, **SMALL, rivals="all")
    assert {cell.family for cell in found.cells} == {"CE", "CE + shift", ADJUSTED, *RIVALS}
    for rival in RIVALS:
        assert [cell.tau for cell in found.cells if cell.resample == rival] == [None, "chosen"]
    assert np.isfinite(found.scores).all()
    names = " ".join(v.recommended.family for v in judge_all(found))
    assert names
    again = tune(make_pipeline(StandardScaler(), FocalClassifier()), X, y, **SMALL, rivals="all", n_jobs=2)
    assert (again.scores == found.scores).all()


def test_a_forest_is_bagged_behind_its_own_preparation():
    X, y = made(400)
    model = make_pipeline(StandardScaler(), RandomForestClassifier(3, random_state=0))
    found = tune(model, X, y, **SMALL, rivals=["bagging"])
    assert np.isfinite(found.scores[found.index(Cell(resample="bagging"))]).all()


def test_hard_rows_come_sooner_into_the_self_paced_ensemble_than_by_chance():
    X, y = made(2000)
    hard = X[:, 1] > 1.2
    share = []

    def fit(rows, labels, weight):
        of_majority = rows[labels == 0]
        share.append((of_majority[:, 1] > 1.2).mean())
        return LogisticRegression().fit(rows, labels)

    fit_rival(fit, "self-paced", X, y, None, 2, 0)
    assert np.mean(share[1:]) > 1.3 * hard[y == 0].mean()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rivals": ["nope"]}, "rivals must be one of"),
        ({"rivals": ["smote"], "sample_weight": np.ones(300)}, "leave smote out where rows have weights"),
    ],
)
def test_what_cannot_be_resampled_is_refused(change, message):
    pytest.importorskip("imblearn")
    X, y = made(300)
    with pytest.raises(InputError, match=message):
        tune(FocalClassifier(), X, y, **SMALL, **change)


def test_predictions_alone_cannot_be_resampled():
    y = np.arange(100) % 2
    with pytest.raises(InputError, match="where no estimator is trained"):
        tune(OutOfFold(np.full(100, 0.5)), None, y, rivals="undersample")
