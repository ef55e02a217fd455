"""Columns of plain numbers, read by compiled code: the very doubles, or refused, so that Arrow reads the text."""

import math

import numpy as np
import pytest

from focalkit.engines import _cpu
from focalkit.io import read_table, tabular
from focalkit.io.records import Unexpected

RNG = np.random.default_rng(0)


def take(text, is_number, rows, marks=',."'):
    out = np.full((sum(is_number), rows), 7.0)
    found = _cpu.take_numbers(text.encode(), bytes(is_number), marks.encode(), out)
    return None if found is None else (out, found[0].decode(), found[1])


def some_numbers():
    bits = RNG.integers(0, 2**64, size=3000, dtype=np.uint64).view(np.float64)
    values = [*bits[np.isfinite(bits) & (np.abs(bits) > 1e-290)].tolist(), *RNG.normal(size=2000).tolist()]
    for value in values:
        yield from (repr(value), f"{value:.3g}", f"{value:.5e}")
        if abs(value) < 1e25:
            yield from (f"{value:.5f}", f"{value:.0f}")
    yield from ("0", "-0", "-0.0", "1.", ".5", "-.5", "1e5", "1E+5", "1.e-5", "007", "9007199254740993", "5e-324")
    yield from ("18446744073709551616", "0.1e22", "1e23", "8.41e21", "9007199254740992e22", "1e22", "123456789e-22")
    yield from ("0.30000000000000004", "179769313486231570000e288", "2.2250738585072011e-308", " 1.5 ", "\t2")


def test_every_plain_number_is_the_double_that_python_reads():
    texts = list(some_numbers())
    found = take("".join(f"{text},x\n" for text in texts), [1, 0], len(texts))
    assert found is not None
    right = np.array([float(text) for text in texts])
    assert (found[0][0].view(np.uint64) == right.view(np.uint64)).all()


def test_a_number_may_have_a_decimal_comma():
    texts = ["1,5", "-0,25", "12345678901234567,25", "3", "2,5e-3"]
    out, _, _ = take("".join(f"{text};x\n" for text in texts), [1, 0], len(texts), ';,"')
    assert out[0].tolist() == [float(text.replace(",", ".")) for text in texts]


NOT_PLAIN = [
    "nan",
    "inf",
    "+1",
    "0x10",
    "1e",
    "1e+",
    ".",
    "-",
    "--1",
    "1.2.3",
    "1 2",
    "1,2",
    "1;2",
    "1_0",
    "n/a",
    "1\r2",
]
NOT_PLAIN += ["1e999", "-1e999", "5" * 65, '"1', '"1"2', "'1'", "\u22121"]


@pytest.mark.parametrize("cell", NOT_PLAIN)
def test_what_is_no_plain_number_is_refused(cell):
    assert take(f"1,x\n{cell},x\n", [1, 0], 2) is None


@pytest.mark.parametrize("text", ["1\n", "1,x,y\n", "1,x\n2\n", ",,\n", '1,"x\n', "1,x\n2,y\n3,z\n", "1,x\n"])
def test_another_number_of_cells_or_rows_is_refused(text):
    assert take(text, [1, 0], 2) is None


def test_other_cells_go_on_as_they_are_written():
    cells = ['"a ""b"", c"', '"two\nlines"', " blank ", "", "'", '""', "x", 'y"z']
    out, rest, missing = take("\r\n".join(f"{c},1.5,{c},,2\r\n" for c in cells), [0, 1, 0, 1, 0], len(cells))
    assert rest == "".join(f"{c},{c},2\n" for c in cells)
    assert (out[0] == 1.5).all()
    assert np.isnan(out[1]).all()
    assert missing == [0, len(cells)]


def test_an_empty_cell_alone_stays_a_row():
    _, rest, _ = take("1,\n2,x\n3,\n", [1, 0], 3)
    assert rest == '""\nx\n""\n'


def test_a_missing_number_may_be_quoted():
    out, _, missing = take('"1.5",x\n"",x\n "2" ,x\n', [1, 0], 3)
    assert out[0, [0, 2]].tolist() == [1.5, 2.0]
    assert math.isnan(out[0, 1])
    assert missing == [1]


def tables():
    rows = RNG.normal(size=(3000, 4)).round(4)
    y = np.where(RNG.random(3000) < 0.2, "rare", "usual")

    def text(cell, label=str, sep=",", end="\n", names="a,b,c,d,label"):
        lines = (
            sep.join([*(cell(i, v) for v in row), label(c)]) for i, (row, c) in enumerate(zip(rows, y, strict=True))
        )
        return end.join([names.replace(",", sep), *lines]) + end

    yield "plain", text(lambda _, v: str(v))
    yield "CRLF", text(lambda _, v: str(v), end="\r\n")
    yield "decimal commas", text(lambda _, v: str(v).replace(".", ","), sep=";")
    yield "quoted", text(lambda _, v: f'"{v}"', lambda c: f'"{c}"')
    yield "gaps", text(lambda i, v: "" if i % 7 == 3 else str(v))
    yield "nan far down", text(lambda i, v: "nan" if i == 2900 else str(v))
    yield "words far down", text(lambda i, v: "n/a" if i > 2900 else str(v))
    yield "a text column", text(lambda i, v: str(v) if v < 1 else ("high" if i % 2 else "low"))
    yield "no label here and there", text(lambda _, v: str(v), lambda c: c if c == "rare" else "")
    yield "whole numbers", text(lambda i, v: str(int(100 * v) + i))
    yield "a header inside", text(lambda _, v: str(v)).replace("rare\n", "rare\na,b,c,d,label\n", 2)
    yield "no end of line", text(lambda _, v: str(v))[:-1]
    yield "blank lines", text(lambda _, v: str(v)).replace("usual\n", "usual\n\n")
    yield "tabs and blanks", text(lambda _, v: f" {v} ", sep="\t")


TABLES = dict(tables())


@pytest.mark.parametrize("text", list(TABLES.values()), ids=list(TABLES))
def test_a_table_is_the_same_as_arrow_alone_reads_it(tmp_path, monkeypatch, text):
    path = tmp_path / "t.csv"
    path.write_bytes(text.encode())
    beside = read_table(path)

    def refused(*_):
        raise Unexpected

    monkeypatch.setattr(tabular, "_beside_numbers", refused)
    alone = read_table(path)
    assert (beside.X.astype(float).view(np.uint64) == alone.X.astype(float).view(np.uint64)).all()
    assert beside.y.tolist() == alone.y.tolist()
    assert [(a.id, a.values) for a in beside.alerts] == [(a.id, a.values) for a in alone.alerts]
    assert (beside.feature_names, beside.categorical) == (alone.feature_names, alone.categorical)


def test_arrow_gets_no_column_of_plain_numbers(tmp_path, monkeypatch):
    path, seen = tmp_path / "t.csv", []
    path.write_text("a,b,label\n" + "".join(f"{i % 7}.25,{i}.5,{'xy'[i % 2]}\n" for i in range(100)))
    arrow = tabular._arrow_csv
    monkeypatch.setattr(tabular, "_arrow_csv", lambda *given: (seen.append(list(given[3])), arrow(*given))[1])
    assert read_table(path).X.tolist() == [[i % 7 + 0.25, i + 0.5] for i in range(100)]
    assert seen == [[2]]
