"""The page of a decision rule: the verdict, what moves, and the tables."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from focalkit._core.message import Message
from focalkit.decisions.goals import Cost, CostMatrix
from focalkit.decisions.report import Curve, DecisionReport, need_report
from focalkit.decisions.rule import DecisionRule
from focalkit.decisions.rules import Bands, Cutoff, Cutoffs, Weighted
from focalkit.decisions.steps import own_cutoffs, own_scale
from focalkit.report.decide import sections
from focalkit.report.format import visible
from focalkit.report.page import render
from focalkit.report.page.assemble import Page
from focalkit.report.sections import Text


def page(rule: DecisionRule, source: Text = "", command: str = "") -> Page:
    """The rule first, then every cut-off or weight, then what it does per class."""
    report = need_report(rule)
    first, *rest = (render.section(section) for section in sections(rule, render.MOST_ROWS))
    data = decision_data(rule, report)
    body = first + rest[0] + moving(data) + "".join(rest[1:])
    about = source or Message("source.tuned", n=report.n_rows, classes=rule.n_classes)
    return Page(Message("title.decide"), about, body, data, command, block="decision")


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
        return {"classes": names, **_labels(rule, report, rule.rule)}
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


def _labels(rule: DecisionRule, report: DecisionReport, made: Cutoffs) -> dict[str, Any]:
    """Every label's cut-offs, with its own and p > 0.5 on them."""
    cost = rule.goal.array if isinstance(rule.goal, Cost) else np.array([[0.0, 1.0], [1.0, 0.0]])
    labels = []
    for curve, own in zip(report.curves, own_cutoffs(made, rule.steps), strict=True):
        at = nearest(curve.cutoff, own)
        points = [{"key": "dHalf", "index": nearest(curve.cutoff, 0.5)}, {"key": "dRule", "index": at}]
        labels.append({**_of_curve(curve), "at": at, "points": points})
    return {"kind": "labels", "labels": labels, **_two_costs(cost)}


def _of_curve(curve: Curve) -> dict[str, Any]:
    return {
        "cutoff": list(curve.cutoff),
        "caught": [float(f"{v:.9g}") for v in curve.caught],
        "falseAlarms": [float(f"{v:.9g}") for v in curve.false_alarms],
        "positives": curve.positives,
        "negatives": curve.negatives,
    }


def _two_costs(cost: NDArray[np.float64]) -> dict[str, float]:
    """What a miss and a false alarm cost more than being right."""
    return {"fn": float(cost[1, 0] - cost[1, 1]), "fp": float(cost[0, 1] - cost[0, 0])}


def _cutoffs(rule: DecisionRule, report: DecisionReport) -> dict[str, Any]:
    curve, c = report.curve, report.calibration
    assert curve is not None
    assert c is not None
    prior = report.class_weight[1] / sum(report.class_weight)
    cost = rule.goal.array if isinstance(rule.goal, Cost | CostMatrix) else np.array([[0.0, 1.0], [1.0, 0.0]])
    points = [("dHalf", 0.5), ("dBalanced", own_scale(prior, rule.steps))]
    at = 0.5
    if isinstance(rule.rule, Cutoff):
        at = own_scale(rule.rule.cutoff, rule.steps)
        points.append(("dRule", at))
    if isinstance(rule.rule, Bands):
        at = own_scale(rule.rule.upper, rule.steps)
        points += [("dUpper", at), ("dLower", own_scale(rule.rule.lower, rule.steps))]
    return {
        "kind": "cutoffs",
        **_of_curve(curve),
        "at": nearest(curve.cutoff, at),
        **_two_costs(cost),
        "points": [{"key": key, "index": nearest(curve.cutoff, value)} for key, value in points],
        "calibration": {
            **{name: list(getattr(c, name)) for name in ("predicted", "observed", "low", "high")},
            "most": max(0.01, *c.predicted, *c.observed),
        },
    }


def nearest(cutoffs: tuple[float, ...], value: float) -> int:
    """The kept cut-off that is nearest to ``value``."""
    return int(np.argmin(np.abs(np.array(cutoffs) - value)))
