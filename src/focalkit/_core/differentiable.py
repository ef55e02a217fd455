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
    d power_loss(m, k) = -sigma(-m) exp(-k nll(m))            k is no variable                 (1 - p^k) / k

and of a logit z and a soft target y, with s = p - y and p - q = sigma(z) - sigma(-z):

    d share(z, y)       = -share (p - q + share)                  d/dy = share / s             share = p q / s
    d pull(z, y)        = p q - pull (p - q + share)              d/dy = pull / s - z share    pull = share CE(p, y)
    d distance(z, y, g) = g distance share                        d/dy = -g distance / s       distance = |s|^g
    d quality(z, y, g)  = distance (s + g pull)                   d/dy = -g quality / s - z distance

whose derivatives in g are the functions times log |s|. Divided by s they are held in y where that is 0 or 1.

A formula takes as ``f`` whatever has all of these functions, differentiable in its library's way, and
``namespace(array)``, the ``xp`` of ``definition``; :data:`FUNCTIONS` has them all, with their partial derivatives.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from focalkit._core import definition, forms

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
    nothing = (value == 0) | (value == xp.inf)  # there nll(-m) = -log q may be infinite, or 0
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


def _power_loss(f: Any, m: Any, k: Any) -> Any:
    xp = f.namespace(m)
    return forms.power_loss(definition.probabilities(m, xp)[2], k, xp)


def _power_loss_in_m(f: Any, m: Any, k: Any) -> Any:
    return -f.sigma(-m) * f.namespace(m).exp(-k * f.nll(m))


def _power_loss_in_k(f: Any, m: Any, k: Any) -> Any:
    return f.namespace(m).zeros_like(m)


def _share(f: Any, z: Any, y: Any) -> Any:
    return forms.share(z, y, f.namespace(z))


def _share_in_z(f: Any, z: Any, y: Any) -> Any:
    return -f.share(z, y) * _turn(f, z, y)


def _share_in_y(f: Any, z: Any, y: Any) -> Any:
    return _over_s(f, f.share(z, y), z, y)


def _pull(f: Any, z: Any, y: Any) -> Any:
    return forms.pull(z, y, f.namespace(z))


def _pull_in_z(f: Any, z: Any, y: Any) -> Any:
    return f.sigma(z) * f.sigma(-z) - f.pull(z, y) * _turn(f, z, y)


def _pull_in_y(f: Any, z: Any, y: Any) -> Any:
    return _over_s(f, f.pull(z, y), z, y) - _finite(f, z) * f.share(z, y)


def _distance(f: Any, z: Any, y: Any, gamma: Any) -> Any:
    return forms.distance(z, y, gamma, f.namespace(z))


def _distance_in_z(f: Any, z: Any, y: Any, gamma: Any) -> Any:
    return gamma * f.distance(z, y, gamma) * f.share(z, y)


def _distance_in_y(f: Any, z: Any, y: Any, gamma: Any) -> Any:
    return -gamma * _over_s(f, f.distance(z, y, gamma), z, y)


def _distance_in_gamma(f: Any, z: Any, y: Any, gamma: Any) -> Any:
    return _times_log_s(f, f.distance(z, y, gamma), z, y)


def _quality(f: Any, z: Any, y: Any, gamma: Any) -> Any:
    return forms.soft_loss(z, y, gamma, forms.Form("quality"), f.namespace(z))


def _quality_in_z(f: Any, z: Any, y: Any, gamma: Any) -> Any:
    return f.distance(z, y, gamma) * (_s(f, z, y) + gamma * f.pull(z, y))


def _quality_in_y(f: Any, z: Any, y: Any, gamma: Any) -> Any:
    return -gamma * _over_s(f, f.quality(z, y, gamma), z, y) - _finite(f, z) * f.distance(z, y, gamma)


def _quality_in_gamma(f: Any, z: Any, y: Any, gamma: Any) -> Any:
    return _times_log_s(f, f.quality(z, y, gamma), z, y)


def _s(f: Any, z: Any, y: Any) -> Any:
    """``p - y``, exact for targets 0 and 1."""
    where, p = f.namespace(z).where, f.sigma(z)
    return where(y == 0, p, where(y == 1, -f.sigma(-z), p - y))


def _turn(f: Any, z: Any, y: Any) -> Any:
    """``p - q + share``, which is p and -q at targets 0 and 1."""
    where, p, q = f.namespace(z).where, f.sigma(z), f.sigma(-z)
    return where(y == 0, p, where(y == 1, -q, p - q + f.share(z, y)))


def _over_s(f: Any, value: Any, z: Any, y: Any) -> Any:
    xp, s = f.namespace(z), _s(f, z, y)
    held = (y == 0) | (y == 1) | (s == 0) | (value == xp.inf)
    return xp.where(held, xp.zeros_like(value), value) / xp.where(held, xp.ones_like(s), s)


def _times_log_s(f: Any, value: Any, z: Any, y: Any) -> Any:
    """``value log |s|``, 0 where there is no value and at infinite logits."""
    xp, s = f.namespace(z), _s(f, z, y)
    held = (value == 0) | (z == xp.inf) | (z == -xp.inf)
    one, z = xp.ones_like(s), xp.where(held, xp.zeros_like(z), z)
    log = xp.log(xp.where(held | (y == 0) | (y == 1), one, xp.where(s < 0, -s, s)))
    return xp.where(held, xp.zeros_like(value), value) * xp.where(y == 0, -f.nll(z), xp.where(y == 1, -f.nll(-z), log))


def _finite(f: Any, z: Any) -> Any:
    """The logit, and 0 where it is infinite: there is no derivative in a target there."""
    xp = f.namespace(z)
    return xp.where((z == xp.inf) | (z == -xp.inf), xp.zeros_like(z), z)


#: By name: the value, and its derivative in each argument.
FUNCTIONS: dict[str, tuple[Function, ...]] = {
    "sigma": (_sigma, _sigma_in_m),
    "nll": (_nll, _nll_in_m),
    "p_nll": (_p_nll, _p_nll_in_m),
    "modulation": (_modulation, _modulation_in_m, _modulation_in_gamma),
    "loss": (_loss, _loss_in_m, _loss_in_gamma),
    "p_excess": (_p_excess, _p_excess_in_m),
    "excess_loss": (_excess_loss, _excess_loss_in_m, _excess_loss_in_gamma),
    "power_loss": (_power_loss, _power_loss_in_m, _power_loss_in_k),
    "share": (_share, _share_in_z, _share_in_y),
    "pull": (_pull, _pull_in_z, _pull_in_y),
    "distance": (_distance, _distance_in_z, _distance_in_y, _distance_in_gamma),
    "quality": (_quality, _quality_in_z, _quality_in_y, _quality_in_gamma),
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
