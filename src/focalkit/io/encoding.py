"""Features of new rows as the matrix of a table that was read before: columns found by name, texts coded alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from focalkit._core import contracts
from focalkit._core.extras import need
from focalkit.io.arrow_types import filled
from focalkit.io.dialect import TextOptions
from focalkit.io.numbers import MISSING, mend


@dataclass(frozen=True)
class Encoding:
    """How a table's features became numbers.

    Attributes
    ----------
    names : tuple of str
        Of the columns that are features.
    categorical : tuple of int
        Which of them hold texts.
    categories : tuple of tuple of str
        The texts of each of these, in the order of their codes.
    """

    names: tuple[str, ...]
    categorical: tuple[int, ...] = ()
    categories: tuple[tuple[str, ...], ...] = ()

    def matrix(self, source: Any, **reading: Any) -> NDArray[np.float64]:
        """Features (n, n_features) of a file or a data frame, NaN where there is no value.

        Parameters
        ----------
        source : path, URL, glob, or data frame
            As :func:`focalkit.io.read_table` takes it; further columns are left aside.
        **reading
            ``header``, ``delimiter``, ``decimal``, ``encoding`` of a text.

        Raises
        ------
        InputError
            Where a column is missing, or holds texts where there were numbers.
        """
        texts = dict(zip(self.categorical, self.categories, strict=True))
        columns, decimal = self._read(source, reading)
        out = np.empty((len(columns[0]), len(columns)))
        for k, (column, name) in enumerate(zip(columns, self.names, strict=True)):
            out[:, k] = _codes(column, texts[k]) if k in texts else _numbers(column, name, decimal)
        return out

    def frame(self, source: Any, **reading: Any) -> Any:
        """The same as a pandas data frame, its texts as they are; of :meth:`matrix` in all else."""
        with need("pandas", "a data frame of the table", None):
            import pandas
        columns, decimal = self._read(source, reading)
        return pandas.DataFrame(
            {
                name: _texts(column) if k in self.categorical else _numbers(column, name, decimal)
                for k, (column, name) in enumerate(zip(columns, self.names, strict=True))
            }
        )

    def _read(self, source: Any, reading: dict[str, Any]) -> tuple[list[Any], str]:
        """The columns of a table that are features, and its decimal sign."""
        from focalkit.io.features import _columns

        words = [(self.names[k], "column") for k in self.categorical]
        found = _columns(source, TextOptions(**reading), words, False)
        gone = [name for name in self.names if name not in found.names]
        if gone:
            got = contracts.Words(f"no {', '.join(map(repr, gone[:5]))} among {found.names[:8]}")
            contracts.reject("table", "have the columns that the model knew", got, "Check the file and header=.")
        return [found.columns[found.names.index(name)] for name in self.names], found.decimal


def _numbers(column: Any, name: str, decimal: str) -> NDArray[np.float64]:
    import pyarrow as pa

    from focalkit.io.matrix import numeric

    if column.null_count == len(column):
        return np.full(len(column), np.nan)
    number = numeric(column)
    if number is None and pa.types.is_string(column.type):
        encoded = column.dictionary_encode()
        encoded = encoded.combine_chunks() if isinstance(encoded, pa.ChunkedArray) else encoded
        number = mend(encoded, name, decimal).values
        if number is None:
            number = _truths(encoded)
    if number is None:
        contracts.reject(
            f"column {name!r}", "hold numbers, as it did", contracts.Words(f"type {column.type}"), "Mend the file."
        )
    values = np.asarray(number, np.float64)
    return np.where(np.isinf(values), np.nan, values)


def _truths(encoded: Any) -> NDArray[np.float64] | None:
    words = [word.strip().lower() for word in encoded.dictionary.to_pylist()]
    if not set(words) <= {"true", "false"} | MISSING:
        return None
    table = np.array([1.0 if w == "true" else 0.0 if w == "false" else np.nan for w in words] + [np.nan])
    return np.asarray(table[filled(encoded.indices, len(words))])


def _texts(column: Any) -> NDArray[Any]:
    """Texts (n,), None where there is none."""
    import pyarrow as pa

    values = (column if pa.types.is_string(column.type) else column.cast(pa.string())).to_pylist()
    return np.array([None if v is None or v.strip().lower() in MISSING else v for v in values], object)


def _codes(column: Any, texts: Sequence[str]) -> NDArray[np.float64]:
    """Codes of texts; one that was not there before has the code behind the last."""
    import pyarrow as pa

    if not pa.types.is_string(column.type):
        column = column.cast(pa.string())
    encoded = column.dictionary_encode()
    encoded = encoded.combine_chunks() if isinstance(encoded, pa.ChunkedArray) else encoded
    known = {word: k for k, word in enumerate(texts)}
    words = encoded.dictionary.to_pylist()
    code = [known.get(w, np.nan if w.strip().lower() in MISSING else len(texts)) for w in words]
    table = np.array([*code, np.nan], np.float64)
    return np.asarray(table[filled(encoded.indices, len(words))])
