import importlib.util
import sys

import numpy as np
import pytest
from sklearn.base import clone

from focalkit import InputError
from focalkit.tuning import tune
from focalkit.tuning.estimators import BOOSTERS, Categories, named_estimator

GRID = {"alphas": ["sqrt"], "gammas": [1.0], "keep_hardest": [], "n_splits": 2, "n_repeats": 1}
HAS_BOOSTING = importlib.util.find_spec("focalkit.boosting") is not None


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.normal(size=(300, 2)), rng.integers(0, 4, 300)])
    y = (X[:, 0] + (X[:, 2] == 3) + 0.3 * rng.normal(size=300) > 1.2).astype(int)
    X[::11, 1] = np.nan
    X[::13, 2] = np.nan
    return X, y


def test_linear_is_the_name_of_the_pipeline(table):
    found = tune("linear", *table, **GRID)
    assert found.estimator == "FocalClassifier"
    assert (tune(named_estimator("linear", 3), *table, **GRID).scores == found.scores).all()


@pytest.mark.skipif(not HAS_BOOSTING, reason="boosting is not here yet")
@pytest.mark.parametrize("name", BOOSTERS)
@pytest.mark.parametrize("categorical", [(), (2,)])
def test_boosters_are_tuned_by_name_with_gaps_and_categories(table, name, categorical):
    pytest.importorskip(name)
    X, y = table
    estimator = named_estimator(name, 3, categorical)
    estimator.set_params(**{("model__" if categorical else "") + "n_estimators": 8})
    found = tune(estimator, X, y, **GRID)
    assert np.isfinite(found.scores).all()
    assert found.estimator == BOOSTERS[name]
    assert (tune(clone(estimator), X, y, **GRID, n_jobs=2).scores == found.scores).all()


def test_a_booster_that_is_not_installed_is_named_with_its_extra(monkeypatch):
    monkeypatch.delitem(sys.modules, "focalkit.boosting.lightgbm", raising=False)
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    with pytest.raises(ModuleNotFoundError, match=r'pip install "focalkit\[lightgbm\]"'):
        named_estimator("lightgbm", 3)


def test_an_unknown_name_is_refused(table):
    with pytest.raises(InputError, match="estimator must be one of 'linear', 'xgboost'"):
        tune("forest", *table, **GRID)


@pytest.mark.parametrize("as_integers", [True, False])
def test_categories_that_were_not_there_in_training_are_missing(as_integers):
    pytest.importorskip("pandas")
    train, test = np.array([[0.5, 0], [1.5, 1], [2.5, np.nan]]), np.array([[0.5, 5], [np.nan, 1]])
    frame = Categories((1,), as_integers=as_integers).fit(train).transform(test)
    codes = frame["f1"] if as_integers else frame["f1"].cat.codes
    assert codes.tolist() == [-1, 1]
    assert frame["f0"].isna().tolist() == [False, True]
