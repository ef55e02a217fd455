"""The bins of the ledger, over the log-odds m of the true class.

1/8 wide over (-20, 44], with one open bin on each side and one more edge at log 9, so that
p_t > 0.5 (m > 0) and p_t > 0.9 (m > log 9) are exact unions of bins. Bins are open below and closed
above: p_t = 0.5 itself is not easy.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

LOW, HIGH, PER_UNIT = -20, 44, 8
LOG9 = math.log(9.0)

#: The finite edges, ascending; bin i is (EDGES[i - 1], EDGES[i]], the first and last bin are open.
EDGES: NDArray[np.float64] = np.sort(np.append(np.arange(LOW * PER_UNIT, HIGH * PER_UNIT + 1) / PER_UNIT, LOG9))
N_BINS = len(EDGES) + 1
LEFT, RIGHT = 0, N_BINS - 1

#: Edges of every bin (the open ones have theirs twice) and the fixed point the moments are about.
LOWER: NDArray[np.float64] = np.append(EDGES[0], EDGES)
UPPER: NDArray[np.float64] = np.append(EDGES, EDGES[-1])
CENTRE: NDArray[np.float64] = (LOWER + UPPER) / 2

#: 0 where p_t <= 0.5, 1 where 0.5 < p_t <= 0.9, 2 where p_t > 0.9.
N_ZONES = 3
ZONE: NDArray[np.intp] = (LOWER >= 0).astype(np.intp) + (LOWER >= LOG9)


def bin_of(m: NDArray[np.float64]) -> NDArray[Any]:
    """Return the bin of each log-odds; m * 8 is exact in binary, so edges are decided exactly."""
    uniform = np.ceil(np.clip(m, LOW - 1, HIGH + 1) * PER_UNIT)
    index = np.clip(uniform, LOW * PER_UNIT, HIGH * PER_UNIT + 1).astype(np.intp)
    index -= LOW * PER_UNIT
    index += m > LOG9
    return index


def scatter(table: NDArray[Any], cell: NDArray[Any], values: NDArray[np.float64] | None) -> None:
    """Add ``values`` (None: ones) to the ``cell`` entries of ``table``, in place."""
    flat = table.reshape(-1)
    if cell.size * 8 < flat.size:
        np.add.at(flat, cell, 1 if values is None else values)
    else:
        flat += np.bincount(cell, values, minlength=flat.size).astype(flat.dtype, copy=False)
