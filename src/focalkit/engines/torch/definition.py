"""The differentiable definition (:mod:`focalkit._core.differentiable`) as ``torch.autograd.Function``.

The functions serve reverse and forward mode, ``torch.func`` and ``torch.compile``.
"""

from __future__ import annotations

import sys
from typing import Any

import torch
from torch import Tensor

from focalkit._core import forms, links
from focalkit._core.differentiable import (
    FUNCTIONS,
    Function,
    log_odds_along,
    log_odds_of_all_along,
    softmax_of_others,
)


class Namespace:
    """What ``definition`` and ``links`` ask of an array library, on one device."""

    inf, nan = float("inf"), float("nan")
    abs, exp, log, log1p, expm1 = torch.abs, torch.exp, torch.log, torch.log1p, torch.expm1
    where, zeros_like, ones_like, full_like = torch.where, torch.zeros_like, torch.ones_like, torch.full_like
    argmax, sum, max, softmax = torch.argmax, torch.sum, torch.amax, torch.softmax

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def arange(self, n: int) -> Tensor:
        """Class ids on the device."""
        return torch.arange(n, device=self.device)


def _differentiable(value: Function, *partials: Function) -> Function:
    """``value(*tensors)``, whose partial derivatives in equally shaped tensors are ``partials`` of the same."""

    def backward(ctx: Any, upstream: Tensor) -> Any:
        inputs = ctx.saved_tensors
        asked = zip(ctx.needs_input_grad, partials, strict=True)
        grads = tuple(upstream * partial(*inputs) if needed else None for needed, partial in asked)
        return grads if len(grads) > 1 else grads[0]

    def jvp(ctx: Any, *tangents: Tensor | None) -> Any:
        pairs = zip(tangents, partials, strict=True)
        return sum(t * partial(*ctx.saved_tensors) for t, partial in pairs if t is not None)

    return _function(value, backward, jvp)


def _function(value: Function, derivative: Function, forward_derivative: Function) -> Function:
    """``value`` as an autograd.Function; torch.compile cannot trace one with a forward mode."""

    class Reverse(torch.autograd.Function):
        generate_vmap_rule = True
        forward, backward = staticmethod(value), staticmethod(derivative)

        @staticmethod
        def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            ctx.save_for_backward(*inputs)
            ctx.save_for_forward(*inputs)

    class Both(Reverse):
        jvp = staticmethod(forward_derivative)

    def apply(*inputs: Tensor) -> Tensor:
        chosen = Reverse if torch.compiler.is_compiling() else Both
        return chosen.apply(*inputs)  # type: ignore[no-any-return]

    return apply


def namespace(m: Tensor) -> Namespace:
    """What ``definition`` takes as ``xp``."""
    return Namespace(m.device)


def _bound(formula: Function) -> Function:
    # torch.compile counts the arguments of a forward method
    if formula.__code__.co_argcount == 2:
        return lambda m: formula(_HERE, m)
    if formula.__code__.co_argcount == 3:
        return lambda m, gamma: formula(_HERE, m, gamma)
    return lambda z, y, gamma: formula(_HERE, z, y, gamma)


# The formulas find the functions as names of this module, which torch.compile can follow.
_HERE = sys.modules[__name__]
sigma, nll, p_nll, modulation, loss, p_excess, excess_loss, power_loss, share, pull, distance, quality = (
    _differentiable(_bound(value), *map(_bound, partials)) for value, *partials in FUNCTIONS.values()
)


class _Differentiable(Namespace):
    """What ``forms.composed`` is made of."""

    loss, nll, sigma, modulation = staticmethod(loss), staticmethod(nll), staticmethod(sigma), staticmethod(modulation)
    excess_loss, power_loss, quality = staticmethod(excess_loss), staticmethod(power_loss), staticmethod(quality)
    stop_gradient = staticmethod(torch.Tensor.detach)

    @property
    def xp(self) -> Namespace:
        """The library."""
        return self


def form_loss(m: Tensor, gamma: Tensor, form: forms.Form) -> Tensor:
    """The loss of a form, differentiable to any order."""
    return forms.composed(m, gamma, form, _Differentiable(m.device))  # type: ignore[no-any-return]


def soft_loss(z: Tensor, y: Tensor, gamma: Tensor, form: forms.Form) -> Tensor:
    """The loss of a form of soft targets, differentiable to any order."""
    return forms.composed_soft(z, y, gamma, form, _Differentiable(z.device))  # type: ignore[no-any-return]


def _log_odds(z: Tensor, ids: Tensor) -> Tensor:
    return links.softmax_log_odds(z, ids, Namespace(z.device))[0]  # type: ignore[no-any-return]


def _direction(ctx: Any) -> tuple[Tensor, Tensor, Namespace]:
    z, ids = ctx.saved_tensors
    xp = Namespace(z.device)
    true = links.one_hot(ids, z, xp)
    return true, softmax_of_others(z, true, xp), xp


def _log_odds_backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None]:
    true, r, xp = _direction(ctx)
    return links.softmax_gradient(upstream, true, r, xp), None


def _log_odds_jvp(ctx: Any, tangent: Tensor, _: None) -> Tensor:
    true, r, xp = _direction(ctx)
    return log_odds_along(true, r, tangent, xp)  # type: ignore[no-any-return]


#: ``m`` (n,) of the classes ``ids`` (n,); its gradient is e_t - r.
log_odds: Function = _function(_log_odds, _log_odds_backward, _log_odds_jvp)


def _log_odds_of_all(z: Tensor) -> Tensor:
    return links.softmax_log_odds_all(z, Namespace(z.device))[0]  # type: ignore[no-any-return]


def _way_back(ctx: Any) -> tuple[Tensor, Tensor, Tensor, Tensor, Namespace]:
    (z,) = ctx.saved_tensors
    xp = Namespace(z.device)
    leading = links.one_hot(torch.argmax(z, -1), z, xp)
    m = log_odds_of_all(z)
    return sigma(m), sigma(-m), leading, softmax_of_others(z, leading, xp), xp


def _log_odds_of_all_backward(ctx: Any, upstream: Tensor) -> Tensor:
    way, zero = _way_back(ctx), torch.zeros_like(upstream)
    below, above = torch.where(upstream > 0, zero, upstream), torch.where(upstream > 0, upstream, zero)
    # the links sum entries of one sign
    return (  # type: ignore[no-any-return]
        links.softmax_gradient_soft(below, *way) - links.softmax_gradient_soft(-above, *way)
    )


def _log_odds_of_all_jvp(ctx: Any, tangent: Tensor) -> Tensor:
    p, q, leading, r, xp = _way_back(ctx)
    return log_odds_of_all_along(p, q, leading, r, tangent, xp)  # type: ignore[no-any-return]


#: ``m_k`` (n, K) of every class.
log_odds_of_all: Function = _function(_log_odds_of_all, _log_odds_of_all_backward, _log_odds_of_all_jvp)
