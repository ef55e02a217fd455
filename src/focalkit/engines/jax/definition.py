"""The definition and the links as functions that JAX can differentiate, to any order and exactly.

The text of ``definition`` and ``links`` is right everywhere, but not what automatic differentiation makes of it: at
m = 0 the derivative of ``|m|`` is taken for 0, at ties ``max`` spreads its gradient, and ``where`` turns 0 times
infinity into NaN. So each function here takes its value from them and its derivative from a formula made of the same
few functions, as ``engines.torch.definition`` does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp

from focalkit._core import definition, forms, links

Function: TypeAlias = Callable[..., Any]


def _differentiable(value: Function, *partials: Function) -> Function:
    """``value(*arrays)``, whose partial derivatives in equally shaped arrays are ``partials`` of the same."""
    function = jax.custom_jvp(value)
    function.defjvps(*(_rule(partial) for partial in partials))
    return function


def _rule(partial: Function) -> Function:
    return lambda tangent, _, *inputs: tangent * partial(*inputs)


def _probability(m: Any) -> Any:
    return definition.probabilities(m, jnp)[0]


def _nll(m: Any) -> Any:
    return definition.probabilities(m, jnp)[2]


def _product(m: Any) -> Any:
    p, _, nll_ = definition.probabilities(m, jnp)
    return definition.product_p_nll(p, nll_, jnp)


def _modulation(m: Any, gamma: Any) -> Any:
    return definition.modulation(definition.probabilities(m, jnp)[1], gamma, jnp)


def _loss(m: Any, gamma: Any) -> Any:
    return definition.loss(m, gamma, jnp)


def _loss_in_gamma(m: Any, gamma: Any) -> Any:
    value = loss(m, gamma)
    nothing = value == 0  # there nll(-m) = -log q may be infinite
    return jnp.where(nothing, 0.0, -value * nll(jnp.where(nothing, 0.0, -m)))


def d1(m: Any, gamma: Any) -> Any:
    """First derivative of the loss in ``m``, as ``definition.d1``."""
    return -modulation(m, gamma) * (sigma(-m) + gamma * p_nll(m))


sigma: Function = _differentiable(_probability, lambda m: sigma(m) * sigma(-m))
nll: Function = _differentiable(_nll, lambda m: -sigma(-m))
p_nll: Function = _differentiable(_product, lambda m: sigma(-m) * (p_nll(m) - sigma(m)))
modulation: Function = _differentiable(
    _modulation,
    lambda m, gamma: -gamma * sigma(m) * modulation(m, gamma),
    lambda m, gamma: -modulation(m, gamma) * nll(-m),
)
loss: Function = _differentiable(_loss, d1, _loss_in_gamma)


class _Differentiable:
    """What ``forms.composed`` is made of."""

    xp: Any = jnp
    loss, nll, sigma, modulation = staticmethod(loss), staticmethod(nll), staticmethod(sigma), staticmethod(modulation)
    stop_gradient = staticmethod(jax.lax.stop_gradient)


def form_loss(m: Any, gamma: Any, form: forms.Form) -> Any:
    """The loss of a form, differentiable to any order."""
    return forms.composed(m, gamma, form, _Differentiable)


def soft_loss(z: Any, y: Any, gamma: Any, form: forms.Form) -> Any:
    """The loss of a form of soft targets, differentiable to any order."""
    return forms.composed_soft(z, y, gamma, form, _Differentiable)


def softmax_of_others(z: Any, excluded: Any) -> Any:
    """Softmax over the classes that are not ``excluded`` (a one-hot mask); 0 where there are none."""
    masked = jnp.where(excluded, -jnp.inf, z)
    nothing = jnp.all(masked == -jnp.inf, -1, keepdims=True)
    r = jax.nn.softmax(jnp.where(nothing, 0.0, masked), -1)
    return jnp.where(nothing, 0.0, r)


@jax.custom_jvp
def log_odds(z: Any, ids: Any) -> Any:
    """``m`` (n,) of the classes ``ids`` (n,); its gradient is e_t - r."""
    return links.softmax_log_odds(z, ids, jnp)[0]


@log_odds.defjvp
def _log_odds_jvp(primals: Any, tangents: Any) -> Any:
    (z, ids), (tangent, _) = primals, tangents
    true = links.one_hot(ids, z, jnp)
    r = softmax_of_others(z, true)
    return log_odds(z, ids), jnp.sum(tangent * jnp.where(true, 1.0, -r), -1)


@jax.custom_jvp
def log_odds_of_all(z: Any) -> Any:
    """``m_k`` (n, K) of every class."""
    return links.softmax_log_odds_all(z, jnp)[0]


@log_odds_of_all.defjvp
def _log_odds_of_all_jvp(primals: Any, tangents: Any) -> Any:
    (z,), (tangent,) = primals, tangents
    m = log_odds_of_all(z)
    leading = links.one_hot(jnp.argmax(z, -1), z, jnp)
    r, p, q = softmax_of_others(z, leading), sigma(m), sigma(-m)
    pull = p * tangent  # every q but the leading class's is at least 1/2
    others = (jnp.sum(pull, -1, keepdims=True) - pull) / jnp.where(leading, 1.0, q)
    return m, tangent - jnp.where(leading, jnp.sum(r * tangent, -1, keepdims=True), others)
