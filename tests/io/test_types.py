"""Every Arrow type is read, or named in one line."""

import datetime
import decimal
import io

import numpy as np
import pyarrow as pa
import pytest

from focalkit import InputError
from focalkit.io import read_table
from focalkit.io.predictions import Trouble, batches, open_predictions

N = 40
V = np.arange(N) % 7
D = [decimal.Decimal(int(v)) / 4 for v in V]
LABEL = pa.array(["x", "y"] * (N // 2))

NUMBERS = {
    **{
        kind: pa.array(V).cast(kind)
        for kind in ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")
    },
    **{kind: pa.array(V.astype(float)).cast(kind) for kind in ("float16", "float32", "float64")},
    "decimal128": pa.array([v * 4 for v in D], pa.decimal128(10, 2)),
    "decimal256": pa.array([v * 4 for v in D], pa.decimal256(50, 4)),
    "dictionary of numbers": pa.array(V).dictionary_encode(),
    "run-end": pa.compute.run_end_encode(pa.array(V)),
    "date32": pa.array([datetime.date(1970, 1, 1 + int(v)) for v in V]),
    "time32": pa.array([datetime.time(0, 0, int(v)) for v in V], pa.time32("s")),
    "duration": pa.array([datetime.timedelta(microseconds=int(v)) for v in V], pa.duration("us")),
    "timestamp": pa.array([datetime.datetime(1970, 1, 1, 0, 0, int(v)) for v in V], pa.timestamp("s")),
}
WORDS = ["red" if v % 2 else "blue" for v in V]
TEXTS = {
    "string": pa.array(WORDS),
    "large_string": pa.array(WORDS, pa.large_string()),
    "string_view": pa.array(WORDS, pa.string_view()),
    "dictionary": pa.array(WORDS).dictionary_encode(),
    "bytes": pa.array([w.encode() for w in WORDS]),
    "large_binary": pa.array([w.encode() for w in WORDS], pa.large_binary()),
    "binary_view": pa.array([w.encode() for w in WORDS], pa.binary_view()),
}
OTHERS = {
    "list": pa.array([[1, 2]] * N),
    "nested list": pa.array([[[1], [2]]] * N),
    "map": pa.array([[("a", 1)]] * N, pa.map_(pa.string(), pa.int64())),
    "null": pa.nulls(N),
    "no text": pa.array([b"\xff\xfe"] * N),
    "interval": pa.array([pa.MonthDayNano([1, 2, 3])] * N),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_of_any_type_are_features(name):
    table = read_table(pa.table({"c": NUMBERS[name], "label": LABEL}))
    np.testing.assert_array_equal(table.X[:, 0], V)
    assert table.categorical == ()


@pytest.mark.parametrize("name", TEXTS)
def test_texts_of_any_type_are_categories_and_labels(name):
    table = read_table(pa.table({"c": TEXTS[name], "label": TEXTS[name]}))
    assert table.categorical == (0,)
    assert table.y.tolist() == WORDS


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_no_feature_is_left_out_in_one_line(name):
    table = read_table(pa.table({"c": OTHERS[name], "v": V, "label": LABEL}))
    assert table.feature_names == ("v",)
    (alert,) = [a for a in table.alerts if a.values.get("name") == "c"]
    assert alert.id in ("no_feature", "empty")
    assert "\n" not in str(alert)
    if name not in ("null",):
        with pytest.raises(InputError, match=r"target 'c' must|have rows with a target"):
            read_table(pa.table({"v": V, "c": OTHERS[name]}))


def test_the_fields_of_a_struct_are_columns():
    made = pa.array([{"a": int(v), "b": "pq"[v % 2]} for v in V])
    table = read_table(pa.table({"s": made, "label": LABEL}))
    assert table.feature_names == ("s.a", "s.b")


Z = np.random.default_rng(0).normal(size=(N, 3)).round(2)
FLAT = pa.array(Z.astype(np.float64).reshape(-1))
OFFSETS = pa.array(np.arange(0, 3 * N + 1, 3, dtype=np.int32))
LISTS = {
    "list": pa.ListArray.from_arrays(OFFSETS, FLAT),
    "large_list": pa.LargeListArray.from_arrays(OFFSETS.cast(pa.int64()), FLAT),
    "fixed_size_list": pa.FixedSizeListArray.from_arrays(FLAT, 3),
    "list_view": pa.ListViewArray.from_arrays(OFFSETS[:-1], pa.array([3] * N, pa.int32()), FLAT),
    "list of float32": pa.ListArray.from_arrays(OFFSETS, FLAT.cast(pa.float32())),
    "list of float16": pa.ListArray.from_arrays(OFFSETS, FLAT.cast(pa.float16())),
    "list of decimals": pa.array(
        [[decimal.Decimal(str(v)) for v in row] for row in Z.tolist()], pa.list_(pa.decimal128(9, 2))
    ),
    "list of int8": pa.ListArray.from_arrays(OFFSETS, pa.array((Z * 20).astype(np.int8).reshape(-1))),
}
SCALARS = {
    "float16": lambda z: pa.array(z).cast(pa.float16()),
    "decimal": lambda z: pa.array([decimal.Decimal(str(v)) for v in z.tolist()], pa.decimal128(9, 2)),
    "int8": lambda z: pa.array((z * 20).astype(np.int8)),
}
TARGETS = {
    "int8": pa.array(np.arange(N, dtype=np.int8) % 3),
    "float": pa.array((np.arange(N) % 3).astype(float)),
    "decimal": pa.array([decimal.Decimal(i % 3) for i in range(N)], pa.decimal128(5, 0)),
    "large_string": pa.array([str(i % 3) for i in range(N)], pa.large_string()),
    "string_view": pa.array([str(i % 3) for i in range(N)], pa.string_view()),
    "bytes": pa.array([str(i % 3).encode() for i in range(N)]),
    "dictionary of ints": pa.array(np.arange(N) % 3).dictionary_encode(),
    "one-hot uint8": pa.array(np.eye(3, dtype=np.uint8)[np.arange(N) % 3].tolist(), pa.list_(pa.uint8())),
    "one-hot float": pa.array(np.eye(3)[np.arange(N) % 3].tolist()),
    "one-hot bool": pa.array(np.eye(3).astype(bool)[np.arange(N) % 3].astype(int).tolist(), pa.large_list(pa.int8())),
}


def taken(tmp_path, columns):
    made = pa.table(columns)
    with pa.ipc.new_file(tmp_path / "p.arrow", made.schema) as writer:
        writer.write_table(made, max_chunksize=17)
    parts = [b for piece in open_predictions([tmp_path / "p.arrow"]).pieces for b in batches(piece, Trouble())]
    return np.concatenate([b.logits for b in parts]), np.concatenate([b.targets for b in parts])


@pytest.mark.parametrize("name", LISTS)
def test_lists_of_any_type_are_logits(tmp_path, name):
    logits, _ = taken(tmp_path, {"logits": LISTS[name], "label": np.arange(N) % 3})
    np.testing.assert_allclose(logits, (Z * 20).astype(np.int8) if "int8" in name else Z, atol=2e-3)


@pytest.mark.parametrize("name", SCALARS)
def test_columns_of_any_number_are_logits(tmp_path, name):
    columns = {f"logit_{k}": SCALARS[name](Z[:, k]) for k in range(3)}
    logits, _ = taken(tmp_path, {**columns, "label": np.arange(N) % 3})
    np.testing.assert_allclose(logits, (Z * 20).astype(np.int8) if name == "int8" else Z, atol=2e-3)


@pytest.mark.parametrize("name", TARGETS)
def test_targets_of_any_type_are_class_ids(tmp_path, name):
    _, targets = taken(tmp_path, {"logits": LISTS["list"], "label": TARGETS[name]})
    assert targets.tolist() == [0, 1, 2] * 13 + [0]


@pytest.mark.parametrize(
    "column",
    [pa.array([[[1.0]] * 3] * N), pa.array([["a", "b"]] * N), pa.array([{"a": 1.0}] * N), pa.nulls(N)],
    ids=["nested", "texts", "struct", "null"],
)
def test_what_cannot_be_logits_is_refused_in_one_line(tmp_path, column):
    with pytest.raises(InputError, match=r"logit|numbers") as error:
        taken(tmp_path, {"logits": column, "label": np.arange(N) % 3})
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("shape", [(60,), (60, 1)])
@pytest.mark.parametrize("width", [1, 3])
def test_a_column_of_class_ids_and_a_column_of_logits_are_read_as_they_are_meant(tmp_path, shape, width):
    rng = np.random.default_rng(0)
    z, y = rng.normal(size=(60, width)), rng.integers(0, max(width, 2), 60)
    np.savez(tmp_path / "p.npz", logits=z, targets=y.reshape(shape))
    source = open_predictions([str(tmp_path / "p.npz")])
    (batch,) = (b for piece in source.pieces for b in batches(piece, Trouble()))
    assert source.link == ("sigmoid" if width == 1 else "softmax")
    assert batch.targets.shape == ((60, 1) if width == 1 else (60,))
    assert (batch.targets.reshape(-1) == y).all()


@pytest.mark.parametrize(
    "source", [3, np.ones((3, 2)), io.StringIO("a,b"), [np.ones(2)], None], ids=lambda s: type(s).__name__
)
def test_what_is_no_source_is_refused_by_its_type(source):
    with pytest.raises(InputError, match=rf"source must be a path, a URL, .*; got {type(source).__name__}\. Read an"):
        read_table(source)


def test_a_table_shows_its_size_and_is_itself_alone(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,y\n" + "1,u\n2,v\n" * 20)
    table = read_table(path)
    assert repr(table).startswith("Table(40 rows, 1 features, target 'y', ")
    assert table == table
    assert table != read_table(path)
