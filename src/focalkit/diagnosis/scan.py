"""One pass over a source on all cores or on Dask; the result does not depend on who did which piece when.

The pieces are those of the files, whatever the number of workers, and their ledgers are added in the order
of the pieces: so the sums come out with the same bits.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field

import numpy as np

from focalkit._core.extras import need
from focalkit._core.message import Message
from focalkit._core.spec import LossSpec
from focalkit.diagnosis.hardest import Hardest, row_numbers
from focalkit.diagnosis.ledger import Ledger
from focalkit.diagnosis.sample import Sample
from focalkit.io import cluster
from focalkit.io import predictions as reading
from focalkit.io.alerts import say
from focalkit.io.predictions import Piece, Source, Trouble

#: Told how many rows were read since the last time, and what share of all the work that is (or 0).
Progress = Callable[[int, float], None]


@dataclass(frozen=True)
class Job:
    """What a pass is to gather."""

    spec: LossSpec
    n_classes: int
    class_names: tuple[str, ...] | None = None
    hardest: int = 0
    sample: int = 0
    leave_out: bool = False


@dataclass
class Found:
    """What a pass gathered; parts add."""

    ledger: Ledger
    hardest: Hardest
    sample: Sample
    n_rows: int = 0
    unit: bool = True
    said: list[str] = field(default_factory=list)
    tallies: dict[str, float] = field(default_factory=dict)

    @classmethod
    def nothing(cls, job: Job) -> Found:
        """Begin."""
        ledger = Ledger(job.spec, job.n_classes, job.class_names)
        n = len(ledger.class_names)
        return cls(ledger, Hardest(n, job.hardest), Sample(job.spec.link, job.n_classes, job.sample))

    def __add__(self, other: Found) -> Found:
        return Found(
            self.ledger + other.ledger,
            self.hardest + other.hardest,
            self.sample + other.sample,
            self.n_rows + other.n_rows,
            self.unit and other.unit,
            self.said + other.said,
            reading.add_tallies(self.tallies, other.tallies),
        )


def fill(job: Job, piece: Piece, progress: Progress | None = None, stop: threading.Event | None = None) -> Found:
    """Read one piece."""
    found, trouble = Found.nothing(job), Trouble(job.leave_out)
    for batch in reading.batches(piece, trouble):
        if stop is not None and stop.is_set():
            break
        numbers = row_numbers(batch.first, batch.row)
        for entries in found.ledger.take(batch.logits, batch.targets, batch.sample_weight):
            found.hardest.offer(entries, piece.index, numbers)
        found.sample.offer(batch, piece.index, job.spec.ignore_index)
        found.n_rows += len(batch.logits)
        found.unit = found.unit and reading._unit(batch.logits)
        if progress is not None:
            progress(len(batch.logits), piece.cost * len(batch.logits) / piece.rows if piece.rows else 0.0)
    found.said, found.tallies = _few(trouble.said), trouble.tallies
    return found


def _few(said: list[str], most: int = 3) -> list[str]:
    """Of many complaints about one piece the first ones and their number."""
    return said if len(said) <= most else [*said[:most], Message("note.more", n=len(said) - most)]


def scan(source: Source, job: Job, *, workers: int | None = None, progress: Progress | None = None) -> Found:
    """All pieces on this machine, ``workers`` (None: all cores) at a time."""
    n = min(workers or os.cpu_count() or 1, len(source.pieces))
    if n == 1:
        return _folded(job, source, (fill(job, piece, progress) for piece in source.pieces))
    stop, waiting = threading.Event(), deque[Future[Found]]()
    with ThreadPoolExecutor(n) as pool:

        def in_order() -> Iterator[Found]:
            for piece in source.pieces:
                waiting.append(pool.submit(fill, job, piece, progress, stop))
                if len(waiting) > n + 1:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()

        try:
            return _folded(job, source, in_order())
        finally:
            stop.set()
            for future in waiting:
                future.cancel()


def scan_dask(source: Source, job: Job, address: str, *, progress: Progress | None = None) -> Found:
    """All pieces on the workers of a Dask scheduler, which must see the files under the same paths."""
    with need("distributed", "reading by dask=", "dask"):
        import distributed  # noqa: F401
    lost = "a worker was killed, as systems do where memory runs out, or the Dask scheduler is gone"
    with (
        cluster.connected(address, "dask", "be the address of a running scheduler with workers") as client,
        cluster.losses_said(lost),
    ):
        work = cluster.Work(client, fill, job, retries=2)

        def in_order() -> Generator[Found, None, None]:
            for piece, part in work.results(source.pieces, ordered=True):
                if progress is not None:
                    progress(part.n_rows, piece.cost)
                yield part

        with closing(in_order()) as parts:
            return _folded(job, source, parts)


def _folded(job: Job, source: Source, parts: Iterator[Found]) -> Found:
    total = Found.nothing(job)
    for part in parts:
        total = total + part
    if total.n_rows == 0:
        reading.nothing_there(source.name)
    counted = [say(alert) for alert in reading.tallied(total.tallies)]
    looks = reading.suspicious(source.link, total.unit, total.n_rows)
    total.said = [*source.warnings, *_few(total.said, 10), *counted, *looks]
    return total


def total_cost(source: Source) -> float:
    """What the shares told to a Progress sum up to, where all sizes are known; otherwise 0."""
    known = all(piece.rows for piece in source.pieces)
    return float(np.sum([piece.cost for piece in source.pieces])) if known else 0.0
