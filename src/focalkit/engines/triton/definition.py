"""The definition and the links for Triton, line for line and name for name as ``_definition`` and ``_links``.

Every function is inlined into the kernels and takes tensors of float32 or float64. Only ``exp``, ``log`` and
arithmetic are used, each of which Triton computes to a few ulp on every device (``libdevice`` is NVIDIA's).
"""

from __future__ import annotations

import triton
import triton.language as tl

from focalkit._core.forms import Form

#: The forms that have kernels, as the kernels number them; 0 is the focal loss.
FORMS = {"poly": 1, "star": 2, "dft": 3, "gce": 4}


def form_number(form: Form) -> float:
    """A form's parameter as the kernels take it, before it is rounded: of poly 1 more, of dft what is left of 1."""
    return {"poly": 1 + form.number, "dft": 1 - form.number}.get(form.name, form.number)


#: Which powers of q a whole call needs: those of gamma = 0, 1 and 2 cost no power at all.
POWERS = {0.0: 0, 1.0: 1, 2.0: 2}
ANY_POWER = 3


@triton.jit
def log1p(x):
    """``log(1 + x)`` for x >= 0: what rounding took from u = 1 + x, that is x - (u - 1), is put back to first order."""
    u = 1 + x
    return tl.log(u) + (x - (u - 1)) / u


@triton.jit
def probabilities(m):
    """``p``, ``q``, ``nll`` and ``nll_other`` = softplus(m) = -log q at log-odds ``m``, each to a few ulp.

    1 - p is never a subtraction: with e = exp(-|m|) in (0, 1], the larger of p and q is
    1 / (1 + e) and the smaller e / (1 + e); nll = max(-m, 0) + log1p(e) has no cancelling terms.
    """
    size = tl.abs(m)
    e = tl.exp(-size)
    larger = 1 / (1 + e)
    smaller = e * larger
    likely = m >= 0
    p = tl.where(likely, larger, smaller)
    q = tl.where(likely, smaller, larger)
    log1p_e = log1p(e)
    nll = tl.where(likely, log1p_e, size + log1p_e)
    nll_other = tl.where(likely, size + log1p_e, log1p_e)
    return p, q, nll, nll_other


@triton.jit
def modulation(q, nll_other, gamma, POWER: tl.constexpr):
    """``q^gamma``, and 1 where gamma is 0 even at q = 0 (cross-entropy has no modulation)."""
    if POWER == 0:
        w = tl.full(q.shape, 1.0, q.dtype)
    elif POWER == 1:
        w = q
    elif POWER == 2:
        w = q * q
    else:
        w = tl.where(gamma == 0, 1.0, tl.exp(-gamma * nll_other))
    return w


@triton.jit
def product_p_nll(p, nll):
    """``p * nll``, and its limit 0 where p is 0 (there nll may be infinite)."""
    return tl.where(p > 0, p * nll, p)


@triton.jit
def loss(nll, w):
    """``q^gamma nll``, in nats; ``w`` is the modulation."""
    return tl.where(nll == 0, nll, w * nll)


@triton.jit
def d1(p, q, nll, w, gamma, POWER: tl.constexpr):
    """First derivative in ``m``: a negative sum of positive terms, so nothing cancels."""
    if POWER == 0:
        slope = -q
    else:
        slope = -w * (q + gamma * product_p_nll(p, nll))
    return slope


@triton.jit
def excess(m, p, q):
    """``nll - q``, to a few ulp even where it is q^2 / 2."""
    e = tl.exp(-tl.abs(m))
    s = e / (2 + e)
    x = s * s
    series = 0.12001080222294926 + x * (0.08800700613795955 + x * 0.16164125939775675)
    series = 0.18181789434440715 + x * (0.15385570112464433 + x * (0.1331414343049421 + x * series))
    series = 0.28571428567108426 + x * (0.22222222717461507 + x * series)
    series = 0.6666666666666666 + x * (0.40000000000014585 + x * series)
    likely = s * (e / (1 + e) + x * series)
    return tl.where(m >= 0, likely, likely + (tl.abs(m) - (q - p)))


@triton.jit
def expm1(x):
    """``exp(x) - 1`` for x <= 0: near 0 with u = exp(x), (u - 1) x / log u (Kahan)."""
    u = tl.exp(x)
    ratio = (u - 1) * (x / tl.where(u == 1, 1.0, tl.log(tl.where(u > 0, u, 1.0))))
    return tl.where(x < -1, u - 1, tl.where(u == 1, x, ratio))


@triton.jit
def loss_and_d1(m, gamma, number, FORM: tl.constexpr, POWER: tl.constexpr):
    """Loss and d1 of a form at log-odds ``m``, as ``forms`` has them; ``number`` is that of :func:`form_number`."""
    if FORM == 2:
        _, q, nll, _ = probabilities(gamma * m + number)
        value, slope = nll / gamma, -q
    else:
        p, q, nll, nll_other = probabilities(m)
        if FORM == 3:
            held = 1 - number
            value = tl.where(number == 0, 0.0, number * nll) + held * product_p_nll(p, nll)
            slope = -(number + held * p) * q
        elif FORM == 4:
            value = -expm1(-number * nll) / number
            slope = -tl.exp(-number * nll) * q
        else:
            w = modulation(q, nll_other, gamma, POWER)
            if FORM == 1:
                over = excess(m, p, q)
                value = tl.where(nll == 0, nll, w * (over + number * q))
                slope = -w * (q * q + gamma * product_p_nll(p, over) + number * (gamma + 1) * p * q)
            else:
                value, slope = loss(nll, w), d1(p, q, nll, w, gamma, POWER)
    return value, slope


@triton.jit
def weighted(weight, value):
    """``weight * value``, where a weight of 0 silences an infinite loss but never a NaN."""
    silenced = (weight == 0) & (value == float("inf"))
    return weight * tl.where(silenced, 0.0, value)


@triton.jit
def log_odds(own, largest, log_total):
    """``own - (largest + log_total)``: the difference of the logits first, which is often exact.

    A class at -inf has no odds whatever the others are, unless there are no others at all; +inf is an
    error of the model, and NaN as in logsumexp.
    """
    difference = tl.where(own == float("inf"), float("nan"), own - largest)
    difference = tl.where((own == float("-inf")) & (largest > float("-inf")), float("-inf"), difference)
    return difference - log_total


@triton.jit
def log_of_total(total):
    """``log(total)`` of a sum of which one term is 1, and 0 for the empty sum."""
    return tl.where(total == 0, 0.0, tl.log(tl.where(total == 0, 1.0, total)))


@triton.jit
def anchored_exp(z, largest):
    """``exp(z - largest)``; 0 for every class of a row without any that can be."""
    return tl.exp(z - tl.where(largest == float("-inf"), 0.0, largest))


@triton.jit
def pull_of(slope, total):
    """-d1 / total, by which each e_j gives its gradient; without other classes there is none."""
    return tl.where(total == 0, tl.where(slope == slope, 0.0, slope), -slope / total)


@triton.jit
def all_but(x, largest, rest):
    """The sum of all the entries but ``x``, given the largest one and the sum of the ``rest``.

    ``total - x`` loses its digits only where x is more than half of the total, and only the largest
    entry can be: that one's sum is ``rest`` itself.
    """
    others = rest - x
    return tl.where(x == largest, rest, largest + tl.where(others < 0, 0.0, others))
