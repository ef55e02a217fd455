"""What a reader takes from the page, links to and sees on any screen; nothing that axe-core finds fault with."""

import os
import re
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from focalkit import diagnose
from focalkit.decisions import Cost, Maximize, decide
from focalkit.diagnosis.hardest import HardRow
from focalkit.estimator import FocalClassifier
from focalkit.report import to_html
from focalkit.tuning.search import tune
from tests.page.hands import move, page_of, settle

LONG = ["Averylongname" * 9, "a name of several words that is too long for any phone " * 3, "c", "d"]
#: The script of the npm package axe-core, where it has been fetched (make axe).
AXE = Path(os.environ.get("AXE", Path(__file__).parents[2] / "node_modules" / "axe-core" / "axe.min.js"))


@pytest.fixture(scope="module")
def long_names():
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 4, 400)
    logits = rng.normal(size=(400, 4)) + 2 * np.eye(4)[targets]
    hardest = [HardRow(k, -float(i), 0, 10 * i) for k in range(4) for i in range(1, 4)]
    ledger = diagnose(logits, targets, class_names=LONG)
    return page_of(ledger, 2.0, "inverse", "long names", hardest=tuple(hardest), files=("p.npz",))


@pytest.fixture(scope="module")
def tuned():
    rng = np.random.default_rng(0)
    y = (rng.random(200) < 0.2).astype(int)
    options = {"alphas": [None, "power:1"], "gammas": [0.0, 2.0], "keep_hardest": [], "n_splits": 2, "n_repeats": 1}
    return to_html(
        tune(FocalClassifier(), rng.normal(size=(200, 2)) + y[:, None], y, **options), command="focalkit tune x"
    )


@pytest.mark.parametrize("width", [390, 1280])
def test_long_names_do_not_stretch_the_page(visit, long_names, width, screenshot):
    page = visit(long_names, viewport={"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    screenshot(page, f"long-{width}")


def test_the_page_opens_where_the_findings_are(visit, text):
    page = visit(text)
    assert page.locator("#findings").bounding_box()["y"] < page.locator("#controls").bounding_box()["y"] < 900


def test_the_sliders_are_in_the_address_and_come_back_from_it(visit, text):
    page = visit(text)
    move(page, "gamma", 3.5)
    page.get_by_role("spinbutton", name="α some =", exact=True).fill("0.25")
    page.keyboard.press("Tab")
    page.wait_for_url("**/*own-alpha*")
    assert page.evaluate("location.hash").startswith("#gamma=3.5&beta=1")
    shares = page.evaluate("Array.from(focalkit.now.grad)")
    page.reload()
    settle(page)
    assert page.text_content("#gamma-value") == "3.50"
    assert np.allclose(page.evaluate("Array.from(focalkit.now.grad)"), shares, rtol=1e-3)
    page.click("#reset")
    assert page.evaluate("location.hash") == ""
    assert page.text_content("#gamma-value") == "2.00"


@pytest.mark.parametrize("state", ["gamma=9&beta=0", "gamma=x&beta=1", "gamma=1&beta=1&own-alpha=99:1,0:-3,a:b", "%00"])
def test_an_address_that_makes_no_sense_leaves_the_page_as_it_was_made(visit, text, state):
    page = visit(text)
    page.goto(page.url + "#" + state)
    page.reload()
    settle(page)
    assert page.evaluate("focalkit.state.own.alpha.size") == 0
    assert page.text_content("#gamma-value") in ("2.00", "1.00")


def test_the_code_can_be_copied(visit, tuned):
    page = visit(tuned)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.click("button.copy")
    page.get_by_role("button", name="Copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == page.text_content("pre")


def test_tables_can_be_saved_with_the_rows_as_the_file_numbers_them(visit, long_names, tmp_path):
    page = visit(long_names)
    with page.expect_download() as waiting:
        page.click("#hardest button.save")
    waiting.value.save_as(tmp_path / "rows.csv")
    assert waiting.value.suggested_filename == "hardest.csv"
    lines = (tmp_path / "rows.csv").read_text(encoding="utf-8-sig").splitlines()
    assert lines[0] == '"class","row","p of its class","loss"'
    assert lines[1] == f'"{LONG[0]}","10","0.2689","1.31"'
    assert len(lines) == 13


def test_a_box_shows_that_it_scrolls_and_keeps_its_first_column(visit, long_names):
    page = visit(long_names, viewport={"width": 390, "height": 800})
    box = page.locator(".scroll:has(#figures)")
    assert "more-right" in box.get_attribute("class")
    box.evaluate("b => { b.scrollLeft = b.scrollWidth; }")
    settle(page)
    assert "more-right" not in box.get_attribute("class")
    edge = box.bounding_box()["x"]
    assert page.locator("#rows th").first.bounding_box()["x"] - edge < 3


def test_the_foot_says_when_how_and_by_what_it_was_made(visit, tuned):
    foot = visit(tuned).inner_text("footer")
    assert re.search(r"Made \d{4}-\d\d-\d\d \d\d:\d\d UTC by focalkit \d+\.\d+", foot)
    assert "Seed 0." in foot
    assert "focalkit tune x" in foot


def test_the_same_page_is_made_again_where_the_time_is_given(ledger, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    first, second = (page_of(ledger, 2.0, "inverse", "x") for _ in range(2))
    assert first == second
    assert "1970-01-01 00:00 UTC" in first


@pytest.fixture(scope="module")
def many():
    rng = np.random.default_rng(0)
    targets = rng.choice(100, 2000)
    logits = rng.normal(size=(2000, 100)) + 3 * np.eye(100)[targets]
    return page_of(diagnose(logits, targets), 2.0, "inverse", "many classes", language="zh-CN")


@pytest.fixture(scope="module")
def rules():
    rng = np.random.default_rng(0)
    p = rng.dirichlet([4.0, 1.0, 0.5], 1000)
    y = (rng.random(1000)[:, None] > p.cumsum(axis=1)).sum(axis=1).clip(0, 2)
    two = decide(p[:, 1], (y == 1).astype(int), Cost(fn=20, fp=1), classes=LONG[:2], calibrate=None)
    return to_html(two), to_html(decide(p, y, Maximize("macro_f1"), classes=LONG[:3]), language="zh-CN")


@pytest.mark.skipif(not AXE.exists(), reason="axe-core has not been fetched: make axe")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_axe_finds_no_fault(visit, long_names, many, tuned, rules, scheme, width):
    for text in (long_names, many, tuned, *rules):
        page = visit(text, viewport={"width": width, "height": 900}, color_scheme=scheme, bypass_csp=True)
        page.evaluate(AXE.read_text(encoding="utf-8"))
        found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
        assert [(v["id"], v["nodes"][0]["html"]) for v in found["violations"]] == []


@pytest.mark.parametrize("scheme", [0, 1])
def test_the_colours_of_texts_stand_out(scheme):
    style = files("focalkit.report.page").joinpath("assets", "page.css").read_text(encoding="utf-8")
    roots = re.findall(r":root \{([^}]*)\}", style)
    colours = {}
    for root in roots[: scheme + 1]:
        colours |= dict(re.findall(r"--([a-z0-9-]+): (#[0-9a-f]{6})", root))

    def light(name):
        parts = [int(colours[name][i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for text in ("ink", "soft", "before", "after", "accent"):
        for ground in ("paper", "card"):
            low, high = sorted((light(text), light(ground)))
            assert (high + 0.05) / (low + 0.05) >= 4.5, (text, ground)
