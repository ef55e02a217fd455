"""The losses in ``keras.ops``, for backends that no engine of focalkit serves; Keras's backend differentiates them.

With m the log-odds of the true class, q = 1 - p_t = exp(-softplus(m)) and -log p_t = softplus(-m), so

    FL = alpha_t exp(-gamma softplus(m)) softplus(-m),

where nothing is subtracted from 1: no digits are lost on easy samples, and the derivative is finite for every gamma.
"""

from __future__ import annotations

from typing import Any

from focalkit._core import contracts
from focalkit._core.spec import LossSpec
from keras import ops

_MASKED = float("-inf")


def focal(m: Any, gamma: Any) -> Any:
    """Loss at log-odds m: exp(-gamma softplus(m)) softplus(-m)."""
    return ops.exp(-gamma * ops.softplus(m)) * ops.softplus(-m)


def softmax(spec: LossSpec, y_true: Any, y_pred: Any, axis: int, dense: bool) -> Any:
    """One loss per sample, of class ids (dense is False) or of targets with a class axis."""
    z = ops.moveaxis(y_pred, axis, -1)
    n_classes = z.shape[-1]
    for name in ("gamma", "alpha"):
        contracts.class_vector(name, getattr(spec, name), n_classes)
    gamma, alpha = _per_class(spec.gamma, z), _per_class(1.0 if spec.alpha is None else spec.alpha, z)
    smoothing = spec.label_smoothing
    if dense:
        y = ops.moveaxis(y_true, axis, -1)
    elif smoothing:
        y = ops.one_hot(y_true, n_classes, dtype=z.dtype)
    else:
        here = ops.one_hot(y_true, n_classes, dtype="bool")
        own = ops.sum(ops.where(here, z, 0.0), -1)
        others = ops.logsumexp(ops.where(here, _MASKED, z), -1)
        pick = [value if len(value.shape) == 0 else ops.take(value, y_true) for value in (gamma, alpha)]
        return pick[1] * focal(own - others, pick[0])
    y = (1 - smoothing) * y + smoothing / n_classes
    loss = y * alpha * focal(_log_odds(z), gamma)
    return ops.sum(ops.where(y > 0, loss, 0.0), -1)


def _log_odds(z: Any) -> Any:
    """Of every class: against the sum over the others, for the leading class summed without it."""
    n_classes = z.shape[-1]
    leads = ops.one_hot(ops.argmax(z, -1), n_classes, dtype="bool")
    total = ops.logsumexp(z, -1, keepdims=True)
    rest = ops.logsumexp(ops.where(leads, _MASKED, z), -1, keepdims=True)
    share = ops.exp(ops.where(leads, _MASKED, z - total))  # of the others, at most 1/2: 1 - share keeps its digits
    return z - ops.where(leads, rest, total + ops.log1p(-share))


def sigmoid(spec: LossSpec, y_true: Any, y_pred: Any) -> Any:
    """One loss per logit."""
    z = y_pred
    n_classes = z.shape[-1] if len(z.shape) > 1 else 1
    for name in ("gamma", "alpha"):
        contracts.class_vector(name, getattr(spec, name), n_classes)
    gamma = _per_class(spec.gamma, z)
    y = (1 - spec.label_smoothing) * y_true + spec.label_smoothing / 2
    positive, negative = y * focal(z, gamma), (1 - y) * focal(-z, gamma)
    if spec.alpha is None:
        return positive + negative
    alpha = _per_class(spec.alpha, z)
    return alpha * positive + (1 - alpha) * negative


def _per_class(value: Any, like: Any) -> Any:
    return ops.convert_to_tensor(value, dtype=like.dtype)
