"""What is noticed about a table before any work: each kind is told, and nothing is told of a clean one."""

import numpy as np
import pytest

from focalkit.io import read_table
from focalkit.io.repeats import repeats

RNG = np.random.default_rng(0)
ROWS = [f"{a:.3f},{b:.3f},{'bad' if a + b > 1 else 'ok'}" for a, b in RNG.normal(size=(60, 2))]


def read(tmp_path, lines, name="t.csv", **asked):
    path = tmp_path / name
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return read_table(path, **asked)


def values(table, kind):
    return [alert.values for alert in table.alerts if alert.id == kind]


def test_of_a_clean_table_only_the_classes_are_told(tmp_path):
    assert [alert.id for alert in read(tmp_path, ["a,b,label", *ROWS]).alerts] == ["classes"]


def test_rows_that_stand_twice_are_counted_and_those_of_two_classes_apart(tmp_path):
    other = ROWS[5].replace("ok", "bad") if ROWS[5].endswith("ok") else ROWS[5].replace("bad", "ok")
    table = read(tmp_path, ["a,b,label", *ROWS, ROWS[3], ROWS[3], ROWS[7], other])
    assert values(table, "duplicates") == [{"n": 3, "n_rows": 64}]
    assert values(table, "conflicts") == [{"n": 2, "n_wrong": 1}]


def test_the_count_of_repeats_is_that_of_comparing_all_rows():
    rng = np.random.default_rng(1)
    for width in (1, 3, 9, 40):
        for kind in (np.float32, np.float64):
            X = rng.integers(0, 3, (300, width)).astype(kind)
            X[rng.random(X.shape) < 0.05] = np.nan
            X[X == 0] = rng.choice([0.0, -0.0], (X == 0).sum())
            X[200:] = X[rng.integers(0, 200, 100)]
            ids = rng.integers(0, 2, 300)
            seen, classes = {}, {}
            for row, k in zip(X.tolist(), ids.tolist(), strict=True):
                key = tuple("nan" if v != v else v + 0.0 for v in row)
                seen[key, k] = seen.get((key, k), 0) + 1
                classes.setdefault(key, set()).add(k)
            mixed = sum(n for (key, _), n in seen.items() if len(classes[key]) > 1)
            wrong = sum(min(seen.get((key, k), 0) for k in (0, 1)) for key in classes)
            assert repeats(X, ids) == (len(X) - len(seen), mixed, wrong)


def test_columns_of_one_name_are_told(tmp_path):
    table = read(tmp_path, ["a,a,label", *ROWS])
    assert values(table, "duplicate_names") == [{"names": ["a"]}]
    assert table.feature_names == ("a", "a")


@pytest.mark.parametrize(
    ("sign", "name", "told"),
    [
        (";", "t.csv", ";"),
        ("|", "t.csv", "|"),
        (" ", "t.txt", "space"),
        ("\t", "t.csv", "tab"),
        (",", "t.tsv", ","),
        ("\t", "t.tsv", None),
        (",", "t.data", None),
    ],
)
def test_a_delimiter_that_the_file_s_ending_does_not_promise_is_told(tmp_path, sign, name, told):
    lines = [line.replace(",", sign) for line in ["a,b,label", *ROWS]]
    expected = [] if told is None else [{"delimiter": told}]
    table = read(tmp_path, lines, name)
    assert values(table, "delimiter") == expected
    again = read(tmp_path, lines, name, delimiter=told or sign)
    assert values(again, "delimiter") == []
    assert np.array_equal(again.X, table.X)


@pytest.mark.parametrize("line", ["1,2,3,4", "1,2", '"1,2,ok', "\udce9,1,ok"])
def test_damaged_lines_are_refused_or_left_out_and_told(tmp_path, line):
    lines = [text.replace("bad", "é") for text in ["a,b,label", *ROWS[:21], line, *ROWS[21:]]]
    path = tmp_path / "t.csv"
    path.write_bytes("\n".join(lines).encode("utf-8", "surrogateescape") + b"\n")
    with pytest.raises(ValueError, match="line 23"):
        read_table(path)
    table = read_table(path, skip_damaged=True)
    (told,) = values(table, "damaged_lines")
    assert told["n"] == 1
    assert told["line"] == 23
    assert table.rows.tolist() == [*range(1, 22), *range(23, 62)]


def test_rows_keep_their_numbers_where_lines_before_and_behind_them_are_damaged(tmp_path):
    lines = ["a,b,label", *ROWS]
    lines[11], lines[21], lines[31] = "1,2,3,4", '"1,2,ok', "1"
    table = read(tmp_path, lines, skip_damaged=True)
    assert values(table, "damaged_lines")[0]["n"] == 3
    assert table.rows.tolist() == [i for i in range(1, 61) if i not in (11, 21, 31)]
