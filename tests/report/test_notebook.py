"""Results in a notebook: one line, a table with its findings, frames, figures and sentences."""

import numpy as np
import pytest
from tests.tuning.test_verdict import made_result

from focalkit import InputError, diagnose
from focalkit.diagnosis import Diagnosis
from focalkit.tuning.verdict import judge

LEDGER = diagnose(np.random.default_rng(0).normal(size=(80, 3)), np.arange(80) % 3, class_names=["a", "<b>", "c\x1b"])
RESULT = made_result(lambda c: 0.08 * (c.family == "focal"))
ALL = {
    "Ledger": LEDGER,
    "Shares": LEDGER.shares(2.0, "inverse"),
    "Diagnosis": Diagnosis(LEDGER, 2.0, "inverse"),
    "TuneResult": RESULT,
    "Verdict": judge(RESULT),
}
ROWS = {"Ledger": 3, "Shares": 3, "Diagnosis": 3, "TuneResult": len(RESULT.cells), "Verdict": 5}


@pytest.mark.parametrize("kind", ALL)
def test_the_repr_is_one_short_line(kind):
    text = repr(ALL[kind])
    assert text.startswith(kind + "(")
    assert "\n" not in text
    assert len(text) < 160


@pytest.mark.parametrize("kind", ALL)
def test_the_html_is_a_table_with_findings_and_names_are_text(kind):
    html = ALL[kind]._repr_html_()
    assert html.startswith("<table>")
    assert "<ul><li>" in html
    assert "<b>" not in html
    assert "\x1b" not in html
    assert html.count("<tr>") >= 4


@pytest.mark.parametrize("kind", ALL)
def test_sentences_are_in_the_language_asked_for(kind):
    english, chinese = ALL[kind].sentences(), ALL[kind].sentences("zh-CN")
    assert len(english) == len(chinese) > 0
    assert all(a != b for a, b in zip(english, chinese, strict=True))
    with pytest.raises(InputError, match="language must be one of"):
        ALL[kind].sentences("fr")


@pytest.mark.parametrize("library", ["pandas", "polars"])
@pytest.mark.parametrize("kind", ALL)
def test_frames_have_a_row_for_each_class_cell_or_family(kind, library):
    pytest.importorskip(library)
    frame = ALL[kind].to_frame(library)
    assert type(frame).__module__.startswith(library)
    assert frame.shape[0] == ROWS[kind]
    with pytest.raises(InputError, match="library must be one of"):
        ALL[kind].to_frame("excel")


def test_a_frame_holds_the_figures_themselves():
    pytest.importorskip("pandas")
    frame = LEDGER.shares(2.0, "inverse").to_frame("pandas")
    assert frame["class"].tolist() == ["a", "<b>", "c\x1b"]
    assert np.array_equal(frame["grad_share"], LEDGER.shares(2.0, "inverse").grad.share_alpha)
    cells = RESULT.to_frame("pandas")
    assert np.array_equal(cells["macro_f1"], RESULT.mean_and_error("macro_f1")[0])


@pytest.mark.parametrize("kind", ALL)
def test_every_result_draws_itself(kind):
    pytest.importorskip("matplotlib")
    from focalkit.report.figures import render

    assert render(ALL[kind].plot(), "png").startswith(b"\x89PNG")


def test_a_ledger_is_drawn_for_what_is_asked():
    pytest.importorskip("matplotlib")
    title = LEDGER.plot(1.0, "sqrt", top=2).get_suptitle()
    assert title == "Where the loss goes: α by “sqrt”, γ=1"
