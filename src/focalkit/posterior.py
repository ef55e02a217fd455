"""From a model's probabilities to the true posterior, and to decisions for another class balance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias, overload

import numpy as np
from numpy.typing import NDArray

from focalkit._core import contracts, definition, forms, host, links
from focalkit._core.spec import LossSpec, PerClass
from focalkit._core.types import Array, Host

if TYPE_CHECKING:
    import jax


#: What the training loss was: its gamma, or all of it.
Training: TypeAlias = "PerClass | LossSpec"


@overload
def recover_posterior(probabilities: Host, gamma: Training, alpha: PerClass | None = None) -> NDArray[np.float64]: ...
@overload
def recover_posterior(probabilities: jax.Array, gamma: Training, alpha: PerClass | None = None) -> jax.Array: ...
def recover_posterior(probabilities: Host | Array, gamma: Training, alpha: PerClass | None = None) -> Any:
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
    gamma : float or (n_classes,), in [0, inf), or a LossSpec
        Of the training loss. For (n,) a number. A spec brings its own alpha, and whatever else the loss has: a form,
        a margin, an adjustment, a scale, label smoothing. Its posterior is the training data's: logit adjustment is
        undone, so that the model's own probabilities are those for equally frequent classes. Hard example mining is
        not undone: nothing does that.
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
    if isinstance(gamma, LossSpec):
        if alpha is not None:
            contracts.reject("alpha", "be left out beside a LossSpec", alpha, "The spec has its own.")
        return _of_spec(_probabilities(probabilities), gamma, host.namespace(probabilities))
    xp = host.namespace(probabilities, gamma, alpha)
    p = _probabilities(probabilities)
    if p.ndim == 1:
        remedy = "Binary probabilities of shape (n,) take one gamma."
        scalar = host.checked(gamma, lambda value: contracts.number("gamma", value, contracts.GAMMA, remedy))
        pair = None
        if alpha is not None:
            remedy = "Binary probabilities take the weight of the positives."
            positive = host.checked(
                alpha, lambda value: contracts.number("alpha", value, contracts.ALPHA_OF_TWO, remedy)
            )
            pair = xp.stack([1 - positive, positive])
        return _recover(xp.stack([1 - p, p], -1), scalar, pair, xp)[:, 1]
    n_classes = p.shape[1]
    per_class = _per_class("gamma", gamma, contracts.GAMMA, "Pass the gamma of training.", n_classes)
    if alpha is None:
        return _recover(p, per_class, None, xp)
    weights = _per_class("alpha", alpha, contracts.POSITIVE, "A class of weight 0 left no trace to recover.", n_classes)
    return _recover(p, per_class, xp.broadcast_to(weights, (n_classes,)), xp)


def _probabilities(value: Any) -> Any:
    p = host.checked(value, lambda given: contracts.probabilities_array("probabilities", given))
    if p.ndim not in (1, 2):
        contract, remedy = "have shape (n,) or (n, n_classes)", "Put the classes on the last axis."
        contracts.reject("probabilities", contract, contracts.Words(f"shape {p.shape}"), remedy)
    return p


def _per_class(name: str, value: Any, domain: contracts.Interval, remedy: str, n_classes: int) -> Any:
    vector = host.checked(value, lambda given: contracts.number_or_vector(name, given, domain, remedy))
    contracts.class_vector(name, (0.0,) * vector.shape[0] if vector.ndim else 0.0, n_classes)
    return vector


def _of_spec(p: Any, spec: LossSpec, xp: Any) -> NDArray[np.float64]:
    """The posterior of training data, from what a softmax or sigmoid makes of the logits."""
    binary = spec.link == "sigmoid"
    if (p.ndim == 1) != binary:
        contract = f"have shape {'(n,)' if binary else '(n, n_classes)'} for a spec with the {spec.link} link"
        contracts.reject(
            "probabilities", contract, contracts.Words(f"shape {p.shape}"), "Take the columns of a sigmoid one by one."
        )
    for name, value in spec.class_parameters().items():
        contracts.class_vector(name, value, 1 if binary else p.shape[1])
    with np.errstate(divide="ignore"):
        log_p = xp.log(xp.stack([1 - p, p], -1) if binary else p)
    logits = log_p[:, 1] - log_p[:, 0] if binary else log_p
    return recover_from_logits(logits, spec, xp)[:, 1 if binary else slice(None)]


def recover_from_logits(logits: NDArray[np.float64], spec: LossSpec, xp: Any = np) -> NDArray[np.float64]:
    """The posterior (n, n_classes) of training data from the logits that ``spec`` learned: (n,) for a sigmoid.

    Raises
    ------
    InputError
        Where the loss has no map back.
    """
    form = spec.form
    if form is not None and (
        form.name in (*forms.OF_SOFT_TARGETS, "steps") or (form.name in ("dft", "gce") and form.number == 1)
    ):
        remedy = "It drives probabilities to 0 and 1: calibrate them on other data, e.g. by isotonic regression."
        if form.name == "steps":
            remedy = "Where gamma steps several probabilities have one posterior: calibrate them on other data."
        elif form.name in forms.OF_SOFT_TARGETS:
            remedy = "Its outputs estimate the quality that it was given, not a class's probability."
        contracts.reject("the spec", "have a map back from its minimiser to the posterior", spec, remedy)
    adjustment, margin = (None if v is None else xp.asarray(v) for v in spec.shift_vectors())
    with np.errstate(all="ignore"):
        z = logits * spec.scale if adjustment is None else logits * spec.scale + adjustment
        m = log_odds_of_logits(z, xp)
        if spec.link == "softmax":
            log_h = forms.log_h(m, xp.asarray(spec.gamma), form, xp, margin)
            alpha = None if spec.alpha is None else xp.asarray(spec.alpha)
        else:
            sides = [(xp.asarray(g), f) for g, f in (spec.negatives, spec.positives)]
            log_h = xp.stack([forms.log_h(m[:, i], g, f, xp) for i, (g, f) in enumerate(sides)], -1)
            weight = None if spec.alpha is None else float(np.asarray(spec.alpha).reshape(-1)[0])
            alpha = None if weight is None else xp.asarray([1 - weight, weight])
    return _unsmoothed(_normalised(log_h, alpha, xp), spec, xp)


def _unsmoothed(posterior: NDArray[np.float64], spec: LossSpec, xp: Any) -> NDArray[np.float64]:
    """The posterior of the targets, from that of smoothed ones: (1 - s) eta + s / n_classes."""
    s = spec.label_smoothing
    if s == 0:
        return posterior
    if s == 1:
        remedy = "With label_smoothing=1 all targets are alike, and nothing of them was learned."
        contracts.reject("the spec", "have a map back from its minimiser to the posterior", spec, remedy)
    e = xp.maximum(posterior - s / posterior.shape[1], 0.0)
    rows: NDArray[np.float64] = e / e.sum(axis=1, keepdims=True)
    return rows


def _recover(p: Any, gamma: Any, alpha: Any, xp: Any) -> NDArray[np.float64]:
    with np.errstate(divide="ignore"):
        m = xp.log(p) - xp.log(links.exclusive_sum(p, xp))
    return recover_from_log_odds(m, gamma, alpha, xp)


def recover_from_log_odds(m: Any, gamma: Any, alpha: Any = None, xp: Any = np) -> NDArray[np.float64]:
    """:func:`recover_posterior` from each class's log-odds (n, K), exact where probabilities have rounded to 1."""
    with np.errstate(all="ignore"):
        log_h = definition.log_h(m, gamma, xp)
    return _normalised(log_h, alpha, xp)


def _normalised(log_h: Any, alpha: Any, xp: Any) -> NDArray[np.float64]:
    with np.errstate(all="ignore"):
        if alpha is not None:
            log_h = log_h - xp.log(alpha)
        top = log_h.max(axis=1, keepdims=True)
        e = xp.exp(log_h - xp.where(xp.isinf(top), 0.0, top))
        e = xp.where(xp.isposinf(top), xp.isposinf(log_h), e)
    posterior: NDArray[np.float64] = e / e.sum(axis=1, keepdims=True)
    return posterior


def log_odds_of_logits(logits: NDArray[np.float64], xp: Any = np) -> NDArray[np.float64]:
    """Log-odds of every class (n, n_classes), from one logit (n,) of the second of two or from one per class."""
    m: NDArray[np.float64]
    if logits.ndim == 1:
        m = xp.stack([-logits, logits], -1)
        return m
    with np.errstate(all="ignore"):
        m = links.softmax_log_odds_all(logits, xp)[0]
    return m


@overload
def shift_prior(probabilities: Host, prior: PerClass, tau: float = 1.0) -> NDArray[np.float64]: ...
@overload
def shift_prior(probabilities: jax.Array, prior: PerClass, tau: float = 1.0) -> jax.Array: ...
def shift_prior(probabilities: Host | Array, prior: PerClass, tau: float = 1.0) -> Any:
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
    xp = host.namespace(probabilities, prior, tau)
    p = _probabilities(probabilities)
    remedy = "Use relative class frequencies of the training data."
    pi = host.checked(prior, lambda value: contracts.number_or_vector("prior", value, contracts.PRIOR, remedy))
    domain = contracts.Interval(-np.inf, np.inf)
    strength = host.checked(tau, lambda value: contracts.number("tau", value, domain, "1 is the balanced decision."))
    if p.ndim == 1:
        if pi.ndim:
            remedy = "Pass the frequency of positives."
            contracts.reject("prior", "be one number for probabilities of shape (n,)", prior, remedy)
        return _shift(xp.stack([1 - p, p], -1), xp.stack([1 - pi, pi]), strength, xp)[:, 1]
    if pi.shape != p.shape[1:] or (host.readable(prior) and abs(float(np.asarray(pi).sum()) - 1) > 1e-6):
        contract = f"be {p.shape[1]} frequencies that sum to 1"
        contracts.reject("prior", contract, prior, "E.g. counts / counts.sum().")
    return _shift(p, pi, strength, xp)


def _shift(p: Any, pi: Any, tau: Any, xp: Any) -> NDArray[np.float64]:
    with np.errstate(divide="ignore"):
        log_p = xp.log(p) - tau * xp.log(pi)
    e = xp.exp(log_p - log_p.max(axis=1, keepdims=True))
    posterior: NDArray[np.float64] = e / e.sum(axis=1, keepdims=True)
    return posterior
