"""The page in a real browser: its numbers against Python's, its controls, hostile names, small screens."""

import json
import re

import numpy as np
import pytest

from focalkit import LossSpec, diagnose
from focalkit.diagnosis.advice import starting_point
from focalkit.diagnosis.demo import NAMES, made_up_predictions
from focalkit.report.format import visible
from focalkit.report.page.assemble import as_json
from tests.budget import TABLE, allowed, numbers
from tests.page.hands import cell, column, move, page_of, press

HOSTILE = ["</script><script>alert(1)</script>", "<img src=x onerror=alert(2)>", "\"'&amp;<!--", "\u2028${title}"]


# --- the definition in JavaScript


def test_the_golden_table_binds_the_script_too(visit, text):
    page = visit(text)
    for block in TABLE["margins"]:
        m = numbers(map(str, block["m"]))
        got = page.evaluate(
            "([m, g]) => ['loss', 'd1', 'd2'].map(f => m.map(x => focalkit.definition[f](x, g)))",
            [m.tolist(), block["gamma"]],
        )
        for name, values in zip(("loss", "d1", "d2"), got, strict=True):
            want, condition = numbers(block[name]), numbers(map(str, block[name + "_condition"]))
            excess = np.abs(np.array(values) - want) - allowed(want, condition, block["gamma"], 2, np.dtype(float))
            assert np.all(excess <= 0), (name, block["gamma"], m[np.argmax(excess)])


@pytest.mark.parametrize("gamma", [0.0, 0.7, 5.0])
def test_the_third_derivative_is_python_s(visit, text, gamma):
    from focalkit._core import definition

    m = np.linspace(-20, 40, 241)
    got = visit(text).evaluate("([m, g]) => m.map(x => focalkit.definition.d3(x, g))", [m.tolist(), gamma])
    want = definition.d3(m, np.float64(gamma), np)
    assert np.allclose(got, want, rtol=1e-10, atol=1e-16)


# --- numbers


@pytest.mark.parametrize(("gamma", "beta"), [(0, 0), (2, 1), (0.5, 0.5), (5, 1.5), (3.35, 0.25)])
def test_moved_sliders_show_python_s_shares(visit, text, ledger, gamma, beta):
    page = visit(text)
    move(page, "gamma", gamma)
    move(page, "beta", beta)
    weight = ledger.weight.sum(axis=1)
    shares = ledger.shares(float(gamma), (weight / weight.sum()) ** -float(beta))
    for name, want in (("lossAfter", shares.loss.share_alpha), ("gradAfter", shares.grad.share_alpha)):
        assert column(page, name) == [f"{100 * s:.1f}" if s >= 0.0005 else "<0.1" for s in want]
    exact = np.array(page.evaluate("Array.from(focalkit.now.loss)"))
    assert np.allclose(exact, shares.loss.share_alpha, rtol=1e-4)
    assert page.text_content("#gamma-value") == f"{gamma:.2f}"


@pytest.mark.parametrize(
    ("form", "gamma", "fields"),
    [
        ("poly", 2.0, {"poly": 1.0}),
        ("star", 2.0, {"star": 1.0}),
        ("dft", 0.0, {"dft": 1.0}),
        ("gce", 0.0, {"gce": 0.7}),
        ("steps", 0.0, {"gamma_steps": [(0.2, 5.0), (1.0, 3.0)]}),
    ],
)
def test_another_form_of_the_loss_shows_python_s_shares(visit, text, ledger, form, gamma, fields):
    page = visit(text)
    move(page, "gamma", gamma)
    move(page, "beta", 0)
    page.select_option("#form", form)
    shares = ledger.shares(gamma, "none", fields)
    for name, want in (("loss", shares.loss), ("grad", shares.grad)):
        off = np.abs(page.evaluate(f"Array.from(focalkit.now.{name})") - want.share)
        assert np.all(off <= 1e-3 * want.share + want.share_error + 1e-6)
    assert f"form={form}" in page.evaluate("new Promise(done => setTimeout(() => done(location.hash), 400))")
    page.reload()
    assert page.evaluate("focalkit.state.form") == form
    page.click("#reset")
    assert page.evaluate("focalkit.state.form") == "focal"


def columns(soft=False):
    rng = np.random.default_rng(0)
    y = (rng.random((4000, 2)) < [0.1, 0.3]).astype(int)
    z = rng.normal(size=y.shape) + 3 * y - 2
    return diagnose(z, 0.8 * y if soft else y, LossSpec("sigmoid", gamma=2.0))


@pytest.mark.parametrize(
    ("form", "numbers", "fields"),
    [
        ("asymmetric", {}, {"gamma_negative": 4.0, "clip": 0.05}),
        ("asymmetric", {"gammaNegative": 1.5, "margin": 0.2}, {"gamma_negative": 1.5, "clip": 0.2}),
        ("asymmetric", {"gammaNegative": 3, "margin": 0}, {"gamma_negative": 3.0}),
        ("quality", {}, {"quality": "quality"}),
        ("varifocal", {}, {"quality": "varifocal"}),
        ("poly", {"epsilon": -0.5}, {"poly": -0.5}),
    ],
)
def test_forms_of_columns_and_their_numbers_show_python_s_shares(visit, form, numbers, fields):
    ledger = columns()
    page = visit(page_of(ledger, 2.0, "none", "two columns"))
    page.select_option("#form", form)
    for name, value in numbers.items():
        move(page, f"number-{name}", value)
    shares = ledger.shares(2.0, "none", fields)
    for name, want in (("loss", shares.loss), ("grad", shares.grad)):
        off = np.abs(page.evaluate(f"Array.from(focalkit.now.{name})") - want.share)
        assert np.all(off <= 1e-3 * want.share + want.share_error)
    left = page.evaluate("[focalkit.state.form, focalkit.state.numbers]")
    page.evaluate("new Promise(done => setTimeout(done, 400))")
    page.reload()
    assert page.evaluate("[focalkit.state.form, focalkit.state.numbers]") == left


def test_the_gamma_of_an_asymmetric_loss_s_negatives_is_one_for_all_columns(visit):
    page = visit(page_of(columns(), 2.0, "none", "two columns"))
    page.select_option("#form", "asymmetric")
    press(page, "γ 1: negative", "Home")
    assert page.evaluate("focalkit.gammas") == [0, 2, 0, 2]
    assert page.evaluate("focalkit.state.numbers") == [0, 0.05]
    press(page, "γ 1: positive", "Home")
    assert page.evaluate("focalkit.gammas") == [0, 2, 0, 0]


def test_a_page_of_soft_targets_offers_no_form_that_needs_their_values(visit, text):
    disabled = "() => [...document.querySelectorAll('#form option')].filter(o => o.disabled).map(o => o.value)"
    page = visit(page_of(columns(soft=True), 2.0, "none", "two columns"))
    assert page.evaluate(disabled) == ["quality", "varifocal"]
    page.goto(page.url + "#gamma=2&beta=0&form=varifocal")
    page.reload()
    assert page.evaluate("focalkit.state.form") == "focal"
    softmax = visit(text)
    offered = softmax.eval_on_selector_all("#form option", "o => o.map(x => x.value)")
    assert offered == ["focal", "poly", "star", "dft", "gce", "steps"]


def test_a_form_without_gamma_says_so(visit, text):
    page = visit(text)
    page.select_option("#form", "dft")
    assert page.is_disabled("#gamma")
    assert page.text_content("#gamma-value") == "–"
    assert set(column(page, "gamma")) == {"–"}
    page.select_option("#form", "focal")
    assert page.is_enabled("#gamma")
    assert set(column(page, "gamma")) == {"2"}


def test_cross_entropy_and_easy_shares_are_python_s(visit, text, ledger):
    page, plain = visit(text), ledger.shares(0.0)
    assert column(page, "lossBefore") == [f"{100 * s:.1f}" for s in plain.loss.share]
    assert column(page, "easyBefore") == [f"{100 * s:.1f}" for s in plain.loss.easy]
    for name, want in (("easyOf", plain.easy_samples), ("veryEasyOf", plain.very_easy_samples)):
        assert column(page, name) == [cell(s) for s in want]
    assert column(page, "veryEasyBefore") == [cell(s) for s in plain.loss.very_easy]
    assert column(page, "veryEasyAfter") == [cell(s) for s in ledger.shares(2.0).loss.very_easy]
    assert column(page, "samples") == [f"{n:,}" for n in plain.count]
    half = page.evaluate("focalkit.model.hardestHalf(focalkit.model.cumulative(focalkit.book.rows, focalkit.gammas))")
    assert abs(half - ledger.cumulative(2.0, by="all").hardest()[0]) < 2e-3


def test_independent_columns_weigh_their_positives_against_their_negatives(visit):
    ledger = columns()
    page = visit(page_of(ledger, 2.0, "inverse", "two columns"))
    want = ledger.shares(2.0, "inverse").grad.share_alpha
    assert np.allclose(page.evaluate("Array.from(focalkit.now.grad)"), want, rtol=1e-4)


def test_equalised_weights_give_every_class_the_same_gradient(visit, text, ledger):
    page = visit(text)
    page.click("#equalise")
    assert set(column(page, "gradAfter")) == {"20.0"}
    assert np.allclose(page.evaluate("Array.from(focalkit.alpha)"), starting_point(ledger, 2.0).alpha, rtol=1e-4)
    page.click("#reset")
    assert column(page, "gradAfter")[4] == "43.5"


@pytest.mark.parametrize("alpha", ["none", "sqrt"])
def test_gammas_that_equalise_are_python_s_where_no_alpha_weighs(visit, ledger, alpha):
    page = visit(page_of(ledger, 2.0, alpha, "made-up predictions"))
    page.click("#equalise-gamma")
    got = np.array(page.evaluate("focalkit.gammas"))
    start = starting_point(ledger, 2.0)
    if alpha == "none":
        assert np.allclose(got, start.gamma, atol=2e-3)
    shares = np.array(page.evaluate("Array.from(focalkit.now.grad)"))
    met = (got > 0) & (got < 5)
    assert met.any()
    assert np.allclose(shares[met], shares[got == 0], rtol=1e-3)


def test_the_histogram_and_the_curves_add_up_to_one(visit, text):
    page = visit(text)
    got = page.evaluate(
        "() => { const h = focalkit.model.histogram(focalkit.book, 25, focalkit.now, focalkit.alpha);"
        " return [h.samples, h.loss].map(v => Array.from(v).reduce((a, b) => a + b)); }"
    )
    assert np.allclose(got, 1)
    logits, targets = made_up_predictions()
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p_t = (p / p.sum(axis=1, keepdims=True))[np.arange(len(p)), targets]
    samples = page.evaluate(
        "Array.from(focalkit.model.histogram(focalkit.book, 25, focalkit.now, focalkit.alpha).samples)"
    )
    assert np.allclose(samples, np.histogram(p_t, 25, (0, 1))[0] / len(p_t), atol=0.01)


# --- use


def test_the_keyboard_alone_moves_the_figures_and_they_are_spoken(visit, text):
    page = visit(text)
    said = page.text_content("#live")
    page.focus("#gamma")
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    page.evaluate("() => new Promise(requestAnimationFrame)")
    assert page.text_content("#gamma-value") == "2.20"
    assert page.get_attribute("#gamma", "aria-valuetext") == "γ 2.20"
    assert page.text_content("#live") != said
    page.focus("#sort-name")
    page.keyboard.press("Enter")
    assert page.eval_on_selector_all("#rows th", "t => t.map(x => x.textContent)") == sorted(NAMES)
    assert page.get_attribute("th:has(#sort-name)", "aria-sort") == "ascending"
    assert page.evaluate("document.activeElement.id") == "sort-name"


def test_everything_to_use_has_a_name(visit, text):
    page = visit(text)
    nameless = page.evaluate(
        "() => [...document.querySelectorAll('button, input, select, svg')].filter(e => !(e.labels && e.labels.length)"
        " && !e.textContent.trim() && !e.getAttribute('aria-label')).map(e => e.outerHTML)"
    )
    assert nameless == []
    assert page.locator("svg[role=img]").count() == 2 + len(NAMES)
    nameless = "() => [...document.querySelectorAll('#classes input')].filter(e => !e.getAttribute('aria-label'))"
    assert page.evaluate(f"({nameless})().length") == 0


def english_left(page):
    """Words of three or more letters on a Chinese page that are no symbol, name or number."""
    known = {
        "most",
        "many",
        "some",
        "few",
        "rare",
        "nat",
        "log",
        "odds",
        "focal",  # focal loss is called so in Chinese, too
        "loss",
        "focalkit",
        "inverse",
        "English",
        "made",
        "UTC",
        "csv",
    }
    return sorted(set(re.findall(r"[A-Za-z]{3,}", page.inner_text("body"))) - known)


def test_chinese_is_a_click_away_and_whole(visit, text, screenshot):
    page = visit(text.replace("made-up predictions", "made"))
    page.click("#language")
    assert page.get_attribute("html", "lang") == "zh-CN"
    assert page.inner_text("h1") == "损失花在了哪里"
    assert "最稀有" in page.inner_text("#findings")
    assert "Cross-entropy" not in page.inner_text("#findings")
    assert english_left(page) == []
    screenshot(page, "chinese")
    page.click("#language")
    assert page.inner_text("h1") == "Where the loss goes"
    assert "损失" not in page.inner_text("body")


@pytest.mark.parametrize("look", ["light", "dark", "phone", "print"])
def test_no_look_overflows_its_screen(visit, text, screenshot, look):
    options = {
        "dark": {"color_scheme": "dark"},
        "phone": {"viewport": {"width": 360, "height": 800}, "has_touch": True},
    }
    page = visit(text, **options.get(look, {}))
    if look == "print":
        page.emulate_media(media="print")
    wide, window = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    screenshot(page, look)
    assert wide <= window


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_stand_out_from_their_ground(visit, text, scheme):
    page = visit(text, color_scheme=scheme)
    for name in ("--ink", "--soft", "--after", "--before"):
        assert contrast(*(colour(page, n) for n in (name, "--paper"))) > 4.3, name


def colour(page, name):
    value = page.evaluate(f"getComputedStyle(document.documentElement).getPropertyValue('{name}').trim()")
    value = value[1:] if len(value) == 7 else "".join(c * 2 for c in value[1:])
    return [int(value[i : i + 2], 16) / 255 for i in (0, 2, 4)]


def contrast(*colours):
    light = []
    for rgb in colours:
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb]
        light.append(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])
    return (max(light) + 0.05) / (min(light) + 0.05)


def test_a_thousand_classes_are_searched_sorted_and_cut(visit, screenshot):
    rng = np.random.default_rng(1)
    n = 1000
    targets = np.minimum(rng.zipf(1.4, 60_000) - 1, n - 1)
    logits = rng.normal(size=(len(targets), n)).astype(np.float32)
    logits[np.arange(len(targets)), targets] += rng.normal(6, 2, len(targets)).astype(np.float32)
    ledger = diagnose(logits, targets, class_names=[f"species {k}" for k in range(n)])
    text = page_of(ledger, 2.0, "sqrt", "a thousand classes")
    assert len(text) < 1_000_000
    page = visit(text)
    assert page.locator("#rows tr").count() == 20
    page.locator(".more").first.click()
    assert page.locator("#rows tr").count() == page.locator("#classes li").count() == 100
    page.fill("#search", "species 77")
    page.locator("#rows tr").nth(11).wait_for(state="detached")  # the search waits for the typing to end
    assert page.locator("#rows tr").count() == page.locator("#classes li").count() == 11
    press(page, "γ species 77", "Home")
    assert page.evaluate("focalkit.gammas[77]") == 0
    screenshot(page, "thousand")
    move(page, "gamma", 2)
    took = page.evaluate(
        "() => { const t = performance.now(); focalkit.model.shares(focalkit.book, focalkit.gammas, focalkit.alpha);"
        " return performance.now() - t; }"
    )
    assert took < 400
    exact = ledger.shares(2.0, "sqrt").grad.share_alpha
    got = np.array(page.evaluate("Array.from(focalkit.now.grad)"))
    assert np.allclose(got, exact, rtol=2e-3, atol=1e-7)


# --- what must not happen


def test_hostile_names_are_shown_and_never_run(visit, screenshot):
    rng = np.random.default_rng(0)
    ledger = diagnose(rng.normal(size=(300, 4)), rng.integers(0, 4, 300), class_names=HOSTILE)
    text = page_of(ledger, 2.0, "inverse", "<script>alert(3)</script>.parquet")
    assert text.count("<script") == 3
    page = visit(text)
    assert sorted(page.eval_on_selector_all("#rows th", "t => t.map(x => x.textContent)")) == sorted(
        map(visible, HOSTILE)
    )
    assert page.locator("img").count() == 0
    screenshot(page, "hostile")


def test_the_policy_runs_this_script_and_no_other(visit, text):
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text).group(1)
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert not re.search(r"(?:src|href)\s*=\s*[\"']|url\(|https?://(?!www\.w3\.org)", text)
    smuggled = "<main><script>document.title = 'taken'</script><p style='color: red' id=x>x</p>"
    page = visit(text.replace("<main>", smuggled, 1))
    assert page.title() != "taken"
    assert page.evaluate("getComputedStyle(document.getElementById('x')).color") != "rgb(255, 0, 0)"
    assert page.text_content("#gamma-value") == "2.00"
    assert len(visit.complaints) == 2
    visit.complaints.clear()


def test_without_scripts_the_findings_can_be_read(visit, text):
    page = visit(text, java_script_enabled=False)
    assert "Cross-entropy spends most" in page.inner_text("#findings")
    assert "损失" not in page.inner_text("body")
    assert not page.locator("#controls").is_visible()


def test_nothing_counted_and_one_class_make_a_page_too(visit):
    assert visit(page_of(diagnose(np.zeros((3, 2)), np.full(3, -100)), 2.0, "none", "nothing")).title()
    assert visit(page_of(diagnose(np.zeros((3, 1)), np.zeros(3, int)), 2.0, "none", "one")).title()


def test_json_reads_back_what_went_in():
    data = {"names": HOSTILE, "x": [1, 2.5]}
    assert json.loads(as_json(data)) == data
    assert "<" not in as_json(data)
