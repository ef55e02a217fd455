"""Contracts of the arrays of a call: logits, targets, weights, normalizer, probabilities."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from focalkit._core import host
from focalkit._core.contracts.domains import PROBABILITY, SAMPLE_WEIGHT, Interval, array, numbers, one_number
from focalkit._core.contracts.errors import Words, reject, warn


def is_float_dtype(dtype: np.dtype[Any]) -> bool:
    """Whether ``dtype`` is one that losses are computed for (bfloat16 as ml_dtypes gives it too)."""
    return (dtype.kind == "f" and dtype.itemsize <= 8) or dtype.name == "bfloat16"


#: How logits are made of other numbers in each library.
_TO_FLOATS = {"numpy": "logits.astype(numpy.float32)", "torch": "logits.float()", "jax": "logits.astype(float)"}


def logits_array(value: object, library: str = "numpy") -> NDArray[Any]:
    """Logits as a floating NumPy array; Python sequences of floats are taken as float64."""
    logits = array("logits", value)
    if not is_float_dtype(logits.dtype):
        reject(
            "logits",
            "be a floating array (float16, bfloat16, float32 or float64)",
            Words(f"dtype {logits.dtype}"),
            f"Pass raw model outputs, e.g. {_TO_FLOATS[library]}.",
        )
    return logits


def logits_shape(link: str, shape: tuple[int, ...], class_axis: int) -> int:
    """Check the shape of the logits; return the class axis as a non-negative number (-1 for none)."""
    if link == "sigmoid" and len(shape) == 1:
        return -1
    if len(shape) < 2:
        contract = "have shape (n, n_classes) or (n, n_classes, d1, ...)"
        if link == "sigmoid":
            contract = "have shape (n,), (n, n_classes) or (n, n_classes, d1, ...)"
        remedy = "For binary logits of shape (n,) use the sigmoid link." if link == "softmax" else "Add a batch axis."
        reject("logits", contract, Words(f"shape {shape}"), remedy)
    axis = class_axis + len(shape) if class_axis < 0 else class_axis
    if not 0 <= axis < len(shape):
        reject(
            "class_axis",
            f"name an axis of logits of shape {shape}",
            class_axis,
            "The default, 1, is the axis after the batch.",
        )
    if link == "softmax" and shape[axis] == 0:
        reject("logits", "have at least one class", Words(f"shape {shape}"), "Check class_axis.")
    if link == "softmax" and shape[axis] == 1:
        text = f"A softmax over one class, of logits of shape {shape}, has loss 0 and gradient 0 whatever the logits"
        warn(f"{text}. One logit for two classes is for the sigmoid loss.")
    return axis


def finite_logits(logits: NDArray[Any]) -> None:
    """Refuse NaN and +inf; -inf is a masked class."""
    wide = logits.astype(np.float32) if logits.dtype.name == "bfloat16" else logits
    bad = np.isnan(wide) | np.isposinf(wide)
    if bad.any():
        where = tuple(int(i) for i in np.argwhere(bad)[0])
        reject(
            "logits",
            "be free of NaN and +inf",
            Words(f"{int(bad.sum())} bad values, the first at {where}"),
            "Check the model's output, e.g. its learning rate.",
        )


def _targets_array(value: object) -> NDArray[Any]:
    targets = array("targets", value)
    if targets.dtype.kind not in "biuf" and targets.dtype.name != "bfloat16":
        reject(
            "targets",
            "be integers or floating",
            Words(f"dtype {targets.dtype}"),
            "Encode class names as integers 0 … n_classes - 1 first.",
        )
    return targets.astype(np.int64) if targets.dtype.kind == "b" else targets


#: By how much soft targets, each of them and their sums, may miss their domain; half types by what they round.
SOFT_SLACK, SOFT_SLACK_OF_HALF = 1e-4, 1e-2


def softmax_targets(
    value: object,
    shape: tuple[int, ...],
    axis: int,
    ignore_index: float,
    slack: float | None = None,
    library: str = "numpy",
) -> NDArray[Any]:
    """Class ids shaped like the logits without their class axis, or probabilities shaped like the logits.

    Probabilities within ``slack`` of their domain (None: that of their dtype) are clipped to it.
    """
    targets = _targets_array(value)
    n_classes = shape[axis]
    softmax_targets_shape(targets.dtype.kind in "iu", targets.dtype, targets.shape, shape, axis, library)
    if targets.dtype.kind in "iu":
        bad = (targets != ignore_index) & ((targets < 0) | (targets >= n_classes))
        if bad.any():
            reject(
                "targets",
                f"lie in [0, {n_classes}) or equal ignore_index={ignore_index}",
                int(targets[bad][0]),
                "Check the class ids and the number of logits."
                if n_classes > 1
                else "One logit for two classes is for the sigmoid loss.",
            )
        return targets
    slack = _slack(value) if slack is None else slack
    targets = _soft_range(targets, slack, "")
    total = targets.astype(np.float64).sum(axis=axis)
    if total.size and np.abs(total - 1).max() > slack:
        worst = total.flat[int(np.abs(total - 1).argmax())]
        reject(
            "targets",
            "sum to 1 over the class axis",
            Words(f"a sum of {worst:.6g}"),
            "Divide them by their sum, or use the sigmoid loss for multi-label targets.",
        )
    return targets


#: How class ids are made of numbers, and one-hot targets of class ids, in each library.
_TO_INTEGERS = {"numpy": "targets.astype(int)", "torch": "targets.long()", "jax": "targets.astype(int)"}
_TO_ONE_HOT = {
    "numpy": "numpy.eye({k})[targets]",
    "torch": "torch.nn.functional.one_hot(targets, {k})",
    "jax": "jax.nn.one_hot(targets, {k})",
}


def softmax_targets_shape(
    integer: bool,
    dtype: object,
    targets: tuple[int, ...],
    logits: tuple[int, ...],
    axis: int,
    library: str = "numpy",
) -> None:
    """Class ids lack the class axis of the logits; probabilities have it."""
    rows = logits[:axis] + logits[axis + 1 :]
    if integer:
        if targets != rows:
            remedy = "Integer targets are class ids, not one-hot; float targets may be shaped like the logits."
            reject("targets", f"have shape {rows}", Words(f"shape {targets}"), remedy)
    elif targets != logits:
        remedy = "Give one probability per logit."
        if targets == rows:
            remedy = f"Class ids must be integers ({_TO_INTEGERS[library]})."
        contract = f"be integers of shape {rows}, or probabilities of shape {logits}"
        reject("targets", contract, Words(f"{dtype} of shape {targets}"), remedy)


def sigmoid_targets_shape(
    targets: tuple[int, ...], logits: tuple[int, ...], axis: int = 1, library: str = "numpy"
) -> None:
    """One target per logit."""
    if targets == logits:
        return
    remedy = "Sigmoid targets are 0/1 per logit."
    if axis >= 0 and targets == logits[:axis] + logits[axis + 1 :]:
        k = logits[axis]
        if k == 1:
            places = ", ".join("None" if i == axis else ":" for i in range(len(logits)))
            remedy = f"The class axis of length 1 is missing: pass targets[{places}]."
        else:
            move = {"numpy": "numpy.moveaxis({0}, -1, {1})", "torch": "{0}.movedim(-1, {1})"}
            one_hot = _TO_ONE_HOT[library].format(k=k)
            if axis != len(logits) - 1:
                one_hot = move.get(library, "jax.numpy.moveaxis({0}, -1, {1})").format(one_hot, axis)
            remedy = f"Sigmoid targets are 0/1 per logit; class ids become that as one-hot targets: {one_hot}."
    elif logits == (*targets, 1)[: len(logits)] or targets == (*logits, 1):
        remedy = "Drop the axis of length 1: targets[..., 0]."
    reject("targets", f"have the shape of the logits, {logits}", Words(f"shape {targets}"), remedy)


def sample_weight_shape(weights: tuple[int, ...], rows: tuple[int, ...]) -> None:
    """One weight per sample or one per target."""
    if weights != rows and (not rows or weights != rows[:1]):
        remedy = "Pass one non-negative number per sample."
        contract = f"have shape {rows}" if len(rows) < 2 else f"have shape {rows[:1]} or {rows}"
        reject("sample_weight", contract, Words(f"shape {weights}"), remedy)


def sigmoid_targets(
    value: object,
    shape: tuple[int, ...],
    axis: int,
    ignore_index: float,
    slack: float | None = None,
    library: str = "numpy",
) -> NDArray[Any]:
    """0, 1, or soft values in [0, 1], or ignore_index, shaped like the logits.

    Soft values within ``slack`` of [0, 1] (None: that of their dtype) are clipped to it.
    """
    targets = _targets_array(value)
    sigmoid_targets_shape(targets.shape, shape, axis, library)
    if targets.dtype.kind in "iu":
        bad = (targets != ignore_index) & (targets != 0) & (targets != 1)
        if bad.any():
            reject(
                "targets",
                f"be 0, 1 or ignore_index={ignore_index}",
                int(targets[bad][0]),
                "Class ids go to the softmax loss, or one-hot to this one.",
            )
        return targets
    counted = ~np.isnan(targets) if math.isnan(ignore_index) else targets != ignore_index
    slack = _slack(value) if slack is None else slack
    return _soft_range(targets, slack, f" or equal ignore_index={ignore_index}", counted)


def _slack(targets: object) -> float:
    return SOFT_SLACK_OF_HALF if host.is_half(targets) else SOFT_SLACK


def _soft_range(
    targets: NDArray[Any], slack: float, otherwise: str, counted: NDArray[np.bool_] | None = None
) -> NDArray[Any]:
    """Soft targets in [0, 1]: those that miss it by no more than ``slack`` clipped, any others refused."""
    wide = targets.astype(np.float64)
    if counted is not None:
        wide = np.where(counted, wide, 0.0)
    if np.all((wide >= 0) & (wide <= 1)):
        return targets
    if not np.all((wide >= -slack) & (wide <= 1 + slack)):
        bad = wide[~((wide >= -slack) & (wide <= 1 + slack))]
        remedy = "Soft targets are probabilities."
        if counted is not None:
            remedy += " Leave a target out by ignore_index, or by sample_weight 0."
        reject("targets", f"lie in {PROBABILITY}{otherwise}", float(bad.flat[0]), remedy)
    clipped = np.clip(wide, 0, 1).astype(targets.dtype)
    return clipped if counted is None else np.where(counted, clipped, targets)


def sample_weight_array(value: object, rows: tuple[int, ...]) -> NDArray[np.float64] | None:
    """Weights of shape (n,) or one per target, as float64 broadcast to the targets' shape ``rows``."""
    if value is None:
        return None
    given = array("sample_weight", value)
    if given.dtype.kind == "b":  # a mask of the samples that count
        value = given.astype(np.float64)
    weights = numbers("sample_weight", value, "be numbers", "Pass one non-negative number per sample.")
    sample_weight_shape(weights.shape, rows)
    if weights.shape != rows:
        weights = np.broadcast_to(weights.reshape(rows[:1] + (1,) * (len(rows) - 1)), rows)
    if not SAMPLE_WEIGHT.holds(weights):
        bad = weights[~((weights >= 0) & np.isfinite(weights))]
        reject("sample_weight", f"lie in {SAMPLE_WEIGHT}", float(bad.flat[0]), "Drop samples by weight 0.")
    return weights


def normalizer_number(value: object, reduction: str) -> float | None:
    """A denominator that takes the place of the mean's own; 0 is for :func:`normalizer_of_nothing` to judge."""
    if value is None:
        return None
    if isinstance(value, (float, int)) and not isinstance(value, bool):  # as nearly always: small batches feel the rest
        if 0 < value < 1e300 and reduction in ("mean", "sum"):
            return float(value)
    if isinstance(value, str) and value == "global":
        remedy = "'global', the mean over all ranks of torch.distributed, is for tensors of PyTorch."
        reject("normalizer", "be a number", value, remedy)
    if reduction not in ("mean", "sum"):
        reject(
            "normalizer",
            "go with reduction 'mean' or 'sum'",
            Words(f"reduction {reduction!r}"),
            "The loss is then the sum over the normalizer; drop one of the two.",
        )
    value = one_number("normalizer", value)
    if not isinstance(value, (int, float, np.generic)) and getattr(value, "ndim", 0) != 0:
        shape = tuple(getattr(value, "shape", ()))
        remedy = "Take its entry, normalizer[0]." if math.prod(shape) == 1 else "Sum it first, e.g. over ranks."
        reject("normalizer", "be one number", Words(f"shape {shape}"), remedy)
    if value not in SAMPLE_WEIGHT:
        reject("normalizer", NORMALIZER, value, _NO_POSITIVES)
    return float(value)  # type: ignore[arg-type]


NORMALIZER = "be a number in (0, inf), or 0 where no target is counted"
_NO_POSITIVES = "With no positives in a batch use max(1, n_positives)."


def normalizer_of_nothing(normalizer: float | None, n_counted: int) -> float | None:
    """A normalizer of 0 stands where nothing is counted, for the sum of nothing; 1 takes its place."""
    if normalizer != 0:
        return normalizer
    if n_counted:
        reject("normalizer", NORMALIZER, Words(f"0 beside {n_counted} counted targets"), _NO_POSITIVES)
    return 1.0


def vector(
    name: str, value: object, domain: Interval, remedy: str, *, length: int | None = None
) -> NDArray[np.float64]:
    """Numbers (n,) of ``domain`` as float64, one at least; ``length`` of them where that is given."""
    given = array(name, value)
    entries = numbers(name, given.astype(np.float64) if given.dtype.kind == "b" else given, "be numbers", remedy)
    if entries.ndim != 1 or entries.size == 0 or length not in (None, len(entries)):
        wanted = "n" if length is None else length
        reject(name, f"have shape ({wanted},)", Words(f"shape {entries.shape}"), remedy)
    if not domain.holds(entries):
        bad = entries[[entry not in domain for entry in entries.tolist()]]
        reject(name, f"lie in {domain}", float(bad[0]), remedy)
    return entries


def events(name: str, value: object, length: int) -> NDArray[np.bool_]:
    """Truth values (n,), or zeros and ones: whether each of ``length`` rows is one."""
    remedy = "Pass True or False for each row."
    given = array(name, value)
    entries = vector(name, given, PROBABILITY, remedy, length=length)
    happened: NDArray[np.bool_] = entries == 1
    if not (happened | (entries == 0)).all():
        reject(name, "be 0 or 1", float(entries[~happened & (entries != 0)][0]), remedy)
    return happened


def probabilities_array(name: str, value: object) -> NDArray[np.float64]:
    """Probabilities (n,) or (n, K) as float64."""
    probabilities = array(name, value)
    if probabilities.dtype.kind not in "fiub" and probabilities.dtype.name != "bfloat16":
        reject(name, "be numbers", Words(f"dtype {probabilities.dtype}"), "Pass predicted probabilities.")
    probabilities = probabilities.astype(np.float64)
    if probabilities.ndim not in (1, 2) or (probabilities.ndim == 2 and probabilities.shape[1] == 0):
        reject(
            name,
            "have shape (n,) or (n, n_classes)",
            Words(f"shape {probabilities.shape}"),
            "Put the classes on the last axis.",
        )
    if not PROBABILITY.holds(probabilities):
        bad = probabilities[~((probabilities >= 0) & (probabilities <= 1))]
        remedy = "These look like logits: apply softmax or the logistic function first."
        if np.isnan(bad.flat[0]):
            remedy = "Leave out the rows without predictions."
        reject(name, f"lie in {PROBABILITY}", float(bad.flat[0]), remedy)
    slack = SOFT_SLACK_OF_HALF if host.is_half(value) else 1e-3
    if probabilities.ndim == 2 and probabilities.size and np.abs(probabilities.sum(axis=1) - 1).max() > slack:
        worst = probabilities.sum(axis=1)
        reject(
            name, "sum to 1 over the classes", float(worst[np.abs(worst - 1).argmax()]), "Divide each row by its sum."
        )
    return probabilities
