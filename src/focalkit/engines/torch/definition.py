"""The definition and the links as functions that torch can differentiate, to any order and exactly.

The formulas of ``definition`` and ``links`` are right everywhere, but automatic differentiation of their
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

from focalkit._core import definition, forms, links

Maps: TypeAlias = Callable[..., Any]


class Namespace:
    """What ``definition`` and ``links`` ask of an array library, on one device."""

    inf, nan = float("inf"), float("nan")
    abs, exp, log, log1p, expm1 = torch.abs, torch.exp, torch.log, torch.log1p, torch.expm1
    where, zeros_like, ones_like, full_like = torch.where, torch.zeros_like, torch.ones_like, torch.full_like
    argmax, sum, max = torch.argmax, torch.sum, torch.amax

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def arange(self, n: int) -> Tensor:
        """Class ids on the device."""
        return torch.arange(n, device=self.device)


def _differentiable(value: Maps, *partials: Maps) -> Maps:
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


def _function(value: Maps, derivative: Maps, forward_derivative: Maps) -> Maps:
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


def _probability(m: Tensor) -> Tensor:
    return definition.probabilities(m, Namespace(m.device))[0]  # type: ignore[no-any-return]


def _nll(m: Tensor) -> Tensor:
    return definition.probabilities(m, Namespace(m.device))[2]  # type: ignore[no-any-return]


def _product(m: Tensor) -> Tensor:
    p, _, nll_ = definition.probabilities(m, Namespace(m.device))
    return definition.product_p_nll(p, nll_, Namespace(m.device))  # type: ignore[no-any-return]


def _modulation(m: Tensor, gamma: Tensor) -> Tensor:
    xp = Namespace(m.device)
    return definition.modulation(definition.probabilities(m, xp)[1], gamma, xp)  # type: ignore[no-any-return]


def _loss(m: Tensor, gamma: Tensor) -> Tensor:
    return definition.loss(m, gamma, Namespace(m.device))  # type: ignore[no-any-return]


def _loss_in_gamma(m: Tensor, gamma: Tensor) -> Tensor:
    value: Tensor = loss(m, gamma)
    nothing = value == 0  # there nll(-m) = -log q may be infinite
    return torch.where(nothing, torch.zeros_like(value), -value * nll(torch.where(nothing, torch.zeros_like(m), -m)))


def d1(m: Tensor, gamma: Tensor) -> Any:
    """First derivative of the loss in ``m``, as ``definition.d1``."""
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


class _Differentiable(Namespace):
    """What ``forms.composed`` is made of."""

    loss, nll, sigma, modulation = staticmethod(loss), staticmethod(nll), staticmethod(sigma), staticmethod(modulation)
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


def softmax_of_others(z: Tensor, excluded: Tensor) -> Tensor:
    """Softmax over the classes that are not ``excluded`` (a one-hot mask); 0 where there are none."""
    masked = z.masked_fill(excluded, -torch.inf)
    nothing = (masked == -torch.inf).all(-1, keepdim=True)
    r = torch.softmax(torch.where(nothing, torch.zeros_like(masked), masked), -1)
    return torch.where(nothing, torch.zeros_like(r), r)


def _log_odds(z: Tensor, ids: Tensor) -> Tensor:
    return links.softmax_log_odds(z, ids, Namespace(z.device))[0]  # type: ignore[no-any-return]


def _direction(ctx: Any) -> tuple[Tensor, Tensor]:
    z, ids = ctx.saved_tensors
    true = links.one_hot(ids, z, Namespace(z.device))
    return true, softmax_of_others(z, true)


def _log_odds_backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None]:
    true, r = _direction(ctx)
    return links.softmax_gradient(upstream, true, r, Namespace(r.device)), None


def _log_odds_jvp(ctx: Any, tangent: Tensor, _: None) -> Tensor:
    true, r = _direction(ctx)
    return torch.where(true, tangent, -r * tangent).sum(-1)


#: ``m`` (n,) of the classes ``ids`` (n,); its gradient is e_t - r.
log_odds: Maps = _function(_log_odds, _log_odds_backward, _log_odds_jvp)


def _log_odds_of_all(z: Tensor) -> Tensor:
    return links.softmax_log_odds_all(z, Namespace(z.device))[0]  # type: ignore[no-any-return]


def _way_back(ctx: Any) -> tuple[Tensor, Tensor, Tensor, Tensor, Namespace]:
    (z,) = ctx.saved_tensors
    xp = Namespace(z.device)
    leading = links.one_hot(torch.argmax(z, -1), z, xp)
    m = log_odds_of_all(z)
    return sigma(m), sigma(-m), leading, softmax_of_others(z, leading), xp


def _log_odds_of_all_backward(ctx: Any, upstream: Tensor) -> Tensor:
    way, zero = _way_back(ctx), torch.zeros_like(upstream)
    below, above = torch.where(upstream > 0, zero, upstream), torch.where(upstream > 0, upstream, zero)
    # the links sum entries of one sign
    return (  # type: ignore[no-any-return]
        links.softmax_gradient_soft(below, *way) - links.softmax_gradient_soft(-above, *way)
    )


def _log_odds_of_all_jvp(ctx: Any, tangent: Tensor) -> Tensor:
    p, q, leading, r, _ = _way_back(ctx)
    pull = p * tangent
    others = (pull.sum(-1, keepdim=True) - pull) / torch.where(leading, torch.ones_like(q), q)
    return tangent - torch.where(leading, (r * tangent).sum(-1, keepdim=True), others)


#: ``m_k`` (n, K) of every class.
log_odds_of_all: Maps = _function(_log_odds_of_all, _log_odds_of_all_backward, _log_odds_of_all_jvp)
