"""Probabilities made true: fitted maps, and what tells how true they are. Weights everywhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from focalkit._core import contracts
from focalkit._core.extras import need
from focalkit.decisions.ascent import some_of_each
from focalkit.decisions.rules import both_sides
from focalkit.decisions.steps import TINY, Beta, Isotonic, Step, Temperature, logits_of

Real = NDArray[np.float64]
METHODS = ("temperature", "focal_temperature", "isotonic", "beta")
#: Those that "auto" tries, of two classes and of several. Of two, focal temperature scaling adds nothing to the others.
AUTO = ("temperature", "beta", "isotonic")
AUTO_OF_SEVERAL = ("temperature", "focal_temperature")
#: As in scikit-learn's log loss: beyond it, a few rows that are surely wrong would hide what a map does for all others.
EPS = float(np.finfo(np.float64).eps)
#: Rows that a map is fitted on at most, evenly over the classes.
MOST_ROWS = 50_000
#: A map is kept by "auto" where it lowers the cross-fitted log loss by more than this many standard errors.
SURE = 2.0


def log_losses(p: Real, targets: NDArray[Any]) -> Real:
    """Minus the logarithm of the true class's probability (n,), in nats; one of 0 counts as :data:`EPS`."""
    full = both_sides(p)
    return np.asarray(-np.log(np.maximum(full[np.arange(len(targets)), targets], EPS)))


def fit_calibration(method: str, p: Real, targets: NDArray[Any], weight: Real | None = None) -> Step:
    """The map of ``method`` that fits ``p`` (n,) or (n, n_classes) best to ``targets`` (n,) by weighted log loss.

    Isotonic and beta calibration are scikit-learn's regressions, for two classes.

    Raises
    ------
    InputError
        Where the method is not known or is for two classes only.
    """
    contracts.one_of("calibrate", method, METHODS)
    w = np.ones(len(targets)) if weight is None else weight
    if method in ("isotonic", "beta") and p.ndim == 2:
        got = contracts.Words(f"{method} for {p.shape[1]} classes")
        contracts.reject("calibrate", "suit the number of classes", got, "Use temperature or focal_temperature.")
    fit: dict[str, Callable[[Real, NDArray[Any], Real], Step]] = {
        "temperature": _temperature,
        "focal_temperature": _focal_temperature,
        "isotonic": _isotonic,
        "beta": _beta,
    }
    return fit[method](p, targets, w)


def _least(f: Callable[[float], float], low: float, high: float) -> float:
    """The minimiser of a function with one minimum between ``low`` and ``high``, to 1e-5 (Brent's method)."""
    with need("scipy", "temperature scaling", "tune"):
        from scipy.optimize import minimize_scalar
    return float(minimize_scalar(f, bounds=(low, high), method="bounded", options={"xatol": 1e-5}).x)


def _temperature(p: Real, y: NDArray[Any], w: Real, gamma: float = 0.0) -> Temperature:
    """The temperature in [0.05, 20]; at gamma = 0 the loss is convex in its inverse, so that one minimum is all."""
    logits = logits_of(p)

    def loss(log_t: float) -> float:
        step = Temperature(float(np.exp(log_t)), gamma)
        return float(np.average(step.log_losses(logits, y), weights=w))

    return Temperature(float(np.exp(_least(loss, np.log(0.05), np.log(20.0)))), gamma)


def _focal_temperature(p: Real, y: NDArray[Any], w: Real) -> Step:
    """Over gamma in [0, 10] the loss of the best temperature of each."""
    logits = logits_of(p)

    def loss(step: Temperature) -> float:
        return float(np.average(step.log_losses(logits, y), weights=w))

    best = _temperature(p, y, w, _least(lambda gamma: loss(_temperature(p, y, w, gamma)), 0.0, 10.0))
    plain = _temperature(p, y, w)
    return best if loss(best) < loss(plain) else plain


def _isotonic(p: Real, y: NDArray[Any], w: Real) -> Step:
    with need("sklearn", "isotonic calibration", "tune"):
        from sklearn.isotonic import IsotonicRegression
    # a frequency of 0 among n cases is not known to be less than about this
    end = 0.5 / (w.sum() ** 2 / (w * w).sum() + 1)
    map_ = IsotonicRegression(y_min=end, y_max=1 - end, out_of_bounds="clip").fit(p, y, sample_weight=w)
    return Isotonic(tuple(map(float, map_.X_thresholds_)), tuple(map(float, map_.y_thresholds_)))


def _beta(p: Real, y: NDArray[Any], w: Real) -> Step:
    with need("sklearn", "beta calibration", "tune"):
        from sklearn.linear_model import LogisticRegression
    logs = np.column_stack([np.log(np.maximum(p, TINY)), -np.log(np.maximum(1 - p, TINY))])
    columns = [0, 1]
    while True:
        fitted = LogisticRegression(C=np.inf, max_iter=1000).fit(logs[:, columns], y, sample_weight=w)
        slopes = dict(zip(columns, fitted.coef_[0], strict=True))
        if min(slopes.values()) >= 0 or len(columns) == 1:
            break
        columns = [max(slopes, key=lambda c: slopes[c])]  # a map that falls somewhere is none: one slope is left
    a, b = (max(float(slopes.get(c, 0.0)), 0.0) for c in (0, 1))
    return Beta(a, b, float(fitted.intercept_[0]))


def best_calibration(
    p: Real, targets: NDArray[Any], weight: Real | None, folds: NDArray[np.intp], methods: Sequence[str] | None = None
) -> str | None:
    """The one of ``methods`` that lowers the cross-fitted log loss most, of those that surely do; None where none does.

    Sure is a gain of more than :data:`SURE` standard errors. Default: :data:`AUTO`, or :data:`AUTO_OF_SEVERAL`.
    """
    best, most = None, 0.0
    plain, w = log_losses(p, targets), np.ones(len(targets)) if weight is None else weight
    for method in (AUTO if p.ndim == 1 else AUTO_OF_SEVERAL) if methods is None else methods:
        gain = plain - cross_fitted_losses(method, p, targets, w, folds)
        mean = float(np.average(gain, weights=w))
        error = float(np.sqrt((w**2 * (gain - mean) ** 2).sum()) / w.sum())
        if error > 0 and mean / error > SURE and mean > most:
            best, most = method, mean
    return best


def cross_fitted_losses(method: str, p: Real, targets: NDArray[Any], weight: Real, folds: NDArray[np.intp]) -> Real:
    """The log loss of each row (n,) under a map that was fitted on the other folds."""
    losses = np.empty(len(targets))
    for fold in range(folds.max() + 1):
        test = folds == fold
        train = np.flatnonzero(~test)
        some, times = some_of_each(targets[train], MOST_ROWS)
        rows = train[some]
        step = fit_calibration(method, p[rows], targets[rows], weight[rows] * times)
        losses[test] = log_losses(step.apply(p[test]), targets[test])
    return losses


@dataclass(frozen=True)
class Calibration:
    """How true probabilities are: logistic recalibration, and frequencies over bins with bands that hold together.

    ``intercept`` is that of log-odds with slope 1 (calibration in the large), ``slope`` that of a line with its own
    intercept; each with its standard error. ``predicted``, ``observed``, ``low``, ``high``, ``share`` are (n_bins,).
    All bands hold at once with probability 0.95 (Clopper-Pearson at 0.05 / n_bins, with the effective number of
    cases where they are weighted).
    """

    intercept: float
    intercept_error: float
    slope: float
    slope_error: float
    predicted: tuple[float, ...]
    observed: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    share: tuple[float, ...]

    @property
    def off(self) -> int:
        """Bins whose prediction lies outside its band: any at all is significant at 0.05."""
        return sum(not lo <= p <= hi for lo, p, hi in zip(self.low, self.predicted, self.high, strict=True))


#: Of a reliability curve.
MOST_BINS = 100_000


def calibration(p: Real, positive: NDArray[Any], weight: Real | None = None, n_bins: int = 10) -> Calibration:
    """How true the probabilities ``p`` (n,) of an event are; ``positive`` (n,) says where it happened.

    Raises
    ------
    InputError
        Where these are not probabilities, events and weights of as many rows.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> p = rng.random(10_000)
    >>> calibration(p, rng.random(10_000) < p).off
    0
    """
    p = contracts.vector("p", p, contracts.PROBABILITY, "Pass the probability of the event for each row.")
    y = contracts.events("positive", positive, len(p)).astype(np.float64)
    given = contracts.sample_weight_array(weight, p.shape)
    w = np.ones(len(y)) if given is None else given
    if not w.any():
        contracts.reject("weight", "be positive for a row", contracts.Words("only zeros"), "Give a row a weight.")
    return calibration_of(p, y, w, contracts.whole("n_bins", n_bins, 1, "10 show a curve.", most=MOST_BINS))


def calibration_of(p: Real, y: Real, w: Real, n_bins: int = 10) -> Calibration:
    """The same of what was checked."""
    with need("scipy", "reliability bands", "tune"):
        from scipy.special import betaincinv
    z = logits_of(p)
    (a,), (ea,) = _logistic(np.ones((len(y), 1)), y, w, z)
    (_, b), (_, eb) = _logistic(np.column_stack([np.ones(len(y)), z]), y, w, np.zeros(len(y)))
    order = np.argsort(p, kind="stable")
    place = np.cumsum(w[order])
    of = np.empty(len(p), np.intp)
    of[order] = np.minimum(((place - w[order] / 2) / place[-1] * n_bins).astype(np.intp), n_bins - 1)
    # equal predictions share a bin
    values, inverse = np.unique(p, return_inverse=True)
    first = np.full(len(values), n_bins)
    np.minimum.at(first, inverse, of)
    of = first[inverse]
    mass = np.bincount(of, w, n_bins)
    used = np.flatnonzero(mass > 0)
    mass = mass[used]
    predicted = np.bincount(of, w * p, n_bins)[used] / mass
    observed = np.bincount(of, w * y, n_bins)[used] / mass
    n = mass**2 / np.bincount(of, w * w, n_bins)[used]
    tail = 0.05 / len(used) / 2
    hits = observed * n
    low = np.where(hits > 0, betaincinv(np.maximum(hits, 1e-12), n - hits + 1, tail), 0.0)
    high = np.where(hits < n, betaincinv(hits + 1, np.maximum(n - hits, 1e-12), 1 - tail), 1.0)
    bins = (predicted, observed, low, high, mass / mass.sum())
    return Calibration(float(a), float(ea), float(b), float(eb), *(tuple(map(float, column)) for column in bins))


def _logistic(X: Real, y: Real, w: Real, offset: Real) -> tuple[Real, Real]:
    """Coefficients and standard errors (sandwich, for weights) of a logistic regression, by Newton's method."""
    beta = np.zeros(X.shape[1])
    for _ in range(100):
        eta = np.clip(X @ beta + offset, -700, 700)
        mu = 1 / (1 + np.exp(-eta))
        v = w * mu * (1 - mu)
        hess = X.T @ (v[:, None] * X) + 1e-12 * np.eye(len(beta))
        step = np.linalg.pinv(hess, hermitian=True) @ (X.T @ (w * (y - mu)))
        step *= min(1.0, 5.0 / max(float(np.abs(step).max()), 1e-300))
        beta = beta + step
        if np.abs(step).max() < 1e-10:
            break
    inverse = np.linalg.pinv(hess, hermitian=True)
    meat = X.T @ ((w * (y - mu))[:, None] ** 2 * X)
    return beta, np.sqrt(np.maximum(np.diag(inverse @ meat @ inverse), 0.0))  # which rounding may leave below 0
