"""From probabilities to decisions, at the user's own costs, metric or bound."""

from focalkit.decisions.cutoffs import sort_cutoffs
from focalkit.decisions.fit import fit_rule, score
from focalkit.decisions.goals import Abstain, CaseCost, Constraint, Cost, CostMatrix, Goal, Maximize, as_goal
from focalkit.decisions.rules import REVIEW, Rule

__all__ = [
    "REVIEW",
    "Abstain",
    "CaseCost",
    "Constraint",
    "Cost",
    "CostMatrix",
    "Goal",
    "Maximize",
    "Rule",
    "as_goal",
    "fit_rule",
    "score",
    "sort_cutoffs",
]
