"""Text files as they are: quoted line breaks, encodings, line ends, delimiters."""

import codecs

import numpy as np
import pytest

from focalkit import InputError
from focalkit.io import read_table, records
from focalkit.io.columns import Asked
from focalkit.io.predictions import Trouble, batches, open_predictions

N = 200
RNG = np.random.default_rng(0)
A = RNG.normal(size=N).round(3)
LABELS = np.where(np.arange(N) % 3 == 0, "défaut", "bon")
TEXT = "a,drink,label\n" + "".join(
    f"{a},{'café' if i % 2 else 'thé'},{label}\n" for i, (a, label) in enumerate(zip(A, LABELS, strict=True))
)


@pytest.mark.parametrize(
    ("encoding", "mark"),
    [
        *(("utf-8", b""), ("utf-8", codecs.BOM_UTF8), ("latin-1", b""), ("cp1252", b"")),
        *(("utf-16", b""), ("utf-16-le", b""), ("utf-16-be", codecs.BOM_UTF16_BE), ("utf-32", b"")),
    ],
)
def test_encodings_are_decoded(tmp_path, encoding, mark):
    (tmp_path / "t.csv").write_bytes(mark + TEXT.encode(encoding))
    table = read_table(tmp_path / "t.csv")
    assert table.feature_names == ("a", "drink")
    assert table.y.tolist() == LABELS.tolist()
    assert ("encoding" in {a.id for a in table.alerts}) == (encoding in ("latin-1", "cp1252", "utf-16-le"))


@pytest.mark.parametrize("word", ["größe", "Süßöl", "créée", "Ångstrøm"])
def test_two_letters_of_a_code_page_side_by_side_are_no_chinese(tmp_path, word):
    rows = [f"{i % 7}.5,{'xy'[i % 2]}" for i in range(40)]
    (tmp_path / "t.csv").write_bytes("\n".join([f"{word},label", *rows]).encode("latin-1"))
    assert read_table(tmp_path / "t.csv").feature_names == (word,)


def test_chinese_of_gb_18030_is_decoded_and_another_encoding_can_be_named(tmp_path):
    rows = "".join(f"{a},{'患病' if i % 3 else '健康'}\n" for i, a in enumerate(A))
    (tmp_path / "t.csv").write_bytes(("数值,诊断\n" + rows).encode("gb18030"))
    table = read_table(tmp_path / "t.csv")
    assert table.target_name == "诊断"
    assert set(table.y.tolist()) == {"患病", "健康"}
    assert read_table(tmp_path / "t.csv", encoding="gbk").target_name == "诊断"
    with pytest.raises(InputError, match="encoding must be known"):
        read_table(tmp_path / "t.csv", encoding="nonsense")


def test_a_letter_that_is_no_utf_8_far_behind_the_beginning_tells_the_encoding(tmp_path):
    rows = ["a,b,label\n", *(f"{i % 7},{i % 11},ok\n" for i in range(120_000)), "1,2,défaut\n" * 3]
    (tmp_path / "t.csv").write_bytes("".join(rows).encode("latin-1"))
    table = read_table(tmp_path / "t.csv")
    assert set(table.y.tolist()) == {"ok", "défaut"}
    assert "encoding" in {a.id for a in table.alerts}


@pytest.mark.parametrize("end", ["\r\n", "\r"])
def test_other_line_ends_are_line_ends(tmp_path, end):
    (tmp_path / "t.csv").write_bytes(TEXT.replace("\n", end).encode())
    table = read_table(tmp_path / "t.csv")
    assert len(table.y) == N
    assert table.feature_names == ("a", "drink")


def test_line_breaks_in_quotes_are_part_of_a_value_in_files_of_any_size(tmp_path):
    note = '"first\n\nsecond, ""quoted"" ' + "tail " * 40 + '\nend"'
    rows = [f"{i % 5},{note if i % 2 else 'short'},{i % 2}\n" for i in range(60_000)]
    (tmp_path / "t.csv").write_text("a,note,label\n" + "".join(rows))
    assert (tmp_path / "t.csv").stat().st_size > 1 << 22
    table = read_table(tmp_path / "t.csv")
    assert len(table.y) == 60_000
    assert table.categorical == (1,)


def test_predictions_with_line_breaks_in_quotes_keep_every_row(tmp_path):
    rows = [f'{i % 3}.5,"a\nb, ""c""",{i % 2}.25,{i % 2}\n' for i in range(50_000)]
    (tmp_path / "p.csv").write_text("logit_0,text,logit_1,label\n" + "".join(rows))
    for leave_out in (False, True):
        parts = list(batches(open_predictions([tmp_path / "p.csv"]).pieces[0], trouble := Trouble(leave_out)))
        assert sum(len(part.logits) for part in parts) == 50_000
        assert not trouble.said


def test_a_stray_quote_inside_a_value_is_a_letter(tmp_path):
    rows = [f'{i % 5},{i % 12}" pipe,"a ""b""",{i % 2}\n' for i in range(100)]
    (tmp_path / "t.csv").write_text("a,size,note,label\n" + "".join(rows))
    table = read_table(tmp_path / "t.csv")
    assert len(table.y) == 100
    assert table.feature_names == ("a", "size")


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|", " ", "   "])
def test_delimiters_are_found(tmp_path, delimiter):
    rows = [delimiter.join([f"{a}", f"{b}", "xy"[i % 2]]) for i, (a, b) in enumerate(RNG.normal(size=(50, 2)).round(3))]
    (tmp_path / "t.csv").write_text("\n".join([delimiter.join(["a", "b", "kind"]), *rows]))
    table = read_table(tmp_path / "t.csv")
    assert table.feature_names == ("a", "b")
    assert table.categorical == ()


def test_a_delimiter_that_is_named_wins(tmp_path):
    (tmp_path / "t.csv").write_text("a#b,c#t\n" + "1#2,3#x\n2#2,4#y\n" * 20)
    assert read_table(tmp_path / "t.csv", delimiter="#").feature_names == ("a", "b,c")
    with pytest.raises(InputError, match="delimiter must be one character"):
        read_table(tmp_path / "t.csv", delimiter="##")


@pytest.mark.parametrize("block", [1 << 9, 1 << 12, 1 << 20])
def test_a_table_is_the_same_in_blocks_of_any_size(tmp_path, monkeypatch, block):
    rng = np.random.default_rng(0)
    n = 3000
    numbers, gaps = rng.normal(size=(n, 3)).round(4), rng.random(n) < 0.1
    y = rng.choice(["yes", "no"], n)
    told = np.where(y == "yes", 0.25, 1.5) + rng.random(n).round(3) / 10
    columns = [*numbers.T, np.where(gaps, "", rng.integers(0, 9, n).astype(str)), rng.choice(["a", "b"], n), told, y]
    lines = [",".join(map(str, row)) for row in zip(*columns, strict=True)]
    path = tmp_path / "t.csv"
    path.write_text("\n".join(["a,b,c,whole,text,told,label", *lines[:2000], "", *lines[2000:]]) + "\n")
    monkeypatch.setattr(records, "_READ", block)
    table = read_table(path)
    assert (table.X[:, :3] == numbers).all()
    assert (np.isnan(table.X[:, 3]) == gaps).all()
    assert (table.X[:, 5] == told).all()
    assert (table.y == y).all()
    assert [a.values["name"] for a in table.alerts if a.id == "leak"] == ["told"]
    assert table.rows[-1] == n


@pytest.mark.parametrize("encoding", ["utf-8", None])
def test_a_header_that_is_no_utf_8_takes_nothing_from_the_row_below(tmp_path, encoding):
    path = tmp_path / "t.csv"
    rows = [f"{100 + i / 7:.3f},{'café' if i % 2 else 'thé'},{'xy'[i % 2]}" for i in range(60)]
    path.write_bytes("größe,drink,label\n".encode("cp1252") + "\n".join(rows).encode("utf-8"))
    table = read_table(path, encoding=encoding)
    assert table.X[:, 0].tolist() == [float(row.split(",")[0]) for row in rows]
    assert all(name.isprintable() for name in table.feature_names)


def opened(path, encoding):
    return open_predictions([path], Asked(encoding=encoding))


@pytest.mark.parametrize("reader", [read_table, opened])
@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "hex", "rot13", "undefined", "ascii", "klingon", "utf-16-le"])
def test_an_encoding_that_is_not_the_file_s_is_refused_in_one_line(tmp_path, encoding, reader):
    path = tmp_path / "t.csv"
    path.write_bytes("logit_größe,logit_b,label\n1.5,2.5,größe\n".encode())
    with pytest.raises(InputError) as error:
        reader(str(path), encoding=encoding)
    assert str(error.value).isprintable()
