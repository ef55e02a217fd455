"""Every input contract and every error text.

A domain is declared once, as an :class:`Interval`; the checks read it and so do the random tests.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray


class InputError(ValueError):
    """An argument breaks its contract; the message names it, the contract, the value and what to do."""


def reject(name: str, contract: str, value: object, remedy: str) -> NoReturn:
    """Raise the one form of error this package has."""
    message = f"{name} must {contract}; got {_shown(value)}. {remedy}"
    raise InputError(message)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 120 else text[:100] + "… " + text[-15:]


@dataclass(frozen=True)
class Interval:
    """A real interval, e.g. ``Interval(0, 1, low_inclusive=False)``."""

    low: float
    high: float
    low_inclusive: bool = True
    high_inclusive: bool = True

    def __contains__(self, value: object) -> bool:
        if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
            return False
        number = float(value)
        above = number >= self.low if self.low_inclusive else number > self.low
        below = number <= self.high if self.high_inclusive else number < self.high
        return above and below and -math.inf < number < math.inf

    def holds(self, values: NDArray[Any]) -> bool:
        """Whether every entry lies inside."""
        above = values >= self.low if self.low_inclusive else values > self.low
        below = values <= self.high if self.high_inclusive else values < self.high
        return bool(np.all(above & below & np.isfinite(values)))

    def __str__(self) -> str:
        left = "[" if self.low_inclusive else "("
        right = "]" if self.high_inclusive and math.isfinite(self.high) else ")"
        return f"{left}{self.low:g}, {self.high:g}{right}"


GAMMA = Interval(0, math.inf)
ALPHA_SOFTMAX = Interval(0, math.inf)
ALPHA_SIGMOID = Interval(0, 1, low_inclusive=False, high_inclusive=False)
LABEL_SMOOTHING = Interval(0, 1)
PROBABILITY = Interval(0, 1)
PRIOR = Interval(0, 1, low_inclusive=False, high_inclusive=False)
SAMPLE_WEIGHT = Interval(0, math.inf)
POSITIVE = Interval(0, math.inf, low_inclusive=False)
FRACTION = Interval(0, 1, low_inclusive=False)
BETA_EFFECTIVE = Interval(0, 1, high_inclusive=False)


def number(name: str, value: object, domain: Interval, remedy: str) -> float:
    """A scalar of ``domain`` as a float."""
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value.item()
    if value not in domain:
        reject(name, f"be a number in {domain}", value, remedy)
    return float(value)  # type: ignore[arg-type]


def number_or_vector(name: str, value: object, domain: Interval, remedy: str) -> float | tuple[float, ...]:
    """A scalar as a float, or a vector as a tuple, every entry in ``domain``; of tensors the values alone."""
    if not isinstance(value, (int, float, list, tuple)) and hasattr(value, "detach"):  # a tensor of PyTorch
        value = value.detach().cpu().double().numpy()
    if isinstance(value, (int, float, np.integer, np.floating)) or getattr(value, "ndim", None) == 0:
        return number(name, value, domain, remedy)
    if isinstance(value, (list, tuple)) and value and all(type(entry) in (float, int) for entry in value):
        if not all(entry in domain for entry in value):
            reject(name, f"be a number or a vector of numbers in {domain}", value, remedy)
        return tuple(float(entry) for entry in value)  # without NumPy, which torch.compile would trace
    try:
        vector = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        reject(name, f"be a number or a vector of numbers in {domain}", value, remedy)
    if vector.ndim != 1 or vector.size == 0 or not domain.holds(vector):
        reject(name, f"be a number or a vector of numbers in {domain}", value, remedy)
    return tuple(float(entry) for entry in vector)


def one_of(name: str, value: object, choices: Sequence[str], remedy: str = "") -> str:
    """A string out of ``choices``."""
    if not isinstance(value, str) or value not in choices:
        reject(
            name, "be one of " + ", ".join(repr(choice) for choice in choices), value, remedy or "Choose one of them."
        )
    return value


def is_float_dtype(dtype: np.dtype[Any]) -> bool:
    """Whether ``dtype`` is one that losses are computed for (bfloat16 as ml_dtypes gives it too)."""
    return (dtype.kind == "f" and dtype.itemsize <= 8) or dtype.name == "bfloat16"


def logits_array(value: object) -> NDArray[Any]:
    """Logits as a floating NumPy array; Python sequences of floats are taken as float64."""
    array = np.asarray(value)
    if not is_float_dtype(array.dtype):
        reject(
            "logits",
            "be a floating array (float16, bfloat16, float32 or float64)",
            f"dtype {array.dtype}",
            "Pass raw model outputs, e.g. logits.astype(numpy.float32).",
        )
    return array


def logits_shape(link: str, shape: tuple[int, ...], class_axis: int) -> int:
    """Check the shape of the logits; return the class axis as a non-negative number (-1 for none)."""
    if link == "sigmoid" and len(shape) == 1:
        return -1
    if len(shape) < 2:
        contract = "have shape (n, n_classes) or (n, n_classes, d1, ...)"
        if link == "sigmoid":
            contract = "have shape (n,), (n, n_classes) or (n, n_classes, d1, ...)"
        remedy = "For binary logits of shape (n,) use the sigmoid link." if link == "softmax" else "Add a batch axis."
        reject("logits", contract, f"shape {shape}", remedy)
    axis = class_axis + len(shape) if class_axis < 0 else class_axis
    if not 0 <= axis < len(shape):
        reject(
            "class_axis",
            f"name an axis of logits of shape {shape}",
            class_axis,
            "The default, 1, is the axis after the batch.",
        )
    if link == "softmax" and shape[axis] == 0:
        reject("logits", "have at least one class", f"shape {shape}", "Check class_axis.")
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
            f"{int(bad.sum())} bad values, the first at {where}",
            "Check the model's output, e.g. its learning rate.",
        )


def class_vector(name: str, value: float | tuple[float, ...] | None, n_classes: int) -> None:
    """A per-class vector must be as long as the logits' class axis."""
    if isinstance(value, tuple) and len(value) != n_classes:
        reject(
            name,
            f"be a number or have one entry for each of the {n_classes} classes of the logits",
            f"{len(value)} entries",
            "Pass one entry per class.",
        )


def _targets_array(value: object) -> NDArray[Any]:
    array = np.asarray(value)
    if array.dtype.kind not in "biuf" and array.dtype.name != "bfloat16":
        reject(
            "targets",
            "be integers or floating",
            f"dtype {array.dtype}",
            "Encode class names as integers 0 … n_classes - 1 first.",
        )
    return array.astype(np.int64) if array.dtype.kind == "b" else array


def softmax_targets(value: object, shape: tuple[int, ...], axis: int, ignore_index: int) -> NDArray[Any]:
    """Class ids shaped like the logits without their class axis, or probabilities shaped like the logits."""
    targets = _targets_array(value)
    n_classes = shape[axis]
    softmax_targets_shape(targets.dtype.kind in "iu", targets.dtype, targets.shape, shape, axis)
    if targets.dtype.kind in "iu":
        bad = (targets != ignore_index) & ((targets < 0) | (targets >= n_classes))
        if bad.any():
            reject(
                "targets",
                f"lie in [0, {n_classes}) or equal ignore_index={ignore_index}",
                int(targets[bad][0]),
                "Check the class ids and the number of logits.",
            )
        return targets
    _soft_range(targets)
    wide = targets.astype(np.float64)
    total = wide.sum(axis=axis)
    slack = 1e-2 if targets.dtype.itemsize == 2 else 1e-4
    if total.size and np.abs(total - 1).max() > slack:
        worst = total.flat[int(np.abs(total - 1).argmax())]
        reject(
            "targets",
            "sum to 1 over the class axis",
            f"a sum of {worst:.6g}",
            "Divide them by their sum, or use the sigmoid loss for multi-label targets.",
        )
    return targets


def softmax_targets_shape(
    integer: bool, dtype: object, targets: tuple[int, ...], logits: tuple[int, ...], axis: int
) -> None:
    """Class ids lack the class axis of the logits; probabilities have it."""
    rows = logits[:axis] + logits[axis + 1 :]
    if integer:
        if targets != rows:
            remedy = "Integer targets are class ids, not one-hot; float targets may be shaped like the logits."
            reject("targets", f"have shape {rows}", f"shape {targets}", remedy)
    elif targets != logits:
        remedy = "Give one probability per logit."
        if targets == rows:
            remedy = "Class ids must be integers (targets.astype(int))."
        contract = f"be integers of shape {rows}, or probabilities of shape {logits}"
        reject("targets", contract, f"{dtype} of shape {targets}", remedy)


def sigmoid_targets_shape(targets: tuple[int, ...], logits: tuple[int, ...]) -> None:
    """One target per logit."""
    if targets != logits:
        remedy = "Sigmoid targets are 0/1 per logit; for class ids use the softmax loss."
        reject("targets", f"have the shape of the logits, {logits}", f"shape {targets}", remedy)


def sample_weight_shape(weights: tuple[int, ...], rows: tuple[int, ...]) -> None:
    """One weight per sample or one per target."""
    if weights != rows and (not rows or weights != rows[:1]):
        remedy = "Pass one non-negative number per sample."
        reject("sample_weight", f"have shape {rows[:1]} or {rows}", f"shape {weights}", remedy)


def sigmoid_targets(value: object, shape: tuple[int, ...], ignore_index: int) -> NDArray[Any]:
    """0, 1 (or ignore_index), or soft values in [0, 1], shaped like the logits."""
    targets = _targets_array(value)
    sigmoid_targets_shape(targets.shape, shape)
    if targets.dtype.kind in "iu":
        bad = (targets != ignore_index) & (targets != 0) & (targets != 1)
        if bad.any():
            reject(
                "targets",
                f"be 0, 1 or ignore_index={ignore_index}",
                int(targets[bad][0]),
                "For class ids use the softmax loss.",
            )
        return targets
    _soft_range(targets)
    return targets


def _soft_range(targets: NDArray[Any]) -> None:
    wide = targets.astype(np.float64)
    if not PROBABILITY.holds(wide):
        bad = wide[~((wide >= 0) & (wide <= 1))]
        reject("targets", f"lie in {PROBABILITY}", float(bad.flat[0]), "Soft targets are probabilities.")


def sample_weight_array(value: object, rows: tuple[int, ...]) -> NDArray[np.float64] | None:
    """Weights of shape (n,) or one per target, as float64 broadcast to the targets' shape ``rows``."""
    if value is None:
        return None
    try:
        weights = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        reject("sample_weight", "be numbers", value, "Pass one non-negative number per sample.")
    sample_weight_shape(weights.shape, rows)
    if weights.shape != rows:
        weights = np.broadcast_to(weights.reshape(rows[:1] + (1,) * (len(rows) - 1)), rows)
    if not SAMPLE_WEIGHT.holds(weights):
        bad = weights[~((weights >= 0) & np.isfinite(weights))]
        reject("sample_weight", f"lie in {SAMPLE_WEIGHT}", float(bad.flat[0]), "Drop samples by weight 0.")
    return weights


def normalizer_number(value: object, reduction: str) -> float | None:
    """A positive denominator that takes the place of the mean's own."""
    if value is None:
        return None
    if isinstance(value, str) and value == "global":
        remedy = "'global', the mean over all ranks of torch.distributed, is for tensors of PyTorch."
        reject("normalizer", "be a number", value, remedy)
    if reduction not in ("mean", "sum"):
        reject(
            "normalizer",
            "go with reduction 'mean' or 'sum'",
            f"reduction {reduction!r}",
            "The loss is then the sum over the normalizer; drop one of the two.",
        )
    return number("normalizer", value, POSITIVE, "With no positives in a batch use max(1, n_positives).")


def probabilities_array(name: str, value: object) -> NDArray[np.float64]:
    """Probabilities (n,) or (n, K) as float64."""
    array = np.asarray(value)
    if array.dtype.kind not in "fiub" and array.dtype.name != "bfloat16":
        reject(name, "be numbers", f"dtype {array.dtype}", "Pass predicted probabilities.")
    array = array.astype(np.float64)
    if array.ndim not in (1, 2):
        reject(name, "have shape (n,) or (n, n_classes)", f"shape {array.shape}", "Put the classes on the last axis.")
    if not PROBABILITY.holds(array):
        bad = array[~((array >= 0) & (array <= 1))]
        reject(
            name,
            f"lie in {PROBABILITY}",
            float(bad.flat[0]),
            "These look like logits: apply softmax or the logistic function first.",
        )
    if array.ndim == 2 and array.size and np.abs(array.sum(axis=1) - 1).max() > 1e-3:
        worst = array.sum(axis=1)
        reject(
            name, "sum to 1 over the classes", float(worst[np.abs(worst - 1).argmax()]), "Divide each row by its sum."
        )
    return array
