import sys

import numpy as np
import pytest
from sklearn.datasets import make_classification

from focalkit import InputError
from focalkit.estimator import FocalClassifier
from focalkit.tuning import judge, tune
from focalkit.tuning.classifiers import trainer_of
from focalkit.tuning.grid import Grid
from focalkit.tuning.trials import SPACES, draw

pytest.importorskip("optuna")

GRID = {"alphas": [], "gammas": [], "keep_hardest": [0.5], "n_splits": 3, "n_repeats": 1}
X, y = make_classification(300, 5, weights=[0.85], random_state=0)
TRAINER = trainer_of(FocalClassifier())
SURFACE = Grid.checked([], [], [0.5, 0.25], 2)


@pytest.fixture(scope="module")
def result():
    return tune(FocalClassifier(), X, y, **GRID, n_trials=4)


def test_every_family_sees_the_same_draws(result):
    drawn = [
        {cell.params for cell in result.cells if cell.family == family} for family in ("CE", "CE + shift", "focal")
    ]
    assert drawn[0] == drawn[1]
    assert drawn[2] == drawn[0] - {()}
    assert len(drawn[2]) == 4
    assert np.isfinite(result.scores).all()


def test_the_verdict_chooses_among_the_draws_without_the_scoring_fold(result):
    column = result.gain("balanced_accuracy")
    for family in judge(result).families:
        cells = result.of_family(family.family)
        assert family.cell in cells
        assert family.expected.mean <= column[cells].max(axis=0).mean()
    assert any(result.cells[i].params for i in result.of_family("CE"))


def test_searched_cells_are_models_with_those_parameters(result):
    cell = next(cell for cell in result.cells if cell.params and cell.family == "focal" and cell.alpha is None)
    split = result.folds.splits[0]
    model = FocalClassifier(cell.gamma, **dict(cell.params)).fit(X[split.train], y[split.train])
    hit = model.predict(X[split.test]) == y[split.test]
    by_hand = np.mean([hit[y[split.test] == k].mean() for k in (0, 1)])
    assert result.scores[result.index(cell), 0, 0] == pytest.approx(by_hand, abs=0.02)
    assert "C=" in cell.title


def test_draws_are_seeded_and_the_first_of_many_are_those_of_few():
    few, many = draw(TRAINER, SURFACE, 3, None, 5), draw(TRAINER, SURFACE, 9, None, 5)
    assert many[:3] == few
    assert draw(TRAINER, SURFACE, 3, None, 6) != few
    assert len({grid.params for grid in many}) == 9


def test_more_trials_go_on_from_fewer_in_one_journal(result, tmp_path):
    path = tmp_path / "run.jsonl"
    tune(FocalClassifier(), X, y, **GRID, n_trials=2, journal=path)
    assert path.read_bytes().count(b"\n") == 1 + 3 * 3
    twin = tune(FocalClassifier(), X, y, **GRID, n_trials=4, journal=path, n_jobs=2)
    assert path.read_bytes().count(b"\n") == 1 + 5 * 3
    assert twin.cells == result.cells
    assert (twin.scores == result.scores).all()


def test_a_training_function_is_given_the_drawn_parameters():
    seen = set()

    def fit(spec, train, test, rate=None):
        seen.add(rate)
        return np.zeros((len(test), 2))

    def space(trial):
        return {"rate": trial.suggest_float("rate", 0.1, 0.2)}

    tune(fit, X, y, **GRID, n_trials=2, space=space)
    assert None in seen
    assert len(seen) == 3
    assert all(rate is None or 0.1 <= rate <= 0.2 for rate in seen)


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (lambda trial: {"gamma": 1.0}, "leave alpha, gamma and keep_hardest alone"),
        (lambda trial: {"depth": 3}, "name parameters of FocalClassifier"),
    ],
)
def test_a_space_that_does_not_fit_is_refused(space, message):
    with pytest.raises(InputError, match=message):
        tune(FocalClassifier(), X, y, **GRID, n_trials=1, space=space)


def test_without_optuna_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ModuleNotFoundError, match=r'pip install "focalkit\[optuna\]"'):
        tune(FocalClassifier(), X, y, **GRID, n_trials=1)


@pytest.mark.parametrize("name", SPACES)
def test_every_default_space_names_parameters_of_its_estimator(name):
    boosting = pytest.importorskip("focalkit.boosting")
    makers = {"FocalClassifier": FocalClassifier}
    for own in ("FocalXGBClassifier", "FocalLGBMClassifier", "FocalCatBoostClassifier"):
        makers[own.removeprefix("Focal")] = lambda own=own: getattr(boosting, own)()
    (grid,) = draw(trainer_of(makers[name]()), SURFACE, 1, None, 0)
    assert grid.params
