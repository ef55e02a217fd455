"""The neighbours of the focal loss: other functions of the same log-odds ``m`` of the true class.

With p = sigma(m), q = sigma(-m), nll = -log p and g = gamma:

    poly      q^g (nll + e q)                       Poly-1 of the focal loss (Leng et al. 2022, arXiv 2204.12511)
    star      -log sigma(g m + b) / g               FL* (Lin et al. 2017, arXiv 1708.02002, appendix A); convex
    dft       ((1 - l) + l p) nll, p not differentiated         dynamic fine-tuning (arXiv 2508.05629) at l = 1
    gce       (1 - p^k) / k                         generalised cross-entropy (Zhang & Sabuncu 2018, arXiv 1805.07836)
    steps     q^g nll, g a step function of p that is not differentiated      FLSD-53 (Mukhoti et al. 2020,
                                                    arXiv 2002.09437)
    clipped   v^g (-log(1 - v)), v = max(q - c, 0)  the negatives of the asymmetric loss (Ridnik et al. 2021,
                                                    arXiv 2009.14119)

Two are functions of a sigmoid's logit z and a soft target y, with p = sigma(z):

    quality     |y - p|^g CE(p, y)                  Li et al. 2020, arXiv 2006.04388
    varifocal   y CE(p, y) where y > 0, p^g (-log(1 - p)) where y = 0          Zhang et al. 2021, arXiv 2008.13367

That of poly is taken as q^g ((nll - q) + (1 + e) q), where nothing cancels for any e >= -1.

``form`` is a :class:`Form`, or None for the focal loss itself (``definition``). As there, ``xp`` is the array
namespace, and the kernels hold the same lines under the same names. d1 and d2 are the derivatives that training takes:
those of ``dft`` hold its weight fast, so that they are not the derivatives of its value (``slopes`` has these).
"""

from typing import NamedTuple

from focalkit._core import definition

#: The kernels number them in this order.
NAMES = ("focal", "poly", "star", "dft", "gce", "asymmetric", "quality", "varifocal")
OF_SOFT_TARGETS = ("quality", "varifocal")


class Form(NamedTuple):
    """A form by its name, and its number: e, b, l, k or c of the table above."""

    name: str
    number: float = 0.0
    table: tuple[tuple[float, float], ...] = ()


def stepped(p, table, xp):
    """Gamma of the first row (p, gamma) of the table that lies above ``p``; the last one's from there on."""
    gamma = xp.full_like(p, table[-1][1])
    for upper, value in table[-2::-1]:
        gamma = xp.where(p < upper, xp.full_like(p, value), gamma)
    return gamma


def _focal(m, gamma, form, xp):
    """Gamma and form with a table of gammas looked up: what is left is the focal loss."""
    if form is None or form.name != "steps":
        return gamma, form
    return stepped(definition.probabilities(m, xp)[0], form.table, xp), None


def loss(m, gamma, form, xp):
    """The loss, in nats."""
    gamma, form = _focal(m, gamma, form, xp)
    if form is None:
        return definition.loss(m, gamma, xp)
    if form.name == "star":
        return definition.probabilities(gamma * m + form.number, xp)[2] / gamma
    p, q, nll = definition.probabilities(m, xp)
    if form.name == "poly":
        value = definition.modulation(q, gamma, xp) * (definition.excess(m, xp) + (1 + form.number) * q)
        return xp.where(nll == 0, nll, value)
    if form.name == "dft":
        product = definition.product_p_nll(p, nll, xp)
        return form.number * product if form.number == 1 else (1 - form.number) * nll + form.number * product
    if form.name == "gce":
        return power_loss(nll, form.number, xp)
    v, n, _ = _clipped(p, q, form.number, xp)
    return xp.where(v <= 0, xp.zeros_like(v), definition.modulation(v, gamma, xp) * n)


def power_loss(nll, k, xp):
    """``(1 - p^k) / k``, which to all digits is ``nll`` where ``k nll`` is next to nothing."""
    x = k * nll
    return xp.where(x < 1e-17, nll, -xp.expm1(-x) / k)


def d1(m, gamma, form, xp):
    """First derivative in ``m``."""
    gamma, form = _focal(m, gamma, form, xp)
    if form is None:
        return definition.d1(m, gamma, xp)
    if form.name == "star":
        return -definition.probabilities(gamma * m + form.number, xp)[1]
    p, q, nll = definition.probabilities(m, xp)
    if form.name == "poly":
        first = q * q + gamma * definition.p_excess(m, xp) + (1 + form.number) * (gamma + 1) * p * q
        return -definition.modulation(q, gamma, xp) * first
    if form.name == "dft":
        return -((1 - form.number) + form.number * p) * q
    if form.name == "gce":
        return -xp.exp(-form.number * nll) * q
    v, n, u = _clipped(p, q, form.number, xp)
    safe = xp.where(v > 0, v, xp.ones_like(v))
    slope = p * q * definition.modulation(safe, gamma, xp) * (gamma * n / safe + 1 / u)
    return -xp.where(v <= 0, xp.zeros_like(v), slope)


def d2(m, gamma, form, xp):
    """Second derivative in ``m``."""
    gamma, form = _focal(m, gamma, form, xp)
    if form is None:
        return definition.d2(m, gamma, xp)
    if form.name == "star":
        p, q, _ = definition.probabilities(gamma * m + form.number, xp)
        return gamma * p * q
    p, q, nll = definition.probabilities(m, xp)
    if form.name == "poly":
        k = gamma + 1
        first = p * k * q * ((1 - form.number) * q + (1 + form.number) * k * p)
        return definition.modulated(q, gamma, first + gamma * (definition.p_excess(m, xp) * (gamma * p - q)), xp)
    if form.name == "dft":
        return ((1 - form.number) + form.number * p) * p * q
    if form.name == "gce":
        return xp.exp(-form.number * nll) * q * (p - form.number * q)
    v, n, u = _clipped(p, q, form.number, xp)
    safe = xp.where(v > 0, v, xp.ones_like(v))
    t, share, pull = n / safe, p * q / u, gamma * (p * q / safe)
    bend = pull * (p * q * (gamma - 1) * t + 2 * share - (q - p) * n)
    curve = definition.modulated(safe, gamma, bend + share * (p - q * form.number / u), xp)  # p - u is -c
    return xp.where(v <= 0, xp.zeros_like(v), curve)


def _clipped(p, q, c, xp):
    """``v``, ``-log(1 - v)`` and ``1 - v``, which is p + c; each from the smaller of the two."""
    v = xp.where(p < q, (1 - c) - p, q - c)
    v = xp.where(v <= 0, xp.zeros_like(v), v)  # not a number where q is none
    small = v < 0.5
    n = xp.where(small, -xp.log1p(-xp.where(small, v, xp.zeros_like(v))), -xp.log(xp.where(small, 1 + p, p + c)))
    return v, n, xp.where(small, 1 - v, p + c)


def log_slope(m, gamma, form, xp):
    """``log(-d1)``, where d1 itself would be rounded to 0 too."""
    if form is not None and form.name == "star":
        return -definition.probabilities(-(gamma * m + form.number), xp)[2]
    p, q, nll = definition.probabilities(m, xp)
    _, _, nll_other = definition.probabilities(-m, xp)
    if form is not None and form.name == "dft":
        held = xp.where(q < 0.5, 1 - form.number * q, (1 - form.number) + form.number * p)
        return -nll - nll_other if form.number == 1 else xp.log(held) - nll_other
    if form is not None and form.name == "gce":
        return -form.number * nll - nll_other
    if form is not None and form.name == "clipped":
        v, n, u = _clipped(p, q, form.number, xp)
        safe = xp.where(v > 0, v, xp.ones_like(v))
        slope = -nll - nll_other + gamma * xp.log(safe) + xp.log(gamma * n / safe + 1 / u)
        return xp.where(v <= 0, xp.full_like(v, -xp.inf), slope)
    bent = xp.where(gamma == 0, xp.zeros_like(m), gamma * nll_other)
    if form is not None and form.name == "poly":
        square = xp.where(q > 1e-100, q * q, xp.ones_like(q))
        ratio = xp.where(q > 1e-100, definition.p_excess(m, xp) / square, 0.5 * xp.ones_like(q))
        first, more = xp.log1p(gamma * ratio) - nll_other, xp.log((1 + form.number) * (gamma + 1)) - nll
        return xp.logaddexp(first, more) - nll_other - bent
    ratio = xp.where(q > 0, definition.product_p_nll(p, nll, xp) / xp.where(q > 0, q, xp.ones_like(q)), p)
    return xp.log1p(gamma * ratio) - nll_other - bent


def log_h(m, gamma, form, xp, margin=None):
    """``log h`` with ``h = p q / -d1(m - margin)``: the class's unnormalised true posterior, as ``definition.log_h``.

    At a minimum over all logits ``eta_k d1_k / q_k`` is proportional to p_k, whatever the function of the log-odds.
    """
    if form is None and margin is None:
        return definition.log_h(m, gamma, xp)
    _, _, nll = definition.probabilities(m, xp)
    _, _, nll_other = definition.probabilities(-m, xp)
    return -nll - nll_other - log_slope(m if margin is None else m - margin, gamma, form, xp)


def composed(m, gamma, form, of):
    """The loss made of functions that can be differentiated.

    ``of`` has loss, excess_loss, power_loss, nll, sigma and modulation (of m), and xp.
    """
    xp = of.xp
    if form.name == "steps":
        return of.loss(m, stepped(of.stop_gradient(of.sigma(m)), form.table, xp))
    if form.name == "star":
        return of.nll(gamma * m + form.number) / gamma
    if form.name == "poly":
        return of.excess_loss(m, gamma) + (1 + form.number) * of.modulation(m, gamma + 1)
    if form.name == "dft":
        p, nll = of.stop_gradient(of.sigma(m)), of.nll(m)
        product = xp.where(p > 0, p * nll, p)
        return form.number * product if form.number == 1 else (1 - form.number) * nll + form.number * product
    if form.name == "gce":
        return of.power_loss(m, xp.full_like(m, form.number))
    p, q = of.sigma(m), of.sigma(-m)
    v = xp.where(p < q, (1 - form.number) - p, q - form.number)
    nothing = v <= 0
    v = xp.where(nothing, 0.25 * xp.ones_like(q), v)
    small = v < 0.5
    n = xp.where(small, -xp.log1p(-xp.where(small, v, 0.25 * v)), -xp.log(xp.where(small, 1 + p, p + form.number)))
    return xp.where(nothing, xp.zeros_like(v), v**gamma * n)


def _entropy(z, y, xp):
    """Cross-entropy of the target ``y``, and p, q and p - y, which is exact for targets 0 and 1."""
    p, q, nll = definition.probabilities(z, xp)
    _, _, nll_other = definition.probabilities(-z, xp)
    entropy = definition.weighted(y, nll, xp) + definition.weighted(1 - y, nll_other, xp)
    return entropy, p, q, xp.where(y == 0, p, xp.where(y == 1, -q, p - y))


def soft_loss(z, y, gamma, form, xp):
    """The loss of the logit ``z`` and the soft target ``y``."""
    entropy, _, _, s = _entropy(z, y, xp)
    if form.name == "varifocal":
        return xp.where(y > 0, y * entropy, definition.loss(-z, gamma, xp))
    w = definition.modulation(xp.abs(s), gamma, xp)
    return xp.where((w == 0) | (entropy == 0), xp.zeros_like(w), w * entropy)


def soft_slopes(z, y, gamma, form, xp):
    """Its first and second derivative in ``z``."""
    _, p, q, s = _entropy(z, y, xp)
    if form.name == "varifocal":
        slope = xp.where(y > 0, y * s, -definition.d1(-z, gamma, xp))
        return slope, xp.where(y > 0, y * p * q, definition.d2(-z, gamma, xp))
    r, k = share(z, y, xp), pull(z, y, xp)
    bend = gamma * k * ((gamma - 1) * r + (q - p))
    w = definition.modulation(xp.abs(s), gamma, xp)
    return w * (s + gamma * k), definition.modulated(xp.abs(s), gamma, bend + (2 * (gamma * p * q) + p * q), xp)


def distance(z, y, gamma, xp):
    """``|y - p|^g``."""
    return definition.modulation(xp.abs(_entropy(z, y, xp)[3]), gamma, xp)


def share(z, y, xp):
    """``p q / (p - y)``, and 0 where p is y."""
    _, p, q, s = _entropy(z, y, xp)
    none = s == 0
    ratio = xp.where(none, xp.zeros_like(s), p * q / xp.where(none, xp.ones_like(s), s))
    return xp.where(y == 0, q, xp.where(y == 1, -p, ratio))


def pull(z, y, xp):
    """``share CE(p, y)``, and its limit 0 at an infinite logit."""
    r, entropy = share(z, y, xp), _entropy(z, y, xp)[0]
    return xp.where(r == 0, r, r * xp.where(r == 0, xp.zeros_like(r), entropy))


def composed_soft(z, y, gamma, form, of):
    """:func:`soft_loss` made of functions that can be differentiated."""
    xp = of.xp
    if form.name == "quality":
        return of.quality(z, y, gamma)
    entropy = definition.weighted(y, of.nll(z), xp) + definition.weighted(1 - y, of.nll(-z), xp)
    return xp.where(y > 0, y * entropy, of.loss(-z, gamma))
