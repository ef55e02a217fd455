"""What the report on several labels consists of: a line a label and one for all, then each label's own verdict."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

from focalkit import __version__
from focalkit._core.message import Message
from focalkit.diagnosis.result import finite
from focalkit.report import format as write
from focalkit.report import tune
from focalkit.report.card import model_card
from focalkit.report.card import text as line
from focalkit.report.export import as_dict
from focalkit.report.page import gains, render
from focalkit.report.page.assemble import Page
from focalkit.report.sections import Code, Column, Section, Table, Text, message
from focalkit.report.snippet import code as code_of
from focalkit.tuning.multilabel import LabelVerdicts


def table(found: LabelVerdicts) -> Table:
    """A line a label: its positives, what to do, what that promises; and the mean gain of all."""
    rows: list[list[Text]] = []
    for name, verdict in found.verdicts.items():
        of, judges = verdict.recommended, verdict.metric.shown_as
        score = write.score(of.expected.mean, of.expected.standard_error, judges)
        gain = write.interval(of.gain.mean, of.gain.low, of.gain.high, judges)
        word = verdict.result.classes[1]
        label = f"{name} = {word}" if isinstance(word, str) else name
        rows.append([label, write.count(found.positives[name]), verdict.result.cells[of.cell].message, score, gain])
    together = found.together
    total = write.interval(together.mean, together.low, together.high, found.metric.shown_as)
    rows.append([message("label.together"), write.count(sum(found.positives.values())), "", "", total])
    columns = [Column(message("head.label"), figure=False), Column("n"), Column(message("head.do"), figure=False)]
    columns += [Column(message("head.expected")), Column(message("head.gain"))]
    return Table(columns, rows)


def of_runs(found: LabelVerdicts) -> list[Text]:
    """What is to be known of the runs: once what holds for every label alike, the rest with the label's name."""
    of = {name: verdict.result.notes for name, verdict in found.verdicts.items()}
    every = [note for note in next(iter(of.values())) if all(note in others for others in of.values())]
    own = [
        message("note.label", label=name, note=note) for name, some in of.items() for note in some if note not in every
    ]
    return [*every, *own]


def of_each(found: LabelVerdicts) -> list[list[Section]]:
    """For each label its four lines, and its figures with the gains of every remedy."""
    return [
        [
            Section(f"label-{i}", write.visible(name), tune.brief(verdict).parts),
            Section(
                f"figures-{i}", "", [tune.every_figure(verdict.result, verdict), tune.families(verdict.result, verdict)]
            ),
        ]
        for i, (name, verdict) in enumerate(found.verdicts.items())
    ]


def as_json(found: LabelVerdicts, source: str, notes: Sequence[str] = ()) -> str:
    """Every figure of every label, as for one, and what they promise together."""
    labels = {
        name: {"positives": found.positives[name], **as_dict(verdict.result, verdict.with_others, source, notes)}
        for name, verdict in found.verdicts.items()
    }
    whole = {"focalkit": __version__, "source": source, "labels": labels, "together": asdict(found.together)}
    return json.dumps(finite(whole), ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def code(found: LabelVerdicts) -> str:
    """The Python that trains and decides each label; ``decisions`` has an entry a label."""
    parts = ["decisions = {}"]
    for name, verdict in found.verdicts.items():
        lines = code_of(verdict.result, verdict).splitlines()
        lines[-1] = lines[-1].replace("decisions =", f"decisions[{name!r}] =", 1)
        parts += ["", f"# {write.visible(name)}", *lines]
    return "\n".join(parts)


def card(found: LabelVerdicts, source: str, notes: Sequence[str] = (), command: str = "") -> str:
    """A model card a label."""
    cards = []
    for name, verdict in found.verdicts.items():
        text = model_card(verdict.result, verdict.with_others, source, notes, command)
        cards.append(text.replace("# Model card", f"# Model card: {line(name)}", 1))
    return "\n".join(cards)


def page(found: LabelVerdicts, source: Text, notes: Sequence[Text] = (), command: str = "") -> Page:
    """All labels in a table, then each with its four lines, its gains and its Python."""
    body = render.notes([*notes, *of_runs(found)]) + render.section(Section("labels", "", [table(found)]))
    for i, (verdict, (brief, figures)) in enumerate(zip(found.verdicts.values(), of_each(found), strict=True)):
        body += render.section(brief)
        if len(verdict.families) > 1:
            body += f"<section>{gains.forest(verdict)}</section>"
        body += render.section(figures)
        body += render.section(Section(f"use-{i}", "", [Code(code_of(verdict.result, verdict))]))
    first = next(iter(found.verdicts.values())).result
    return Page(Message("title.tune"), source, body, None, command, first.seed)
