"""Columns that are no features: row indices, counters, ids, constants; and features that know too much."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

_WORDS = "id|ids|uid|uuid|guid|key|pk|index|idx|row|rownum|rowid|record|no|nr|serial|number"
_ID = re.compile(rf"(?:^|[\s_.\-])(?:{_WORDS})$", re.I)
_CAMEL = re.compile(r"[a-z](?:ID|Id|Idx|No|Nr|Key)$")
_DATE = re.compile(r"^(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.](\d{4}|\d{2}))([T ]\d{1,2}:\d{2}.*)?$")
#: Rows from which a column that differs in each is suspected.
MANY = 50


def says_id(name: str) -> bool:
    """Whether a name is that of an id or index: ``id``, ``patient_id``, ``GameID``, ``row``."""
    return bool(_ID.search(name) or _CAMEL.search(name) or name.lower() == "unnamed: 0")


def date(text: str) -> bool:
    """Whether a text is a date, written in any of the usual ways."""
    return bool(_DATE.match(text.strip()))


def counter(values: NDArray[Any]) -> bool:
    """Whether these are the whole numbers k, k + 1, …, k + n - 1, in any order (k is 0 or 1 where they are mixed)."""
    n = len(values)
    if n < 3 or not _whole(values):
        return False
    low = values.min()
    if values.max() - low != n - 1 or (low not in (0, 1) and not (np.diff(values) == 1).all()):
        return False
    return len(np.unique(values)) == n


def row_numbers(values: NDArray[Any]) -> bool:
    """Whether a column without a name numbers rows: some of a table, in any order, or of tables below each other."""
    if len(values) < 3 or not _whole(values) or values.min() < 0:
        return False
    return bool((np.diff(values) == 1).mean() > 0.5) or len(np.unique(values)) == len(values)


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


def fractions(values: NDArray[Any]) -> bool:
    """Whether a column of numbers begins with some that are not whole: then it counts and names nothing."""
    some = values[:50]
    return not bool((some == np.floor(some)).all())


def _whole(values: NDArray[Any]) -> bool:
    return not fractions(values) and bool(np.isfinite(values).all() and (values == np.floor(values)).all())


#: Rows that are looked at, cuts below each other, and fewest rows on either side of one.
SAMPLE, _DEPTH, _LEAF = 4_000, 4, 5


def knows_too_much(values: NDArray[Any], ids: NDArray[np.intp]) -> bool:
    """Whether this feature alone tells every class nearly always, by a tree of a few cuts.

    ``values`` (n,) are numbers with NaN where missing, or codes; ``ids`` (n,) are class numbers; n is some
    :data:`SAMPLE`. Classes count alike, so that a rare one is not outvoted; those below ten rows are left aside.
    """
    if len(values) < 100:
        return False
    size = np.bincount(ids)
    present = np.flatnonzero(size >= 10)
    if len(present) < 2:
        return False
    if size.sum() > size[present].sum():
        some = size[ids] >= 10
        values, ids = values[some], ids[some]
    order = np.argsort(values, kind="stable")
    values, ids = values[order], np.searchsorted(present, ids[order])
    mass = np.zeros((len(ids) + 1, len(present)))
    mass[np.arange(1, len(ids) + 1), ids] = 1 / size[present][ids]
    np.cumsum(mass, axis=0, out=mass)
    with np.errstate(invalid="ignore"):
        breaks = np.flatnonzero(values[1:] != values[:-1]) + 1
    most = 0.005 * len(present)
    return _lost(mass, breaks, 0, len(ids), _DEPTH, most) < most


def _lost(mass: NDArray[Any], breaks: NDArray[Any], low: int, high: int, depth: int, most: float) -> float:
    """Class mass beside the leaves' majorities, for the rows ``low`` to ``high`` in order of the feature.

    Where it reaches ``most`` nothing further is looked at: of features that tell little, one leaf is enough.
    """
    whole = mass[high] - mass[low]
    beside = float(whole.sum() - whole.max())
    if not depth or beside < 0.0001 * whole.sum():
        return beside
    cuts = breaks[np.searchsorted(breaks, low + _LEAF) : np.searchsorted(breaks, high - _LEAF, side="right")]
    if not len(cuts):
        return beside
    left = mass[cuts] - mass[low]
    right = mass[high] - mass[cuts]
    # the Gini criterion, as in CART
    purity = (left**2).sum(axis=1) / left.sum(axis=1) + (right**2).sum(axis=1) / right.sum(axis=1)
    cut = int(cuts[purity.argmax()])
    lost = _lost(mass, breaks, low, cut, depth - 1, most)
    return lost if lost >= most else lost + _lost(mass, breaks, cut, high, depth - 1, most - lost)
