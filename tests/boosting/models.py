"""The three estimators, quick ones, and data for them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from catboost import CatBoostClassifier
from lightgbm import LGBMClassifier
from xgboost import XGBClassifier

from focalkit.boosting import FocalCatBoostClassifier, FocalLGBMClassifier, FocalXGBClassifier


@dataclass(frozen=True)
class Library:
    """An estimator, its parent, and parameters that make both quick and alike."""

    name: str
    estimator: Any
    parent: Any
    quick: dict[str, Any]
    rounds: str
    suffix: str

    def make(self, **params: Any) -> Any:
        return self.estimator(**{**self.quick, **params})


LIBRARIES = (
    Library("xgboost", FocalXGBClassifier, XGBClassifier, {"n_estimators": 12, "n_jobs": 1}, "n_estimators", "ubj"),
    Library(
        "lightgbm",
        FocalLGBMClassifier,
        LGBMClassifier,
        {"n_estimators": 12, "n_jobs": 1, "verbose": -1, "min_child_samples": 5},
        "n_estimators",
        "txt",
    ),
    Library(
        "catboost",
        FocalCatBoostClassifier,
        CatBoostClassifier,
        {
            "iterations": 12,
            "learning_rate": 0.3,
            "depth": 3,
            "thread_count": 1,
            "verbose": False,
            "allow_writing_files": False,
            "boosting_type": "Plain",
        },
        "iterations",
        "cbm",
    ),
)


def table(n_classes: int, n: int = 600, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features and class ids of falling frequency, with noise in the labels."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 5))
    f = 2 * X[:, 0] + X[:, 1] * X[:, 2] + 0.7 * rng.normal(size=n)
    return X, np.searchsorted(np.quantile(f, np.linspace(0.7, 0.95, n_classes - 1)), f)
