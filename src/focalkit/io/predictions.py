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
from focalkit.io import arff, tabular
from focalkit.io import npy as arrays
from focalkit.io.alerts import Alert, say
from focalkit.io.columns import Asked, Described, Layout, described, layout_of
from focalkit.io.convert import Predicted, checked, convert, group_numbers, times, without_missing
from focalkit.io.dialect import Dialect
from focalkit.io.probabilities import refuse as refuse_probabilities
from focalkit.io.probabilities import suspicious, to_logits
from focalkit.io.probabilities import unit as _unit
from focalkit.io.sources import File, find, need, recognised
from focalkit.io.text_batches import Reader

__all__ = [
    "Piece",
    "Source",
    "Trouble",
    "_unit",
    "batches",
    "nothing_there",
    "open_predictions",
    "suspicious",
    "tallied",
]

#: Logits in a batch, and rows in a piece: what one thread, or one worker, reads in one go.
BATCH_LOGITS, PIECE_ROWS = 1 << 18, 1 << 20


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
    dialect: Dialect | None = None


@dataclass
class Trouble:
    """What could not be used: refused at once, or left out and named; and what was counted on the way."""

    leave_out: bool = False
    said: list[str] = field(default_factory=list)
    tallies: dict[str, float] = field(default_factory=dict)

    def complain(self, file: str, where: str, what: str, message: str, n: int = 1) -> None:
        """Refuse by ``message``, or note that ``what`` is left out, ``n`` times in this batch."""
        if not self.leave_out:
            raise InputError(message)
        place = where if isinstance(where, Message) else Message("place.row", row=where)
        more = Message("damage.more", n=n - 1) if n > 1 else ""
        self.said.append(Message("damage.left_out", place=place, file=file, more=more, what=what))

    def count(self, what: str, n: float) -> None:
        """Add to a tally."""
        if n:
            self.tallies[what] = self.tallies.get(what, 0) + n


def tallied(tallies: dict[str, float]) -> list[Alert]:
    """Alerts of what was counted while reading."""
    out = []
    if tallies.get("missing"):
        out.append(Alert("missing_labels", {"n": int(tallies["missing"])}))
    if tallies.get("per_cent"):
        out.append(Alert("per_cent"))
    if tallies.get("renormalised"):
        out.append(Alert("renormalised", {"n": int(tallies["renormalised"])}))
    if tallies.get("clipped"):
        out.append(Alert("clipped", {"n": int(tallies["clipped"]), "floor": tallies["floor"]}))
    if tallies.get("switched"):
        out.append(Alert("encoding", {"encoding": "cp1252"}))
    if tallies.get("headers"):
        out.append(Alert("repeated_header", {"n": int(tallies["headers"]), "line": int(tallies["header_line"])}))
    return out


def add_tallies(one: dict[str, float], other: dict[str, float]) -> dict[str, float]:
    """Two tallies as one; what is no count (a floor, a line) is taken once."""
    out = dict(one)
    for name, n in other.items():
        out[name] = n if name in ("floor", "per_cent", "switched") else out.get(name, 0) + n
    if "header_line" in one:
        out["header_line"] = one["header_line"]
    return out


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
    alerts: tuple[Alert, ...] = ()


def open_predictions(words: Sequence[str | Path], asked: Asked | None = None, *, leave_out: bool = False) -> Source:
    """Find the files and their pieces; ``leave_out`` files that cannot be opened."""
    asked = Asked() if asked is None else asked
    if asked.link is not None:
        contracts.one_of("link", asked.link, ("softmax", "sigmoid"))
    trouble, pieces, alerts = Trouble(leave_out), list[Piece](), dict[str, Alert]()
    files = find(tuple(str(word) for word in words))
    for index, file in enumerate(files):
        try:
            some, said = _pieces(file, index, asked, trouble)
        except InputError as error:
            if not leave_out or len(files) == 1:
                raise
            trouble.said.append(Message("damage.file", file=file.name, error=str(error)))
            continue
        pieces += some
        alerts |= {repr(alert): alert for alert in said}
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
    found = tuple(alerts.values())
    warnings = (*trouble.said, *(say(alert) for alert in found))
    return Source(name, first.link, first.n_classes, first.classes or None, target, tuple(pieces), warnings, found)


def _pieces(file: File, index: int, asked: Asked, trouble: Trouble) -> tuple[list[Piece], list[Alert]]:
    file = recognised(file)
    if file.format in ("npz", "npy"):
        return _of_arrays(file, index, asked, trouble), []
    need("pyarrow", f"reading {'CSV' if file.format == 'csv' else file.format.capitalize()}", "tune")
    if file.format in ("csv", "arff"):
        return _of_text(file, index, asked)
    if file.format == "parquet":
        return _of_parquet(file, index, asked)
    if file.format == "ipc":
        return _of_ipc(file, index, asked)
    return _of_whole(file, index, asked)


def _of_arrays(file: File, index: int, asked: Asked, trouble: Trouble) -> list[Piece]:
    if file.format == "npy" and not file.partner:
        got = f"{file.name} alone"
        contracts.reject("FILE", "name .npy files in pairs, logits first, then targets", got, "Or write an .npz.")
    held = arrays.open_arrays(file)
    try:
        layout = arrays.layout_of(held, asked, file.name)
        n = len(held["logits"])
        packed = any(one.sequential for one in held.values())
        if packed and trouble.leave_out:
            arrays.verified(file)
    finally:
        arrays.close(held)
    size = n if packed else PIECE_ROWS
    cuts = range(0, n, max(size, 1))
    return [Piece(file, index, layout, i, min(i + size, n), min(size, n - i), min(size, n - i)) for i in cuts]


def _of_text(file: File, index: int, asked: Asked) -> tuple[list[Piece], list[Alert]]:
    found = arff.dialect(file) if file.format == "arff" else tabular.dialect_of(file, asked.text)
    names = found.names if found.header else tuple(str(i) for i in range(len(found.names)))
    dialect = Dialect(**{**found.__dict__, "names": names})
    known = found.kinds or ("float",) * (len(names) - 1) + ("text",)
    numbering = frozenset(names[i] for i in found.unnamed[:1] if i == 0)
    columns = Described(names, known, {}, numbering, found.header, max(1, found.told_from))
    layout, alerts = layout_of(columns, asked, file.name, dict(file.keys))
    said = [alert for alert in found.alerts if alert.id != "no_header"]
    return [Piece(file, index, layout, cost=float(PIECE_ROWS), dialect=dialect)], [*said, *alerts]


def _of_parquet(file: File, index: int, asked: Asked) -> tuple[list[Piece], list[Alert]]:
    with _opened(file) as reader:
        meta = reader.metadata
        rows = [meta.row_group(g).num_rows for g in range(meta.num_row_groups)]
        schema = reader.schema_arrow
        widths = _fixed_widths(schema)
        lists = _variable(schema)
        if rows and lists:
            widths |= _first_widths(reader, lists, file)
        columns = described(schema, widths, tabular.index_columns(schema))
    layout, alerts = layout_of(columns, asked, file.name, dict(file.keys))
    pieces, start = [], 0
    for stop in range(1, len(rows) + 1):
        n = sum(rows[start:stop])
        if n >= PIECE_ROWS or stop == len(rows):
            pieces.append(Piece(file, index, layout, start, stop, n, n))
            start = stop
    return pieces, alerts


def _fixed_widths(schema: Any) -> dict[str, int]:
    import pyarrow

    fixed = pyarrow.types.is_fixed_size_list
    kinds = zip(schema.names, schema.types, strict=True)
    return {name: int(kind.list_size) for name, kind in kinds if fixed(kind)}


def _variable(schema: Any) -> list[str]:
    import pyarrow

    from focalkit.io.arrow_types import is_list

    fixed = pyarrow.types.is_fixed_size_list
    kinds = zip(schema.names, schema.types, strict=True)
    return [name for name, kind in kinds if is_list(kind) and not fixed(kind)]


def _first_widths(reader: Any, names: list[str], file: File) -> dict[str, int]:
    """The lengths of lists by the first row group that can be read."""
    import pyarrow

    damage = ""
    for group in range(reader.metadata.num_row_groups):
        try:
            for batch in reader.iter_batches(64, [group], columns=names, use_threads=False):
                return _widths(batch, names)
        except MemoryError:
            raise
        except (pyarrow.ArrowException, OSError) as error:
            damage = tabular.first_line(error)
    if damage:
        contracts.reject("FILE", "be readable", f"{file.name}: {damage}", "Write it again.")
    return {}


def _widths(batch: Any, names: list[str]) -> dict[str, int]:
    """The length of each list column's first list."""
    out = {}
    for name in names:
        first = next((value for value in batch.column(name) if value.is_valid), None)
        if first is not None:
            out[name] = len(first)
    return out


def _opened(file: File) -> Any:
    import pyarrow

    parquet = need("pyarrow.parquet", "reading Parquet")
    try:
        source = file.arrow()
        return parquet.ParquetFile(source, buffer_size=1 << 17, pre_buffer=False, page_checksum_verification=True)
    except MemoryError:
        raise
    except (pyarrow.ArrowException, OSError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        got = f"{file.name}: {tabular.first_line(error)}"
        contracts.reject("FILE", "be a whole Parquet file", got, "Write it again, or leave it out by --skip-damaged.")


def _ipc_reader(file: File) -> Any:
    import pyarrow

    try:
        return tabular.ipc_reader(file)
    except MemoryError:
        raise
    except (pyarrow.ArrowException, OSError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        got = f"{file.name}: {tabular.first_line(error)}"
        contracts.reject("FILE", "be an Arrow IPC file", got, "Write it by pyarrow.ipc.new_file, or .write_feather.")


def _of_ipc(file: File, index: int, asked: Asked) -> tuple[list[Piece], list[Alert]]:
    import pyarrow

    reader = _ipc_reader(file)
    n = getattr(reader, "num_record_batches", None)  # a stream does not say
    widths = _fixed_widths(reader.schema)
    lists = _variable(reader.schema)
    if n != 0 and lists:
        try:
            batch = reader.get_batch(0) if n else reader.read_next_batch()
            batch.validate(full=True)
            widths |= _widths(batch, lists)
        except MemoryError:
            raise
        except StopIteration:
            pass
        except (pyarrow.ArrowException, OSError) as error:
            got = f"{file.name}: {tabular.first_line(error)}"
            contracts.reject("FILE", "be a whole Arrow file", got, "Write it again.")
    columns = described(reader.schema, widths, tabular.index_columns(reader.schema))
    layout, alerts = layout_of(columns, asked, file.name, dict(file.keys))
    return [Piece(file, index, layout, 0, -1 if n is None else n, None, float(PIECE_ROWS))], alerts


def _of_whole(file: File, index: int, asked: Asked) -> tuple[list[Piece], list[Alert]]:
    """Formats that are read whole: JSON, Excel."""
    table = _whole_table(file, asked)
    lists = _variable(table.schema)
    widths = _fixed_widths(table.schema) | (_widths(table, lists) if len(table) else {})
    layout, alerts = layout_of(described(table.schema, widths, frozenset()), asked, file.name, dict(file.keys))
    n = len(table)
    return [Piece(file, index, layout, 0, n, n, n)] if n else [], alerts


def _whole_table(file: File, asked: Asked | None = None) -> Any:
    import pyarrow

    found = tabular.read_columns(file, (asked or Asked()).text)
    return pyarrow.table(dict(zip(found.names, found.columns, strict=True)))


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
    with _opened(piece.file) as reader:
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

    reader, first, step = _ipc_reader(piece.file), 1, _rows_per_batch(piece.layout)
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
    table = _whole_table(piece.file).combine_chunks()
    for at in range(0, len(table), step):
        for batch in table.slice(at, step).to_batches():
            yield _converted(batch, piece, at + 1)


def _converted(
    batch: Any, piece: Piece, first: int, row: NDArray[np.int64] | None = None
) -> tuple[Predicted, list[str] | None]:
    key = dict(piece.file.keys).get(piece.layout.key or "", "")
    return convert(batch, piece.layout, piece.file.name, first, key, row)


def _damaged(where: str, error: Exception, file: str, trouble: Trouble) -> None:
    text = f"{where} of {file}: {tabular.first_line(error)}"
    message = f"FILE must be readable; got {text}. Write it again, or use the rest by --skip-damaged."
    trouble.complain(file, where, Message("damage.unreadable"), message)


def nothing_there(name: str) -> NoReturn:
    """Refuse files without rows."""
    contracts.reject("FILE", "hold at least one row", name, "There is nothing to diagnose.")
