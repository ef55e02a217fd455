"""Columns of plain numbers of a text, read beside Arrow, which gets the cells of the other columns only.

A general reader cuts a block into cells, and then turns those of each column into numbers. Here one pass of compiled
code does both, for what is plain; anything else is :class:`~focalkit.io.records.Unexpected`, and Arrow reads it all.
"""

from __future__ import annotations

import io
import os
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from focalkit.engines import _cpu
from focalkit.io.dialect import Dialect
from focalkit.io.records import Records, Unexpected

_THREADS = 8


class OtherCells(io.RawIOBase):
    """A readable binary stream, for Arrow, of the cells that stand in no column of numbers.

    ``positions`` are the columns that are numbers; when all was read, :meth:`columns` has their values.
    """

    def __init__(self, records: Records, dialect: Dialect, delimiter: str, positions: Sequence[int]) -> None:
        super().__init__()
        self._records, self._positions = records, tuple(positions)
        self._mask = bytes(i in set(positions) for i in range(len(dialect.names)))
        self._marks = (delimiter + dialect.decimal + dialect.quote).encode()
        self._parts: list[tuple[NDArray[np.float64], list[int]]] = []
        threads = min(_THREADS, os.cpu_count() or 1)
        self._pool = ThreadPoolExecutor(threads)
        self._most = threads + 2
        self._pending: deque[tuple[Future[tuple[bytes, list[int]] | None], NDArray[np.float64]]] = deque()
        self._rest = b""

    def readable(self) -> bool:
        """True."""
        return True

    def read(self, size: int = -1, /) -> bytes:
        """At most ``size`` bytes; an error is kept by the records, since Arrow tells of it in other words."""
        try:
            while not self._rest:
                self._rest = self._next()
                if not self._rest:
                    return b""
        except BaseException as error:
            self._records.error = error
            raise
        size = len(self._rest) if size is None or size < 0 else size
        out, self._rest = self._rest[:size], self._rest[size:]
        return out

    def _next(self) -> bytes:
        """The other cells of the next block, while the threads read the numbers of some that follow."""
        while len(self._pending) < self._most and (block := self._records.whole()):
            out = np.empty((len(self._positions), self._records.seen.rows))
            self._pending.append((self._pool.submit(_cpu.take_numbers, block, self._mask, self._marks, out), out))
        if not self._pending:
            return b""
        taken, out = self._pending.popleft()
        found = taken.result()
        if found is None:
            raise Unexpected
        rest, missing = found
        self._parts.append((out, missing))
        return rest

    def columns(self) -> dict[int, Any]:
        """Arrow's columns by position, without copies; null where a cell is empty."""
        import pyarrow

        return {
            position: pyarrow.chunked_array(
                [_arrow(part[k], missing[k]) for part, missing in self._parts], pyarrow.float64()
            )
            for k, position in enumerate(self._positions)
        }

    def close(self) -> None:
        """End the threads, and the records."""
        if not self.closed:
            self._pool.shutdown(cancel_futures=True)
            self._records.close()
        super().close()


def _arrow(values: NDArray[np.float64], missing: int) -> Any:
    """The values as Arrow's, in place, null where they are NaN; `pyarrow.array` would load pandas."""
    import pyarrow

    valid = pyarrow.py_buffer(np.packbits(~np.isnan(values), bitorder="little")) if missing else None
    return pyarrow.Array.from_buffers(pyarrow.float64(), len(values), [valid, pyarrow.py_buffer(values)], missing)
