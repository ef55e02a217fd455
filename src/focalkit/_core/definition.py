"""The mathematics, once.

Every loss of this package is one function of ``m``, the log-odds of the true class
(``m = logit(p_t)``), and of ``gamma``:

    loss(m) =  q^g nll                 p = sigma(m), q = sigma(-m), nll = softplus(-m) = -log p
    d1(m)   = -q^g (q + g p nll)       d loss / dm
    d2(m)   =  q^g p ((1 + 2g) q + g nll (g p - q))

(Lin et al. 2017, arXiv 1708.02002, eq. 4, as a function of the margin). gamma = 0 is cross-entropy;
alpha and sample weights multiply from outside. This file imports nothing: ``xp`` is the array
namespace, and the same lines are transcribed, with the same names, wherever else the loss is computed.
"""


def probabilities(m, xp):
    """``p``, ``q`` and ``nll`` at log-odds ``m``, each to a few ulp.

    1 - p is never a subtraction: with e = exp(-|m|) in (0, 1], the larger of p and q is
    1 / (1 + e) and the smaller e / (1 + e); nll = max(-m, 0) + log1p(e) has no cancelling terms.
    """
    e = xp.exp(-xp.abs(m))
    larger = 1 / (1 + e)
    smaller = e / (1 + e)
    p = xp.where(m >= 0, larger, smaller)
    q = xp.where(m >= 0, smaller, larger)
    nll = xp.where(m >= 0, xp.zeros_like(m), -m) + xp.log1p(e)
    return p, q, nll


def modulation(q, gamma, xp):
    """``q^gamma``, and 1 where gamma is 0 even at q = 0 (cross-entropy has no modulation)."""
    return xp.where(gamma == 0, xp.ones_like(q), q**gamma)


def modulated(q, gamma, value, xp):
    """``q^gamma value``, and 0 where ``q^gamma`` is: there powers of a large gamma may have overflowed in ``value``."""
    w = modulation(q, gamma, xp)
    return xp.where(w == 0, w, w * value)


def product_p_nll(p, nll, xp):
    """``p * nll``, and its limit 0 where p is 0 (there nll may be infinite)."""
    return xp.where(p > 0, p * nll, p)


def weighted(weight, value, xp):
    """``weight * value``, where a weight of 0 masks an infinite loss but never a NaN."""
    masked = (weight == 0) & (value == float("inf"))
    return weight * xp.where(masked, xp.zeros_like(value), value)


#: 2/3, 2/5, 2/7, ... and a minimax polynomial of degree 9 from there on: 2 (atanh s - s) / s^3 in s^2 <= 1/9.
_ATANH = (
    *(0.6666666666666666, 0.40000000000014585, 0.28571428567108426, 0.22222222717461507, 0.18181789434440715),
    *(0.15385570112464433, 0.1331414343049421, 0.12001080222294926, 0.08800700613795955, 0.16164125939775675),
)


def atanh_series(x, xp):
    """``2 (atanh s - s) / s^3`` of x = s^2 in [0, 1/9]."""
    series = xp.zeros_like(x)
    for c in reversed(_ATANH):
        series = series * x + c
    return series


def excess(m, xp):
    """``nll - q``, to a few ulp even where it is q^2 / 2.

    With s = e / (2 + e), e = exp(-|m|), nll = 2 atanh s and q = 2 s / (1 + s) where m >= 0, so that their difference
    is s q + 2 (atanh s - s), all positive; below, |m| - (q - p) is added, by which both differ.
    """
    e = xp.exp(-xp.abs(m))
    smaller = e / (1 + e)
    s = e / (2 + e)
    likely = s * (smaller + s * s * atanh_series(s * s, xp))
    return xp.where(m >= 0, likely, likely + (xp.abs(m) - (1 - e) / (1 + e)))


def p_excess(m, xp):
    """``p (nll - q)``, and its limit 0 where p is 0."""
    p, _, _ = probabilities(m, xp)
    return product_p_nll(p, excess(m, xp), xp)


def loss(m, gamma, xp):
    """``q^g nll``, in nats."""
    _, q, nll = probabilities(m, xp)
    return xp.where(nll == 0, nll, modulation(q, gamma, xp) * nll)


def d1(m, gamma, xp):
    """First derivative in ``m``: a negative sum of positive terms, so nothing cancels."""
    p, q, nll = probabilities(m, xp)
    return -modulation(q, gamma, xp) * (q + gamma * product_p_nll(p, nll, xp))


def d2(m, gamma, xp):
    """Second derivative in ``m``; negative where p_t < p*(gamma) <= 0.0585 (the loss is not convex there).

    Halved, doubled and bracketed so that no factor overflows before a smaller one has been at it.
    """
    p, q, nll = probabilities(m, xp)
    p_nll = product_p_nll(p, nll, xp)
    return modulated(q, gamma, p * (0.5 + gamma) * (2 * q) + gamma * (p_nll * (gamma * p - q)), xp)


def d3(m, gamma, xp):
    """Third derivative in ``m``; used for the error bounds of the diagnosis ledger only."""
    p, q, nll = probabilities(m, xp)
    p_nll = product_p_nll(p, nll, xp)
    p_b = p * (1 + 2 * gamma) * q + gamma * p_nll * (gamma * p - q)
    p_db = p * q * (-(1 + 2 * gamma) * p - gamma * (gamma * p - q) + gamma * (1 + gamma) * p_nll)
    return modulated(q, gamma, (q - gamma * p) * p_b + p_db, xp)


def log_h(m, gamma, xp):
    """``log h`` with ``h = v / G(v)`` at v = sigma(m): the class's unnormalised true posterior.

    Charoenphakdee et al. 2021 (arXiv 2011.09172): the minimiser q of the focal risk maps back to
    the posterior by normalising h(q_i) = q_i / ((1 - q_i)^g - g (1 - q_i)^(g-1) q_i log q_i).
    Taking (1 - v)^g out, log h = log v - g log(1 - v) - log(1 + g v (-log v) / (1 - v)), whose last
    fraction tends to 1 as v -> 1.
    """
    p, q, nll = probabilities(m, xp)
    _, _, nll_other = probabilities(-m, xp)
    ratio = xp.where(q > 0, product_p_nll(p, nll, xp) / xp.where(q > 0, q, xp.ones_like(q)), p)
    bent = xp.where(gamma == 0, xp.zeros_like(m), gamma * nll_other)
    return -nll + bent - xp.log1p(gamma * ratio)
