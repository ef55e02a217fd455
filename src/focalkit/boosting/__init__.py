"""Boosted trees with the focal loss: objectives, metrics and estimators for XGBoost, LightGBM and CatBoost.

A framework is imported when its estimator is first asked for.
"""

from importlib import import_module
from typing import Any

from focalkit.boosting.objective import FocalObjective
from focalkit.boosting.start import focal_start

_HOME = {"FocalXGBClassifier": "xgboost", "FocalLGBMClassifier": "lightgbm", "FocalCatBoostClassifier": "catboost"}

__all__ = ["FocalCatBoostClassifier", "FocalLGBMClassifier", "FocalObjective", "FocalXGBClassifier", "focal_start"]


def __getattr__(name: str) -> Any:
    """Import the estimator that is asked for, and with it its framework."""
    if name not in _HOME:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
