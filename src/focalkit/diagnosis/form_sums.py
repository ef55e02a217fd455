r"""Sums of a form's loss and of its |d1| over cells, as :mod:`~focalkit.diagnosis.expansion` has them for focal loss.

Every form is a sum of monomials c p^i q^j nll^b in the log-odds it depends on, and so are all of its derivatives:

    d (p^i q^j nll^b) = i p^i q^(j + 1) nll^b  -  j p^(i + 1) q^j nll^b  -  b p^i q^(j + 1) nll^(b - 1)

Since p rises and q and nll fall with m, a monomial is bounded in a cell by its values at the two edges, and a sum of
them by the sum of their sizes: with that Taylor's remainder is.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from focalkit._core import definition, forms
from focalkit._core.forms import Form
from focalkit.diagnosis import bins
from focalkit.diagnosis.expansion import CellSums, cell_sums, rounding
from focalkit.diagnosis.margin_sums import margin_sums
from focalkit.diagnosis.step_sums import step_sums

Real: TypeAlias = NDArray[np.float64]
#: Coefficients of p^i q^j nll^b by (i, j, b).
Terms: TypeAlias = dict[tuple[float, float, int], float]


def table_sums(
    row: NDArray[Any],
    bin_index: NDArray[Any],
    count: NDArray[Any],
    weight: Real,
    s1: Real,
    s2: Real,
    gamma: Real,
    form: Form | None,
) -> CellSums:
    """Sums over the cells of a table, of the focal loss where there is no form.

    The rows of an asymmetric loss are the negatives and positives of each column by turns, and only the negatives have
    its margin.
    """
    if form is None:
        return cell_sums(bin_index, count, weight, s1, s2, gamma)
    if form.name == "steps":
        return step_sums(bin_index, count, weight, s1, s2, form.table)
    if form.name != "asymmetric":
        return form_sums(bin_index, count, weight, s1, s2, gamma, form)
    out, negative = [np.zeros(len(bin_index)) for _ in range(4)], row % 2 == 0

    def put(at: NDArray[Any], one: float | None) -> None:
        cells = bin_index[at], count[at], weight[at], s1[at], s2[at]
        sums = cell_sums(*cells, gamma[at]) if one is None else margin_sums(*cells, one, form.number)
        for whole, part in zip(out, sums, strict=True):
            whole[at] = part

    put(~negative, None)
    for one in np.unique(gamma[negative]):
        put(negative & (gamma == one), float(one))
    return CellSums(*out)


def form_sums(
    bin_index: NDArray[Any], count: NDArray[Any], weight: Real, s1: Real, s2: Real, gamma: Real, form: Form
) -> CellSums:
    """:func:`~focalkit.diagnosis.expansion.cell_sums` of a form."""
    out = [np.zeros(len(bin_index)) for _ in range(4)]
    for one in np.unique(gamma):
        at = gamma == one
        for whole, part in zip(out, _of_gamma(bin_index[at], count[at], weight[at], s1[at], s2[at], one, form),
                               strict=True):  # fmt: skip
            whole[at] = part
    return CellSums(*out)


def terms_of(gamma: float, form: Form) -> tuple[Terms, Terms]:
    """The loss, but for a constant, and -d1, in the variable of :func:`_variable`."""
    number = form.number
    if form.name == "poly":
        value: Terms = {(0, gamma, 1): 1.0, (0, gamma + 1, 0): number}
        return value, {key: -c for key, c in derivative(value).items()}
    if form.name == "star":
        return {(0, 0, 1): 1 / gamma}, {(0, 1, 0): 1.0}
    if form.name == "dft":
        return {(0, 0, 1): 1 - number, (1, 0, 1): number}, {(0, 1, 0): 1 - number, (1, 1, 0): number}
    if form.name == "gce":
        return {(number, 0, 0): -1 / number}, {(number, 1, 0): 1.0}
    raise AssertionError(form.name)


def derivative(terms: Terms) -> Terms:
    """The derivative in the variable."""
    found: Terms = {}
    for (i, j, b), c in terms.items():
        for key, factor in (((i, j + 1, b), i), ((i + 1, j, b), -j), ((i, j + 1, b - 1), -b)):
            if factor:
                found[key] = found.get(key, 0.0) + c * factor
    return found


def evaluated(terms: Terms, m: Real) -> Real:
    """The sum of the terms at ``m``."""
    p, q, nll = definition.probabilities(m, np)
    return np.asarray(sum((c * p**i * q**j * nll**b for (i, j, b), c in terms.items()), np.zeros_like(m)))


def bound(terms: Terms, lower: Real, upper: Real) -> Real:
    """A bound on the size of the sum over [lower, upper]."""
    p, _, _ = definition.probabilities(upper, np)
    _, q, nll = definition.probabilities(lower, np)
    return np.asarray(sum((abs(c) * p**i * q**j * nll**b for (i, j, b), c in terms.items()), np.zeros_like(p)))


def _variable(m: Real, gamma: float, form: Form) -> tuple[Real, float]:
    """What the terms are of, and its slope in m."""
    return (gamma * m + form.number, gamma) if form.name == "star" else (m, 1.0)


def _of_gamma(
    bin_index: NDArray[Any], count: NDArray[Any], weight: Real, s1: Real, s2: Real, gamma: float, form: Form
) -> CellSums:
    lower, upper, centre = bins.LOWER[bin_index], bins.UPPER[bin_index], bins.CENTRE[bin_index]
    left, right = bin_index == bins.LEFT, bin_index == bins.RIGHT
    mu = np.clip(centre + s1 / weight, lower, upper)
    spread = np.maximum(s2 - s1 * (s1 / weight), 0.0)
    reach = np.maximum(upper - mu, mu - lower)
    f, d1 = forms.loss(mu, gamma, form, np), forms.d1(mu, gamma, form, np)
    value, slope = terms_of(gamma, form)
    at, factor = _variable(mu, gamma, form)
    ends = [_variable(edge, gamma, form)[0] for edge in (lower, upper)]
    second = [derivative(derivative(terms)) for terms in (value, slope)]
    third = [derivative(terms) for terms in second]
    f2, g2 = (factor**2 * evaluated(terms, at) for terms in second)
    sup_f, sup_g = (factor**3 * bound(terms, *ends) for terms in third)
    loss, grad = weight * f + spread * f2 / 2, weight * -d1 + spread * g2 / 2
    loss_error, grad_error = spread * reach * sup_f / 6, spread * reach * sup_g / 6
    below = _below(weight, s1, gamma, form)
    above = weight * f / 2, weight * -d1 / 2
    loss, loss_error, grad, grad_error = (
        np.maximum(np.where(left, there, np.where(right, beyond, inside)), 0.0)  # none of them is below 0
        for inside, there, beyond in (
            (loss, (below[0][1] + below[0][0]) / 2, above[0]),
            (loss_error, (below[0][1] - below[0][0]) / 2, above[0]),
            (grad, (below[1][1] + below[1][0]) / 2, above[1]),
            (grad_error, (below[1][1] - below[1][0]) / 2, above[1]),
        )
    )
    size = weight * (np.abs(f) + np.abs(d1) + np.abs(f2) + np.abs(g2))
    rounded = rounding(count, np.asarray(gamma + abs(form.number)), np.where(left, np.abs(loss) + weight, size))
    return CellSums(loss, loss_error + rounded, grad, grad_error + rounded)


def _below(weight: Real, s1: Real, gamma: float, form: Form) -> tuple[tuple[Real, Real], tuple[Real, Real]]:
    """The least and the most that loss and |d1| sum to where m <= -20.

    The mean of a convex function is no less than its value at the mean, and that of a concave one no more.
    """
    number, low, e = form.number, float(bins.LOW), float(np.exp(float(bins.LOW)))
    linear = -(s1 + low * weight)  # the sum of -m, nll being at most e more
    tail = (1 + gamma) * (1 - low) * e * weight
    if form.name == "poly":
        loss, tail = linear + number * weight, tail + abs(number) * (gamma + 1) * e * weight
        return (loss - tail, loss + tail), (weight - tail, weight + tail)
    if form.name == "dft":
        loss, grad = (1 - number) * linear, (1 - number) * weight
        return (loss - tail, loss + tail), (grad - 2 * e * weight, grad + 2 * e * weight)
    if form.name == "star":
        _, _, least = definition.probabilities(number - gamma * linear / weight, np)
        _, flattest, most = definition.probabilities(np.full_like(weight, gamma * low + number), np)
        return (weight * least / gamma, weight * most / gamma - s1), (weight * flattest, weight)
    mean = linear / weight + e
    least, most = (-np.expm1(-number * nll) / number * weight for nll in (-low, mean))
    flattest, steepest = (np.exp(-number * nll) * weight for nll in (mean, -low))
    return (least, most), (flattest * (1 - e), steepest)
