"""The page of a decision rule: the verdict, what moves, and the tables."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from focalkit._core.message import Message
from focalkit.decisions.goals import Abstain, Cost, CostMatrix
from focalkit.decisions.report import Curve, DecisionReport
from focalkit.decisions.rule import DecisionRule, need_report
from focalkit.decisions.rules import Cutoffs, Weighted
from focalkit.report.decide import sections
from focalkit.report.format import visible
from focalkit.report.page import render
from focalkit.report.page.assemble import Page
from focalkit.report.sections import Text

#: Named cut-offs in the order they are shown.
ORDER = ("half", "balanced", "best_balanced", "best_f1", "best_mcc", "rule", "lower", "upper")


def page(rule: DecisionRule, source: Text = "", command: str = "") -> Page:
    """The rule first, then every cut-off or weight, then what it does per class."""
    report = need_report(rule)
    first, *rest = (render.section(section) for section in sections(rule, render.MOST_ROWS))
    data = decision_data(rule, report)
    body = first + rest[0] + moving(data) + "".join(rest[1:])
    about = source or Message("source.tuned", n=report.n_rows, classes=rule.n_classes)
    return Page(Message("title.decide"), about, body, data, command, report.seed, block="decision")


def moving(data: dict[str, Any] | None) -> str:
    """The sliders and pictures of a rule; none where nothing can be moved."""
    if data is None:
        return ""
    name = "decide.html" if data["kind"] in ("cutoffs", "labels") else "decide_classes.html"
    return files("focalkit.report.page").joinpath("assets", name).read_text(encoding="utf-8")


def decision_data(rule: DecisionRule, report: DecisionReport) -> dict[str, Any] | None:
    """What the page's script computes from; None of a rule that has nothing to move."""
    names = [visible(str(c)) for c in rule.classes]
    if report.curve is not None and report.calibration is not None:
        return {"classes": names, **_cutoffs(rule, report)}
    if report.curves and isinstance(rule.rule, Cutoffs):
        return {"classes": names, **_labels(rule, report)}
    if report.sample is not None and isinstance(rule.rule, Weighted):
        s = report.sample
        return {
            "kind": "weights",
            "classes": names,
            "probabilities": [[float(f"{p:.6g}") for p in row] for row in s.probabilities],
            "targets": s.targets.tolist(),
            "weight": [float(f"{w:.9g}") for w in s.weight],
            "weights": list(rule.rule.weights),
            "matrix": None if rule.rule.matrix is None else [list(row) for row in rule.rule.matrix],
        }
    return None


def _labels(rule: DecisionRule, report: DecisionReport) -> dict[str, Any]:
    """Every label's cut-offs."""
    cost = rule.goal.array if isinstance(rule.goal, Cost) else np.array([[0.0, 1.0], [1.0, 0.0]])
    return {"kind": "labels", "labels": [_of_curve(curve) for curve in report.curves], **_two_costs(cost)}


def _of_curve(curve: Curve) -> dict[str, Any]:
    """The cut-offs, those with a name, and the one that the slider begins at."""
    points = dict(curve.points)
    begin = next(points[name] for name in ("rule", "upper", "half") if name in points)
    return {
        "cutoff": list(curve.cutoff),
        "caught": [float(f"{v:.9g}") for v in curve.caught],
        "falseAlarms": [float(f"{v:.9g}") for v in curve.false_alarms],
        "positives": curve.positives,
        "negatives": curve.negatives,
        "at": begin,
        "points": [
            {"key": f"d_{name}", "index": index}
            for name, index in sorted(curve.points, key=lambda p: ORDER.index(p[0]))
        ],
    }


def _two_costs(cost: NDArray[np.float64]) -> dict[str, float]:
    """What a miss and a false alarm cost more than being right."""
    return {"fn": float(cost[1, 0] - cost[1, 1]), "fp": float(cost[0, 1] - cost[0, 0])}


def _cutoffs(rule: DecisionRule, report: DecisionReport) -> dict[str, Any]:
    curve, c = report.curve, report.calibration
    assert curve is not None
    assert c is not None
    goal, cost = rule.goal, np.array([[0.0, 1.0], [1.0, 0.0]])
    if isinstance(goal, Cost | CostMatrix):
        cost = goal.array
    if isinstance(goal, Abstain):
        cost = goal.matrix(2)
    return {
        "kind": "cutoffs",
        **_of_curve(curve),
        **_two_costs(cost),
        "calibration": {
            **{name: list(getattr(c, name)) for name in ("predicted", "observed", "low", "high")},
            "most": max(0.01, *c.predicted, *c.observed),
        },
    }
