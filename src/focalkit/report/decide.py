"""What is said of a decision rule: the rule, what it does per 1,000 cases, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from focalkit._core.message import Message
from focalkit.decisions.figures import Estimate, Figure
from focalkit.decisions.report import DecisionReport, need_report
from focalkit.decisions.rule import DecisionRule
from focalkit.report.format import number
from focalkit.report.sections import Code, Column, Lines, Section, Table, Verdict

SHARES = ("recall", "precision")


def sections(rule: DecisionRule, top: int = 20) -> list[Section]:
    """All sections, in order."""
    report = need_report(rule)
    out = [_verdict(rule, report), _figures(report)]
    if any(":" in figure.name for figure in report.figures):
        out.append(_classes(rule, report, top))
    out.append(Section("how", "", [Lines(_how(rule, report), bullets=False, soft=True)]))
    out.append(Section("numpy", Message("decide.use"), [Code(rule.to_numpy())], terminal=False))
    return out


def _verdict(rule: DecisionRule, report: DecisionReport) -> Section:
    lines = Verdict(Message("decide.about", goal=goal_words(rule)), rule.sentence, report.notes)
    return Section("rule", Message("decide.rule"), [lines])


def goal_words(rule: DecisionRule) -> str:
    """The goal as it is written in Python."""
    data = rule.goal.to_dict()
    name = data.pop("goal")
    given = ", ".join(
        f"{key}={value:g}" if isinstance(value, float) else f"{key}={value}" for key, value in data.items()
    )
    return f"{name}({given})" if len(given) < 90 else str(name)


def estimate(e: Estimate, share: bool = False, signed: bool = False) -> str:
    """A figure with its interval."""
    scale = 100.0 if share else 1.0
    form = "+.3g" if signed else ".3g"
    return "{} [{}, {}]".format(*(_number(scale * v, form) for v in (e.value, e.low, e.high)))


def _number(value: float, form: str) -> str:
    """Three digits; whole from 100 on."""
    if abs(value) >= 99.95:
        return f"{value:{form[:-3]},.0f}"
    return f"{value:{form}}" if value else "0"


def _title(figure: Figure) -> Message:
    known = ("caught", "missed", "false_alarms", "alerts", "right", "wrong", "reviewed", "cost", *SHARES)
    return Message(f"decide.figure_{figure.name}") if figure.name in known else Message(f"decide.metric_{figure.name}")


def _row(figure: Figure, title: Message | str) -> list[Message | str]:
    kind = figure.name.split(":")[0]
    counted = ("caught", "missed", "false_alarms", "alerts", "right", "wrong", "reviewed", "cost")
    share = kind not in counted
    return [
        title,
        estimate(figure.before, share),
        estimate(figure.after, share),
        estimate(figure.change, share, signed=True),
    ]


def _heads() -> list[Column]:
    return [Column(Message("decide.what"), figure=False)] + [
        Column(Message(f"decide.{key}")) for key in ("before", "after", "change")
    ]


def _figures(report: DecisionReport) -> Section:
    rows = [_row(figure, _title(figure)) for figure in report.figures if ":" not in figure.name]
    return Section("figures", Message("decide.figures"), [Table(_heads(), rows, blocks=True)])


def _classes(rule: DecisionRule, report: DecisionReport, top: int) -> Section:
    figures = [f for f in report.figures if f.name.startswith("recall:")]
    order = np.argsort(np.array(report.class_weight), kind="stable")
    rows = []
    for k in order[:top]:
        figure = next(f for f in figures if f.name == f"recall:{k}")
        rows.append(_row(figure, str(rule.classes[int(k)])))
    return Section("classes", Message("decide.recall_title"), [Table(_heads(), rows, blocks=True)])


def _how(rule: DecisionRule, report: DecisionReport) -> Sequence[Message]:
    how = Message("decide.bootstrap") if report.interval == "bootstrap" else Message("decide.jackknife")
    key = "decide.how" if report.cross_fitted else "decide.how_inside"
    lines = [Message(key, n=report.n_rows, how=how)]
    cuts = report.fold_cutoffs
    if cuts:
        spread = [f"{c:.4g}" for c in (min(cuts), max(cuts))]
        lines.append(Message("decide.folds", n=len(cuts), low=spread[0], high=spread[1]))
    if report.calibration is not None:
        c = report.calibration
        values = {"intercept": number(c.intercept), "slope": number(c.slope)}
        errors = {"intercept_error": number(c.intercept_error), "slope_error": number(c.slope_error)}
        lines.append(Message("decide.truth", off=c.off, bins=len(c.share), **values, **errors))
    if report.prior is not None:
        pairs = zip(rule.classes, report.prior.prior, report.prior.error, strict=True)
        said = ", ".join(f"{name} {p:.3g} ± {e:.2g}" for name, p, e in pairs)
        lines.append(Message("decide.prior", prior=said))
    if report.kappa is not None:
        lines.append(Message("decide.shrunk", kappa=f"{report.kappa:g}"))
    return lines
