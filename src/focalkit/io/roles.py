"""Columns that are no features but have a part: groups, sample weights, and what orders rows in time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from focalkit._core import contracts
from focalkit.io.arrow_types import filled
from focalkit.io.matrix import numeric
from focalkit.io.numbers import mend


def role(column: Any, what: str, name: str, known: NDArray[np.bool_]) -> NDArray[Any]:
    """Groups, weights, times or costs of the rows that are used."""
    import pyarrow as pa

    if column.null_count and what != "groups":
        row = int(np.argmax(np.asarray(column.is_null()))) + 1
        contracts.reject(
            f"{what} {name!r}",
            "have a value in every row",
            contracts.Words(f"none in row {row}"),
            "Mend or drop the rows.",
        )
    if what == "groups":
        encoded = column.dictionary_encode()
        encoded = encoded.combine_chunks() if isinstance(encoded, pa.ChunkedArray) else encoded
        codes = filled(encoded.indices, -1).astype(np.int64)
        alone = codes < 0  # a row without a group is a group of its own
        codes[alone] = len(encoded.dictionary) + np.arange(alone.sum())
        return np.asarray(codes[known])
    if what == "time":
        return np.asarray(_times(column, name)[known])
    values: Any = None if pa.types.is_temporal(column.type) else numeric(column)
    if values is None and pa.types.is_string(column.type):
        mended = mend(column.dictionary_encode().combine_chunks(), name)
        values = mended.values
    domain = contracts.REAL if what == "costs" else contracts.SAMPLE_WEIGHT
    if values is None or not domain.holds(values[known]):
        contracts.reject(
            f"{what} {name!r}",
            f"be numbers in {domain}",
            contracts.Words("others"),
            "Name another column.",
        )
    return np.asarray(values[known], np.float64)


def _times(column: Any, name: str) -> NDArray[Any]:
    """What orders rows in time: numbers, times, or texts that are one of the usual dates."""
    import pyarrow as pa
    from pyarrow import compute

    values = numeric(column)
    if values is not None:
        return np.asarray(values)
    if pa.types.is_string(column.type):
        mended = mend(column.dictionary_encode().combine_chunks(), name)
        if mended.values is not None and not np.isnan(mended.values).any():
            return mended.values
        for form in _DATES:
            read = compute.strptime(column, format=form, unit="s", error_is_null=True)
            if not read.null_count:
                return np.asarray(read.cast(pa.int64()).to_numpy())
    contracts.reject(f"time {name!r}", "hold numbers or dates", column[0].as_py(), "Write dates as 2026-11-29.")


_DATES = (
    *("%Y-%m-%d", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%Y/%m/%d", "%Y/%m/%d %H:%M:%S"),
    *("%Y%m%d", "%d.%m.%Y", "%d.%m.%Y %H:%M", "%d.%m.%Y %H:%M:%S", "%d-%m-%Y", "%d/%m/%Y", "%m/%d/%Y", "%Y-%m"),
    *("%b %d %Y", "%d %b %Y"),
)
