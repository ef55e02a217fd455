"""A real Chromium, where there is one; screenshots go to tests/page/screenshots (or $SCREENSHOTS)."""

import os
import shutil
from pathlib import Path

import pytest

from focalkit import LossSpec, diagnose
from focalkit.diagnosis.demo import NAMES, made_up_predictions
from tests.page.hands import page_of

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]


@pytest.fixture(scope="session")
def chromium():
    api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("there is no Chromium")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium, tmp_path):
    """Open a page given as text; whatever it complains about, or asks the network for, fails the test."""
    contexts, complaints = [], []

    def open_page(text, **options):
        path = tmp_path / f"{len(contexts)}.html"
        path.write_text(text, encoding="utf-8")
        context = chromium.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: (complaints.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda request: None if request.url.startswith("file:") else complaints.append(request.url))
        page.goto(path.as_uri())
        return page

    open_page.complaints = complaints
    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture
def screenshot(request):
    folder = Path(os.environ.get("SCREENSHOTS", Path(__file__).with_name("screenshots")))
    folder.mkdir(parents=True, exist_ok=True)

    def take(page, name):
        page.screenshot(path=folder / f"{name}.png", full_page=True)

    return take


@pytest.fixture(scope="session")
def ledger():
    return diagnose(*made_up_predictions(), LossSpec(gamma=2.0), class_names=NAMES)


@pytest.fixture(scope="session")
def text(ledger):
    return page_of(ledger, 2.0, "inverse", "made-up predictions")
