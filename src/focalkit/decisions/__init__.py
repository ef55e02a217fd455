"""From probabilities to decisions, at the user's own costs, metric or bound."""

from typing import TYPE_CHECKING

from focalkit.decisions.calibration import Calibration, calibration
from focalkit.decisions.cutoffs import sort_cutoffs
from focalkit.decisions.decide import decide
from focalkit.decisions.fit import fit_rule, score
from focalkit.decisions.goals import Abstain, CaseCost, Constraint, Cost, CostMatrix, Goal, Maximize, as_goal
from focalkit.decisions.prior import PriorEstimate, estimate_prior
from focalkit.decisions.report import DecisionReport
from focalkit.decisions.rule import DecisionRule
from focalkit.decisions.rules import REVIEW, Rule

if TYPE_CHECKING:
    from focalkit.decisions.classifier import DecisionClassifier

__all__ = [
    "REVIEW",
    "Abstain",
    "Calibration",
    "CaseCost",
    "Constraint",
    "Cost",
    "CostMatrix",
    "DecisionClassifier",
    "DecisionReport",
    "DecisionRule",
    "Goal",
    "Maximize",
    "PriorEstimate",
    "Rule",
    "as_goal",
    "calibration",
    "decide",
    "estimate_prior",
    "fit_rule",
    "score",
    "sort_cutoffs",
]


def __getattr__(name: str) -> object:
    """Import the estimator when it is first asked for: rules need NumPy alone."""
    if name == "DecisionClassifier":
        from focalkit.decisions.classifier import DecisionClassifier

        globals()[name] = DecisionClassifier
        return DecisionClassifier
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")  # noqa: EM102


def __dir__() -> list[str]:
    return sorted(__all__)
