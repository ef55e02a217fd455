"""What a fold's predictions are worth: decisions, ranking, probabilities."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from focalkit._core import contracts
from focalkit._core.message import Message
from focalkit._held_out import ranked
from focalkit._metrics import DECISION_METRICS, MERITS, Merit
from focalkit.decisions import Abstain, CaseCost, Constraint, Cost, CostMatrix, Goal, Maximize
from focalkit.decisions.goals import ALIASES, as_goal
from focalkit.tuning.measures import CostOf, Measure, Scored, cost_of, scored_by


@dataclass(frozen=True)
class Metric:
    """An entry of :data:`focalkit._metrics.MERITS` as tuning takes it: with the goal that its decisions serve.

    ``name`` has a goal's numbers behind colons, as in "cost:100:1". ``measure`` is what computes it where class counts
    do not say enough.
    """

    name: str
    goal: Goal | None = None
    measure: Measure | None = field(default=None, compare=False)

    @property
    def merit(self) -> Merit:
        """Its entry."""
        return MERITS[self.name.partition(":")[0]] if self.measure is None else self.measure.merit

    @property
    def costs(self) -> bool:
        """Whether it is a cost, in the unit of the user's own numbers."""
        return isinstance(self.goal, Cost | CostMatrix | CaseCost)

    @property
    def directed(self) -> bool:
        """Whether it is of one of two classes, the positive one: misses, alarms and F scores are."""
        goal = self.goal
        return isinstance(goal, Cost | CaseCost | Constraint) or (
            isinstance(goal, Maximize) and goal.metric == "f_beta"
        )

    @property
    def relative(self) -> bool:
        """Whether a difference counts as a share of plain cross-entropy's own figure."""
        return self.costs or (self.measure is not None and self.measure.relative)

    @property
    def least(self) -> float:
        """The least that it can be, as far as that is known."""
        if self.costs or self.measure is not None:
            return self._cost(np.min, -math.inf)
        return -1.0 if self.merit.name in ("mcc", "kappa", "youden") else 0.0

    @property
    def most(self) -> float:
        """The most that it can be, as far as that is known."""
        if self.costs or self.measure is not None or not self.larger_is_better:
            return self._cost(np.max, math.inf)
        return 1.0

    def _cost(self, end: Any, unknown: float) -> float:
        """The least or the largest cost of a case, as far as that is known."""
        if isinstance(self.goal, Cost | CostMatrix):
            return float(end(self.goal.array))
        return float(end(self.measure.matrices)) if isinstance(self.measure, CostOf) else unknown

    @property
    def title(self) -> str:
        """Its name in English words."""
        kind, *numbers = self.name.split(":")
        return str(Message(f"metric.{kind}", **dict(zip("ab", [*numbers, "1", "1"], strict=False))))

    @property
    def judges(self) -> str:
        """What it judges: decisions, ranking or probabilities."""
        return self.merit.judges

    @property
    def larger_is_better(self) -> bool:
        """Which direction is better."""
        return self.merit.larger_is_better

    @property
    def shown_as(self) -> str:
        """How its figures are written: in points as scores are, or as they are, like probabilities' figures."""
        return self.judges if self.merit.in_points else "probabilities"


METRICS = (
    Metric("balanced_accuracy", Maximize("balanced_accuracy")),
    Metric("macro_f1", Maximize("macro_f1")),
    Metric("mcc", Maximize("mcc")),
    Metric("average_precision"),
    Metric("log_loss"),
    Metric("calibration_error"),
)
NAMES = tuple(metric.name for metric in METRICS)
N_BINS = 15
#: Scorers of scikit-learn that are metrics of the table under another name.
SAME = {"f1_macro": "macro_f1", "f1_micro": "accuracy", "matthews_corrcoef": "mcc"}
BOUNDS = ("precision", "recall", "false_positive_rate", "alerts")


def metric_named(name: str) -> Metric:
    """The metric called ``name``: one of the six, or a goal.

    A goal is ``accuracy``, ``g_mean``, ``kappa``, ``youden``, ``f1``, ``f2``, ``f_beta:0.5`` (two classes),
    ``macro_f_beta:2``, ``cost:FN:FP[:TP[:TN]]`` (two classes), or a bound (two classes): ``precision:0.9``,
    ``recall:0.9``, ``false_positive_rate:0.01``, ``alerts:0.01``; otherwise the name of a scorer of scikit-learn, such
    as ``roc_auc`` or ``neg_brier_score``.

    Raises
    ------
    InputError
        Where it is neither.
    """
    name = str(name).removeprefix("scorer:")
    name = SAME.get(name, name)
    kind, *given = name.split(":")
    if kind in ("abstain", "abstention"):
        _abstention(name)
    if name in NAMES:
        return METRICS[NAMES.index(name)]
    try:
        numbers = [float(part) for part in given]
    except ValueError:
        contracts.reject("metric", "have numbers after its colons", name, "E.g. cost:100:1 or precision:0.9.")
    if kind == "cost" and 1 <= len(numbers) <= 4:
        return Metric(name, Cost(*numbers))
    if kind in BOUNDS and len(numbers) == 1:
        return Metric(name, Constraint(kind, numbers[0]))
    if (kind in DECISION_METRICS or kind in ALIASES) and len(numbers) <= (kind in ("f_beta", "macro_f_beta")):
        return Metric(name, Maximize(kind, *numbers))
    scored = scored_by(name)
    if scored is not None:
        return Metric(f"scorer:{scored.name}", None, scored)
    known = (*NAMES, *DECISION_METRICS, *ALIASES, "cost:FN:FP", *(f"{bound}:0.9" for bound in BOUNDS))
    remedy = "sklearn.metrics.get_scorer_names() lists the others."
    contracts.reject("metric", f"be one of {', '.join(dict.fromkeys(known))}, or a scorer's name", name, remedy)


def _abstention(goal: Any) -> NoReturn:
    """Say why it is no metric: which cases are left open is decided after training, on probabilities that are there."""
    remedy = "Tune by costs, then give the out-of-fold predictions to focalkit.decisions.decide with Abstain."
    contracts.reject("metric", "decide every case, so that fits can be compared on the same ones", goal, remedy)


def _number(value: float) -> str:
    return f"{value:.12g}"


def metric_of(goal: Any) -> Metric:
    """The metric of a name, a goal of :mod:`focalkit.decisions`, a cost matrix, a scorer or a function.

    Those of several rows' own costs, of scorers and functions are not bound to data yet: :func:`bound`.
    """
    if isinstance(goal, str):
        return metric_named(goal)
    if isinstance(goal, Maximize):
        beta = f":{_number(goal.beta)}" if goal.metric in ("f_beta", "macro_f_beta") else ""
        name = "macro_f1" if (goal.metric, goal.beta) == ("macro_f_beta", 1.0) else f"{goal.metric}{beta}"
        return metric_named(name)
    if isinstance(goal, Constraint):
        return metric_named(f"{goal.kind}:{_number(goal.bound)}")
    if isinstance(goal, Cost):
        right = (goal.tp, goal.tn) if goal.tp or goal.tn else ()
        return metric_named(":".join(["cost", *map(_number, (goal.fn, goal.fp, *right))]))
    if isinstance(goal, list | tuple | np.ndarray):
        goal = as_goal(goal)
    if isinstance(goal, CostMatrix):
        c = goal.array
        mistakes = c.shape == (2, 2) and min(c[1, 0], c[0, 1]) >= 0 and c[1, 0] > c[1, 1] and c[0, 1] > c[0, 0]
        if mistakes:
            return metric_of(Cost(*map(float, (c[1, 0], c[0, 1], c[1, 1], c[0, 0]))))
        return Metric("cost_matrix", goal)
    if isinstance(goal, CaseCost):
        return Metric(":".join(["case_cost", *map(_number, (goal.fp, goal.tp, goal.tn))]), goal)
    if isinstance(goal, Abstain):
        _abstention(goal)
    scored = scored_by(goal)
    if scored is not None:
        return Metric(f"{'scorer' if scored.scorer else 'function'}:{scored.name}", None, scored)
    contract = "be a name, a goal of decisions, a cost matrix, a scorer, or a function (y_true, y_pred)"
    contracts.reject("metric", contract, goal, "E.g. balanced_accuracy, or Cost(fn=100, fp=1).")


def bound(
    metric: Metric, targets: NDArray[Any], classes: NDArray[Any], weight: NDArray[np.float64] | None, costs: Any
) -> Metric:
    """The metric for these rows: their classes, and the costs of each where they have their own."""
    if costs is not None and not isinstance(metric.goal, CaseCost):
        contracts.reject("costs", "be left out", metric.name, "They go with metric=CaseCost(…).")
    if isinstance(metric.goal, CostMatrix | CaseCost):
        return replace(metric, measure=cost_of(metric.goal, costs, len(targets), len(classes)))
    if isinstance(metric.measure, Scored):
        return replace(metric, measure=metric.measure.bound(targets, classes, weight))
    return metric


def score(
    targets: NDArray[Any],
    decisions: NDArray[Any],
    posterior: NDArray[np.float64],
    counts: NDArray[Any],
    weight: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """The six figures, in the order of :data:`METRICS`.

    Parameters
    ----------
    targets, decisions : integers (n,)
        True and predicted class ids.
    posterior : (n, n_classes)
        Probabilities under the data's own class balance.
    counts : (n_classes,)
        Samples per class in training: of two classes, average precision is that of the rarer one.
    weight : (n,), optional
        Of the rows, in every figure.

    Returns
    -------
    numpy.ndarray
        float64 (6,). Averages over classes run over those present in ``targets``. Log loss is in
        nats; the calibration error is class-wise, over 15 bins of equal mass. NaN where no row weighs anything.
    """
    n, n_classes = len(targets), len(counts)
    n_true = np.bincount(targets, weight, minlength=n_classes)
    if not n_true.any():
        return np.full(len(METRICS), np.nan)
    present = np.flatnonzero(n_true)
    ranked = present if n_classes > 2 else np.array([int(np.argmin(counts))])
    of_true = posterior[np.arange(n), targets]
    precision, gap = _of_classes(posterior, targets, np.union1d(present, ranked), weight)
    return np.array(
        [
            *decision_scores(confusion(targets, decisions, n_classes, weight)),
            precision[ranked].mean(),
            np.average(-np.log(np.maximum(of_true, np.finfo(np.float64).tiny)), weights=weight),
            gap[present].mean(),
        ]
    )


def _of_classes(
    posterior: NDArray[np.float64],
    targets: NDArray[Any],
    classes: NDArray[np.intp],
    weight: NDArray[np.float64] | None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Average precision and calibration error (n_classes,) of some classes, NaN of the others."""
    if weight is None:
        return ranked(posterior, targets, classes, N_BINS)
    precision, gap = np.full((2, posterior.shape[1]), np.nan)
    for k in classes:
        precision[k], gap[k] = _weighted(posterior[:, k], targets == k, weight)
    return precision, gap


def confusion(
    targets: NDArray[Any], decisions: NDArray[Any], n_classes: int, weight: NDArray[np.float64] | None = None
) -> NDArray[Any]:
    """Counts (n_classes, n_classes) of true (rows) and decided classes, or the rows' weights."""
    pair = targets * n_classes + decisions
    return np.bincount(pair, weight, minlength=n_classes * n_classes).reshape(n_classes, n_classes)


def decision_scores(table: NDArray[Any]) -> tuple[float, float, float]:
    """The three figures of decisions, in the order of :data:`METRICS`, from a confusion matrix.

    They are scikit-learn's: balanced accuracy and macro F1 run over the classes that there are, and
    a correlation with something that does not vary is 0.
    """
    true, decided, hit = table.sum(axis=1), table.sum(axis=0), np.diag(table)
    at = np.flatnonzero(true)
    n = float(true.sum())
    spread_true = n * n - float(true.astype(np.float64) @ true)
    spread_decided = n * n - float(decided.astype(np.float64) @ decided)
    product = spread_true * spread_decided
    together = float(hit.sum()) * n - float(true.astype(np.float64) @ decided)
    return (
        float((hit[at] / true[at]).mean()),
        float((2 * hit[at] / (true[at] + decided[at])).mean()),
        together / np.sqrt(product) if product > 0 else 0.0,
    )


def _weighted(probability: NDArray[np.float64], hit: NDArray[Any], weight: NDArray[np.float64]) -> tuple[float, float]:
    """Average precision and calibration error of one class from rows (n,) with weights.

    A row that lies across the edge of a bin counts on both sides in proportion.
    """
    order = np.argsort(probability, kind="stable")
    probability, hit, weight = probability[order], hit[order], weight[order]
    edges = np.concatenate([[0.0], np.cumsum(weight)])
    gaps = np.concatenate([[0.0], np.cumsum(weight * (probability - hit))])
    total = float(weight.sum())
    at = np.interp(np.linspace(0, total, N_BINS + 1), edges, gaps)
    gap = float(np.abs(np.diff(at)).sum()) / total
    last = np.append(np.flatnonzero(np.diff(probability[::-1])), len(hit) - 1)  # of those that are equal
    found = np.cumsum((weight * hit)[::-1])[last]
    flagged = np.cumsum(weight[::-1])[last]
    if not found[-1]:
        return 0.0, gap
    precision = np.divide(found, flagged, out=np.zeros(len(found)), where=flagged > 0)
    return float((np.diff(found, prepend=0) * precision).sum() / found[-1]), gap


def calibration_error(hit: NDArray[Any], probability: NDArray[np.float64], n_bins: int = N_BINS) -> float:
    """Mean absolute gap between predicted and observed frequency, over bins of equal mass.

    (Naeini et al. 2015, with the equal-mass bins of Nixon et al. 2019.)
    """
    of_other = (~np.asarray(hit, bool)).astype(np.int64)
    return float(ranked(np.asarray(probability)[:, None], of_other, np.zeros(1, np.int64), n_bins)[1][0])


def judged_by(metric: Metric) -> tuple[str, ...]:
    """The figures that have a verdict: the run's own first, then one for each other kind."""
    names = {"decisions": "balanced_accuracy", "ranking": "average_precision", "probabilities": "log_loss"}
    return metric.name, *(name for kind, name in names.items() if kind != metric.judges)
