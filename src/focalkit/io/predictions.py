"""Prediction files as pieces that can be read apart, each in batches of bounded size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from focalkit._core import contracts
from focalkit._core.contracts import InputError
from focalkit._core.message import Message
from focalkit.io import csv_files
from focalkit.io import npy as arrays
from focalkit.io.columns import Asked, Layout, of_schema
from focalkit.io.convert import Predicted, checked, convert
from focalkit.io.sources import File, find, need

BLOCK_BYTES = 1 << 22
#: Logits in a batch, and rows in a piece: what one thread, or one worker, reads in one go.
BATCH_LOGITS, PIECE_ROWS = 1 << 18, 1 << 20

_TO_LOGITS = {
    "softmax": "Write log(p) in their place: it is a logit of the same softmax; or say --probabilities.",
    "sigmoid": "If they are, write log(p / (1 - p)) in their place, or say --probabilities.",
}


@dataclass(frozen=True)
class Piece:
    """Part of a file: row groups, record batches or rows ``start`` to ``stop``; ``rows`` where known."""

    file: File
    index: int
    layout: Layout
    start: int = 0
    stop: int = 0
    rows: int | None = None
    cost: float = 0.0
    header: tuple[str, ...] = ()
    delimiter: str = ","


@dataclass
class Trouble:
    """What could not be used: refused at once, or left out and named."""

    leave_out: bool = False
    said: list[str] = field(default_factory=list)

    def complain(self, file: str, where: str, what: str, message: str, n: int = 1) -> None:
        """Refuse by ``message``, or note that ``what`` is left out, ``n`` times in this batch."""
        if not self.leave_out:
            raise InputError(message)
        place = where if where.startswith(("row", "line", "file", "batch")) else f"row {where}"
        more = f" and {n - 1:,} more" if n > 1 else ""
        self.said.append(f"left out: {place} of {file}{more} ({what})")


@dataclass(frozen=True)
class Source:
    """Opened files: what is known before reading."""

    name: str
    link: str
    n_classes: int
    class_names: tuple[str, ...] | None
    target: str
    pieces: tuple[Piece, ...]
    warnings: tuple[str, ...] = ()


def open_predictions(words: Sequence[str | Path], asked: Asked | None = None, *, leave_out: bool = False) -> Source:
    """Find the files and their pieces; ``leave_out`` files that cannot be opened."""
    asked = Asked() if asked is None else asked
    if asked.link is not None:
        contracts.one_of("link", asked.link, ("softmax", "sigmoid"))
    trouble, pieces = Trouble(leave_out), []
    files = find(tuple(str(word) for word in words))
    for index, file in enumerate(files):
        try:
            pieces += _pieces(file, index, asked, trouble)
        except InputError as error:
            if not leave_out or len(files) == 1:
                raise
            trouble.said.append(f"left out: file {file.name}: {error}")
    if not pieces:
        contracts.reject("FILE", "hold at least one row", ", ".join(f.name for f in files[:3]), "Nothing to diagnose.")
    first = pieces[0].layout
    for piece in pieces:
        mine, theirs = (first.link, first.n_classes), (piece.layout.link, piece.layout.n_classes)
        if mine != theirs:
            got = f"{piece.file.name} with {theirs[1]} logits ({theirs[0]})"
            remedy = f"{pieces[0].file.name} has {mine[1]} ({mine[0]}): diagnose them apart."
            contracts.reject("FILE", "hold the same kind of predictions as the others", got, remedy)
    name = files[0].name
    if len(files) > 1:
        name = Message("source.files", n=len(files), name=name)
    target = ", ".join(first.targets if len(first.targets) < 4 else (*first.targets[:3], "…"))
    return Source(name, first.link, first.n_classes, first.classes or None, target, tuple(pieces), tuple(trouble.said))


def _pieces(file: File, index: int, asked: Asked, trouble: Trouble) -> list[Piece]:
    if file.format in ("npz", "npy"):
        held = arrays.open_arrays(file)
        layout = arrays.layout_of(held, asked, file.name)
        n = len(held["logits"])
        size = n if file.format == "npz" and not isinstance(held["logits"], np.memmap) else PIECE_ROWS
        cuts = range(0, n, max(size, 1))
        return [Piece(file, index, layout, i, min(i + size, n), min(size, n - i), min(size, n - i)) for i in cuts]
    need("pyarrow", f"reading {'CSV' if file.format == 'csv' else file.format.capitalize()}", "tune")
    if file.format == "csv":
        layout, names, delimiter = csv_files.read_layout(file, asked)
        return [Piece(file, index, layout, cost=float(PIECE_ROWS), header=names, delimiter=delimiter)]
    return _parquet(file, index, asked) if file.format == "parquet" else _ipc(file, index, asked)


def _parquet(file: File, index: int, asked: Asked) -> list[Piece]:
    with _opened(file) as reader:
        meta = reader.metadata
        rows = [meta.row_group(g).num_rows for g in range(meta.num_row_groups)]
        width = None
        if rows:
            with_lists = [n for n in reader.schema_arrow.names if _variable(reader.schema_arrow.field(n).type)]
            width = _first_width(reader, with_lists) if with_lists else None
        layout = of_schema(reader.schema_arrow, asked, file.name, dict(file.keys), width)
    pieces, start = [], 0
    for stop in range(1, len(rows) + 1):
        n = sum(rows[start:stop])
        if n >= PIECE_ROWS or stop == len(rows):
            pieces.append(Piece(file, index, layout, start, stop, n, n))
            start = stop
    return pieces


def _variable(kind: Any) -> bool:
    import pyarrow

    return bool(pyarrow.types.is_list(kind) or pyarrow.types.is_large_list(kind))


def _first_width(reader: Any, names: list[str]) -> int | None:
    import pyarrow

    try:
        for batch in reader.iter_batches(1, columns=names, use_threads=False):
            widths = [len(batch.column(n)[0]) for n in names if batch.column(n)[0].is_valid]
            return max(widths, default=0)
    except (pyarrow.ArrowException, OSError):
        return None
    return None


def _opened(file: File) -> Any:
    import pyarrow

    parquet = need("pyarrow.parquet", "reading Parquet")
    try:
        return parquet.ParquetFile(file.arrow(), buffer_size=1 << 17, pre_buffer=False)
    except (pyarrow.ArrowException, OSError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        got = f"{file.name}: {str(error).splitlines()[0]}"
        contracts.reject("FILE", "be a whole Parquet file", got, "Write it again, or leave it out by --skip-damaged.")


def _ipc_reader(file: File) -> Any:
    import pyarrow

    ipc = need("pyarrow.ipc", "reading Arrow files")
    try:
        return ipc.open_file(file.arrow())
    except (pyarrow.ArrowException, OSError) as error:
        got = f"{file.name}: {str(error).splitlines()[0]}"
        contracts.reject("FILE", "be an Arrow IPC file", got, "Write it by pyarrow.ipc.new_file, or .write_feather.")


def _ipc(file: File, index: int, asked: Asked) -> list[Piece]:
    reader = _ipc_reader(file)
    width = None
    if reader.num_record_batches:
        batch = reader.get_batch(0)
        lists = [n for n in reader.schema.names if _variable(reader.schema.field(n).type)]
        width = max((len(batch.column(n)[0]) for n in lists if len(batch)), default=None)
    layout = of_schema(reader.schema, asked, file.name, dict(file.keys), width)
    return [Piece(file, index, layout, 0, reader.num_record_batches, None, float(PIECE_ROWS))]


def batches(piece: Piece, trouble: Trouble) -> Iterator[Predicted]:
    """Read a piece; unusable rows, row groups and batches go to ``trouble``."""
    read = {"parquet": _parquet_batches, "ipc": _ipc_batches, "csv": _csv_batches}.get(
        piece.file.format, _array_batches
    )
    for batch in read(piece, trouble):
        if len(batch.logits):
            _no_probabilities(batch, piece)
            yield batch


def _rows_per_batch(layout: Layout) -> int:
    return max(256, min(1 << 16, BATCH_LOGITS // layout.n_classes))


def _parquet_batches(piece: Piece, trouble: Trouble) -> Iterator[Predicted]:
    import pyarrow

    layout, name = piece.layout, piece.file.name
    columns = list(dict.fromkeys(layout.columns))
    with _opened(piece.file) as reader:
        meta = reader.metadata
        row = 1 + sum(meta.row_group(g).num_rows for g in range(piece.start))
        for group in range(piece.start, piece.stop):
            first = row
            try:
                for batch in reader.iter_batches(_rows_per_batch(layout), [group], columns, use_threads=False):
                    yield _converted(batch, piece, first, trouble)
                    first += batch.num_rows
            except (pyarrow.ArrowException, OSError) as error:
                _damaged(
                    f"row group {group} (rows {row:,} to {row + meta.row_group(group).num_rows - 1:,})",
                    error,
                    name,
                    trouble,
                )
            row += meta.row_group(group).num_rows


def _ipc_batches(piece: Piece, trouble: Trouble) -> Iterator[Predicted]:
    import pyarrow

    reader, first, step = _ipc_reader(piece.file), 1, _rows_per_batch(piece.layout)
    for i in range(piece.start, piece.stop):
        try:
            batch = reader.get_batch(i)
        except (pyarrow.ArrowException, OSError) as error:
            _damaged(f"batch {i}", error, piece.file.name, trouble)
            continue
        for at in range(0, batch.num_rows, step):
            yield _converted(batch.slice(at, step), piece, first + at, trouble)
        first += batch.num_rows


def _csv_batches(piece: Piece, trouble: Trouble) -> Iterator[Predicted]:
    name, skipped = piece.file.name, list[int]()

    def on_ragged(row: Any) -> str:
        skipped.append((row.number or 0) - int(piece.layout.named))
        trouble.complain(name, f"line {row.number}" if row.number else "a line", f"{row.actual_columns} columns", "")
        return "skip"

    skip = on_ragged if trouble.leave_out else None
    reader, first = csv_files.batches(piece.file, piece.layout, piece.header, piece.delimiter, BLOCK_BYTES, skip), 1
    try:
        for batch in reader:
            yield _converted(batch, piece, first, trouble, _numbered(first, batch.num_rows, skipped))
            first += batch.num_rows
    except InputError as error:
        trouble.complain(name, f"rows from {first:,} on", "a value that is no number", str(error))


def _numbered(first: int, n: int, skipped: list[int]) -> NDArray[np.int64] | None:
    """Numbers in the file of the rows that are left, from the ``first`` of these on."""
    if not skipped:
        return None
    numbers = np.arange(first, first + n, dtype=np.int64)
    for row in skipped:
        numbers[numbers >= row] += 1
    return numbers


def _array_batches(piece: Piece, trouble: Trouble) -> Iterator[Predicted]:
    held, step = arrays.open_arrays(piece.file), _rows_per_batch(piece.layout)
    for at in range(piece.start, piece.stop, step):
        rows = slice(at, min(at + step, piece.stop))
        weight = None if "sample_weight" not in held else np.asarray(held["sample_weight"][rows])
        z, y = np.asarray(held["logits"][rows]), np.asarray(held["targets"][rows])
        batch = Predicted(z, y, weight, at + 1)
        plain = z.ndim <= 2 and y.ndim <= 2 and (weight is None or weight.ndim == 1)
        yield checked(_columns(batch), piece.layout, piece.file.name, trouble.complain) if plain else batch


def _columns(batch: Predicted) -> Predicted:
    if batch.logits.ndim == 2:
        return batch
    return batch._replace(logits=batch.logits[:, None], targets=batch.targets.reshape(-1, 1))


def _converted(
    batch: Any, piece: Piece, first: int, trouble: Trouble, row: NDArray[np.int64] | None = None
) -> Predicted:
    key = dict(piece.file.keys).get(piece.layout.key or "", "")
    return convert(batch, piece.layout, piece.file.name, first, trouble.complain, key, row)


def _damaged(where: str, error: Exception, file: str, trouble: Trouble) -> None:
    text = f"{where} of {file}: {str(error).splitlines()[0]}"
    message = f"FILE must be readable; got {text}. Write it again, or use the rest by --skip-damaged."
    trouble.complain(file, where, "it cannot be read", message)


def _no_probabilities(batch: Predicted, piece: Piece) -> None:
    """Refuse softmax logits that are probabilities."""
    z, layout = batch.logits, piece.layout
    if layout.probabilities or layout.link != "softmax" or z.ndim != 2 or z.shape[1] < 2 or len(z) < 4:
        return
    if not _unit(z[:4]) or not _unit(z):
        return
    if np.abs(z.sum(axis=1, dtype=np.float64) - 1).max() < 1e-3:
        got = f"{piece.file.name}: rows of numbers in [0, 1] that sum to 1, so probabilities"
        contracts.reject("logits", "be raw model outputs", got, _TO_LOGITS["softmax"])


def _unit(z: Any) -> bool:
    return bool(np.all((z >= 0) & (z <= 1)))


def suspicious(link: str, all_in_unit: bool, n_rows: int) -> list[str]:
    """A warning where sigmoid logits look like probabilities."""
    if link == "sigmoid" and all_in_unit and n_rows >= 4:
        return [f"all logits lie in [0, 1]: are they probabilities? {_TO_LOGITS['sigmoid']}"]
    return []


def nothing_there(name: str) -> NoReturn:
    """Refuse files without rows."""
    contracts.reject("FILE", "hold at least one row", name, "There is nothing to diagnose.")
