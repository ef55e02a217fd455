"""The pass of the diagnosis in compiled code: log-odds of the true class, and sums per class and bin."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from focalkit.engines import _cpu

Real: TypeAlias = NDArray[np.float64]
#: The bins' centres, lower and upper end, bins per unit, and the one more edge.
Edges: TypeAlias = tuple[Real, float, float, float, float]
#: Contiguous, written in place: count, weight, s1, s2, exact loss, exact grad.
Tables: TypeAlias = tuple[NDArray[Any], ...]


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
    edges: Edges,
    tables: Tables,
) -> None:
    """Add entries (row, m, weight) in their order to the tables, in place.

    ``gamma`` holds one number, or one per row of the tables.
    """
    weight = None if weight is None else _contiguous(weight, np.float64)
    _cpu.ledger_add(_contiguous(rows, np.int64), _contiguous(m, np.float64), weight, gamma, *edges, *_flat(tables))


#: Logits of a batch that is added in one go.
SMALL = 1 << 17
_PLAIN = (np.dtype(np.float32), np.dtype(np.float64))


def update(logits: Any, ids: Any, n_classes: int, gamma: Real, edges: Edges, tables: Tables) -> bool:
    """Add a small plain batch, logits (n, n_classes) and ids (n,), in one call.

    False, and nothing done, where it is anything else, an id is no class, or a row has no log-odds.
    """
    if type(logits) is not np.ndarray or type(ids) is not np.ndarray:
        return False
    fits = logits.ndim == 2 and ids.ndim == 1 and logits.shape == (ids.shape[0], n_classes)
    if not fits or not 0 < logits.size <= SMALL or logits.dtype not in _PLAIN or ids.dtype != np.int64:
        return False
    readable = ids.flags.c_contiguous and ids.flags.aligned and logits.flags.aligned and logits.dtype.isnative
    return readable and _cpu.ledger_update(logits, ids, gamma, *edges, *_flat(tables))


def _flat(tables: Tables) -> list[NDArray[Any]]:
    return [table.reshape(-1) for table in tables]
