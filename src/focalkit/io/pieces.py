"""Pieces of prediction files: what they are, how their files open, and what could not be used of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from focalkit._core import contracts
from focalkit._core.contracts import InputError
from focalkit._core.message import Message
from focalkit.io import tabular
from focalkit.io._streams import first_line, need
from focalkit.io.alerts import Alert
from focalkit.io.columns import Asked, Layout
from focalkit.io.dialect import Dialect
from focalkit.io.sources import File

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


def opened(file: File) -> Any:
    """A Parquet file."""
    parquet = need("pyarrow.parquet", "reading Parquet")
    with _damage_in_words(file, "be a whole Parquet file", "Write it again, or leave it out by skip_damaged=True."):
        source = file.arrow()
        return parquet.ParquetFile(source, buffer_size=1 << 17, pre_buffer=False, page_checksum_verification=True)


def ipc_reader(file: File) -> Any:
    """An Arrow file or stream."""
    with _damage_in_words(file, "be an Arrow IPC file", "Write it by pyarrow.ipc.new_file, or .write_feather."):
        return tabular.ipc_reader(file)


@contextmanager
def _damage_in_words(file: File, contract: str, remedy: str) -> Iterator[None]:
    """What Arrow says of a damaged file, as this package's errors; no memory and no file are something else."""
    import pyarrow

    try:
        yield
    except (MemoryError, FileNotFoundError):
        raise
    except (pyarrow.ArrowException, OSError) as error:
        got = contracts.Words(f"{file.name}: {first_line(error)}")
        contracts.reject("file", contract, got, remedy)


def whole_table(file: File, asked: Asked | None = None) -> Any:
    """A file of a format that is read whole."""
    import pyarrow

    found = tabular.read_columns(file, (asked or Asked()).text)
    return pyarrow.table(dict(zip(found.names, found.columns, strict=True)))
