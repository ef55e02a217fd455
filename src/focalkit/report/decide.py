"""What is said of a decision rule: the rule, what it does per 1,000 cases, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from focalkit._core.message import Message
from focalkit.decisions.figures import Estimate, Figure
from focalkit.decisions.goals import Abstain, CaseCost, Constraint, Cost, Goal, Maximize
from focalkit.decisions.report import DecisionReport
from focalkit.decisions.rule import DecisionRule, need_report
from focalkit.decisions.rules import Weighted
from focalkit.decisions.sentences import MOST_NAMED, named
from focalkit.report.format import number
from focalkit.report.sections import Code, Column, Lines, Section, Table, Verdict

SHARES = ("recall", "precision")


def sections(rule: DecisionRule, top: int = 20) -> list[Section]:
    """All sections, in order."""
    report = need_report(rule)
    out = [_verdict(rule, report), _figures(rule, report)]
    if any(":" in figure.name for figure in report.figures):
        out.append(_classes(rule, report, top))
    how = [Lines(_how(rule, report), bullets=False, soft=True)]
    out.append(Section("how", Message("decide.how_sure"), how))
    out.append(Section("numpy", Message("decide.use"), [Code(rule.to_numpy())], terminal=False))
    return out


def _verdict(rule: DecisionRule, report: DecisionReport) -> Section:
    lines = Verdict(Message("decide.about", goal=goal_words(rule.goal)), rule.sentence, report.notes)
    return Section("rule", Message("decide.rule"), [lines])


def goal_words(goal: Goal) -> Message:
    """What the rule is for."""
    if isinstance(goal, Maximize):
        beta = f"{goal.beta:g}"
        if goal.metric == "f_beta":
            return Message("decide.goal_f_beta", beta=beta)
        return Message(f"metric.{goal.metric}", **({"a": beta} if goal.metric == "macro_f_beta" else {}))
    if isinstance(goal, Constraint):
        return Message(f"metric.{goal.kind}", a=f"{goal.bound:g}")
    if isinstance(goal, Abstain):
        cost = Message("metric.error_rate") if goal.cost is None else goal_words(goal.cost)
        if goal.share is not None:
            return Message("decide.goal_share", cost=cost, share=f"{100 * goal.share:g}")
        return Message("decide.goal_review", cost=cost, review=f"{goal.review_cost:g}")
    if isinstance(goal, CaseCost):
        return Message("metric.case_cost", a=f"{goal.fp:g}")
    if not isinstance(goal, Cost):
        return Message("metric.cost_matrix")
    mistakes = {"a": f"{goal.fn:g}", "b": f"{goal.fp:g}"}
    if not goal.tp and not goal.tn:
        return Message("metric.cost", **mistakes)
    return Message("decide.goal_right", tp=f"{goal.tp:g}", tn=f"{goal.tn:g}", **mistakes)


def estimate(e: Estimate, share: bool = False, signed: bool = False) -> str:
    """A figure with its interval."""
    scale = 100.0 if share else 1.0
    form = "+.3g" if signed else ".3g"
    return "{} [{}, {}]".format(*(_number(scale * v, form) for v in (e.value, e.low, e.high)))


#: Less of a figure than this is what sums of shares leave over.
_ROUNDING = 1e-9


def _number(value: float, form: str) -> str:
    """Three digits; whole from 100 on."""
    if abs(value) >= 99.95:
        return f"{value:{form[:-3]},.0f}"
    return f"{value:{form}}" if abs(value) > _ROUNDING else "0"


def _title(figure: Figure, rule: DecisionRule) -> Message:
    known = ("caught", "missed", "false_alarms", "alerts", "right", "wrong", "reviewed", "cost", *SHARES)
    if figure.name in known:
        return Message(f"decide.figure_{figure.name}")
    return Message(f"decide.metric_{figure.name}", beta=f"{getattr(rule.goal, 'beta', 1.0):g}")


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


def _figures(rule: DecisionRule, report: DecisionReport) -> Section:
    rows = [_row(figure, _title(figure, rule)) for figure in report.figures if ":" not in figure.name]
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
    lines += _spread(rule, report)
    if report.calibration is not None:
        c = report.calibration
        values = {"intercept": number(c.intercept), "slope": number(c.slope)}
        errors = {"intercept_error": number(c.intercept_error), "slope_error": number(c.slope_error)}
        lines.append(Message("decide.truth", off=c.off, bins=len(c.share), **values, **errors))
    if report.prior is not None:
        pairs = zip(rule.classes, report.prior.prior, report.prior.error, strict=True)
        said = ", ".join(f"{name} {p:.3g} ± {e:.2g}" for name, p, e in pairs)
        lines.append(Message("decide.prior", prior=said))
    if report.kappa:
        lines.append(Message("decide.shrunk", kappa=f"{report.kappa:g}"))
    return lines


def _spread(rule: DecisionRule, report: DecisionReport) -> list[Message]:
    """How far the cut-offs or weights learned on the folds' rests lie apart."""
    names = [str(name) for name in rule.classes]
    if report.fold_cutoffs:
        return [Message("decide.folds", n=len(report.fold_cutoffs), **_ends(report.fold_cutoffs))]
    if report.fold_bands:
        low, high = (_ends(cuts) for cuts in zip(*report.fold_bands, strict=True))
        values = {"low": low["low"], "high": low["high"], "low2": high["low"], "high2": high["high"]}
        return [Message("decide.folds_bands", n=len(report.fold_bands), **values)]
    each = [rule.weights for rule in report.fold_rules if isinstance(rule, Weighted) and len(set(rule.weights)) > 1]
    rows = report.fold_labels or tuple(tuple(w / max(weights) for w in weights) for weights in each)
    if not rows:
        return []
    ends = [_ends(column) for column in zip(*rows, strict=True)][:MOST_NAMED]
    runs = [f"{name} {e['low']}–{e['high']}" for name, e in zip(named(names), ends, strict=False)]
    more = ["…"] if len(names) > MOST_NAMED else []
    key = "decide.folds_labels" if report.fold_labels else "decide.folds_weights"
    return [Message(key, n=len(rows), runs=", ".join([*runs, *more]))]


def _ends(values: Sequence[float]) -> dict[str, str]:
    """The least and the largest of some cut-offs."""
    low, high = np.clip([min(values), max(values)], 0.0, 1.0)  # -1 flags all
    return {"low": f"{low:.4g}", "high": f"{high:.4g}"}
