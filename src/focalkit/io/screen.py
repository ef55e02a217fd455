"""Columns that are no features: row indices, counters, ids, constants; and features that know too much."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

_WORDS = "id|ids|uid|uuid|guid|key|pk|index|idx|row|rownum|rowid|record|no|nr|serial|number"
_ID = re.compile(rf"(?:^|[\s_.\-])(?:{_WORDS})$", re.I)
_CAMEL = re.compile(r"[a-z](?:ID|Id|Idx|No|Nr|Key)$")
#: Rows from which a column that differs in each is suspected.
MANY = 50


def says_id(name: str) -> bool:
    """Whether a name is that of an id or index: ``id``, ``patient_id``, ``GameID``, ``row``."""
    return bool(_ID.search(name) or _CAMEL.search(name) or name.lower() == "unnamed: 0")


def counter(values: NDArray[Any]) -> bool:
    """Whether these are the whole numbers k, k + 1, …, k + n - 1, in any order (k is 0 or 1 where they are mixed)."""
    n = len(values)
    if n < 3 or not _whole(values):
        return False
    low = values.min()
    if values.max() - low != n - 1 or (low not in (0, 1) and not (np.diff(values) == 1).all()):
        return False
    return len(np.unique(values)) == n


def identifier(values: NDArray[Any], name: str) -> str:
    """``"identifier"``, ``"maybe_identifier"`` or nothing, for a column of numbers."""
    n = len(values)
    if n < MANY or not _whole(values):
        return ""
    n_distinct = len(np.unique(values))
    if says_id(name) and n_distinct > 0.2 * n:
        return "identifier"
    if n_distinct == n:
        ascending = (np.diff(values) > 0).all() or (np.diff(values) < 0).all()
        return "identifier" if ascending else "maybe_identifier"
    return ""


def _whole(values: NDArray[Any]) -> bool:
    return bool(np.isfinite(values).all() and (values == np.floor(values)).all())


def knows_too_much(values: NDArray[Any], ids: NDArray[np.intp], n_classes: int) -> bool:
    """Whether this feature alone tells every class nearly always: by majority in some 64 quantiles of it.

    ``values`` (n,) are numbers with NaN where missing, or codes; ``ids`` (n,) are class numbers. Classes count
    alike, so that a rare one is not outvoted.
    """
    n = len(values)
    if n < 100 or n_classes < 2:
        return False
    if n > 20_000:
        rows = np.random.RandomState(0).choice(n, 20_000, replace=False)
        values, ids, n = values[rows], ids[rows], 20_000
    n_bins = int(min(64, max(2, n // 20)))
    order = np.argsort(values, kind="stable")
    _, group = np.unique(values, return_inverse=True)
    if group.max() >= n_bins:
        start = np.empty(n, np.intp)
        start[order] = np.arange(n) * n_bins // n
        first = np.full(group.max() + 1, n_bins, np.intp)
        np.minimum.at(first, group, start)
        group = first[group]
    size = np.bincount(ids, minlength=n_classes)
    table = np.zeros((int(group.max()) + 1, n_classes))
    np.add.at(table, (group, ids), 1 / size[ids])
    present = size > 0
    if present.sum() < 2 or (size[present] < 10).any():
        return False
    right = np.zeros(n_classes)
    np.add.at(right, table.argmax(axis=1), table.max(axis=1))
    return bool(right[present].mean() > 0.995)
