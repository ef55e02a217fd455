"""A table as a numeric matrix and labels, its text columns coded, with all that was found out about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from focalkit._core import contracts
from focalkit._core.extras import need
from focalkit._core.message import Message
from focalkit._core.types import SupportsArrow
from focalkit.io.alerts import Alert, names_said, say
from focalkit.io.dialect import TextOptions
from focalkit.io.encoding import Encoding
from focalkit.io.labels import Labels, check_classes, labels
from focalkit.io.matrix import features as features_of
from focalkit.io.roles import role
from focalkit.io.sources import File, find
from focalkit.io.tabular import TARGETS, AsText, Columns, of_table, position, read_columns


@dataclass(frozen=True, eq=False)
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

    def __repr__(self) -> str:
        """Its size, target and number of alerts."""
        size = f"{len(self.y):,} rows, {len(self.feature_names):,} features"
        return f"Table({size}, target {self.target_name!r}, {len(self.alerts)} alerts)"

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
    texts = {"target": target, "groups": groups, "time": time}
    found = _columns(source, asked, [(word, what) for what, word in texts.items() if word is not None], skip_damaged)
    names, alerts = found.names, list(found.alerts)
    twice = [name for name, n in Counter(names).items() if n > 1]
    if twice:
        alerts.append(Alert("duplicate_names", {"names": names_said(twice)}))
    at = {what: position(word, names, what) for what, word in roles.items() if word is not None}
    columns = "be a sequence of columns", "Pass a list of names or positions."
    dropped = {position(word, names, "drop") for word in contracts.several("drop", drop, *columns)}
    kept = {position(word, names, "keep") for word in contracts.several("keep", keep, *columns)}
    missing = None if missing is None else _words(missing)
    index = _target(target, found, dropped | set(at.values()), alerts)
    used = {"target": index, **at}
    for what, column in used.items():
        others = [other for other, place in used.items() if place == column and other != what]
        if others or column in dropped:
            contract = f"be another column than {others[0] if others else 'those left out'}"
            contracts.reject(what, contract, names[column], "Name each column once.")
    found_labels = labels(found.columns[index], names[index], missing, found.decimal)
    found_labels = _suspected_header(found_labels, asked, alerts)
    features = [i for i in range(len(names)) if i not in used.values() and i not in dropped]
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
        contracts.reject("file", "have rows with a target", contracts.Words("none"), "Check target= and the file.")
    alerts = [*check_classes(found_labels, names[index]), *alerts, *found_labels.alerts]
    ids = found_labels.codes[known]
    y = np.asarray(found_labels.values)[ids]
    matrix = features_of(found, features, kept, known, ids, alerts)
    extra = {what: role(found.columns[i], what, names[i], known) for what, i in at.items()}
    return Table(
        matrix.X, y, tuple(matrix.names), names[index], tuple(matrix.categorical), tuple(alerts),
        extra.get("groups"), extra.get("weights"), extra.get("time"), _numbered(known, found.gone),
        tuple(matrix.categorical.values()), extra.get("costs"),
    )  # fmt: skip


def _words(missing: Sequence[str]) -> tuple[str, ...]:
    contract, remedy = "be a sequence of words", "E.g. missing=['?']."
    words = contracts.several("missing", missing, contract, remedy)
    if not all(isinstance(word, str) for word in words):
        contracts.reject("missing", contract, missing, remedy)
    return words


def _numbered(known: NDArray[np.bool_], gone: Sequence[int]) -> NDArray[np.int64]:
    """The numbers in the file of the rows that are used, where rows ``gone`` were left out while it was read."""
    rows = np.arange(1, len(known) + len(gone) + 1)
    return np.asarray(np.delete(rows, np.asarray(sorted(gone), np.intp) - 1)[known], np.int64)


def _columns(source: Any, asked: TextOptions, as_text: Sequence[AsText], skip_damaged: bool) -> Columns:
    if hasattr(source, "__arrow_c_stream__"):
        import pyarrow

        return of_table(pyarrow.table(source))
    words = [source] if isinstance(source, (str, PathLike)) else source
    if not isinstance(words, (list, tuple)) or not all(isinstance(word, (str, PathLike)) for word in words):
        contract = "be a path, a URL, a glob, a sequence of these, or a data frame"
        remedy = "Read an open file by pandas.read_csv, and pass the frame; arrays need no reading."
        contracts.reject("source", contract, contracts.Words(type(source).__name__), remedy)
    if not words:
        contracts.reject("source", "name at least one file", source, "There is nothing to read.")
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
