"""Other heads on the same features, for long tails: cRT, tau-normalised, learned scales (LWS), cosine.

They are for features that a network was trained for and that stay as they are (Kang et al. 2020, arXiv 1910.09217;
Gidaris & Komodakis 2018, arXiv 1804.09458, for the cosine). Each begins with the linear head of plain cross-entropy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.preprocessing import normalize

from focalkit._core import contracts
from focalkit._core.spec import LossSpec
from focalkit.losses import loss_grad_hess
from focalkit.tuning.result import HEADS as HEADS

Real = NDArray[np.float64]
Ints = NDArray[np.intp]
Fit = Callable[[Any, Ints, "Real | None"], Any]

TAUS = np.arange(0, 2.01, 0.1)
"""Strengths of tau-normalisation that are tried: 0 keeps the weights as they are, 1 gives every class one norm."""

BALANCED = ("crt", "lws")
"""Those that are trained as if all classes were equally frequent."""

_HELD_OUT = 4
_CROSS_ENTROPY = LossSpec(gamma=0.0, reduction="mean")


class Head(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A head by its weights (n_classes, n_features) and biases (n_classes,); of a cosine's rows length says nothing."""

    def __init__(self, coef: Real, bias: Real, classes: Ints, normalised: bool = False) -> None:
        self.coef, self.bias, self.classes, self.normalised = coef, bias, classes, normalised
        self.classes_ = classes

    def __sklearn_is_fitted__(self) -> bool:
        """It is made of what was fitted."""
        return True

    def fit(self, X: Any, y: Any = None) -> Head:
        """Itself: the end of a pipeline must have this."""
        return self

    def logits(self, X: Any) -> Real:
        """(n, n_classes)."""
        rows = normalize(X) if self.normalised else X
        return np.asarray(rows @ self.coef.T, np.float64) + self.bias

    def predict_proba(self, X: Any) -> Real:
        """(n, n_classes)."""
        return np.asarray(softmax(self.logits(X), axis=1))


def fit_head(fit: Fit, head: str, X: Any, y: Ints, weight: Real | None, rng: np.random.Generator) -> Any:
    """A fitted head.

    Parameters
    ----------
    fit : callable
        Trains a linear classifier by plain cross-entropy.
    head : str
        Of :data:`HEADS`.
    X : (n, n_features)
        Features, numbers without gaps.
    y : integers (n,)
    weight : (n,), optional
    rng : numpy.random.Generator
        Draws the rows that choose tau.
    """
    balanced = _balanced(y, weight)
    if head == "crt":
        return fit(X, y, balanced)
    fitted = fit(X, y, weight)
    linear = _linear(fitted)
    ids = np.searchsorted(linear.classes_, y)
    if head == "lws":
        return _scaled(linear, X, ids, balanced)
    if head == "cosine":
        own = np.ones(len(y)) if weight is None else weight
        return _cosine(linear, X, ids, own, getattr(fitted, "C", 1.0))
    return _normalised(linear, _best_tau(fit, X, y, weight, rng))


def _balanced(y: Ints, weight: Real | None) -> Real:
    """Weights under which every class has as much: classes are drawn alike, and then their rows."""
    own = np.ones(len(y)) if weight is None else weight
    mass = np.bincount(y, weights=own)
    return np.asarray(own * (own.sum() / np.count_nonzero(mass)) / mass[y])


def _linear(model: Any) -> Head:
    """The head of a fitted linear classifier; two classes with one logit share it evenly."""
    if not hasattr(model, "coef_"):
        got, remedy = contracts.Words(type(model).__name__), "They replace the last layer of a linear classifier."
        contracts.reject("rivals", "leave other heads out where the model has none", got, remedy)
    coef, bias = np.asarray(model.coef_, np.float64), np.broadcast_to(model.intercept_, len(model.coef_)).astype(float)
    if len(coef) == 1:
        coef, bias = np.concatenate([-coef, coef]) / 2, np.concatenate([-bias, bias]) / 2
    return Head(coef, bias, np.asarray(model.classes_, np.intp))


def _normalised(linear: Head, tau: float) -> Head:
    """w_k / |w_k|^tau, without biases: frequent classes have long weights, which decide for them."""
    norms = np.maximum(np.linalg.norm(linear.coef, axis=1, keepdims=True), np.finfo(np.float64).tiny)
    return Head(linear.coef / norms**tau, np.zeros(len(linear.coef)), linear.classes_)


def _best_tau(fit: Fit, X: Any, y: Ints, weight: Real | None, rng: np.random.Generator) -> float:
    """The strength with the best balanced accuracy on a quarter of each class's rows, which a fit has not seen."""
    turn = np.empty(len(y), np.intp)
    for k in np.unique(y):
        rows = rng.permutation(np.flatnonzero(y == k))
        turn[rows] = np.arange(len(rows)) % _HELD_OUT
    seen, held = np.flatnonzero(turn != _HELD_OUT - 1), np.flatnonzero(turn == _HELD_OUT - 1)
    if not len(held):
        return 1.0
    linear = _linear(fit(X[seen], y[seen], None if weight is None else weight[seen]))
    share = _balanced(y[held], None if weight is None else weight[held])
    right = []
    for tau in TAUS:
        decided = linear.classes_[_normalised(linear, tau).logits(X[held]).argmax(axis=1)]
        right.append(share @ (decided == y[held]))
    return float(TAUS[int(np.argmax(right))])


def _scaled(linear: Head, X: Any, ids: Ints, weight: Real) -> Head:
    """f_k (w_k x + b_k), the scales f learned with classes drawn alike, the weights as they are."""
    logits = linear.logits(X)
    share = weight / weight.sum() * len(weight)

    def risk(scales: Real) -> tuple[float, Real]:
        found = loss_grad_hess(_CROSS_ENTROPY, logits * scales, ids, sample_weight=share)
        return float(found.loss), np.einsum("nk,nk->k", found.grad, logits)

    scales = minimize(risk, np.ones(len(linear.coef)), jac=True, method="L-BFGS-B").x
    return Head(linear.coef * scales[:, None], linear.bias * scales, linear.classes_)


def _cosine(linear: Head, X: Any, ids: Ints, weight: Real, C: float) -> Head:
    """The logits s cos(w_k, x), whatever the length of rows and weights; s is learned too, penalised as weights are."""
    rows = normalize(X)
    n_classes, share = len(linear.coef), weight / weight.sum() * len(weight)
    start = np.append(linear.coef.ravel(), np.log(10.0))

    def risk(at: Real) -> tuple[float, Real]:
        raw, scale = at[:-1].reshape(n_classes, -1), float(np.exp(at[-1]))
        norms = np.maximum(np.linalg.norm(raw, axis=1, keepdims=True), np.finfo(np.float64).tiny)
        unit = raw / norms
        cosines = np.asarray(rows @ unit.T, np.float64)
        found = loss_grad_hess(_CROSS_ENTROPY, scale * cosines, ids, sample_weight=share)
        pull = scale * np.asarray((rows.T @ found.grad).T)
        along = np.einsum("kd,kd->k", pull, unit)[:, None]
        penalty = n_classes * scale**2 / (2 * C * weight.sum())
        of_scale = scale * float(np.vdot(found.grad, cosines)) + 2 * penalty
        return float(found.loss) + penalty, np.append(((pull - along * unit) / norms).ravel(), of_scale)

    found = minimize(risk, start, jac=True, method="L-BFGS-B", options={"maxiter": 300}).x
    raw = found[:-1].reshape(n_classes, -1)
    unit = raw / np.maximum(np.linalg.norm(raw, axis=1, keepdims=True), np.finfo(np.float64).tiny)
    return Head(np.exp(found[-1]) * unit, np.zeros(n_classes), linear.classes_, normalised=True)
