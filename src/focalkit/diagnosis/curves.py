"""The numbers of Figure 1 and of Figure 4 of the focal loss paper (Lin et al. 2017, arXiv 1708.02002)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from focalkit._core import contracts, forms
from focalkit._core.forms import Form
from focalkit._core.spec import LossSpec
from focalkit.diagnosis.expansion import ratio
from focalkit.diagnosis.form_sums import table_sums

Real = NDArray[np.float64]

#: The gammas of Figure 1.
GAMMAS = (0.0, 0.5, 1.0, 2.0, 5.0)


@dataclass(frozen=True)
class LossCurves:
    """Figure 1: ``loss`` (n_gammas, n_points) in nats against ``p_t`` (n_points,); ``form`` as it was asked for."""

    gammas: tuple[float, ...]
    p_t: Real
    loss: Real
    form: Mapping[str, Any] = field(default_factory=dict)


#: Points of a curve.
MOST = 10_000_000


def loss_curves(
    gammas: Sequence[float] = GAMMAS,
    n_points: int = 1000,
    form: Mapping[str, Any] | None = None,
    target: float | None = None,
) -> LossCurves:
    r"""Loss against the probability of the true class, for several gammas.

    .. math:: \mathrm{FL}(p_t) = -(1 - p_t)^\gamma \log p_t

    (Lin et al. 2017, arXiv 1708.02002, eq. 4 and figure 1.)

    Parameters
    ----------
    gammas : sequence of float, in [0, inf)
        One curve each; 0 is cross-entropy.
    n_points : int, at least 2
        Points on (0, 1], evenly spaced.
    form : None or mapping
        The fields of :class:`focalkit.LossSpec` that make another form, such as ``{"poly": 1.0}``; those of the
        asymmetric loss draw its negatives, ``p_t`` being 1 - p.
    target : None or float in [0, 1]
        The target of the quality losses, 1 if there is none; ``p_t`` is then p, the probability that is predicted.

    Returns
    -------
    LossCurves
        float64, in nats, >= 0; 0 at p_t = 1.

    Raises
    ------
    InputError
        Where a gamma lies outside its domain or there are fewer than two points.

    Examples
    --------
    >>> loss_curves([0.0, 2.0], n_points=10).loss[:, 4].round(6)
    array([0.693147, 0.173287])
    """
    contract, remedy = "hold at least one number", "E.g. 0 0.5 1 2 5, as in the paper."
    values = [
        contracts.number("gamma", gamma, contracts.GAMMA, "0 is cross-entropy, 2 the paper's choice.")
        for gamma in contracts.several("gammas", gammas, contract, remedy)
    ]
    if not values:
        contracts.reject("gammas", contract, gammas, remedy)
    contracts.whole("n_points", n_points, 2, "1000 makes a smooth curve.", most=MOST)
    p_t = np.arange(1, n_points + 1) / n_points
    with np.errstate(divide="ignore"):
        m = np.log(p_t) - np.log1p(-p_t)
    fields = contracts.named("form", form)
    sides = [_side(gamma, fields) for gamma in values]
    y = _target(target, sides[0][1])
    with np.errstate(all="ignore"):
        loss = np.stack([_curve(m, power, asked, y) for power, asked in sides])
    loss = np.where(p_t == 1, np.maximum(loss, 0.0), loss)
    return LossCurves(tuple(values), p_t, loss, fields if y is None else {**fields, "target": y})


def _target(given: float | None, form: Form | None) -> float | None:
    soft = form is not None and form.name in forms.OF_SOFT_TARGETS
    if given is None:
        return 1.0 if soft else None
    if not soft:
        contracts.reject("target", "be left out for this form", given, "It goes with quality and varifocal.")
    return contracts.number("target", given, contracts.PROBABILITY, "It is what the prediction should be.")


def _curve(m: Real, gamma: float, form: Form | None, target: float | None) -> Real:
    power = np.float64(gamma)
    if target is None:
        return np.asarray(forms.loss(m, power, form, np))
    return np.asarray(forms.soft_loss(m, np.full_like(m, target), power, form, np))


def _side(gamma: float, fields: dict[str, Any]) -> tuple[float, Form | None]:
    """Gamma and form of a curve."""
    link = "sigmoid" if {"gamma_negative", "clip", "quality"} & fields.keys() else "softmax"
    power, asked = LossSpec(link, gamma, **fields).negatives
    return float(power), asked


@dataclass(frozen=True)
class CumulativeCurves:
    """Figure 4: the easiest samples' share of the loss, at the edges of the ledger's bins.

    Attributes
    ----------
    names : tuple of str
        One curve each.
    gamma : (n_curves,)
        The gamma of each curve.
    sample_share : (n_curves, n_points)
        Share of the samples (by weight), the easiest first: from 0 to 1, exact.
    loss_share : (n_curves, n_points)
        Their share of the loss. Between two points the true curve is convex: on or below the chord.
    loss_share_error : (n_curves, n_points)
        Bound on the error of ``loss_share``.
    """

    names: tuple[str, ...]
    gamma: Real
    sample_share: Real
    loss_share: Real
    loss_share_error: Real

    def hardest(self, loss_share: float = 0.5) -> Real:
        """Share of the samples, the hardest ones, that carries ``loss_share`` of the loss, per curve.

        Linear between the edges of bins, where the samples of a bin differ by at most 1/8 in log-odds.
        """
        contracts.number("loss_share", loss_share, contracts.PROBABILITY, "0.5 asks for half of the loss.")
        pairs = zip(self.sample_share, self.loss_share, strict=True)
        return np.array([1 - np.interp(1 - loss_share, *_rising(y, x)) for x, y in pairs])


def _rising(y: Real, x: Real) -> tuple[Real, Real]:
    """Drop points that do not raise ``y``, so that the curve can be read the other way round."""
    keep = np.append(np.diff(y) > 0, True)
    return y[keep], x[keep]


def cumulative_curves(
    names: tuple[str, ...],
    count: NDArray[Any],
    weight: Real,
    s1: Real,
    s2: Real,
    gamma: Real,
    form: Form | None = None,
) -> CumulativeCurves:
    """Figure 4's curves from tables (n_curves, n_bins), each curve with its own gamma (n_curves,)."""
    loss, error = np.zeros_like(weight), np.zeros_like(weight)
    curve, cell = np.nonzero(weight)
    at = (curve, cell)
    with np.errstate(all="ignore"):
        sums = table_sums(curve, cell, count[at], weight[at], s1[at], s2[at], gamma[curve], form)
    loss[at], error[at] = sums.loss, sums.loss_error
    total, total_error = loss.sum(axis=1, keepdims=True), error.sum(axis=1, keepdims=True)
    share, share_error = ratio(_from_easiest(loss), _from_easiest(error), total, total_error)
    mass = _from_easiest(weight)
    everything = weight.sum(axis=1, keepdims=True)
    return CumulativeCurves(names, gamma, mass / np.where(everything > 0, everything, 1.0), share, share_error)


def _from_easiest(table: Real) -> Real:
    """Cumulate over bins, the largest log-odds first, starting at 0."""
    running = np.cumsum(table[:, ::-1], axis=1)
    return np.concatenate([np.zeros((len(table), 1)), running], axis=1)
