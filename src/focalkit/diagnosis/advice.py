"""What a ledger hints at: labels that may be wrong, and weights that would equalise the gradient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from focalkit._spec import PerClass
from focalkit.diagnosis import bins
from focalkit.diagnosis.ledger import Ledger

Real = NDArray[np.float64]

#: log-odds below which the model contradicts a label: an edge of bins, p_t = 0.0097.
CONTRADICTED = -4.625


@dataclass(frozen=True)
class Contradicted:
    """Per row of a ledger: what the model is sure is something else.

    Attributes
    ----------
    share : (rows,)
        Share of the row's weight with p_t < 0.01.
    loss : (rows,)
        Share of the row's own loss that comes from there, at the gamma asked for.
    suspicious : (rows,) bool
        Where that is little, and most of the row is easy (p_t > 0.9): such rows stand apart from their
        class, as wrong labels do, and no gamma tames them, for it leaves a loss at p_t near 0 as it is.
    """

    share: Real
    loss: Real
    suspicious: NDArray[np.bool_]


def contradicted(ledger: Ledger, gamma: PerClass | None = None) -> Contradicted:
    """Look for probable label noise."""
    shares = ledger.shares(gamma)
    weight = ledger.weight.sum(axis=1)
    below = bins.UPPER <= CONTRADICTED
    hard = ledger.weight[:, below].sum(axis=1)
    share = np.where(weight > 0, hard / np.where(weight > 0, weight, 1.0), 0.0)
    at = np.nonzero(ledger.weight * below)
    sums = np.bincount(at[0], ledger._cell_sums(at, shares.gamma).loss, minlength=len(weight))
    total = shares.loss.total
    loss = np.where(total > 0, np.minimum(sums / np.where(total > 0, total, 1.0), 1.0), 0.0)
    few = ledger.count[:, below].sum(axis=1) >= 2
    suspicious = few & (share < 0.1) & (shares.very_easy_samples > 0.5) & (loss > 0.25)
    return Contradicted(share, loss, suspicious)


@dataclass(frozen=True)
class StartingPoint:
    """Weights with which every class gets the same share of the gradient, on these predictions.

    A starting point only: predictions change once a model is trained with them, and equal shares are no
    aim in themselves.

    Attributes
    ----------
    alpha : (rows,)
        Relative to their mean over rows with samples; 0 where there are none.
    beta : float
        The exponent of n^-beta that comes nearest (least squares in logs).
    gamma : float
        Of the gammas tried, the one that equalises most without any alpha.
    spread, spread_at_gamma : float
        Standard deviation of the log shares of the gradient, as cross-entropy and at that gamma.
    """

    alpha: Real
    beta: float
    gamma: float
    spread: float
    spread_at_gamma: float


def starting_point(
    ledger: Ledger, gamma: PerClass | None = None, gammas: Sequence[float] = (0, 0.5, 1, 2, 3, 5)
) -> StartingPoint:
    """Find the weights that equalise the gradient at ``gamma``, and the gamma that does most by itself."""
    weight = ledger.weight.sum(axis=1)
    here = weight > 0
    grad = ledger.shares(gamma, "none").grad.total
    alpha = np.where(grad > 0, 1 / np.where(grad > 0, grad, 1.0), 0.0)
    mean = float(alpha[alpha > 0].mean()) if (alpha > 0).any() else 1.0
    beta = 0.0
    usable = here & (grad > 0)
    if np.unique(weight[usable]).size > 1:
        beta = float(np.polyfit(np.log(weight[usable]), np.log(grad[usable]), 1)[0])
    spreads = [_spread(ledger.shares(g, "none").grad.share[here]) for g in gammas]
    best = int(np.argmin(spreads)) if spreads else 0
    return StartingPoint(alpha / mean, beta, float(gammas[best]), spreads[0], spreads[best])


def _spread(share: Real) -> float:
    positive = share[share > 0]
    return float(np.log(positive).std()) if len(positive) else 0.0
