"""Where boosting starts: the constant scores that minimise the risk of a loss, as log-probabilities."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from focalkit._core import contracts, definition, forms
from focalkit._core.spec import LossSpec
from focalkit.posterior import log_odds_of_logits

Array = NDArray[Any]


def start_of(weights: Any, spec: LossSpec) -> NDArray[np.float64]:
    """:func:`focal_start` for any loss that a spec describes, without its alpha: scores as log-probabilities.

    Where the loss drives probabilities to 0 and 1 and has no minimiser between, or its gamma steps, that of
    cross-entropy.
    """
    w = np.maximum(np.asarray(weights, np.float64), 1e-12 * np.sum(weights))
    goal = np.log(w / w.sum())
    form, (adjustment, margin) = spec.form, spec.shift_vectors()
    found = None
    if form is None or (form.name != "steps" and not (form.name in ("dft", "gce") and form.number == 1)):
        with np.errstate(all="ignore"):
            found = _binary_minimiser(goal, spec) if spec.link == "sigmoid" else _minimiser(goal, spec, margin)
    u = goal if found is None else found
    if adjustment is not None:
        u = u - (np.array([0.0, adjustment[0]]) if spec.link == "sigmoid" else np.asarray(adjustment))
    z = u / spec.scale
    return np.asarray(z - np.log(np.exp(z - z.max()).sum()) - z.max())


#: A logit beyond which no minimiser is looked for.
_FAR = 2.0**40


def _binary_minimiser(goal: NDArray[np.float64], spec: LossSpec) -> NDArray[np.float64] | None:
    """The logits (0, s) with the first s where the risk does not fall any more, if there is one.

    The ratio of the negatives' slope at -s to the positives' at s rises with s, whatever the form: there it comes to
    that of the weights. Below a clip it is 0, and at the clip it may jump.
    """
    (gamma_negative, negatives), (gamma_positive, positives) = spec.sides
    prior_logit = goal[1] - goal[0]

    def falls(s: float) -> bool:
        negative = forms.log_slope(np.float64(-s), np.float64(gamma_negative), negatives, np)
        return bool(negative - forms.log_slope(np.float64(s), np.float64(gamma_positive), positives, np) < prior_logit)

    low, high = -1.0, 1.0
    while not falls(low) and low > -_FAR:
        low *= 2
    while falls(high) and high < _FAR:
        high *= 2
    if falls(high) or not falls(low):
        return None
    while low < (s := (low + high) / 2) < high:
        low, high = (s, high) if falls(s) else (low, s)
    return np.array([0.0, high])


def _minimiser(goal: NDArray[np.float64], spec: LossSpec, margin: Any) -> NDArray[np.float64] | None:
    """Log-probabilities with log h_k(m_k) - goal_k the same for all classes, by Newton's steps on their logits."""
    gamma, form = spec.positives
    less = None if margin is None else np.broadcast_to(margin, len(goal))

    def off(u: NDArray[np.float64]) -> NDArray[np.float64]:
        value = forms.log_h(log_odds_of_logits(u), np.float64(gamma), form, np, less) - goal
        return np.asarray(value - value.mean(axis=1, keepdims=True))

    step, u = 1e-6, goal[None]
    here = off(u)
    for _ in range(200):
        slopes = (off(u + step * np.eye(len(goal))) - here).T / step
        newton = np.linalg.lstsq(slopes, here[0], rcond=1e-10)[0]
        size = np.abs(newton).max()
        there = off(u - newton)
        if not np.abs(there).max() < np.abs(here).max() / 2:  # as far as the slopes can be trusted
            newton = newton * min(1.0, 2.0 / max(size, 1e-300))
            there = off(u - newton)
        u, here = u - newton, there
        if size < 1e-9 or not np.isfinite(here).all():
            break
    return u[0] if np.abs(here).max() < 1e-6 else None


def focal_start(weights: ArrayLike, gamma: float) -> NDArray[np.float64]:
    r"""The constant that minimises the focal risk, as log-probabilities (n_classes,).

    .. math:: \min_v \sum_k w_k (1 - v_k)^\gamma (-\log v_k), \qquad \sum_k v_k = 1

    Parameters
    ----------
    weights : (n_classes,) of numbers >= 0
        Summed sample weights of each class, alpha included. A class without any gets 1e-12 of the
        sum: it is still a class.
    gamma : float in [0, inf)

    Returns
    -------
    numpy.ndarray
        float64 (n_classes,). For two classes the difference is the initial logit.

    Raises
    ------
    InputError
        Where an argument breaks its contract.

    Notes
    -----
    This is not the log of the class frequencies unless gamma is 0. At the minimum
    h(v_k) is proportional to w_k (see :func:`focalkit.recover_posterior`), and h rises with v, so
    the log-odds of the leading class determine those of all others, and those at which the
    probabilities sum to 1 are the root of an increasing function; for two classes it is
    log(phi'(-s) / phi'(s)) = logit(prior). Solved in float64 by Newton steps in a bracket.

    Examples
    --------
    >>> start = focal_start([99, 1], gamma=2.0)
    >>> float((start[1] - start[0]).round(4)), float(np.log(1 / 99).round(4))
    (-1.7065, -4.5951)
    """
    w = contracts.vector("weights", weights, contracts.SAMPLE_WEIGHT, "Pass the summed weight of each class.")
    if len(w) < 2 or not w.any() or not np.isfinite(w.sum()):
        contracts.reject("weights", "be two or more, one of them positive", weights, "Sum the weights of each class.")
    gamma = contracts.number("gamma", gamma, contracts.GAMMA, "0 is cross-entropy.")
    log_prior = np.log(np.maximum(w, 1e-12 * w.sum()) / w.sum())
    if gamma == 0:
        return np.asarray(log_prior - np.log(np.exp(log_prior).sum()))
    if len(w) == 2:
        m_second = _binary_start(float(log_prior[1] - log_prior[0]), gamma)
        m = np.array([-m_second, m_second])
    else:
        m = _softmax_start(log_prior, gamma)
    return -np.asarray(definition.probabilities(m, np)[2])


def _binary_start(prior_logit: float, gamma: float) -> float:
    """The root of log(phi'(-s) / phi'(s)) = log h(s) - log h(-s) = logit(prior); |s| <= |logit(prior)|."""
    bound = np.float64(abs(prior_logit))

    def excess(s: Any) -> tuple[Any, Any]:
        value = definition.log_h(s, gamma, np) - definition.log_h(-s, gamma, np) - prior_logit
        return value, _log_h_slope(s, gamma) + _log_h_slope(-s, gamma)

    return float(_increasing_root(excess, -bound, bound))


def _softmax_start(log_prior: NDArray[np.float64], gamma: float) -> NDArray[np.float64]:
    """Log-odds of every class: those of the leading class determine the others, and all must sum to 1."""
    lead = int(log_prior.argmax())
    behind = np.delete(log_prior, lead) - log_prior[lead]

    def others(m_lead: Any) -> Any:
        goal = behind + definition.log_h(m_lead, gamma, np)
        low = np.minimum(goal - gamma * np.log(2), 0.0)  # log h(m) <= m + gamma log 2 for m <= 0
        high = np.full_like(goal, m_lead)

        def excess(m: Any) -> tuple[Any, Any]:
            return definition.log_h(m, gamma, np) - goal, _log_h_slope(m, gamma)

        return _increasing_root(excess, np.minimum(low, high), high)

    def surplus(m_lead: Any) -> tuple[Any, Any]:
        m = others(m_lead)
        p, q, _ = definition.probabilities(m, np)
        p_lead, q_lead, _ = definition.probabilities(m_lead, np)
        slope = _log_h_slope(m_lead, gamma) * (p * q / _log_h_slope(m, gamma)).sum() / p.sum() + p_lead
        return np.log(p.sum()) - np.log(q_lead), slope

    low, high = np.float64(-np.log(len(behind)) - 1e-9), np.float64(1.0)
    while surplus(high)[0] < 0:
        high = 2 * high
    m_lead = _increasing_root(surplus, low, high)
    return np.insert(others(m_lead), lead, m_lead)


def _log_h_slope(m: Array, gamma: float) -> Array:
    """Slope of log h; with log h = log p + log q - log(-d1) it is q - p - d2 / d1."""
    p, q, _ = definition.probabilities(m, np)
    return np.asarray(q - p - definition.d2(m, gamma, np) / definition.d1(m, gamma, np))


def _increasing_root(function: Callable[[Any], tuple[Any, Any]], low: Any, high: Any) -> Any:
    """Where the increasing ``function`` (value, slope) is 0 in [low, high], entry by entry, to rounding."""
    m = (low + high) / 2
    for _ in range(200):
        value, slope = function(m)
        low, high = np.where(value < 0, m, low), np.where(value >= 0, m, high)
        step = m - value / slope
        step = np.where((step > low) & (step < high), step, (low + high) / 2)
        moved, m = np.abs(step - m), step
        if np.all(moved <= 4e-16 * np.maximum(np.abs(m), 1.0)):
            break
    return m
