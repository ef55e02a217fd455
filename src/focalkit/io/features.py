"""A CSV, Parquet or Arrow file as a numeric matrix, its text columns coded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from focalkit._core import contracts
from focalkit._core.extras import need
from focalkit._core.message import Sentence
from focalkit.io.sources import FORMATS

MISSING = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "?")


@dataclass(frozen=True)
class Table:
    """Features (n, n_features) with NaN where missing, and the target (n,).

    The features are float32 where every column fits (float32, float16, small integers, texts and
    truth values; a CSV's numbers are float64), otherwise float64.

    Text columns hold codes (one per distinct text); ``categorical`` lists them. ``notes`` says in
    plain sentences what was found and done.
    """

    X: NDArray[Any]
    y: NDArray[Any]
    feature_names: tuple[str, ...]
    target_name: str
    categorical: tuple[int, ...]
    notes: tuple[str, ...]


def read_table(path: str | Path, target: str | int | None = None, *, header: bool | None = None) -> Table:
    """Read a CSV, Parquet, or Arrow (IPC, Feather) file; its first bytes tell which.

    Parameters
    ----------
    path : path
        Parquet, Arrow, or a comma-, semicolon- or tab-separated text, compressed (.gz, .bz2) or not.
    target : str or int, optional
        Name or position (from 0, or from the end: -1) of the column to predict; default the last.
    header : bool, optional
        Whether the first line of a CSV names the columns; default: found out.

    Returns
    -------
    Table

    Raises
    ------
    InputError
        Where the file cannot be read as a table, or the target is not in it.
    """
    columns, names, notes = _columns(Path(path), header)
    index = _find(target, names)
    y, label_notes = _labels(columns[index], names[index])
    features = [i for i in range(len(names)) if i != index]
    if not features:
        contracts.reject("file", "have a column besides the target", f"columns {names}", "Check the delimiter.")
    X, kept, categorical, feature_notes = _features([columns[i] for i in features], [names[i] for i in features])
    known = np.array([label is not None for label in y])
    if not known.all():
        label_notes.append(Sentence("{n:,} rows have no target and are left out.", n=int((~known).sum())))
        X, y = X[known], y[known]
    if not len(y):
        contracts.reject("file", "have rows with a target", "none", "Check --target and the file.")
    y = np.asarray(y.tolist())
    return Table(X, y, tuple(kept), names[index], tuple(categorical), tuple(notes + label_notes + feature_notes))


def _columns(path: Path, header: bool | None) -> tuple[list[Any], list[str], list[str]]:
    with need("pyarrow", "reading tables", "tune"):
        from pyarrow import ArrowInvalid, csv
    if not path.exists():
        contracts.reject("file", "exist", str(path), "Check the path.")
    if path.is_dir() or path.stat().st_size == 0:
        contracts.reject(
            "file", "be a CSV file with rows", f"{path} ({'a folder' if path.is_dir() else 'empty'})", "Check the path."
        )
    with path.open("rb") as stream:
        magic = stream.read(6)
    if magic.startswith(b"PAR1") or magic == b"ARROW1":
        return _columnar(path, parquet=magic.startswith(b"PAR1"))
    delimiter = _delimiter(path)

    def read(skip: int) -> Any:
        return csv.read_csv(
            path,
            read_options=csv.ReadOptions(autogenerate_column_names=True, skip_rows=skip),
            parse_options=csv.ParseOptions(delimiter=delimiter),
            convert_options=csv.ConvertOptions(null_values=list(MISSING), strings_can_be_null=True),
        )

    try:
        whole = read(0)
        names = [f"column {i}" for i in range(whole.num_columns)]
        if header is not False and whole.num_rows > 1:
            first = [str(column[0].as_py()) if column[0].is_valid else "" for column in whole.columns]
            rest = read(1)
            if header or _is_header(first, rest):
                first[0] = first[0].lstrip("\ufeff")
                named = [name.strip() or f"column {i}" for i, name in enumerate(first)]
                return list(rest.columns), named, []
        return list(whole.columns), names, [Sentence("The first line is taken as data: the file has no header.")]
    except (ArrowInvalid, OSError, UnicodeDecodeError) as error:
        first_line = str(error).splitlines()[0]
        kind = {"parquet": "Parquet", "ipc": "Arrow"}.get(FORMATS.get(path.suffix.lower(), ""))
        if kind:
            got = f"{path}, which does not begin as one"
            contracts.reject("file", f"be a whole {kind} file", got, "Write it again.")
        contracts.reject(
            "file", "be a CSV table", f"{path}: {first_line}", "Every line needs the same number of columns."
        )


def _columnar(path: Path, *, parquet: bool) -> tuple[list[Any], list[str], list[str]]:
    """Columns of a Parquet or Arrow file; names say nothing about rows, so there is nothing to find out."""
    from pyarrow import ArrowException, feather
    from pyarrow import parquet as pq

    try:
        table = pq.read_table(path) if parquet else feather.read_table(path)
    except (ArrowException, OSError) as error:
        kind = "Parquet" if parquet else "Arrow"
        contracts.reject("file", f"be a whole {kind} file", f"{path}: {str(error).splitlines()[0]}", "Write it again.")
    return list(table.columns), list(table.column_names), []


def _delimiter(path: Path) -> str:
    import pyarrow

    with pyarrow.input_stream(str(path)) as stream:
        line = bytes(stream.read(65536)).split(b"\n", 1)[0].decode("utf-8", "replace")
    return max(",;\t", key=line.count)


def _is_header(first: list[str], rest: Any) -> bool:
    """A first line of text above a column of numbers is a header; so are distinct texts that never recur."""
    import pyarrow.types as types

    numeric = [types.is_integer(c.type) or types.is_floating(c.type) for c in rest.columns]
    if any(number and text and not _is_number(text) for number, text in zip(numeric, first, strict=True)):
        return True
    if any(_is_number(text) for text in first):
        # numbered column names above numbers, as index-named exports write them: 0, 1, 2, ..., target
        return first[:-1] == [str(i) for i in range(len(first) - 1)] and len(first) > 2
    texts = zip(first, rest.columns, strict=True)
    return len(set(first)) == len(first) and not any(text in column.unique().to_pylist() for text, column in texts)


def _is_number(text: str) -> bool:
    try:
        float(text.strip().strip("'\""))
    except ValueError:
        return False
    return True


def _find(target: str | int | None, names: list[str]) -> int:
    if target is None:
        return len(names) - 1
    if isinstance(target, str) and target in names:
        return names.index(target)
    try:
        index = int(target)
    except ValueError:
        shown = ", ".join(names[:20]) + (", …" if len(names) > 20 else "")
        contracts.reject(
            "target", f"name a column out of: {shown}", target, "Give a name, or a position counted from 0."
        )
    if not -len(names) <= index < len(names):
        contracts.reject(
            "target", f"be a position in [0, {len(names)})", index, "Negative positions count from the end."
        )
    return index % len(names)


def _labels(column: Any, name: str) -> tuple[NDArray[Any], list[str]]:
    """Class labels as written, stripped of quotes; whole numbers stored as floats become integers."""
    values = column.to_pylist()
    notes: list[str] = []
    if any(isinstance(value, str) for value in values):
        values = [None if value is None else value.strip().strip("'\"") for value in values]
    elif any(isinstance(value, float) for value in values):
        known = [value for value in values if value is not None]
        if all(value == int(value) for value in known if np.isfinite(value)) and all(np.isfinite(known)):
            values = [None if value is None else int(value) for value in values]
        elif len(set(known)) > 50:
            remedy = "The target must hold classes; choose another column with --target."
            contracts.reject(f"target {name!r}", "hold classes", f"{len(set(known)):,} different fractions", remedy)
    n_distinct = len({value for value in values if value is not None})
    if n_distinct > max(50, len(values) // 4):
        remedy = "The target must hold classes; choose another column with --target."
        contracts.reject(
            f"target {name!r}", "hold classes that recur", f"{n_distinct:,} values in {len(values):,} rows", remedy
        )
    labels = np.empty(len(values), object)
    labels[:] = values
    return labels, notes


def _features(columns: list[Any], names: list[str]) -> tuple[NDArray[Any], list[str], list[int], list[str]]:
    import pyarrow as pa

    small = (pa.int8(), pa.uint8(), pa.int16(), pa.uint16(), pa.float16(), pa.float32(), pa.bool_())

    arrays, kept, categorical = [], [], []
    notes: list[str] = []
    for column, name in zip(columns, names, strict=True):
        if column.null_count == len(column):
            notes.append(Sentence("Column {name!r} is empty and left out.", name=name))
            continue
        if pa.types.is_nested(column.type) or pa.types.is_binary(column.type):
            form = "Column {name!r} holds {type}, which is no number and no text: left out."
            notes.append(Sentence(form, name=name, type=str(column.type)))
            continue
        number = _numeric(column)
        if number is not None:
            arrays.append(number.cast(pa.float32() if column.type in small else pa.float64()).to_numpy())
        else:
            text = column.cast(pa.string()).combine_chunks().dictionary_encode()
            if len(text.dictionary) > 0.9 * len(text) and len(text) > 50:
                form = "Column {name!r} differs in nearly every row, like a name or number of the row: left out."
                notes.append(Sentence(form, name=name))
                continue
            exact = np.float32 if len(text.dictionary) < 2**24 else np.float64
            codes = text.indices.to_numpy(zero_copy_only=False).astype(exact)
            categorical.append(len(arrays))
            arrays.append(codes)
        kept.append(name)
    if not arrays:
        contracts.reject(
            "file", "have a usable feature column", f"columns {names}", "Check the delimiter and --target."
        )
    X = np.empty((len(arrays[0]), len(arrays)), np.result_type(*arrays))
    n_infinite = n_missing = 0
    for k in range(len(arrays)):
        column, arrays[k] = arrays[k], None  # each goes as soon as it is copied
        infinite = np.isinf(column)
        X[:, k] = np.where(infinite, np.nan, column)
        n_infinite += int(infinite.sum())
        n_missing += int(np.isnan(X[:, k]).sum())
    if n_infinite:
        notes.append(Sentence("{n:,} infinite values are taken as missing.", n=n_infinite))
    if n_missing:
        notes.append(Sentence("{n:,} values are missing.", n=n_missing))
    return X, kept, categorical, notes


def _numeric(column: Any) -> Any:
    """A column of numbers, truth values, decimals or times as numbers; None for texts."""
    import pyarrow as pa

    kind = column.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind):
        return column
    if pa.types.is_decimal(kind):
        return column.cast(pa.float64())
    if pa.types.is_temporal(kind):
        return column.cast(pa.int32()).cast(pa.int64()) if kind.bit_width == 32 else column.cast(pa.int64())
    return None
