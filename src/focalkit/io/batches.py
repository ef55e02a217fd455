"""Pieces of prediction files as batches of bounded size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from focalkit._core import contracts
from focalkit._core.message import Message
from focalkit.io import npy as arrays
from focalkit.io._streams import first_line
from focalkit.io.columns import Layout
from focalkit.io.convert import Predicted, checked, convert, group_numbers, times, without_missing
from focalkit.io.pieces import BATCH_LOGITS, Piece, Trouble, add_tallies, ipc_reader, opened, whole_table
from focalkit.io.probabilities import refuse as refuse_probabilities
from focalkit.io.probabilities import to_logits
from focalkit.io.text_batches import Reader


def batches(piece: Piece, trouble: Trouble) -> Iterator[Predicted]:
    """Read a piece; unusable rows, row groups and batches go to ``trouble``."""
    read = {
        "parquet": _parquet_batches,
        "ipc": _ipc_batches,
        "csv": _text_batches,
        "arff": _text_batches,
        "npz": _array_batches,
        "npy": _array_batches,
    }.get(piece.file.format, _whole_batches)
    layout, name = piece.layout, piece.file.name
    for batch, texts in read(piece, trouble):
        batch, texts, n = without_missing(batch, texts)
        trouble.count("missing", n)
        if not len(batch.logits):
            continue
        if layout.probabilities:
            tallies: dict[str, float] = {}
            batch, texts = to_logits(batch, texts, layout, name, trouble.complain, tallies)
            trouble.tallies = add_tallies(trouble.tallies, tallies)
        else:
            refuse_probabilities(batch, layout, name)
        weight = batch.sample_weight
        if batch.logits.ndim == 2 and batch.targets.ndim <= 2 and (weight is None or weight.ndim == 1):
            batch = checked(batch, layout, name, trouble.complain, texts)
        if len(batch.logits):
            yield batch


def _rows_per_batch(layout: Layout) -> int:
    return max(256, min(1 << 16, BATCH_LOGITS // layout.n_classes))


_Read = Iterator[tuple[Predicted, list[str] | None]]


def _parquet_batches(piece: Piece, trouble: Trouble) -> _Read:
    import pyarrow

    layout, name = piece.layout, piece.file.name
    columns, step = list(layout.columns), _rows_per_batch(layout)
    with opened(piece.file) as reader:
        meta = reader.metadata
        row = 1 + sum(meta.row_group(g).num_rows for g in range(piece.start))
        for group in range(piece.start, piece.stop):
            first = row
            n = meta.row_group(group).num_rows
            row += n
            try:
                if trouble.leave_out:  # whole or not at all: its rows are not counted before all of it was read
                    for _ in reader.iter_batches(step, [group], columns, use_threads=False):
                        pass
                for batch in reader.iter_batches(step, [group], columns, use_threads=False):
                    yield _converted(batch, piece, first)
                    first += batch.num_rows
            except MemoryError:
                raise
            except (pyarrow.ArrowException, OSError) as error:
                where = Message("place.row_group", group=group, first=row - n, last=row - 1)
                _damaged(where, error, name, trouble)


def _ipc_batches(piece: Piece, trouble: Trouble) -> _Read:
    import pyarrow

    reader, first, step = ipc_reader(piece.file), 1, _rows_per_batch(piece.layout)
    i = piece.start
    while piece.stop < 0 or i < piece.stop:
        try:
            batch = reader.read_next_batch() if piece.stop < 0 else reader.get_batch(i)
            batch.validate(full=True)
        except StopIteration:
            return
        except MemoryError:
            raise
        except (pyarrow.ArrowException, OSError) as error:
            _damaged(Message("place.batch", batch=i), error, piece.file.name, trouble)
            if piece.stop < 0:
                return
            i += 1
            continue
        i += 1
        for at in range(0, batch.num_rows, step):
            yield _converted(batch.slice(at, step), piece, first + at)
        first += batch.num_rows


def _text_batches(piece: Piece, trouble: Trouble) -> _Read:
    name = piece.file.name
    assert piece.dialect is not None

    def on_line(line: int, what: str) -> None:
        trouble.complain(name, Message("place.line", line=line), what, "")

    reader = Reader(piece.file, piece.layout, piece.dialect, on_line if trouble.leave_out else None)
    for batch, rows, first in reader:
        yield _converted(batch, piece, first, rows)
    seen = reader.records.seen
    if seen.switched:
        trouble.tallies["switched"] = 1
    if seen.repeated:
        trouble.count("headers", seen.repeated)
        trouble.tallies.setdefault("header_line", seen.first_repeated)


def _array_batches(piece: Piece, trouble: Trouble) -> _Read:
    del trouble
    held = arrays.open_arrays(piece.file, verify=False)
    try:
        for at, some in arrays.batches(held, piece.start, piece.stop, _rows_per_batch(piece.layout)):
            batch = Predicted(some["logits"], some["targets"], some.get("sample_weight"), at + 1)
            if piece.layout.groups is not None:
                batch = batch._replace(group=group_numbers(some["groups"]))
            if piece.layout.time is not None:
                batch = batch._replace(time=times(some["time"], "time", piece.file.name, at + 1))
            yield _columns(batch, piece.layout), None
    finally:
        arrays.close(held)


def _columns(batch: Predicted, layout: Layout) -> Predicted:
    """One logit a row as a column; -1 and 1 as the two classes of it."""
    if batch.logits.ndim == 2 and batch.logits.shape[1] > 1:
        if batch.targets.shape == (len(batch.logits), 1):  # class ids as a column
            batch = batch._replace(targets=batch.targets[:, 0])
        return batch
    if batch.logits.ndim > 2:
        return batch
    y = batch.targets.reshape(-1, 1) if layout.link == "sigmoid" else batch.targets
    if y.dtype.kind == "b":
        y = y.astype(np.int64)
    if layout.link == "sigmoid" and y.dtype.kind == "i" and (y == -1).any() and not (y == 0).any():
        y = np.where(y == -1, 0, y)
    return batch._replace(logits=batch.logits.reshape(len(batch.logits), 1), targets=y)


def _whole_batches(piece: Piece, trouble: Trouble) -> _Read:
    del trouble
    step = _rows_per_batch(piece.layout)
    table = whole_table(piece.file).combine_chunks()
    for at in range(0, len(table), step):
        for batch in table.slice(at, step).to_batches():
            yield _converted(batch, piece, at + 1)


def _converted(
    batch: Any, piece: Piece, first: int, row: NDArray[np.int64] | None = None
) -> tuple[Predicted, list[str] | None]:
    key = dict(piece.file.keys).get(piece.layout.key or "", "")
    return convert(batch, piece.layout, piece.file.name, first, key, row)


def _damaged(where: str, error: Exception, file: str, trouble: Trouble) -> None:
    text = f"{where} of {file}: {first_line(error)}"
    message = f"file must be readable; got {text}. Write it again, or use the rest by skip_damaged=True."
    trouble.complain(file, where, Message("damage.unreadable"), message)


def nothing_there(name: str) -> NoReturn:
    """Refuse files without rows."""
    contracts.reject("file", "hold at least one row", name, "There is nothing to diagnose.")
