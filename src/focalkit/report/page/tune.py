"""The page of a tuning run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from focalkit._core.message import Message
from focalkit._core.spec import LossSpec
from focalkit.decisions import CaseCost, DecisionRule, decide
from focalkit.decisions.rule import need_report
from focalkit.diagnosis import Ledger, diagnose
from focalkit.report import tune
from focalkit.report.decide import sections as decide_sections
from focalkit.report.format import visible
from focalkit.report.messages import LANGUAGES
from focalkit.report.page import decide as decision_page
from focalkit.report.page import gains, render
from focalkit.report.page.assemble import Page, ledger_data, live
from focalkit.report.page.svg import figure_1
from focalkit.report.sections import Code, Lines, Part, Section, Table, Text
from focalkit.report.sections import Verdict as Said
from focalkit.report.snippet import code
from focalkit.tuning.deciding import operating_point
from focalkit.tuning.measures import CostOf
from focalkit.tuning.result import Cell, TuneResult
from focalkit.tuning.verdict import FamilyVerdict, Verdict
from focalkit.weights import alpha_vector


def page(
    result: TuneResult, verdicts: Sequence[Verdict], source: Text, notes: Sequence[Text] = (), command: str = ""
) -> Page:
    """The verdict first; ``source`` says what data it is about, ``notes`` what was done to them."""
    main = verdicts[0]
    ledger = out_of_fold(result)
    data = None if ledger is None else _live_data(ledger, result, main)
    at = Lines([Message("page.at", metric=main.metric.name)], bullets=False)
    explained = _explained(tune.surface(result, main), left=bool(result.left))
    sections = [
        tune.brief(main),
        Section("use", Message("section.use"), [Code(code(result, main))]),
        Section("families", Message("page.families"), [at, tune.every_figure(result, main)]),
        Section("surface", Message("page.surface", metric=main.metric.name), [explained]),
        Section("verdict", Message("section.others"), [tune.said(result, one) for one in verdicts]),
        Section("ablations", Message("section.ablations"), tune.ablations(result).parts),
        Section("where", Message("section.tuned_where"), [_easy(ledger, result, main)]),
    ]
    body = render.notes([*notes, *result.notes]) + render.section(sections[0]) + _pictures(main)
    body += "".join(map(render.section, sections[1:]))
    if data is None:
        body += f"<section><h2>{render.worded('section.loss')}</h2>{figure_1()}</section>"
    else:
        body += f"<h2>{render.worded('section.try')}</h2>{live()}"
    about, decision = _decision(result, main)
    body += about
    method: list[Part] = [tune.classes(result, len(result.classes))]
    method.append(Lines([tune.how_measured(result)], bullets=False, soft=True))
    body += render.section(Section("data", Message("section.data"), method))
    return Page(Message("title.tune"), source, body, data, command, result.seed, more={"decision": decision or {}})


def decided(result: TuneResult, verdict: Verdict) -> DecisionRule | None:
    """What ``decide`` makes of plain cross-entropy's out-of-fold predictions for the goal of the verdict.

    None where there are no logits, the rows were weighted, the metric is no goal of decisions, or a class has fewer
    than four rows, which two folds need; up to nine are dealt to fewer folds than five.
    """
    ledger, goal, measure = out_of_fold(result), verdict.metric.goal, verdict.metric.measure
    if ledger is None or goal is None or result.masses is not None:
        return None
    targets = result.targets[result.ce_rows]
    folds = min(5, int(np.bincount(targets, minlength=len(result.classes)).min()) // 2)
    if folds < 2:
        return None
    z = np.column_stack([np.zeros(len(result.ce_rows)), result.ce_logits])[:, -max(2, result.ce_logits.shape[1]) :]
    p = np.exp(z - z.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    costs = measure.matrices[result.ce_rows] if isinstance(measure, CostOf) and isinstance(goal, CaseCost) else None
    return decide(p, targets, goal, costs=costs, classes=result.classes, calibrate=None, cv=folds)


def _decision(result: TuneResult, verdict: Verdict) -> tuple[str, dict[str, Any] | None]:
    """The decision section: the rule for the goal on the model as it is, and every other cut-off to try."""
    rule = decided(result, verdict)
    if rule is None:
        return "", None
    title = f"<h2>{render.worded('section.decide')}</h2>"
    goal, figures = decide_sections(rule, render.MOST_ROWS)[:2]
    # the goal by the metric's name, which is a word of every language
    about = Message("page.decided", metric=verdict.metric.name)
    parts = [replace(part, about=about) if isinstance(part, Said) else part for part in goal.parts]
    goal, figures = replace(goal, name="decide-rule", title="", parts=parts), replace(figures, name="decide-figures")
    data = decision_page.decision_data(rule, need_report(rule))
    if data is not None and len(result.classes) == 2 and result.decided is not None:
        # plain cross-entropy is on the curve itself, at p > 0.5
        data["trained"] = [_trained(result, family) for family in verdict.families[1:]]
    return title + render.section(goal) + render.section(figures) + decision_page.moving(data), data


def _trained(result: TuneResult, family: FamilyVerdict) -> dict[str, Any]:
    """A remedy's operating point, with its name in each language."""
    name = {language: visible(result.cells[family.cell].said(language)) for language in LANGUAGES}
    caught, false_alarms = operating_point(result, family)
    return {"name": name, "caught": float(f"{caught:.9g}"), "falseAlarms": float(f"{false_alarms:.9g}")}


def _pictures(verdict: Verdict) -> str:
    """The gains as a forest plot, and how they settle with more repeats."""
    if len(verdict.families) == 1:
        return ""
    title = render.worded("section.forest", "h2", metric=verdict.metric.name)
    out = f'<section id="forest">{title}{gains.forest(verdict)}</section>'
    more = gains.settling(verdict)
    title = render.worded("section.repeats", "h2")
    return out + (f'<section id="repeats">{title}{more}</section>' if more else "")


def _explained(surface: Table, *, left: bool) -> Table:
    """The surface with what its colours and marks mean; no cell is marked where another remedy is recommended."""
    marked = any(str(cell).startswith(tune.MARK) for row in surface.rows for cell in row)
    key = [
        "page.surface_note",
        *(["page.surface_mark"] if marked else []),
        "page.within",
        *(["page.left"] if left else []),
    ]
    return replace(surface, title="", key=[Message(of) for of in key])


def out_of_fold(result: TuneResult) -> Ledger | None:
    """The ledger of plain cross-entropy's out-of-fold predictions, where there are logits."""
    if not len(result.ce_rows):
        return None
    logits = result.ce_logits
    if logits.shape[1] == 1:
        # one logit z of two classes is the softmax over (0, z)
        logits = np.column_stack([np.zeros(len(logits)), logits])
    names = [str(name) for name in result.classes]
    different = names if len(set(names)) == len(names) else None
    return diagnose(logits, result.targets[result.ce_rows], LossSpec(), class_names=different)


def compared(result: TuneResult, verdict: Verdict) -> Cell:
    """The recommended loss where it is another than plain CE, otherwise the focal cell with the best average."""
    cell = result.cells[verdict.recommended.cell]
    if cell.family in ("α-CE", "focal"):
        return cell
    others = result.of_family("focal") or result.of_family("α-CE")
    merit = result.gain(result.metric).mean(axis=1)
    return result.cells[max(others, key=lambda i: merit[i])] if others else cell


def _live_data(ledger: Ledger, result: TuneResult, verdict: Verdict) -> dict[str, Any]:
    """Plain cross-entropy's out-of-fold predictions as the page's ledger, beginning at the recommended loss."""
    cell = compared(result, verdict)
    if isinstance(cell.alpha, str) and cell.alpha.startswith("power:"):
        return ledger_data(ledger, cell.gamma, "none") | {"beta": float(cell.alpha.removeprefix("power:"))}
    alpha = None if cell.alpha is None else alpha_vector(cell.alpha, result.counts)
    return ledger_data(ledger, cell.gamma, "none" if alpha is None else alpha.tolist())


def _easy(ledger: Ledger | None, result: TuneResult, verdict: Verdict) -> Lines:
    """What easy samples carry, under plain cross-entropy and under another loss."""
    if ledger is None:
        return Lines([Message("page.no_logits")], bullets=False)
    cell = compared(result, verdict)
    plain, changed = ledger.shares(0.0), ledger.shares(cell.gamma, alpha_vector(cell.alpha, result.counts).tolist())
    shares = {
        "rows": float(np.average(plain.easy_samples, weights=plain.sample_share)),
        "before": plain.loss.easy_overall,
        "after": changed.loss.easy_overall_alpha,
    }
    return Lines([Message("page.easy", cell=cell, **shares)], bullets=False)
