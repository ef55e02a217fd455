"""Arrow's types made plain: numbers, truth values, times, texts, and lists of numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray


def plain(name: str, column: Any) -> Iterator[tuple[str, Any]]:
    """A column (chunked or not) as numbers, truth values, times or texts; the fields of a struct one by one."""
    import pyarrow as pa
    from pyarrow import compute

    kind: Any = column.type
    t = pa.types
    if hasattr(kind, "storage_type"):
        column = column.cast(kind.storage_type)
        kind = column.type
    if getattr(t, "is_run_end_encoded", lambda _: False)(kind):
        column = _each(column, compute.run_end_decode)
        kind = column.type
    if t.is_dictionary(kind):
        column = column.cast(kind.value_type)
        kind = column.type
    if t.is_struct(kind):
        for i in range(kind.num_fields):
            yield from plain(f"{name}.{kind.field(i).name}", compute.struct_field(column, i))
        return
    if t.is_decimal(kind):
        column = column.cast(pa.float64())
    elif t.is_large_string(kind) or getattr(t, "is_string_view", lambda _: False)(kind):
        column = column.cast(pa.string())
    elif t.is_binary(kind) or t.is_large_binary(kind) or t.is_fixed_size_binary(kind) or _is_binary_view(kind):
        column = texts(column)
    elif t.is_float16(kind):
        column = column.cast(pa.float32())
    yield name, column


_NUMBERS = {
    "float": "float32",
    "double": "float64",
    **{f"{u}int{n}": f"{u}int{n}" for u in ("", "u") for n in (8, 16, 32, 64)},
}


def filled(column: Any, value: float) -> NDArray[Any]:
    """Numbers (n,) of a column, with ``value`` where there is none.

    They are read from Arrow's buffers: its own conversion, and a scalar that fills its nulls, load pandas where that
    is installed, which takes longer than reading most tables.
    """
    chunks = column.chunks if hasattr(column, "chunks") else [column]
    dtype = np.dtype(_NUMBERS[str(column.type)])
    parts = [_filled(chunk, dtype, value) for chunk in chunks if len(chunk)]
    if len(parts) == 1:
        return parts[0]
    return np.concatenate(parts) if parts else np.empty(0, dtype)


def _filled(array: Any, dtype: np.dtype[Any], value: float) -> NDArray[Any]:
    known, numbers = array.buffers()
    rows = slice(array.offset, array.offset + len(array))
    out = np.frombuffer(numbers, dtype, rows.stop)[rows]
    if not array.null_count:
        return out
    bits = np.unpackbits(np.frombuffer(known, np.uint8), count=rows.stop, bitorder="little")[rows]
    return np.where(bits, out, dtype.type(value))


def texts(column: Any) -> Any:
    """Bytes as the texts they are, where they are UTF-8; otherwise as they came."""
    import pyarrow as pa

    try:
        return column.cast(pa.binary()).cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return column


def _is_binary_view(kind: Any) -> bool:
    import pyarrow as pa

    return bool(getattr(pa.types, "is_binary_view", lambda _: False)(kind))


def _each(column: Any, change: Any) -> Any:
    import pyarrow as pa

    if isinstance(column, pa.ChunkedArray):
        return pa.chunked_array([change(chunk) for chunk in column.chunks])
    return change(column)


def is_list(kind: Any) -> bool:
    """Whether a type is a list of any kind."""
    import pyarrow as pa

    t = pa.types
    views = (getattr(t, "is_list_view", None), getattr(t, "is_large_list_view", None))
    return bool(
        t.is_list(kind) or t.is_large_list(kind) or t.is_fixed_size_list(kind) or any(v and v(kind) for v in views)
    )
