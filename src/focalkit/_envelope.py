"""Which of some straight lines is the lowest, and where that changes: compiled."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from focalkit.engines import _cpu

Real = NDArray[np.float64]
Ints = NDArray[np.int64]


def lower_envelope(intercept: Real, slope: Real, apart: float) -> tuple[Ints, Real, Ints, Ints, Ints]:
    """The lowest of each row's lines next to 0, and its changes over (0, inf): at, row, line before and after.

    Parameters
    ----------
    intercept : (n, n_lines)
    slope : (n, n_lines), or (1, n_lines) where all rows share it
    apart : float
        Intercepts within this share of the least are equal; of equal ones the least slope goes on.

    Returns
    -------
    first : (n,)
    at, row, before, after : (n_changes,)
        Row after row, each row's from the left. A row changes at most n_lines - 1 times.

    Examples
    --------
    >>> lower_envelope(np.array([[0.0, 1.0]]), np.array([[2.0, 1.0]]), 0.0)[1]
    array([1.])
    """
    first = np.empty(len(intercept), np.int64)
    y, s = (np.ascontiguousarray(values, np.float64) for values in (intercept, slope))
    return (first, *_cpu.lower_envelope(y, s, apart, first))
