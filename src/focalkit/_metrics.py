"""Every figure of merit in one table (:data:`MERITS`), and the metrics of decisions, each a sum over classes.

Rules, tuning, diagnosis, boosters and reports choose from the table; how a figure is called is the catalogue's
``metric.{name}``.

A metric is a function of three numbers of each class: the weight that it holds (``true``), that it is decided
(``named``) and that it is decided rightly (``hit``). It is written as a few terms summed over the classes and one
function of those sums, because a search that moves one row from a class to another then changes two terms of the sum
and never has to add up the rest again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Real = NDArray[np.float64]
#: A hit below this share of its class is rounding left over by sums of weights.
RESIDUE = 1e-12


@dataclass(frozen=True)
class DecisionMetric:
    """A metric of decisions: ``terms(hit, named, true, beta)`` summed over classes, then ``finish(sums, true)``.

    ``terms`` works entry by entry: what it gives for a class is of that class's numbers alone, because a search
    gives it classes picked and repeated in any order. ``finish`` has the sums, numbers or arrays of one for each
    trial, and the weights (n_classes,) of all classes.
    ``positive_only``: it looks at the second of two classes alone.
    """

    name: str
    terms: Callable[[Any, Any, Any, float], tuple[Any, ...]]
    finish: Callable[[tuple[Any, ...], Any], Any]
    positive_only: bool = False

    def value(self, hit: Any, named: Any, true: Real, beta: float = 1.0) -> Any:
        """The metric from numbers of each class on the first axis, ``(n_classes, ...)``."""
        wide = true.reshape(-1, *(1,) * (np.ndim(hit) - 1))
        if self.positive_only:
            hit, named, wide = hit[1:], named[1:], wide[1:]
        return self.finish(tuple(term.sum(axis=0) for term in self.terms(hit, named, wide, beta)), true)


def _ratio(a: Any, b: Any) -> Any:
    """The ratio, and 0 where ``b`` is 0."""
    return np.divide(a, b, out=np.zeros(np.broadcast(a, b).shape), where=np.asarray(b) > 0)


def _recall(hit: Any, named: Any, true: Any, beta: float) -> tuple[Any, ...]:
    return (_ratio(hit, true),)


def _log_recall(hit: Any, named: Any, true: Any, beta: float) -> tuple[Any, ...]:
    # the product of recalls as a sum, with its zeros counted apart: differences of infinities are no numbers
    here = true > 0
    missed = here & (hit <= RESIDUE * true)
    share = np.where(here & ~missed, _ratio(hit, true), 1.0)
    return np.log(share), missed.astype(np.float64)


def _f_beta(hit: Any, named: Any, true: Any, beta: float) -> tuple[Any, ...]:
    below = np.where(true > 0, beta * beta * true + named, 0.0)
    return (_ratio((1 + beta * beta) * hit, below),)


def _agreement(hit: Any, named: Any, true: Any, beta: float) -> tuple[Any, ...]:
    return hit, named * true, named * named


def _present(true: Real) -> int:
    return max(int((true > 0).sum()), 1)


def _mcc(sums: tuple[Any, ...], true: Real) -> Any:
    hit, chance, squared = sums
    n = true.sum()
    spread = (n * n - squared) * (n * n - (true * true).sum())
    known = spread > RESIDUE * n**4
    return np.where(known, _ratio(hit * n - chance, np.sqrt(np.where(known, spread, 1.0))), 0.0)


def _kappa(sums: tuple[Any, ...], true: Real) -> Any:
    hit, chance, _ = sums
    n = true.sum()
    free = n * n - chance
    return np.where(free > RESIDUE * n * n, _ratio(hit * n - chance, np.where(free > 0, free, 1.0)), 0.0)


def _mean(sums: tuple[Any, ...], true: Real) -> Any:
    return sums[0] / _present(true)


def _informedness(sums: tuple[Any, ...], true: Real) -> Any:
    k = _present(true)
    return (sums[0] - 1) / max(k - 1, 1)


DECISION_METRICS = {
    metric.name: metric
    for metric in (
        DecisionMetric("accuracy", lambda hit, named, true, beta: (hit,), lambda sums, true: sums[0] / true.sum()),
        DecisionMetric("balanced_accuracy", _recall, _mean),
        DecisionMetric(
            "g_mean",
            _log_recall,
            lambda sums, true: np.where(sums[1] > 0.5, 0.0, np.exp(sums[0] / _present(true))),
        ),
        DecisionMetric("f_beta", _f_beta, lambda sums, true: sums[0], positive_only=True),
        DecisionMetric("macro_f_beta", _f_beta, _mean),
        DecisionMetric("mcc", _agreement, _mcc),
        DecisionMetric("kappa", _agreement, _kappa),
        DecisionMetric("youden", _recall, _informedness),
    )
}


@dataclass(frozen=True)
class Merit:
    """A figure of merit: its name, what it judges, which direction is better, and how it is scaled where it is shown.

    ``judges`` is "decisions", "ranking" or "probabilities"; ``in_points``: times 100, as scores in [0, 1] are.
    """

    name: str
    judges: str
    larger_is_better: bool
    in_points: bool = True


MERITS = {
    merit.name: merit
    for merit in (
        *(Merit(name, "decisions", True) for name in (*DECISION_METRICS, "macro_f1", "f1", "f2")),
        *(Merit(bound, "decisions", True) for bound in ("precision", "recall", "false_positive_rate", "alerts")),
        Merit("error_rate", "decisions", False),
        Merit("cost", "decisions", False, in_points=False),
        Merit("average_precision", "ranking", True),
        Merit("macro_average_precision", "ranking", True),
        Merit("log_loss", "probabilities", False, in_points=False),
        Merit("recovered_log_loss", "probabilities", False, in_points=False),
        Merit("focal_loss", "probabilities", False, in_points=False),
        Merit("calibration_error", "probabilities", False, in_points=False),
        Merit("expected_calibration_error", "probabilities", False, in_points=False),
    )
}
