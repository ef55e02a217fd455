"""The losses in ``keras.ops``, for backends that no engine of focalkit serves; Keras's backend differentiates them.

With m the log-odds of the true class, q = 1 - p_t = exp(-softplus(m)) and -log p_t = softplus(-m), so

    FL = alpha_t exp(-gamma softplus(m)) softplus(-m),

where nothing is subtracted from 1: no digits are lost on easy samples, and the derivative is finite for every gamma.
"""

from __future__ import annotations

from typing import Any

from focalkit._core import contracts, definition, forms
from focalkit._core.spec import LossSpec
from keras import ops

_MASKED = float("-inf")


def focal(m: Any, gamma: Any) -> Any:
    """Loss at log-odds m: exp(-gamma softplus(m)) softplus(-m)."""
    return ops.exp(-gamma * ops.softplus(m)) * ops.softplus(-m)


def _modulation(m: Any, gamma: Any) -> Any:
    return ops.exp(-gamma * ops.softplus(m))


def _excess_loss(m: Any, gamma: Any) -> Any:
    """q^gamma (nll - q): where m > 0 the difference is summed as ``definition.excess`` sums it."""
    likely, q = m > 0, ops.sigmoid(-m)
    small = ops.where(likely, q, 0.0)
    s = small / (2.0 - small)
    series = s * (small + s * s * definition.atanh_series(s * s, ops))
    return _modulation(m, gamma) * ops.where(likely, series, ops.softplus(-m) - q)


def _power_loss(m: Any, k: Any) -> Any:
    """``(1 - p^k) / k``; the slope of expm1 is expm1 + 1 to a library, which has no digits where expm1 nears -1."""
    nll = ops.softplus(-m)
    x = k * nll
    near = x < 1
    rise = ops.where(near, -ops.expm1(-ops.where(near, x, 0.5)), 1 - ops.exp(-x))
    return ops.where(x < 1e-17, nll, rise / k)


def _quality(z: Any, y: Any, gamma: Any) -> Any:
    """``|y - p|^gamma CE(p, y)``."""
    p = ops.sigmoid(z)
    s = ops.where(y == 0, p, ops.where(y == 1, -ops.sigmoid(-z), p - y))
    size = ops.where(s < 0, -s, s)
    there = size > 0
    w = ops.where(there, ops.where(there, size, 1.0) ** gamma, ops.where(gamma == 0, 1.0, 0.0))
    entropy = definition.weighted(y, ops.softplus(-z), ops) + definition.weighted(1 - y, ops.softplus(z), ops)
    return w * entropy


class _Functions:
    """What ``forms.composed`` and ``forms.composed_soft`` are made of."""

    xp = ops
    loss, excess_loss, modulation = staticmethod(focal), staticmethod(_excess_loss), staticmethod(_modulation)
    power_loss, quality = staticmethod(_power_loss), staticmethod(_quality)
    nll, sigma = staticmethod(lambda m: ops.softplus(-m)), staticmethod(ops.sigmoid)
    stop_gradient = staticmethod(ops.stop_gradient)


def _at(m: Any, gamma: Any, form: forms.Form | None) -> Any:
    """Loss of a form at log-odds m."""
    return focal(m, gamma) if form is None else forms.composed(m, gamma, form, _Functions)


def _shifted(spec: LossSpec, z: Any, n_classes: int) -> tuple[Any, Any]:
    """Scaled and adjusted logits, and by what the true class's log-odds are less, per class; None: nothing."""
    for name in ("gamma", "alpha", "logit_adjustment", "margin"):
        contracts.class_vector(name, getattr(spec, name), n_classes)
    adjustment, margin = (None if v is None else _per_class(v, z) for v in spec.shift_vectors())
    z = z if spec.scale == 1 else spec.scale * z
    return z if adjustment is None else z + adjustment, margin


def softmax(spec: LossSpec, y_true: Any, y_pred: Any, axis: int, dense: bool) -> Any:
    """One loss per sample, of class ids (dense is False) or of targets with a class axis."""
    z = ops.moveaxis(y_pred, axis, -1)
    n_classes = z.shape[-1]
    z, margin = _shifted(spec, z, n_classes)
    gamma, form = spec.positives
    gamma, alpha = _per_class(gamma, z), _per_class(1.0 if spec.alpha is None else spec.alpha, z)
    smoothing = spec.label_smoothing
    if dense:
        y = ops.moveaxis(y_true, axis, -1)
    elif smoothing:
        y = ops.one_hot(y_true, n_classes, dtype=z.dtype)
    else:
        here = ops.one_hot(y_true, n_classes, dtype="bool")
        own = ops.sum(ops.where(here, z, 0.0), -1)
        others = ops.logsumexp(ops.where(here, _MASKED, z), -1)
        pick = [v if len(v.shape) == 0 or v.shape[0] == 1 else ops.take(v, y_true) for v in (gamma, alpha)]
        less = 0.0 if margin is None else margin[0] if margin.shape[0] == 1 else ops.take(margin, y_true)
        return pick[1] * _at(own - others - less, pick[0], form)
    y = (1 - smoothing) * y + smoothing / n_classes
    m = _log_odds(z)
    loss = y * alpha * _at(m if margin is None else m - margin, gamma, form)
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
    z, _ = _shifted(spec, y_pred, y_pred.shape[-1] if len(y_pred.shape) > 1 else 1)
    y = (1 - spec.label_smoothing) * y_true + spec.label_smoothing / 2
    alpha = None if spec.alpha is None else _per_class(spec.alpha, z)
    (gamma, form), (gamma_negative, form_negative) = spec.positives, spec.negatives
    if form is not None and form.name in forms.OF_SOFT_TARGETS:
        loss = forms.composed_soft(z, y, _per_class(gamma, z), form, _Functions)
        return loss if alpha is None else (alpha * y_true + (1 - alpha) * (1 - y_true)) * loss
    positive = y * _at(z, _per_class(gamma, z), form)
    negative = (1 - y) * _at(-z, _per_class(gamma_negative, z), form_negative)
    return positive + negative if alpha is None else alpha * positive + (1 - alpha) * negative


def _per_class(value: Any, like: Any) -> Any:
    return ops.convert_to_tensor(value, dtype=like.dtype)
