"""A table as a numeric matrix and labels, its text columns coded, with all that was found out about it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from focalkit._core import contracts
from focalkit._core.extras import need
from focalkit._core.message import Message
from focalkit._core.types import SupportsArrow
from focalkit.io import screen
from focalkit.io.alerts import Alert, names_said, say
from focalkit.io.dialect import TextOptions
from focalkit.io.encoding import Encoding
from focalkit.io.labels import Labels, check_classes, labels
from focalkit.io.numbers import MISSING, mend
from focalkit.io.repeats import repeats
from focalkit.io.sources import File, find
from focalkit.io.tabular import TARGETS, Columns, of_table, position, read_columns


@dataclass(frozen=True)
class Table:
    """Features and labels of a table, and what was found out about it.

    Attributes
    ----------
    X : (n, n_features) float32 or float64
        NaN where a value is missing. float32 where every column fits (float32, float16, small integers,
        texts and truth values; a CSV's numbers are float64). Text columns hold codes, one per distinct text.
    y : (n,)
        Labels as written; whole numbers as int.
    feature_names : tuple of str
    target_name : str
    categorical : tuple of int
        The columns of ``X`` that hold codes.
    alerts : tuple of Alert
        What was read how, left out and why, and what looks wrong, as data.
    groups, sample_weight, time, costs : (n,) or None
        The columns named so.
    rows : (n,) int
        The number of each row in the file, from 1.
    categories : tuple of tuple of str
        Of each column in ``categorical`` the texts that its codes 0, 1, … stand for.
    """

    X: NDArray[Any]
    y: NDArray[Any]
    feature_names: tuple[str, ...]
    target_name: str
    categorical: tuple[int, ...]
    alerts: tuple[Alert, ...] = ()
    groups: NDArray[Any] | None = None
    sample_weight: NDArray[np.float64] | None = None
    time: NDArray[Any] | None = None
    rows: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    categories: tuple[tuple[str, ...], ...] = ()
    costs: NDArray[np.float64] | None = None

    @property
    def encoding(self) -> Encoding:
        """How the features became numbers, to make those of new rows alike."""
        return Encoding(self.feature_names, self.categorical, self.categories)

    def encode(self, source: Any, **reading: Any) -> NDArray[np.float64]:
        """Features (n, n_features) of new rows: columns found by name, texts coded as here.

        Parameters
        ----------
        source : path, URL, glob, or data frame
            It needs no target; further columns are left aside.
        **reading
            ``header``, ``delimiter``, ``decimal``, ``encoding``, as for :func:`read_table`.
        """
        return self.encoding.matrix(source, **reading)

    def frame(self) -> Any:
        """The features as a pandas data frame with the file's names, its texts as texts."""
        with need("pandas", "a data frame of the table", None):
            import pandas
        texts = dict(zip(self.categorical, self.categories, strict=True))
        columns = {}
        for k, name in enumerate(self.feature_names):
            values = self.X[:, k]
            if k in texts:
                words = np.array([*texts[k], None], object)
                values = words[np.where(np.isnan(values), len(texts[k]), values).astype(np.intp)]
            columns[name] = values
        return pandas.DataFrame(columns)

    @property
    def notes(self) -> tuple[Message, ...]:
        """The alerts as sentences."""
        return tuple(say(alert) for alert in self.alerts)


def read_table(
    source: str | PathLike[str] | Sequence[str | PathLike[str]] | SupportsArrow,
    target: str | int | None = None,
    *,
    header: bool | None = None,
    delimiter: str | None = None,
    decimal: str | None = None,
    encoding: str | None = None,
    drop: Sequence[str | int] = (),
    keep: Sequence[str | int] = (),
    groups: str | int | None = None,
    weights: str | int | None = None,
    time: str | int | None = None,
    costs: str | int | None = None,
    missing: Sequence[str] | None = None,
    skip_damaged: bool = False,
) -> Table:
    """Read a table for training: CSV, Parquet, Arrow, JSON, ARFF or Excel, compressed or not; or a data frame.

    Parameters
    ----------
    source : path, URL, glob, folder, a sequence of these, or a data frame
        The first bytes of a file tell what it is. Several files are put one below the other. A data frame is
        anything with ``__arrow_c_stream__`` (pandas, Polars, PyArrow, DuckDB).
    target : str or int, optional
        Name or position (from 0, or from the end: -1) of the column to predict; default: one called
        target, label, class or y, otherwise the last.
    header : bool, optional
        Whether the first line of a text names the columns; default: found out.
    delimiter : str, optional
        Between the columns of a text, one character; default: found out.
    decimal : {".", ","}, optional
        Decimal mark of a text; default: found out.
    encoding : str, optional
        Of a text, as Python calls it; default: UTF-8 where it is that, otherwise found out.
    drop : sequence of str or int
        Columns to leave out.
    keep : sequence of str or int
        Columns to keep though they look like an index or id.
    groups : str or int, optional
        A column whose equal values belong together; it is no feature.
    weights : str or int, optional
        A column of sample weights, each in [0, inf); it is no feature.
    time : str or int, optional
        A column that orders the rows in time; it is no feature.
    costs : str or int, optional
        A column of what each case costs, say where it is missed; it is no feature.
    missing : sequence of str, optional
        Labels that mean that there is none; empty: every text is a class; default: found out, and said.
    skip_damaged : bool
        Leave out the lines of a text that cannot be read, and say how many; default: they are refused.

    Returns
    -------
    Table

    Raises
    ------
    InputError
        Where the source cannot be read as a table, or a column is not in it.
    ModuleNotFoundError
        Where the library that reads this format is not installed.
    """
    asked = TextOptions(header, delimiter, decimal, encoding)
    roles = {"groups": groups, "weights": weights, "time": time, "costs": costs}
    found = _columns(source, asked, [w for w in (target, groups, time) if w is not None], skip_damaged)
    names, alerts = found.names, list(found.alerts)
    twice = [name for name, n in Counter(names).items() if n > 1]
    if twice:
        alerts.append(Alert("duplicate_names", {"names": names_said(twice)}))
    at = {what: position(word, names, what) for what, word in roles.items() if word is not None}
    dropped = {position(word, names, "drop") for word in drop}
    kept = {position(word, names, "keep") for word in keep}
    index = _target(target, found, dropped | set(at.values()), alerts)
    used = [index, *at.values()]
    if len(set(used)) < len(used) or dropped & set(used):
        contracts.reject(
            "target", "be another column than groups, weights, time and costs", names[index], "Name each once."
        )
    found_labels = labels(found.columns[index], names[index], missing)
    found_labels = _suspected_header(found_labels, asked, alerts)
    features = [i for i in range(len(names)) if i not in used and i not in dropped]
    if not features:
        contracts.reject(
            "file", "have a column besides the target", contracts.Words(f"columns {names}"), "Check the delimiter."
        )
    if dropped:
        alerts.append(Alert("dropped", {"names": names_said([names[i] for i in sorted(dropped)])}))
    known = found_labels.known
    n_without = int((~known).sum()) - sum(a.id == "suspected_header" for a in alerts)
    said = sum(a.values["n"] for a in found_labels.alerts if a.id == "missing_label_word")
    if n_without > said:
        alerts.append(Alert("missing_labels", {"n": n_without - said}))
    if not known.any():
        contracts.reject("file", "have rows with a target", contracts.Words("none"), "Check --target and the file.")
    alerts = [*check_classes(found_labels, names[index]), *alerts, *found_labels.alerts]
    ids = found_labels.codes[known]
    y = np.asarray(found_labels.values)[ids]
    matrix = _features(found, features, kept, known, ids, alerts)
    extra = {what: _role(found.columns[i], what, names[i], known) for what, i in at.items()}
    return Table(
        matrix.X, y, tuple(matrix.names), names[index], tuple(matrix.categorical), tuple(alerts),
        extra.get("groups"), extra.get("weights"), extra.get("time"), _numbered(known, found.gone),
        tuple(matrix.categorical.values()), extra.get("costs"),
    )  # fmt: skip


def _numbered(known: NDArray[np.bool_], gone: Sequence[int]) -> NDArray[np.int64]:
    """The numbers in the file of the rows that are used, where rows ``gone`` were left out while it was read."""
    rows = np.arange(1, len(known) + len(gone) + 1)
    return np.asarray(np.delete(rows, np.asarray(sorted(gone), np.intp) - 1)[known], np.int64)


def _columns(source: Any, asked: TextOptions, as_text: Sequence[str | int], skip_damaged: bool) -> Columns:
    if hasattr(source, "__arrow_c_stream__"):
        import pyarrow

        return of_table(pyarrow.table(source))
    words = [source] if isinstance(source, (str, PathLike, Path)) else list(source)
    files = find(tuple(str(word) for word in words))
    parts = [read_columns(file, asked, as_text, skip_damaged) for file in files]
    if len(parts) == 1:
        return parts[0]
    return _joined(parts, files)


def _joined(parts: list[Columns], files: Sequence[File]) -> Columns:
    """Files one below the other; their columns go by name."""
    import pyarrow

    first = parts[0]
    columns = []
    for part, file in zip(parts, files, strict=True):
        if sorted(part.names) != sorted(first.names):
            got = contracts.Words(f"{file.name} with {part.names[:6]}, after {files[0].name} with {first.names[:6]}")
            contracts.reject("file", "have the same columns as the others", got, "Read them apart.")
    for i, name in enumerate(first.names):
        some = [part.columns[i if part.names == first.names else part.names.index(name)] for part in parts]
        kinds = {column.type for column in some}
        if len(kinds) > 1:
            text = any(pyarrow.types.is_string(kind) for kind in kinds)
            some = [column.cast(pyarrow.string() if text else pyarrow.float64()) for column in some]
        columns.append(pyarrow.chunked_array([chunk for column in some for chunk in column.chunks]))
    alerts = list({(a.id, repr(a.values)): a for part in parts for a in part.alerts}.values())
    before = np.cumsum([0, *(len(part.columns[0]) + len(part.gone) for part in parts)]).tolist()
    gone = [start + row for start, part in zip(before, parts, strict=False) for row in part.gone]
    return Columns(first.names, columns, alerts, first.unnamed, first.index, first.decimal, gone)


def _target(asked: str | int | None, found: Columns, taken: set[int], alerts: list[Alert]) -> int:
    if asked is not None:
        return position(asked, found.names)
    free = [i for i in range(len(found.names)) if i not in taken and i not in found.index and i not in found.unnamed]
    if not free:
        free = [i for i in range(len(found.names)) if i not in taken] or [0]
    known = [i for i in free if found.names[i].lower() in TARGETS]
    index = known[-1] if known else free[-1]
    if index != len(found.names) - 1:
        alerts.append(Alert("target_guess", {"name": found.names[index]}))
    return index


def _suspected_header(found: Labels, asked: TextOptions, alerts: list[Alert]) -> Labels:
    """Without the first row, where it was taken as data, but is a header by its label, which occurs nowhere else."""
    no_header = next((a for a in alerts if a.id == "no_header"), None)
    if asked.header is not None or no_header is None or len(found.codes) < 3 or found.codes[0] < 0:
        return found
    first = found.values[found.codes[0]]
    if not isinstance(first, str) or (found.codes == found.codes[0]).sum() > 1:
        return found
    alerts.remove(no_header)
    alerts.append(Alert("suspected_header", {"label": first}))
    codes = found.codes.copy()
    codes[0] = -1
    return Labels(codes, found.values, found.alerts)


#: Rows copied at a time: a piece of every column, as the cache likes it.
_ROWS_AT_ONCE = 4096
#: Threads that look at columns and copy them.
_THREADS = 8


@dataclass
class _Matrix:
    X: NDArray[Any]
    names: list[str]
    categorical: dict[int, tuple[str, ...]]


@dataclass
class _Read:
    """A column as it was read: its values unless it is no feature, what its codes stand for, and what is said of it."""

    values: Any
    texts: tuple[str, ...] | None
    alerts: list[Alert]
    n_missing: int = 0
    n_infinite: int = 0


def _features(
    found: Columns,
    features: list[int],
    kept: set[int],
    known: NDArray[np.bool_],
    ids: NDArray[Any],
    alerts: list[Alert],
) -> _Matrix:
    whole = bool(known.all())
    step = max(1, -(-len(ids) // screen.SAMPLE))
    some_ids = ids[::step]

    def one(i: int) -> _Read:
        name, column = found.names[i], found.columns[i]
        found.columns[i] = None  # each goes as soon as it is read
        values, texts, why, said = _feature(column, name, found.decimal)
        out = _Read(values, texts, list(said))
        if why is None:
            out.values = values = values if whole else values[known]
            with np.errstate(invalid="ignore"):
                finite = bool(np.isfinite(values.sum(dtype=np.float64)))  # one pass where all is well
            if not finite:
                infinite = np.isinf(values)
                out.n_infinite = int(infinite.sum())
                out.values = values = np.where(infinite, np.nan, values) if out.n_infinite else values
                out.n_missing = int(np.isnan(values).sum())
            why = _no_feature(values, name, texts is not None, i, found, i in kept)
        if why is not None and not (i in kept and values is not None):
            out.alerts.append(why)
            if why.id != "maybe_identifier":
                return _Read(None, texts, out.alerts)
        if out.n_missing > 0.5 * len(values):
            percent = round(100 * out.n_missing / len(values))
            out.alerts.append(Alert("mostly_missing", {"name": name, "percent": percent}))
        if screen.knows_too_much(values[::step], some_ids):
            out.alerts.append(Alert("leak", {"name": name}))
        return out

    with ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1)) as pool:
        read = list(pool.map(one, features))
        alerts += [alert for column in read for alert in column.alerts]
        used = [(found.names[i], column) for i, column in zip(features, read, strict=True) if column.values is not None]
        if not used:
            shown = f"columns {found.names}"
            contracts.reject("file", "have a usable feature column", shown, "Check the delimiter and --target.")
        arrays = [column.values for _, column in used]
        X = np.empty((len(ids), len(arrays)), np.result_type(*arrays))

        def copy(start: int) -> None:
            rows = slice(start, start + _ROWS_AT_ONCE)
            for k, column in enumerate(arrays):
                X[rows, k] = column[rows]

        list(pool.map(copy, range(0, len(X), _ROWS_AT_ONCE)))
    n_repeated, n_mixed = repeats(X, ids)
    if n_repeated:
        alerts.append(Alert("duplicates", {"n": n_repeated, "n_rows": len(X)}))
    if n_mixed:
        alerts.append(Alert("conflicts", {"n": n_mixed}))
    for what in ("infinite", "missing"):
        n = sum(getattr(column, f"n_{what}") for _, column in used)
        if n:
            alerts.append(Alert(what, {"n": n}))
    categorical = {k: column.texts for k, (_, column) in enumerate(used) if column.texts is not None}
    return _Matrix(X, [name for name, _ in used], categorical)


def _feature(
    column: Any, name: str, decimal: str
) -> tuple[Any, tuple[str, ...] | None, Alert | None, tuple[Alert, ...]]:
    """Numbers or codes of a column, the texts that codes stand for, why it is no feature, and what is to be said."""
    import pyarrow as pa

    kind = column.type
    if column.null_count == len(column):
        return None, None, Alert("empty", {"name": name}), ()
    number = _numeric(column)
    if number is not None:
        return number, None, None, ()
    if not pa.types.is_string(kind):
        return None, None, Alert("no_feature", {"name": name, "type": str(kind)}), ()
    encoded = column.dictionary_encode()
    encoded = encoded.combine_chunks() if isinstance(encoded, pa.ChunkedArray) else encoded
    mended = mend(encoded, name, decimal)
    if mended.values is not None:
        return mended.values, None, None, mended.alerts
    words = encoded.dictionary.to_pylist()
    lower = [word.strip().lower() for word in words]
    if set(lower) <= {"true", "false"} | MISSING and {"true", "false"} & set(lower):
        table = np.array(
            [1.0 if w == "true" else 0.0 if w == "false" else np.nan for w in lower] + [np.nan], np.float32
        )
        return table[encoded.indices.fill_null(len(words)).to_numpy(zero_copy_only=False)], None, None, ()
    known = [k for k, word in enumerate(lower) if word not in MISSING]
    if not known:
        return None, None, Alert("empty", {"name": name}), ()
    exact = np.float32 if len(known) < 2**24 else np.float64
    code = np.full(len(words) + 1, np.nan, exact)
    code[known] = np.arange(len(known))
    values = code[encoded.indices.fill_null(len(words)).to_numpy(zero_copy_only=False)]
    n_known = int((~np.isnan(values)).sum())
    said, texts = mended.alerts, tuple(words[k] for k in known)
    if len(known) > 0.9 * n_known and len(values) > screen.MANY and n_known > screen.MANY:
        return values, texts, Alert("row_name", {"name": name}), said
    if screen.says_id(name) and len(known) > 0.2 * len(values) and len(values) > screen.MANY:
        return values, texts, Alert("identifier", {"name": name, "n": len(known), "n_rows": len(values)}), said
    if len(known) > 1000 or (len(known) > 50 and len(known) > 0.2 * len(values)):
        said = (*said, Alert("high_cardinality", {"name": name, "n": len(known), "n_rows": len(values)}))
    return values, texts, None, said


def _no_feature(values: NDArray[Any], name: str, is_code: bool, i: int, found: Columns, kept: bool) -> Alert | None:
    """Why a readable column is none all the same."""
    if i in found.index and not kept:
        return Alert("pandas_index", {"name": name})
    some = values[:: max(1, len(values) // 50)]
    if np.isnan(some).all() and np.isnan(values).all():
        return Alert("empty", {"name": name})
    if len(values) > 1 and (some == some[0]).all() and (values == values[0]).all():
        return Alert("constant", {"name": name})
    if kept or is_code:
        return None
    if i in found.unnamed and i == 0 and screen.counter(values):
        return Alert("pandas_index", {"name": name})
    if (len(values) >= screen.MANY or screen.says_id(name)) and screen.counter(values):
        return Alert("row_counter", {"name": name})
    why = screen.identifier(values, name)
    if why == "identifier":
        return Alert(why, {"name": name, "n": len(np.unique(values)), "n_rows": len(values)})
    return Alert(why, {"name": name}) if why else None


def _numeric(column: Any) -> Any:
    """A column of numbers, truth values or times as floats; None for others."""
    import pyarrow as pa

    kind = column.type
    small = (pa.int8(), pa.uint8(), pa.int16(), pa.uint16(), pa.float16(), pa.float32(), pa.bool_())
    if pa.types.is_temporal(kind):
        if not hasattr(kind, "bit_width") or kind == pa.month_day_nano_interval():
            return None
        column = column.cast(pa.int32()).cast(pa.int64()) if kind.bit_width == 32 else column.cast(pa.int64())
    elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
        return None
    return column.cast(pa.float32() if kind in small else pa.float64(), safe=False).to_numpy()


def _role(column: Any, what: str, name: str, known: NDArray[np.bool_]) -> NDArray[Any]:
    """Groups, weights, times or costs of the rows that are used."""
    import pyarrow as pa

    if column.null_count and what != "groups":
        row = int(np.argmax(np.asarray(column.is_null()))) + 1
        contracts.reject(
            f"{what} {name!r}",
            "have a value in every row",
            contracts.Words(f"none in row {row}"),
            "Mend or drop the rows.",
        )
    if what == "groups":
        encoded = column.dictionary_encode()
        encoded = encoded.combine_chunks() if isinstance(encoded, pa.ChunkedArray) else encoded
        codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
        alone = codes < 0  # a row without a group is a group of its own
        codes[alone] = len(encoded.dictionary) + np.arange(alone.sum())
        return np.asarray(codes[known])
    if what == "time":
        return np.asarray(_times(column, name)[known])
    values: Any = _numeric(column)
    if values is None:
        mended = mend(column.dictionary_encode().combine_chunks(), name)
        values = mended.values
    domain = contracts.REAL if what == "costs" else contracts.SAMPLE_WEIGHT
    if values is None or not domain.holds(values[known]):
        contracts.reject(
            f"{what} {name!r}",
            f"be numbers in {domain}",
            contracts.Words("others"),
            "Name another column.",
        )
    return np.asarray(values[known], np.float64)


def _times(column: Any, name: str) -> NDArray[Any]:
    """What orders rows in time: numbers, times, or texts that are one of the usual dates."""
    import pyarrow as pa
    from pyarrow import compute

    values = _numeric(column)
    if values is not None:
        return np.asarray(values)
    if pa.types.is_string(column.type):
        mended = mend(column.dictionary_encode().combine_chunks(), name)
        if mended.values is not None and not np.isnan(mended.values).any():
            return mended.values
        for form in _DATES:
            read = compute.strptime(column, format=form, unit="s", error_is_null=True)
            if not read.null_count:
                return np.asarray(read.cast(pa.int64()).to_numpy())
    contracts.reject(f"time {name!r}", "hold numbers or dates", str(column[0].as_py()), "Write dates as 2026-11-29.")


_DATES = (
    *("%Y-%m-%d", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%Y/%m/%d", "%Y/%m/%d %H:%M:%S"),
    *("%Y%m%d", "%d.%m.%Y", "%d.%m.%Y %H:%M", "%d.%m.%Y %H:%M:%S", "%d-%m-%Y", "%d/%m/%Y", "%m/%d/%Y", "%Y-%m"),
    *("%b %d %Y", "%d %b %Y"),
)
