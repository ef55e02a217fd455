"""A bounded sample of rows, the same whoever read them in whatever order.

Each row gets a number by hashing its place (file, row); per class the rows of the smallest numbers are
kept. So samples add like ledgers, and every class has its rows however rare it is.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from focalkit.diagnosis.convert import Predicted


def place_hash(file: int, row: NDArray[np.int64]) -> NDArray[np.uint64]:
    """splitmix64 of (file, row)."""
    with np.errstate(over="ignore"):
        x = row.astype(np.uint64) + np.uint64((file * 0x9E3779B97F4A7C15 + 0x632BE59BD9B4E019) & 0xFFFFFFFFFFFFFFFF)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return np.asarray(x ^ (x >> np.uint64(31)))


class Sample:
    """At most ``most`` rows in all, evenly per class; only rows with one true class (softmax)."""

    def __init__(self, n_classes: int, most: int) -> None:
        self.per_class = 0 if most == 0 else max(most // max(n_classes, 1), 1)
        self.n_classes = n_classes
        self.seen = np.zeros(n_classes, np.int64)
        self.limit = np.full(n_classes, np.iinfo(np.uint64).max, np.uint64)
        self.key: NDArray[np.uint64] = np.zeros(0, np.uint64)
        self.ids: NDArray[np.int64] = np.zeros(0, np.int64)
        self.logits: NDArray[np.float32] = np.zeros((0, n_classes), np.float32)
        self._pending: list[tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.float32]]] = []

    def offer(self, batch: Predicted, file: int, ignore_index: int) -> None:
        """Take the rows that belong here."""
        if not self.per_class or batch.targets.ndim != 1 or batch.targets.dtype.kind not in "iu" or self.n_classes < 2:
            return
        counted = batch.targets != ignore_index
        (at,) = np.nonzero(counted)
        ids = batch.targets[at].astype(np.int64)
        self.seen += np.bincount(ids, minlength=self.n_classes)
        key = place_hash(file, np.asarray(batch.row_of(at), np.int64))
        (new,) = np.nonzero(key <= self.limit[ids])
        if len(new):
            self._pending.append((key[new], ids[new], np.asarray(batch.logits)[at[new]].astype(np.float32)))
            if sum(len(part[0]) for part in self._pending) > max(self.per_class * self.n_classes, 1 << 14):
                self.settle()

    def settle(self) -> None:
        """Keep of what was taken what stays."""
        if not self._pending:
            return
        parts = zip(*[(self.key, self.ids, self.logits), *self._pending], strict=True)
        key, ids, logits = (np.concatenate(part) for part in parts)
        self._pending = []
        order = np.lexsort((key, ids))
        ids = ids[order]
        rank = np.arange(len(ids)) - np.searchsorted(ids, ids)
        keep = order[rank < self.per_class]
        self.key, self.ids, self.logits = key[keep], ids[rank < self.per_class], logits[keep]
        full = np.flatnonzero(np.bincount(self.ids, minlength=self.n_classes) == self.per_class)
        last = np.searchsorted(self.ids, full, side="right") - 1
        self.limit[full] = self.key[last]

    def __add__(self, other: Sample) -> Sample:
        """The sample of both."""
        self.settle()
        other.settle()
        total = Sample(self.n_classes, 0)
        total.per_class = self.per_class
        total.seen = self.seen + other.seen
        total._pending = [(part.key, part.ids, part.logits) for part in (self, other) if len(part.key)]
        total.settle()
        return total
