r"""Sums of the loss and of |d1| over a cell, from the cell's moments, each with a bound on its error.

With w = sum of weights, mu the weighted mean of m in the cell and M2 = sum w_i (m_i - mu)^2, Taylor's
formula about mu has no first-order term:

    sum w_i f(m_i) = w f(mu) + M2 f''(mu) / 2 + R,    |R| <= sum w_i |m_i - mu|^3 / 6 * sup |f'''|
                                                          <= M2 D / 6 * sup |f'''|

with D the largest distance from mu to an edge of the cell. For the loss f''' is d3, for |d1| = -d1 it
is d4. All derivatives are q^g (A + B nll) with polynomials A, B in p and q: p' = p q, q' = -p q,
nll' = -q and (q^g)' = -g p q^g give A' - q B - g p A and B' - g p B for the next ones. Since p rises
and q and nll fall with m, each monomial is bounded in a cell by its values at the two edges, and a sum
of them by the sum of their sizes.

The open cells: for m <= -20, |loss - (-m)| and ||d1| - 1| are at most (1 + g) (1 + |m|) e^m; for m > 44
both functions fall, so they lie between 0 and their value at 44.

Rounding adds at most a few (count) units in the last place of each term, which is in the bound too.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from focalkit._core import definition
from focalkit.diagnosis import bins

Real = NDArray[np.float64]


class CellSums(NamedTuple):
    """Per cell: the sum of the loss and of |d1|, and bounds on their errors."""

    loss: Real
    loss_error: Real
    grad: Real
    grad_error: Real


def rounding(count: NDArray[Any], gamma: Real, size: Real) -> Real:
    """Bound on the rounding of a sum of ``count`` terms with sizes that sum to ``size``."""
    return 4 * np.finfo(np.float64).eps * (1 + gamma) * (count + 64.0) * size


def cell_sums(bin_index: NDArray[Any], count: NDArray[Any], weight: Real, s1: Real, s2: Real, gamma: Real) -> CellSums:
    """Sums over non-empty cells, given as vectors: bin, count, weight, moments about the bin's centre, gamma."""
    lower, upper, centre = bins.LOWER[bin_index], bins.UPPER[bin_index], bins.CENTRE[bin_index]
    left, right = bin_index == bins.LEFT, bin_index == bins.RIGHT
    mu = np.clip(centre + s1 / weight, lower, upper)
    spread = np.maximum(s2 - s1 * (s1 / weight), 0.0)
    reach = np.maximum(upper - mu, mu - lower)
    f = definition.loss(mu, gamma, np)
    d1, d2, d3 = definition.d1(mu, gamma, np), definition.d2(mu, gamma, np), definition.d3(mu, gamma, np)
    sup3, sup4 = _suprema(lower, upper, gamma)
    loss, grad = weight * f + spread * d2 / 2, -(weight * d1 + spread * d3 / 2)
    loss_error, grad_error = spread * reach * sup3 / 6, spread * reach * sup4 / 6
    tail = (1 + gamma) * (1 - bins.LOW) * np.exp(float(bins.LOW)) * weight
    linear = -(s1 + centre * weight)
    loss = np.where(left, linear, np.where(right, weight * f / 2, loss))
    grad = np.where(left, weight, np.where(right, -weight * d1 / 2, grad))
    loss_error = np.where(left, tail, np.where(right, loss, loss_error))
    grad_error = np.where(left, tail, np.where(right, grad, grad_error))
    loss_size = np.where(left, linear, weight * (f + np.abs(d1) + np.abs(d2)))
    grad_size = weight * (np.abs(d1) + np.abs(d2) + np.abs(d3))
    return CellSums(
        loss,
        loss_error + rounding(count, gamma, loss_size),
        grad,
        grad_error + rounding(count, gamma, grad_size),
    )


def _suprema(lower: Real, upper: Real, g: Real) -> tuple[Real, Real]:
    """Return bounds on |d3| and |d4| over (lower, upper].

    A3 =  (1+3g) p q^2 - (1+3g+3g^2) p^2 q
    B3 = -g p q^2 + (g+3g^2) p^2 q - g^3 p^3
    A4 =  (1+4g) p q^3 - (4+14g+12g^2) p^2 q^2 + (1+4g+6g^2+4g^3) p^3 q
    B4 = -g p q^3 + (4g+7g^2) p^2 q^2 - (g+4g^2+6g^3) p^3 q + g^4 p^4
    """
    p, _, _ = definition.probabilities(upper, np)
    _, q, nll = definition.probabilities(lower, np)
    scale = definition.modulation(q, g, np)
    a3 = p * q * ((1 + 3 * g) * q + (1 + 3 * g + 3 * g**2) * p)
    b3 = p * (g * q**2 + (g + 3 * g**2) * p * q + g**3 * p**2)
    a4 = p * q * ((1 + 4 * g) * q**2 + (4 + 14 * g + 12 * g**2) * p * q + (1 + 4 * g + 6 * g**2 + 4 * g**3) * p**2)
    b4 = p * (g * q**3 + (4 * g + 7 * g**2) * p * q**2 + (g + 4 * g**2 + 6 * g**3) * p**2 * q + g**4 * p**3)
    return scale * (a3 + b3 * nll), scale * (a4 + b4 * nll)


def ratio(part: Real, part_error: Real, whole: Any, whole_error: Any) -> tuple[Real, Real]:
    """``part / whole`` and a bound on its error, the whole being the part and a rest of independent error.

    With rest b and errors da, db: (a + da)/(T + da + db) - a/T = (da b - db a) / (T (T + da + db)), in which a/T is
    known to rounding. A share lies between 0 and 1, and that of nothing is 0.
    """
    whole, whole_error = np.asarray(whole, np.float64), np.asarray(whole_error, np.float64)
    least = whole - whole_error
    share = np.where(whole > 0, part / np.where(whole > 0, whole, 1.0), 0.0)
    rest_error = np.maximum(whole_error - part_error, 0.0)
    off = 4 * np.finfo(np.float64).eps
    error = (part_error * (np.abs(1 - share) + off) + rest_error * (np.abs(share) + off)) / np.where(
        least > 0, least, 1.0
    )
    nothing = np.where((whole == 0) & (whole_error == 0), 0.0, 1.0)
    return np.clip(share, 0.0, 1.0), np.where(least > 0, np.minimum(error + off, 1.0), nothing)
