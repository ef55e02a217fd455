"""The words of the glossary, each a link where a page uses it first."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

from docutils import nodes

HERE = Path(__file__).parent
#: No links in these: what is typed or drawn, what leads elsewhere already, and headings.
_CLOSED = (nodes.literal, nodes.literal_block, nodes.math, nodes.reference, nodes.title, nodes.term, nodes.caption)


@cache
def words(glossary: str) -> dict[str, str]:
    """Each word of a glossary, in small letters, and the anchor of its entry."""
    text = (HERE / f"{glossary}.md").read_text(encoding="utf-8")
    heads = re.findall(r"^(.+)\n: ", text, re.M)
    return {
        word.strip().lower(): f"term-{entry}"
        for entry, head in enumerate(heads)
        for word in re.split(r"[,、()（）]", head)
        if word.strip()
    }


@cache
def _pattern(glossary: str) -> re.Pattern[str]:
    found = sorted(words(glossary), key=len, reverse=True)
    whole = [rf"(?<![\w^-]){re.escape(w)}(?![\w^-])" if w.isascii() or len(w) == 1 else re.escape(w) for w in found]
    return re.compile("|".join(whole), re.I)


def link(app: Any, doctree: nodes.document) -> None:
    """Give the entries of a glossary their anchors, and other pages their links."""
    page = app.env.docname
    glossary = "glossary.zh-CN" if page.endswith(".zh-CN") else "glossary"
    if page == glossary:
        for entry, term in enumerate(doctree.findall(nodes.term)):
            term["ids"].append(f"term-{entry}")
    elif "/" not in page and not page.startswith("index"):
        seen: set[str] = set()
        for text in list(doctree.findall(nodes.Text)):
            if not any(isinstance(above, _CLOSED) for above in _above(text)):
                _link_first(text, glossary, seen)


def _above(node: nodes.Node) -> list[nodes.Node]:
    found = []
    while (node := node.parent) is not None:
        found.append(node)
    return found


def _link_first(text: nodes.Text, glossary: str, seen: set[str]) -> None:
    """Cut the text where a word stands that the page has not had yet."""
    pieces: list[nodes.Node] = []
    end, whole = 0, text.astext()
    for match in _pattern(glossary).finditer(whole):
        anchor = words(glossary)[match[0].lower()]
        if anchor not in seen:
            seen.add(anchor)
            pieces.append(nodes.Text(whole[end : match.start()]))
            target = f"{glossary}.html#{anchor}"
            pieces.append(nodes.reference("", match[0], internal=True, refuri=target, classes=["glossary"]))
            end = match.end()
    if pieces:
        text.parent.replace(text, [*pieces, nodes.Text(whole[end:])])
