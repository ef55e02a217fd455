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
    whole = _below(-(s1 + centre * weight), weight, gamma, form)
    parts = ((loss, whole[0], weight * f / 2), (loss_error, whole[1], weight * f / 2),
             (grad, whole[2], weight * -d1 / 2), (grad_error, whole[3], weight * -d1 / 2))  # fmt: skip
    loss, loss_error, grad, grad_error = (
        np.where(left, below, np.where(right, above, inside)) for inside, below, above in parts
    )
    size = weight * (np.abs(f) + np.abs(d1) + np.abs(f2) + np.abs(g2))
    rounded = rounding(count, np.asarray(gamma + abs(form.number)), np.where(left, np.abs(loss) + weight, size))
    return CellSums(loss, loss_error + rounded, grad, grad_error + rounded)


def _below(linear: Real, weight: Real, gamma: float, form: Form) -> tuple[Real, Real, Real, Real]:
    """Loss, its error, |d1| and its error where m <= -20; ``linear`` is the sum of -m."""
    number, e = form.number, float(np.exp(float(bins.LOW)))
    tail = (1 + gamma) * (1 - bins.LOW) * e
    if form.name == "poly":
        more = abs(number) * (gamma + 1) * e
        return linear + number * weight, weight * (tail + more), weight, weight * (tail + more)
    if form.name == "star":
        rest = weight * np.exp(gamma * bins.LOW + number)
        return linear - number / gamma * weight, rest / gamma, weight, rest
    if form.name == "dft":
        return (1 - number) * linear, weight * tail, (1 - number) * weight, weight * 2 * e
    half = weight * np.exp(number * bins.LOW) / 2
    return weight / number - half / number, half / number, half, half
