"""What a fold's predictions are worth: decisions, ranking, probabilities."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, balanced_accuracy_score, f1_score, matthews_corrcoef


@dataclass(frozen=True)
class Metric:
    """A figure of merit: its name, what it judges, and whether larger is better."""

    name: str
    title: str
    judges: str
    larger_is_better: bool


METRICS = (
    Metric("balanced_accuracy", "balanced accuracy", "decisions", True),
    Metric("macro_f1", "macro F1", "decisions", True),
    Metric("mcc", "Matthews correlation", "decisions", True),
    Metric("average_precision", "average precision", "ranking", True),
    Metric("log_loss", "log loss", "probabilities", False),
    Metric("calibration_error", "calibration error", "probabilities", False),
)
NAMES = tuple(metric.name for metric in METRICS)
N_BINS = 15


def metric_named(name: str) -> Metric:
    """The metric called ``name``."""
    return METRICS[NAMES.index(name)]


def score(
    targets: NDArray[Any], decisions: NDArray[Any], posterior: NDArray[np.float64], counts: NDArray[Any]
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

    Returns
    -------
    numpy.ndarray
        float64 (6,). Averages over classes run over those present in ``targets``. Log loss is in
        nats; the calibration error is class-wise, over 15 bins of equal mass.
    """
    present = np.unique(targets)
    ranked = present if len(counts) > 2 else [int(np.argmin(counts))]
    of_true = posterior[np.arange(len(targets)), targets]
    return np.array(
        [
            *(decision_score(i, targets, decisions) for i in range(3)),
            np.mean([average_precision_score(targets == k, posterior[:, k]) for k in ranked]),
            -np.log(np.maximum(of_true, np.finfo(np.float64).tiny)).mean(),
            np.mean([calibration_error(targets == k, posterior[:, k]) for k in present]),
        ]
    )


def decision_score(index: int, targets: NDArray[Any], decisions: NDArray[Any]) -> float:
    """One of the three figures of decisions, by its position in :data:`METRICS`."""
    if index == 0:
        with warnings.catch_warnings():
            # a fold without a rare class: predicted classes that are not among the true ones
            warnings.filterwarnings("ignore", message="y_pred contains classes not in y_true", category=UserWarning)
            return float(balanced_accuracy_score(targets, decisions))
    if index == 1:
        present = np.unique(targets)
        return float(f1_score(targets, decisions, labels=present, average="macro", zero_division=0.0))
    return float(matthews_corrcoef(targets, decisions))


def calibration_error(hit: NDArray[Any], probability: NDArray[np.float64], n_bins: int = N_BINS) -> float:
    """Mean absolute gap between predicted and observed frequency, over bins of equal mass.

    (Naeini et al. 2015, with the equal-mass bins of Nixon et al. 2019.)
    """
    order = np.argsort(probability, kind="stable")
    parts = np.array_split(np.column_stack([probability, hit])[order], min(n_bins, len(order)))
    gaps = [abs(float(part[:, 0].sum() - part[:, 1].sum())) for part in parts]
    return sum(gaps) / len(order)
