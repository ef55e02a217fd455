import datetime
import decimal
import gzip
from pathlib import Path

import numpy as np
import pytest

from focalkit import InputError
from focalkit.estimator import FocalClassifier
from focalkit.io.features import read_table
from focalkit.tuning.estimators import prepared

SHARED = Path(__file__).parents[3] / "shared" / "data"


def written(tmp_path, text, name="t.csv"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_header_is_found_and_names_the_target(tmp_path):
    table = read_table(written(tmp_path, "a,b,kind\n1,2,x\n3,4,y\n5,6,x\n"), "kind")
    assert table.feature_names == ("a", "b")
    assert table.y.tolist() == ["x", "y", "x"]
    assert table.X.tolist() == [[1, 2], [3, 4], [5, 6]]


def test_a_file_without_header_keeps_its_first_row(tmp_path):
    table = read_table(written(tmp_path, "1,2,0\n3,4,1\n5,6,0\n"))
    assert len(table.y) == 3
    assert any("no header" in note for note in table.notes)


def test_column_numbers_as_a_header_are_a_header(tmp_path):
    assert read_table(written(tmp_path, "0,1,2,target\n5,6,7,1\n8,9,1,0\n"), "target").X.shape == (2, 3)


def test_the_header_can_be_said(tmp_path):
    path = written(tmp_path, "red,round,yes\nblue,flat,no\nred,flat,no\n")
    assert len(read_table(path, header=False).y) == 3
    assert read_table(path, "yes", header=True).y.tolist() == ["no", "no"]


@pytest.mark.parametrize(("target", "name"), [("b", "b"), ("1", "b"), (1, "b"), (-1, "c"), (None, "c")])
def test_the_target_is_a_name_or_a_position(tmp_path, target, name):
    assert read_table(written(tmp_path, "a,b,c\n1,0,1\n2,1,1\n3,0,0\n"), target).target_name == name


def test_quotes_around_labels_are_dropped(tmp_path):
    assert set(read_table(written(tmp_path, "1,'-1'\n2,'1'\n3,'-1'\n")).y.tolist()) == {"-1", "1"}


def test_whole_numbers_written_as_fractions_are_classes(tmp_path):
    assert read_table(written(tmp_path, "a,t\n1,0.0\n2,1.0\n3,0.0\n")).y.tolist() == [0, 1, 0]


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_other_delimiters_are_found(tmp_path, delimiter):
    text = "a,b,t\n1,2,x\n3,4,y\n".replace(",", delimiter)
    assert read_table(written(tmp_path, text)).feature_names == ("a", "b")


def test_a_compressed_file_is_read(tmp_path):
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress(b"a,t\n1,x\n2,y\n"))
    assert read_table(path).y.tolist() == ["x", "y"]


def test_missing_values_text_columns_and_rows_without_target_are_handled_and_said(tmp_path):
    text = "a,colour,empty,t\n1,red,,x\n,blue,,y\n3,,,x\n4,red,,\n"
    table = read_table(written(tmp_path, text), "t")
    assert table.feature_names == ("a", "colour")
    assert table.categorical == (1,)
    assert np.isnan(table.X).sum() == 2
    said = " ".join(table.notes)
    assert "“empty” is empty" in said
    assert "1 rows have no target" in said
    assert "2 values are missing" in said


def test_a_column_like_a_row_name_is_left_out_and_said(tmp_path):
    lines = "\n".join(f"id{i},{i % 7},{i % 2}" for i in range(80))
    table = read_table(written(tmp_path, "name,a,t\n" + lines + "\n"))
    assert table.feature_names == ("a",)
    assert any("“name”" in note for note in table.notes)


def test_the_pipeline_takes_numbers_texts_and_gaps(tmp_path):
    lines = "\n".join(f"{i if i % 5 else ''},{'red' if i % 3 else ''},{i % 2}" for i in range(60))
    table = read_table(written(tmp_path, "a,c,t\n" + lines + "\n"))
    model = prepared(FocalClassifier(), table.X.shape[1], table.categorical).fit(table.X, table.y)
    unseen = table.X.copy()
    unseen[:, 1] = 17
    assert np.isfinite(model.predict_proba(unseen)).all()


@pytest.mark.parametrize(
    ("text", "target", "message"),
    [
        ("", None, "begin with a line of values"),
        ("a,b\n1,2\n3\n", None, "be a CSV table"),
        ("a,t\n1,0\n2,1\n", "nope", "name a column out of: a, t"),
        ("a,t\n1,0\n2,1\n", "5", "be a position in"),
        ("t\n1\n0\n", None, "have a column besides the target"),
        ("a,t\n1,\n2,\n", None, "have rows with a target"),
        ("a,t\n" + "\n".join(f"{i},{i}.5" for i in range(99)), None, "hold classes"),
        ("a,t\n" + "\n".join(f"{i},{i}" for i in range(99)), None, "hold classes that recur"),
    ],
)
def test_a_bad_file_or_target_is_refused_with_the_way_out(tmp_path, text, target, message):
    with pytest.raises(InputError, match=message):
        read_table(written(tmp_path, text), target)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    with pytest.raises(InputError, match="file must be an existing file"):
        read_table(tmp_path / "no.csv")
    with pytest.raises(InputError, match="name at least one file"):
        read_table(tmp_path)


def test_binary_garbage_is_refused(tmp_path):
    path = tmp_path / "g.csv"
    path.write_bytes(bytes(range(256)) * 20)
    with pytest.raises(InputError, match=r"file must be text"):
        read_table(path)


@pytest.mark.skipif(not SHARED.exists(), reason="the shared data are not here")
@pytest.mark.parametrize(
    ("name", "shape", "n_classes"),
    [
        ("mammography", (11183, 6), 2),
        ("letter_img", (20000, 16), 2),
        ("abalone19", (4174, 8), 2),
        ("creditcard_subset", (14240, 29), 2),
        ("wine_quality", (4898, 11), 2),
        ("page_blocks", (5473, 10), 5),
        ("kropt", (28056, 6), 18),
        ("ecoli", (336, 7), 8),
    ],
)
def test_public_tables_are_read_whole(name, shape, n_classes):
    table = read_table(SHARED / f"{name}.csv")
    assert table.X.shape == shape
    assert len(np.unique(table.y)) == n_classes


def columns():
    import pyarrow as pa

    return {
        "x": pa.array([0.1, None, float("inf"), 2.0] * 5, pa.float32()),
        "small": pa.array([1, 2, 3, 4] * 5, pa.int8()),
        "colour": pa.array(["red", "blue", None, "red"] * 5).dictionary_encode(),
        "yes": pa.array([True, False] * 10),
        "pair": pa.array([[1, 2]] * 20),
        "t": pa.array(["a", "b"] * 10),
    }


@pytest.mark.parametrize("kind", ["parquet", "arrow", "feather"])
def test_parquet_and_arrow_are_read_with_their_types(tmp_path, kind):
    import pyarrow as pa
    from pyarrow import feather, parquet

    table, path = pa.table(columns()), tmp_path / "data.bin"
    if kind == "parquet":
        parquet.write_table(table, path)
    elif kind == "feather":
        feather.write_feather(table, path)
    else:
        with pa.ipc.new_file(path, table.schema) as writer:
            writer.write_table(table)
    found = read_table(path, "t")
    assert found.feature_names == ("x", "small", "colour", "yes")
    assert found.categorical == (2,)
    assert found.X.dtype == np.float32
    np.testing.assert_array_equal(found.X[:4, 0], np.array([0.1, np.nan, np.nan, 2.0], np.float32))
    assert np.isnan(found.X[2, 2])
    assert found.y.tolist() == ["a", "b"] * 10
    said = " ".join(found.notes)
    assert "“pair” holds list" in said
    assert "5 infinite values are taken as missing" in said


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (datetime.datetime(1970, 1, 1, 0, 0, 5), 5e6),
        (datetime.date(1970, 2, 1), 31.0),
        (decimal.Decimal("1.25"), 1.25),
        (2**40 + 1, 2.0**40 + 1),
        (0.1, 0.1),
    ],
)
def test_numbers_that_float32_would_round_are_kept(tmp_path, value, number):
    import pyarrow as pa
    from pyarrow import parquet

    parquet.write_table(pa.table({"x": [value, None] * 4, "t": [0, 1] * 4}), tmp_path / "n.parquet")
    found = read_table(tmp_path / "n.parquet")
    assert found.X.dtype == np.float64
    assert found.X[0, 0] == number
    assert np.isnan(found.X[1, 0])


@pytest.mark.parametrize(
    ("name", "kind"), [("torn.parquet", "Parquet"), ("torn.feather", "Arrow"), ("torn.csv", "CSV")]
)
def test_a_file_that_does_not_begin_as_its_name_says_is_called_by_its_name(tmp_path, name, kind):
    path = tmp_path / name
    path.write_bytes(b"1,2\n3,4,5\n")
    with pytest.raises(InputError, match=kind):
        read_table(path)


@pytest.mark.parametrize(("text", "kind"), [(b"PAR1 and then nothing", "Parquet"), (b"ARROW1 torn", "Arrow")])
def test_a_torn_columnar_file_is_refused(tmp_path, text, kind):
    path = tmp_path / "torn.bin"
    path.write_bytes(text)
    with pytest.raises(InputError, match=f"be a whole {kind} file"):
        read_table(path)
