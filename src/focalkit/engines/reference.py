"""The readable truth: NumPy, float64 inside whatever the logits' type, one rounding at the end.

Tests hold every other engine to this one; it favours clarity and costs a few arrays of the logits' size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from focalkit._core import definition, links, reduction
from focalkit._core.spec import LossSpec
from focalkit.engines._inputs import Inputs

Real: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class _Terms:
    """Per row: loss (n,), grad and hess (n, width) or None, alpha_t * sample_weight, and two masks."""

    loss: Real
    grad: Real | None
    hess: Real | None
    weight: Real
    counted: NDArray[np.bool_]
    positive: NDArray[np.bool_]


def loss(spec: LossSpec, inputs: Inputs) -> Any:
    """Return the loss, reduced as ``spec`` says, in the logits' dtype."""
    value, _, _ = _evaluate(spec, inputs, order=0)
    return value


def loss_grad_hess(
    spec: LossSpec, inputs: Inputs, *, hess: bool = True, out: NDArray[Any] | None = None
) -> tuple[Any, NDArray[Any], NDArray[Any] | None]:
    """Return loss, gradient and diagonal Hessian in the logits; the gradient goes to ``out`` where given."""
    value, grad, curvature = _evaluate(spec, inputs, order=2 if hess else 1)
    assert grad is not None
    if out is not None:
        out[...] = grad
        grad = out
    return value, grad, curvature


def _evaluate(spec: LossSpec, inputs: Inputs, order: int) -> tuple[Any, NDArray[Any] | None, NDArray[Any] | None]:
    with np.errstate(all="ignore"):
        terms = _softmax_terms(spec, inputs, order) if spec.link == "softmax" else _sigmoid_terms(spec, inputs, order)
        keep = reduction.kept(spec, terms.loss, terms.counted, terms.positive, reduction.largest)
        losses = np.where(keep, terms.loss, 0.0)
        scale = reduction.denominator(spec, keep, terms.weight, inputs.normalizer)
        dtype = inputs.logits.dtype
        if spec.reduction == "none":
            value: Any = losses.reshape(inputs.rows).astype(dtype)
        else:
            value = np.asarray(losses.sum() / scale).astype(dtype)[()]
        derivatives = [
            None if part is None else _like_logits(np.where(keep[:, None], part, 0.0) / scale, inputs)
            for part in (terms.grad, terms.hess)
        ]
    return value, derivatives[0], derivatives[1]


def _like_logits(rows: Real, inputs: Inputs) -> NDArray[Any]:
    logits = inputs.logits
    if rows.shape[1] == 1 and logits.size == rows.size:
        return rows.reshape(logits.shape).astype(logits.dtype)
    last = rows.reshape(*inputs.rows, inputs.n_classes)
    return np.ascontiguousarray(np.moveaxis(last, -1, inputs.axis)).astype(logits.dtype)


def _weighted(weight: Real, value: Real) -> Real:
    """``weight * value``, where a weight of 0 silences an infinite loss but never a NaN."""
    return np.where((weight == 0) & (value == np.inf), 0.0, weight * value)


def _sample_weight(inputs: Inputs, n: int) -> Real:
    return np.ones(n) if inputs.sample_weight is None else inputs.sample_weight.reshape(-1)


def _softmax_terms(spec: LossSpec, inputs: Inputs, order: int) -> _Terms:
    k = inputs.n_classes
    logits = np.moveaxis(inputs.logits, inputs.axis, -1).reshape(-1, k).astype(np.float64)
    alpha = np.ones(k) if spec.alpha is None else np.broadcast_to(np.asarray(spec.alpha, np.float64), (k,))
    gamma = np.broadcast_to(np.asarray(spec.gamma, np.float64), (k,))
    sample = _sample_weight(inputs, len(logits))
    if inputs.soft:
        y = np.moveaxis(inputs.targets, inputs.axis, -1).reshape(-1, k).astype(np.float64)
        counted = np.ones(len(logits), bool)
        weight = y @ alpha * sample
        positive = y[:, 0] < 0.5
    else:
        ids = inputs.targets.reshape(-1)
        counted = ids != spec.ignore_index
        ids = np.where(counted, ids, 0)
        weight = alpha[ids] * sample
        positive = ids != 0
        if spec.label_smoothing == 0:
            terms = _hard_rows(logits, ids, gamma[ids], weight, order)
            return _Terms(*terms, weight, counted, positive)
        y = (np.arange(k) == ids[:, None]).astype(np.float64)
    y = (1 - spec.label_smoothing) * y + spec.label_smoothing / k
    terms = _soft_rows(logits, gamma, y * alpha * sample[:, None], order)
    return _Terms(*terms, weight, counted, positive)


def _hard_rows(
    logits: Real, ids: NDArray[Any], gamma: Real, weight: Real, order: int
) -> tuple[Real, Real | None, Real | None]:
    m, r, rest = links.softmax_log_odds(logits, ids, np)
    value = _weighted(weight, definition.loss(m, gamma, np))
    if order == 0:
        return value, None, None
    true = links.one_hot(ids, logits, np)
    d1 = weight * definition.d1(m, gamma, np)
    grad = links.softmax_gradient(d1, true, r, np)
    if order == 1:
        return value, grad, None
    d2 = weight * definition.d2(m, gamma, np)
    return value, grad, links.softmax_hessian(d1, d2, true, r, rest, np)


def _soft_rows(logits: Real, gamma: Real, weight: Real, order: int) -> tuple[Real, Real | None, Real | None]:
    """The expected loss; ``weight`` (n, K) holds y_k alpha_k sample_weight."""
    m, leading, r, rest = links.softmax_log_odds_all(logits, np)
    value = _weighted(weight, definition.loss(m, gamma, np)).sum(axis=-1)
    if order == 0:
        return value, None, None
    p, q, _ = definition.probabilities(m, np)
    d1 = weight * definition.d1(m, gamma, np)
    grad = links.softmax_gradient_soft(d1, p, q, leading, r, np)
    if order == 1:
        return value, grad, None
    d2 = weight * definition.d2(m, gamma, np)
    return value, grad, links.softmax_hessian_soft(d1, d2, p, q, leading, r, rest, np)


def _sigmoid_terms(spec: LossSpec, inputs: Inputs, order: int) -> _Terms:
    shape, axis = inputs.logits.shape, inputs.axis
    z = inputs.logits.reshape(-1).astype(np.float64)
    gamma = _per_element(spec.gamma, shape, axis)
    targets = inputs.targets.reshape(-1)
    counted = np.ones(len(z), bool) if inputs.soft else targets != spec.ignore_index
    y = np.where(counted, targets, 0).astype(np.float64)
    sample = _sample_weight(inputs, len(z))
    if spec.alpha is None:
        of_positive, of_negative = sample, sample
    else:
        alpha = _per_element(spec.alpha, shape, axis)
        of_positive, of_negative = alpha * sample, (1 - alpha) * sample
    weight = y * of_positive + (1 - y) * of_negative
    positive = y >= 0.5
    y = (1 - spec.label_smoothing) * y + spec.label_smoothing / 2
    of_positive, of_negative = y * of_positive, (1 - y) * of_negative

    def both(f: Any, sign: int) -> Real:
        return _weighted(of_positive, f(z, gamma, np)) + sign * _weighted(of_negative, f(-z, gamma, np))

    value = both(definition.loss, 1)
    grad = both(definition.d1, -1)[:, None] if order >= 1 else None
    hess = both(definition.d2, 1)[:, None] if order >= 2 else None
    return _Terms(value, grad, hess, weight, counted, positive)


def _per_element(value: Any, shape: tuple[int, ...], axis: int) -> Real:
    """A scalar or per-column parameter, one entry per logit."""
    vector = np.asarray(value, np.float64)
    if vector.ndim == 1 and axis >= 0:
        vector = vector.reshape([-1 if i == axis else 1 for i in range(len(shape))])
    return np.broadcast_to(vector, shape).reshape(-1)
