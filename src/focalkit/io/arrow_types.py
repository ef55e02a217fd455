"""Arrow's types made plain: numbers, truth values, times, texts, and lists of numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


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
