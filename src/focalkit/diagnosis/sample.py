"""A bounded sample of predictions, the same whoever read them in whatever order.

Each row gets a number by hashing its place (file, row); in each stratum the rows of the smallest numbers
are kept. Strata are the rows of the ledger: the classes, or each independent column's negatives and
positives. So samples add like ledgers, and every class has its rows however rare it is.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from focalkit.diagnosis.convert import Predicted

_LAST = np.iinfo(np.uint64).max


def place_hash(file: int, row: NDArray[np.int64]) -> NDArray[np.uint64]:
    """splitmix64 of (file, row)."""
    with np.errstate(over="ignore"):
        x = row.astype(np.uint64) + np.uint64((file * 0x9E3779B97F4A7C15 + 0x632BE59BD9B4E019) & 0xFFFFFFFFFFFFFFFF)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return np.asarray(x ^ (x >> np.uint64(31)))


class Sample:
    """At most ``most`` entries in all, evenly per stratum; only targets that name one class.

    An entry is the hash of its row, its stratum, and its logits: a row's (n_classes) where classes exclude
    each other (softmax), one column's single logit where they do not (sigmoid).
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
        self._pending: list[tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.float32]]] = []

    def offer(self, batch: Predicted, file: int, ignore_index: int) -> None:
        """Take what belongs here."""
        if not self.most:
            return
        strata = self._strata(batch, ignore_index)
        if strata is None:
            return
        counted = strata >= 0
        self.seen += np.bincount(strata[counted], minlength=self.n_strata)
        key = place_hash(file, np.asarray(batch.row_of(np.arange(len(strata))), np.int64))
        take = np.nonzero(counted & (key.reshape(-1, *[1] * (strata.ndim - 1)) <= self.limit[strata]))
        if not len(take[0]):
            return
        z = np.asarray(batch.logits).reshape(len(strata), -1)
        new = z[take[0]] if self.link == "softmax" else z[take][:, None]
        self._pending.append((key[take[0]], strata[take], new.astype(np.float32)))
        if sum(len(part[0]) for part in self._pending) > max(self.most * self.n_strata, 1 << 14):
            self.settle()

    def _strata(self, batch: Predicted, ignore_index: int) -> NDArray[np.int64] | None:
        """Where each target belongs, (n,) or (n, n_classes), -1: nowhere; None for targets that name no class."""
        y = np.asarray(batch.targets)
        if self.link == "softmax":
            if y.ndim != 1 or y.dtype.kind not in "iu" or self.n_classes < 2:
                return None
            return np.where(y == ignore_index, -1, y).astype(np.int64)
        if batch.logits.ndim > 2 or y.size != len(y) * self.n_classes or not np.isin(y, (0, 1, ignore_index)).all():
            return None
        y = y.reshape(len(y), self.n_classes).astype(np.int64)
        return np.where(y == ignore_index, -1, y + 2 * np.arange(self.n_classes))

    def settle(self) -> None:
        """Keep of what was taken what stays."""
        if not self._pending:
            return
        parts = zip(*[(self.key, self.stratum, self.logits), *self._pending], strict=True)
        key, stratum, logits = (np.concatenate(part) for part in parts)
        self._pending = []
        order = np.lexsort((key, stratum))
        stratum = stratum[order]
        rank = np.arange(len(stratum)) - np.searchsorted(stratum, stratum)
        keep = order[rank < self.most]
        self.key, self.stratum, self.logits = key[keep], stratum[rank < self.most], logits[keep]
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
        total._pending = [(part.key, part.stratum, part.logits) for part in (self, other) if len(part.key)]
        total.settle()
        return total
