"""Each class's own alpha and gamma on the page: their numbers against Python's, and how they are used."""

import numpy as np
import pytest

from focalkit import LossSpec, diagnose
from focalkit.diagnosis.advice import starting_point
from tests.page.hands import cell, column, move, page_of, press, settle


def test_a_class_s_own_gamma_and_alpha_are_python_s(visit, text, ledger):
    page = visit(text)
    press(page, "γ many", "ArrowLeft", 15)
    press(page, "α rare", "ArrowRight", 40)
    gamma, alpha = page.evaluate("[focalkit.gammas, focalkit.alpha]")
    assert gamma == [2, 1.25, 2, 2, 2]
    start = (1 / ledger.weight.sum(axis=1))[-1] / (1 / ledger.weight.sum(axis=1)).mean()
    assert alpha[-1] == pytest.approx(10 ** (round(np.log10(start), 2) + 0.4), rel=1e-9)
    shares = ledger.shares(tuple(gamma), tuple(alpha))
    for name, want in (("lossAfter", shares.loss.share_alpha), ("gradAfter", shares.grad.share_alpha)):
        assert column(page, name) == [cell(s) for s in want]
    assert np.allclose(page.evaluate("Array.from(focalkit.now.grad)"), shares.grad.share_alpha, rtol=1e-4)
    assert page.text_content("#gamma-value") == "2.00 *"
    shown = page.locator('li[data-row="1"] svg').get_attribute("aria-label")
    assert shown.endswith(f"now {cell(shares.grad.share_alpha[1])}\u00a0%")


def test_a_row_stays_in_hand_while_its_slider_moves_and_goes_back_on_request(visit, text):
    page = visit(text)
    names = "#classes .name"
    order = page.locator(names).all_text_contents()
    assert order[0] == "rare"
    press(page, "α rare", "Home")
    assert page.locator(names).all_text_contents() == order
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "α rare"
    page.select_option("#sort", "alpha")
    assert page.locator(names).all_text_contents()[-1] == "rare"
    before = column(visit(text), "gradAfter")
    page.get_by_role("button", name="Back to the sliders above: rare").click()
    assert column(page, "gradAfter") == before
    assert page.locator(".control.own").count() == 0


def test_the_sliders_at_the_top_set_every_class(visit, text, ledger):
    page = visit(text)
    press(page, "γ few", "End")
    assert page.evaluate("focalkit.gammas[3]") == 5
    move(page, "gamma", 1)
    assert page.evaluate("focalkit.gammas") == [1] * 5
    assert column(page, "gradAfter") == [cell(s) for s in ledger.shares(1.0, "inverse").grad.share_alpha]


def test_a_weight_may_be_typed_and_nonsense_is_not_taken(visit, text):
    page = visit(text)
    before = float(column(page, "gradAfter")[0])
    field = page.get_by_role("spinbutton", name="α most =")
    for typed, shown in (("5", "5"), ("-5", "5"), ("", "5"), ("0", "0")):
        field.fill(typed)
        page.keyboard.press("Tab")
        settle(page)
        assert field.input_value() == shown
        assert (float(column(page, "gradAfter")[0]) > before) == (shown == "5")


def test_the_sides_of_a_column_share_gamma_and_split_alpha(visit):
    rng = np.random.default_rng(0)
    y = (rng.random((4000, 2)) < [0.1, 0.3]).astype(int)
    ledger = diagnose(rng.normal(size=y.shape) + 3 * y - 2, y, LossSpec("sigmoid", gamma=2.0))
    page = visit(page_of(ledger, 2.0, "none", "two columns"))
    press(page, "γ 0: positive", "ArrowLeft", 10)
    field = page.get_by_role("spinbutton", name="α 0: positive =")
    field.fill("0.8")
    page.keyboard.press("Tab")
    settle(page)
    want = ledger.shares((1.5, 2.0), (0.8, 0.5)).grad.share_alpha
    assert np.allclose(page.evaluate("Array.from(focalkit.now.grad)"), want, rtol=1e-4)
    page.click("#equalise")
    start = starting_point(ledger, (1.5, 2.0))
    assert np.allclose(page.evaluate("Array.from(focalkit.alpha)"), start.alpha, rtol=1e-4)


def test_gammas_per_class_are_where_the_page_begins(visit, ledger):
    gamma = (0.5, 1.0, 2.0, 3.0, 4.0)
    page = visit(page_of(ledger, gamma, "sqrt", "one gamma each"))
    want = ledger.shares(gamma, "sqrt").grad.share_alpha
    assert column(page, "gradAfter") == [cell(s) for s in want]
    move(page, "gamma", 0)
    page.click("#reset")
    assert page.evaluate("focalkit.gammas") == list(gamma)
