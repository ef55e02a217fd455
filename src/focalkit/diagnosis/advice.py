"""What a ledger hints at: labels that may be wrong, and weights that would equalise the gradient."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from focalkit._core.spec import PerClass
from focalkit.diagnosis import bins
from focalkit.diagnosis.ledger import Ledger
from focalkit.diagnosis.shares import Shares

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


#: The shares of a ledger by gamma, for some alpha: from where they are kept already.
SharesOf = Callable[[PerClass], Shares]


def contradicted(ledger: Ledger, gamma: PerClass | None = None, *, shares: SharesOf | None = None) -> Contradicted:
    """Look for probable label noise."""
    shares_of = ledger.shares if shares is None else shares
    gamma = ledger.spec.gamma if gamma is None else gamma
    shares_at = shares_of(gamma)
    weight = ledger.weight.sum(axis=1)
    below = bins.UPPER <= CONTRADICTED
    hard = ledger.weight[:, below].sum(axis=1)
    share = np.where(weight > 0, hard / np.where(weight > 0, weight, 1.0), 0.0)
    at = np.nonzero(ledger.weight * below)
    sums = np.bincount(at[0], ledger._cell_sums(at, *ledger._asked(gamma, None)).loss, minlength=len(weight))
    total = shares_at.loss.total
    loss = np.where(total > 0, np.minimum(sums / np.where(total > 0, total, 1.0), 1.0), 0.0)
    few = ledger.count[:, below].sum(axis=1) >= 2
    suspicious = few & (share < 0.1) & (shares_at.very_easy_samples > 0.5) & (loss > 0.25)
    return Contradicted(share, loss, suspicious)


@dataclass(frozen=True)
class StartingPoint:
    """What would give every class the same share of the gradient, on these predictions.

    A starting point only: predictions change once a model is trained with them, and equal shares are no
    aim in themselves. With independent columns alpha equals a column's negatives and positives, as it can
    do no more, and gamma the columns.

    Attributes
    ----------
    alpha : (rows,)
        Weights at the gamma asked for. softmax: relative to their mean over rows with samples, 0 where there are none;
        sigmoid: each column's sum to 1.
    gamma : (n_classes,)
        Without any alpha: the gamma in [0, 5] that brings each class (column) down to the gradient of the smallest
        under cross-entropy, 5 where not even that does.
    reached : (n_classes,) bool
        Where such a gamma exists.
    beta : float
        The exponent of n^-beta that comes nearest to ``alpha`` (least squares in logs).
    one_gamma : float
        Of the gammas tried for all classes alike, the one that equalises most without any alpha.
    spread, spread_at_gamma : float
        Standard deviation of the log shares of the gradient (sigmoid: within columns), as cross-entropy and at
        ``one_gamma``.
    """

    alpha: Real
    gamma: Real
    reached: NDArray[np.bool_]
    beta: float
    one_gamma: float
    spread: float
    spread_at_gamma: float


def starting_point(
    ledger: Ledger,
    gamma: PerClass | None = None,
    gammas: Sequence[float] = (0.0, 0.5, 1.0, 2.0, 3.0, 5.0),
    *,
    shares: SharesOf | None = None,
) -> StartingPoint:
    """Find the weights that equalise the gradient at ``gamma``, and the gammas that do so by themselves."""
    shares_of = (lambda g: ledger.shares(g, "none")) if shares is None else shares
    weight = ledger.weight.sum(axis=1)
    grad = shares_of(ledger.spec.gamma if gamma is None else gamma).grad.total  # before any alpha
    # whose gradients are made equal: all classes', or each column's two sides
    group = np.zeros(len(weight), int) if ledger.spec.link == "softmax" else np.arange(len(weight)) // 2
    usable = (weight > 0) & (grad > 0)
    alpha = np.where(usable, 1 / np.where(usable, grad, 1.0), 0.0)
    total = np.bincount(group, alpha)
    size = np.bincount(group, usable) if ledger.spec.link == "softmax" else 1.0
    alpha = alpha * np.where(total > 0, size / np.where(total > 0, total, 1.0), 1.0)[group]
    x, y = _centred(weight, usable, group), _centred(grad, usable, group)
    beta = float(x @ y / (x @ x)) if (x @ x) > 1e-12 else 0.0
    spreads = [_spread(shares_of(g).grad.total, group) for g in gammas]
    best = int(np.argmin(spreads)) if spreads else 0
    by_gamma, reached = _equalising_gamma(ledger, shares_of)
    return StartingPoint(alpha, by_gamma, reached, beta, float(gammas[best]), spreads[0], spreads[best])


def _centred(values: Real, usable: NDArray[np.bool_], group: NDArray[np.intp]) -> Real:
    """Logarithms of the usable values about their group's mean."""
    log, at = np.log(values[usable]), group[usable]
    n = np.maximum(np.bincount(at, minlength=1), 1)
    return np.asarray(log - (np.bincount(at, log, minlength=1) / n)[at])


def _spread(grad: Real, group: NDArray[np.intp]) -> float:
    log = _centred(grad, grad > 0, group)
    return float(np.sqrt(np.mean(log**2))) if len(log) else 0.0


#: The largest gamma that is sought, and halvings of [0, it].
MOST_GAMMA, HALVINGS = 5.0, 14


def _equalising_gamma(ledger: Ledger, shares_of: SharesOf) -> tuple[Real, NDArray[np.bool_]]:
    n = ledger.n_classes

    def gradient(gamma: Real) -> Real:
        return np.asarray(shares_of(tuple(gamma.tolist())).grad.total.reshape(n, -1).sum(axis=1))

    plain, least = gradient(np.zeros(n)), gradient(np.full(n, MOST_GAMMA))
    here = plain > 0
    aim = float(plain[here].min()) if here.any() else 0.0
    reached = least <= aim
    low, high = np.zeros(n), np.full(n, MOST_GAMMA)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        above = gradient(middle) > aim
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    gamma = np.where(plain <= aim, 0.0, np.where(reached, high, MOST_GAMMA))
    return gamma, reached | (plain <= aim)
