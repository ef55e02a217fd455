"""Which decision costs least as the weight of one class grows, and where that changes: compiled."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from focalkit.engines import _cpu

Real = NDArray[np.float64]
Ints = NDArray[np.int64]


def cheapest_changes(p: Real, weights: Real, c: int, costs: Real, apart: float) -> tuple[Ints, Real, Ints, Ints, Ints]:
    """The decision j of the least sum_k w_k p_k C[k, j] next to w_c = 0, and its changes up to infinity.

    Parameters
    ----------
    p : (n_classes, n)
    weights : (n_classes,)
        That of class ``c`` is not looked at.
    c : int
    costs : (n_classes, n_classes), or (n, n_classes, n_classes)
        Rows are the truth.
    apart : float
        Costs within this share of the least are equal; of equal ones the one that rises least goes on.

    Returns
    -------
    first : (n,)
    at, row, before, after : (n_changes,)
        At which weight, in which row, from and to which decision. Row after row, each row's from the left. A row
        changes at most n_classes - 1 times.

    Examples
    --------
    >>> cheapest_changes(np.array([[0.5], [0.5]]), np.ones(2), 1, np.array([[0.0, 1.0], [4.0, 0.0]]), 0.0)[1]
    array([0.25])
    """
    first = np.empty(p.shape[1], np.int64)
    tables = np.ascontiguousarray(costs if costs.ndim == 3 else costs[None], np.float64)
    rows, of_class = (np.ascontiguousarray(values, np.float64) for values in (p, weights))
    return (first, *_cpu.cheapest_changes(rows, of_class, c, tables, apart, first))
