"""A terminal that shows names as text, signs that it can encode, and tables that fit it."""

from __future__ import annotations

import codecs
import sys
from collections.abc import Sequence
from typing import IO, Any

from rich.console import Console
from rich.text import Text as Styled

from focalkit._core.message import Finding
from focalkit.report.format import visible
from focalkit.report.messages import say, word
from focalkit.report.sections import Brief, Code, Lines, Section, Table, Verdict
from focalkit.report.terminal.table import Laid, fold, lay

#: What stands for a sign where the terminal's encoding has none.
STAND_INS = {
    "α": "alpha", "β": "beta", "γ": "gamma", "τ": "tau", "−": "-", "–": "-", "×": "x", "·": "-", "•": "*", "±": "+-",
    "→": "->", "↑": "^", "↓": "v", "▶": ">", "…": "...", "“": '"', "”": '"', "─": "-", "│": "|", "≤": "<=", "≥": ">=",
    "\u00a0": " ",
}  # fmt: skip


def in_encoding(text: str, encoding: str) -> str:
    """``text`` with stand-ins for what ``encoding`` cannot say."""
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return "".join(_stand_in(sign, encoding) for sign in text)
    return text


def _stand_in(sign: str, encoding: str) -> str:
    try:
        sign.encode(encoding)
    except UnicodeEncodeError:
        return _other(sign)
    return sign


def _other(sign: str) -> str:
    """A sign's stand-in; of a letter its number, so that two names stay two."""
    return STAND_INS.get(sign) or sign.encode("ascii", "backslashreplace").decode()


def _replaced(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(_other(sign) for sign in error.object[error.start : error.end]), error.end


codecs.register_error("focalkit", _replaced)


def forgiving(*streams: Any) -> None:
    """Make streams write a stand-in where their encoding has no sign: nothing that is printed can fail for it."""
    for stream in streams:
        if hasattr(stream, "reconfigure") and stream.errors in ("strict", "surrogateescape"):
            stream.reconfigure(errors="focalkit")


class Terminal:
    """Where a report is printed, in one language.

    Parameters
    ----------
    language : str
        Of :data:`focalkit.report.messages.LANGUAGES`.
    file : text stream, optional
        Default: standard output.
    width : int, optional
        Default: the terminal's, or $COLUMNS.
    """

    def __init__(self, language: str = "en", file: IO[str] | None = None, width: int | None = None) -> None:
        forgiving(file if file is not None else sys.stdout)
        self.console = Console(file=file, width=width, markup=False, highlight=False, emoji=False, soft_wrap=False)
        self.console.width = self.console.width or 80  # some programs set COLUMNS to 0
        # a language whose letters the encoding lacks would be escapes alone
        self.language = "en" if "\\u" in in_encoding(word("unit.points", language), self.console.encoding) else language

    def _text(self, thing: str | Finding) -> str:
        return in_encoding(visible(say(thing, self.language)), self.console.encoding)

    def line(self, thing: str | Finding = "", style: str | None = None) -> None:
        """A paragraph."""
        for line in fold(self._text(thing), self.console.width):
            self.console.print(line, style=style, soft_wrap=True)

    def word(self, key: str, style: str | None = None, **values: Any) -> None:
        """A message of the catalogue."""
        self.line(word(key, self.language, **values), style)

    def rule(self, thing: str | Finding) -> None:
        """A heading."""
        self.line()
        self.line(thing, "bold")

    def show(self, sections: Sequence[Section]) -> None:
        """Print what belongs to a terminal."""
        for section in sections:
            if section.terminal:
                self._section(section)

    def _section(self, section: Section) -> None:
        titled = bool(say(section.title))
        if titled:
            self.rule(section.title)
        for part in section.parts:
            if isinstance(part, Table):
                self.table(part, after_title=titled)
            elif isinstance(part, Lines):
                for text in part.texts:
                    bullet = "• " if part.bullets else ""
                    self.line(bullet + self._text(text), "dim" if part.soft else None)
            elif isinstance(part, Verdict):
                self._verdict(part, part is section.parts[-1])
            elif isinstance(part, Brief):
                self._brief(part)
            elif isinstance(part, Code):
                self.console.print(in_encoding(part.text, self.console.encoding), style="cyan", soft_wrap=True)
            titled = False

    def table(self, table: Table, after_title: bool = False) -> None:
        """Its title, itself as wide as there is room for, and how to read it."""
        if say(table.title):
            if not after_title:
                self.line()
            self.line(table.title, "bold")
        laid = lay(table, self.console.width, self._text)
        self._laid(laid)
        for key in table.key:
            self.line(key, "dim")
        if laid.dropped:
            comma = word("list.comma", self.language)
            names = comma.join(laid.dropped)
            self.word("table.narrow", "dim", names=names, width=laid.wanted)

    def _laid(self, laid: Laid) -> None:
        for kind, text in laid.lines:
            style = {"head": "dim", "chosen": "bold green", "best": "", "row": ""}[kind]
            line = Styled(text, style=style, no_wrap=True, overflow="ignore")
            if kind == "best" and laid.best is not None:
                line.stylize("bold green", *laid.best)
            self.console.print(line, soft_wrap=True)

    def _brief(self, brief: Brief) -> None:
        """Each line begins with its label; the first is what to do."""
        gap = word("sentence.gap", self.language)
        for i, (label, texts) in enumerate(brief.lines):
            before = self._text(word("brief.line", self.language, label=label))
            rest = gap.join(self._text(text) for text in texts)
            for j, piece in enumerate(fold(before + rest, self.console.width)):
                line = Styled(piece, "" if i else "bold green")
                if j == 0:
                    line.stylize("bold default", 0, len(before))
                self.console.print(line, soft_wrap=True)

    def _verdict(self, verdict: Verdict, last: bool) -> None:
        before = self._text(word("sentence.colon", self.language, before=say(verdict.about, self.language)))
        for i, piece in enumerate(fold(before + self._text(verdict.headline), self.console.width)):
            line = Styled(piece, "bold green")
            if i == 0:
                line.stylize("bold default", 0, len(before))
            self.console.print(line, soft_wrap=True)
        for text in verdict.texts:
            self.line(text)
        if not last:
            self.line()
