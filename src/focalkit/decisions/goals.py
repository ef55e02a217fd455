"""What a decision is to achieve: a cost to keep low, a metric to raise, a bound to respect, cases to hand over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from focalkit._core import contracts
from focalkit._metrics import DECISION_METRICS

COST = contracts.Interval(-np.inf, np.inf)
SHARE = contracts.Interval(0, 1, low_inclusive=False, high_inclusive=False)
CONSTRAINTS = ("precision", "recall", "false_positive_rate", "alerts")
#: Names that stand for a metric at one beta.
ALIASES = {"f1": ("f_beta", 1.0), "f2": ("f_beta", 2.0), "macro_f1": ("macro_f_beta", 1.0)}


class Goal:
    """What all goals share: :meth:`to_dict`, and whether larger figures are better."""

    larger_is_better = True

    def to_dict(self) -> dict[str, Any]:
        """The goal as plain data; :func:`goal_from_dict` reads it back."""
        return {"goal": type(self).__name__, **asdict(self)}  # type: ignore[call-overload]


def upright(name: str, c: NDArray[np.float64], when: str = "") -> None:
    """Refuse costs (n_classes, n_classes) under which being right about a class costs more than every mistake."""
    others = np.where(np.eye(len(c), dtype=bool), -np.inf, c).max(axis=1)
    upside_down = np.flatnonzero(np.diag(c) > others)
    if len(upside_down):
        k = int(upside_down[0])
        got = contracts.Words(f"{when}{c[k, k]:g} for deciding class {k} rightly, more than any mistake about it")
        remedy = "Rows are the true class, columns the decision; gains are negative costs."
        contracts.reject(name, "have its right decisions on the diagonal", got, remedy)


@dataclass(frozen=True)
class CostMatrix(Goal):
    """Keep the expected cost of a case low: ``matrix[true][decided]``.

    Parameters
    ----------
    matrix : (n_classes, n_classes)
        Rows are the truth and columns the decision, as in scikit-learn's confusion matrix. A gain is a negative cost.

    Raises
    ------
    InputError
        Where it is not square and finite, or where a right decision costs more than every wrong one.

    Examples
    --------
    >>> CostMatrix([[0, 1], [100, 0]]).matrix
    ((0.0, 1.0), (100.0, 0.0))
    """

    matrix: tuple[tuple[float, ...], ...]
    larger_is_better = False

    def __post_init__(self) -> None:
        remedy = "Rows are the true class, columns the decision."
        try:
            c = np.asarray(self.matrix, np.float64)
        except (TypeError, ValueError, OverflowError):
            contracts.reject("cost matrix", "be a square of numbers", self.matrix, remedy)
        if c.ndim != 2 or c.shape[0] != c.shape[1] or len(c) < 2:
            contracts.reject(
                "cost matrix", "have shape (n_classes, n_classes)", contracts.Words(f"shape {c.shape}"), remedy
            )
        if not np.isfinite(c).all():
            contracts.reject("cost matrix", "be finite", c.tolist(), "An outcome that must never be is a large cost.")
        upright("cost matrix", c)
        object.__setattr__(self, "matrix", tuple(tuple(map(float, row)) for row in c.tolist()))

    @property
    def array(self) -> NDArray[np.float64]:
        """The matrix (n_classes, n_classes)."""
        return np.array(self.matrix)

    def ordered(self, order: Sequence[int]) -> CostMatrix:
        """The same for the classes in another order."""
        return CostMatrix(tuple(tuple(self.matrix[k][j] for j in order) for k in order))


@dataclass(frozen=True)
class Cost(Goal):
    """Keep the expected cost of two classes low: ``fn`` for a missed positive, ``fp`` for a false alarm.

    Parameters
    ----------
    fn, fp : float, at least 0
        Costs of the two mistakes, in any one unit.
    tp, tn : float
        Costs of being right, e.g. of handling a caught case; a gain is negative.

    Raises
    ------
    InputError
        Where a cost is negative or no number, or a right decision costs more than a mistake.

    Examples
    --------
    >>> Cost(fn=100, fp=1).cutoff
    0.009900990099009901
    """

    fn: float
    fp: float = 1.0
    tp: float = 0.0
    tn: float = 0.0
    larger_is_better = False

    def __post_init__(self) -> None:
        for name in ("fn", "fp"):
            remedy = "A gain belongs to tp or tn, as a negative cost."
            contracts.number(name, getattr(self, name), contracts.Interval(0, np.inf), remedy)
        for name in ("tp", "tn"):
            contracts.number(name, getattr(self, name), COST, "Give the cost of a right decision, 0 by default.")
        if self.fn <= self.tp or self.fp <= self.tn:
            got = contracts.Words(f"fn={self.fn:g} with tp={self.tp:g}, fp={self.fp:g} with tn={self.tn:g}")
            contracts.reject(
                "costs", "make each mistake dearer than being right", got, "Swap them if they are mixed up."
            )

    @property
    def array(self) -> NDArray[np.float64]:
        """The matrix (2, 2), rows the truth."""
        return np.array([[self.tn, self.fp], [self.fn, self.tp]], np.float64)

    @property
    def cutoff(self) -> float:
        """The probability above which flagging is cheaper."""
        rise, fall = self.fp - self.tn, self.fn - self.tp
        return float(rise / (rise + fall))


@dataclass(frozen=True)
class CaseCost(Goal):
    """Keep the expected cost low where each case has its own: the amounts come with the data, as ``costs``.

    ``costs`` of shape (n,) are what missing the case costs if it is positive; ``fp`` is then the cost of a false
    alarm. Of shape (n, n_classes, n_classes) they are a whole cost matrix for each case.

    Parameters
    ----------
    fp, tp, tn : float
        The other costs of two classes, the same for all cases.

    Examples
    --------
    >>> CaseCost(fp=5).matrices([10.0, 200.0])[:, 1, 0]
    array([ 10., 200.])
    """

    fp: float = 1.0
    tp: float = 0.0
    tn: float = 0.0
    larger_is_better = False

    def __post_init__(self) -> None:
        contracts.number("fp", self.fp, contracts.POSITIVE, "A false alarm must cost something.")
        for name in ("tp", "tn"):
            contracts.number(name, getattr(self, name), COST, "Give the cost of a right decision, 0 by default.")

    def matrices(self, costs: Any, n_classes: int = 2) -> NDArray[np.float64]:
        """A cost matrix for each case (n, n_classes, n_classes), from amounts (n,) or as it is.

        Raises
        ------
        InputError
            Where they have another shape, an entry is NaN or infinite, or an amount is negative.
        """
        c = contracts.numbers("costs", costs, "be numbers", "Give each case's amount, or its cost matrix.")
        contracts.whole("n_classes", n_classes, 2, most=2**31)
        if not np.isfinite(c).all():
            row = int((~np.isfinite(c)).reshape(len(c), -1).any(axis=1).argmax()) if c.ndim else 0
            got = contracts.Words(f"NaN or infinity in row {row + 1}")
            contracts.reject("costs", "be finite", got, "Leave out the rows without one.")
        if c.ndim == 1 and n_classes == 2:
            if (c < 0).any():
                remedy = "They are what missing the case costs; a gain belongs to tp."
                contracts.reject("costs", "be at least 0", float(c.min()), remedy)
            full = np.empty((len(c), 2, 2))
            full[:, 0, 0], full[:, 0, 1], full[:, 1, 0], full[:, 1, 1] = self.tn, self.fp, c, self.tp
            return full
        if c.ndim != 3 or c.shape[1:] != (n_classes, n_classes):
            want = f"have shape (n, {n_classes}, {n_classes})" + (" or (n,)" if n_classes == 2 else "")
            contracts.reject(
                "costs", want, contracts.Words(f"shape {c.shape}"), "Give each case's amount, or its cost matrix."
            )
        return c


@dataclass(frozen=True)
class Maximize(Goal):
    """Raise a metric of decisions.

    Parameters
    ----------
    metric : str
        One of accuracy, balanced_accuracy, g_mean, f_beta, macro_f_beta, mcc, kappa, youden; f1, f2 and macro_f1 name
        one ``beta``. ``f_beta`` is that of the second of two classes.
    beta : float, positive
        How many times as much recall counts as precision.

    Raises
    ------
    InputError
        Where the metric is not known.

    Examples
    --------
    >>> Maximize("f2")
    Maximize(metric='f_beta', beta=2.0)
    """

    metric: str
    beta: float = 1.0

    def __post_init__(self) -> None:
        known = contracts.one_of("metric", self.metric, (*DECISION_METRICS, *ALIASES))
        name, beta = ALIASES.get(known, (known, self.beta))
        value = contracts.number("beta", beta, contracts.POSITIVE, "1 is F1; 2 counts recall twice.")
        object.__setattr__(self, "metric", name)
        object.__setattr__(self, "beta", value)


@dataclass(frozen=True)
class Constraint(Goal):
    """The best decisions of two classes within a bound.

    ===================  ==========================================
    ``kind``             what is raised, and within what
    ===================  ==========================================
    precision            recall, precision being at least ``bound``
    recall               precision, recall being at least ``bound``
    false_positive_rate  recall, the rate being at most ``bound``
    alerts               recall, with at most this share of alerts
    ===================  ==========================================

    Parameters
    ----------
    kind : str
    bound : float in (0, 1)

    Raises
    ------
    InputError
        Where the kind is not known or the bound lies outside (0, 1).

    Examples
    --------
    >>> Constraint("alerts", 100 / 10_000).bound
    0.01
    """

    kind: str
    bound: float

    def __post_init__(self) -> None:
        contracts.one_of("kind", self.kind, CONSTRAINTS)
        remedy = "Give a share, e.g. 0.9, or 100/10000 alerts as 0.01."
        object.__setattr__(self, "bound", contracts.number(self.kind, self.bound, SHARE, remedy))

    @property
    def at_most(self) -> bool:
        """Whether the bound is an upper one."""
        return self.kind in ("false_positive_rate", "alerts")


@dataclass(frozen=True)
class Abstain(Goal):
    """Hand the doubtful cases to a person, and decide the others at the least cost (Chow 1970).

    Parameters
    ----------
    review_cost : float, optional
        Of one case that a person decides, in the unit of the costs.
    share : float in (0, 1), optional
        In its place: at most this share of the cases is handed over.
    cost : Cost or CostMatrix, optional
        Of the cases that are decided; None: every mistake costs 1.

    Raises
    ------
    InputError
        Where neither or both of ``review_cost`` and ``share`` are given.

    Examples
    --------
    >>> Abstain(share=0.1).share
    0.1
    """

    review_cost: float | None = None
    share: float | None = None
    cost: Cost | CostMatrix | None = None
    larger_is_better = False

    def __post_init__(self) -> None:
        if (self.review_cost is None) == (self.share is None):
            got = contracts.Words(f"review_cost={self.review_cost}, share={self.share}")
            contracts.reject("Abstain", "have a review cost or a share of cases, one of the two", got, "Drop one.")
        if self.review_cost is not None:
            contracts.number("review_cost", self.review_cost, contracts.POSITIVE, "What does a person's look cost?")
        if self.share is not None:
            contracts.number("share", self.share, SHARE, "E.g. 0.1 for at most a tenth of the cases.")
        if isinstance(self.cost, Mapping):
            object.__setattr__(self, "cost", goal_from_dict(self.cost))
        if self.cost is not None and not isinstance(self.cost, Cost | CostMatrix):
            contracts.reject("cost", "be a Cost or a CostMatrix", self.cost, "E.g. Cost(fn=100, fp=1).")

    def to_dict(self) -> dict[str, Any]:
        """The goal as plain data."""
        cost = None if self.cost is None else self.cost.to_dict()
        return {"goal": "Abstain", "review_cost": self.review_cost, "share": self.share, "cost": cost}

    def matrix(self, n_classes: int) -> NDArray[np.float64]:
        """The costs of deciding (n_classes, n_classes)."""
        return 1.0 - np.eye(n_classes) if self.cost is None else self.cost.array


GOALS: dict[str, type[Goal]] = {c.__name__: c for c in (Cost, CostMatrix, CaseCost, Maximize, Constraint, Abstain)}


def as_goal(goal: Any) -> Goal:
    """A goal from itself, a metric's name, or a cost matrix.

    Raises
    ------
    InputError
        Where it is none of them.
    """
    if isinstance(goal, Goal):
        return goal
    if isinstance(goal, str):
        return Maximize(goal)
    if isinstance(goal, list | tuple | np.ndarray):
        return CostMatrix(goal)  # type: ignore[arg-type]
    contracts.reject("goal", "be a goal, a metric's name or a cost matrix", goal, "E.g. Cost(fn=100, fp=1) or 'mcc'.")


def goal_from_dict(data: Mapping[str, Any]) -> Goal:
    """The goal that :meth:`Goal.to_dict` wrote."""
    kind = GOALS.get(str(data.get("goal")))
    if kind is None:
        contracts.reject("goal", f"be one of {', '.join(GOALS)}", data.get("goal"), "Was it saved by a newer version?")
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    return kind(**{name: value for name, value in data.items() if name in known})
