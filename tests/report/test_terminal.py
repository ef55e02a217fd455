"""Reports survive any terminal: narrow, of another encoding, with names that would act on it."""

import io

import numpy as np
import pytest
from rich.cells import cell_len
from tests.tuning.test_verdict import made_result

from focalkit import diagnose
from focalkit.diagnosis import Diagnosis
from focalkit.report.diagnose import sections
from focalkit.report.messages import LANGUAGES
from focalkit.report.sections import Column, Table
from focalkit.report.terminal.console import STAND_INS, Terminal
from focalkit.report.terminal.table import fold, lay
from focalkit.report.tune import sections as tune_sections
from focalkit.tuning.verdict import judge_all

WIDTHS = (30, 40, 60, 80, 120)


def printed(made, width=80, language="en", encoding="utf-8"):
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding)
    Terminal(language, stream, width).show(made)
    stream.flush()
    return raw.getvalue().decode(encoding)


def diagnosed(names=("common", "seldom", "a rather long name of a class", "x")):
    rng = np.random.default_rng(0)
    targets = rng.choice(4, 800, p=[0.6, 0.25, 0.1, 0.05])
    return Diagnosis(
        diagnose(rng.normal(size=(800, 4)) + 2 * np.eye(4)[targets], targets, class_names=names), 2.0, "inverse"
    )


def reports():
    result = made_result(lambda c: 0.08 * (c.family == "focal"))
    return [sections(diagnosed()), tune_sections(result, judge_all(result))]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("width", WIDTHS)
def test_no_line_is_wider_than_the_terminal(width, language):
    from rich.cells import cell_len

    for made in reports():
        text = printed([s for s in made if s.name != "use"], width, language)
        assert max(map(cell_len, text.splitlines())) <= width


@pytest.mark.parametrize("width", range(14, 130, 3))
def test_rows_keep_their_names_and_figures_are_never_cut(width):
    names = ("common", "a rather long name of a class", "averylongnamewithoutanyblank", "x")
    rows = [[name, f"{1234567 * (k + 1):,}", f"{k}.5 ± 0.1", "99.9"] for k, name in enumerate(names)]
    columns = [
        Column("class", figure=False),
        Column("samples", drop=1),
        Column("average precision", drop=3),
        Column("share"),
    ]
    laid = lay(Table(columns, rows), width, str)
    body = "\n".join(line for kind, line in laid.lines if kind != "head")
    for row in rows:
        for word in row[0].split():
            assert word[:12] in body.replace("\n", "") or word[:4] in body
        shown = [figure for figure, column in zip(row[1:], columns[1:], strict=True) if column.head not in laid.dropped]
        assert all(figure in body for figure in shown)
        assert shown or width < 20
    assert "…" not in body


def test_what_is_left_out_for_lack_of_room_is_said_with_the_width_that_shows_it():
    made = sections(diagnosed())
    narrow = printed(made, 40)
    assert "Not shown at this width" in narrow
    wanted = max(int(part.split(" columns")[0]) for part in " ".join(narrow.split()).split("All of it from ")[1:])
    assert "Not shown at this width" not in printed(made, wanted)


def test_the_surface_of_a_tuning_run_is_whole_at_any_width():
    result = made_result(lambda c: 0.0)
    for width in (30, 60, 120):
        text = printed(tune_sections(result, judge_all(result)), width)
        for gamma in result.gammas:
            assert f"γ\u00a0=\u00a0{gamma:g}" in text


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "cp936", "latin-1", "utf-16"])
def test_a_sign_that_the_encoding_lacks_is_stood_in_for(encoding):
    for made in reports():
        text = printed(made, 80, "en", encoding)
        assert "?" not in text.replace("wrong labels?", "")
        for sign, other in STAND_INS.items():
            try:
                sign.encode(encoding)
            except UnicodeEncodeError:
                assert sign not in text
                assert other.encode(encoding)


def test_where_the_encoding_has_no_chinese_the_report_is_english():
    for made in reports():
        assert printed(made, 80, "zh-CN", "ascii") == printed(made, 80, "en", "ascii")
    assert printed(reports()[0], 80, "zh-CN", "cp936") != printed(reports()[0], 80, "en", "cp936")


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_names_in_letters_that_the_encoding_lacks_stay_two(encoding):
    text = printed(sections(diagnosed(("常见", "稀有", "c", "d"))), 100, "en", encoding)
    assert {r"\u5e38\u89c1", r"\u7a00\u6709"} <= set(text.split())


def test_names_neither_act_on_the_terminal_nor_are_they_markup():
    names = ("a\x1b]0;OWNED\x07", "b\x1b[2J", "c\x9b31m", "[/min] [bold]:smile:")
    text = printed(sections(diagnosed(names)))
    assert not set("\x1b\x07\x9b") & set(text)
    assert "[/min] [bold]:smile:" in " ".join(text.split())
    assert "a\\x1b]0;OWNED\\x07" in text.replace("\n", "")


@pytest.mark.parametrize(
    ("text", "size", "lines"),
    [
        ("a bc def", 4, ["a bc", "def"]),
        ("abcdefgh i", 4, ["abcd", "efgh", "i"]),
        ("损失，和梯度", 6, ["损失，", "和梯度"]),
        ("x\u00a0>\u00a00.5 y", 7, ["x\u00a0>\u00a00.5", "y"]),
        ("of 77.5 %, or", 8, ["of", "77.5 %,", "or"]),
        ("", 5, [""]),
        ("  two", 9, ["  two"]),
        ("类别“稀有”的行", 5, ["类别", "“稀", "有”的", "行"]),
        ("损失（见下）", 6, ["损失", "（见", "下）"]),
        ("用 f(x) 算", 5, ["用", "f(x)", "算"]),
        ("abc“中”", 4, ["abc", "“中”"]),
    ],
)
def test_texts_fold_between_words_and_between_wide_signs(text, size, lines):
    assert fold(text, size) == lines


@pytest.mark.parametrize("size", [12, 17, 40, 60])
def test_no_line_ends_in_an_opening_mark_or_begins_with_a_closing_one(size):
    phrases = ["损失", "“稀有”", "（见 f(x)）", "abc", " of ", "《名》，", "词。", "“a b”、", "1.5 (±3)", "“（甲）”"]
    rng = np.random.default_rng(size)
    for _ in range(100):
        text = "".join(rng.choice(phrases, size=20).tolist()).strip()
        lines = fold(text, size)
        assert "".join(lines).replace(" ", "") == text.replace(" ", "")
        assert all(cell_len(line) <= size for line in lines)
        assert not [line for line in lines[:-1] if line[-1] in "“（《("]
        assert not [line for line in lines[1:] if line[0] in "”）》，。：,)"]


def test_shares_are_asked_for_once(monkeypatch):
    from focalkit.diagnosis.ledger import Ledger
    from focalkit.report import to_html

    calls, shares = [], Ledger.shares

    def counted(self, *args, **options):
        calls.append(args)
        return shares(self, *args, **options)

    monkeypatch.setattr(Ledger, "shares", counted)
    found = diagnosed()
    printed(sections(found))
    to_html(found)
    found.to_json()
    assert len(calls) <= 30


def test_a_width_of_0_is_none(monkeypatch):
    monkeypatch.setenv("COLUMNS", "0")
    assert Terminal().console.width > 0
