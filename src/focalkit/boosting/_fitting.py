"""What the three estimators share: labels to class ids, weights checked, the objective of a training set."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import assert_all_finite, column_or_1d

from focalkit._core import contracts
from focalkit.boosting.metrics import METRICS
from focalkit.boosting.objective import FocalObjective
from focalkit.weights import alpha_of_classes

OWN_PARAMETERS = ("gamma", "alpha", "hessian", "options")


class Training(NamedTuple):
    """The labels of a training set as the boosters take them."""

    classes: NDArray[Any]
    targets: NDArray[np.int32]
    sample_weight: NDArray[np.float64] | None
    objective: FocalObjective


def read_training(y: Any, sample_weight: Any, gamma: Any, alpha: Any, hessian: str, options: Any = None) -> Training:
    """Check labels and weights; find classes, alpha, the scale and the start."""
    if y is None:
        contracts.reject("y", "be given", None, "This estimator requires y to be passed, but the target y is None.")
    contracts.unmasked("y", y)
    y = column_or_1d(y, warn=True)
    assert_all_finite(y, input_name="y")
    check_classification_targets(y)
    weight = contracts.sample_weight_array(sample_weight, y.shape)
    classes, targets = contracts.class_ids(y)
    counts = np.bincount(targets, weights=weight, minlength=len(classes)).astype(np.float64)
    if not counts.sum() > 0:
        got, remedy = contracts.Words("weights that are all zero"), "Leave sample_weight out to weigh all alike."
        contracts.reject("sample_weight", "leave some sample a weight above zero", got, remedy)
    weights = alpha_of_classes(alpha, classes, counts)
    objective = FocalObjective.from_counts(counts, gamma, weights, hessian=hessian, options=options)
    return Training(classes, targets.astype(np.int32), weight, objective)


def plain(X: Any) -> Any:
    """``X``, made a NumPy array where it is none of the containers that boosters read but can become one."""
    contracts.unmasked("X", X)
    known = hasattr(X, "dtype") or hasattr(X, "columns") or hasattr(X, "__arrow_c_stream__")
    return np.asarray(X) if hasattr(X, "__array__") and not known else X


def encode(name: str, y: Any, classes: NDArray[Any]) -> NDArray[np.int32]:
    """Class ids of labels out of ``classes``."""
    contracts.unmasked(name, y)
    y = column_or_1d(y)
    position: NDArray[Any] = np.minimum(np.searchsorted(classes, y), len(classes) - 1)
    unknown = classes[position] != y
    if np.any(unknown):
        remedy = "Every class must be in the training labels too."
        contracts.reject(name, f"have labels out of {classes.tolist()}", y[unknown][0], remedy)
    return np.asarray(position, np.int32)


def pairs(eval_set: Any) -> list[tuple[Any, Any]]:
    """The pairs (X, y) of ``eval_set``, which may be one alone."""
    if eval_set is None:
        return []
    alone = isinstance(eval_set, tuple) and not all(isinstance(part, tuple) for part in eval_set)
    parts = [eval_set] if alone else eval_set
    if not isinstance(parts, (list, tuple)):
        parts = [parts]
    for part in parts:
        if not isinstance(part, (list, tuple)) or len(part) != 2:
            got = contracts.Words(f"{len(part)} of them" if isinstance(part, (list, tuple)) else type(part).__name__)
            contracts.reject("eval_set", "be a pair (X, y), or a list of pairs", got, "Pass eval_set=[(X, y)].")
    return [(X, y) for X, y in parts]


def of_each(name: str, values: Any, n: int) -> list[Any]:
    """What is given beside each of ``n`` pairs of ``eval_set``; none for each where nothing is."""
    if values is None:
        return [None] * n
    if not isinstance(values, (list, tuple)) or len(values) != n:
        got = contracts.Words(f"{len(values)} of them" if isinstance(values, (list, tuple)) else type(values).__name__)
        contracts.reject(name, f"be a list of {n}, one for each pair of eval_set", got, "Use None where there is none.")
    return list(values)


def metric_names(value: Any) -> list[Any]:
    """The asked metrics as a list."""
    return list(value) if isinstance(value, (list, tuple)) else [value]


def is_own(metric: Any) -> bool:
    """Whether ``metric`` names one of this package's."""
    return isinstance(metric, str) and metric in METRICS


def decide(scores: NDArray[Any], classes: NDArray[Any]) -> NDArray[Any]:
    """The class of the largest score."""
    index = (scores > 0).astype(int) if scores.ndim == 1 else scores.argmax(axis=1)
    return np.asarray(classes[index])


def to_text(objective: FocalObjective, classes: NDArray[Any], alpha: Any) -> str:
    """Everything that a booster's own model file does not hold, as one line of JSON."""
    held = {"objective": asdict(objective), "classes": classes.tolist(), "dtype": classes.dtype.str}
    if isinstance(alpha, dict):
        held["alpha_of"] = [[_plain(key), _plain(value)] for key, value in alpha.items()]
    else:
        held["alpha"] = _plain(alpha)
    return json.dumps(held)


def _plain(value: Any) -> Any:
    """A value as JSON knows it."""
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value


def from_text(text: str | None, source: object) -> tuple[FocalObjective, NDArray[Any], Any]:
    """The inverse of :func:`to_text`: the objective, the classes, and alpha as it was given."""
    if not text:
        remedy = "Save it with the estimator's save_model(), not with the booster's."
        contracts.reject("model file", "be one that a focalkit estimator saved", source, remedy)
    held = json.loads(text)
    fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in held["objective"].items()}
    dtype = object if held["dtype"].endswith("O") else np.dtype(held["dtype"])
    objective = FocalObjective(**fields)
    alpha = dict(held["alpha_of"]) if "alpha_of" in held else held.get("alpha", objective.alpha)
    return objective, np.array(held["classes"], dtype=dtype), alpha
