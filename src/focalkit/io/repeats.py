"""Rows that stand more than once in a table."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Rows hashed at a time, and columns by which most tables are already told to repeat no row.
_ROWS, _FEW = 4096, 4


def duplicate_groups(X: Any) -> NDArray[np.intp]:
    """A group number for each row of ``X`` (n, n_features); equal rows share theirs (NaN equals NaN).

    ``X`` is an array, or a matrix of SciPy that stores no zeros.
    """
    if hasattr(X, "tocsr"):
        return _of_sparse(X.tocsr(copy=True))
    if X.dtype.kind != "f":
        rows = np.array(["\x1f".join(map(str, row)) for row in X.tolist()])
        return np.asarray(np.unique(rows, return_inverse=True)[1], np.intp)
    # Sorting the rows themselves would take several copies of X. Numbers of 64 bits are sorted in their place, made
    # from the bits by a random linear form; rows that share one are then compared, so that chance decides nothing.
    bits = np.dtype(f"u{X.dtype.itemsize}")
    _, first, group = np.unique(_hashed(X), return_index=True, return_inverse=True)
    copies = np.flatnonzero(first[group] != np.arange(len(X)))
    for rows in np.array_split(copies, len(copies) // 65536 + 1):
        if (_plain(X[rows]).view(bits) != _plain(X[first[group[rows]]]).view(bits)).any():
            return np.asarray(np.unique(_plain(X), axis=0, return_inverse=True)[1], np.intp)
    return np.asarray(group, np.intp)


def _of_sparse(X: Any) -> NDArray[np.intp]:
    X.sum_duplicates()
    X.eliminate_zeros()
    ids: dict[bytes, int] = {}
    values = _plain(X.data) if X.dtype.kind == "f" else X.data
    rows = (X.indices[a:b].tobytes() + values[a:b].tobytes() for a, b in itertools.pairwise(X.indptr.tolist()))
    return np.array([ids.setdefault(row, len(ids)) for row in rows], np.intp)


def repeats(X: NDArray[Any], ids: NDArray[Any]) -> tuple[int, int, int]:
    """How many rows of ``X`` (n, n_features) repeat an earlier one of their class, and how many equal one of another.

    Of these, the third number must be decided wrongly whatever decides. ``ids`` (n,) are class numbers.
    """
    at = np.arange(len(X))
    for columns in (slice(None, None, max(1, X.shape[1] // _FEW)), slice(None)):
        hashed = _hashed(X[at, columns] if len(at) < len(X) else X[:, columns])
        ascending = np.sort(hashed)
        several = np.unique(ascending[1:][ascending[1:] == ascending[:-1]])
        if not len(several):
            return 0, 0, 0
        at = at[np.isin(hashed, several)]
    group = duplicate_groups(X[at])
    pairs, sizes = np.unique(np.column_stack([group, ids[at]]), axis=0, return_counts=True)
    mixed = np.bincount(pairs[:, 0]) > 1
    most = np.zeros(len(mixed), np.intp)
    np.maximum.at(most, pairs[:, 0], sizes)
    return len(at) - len(pairs), int(mixed[group].sum()), len(at) - int(most.sum())


def _hashed(X: NDArray[Any]) -> NDArray[np.uint64]:
    bits = np.dtype(f"u{X.dtype.itemsize}")
    factor = np.random.RandomState(0).randint(1, 2**63, size=X.shape[1], dtype=np.int64).astype(np.uint64) | 1
    hashed = np.empty(len(X), np.uint64)
    for start in range(0, len(X), _ROWS):
        rows = slice(start, start + _ROWS)
        hashed[rows] = _mixed(_plain(X[rows]).view(bits)) @ factor
    return hashed


def _plain(X: NDArray[Any]) -> NDArray[Any]:
    """One bit pattern for -0.0 and 0.0, and for every NaN."""
    return np.ascontiguousarray(np.where(np.isnan(X), X.dtype.type(np.nan), X + 0))


def _mixed(bits: NDArray[Any]) -> NDArray[np.uint64]:
    """Bits spread over the word: round numbers end in zeros, and sums of multiples of 2^k are multiples too."""
    word = bits.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return np.asarray(word ^ (word >> np.uint64(29)))
