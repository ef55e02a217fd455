"""What kind of delimited text a file holds: encoding, delimiter, decimal mark, header.

Sniffers of others were weighed (docs/reading.md): each misses kinds that people have. What is here scores every
delimiter by how many rows it cuts alike and how many cells then are numbers, dates or words, as CleverCSV does
(van den Burg, Nazábal & Sutton 2019, Wrangling messy CSV files by detecting row and type patterns), and reads
decimal commas at the same time, which decides between the two where they compete.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise

from focalkit._core import contracts
from focalkit.io.alerts import Alert
from focalkit.io.code_pages import decoded, encoding_of
from focalkit.io.numbers import GAPS, MISSING, is_number

#: Bytes of a file that are looked at.
HEAD = 1 << 20
#: Rows that are cut, and of these the cells of a column by which its type is told.
_ROWS, _CELLS = 1000, 250
#: Lines of words that may stand above the numbers.
_MOST_NAMES = 5
DELIMITERS = (",", ";", "\t", "|", " ")
#: What needs no word, by the ending of a name; and what blanks are called, also by ``--delimiter``.
_USUAL = {"csv": ",", "tsv": "\t", "tab": "\t"}
_CALLED = {" ": "space", "\t": "tab"}
_DATE = re.compile(r"^\d{1,4}[-/.:]\d{1,2}([-/.:]\d{1,4})?([T ]\d{1,2}:\d{2}.*)?$")
_COMMA = re.compile(r"^[+\-−]?(\d{1,3}(\.\d{3})+|\d*),\d+([eE][+-]?\d+)?$")
_DOT = re.compile(r"^[+\-−]?(\d{1,3}(,\d{3})+|\d*)\.\d+([eE][+-]?\d+)?$")
_GROUPED = re.compile(r"^[+\-−]?[1-9]\d{0,2}(,\d{3})+$")


@dataclass(frozen=True)
class TextOptions:
    """What the user says about a text; None: found out."""

    header: bool | None = None
    delimiter: str | None = None
    decimal: str | None = None
    encoding: str | None = None

    def __post_init__(self) -> None:
        for name in ("delimiter", "encoding"):
            if not isinstance(getattr(self, name), str | None):
                contracts.reject(name, "be a string", getattr(self, name), "None: found out.")
        if self.delimiter is not None and len(self.delimiter) != 1:
            known = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "space": " "}
            if self.delimiter.lower() not in known:
                contracts.reject("delimiter", "be one character", self.delimiter, "E.g. ';', or tab.")
            object.__setattr__(self, "delimiter", known[self.delimiter.lower()])
        if self.decimal is not None:
            contracts.one_of("decimal", self.decimal, (".", ","))
        if self.encoding is not None:
            try:
                "a".encode(self.encoding, "replace")  # hex, rot13 and idna are no encodings of texts
            except (LookupError, UnicodeError):
                contracts.reject(
                    "encoding", "be known to Python", self.encoding, "E.g. utf-8, latin-1, cp1252, gb18030."
                )


@dataclass(frozen=True)
class Dialect:
    """How a text is to be read; ``start`` bytes (of UTF-8) and ``lines`` lines stand above its first row."""

    encoding: str
    delimiter: str
    decimal: str
    names: tuple[str, ...]
    header: bool
    start: int
    lines: int
    #: the header as it stands and may stand again, in quotes or not
    header_lines: tuple[bytes, ...] = ()
    unnamed: tuple[int, ...] = ()
    cr: bool = False
    alerts: tuple[Alert, ...] = ()
    #: whether the first bytes were plain ASCII, so that a later byte may still tell another encoding
    ascii: bool = True
    quote: str = '"'
    #: what each column holds in the rows that were looked at ("float", "int" or "text"), and how many these are
    kinds: tuple[str, ...] = ()
    told_from: int = 0
    #: whether there are quotes in them, so that a value may hold a line break
    quoted: bool = True
    #: rows below the names that are left out, since they hold no numbers
    below: int = 0


def sniff(head: bytes, asked: TextOptions, name: str, *, whole: bool) -> Dialect:
    """The dialect of a file that begins with ``head`` (all of it where ``whole``)."""
    alerts: list[Alert] = []
    encoding = asked.encoding or encoding_of(head, name)
    text = decoded(head, encoding, name, whole)
    if asked.encoding is None and encoding not in ("utf-8", "utf-16", "utf-32"):
        alerts.append(Alert("encoding", {"encoding": encoding}))
    cr = "\n" not in text and "\r" in text
    if cr:
        text = text.replace("\r", "\n")
    lines, cut = _lines(text, whole)
    if not any(line.strip() for line in lines):
        contracts.reject(
            "file", "begin with a line of values", contracts.Words(f"{name}, empty"), "There is nothing to read."
        )
    top = next(i for i, line in enumerate(lines) if line.strip())
    delimiter = asked.delimiter
    if re.match(r"^sep=.\s*$", lines[top]):
        delimiter = delimiter or lines[top][4]
        top += 1
    body = "".join(lines[top:])
    if delimiter is None:
        delimiter = _delimiter(body)
        if delimiter not in _USUAL.get(name.lower().rpartition(".")[2], ",\t"):
            alerts.append(Alert("delimiter", {"delimiter": _CALLED.get(delimiter, delimiter)}))
    rows, sizes = _rows(body, delimiter, cut)
    if not rows:
        got = contracts.Words(f"{name}, of which no line can be cut into cells")
        contracts.reject("file", "be a table", got, "Say how by delimiter= and encoding=.")
    width = Counter(len(row) for row in rows[1:] or rows).most_common(1)[0][0]
    n_above = 0
    while width > 2 and n_above < min(len(rows) - 2, 30) and _above(rows[n_above], width):
        n_above += 1
    if width > 2 and asked.header is not False:
        n_above += _padded(rows[n_above : n_above + 30], width)
    top_row, skipped = rows[0], "".join(lines[:top]) + "".join(sizes[:n_above])
    rows, sizes = rows[n_above:], sizes[n_above:]
    decimal = asked.decimal or _decimal(rows, delimiter, width)
    if decimal == "," and asked.decimal is None:
        alerts.append(Alert("decimal_comma"))
    at, n_below = _names_among(rows, width, decimal) if asked.header is None else (0, 0)
    skipped += "".join(sizes[:at])
    rows, sizes, n_above = rows[at:], sizes[at:], n_above + at
    if n_above:
        alerts.append(Alert("preamble", {"n": n_above, "first": _readable(delimiter.join(top_row).strip()[:60])}))
    if n_below:
        said = " ".join(cell.strip() for row in rows[1 : 1 + n_below] for cell in row)
        alerts.append(Alert("below_header", {"n": n_below, "words": _readable(said.strip()[:60])}))
    first, rest = rows[0], [row for row in rows[1 + n_below :] if len(row) == width]
    # a header that stands inside the file, with its mark of UTF-8 maybe, is one all the same
    rest = [row for row in rest if [row[0].strip("\ufeff"), *row[1:]] != first] or rest
    row_names = len(first) == width - 1 and width > 2 and asked.header is not False
    row_names = row_names and any(row[-1].strip() for row in rest)  # else each row ends with a delimiter
    if row_names:
        first = ["", *first]
        alerts.append(Alert("row_names"))
    header = asked.header
    if header is None:
        header, why = _is_header(first, rest, decimal)
        alerts += why
    if header:
        names = [cell.strip().strip("\ufeff") for cell in first]
        if all(re.fullmatch("'.*'", cell, re.S) for cell in names if cell):  # values are read without these, too
            names = [cell[1:-1] for cell in names]
        names += [""] * (width - len(names))
        skipped += "".join(sizes[: 1 + n_below])
    else:
        names = [""] * max(width, len(first))
    unnamed = tuple(i for i, cell in enumerate(names) if not cell) if header else ()
    shown = tuple(_readable(cell) or f"column {i}" for i, cell in enumerate(names))
    written = _written(rows[0], sizes[0], delimiter) if header else ()
    n_lines = skipped.count("\n")
    return Dialect(
        encoding, delimiter, decimal, shown, header, len(_bytes(skipped)), n_lines, written, unnamed, cr, tuple(alerts),
        text.isascii(), kinds=_kinds(rest if header else [first, *rest], decimal, len(shown)), told_from=len(rest) + 1,
        quoted='"' in text[len(skipped) :], below=n_below,
    )  # fmt: skip


def _written(cells: list[str], line: str, delimiter: str) -> tuple[bytes, ...]:
    """A header as it may stand again, where files were put together: as here, with all its names in quotes, or none."""
    ways = {line.rstrip("\r\n"), delimiter.join(f'"{cell}"' for cell in cells)}
    if not any(mark in cell for cell in cells for mark in (delimiter, '"', "\n")):
        ways.add(delimiter.join(cells))
    return tuple(sorted(_bytes(way) for way in ways))


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _readable(text: str) -> str:
    return _bytes(text).decode("utf-8", "replace")


def _lines(text: str, whole: bool) -> tuple[list[str], bool]:
    """Lines with their ends; the last one goes where the head cut it."""
    lines = text.splitlines(keepends=True) if "\n" not in text else re.findall(r"[^\n]*\n|[^\n]+$", text)
    cut = not whole
    if cut and len(lines) > 1:
        lines.pop()
    return lines, cut


def _rows(body: str, delimiter: str, cut: bool) -> tuple[list[list[str]], list[str]]:
    """The first rows, each with the text that it was cut from."""
    lines = re.findall(r"[^\n]*\n|[^\n]+$", body)
    position = 0

    def feed() -> object:
        nonlocal position
        for position, line in enumerate(lines, 1):  # noqa: B007
            yield _tabbed(line) if delimiter == " " else line

    rows: list[list[str]] = []
    texts: list[str] = []
    before = 0
    reader = csv.reader(feed(), delimiter="\t" if delimiter == " " else delimiter)  # type: ignore[arg-type]
    while len(rows) < _ROWS:
        try:
            row = next(reader)
        except StopIteration:
            break
        except csv.Error:
            before = position
            continue
        text = "".join(lines[before:position])
        before = position
        if not text.strip():
            if texts:
                texts[-1] += text
            continue
        rows.append(row)
        texts.append(text)
    if cut and len(rows) > 1 and len(rows) < _ROWS:  # the last record may go on behind the head
        rows.pop()
        texts.pop()
    return rows, texts


def _tabbed(line: str) -> str:
    return re.sub(r"[ \t]+", "\t", line.strip(" \t\r\n")) + "\n"


def _delimiter(body: str) -> str:
    """The delimiter that cuts most rows alike into cells that mean something."""
    sample = body[: 1 << 17]
    best, chosen = 0.0, ","
    for delimiter in DELIMITERS:
        if delimiter not in sample and not (delimiter == " " and "\t" in sample):
            continue
        rows, _ = _rows(sample, delimiter, len(sample) < len(body))
        rows = [row for row in rows[:400] if row]
        if not rows:
            continue
        width, n = Counter(map(len, rows)).most_common(1)[0]
        if width < 2:
            continue
        cells = [cell for row in rows if len(row) == width for cell in row[:100]]
        meaning = sum(_meaning(cell.strip(), delimiter) for cell in cells) / len(cells)
        score = (n / len(rows)) * meaning**2 * (width - 1) / width
        if delimiter == " ":
            score *= 0.7
        if score > best * 1.001:
            best, chosen = score, delimiter
    return chosen


def _meaning(cell: str, delimiter: str) -> float:
    if cell.lower() in MISSING or is_number(cell, ".") or (delimiter != "," and is_number(cell, ",")):
        return 1.0
    if _DATE.match(cell):
        return 1.0
    other = any(d in cell for d in ",;\t|" if d != delimiter)
    return 0.4 if other else 0.9


def _decimal(rows: list[list[str]], delimiter: str, width: int) -> str:
    """A comma where more numbers have one than have a point; in comma-separated text it is a point."""
    if delimiter == ",":
        return "."
    commas = dots = grouped = 0
    for row in rows[:_CELLS]:
        if len(row) != width:
            continue
        for cell in row:
            if "," not in cell and "." not in cell:
                continue
            text = cell.strip()
            if _COMMA.match(text):
                commas += 1
                grouped += bool(_GROUPED.match(text))
            elif _DOT.match(text):
                dots += 1
    if commas <= dots or (grouped == commas and delimiter != ";"):
        return "."
    return ","


def _above(row: list[str], width: int) -> bool:
    """Whether a line above the table is none of it: a title, or a comment."""
    return len(row) <= width // 2 or (len(row) != width and row[0].lstrip().startswith("#"))


def _padded(rows: list[list[str]], width: int) -> int:
    """How many titles filled up with empty cells, as Excel writes them, stand above a line of names."""
    for n, row in enumerate(rows):
        cells = [cell.strip() for cell in row]
        if any(cells[width // 2 :]):
            words = [cell for cell in cells if cell and not is_number(cell) and not is_number(cell, ",")]
            return n if len(cells) == width and len(words) >= width - 1 else 0
    return 0


def _names_among(rows: list[list[str]], width: int, decimal: str) -> tuple[int, int]:
    """Which of several lines of words above numbers names the columns, and how many follow it (units, say).

    A line of words has none of the numbers that its columns go on with, and no word that occurs further down. The one
    with most different words names them; with fewer than two of these lines there is nothing to choose.
    """
    whole = [row for row in rows[_MOST_NAMES:] if len(row) == width and row not in rows[:_MOST_NAMES]]
    if len(whole) < _MOST_NAMES or any(len(row) != width for row in rows[:2]):
        return 0, 0
    columns = [[cell.strip() for cell in column] for column in zip(*whole, strict=True)]
    numeric = [_numeric(tuple(column[:_CELLS]), decimal) for column in columns]
    seen = [set(column) - {""} for column in columns]

    def is_words(row: list[str]) -> bool:
        cells = [cell.strip() for cell in row]
        words = [cell for cell, is_one in zip(cells, numeric, strict=False) if is_one and cell.lower() not in GAPS]
        new = all(cell not in known for cell, known in zip(cells, seen, strict=False))
        return len(row) == width and bool(words) and new and not any(is_number(word, decimal) for word in words)

    n = 0
    while n < _MOST_NAMES and is_words(rows[n]):
        n += 1
    if n < 2:
        return 0, 0
    at = max(range(n), key=lambda i: len({cell.strip() for cell in rows[i]} - {""}))
    return at, n - 1 - at


def _is_header(first: list[str], rest: list[list[str]], decimal: str) -> tuple[bool, list[Alert]]:
    """A first line of text above a column of numbers is a header; so are distinct texts that never recur."""
    cells = [cell.strip() for cell in first]
    number = [is_number(cell, decimal) for cell in cells]
    nothing = [Alert("no_header")]
    if not rest:
        return not any(number), [] if not any(number) else nothing
    columns = list(zip(*rest, strict=True))
    width = min(len(columns), len(cells))
    numeric = [_numeric(columns[i][:_CELLS], decimal) for i in range(width)]
    named = [i for i in range(width) if numeric[i] and not _numeric((cells[i],), decimal, 0) and cells[i]]
    named = [i for i in named if cells[i].lower() not in MISSING]
    if named:
        return True, []
    recurs = [cells[i] in {cell.strip() for cell in columns[i]} for i in range(width)]
    if not any(number):
        ok = len(set(cells)) == len(cells) and not any(recurs)
        return ok, [] if ok else nothing
    if cells[:-1] == [str(i) for i in range(len(cells) - 1)] and len(cells) > 2:
        return True, []
    if cells and cells[0] == "" and cells[1:] == [str(i) for i in range(len(cells) - 1)] and len(cells) > 2:
        return True, []
    if _counts_up(cells, number, recurs):
        return True, [Alert("numeric_header")]
    return False, nothing


def _counts_up(cells: list[str], number: list[bool], recurs: list[bool]) -> bool:
    """Numeric names (wavelengths, years): they count up evenly, above values that do not."""
    written = [cell.replace(",", ".") for cell, is_one in zip(cells, number, strict=True) if is_one]
    if len(written) < 4 or any(name.count(".") > 1 for name in written):  # no name has marks between thousands
        return False
    values = [float(name) for name in written]
    steps = {round(b - a, 9) for a, b in pairwise(values)}
    if len(steps) != 1 or steps == {0.0}:
        return False
    texts = [i for i, is_one in enumerate(number) if not is_one]
    if texts and not any(recurs[i] for i in texts):
        return True
    return not any(recurs[i] for i in range(min(len(recurs), len(number))) if number[i])


def _numeric(column: tuple[str, ...], decimal: str, fewest: int = 1) -> bool:
    """Whether nearly all of these cells are numbers, quoted or not."""
    known = [cell.strip().strip("'\"") for cell in column]
    known = [cell for cell in known if cell.lower() not in MISSING]
    return len(known) >= fewest and sum(is_number(cell, decimal) for cell in known) >= 0.9 * len(known)


def _kinds(rows: list[list[str]], decimal: str, width: int) -> tuple[str, ...]:
    columns = list(zip(*[row for row in rows if len(row) == width], strict=True)) or [()] * width
    return tuple(_kind(column[:_CELLS], decimal) for column in columns)


def _kind(column: tuple[str, ...], decimal: str) -> str:
    cells = [cell.strip().strip("'\"") for cell in column]
    numbers = [cell.replace(",", ".") for cell in cells if is_number(cell, decimal)]
    if cells and len(numbers) < 0.3 * sum(cell.lower() not in MISSING for cell in cells):
        return "text"
    return "int" if numbers and all(_whole(cell) for cell in numbers) else "float"


def _whole(cell: str) -> bool:
    try:
        return float(cell).is_integer()
    except ValueError:  # thousands
        return True
