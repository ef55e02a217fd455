"""What a reader does on the page, and reads from it."""

from focalkit.diagnosis import Diagnosis
from focalkit.report import to_html


def page_of(ledger, gamma, alpha, source, *, language="en", **more):
    """The page of a ledger for one gamma and alpha."""
    return to_html(Diagnosis(ledger, gamma, alpha, source, **more), language=language)


def move(page, slider, value):
    page.evaluate(
        "([id, value]) => { const s = document.getElementById(id); s.value = value;"
        " s.dispatchEvent(new Event('input', {bubbles: true})); }",
        [slider, value],
    )
    settle(page)


def settle(page):
    """Wait for the frame that draws."""
    for _ in range(2):
        page.evaluate("() => new Promise(requestAnimationFrame)")


def press(page, label, key, times=1):
    """Keys on the slider of this label."""
    page.get_by_role("slider", name=label, exact=True).focus()
    for _ in range(times):
        page.keyboard.press(key)
    settle(page)


def column(page, name):
    """Numbers of a table column, in the order of the classes."""
    at = ["name", "samples", "alpha", "gamma", "lossBefore", "lossAfter", "gradBefore", "gradAfter", "easyOf"]
    at += ["veryEasyOf", "easyBefore", "easyAfter", "veryEasyBefore", "veryEasyAfter"]
    rows = page.eval_on_selector_all(
        "#rows tr", "(rows, i) => rows.map(r => [Number(r.dataset.row), r.cells[i].textContent])", at.index(name)
    )
    return [value for _, value in sorted(rows)]


def cell(share):
    return f"{100 * share:.1f}" if share >= 0.0005 or share == 0 else "<0.1"
