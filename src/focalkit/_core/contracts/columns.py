"""Contracts of one value a row that may be of any kind: labels, groups, times."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from focalkit._core.contracts.domains import array
from focalkit._core.contracts.errors import Words, reject

Column = NDArray[np.generic]


def column(name: str, given: object, n: int | None = None) -> Column:
    """One value per row (n,): a vector, or a matrix of one column; of ``n`` rows where that is known."""
    values = array(name, given)
    values = values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values
    if values.ndim != 1:
        got = Words(f"shape {values.shape}") if values.ndim else given
        reject(name, "have shape (n,)", got, "Pass one entry for each row.")
    if values.dtype.kind not in "biufOUSMm":
        reject(name, "hold numbers, texts or times", Words(f"dtype {values.dtype}"), "Pass one entry for each row.")
    if n is not None and len(values) != n:
        reject(name, f"have one entry for each of the {n} rows", len(values), "Drop it or complete it.")
    return values


def missing(values: Column) -> NDArray[np.bool_]:
    """Which entries (n,) stand for none."""
    if values.dtype.kind == "O":  # None, NaN, pandas.NA, NaT: whatever is not equal to itself, or does not say so
        return np.array([v is None or type(v).__name__ in ("NAType", "NaTType") or v != v for v in values], bool)
    if values.dtype.kind in "fMm":
        return np.asarray(np.isnan(values))
    return np.zeros(len(values), bool)


def complete(name: str, given: object, contract: str, remedy: str, n: int | None = None) -> Column:
    """:func:`column` without missing entries."""
    values = column(name, given, n)
    gone = missing(values)
    if gone.any():
        got = f"{int(gone.sum()):,} of {len(gone):,} that are missing, the first in row {int(gone.argmax())}"
        reject(name, contract, Words(got), remedy)
    return values


def distinct(name: str, values: Column) -> tuple[Column, NDArray[np.intp]]:
    """The different entries in order, and which of them each entry (n,) is."""
    try:
        found, ids = np.unique(values, return_inverse=True)
    except (TypeError, ValueError):  # objects that have no order
        kinds = dict.fromkeys(type(value).__name__ for value in values.tolist())
        got = Words(f"entries of {', '.join(list(kinds)[:4])}")
        reject(name, "have entries of one kind", got, "Make texts, or numbers, of all.")
    return found, np.asarray(ids, np.intp)


def class_ids(y: ArrayLike) -> tuple[Column, NDArray[np.intp]]:
    """The classes of labels (n,), two at least, and each label's number among them."""
    classes, ids = distinct("y", np.asarray(y))
    if len(classes) < 2:
        remedy = "A classifier needs two to tell apart."
        reject("y", "have at least two classes", Words(f"{len(classes)} class"), remedy)
    return classes, ids


def groups(given: object, n: int) -> NDArray[np.intp]:
    """A group number for each of ``n`` rows; a row without a group is a group of its own."""
    values = column("groups", given, n)
    gone, out = missing(values), n + np.arange(n)
    out[~gone] = distinct("groups", values[~gone])[1]
    return out
