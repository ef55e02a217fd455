"""Tables in JSON and in workbooks, as Arrow tables."""

from __future__ import annotations

import json
from typing import Any

from focalkit._core import contracts
from focalkit.io._streams import first_line, need
from focalkit.io.alerts import Alert
from focalkit.io.sources import File


def of_json(file: File) -> Any:
    """Rows of JSON as an Arrow table: one object a line, a list of objects, or columns."""
    import pyarrow
    from pyarrow import json as arrow_json

    with file.stream() as stream:
        content = stream.read()
    text = content.lstrip()
    try:
        if file.format == "jsonl" or (text[:1] == b"{" and b"\n{" in text):
            table = arrow_json.read_json(pyarrow.BufferReader(content), arrow_json.ReadOptions(block_size=1 << 24))
            table.validate(full=True)  # Arrow takes whatever bytes there are for UTF-8
            return table
        return pyarrow.Table.from_pylist(_json_rows(json.loads(text), file))
    except MemoryError:
        raise
    except (ValueError, TypeError, pyarrow.ArrowException, RecursionError) as error:
        contracts.reject(
            "file",
            "be JSON rows",
            contracts.Words(f"{file.name}: {first_line(error)}"),
            'E.g. {"a": 1, "label": "x"} a line.',
        )


_JSON_ROWS = 'E.g. {"a": 1, "label": "x"} in each line.'


def _json_rows(value: Any, file: File) -> list[dict[str, Any]]:
    """Rows out of a list of objects, of an object of columns (pandas), or of ``{"data": [...]}``."""
    if isinstance(value, dict) and isinstance(value.get("data"), list):
        rows = value["data"]
        names = value.get("columns")
        value = [dict(zip(names, row, strict=True)) for row in rows] if names and isinstance(rows[0], list) else rows
    if isinstance(value, dict):
        columns = {k: list(v.values()) if isinstance(v, dict) else v for k, v in value.items()}
        if columns and all(isinstance(v, list) for v in columns.values()) and len({*map(len, columns.values())}) == 1:
            return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    elif isinstance(value, list) and value and all(isinstance(row, dict) for row in value):
        return value
    contracts.reject("file", "be JSON rows", contracts.Words(f"{file.name}, no list of objects"), _JSON_ROWS)


def of_excel(file: File) -> tuple[Any, list[Alert]]:
    """The first sheet of a workbook that holds a table, as an Arrow table, and what is to be said."""
    import io

    import pyarrow

    calamine = need("python_calamine", "reading Excel's files", "excel")
    with file.stream() as stream:
        try:
            book = calamine.CalamineWorkbook.from_filelike(io.BytesIO(stream.read()))
            sheets = [(name, _filled(book.get_sheet_by_name(name).to_python())) for name in book.sheet_names]
        except (calamine.CalamineError, ValueError, OSError) as error:
            contracts.reject(
                "file", "be an Excel workbook", contracts.Words(f"{file.name}: {first_line(error)}"), "Save it as CSV."
            )
    tables = [(name, rows) for name, rows in sheets if len(rows) > 1 and max(map(len, rows)) > 1]
    if not tables:
        contracts.reject("file", "hold a table in a sheet", contracts.Words(file.name), "Save the sheet as CSV.")
    sheet, rows = tables[0]
    n = sum(bool(rows) for _, rows in sheets)
    alerts = [Alert("sheet", {"name": sheet, "n": n})] if n > 1 else []
    width = max(map(len, rows))
    while len(rows) > 2 and sum(cell not in ("", None) for cell in rows[0]) <= width // 2:
        rows.pop(0)  # a title, or headings over several columns
    names = [str(cell).strip() or f"column {i}" for i, cell in enumerate(rows[0])]
    columns = []
    for i in range(len(names)):
        cells = [row[i] if i < len(row) and row[i] != "" else None for row in rows[1:]]
        kinds = {type(cell) for cell in cells if cell is not None}
        if kinds <= {float, int}:
            columns.append(pyarrow.array(cells, pyarrow.float64()))
        elif len(kinds) == 1:
            columns.append(pyarrow.array(cells))
        else:
            columns.append(
                pyarrow.array([None if cell is None else _written(cell) for cell in cells], pyarrow.string())
            )
    return pyarrow.Table.from_arrays(columns, names), alerts


def _filled(rows: list[list[Any]]) -> list[list[Any]]:
    return [row for row in rows if any(cell not in ("", None) for cell in row)]


def _written(cell: Any) -> str:
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)
