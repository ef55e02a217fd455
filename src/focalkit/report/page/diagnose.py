"""The page of a diagnosis."""

from __future__ import annotations

from focalkit._core.message import Message
from focalkit.diagnosis.result import Diagnosis
from focalkit.report import diagnose
from focalkit.report.page import render
from focalkit.report.page.assemble import Page, ledger_data, live
from focalkit.report.sections import Lines, Section, Table


def page(found: Diagnosis, command: str = "") -> Page:
    """Findings first, then what moves, then what only a pass over predictions knows."""
    sections = [s for s in diagnose.sections(found, render.MOST_ROWS) if s.page]
    more = "".join(map(render.section, sections)) + _hardest(found)
    body = render.notes(found.notes) + _findings(found) + live(more)
    data = ledger_data(found.ledger, found.gamma, found.alpha)
    return Page(Message("title.diagnose"), found.source, body, data, command)


def _findings(found: Diagnosis) -> str:
    alpha = found.ledger.spec.alpha if found.alpha is None else found.alpha
    note = Lines([Message("page.as_asked", alpha=alpha, gamma=found.gamma)], bullets=False, soft=True)
    title = render.said(Message("section.findings"))
    body = render.parts([Lines(found.findings), note])
    return f'<section class="verdict" id="findings"><h2>{title}</h2>{body}</section>'


def _hardest(found: Diagnosis) -> str:
    if not found.hardest:
        return ""
    (table,) = diagnose.hardest(found, render.MOST_ROWS, repeat=True).parts
    assert isinstance(table, Table)
    note = Lines([Message("page.hardest_note")], bullets=False, soft=True)
    head = Section("hardest", Message("page.hardest"), [note])
    return render.section(head).removesuffix("</section>") + render.table(table, name="hardest.csv") + "</section>"
