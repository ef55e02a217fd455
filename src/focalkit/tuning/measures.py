"""Figures of merit that class counts do not give: costs by a matrix or of each case, scorers and functions.

A measure looks at the decisions of a fold row by row, or at its probabilities. What it says of the decisions at every
strength of the shift is kept, so that a strength is chosen for it on the other folds, as for any other goal.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from focalkit._core import contracts
from focalkit._metrics import Merit
from focalkit.decisions import CaseCost, CostMatrix, inputs
from focalkit.decisions.fit import fit_rule

if TYPE_CHECKING:
    from focalkit.tuning.given import Given

Real = NDArray[np.float64]
Ints = NDArray[np.intp]


class Measure(Protocol):
    """What it is and what decisions, or probabilities, are worth by it."""

    @property
    def merit(self) -> Merit:
        """What it judges, which direction is better, how it is written."""

    @property
    def relative(self) -> bool:
        """Whether a difference counts as a share of plain cross-entropy's own figure: its unit is anything."""

    @property
    def stride(self) -> int:
        """Every how many-th part of the strengths is tried; more than 1 where a call is slow."""

    def of_decisions(self, targets: Ints, decided: Ints, rows: Ints, weight: Real | None) -> float:
        """What decisions (n,) of the rows with these numbers are worth."""

    def of_probabilities(self, targets: Ints, decided: Ints, posterior: Real, rows: Ints, weight: Real | None) -> float:
        """What probabilities (n, n_classes) are worth, where it judges those."""


@dataclass(frozen=True)
class CostOf:
    """The mean cost of a case by a :class:`CostMatrix`, or by amounts of the cases' own (:class:`CaseCost`).

    ``matrices`` (n, n_classes, n_classes) are those of every row of the data, or one for all.
    """

    goal: CostMatrix | CaseCost
    matrices: Real
    relative = True
    stride = 1

    @property
    def merit(self) -> Merit:
        """A cost of decisions."""
        return Merit("cost_matrix", "decisions", False, in_points=False)

    def of_decisions(self, targets: Ints, decided: Ints, rows: Ints, weight: Real | None) -> float:
        """Their mean cost."""
        c = self.matrices
        each = c[targets, decided] if c.ndim == 2 else c[rows, targets, decided]
        return float(np.average(each, weights=weight))

    def of_probabilities(self, targets: Ints, decided: Ints, posterior: Real, rows: Ints, weight: Real | None) -> float:
        """That of the decisions."""
        return self.of_decisions(targets, decided, rows, weight)

    def closed(self, posterior: Real, rows: Ints) -> Ints:
        """The decisions (n,) of the least expected cost."""
        costs = self.matrices if self.matrices.ndim == 2 else self.matrices[rows]
        rule = fit_rule(self.goal, posterior, np.zeros(len(rows), np.intp))
        return np.asarray(rule.decide(posterior, costs if costs.ndim == 3 else None), np.intp)


def cost_of(goal: CostMatrix | CaseCost, costs: Any, n: int, n_classes: int) -> CostOf:
    """The measure of a goal of costs for ``n`` rows, whose own amounts are ``costs``."""
    inputs.matching(goal, n_classes)
    of_case = inputs.of_case(goal, costs, n_classes, n)
    return CostOf(goal, goal.array if isinstance(goal, CostMatrix) else np.asarray(of_case))


@dataclass(frozen=True)
class Scored:
    """A scorer ``(estimator, X, y)`` in scikit-learn's manner, or a function ``(y_true, y_pred)`` of decisions.

    Of both, larger is better. ``classes`` are the labels that it is told.
    """

    name: str
    score: Callable[..., Any]
    scorer: bool
    classes: NDArray[Any] = field(default_factory=lambda: np.empty(0))
    judges: str = "decisions"
    stride = 4

    @property
    def relative(self) -> bool:
        """Scikit-learn's scores lie in [0, 1], but for losses with their sign changed; of functions nobody knows."""
        return not self.scorer or self.name.startswith("neg_")

    @property
    def merit(self) -> Merit:
        """What it was found to judge."""
        return Merit(self.name, self.judges, True, in_points=False)

    def bound(self, targets: Ints, classes: NDArray[Any], weight: Real | None) -> Scored:
        """The same for these labels; whether it asks for decisions or probabilities is found out by calling it."""
        bound = replace(self, classes=classes)
        if not self.scorer:
            bound.of_decisions(targets, targets, np.arange(len(targets)), weight)
            return bound
        from focalkit.tuning.given import Given

        rng = np.random.default_rng(0)
        p = rng.dirichlet(np.ones(len(classes)), len(targets))
        given = Given(classes, p, p.argmax(axis=1))
        first = bound._ask(given, targets, weight)
        if given.asked == {"predict"}:
            return bound
        squared = p**2 / (p**2).sum(axis=1, keepdims=True)
        second = bound._ask(Given(classes, squared, squared.argmax(axis=1)), targets, weight)
        ranks = len(classes) == 2 and abs(first - second) <= 1e-9 * max(1.0, abs(first))
        return replace(bound, judges="ranking" if ranks else "probabilities")

    def of_decisions(self, targets: Ints, decided: Ints, rows: Ints, weight: Real | None) -> float:
        """What it says of decisions."""
        if self.scorer:
            from focalkit.tuning.given import Given

            certain = np.zeros((0, len(self.classes)))
            return self._ask(Given(self.classes, certain, decided), targets, weight)
        options = {} if weight is None else {"sample_weight": weight}
        return self._said(lambda: self.score(self.classes[targets], self.classes[decided], **options))

    def of_probabilities(self, targets: Ints, decided: Ints, posterior: Real, rows: Ints, weight: Real | None) -> float:
        """What it says of probabilities, and the decisions that go with them."""
        from focalkit.tuning.given import Given

        return self._ask(Given(self.classes, posterior, decided), targets, weight)

    def _ask(self, given: Given, targets: Ints, weight: Real | None) -> float:
        options = {} if weight is None else {"sample_weight": weight}
        X = np.arange(len(targets))[:, None]
        return self._said(lambda: self.score(given, X, self.classes[targets], **options))

    def _said(self, ask: Callable[[], Any]) -> float:
        """One number, or what went wrong in one line."""
        try:
            value = float(ask())
        except contracts.InputError:
            raise
        except Exception as error:
            first = (str(error).strip().splitlines() or [""])[0]
            remedy = "See sklearn.metrics.make_scorer, e.g. for pos_label, average or response_method."
            try:
                got = contracts.Words(f"{type(error).__name__}: {first}")
                contracts.reject("metric", f"score {len(self.classes)} classes", got, remedy)
            except contracts.InputError as told:
                raise told from error
        if not np.isfinite(value):
            contracts.reject(
                "metric",
                "be a number",
                contracts.Words(f"{value} from {self.name}".replace("nan", "NaN", 1)),
                "Is a fold too small?",
            )
        return value


def scored_by(metric: Any) -> Scored | None:
    """The measure of a scorer's name, a scorer or a function; None where it is none of them."""
    if isinstance(metric, str):
        from sklearn.metrics import get_scorer

        try:
            return Scored(metric, get_scorer(metric), True)
        except ValueError:
            return None
    if not callable(metric) or isinstance(metric, type):
        return None
    name = str(getattr(metric, "__name__", ""))
    try:
        parameters = inspect.signature(metric).parameters.values()
    except (TypeError, ValueError):
        return Scored(name or type(metric).__name__, metric, False)
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    needed = [p for p in parameters if p.kind in positional and p.default is p.empty]
    scorer = len(needed) == 3
    if scorer:
        inner = getattr(metric, "_score_func", None)
        name = name or str(getattr(inner, "__name__", type(metric).__name__))
    return Scored(name or type(metric).__name__, metric, scorer)
