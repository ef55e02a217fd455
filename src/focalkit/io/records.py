"""The rows of a delimited text as clean UTF-8, block by block: what Arrow's CSV reader then only has to parse.

Arrow reads well-formed CSV as fast as anybody, but it cannot go on behind an open quote or a byte that is no UTF-8,
and it takes a header in the middle of a file for data. These are dealt with here, on whole blocks: a block
without a quote, a carriage return or a high byte is handed on as it is.
"""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from focalkit._core.message import Message
from focalkit.io.dialect import Dialect

BLOCK = 1 << 22
#: What is read at a time: it is looked through several times, which is quick where it stays in the cache.
_READ = 1 << 20
#: A quoted value, or a line, that is longer is damage: an open quote, or no table at all.
LONGEST = 1 << 25

#: Told of a line that cannot be used: its number in the file, the number of its row, and what is wrong; may raise.
OnDamage = Callable[[int, int, str], None]


@dataclass
class Seen:
    """What was met on the way."""

    repeated: int = 0
    first_repeated: int = 0
    switched: str = ""
    ascii: bool = True
    #: of the last block
    rows: int = 0
    dropped: list[int] = field(default_factory=list)

    def row_of(self, number: Any) -> Any:
        """The number in the file of the row that is the ``number``-th (from 1) of those that were handed on."""
        return number + np.searchsorted(
            np.asarray(self.dropped, np.int64) - np.arange(len(self.dropped)), number, "right"
        )


class Unexpected(ValueError):
    """Not what the beginning of the file promised."""


class Records(io.RawIOBase):
    """A readable binary stream of clean blocks, for Arrow."""

    def __init__(self, stream: Any, dialect: Dialect, on_damage: OnDamage, *, quotes: bool = True) -> None:
        super().__init__()
        self._unexpected = b"" if quotes else dialect.quote.encode()
        self.seen = Seen(ascii=dialect.ascii)
        self._stream, self._blocks, self._rest = stream, blocks(stream, dialect, on_damage, self.seen), b""
        self.error: BaseException | None = None

    def readable(self) -> bool:
        """True."""
        return True

    def read(self, size: int = -1, /) -> bytes:
        """At most ``size`` bytes; an error is kept, since Arrow tells of it in other words."""
        try:
            if size is None or size < 0:
                return b"".join([self._rest, *self._blocks])
            while not self._rest:
                self._rest = self._next()
                if not self._rest:
                    return b""
        except BaseException as error:
            self.error = error
            raise
        out, self._rest = self._rest[:size], self._rest[size:]
        return out

    def whole(self) -> bytes:
        """The next block of whole rows, of which ``seen.rows`` counts the rows; nothing at the end."""
        try:
            return self._next()
        except BaseException as error:
            self.error = error
            raise

    def _next(self) -> bytes:
        block = next(self._blocks, b"")
        if self._unexpected and self._unexpected in block:
            raise Unexpected
        return block

    def close(self) -> None:
        """Close the file, too."""
        self._stream.close()
        super().close()


def blocks(stream: Any, dialect: Dialect, on_damage: OnDamage, seen: Seen) -> Iterator[bytes]:
    """Whole rows as UTF-8 with line feeds, without what stands above the first one."""
    pending, line, row, skip = b"", dialect.lines + 1, 1, dialect.start
    quote, delimiter = dialect.quote.encode(), dialect.delimiter.encode()
    if dialect.delimiter == " ":
        delimiter = b"\t"
    source = _decoded(stream, dialect, seen)
    last = False
    while not last:
        block = next(source, None)
        last = block is None
        if block is not None:
            if skip:
                block, skip = block[skip:], max(0, skip - len(block))
            end = block.rfind(b"\n") + 1
            if end and quote not in block and quote not in pending:  # as nearly always: copied once
                done = b"".join((pending, memoryview(block)[:end])) if pending or end < len(block) else block
                pending = block[end:]
                part, n_lines, n_rows = _cleaned(done, dialect, line, row, on_damage, seen)
                if part:
                    yield part
                line, row = line + n_lines, row + n_rows
                continue
            pending = pending + block if pending else block
        while pending:
            end, damage = _whole(pending, quote, delimiter, last)
            if end:
                done, pending = pending[:end], pending[end:]
                part, n_lines, n_rows = _cleaned(done, dialect, line, row, on_damage, seen)
                if part:
                    yield part
                line, row = line + n_lines, row + n_rows
            if damage or (last and pending) or len(pending) > LONGEST:
                if not damage and last and quote not in pending:
                    pending += b"\n"
                    continue
                stop = pending.find(b"\n") + 1 or len(pending)
                what = Message("damage.open_quote" if quote in pending[:stop] else "damage.endless")
                on_damage(line, row, what)
                seen.dropped.append(row)
                pending, line, row = pending[stop:], line + 1, row + 1
                continue
            break


def _decoded(stream: Any, dialect: Dialect, seen: Seen) -> Iterator[bytes]:
    """Blocks as UTF-8, or as they are where they should be that."""
    decoder = None
    if dialect.encoding.lower().replace("_", "-") not in ("utf-8", "utf8", "ascii", "us-ascii"):
        decoder = codecs.getincrementaldecoder(dialect.encoding)("replace")
    first = True
    hold = b""
    while block := stream.read(_READ):
        if decoder is not None:
            block = decoder.decode(block).encode()
        if first:
            block, first = block.removeprefix(codecs.BOM_UTF8), False
        if dialect.cr:
            block = hold + block
            hold = b"\r" if block.endswith(b"\r") else b""
            block = (block[:-1] if hold else block).replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if block:
            yield block
    if decoder is not None and (tail := decoder.decode(b"", final=True)):
        yield tail.encode()
    if hold:
        yield b"\n"


def _whole(data: bytes, quote: bytes, delimiter: bytes, last: bool) -> tuple[int, bool]:
    """Where the last whole row ends, and whether what follows is damage (an open quote)."""
    if quote not in data:
        return data.rfind(b"\n") + 1, False
    raw = np.frombuffer(data, np.uint8)
    at = np.flatnonzero(raw == quote[0])
    if _alternate(raw, at, delimiter[0]):
        if len(at) % 2 == 0:
            end = data.rfind(b"\n") + 1
            if end > at[-1]:
                return end, False
        breaks = np.flatnonzero(raw[: at[-1]] == 10)
        outside = breaks[np.searchsorted(at, breaks) % 2 == 0]
        end = int(outside[-1]) + 1 if len(outside) else 0
        if len(at) % 2 == 0:
            return end, False
        return end, (last or len(data) - end > LONGEST)
    return _one_by_one(data, quote, delimiter, last)


def _alternate(raw: Any, at: Any, delimiter: int) -> bool:
    """Whether every other quote opens a value and the others close one, doubled ones aside."""
    opening, closing = at[::2], at[1::2]
    before = raw[np.maximum(opening - 1, 0)]
    opens = (opening == 0) | (before == delimiter) | (before == 10) | (before == 13)
    opens[1:] |= opening[1:] == at[1 : 2 * len(opening) - 1 : 2] + 1
    behind = np.minimum(closing + 1, len(raw) - 1)
    after = raw[behind]
    closes = (closing + 1 == len(raw)) | (after == delimiter) | (after == 10) | (after == 13)
    n = len(at[2::2])
    closes[:n] |= closing[:n] + 1 == at[2::2]
    return bool(opens.all() and closes.all())


def _one_by_one(data: bytes, quote: bytes, delimiter: bytes, last: bool) -> tuple[int, bool]:
    """The same, row by row: stray quotes inside values, and open ones."""
    position, n = 0, len(data)
    field_end = re.compile(rb"[\n" + re.escape(delimiter) + rb"]")
    while position < n:
        stop = data.find(b"\n", position)
        if stop < 0:
            return position, False
        if data.find(quote, position, stop) < 0:
            position = stop + 1
            continue
        end = _row_end(data, position, quote, field_end)
        if end == _DAMAGED:
            return position, True
        if end == _OPEN:
            return position, last or n - position > LONGEST
        position = end
    return position, False


_OPEN, _DAMAGED = -1, -2


def _row_end(data: bytes, at: int, quote: bytes, field_end: re.Pattern[bytes]) -> int:
    while True:
        if data.startswith(quote, at):
            start, k = at, at + 1
            while True:
                k = data.find(quote, k)
                if k < 0:
                    return _OPEN
                if data.startswith(quote, k + 1):
                    k += 2
                    continue
                break
            if k + 1 >= len(data):
                return _OPEN
            found = field_end.search(data, k + 1)
            tail = data[k + 1 : found.start()] if found else b"x"
            if tail.strip(b" \r") and b"\n" in data[start:k]:
                return _DAMAGED
        else:
            found = field_end.search(data, at)
        if found is None:
            return _OPEN
        if found.group() == b"\n":
            return found.end()
        at = found.end()


def _cleaned(
    done: bytes, dialect: Dialect, line: int, row: int, on_damage: OnDamage, seen: Seen
) -> tuple[bytes, int, int]:
    """A block of whole rows without repeated headers and bytes that are no UTF-8; how many lines and rows it had."""
    (n_lines, n_rows), repeated = _counted(done, dialect.quote.encode()), seen.repeated
    if not done.isascii() and dialect.encoding == "utf-8":
        done = _in_utf8(done, line, row, on_damage, seen)
    if dialect.header_lines and any(header in done for header in dialect.header_lines):
        done = _without_headers(done, dialect, line, seen)
    if dialect.delimiter == " ":
        done = re.sub(rb"[ \t]+", b"\t", done)
        done = re.sub(rb"(?m)^\t|\t(?=\r?$)", b"", done)
    seen.rows = n_rows - (seen.repeated - repeated)
    return done, n_lines, seen.rows


def _in_utf8(done: bytes, line: int, row: int, on_damage: OnDamage, seen: Seen) -> bytes:
    """What is no UTF-8: a code page where all before was ASCII, and otherwise lines that are left out."""
    if seen.switched:
        return done.decode(seen.switched, "replace").encode()
    try:
        done.decode("utf-8")
    except UnicodeDecodeError:
        pass
    else:
        seen.ascii = False
        return done
    if seen.ascii:
        seen.switched = "cp1252"
        return done.decode("cp1252", "replace").encode()
    kept = []
    for i, text in enumerate(done.splitlines(keepends=True)):
        try:
            text.decode("utf-8")
        except UnicodeDecodeError:
            on_damage(line + i, row + i, Message("damage.not_utf8"))
            seen.dropped.append(row + i)
        else:
            kept.append(text)
    return b"".join(kept)


def _without_headers(done: bytes, dialect: Dialect, line: int, seen: Seen) -> bytes:
    kept = []
    for i, text in enumerate(done.split(b"\n")):
        if text.rstrip(b"\r").removeprefix(codecs.BOM_UTF8) in dialect.header_lines:
            seen.first_repeated = seen.first_repeated or line + i
            seen.repeated += 1
        else:
            kept.append(text)
    return b"\n".join(kept)


def _counted(done: bytes, quote: bytes) -> tuple[int, int]:
    """Lines of a block, and its rows: lines that are not empty and not inside a quoted value."""
    raw = np.frombuffer(done, np.uint8)
    ends = np.flatnonzero(raw == 10)
    lines = len(ends)
    if quote in done:
        ends = ends[np.searchsorted(np.flatnonzero(raw == quote[0]), ends) % 2 == 0]
    width = np.diff(ends, prepend=-1)
    if not len(width) or width.min() > 2:  # as nearly always
        return lines, len(ends)
    empty = (width == 1) | ((width == 2) & (raw[ends - 1] == 13))
    return lines, len(ends) - int(np.count_nonzero(empty))
