"""Sections as HTML, each text in every language at once, of which the page shows one."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from html import escape

from focalkit._core.message import Finding
from focalkit.report.format import visible
from focalkit.report.messages import LANGUAGES, say, word
from focalkit.report.sections import Brief, Code, Lines, Section, Table, Text, Verdict

#: Blanks between a number and its sign, and around plus-minus.
_TIED = re.compile(r"(?<=\d) (?=%)|(?<=\d) (?=± \d)|(?<=±) (?=\d)")
#: Rows of a table that no search cuts.
MOST_ROWS = 1000


def shown(text: str) -> str:
    """A text as HTML: what belongs to a number stays on its line."""
    return _TIED.sub("\u00a0", escape(visible(text)))


def both(say: Callable[[str], str], tag: str = "span") -> str:
    """What ``say`` says in each language, as HTML of which the page shows one; once where they are the same."""
    texts = [shown(say(language)) for language in LANGUAGES]
    if len(set(texts)) == 1:
        return texts[0] if tag == "span" else f"<{tag}>{texts[0]}</{tag}>"
    pairs = zip(LANGUAGES, texts, strict=True)
    return "".join(f'<{tag} class="said" lang="{language}">{text}</{tag}>' for language, text in pairs)


def said(thing: Text, tag: str = "span") -> str:
    """A message, a finding or a name."""
    return both(lambda language: say(thing, language), tag)


def worded(key: str, tag: str = "span", **values: object) -> str:
    """A message of the catalogue."""
    return both(lambda language: word(key, language, **values), tag)


def section(of: Section) -> str:
    """A whole section with its heading."""
    title = f"<h2>{said(of.title)}</h2>" if say(of.title) else ""
    return f'<section id="{of.name}">{title}{parts(of.parts)}</section>'


def parts(some: Sequence[object]) -> str:
    """The parts of a section; tables that follow each other stand side by side where there is room."""
    out: list[str] = []
    for part in some:
        if isinstance(part, Table):
            out.append(table(part))
        elif isinstance(part, Lines):
            out.append(lines(part))
        elif isinstance(part, Verdict):
            out.append(verdict(part))
        elif isinstance(part, Brief):
            out.append(brief(part))
        elif isinstance(part, Code):
            out.append(code(part))
    return "".join(out)


def lines(of: Lines) -> str:
    """Sentences, as a list or one paragraph each."""
    texts = [text for text in of.texts if say(text)]
    if not texts:
        return ""
    if of.bullets:
        return f"<ul>{''.join(f'<li>{said(text)}</li>' for text in texts)}</ul>"
    body = "".join(said(text, "p") for text in texts)
    return f'<div class="soft">{body}</div>' if of.soft else body


def notes(some: Sequence[Text]) -> str:
    """What was noticed about the data, on top of a page; the reader opens it."""
    if not some:
        return ""
    head = worded("page.notes", n=len(some))
    return f'<details id="notes"><summary>{head}</summary>{lines(Lines(some))}</details>'


def verdict(of: Verdict) -> str:
    """What it judges, a headline, and what goes with it."""
    body = []
    for language in LANGUAGES:
        before = shown(word("sentence.colon", language, before=say(of.about, language)))
        head = shown(say(of.headline, language))
        rest = word("sentence.gap", language).join(shown(say(text, language)) for text in of.texts)
        body.append(f'<div class="said" lang="{language}"><p>{before}<strong>{head}</strong></p><p>{rest}</p></div>')
    return f'<div class="verdict">{"".join(body)}</div>'


def brief(of: Brief) -> str:
    """The lines to act on, as a list of labels and what they say."""
    body = [f"<dt>{said(label)}</dt><dd>{both(partial(_joined, texts))}</dd>" for label, texts in of.lines]
    return f'<dl class="brief">{"".join(body)}</dl>'


def _joined(texts: Sequence[Text], language: str) -> str:
    return word("sentence.gap", language).join(say(text, language) for text in texts)


def code(of: Code) -> str:
    """Lines of Python with a button that copies them."""
    button = '<button type="button" class="copy moving" data-t="copy"></button>'
    return f'<div class="code">{button}<pre tabindex="0"><code>{escape(of.text)}</code></pre></div>'


def table(of: Table, *, name: str = "") -> str:
    """A table in a box that scrolls; ``name``: it can be saved as a file of that name."""
    heads = [said(column.head) for column in of.columns]
    head = "".join(f"<th scope=col>{text}</th>" if text else "<td></td>" for text in heads)
    body = []
    for i, row in enumerate(of.rows[:MOST_ROWS]):
        mark = ' class="chosen"' if i == of.chosen else ""
        cells = "".join(_cell(of, i, j, cell) for j, cell in enumerate(row) if j)
        body.append(
            f'<tr{mark}><th scope=row title="{escape(_plain(row[0]))}"><div>{said(row[0])}</div></th>{cells}</tr>'
        )
    caption = f"<caption>{said(of.title)}</caption>" if say(of.title) else ""
    inside = f"{caption}<thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody>"
    key = "".join(said(text, "p") for text in of.key)
    save = (
        f'<p><button type="button" class="save moving" data-t="save" data-name="{escape(name)}"></button></p>'
        if name
        else ""
    )
    box = f'<div class="scroll" tabindex="0" role="group" data-label="scroll"><table>{inside}</table></div>{save}'
    return box + (f'<div class="soft">{key}</div>' if key else "")


def _plain(thing: str | Finding) -> str:
    return visible(say(thing))


def _cell(of: Table, i: int, j: int, cell: Text) -> str:
    kinds = []
    if of.heat is not None:
        kinds.append(f"heat-{of.heat[i][j - 1]}")
    if of.outlined is not None and of.outlined[i][j - 1]:
        kinds += ["within", *(f"edge-{side}" for side in _edges(of.outlined, i, j - 1))]
    if of.best == (i, j):
        kinds.append("best")
    if not of.columns[j].figure:
        kinds.append("name")
    kind = f' class="{" ".join(kinds)}"' if kinds else ""
    return f"<td{kind}>{said(cell)}</td>"


def _edges(outlined: Sequence[Sequence[bool]], i: int, j: int) -> list[str]:
    """The sides on which the contour of the outlined cells runs along this one."""
    beside = {"top": (i - 1, j), "right": (i, j + 1), "bottom": (i + 1, j), "left": (i, j - 1)}
    return [
        side
        for side, (k, m) in beside.items()
        if not (0 <= k < len(outlined) and 0 <= m < len(outlined[k]) and outlined[k][m])
    ]
