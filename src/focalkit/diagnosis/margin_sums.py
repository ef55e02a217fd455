r"""Sums over cells of the asymmetric loss's negatives with a margin c, v^g (-log(1 - v)) with v = max(q - c, 0).

With u = 1 - v = p + c and n = -log u it is the monomial v^g n, and the derivatives of a monomial are monomials again:

    d (p^i q^j v^a n^b u^-k) = i p^i q^(j+1) v^a n^b u^-k - j p^(i+1) q^j v^a n^b u^-k
                             - p^(i+1) q^(j+1) (a v^(a-1) n^b u^-k + b v^a n^(b-1) u^-(k+1) + k v^a n^b u^-(k+1))

so Taylor's formula serves as in :mod:`~focalkit.diagnosis.expansion`. It fails in the cell in which the margin begins,
where the derivatives jump: there, and in the open cells, the loss, which falls with m, lies between its values at the
two edges, and |d1| between bounds of its own. How much of a cell lies on either side of where the margin begins is
known in part: by Cantelli's inequality a share of at most S / (S + x^2) is x or more from the mean, to one side of it.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from focalkit._core import definition, forms
from focalkit._core.forms import Form
from focalkit.diagnosis import bins
from focalkit.diagnosis.expansion import CellSums, rounding

Real: TypeAlias = NDArray[np.float64]
#: Coefficients of p^i q^j v^a n^b u^-k by (i, j, a, b, k).
Terms: TypeAlias = dict[tuple[int, int, float, int, int], float]


def margin_sums(
    bin_index: NDArray[Any], count: NDArray[Any], weight: Real, s1: Real, s2: Real, gamma: float, margin: float
) -> CellSums:
    """:func:`~focalkit.diagnosis.expansion.cell_sums` of them, for one gamma."""
    form = Form("clipped", margin)
    left, right = bin_index == bins.LEFT, bin_index == bins.RIGHT
    lower = np.where(left, -np.inf, bins.LOWER[bin_index])
    upper = np.where(right, np.inf, bins.UPPER[bin_index])
    mu = np.clip(bins.CENTRE[bin_index] + s1 / weight, bins.LOWER[bin_index], bins.UPPER[bin_index])
    spread = np.maximum(s2 - s1 * (s1 / weight), 0.0)
    reach = np.maximum(upper - mu, mu - lower)
    edge = np.log1p(-margin) - np.log(margin)  # to rounding; at gamma 0 |d1| itself jumps there, at a cell's end too
    slack = 8 * np.finfo(np.float64).eps * (1 + abs(edge)) * (1 if gamma == 0 else -1)
    divided = (lower < edge + slack) & (edge - slack < upper)
    # at most these shares of a cell lie before and behind the edge; an open one has no second moment
    variance = (spread + rounding(count, np.asarray(0.0), s2)) / weight
    few = variance / (variance + (mu - edge) ** 2)
    outside, inside = (np.where(divided & on & ~(left | right), few, 1.0) for on in (mu > edge, mu < edge))
    value: Terms = {(0, 0, gamma, 1, 0): 1.0}
    falls = derivative(value)
    ends = [forms.loss(m, gamma, form, np) for m in (lower, upper)]
    steepest = bound(falls, lower, upper, margin)
    flattest = -forms.d1(lower, gamma, form, np) - (upper - lower) * bound(derivative(falls), lower, upper, margin)
    flattest = np.where(divided & np.isfinite(flattest), np.maximum(flattest, 0.0) * (1 - inside), 0.0)
    at, errors = [], []
    # second, third and for |d1| third, fourth derivatives
    second, of_slope = derivative(falls), derivative(derivative(falls))
    f, d1 = forms.loss(mu, gamma, form, np), -forms.d1(mu, gamma, form, np)
    f2, g2 = evaluated(second, mu, margin), -evaluated(of_slope, mu, margin)
    for whole, bend, sup, low, high in (
        (f, f2, bound(of_slope, lower, upper, margin), ends[1], outside * ends[0]),
        (d1, g2, bound(derivative(of_slope), lower, upper, margin), flattest, outside * steepest),
    ):
        taylor, error = weight * whole + spread * bend / 2, spread * reach * sup / 6
        between, half = weight * (low + high) / 2, weight * (high - low) / 2
        better = np.isfinite(taylor) & (error < half) & ~divided
        at.append(np.where(better, taylor, between))
        errors.append(np.where(better, error, half))
    p, _, _ = definition.probabilities(mu, np)
    known = np.where(p > 0, 1 / np.where(p > 0, p, 1.0), 0.0)  # q - c is as exact as q
    size = weight * (ends[0] + steepest * (1 + known) + np.abs(np.where(np.isfinite(f2), f2, 0.0)))
    rounded = rounding(count, np.asarray(gamma), size)
    return CellSums(at[0], errors[0] + rounded, at[1], errors[1] + rounded)


def derivative(terms: Terms) -> Terms:
    """The derivative in m."""
    found: Terms = {}
    for (i, j, a, b, k), c in terms.items():
        for key, factor in (
            ((i, j + 1, a, b, k), i),
            ((i + 1, j, a, b, k), -j),
            ((i + 1, j + 1, a - 1, b, k), -a),
            ((i + 1, j + 1, a, b - 1, k + 1), -b),
            ((i + 1, j + 1, a, b, k + 1), -k),
        ):
            if factor:
                found[key] = found.get(key, 0.0) + c * factor
    return found


def _nll(v: Real, p: Real, margin: float) -> Real:
    """-log(1 - v), which is -log(p + c), from the smaller of the two."""
    return -np.where(v < 0.5, np.log1p(-np.minimum(v, 0.5)), np.log(p + margin))


def evaluated(terms: Terms, m: Real, margin: float) -> Real:
    """The sum of the terms at ``m``, 0 within the margin."""
    p, q, _ = definition.probabilities(m, np)
    v = np.where(q > margin, q - margin, 0.5)
    n = _nll(v, p, margin)
    parts = (c * p**i * q**j * v**a * n**b / (p + margin) ** k for (i, j, a, b, k), c in terms.items())
    return np.where(q > margin, sum(parts, np.zeros_like(p)), 0.0)


def bound(terms: Terms, lower: Real, upper: Real, margin: float) -> Real:
    """A bound on the size of the sum over [lower, upper] before the margin, infinite where a power of v has none."""
    p, least_q, _ = definition.probabilities(upper, np)
    least_p, q, _ = definition.probabilities(lower, np)
    v, least_v = np.maximum(q - margin, 0.0), np.maximum(least_q - margin, 0.0)
    ratio = np.where(v > 0, _nll(v, least_p, margin) / np.where(v > 0, v, 1.0), 1.0)  # n / v rises with v
    total = np.zeros_like(p)
    for (i, j, a, b, k), c in terms.items():
        power = ratio**b * (v if a + b >= 0 else least_v) ** (a + b)
        total += abs(c) * p ** (i - k) * (p / (p + margin)) ** k * q**j * power  # k never exceeds i
    return np.where(v > 0, total, 0.0)
