"""The loss in plain tensor operations: any device, any transformation, any argument differentiable.

Half types are computed in float32 and rounded once; sums are in float64 where the device has it. Nothing here
reads a value back from the device, so it can be traced, compiled and mapped; arguments are checked before.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from focalkit._core import definition, links
from focalkit._core.spec import LossSpec
from focalkit.engines.torch import definition as smooth


class Call(NamedTuple):
    """One checked call. ``gamma`` and ``alpha`` are tensors that take the place of the spec's, or None."""

    spec: LossSpec
    logits: Tensor
    targets: Tensor
    sample_weight: Tensor | None
    normalizer: Tensor | float | None
    gamma: Tensor | None
    alpha: Tensor | None
    out_dtype: torch.dtype


class _Terms(NamedTuple):
    """Per row: loss (n,), grad and hess (n, width) or None, alpha_t * sample_weight, and two masks."""

    loss: Tensor
    grad: Tensor | None
    hess: Tensor | None
    weight: Tensor
    counted: Tensor
    positive: Tensor


def is_soft(targets: Tensor) -> bool:
    """Whether targets are probabilities."""
    return targets.is_floating_point()


def evaluate(call: Call, order: int = 0) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Loss, and from ``order`` 1 the gradient and 2 the Hessian's diagonal in closed form.

    The loss is differentiable in every argument, to any order; the closed forms are meant for ``no_grad``.
    """
    spec, logits = call.spec, call.logits
    device = "cpu" if logits.is_meta else logits.device.type
    with torch.autocast(device, enabled=False):
        terms = _softmax_terms(call, order) if spec.link == "softmax" else _sigmoid_terms(call, order)
        keep = kept(spec, terms.loss.detach(), terms.counted, terms.positive)
        losses = torch.where(keep, terms.loss, torch.zeros_like(terms.loss))
        scale = _denominator(call, keep, terms.weight)
        if spec.reduction == "none":
            rows = logits.shape if spec.link == "sigmoid" else _without(logits.shape, axis_of(call))
            value = losses.reshape(rows).to(call.out_dtype)
        else:
            value = (losses.sum(dtype=_wide(logits)) / scale).to(call.out_dtype)
        parts = [
            None
            if part is None
            else _like_logits(torch.where(keep[:, None], part, torch.zeros_like(part)), scale, call)
            for part in (terms.grad, terms.hess)
        ]
    return value, parts[0], parts[1]


def axis_of(call: Call) -> int:
    """The class axis, counted from the front; -1 for binary logits of shape (n,)."""
    n = call.logits.dim()
    if call.spec.link == "sigmoid" and n == 1:
        return -1
    return call.spec.class_axis % n


def _without(shape: torch.Size, axis: int) -> tuple[int, ...]:
    return tuple(shape[:axis]) + tuple(shape[axis + 1 :])


def _wide(logits: Tensor) -> torch.dtype:
    return torch.float32 if logits.device.type == "mps" else torch.float64


def compute_dtype(logits: Tensor) -> torch.dtype:
    """float64 for float64, float32 for all others."""
    return torch.float64 if logits.dtype == torch.float64 else torch.float32


def _parameter(given: Tensor | None, value: Any, like: Tensor) -> Tensor:
    """Return gamma or alpha in the dtype that is computed in, (1,) or (K,)."""
    if given is None:
        given = torch.tensor(value if isinstance(value, tuple) else (value,), dtype=torch.float64, device="cpu")
    return given.reshape(-1).to(device=like.device, dtype=like.dtype)


def _complement(given: Tensor | None, value: Any, like: Tensor) -> Tensor:
    """1 - alpha, subtracted before it is rounded."""
    if given is not None:
        return (1 - given.reshape(-1)).to(device=like.device, dtype=like.dtype)
    return _parameter(None, tuple(1 - a for a in (value if isinstance(value, tuple) else (value,))), like)


def _weighted(weight: Tensor, value: Tensor) -> Tensor:
    """``weight * value``, where a weight of 0 silences an infinite loss but never a NaN."""
    silenced = (weight == 0) & (value == torch.inf)
    return weight * torch.where(silenced, torch.zeros_like(value), value)


def _sample_weight(call: Call, like: Tensor, width: int) -> Tensor | None:
    """One weight for each row of ``like`` (softmax), or element (sigmoid), flattened."""
    w = call.sample_weight
    if w is None:
        return None
    shape = call.logits.shape if call.spec.link == "sigmoid" else _without(call.logits.shape, axis_of(call))
    if w.dim() < len(shape):
        w = w.reshape(-1, *(1,) * (len(shape) - 1))
    return w.expand(shape).reshape(-1).to(like.dtype)


def _softmax_terms(call: Call, order: int) -> _Terms:
    spec, axis = call.spec, axis_of(call)
    k = call.logits.shape[axis]
    z = call.logits.movedim(axis, -1).reshape(-1, k).to(compute_dtype(call.logits))
    gamma = _parameter(call.gamma, spec.gamma, z).expand(k)
    alpha = _parameter(call.alpha, 1.0 if spec.alpha is None else spec.alpha, z).expand(k)
    sample = _sample_weight(call, z, 1)
    if is_soft(call.targets):
        y = call.targets.movedim(axis, -1).reshape(-1, k).to(z.dtype)
        counted = torch.ones(z.shape[:1], dtype=torch.bool, device=z.device)
        weight, positive = y @ alpha, y[:, 0] < 0.5
    else:
        given = call.targets.reshape(-1).long()
        counted = given != spec.ignore_index
        ids = torch.where(counted, given, torch.zeros_like(given))
        z = torch.where(counted[:, None], z, torch.zeros_like(z))  # what is ignored may be NaN
        weight, positive = alpha[ids], ids != 0
        if spec.label_smoothing == 0:
            weight = weight if sample is None else weight * sample
            return _Terms(*_hard_rows(z, ids, gamma[ids], weight, order), weight, counted, positive)
        y = links.one_hot(ids, z, smooth.Namespace(z.device)).to(z.dtype)
    y = (1 - spec.label_smoothing) * y + spec.label_smoothing / k
    shares = y * alpha if sample is None else y * alpha * sample[:, None]
    weight = weight if sample is None else weight * sample
    return _Terms(*_soft_rows(z, gamma.expand_as(z), shares, order), weight, counted, positive)


def _hard_rows(
    z: Tensor, ids: Tensor, gamma: Tensor, weight: Tensor, order: int
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    if order == 0:
        return _weighted(weight, smooth.loss(smooth.log_odds(z, ids), gamma)), None, None
    xp = smooth.Namespace(z.device)
    m, r, rest = links.softmax_log_odds(z, ids, xp)
    value = _weighted(weight, definition.loss(m, gamma, xp))
    true = links.one_hot(ids, z, xp)
    d1 = weight * definition.d1(m, gamma, xp)
    grad = links.softmax_gradient(d1, true, r, xp)
    if order == 1:
        return value, grad, None
    d2 = weight * definition.d2(m, gamma, xp)
    return value, grad, links.softmax_hessian(d1, d2, true, r, rest, xp)


def _soft_rows(z: Tensor, gamma: Tensor, weight: Tensor, order: int) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """The expected loss; ``weight`` (n, K) holds y_k alpha_k sample_weight."""
    if order == 0:
        return _weighted(weight, smooth.loss(smooth.log_odds_of_all(z), gamma)).sum(-1), None, None
    xp = smooth.Namespace(z.device)
    m, leading, r, rest = links.softmax_log_odds_all(z, xp)
    value = _weighted(weight, definition.loss(m, gamma, xp)).sum(-1)
    p, q, _ = definition.probabilities(m, xp)
    d1 = weight * definition.d1(m, gamma, xp)
    grad = links.softmax_gradient_soft(d1, p, q, leading, r, xp)
    if order == 1:
        return value, grad, None
    d2 = weight * definition.d2(m, gamma, xp)
    return value, grad, links.softmax_hessian_soft(d1, d2, p, q, leading, r, rest, xp)


def _sigmoid_terms(call: Call, order: int) -> _Terms:
    spec, axis, shape = call.spec, axis_of(call), call.logits.shape
    z = call.logits.reshape(-1).to(compute_dtype(call.logits))

    def per_element(parameter: Tensor) -> Tensor:
        if parameter.shape[0] > 1 or axis >= 0:
            parameter = parameter.reshape([-1 if i == axis else 1 for i in range(len(shape))])
        return parameter.expand(shape).reshape(-1)

    gamma = per_element(_parameter(call.gamma, spec.gamma, z))
    targets = call.targets.reshape(-1)
    if is_soft(call.targets):
        counted, y = torch.ones_like(z, dtype=torch.bool), targets.to(z.dtype)
    else:
        targets = targets.long()
        counted = targets != spec.ignore_index
        y = torch.where(counted, targets, torch.zeros_like(targets)).to(z.dtype)
        z = torch.where(counted, z, torch.zeros_like(z))
    positive = y >= 0.5
    of_positive = of_negative = torch.ones_like(z)
    if spec.alpha is not None or call.alpha is not None:
        of_positive = per_element(_parameter(call.alpha, spec.alpha, z))
        of_negative = per_element(_complement(call.alpha, spec.alpha, z))
    sample = _sample_weight(call, z, 1)
    if sample is not None:
        of_positive, of_negative = of_positive * sample, of_negative * sample
    weight = y * of_positive + (1 - y) * of_negative
    y = (1 - spec.label_smoothing) * y + spec.label_smoothing / 2
    of_positive, of_negative = y * of_positive, (1 - y) * of_negative

    def both(f: Any, sign: int) -> Tensor:
        return _weighted(of_positive, f(z, gamma)) + sign * _weighted(of_negative, f(-z, gamma))

    xp = smooth.Namespace(z.device)
    value = both(smooth.loss, 1)
    grad = both(lambda m, g: definition.d1(m, g, xp), -1)[:, None] if order >= 1 else None
    hess = both(lambda m, g: definition.d2(m, g, xp), 1)[:, None] if order >= 2 else None
    return _Terms(value, grad, hess, weight, counted, positive)


def _like_logits(rows: Tensor, scale: Tensor, call: Call) -> Tensor:
    logits, axis = call.logits, axis_of(call)
    scaled = (rows / scale).to(logits.dtype)
    if call.spec.link == "sigmoid":
        return scaled.reshape(logits.shape)
    return scaled.reshape(*_without(logits.shape, axis), logits.shape[axis]).movedim(-1, axis).contiguous()


def _denominator(call: Call, keep: Tensor, weight: Tensor) -> Tensor:
    """As ``_reduce.denominator``: a mean over nothing is 0."""
    wide = _wide(call.logits)
    if call.normalizer is not None:
        return torch.as_tensor(call.normalizer, dtype=wide, device=keep.device)
    if call.spec.reduction == "mean":
        total = keep.sum().to(wide)
    elif call.spec.reduction == "weighted_mean":
        total = torch.where(keep, weight, torch.zeros_like(weight)).sum(dtype=wide)
    else:
        return torch.ones((), dtype=wide, device=keep.device)
    return torch.where(total > 0, total, torch.ones_like(total))


def kept(spec: LossSpec, losses: Tensor, counted: Tensor, positive: Tensor) -> Tensor:
    """As ``_reduce.kept``, without a look at the values."""
    if spec.keep_hardest is None and spec.negatives_per_positive is None:
        return counted
    wide = _wide(losses)
    n_counted = counted.sum().to(wide)
    if spec.keep_hardest is None:
        budget = n_counted
    elif isinstance(spec.keep_hardest, int):
        budget = n_counted.clamp(max=spec.keep_hardest)
    else:
        share = torch.ceil(spec.keep_hardest * n_counted * (1 - 1e-12)).clamp(min=1)
        budget = torch.where(n_counted == 0, n_counted, share)
    if spec.negatives_per_positive is None:
        return _largest(losses, counted, budget)
    ratio = spec.negatives_per_positive
    positives = counted & positive
    places = positives.sum().to(wide) if spec.keep_hardest is None else _whole(budget / (1 + ratio)).clamp(min=1)
    keep_positives = _largest(losses, positives, torch.minimum(places, budget))
    n_kept = keep_positives.sum().to(wide)
    places = _whole(torch.minimum(ratio * n_kept.clamp(min=1), budget - n_kept))
    return keep_positives | _largest(losses, counted & ~positive, places)


def _whole(places: Tensor) -> Tensor:
    return torch.floor(places * (1 + 1e-12))


def _largest(losses: Tensor, among: Tensor, count: Tensor) -> Tensor:
    """The ``count`` largest, NaN first, of equal ones the first."""
    order = torch.argsort(losses, descending=True, stable=True)
    order = order[torch.argsort(among[order].to(torch.int8), descending=True, stable=True)]
    rank = torch.argsort(order, stable=True)
    return among & (rank < count)
