"""What a report consists of, before it is drawn: sections of tables, lines and sentences, in no language yet.

A section is built once, from messages and figures; the terminal says it in one language, a page in all of them.
To add one: a function that returns a :class:`Section` in ``report/diagnose.py`` or ``report/tune.py``, and its place
in that file's list.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from focalkit._core.message import Finding, Message

#: What is said: a message or a finding; a plain string is a name or a figure and is the same in every language.
Text = str | Finding


@dataclass(frozen=True)
class Column:
    """A column: its ``head``; names are folded where they are long, figures never.

    ``drop`` > 0: left out where it is narrow, those with the largest first.
    """

    head: Text
    figure: bool = True
    drop: int = 0


@dataclass(frozen=True)
class Table:
    """Rows under columns; the first column names the row.

    ``key`` says how to read it; ``chosen`` is the row that is recommended, ``best`` a cell (row, column) to be framed.
    ``blocks``: where it is narrow, columns go below each other and none is dropped. ``drawn`` False: a page draws these
    figures itself. ``heat`` shades cells, 0 to 20, row by row, on a page, and ``outlined`` marks some of them.
    """

    columns: Sequence[Column]
    rows: Sequence[Sequence[Text]]
    title: Text = ""
    key: Sequence[Text] = ()
    chosen: int | None = None
    best: tuple[int, int] | None = None
    blocks: bool = False
    heat: Sequence[Sequence[int]] | None = None
    outlined: Sequence[Sequence[bool]] | None = None


@dataclass(frozen=True)
class Lines:
    """Sentences: each a line of its own, as bullets or plainly (``soft``: how things were done)."""

    texts: Sequence[Text]
    bullets: bool = True
    soft: bool = False


@dataclass(frozen=True)
class Verdict:
    """A headline and the sentences that go with it; ``about`` what it judges."""

    about: Text
    headline: Text
    texts: Sequence[Text]


@dataclass(frozen=True)
class Brief:
    """The few lines to act on: each a label and its sentences."""

    lines: Sequence[tuple[Text, Sequence[Text]]]


@dataclass(frozen=True)
class Code:
    """Lines of Python."""

    text: str


Part = Table | Lines | Verdict | Brief | Code


@dataclass(frozen=True)
class Section:
    """A part of a report: ``name`` is its anchor on a page and its key in tests."""

    name: str
    title: Text
    parts: Sequence[Part]
    page: bool = True
    terminal: bool = True


def message(key: str, **values: object) -> Message:
    """A message of the catalogue."""
    return Message(key, **values)
