"""The report of ``focalkit tune`` in a real browser: its policy lets everything on it work."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from focalkit._core.message import Message
from focalkit.decisions import CaseCost
from focalkit.estimator import FocalClassifier
from focalkit.report import to_html as page_of
from focalkit.report.page.assemble import assemble
from focalkit.report.page.gains import after_repeats
from focalkit.report.page.tune import decided
from focalkit.report.page.tune import page as tune_page
from focalkit.tuning.deciding import operating_point
from focalkit.tuning.search import tune
from focalkit.tuning.verdict import judge_all
from tests.page.hands import column, move, settle


@pytest.fixture(scope="module")
def run():
    rng = np.random.default_rng(0)
    y = np.array(["well", "<b>ill</b>"])[(rng.random(300) < 0.15).astype(int)]
    X = rng.normal(size=(300, 3)) + 1.5 * (y != "well")[:, None]
    options = {"alphas": [None, "power:1"], "gammas": [0.0, 2.0], "keep_hardest": [], "n_splits": 2, "n_repeats": 1}
    result = tune(FocalClassifier(), X, y, **options, n_jobs=1)
    return result, judge_all(result)


@pytest.fixture(scope="module")
def text(run):
    return page_of(run[0], source="patients <3", notes=[Message("note.imputed")])


def test_the_report_s_surface_is_shaded_and_its_sliders_move(visit, text, screenshot):
    page = visit(text)
    assert "unsafe" not in page.get_attribute("meta[http-equiv]", "content")
    assert page.locator("td.best").count() == 1
    shades = page.eval_on_selector_all("td[class^=heat]", "t => t.map(x => getComputedStyle(x).backgroundColor)")
    assert len(set(shades)) > 1
    before = column(page, "gradAfter")
    move(page, "gamma", 5)
    move(page, "beta", 0)
    assert column(page, "gradAfter") != before
    assert sum(map(float, column(page, "gradAfter"))) == pytest.approx(100, abs=0.2)
    assert page.locator("b", has_text="ill").count() == 0
    screenshot(page, "tune")


def test_the_report_is_whole_in_chinese_and_begins_in_the_language_asked_for(visit, text, run, screenshot):
    page = visit(text)
    page.click("#language")
    code = page.inner_text("pre")
    left = set(re.findall(r"[A-Za-z]{3,}", page.inner_text("body").replace(code, "")))
    assert left <= {
        "OHEM",
        "ROC",
        "Matthews",
        "focal",
        "loss",
        "Nadeau",
        "Bengio",
        "Holm",
        "nat",
        "log",
        "odds",
        "English",
    } | {*("focalkit", "well", "ill", "logits", "patients", "UTC", "csv")}
    assert page.locator("td.best").count() == 1
    screenshot(page, "tune-chinese")
    begun = visit(page_of(run[0], source="patients", language="zh-CN"))
    assert begun.inner_text("h1") == "这份数据该用哪种损失？"
    assert "Which loss" not in begun.inner_text("body")


def test_a_report_without_logits_speaks_both_languages_too(visit, run):
    without = replace(run[0], ce_rows=np.empty(0, int), ce_logits=np.empty((0, 1)))
    page = visit(page_of(without, source="trees"))
    assert page.locator("#controls").count() == 0
    page.click("#language")
    assert "该估计器不给出 logits" in page.inner_text("body")


def test_the_recommended_cell_is_marked_on_the_surface(visit, run):
    result, verdicts = run
    cell = next(f for f in verdicts[0].families if f.family == "focal")
    main = replace(verdicts[0], recommended=cell)
    page = visit(assemble(tune_page(result, (main, *verdicts[1:]), "patients")))
    marked = page.locator("td[class^=heat]", has_text="▶")
    assert marked.count() == 1
    at = result.cells[cell.cell]
    row, column = result.alphas.index(at.alpha), result.gammas.index(at.gamma)
    cells = page.eval_on_selector_all("td[class^=heat]", "t => t.map(x => x.textContent)")
    assert "▶" in cells[row * len(result.gammas) + column]


def test_the_report_fits_a_phone(visit, text):
    wide, window = visit(text, viewport={"width": 360, "height": 800}).evaluate(
        "[document.documentElement.scrollWidth, window.innerWidth]"
    )
    assert wide <= window


def test_the_gains_stand_beside_their_points_in_a_forest_plot_with_plain_cross_entropy_at_0(visit, text, run):
    page = visit(text)
    main = run[1][0]
    plot = page.locator("#forest .said[lang=en] svg")
    assert plot.locator("circle.point").count() == len(main.families) - 1
    zero = float(plot.locator("line.axis").get_attribute("x1"))
    for at, family in enumerate(main.families[1:]):
        x = float(plot.locator("circle.point").nth(at).get_attribute("cx"))
        assert (x > zero) == (family.gain.mean > 0)
    assert page.locator("td.within").count() >= 1
    assert "within" in page.locator("td.best").first.get_attribute("class")


def test_the_gain_is_shown_after_each_repeat(visit, screenshot):
    rng = np.random.default_rng(1)
    y = (rng.random(200) < 0.2).astype(int)
    X = rng.normal(size=(200, 2)) + y[:, None]
    found = tune(FocalClassifier(), X, y, alphas=[None], gammas=[0.0], keep_hardest=[], n_splits=2, n_repeats=3)
    page = visit(page_of(found, source="made up"), viewport={"width": 390, "height": 800})
    points = page.locator("#repeats .said[lang=en] svg circle.point")
    assert points.count() == 3
    ends = after_repeats(judge_all(found)[0])[-1]
    gain = judge_all(found)[0].recommended.gain
    assert (ends.mean, ends.low) == (pytest.approx(gain.mean), pytest.approx(gain.low)) or gain.mean == 0
    screenshot(page, "tune-390")


def test_the_page_decides_with_the_model_as_it_is_and_its_cut_off_moves(visit):
    rng = np.random.default_rng(1)
    y = (rng.random(400) < 0.2).astype(int)
    X = rng.normal(size=(400, 2)) + 1.5 * y[:, None]
    few = {"alphas": [None], "gammas": [0.0], "keep_hardest": [], "n_splits": 2, "n_repeats": 1}
    found = tune(FocalClassifier(), X, y, metric="f1", **few)
    page = visit(page_of(found, source="made up"))
    rule = decided(found, judge_all(found)[0])
    assert str(rule.sentence) in page.locator("#decide-rule").inner_text()
    at = page.evaluate("window.decision.state.i")
    page.locator("#cutoff").evaluate("e => { e.value = 0; e.dispatchEvent(new Event('input')); }")
    assert page.evaluate("window.decision.state.i") == 0 != at
    move(page, "gamma", 3)
    assert page.locator("#gamma-value").inner_text() == "3.00"
    page.wait_for_url("**/*gamma=3&*cutoff=0&*")  # each section's part of the address
    page.reload()
    assert page.evaluate("window.decision.state.i") == 0
    page.locator("#reset").click()
    assert page.evaluate("location.hash").startswith("#cutoff=0&")
    for metric, there in (("log_loss", False), ("roc_auc", False), (CaseCost(fp=2), True)):
        costs = {"costs": rng.uniform(1, 9, 400)} if there else {}
        found = tune(FocalClassifier(), X, y, metric=metric, **costs, **few)
        assert ('id="decide-rule"' in page_of(found, source="made up")) is there


def test_every_remedy_has_its_operating_point_as_python_counts_it(visit, run, text, screenshot):
    result, verdicts = run
    page, main = visit(text), verdicts[0]
    rivals = main.families[1:]
    assert {family.family for family in rivals} >= {"CE + shift", "α-CE", "focal"}
    first = result.repeat_of_fold == 0
    positives, n = int((result.targets == 1).sum()), len(result.targets)
    rows = page.locator("#points tbody tr").all()[-len(rivals) :]
    squares = page.locator("#roc rect.trained")
    assert squares.count() == len(rivals)
    for at, (family, row) in enumerate(zip(rivals, rows, strict=True)):
        hit, named = sum(result.decided[family.picks[fold], fold] for fold in np.flatnonzero(first))
        want = [hit[1] / positives, hit[1] / named[1], (named[1] - hit[1]) / (n - positives)]
        cells = row.locator("td").all_inner_texts()
        assert [float(cell) for cell in cells[1:4]] == pytest.approx([100 * share for share in want], abs=0.051)
        assert float(cells[4]) == pytest.approx(1000 * named[1] / n, rel=0.01)
        assert float(cells[5]) == pytest.approx(1000 * (positives - hit[1] + named[1] - hit[1]) / n, rel=0.01)
        assert result.cells[family.cell].said() in row.inner_text()
        x, y = (float(squares.nth(at).get_attribute(name)) + 4.5 for name in "xy")
        assert ((x - 52) / (460 - 12 - 52), (276 - y) / (276 - 28)) == pytest.approx((want[2], want[0]), abs=1e-6)
    # plain cross-entropy's own decisions are the curve's at one half
    data = json.loads(page.text_content("#decision"))
    half = next(point["index"] for point in data["points"] if point["key"] == "d_half")
    plain = operating_point(result, main.families[0])
    assert plain == pytest.approx((data["caught"][half], data["falseAlarms"][half]), abs=1e-6)
    page.fill("#cost-fn", "7")
    settle(page)
    cost = page.evaluate("decision.rates(decision.trained[0]).cost")
    caught, alarms = operating_point(result, rivals[0])
    assert cost == pytest.approx(7 * (1000 * positives / n - caught) + alarms, rel=1e-6)
    page.click("#language")
    assert result.cells[rivals[1].cell].said("zh-CN") in page.locator("#points").inner_text()
    screenshot(page, "tune-points")


@pytest.mark.parametrize(("rare", "there"), [(3, False), (7, True)])
def test_a_class_of_few_rows_is_decided_in_fewer_folds_or_not(rare, there):
    y = np.repeat([0, 1], [90, rare])
    X = np.random.default_rng(0).normal(size=(len(y), 2)) + y[:, None]
    found = tune(FocalClassifier(), X, y, alphas=[None], gammas=[0.0], keep_hardest=[], n_splits=2, n_repeats=1)
    assert ('id="decide-rule"' in page_of(found, source="made up")) is there


def test_the_contour_runs_around_the_cells_within_noise_and_not_between_them(visit, text):
    page = visit(text)
    rows = [
        [(box.get_attribute("class") or "").split() for box in row.locator("td").all()]
        for row in page.locator("#surface tbody tr").all()
    ]
    inside = {(i, j) for i, row in enumerate(rows) for j, kinds in enumerate(row) if "within" in kinds}
    assert inside
    for i, j in inside:
        for side, beside in (("top", (i - 1, j)), ("right", (i, j + 1)), ("bottom", (i + 1, j)), ("left", (i, j - 1))):
            assert (f"edge-{side}" in rows[i][j]) == (beside not in inside)
