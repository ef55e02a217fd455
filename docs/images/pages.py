"""The pictures of the two pages: report.png of ``focalkit tune`` on the embedded data, diagnosis.png of the demo.

python docs/images/pages.py        # some minutes; needs Playwright's Chromium
"""

import argparse
import shutil
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from focalkit.diagnosis import diagnose_demo
from focalkit.report import to_html
from focalkit.tuning import tune
from focalkit.tuning.datasets import load_rare_digit

HERE = Path(__file__).parent
SIZE = {"width": 1080, "height": 780}
#: The system's own, or (None) the one that Playwright installs.
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def pages():
    """Each page by its name."""
    X, y = load_rare_digit()
    yield "report", to_html(tune("linear", X, y, n_jobs=-1), source="embedded: one rare digit")
    yield "diagnosis", to_html(diagnose_demo())


def main():
    """Write the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=SIZE["width"])
    parser.add_argument("--to", type=Path, default=HERE)
    asked = parser.parse_args()
    with sync_playwright() as driver, tempfile.TemporaryDirectory() as folder:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        for name, text in pages():
            path = Path(folder) / f"{name}.html"
            path.write_text(text, encoding="utf-8")
            page = browser.new_page(viewport={**SIZE, "width": asked.width}, color_scheme="light")
            page.goto(path.as_uri())
            page.wait_for_load_state("networkidle")
            page.screenshot(path=str(asked.to / f"{name}.png"))
        browser.close()


if __name__ == "__main__":
    main()
