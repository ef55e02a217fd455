"""Which alpha and gamma help on one's own data, and whether anything does."""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING as _TYPE_CHECKING

from focalkit.tuning.result import Cell, TuneResult
from focalkit.tuning.search import tune
from focalkit.tuning.verdict import Verdict, judge, judge_all

if _TYPE_CHECKING:
    from focalkit.tuning.classifiers import OutOfFold
    from focalkit.tuning.estimators import named_estimator
    from focalkit.tuning.multilabel import LabelVerdicts, tune_labels
    from focalkit.tuning.remedy import RemedyClassifier

__all__ = [
    "Cell",
    "LabelVerdicts",
    "OutOfFold",
    "RemedyClassifier",
    "TuneResult",
    "Verdict",
    "judge",
    "judge_all",
    "named_estimator",
    "tune",
    "tune_labels",
]

_LATER = {
    "LabelVerdicts": "multilabel",
    "OutOfFold": "classifiers",
    "RemedyClassifier": "remedy",
    "named_estimator": "estimators",
    "tune_labels": "multilabel",
}


def __getattr__(name: str) -> object:
    """Import what needs scikit-learn when it is first asked for."""
    if name in _LATER:
        globals()[name] = getattr(_import_module(f"focalkit.tuning.{_LATER[name]}"), name)
        return globals()[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")  # noqa: EM102


def __dir__() -> list[str]:
    return sorted(__all__)
