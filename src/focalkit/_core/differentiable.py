"""The definition and the links as functions that a library can differentiate, to any order and exactly.

The formulas of ``definition`` and ``links`` are right everywhere, but automatic differentiation of their text is not:
at m = 0 the derivative of ``|m|`` is taken for 0, at ties ``max`` spreads its gradient, and ``where`` turns 0 times
infinity into NaN. So each function here takes its value from them and its derivative from a formula made of the same
few functions, which is closed under differentiation:

    d sigma(m)     =  sigma(m) sigma(-m)
    d p_nll(m)     =  sigma(-m) (p_nll(m) - sigma(m))                  p_nll = p * nll
    d q^g          = -g sigma(m) q^g             d/dg = -q^g nll(-m)
    d loss(m, g)   = -q^g (sigma(-m) + g p_nll(m))   (d1)     d/dg = -loss nll(-m)
    d p_excess(m)  =  sigma(-m) (p_excess(m) - sigma(m) sigma(-m))          p_excess = p (nll - q)
    d excess_loss  = -q^g (sigma(-m)^2 + g p_excess(m))       d/dg = -excess_loss nll(-m)      q^g (nll - q)

A formula takes as ``f`` whatever has all of these functions, differentiable in its library's way, and
``namespace(array)``, the ``xp`` of ``definition``; :data:`FUNCTIONS` has them all, with their partial derivatives.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from focalkit._core import definition

Function: TypeAlias = Callable[..., Any]


def _sigma(f: Any, m: Any) -> Any:
    return definition.probabilities(m, f.namespace(m))[0]


def _sigma_in_m(f: Any, m: Any) -> Any:
    return f.sigma(m) * f.sigma(-m)


def _nll(f: Any, m: Any) -> Any:
    return definition.probabilities(m, f.namespace(m))[2]


def _nll_in_m(f: Any, m: Any) -> Any:
    return -f.sigma(-m)


def _p_nll(f: Any, m: Any) -> Any:
    xp = f.namespace(m)
    p, _, nll = definition.probabilities(m, xp)
    return definition.product_p_nll(p, nll, xp)


def _p_nll_in_m(f: Any, m: Any) -> Any:
    return f.sigma(-m) * (f.p_nll(m) - f.sigma(m))


def _modulation(f: Any, m: Any, gamma: Any) -> Any:
    xp = f.namespace(m)
    return definition.modulation(definition.probabilities(m, xp)[1], gamma, xp)


def _modulation_in_m(f: Any, m: Any, gamma: Any) -> Any:
    return -gamma * f.sigma(m) * f.modulation(m, gamma)


def _modulation_in_gamma(f: Any, m: Any, gamma: Any) -> Any:
    xp = f.namespace(m)
    alone = m == xp.inf  # no other class can be: nll(-m) is infinite
    value = f.modulation(m, gamma)
    return -xp.where(alone, xp.zeros_like(value), value) * f.nll(xp.where(alone, xp.zeros_like(m), -m))


def _loss(f: Any, m: Any, gamma: Any) -> Any:
    return definition.loss(m, gamma, f.namespace(m))


def _loss_in_m(f: Any, m: Any, gamma: Any) -> Any:
    return -f.modulation(m, gamma) * (f.sigma(-m) + gamma * f.p_nll(m))


def _loss_in_gamma(f: Any, m: Any, gamma: Any) -> Any:
    return _modulated_in_gamma(f, m, f.loss(m, gamma))


def _modulated_in_gamma(f: Any, m: Any, value: Any) -> Any:
    """The derivative in gamma of a ``value`` that is q^g times a function of m."""
    xp = f.namespace(m)
    nothing = value == 0  # there nll(-m) = -log q may be infinite
    return xp.where(nothing, xp.zeros_like(value), -value * f.nll(xp.where(nothing, xp.zeros_like(m), -m)))


def _p_excess(f: Any, m: Any) -> Any:
    return definition.p_excess(m, f.namespace(m))


def _p_excess_in_m(f: Any, m: Any) -> Any:
    return f.sigma(-m) * (f.p_excess(m) - f.sigma(m) * f.sigma(-m))


def _excess_loss(f: Any, m: Any, gamma: Any) -> Any:
    xp = f.namespace(m)
    _, q, nll = definition.probabilities(m, xp)
    return xp.where(nll == 0, nll, definition.modulation(q, gamma, xp) * definition.excess(m, xp))


def _excess_loss_in_m(f: Any, m: Any, gamma: Any) -> Any:
    return -f.modulation(m, gamma) * (f.sigma(-m) * f.sigma(-m) + gamma * f.p_excess(m))


def _excess_loss_in_gamma(f: Any, m: Any, gamma: Any) -> Any:
    return _modulated_in_gamma(f, m, f.excess_loss(m, gamma))


#: By name: the value, and its derivative in each argument.
FUNCTIONS: dict[str, tuple[Function, ...]] = {
    "sigma": (_sigma, _sigma_in_m),
    "nll": (_nll, _nll_in_m),
    "p_nll": (_p_nll, _p_nll_in_m),
    "modulation": (_modulation, _modulation_in_m, _modulation_in_gamma),
    "loss": (_loss, _loss_in_m, _loss_in_gamma),
    "p_excess": (_p_excess, _p_excess_in_m),
    "excess_loss": (_excess_loss, _excess_loss_in_m, _excess_loss_in_gamma),
}


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
