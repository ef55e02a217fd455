"""A table laid out in text: figures are never cut and rows never lose their name, however narrow it is."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from rich.cells import cell_len, chop_cells

from focalkit._core.message import Finding
from focalkit.report.sections import Column, Table

#: The least and the most that a column of names takes, and what stands between columns.
NAME, WIDEST_NAME, WIDEST_HEAD, GAP = 12, 40, 16, 2
#: What a row's name is left with where there is room for nothing else.
SHORTEST_NAME = 4

Say = Callable[[str | Finding], str]


@dataclass
class Laid:
    """Lines with their kind ("head", "row", "chosen", "best"), what was left out, and the width that all would want."""

    lines: list[tuple[str, str]] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    wanted: int = 0
    best: tuple[int, int] | None = None


def lay(table: Table, width: int, say: Say) -> Laid:
    """Lay ``table`` out in ``width`` cells, leaving out columns or putting them below each other where it must."""
    heads = [say(column.head) for column in table.columns]
    rows = [[say(cell) for cell in row] for row in table.rows]
    widths = [_width(i, column, heads, rows) for i, column in enumerate(table.columns)]
    natural = _total(table.columns, widths, range(len(heads)), full=True)
    laid = Laid(wanted=_total(table.columns, widths, range(len(heads))))
    if table.blocks:
        for block in _blocks(table.columns, widths, width):
            _write(laid, table, heads, rows, widths, block, width)
        return laid
    kept = list(range(len(heads)))
    while _total(table.columns, widths, kept) > width:
        gone = max(kept, key=lambda i: (table.columns[i].drop, i))
        if table.columns[gone].drop == 0:
            break
        kept.remove(gone)
    # what is left may still be too much for a very narrow terminal: the first figure stays
    while _total(table.columns, widths, kept) > width and len(kept) > 2:
        kept.pop(-1 if table.columns[1].figure else 1)
    laid.dropped = [head for i, head in enumerate(heads) if i not in kept]
    _write(laid, table, heads, rows, widths, kept, min(width, natural))
    return laid


def _width(i: int, column: Column, heads: list[str], rows: list[list[str]]) -> tuple[int, int]:
    """The least and the full width of a column; a head folds between its words."""
    cells = max((cell_len(row[i]) for row in rows), default=1)
    head = max(map(cell_len, _pieces(heads[i])), default=0)
    if column.figure:
        return max(cells, head), max(cells, head, min(cell_len(heads[i]), WIDEST_HEAD))
    full = max(cells, cell_len(heads[i]))
    return min(full, NAME), min(full, WIDEST_NAME)


def _total(columns: Sequence[Column], widths: list[tuple[int, int]], kept: Sequence[int], full: bool = False) -> int:
    return sum(widths[i][full] for i in kept) + GAP * (len(kept) - 1)


def _blocks(columns: Sequence[Column], widths: list[tuple[int, int]], width: int) -> list[list[int]]:
    blocks: list[list[int]] = [[0]]
    for i in range(1, len(columns)):
        if _total(columns, widths, [*blocks[-1], i]) > width and len(blocks[-1]) > 1:
            blocks.append([0])
        blocks[-1].append(i)
    return blocks


def _write(
    laid: Laid,
    table: Table,
    heads: list[str],
    rows: list[list[str]],
    widths: list[tuple[int, int]],
    kept: Sequence[int],
    width: int,
) -> None:
    """Add the lines of the columns that are ``kept``."""
    room = width - _total(table.columns, widths, kept)
    if room < 0 and not table.columns[0].figure:
        widths = [(max(SHORTEST_NAME, widths[0][0] + room), widths[0][1]), *widths[1:]]
        room = 0
    size = {i: widths[i][0] for i in kept}
    for i in kept:
        if not table.columns[i].figure:
            more = max(min(widths[i][1] - size[i], room), 0)
            size[i] += more
            room -= more
    _spread(heads, widths, size, room)
    if laid.lines:
        laid.lines.append(("row", ""))
    folded = {i: fold(heads[i], size[i]) for i in kept}
    for i in kept:
        # a head that breaks may leave its column wider than anything in it
        size[i] = max(cell_len(text) for text in (*folded[i], *(_cells(table, rows, i, size[i]))))
    high = max(len(lines) for lines in folded.values())
    for line in range(high):
        cells = [[""] * (high - len(folded[i])) + folded[i] for i in kept]
        text = _join([(c[line], size[i], table.columns[i].figure) for c, i in zip(cells, kept, strict=True)])
        laid.lines.append(("head", text))
    laid.lines.append(("head", "─" * (sum(size.values()) + GAP * (len(kept) - 1))))
    for r, row in enumerate(rows):
        parts = {i: [row[i]] if table.columns[i].figure else fold(row[i], size[i]) for i in kept}
        kind = "chosen" if r == table.chosen else "row"
        if table.best is not None and r == table.best[0] and table.best[1] in kept:
            kind = "best"
            before = kept.index(table.best[1])
            end = sum(size[i] + GAP for i in kept[: before + 1]) - GAP
            laid.best = (end - cell_len(row[table.best[1]]), end)
        for line in range(max(map(len, parts.values()))):
            at = [(p[line] if line < len(p) else "", size[i], table.columns[i].figure) for i, p in parts.items()]
            laid.lines.append((kind if line == 0 or kind == "chosen" else "row", _join(at)))


def _join(cells: Sequence[tuple[str, int, bool]]) -> str:
    out = []
    for text, size, figure in cells:
        space = " " * max(size - cell_len(text), 0)
        out.append(space + text if figure else text + space)
    return (" " * GAP).join(out).rstrip()


def _spread(heads: list[str], widths: list[tuple[int, int]], size: dict[int, int], room: int) -> None:
    """Widen columns so far that all heads are as low as the ``room`` that is left allows."""
    for high in range(1, max(len(fold(heads[i], size[i])) for i in size)):
        wider = {}
        for i in size:
            sizes = range(size[i], widths[i][1] + 1)
            wider[i] = next((w for w in sizes if len(fold(heads[i], w)) <= high), None)
        enough = {i: w for i, w in wider.items() if w is not None}
        if len(enough) == len(size) and sum(enough.values()) - sum(size.values()) <= room:
            size.update(enough)
            return


def _cells(table: Table, rows: list[list[str]], i: int, size: int) -> list[str]:
    """What stands in a column, line by line."""
    return [line for row in rows for line in ([row[i]] if table.columns[i].figure else fold(row[i], size))]


def _pieces(text: str) -> list[str]:
    """What a head breaks into: words, those of wide signs into pieces of eight cells, a name without blanks too."""
    pieces = []
    for word in text.split(" "):
        most = WIDEST_HEAD if cell_len(word) == len(word) else WIDEST_HEAD // 2
        pieces += [word] if cell_len(word) <= most else chop_cells(word, most)
    return pieces


#: Wide signs, each of which a line may break before, the marks that no line begins with, and those that none ends with.
_WIDE = "\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef"
_CLOSING = "，。；：、！？）》」』】〉〕”’…,.;:!?)%％"
_OPENING = r"（《「『【〈〔“‘(\["
_WORD = re.compile(
    rf" ?[{_OPENING}]*(?![{_OPENING}])[{_WIDE}][{_CLOSING}]*"  # a wide sign, with the marks around it
    rf"| ?[{_OPENING}]*[^ {_WIDE}]*[^ {_WIDE}{_OPENING}][{_CLOSING}]*(?:(?<=\d) %[{_CLOSING}]*)?"  # a word, or 77.5 %
    rf"| ?[^ ]| "
)


def _words(text: str) -> list[tuple[str, str]]:
    """The words of a text, each with the blank before it; a wide sign is a word of its own."""
    found = _WORD.findall(text)
    return [(" ", word[1:]) if word.startswith(" ") else ("", word) for word in found]


def fold(text: str, size: int) -> list[str]:
    """Lines of at most ``size`` cells, broken between words where that can be."""
    lines = [""]
    for blank, word in _words(text):
        if cell_len(lines[-1]) + cell_len(blank + word) <= size:
            lines[-1] += blank + word
        elif cell_len(word) <= size:
            lines.append(word)
        else:
            lines += chop_cells(word, size)
    return lines[1:] if len(lines) > 1 and not lines[0] else lines
