"""FocalClassifier: a linear classifier in scikit-learn's manner, trained with this package's losses."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from scipy.optimize import minimize
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from focalkit._core import contracts
from focalkit._core.spec import LossSpec
from focalkit.losses import loss_grad_hess
from focalkit.posterior import log_odds_of_logits, recover_from_log_odds
from focalkit.weights import alpha_of_classes


class FocalClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    r"""Linear classifier with the (alpha-balanced) focal loss and an L2 penalty.

    .. math::
        \min_{W, b} \; \frac{1}{\sum_i s_i} \sum_i s_i \, (1 - p_{i,t})^\gamma (-\log p_{i,t})
        + \frac{1}{2 C \sum_i w_i} \lVert W \rVert^2, \qquad s_i = w_i \alpha_{t_i}

    (Lin et al. 2017, arXiv 1708.02002, eq. 5.) With ``gamma=0`` and ``alpha=None`` this is
    scikit-learn's ``LogisticRegression(C=C)``. Two classes use one logit, more a softmax.

    Parameters
    ----------
    gamma : float in [0, inf)
        Focusing parameter; 0 is cross-entropy.
    alpha : None, str, float, (n_classes,) or dict
        Class weights: a scheme of :func:`focalkit.class_weights` ("balanced", "sqrt",
        "power:0.25", ...), for two classes the weight in (0, 1) of ``classes_[1]`` (the other has
        1 - alpha), a vector in the order of ``classes_``, or a dict from class to weight (a
        missing class has 1). Only their proportions matter: they are scaled to mean 1 over the
        training samples, so that C keeps its meaning.
    keep_hardest : None, float in (0, 1] or int
        Online hard example mining: train on the largest losses only.
    C : float > 0
        Inverse strength of the penalty, as in scikit-learn. The intercept is not penalised.
    fit_intercept : bool
        Whether there is one.
    max_iter : int
        Most L-BFGS iterations.
    tol : float > 0
        Stop where no entry of the gradient exceeds ``tol`` times the loss of the intercept-only model.
    warm_start : bool
        Start from the last fit's coefficients (say along a path of gamma).

    Attributes
    ----------
    classes_ : (n_classes,)
    coef_ : (1, n_features) for two classes, otherwise (n_classes, n_features)
    intercept_ : (1,) or (n_classes,)
    alpha_ : (n_classes,) float64
        The class weights as used.
    n_iter_ : int
    n_features_in_ : int

    Notes
    -----
    ``predict_proba`` undoes the distortion that ``gamma`` brings (see
    :func:`focalkit.recover_posterior`); that keeps the order of the classes, so ``predict`` agrees
    with it. It does not undo ``alpha``: weights tilt the decisions on purpose, and the
    probabilities then are those of a population reweighted by ``alpha_``. To have the
    population's own, divide by ``alpha_`` and normalise:
    ``p = model.predict_proba(X) / model.alpha_; p /= p.sum(axis=1, keepdims=True)``.
    ``keep_hardest`` distorts probabilities in a way that nothing undoes.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> model = FocalClassifier(gamma=2.0, alpha="balanced").fit(X, y)
    >>> model.predict_proba(X[:1]).round(1)
    array([[1., 0., 0.]])
    """

    def __init__(
        self,
        gamma: float = 2.0,
        alpha: Any = None,
        *,
        keep_hardest: float | int | None = None,
        C: float = 1.0,
        fit_intercept: bool = True,
        max_iter: int = 500,
        tol: float = 1e-4,
        warm_start: bool = False,
    ) -> None:
        self.gamma = gamma
        self.alpha = alpha
        self.keep_hardest = keep_hardest
        self.C = C
        self.fit_intercept = fit_intercept
        self.max_iter = max_iter
        self.tol = tol
        self.warm_start = warm_start

    def __sklearn_tags__(self) -> Any:
        """Scikit-learn's capability tags: sparse input works."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> FocalClassifier:
        """Fit to ``X`` (n, n_features), dense or sparse, and class labels ``y`` (n,).

        Parameters
        ----------
        X : array or sparse matrix (n, n_features)
        y : (n,)
            Class labels of any kind.
        sample_weight : (n,), optional
            In [0, inf).

        Returns
        -------
        FocalClassifier
            Itself.

        Raises
        ------
        InputError
            Where a parameter lies outside its domain, or y has a single class.
        """
        contracts.number("C", self.C, contracts.POSITIVE, "Large values penalise less.")
        contracts.number("tol", self.tol, contracts.POSITIVE, "The default is 1e-5.")
        gamma = contracts.number("gamma", self.gamma, contracts.GAMMA, "0 is cross-entropy, 2 the paper's choice.")
        X, y = validate_data(self, X, y, accept_sparse="csr", dtype=[np.float64, np.float32])
        check_classification_targets(y)
        weight = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        classes, targets = np.unique(y, return_inverse=True)
        if len(classes) < 2:
            contracts.reject(
                "y", "have at least two classes", f"{len(classes)} class", "A classifier needs two to tell apart."
            )
        counts = np.bincount(targets, weights=weight, minlength=len(classes)).astype(np.float64)
        alpha = alpha_of_classes(self.alpha, classes, counts)
        alpha = alpha * (weight.sum() / (alpha * counts).sum())
        problem = _Problem(
            X,
            targets,
            weight * alpha[targets],
            n_logits=1 if len(classes) == 2 else len(classes),
            penalty=1 / (self.C * weight.sum()),
            gamma=gamma,
            keep_hardest=self.keep_hardest,
            fit_intercept=self.fit_intercept,
        )
        start = problem.prior_start(counts * alpha)
        scale = max(problem(start)[0], 1e-300)
        shape = (problem.n_logits, X.shape[1])
        last: NDArray[np.float64] | None = getattr(self, "coef_", None) if self.warm_start else None
        if last is not None and last.shape == shape:
            start = problem.pack(last, self.intercept_)
        # the risk of the hardest samples has kinks, where gradients do not vanish: there its decrease decides
        found = minimize(
            lambda v: tuple(part / scale for part in problem(v)),
            start,
            jac=True,
            method="L-BFGS-B",
            options={
                "maxiter": self.max_iter,
                "gtol": self.tol,
                "ftol": 1e-12 if self.keep_hardest is None else 0.01 * self.tol,
                "maxls": 50,
                "maxcor": 50,
            },
        )
        if found.status == 1:
            message = f"L-BFGS stopped after max_iter={self.max_iter} iterations; raise max_iter or scale the features."
            warnings.warn(message, ConvergenceWarning, stacklevel=2)
        self.classes_: NDArray[Any] = classes
        self.alpha_ = alpha
        coef, intercept = problem.unpack(found.x)
        self.coef_: NDArray[np.float64] = coef
        self.intercept_: NDArray[np.float64] = intercept
        self.n_iter_ = max(int(found.nit), 1)
        return self

    def decision_function(self, X: Any) -> NDArray[np.float64]:
        """Logits: (n,) of ``classes_[1]`` for two classes, otherwise (n, n_classes)."""
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse="csr", dtype=[np.float64, np.float32], reset=False)
        logits = np.asarray(X @ self.coef_.T + self.intercept_)
        return logits[:, 0] if logits.shape[1] == 1 else logits

    def predict(self, X: Any) -> NDArray[Any]:
        """The class of the largest logit, (n,)."""
        logits = self.decision_function(X)
        index = (logits > 0).astype(int) if logits.ndim == 1 else logits.argmax(axis=1)
        return np.asarray(self.classes_[index])

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Posterior probabilities (n, n_classes), with gamma's distortion undone and alpha's tilt kept."""
        return recover_from_log_odds(log_odds_of_logits(self.decision_function(X)), self.gamma)

    def predict_log_proba(self, X: Any) -> NDArray[np.float64]:
        """Logarithm of :meth:`predict_proba`."""
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))


BLOCK = 2048
"""Rows that are worked on together: their features, in float64, stay in the cache."""

MAX_WHITENED = 1024
"""Up to so many features the whole curvature matrix is used, above it the diagonal."""


def _curvature(X: Any, weight: NDArray[np.float64], fit_intercept: bool) -> tuple[NDArray[Any], NDArray[Any]]:
    """Centre (n_features,) and covariance of the weighted features: a matrix, or its diagonal where it is large."""
    share = weight / weight.sum()
    centre = np.asarray(X.T @ share, np.float64) if fit_intercept else np.zeros(X.shape[1])
    sparse = hasattr(X, "multiply")
    if X.shape[1] > MAX_WHITENED:
        square = X.multiply(X) if sparse else np.square(X, dtype=np.float64)
        return centre, np.maximum(np.asarray(square.T @ share, np.float64) - centre * centre, 0)
    if sparse:
        product = np.asarray((X.T @ X.multiply(share[:, None])).todense(), np.float64)
    else:
        product = np.zeros((X.shape[1], X.shape[1]))
        for rows in _blocks(X):
            block = np.asarray(X[rows], np.float64)
            product += block.T @ (block * share[rows, None])
    return centre, product - np.outer(centre, centre)


def _blocks(X: Any) -> list[slice]:
    """Slices of at most BLOCK rows."""
    return [slice(first, first + BLOCK) for first in range(0, X.shape[0], BLOCK)]


class _Problem:
    """The penalised risk of a linear model as a function of one flat vector, with its gradient.

    The vector holds the coefficients of centred features, multiplied by the root of the risk's
    curvature at the prior: the minimum is the same (the intercept is free, the penalty is taken on
    the coefficients themselves), and L-BFGS finds it in few steps however the features are scaled
    and correlated. X is not copied: float32 features are turned to float64 block by block, where
    each block's logits, losses and gradients are computed too, so that one evaluation reads X once.
    """

    def __init__(
        self,
        X: Any,
        targets: NDArray[Any],
        weight: NDArray[np.float64],
        *,
        n_logits: int,
        penalty: float,
        gamma: float,
        keep_hardest: float | int | None,
        fit_intercept: bool,
    ) -> None:
        link = "sigmoid" if n_logits == 1 else "softmax"
        # the hardest are sought among all rows at once, and a sparse matrix is cut up dearly
        self.sparse = hasattr(X, "multiply")
        whole = self.sparse or keep_hardest is not None
        self.blocks = [slice(None)] if whole else _blocks(X)
        reduction = "weighted_mean" if whole else "sum"
        self.share = 1.0 if whole else 1 / float(weight.sum())
        self.spec = LossSpec(link, gamma, reduction=reduction, keep_hardest=keep_hardest)
        self.X, self.targets, self.weight = X, targets, weight
        self.n_logits, self.penalty, self.fit_intercept = n_logits, penalty, fit_intercept
        self.centre, covariance = _curvature(X, weight, fit_intercept)
        share = np.bincount(targets, weights=weight) / weight.sum()
        spread = share * (1 - share)
        covariance = covariance * float(spread.mean())
        # a rare class has little curvature: without this its coefficients would be found last
        self.stretch = np.sqrt(np.maximum(spread / spread.mean(), 1e-3))[-n_logits:, None]
        if covariance.ndim == 1:
            self.root = np.sqrt(covariance + penalty)
            self.inverse = 1 / self.root
        else:
            ridge = penalty + 1e-10 * np.trace(covariance) / len(covariance)
            self.root = np.linalg.cholesky(covariance + ridge * np.eye(len(covariance)))
            self.inverse = solve_triangular(self.root, np.eye(len(covariance)), lower=True)

    def prior_start(self, counts: NDArray[np.float64]) -> NDArray[np.float64]:
        """Zero coefficients and the intercept of the (weighted) class prior."""
        log_counts = np.log(np.maximum(counts, 1e-12 * counts.sum()))
        intercept = log_counts[1:] - log_counts[0] if self.n_logits == 1 else log_counts - log_counts.mean()
        if not self.fit_intercept:
            intercept = np.zeros_like(intercept)
        return np.concatenate([np.zeros(self.n_logits * len(self.centre)), intercept * self.stretch[:, 0]])

    def pack(self, coef: NDArray[Any], intercept: NDArray[Any]) -> NDArray[np.float64]:
        """The flat vector of a model."""
        stretch = self.stretch
        intercept = (intercept + coef @ self.centre) * stretch[:, 0]
        return np.concatenate([(_times(coef, self.root) * stretch).ravel(), intercept])

    def unpack(self, vector: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Coefficients and intercept of the model."""
        coef = _times(vector[: -self.n_logits].reshape(self.n_logits, -1), self.inverse) / self.stretch
        return coef, vector[-self.n_logits :] / self.stretch[:, 0] - coef @ self.centre

    def __call__(self, vector: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """Risk and gradient."""
        coef, intercept = self.unpack(vector)
        value, of_coef, total = 0.0, np.zeros_like(coef), np.zeros(self.n_logits)
        for rows in self.blocks:
            X = self.X[rows] if self.sparse else np.asarray(self.X[rows], np.float64)
            logits = np.asarray(X @ coef.T, np.float64) + intercept
            if self.n_logits == 1:
                logits = logits[:, 0]
            part, grad, _ = loss_grad_hess(
                self.spec, logits, self.targets[rows], sample_weight=self.weight[rows], hess=False, out=logits
            )
            grad = grad.reshape(-1, self.n_logits)
            value += float(part)
            total += grad.sum(axis=0)
            of_coef += np.asarray(X.T @ grad, np.float64).T
        value, of_coef, total = value * self.share, of_coef * self.share, total * self.share
        of_coef -= total[:, None] * self.centre
        of_coef = _times(of_coef + self.penalty * coef, self.inverse.T) / self.stretch
        total /= self.stretch[:, 0]
        if not self.fit_intercept:
            total = np.zeros_like(total)
        risk = float(value) + 0.5 * self.penalty * float((coef * coef).sum())
        return risk, np.concatenate([of_coef.ravel(), total])


def _times(rows: NDArray[np.float64], factor: NDArray[np.float64]) -> NDArray[np.float64]:
    """``rows @ factor``, for a factor that is a matrix or the diagonal of one."""
    return np.asarray(rows * factor if factor.ndim == 1 else rows @ factor)
