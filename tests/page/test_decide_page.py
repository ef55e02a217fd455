"""The page of a decision rule in a real browser: its confusion matrices and costs against Python's."""

import re

import numpy as np
import pytest

from focalkit.decisions import Abstain, Cost, Maximize, decide, fit_rule
from focalkit.decisions.rules import Weighted
from focalkit.report import to_html
from tests.page.hands import move, settle


def two(n=3000):
    rng = np.random.default_rng(0)
    p = 1 / (1 + np.exp(-rng.normal(-2, 1.5, n)))
    return p, (rng.random(n) < p).astype(int)


def three(n=3000):
    rng = np.random.default_rng(0)
    p = rng.dirichlet([4.0, 1.0, 0.5], n)
    return p, (rng.random(n)[:, None] > p.cumsum(axis=1)).sum(axis=1).clip(0, 2)


@pytest.fixture(scope="module")
def rule():
    return decide(*two(), Cost(fn=20, fp=1), classes=["ok", "<b>fraud</b>"], calibrate=None)


@pytest.fixture(scope="module")
def text(rule):
    return to_html(rule, source="predictions")


def cells(page):
    return page.eval_on_selector_all("#confusion td", "t => t.map(x => Number(x.textContent))")


def test_every_cut_off_shows_python_s_confusion_matrix(visit, text, rule, screenshot):
    p, y = two()
    page = visit(text)
    curve = rule.report.curve
    for i in (0, 7, len(curve.cutoff) // 2, len(curve.cutoff) - 1):
        move(page, "cutoff", i)
        flagged = p > curve.cutoff[i]
        want = [
            1000 * np.mean(m)
            for m in (flagged & (y == 1), ~flagged & (y == 1), flagged & (y == 0), ~flagged & (y == 0))
        ]
        assert cells(page) == pytest.approx(want, rel=0.01, abs=0.01)
        exact = page.evaluate("i => Object.values(decision.counts(i))", i)
        assert exact == pytest.approx(want, abs=1e-6)
    screenshot(page, "decide")


def test_it_begins_at_the_rule_and_comes_back_to_it(visit, text, rule):
    page = visit(text)
    start = page.text_content("#cutoff-value")
    shown = float(start.split(">")[1])
    assert shown == pytest.approx(rule.cutoff, rel=1e-3)
    move(page, "cutoff", 3)
    assert page.text_content("#cutoff-value") != start
    page.click("#back")
    assert page.text_content("#cutoff-value") == start
    assert page.locator("b", has_text="fraud").count() == 0


def test_the_users_own_costs_find_python_s_cheapest_cut_off(visit, text, rule):
    page = visit(text)
    for fn, fp in ((100, 1), (1, 3)):
        page.fill("#cost-fn", str(fn))
        page.fill("#cost-fp", str(fp))
        page.click("#cheapest")
        settle(page)
        curve = rule.report.curve
        cost = fn * (curve.positives - np.array(curve.caught)) + fp * np.array(curve.false_alarms)
        state = page.evaluate("[decision.state.i, decision.cost(decision.state.i)]")
        assert state[1] == pytest.approx(cost.min(), rel=1e-6)
        said = page.text_content("#cost-said")
        assert float(re.search(r"cost\s([\d.]+)", said)[1]) == pytest.approx(cost.min(), rel=0.01)
    page.fill("#cost-fn", "-5")
    settle(page)
    assert page.evaluate("decision.state.fn") == 1


def test_points_of_every_remedy_lie_on_the_curves(visit, text, rule):
    p, y = two()
    page = visit(text)
    for chart in ("pr", "roc"):
        names = page.eval_on_selector_all(f"#{chart} text.small", "t => t.flatMap(x => x.textContent.split(' '))")
        assert sorted(names) == ["1", "2", "3", "4", "5", "6", "7"]
        assert page.locator(f"#{chart} circle").count() == 8
    rows = page.eval_on_selector_all("#points tbody tr", "t => t.map(r => [...r.cells].map(c => c.textContent))")
    assert [row[0][2:] for row in rows[:3]] == ["p > 0.5", "p > frequency of the class", "best balanced accuracy"]
    tried = [fit_rule(Maximize(metric), p, y).cutoff for metric in ("balanced_accuracy", "f1", "mcc")]
    cuts = [0.5, y.mean(), *tried, rule.cutoff]
    for row, cut in zip(rows, cuts, strict=False):
        flagged = p > cut
        want = [flagged[y == 1].mean(), y[flagged].mean(), flagged[y == 0].mean()]
        assert [float(cell) for cell in row[2:5]] == pytest.approx([100 * share for share in want], abs=0.051), row
    page.locator("#points button").nth(3).click()
    settle(page)
    assert page.evaluate("decision.state.i") == dict(rule.report.curve.points)["best_f1"]
    for chart in ("ratio", "benefit", "reliability"):
        assert page.locator(f"#{chart} path.line").count() == 2
    assert page.locator("#reliability line.mark").count() == 10


@pytest.mark.parametrize("goal", [Maximize("macro_f1"), [[0, 1, 4], [5, 0, 1], [9, 2, 0]]], ids=["metric", "matrix"])
def test_weights_show_python_s_confusion_matrix(visit, goal, screenshot):
    made = decide(*three(), goal, classes=["many", "some", "few"], calibrate=None)
    page = visit(to_html(made, source="three"))
    s = made.report.sample

    def want(weights):
        said = Weighted(tuple(weights), made.rule.matrix).decide(s.probabilities)
        out = np.zeros((3, 3))
        np.add.at(out, (s.targets, said), s.weight)
        return out

    assert np.allclose(page.evaluate("decision.confusion()"), want(made.rule.weights), atol=2)
    move(page, "weight-2", 1)
    weights = [*made.rule.weights[:2], 10.0]
    assert np.allclose(page.evaluate("decision.confusion()"), want(weights), atol=2)
    assert page.eval_on_selector_all("#confusion td", "t => t.every(x => /^heat-\\d+$/.test(x.className))")
    page.click("#equal")
    assert np.allclose(page.evaluate("decision.confusion()"), want([1, 1, 1]), atol=2)
    screenshot(page, "decide-classes")


def test_each_label_has_a_slider_over_python_s_confusion_matrices(visit, screenshot):
    rng = np.random.default_rng(0)
    p = rng.random((800, 3)) ** np.array([1, 2, 3])
    y = (rng.random(p.shape) < p).astype(int)
    made = decide(p, y, Cost(fn=3), classes=["cat", "dog", "emu"], calibrate=None)
    page = visit(to_html(made, source="labels"))
    for k in (0, 2):
        page.select_option("#label", str(k))
        settle(page)
        assert float(page.text_content("#cutoff-value").split(">")[1]) == pytest.approx(0.25, rel=1e-3)
        for i in (5, 60):
            move(page, "cutoff", i)
            flagged, holds = p[:, k] > made.report.curves[k].cutoff[i], y[:, k] == 1
            sides = (flagged & holds, ~flagged & holds, flagged & ~holds, ~flagged & ~holds)
            want = [1000 * np.mean(side) for side in sides]
            assert page.evaluate("i => Object.values(decision.counts(i))", i) == pytest.approx(want, abs=1e-6)
            assert cells(page) == pytest.approx(want, rel=0.01, abs=0.01)
    assert page.locator("#reliability").is_hidden()
    screenshot(page, "decide-labels")


def test_the_page_speaks_chinese(visit, text):
    page = visit(text)
    page.click("#language")
    assert page.inner_text("h1") == "从概率到决策"
    body = page.inner_text("main").replace(page.inner_text("pre"), "")
    left = set(re.findall(r"[A-Za-z]{3,}", body))
    assert left <= {"fraud", "Cost", "ROC", "cost", "Matthews", "isotonic", "beta"}
    assert " %" not in body
    assert "\u00a0%" not in body


def test_the_hand_s_state_is_in_the_address_and_comes_back_from_it(visit, text):
    page = visit(text)
    page.fill("#cost-fn", "7")
    move(page, "cutoff", 9)
    page.wait_for_url("**/*cutoff=9*")
    page.reload()
    settle(page)
    assert page.evaluate("[decision.state.i, decision.state.fn]") == [9, 7]
    assert page.input_value("#cost-fn") == "7"
    page.goto(page.url.split("#")[0] + "#cutoff=1e9&fn=-3&label=x")
    page.reload()
    settle(page)
    assert page.evaluate("decision.state.fn") == 20
    made = decide(*three(), "macro_f1", classes=["many", "some", "few"], calibrate=None)
    page = visit(to_html(made, source="three"))
    move(page, "weight-2", 1)
    page.wait_for_url("**/*weights=*")
    want = page.evaluate("decision.confusion()")
    page.reload()
    settle(page)
    assert np.allclose(page.evaluate("decision.confusion()"), want, atol=2)


def test_the_largest_weight_is_written_as_one_as_in_the_rule(visit):
    made = decide(*three(), "macro_f1", classes=["many", "some", "few"], calibrate=None)
    page = visit(to_html(made, source="three"), viewport={"width": 390, "height": 800})
    said = dict(re.findall(r"(many|some|few) ([\d.]+\d|\d)", made.sentence))
    shown = [page.text_content(f"#weight-{k}-value") for k in range(3)]
    assert [float(text[2:]) for text in shown] == pytest.approx([float(said[n]) for n in made.classes], rel=2e-3)


def test_bands_and_labels_have_pages_too(visit):
    bands = to_html(decide(*two(), Abstain(share=0.1)), source="bands")
    assert visit(bands).locator("#cutoff").count() == 1
    rng = np.random.default_rng(0)
    p = rng.random((300, 3))
    labels = to_html(decide(p, (rng.random(p.shape) < p).astype(int), "f1"), source="labels")
    assert visit(labels).locator("#figures").count() == 1
