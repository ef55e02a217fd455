"""What the study measures, and how a procedure chooses for it: on out-of-fold predictions alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from focalkit.decisions import Cost, CostMatrix, Goal, Maximize, fit_rule
from focalkit.decisions.fit import score_decisions
from focalkit.decisions.rules import Rule

Real = NDArray[np.float64]
Ids = NDArray[np.intp]

TAUS = np.round(np.arange(0, 2.001, 0.05), 2)


@dataclass(frozen=True)
class Outcome:
    """A figure; ``goal`` gives the goal of decisions from class counts, ``figure`` is of probabilities alone."""

    name: str
    larger_is_better: bool
    goal: Callable[[Ids], Goal] | None = None
    figure: Callable[[Real, Ids], float] | None = None
    scale: float = 1.0


@dataclass(frozen=True)
class Choice:
    """The model that was chosen for an outcome, and what turns its probabilities into decisions."""

    model: tuple[str, int]
    weights: tuple[float, ...] | None
    rule: Rule | None

    @property
    def shown(self) -> str:
        """Variant, setting and decision, for the journal."""
        how = "" if self.weights is None and self.rule is None else f" {self.rule or self.weights}"
        return f"{self.model[0]}#{self.model[1]}{how if len(how) < 80 else ''}"


def cost_goal(factor: float) -> Callable[[Ids], Goal]:
    """A missed case of the rarest class costs ``factor`` times the imbalance (0: as much as) a false alarm."""

    def goal(counts: Ids) -> Goal:
        ratio = factor * (counts.sum() - counts[-1]) / counts[-1] if factor else 1.0
        if len(counts) == 2:
            return Cost(fn=float(max(ratio, 1.0)), fp=1.0)
        matrix = 1.0 - np.eye(len(counts))
        matrix[-1, :-1] = max(ratio, 1.0)
        return CostMatrix(tuple(map(tuple, matrix.tolist())))

    return goal


def average_precision(p: Real, y: Ids) -> float:
    """Of the rarest class, which has the highest id."""
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(y == p.shape[1] - 1, p[:, -1]))


def log_loss(p: Real, y: Ids) -> float:
    """Mean of -log p of the true class, clipped at 1e-15."""
    return float(-np.log(np.clip(p[np.arange(len(y)), y], 1e-15, 1)).mean())


def slope(p: Real, y: Ids) -> float:
    """Calibration slope of the rarest class: 1 is right, below it the probabilities are too extreme."""
    target = (y == p.shape[1] - 1).astype(np.float64)
    q = np.clip(p[:, -1], 1e-12, 1 - 1e-12)
    x = np.log(q / (1 - q))
    design = np.column_stack([np.ones_like(x), x])
    b = np.array([0.0, 1.0])
    for _ in range(100):
        mean = 1 / (1 + np.exp(-np.clip(design @ b, -700, 700)))
        hessian = design.T @ (design * (mean * (1 - mean))[:, None]) + 1e-10 * np.eye(2)
        step = np.linalg.solve(hessian, design.T @ (target - mean))
        b = b + step / max(1.0, float(np.abs(step).max()))
        if np.abs(step).max() < 1e-9:
            break
    return float(b[1])


def off_slope(p: Real, y: Ids) -> float:
    """Distance of the slope from 1, on the scale of its logarithm; 0 is right."""
    return float(-abs(np.log(np.clip(slope(p, y), 1e-2, 1e2))))


OUTCOMES = (
    Outcome("balanced_accuracy", True, lambda counts: Maximize("balanced_accuracy"), scale=100),
    Outcome("macro_f1", True, lambda counts: Maximize("macro_f1"), scale=100),
    Outcome("mcc", True, lambda counts: Maximize("mcc"), scale=100),
    Outcome("average_precision", True, figure=average_precision, scale=100),
    Outcome("log_loss", False, figure=log_loss, scale=100),
    Outcome("slope", True, figure=slope),
    Outcome("cost_equal", False, cost_goal(0), scale=1000),
    Outcome("cost_imbalance", False, cost_goal(1), scale=1000),
    Outcome("cost_ten", False, cost_goal(10), scale=1000),
)


def decided(choice: Choice, p: Real) -> Ids:
    """The classes that a choice decides for."""
    if choice.rule is not None:
        return np.asarray(choice.rule.decide(p if p.shape[1] > 2 else p[:, 1]), np.intp)
    weighed = p if choice.weights is None else p * np.array(choice.weights)
    return np.asarray(weighed.argmax(axis=1), np.intp)


def value_of(outcome: Outcome, choice: Choice, p: Real, y: Ids, counts: Ids) -> float:
    """The outcome of a choice on predictions; costs and metrics on their own scale."""
    if outcome.figure is not None:
        return outcome.figure(p, y)
    assert outcome.goal is not None
    return float(score_decisions(outcome.goal(counts), decided(choice, p), y, p.shape[1]))


def choices_of(outcome: Outcome, rule: str, model: tuple[str, int], p: Real, y: Ids, counts: Ids) -> list[Choice]:
    """What a rule offers for an outcome with one model's probabilities."""
    frequency = counts / counts.sum()
    if outcome.figure is not None or rule == "argmax":
        return [Choice(model, None, None)]
    if rule == "rule":
        assert outcome.goal is not None
        return [Choice(model, None, fit_rule(outcome.goal(counts), p if p.shape[1] > 2 else p[:, 1], y))]
    taus = (1.0,) if rule == "shift" else TAUS
    return [Choice(model, tuple((frequency**-tau).tolist()), None) for tau in taus]


def choose(outcome: Outcome, rule: str, candidates: dict[tuple[str, int], Real], y: Ids) -> Choice:
    """The best of all models and strengths of a rule on out-of-fold predictions; of equal ones the first."""
    n_classes = next(iter(candidates.values())).shape[1]
    counts = np.bincount(y, minlength=n_classes)
    sign = 1 if outcome.larger_is_better else -1
    best: tuple[float, Choice] | None = None
    for model, p in candidates.items():
        for choice in choices_of(outcome, rule, model, p, y, counts):
            value = value_of(outcome, choice, p, y, counts) if outcome.name != "slope" else off_slope(p, y)
            if best is None or sign * value > sign * best[0]:
                best = value, choice
    assert best is not None
    return best[1]


def evaluate(outcome: Outcome, choice: Choice, p: Real, y: Ids, trained_on: Ids) -> float:
    """The outcome on rows that nothing was chosen on; goals are those of the training part's frequencies."""
    counts: Any = np.bincount(trained_on, minlength=p.shape[1])
    return value_of(outcome, choice, p, y, counts)
