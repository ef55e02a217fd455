"""The columns of a table as one matrix of numbers: texts coded, and what is no feature left out, with the reason."""

from __future__ import annotations

import os
from bisect import bisect_right
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from focalkit._core import contracts
from focalkit.io import screen
from focalkit.io.alerts import Alert
from focalkit.io.arrow_types import filled
from focalkit.io.numbers import MISSING, mend
from focalkit.io.repeats import repeats
from focalkit.io.tabular import Columns

#: Rows copied at a time: a piece of every column, as the cache likes it.
_ROWS_AT_ONCE = 4096
#: Threads that look at columns and copy them.
_THREADS = 8


@dataclass
class Matrix:
    """Features (n, n_features), their names, and of those that hold codes the texts that these stand for."""

    X: NDArray[Any]
    names: list[str]
    categorical: dict[int, tuple[str, ...]]


@dataclass
class _Read:
    """A column as it was read: its values unless it is no feature, what its codes stand for, and what is said of it."""

    values: Any  #: an array, or a list of arrays one below the other
    texts: tuple[str, ...] | None
    alerts: list[Alert]
    n_missing: int = 0
    n_infinite: int = 0


class _Parts:
    """A column in one piece, or in those that Arrow read, which are not put together first."""

    def __init__(self, values: NDArray[Any] | list[NDArray[Any]]) -> None:
        self.parts = values if isinstance(values, list) else [values]
        self.starts = np.cumsum([0, *map(len, self.parts[:-1])]).tolist()

    def rows(self, low: int, high: int) -> NDArray[Any]:
        """Rows of one part."""
        at = bisect_right(self.starts, low) - 1
        return self.parts[at][low - self.starts[at] : high - self.starts[at]]

    def every(self, step: int) -> NDArray[Any]:
        """``values[::step]``."""
        return np.concatenate([p[-start % step :: step] for start, p in zip(self.starts, self.parts, strict=True)])


def features(
    found: Columns,
    chosen: list[int],
    kept: set[int],
    known: NDArray[np.bool_],
    ids: NDArray[Any],
    alerts: list[Alert],
) -> Matrix:
    """The columns ``chosen`` of the rows that are ``known``, of classes ``ids``; ``alerts`` grows."""
    whole = bool(known.all())
    step = max(1, -(-len(ids) // screen.SAMPLE))
    some_ids = ids[::step]

    def one(i: int) -> _Read:
        name, column = found.names[i], found.columns[i]
        found.columns[i] = None  # each goes as soon as it is read
        if whole and i not in found.index and (parts := _measurements(column)):
            leak = screen.knows_too_much(_Parts(parts).every(step), some_ids)
            return _Read(parts, None, [Alert("leak", {"name": name})] if leak else [])
        values, texts, why, said = _feature(column, name, found.decimal)
        out = _Read(values, texts, list(said))
        if why is None:
            everywhere, values = values, values if whole else values[known]
            out.values = values
            with np.errstate(invalid="ignore"):
                finite = bool(np.isfinite(values.sum(dtype=np.float64)))  # one pass where all is well
            if not finite:
                infinite = np.isinf(values)
                out.n_infinite = int(infinite.sum())
                out.values = values = np.where(infinite, np.nan, values) if out.n_infinite else values
                out.n_missing = int(np.isnan(values).sum())
            why = _no_feature(values, everywhere, name, texts is not None, i, found, i in kept)
        if why is not None and not (i in kept and values is not None):
            out.alerts.append(why)
            if why.id != "maybe_identifier":
                return _Read(None, texts, out.alerts)
        if out.n_missing > 0.5 * len(values):
            percent = round(100 * out.n_missing / len(values))
            out.alerts.append(Alert("mostly_missing", {"name": name, "percent": percent}))
        if screen.knows_too_much(values[::step], some_ids):
            out.alerts.append(Alert("leak", {"name": name}))
        return out

    with ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1)) as pool:
        read = list(pool.map(one, chosen))
        alerts += [alert for column in read for alert in column.alerts]
        used = [(found.names[i], column) for i, column in zip(chosen, read, strict=True) if column.values is not None]
        if not used:
            shown = contracts.Words(f"columns {found.names}")
            contracts.reject("file", "have a usable feature column", shown, "Check delimiter= and target=.")
        columns = [_Parts(column.values) for _, column in used]
        X = np.empty((len(ids), len(columns)), np.result_type(*(column.parts[0] for column in columns)))
        edges = sorted({*range(0, len(X), _ROWS_AT_ONCE), *(start for column in columns for start in column.starts)})

        def copy(low: int, high: int) -> None:
            X[low:high] = np.array([column.rows(low, high) for column in columns]).T  # turned where the cache holds it

        list(pool.map(copy, edges, [*edges[1:], len(X)]))
    n_repeated, n_mixed, n_wrong = repeats(X, ids)
    if n_repeated:
        alerts.append(Alert("duplicates", {"n": n_repeated, "n_rows": len(X)}))
    if n_mixed:
        alerts.append(Alert("conflicts", {"n": n_mixed, "n_wrong": n_wrong}))
    for what in ("infinite", "missing"):
        n = sum(getattr(column, f"n_{what}") for _, column in used)
        if n:
            alerts.append(Alert(what, {"n": n}))
    categorical = {k: column.texts for k, (_, column) in enumerate(used) if column.texts is not None}
    return Matrix(X, [name for name, _ in used], categorical)


def _measurements(column: Any) -> list[NDArray[Any]]:
    """A column's parts where there is nothing to be looked for: finite, not constant, fractions at its beginning."""
    import pyarrow as pa
    from pyarrow import compute

    if column.type != pa.float64() or column.null_count:
        return []
    parts = [filled(chunk, np.nan) for chunk in column.chunks if len(chunk)]
    if not parts or not np.isfinite(compute.sum(column).as_py()):
        return []
    if not screen.fractions(parts[0]) or (parts[0][:50] == parts[0][0]).all():
        return []
    return parts


def _feature(
    column: Any, name: str, decimal: str
) -> tuple[Any, tuple[str, ...] | None, Alert | None, tuple[Alert, ...]]:
    """Numbers or codes of a column, the texts that codes stand for, why it is no feature, and what is to be said."""
    import pyarrow as pa

    kind = column.type
    if column.null_count == len(column):
        return None, None, Alert("empty", {"name": name}), ()
    number = numeric(column)
    if number is not None:
        return number, None, None, ()
    if not pa.types.is_string(kind):
        return None, None, Alert("no_feature", {"name": name, "type": str(kind)}), ()
    encoded = column.dictionary_encode()
    encoded = encoded.combine_chunks() if isinstance(encoded, pa.ChunkedArray) else encoded
    mended = mend(encoded, name, decimal)
    if mended.values is not None:
        return mended.values, None, None, mended.alerts
    words = encoded.dictionary.to_pylist()
    lower = [word.strip().lower() for word in words]
    if set(lower) <= {"true", "false"} | MISSING and {"true", "false"} & set(lower):
        table = np.array(
            [1.0 if w == "true" else 0.0 if w == "false" else np.nan for w in lower] + [np.nan], np.float32
        )
        return table[filled(encoded.indices, len(words))], None, None, ()
    known = [k for k, word in enumerate(lower) if word not in MISSING]
    if not known:
        return None, None, Alert("empty", {"name": name}), ()
    exact = np.float32 if len(known) < 2**24 else np.float64
    code = np.full(len(words) + 1, np.nan, exact)
    code[known] = np.arange(len(known))
    values = code[filled(encoded.indices, len(words))]
    n_known = int((~np.isnan(values)).sum())
    said, texts = mended.alerts, tuple(words[k] for k in known)
    if sum(screen.date(words[k]) for k in known) > 0.9 * len(known):
        said = (*said, Alert("dates", {"name": name}))
    if len(known) > 0.9 * n_known and len(values) > screen.MANY and n_known > screen.MANY:
        return values, texts, Alert("row_name", {"name": name}), said
    if screen.says_id(name) and len(known) > 0.2 * len(values) and len(values) > screen.MANY:
        return values, texts, Alert("identifier", {"name": name, "n": len(known), "n_rows": len(values)}), said
    if len(known) > 1000 or (len(known) > 50 and len(known) > 0.2 * len(values)):
        said = (*said, Alert("high_cardinality", {"name": name, "n": len(known), "n_rows": len(values)}))
    return values, texts, None, said


def _no_feature(
    values: NDArray[Any], everywhere: NDArray[Any], name: str, is_code: bool, i: int, found: Columns, kept: bool
) -> Alert | None:
    """Why a readable column is none all the same; ``everywhere``: with the rows that have no label."""
    if i in found.index and not kept:
        return Alert("pandas_index", {"name": name})
    some = values[:: max(1, len(values) // 50)]
    if np.isnan(some).all() and np.isnan(values).all():
        return Alert("empty", {"name": name})
    if len(values) > 1 and (some == some[0]).all() and (values == values[0]).all():
        return Alert("constant", {"name": name})
    if kept or is_code:
        return None
    if i == 0 and (i in found.unnamed or name.lower() == "unnamed: 0") and screen.row_numbers(values):
        return Alert("pandas_index", {"name": name})
    if len(values) >= screen.MANY or screen.says_id(name):
        if screen.counter(values) or (values is not everywhere and screen.counter(everywhere)):
            return Alert("row_counter", {"name": name})
    why = screen.identifier(values, name)
    if why == "identifier":
        return Alert(why, {"name": name, "n": len(np.unique(values)), "n_rows": len(values)})
    return Alert(why, {"name": name}) if why else None


def numeric(column: Any) -> Any:
    """A column of numbers, truth values or times as floats; None for others."""
    import pyarrow as pa

    kind = column.type
    small = (pa.int8(), pa.uint8(), pa.int16(), pa.uint16(), pa.float16(), pa.float32(), pa.bool_())
    if pa.types.is_temporal(kind):
        if not hasattr(kind, "bit_width") or kind == pa.month_day_nano_interval():
            return None
        column = column.cast(pa.int32()).cast(pa.int64()) if kind.bit_width == 32 else column.cast(pa.int64())
    elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
        return None
    return filled(column.cast(pa.float32() if kind in small else pa.float64(), safe=False), np.nan)
