"""From a model's probabilities to the true posterior, and to decisions for another class balance."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from focalkit._core import contracts, definition, links
from focalkit._core.spec import PerClass


def recover_posterior(probabilities: Any, gamma: PerClass, alpha: PerClass | None = None) -> NDArray[np.float64]:
    r"""Undo the distortion of probabilities that were learned by a focal loss.

    .. math::
        \hat\eta_k \propto \frac{h(q_k)}{\alpha_k}, \qquad
        h(v) = \frac{v}{(1-v)^\gamma - \gamma (1-v)^{\gamma-1} v \log v}

    The focal loss is not proper: the probabilities q that minimise it are not the posterior, but map
    back to it (Charoenphakdee et al. 2021, arXiv 2011.09172, theorem 11); weights alpha are divided out.

    Parameters
    ----------
    probabilities : (n, n_classes) with rows that sum to 1, or (n,) of positives
        What softmax (or sigmoid) makes of the model's logits.
    gamma : float or (n_classes,), in [0, inf)
        Of the training loss. For (n,) a number.
    alpha : None, float or (n_classes,), positive
        Of the training loss. For (n,) the weight in (0, 1) of positives, negatives having 1 - alpha.

    Returns
    -------
    numpy.ndarray
        float64, shaped like ``probabilities``.

    Raises
    ------
    InputError
        Where an argument breaks its contract.

    Notes
    -----
    Computed in logs, with 1 - v as the sum of the other probabilities. Without alpha the order of
    the classes is kept.

    Examples
    --------
    >>> recover_posterior(np.array([[0.694, 0.306]]), gamma=2.0).round(3)
    array([[0.9, 0.1]])
    """
    p = contracts.probabilities_array("probabilities", probabilities)
    if p.ndim == 1:
        scalar = contracts.number("gamma", gamma, contracts.GAMMA, "Binary probabilities of shape (n,) take one gamma.")
        pair = None
        if alpha is not None:
            remedy = "Binary probabilities take the weight of the positives."
            positive = contracts.number("alpha", alpha, contracts.ALPHA_OF_TWO, remedy)
            pair = np.array([1 - positive, positive])
        return _recover(np.column_stack([1 - p, p]), np.array(scalar), pair)[:, 1]
    n_classes = p.shape[1]
    per_class = contracts.number_or_vector("gamma", gamma, contracts.GAMMA, "Pass the gamma of training.")
    contracts.class_vector("gamma", per_class, n_classes)
    if alpha is None:
        return _recover(p, np.asarray(per_class), None)
    weights = contracts.number_or_vector(
        "alpha", alpha, contracts.POSITIVE, "A class of weight 0 left no trace to recover."
    )
    contracts.class_vector("alpha", weights, n_classes)
    return _recover(p, np.asarray(per_class), np.broadcast_to(np.asarray(weights), (n_classes,)))


def _recover(
    p: NDArray[np.float64], gamma: NDArray[np.float64], alpha: NDArray[np.float64] | None
) -> NDArray[np.float64]:
    with np.errstate(divide="ignore"):
        m = np.log(p) - np.log(links.exclusive_sum(p, np))
    return recover_from_log_odds(m, gamma, alpha)


def recover_from_log_odds(
    m: NDArray[np.float64], gamma: Any, alpha: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """:func:`recover_posterior` from each class's log-odds (n, K), exact where probabilities have rounded to 1."""
    with np.errstate(all="ignore"):
        log_h = definition.log_h(m, gamma, np)
        if alpha is not None:
            log_h = log_h - np.log(alpha)
        top = log_h.max(axis=1, keepdims=True)
        e = np.exp(log_h - np.where(np.isinf(top), 0.0, top))
        e = np.where(np.isposinf(top), np.isposinf(log_h), e)
    return np.asarray(e / e.sum(axis=1, keepdims=True))


def log_odds_of_logits(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log-odds of every class (n, n_classes), from one logit (n,) of the second of two or from one per class."""
    if logits.ndim == 1:
        return np.column_stack([-logits, logits])
    with np.errstate(all="ignore"):
        return np.asarray(links.softmax_log_odds_all(logits, np)[0])


def shift_prior(probabilities: Any, prior: Any, tau: float = 1.0) -> NDArray[np.float64]:
    r"""Posterior for a class balance other than the training data's; its argmax is the shifted decision.

    .. math:: \tilde\eta_k \propto \eta_k \, \pi_k^{-\tau}

    (Menon et al. 2021, arXiv 2007.07314, eq. 9, post-hoc logit adjustment.) tau = 1 gives decisions
    for equally frequent classes: it is the rule for balanced accuracy, and for no other goal; tau = 0 changes nothing.
    For costs, metrics and bounds see :mod:`focalkit.decisions`.

    Parameters
    ----------
    probabilities : (n, n_classes) with rows that sum to 1, or (n,) of positives
        Posteriors under the training prior.
    prior : (n_classes,) positive and summing to 1, or for (n,) the frequency of positives in (0, 1)
        The training prior, e.g. class counts divided by their sum.
    tau : float
        Strength, in (-inf, inf).

    Returns
    -------
    numpy.ndarray
        float64, shaped like ``probabilities``.

    Raises
    ------
    InputError
        Where an argument breaks its contract.

    Examples
    --------
    >>> shift_prior(np.array([0.2]), prior=0.1).round(4)
    array([0.6923])
    """
    p = contracts.probabilities_array("probabilities", probabilities)
    pi = contracts.number_or_vector(
        "prior", prior, contracts.PRIOR, "Use relative class frequencies of the training data."
    )
    strength = contracts.number("tau", tau, contracts.Interval(-np.inf, np.inf), "1 is the balanced decision.")
    if p.ndim == 1:
        if isinstance(pi, tuple):
            contracts.reject(
                "prior", "be one number for probabilities of shape (n,)", pi, "Pass the frequency of positives."
            )
        return _shift(np.column_stack([1 - p, p]), np.array([1 - pi, pi]), strength)[:, 1]
    if isinstance(pi, float) or len(pi) != p.shape[1] or abs(sum(pi) - 1) > 1e-6:
        contracts.reject("prior", f"be {p.shape[1]} frequencies that sum to 1", pi, "E.g. counts / counts.sum().")
    return _shift(p, np.asarray(pi), strength)


def _shift(p: NDArray[np.float64], pi: NDArray[np.float64], tau: float) -> NDArray[np.float64]:
    with np.errstate(divide="ignore"):
        log_p = np.log(p) - tau * np.log(pi)
    e = np.exp(log_p - log_p.max(axis=1, keepdims=True))
    return np.asarray(e / e.sum(axis=1, keepdims=True))
