"""Composite implementation: the loss in array operations alone, over any array library.

One text is the float64 truth (:func:`truth`, NumPy), PyTorch's fallback and JAX's engine: ``ops``
(:class:`focalkit._core.ops.Ops`) is the library with the definition and the links bound to it, differentiable where
the library differentiates. Nothing here reads a value, so it can be traced, compiled and mapped; arguments are
checked before. Sums are taken in the library's widest dtype, and every result is rounded once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from focalkit._core import definition, forms, links, reduction
from focalkit._core.call import Call, Result, class_axis, loss_shape
from focalkit._core.definition import weighted
from focalkit._core.forms import Form
from focalkit._core.ops import NUMPY, Ops
from focalkit._core.spec import LossSpec


class _Terms(NamedTuple):
    """Per row: loss (n,), grad and hess (n, width) or None, alpha_t * sample_weight, and two masks."""

    loss: Any
    grad: Any
    hess: Any
    weight: Any
    counted: Any
    positive: Any


def truth(call: Call, order: int = 0) -> Result:
    """Loss and derivatives of NumPy arrays in float64, rounded once: what every other engine is held to."""
    with np.errstate(all="ignore"):
        return evaluate(call, order, NUMPY)


def evaluate(call: Call, order: int, ops: Ops) -> Result:
    """Loss, and from ``order`` 1 the gradient and 2 the Hessian's diagonal in closed form.

    The loss is differentiable in every argument, to any order; the closed forms are not meant to be differentiated.
    """
    spec, logits = call.spec, call.logits
    axis = class_axis(spec, logits.ndim)
    terms = _softmax_terms(call, axis, order, ops) if spec.link == "softmax" else _sigmoid_terms(call, axis, order, ops)
    masks = terms.counted, terms.positive
    keep = reduction.kept(spec, ops.stop_gradient(terms.loss), *masks, ops, reduction.largest(ops))
    losses = ops.where(keep, terms.loss, ops.zeros_like(terms.loss))
    scale = reduction.denominator(spec, keep, terms.weight, call.normalizer, ops)
    if spec.reduction == "none":
        value = losses.reshape(loss_shape(spec, logits.shape))
    else:
        value = ops.total(losses)
    if scale is not None:
        value = value / scale

    def like_logits(part: Any) -> Any:
        if part is None:
            return None
        rows = ops.where(keep[:, None], part, ops.zeros_like(part))
        if scale is not None:
            rows = rows / ops.astype(scale, rows.dtype)
        rows = ops.astype(rows, logits.dtype)
        if spec.link == "sigmoid":
            return rows.reshape(logits.shape)
        last = rows.reshape((*loss_shape(spec, logits.shape), logits.shape[axis]))
        return ops.contiguous(ops.moveaxis(last, -1, axis))

    dtype = logits.dtype if call.out_dtype is None else call.out_dtype
    return Result(ops.astype(value, dtype), like_logits(terms.grad), like_logits(terms.hess))


def parameter(given: Any, value: Any, like: Any, ops: Ops) -> Any:
    """A per-class parameter, (1,) or (n_classes,): the array that was given, or else the spec's numbers."""
    if given is None:
        given = value if isinstance(value, tuple) else (value,)
    return ops.parameter(given, like)


def alphas(spec: LossSpec, given: Any, like: Any, ops: Ops, other: Any = None) -> tuple[Any, Any]:
    """Alpha (1 for all where there is none in a softmax), and for the sigmoid 1 - alpha, taken before it is rounded.

    ``given`` takes the place of the spec's, and ``other`` that of the difference.
    """
    if spec.link == "softmax":
        return parameter(given, 1.0 if spec.alpha is None else spec.alpha, like, ops), None
    if given is not None:
        return ops.parameter(given, like), ops.parameter(1 - given if other is None else other, like)
    if spec.alpha is None:
        return None, None
    values: Any = spec.alpha if isinstance(spec.alpha, tuple) else (spec.alpha,)
    return ops.parameter(values, like), ops.parameter(tuple(1 - a for a in values), like)


def sample_weight(call: Call, like: Any, ops: Ops) -> Any:
    """One weight for each row of ``like`` (softmax), or element (sigmoid), flattened."""
    w = call.sample_weight
    if w is None:
        return None
    shape = loss_shape(call.spec, call.logits.shape)
    if w.ndim < len(shape):
        w = w.reshape((-1, *(1,) * (len(shape) - 1)))
    return ops.astype(ops.broadcast_to(w, shape).reshape(-1), like.dtype)


def _softmax_terms(call: Call, axis: int, order: int, ops: Ops) -> _Terms:
    return scaled(call.spec, _softmax_rows(call, axis, order, ops))


def scaled(spec: LossSpec, terms: _Terms) -> _Terms:
    """Derivatives in the logits from those in the logits times ``spec.scale``."""
    if spec.scale == 1:
        return terms
    grad = None if terms.grad is None else terms.grad * spec.scale
    return terms._replace(grad=grad, hess=None if terms.hess is None else terms.hess * spec.scale * spec.scale)


def _softmax_rows(call: Call, axis: int, order: int, ops: Ops) -> _Terms:
    spec, parameters = call.spec, call.parameters
    k = call.logits.shape[axis]
    z = ops.astype(ops.moveaxis(call.logits, axis, -1).reshape((-1, k)), ops.compute_dtype(call.logits))
    gamma = ops.broadcast_to(parameter(parameters.gamma, spec.gamma, z, ops), (k,))
    alpha = ops.broadcast_to(alphas(spec, parameters.alpha, z, ops)[0], (k,))
    adjustment, margin = shifts(spec, z, ops)
    if margin is not None:
        margin = ops.broadcast_to(margin, (k,))
    sample = sample_weight(call, z, ops)
    positive = reduction.positive(spec, call.targets, axis, ops).reshape(-1)
    counted = reduction.counted(spec, call.targets, axis, ops).reshape(-1)
    if not ops.is_float(call.targets):  # what is ignored may be NaN
        z = ops.where(counted[:, None], z, ops.zeros_like(z))
    if spec.shifts:
        z = links.adjusted(z, spec.scale, adjustment, ops)
    if ops.is_float(call.targets):
        y = ops.astype(ops.moveaxis(call.targets, axis, -1).reshape((-1, k)), z.dtype)
        weight = reduction.class_weight(spec, y, alpha, None, -1, ops)
    else:
        given = ops.astype(call.targets.reshape(-1), ops.index)
        known = ((given >= 0) & (given < k)) | ~counted
        ids = ops.where(counted & known, given, ops.zeros_like(given))
        weight = reduction.class_weight(spec, ids, alpha, None, -1, ops)
        weight = ops.where(known, weight, ops.full_like(weight, ops.nan))  # an id that is none: the loss says so
        if spec.label_smoothing == 0:
            weight = weight if sample is None else weight * sample
            of_true = None if margin is None else margin[ids]
            return _Terms(
                *_hard_rows(z, ids, gamma[ids], of_true, weight, spec.form, order, ops), weight, counted, positive
            )
        one = ops.where(known, ops.ones_like(weight), ops.full_like(weight, ops.nan))
        y = ops.where(links.one_hot(ids, z, ops), one[:, None], ops.zeros_like(z))
    y = (1 - spec.label_smoothing) * y + spec.label_smoothing / k
    shares = y * alpha if sample is None else y * alpha * sample[:, None]
    weight = weight if sample is None else weight * sample
    gamma = ops.broadcast_to(gamma, z.shape)
    return _Terms(*_soft_rows(z, gamma, margin, shares, spec.form, order, ops), weight, counted, positive)


def shifts(spec: LossSpec, like: Any, ops: Ops) -> tuple[Any, Any]:
    """``logit_adjustment`` and ``scale * margin`` as arrays (1,) or (n_classes,), None where there is none."""
    adjustment, margin = (None if v is None else ops.parameter(v, like) for v in spec.shift_vectors())
    return adjustment, margin


def less(m: Any, margin: Any) -> Any:
    """Log-odds less the margin, where there is one."""
    return m if margin is None else m - margin


def value_at(m: Any, gamma: Any, form: Form | None, ops: Ops) -> Any:
    """The loss at log-odds ``m``, differentiable where the library differentiates."""
    return ops.loss(m, gamma) if form is None else ops.form_loss(m, gamma, form)


def _hard_rows(
    z: Any, ids: Any, gamma: Any, margin: Any, weight: Any, form: Form | None, order: int, ops: Ops
) -> tuple[Any, Any, Any]:
    if order == 0:
        return weighted(weight, value_at(less(ops.log_odds(z, ids), margin), gamma, form, ops), ops), None, None
    m, r, rest = links.softmax_log_odds(z, ids, ops)
    m = less(m, margin)
    value = weighted(weight, forms.loss(m, gamma, form, ops), ops)
    true = links.one_hot(ids, z, ops)
    d1 = weight * forms.d1(m, gamma, form, ops)
    grad = links.softmax_gradient(d1, true, r, ops)
    if order == 1:
        return value, grad, None
    d2 = weight * forms.d2(m, gamma, form, ops)
    return value, grad, links.softmax_hessian(d1, d2, true, r, rest, ops)


def _soft_rows(
    z: Any, gamma: Any, margin: Any, weight: Any, form: Form | None, order: int, ops: Ops
) -> tuple[Any, Any, Any]:
    """The expected loss; ``weight`` (n, n_classes) holds y_k alpha_k sample_weight."""
    if order == 0:
        m = less(ops.log_odds_of_all(z), margin)
        return ops.sum(weighted(weight, value_at(m, gamma, form, ops), ops), -1), None, None
    m, leading, r, rest = links.softmax_log_odds_all(z, ops)
    p, q, _ = definition.probabilities(m, ops)
    m = less(m, margin)
    value = ops.sum(weighted(weight, forms.loss(m, gamma, form, ops), ops), -1)
    d1 = weight * forms.d1(m, gamma, form, ops)
    grad = links.softmax_gradient_soft(d1, p, q, leading, r, ops)
    if order == 1:
        return value, grad, None
    d2 = weight * forms.d2(m, gamma, form, ops)
    return value, grad, links.softmax_hessian_soft(d1, d2, p, q, leading, r, rest, ops)


def _sigmoid_terms(call: Call, axis: int, order: int, ops: Ops) -> _Terms:
    spec, parameters, shape = call.spec, call.parameters, call.logits.shape
    z = ops.astype(call.logits.reshape(-1), ops.compute_dtype(call.logits))

    def per_element(vector: Any) -> Any:
        if vector is not None and axis >= 0:
            vector = vector.reshape([-1 if i == axis else 1 for i in range(len(shape))])
        return None if vector is None else ops.broadcast_to(vector, shape).reshape(-1)

    gamma = per_element(parameter(parameters.gamma, spec.gamma, z, ops))
    counted = reduction.counted(spec, call.targets, axis, ops).reshape(-1)
    targets = call.targets.reshape(-1)
    y = ops.astype(ops.where(counted, targets, ops.zeros_like(targets)), z.dtype)
    z = ops.where(counted, z, ops.zeros_like(z))  # what is ignored may be NaN
    adjustment = per_element(shifts(spec, z, ops)[0])
    z = z * spec.scale if spec.scale != 1 else z
    z = z if adjustment is None else z + adjustment
    positive = reduction.positive(spec, y, axis, ops)
    of_positive, of_negative = (
        per_element(vector) for vector in alphas(spec, parameters.alpha, z, ops, parameters.alpha_other)
    )
    weight = reduction.class_weight(spec, y, of_positive, of_negative, axis, ops)
    if of_positive is None:
        of_positive = of_negative = ops.ones_like(z)
    sample = sample_weight(call, z, ops)
    if sample is not None:
        of_positive, of_negative, weight = of_positive * sample, of_negative * sample, weight * sample
    y = (1 - spec.label_smoothing) * y + spec.label_smoothing / 2
    if spec.form is not None and spec.form.name in forms.OF_SOFT_TARGETS:
        value = weighted(weight, ops.soft_loss(z, y, gamma, spec.form), ops)
        slope, curve = forms.soft_slopes(z, y, gamma, spec.form, ops) if order else (None, None)
        grad = None if order < 1 else (weight * slope)[:, None]
        hess = None if order < 2 else (weight * curve)[:, None]
        return scaled(spec, _Terms(value, grad, hess, weight, counted, positive))
    of_positive, of_negative = y * of_positive, (1 - y) * of_negative
    (_, form), (gamma_negative, form_negative) = spec.positives, spec.negatives
    if spec.form is not None and spec.form.name == "asymmetric":
        gamma_negative = ops.broadcast_to(ops.parameter((gamma_negative,), z), z.shape)
    else:
        gamma_negative = gamma

    def both(f: Callable[[Any, Any, Any], Any], sign: int) -> Any:
        first = weighted(of_positive, f(z, gamma, form), ops)
        return first + sign * weighted(of_negative, f(-z, gamma_negative, form_negative), ops)

    value = both(lambda m, g, f: value_at(m, g, f, ops), 1)
    grad = both(lambda m, g, f: forms.d1(m, g, f, ops), -1)[:, None] if order >= 1 else None
    hess = both(lambda m, g, f: forms.d2(m, g, f, ops), 1)[:, None] if order >= 2 else None
    return scaled(spec, _Terms(value, grad, hess, weight, counted, positive))
