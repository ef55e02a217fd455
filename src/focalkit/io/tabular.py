"""Tables of any format as Arrow columns: what tune reads whole."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn, TypeAlias

from focalkit._core import contracts
from focalkit._core.message import Message
from focalkit.io import arff, documents, npy
from focalkit.io._streams import Lent, first_line, given_back, need
from focalkit.io.alerts import Alert, names_said
from focalkit.io.arrow_types import plain
from focalkit.io.dialect import HEAD, Dialect, TextOptions, sniff
from focalkit.io.numbers import PLAIN_GAPS
from focalkit.io.plain_numbers import OtherCells
from focalkit.io.records import BLOCK, Records, Unexpected
from focalkit.io.sources import File, in_utf8, recognised

#: Names that a target column goes by when none is named.
TARGETS = ("target", "targets", "label", "labels", "class", "y")
#: A column by its name or position, and what it is asked for as.
AsText: TypeAlias = tuple[str | int, str]


@dataclass
class Columns:
    """Columns (Arrow chunked arrays) and their names; texts of a CSV are as written, also where they mean "missing"."""

    names: list[str]
    columns: list[Any]
    alerts: list[Alert] = field(default_factory=list)
    #: positions of columns without a name, or that the file itself calls its index
    unnamed: tuple[int, ...] = ()
    index: tuple[int, ...] = ()
    decimal: str = "."
    #: numbers, from 1, of the rows that were left out as damaged
    gone: list[int] = field(default_factory=list)


def read_columns(file: File, asked: TextOptions, as_text: Sequence[AsText] = (), skip_damaged: bool = False) -> Columns:
    """Every column of one file; ``as_text`` columns of a CSV keep their texts."""
    need("pyarrow", "reading tables", "tune")
    with in_utf8(file):
        return _read(recognised(file), asked, as_text, skip_damaged)


def _read(file: File, asked: TextOptions, as_text: Sequence[AsText], skip_damaged: bool) -> Columns:
    if file.format == "csv":
        return _csv(file, asked, as_text, None, skip_damaged)
    if file.format == "arff":
        return _csv(file, asked, as_text, arff.dialect(file), skip_damaged)
    if file.format in ("parquet", "ipc"):
        return _columnar(file)
    if file.format in ("json", "jsonl"):
        return of_table(documents.of_json(file))
    if file.format == "xlsx":
        table, alerts = documents.of_excel(file)
        return replace(of_table(table), alerts=alerts)
    if file.format == "npz" or file.partner:
        return _arrays(file)
    contracts.reject(
        "file",
        "be a table",
        contracts.Words(f"{file.name}, which is {file.format}"),
        "Give CSV, Parquet, Arrow, JSON, or an .npz.",
    )


def dialect_of(file: File, asked: TextOptions) -> Dialect:
    """Look at the beginning of a text."""
    with file.stream() as stream:
        head = read_head(stream)
    return sniff(head[:HEAD], asked, file.name, whole=len(head) <= HEAD)


def read_head(stream: Any) -> bytes:
    """One byte more than is looked at, so that a short file is known to be whole."""
    parts, n = [], 0
    while n <= HEAD and (part := stream.read(HEAD + 1 - n)):
        parts.append(part)
        n += len(part)
    return b"".join(parts)


def position(word: str | int, names: Sequence[str], what: str = "target") -> int:
    """A column by its name, or by its position from 0 (negative: from the end)."""
    if isinstance(word, str) and word in names:
        if list(names).count(word) > 1:
            got = contracts.Words(f"{word!r}, the name of {list(names).count(word)} columns")
            contracts.reject(what, "name one column", got, "Rename one, or give its position, counted from 0.")
        return list(names).index(word)
    try:
        index = int(word)
    except (TypeError, ValueError, OverflowError):
        shown = ", ".join(names[:20]) + (", …" if len(names) > 20 else "")
        contracts.reject(what, f"name a column out of: {shown}", word, "Give a name, or a position counted from 0.")
    if not -len(names) <= index < len(names):
        contracts.reject(what, f"be a position in [0, {len(names)})", index, "Negative positions count from the end.")
    return index % len(names)


def _csv(
    file: File, asked: TextOptions, as_text: Sequence[AsText], known: Dialect | None, skip_damaged: bool
) -> Columns:
    import pyarrow

    found = dialect_of(file, asked) if known is None else known
    names = list(found.names)
    alerts = list(found.alerts)
    keep = {position(word, names, what) for word, what in as_text} | {len(names) - 1}
    keep |= {i for i, name in enumerate(names) if name.lower() in TARGETS}  # labels stay as written

    damaged: list[tuple[int, int, str]] = []

    def refuse(line: int, row: int, what: str) -> None:
        if skip_damaged:
            damaged.append((line, row, what))
            return
        got = contracts.Words(f"{file.name}, line {line:,}: {what}")
        contracts.reject("file", "be a CSV table", got, _REMEDY)

    # what the first rows look like is tried first: then plain numbers need no general reader, and Arrow is spared a
    # guess for each column, quoted line breaks and a search for many marks in every cell; a file that is otherwise
    # further down is read again, and on one thread where Arrow is to say in which line
    numbers = [i for i, kind in enumerate(found.kinds) if kind != "text" and i not in keep]
    quick = not skip_damaged
    ways = [(True, True, True)] if numbers and quick else []
    for beside, as_sniffed, threads in (*ways, (False, True, quick), (False, False, quick), (False, False, False)):
        damaged.clear()
        records = Records(file.stream(), found, refuse, quotes=found.quoted or not as_sniffed)
        try:
            if beside:
                table = _beside_numbers(records, found, keep, numbers)
            else:
                table = _arrow_csv(
                    records, records, found, range(len(names)), keep, numbers if as_sniffed else None, threads,
                    damaged if skip_damaged else None,
                )  # fmt: skip
            break
        except MemoryError:
            raise
        except (pyarrow.ArrowException, OSError, ValueError) as error:
            if records.error is not None and not isinstance(records.error, (StopIteration, Unexpected)):
                raise records.error from None
            if "Empty CSV" in str(error):
                table = pyarrow.table({str(i): pyarrow.array([], pyarrow.string()) for i in range(len(names))})
                break
            if not as_sniffed and ("Row #" in str(error) or not threads):
                refuse_csv(file, error, found.lines)
        finally:
            records.close()
    seen = records.seen
    if seen.switched:
        alerts.append(Alert("encoding", {"encoding": seen.switched}))
    if seen.repeated:
        alerts.append(Alert("repeated_header", {"n": seen.repeated, "line": seen.first_repeated}))
    if damaged:
        line, _, what = min(damaged)
        alerts.append(Alert("damaged_lines", {"n": len(damaged), "line": line, "what": what}))
    gone = [*range(1, found.below + 1), *(row + found.below for _, row, _ in damaged)]
    return Columns(names, list(table.columns), alerts, found.unnamed, (), found.decimal, gone)


_REMEDY = "Mend the line, name the encoding by encoding=, or leave lines out by skip_damaged=True."


def _beside_numbers(records: Records, found: Dialect, keep: set[int], numbers: Sequence[int]) -> Any:
    """Arrow's columns, those of plain numbers read beside it."""
    import pyarrow

    others = [i for i in range(len(found.names)) if i not in set(numbers)]
    with OtherCells(records, found, _delimiter(found), numbers) as stream:
        table = _arrow_csv(stream, records, found, others, keep, (), True, None)
        columns = stream.columns() | dict(zip(others, table.columns, strict=True))
    return pyarrow.table({str(i): columns[i] for i in range(len(found.names))})


def _arrow_csv(
    stream: Any,
    records: Records,
    found: Dialect,
    positions: Sequence[int],
    keep: set[int],
    numbers: Sequence[int] | None,
    threads: bool,
    damaged: list[tuple[int, int, str]] | None,
) -> Any:
    """Arrow's columns; lines of another length go to ``damaged`` (line, row, what), or are errors where it is None.

    The columns at ``positions`` are in the ``stream``; those in ``keep`` stay texts, and those in ``numbers`` are some,
    as the beginning of the file says, unless it is not believed (None).
    """
    import pyarrow
    from pyarrow import csv

    def ragged(row: Any) -> str:
        assert damaged is not None
        number = int(records.seen.row_of(row.number or 0))
        damaged.append((number + found.lines, number, Message("damage.columns", n=row.actual_columns)))
        return "skip"

    types = {str(i): pyarrow.string() for i in keep} | {str(i): pyarrow.float64() for i in numbers or ()}
    as_sniffed = numbers is not None
    lent = Lent(stream)
    try:
        return csv.read_csv(
            pyarrow.PythonFile(lent, mode="r"),
            csv.ReadOptions(column_names=[str(i) for i in positions], block_size=BLOCK, use_threads=threads),
            csv.ParseOptions(
                delimiter=_delimiter(found),
                quote_char=found.quote,
                newlines_in_values=found.quoted or not as_sniffed,
                invalid_row_handler=None if damaged is None else ragged,
            ),
            csv.ConvertOptions(
                column_types=types,
                null_values=[""] if as_sniffed else list(PLAIN_GAPS),
                true_values=[],
                false_values=[],
                strings_can_be_null=False,
                decimal_point=found.decimal,
            ),
        )
    finally:
        given_back(lent)


def _delimiter(found: Dialect) -> str:
    return "\t" if found.delimiter == " " else found.delimiter


def refuse_csv(file: File, error: Exception, lines: int) -> NoReturn:
    """Arrow's message in one line, with lines counted as in the file."""
    text = str(error).splitlines()[0]
    text = re.sub(r"Row #(\d+)", lambda found: f"line {int(found[1]) + lines:,}", text)
    text = re.sub(r"^CSV parse error: ", "", text)[:300]
    contracts.reject(
        "file",
        "be a CSV table",
        contracts.Words(f"{file.name}: {text}"),
        "Every line needs the same number of columns; skip_damaged=True leaves others out.",
    )


def _columnar(file: File) -> Columns:
    import pyarrow

    try:
        table = _parquet_table(file) if file.format == "parquet" else _ipc_table(file)
    except MemoryError:
        raise
    except (pyarrow.ArrowException, OSError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        kind = "Parquet" if file.format == "parquet" else "Arrow"
        contracts.reject(
            "file", f"be a whole {kind} file", contracts.Words(f"{file.name}: {first_line(error)}"), "Write it again."
        )
    return of_table(table)


def _parquet_table(file: File) -> Any:
    from pyarrow import parquet

    with parquet.ParquetFile(file.arrow(), page_checksum_verification=True) as reader:
        table = reader.read()
    table.validate(full=True)
    return table


def _ipc_table(file: File) -> Any:
    import pyarrow

    table = ipc_reader(file).read_all()
    table.validate(full=True)
    return table if isinstance(table, pyarrow.Table) else pyarrow.Table.from_batches([table])


def ipc_reader(file: File) -> Any:
    """A reader of an Arrow file or stream, or of Feather."""
    from pyarrow import ipc

    source = file.arrow()
    magic = source.read(6)
    source.seek(0)
    if magic == b"ARROW1":
        return ipc.open_file(source)
    if magic[:4] == b"FEA1":
        contracts.reject(
            "file", "be Arrow of version 2", contracts.Words(f"{file.name}: Feather of version 1"), "Write it again."
        )
    return ipc.open_stream(source)


def of_table(table: Any) -> Columns:
    """The columns of an Arrow table, in plain types."""
    names: list[str] = []
    columns: list[Any] = []
    index: list[int] = []
    marked = index_columns(table.schema)
    for i, name in enumerate(table.schema.names):
        for label, column in plain(name, table.column(i)):
            if name in marked:
                index.append(len(names))
            names.append(label)
            columns.append(column)
    return Columns(names, columns, [], (), tuple(index))


def index_columns(schema: Any) -> set[str]:
    """Names of the columns that pandas wrote its row index to."""
    found = {name for name in schema.names if name.startswith("__index_level_")}
    note = (schema.metadata or {}).get(b"pandas")
    if note:
        try:
            found |= {name for name in json.loads(note).get("index_columns", []) if isinstance(name, str)}
        except (ValueError, AttributeError, TypeError, RecursionError):  # another program wrote it
            pass
    return found & set(schema.names)


def _arrays(file: File) -> Columns:
    """Arrays of one length: a vector is a column, a matrix is several, named after it or by ``feature_names``."""
    import numpy as np

    arrays = npy.whole(file)
    lengths = {name: len(array) for name, array in arrays.items()}
    known = [name for name in arrays if name.lower() in TARGETS and arrays[name].ndim in (1, 2)]
    tables = [name for name in arrays if arrays[name].ndim == 2]
    n = lengths[(known or tables or list(arrays))[-1]] if arrays else 0
    names: list[str] = []
    columns: list[Any] = []
    beside = []
    for name, array in sorted(arrays.items(), key=lambda pair: pair[0] in known):
        if len(array) != n or array.ndim > 2 or name == "feature_names":
            beside += [] if name == "feature_names" else [name]
            continue
        wide = array.reshape(n, -1)
        given = arrays.get("feature_names", np.empty(0))
        called = [str(word) for word in given.tolist()] if len(given) == wide.shape[1] and array.ndim == 2 else []
        called = called or ([name] if wide.shape[1] == 1 else [f"{name}{i}" for i in range(wide.shape[1])])
        names += called
        columns += [_column(np.ascontiguousarray(wide[:, i])) for i in range(wide.shape[1])]
    if len(names) < 2 or not n:
        shown = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        got = contracts.Words(f"{file.name} with {shown or 'no arrays'}")
        contracts.reject("file", "hold arrays of features and labels", got, "numpy.savez(…, X=X, y=y)")
    alerts = [Alert("arrays_beside", {"names": names_said(beside), "n": n})] if beside else []
    return Columns(names, columns, alerts)


def _column(values: Any) -> Any:
    import numpy as np
    import pyarrow

    if values.dtype.kind == "S":
        values = np.char.decode(values, "utf-8", "replace")
    column = pyarrow.array(values.astype(values.dtype.newbyteorder("=")))
    return pyarrow.chunked_array([column])
