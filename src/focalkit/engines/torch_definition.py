"""The definition and the links as functions that torch can differentiate, to any order and exactly.

The formulas of ``_definition`` and ``_links`` are right everywhere, but automatic differentiation of their
text is not: at m = 0 the derivative of ``|m|`` is taken for 0, at ties ``max`` spreads its gradient, and
``where`` turns 0 times infinity into NaN. So each function here takes its value from them and its derivative
from a formula made of the same few functions, which is closed under differentiation:

    d sigma(m)     =  sigma(m) sigma(-m)
    d p_nll(m)     =  sigma(-m) (p_nll(m) - sigma(m))                  p_nll = p * nll
    d q^g          = -g sigma(m) q^g             d/dg = -q^g nll(-m)
    d loss(m, g)   = -q^g (sigma(-m) + g p_nll(m))   (d1)     d/dg = -loss nll(-m)

All of them serve reverse and forward mode, ``torch.func`` and ``torch.compile``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from torch import Tensor

from focalkit import _definition, _links

Maps: TypeAlias = Callable[..., Tensor]


class Namespace:
    """What ``_definition`` and ``_links`` ask of an array library, on one device."""

    inf, nan = float("inf"), float("nan")
    abs, exp, log, log1p = torch.abs, torch.exp, torch.log, torch.log1p
    where, zeros_like, ones_like, full_like = torch.where, torch.zeros_like, torch.ones_like, torch.full_like
    argmax, sum, max = torch.argmax, torch.sum, torch.amax

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def arange(self, n: int) -> Tensor:
        """Class ids on the device."""
        return torch.arange(n, device=self.device)


def _differentiable(value: Maps, *partials: Maps) -> Maps:
    """``value(*tensors)``, whose partial derivatives in equally shaped tensors are ``partials`` of the same."""

    class Differentiable(torch.autograd.Function):
        generate_vmap_rule = True

        @staticmethod
        def forward(*inputs: Tensor) -> Tensor:
            return value(*inputs)

        @staticmethod
        def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            ctx.save_for_backward(*inputs)
            ctx.save_for_forward(*inputs)

        @staticmethod
        def backward(ctx: Any, upstream: Tensor) -> Any:
            inputs = ctx.saved_tensors
            asked = zip(ctx.needs_input_grad, partials, strict=True)
            grads = tuple(upstream * partial(*inputs) if needed else None for needed, partial in asked)
            return grads if len(grads) > 1 else grads[0]

        @staticmethod
        def jvp(ctx: Any, *tangents: Tensor | None) -> Tensor:
            pairs = zip(tangents, partials, strict=True)
            return sum(t * partial(*ctx.saved_tensors) for t, partial in pairs if t is not None)  # type: ignore[return-value]

    return Differentiable.apply


def _probability(m: Tensor) -> Tensor:
    return _definition.probabilities(m, Namespace(m.device))[0]  # type: ignore[no-any-return]


def _nll(m: Tensor) -> Tensor:
    return _definition.probabilities(m, Namespace(m.device))[2]  # type: ignore[no-any-return]


def _product(m: Tensor) -> Tensor:
    p, _, nll_ = _definition.probabilities(m, Namespace(m.device))
    return _definition.product_p_nll(p, nll_, Namespace(m.device))  # type: ignore[no-any-return]


def _modulation(m: Tensor, gamma: Tensor) -> Tensor:
    xp = Namespace(m.device)
    return _definition.modulation(_definition.probabilities(m, xp)[1], gamma, xp)  # type: ignore[no-any-return]


def _loss(m: Tensor, gamma: Tensor) -> Tensor:
    return _definition.loss(m, gamma, Namespace(m.device))  # type: ignore[no-any-return]


def _loss_in_gamma(m: Tensor, gamma: Tensor) -> Tensor:
    value = loss(m, gamma)
    nothing = value == 0  # there nll(-m) = -log q may be infinite
    return torch.where(nothing, torch.zeros_like(value), -value * nll(torch.where(nothing, torch.zeros_like(m), -m)))


def d1(m: Tensor, gamma: Tensor) -> Tensor:
    """First derivative of the loss in ``m``, as ``_definition.d1``."""
    return -modulation(m, gamma) * (sigma(-m) + gamma * p_nll(m))


sigma: Maps = _differentiable(_probability, lambda m: sigma(m) * sigma(-m))
nll: Maps = _differentiable(_nll, lambda m: -sigma(-m))
p_nll: Maps = _differentiable(_product, lambda m: sigma(-m) * (p_nll(m) - sigma(m)))
modulation: Maps = _differentiable(
    _modulation,
    lambda m, gamma: -gamma * sigma(m) * modulation(m, gamma),
    lambda m, gamma: -modulation(m, gamma) * nll(-m),
)
loss: Maps = _differentiable(_loss, d1, _loss_in_gamma)


def softmax_of_others(z: Tensor, excluded: Tensor) -> Tensor:
    """Softmax over the classes that are not ``excluded`` (a one-hot mask); 0 where there are none."""
    masked = z.masked_fill(excluded, -torch.inf)
    nothing = (masked == -torch.inf).all(-1, keepdim=True)
    r = torch.softmax(torch.where(nothing, torch.zeros_like(masked), masked), -1)
    return torch.where(nothing, torch.zeros_like(r), r)


class LogOdds(torch.autograd.Function):
    """``m`` (n,) of the classes ``ids`` (n,): m = z_t - logsumexp over the others; its gradient is e_t - r."""

    generate_vmap_rule = True

    @staticmethod
    def forward(z: Tensor, ids: Tensor) -> Tensor:
        """Take the value from the links."""
        return _links.softmax_log_odds(z, ids, Namespace(z.device))[0]  # type: ignore[no-any-return]

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        """Keep what the derivatives need."""
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def _direction(ctx: Any) -> tuple[Tensor, Tensor]:
        z, ids = ctx.saved_tensors
        true = _links.one_hot(ids, z, Namespace(z.device))
        return true, softmax_of_others(z, true)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None]:
        """Reverse mode, itself differentiable."""
        true, r = LogOdds._direction(ctx)
        return _links.softmax_gradient(upstream, true, r, Namespace(r.device)), None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, _: None) -> Tensor:
        """Forward mode."""
        true, r = LogOdds._direction(ctx)
        return torch.where(true, tangent, -r * tangent).sum(-1)


class LogOddsOfAll(torch.autograd.Function):
    """``m_k`` (n, K) of every class."""

    generate_vmap_rule = True

    @staticmethod
    def forward(z: Tensor) -> Tensor:
        """Take the value from the links."""
        return _links.softmax_log_odds_all(z, Namespace(z.device))[0]  # type: ignore[no-any-return]

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        """Keep what the derivatives need."""
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def _way_back(ctx: Any) -> tuple[Tensor, Tensor, Tensor, Tensor, Namespace]:
        (z,) = ctx.saved_tensors
        xp = Namespace(z.device)
        leading = _links.one_hot(torch.argmax(z, -1), z, xp)
        m = LogOddsOfAll.apply(z)
        return sigma(m), sigma(-m), leading, softmax_of_others(z, leading), xp

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> Tensor:
        """Reverse mode, itself differentiable; the links sum entries of one sign."""
        way = LogOddsOfAll._way_back(ctx)
        zero = torch.zeros_like(upstream)
        below, above = torch.where(upstream > 0, zero, upstream), torch.where(upstream > 0, upstream, zero)
        return (  # type: ignore[no-any-return]
            _links.softmax_gradient_soft(below, *way) - _links.softmax_gradient_soft(-above, *way)
        )

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor) -> Tensor:
        """Forward mode."""
        p, q, leading, r, _ = LogOddsOfAll._way_back(ctx)
        pull = p * tangent
        others = (pull.sum(-1, keepdim=True) - pull) / torch.where(leading, torch.ones_like(q), q)
        return tangent - torch.where(leading, (r * tangent).sum(-1, keepdim=True), others)
