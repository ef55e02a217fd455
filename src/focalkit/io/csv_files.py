"""CSV files, in blocks of bounded size."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from typing import Any

from focalkit._core import contracts
from focalkit.io.columns import Asked, Layout, check, column, is_number, without_prefix
from focalkit.io.sources import File, need


def read_layout(file: File, asked: Asked) -> tuple[Layout, tuple[str, ...], str]:
    """The columns by the first line, all their names, and the delimiter."""
    with file.stream() as raw:
        first = raw.readline(1 << 22)
    try:
        line = io.TextIOWrapper(io.BytesIO(first), "utf-8-sig", newline="").readline()
    except UnicodeDecodeError:
        contracts.reject("FILE", "be UTF-8 text", file.name, "Is it a CSV file? Arrays go into .npz.")
    if not line.strip():
        contracts.reject("FILE", "begin with a line of values", f"{file.name}, empty", "There is nothing to diagnose.")
    delimiter = next((d for d in ",;\t" if d in line), ",")
    cells = [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter))]
    named = not all(is_number(cell) for cell in cells) if asked.header is None else asked.header
    names = tuple(cells) if named else tuple(str(i) for i in range(len(cells)))
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        contracts.reject("FILE", "name each column once", f"{file.name} with {twice} twice", "Rename or drop one.")
    keys = dict(file.keys)
    weight = None if asked.weight is None else column(asked.weight, names, file.name, "weight")
    chosen = tuple(t if t in keys else column(t, names, file.name) for t in asked.targets) or names[-1:]
    key = chosen[0] if chosen[0] in keys and chosen[0] not in names else None
    logits = tuple(name for name in names if name not in chosen and name != weight)
    if asked.logits is not None:
        logits = tuple(name for name in logits if name.startswith(asked.logits))
    classes = asked.classes or (without_prefix(logits) if named else tuple(str(i) for i in range(len(logits))))
    link = asked.link or ("sigmoid" if len(logits) == 1 or len(chosen) > 1 else "softmax")
    layout = Layout(
        link, logits, chosen, weight, classes, len(logits), named=named, probabilities=asked.probabilities, key=key
    )
    check(file.name, layout, names)
    return layout, names, delimiter


def batches(
    file: File,
    layout: Layout,
    names: tuple[str, ...],
    delimiter: str,
    block: int,
    on_ragged: Callable[[Any], str] | None = None,
) -> Iterator[Any]:
    """Arrow batches with numbers for logits and text for targets.

    ``on_ragged`` is told of rows of another length, which are left out; then what is no number is null, not an error.
    """
    import pyarrow

    read = need("pyarrow.csv", "reading CSV", "tune")
    number = pyarrow.float64() if on_ragged is None else pyarrow.string()
    types: dict[str, Any] = {name: number for name in layout.columns}
    types |= {name: pyarrow.string() for name in layout.targets if layout.key is None}
    try:
        with (
            file.stream() as stream,
            read.open_csv(
                stream,
                read.ReadOptions(use_threads=False, block_size=block, column_names=names, skip_rows=int(layout.named)),
                read.ParseOptions(delimiter=delimiter, invalid_row_handler=on_ragged),
                read.ConvertOptions(column_types=types, include_columns=[*layout.columns], strings_can_be_null=True),
            ) as reader,
        ):
            for batch in reader:
                yield batch if on_ragged is None else _lenient(batch, layout)
    except pyarrow.ArrowInvalid as error:
        if "Empty CSV" in str(error):
            return
        got = f"{file.name}: {_plain(error, layout, names)}"
        remedy = "Mend it, or drop columns that are neither logit nor target."
        contracts.reject("FILE", "be CSV with numbers for logits", got, remedy)


_NUMBER = r"^[+-]?((\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|inf|nan)$"


def _lenient(batch: Any, layout: Layout) -> Any:
    """Texts as numbers, and null where they are none."""
    import pyarrow
    from pyarrow import compute

    arrays = []
    for name, values in zip(batch.schema.names, batch.columns, strict=True):
        if name in layout.targets:
            arrays.append(values)
            continue
        text = compute.utf8_trim_whitespace(values)
        fits = compute.match_substring_regex(text, _NUMBER, ignore_case=True)
        arrays.append(compute.if_else(fits, text, None).cast(pyarrow.float64()))
    return pyarrow.RecordBatch.from_arrays(arrays, batch.schema.names)


def _plain(error: Exception, layout: Layout, names: tuple[str, ...]) -> str:
    """Arrow's message in one line, with the column's name for its number."""
    text = str(error).splitlines()[0]
    included = layout.columns
    by_position = names if len(included) == len(names) else included
    for i in reversed(range(len(by_position))):
        text = text.replace(f"In CSV column #{i}:", f"column {by_position[i]!r}:")
    return text.replace("Row #", "line ")
