"""What early stopping may go by: the focal loss, the recovered log loss, macro average precision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from focalkit._metrics import MERITS
from focalkit.boosting.objective import FocalObjective
from focalkit.losses import loss_grad_hess

Array = NDArray[Any]


class Metric(NamedTuple):
    """A figure of raw scores: ``compute(objective, scores, targets, sample_weight)``."""

    name: str
    larger_is_better: bool
    compute: Callable[[FocalObjective, Array, Array, Array | None], float]


def focal_loss(objective: FocalObjective, scores: Array, targets: Array, sample_weight: Array | None = None) -> float:
    """Mean focal loss in nats, alpha included: what training minimises, not a measure across gammas."""
    spec, normalizer = objective.unscaled_spec
    total = 1.0 * len(targets) if sample_weight is None else float(np.sum(sample_weight))
    value = loss_grad_hess(
        spec, scores, targets, sample_weight=sample_weight, normalizer=normalizer * max(total, 1e-300), hess=False
    ).loss
    return float(value)


def log_loss(objective: FocalObjective, scores: Array, targets: Array, sample_weight: Array | None = None) -> float:
    """Mean log loss in nats of the recovered posterior, gamma and alpha undone: comparable across both."""
    of_true = objective.population_posterior(scores)[np.arange(len(targets)), targets]
    return float(-np.average(np.log(np.maximum(of_true, np.finfo(np.float64).tiny)), weights=sample_weight))


def macro_average_precision(
    objective: FocalObjective, scores: Array, targets: Array, sample_weight: Array | None = None
) -> float:
    """Average precision, averaged over the classes present; of two classes it is the rarer one's."""
    from sklearn.metrics import average_precision_score

    posterior = objective.population_posterior(scores)
    counts = np.bincount(targets, minlength=objective.n_classes)
    ranked = np.flatnonzero(counts) if objective.n_classes > 2 else [int(counts.argmin())]
    each = [
        average_precision_score(targets == k, posterior[:, k], sample_weight=sample_weight) if counts[k] else 0.0
        for k in ranked
    ]
    return float(np.mean(each))


def error_rate(objective: FocalObjective, scores: Array, targets: Array, sample_weight: Array | None = None) -> float:
    """Share of wrong decisions, by the largest score."""
    decided = (scores > 0).astype(int) if scores.ndim == 1 else scores.argmax(axis=1)
    return float(np.average(decided != targets, weights=sample_weight))


METRICS = {
    name: Metric(name, MERITS[name].larger_is_better, compute)
    for name, compute in (
        ("focal_loss", focal_loss),
        ("recovered_log_loss", log_loss),
        ("macro_average_precision", macro_average_precision),
        ("error_rate", error_rate),
    )
}
DEFAULT_METRIC = "recovered_log_loss"
