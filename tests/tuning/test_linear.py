"""The linear model without scikit-learn's pipeline: the same figures, the same folds, and nothing of it loaded."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from scipy import stats
from sklearn.model_selection import StratifiedKFold

from focalkit import InputError
from focalkit.cli.problem import ESTIMATORS
from focalkit.tuning import tune
from focalkit.tuning.estimators import NAMES, preparation
from focalkit.tuning.folds import dealt_out
from focalkit.tuning.linear import LinearTable, Preparation
from focalkit.tuning.student import t_below, t_quantile


def _table(n_classes: int = 2, *, gaps: bool = False) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    y = rng.choice(n_classes, 300, p=np.array([0.9, 0.1] if n_classes == 2 else [0.6, 0.3, 0.1]))
    X = rng.normal(size=(300, 5)) * [1, 30, 0.01, 5, 1] + y[:, None] * [1, 20, 0, 3, 0] + [0, 1e3, 0, -7, 0]
    X[:, 4] = 3.7  # constant
    if gaps:
        X[rng.random(X.shape) < 0.1] = np.nan
        X[:, 2] = np.nan
    return X, y


@pytest.mark.parametrize("gaps", [False, True])
def test_rows_are_prepared_as_by_the_pipeline_that_a_script_makes(gaps: bool) -> None:
    X, _ = _table(gaps=gaps)
    theirs = preparation(5, missing=gaps).fit(X[:200])
    np.testing.assert_allclose(Preparation.of(X[:200])(X[200:]), theirs.transform(X[200:]), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_every_figure_is_that_of_the_pipeline(n_classes: int, gaps: bool, weighted: bool) -> None:
    X, y = _table(n_classes, gaps=gaps)
    table = LinearTable(5, gaps, C=2.0)
    options = {"gammas": (0.0, 2.0), "keep_hardest": (0.5,), "n_splits": 3, "n_repeats": 1}
    if weighted:
        options["sample_weight"] = np.random.default_rng(0).uniform(0.5, 2, len(y))
    ours, theirs = tune(table, X, y, **options), tune(table.made(), X, y, **options)
    assert ours.cells == theirs.cells
    assert ours.estimator == theirs.estimator
    np.testing.assert_allclose(ours.column("log_loss"), theirs.column("log_loss"), rtol=1e-5)
    np.testing.assert_allclose(ours.scores, theirs.scores, atol=0.01)


@pytest.mark.parametrize("rivals", ["undersample", ("undersample",)])
def test_rivals_are_trained_by_the_pipeline_also_where_the_table_is_of_numbers(rivals: object) -> None:
    X, y = _table()
    options = {"gammas": (0.0,), "keep_hardest": (), "n_splits": 3, "n_repeats": 1, "rivals": rivals}
    ours, theirs = tune(LinearTable(5), X, y, **options), tune(LinearTable(5).made(), X, y, **options)
    assert "undersample" in {cell.family for cell in ours.cells}
    np.testing.assert_array_equal(ours.scores, theirs.scores)


def test_what_is_not_finite_is_refused_before_any_fit() -> None:
    X, y = _table()
    X[7, 1] = np.inf
    with pytest.raises(InputError, match="X must hold finite numbers; got NaN or inf in row 7"):
        tune(LinearTable(5), X, y)
    X[7, 1] = np.nan
    with pytest.raises(InputError, match="row 7"):
        tune(LinearTable(5, missing=False), X, y)


@pytest.mark.parametrize("n_splits", [2, 5])
def test_folds_are_dealt_as_scikit_learn_deals_them(n_splits: int) -> None:
    rng = np.random.default_rng(n_splits)
    for n_classes in (2, 3, 7):
        labels = rng.permutation(np.concatenate([np.arange(n_classes).repeat(n_splits), rng.integers(0, 3, 90)]))
        theirs = StratifiedKFold(n_splits, shuffle=True, random_state=np.random.RandomState([1, 2]))
        ours = dealt_out(labels, n_splits, np.random.RandomState([1, 2]))
        for fold, (_, test) in enumerate(theirs.split(labels, labels)):
            np.testing.assert_array_equal(np.flatnonzero(ours == fold), test)


@pytest.mark.parametrize("freedom", [1, 2, 4, 24, 999])
def test_students_t_is_scipys(freedom: int) -> None:
    for bound in (-400.0, -40.0, -2.0, -1e-3, 0.0, 0.3, 5.0, 1e5, float("inf")):
        assert t_below(bound, freedom) == pytest.approx(stats.t.cdf(bound, freedom), rel=1e-12)
    for p in (0.0, 1e-6, 0.3, 0.5, 0.975, 0.9999):
        assert stats.t.cdf(t_quantile(p, freedom), freedom) == pytest.approx(p, rel=1e-9, abs=1e-12)


def test_the_command_line_names_every_estimator() -> None:
    assert ESTIMATORS == NAMES


def test_tuning_a_table_of_numbers_loads_neither_scikit_learn_nor_pandas(tmp_path) -> None:
    X, y = _table()
    path = tmp_path / "table.csv"
    np.savetxt(path, np.column_stack([X, y]), delimiter=",", header="a,b,c,d,e,y", comments="")
    code = (
        "import sys\n"
        "from focalkit.cli import main\n"
        f"main(['tune', {str(path)!r}, '--repeats', '1', '--jobs', '1', '--quiet'], standalone_mode=False)\n"
        "print(sorted({'sklearn', 'pandas', 'joblib', 'scipy'} & set(sys.modules)), file=sys.stderr)\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Do:" in ran.stdout
    assert ran.stderr.strip().splitlines()[-1] == "[]"
