"""A CSV of predictions as Arrow batches of bounded size."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from focalkit._core import contracts
from focalkit._core.message import Message
from focalkit.io._streams import Lent, given_back
from focalkit.io.columns import Layout
from focalkit.io.dialect import Dialect
from focalkit.io.records import BLOCK, Records
from focalkit.io.sources import File

_NUMBER = r"^[+-]?((\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|inf|nan)$"
#: A class id as a program that knows no whole numbers writes it, with a decimal comma.
_WHOLE = r"^\s*([+-]?\d+),0*\s*$"

#: Told of a line that is left out: its number in the file and what is wrong; None: lines are refused.
OnLine = Callable[[int, str], None]


class Reader:
    """Batches with numbers for logits and text for targets, and the numbers of their rows in the file."""

    def __init__(self, file: File, layout: Layout, dialect: Dialect, on_line: OnLine | None) -> None:
        self._file, self._layout, self._dialect, self._on_line = file, layout, dialect, on_line
        self._ragged: list[int] = []
        self.records = Records(file.stream(), dialect, self._damage)

    def _damage(self, line: int, row: int, what: str) -> None:
        del row
        if self._on_line is None:
            got = contracts.Words(f"{self._file.name}, line {line:,}: {what}")
            remedy = "Mend the line, name the encoding by encoding=, or leave lines out by skip_damaged=True."
            contracts.reject("file", "be CSV with numbers for logits", got, remedy)
        self._on_line(line, what)

    def _invalid(self, row: Any) -> str:
        number = int(self.records.seen.row_of(row.number or 0))
        self._ragged.append(row.number or 0)
        if self._on_line is not None:
            self._on_line(number + self._dialect.lines, Message("damage.columns", n=row.actual_columns))
        return "skip"

    def __iter__(self) -> Iterator[tuple[Any, NDArray[np.int64] | None, int]]:
        """Batches, the numbers of their rows (None: one after the other from the last entry on)."""
        import pyarrow
        from pyarrow import csv

        layout, dialect = self._layout, self._dialect
        lenient = self._on_line is not None
        number = pyarrow.string() if lenient else pyarrow.float64()
        types: dict[str, Any] = {name: number for name in layout.columns}
        types |= {name: pyarrow.string() for name in layout.texts}
        delimiter = "\t" if dialect.delimiter == " " else dialect.delimiter
        n = 0
        lent, reader = Lent(self.records), None
        try:
            with csv.open_csv(
                pyarrow.PythonFile(lent, mode="r"),
                csv.ReadOptions(use_threads=False, block_size=BLOCK, column_names=list(dialect.names)),
                csv.ParseOptions(
                    delimiter=delimiter,
                    quote_char=dialect.quote,
                    newlines_in_values=True,
                    invalid_row_handler=self._invalid if lenient else None,
                ),
                csv.ConvertOptions(
                    column_types=types,
                    include_columns=list(layout.columns),
                    null_values=[""],  # every further word costs a search in each cell
                    strings_can_be_null=False,
                    decimal_point=dialect.decimal,
                ),
            ) as reader:
                for batch in reader:
                    rows = self._rows(n, batch.num_rows)
                    rows = None if rows is None else rows + dialect.below
                    batch = self._lenient(batch) if lenient else batch
                    yield self._whole(batch) if dialect.decimal == "," else batch, rows, n + 1 + dialect.below
                    n += batch.num_rows
        except MemoryError:
            raise
        except (pyarrow.ArrowException, OSError, ValueError) as error:
            if isinstance(error, contracts.InputError):
                raise
            if self.records.error is not None and not isinstance(self.records.error, StopIteration):
                raise self.records.error from None
            if "Empty CSV" in str(error):
                return
            got = contracts.Words(f"{self._file.name}: {self._plain(error)}")
            remedy = "Mend it, or drop columns that are neither logit nor target."
            contracts.reject("file", "be CSV with numbers for logits", got, remedy)
        finally:
            reader = None  # which holds the stream, too
            self.records.close()
            given_back(lent)

    def _rows(self, n: int, more: int) -> NDArray[np.int64] | None:
        """Numbers in the file of the rows from the ``n``-th of those that are left."""
        dropped = self.records.seen.dropped
        if not self._ragged and not dropped:
            return None
        numbers = np.arange(n + 1, n + more + 1, dtype=np.int64)
        for gone in (self._ragged, dropped):
            holes = np.asarray(gone, np.int64) - np.arange(len(gone))
            numbers = numbers + np.searchsorted(holes, numbers, side="right")
        return numbers

    def _lenient(self, batch: Any) -> Any:
        """Texts as numbers, and null where they are none."""
        import pyarrow
        from pyarrow import compute

        arrays = []
        for name, values in zip(batch.schema.names, batch.columns, strict=True):
            if name in self._layout.texts:
                arrays.append(values)
                continue
            text = compute.utf8_trim_whitespace(values)
            if self._dialect.decimal == ",":
                text = compute.replace_substring(text, ",", ".")
            fits = compute.match_substring_regex(text, _NUMBER, ignore_case=True)
            arrays.append(compute.if_else(fits, text, None).cast(pyarrow.float64()))
        return pyarrow.RecordBatch.from_arrays(arrays, batch.schema.names)

    def _whole(self, batch: Any) -> Any:
        """Targets such as 1,0 as whole numbers."""
        from pyarrow import compute

        for name in set(self._layout.targets) & set(batch.schema.names):
            i = batch.schema.get_field_index(name)
            batch = batch.set_column(i, name, compute.replace_substring_regex(batch.column(i), _WHOLE, r"\1"))
        return batch

    def _plain(self, error: Exception) -> str:
        """Arrow's message in one line, with the column's name and the line in the file."""
        text = str(error).splitlines()[0]
        names, included = self._dialect.names, self._layout.columns
        by_position = names if len(included) == len(names) else included
        for i in reversed(range(len(by_position))):
            text = text.replace(f"In CSV column #{i}:", f"column {by_position[i]!r}:")
        row_of, lines = self.records.seen.row_of, self._dialect.lines
        text = re.sub(r"Row #(\d+)", lambda found: f"line {int(row_of(int(found[1]))) + lines}", text)
        return "".join(c if c.isprintable() else "?" for c in text)
