"""Class weights from class counts, and the initial bias for a rare class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, overload

import numpy as np
from numpy.typing import NDArray

from focalkit._core import contracts, host
from focalkit._core.spec import LossSpec
from focalkit._core.types import Alpha, Array, Host
from focalkit._core.types import Scheme as SchemeName

if TYPE_CHECKING:
    import jax

Counts: TypeAlias = "Host | Array | Mapping[int, float]"

SCHEMES = ("inverse", "balanced", "power", "sqrt", "median", "effective")


@overload
def class_weights(
    counts: Host | Mapping[int, float], scheme: SchemeName = "balanced", *, beta: float | None = None
) -> NDArray[np.float64]: ...
@overload
def class_weights(counts: jax.Array, scheme: SchemeName = "balanced", *, beta: float | None = None) -> jax.Array: ...
def class_weights(counts: Counts, scheme: str = "balanced", *, beta: float | None = None) -> Any:
    r"""Weights alpha, one per class, from how many samples each class has.

    =============  ===========================================  =====================================
    scheme         alpha_k                                      scaled so that
    =============  ===========================================  =====================================
    ``inverse``    1 / n_k                                      they sum to 1
    ``balanced``   N / (K n_k)                                  the mean over samples is 1
    ``power``      n_k^(-beta)                                  the mean over samples is 1
    ``sqrt``       n_k^(-1/2)                                   the mean over samples is 1
    ``median``     median(n) / n_k                              the median class has 1
    ``effective``  (1 - beta) / (1 - beta^n_k)                  they sum to K
    =============  ===========================================  =====================================

    Parameters
    ----------
    counts : (n_classes,) of numbers >= 0, or a dict or pandas Series from class id to number
        Samples per class. A class without any counts as one sample: it is still a class. A dict or Series,
        e.g. ``series.value_counts()``, has the ids 0 … n_classes - 1 as its keys, in any order.
    scheme : str
        A row of the table above.
    beta : float, optional
        The exponent of "power" (in [0, inf), default 1) or the beta of "effective" (in [0, 1),
        default 0.999); no other scheme takes one.

    Returns
    -------
    numpy.ndarray
        float64 (n_classes,), positive.

    Raises
    ------
    InputError
        Where an argument breaks its contract.

    Notes
    -----
    "median" is Eigen & Fergus 2015 (arXiv 1411.4734); "effective" Cui et al. 2019 (arXiv
    1901.05555), eq. 2, with 1 - beta^n computed by expm1, exact for beta near 1.

    Examples
    --------
    >>> class_weights([90, 10], "inverse")
    array([0.1, 0.9])
    >>> class_weights([90, 10], "balanced").round(4)
    array([0.5556, 5.    ])
    """
    xp = host.namespace(counts)
    weights: NDArray[np.float64]
    n = host.checked(_in_order(counts), _counts)
    if n.ndim != 1:
        contracts.reject("counts", _COUNTS, contracts.Words(f"shape {n.shape}"), _BINCOUNT)
    contracts.one_of("scheme", scheme, SCHEMES)
    if beta is not None and scheme not in ("power", "effective"):
        contracts.reject(
            "beta", "be given with scheme 'power' or 'effective' only", beta, f"Drop it: {scheme!r} has no parameter."
        )
    n = xp.where(n > 0, n, xp.ones_like(n))
    if scheme == "inverse":
        weights = 1 / n
        weights = weights / weights.sum()
        return weights
    if scheme == "median":
        weights = xp.median(n) / n
        return weights
    if scheme == "effective":
        base = contracts.number(
            "beta", 0.999 if beta is None else beta, contracts.BETA_EFFECTIVE, "0 weighs all alike, 0.9999 nearly 1/n."
        )
        weights = 1 / -xp.expm1(n * np.log(base)) if base > 0 else xp.ones_like(n)
        weights = weights * len(n) / weights.sum()
        return weights
    exponent = {"balanced": 1.0, "sqrt": 0.5}.get(scheme)
    if exponent is None:
        exponent = contracts.number(
            "beta", 1.0 if beta is None else beta, contracts.GAMMA, "0 weighs all alike, 1 is 'balanced'."
        )
    weights = (n / n.min()) ** -exponent  # the largest weight is 1: no exponent can make all of them 0
    weights = weights * (n.sum() / (n * weights).sum())
    return weights


@overload
def deferred_weights(
    counts: Host | Mapping[int, float],
    epoch: float,
    start: float,
    scheme: SchemeName = "effective",
    *,
    beta: float | None = None,
) -> NDArray[np.float64]: ...
@overload
def deferred_weights(
    counts: jax.Array, epoch: float, start: float, scheme: SchemeName = "effective", *, beta: float | None = None
) -> jax.Array: ...
def deferred_weights(
    counts: Counts, epoch: float, start: float, scheme: str = "effective", *, beta: float | None = None
) -> Any:
    r"""Class weights that are 1 for all classes before epoch ``start``, and those of a scheme from then on.

    .. math:: \alpha_k(t) = 1 \; (t < \text{start}), \qquad \alpha_k(t) = \alpha_k^\text{scheme} \; (t \ge \text{start})

    That is deferred re-weighting, DRW (Cao et al. 2019, arXiv 1906.07413, algorithm 1): features are learned from the
    data as they are, boundaries from the weighted classes once the learning rate has fallen.

    Parameters
    ----------
    counts : (n_classes,) of numbers >= 0, or a dict or pandas Series from class id to number
        Samples per class, as :func:`class_weights` takes them.
    epoch : float >= 0
        The present epoch, or step, counted from 0.
    start : float >= 0
        The first with weights, in the same unit: 160 of 200 epochs in the paper.
    scheme : str
        A scheme of :func:`class_weights`.
    beta : float, optional
        Its parameter; the paper's is 0.9999 with "effective".

    Returns
    -------
    numpy.ndarray
        float64 (n_classes,), positive: an alpha.

    Raises
    ------
    InputError
        Where an argument breaks its contract.

    Examples
    --------
    >>> deferred_weights([5000, 50], epoch=159, start=160, beta=0.9999)
    array([1., 1.])
    >>> deferred_weights([5000, 50], epoch=160, start=160, beta=0.9999).round(3)
    array([0.025, 1.975])
    """
    weights = class_weights(counts, scheme, beta=beta)  # type: ignore[call-overload]
    remedy = "Count epochs or steps from 0, both in the same unit."
    now, first = (
        contracts.number(name, value, contracts.GAMMA, remedy) for name, value in (("epoch", epoch), ("start", start))
    )
    return weights if now >= first else host.namespace(counts).ones_like(weights)


#: Of :func:`long_tail_counts`: what a float counts exactly, and what memory holds.
MOST_SAMPLES, MOST_CLASSES = 2**53, 10**7


def long_tail_counts(n_largest: int, n_classes: int, imbalance: float) -> NDArray[np.int64]:
    r"""How many samples each class keeps when a balanced set is made long-tailed, as in Cui et al.'s CIFAR sets.

    .. math:: n_k = \lfloor n_\text{largest} \cdot \text{imbalance}^{-k/(K-1)} \rfloor

    (Cui et al. 2019, arXiv 1901.05555, section 5.1; Cao et al. 2019, arXiv 1906.07413.)

    Parameters
    ----------
    n_largest : int >= 1
        Samples of the largest class, class 0: 5,000 for CIFAR-10, 500 for CIFAR-100.
    n_classes : int >= 2
        Number of classes K.
    imbalance : float >= 1
        The imbalance factor: samples of the largest class over those of the smallest. 10, 50, 100 are usual.

    Returns
    -------
    numpy.ndarray
        int64 (n_classes,), from the largest class to the smallest.

    Raises
    ------
    InputError
        Where an argument breaks its contract, or the smallest class would keep nothing.

    Examples
    --------
    >>> long_tail_counts(5000, 10, 100)
    array([5000, 2997, 1796, 1077,  645,  387,  232,  139,   83,   50])
    """
    for name, value, least, most in (
        ("n_largest", n_largest, 1, MOST_SAMPLES),
        ("n_classes", n_classes, 2, MOST_CLASSES),
    ):
        contracts.whole(name, value, least, "CIFAR-10 has 5000 and 10.", most=most)
    domain = contracts.Interval(1, float("inf"))
    factor = contracts.number("imbalance", imbalance, domain, "It is the largest class over the smallest, e.g. 100.")
    exact = int(n_largest) * factor ** (-np.arange(n_classes) / (n_classes - 1))
    # the last power may round to just below a whole number, and a class must not lose a sample by that
    counts: NDArray[np.int64] = np.floor(exact * (1 + 1e-12)).astype(np.int64)
    if counts[-1] < 1:
        contracts.reject(
            "imbalance", f"be at most n_largest, {n_largest}", imbalance, "The smallest class would keep nothing."
        )
    return counts


_COUNTS = "be a vector of one number >= 0 per class"
_BINCOUNT = "E.g. numpy.bincount(targets, minlength=n_classes)."


def _counts(counts: Any) -> NDArray[np.float64]:
    n = contracts.array("counts", counts)
    if n.ndim != 1 or n.size == 0 or n.dtype.kind not in "iuf" or not contracts.SAMPLE_WEIGHT.holds(n):
        contracts.reject("counts", _COUNTS, counts, _BINCOUNT)
    return n.astype(np.float64)


def _in_order(counts: Any) -> Any:
    """Counts by class id, from a mapping or a Series whose index holds the ids; anything else as it is."""
    if isinstance(counts, Mapping):
        ids, values = list(counts), list(counts.values())
    elif hasattr(counts, "to_numpy") and hasattr(counts, "index") and not callable(counts.index):
        ids, values = list(counts.index), list(counts.to_numpy())
    else:
        return counts
    whole = all(isinstance(k, int | np.integer) and not isinstance(k, bool) for k in ids)
    if not whole or sorted(ids) != list(range(len(ids))):
        remedy = "Weights are one per class in their order: pass [counts[name] for name in classes]."
        if whole and ids and min(ids) >= 0:
            remedy = f"Every class needs its count, 0 where it is absent, e.g. counts.reindex(range({max(ids) + 1}))."
            if isinstance(counts, Mapping):
                remedy = f"Every class needs its count: [counts.get(k, 0) for k in range({max(ids) + 1})]."
        contracts.reject("counts", f"have the class ids 0 … {max(0, len(ids) - 1)} as keys", ids, remedy)
    return [value for _, value in sorted(zip(ids, values, strict=True), key=lambda pair: int(pair[0]))]


class Scheme(NamedTuple):
    """A scheme of :func:`class_weights` with its parameter, where one is given."""

    name: str
    beta: float | None = None

    def weights(self, counts: Counts) -> NDArray[np.float64]:
        """The weights for ``counts``."""
        weights: NDArray[np.float64] = class_weights(counts, self.name, beta=self.beta)  # type: ignore[call-overload]
        return weights


def parse_alpha(alpha: Alpha | Scheme) -> Scheme | float | tuple[float, ...] | None:
    """Read alpha in any form that a user may give it in: the one grammar of all commands and functions.

    Parameters
    ----------
    alpha : None, str, float or sequence of float
        None or "none" (all alike); a scheme of :func:`class_weights`, with an optional parameter after a colon
        ("balanced", "power:0.25", "effective:0.999"); a number or numbers >= 0, as such or as text with commas.

    Returns
    -------
    None, Scheme, float or tuple of float
        What it stands for.

    Raises
    ------
    InputError
        Where it is none of these, or a parameter or a number lies outside its domain.

    Examples
    --------
    >>> parse_alpha("power:0.25")
    Scheme(name='power', beta=0.25)
    >>> parse_alpha("0.1,0.9")
    (0.1, 0.9)
    """
    if alpha is None or isinstance(alpha, Scheme):
        return alpha
    remedy = "E.g. none, balanced, power:0.25, or one number per class."
    if isinstance(alpha, str):
        name, colon, parameter = alpha.strip().partition(":")
        if name == "none" and not colon:
            return None
        if name in SCHEMES:
            return _scheme(alpha, name, parameter if colon else None)
        try:
            numbers = [float(part) for part in alpha.split(",")]
        except ValueError:
            choices = f"be none, {', '.join(SCHEMES)}, or numbers separated by commas"
            contracts.reject("alpha", choices, alpha, remedy)
        alpha = numbers[0] if len(numbers) == 1 else numbers
    return contracts.number_or_vector("alpha", alpha, contracts.ALPHA_SOFTMAX, remedy)


def _scheme(alpha: str, name: str, parameter: str | None) -> Scheme:
    if parameter is None:
        return Scheme(name)
    try:
        scheme = Scheme(name, float(parameter))
    except ValueError:
        contracts.reject("alpha", "be a scheme with a number after its colon", alpha, "E.g. power:0.5")
    scheme.weights(np.ones(2))  # a parameter outside its domain is refused here
    return scheme


def alpha_vector(alpha: Alpha | Scheme, counts: Sequence[float] | NDArray[Any]) -> NDArray[np.float64]:
    """Class weights (n_classes,) for these class counts, from an alpha as :func:`parse_alpha` reads it.

    For two classes a number in (0, 1) is the weight of the second class, the first having 1 - alpha.
    """
    n_classes = len(counts)
    weights = parse_alpha(alpha)
    if weights is None:
        return np.ones(n_classes)
    if isinstance(weights, Scheme):
        return weights.weights(counts)
    remedy = "Give a scheme such as 'balanced', one weight per class, or for two classes a number in (0, 1)."
    if isinstance(weights, float):
        if n_classes != 2 or weights not in contracts.ALPHA_OF_TWO:
            contracts.reject("alpha", f"be a vector for {n_classes} classes, or lie in (0, 1) for two", alpha, remedy)
        return np.array([1 - weights, weights])
    contracts.class_vector("alpha", weights, n_classes)
    if sum(weights) == 0:
        contracts.reject("alpha", "leave some class a weight above 0", alpha, remedy)
    return np.asarray(weights)


def alpha_of_classes(
    alpha: Alpha | Scheme, classes: NDArray[Any], counts: Sequence[float] | NDArray[Any]
) -> NDArray[np.float64]:
    """:func:`alpha_vector` in the order of ``classes``; ``alpha`` may also be a dict from class to weight."""
    if isinstance(alpha, Mapping):
        unknown = [name for name in alpha if name not in classes]
        if unknown:
            contracts.reject("alpha", f"name classes out of {classes.tolist()}", unknown[0], "Drop it or correct it.")
        alpha = [alpha.get(name, 1.0) for name in classes.tolist()]
    return alpha_vector(alpha, counts)


def adjustment_of(given: Any, counts: Any) -> tuple[float, ...] | None:
    """Read ``logit_adjustment`` for these class counts: one number is tau, and the prior is theirs.

    A vector is as long as the classes; an absent class counts as one sample.
    """
    if given is None:
        return None
    n = np.maximum(np.asarray(counts, np.float64), 1.0)
    if isinstance(given, Mapping):
        vector: Any = LossSpec(logit_adjustment=given).logit_adjustment
    elif contracts.array("logit_adjustment", given).ndim:
        vector = given
    else:
        tau = contracts.number("logit_adjustment", given, contracts.REAL, "1 is the balanced softmax.")
        vector = tau * np.log(n / n.sum())
    remedy = "Give tau, or one number per class."
    checked = contracts.number_or_vector("logit_adjustment", vector, contracts.ADJUSTMENT, remedy)
    assert isinstance(checked, tuple)
    contracts.class_vector("logit_adjustment", checked, len(n))
    return checked


@overload
def prior_bias(prior: float) -> float: ...
@overload
def prior_bias(prior: Sequence[float] | NDArray[Any]) -> NDArray[np.float64]: ...
def prior_bias(prior: float | Sequence[float] | NDArray[Any]) -> float | NDArray[np.float64]:
    r"""Initial bias of the last layer, so that training starts from the class prior.

    .. math:: b = \log\frac{\pi}{1 - \pi} \text{ (one probability)}, \qquad b_k = \log \pi_k \text{ (a distribution)}

    (Lin et al. 2017, arXiv 1708.02002, section 4.1, with pi = 0.01.)

    Parameters
    ----------
    prior : float in (0, 1), or (n_classes,) in (0, 1) summing to 1
        One number: the frequency of positives of a sigmoid output. A vector: the class
        frequencies of a softmax output; for independent sigmoid columns call it per column.

    Returns
    -------
    float or numpy.ndarray
        The bias, or one per class.

    Raises
    ------
    InputError
        Where a value lies outside its domain.

    Examples
    --------
    >>> round(prior_bias(0.01), 5)
    -4.59512
    """
    remedy = "Use relative frequencies, with absent classes given a small positive one."
    pi = contracts.number_or_vector("prior", prior, contracts.PRIOR, remedy)
    if isinstance(pi, float):
        return float(np.log(pi) - np.log1p(-pi))
    vector = np.asarray(pi)
    if abs(vector.sum() - 1) > 1e-6:
        contracts.reject("prior", "sum to 1", float(vector.sum()), "Divide it by its sum.")
    bias: NDArray[np.float64] = np.log(vector)
    return bias
