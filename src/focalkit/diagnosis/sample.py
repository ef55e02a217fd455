"""A bounded sample of predictions, the same whoever read them in whatever order.

Each row gets a number by hashing its place (file, row); in each stratum the rows of the smallest numbers
are kept. Strata are the rows of the ledger: the classes, or each independent column's negatives and
positives. So samples add like ledgers, and every class has its rows however rare it is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from focalkit.io.convert import Predicted

_LAST = np.iinfo(np.uint64).max


def place_hash(file: int, row: NDArray[np.int64]) -> NDArray[np.uint64]:
    """splitmix64 of (file, row)."""
    with np.errstate(over="ignore"):
        x = row.astype(np.uint64) + np.uint64((file * 0x9E3779B97F4A7C15 + 0x632BE59BD9B4E019) & 0xFFFFFFFFFFFFFFFF)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return np.asarray(x ^ (x >> np.uint64(31)))


#: Logits further out are taken for this one: their probabilities have been 0 and 1 for long.
_FAR = 1e38


class Sample:
    """At most ``most`` entries in all, evenly per stratum; only targets that name one class.

    An entry is the hash of its row, its stratum, and its logits: a row's (n_classes) where classes exclude
    each other (softmax), one column's single logit where they do not (sigmoid). ``unit`` numbers what is dealt out
    together, a row or a group of rows; ``time`` orders the rows, where it is known.
    """

    def __init__(self, link: str, n_classes: int, most: int) -> None:
        self.link, self.n_classes = link, n_classes
        self.n_strata = n_classes if link == "softmax" else 2 * n_classes
        self.most = 0 if most == 0 else max(most // self.n_strata, 1)
        self.seen = np.zeros(self.n_strata, np.int64)
        self.limit = np.full(self.n_strata, _LAST, np.uint64)
        width = n_classes if link == "softmax" else 1
        self.key: NDArray[np.uint64] = np.zeros(0, np.uint64)
        self.stratum: NDArray[np.int64] = np.zeros(0, np.int64)
        self.logits: NDArray[np.float32] = np.zeros((0, width), np.float32)
        self.unit: NDArray[np.uint64] = np.zeros(0, np.uint64)
        self.time: NDArray[np.float64] = np.zeros(0)
        self.grouped = self.timed = False
        self._pending: list[tuple[NDArray[Any], ...]] = []

    def offer(self, batch: Predicted, file: int, ignore_index: float) -> None:
        """Take what belongs here."""
        if not self.most or batch.logits.ndim > 2:
            return
        y, z = np.asarray(batch.targets), np.asarray(batch.logits)
        key = place_hash(file, np.asarray(batch.row_of(np.arange(len(y))), np.int64))
        unit = key if batch.group is None else np.where(batch.group == 0, key, batch.group)
        time = np.zeros(len(y)) if batch.time is None else batch.time
        self.grouped |= batch.group is not None
        self.timed |= batch.time is not None
        if self.link == "softmax":
            if y.ndim == 1 and y.dtype.kind in "iu" and self.n_classes > 1:
                (at,) = np.nonzero(y != ignore_index)
                ids = y[at].astype(np.int64)
                self.seen += np.bincount(ids, minlength=self.n_classes)
                new = key[at] <= self.limit[ids]
                at = at[new]
                self._take(key[at], ids[new], z[at], unit[at], time[at])
        elif y.size == len(y) * self.n_classes:
            self._offer_columns(y.reshape(len(y), -1), z.reshape(len(y), -1), key, ignore_index, unit, time)
        if sum(len(part[0]) for part in self._pending) > max(self.most * self.n_strata, 1 << 14):
            self.settle()

    def _offer_columns(
        self,
        y: NDArray[Any],
        z: NDArray[Any],
        key: NDArray[np.uint64],
        ignore_index: float,
        unit: NDArray[np.uint64],
        time: NDArray[np.float64],
    ) -> None:
        ignored = np.isnan(y) if np.isnan(ignore_index) else y == ignore_index
        sides = [(y == side) & ~ignored for side in (0, 1)]
        seen = [here.sum(axis=0) for here in sides]
        if int(np.sum(seen)) + int(ignored.sum()) < y.size:
            return  # soft targets name no class
        for side, here in enumerate(sides):
            self.seen[side::2] += seen[side]
            limit = self.limit[side::2]
            (near,) = np.nonzero(key <= limit.max())
            row, column = np.nonzero(here[near])
            row = near[row]
            new = key[row] <= limit[column]
            row, column = row[new], column[new]
            self._take(key[row], 2 * column + side, z[row, column, None], unit[row], time[row])

    def _take(self, key: NDArray[Any], stratum: NDArray[Any], logits: NDArray[Any], *more: NDArray[Any]) -> None:
        if len(key):
            finite = np.clip(logits, -_FAR, _FAR)  # beyond float32 there is no number; infinite ones stay what they are
            kept = np.where(np.isinf(logits), logits, finite).astype(np.float32)
            self._pending.append((key, stratum, kept, *more))

    def _held(self) -> tuple[NDArray[Any], ...]:
        return self.key, self.stratum, self.logits, self.unit, self.time

    def settle(self) -> None:
        """Keep of what was taken what stays."""
        if not self._pending:
            return
        parts = zip(*[self._held(), *self._pending], strict=True)
        key, stratum, logits, unit, time = (np.concatenate(part) for part in parts)
        self._pending = []
        order = np.lexsort((key, stratum))
        stratum = stratum[order]
        rank = np.arange(len(stratum)) - np.searchsorted(stratum, stratum)
        keep = order[rank < self.most]
        self.key, self.stratum, self.logits = key[keep], stratum[rank < self.most], logits[keep]
        self.unit, self.time = unit[keep], time[keep]
        full = np.flatnonzero(np.bincount(self.stratum, minlength=self.n_strata) == self.most)
        last = np.searchsorted(self.stratum, full, side="right") - 1
        self.limit[full] = self.key[last]

    def __add__(self, other: Sample) -> Sample:
        """The sample of both."""
        self.settle()
        other.settle()
        total = Sample(self.link, self.n_classes, 0)
        total.most = self.most
        total.seen = self.seen + other.seen
        total.grouped, total.timed = self.grouped or other.grouped, self.timed or other.timed
        total._pending = [part._held() for part in (self, other) if len(part.key)]
        total.settle()
        return total
