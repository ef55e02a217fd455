"""Prediction files as pieces that can be read apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from focalkit._core import contracts
from focalkit._core.contracts import InputError
from focalkit._core.message import Message
from focalkit.io import arff, tabular
from focalkit.io import npy as arrays
from focalkit.io._streams import first_line, need
from focalkit.io.alerts import Alert, say
from focalkit.io.batches import batches, nothing_there
from focalkit.io.columns import Asked, Described, described, layout_of
from focalkit.io.dialect import Dialect
from focalkit.io.pieces import PIECE_ROWS, Piece, Trouble, add_tallies, ipc_reader, opened, tallied, whole_table
from focalkit.io.probabilities import suspicious
from focalkit.io.probabilities import unit as _unit
from focalkit.io.sources import File, find, in_utf8, recognised

__all__ = [
    "Piece",
    "Source",
    "Trouble",
    "_unit",
    "add_tallies",
    "batches",
    "nothing_there",
    "open_predictions",
    "suspicious",
    "tallied",
]


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
        contracts.reject(
            "file",
            "hold at least one row",
            contracts.Words(", ".join(f.name for f in files[:3])),
            "Nothing to diagnose.",
        )
    first = pieces[0].layout
    for piece in pieces:
        mine, theirs = (first.link, first.n_classes), (piece.layout.link, piece.layout.n_classes)
        if mine != theirs:
            got = contracts.Words(f"{piece.file.name} with {theirs[1]} logits ({theirs[0]})")
            remedy = f"{pieces[0].file.name} has {mine[1]} ({mine[0]}): diagnose them apart."
            contracts.reject("file", "hold the same kind of predictions as the others", got, remedy)
    name = files[0].name
    if len(files) > 1:
        name = Message("source.files", n=len(files), name=name)
    target = ", ".join(first.targets if len(first.targets) < 4 else (*first.targets[:3], "…"))
    found = tuple(alerts.values())
    warnings = (*trouble.said, *(say(alert) for alert in found))
    return Source(name, first.link, first.n_classes, first.classes or None, target, tuple(pieces), warnings, found)


def _pieces(file: File, index: int, asked: Asked, trouble: Trouble) -> tuple[list[Piece], list[Alert]]:
    with in_utf8(file):
        return _pieces_of(recognised(file), index, asked, trouble)


def _pieces_of(file: File, index: int, asked: Asked, trouble: Trouble) -> tuple[list[Piece], list[Alert]]:
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
        got = contracts.Words(f"{file.name} alone")
        contracts.reject("file", "name .npy files in pairs, logits first, then targets", got, "Or write an .npz.")
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
    with opened(file) as reader:
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
            damage = first_line(error)
    if damage:
        contracts.reject("file", "be readable", contracts.Words(f"{file.name}: {damage}"), "Write it again.")
    return {}


def _widths(batch: Any, names: list[str]) -> dict[str, int]:
    """The length of each list column's first list."""
    out = {}
    for name in names:
        first = next((value for value in batch.column(name) if value.is_valid), None)
        if first is not None:
            out[name] = len(first)
    return out


def _of_ipc(file: File, index: int, asked: Asked) -> tuple[list[Piece], list[Alert]]:
    import pyarrow

    reader = ipc_reader(file)
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
            got = contracts.Words(f"{file.name}: {first_line(error)}")
            contracts.reject("file", "be a whole Arrow file", got, "Write it again.")
    columns = described(reader.schema, widths, tabular.index_columns(reader.schema))
    layout, alerts = layout_of(columns, asked, file.name, dict(file.keys))
    return [Piece(file, index, layout, 0, -1 if n is None else n, None, float(PIECE_ROWS))], alerts


def _of_whole(file: File, index: int, asked: Asked) -> tuple[list[Piece], list[Alert]]:
    """Formats that are read whole: JSON, Excel."""
    table = whole_table(file, asked)
    lists = _variable(table.schema)
    widths = _fixed_widths(table.schema) | (_widths(table, lists) if len(table) else {})
    layout, alerts = layout_of(described(table.schema, widths, frozenset()), asked, file.name, dict(file.keys))
    n = len(table)
    return [Piece(file, index, layout, 0, n, n, n)] if n else [], alerts
