"""The rows with the largest loss of each class, kept while the predictions go by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from focalkit.diagnosis.batch import Entries


@dataclass(frozen=True)
class HardRow:
    """One row of the predictions: where it is, and the log-odds of the class it is said to have."""

    class_index: int
    m: float
    file: int
    row: int

    @property
    def p_t(self) -> float:
        """Probability of the class it is said to have."""
        return float(np.exp(min(self.m, 0.0)) / (1 + np.exp(-abs(self.m))))


class Hardest:
    """At most ``most`` rows per ledger row, those of the smallest log-odds, ties by file and row.

    The loss falls with the log-odds for every gamma, so these rows have the largest loss whatever gamma is.
    """

    def __init__(self, n_rows: int, most: int) -> None:
        self.most = most
        self.limit = np.full(n_rows, np.inf)
        self.held: list[list[tuple[float, int, int]]] = [[] for _ in range(n_rows)]

    def offer(self, entries: Entries, file: int, numbers: Any) -> None:
        """Take what belongs here out of entries; ``numbers(i)`` are the rows in the file of samples ``i``."""
        if not self.most:
            return
        (new,) = np.nonzero(entries.m < self.limit[entries.row])
        if not len(new):
            return
        order = new[np.argsort(entries.m[new], kind="stable")]
        rows = entries.row[order]
        for k in np.unique(rows):
            some = order[rows == k][: self.most]
            sample = some if entries.sample is None else entries.sample[some]
            places = np.atleast_1d(numbers(entries.start + sample)).tolist()
            self._merge(int(k), [(m, file, row) for m, row in zip(entries.m[some].tolist(), places, strict=True)])

    def _merge(self, k: int, more: list[tuple[float, int, int]]) -> None:
        kept = sorted(self.held[k] + more)[: self.most]
        self.held[k] = kept
        if kept and len(kept) == self.most:
            # a row of just this log-odds may still come before one that is held
            self.limit[k] = np.nextafter(kept[-1][0], np.inf)

    def __add__(self, other: Hardest) -> Hardest:
        """The hardest of both; any order of adding gives the same."""
        total = Hardest(len(self.held), self.most)
        for k, (mine, theirs) in enumerate(zip(self.held, other.held, strict=True)):
            total._merge(k, mine + theirs)
        return total

    def rows(self) -> list[list[HardRow]]:
        """Per ledger row, the hardest first."""
        return [[HardRow(k, *entry) for entry in some] for k, some in enumerate(self.held)]


def row_numbers(first: int, numbers: NDArray[np.int64] | None) -> Any:
    """How a batch's samples are numbered in its file."""
    return (lambda i: first + i) if numbers is None else (lambda i: numbers[i])
