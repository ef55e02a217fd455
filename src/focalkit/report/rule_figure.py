"""A decision rule as a matplotlib figure."""

from __future__ import annotations

from typing import Any

import numpy as np

from focalkit._core.extras import need
from focalkit.decisions.goals import Cost, CostMatrix
from focalkit.decisions.report import DecisionReport
from focalkit.decisions.rule import DecisionRule


def draw_rule(report: DecisionReport, rule: DecisionRule, ax: Any = None) -> Any:
    """Of two classes what every cut-off catches and raises falsely (and costs), else recall per class; the axes."""
    if ax is None:
        with need("matplotlib", "drawing", "plot"):
            from matplotlib.figure import Figure
        ax = Figure(figsize=(6.4, 4.2), layout="constrained").subplots()
    curve = report.curve
    if curve is None:
        return _recalls(report, rule, ax)
    x = np.array(curve.cutoff)
    inside = (x > 0) & (x < 1)
    ax.plot(x[inside], np.array(curve.positives - np.array(curve.caught))[inside], label="missed")
    ax.plot(x[inside], np.array(curve.false_alarms)[inside], label="false alarms")
    if isinstance(rule.goal, Cost | CostMatrix):
        c = rule.goal.array
        fn, fp = c[1, 0] - c[1, 1], c[0, 1] - c[0, 0]
        cost = fn * (curve.positives - np.array(curve.caught)) + fp * np.array(curve.false_alarms)
        ax.plot(x[inside], cost[inside], label="cost", linewidth=2)
    for cut in {*report.fold_cutoffs}:
        ax.axvline(cut, color="grey", linewidth=0.5)
    ax.set(xscale="logit", yscale="symlog", xlabel="cut-off", ylabel="per 1,000 cases", title=str(rule.sentence))
    ax.legend()
    return ax


def _recalls(report: DecisionReport, rule: DecisionRule, ax: Any) -> Any:
    figures = [f for f in report.figures if f.name.startswith("recall:")] or list(report.figures)
    y = np.arange(len(figures))
    for shift, side in ((-0.15, "before"), (0.15, "after")):
        es = [getattr(f, side) for f in figures]
        value = np.array([e.value for e in es])
        bars = np.array([[e.value - e.low for e in es], [e.high - e.value for e in es]]).clip(0)
        ax.errorbar(value, y + shift, xerr=bars, fmt="o", capsize=3, label=side)
    names = [str(rule.classes[int(f.name.split(":")[1])]) if ":" in f.name else f.name for f in figures]
    ax.set(yticks=y, yticklabels=names, xlabel="recall" if ":" in figures[0].name else "", title=str(rule.sentence))
    ax.legend()
    return ax
