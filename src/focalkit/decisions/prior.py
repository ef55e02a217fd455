"""The class frequencies of data without targets, from predictions (Saerens, Latinne and Decaestecker 2002)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from focalkit._core import contracts
from focalkit.decisions.rules import both_sides

Real = NDArray[np.float64]
STEPS = 2000
#: Smallest information a case may carry about a direction of the prior, relative to what a known class would.
LEAST_INFORMATION = 1e-3


@dataclass(frozen=True)
class PriorEstimate:
    """Frequencies (n_classes,) with their standard errors.

    ``identifiable`` is False where the predictions hardly tell the classes apart, so that many priors fit alike.
    ``at_edge``: a class is estimated to be absent.
    """

    prior: tuple[float, ...]
    error: tuple[float, ...]
    identifiable: bool
    at_edge: bool


def estimate_prior(probabilities: Real, prior: Real, sample_weight: Real | None = None) -> PriorEstimate:
    r"""Maximum likelihood of the class frequencies of unlabelled data.

    .. math:: \pi'_k \leftarrow \frac1n \sum_i
        \frac{\pi'_k / \pi_k \; p_{ik}}{\sum_j \pi'_j / \pi_j \; p_{ij}}

    Parameters
    ----------
    probabilities : (n,) of the second of two classes, or (n, n_classes)
        Calibrated under ``prior``.
    prior : (n_classes,)
        The frequencies under which they are calibrated.
    sample_weight : (n,), optional

    Returns
    -------
    PriorEstimate
        Standard errors are those of the likelihood's curvature.

    Raises
    ------
    InputError
        Where these are no probabilities, or those of other classes or rows.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> y = rng.random(20_000) < 0.3
    >>> p = 1 / (1 + np.exp(2 - 2 * rng.normal(2 * y)))  # calibrated where both classes are as frequent
    >>> round(estimate_prior(p, np.array([0.5, 0.5])).prior[1], 1)
    0.3
    """
    full = both_sides(contracts.probabilities_array("probabilities", probabilities))
    remedy = "Pass the frequency of each class."
    prior = contracts.vector("prior", prior, contracts.FRACTION, remedy, length=full.shape[1])
    given = contracts.sample_weight_array(sample_weight, full.shape[:1])
    w = np.ones(len(full)) if given is None else given
    if not w.any():
        contracts.reject(
            "sample_weight", "be positive for a row", contracts.Words("only zeros"), "Give a row a weight."
        )
    return likeliest_prior(full, prior, w)


def likeliest_prior(full: Real, prior: Real, w: Real) -> PriorEstimate:
    """The same of what was checked, probabilities (n, n_classes)."""
    w = w / w.sum()
    ratio = full / prior
    pi = np.array(prior, np.float64)
    for _ in range(STEPS):
        joint = ratio * pi
        new = w @ (joint / joint.sum(axis=1, keepdims=True))
        # two steps of EM extrapolated (SQUAREM) where that stays inside the simplex and does not lower the likelihood
        joint = ratio * new
        newer = w @ (joint / joint.sum(axis=1, keepdims=True))
        r, v = new - pi, (newer - new) - (new - pi)
        length = float(np.sqrt((r @ r) / max(float(v @ v), 1e-300)))
        jump = pi + 2 * length * r + length * length * v
        better = length > 1 and jump.min() > 0 and _log_likelihood(ratio, jump, w) >= _log_likelihood(ratio, newer, w)
        before, pi = pi, (jump if better else newer)
        pi = np.maximum(pi, 1e-12) / np.maximum(pi, 1e-12).sum()
        if np.abs(pi - before).max() < 1e-10:
            break
    return _with_errors(ratio, pi, w)


def _log_likelihood(ratio: Real, pi: Real, w: Real) -> float:
    return float(w @ np.log(np.maximum(ratio @ pi, 1e-300)))


def _with_errors(ratio: Real, pi: Real, w: Real) -> PriorEstimate:
    """Errors from the information about differences to the last class."""
    k = len(pi)
    score = ratio / np.maximum(ratio @ pi, 1e-300)[:, None]
    contrast = score[:, :-1] - score[:, -1:]
    information = contrast.T @ (w[:, None] * contrast)
    # the information that known classes would carry: 1 / pi_j on the diagonal, 1 / pi_K everywhere
    ideal = np.diag(1 / pi[:-1]) + 1 / pi[-1]
    root = np.linalg.inv(np.linalg.cholesky(ideal))
    relative = np.linalg.eigvalsh(root @ information @ root.T)
    identifiable = bool(relative.min() > LEAST_INFORMATION)
    n_effective = 1 / float(w @ w)
    covariance = np.linalg.pinv(information, hermitian=True) / n_effective
    spread = np.vstack([np.eye(k - 1), -np.ones(k - 1)])
    error = np.sqrt(np.maximum(np.diag(spread @ covariance @ spread.T), 0.0))
    if not identifiable:
        error = np.maximum(error, np.sqrt(pi * (1 - pi)))
    at_edge = bool(pi.min() <= 1e-9)
    return PriorEstimate(tuple(map(float, pi)), tuple(map(float, error)), identifiable, at_edge)
