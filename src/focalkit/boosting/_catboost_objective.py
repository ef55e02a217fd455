"""The objective and the metrics as CatBoost calls them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from focalkit._core import contracts
from focalkit.boosting.metrics import METRICS, Metric
from focalkit.boosting.objective import FocalObjective

Array = NDArray[Any]


class NativeObjective:
    """``loss_function`` of :class:`catboost.CatBoostClassifier`; signs are CatBoost's, which ascends.

    For more than two classes also set ``classes_count`` (or ``eval_metric="MultiClass"``). The
    Hessian is then the whole matrix, so it needs no factor to be a bound: "majorizer" is
    (1 + gamma) G (diag p - p p^T) and "clipped" the exact matrix with d2 held at or above G p q.
    "exact" is refused there: CatBoost solves with the matrix, and it need not be positive.
    """

    def __init__(self, objective: FocalObjective) -> None:
        if objective.hessian == "exact" and objective.n_classes > 2:
            remedy = "CatBoost needs a positive definite matrix."
            contracts.reject(
                "hessian", "be 'majorizer' or 'clipped' for more than two classes", objective.hessian, remedy
            )
        self.objective = objective

    def calc_ders_range(self, approxes: Any, targets: Any, weights: Any) -> list[tuple[float, float]]:
        """First and second derivative of minus the loss for a block of samples of two classes."""
        weight = None if weights is None else np.asarray(weights, np.float64)
        grad, hess = self.objective.grad_hess(np.asarray(approxes), np.asarray(targets).astype(np.int32), weight)
        return list(zip((-grad).tolist(), (-hess).tolist(), strict=True))

    def calc_ders_multi(self, approxes: Any, target: float, weight: float) -> tuple[Array, Array]:
        """Gradient (n_classes,) and Hessian (n_classes, n_classes) of minus the loss for one sample."""
        grad, hess = self.objective.grad_hess_matrix(np.asarray(approxes), int(target), weight)
        return -grad, -hess


def native_metric(objective: FocalObjective, name: str) -> Any:
    """``eval_metric`` of :class:`catboost.CatBoostClassifier` for training with :class:`NativeObjective`."""
    metric = METRICS[contracts.one_of("metric", name, tuple(METRICS))]
    return type(name, (_Metric,), {})(objective, metric)  # CatBoost calls a metric by its class's name


class _Metric:
    alpha_in_weights = False  # whether weights that are not all 1 are alpha times the samples' own

    def __init__(self, objective: FocalObjective, metric: Metric) -> None:
        self.objective = objective
        self.metric = metric

    def is_max_optimal(self) -> bool:
        """Whether larger is better."""
        return self.metric.larger_is_better

    def evaluate(self, approxes: Any, target: Any, weight: Any) -> tuple[float, float]:
        """The figure, and 1 as its weight."""
        scores = np.asarray(approxes[0]) if len(approxes) == 1 else np.column_stack(approxes)
        targets = np.asarray(target).astype(np.int32)
        weights = None if weight is None or len(weight) == 0 else np.asarray(weight, np.float64)
        if self.alpha_in_weights and weights is not None and np.any(weights != 1):  # the training data
            alpha = np.asarray(self.objective.alpha)[targets]
            weights = np.divide(weights, alpha, out=np.zeros_like(weights), where=alpha > 0)
        return self.metric.compute(self.objective, scores, targets, weights), 1.0

    def get_final_error(self, error: float, weight: float) -> float:
        """The figure as it is."""
        return error / weight
