"""The pass of the diagnosis in compiled code: log-odds of the true class, and sums per class and bin."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from focalkit.engines import _cpu

Real = NDArray[np.float64]


def _readable(array: NDArray[Any], dtype: Any) -> NDArray[Any]:
    """Aligned and in the machine's byte order, which is all that the kernels ask of logits."""
    return np.require(array, dtype, "A")


def _contiguous(array: NDArray[Any], dtype: Any) -> NDArray[Any]:
    return np.require(array, dtype, ("A", "C"))


def log_odds(logits: NDArray[Any], ids: NDArray[np.int64], ignore_index: int) -> tuple[Real, int]:
    """``m`` of class ``ids`` (n,) in softmax logits (n, n_classes) of any strides, computed in float64.

    Also how many rows have none that a ledger takes: NaN or -inf, ignored rows aside.
    """
    computed = np.float64 if logits.dtype.itemsize == 8 else np.float32  # of any byte order; half types fit float32
    m = np.empty(len(logits))
    return m, _cpu.log_odds(_readable(logits, computed), _contiguous(ids, np.int64), ignore_index, m)


def add_entries(
    rows: NDArray[np.int64],
    m: Real,
    weight: Real | None,
    gamma: Real,
    edges: tuple[Real, float, float, float, float],
    tables: tuple[NDArray[Any], ...],
) -> None:
    """Add entries to the flat tables (count, weight, s1, s2, exact loss, exact grad), in place."""
    weight = None if weight is None else _contiguous(weight, np.float64)
    _cpu.ledger_add(_contiguous(rows, np.int64), _contiguous(m, np.float64), weight, gamma, *edges, *tables)


def update(
    logits: NDArray[Any],
    ids: NDArray[np.int64],
    gamma: Real,
    edges: tuple[Real, float, float, float, float],
    tables: tuple[NDArray[Any], ...],
) -> bool:
    """A small batch of float32 or float64 logits (n, n_classes) and int64 ids in one call.

    False, and nothing done, where an id is no class or a row has no log-odds.
    """
    return _cpu.ledger_update(logits, ids, gamma, *edges, *[table.reshape(-1) for table in tables])
