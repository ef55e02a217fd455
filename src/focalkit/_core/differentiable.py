"""The definition and the links as functions that a library can differentiate, to any order and exactly.

The formulas of ``definition`` and ``links`` are right everywhere, but automatic differentiation of their text is not:
at m = 0 the derivative of ``|m|`` is taken for 0, at ties ``max`` spreads its gradient, and ``where`` turns 0 times
infinity into NaN. So each function here takes its value from them and its derivative from a formula made of the same
few functions, which is closed under differentiation:

    d sigma(m)     =  sigma(m) sigma(-m)
    d p_nll(m)     =  sigma(-m) (p_nll(m) - sigma(m))                  p_nll = p * nll
    d q^g          = -g sigma(m) q^g             d/dg = -q^g nll(-m)
    d loss(m, g)   = -q^g (sigma(-m) + g p_nll(m))   (d1)     d/dg = -loss nll(-m)

How a function is given its derivatives is the library's affair: the first argument of :func:`scalars`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

from focalkit._core import definition

Function: TypeAlias = Callable[..., Any]


class Scalars(NamedTuple):
    """The functions of the log-odds ``m``, two of them of ``gamma`` too."""

    sigma: Function
    loss: Function


def scalars(differentiable: Function, namespace: Function) -> Scalars:
    """The closed set of functions over one library.

    ``differentiable(value, *partials)`` makes a function of equally shaped arrays with these partial derivatives;
    ``namespace(array)`` is what ``definition`` takes as ``xp``.
    """

    def probability(m: Any) -> Any:
        return definition.probabilities(m, namespace(m))[0]

    def negative_log(m: Any) -> Any:
        return definition.probabilities(m, namespace(m))[2]

    def product(m: Any) -> Any:
        xp = namespace(m)
        p, _, nll_ = definition.probabilities(m, xp)
        return definition.product_p_nll(p, nll_, xp)

    def modulated(m: Any, gamma: Any) -> Any:
        xp = namespace(m)
        return definition.modulation(definition.probabilities(m, xp)[1], gamma, xp)

    def loss_value(m: Any, gamma: Any) -> Any:
        return definition.loss(m, gamma, namespace(m))

    def d1(m: Any, gamma: Any) -> Any:
        return -modulation(m, gamma) * (sigma(-m) + gamma * p_nll(m))

    def loss_in_gamma(m: Any, gamma: Any) -> Any:
        xp, value = namespace(m), loss(m, gamma)
        nothing = value == 0  # there nll(-m) = -log q may be infinite
        return xp.where(nothing, xp.zeros_like(value), -value * nll(xp.where(nothing, xp.zeros_like(m), -m)))

    sigma: Function = differentiable(probability, lambda m: sigma(m) * sigma(-m))
    nll: Function = differentiable(negative_log, lambda m: -sigma(-m))
    p_nll: Function = differentiable(product, lambda m: sigma(-m) * (p_nll(m) - sigma(m)))
    modulation: Function = differentiable(
        modulated,
        lambda m, gamma: -gamma * sigma(m) * modulation(m, gamma),
        lambda m, gamma: -modulation(m, gamma) * nll(-m),
    )
    loss: Function = differentiable(loss_value, d1, loss_in_gamma)
    return Scalars(sigma, loss)


def softmax_of_others(z: Any, excluded: Any, xp: Any) -> Any:
    """Softmax over the classes that are not ``excluded`` (a one-hot mask); 0 where there are none."""
    masked = xp.where(excluded, xp.full_like(z, -xp.inf), z)
    nothing = (masked == -xp.inf).all(-1)[..., None]
    r = xp.softmax(xp.where(nothing, xp.zeros_like(masked), masked), -1)
    return xp.where(nothing, xp.zeros_like(r), r)


def log_odds_along(true: Any, r: Any, tangent: Any, xp: Any) -> Any:
    """The change of ``m`` (n,) where logits change by ``tangent``; its gradient is e_t - r."""
    return xp.sum(xp.where(true, tangent, -r * tangent), -1)


def log_odds_of_all_along(p: Any, q: Any, leading: Any, r: Any, tangent: Any, xp: Any) -> Any:
    """The change of every ``m_k`` (n, K); every q but the leading class's is at least 1/2."""
    pull = p * tangent
    others = (xp.sum(pull, -1)[..., None] - pull) / xp.where(leading, xp.ones_like(q), q)
    return tangent - xp.where(leading, xp.sum(r * tangent, -1)[..., None], others)
