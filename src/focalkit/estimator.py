"""FocalClassifier: a linear classifier in scikit-learn's manner, trained with this package's losses."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from focalkit._core import contracts
from focalkit._core.spec import LossSpec, family_options
from focalkit._core.types import Alpha, Features
from focalkit.linear_solver import candidate_of, minimise
from focalkit.posterior import log_odds_of_logits, recover_from_log_odds, recover_from_logits
from focalkit.weights import adjustment_of

__all__ = ["FocalClassifier"]


def __dir__() -> list[str]:
    return __all__


class FocalClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    r"""Linear classifier with the (alpha-balanced) focal loss and an L2 penalty.

    .. math::
        \min_{W, b} \; \frac{1}{\sum_i s_i} \sum_i s_i \, (1 - p_{i,t})^\gamma (-\log p_{i,t})
        + \frac{1}{2 C \sum_i w_i} \lVert W \rVert^2, \qquad s_i = w_i \alpha_{t_i}

    (Lin et al. 2017, arXiv 1708.02002, eq. 5.) With ``gamma=0`` and ``alpha=None`` this is
    scikit-learn's ``LogisticRegression(C=C)``. Two classes use one logit, more a softmax.

    Parameters
    ----------
    gamma : float in [0, inf), or rows (p, gamma)
        Focusing parameter; 0 is cross-entropy. Of a table of gammas (see :class:`focalkit.LossSpec`) the fit minimises
        the continuous function with the table's gradient; it has no ``predict_proba``.
    alpha : None, str, float, (n_classes,) or dict
        Class weights: a scheme of :func:`focalkit.class_weights` ("balanced", "sqrt",
        "power:0.25", ...), for two classes the weight in (0, 1) of ``classes_[1]`` (the other has
        1 - alpha), a vector in the order of ``classes_``, or a dict from class to weight (a
        missing class has 1). Only their proportions matter: they are scaled to mean 1 over the
        training samples, so that C keeps its meaning.
    keep_hardest : None, float in (0, 1] or int
        Online hard example mining: train on the largest losses only.
    C : float > 0, or inf
        Inverse strength of the penalty, as in scikit-learn; inf for no penalty. The intercept is not penalised.
    fit_intercept : bool
        Whether there is one.
    max_iter : int
        Most steps of the (quasi-)Newton method.
    tol : float > 0
        Stop where the next step promises to lower the risk by less than ``tol ** 2`` of it.
    warm_start : bool
        Start from the last fit's coefficients (say along a path of gamma).
    logit_adjustment : None, float or (n_classes,)
        Added to the logits in training: a number is tau, for tau times the log of the training data's class
        frequencies; a vector is in the order of ``classes_``. ``predict`` then decides for equally frequent classes,
        and ``predict_proba`` still gives the training data's posterior. With an intercept the fit is the same as the
        one without, whose intercept is shifted.
    options : None or dict
        Further fields of :class:`focalkit.LossSpec`: margin, scale, or those of a form such as ``{"poly": 1.0}``.

    Attributes
    ----------
    classes_ : (n_classes,)
    coef_ : (1, n_features) for two classes, otherwise (n_classes, n_features)
    intercept_ : (1,) or (n_classes,)
    alpha_ : (n_classes,) float64
        The class weights as used.
    n_iter_ : int
    n_features_in_ : int
    spec_ : LossSpec
        The loss, without alpha.

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
        gamma: float | Sequence[tuple[float, float]] = 2.0,
        alpha: Alpha = None,
        *,
        keep_hardest: float | int | None = None,
        C: float = 1.0,
        fit_intercept: bool = True,
        max_iter: int = 500,
        tol: float = 1e-4,
        warm_start: bool = False,
        logit_adjustment: Any = None,
        options: dict[str, Any] | None = None,
    ) -> None:
        self.gamma = gamma
        self.alpha = alpha
        self.keep_hardest = keep_hardest
        self.C = C
        self.fit_intercept = fit_intercept
        self.max_iter = max_iter
        self.tol = tol
        self.warm_start = warm_start
        self.logit_adjustment = logit_adjustment
        self.options = options

    def __sklearn_tags__(self) -> Any:
        """Scikit-learn's capability tags: sparse input works."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def fit(self, X: Features, y: ArrayLike, sample_weight: ArrayLike | None = None) -> FocalClassifier:
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
        (found,) = fit_together([self], X, y, sample_weight)
        if found is not None:
            warnings.warn(found, ConvergenceWarning, stacklevel=2)
        return self

    def decision_function(self, X: Features) -> NDArray[np.float64]:
        """Logits: (n,) of ``classes_[1]`` for two classes, otherwise (n, n_classes)."""
        check_is_fitted(self)
        contracts.unmasked("X", X)
        X = validate_data(self, X, accept_sparse="csr", dtype=[np.float64, np.float32], reset=False)
        logits = np.asarray(X @ self.coef_.T + self.intercept_)
        return logits[:, 0] if logits.shape[1] == 1 else logits

    def predict(self, X: Features) -> NDArray[Any]:
        """The class of the largest logit, (n,)."""
        logits = self.decision_function(X)
        index = (logits > 0).astype(int) if logits.ndim == 1 else logits.argmax(axis=1)
        return np.asarray(self.classes_[index])

    def predict_proba(self, X: Features) -> NDArray[np.float64]:
        """Posterior probabilities (n, n_classes), with gamma's distortion undone and alpha's tilt kept."""
        logits = self.decision_function(X)
        if self._given:
            return recover_from_logits(logits, self.spec_)
        return recover_from_log_odds(log_odds_of_logits(logits), self.gamma)

    @property
    def _given(self) -> bool:
        """Whether the loss is another one than the focal loss."""
        return self.logit_adjustment is not None or bool(self.options) or self.spec_.gamma_steps is not None

    def predict_log_proba(self, X: Features) -> NDArray[np.float64]:
        """Logarithm of :meth:`predict_proba`."""
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))


def options_of(model: FocalClassifier, counts: NDArray[np.float64]) -> dict[str, Any]:
    """The fields of the spec beside gamma and alpha, for these class counts."""
    # the adjustment is an option of its own, a table is given as gamma, and classes are no soft targets
    options = family_options(model.options, "logit_adjustment", "gamma_steps", "quality")
    adjustment = adjustment_of(model.logit_adjustment, counts)
    if adjustment is not None:
        contracts.class_vector("logit_adjustment", adjustment, len(counts))
        two = len(counts) == 2
        options["logit_adjustment"] = float(adjustment[1] - adjustment[0]) if two else adjustment
    return options


def _shifts_the_intercept(model: FocalClassifier, options: dict[str, Any]) -> bool:
    """Whether the fit is the one without logit adjustment but for the intercept, which is not penalised."""
    return bool(model.fit_intercept) and "logit_adjustment" in options and not {"scale", "margin"} & set(options)


def fit_together(
    models: Sequence[FocalClassifier], X: Features, y: ArrayLike, sample_weight: ArrayLike | None = None
) -> list[str | None]:
    """Fit several models to the same data at once, each as its own ``fit`` would.

    Their logits are one product and their gradients another, so that many models take much less time
    than as many fits. They share ``fit_intercept``, ``tol`` and ``max_iter``.

    Parameters
    ----------
    models : sequence of FocalClassifier
    X, y, sample_weight
        As for :meth:`FocalClassifier.fit`.

    Returns
    -------
    list of str or None
        What is to be said about each fit: that it stopped before it converged, or nothing.

    Raises
    ------
    InputError
        Where a parameter lies outside its domain, or y has a single class.
    """
    first = models[0]
    contracts.number("tol", first.tol, contracts.POSITIVE, "The default is 1e-4.")
    contracts.whole("max_iter", first.max_iter, 1, "The default is 500.")
    fit_intercept = contracts.flag("fit_intercept", first.fit_intercept)
    for name, value in (("X", X), ("y", y), ("sample_weight", sample_weight)):
        contracts.unmasked(name, value)
    checked, y = validate_data(first, X, y, accept_sparse="csr", dtype=[np.float64, np.float32])
    check_classification_targets(y)
    weight = _check_sample_weight(sample_weight, checked, dtype=np.float64, ensure_non_negative=True)
    if not weight.sum() > 0:
        contracts.reject(
            "sample_weight", "have an entry above 0", contracts.Words("zeros alone"), "Nothing would be learned."
        )
    classes, targets = contracts.class_ids(y)
    counts = np.bincount(targets, weights=weight, minlength=len(classes)).astype(np.float64)
    candidates, shifts = [], []
    for model in models:
        if model is not first:
            validate_data(model, X, reset=True, skip_check_array=True)
        last = getattr(model, "coef_", None) if contracts.flag("warm_start", model.warm_start) else None
        n_logits = 1 if len(classes) == 2 else len(classes)
        options = options_of(model, counts)
        gamma: Any = model.gamma
        model.spec_ = LossSpec("sigmoid" if n_logits == 1 else "softmax", gamma, **options)
        if model.spec_.gamma_steps is not None:
            gamma, options = 0.0, {**options, "gamma_steps": model.spec_.gamma_steps}
        shift = options.pop("logit_adjustment") if _shifts_the_intercept(model, options) else 0.0
        shifts.append(shift - np.mean(shift) if n_logits > 1 else shift)  # intercepts of a softmax sum to 0
        known = last is not None and last.shape == (n_logits, checked.shape[1])
        start = (np.asarray(last), model.intercept_ + shifts[-1]) if known else None
        candidate = candidate_of(
            gamma=gamma, alpha=model.alpha, keep_hardest=model.keep_hardest, C=model.C,
            classes=classes, counts=counts, options=options, start=start,
        )  # fmt: skip
        candidates.append(candidate)
        model.alpha_, model.classes_ = candidate.class_weight, classes
    solutions = minimise(
        checked, targets, weight, candidates,
        n_classes=len(classes), fit_intercept=fit_intercept, tol=first.tol, max_iter=first.max_iter,
    )  # fmt: skip
    for model, solution, shift in zip(models, solutions, shifts, strict=True):
        model.coef_, model.intercept_, model.n_iter_ = solution.coef, solution.intercept - shift, solution.n_iter
    return [None if solution.converged else _unfinished(solution.n_iter, first.max_iter) for solution in solutions]


def _unfinished(steps: int, most: int) -> str:
    """Why a fit is not at its minimum."""
    if steps >= most:
        return f"The fit stopped after max_iter={most} steps; raise max_iter or scale the features."
    return f"The fit found no lower risk after {steps} steps and may not be at the minimum; scale the features."
