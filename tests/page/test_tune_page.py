"""The report of ``focalkit tune`` in a real browser: its policy lets everything on it work."""

import numpy as np
import pytest

from focalkit.estimator import FocalClassifier
from focalkit.report.html import page as page_of
from focalkit.tuning.search import tune
from focalkit.tuning.verdict import judge_all
from tests.page.test_page import column, move


@pytest.fixture(scope="module")
def text():
    rng = np.random.default_rng(0)
    y = np.array(["well", "<b>ill</b>"])[(rng.random(300) < 0.15).astype(int)]
    X = rng.normal(size=(300, 3)) + 1.5 * (y != "well")[:, None]
    options = {"alphas": [None, "power:1"], "gammas": [0.0, 2.0], "keep_hardest": [], "n_splits": 2, "n_repeats": 1}
    result = tune(FocalClassifier(), X, y, **options, n_jobs=1)
    return page_of(result, judge_all(result), "patients <3", ["a note"])


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
    assert page.locator("b").count() == 0
    screenshot(page, "tune")


def test_the_report_fits_a_phone(visit, text):
    wide, window = visit(text, viewport={"width": 360, "height": 800}).evaluate(
        "[document.documentElement.scrollWidth, window.innerWidth]"
    )
    assert wide <= window
