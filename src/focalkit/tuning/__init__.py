"""Which alpha and gamma help on one's own data, and whether anything does."""

from focalkit.tuning.classifiers import OutOfFold
from focalkit.tuning.estimators import named_estimator
from focalkit.tuning.multilabel import LabelVerdicts, tune_labels
from focalkit.tuning.remedy import RemedyClassifier
from focalkit.tuning.result import Cell, TuneResult
from focalkit.tuning.search import tune
from focalkit.tuning.verdict import Verdict, judge, judge_all

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
