"""Headers: found, said and never made a class; what the user says wins."""

import numpy as np
import pytest

from focalkit.io import read_table
from focalkit.io.columns import Asked
from focalkit.io.predictions import Trouble, batches, open_predictions

RNG = np.random.default_rng(0)
ROWS = [f"{a:.3f},{b:.3f},{'bad' if a + b > 1 else 'ok'}" for a, b in RNG.normal(size=(60, 2))]


def read(tmp_path, lines, **asked):
    path = tmp_path / "t.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="")
    return read_table(path, **asked)


def test_blank_lines_titles_and_excel_s_line_above_a_header_are_left_out(tmp_path):
    for above in (["", "  ", ""], ["Report of May"], ["Report of May", "", "by hand"], ["sep=,"]):
        table = read(tmp_path, [*above, "a,b,label", *ROWS])
        assert table.feature_names == ("a", "b")
        assert len(table.y) == 60


def test_names_in_single_quotes_are_read_without_them_as_values_are(tmp_path):
    table = read(tmp_path, ["'label','a b','c'", *(f"'{y}',{a},{b}" for a, b, y in (row.split(",") for row in ROWS))])
    assert (table.target_name, table.feature_names) == ("label", ("a b", "c"))
    assert set(table.y.tolist()) == {"ok", "bad"}


def test_titles_filled_up_with_empty_cells_are_left_out(tmp_path):
    for above in (["Report,,"], [",,", "Report of May,,", ",,"], ["Report,,", "2024,,", ",,"]):
        table = read(tmp_path, [*above, "a,b,label", *ROWS])
        assert table.feature_names == ("a", "b")
        assert len(table.y) == 60
        (alert,) = [a for a in table.alerts if a.id == "preamble"]
        assert alert.values["n"] == len(above)
    assert len(read(tmp_path, ["1.5,,", *ROWS]).rows) == 60  # a row without a label is no title
    assert read(tmp_path, ["1.5,,", *ROWS]).rows[0] == 2


def test_excel_s_line_names_the_delimiter(tmp_path):
    table = read(tmp_path, ["sep=;", "a;b;label", *(row.replace(",", ";") for row in ROWS)])
    assert table.feature_names == ("a", "b")


@pytest.mark.parametrize("header", [None, True])
def test_a_header_inside_the_file_is_left_out_and_said(tmp_path, header):
    table = read(tmp_path, ["a,b,label", *ROWS[:30], "a,b,label", *ROWS[30:]], header=header)
    assert len(table.y) == 60
    assert set(table.y.tolist()) == {"ok", "bad"}
    assert table.categorical == ()
    (alert,) = [a for a in table.alerts if a.id == "repeated_header"]
    assert alert.values == {"n": 1, "line": 32}


def test_a_header_inside_a_file_without_plain_numbers_is_one_too(tmp_path):
    rows = [f"{a:.1f}%,{'uvw'[i % 3]},{'xy'[i % 2]}" for i, a in enumerate(RNG.random(40))]
    table = read(tmp_path, ["share,kind,label", *rows[:20], "share,kind,label", *rows[20:]])
    assert table.feature_names == ("share", "kind")
    assert len(table.y) == 40


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("names", ["a,b,label", '"a","b","label"', 'a,"b, c",label'])
@pytest.mark.parametrize("again", ["{}", '"a","b","label"'])
def test_files_put_together_by_cat_are_one_table(tmp_path, encoding, names, again):
    if "b, c" in names and again != "{}":
        again = '"a","b, c","label"'
    parts = ([names, *ROWS[:30]], [again.format(names), *ROWS[30:]])
    data = b"".join(("\n".join(part) + "\n").encode(encoding) for part in parts)
    (tmp_path / "t.csv").write_bytes(data)
    table = read_table(tmp_path / "t.csv")
    assert len(table.y) == 60
    assert table.categorical == ()
    assert "repeated_header" in {a.id for a in table.alerts}


def test_units_below_a_header_that_stands_twice_are_no_row(tmp_path):
    top = ["a,b,label", "kg,cm,-"]
    table = read(tmp_path, [*top, *ROWS[:30], *top, *ROWS[30:]])
    assert table.feature_names == ("a", "b")
    assert set(table.y.tolist()) == {"ok", "bad"}
    assert len(table.y) == 60


@pytest.mark.parametrize("names", [range(8), range(2000, 2008), range(400, 416, 2), [1.5, 2.0, 2.5, 3.0]])
def test_numbers_that_count_up_above_data_are_names(tmp_path, names):
    names = [*map(str, names), "kind"]
    rows = [",".join([*(f"{v:.4f}" for v in RNG.random(len(names) - 1)), "xy"[i % 2]]) for i in range(40)]
    table = read(tmp_path, [",".join(names), *rows])
    assert table.feature_names == tuple(names[:-1])
    assert len(table.y) == 40


def test_a_line_break_in_a_name_is_part_of_it(tmp_path):
    table = read(tmp_path, ['a,"amount\n(EUR)",label', *ROWS])
    assert table.feature_names == ("a", "amount\n(EUR)")
    assert len(table.y) == 60


def test_what_is_said_about_the_header_wins(tmp_path):
    assert read(tmp_path, ["1,2,3", "4,5,6", "7,8,6", "9,1,3"], header=True, target="3").y.tolist() == [6, 6, 3]
    assert len(read(tmp_path, ["a,b,label", *ROWS], header=False).y) == 61


def test_a_first_line_whose_label_occurs_nowhere_else_makes_no_class_and_is_said(tmp_path):
    lines = ["5.1,3.5,species", *ROWS]
    table = read(tmp_path, lines)
    assert set(table.y.tolist()) == {"ok", "bad"}
    assert table.rows[0] == 2
    assert [a.values for a in table.alerts if a.id == "suspected_header"] == [{"label": "species"}]
    assert "species" in read(tmp_path, lines, header=False).y.tolist()


def test_a_header_of_row_names_has_one_name_less(tmp_path):
    table = read(tmp_path, ["a,b,label", *(f"{i + 1},{row}" for i, row in enumerate(ROWS))])
    assert table.feature_names == ("a", "b")
    assert {"row_names", "pandas_index"} <= {a.id for a in table.alerts}


def test_predictions_without_a_header_keep_their_first_row(tmp_path):
    path = tmp_path / "p.csv"
    path.write_text("0.5,-1,1\n1.5,2,0\n-1,0.25,1\n")
    source = open_predictions([path])
    assert source.pieces[0].dialect.header is False
    assert open_predictions([path], Asked(header=True)).class_names == ("0.5", "-1")


def of(table, alert):
    return [a.values for a in table.alerts if a.id == alert]


@pytest.mark.parametrize("units", ["mm,kg,", "[mm],[kg],[-]", "---,---,---", "length,mass,class"])
def test_a_line_of_units_below_the_header_is_no_row_and_no_class(tmp_path, units):
    table = read(tmp_path, ["a,b,label", units, *ROWS])
    assert table.feature_names == ("a", "b")
    assert table.rows.tolist() == list(range(2, 62))
    assert set(table.y.tolist()) == {"ok", "bad"}
    assert not np.isnan(table.X).any()
    assert of(table, "below_header") == [{"n": 1, "words": units.replace(",", " ").strip()}]


def test_of_several_lines_of_words_the_one_with_most_names_is_the_header(tmp_path):
    three = read(tmp_path, ["Group A,,", "measure,measure,", "a,b,label", *ROWS])
    assert (three.feature_names, len(three.y)) == (("a", "b"), 60)
    assert of(three, "preamble") == [{"n": 2, "first": "Group A,,"}]
    between = read(tmp_path, ["x,x,meta", "a,b,label", "mm,kg,class", *ROWS])
    assert (between.feature_names, set(between.y.tolist())) == (("a", "b"), {"ok", "bad"})
    assert [len(of(between, what)) for what in ("preamble", "below_header")] == [1, 1]


@pytest.mark.parametrize("row", ["?,?,ok", "n/a,,new", "broken,1.5,ok", "broken,broken,ok"])
def test_a_first_row_with_gaps_or_a_label_that_recurs_stays_a_row(tmp_path, row):
    table = read(tmp_path, ["a,b,label", row, *ROWS])
    assert len(table.y) == 61
    assert of(table, "below_header") == []


def test_what_the_user_says_of_the_header_wins_over_lines_of_words(tmp_path):
    table = read(tmp_path, ["x,z,meta", "a,b,label", *ROWS], header=True)
    assert table.feature_names == ("x", "z")
    assert "label" in table.y.tolist()


def test_rows_of_predictions_are_numbered_as_in_the_file_also_below_a_line_of_units(tmp_path):
    path = tmp_path / "p.csv"
    rows = [f"{a:.3f},{b:.3f},{'a' if a > b else 'b'}" for a, b in RNG.normal(size=(60, 2))]
    path.write_text("\n".join(["a,b,label", "logit,logit,class", *rows]))
    (piece,) = open_predictions([str(path)]).pieces
    numbers = [batch.row_of(np.arange(len(batch.logits))) for batch in batches(piece, Trouble())]
    assert np.concatenate(numbers).tolist() == list(range(2, 62))


def test_comments_above_a_table_are_left_out_and_a_header_may_begin_as_one(tmp_path):
    table = read(tmp_path, ["# made by X", "# on a day, by hand", "a,b,label", *ROWS])
    assert (table.feature_names, len(table.y)) == (("a", "b"), 60)
    assert of(table, "preamble") == [{"n": 2, "first": "# made by X"}]
    assert read(tmp_path, ["# a,b,label", *ROWS]).feature_names == ("# a", "b")


def test_a_delimiter_behind_each_row_moves_no_name(tmp_path):
    table = read(tmp_path, ["a,b,label", *(row + "," for row in ROWS)])
    assert (table.feature_names, table.target_name) == (("a", "b"), "label")
    assert of(table, "row_names") == []


def test_marks_between_thousands_are_no_names_that_count_up(tmp_path):
    path = tmp_path / "t.csv"
    rows = [f"{i + 1}.234,5;{i + 1}.234.567,8;{i},5;{i + 3},25;{'xy'[i % 2]}" for i in range(60)]
    path.write_text("\n".join(rows))
    table = read_table(path)
    assert table.X[0].tolist() == [1234.5, 1234567.8, 0.5, 3.25]
