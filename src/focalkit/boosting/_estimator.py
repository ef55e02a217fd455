"""What the three estimators repeat: what they remember of a fit, and what they refuse of their parents."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from focalkit._core import contracts
from focalkit.boosting import _fitting
from focalkit.boosting.metrics import METRICS
from focalkit.boosting.objective import FocalObjective


class FocalBooster:
    """A booster's classifier with the focal loss; its parent class comes after this one."""

    gamma: Any
    alpha: Any
    hessian: Any
    options: Any
    focal_: FocalObjective
    _classes: NDArray[Any]

    def _remember(self, objective: FocalObjective, classes: NDArray[Any]) -> None:
        """Keep the objective and the labels of a fit."""
        self.focal_ = objective
        self.alpha_ = np.asarray(objective.alpha)
        self._classes = classes

    @property
    def classes_(self) -> NDArray[Any]:
        """Class labels, sorted."""
        check_is_fitted(self)
        return self._classes

    def _as_text(self) -> str:
        """What the booster's own model file does not hold."""
        check_is_fitted(self)
        return _fitting.to_text(self.focal_, self.classes_, self.alpha)

    def _recall(self, text: str | None, source: object) -> None:
        """Take over what :meth:`_as_text` gave, alpha as its user gave it."""
        objective, classes, self.alpha = _fitting.from_text(text, source)
        self.gamma, self.hessian = objective.gamma, objective.hessian
        self.options = dict(objective.options) or None
        FocalBooster._remember(self, objective, classes)


def refuse_method(name: str, remedy: str) -> Any:
    """A method of the parent that knows nothing of the focal loss."""

    def refused(self: Any, *args: Any, **kwargs: Any) -> NoReturn:
        contract = f"not be called on a {type(self).__name__}"
        contracts.reject(
            f"{name}()", contract, contracts.Words("a method that knows nothing of the focal loss"), remedy
        )

    refused.__name__ = name
    refused.__doc__ = f"Refused: it knows nothing of the focal loss. {remedy}"
    return refused


def refuse_parameters(given: dict[str, Any], names: Iterable[str], remedy: str, harmless: Collection[Any] = ()) -> None:
    """Refuse parameters of the parent that would have no effect, or take the place of the focal loss's."""
    for name in names:
        value = given.get(name)
        if value is not None and value is not False and value not in harmless:
            contracts.reject(name, "be left alone", value, remedy)


def check_metrics(name: str, asked: Iterable[Any], right: Collection[str], *, all_right: bool) -> None:
    """Refuse metrics of the booster that would take the focal scores for probabilities.

    ``right`` are those that go by the order of the scores or by the largest one. Under cross-entropy XGBoost's and
    CatBoost's scores are the probabilities' own, and all metrics are right.
    """
    for metric in asked:
        if all_right or not isinstance(metric, str) or metric in METRICS or metric.partition(":")[0] in right:
            continue
        contract = "be a metric that is right for the scores of a focal loss"
        contracts.reject(name, contract, metric, "It would read them as probabilities: use 'recovered_log_loss'.")
