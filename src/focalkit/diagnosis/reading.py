"""Prediction files as batches of logits and targets: CSV (pyarrow) and .npz (numpy)."""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from focalkit import _checks

BLOCK_BYTES = 1 << 22
NPZ_ROWS = 1 << 16
IGNORE_INDEX = -100

_TO_LOGITS = {
    "softmax": "Write log(p) in their place: it is a logit of the same softmax.",
    "sigmoid": "If they are, write log(p / (1 - p)) in their place.",
}


class Predicted(NamedTuple):
    """A piece of a file."""

    logits: NDArray[Any]
    targets: NDArray[Any]
    sample_weight: NDArray[Any] | None


@dataclass
class Predictions:
    """An opened file: what is known before reading, and the batches; ``warnings`` fills up while they are read."""

    source: str
    link: str
    n_classes: int
    class_names: tuple[str, ...] | None
    target: str
    batches: Iterator[Predicted]
    warnings: list[str] = field(default_factory=list)


def read_predictions(
    path: Path, targets: Sequence[str] = (), link: str | None = None, *, header: bool | None = None
) -> Predictions:
    """Open a prediction file.

    Parameters
    ----------
    path : Path
        A .npz file with ``logits`` and ``targets`` (and, where there are such, ``sample_weight`` and
        ``class_names``); anything else is read as CSV, one column per logit.
    targets : sequence of str
        CSV: name or position (from 0; -1 the last) of the target column, by default the last; with
        the sigmoid link one per logit column. Its values are class ids or names of logit columns.
    link : {None, "softmax", "sigmoid"}
        None: sigmoid for one logit per row, softmax for more.
    header : bool, optional
        CSV: whether the first line names the columns. None: it does unless all of it is numbers.

    Returns
    -------
    Predictions
        Batches of bounded size.

    Raises
    ------
    InputError
        Where the file is not what it should be; the message names file, column and row.
    ImportError
        Where pyarrow is not installed and the file is not .npz.
    """
    path = Path(path)
    if not path.is_file():
        _checks.reject("FILE", "be an existing file", str(path), "Check the path.")
    if link is not None:
        _checks.one_of("link", link, ("softmax", "sigmoid"))
    if path.suffix.lower() == ".npz":
        if targets:
            _checks.reject("target", "be left out for .npz files", list(targets), "They hold an array named targets.")
        opened = _read_npz(path, link)
    else:
        opened = _read_csv(path, tuple(targets), link, header)
    opened.batches = _watched(opened, opened.batches)
    return opened


def _watched(opened: Predictions, batches: Iterator[Predicted]) -> Iterator[Predicted]:
    """Refuse softmax logits that are probabilities; warn where sigmoid logits look like them."""
    n_rows, all_in_unit = 0, True
    for batch in batches:
        z = batch.logits
        in_unit = bool(np.all((z >= 0) & (z <= 1)))
        n_rows, all_in_unit = n_rows + len(z), all_in_unit and in_unit
        if opened.link == "softmax" and in_unit and len(z) >= 4 and z.ndim == 2 and z.shape[1] > 1:
            off = np.abs(z.sum(axis=1, dtype=np.float64) - 1).max()
            if off < 1e-3:
                got = "rows of numbers in [0, 1] that sum to 1, so probabilities"
                _checks.reject("logits", "be raw model outputs", f"{opened.source}: {got}", _TO_LOGITS["softmax"])
        yield batch
    if n_rows == 0:
        _checks.reject("FILE", "hold at least one row", opened.source, "There is nothing to diagnose.")
    if opened.link == "sigmoid" and all_in_unit and n_rows >= 4:
        opened.warnings.append(f"all logits lie in [0, 1]: are they probabilities? {_TO_LOGITS['sigmoid']}")


# --- .npz --------------------------------------------------------------------------------------------------


def _read_npz(path: Path, link: str | None) -> Predictions:
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            names = list(archive.files)
            arrays = {n: archive[n] for n in ("logits", "targets", "sample_weight", "class_names") if n in names}
    except (zipfile.BadZipFile, ValueError, EOFError, KeyError, TypeError, AttributeError) as error:
        _checks.reject("FILE", "be a .npz file of plain arrays", f"{path.name}: {error}", "Write it by numpy.savez.")
    for name in ("logits", "targets"):
        if name not in arrays:
            _checks.reject(
                "FILE",
                f"hold an array named {name}",
                f"{path.name} with {names}",
                "numpy.savez(…, logits=…, targets=…)",
            )
    z, y, weight = arrays["logits"], arrays["targets"], arrays.get("sample_weight")
    if link is None:
        link = "sigmoid" if z.ndim == 1 else "softmax"
    _checks.logits_shape(link, z.shape, 1)
    for name, array in (("targets", y), ("sample_weight", weight)):
        if array is not None and len(np.atleast_1d(array)) != len(z):
            _checks.reject(name, f"have one entry for each of the {len(z)} rows of logits", f"shape {array.shape}", "")
    class_names = tuple(str(n) for n in arrays["class_names"].reshape(-1)) if "class_names" in arrays else None
    n_classes = z.shape[1] if z.ndim > 1 else 1

    def batches() -> Iterator[Predicted]:
        for i in range(0, len(z), NPZ_ROWS):
            rows = slice(i, i + NPZ_ROWS)
            yield Predicted(z[rows], y[rows], None if weight is None else weight[rows])

    return Predictions(path.name, link, n_classes, class_names, "targets", batches())


# --- CSV ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Layout:
    names: tuple[str, ...]
    delimiter: str
    header: bool
    targets: tuple[str, ...]
    logits: tuple[str, ...]
    classes: tuple[str, ...]


def _read_csv(path: Path, targets: tuple[str, ...], link: str | None, header: bool | None) -> Predictions:
    try:
        import pyarrow
        import pyarrow.csv
    except ImportError as error:
        message = 'reading CSV needs pyarrow; run: pip install "focalkit[tune]"'
        raise ImportError(message) from error
    layout = _layout(path, targets, header)
    link = link or ("sigmoid" if len(layout.logits) == 1 or len(layout.targets) > 1 else "softmax")
    _check_layout(path, layout, link)
    types: dict[str, Any] = {name: pyarrow.float64() for name in layout.logits}
    types |= {name: pyarrow.string() for name in layout.targets}

    def batches() -> Iterator[Predicted]:
        first_row = 1
        try:
            with pyarrow.csv.open_csv(
                path,
                pyarrow.csv.ReadOptions(
                    use_threads=False, block_size=BLOCK_BYTES, column_names=layout.names, skip_rows=int(layout.header)
                ),
                pyarrow.csv.ParseOptions(delimiter=layout.delimiter),
                pyarrow.csv.ConvertOptions(
                    column_types=types, include_columns=[*layout.logits, *layout.targets], strings_can_be_null=True
                ),
            ) as reader:
                for batch in reader:
                    yield _convert(batch, layout, link, path, first_row)
                    first_row += batch.num_rows
        except pyarrow.ArrowInvalid as error:
            if "Empty CSV" in str(error):
                return
            _checks.reject(
                "FILE",
                "be CSV with numbers for logits",
                f"{path.name}: {_plain(error, layout)}",
                "Mend it, or drop columns that are neither logit nor target.",
            )

    return Predictions(path.name, link, len(layout.logits), layout.classes, ", ".join(layout.targets), batches())


def _layout(path: Path, targets: tuple[str, ...], header: bool | None) -> _Layout:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            line = stream.readline()
    except UnicodeDecodeError:
        _checks.reject("FILE", "be UTF-8 text", path.name, "Is it a CSV file? Arrays go into .npz.")
    if not line.strip():
        _checks.reject("FILE", "begin with a line of values", f"{path.name}, empty", "There is nothing to diagnose.")
    delimiter = next((d for d in ",;\t" if d in line), ",")
    cells = [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter))]
    named = not all(_is_number(cell) for cell in cells) if header is None else header
    names = tuple(cells) if named else tuple(str(i) for i in range(len(cells)))
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        _checks.reject("FILE", "name each column once", f"{path.name} with {twice} twice", "Rename or drop one.")
    chosen = tuple(_column(target, names, path) for target in targets) or names[-1:]
    logits = tuple(name for name in names if name not in chosen)
    classes = _without_prefix(logits) if named else tuple(str(i) for i in range(len(logits)))
    return _Layout(names, delimiter, named, chosen, logits, classes)


def _check_layout(path: Path, layout: _Layout, link: str) -> None:
    n_logits, n_targets = len(layout.logits), len(layout.targets)
    if n_logits == 0:
        remedy = "Give one column per logit beside the target."
        _checks.reject("FILE", "hold logit columns", f"{path.name} with columns {list(layout.names)}", remedy)
    if n_targets != (n_logits if link == "sigmoid" else 1) or len(set(layout.targets)) != n_targets:
        contract = "name one column" if link == "softmax" else f"name one column for each of the {n_logits} logits"
        remedy = "Repeat --target once per logit column, in their order, or use --link softmax."
        _checks.reject("target", contract, list(layout.targets), remedy)


def _column(target: str, names: tuple[str, ...], path: Path) -> str:
    if target in names:
        return target
    try:
        return names[int(target)]
    except (ValueError, IndexError):
        _checks.reject("target", f"be a column of {path.name}", target, f"Its columns: {', '.join(names)}.")


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _without_prefix(names: tuple[str, ...]) -> tuple[str, ...]:
    for prefix in ("logits_", "logit_", "logits.", "logit.", "logits", "logit", "z_"):
        if all(name.startswith(prefix) and len(name) > len(prefix) for name in names):
            return tuple(name[len(prefix) :] for name in names)
    return names


def _plain(error: Exception, layout: _Layout) -> str:
    """Arrow's message in one line, with the column's name for its number."""
    text = str(error).splitlines()[0]
    included = (*layout.logits, *layout.targets)
    for i in reversed(range(len(layout.names))):
        by_position = layout.names if len(included) == len(layout.names) else included
        text = text.replace(f"In CSV column #{i}:", f"column {by_position[i]!r}:") if i < len(by_position) else text
    return text


def _convert(batch: Any, layout: _Layout, link: str, path: Path, first_row: int) -> Predicted:
    columns = []
    for name in layout.logits:
        column = batch.column(name)
        values = column.to_numpy(zero_copy_only=False)
        bad = np.isnan(values) | np.isposinf(values)
        if bad.any():
            row = int(bad.argmax())
            what = "no number" if np.isnan(values[row]) else "inf"
            got = f"{what} in row {first_row + row}, column {name!r} of {path.name}"
            _checks.reject("logits", "be finite numbers", got, "Leave the row out, or mend the model's output.")
        columns.append(values)
    ids = [_ids(batch.column(name), layout, link, path, first_row) for name in layout.targets]
    if link == "sigmoid":
        return Predicted(np.stack(columns, axis=1), np.stack(ids, axis=1), None)
    return Predicted(np.stack(columns, axis=1), ids[0], None)


def _ids(column: Any, layout: _Layout, link: str, path: Path, first_row: int) -> NDArray[np.int64]:
    """Class ids of a text column: numbers, or names of logit columns."""
    encoded = column.dictionary_encode()
    texts = encoded.dictionary.to_pylist()
    indices = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    known = np.array([_id(text.strip(), layout, link) for text in texts] + [-1], np.int64)
    ids: NDArray[np.int64] = known[indices]
    if (ids == -1).any():
        row = int((ids == -1).argmax())
        got = "nothing" if indices[row] < 0 else repr(texts[indices[row]])
        top = 1 if link == "sigmoid" else len(layout.classes) - 1
        contract = f"be class ids 0 to {top} or {IGNORE_INDEX} for ignored"
        if link == "softmax":
            contract += ", or names of logit columns"
        where = f"{got} in row {first_row + row} of {path.name}"
        _checks.reject("targets", contract, where, "Name the target's column by --target, or mend the value.")
    return ids


def _id(text: str, layout: _Layout, link: str) -> int:
    n_classes = 2 if link == "sigmoid" else len(layout.classes)
    if link == "softmax":
        for names in (layout.classes, layout.logits if layout.header else ()):
            if text in names:
                return names.index(text)
    if not _is_number(text):
        return -1
    number = float(text)
    if number == IGNORE_INDEX:
        return IGNORE_INDEX
    if link == "softmax" and all(_is_number(name) for name in layout.classes):
        values = [float(name) for name in layout.classes]
        return values.index(number) if number in values else -1
    return int(number) if number in range(n_classes) else -1
