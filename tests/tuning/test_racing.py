"""After the first repeat fits that are paid for one by one go on only where they may still win."""

import json
from dataclasses import replace

import numpy as np
import pytest
from sklearn.datasets import make_classification

from focalkit.estimator import FocalClassifier
from focalkit.report.export import as_json
from focalkit.report.tune import surface, within_noise
from focalkit.tuning import Cell, judge, judge_all, tune

X, y = make_classification(500, 5, n_informative=4, n_redundant=0, weights=[0.9], class_sep=0.7, random_state=3)
GRID = {"alphas": [None, "power:0.5", "power:1"], "gammas": [0.0, 0.5, 1.0, 2.0, 5.0], "keep_hardest": []}
OPTIONS = {**GRID, "n_splits": 3, "n_repeats": 3}


def linear(spec, train, test):
    alpha = None if spec.alpha is None else list(spec.alpha)
    return FocalClassifier(spec.gamma, alpha).fit(X[train], y[train]).decision_function(X[test])


@pytest.fixture(scope="module")
def whole():
    return tune(linear, X, y, **OPTIONS, every_cell=True)


@pytest.fixture(scope="module")
def raced():
    return tune(linear, X, y, **OPTIONS)


def test_what_goes_on_has_the_scores_it_would_have_had(whole, raced):
    assert raced.left
    assert not whole.left
    assert raced.finished
    assert whole.finished
    for i, cell in enumerate(raced.cells):
        np.testing.assert_array_equal(raced.scores[i], whole.scores[whole.index(cell)])
    first = whole.repeat_of_fold == 0
    for cell, scores in zip(raced.left, raced.left_scores, strict=True):
        np.testing.assert_array_equal(scores, whole.scores[whole.index(cell)][first])
    fits = [cell for cell in whole.cells if cell.tau is None]
    assert {*raced.left, *(cell for cell in raced.cells if cell.tau is None)} == set(fits)


@pytest.mark.parametrize("metric", ["balanced_accuracy", "average_precision", "log_loss", "f2", "roc_auc"])
def test_the_leaders_of_the_first_repeat_go_on(metric):
    whole, raced = (tune(linear, X, y, **OPTIONS, metric=metric, every_cell=every) for every in (True, False))
    first = whole.repeat_of_fold == 0
    for name in (verdict.metric.name for verdict in judge_all(raced)):
        gain = whole.gain(name)[:, first].mean(axis=1)
        for family in ("α-CE", "focal"):
            best = max(whole.of_family(family), key=lambda i: gain[i])
            assert replace(whole.cells[best], tau=None) in raced.cells
            trained = [i for i in whole.of_family(family) if whole.cells[i].tau is None]
            assert whole.cells[max(trained, key=lambda i: gain[i])] in raced.cells
    assert {cell for cell in whole.cells if cell.family in ("CE", "CE + shift")} <= set(raced.cells)
    assert len(raced.left) >= 3


def test_half_of_the_work_is_done_and_said():
    calls = []

    def counted(spec, train, test):
        calls.append(spec)
        return linear(spec, train, test)

    default = {"n_splits": 3, "n_repeats": 5, "keep_hardest": []}
    said = []
    result = tune(counted, X, y, **default, progress=said.append)
    assert len(calls) < 0.58 * 35 * 15
    assert said[-1].done == said[-1].total == len(calls)
    n = f"{len(result.left)} of 35 cells"
    assert any(str(note).startswith(n) and "--every-cell" in str(note) for note in result.notes)


def test_the_result_is_that_of_any_number_of_jobs_and_of_a_journal(raced, tmp_path):
    journal = tmp_path / "journal"
    seen = []

    def stop(progress):
        seen.append(progress)
        if len(seen) == 60:
            raise KeyboardInterrupt

    cut = tune(linear, X, y, **OPTIONS, journal=journal, progress=stop)
    assert not cut.finished
    again = tune(linear, X, y, **OPTIONS, journal=journal)
    for other in (again, tune(linear, X, y, **OPTIONS, n_jobs=2)):
        assert other.cells == raced.cells
        assert other.left == raced.left
        np.testing.assert_array_equal(other.scores, raced.scores)
        np.testing.assert_array_equal(other.left_scores, raced.left_scores)


def test_the_surface_shows_what_was_left_without_an_error(raced):
    verdict = judge(raced)
    of = raced.surface()
    assert np.isfinite(of.mean).all()
    for i, alpha in enumerate(of.alphas):
        for j, gamma in enumerate(of.gammas):
            left = Cell(alpha, gamma) in raced.left
            assert np.isfinite(of.standard_error[i, j]) != left
            assert not (left and within_noise(raced)[i][j])
    plain, first = raced.column(raced.metric)[0], raced.repeat_of_fold == 0
    cell = raced.left[0]
    scores = raced.left_scores[0, :, raced.names.index(raced.metric)]
    want = plain.mean() + (scores - plain[first]).mean()
    assert of.mean[of.alphas.index(cell.alpha), of.gammas.index(cell.gamma)] == pytest.approx(want)
    table = surface(raced, verdict)
    row, column = table.best
    assert Cell(of.alphas[row], of.gammas[column - 1]) in raced.cells
    told = json.loads(as_json(raced, (verdict,), "table"))
    assert len(told["left_after_first_repeat"]) == len(raced.left)


def test_few_fits_few_repeats_and_fits_made_together_leave_nothing():
    assert not tune(linear, X, y, **{**OPTIONS, "gammas": [0.0, 1.0]}).left
    assert not tune(linear, X, y, **{**OPTIONS, "n_repeats": 2}).left
    assert not tune(FocalClassifier(), X, y, **OPTIONS).left


@pytest.mark.parametrize("units", [45, 46, 60])
def test_what_was_stopped_within_the_first_repeats_leaves_only_what_it_scored_less(units):
    def stop(progress):
        if progress.done == units:
            raise KeyboardInterrupt

    cut = tune(linear, X, y, **OPTIONS, progress=stop)
    assert not cut.finished
    fits = {cell for cell in cut.cells if cell.tau is None}
    assert not fits & set(cut.left)
    assert len(fits) + len(cut.left) == 15
    assert bool(cut.left) == (len(set(cut.repeat_of_fold)) > 1)
    assert judge(cut).recommended
