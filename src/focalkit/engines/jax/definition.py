"""The differentiable definition (:mod:`focalkit._core.differentiable`) as ``jax.custom_jvp``."""

from __future__ import annotations

import sys
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from focalkit._core import forms, links
from focalkit._core.differentiable import (
    FUNCTIONS,
    Function,
    log_odds_along,
    log_odds_of_all_along,
    softmax_of_others,
)


class Namespace:
    """jax.numpy and the softmax."""

    softmax = staticmethod(jax.nn.softmax)

    def __getattr__(self, name: str) -> Any:
        """All else is a function of jax.numpy."""
        return getattr(jnp, name)


_XP = Namespace()


def _differentiable(value: Function, *partials: Function) -> Function:
    function = jax.custom_jvp(value)
    function.defjvps(*map(_rule, partials))
    return function


def _rule(derivative: Function) -> Function:
    return lambda tangent, _, *inputs: tangent * derivative(*inputs)


def namespace(m: Any) -> Namespace:
    """What ``definition`` takes as ``xp``."""
    return _XP


# the formulas find the functions as names of this module
_HERE = sys.modules[__name__]
sigma, nll, p_nll, modulation, loss, p_excess, excess_loss, power_loss, share, pull, distance, quality = (
    _differentiable(*(partial(formula, _HERE) for formula in formulas)) for formulas in FUNCTIONS.values()
)


class _Differentiable:
    """What ``forms.composed`` is made of."""

    xp: Any = jnp
    loss, nll, sigma, modulation = staticmethod(loss), staticmethod(nll), staticmethod(sigma), staticmethod(modulation)
    excess_loss, power_loss, quality = staticmethod(excess_loss), staticmethod(power_loss), staticmethod(quality)
    stop_gradient = staticmethod(jax.lax.stop_gradient)


def form_loss(m: Any, gamma: Any, form: forms.Form) -> Any:
    """The loss of a form, differentiable to any order."""
    return forms.composed(m, gamma, form, _Differentiable)


def soft_loss(z: Any, y: Any, gamma: Any, form: forms.Form) -> Any:
    """The loss of a form of soft targets, differentiable to any order."""
    return forms.composed_soft(z, y, gamma, form, _Differentiable)


@jax.custom_jvp
def log_odds(z: Any, ids: Any) -> Any:
    """``m`` (n,) of the classes ``ids`` (n,)."""
    return links.softmax_log_odds(z, ids, jnp)[0]


@log_odds.defjvp
def _log_odds_jvp(primals: Any, tangents: Any) -> Any:
    z, ids = primals
    true = links.one_hot(ids, z, jnp)
    return log_odds(z, ids), log_odds_along(true, softmax_of_others(z, true, _XP), tangents[0], jnp)


@jax.custom_jvp
def log_odds_of_all(z: Any) -> Any:
    """``m_k`` (n, K) of every class."""
    return links.softmax_log_odds_all(z, jnp)[0]


@log_odds_of_all.defjvp
def _log_odds_of_all_jvp(primals: Any, tangents: Any) -> Any:
    (z,), (tangent,) = primals, tangents
    m, leading = log_odds_of_all(z), links.one_hot(jnp.argmax(z, -1), z, jnp)
    r = softmax_of_others(z, leading, _XP)
    return m, log_odds_of_all_along(sigma(m), sigma(-m), leading, r, tangent, jnp)
