r"""Decisions by shifted priors: counted at every strength in each fold, and chosen without the fold that scores them.

A class is decided where :math:`\log p_k - \tau \log \pi_k` is largest (Menon et al. 2021, arXiv 2007.07314, eq. 9).
Of two classes that is every cut-off between 1/2 (tau = 0) and that of equally frequent classes (tau = 1), and beyond;
bounds, such as nine of ten alarms being right, also need those above 1/2, where tau is negative.
Each fold counts, for every tau, how many rows of each class are decided rightly and how many are decided for it: every
metric of decisions follows from these numbers, so that a strength can be chosen for any of them afterwards, without
predictions and without another fit.

The tau of a fold is chosen on the other folds of its repeat: their rows are exactly those that the fold's own models
were trained on, predicted by models that had not seen them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from focalkit._held_out import cut, shifted
from focalkit._metrics import DECISION_METRICS
from focalkit.decisions import Constraint, Cost, Goal, Maximize
from focalkit.decisions.fit import constrained

STEP = 0.05
TAUS = np.round(np.arange(-2, 2 + STEP / 2, STEP), 2) + 0.0
"""Strengths for two classes, those below 0 for bounds alone; of more classes, every second one from 0 on."""

BLOCK = 1 << 14


def taus_of(n_classes: int) -> NDArray[np.float64]:
    """The strengths that are tried."""
    return TAUS if n_classes == 2 else TAUS[_first(TAUS) :: 2]


def _first(taus: NDArray[np.float64]) -> int:
    """The place of tau = 0."""
    return int(np.searchsorted(taus, 0))


def count_decisions(
    posterior: NDArray[np.float64],
    decisions: NDArray[Any],
    targets: NDArray[np.intp],
    prior: NDArray[np.float64],
    closed: NDArray[Any] | None = None,
    weight: NDArray[np.float64] | None = None,
) -> NDArray[Any]:
    """What every strength decides: (n_taus + 2, 2, n_classes), the last two rows for other decisions.

    Parameters
    ----------
    posterior : (n, n_classes)
        Under the training prior.
    decisions : integers (n,)
        The model's own; they are the row before the last.
    targets : integers (n,)
    prior : (n_classes,)
        Class frequencies in training; no shift goes to a class of frequency 0.
    closed : integers (n,), optional
        What the costs of the goal ask for; it is the last row, the largest probability without it.
    weight : (n,), optional
        Of the rows.

    Returns
    -------
    numpy.ndarray
        Rows of each class that are decided rightly, and rows that are decided for it; or their weights.
    """
    n_classes = len(prior)
    taus = taus_of(n_classes)
    out = np.zeros((len(taus) + 2, 2, n_classes), np.int32 if weight is None else np.float64)
    if n_classes == 2:
        _count_cutoffs(out[:-2], posterior, targets, prior, taus, weight)
    else:
        _count_shifts(out[:-2], posterior, targets, prior, taus, weight)
    largest = posterior[:, 1] > 0.5 if n_classes == 2 else decisions
    for row, said in ((-2, decisions), (-1, np.asarray(largest if closed is None else closed, np.intp))):
        right = said == targets
        out[row, 1] = np.bincount(said, weight, minlength=n_classes)
        out[row, 0] = np.bincount(said[right], None if weight is None else weight[right], minlength=n_classes)
    return out


def _count_cutoffs(
    out: NDArray[Any],
    posterior: NDArray[np.float64],
    targets: NDArray[np.intp],
    prior: NDArray[np.float64],
    taus: NDArray[np.float64],
    weight: NDArray[np.float64] | None,
) -> None:
    """One sort of the cut-offs and one search: the second class is decided where its log-odds are above."""
    with np.errstate(divide="ignore"):
        step = float(np.log(prior[1]) - np.log(prior[0])) if prior.min() > 0 else 0.0
    cutoffs = taus * step
    order = np.argsort(cutoffs, kind="stable")
    for k, number in enumerate(_passed(posterior, targets, cutoffs[order], weight)):
        flagged = np.empty(len(taus), out.dtype)
        flagged[order] = number[::-1].cumsum()[::-1][1:]
        out[:, 1, 1] += flagged
        out[:, 0, k] = flagged if k else number.sum() - flagged
    out[:, 1, 0] = (len(targets) if weight is None else weight.sum()) - out[:, 1, 1]


def _passed(
    posterior: NDArray[np.float64],
    targets: NDArray[np.intp],
    cutoffs: NDArray[np.float64],
    weight: NDArray[np.float64] | None,
) -> NDArray[Any]:
    """Rows of each class, or their weights, by how many of the ascending cut-offs they pass (2, n_cutoffs + 1)."""
    if weight is None:
        return cut(posterior, targets, cutoffs)
    with np.errstate(divide="ignore"):
        odds = np.log(posterior[:, 1]) - np.log(posterior[:, 0])
    above = np.searchsorted(cutoffs, odds, side="left") + targets * (len(cutoffs) + 1)
    return np.bincount(above, weight, minlength=2 * (len(cutoffs) + 1)).reshape(2, -1)


def _count_shifts(
    out: NDArray[Any],
    posterior: NDArray[np.float64],
    targets: NDArray[np.intp],
    prior: NDArray[np.float64],
    taus: NDArray[np.float64],
    weight: NDArray[np.float64] | None,
) -> None:
    n_taus, n_classes = len(taus), len(prior)
    known = np.flatnonzero(prior > 0)
    shifts = np.log(prior[known])[:, None] * taus
    if weight is None:
        out[:, 0], out[:, 1] = shifted(posterior, targets, known, shifts)
        return
    tiny = np.finfo(np.float64).tiny
    height = max(64, BLOCK // n_taus)
    offset = n_classes * np.arange(n_taus)[:, None]
    for first in range(0, len(targets), height):
        log_p = np.log(np.maximum(posterior[first : first + height, known], tiny))
        said = known[(log_p.T[:, None, :] - shifts[:, :, None]).argmax(axis=0)]
        y = targets[first : first + height]
        flat, right = said + offset, said == y
        w = np.broadcast_to(weight[first : first + height], said.shape)
        for place, which, of in ((1, flat.ravel(), w.ravel()), (0, flat[right], w[right])):
            out[:, place] += np.bincount(which, of, minlength=n_taus * n_classes).reshape(n_taus, n_classes)


def places_of(n_classes: int, stride: int) -> NDArray[np.intp]:
    """Which of the strengths are tried where every call costs time: 0.2 apart, 1 among them."""
    taus = taus_of(n_classes)
    return np.arange(_first(taus), len(taus), stride if n_classes == 2 else (stride + 1) // 2)


def decisions_at(
    posterior: NDArray[np.float64], prior: NDArray[np.float64], taus: NDArray[np.float64]
) -> Iterator[NDArray[np.intp]]:
    """The decisions (n,) at every strength."""
    known = np.flatnonzero(prior > 0)
    tiny = np.finfo(np.float64).tiny
    log_p, log_prior = np.log(np.maximum(posterior[:, known], tiny)), np.log(prior[known])
    for tau in taus:
        if len(prior) == 2 and len(known) == 2:
            # as the cut-offs above: the first class where both are as good
            yield (log_p[:, 1] - log_p[:, 0] > tau * (log_prior[1] - log_prior[0])).astype(np.intp)
        else:
            yield known[(log_p - tau * log_prior).argmax(axis=1)]


def figure(goal: Goal, counts: NDArray[Any], true: NDArray[Any]) -> NDArray[np.float64]:
    """What decisions achieve of a goal: (...,) from counts (..., 2, n_classes) and rows of each class (n_classes,)."""
    hit, named = (np.moveaxis(counts[..., i, :], -1, 0).astype(np.float64) for i in (0, 1))
    true = true.astype(np.float64)
    if isinstance(goal, Maximize):
        return np.asarray(DECISION_METRICS[goal.metric].value(hit, named, true, goal.beta), np.float64)
    if isinstance(goal, Constraint):
        return np.asarray(constrained(goal, hit, named, true)[0], np.float64)
    assert isinstance(goal, Cost)
    missed, alarms = true[1] - hit[1], named[1] - hit[1]
    total = goal.fn * missed + goal.fp * alarms + goal.tp * hit[1] + goal.tn * (true[0] - alarms)
    return np.asarray(total / true.sum(), np.float64)


def choose(goal: Goal, counts: NDArray[Any], true: NDArray[Any], taus: NDArray[np.float64]) -> NDArray[np.intp]:
    """The place of the best strength, (...,) from counts (..., n_taus, 2, n_classes); of equals the one nearest to 1.

    A lead of a single row is no lead: merits are averaged over a strength and its two neighbours. Only a bound takes
    strengths below 0.
    """
    first = 0 if isinstance(goal, Constraint) else _first(taus)
    merit = figure(goal, counts[..., first:, :, :], true) * (1 if goal.larger_is_better else -1)
    return first + best_strength(merit, taus[first:])


def best_strength(merit: NDArray[np.float64], taus: NDArray[np.float64]) -> NDArray[np.intp]:
    """The place (...,) of the best of merits (..., n_taus), as :func:`choose` says."""
    padded = np.concatenate([merit[..., :1], merit, merit[..., -1:]], axis=-1)
    smooth = (padded[..., :-2] + padded[..., 1:-1] + padded[..., 2:]) / 3
    best = smooth.max(axis=-1, keepdims=True)
    distance = np.where(np.isclose(smooth, best, rtol=0, atol=1e-12), np.abs(taus - 1), np.inf)
    return np.asarray(distance.argmin(axis=-1))
