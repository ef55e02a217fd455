"""Six reports, made of fixed figures: what the snapshots in this folder hold, byte for byte.

``python -m tests.report.snapshots`` writes them anew after a change that was meant; the difference is what to review.
"""

import io
import os
import re
import sys
from pathlib import Path

import numpy as np
from tests.tuning.test_verdict import made_result

from focalkit import LossSpec, diagnose
from focalkit.diagnosis import Diagnosis, diagnose_demo
from focalkit.diagnosis.hardest import HardRow
from focalkit.report import diagnose as of_diagnosis
from focalkit.report import to_html
from focalkit.report import tune as of_tune
from focalkit.report.messages import LANGUAGES
from focalkit.report.terminal.console import Terminal
from focalkit.tuning.verdict import judge_all

FOLDER = Path(__file__).with_name("snapshots")
WIDTHS = (60, 120)


def steps(counts, seed=0):
    """Predictions of whole eighths, which every machine computes alike, and their classes."""
    rng = np.random.RandomState(seed)
    targets = np.repeat(np.arange(len(counts)), counts)
    logits = rng.randint(-16, 17, (len(targets), len(counts))) / 8
    logits[np.arange(len(targets)), targets] += rng.randint(0, 25, len(targets)) / 8
    return logits, targets


def demo():
    return diagnose_demo()


def names():
    """Names that are long, markup, control characters and another script."""
    odd = [
        "a long name of a class in several words",
        "[bold]b[/] \x1b[31m",
        "罕见的类别",
        "averylongnamewithoutanyblankinit",
    ]
    ledger = diagnose(*steps([300, 120, 40, 9]), LossSpec(gamma=1.0), class_names=odd)
    hardest = tuple(HardRow(k, -1.25 * i, i % 2, 10**i) for k in range(4) for i in (1, 2))
    return Diagnosis(ledger, 1.0, "power:0.25", "predictions.parquet", hardest=hardest, files=("a.csv", "b.csv"))


def columns():
    """Independent columns, compared with what they were before."""
    logits, targets = steps([200, 60, 20], seed=1)
    hot = np.eye(3, dtype=int)[targets]
    spec = LossSpec("sigmoid", gamma=2.0)
    before = Diagnosis(diagnose(logits / 2, hot, spec), source="before.npz")
    return Diagnosis(diagnose(logits, hot, spec), 2.0, "sqrt", "now.npz", before=before)


def many():
    """More classes than a table shows, one without samples, no alpha."""
    counts = [400 // (k + 1) for k in range(30)]
    logits, targets = steps([*counts, 0], seed=2)
    return Diagnosis(diagnose(logits, targets), (2.0), "none", "many.npy")


def clear():
    return made_result(lambda cell: 0.08 * (cell.family == "focal"))


def unclear():
    return made_result(lambda cell: 0.02 * (cell.family == "CE + shift"), noise=0.3)


SIX = {made.__name__: made for made in (demo, names, columns, many, clear, unclear)}


def snapshot(name):
    """The report in the terminal, narrow and wide, in all languages, and the text of its page."""
    result = SIX[name]()
    tuned = not isinstance(result, Diagnosis)
    sections = of_tune.sections(result, judge_all(result)) if tuned else of_diagnosis.sections(result)
    out = []
    for language in LANGUAGES:
        for width in WIDTHS:
            stream = io.StringIO()
            Terminal(language, stream, width).show(sections)
            out += [f"===== terminal, {language}, {width} columns", stream.getvalue()]
    out += ["===== page", body(to_html(result))]
    return "\n".join(out)


def body(page):
    """What is on the page, without styles, scripts and the ledger's numbers; a line for each element."""
    inside = re.search("<body>(.*)</body>", page, re.S).group(1)
    inside = re.sub("<script.*?</script>", "", inside, flags=re.S)
    inside = re.sub(r"focalkit \d+\.\d+[^ <]*", "focalkit VERSION", inside)
    return re.sub(r"(?<=>)(?=<(?:section|h\d|tr|p|li|div|table|ul)\b)", "\n", inside)


if __name__ == "__main__":
    os.environ["SOURCE_DATE_EPOCH"] = "0"
    FOLDER.mkdir(exist_ok=True)
    for name in sys.argv[1:] or SIX:
        (FOLDER / f"{name}.txt").write_text(snapshot(name), encoding="utf-8")
