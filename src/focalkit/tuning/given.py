"""Predictions that are there, as a fitted classifier of scikit-learn's manner."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin

Real = NDArray[np.float64]
Ints = NDArray[np.intp]


class Given(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Predictions that are there, as a fitted classifier that scorers can ask; ``asked`` is what they asked for."""

    def __init__(self, classes: NDArray[Any], p: Real, decided: Ints) -> None:
        self.classes_, self._p, self._decided = classes, p, decided
        self.asked: set[str] = set()

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def fit(self, X: Any, y: Any) -> Given:
        """Nothing is learned."""
        return self

    def predict(self, X: Any) -> NDArray[Any]:
        """The decisions, as labels."""
        self.asked.add("predict")
        return self.classes_[self._decided]

    def predict_proba(self, X: Any) -> Real:
        """The probabilities."""
        self.asked.add("predict_proba")
        return self._p
