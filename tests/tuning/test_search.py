import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from focalkit import InputError, recover_posterior, shift_prior
from focalkit.estimator import FocalClassifier
from focalkit.tuning import Cell, judge_all, tune
from focalkit.tuning.scores import NAMES, score

GRID = {"alphas": [None, "power:1"], "gammas": [0.0, 2.0], "keep_hardest": [0.5], "n_splits": 3, "n_repeats": 2}


@pytest.fixture(scope="module")
def data():
    X, y = make_classification(360, 5, n_classes=2, weights=[0.88], class_sep=0.8, random_state=0)
    return X, np.array(["no", "yes"])[y]


@pytest.fixture(scope="module")
def result(data):
    return tune(make_pipeline(StandardScaler(), FocalClassifier()), *data, **GRID)


def test_every_cell_is_scored_in_every_fold(result):
    assert result.scores.shape == (len(result.cells), 6, len(NAMES))
    assert np.isfinite(result.scores).all()
    assert result.finished
    families = {cell.family for cell in result.cells}
    assert families == {"CE", "CE + shift", "α-CE", "focal", "OHEM"}


def test_scores_are_those_of_models_fitted_by_hand(data, result):
    X, y = data
    targets = (y == "yes").astype(int)
    split = result.folds.splits[4]
    for cell in (Cell(), Cell("power:1"), Cell("power:1", 2.0), Cell(None, 2.0)):
        model = make_pipeline(StandardScaler(), FocalClassifier(cell.gamma, cell.alpha, tol=1e-7))
        model.fit(X[split.train], targets[split.train])
        posterior = model.predict_proba(X[split.test]) / model[-1].alpha_
        posterior /= posterior.sum(1, keepdims=True)
        by_hand = score(targets[split.test], model.predict(X[split.test]), posterior, np.bincount(targets[split.train]))
        np.testing.assert_allclose(result.scores[result.index(cell), 4], by_hand, rtol=2e-2, atol=1e-3)


def test_the_posterior_that_is_scored_undoes_alpha_and_gamma():
    X, y = make_classification(4000, 4, weights=[0.9], random_state=1)
    model = FocalClassifier(gamma=2.0, alpha="balanced").fit(X, y)
    p = 1 / (1 + np.exp(-model.decision_function(X)))
    ours = model.predict_proba(X) / model.alpha_
    ours /= ours.sum(1, keepdims=True)
    direct = recover_posterior(np.column_stack([1 - p, p]), 2.0, model.alpha_)
    np.testing.assert_allclose(ours, direct, atol=1e-10)


def test_shifted_decisions_are_plain_cross_entropys_with_the_prior_divided_out(data, result):
    X, y = data
    targets = (y == "yes").astype(int)
    split = result.folds.splits[0]
    model = make_pipeline(StandardScaler(), FocalClassifier(0.0, tol=1e-7)).fit(X[split.train], targets[split.train])
    prior = np.bincount(targets[split.train]) / len(split.train)
    shifted = shift_prior(model.predict_proba(X[split.test]), prior, 1.0).argmax(1)
    expected = [np.mean(shifted[targets[split.test] == k] == k) for k in (0, 1)]
    assert result.scores[result.index(Cell(tau=1.0)), 0, 0] == pytest.approx(np.mean(expected), abs=1e-6)


def test_shifting_leaves_ranking_and_probabilities_as_they_are(result):
    for name in ("average_precision", "log_loss", "calibration_error"):
        column = result.column(name)
        for tau in (1.0, "chosen"):
            assert (column[result.index(Cell(tau=tau))] == column[result.index(Cell())]).all()


def test_any_number_of_jobs_gives_the_same_bits(data, result):
    twin = tune(make_pipeline(StandardScaler(), FocalClassifier()), *data, **GRID, n_jobs=2)
    assert (twin.scores == result.scores).all()
    assert (twin.taus == result.taus).all()
    assert (twin.ce_logits == result.ce_logits).all()


def test_another_seed_gives_other_folds(data, result):
    twin = tune(make_pipeline(StandardScaler(), FocalClassifier()), *data, **GRID, seed=1)
    assert (twin.scores != result.scores).any()


def test_plain_cross_entropys_logits_cover_every_row_once(data, result):
    assert sorted(result.ce_rows) == list(range(len(data[1])))
    assert result.ce_logits.shape == (len(data[1]), 1)


def test_an_interrupt_leaves_the_finished_folds_usable(data):
    def stop(state):
        if state.done == 4:
            raise KeyboardInterrupt

    cut = tune(make_pipeline(StandardScaler(), FocalClassifier()), *data, **GRID, progress=stop)
    assert not cut.finished
    assert cut.scores.shape[1] == 4
    assert "Interrupted: 4 of 6 folds" in cut.notes[-1]
    assert len(judge_all(cut)) == 3


def test_an_interrupt_before_two_folds_is_an_interrupt(data):
    def stop(state):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tune(FocalClassifier(), *data, **GRID, progress=stop)


def test_cross_entropy_is_in_the_grid_even_if_it_was_not_asked_for(data):
    found = tune(FocalClassifier(), *data, alphas=["balanced"], gammas=[1.0], keep_hardest=[], n_splits=2, n_repeats=1)
    assert found.alphas == (None, "balanced")
    assert found.gammas == (0.0, 1.0)
    assert Cell() in found.cells


def test_a_users_own_classifier_with_alpha_and_gamma_is_tuned(data):
    class Own(LogisticRegression):
        def __init__(self, alpha=None, gamma=0.0):
            super().__init__()
            self.alpha = alpha
            self.gamma = gamma

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = tune(Own(), *data, alphas=["balanced"], gammas=[1.0], n_splits=2, n_repeats=1)
    assert np.isfinite(found.scores).all()
    assert "OHEM" not in {cell.family for cell in found.cells}


def test_rows_of_a_group_stay_together(data):
    X, y = data
    groups = np.arange(len(y)) // 4
    found = tune(FocalClassifier(), X, y, **GRID, groups=groups)
    for split in found.folds.splits:
        assert not set(groups[split.train]) & set(groups[split.test])


def small(X, y, **options):
    return tune(
        options.pop("estimator", LogisticRegression()),
        X, y, **{"alphas": [None], "gammas": [0.0], "keep_hardest": [], "n_splits": 2, "n_repeats": 1, **options},
    )  # fmt: skip


def test_equal_rows_stay_in_one_fold_in_whatever_form_they_are_given():
    sparse, pandas = pytest.importorskip("scipy.sparse"), pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    X = np.tile(np.where(rng.random((30, 80)) < 0.9, rng.integers(1, 9, (30, 80)), 0).astype(float), (2, 1))
    X[30:, 79] += np.arange(30) % 2  # what differs stands behind all that a short text of the row would show
    y = np.tile(np.arange(30) % 2, 2)
    forms = [X, X.tolist(), pandas.DataFrame(X), sparse.csr_matrix(X), sparse.csr_array(X), sparse.coo_matrix(X)]
    for form in forms:
        found = small(form, y)
        assert "15 of 60 rows" in " ".join(map(str, found.notes))
        for split in found.folds.splits:
            assert not set(map(bytes, X[split.train])) & set(map(bytes, X[split.test]))


def test_equal_texts_and_equal_pictures_stay_in_one_fold():
    rows = np.arange(40) % 10
    texts, pictures = [f"letter {row}" for row in rows], np.repeat(rows, 9).reshape(40, 3, 3)

    def learned(spec, train, test):
        assert not set(rows[train]) & set(rows[test])
        return np.zeros(len(test))

    for X in (texts, np.array(texts), np.array(texts, object), pictures):
        small(X, rows % 2, estimator=learned)


def test_a_row_without_a_group_is_a_group_of_its_own(data):
    X, y = data
    named = np.where(np.arange(len(y)) < 300, None, np.arange(len(y)) // 20).astype(object)
    found = small(X, y, groups=named)
    assert "303 groups" in " ".join(map(str, found.notes))


@pytest.mark.parametrize("name", ["X", "y", "groups", "time", "sample_weight"])
def test_a_mask_is_never_dropped(data, name):
    masked = np.ma.masked_array(np.ones((360, 5)) if name == "X" else np.arange(360.0), mask=False)
    masked[3] = np.ma.masked
    given = {"X": data[0], "y": data[1], name: masked}
    with pytest.raises(InputError, match=rf"{name} must be an array without a mask; got [15] masked entries"):
        small(**given)


def test_many_classes_of_which_some_are_nearly_absent_are_tuned():
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(6), [60, 30, 12, 5, 2, 1])
    X = rng.normal(size=(len(y), 3)) + y[:, None]
    found = tune(FocalClassifier(), X, y, **GRID)
    assert np.isfinite(found.scores).all()
    assert any("always trained on, never scored" in note for note in found.notes)


def test_the_estimator_that_was_passed_is_not_changed(data):
    model = FocalClassifier()
    before = clone(model).get_params()
    tune(model, *data, **GRID)
    assert model.get_params() == before
    assert not hasattr(model, "coef_")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metric": "nope"}, "metric must be one of"),
        ({"n_splits": 1}, "n_splits must be a whole number of at least 2"),
        ({"n_repeats": 0}, "n_repeats must be"),
        ({"seed": -1}, "seed must be"),
        ({"alphas": ["nope"]}, "alpha must be none, inverse"),
        ({"alphas": [1.5]}, "alpha must be"),
        ({"gammas": [-1.0]}, "gammas must be a number in"),
        ({"groups": [1, 2]}, "groups must have one entry"),
        ({"groups": np.array(["a", *range(359)], object)}, "groups must have entries of one kind"),
        ({"time": [None] * 360}, "time must have a value in every row; got 360 of 360"),
        ({"time": np.zeros((360, 2))}, r"time must have shape \(n,\)"),
        ({"n_jobs": 0}, "n_jobs must be a whole number of at least 1"),
        ({"n_jobs": 10**6}, "n_jobs must be at most"),
        ({"n_jobs": -2}, "n_jobs must be"),
        ({"progress": 3}, "progress must be a function"),
        ({"space": {"C": 1}}, "space must be a function"),
        ({"dask": 3}, "dask must be 'local', the address"),
        ({"rivals": 3}, "rivals must be a sequence of names"),
    ],
)
def test_bad_arguments_are_refused_with_the_way_out(data, change, message):
    with pytest.raises(InputError, match=message):
        tune(FocalClassifier(), *data, **{**GRID, **change})


def test_what_is_no_classifier_is_refused(data):
    with pytest.raises(InputError, match="estimator must be a classifier, a name"):
        tune(3, *data, **GRID)


def test_a_single_class_is_refused(data):
    with pytest.raises(InputError, match="at least two classes"):
        tune(FocalClassifier(), data[0], np.zeros(len(data[0])), **GRID)


@pytest.mark.parametrize("form", ["nan", "None", "Int64", "string", "category", "polars"])
def test_a_missing_label_is_no_class(form):
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    rng = np.random.default_rng(0)
    X, y, gone = rng.normal(size=(60, 2)), np.arange(60) % 2, np.arange(60) == 7
    words = np.where(y, "b", "a")
    labels = {
        "nan": lambda: np.where(gone, np.nan, y),
        "None": lambda: pandas.Series(words, dtype=object).mask(gone, None),
        "Int64": lambda: pandas.Series(y, dtype="Int64").mask(gone),
        "string": lambda: pandas.Series(words, dtype="string").mask(gone),
        "category": lambda: pandas.Series(words).mask(gone).astype("category"),
        "polars": lambda: polars.Series([None if g else int(v) for g, v in zip(gone, y, strict=True)]),
    }[form]()
    with pytest.raises(InputError, match="every row; got 1 of 60 that are missing, the first in row 7"):
        tune(FocalClassifier(), X, labels, alphas=[None], gammas=[0.0], keep_hardest=[], n_splits=2, n_repeats=1)


def weighted_data():
    rng = np.random.default_rng(3)
    y = rng.choice(3, 240, p=[0.7, 0.2, 0.1])
    return rng.normal(size=(240, 3)) + y[:, None], y, rng.choice([0.5, 1.0, 3.0], 240)


def test_weights_of_rows_count_in_training_and_in_every_figure():
    X, y, weight = weighted_data()
    model = FocalClassifier()
    found = tune(
        model, X, y, sample_weight=weight, alphas=[None], gammas=[0.0], keep_hardest=[], n_splits=3, n_repeats=1
    )
    split = found.folds.splits[0]
    fitted = FocalClassifier(gamma=0.0).fit(X[split.train], y[split.train], weight[split.train])
    p, test_y, w = fitted.predict_proba(X[split.test]), y[split.test], weight[split.test]
    by_hand = score(test_y, p.argmax(1), p, np.bincount(y[split.train], weight[split.train]), w)
    assert found.scores[found.index(Cell()), 0] == pytest.approx(by_hand, abs=1e-6)
    assert found.prior == pytest.approx(np.bincount(y, weight) / weight.sum())


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (np.ones(5), "sample_weight"),
        (-np.ones(240), "sample_weight"),
        (np.where(weighted_data()[1] == 2, 0.0, 1.0), "leave each class a weight above 0"),
    ],
)
def test_weights_that_cannot_be_used_are_refused(weight, message):
    X, y, _ = weighted_data()
    with pytest.raises(InputError, match=message):
        tune(FocalClassifier(), X, y, sample_weight=weight, n_splits=3, n_repeats=1)


def test_a_journal_keeps_weighted_counts(tmp_path):
    X, y, weight = weighted_data()
    small = {"alphas": [None], "gammas": [0.0], "keep_hardest": [], "n_splits": 3, "n_repeats": 1}
    path = tmp_path / "j"
    first = tune(FocalClassifier(), X, y, sample_weight=weight, journal=path, **small)
    again = tune(FocalClassifier(), X, y, sample_weight=weight, journal=path, **small)
    assert (first.decided == again.decided).all()
    with pytest.raises(InputError, match="sample_weight"):
        tune(FocalClassifier(), X, y, sample_weight=2 * weight, journal=path, **small)


def test_no_shift_goes_to_a_class_that_no_fold_scores():
    rng = np.random.default_rng(4)
    y = np.concatenate([rng.choice(3, 300, p=[0.8, 0.15, 0.05]), [3]])
    X = rng.normal(size=(301, 4)) + y[:, None]
    X[-1] = X[0] + 0.1  # the single row of class 3 lies among others
    found = tune(FocalClassifier(), X, y, alphas=[None], gammas=[0.0], keep_hardest=[], n_splits=3, n_repeats=1)
    assert found.scored.tolist() == [True, True, True, False]
    assert found.rarest == 2
    for at, cell in enumerate(found.cells):
        if cell.tau is not None:
            assert found.decided[at, :, 1, 3].sum() == 0


@pytest.mark.parametrize(
    "form",
    [np.asarray, np.ndarray.tolist, lambda X: pytest.importorskip("pandas").DataFrame(X)],
    ids=["array", "list", "frame"],
)
def test_labels_of_other_rows_are_refused_as_labels(form):
    X, y = np.random.default_rng(0).normal(size=(40, 2)), np.tile([0, 1], 20)
    with pytest.raises(InputError, match="y must have one label for each of the 40 rows of X; got 10"):
        tune(FocalClassifier(), form(X), y[:10], gammas=[0], n_splits=2, n_repeats=1)
