"""The door of the diagnosis to the engine: logits to log-odds, log-odds to sums per class and bin."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from focalkit.engines.cpu import ledger as cpu_ledger

Real = NDArray[np.float64]


def log_odds(logits: NDArray[Any], ids: NDArray[Any], ignore_index: int) -> tuple[Real, int]:
    """``m`` (n,) of the classes ``ids`` in softmax logits (n, n_classes); and how many rows no ledger takes."""
    return cpu_ledger.log_odds(logits, ids, ignore_index)


def add_entries(
    rows: NDArray[Any],
    m: Real,
    weight: Real | None,
    gamma: Real,
    edges: tuple[Real, float, float, float, float],
    tables: tuple[NDArray[Any], ...],
) -> None:
    """Add entries (row, m, weight) in their order; ``tables`` are contiguous and written in place.

    ``gamma`` holds one number, or one per row of the tables; ``edges`` are the bins' centres, lower and
    upper end, bins per unit, and the one more edge.
    """
    cpu_ledger.add_entries(rows, m, weight, gamma, edges, tuple(table.reshape(-1) for table in tables))


#: Logits of a batch that is added in one go.
SMALL = 1 << 17


def update(
    logits: Any,
    targets: Any,
    n_classes: int,
    gamma: Real,
    edges: tuple[Real, float, float, float, float],
    tables: tuple[NDArray[Any], ...],
) -> bool:
    """Add a small plain batch at once; False, and nothing done, where it is anything else or not right."""
    if type(logits) is not np.ndarray or type(targets) is not np.ndarray:
        return False
    fits = logits.ndim == 2 and targets.ndim == 1 and logits.shape == (targets.shape[0], n_classes)
    if not fits or not 0 < logits.size <= SMALL or logits.dtype not in _PLAIN or targets.dtype != np.int64:
        return False
    readable = targets.flags.c_contiguous and targets.flags.aligned and logits.flags.aligned and logits.dtype.isnative
    if not readable:
        return False
    return cpu_ledger.update(logits, targets, gamma, edges, tables)


_PLAIN = (np.dtype(np.float32), np.dtype(np.float64))
