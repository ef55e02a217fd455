"""CatBoost: objective, evaluation metrics and the estimator.

CatBoost asks an objective of its own in Python for blocks of 1,000 samples (two classes) or for one
sample after another (more): with many classes and rows the other two libraries are far faster.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import accuracy_score
from sklearn.utils.validation import check_array, check_consistent_length, check_is_fitted

from focalkit._core import contracts
from focalkit._core.extras import need
from focalkit._core.types import Alpha, EvalSet, Features
from focalkit.boosting import _fitting
from focalkit.boosting._catboost_objective import NativeObjective, native_metric
from focalkit.boosting._estimator import FocalBooster, check_metrics, refuse_method, refuse_parameters
from focalkit.boosting.metrics import DEFAULT_METRIC
from focalkit.boosting.objective import DEFAULT_HESSIAN, FocalObjective

with need("catboost", "FocalCatBoostClassifier", "catboost"):
    import catboost

Array = NDArray[Any]
__all__ = [
    "REFUSED_METHODS",
    "FocalCatBoostClassifier",
    "NativeObjective",
    "add_start",
    "native_metric",
    "start_baseline",
]
_PREDICTIONS = ("Class", "RawFormulaVal", "Probability", "LogProbability")
#: CatBoost's metrics that go by the order of the scores or by the largest.
_RIGHT_METRICS = frozenset(
    "AUC PRAUC NormalizedGini Accuracy BalancedAccuracy BalancedErrorRate ZeroOneLoss Kappa WKappa F1 TotalF1 F MCC "
    "Precision Recall HammingLoss PairAccuracy QueryAUC".split()
)
_SEARCH = "Use scikit-learn's searches, or focalkit.tuning.tune."
_METRICS_AFTERWARDS = "Compute the metric from staged_predict_proba() or predict_proba()."
#: Methods of CatBoost that read the scores as its own loss's, or train models of their own.
REFUSED_METHODS = {
    "calc_feature_statistics": "Use predict_proba() on the bins.",
    "compare": _METRICS_AFTERWARDS,
    "create_metric_calcer": _METRICS_AFTERWARDS,
    "eval_metrics": _METRICS_AFTERWARDS,
    "get_object_importance": "CatBoost has it for its own losses only.",
    "get_probability_threshold": "Compare predict_proba() with a threshold.",
    "grid_search": _SEARCH,
    "plot_predictions": "Use predict_proba() on changed data.",
    "randomized_search": _SEARCH,
    "select_features": "Use scikit-learn's RFE or SelectFromModel.",
    "set_probability_threshold": "Compare predict_proba() with a threshold.",
    "virtual_ensembles_predict": "Train models with other random_seeds.",
}


def start_baseline(objective: FocalObjective, n_samples: int) -> NDArray[np.float64]:
    """``baseline`` of a :class:`catboost.Pool`: the focal start, (n,) or (n, n_classes)."""
    start = _start(objective)
    return np.full(n_samples, start[0]) if len(start) == 1 else np.tile(start, (n_samples, 1))


def add_start(model: catboost.CatBoost, objective: FocalObjective) -> None:
    """Make the focal start the model's bias: CatBoost does not add a training baseline at prediction."""
    scale, bias = model.get_scale_and_bias()
    start = _start(objective)
    total = np.broadcast_to(np.asarray(bias, np.float64), start.shape) + start
    model.set_scale_and_bias(scale, total.tolist() if len(total) > 1 else float(total[0]))


def _start(objective: FocalObjective) -> NDArray[np.float64]:
    start = objective.start_scores
    return start if len(start) == 1 else start - start.mean()


class FocalCatBoostClassifier(FocalBooster, catboost.CatBoostClassifier):  # type: ignore[misc]
    r"""CatBoost trained with the (alpha-balanced) focal loss.

    .. math:: \mathrm{FL}(p_t) = -\alpha_t (1 - p_t)^\gamma \log p_t

    (Lin et al. 2017, arXiv 1708.02002, eq. 5.) With ``gamma=0`` and ``alpha=None`` its scores equal
    those of :class:`catboost.CatBoostClassifier` to rounding, started at the class frequencies
    (``boost_from_average``, or a baseline) and with the same ``learning_rate``,
    ``leaf_estimation_iterations`` and ``leaf_estimation_backtracking="No"``: CatBoost's automatic
    choice of these knows its own losses only, and falls back to 0.03 and 1 for others.

    Parameters
    ----------
    gamma : float in [0, inf)
        Focusing parameter; 0 is cross-entropy.
    alpha : None, str, float, (n_classes,) or dict
        Class weights, as for :class:`focalkit.estimator.FocalClassifier`; takes the place of
        ``class_weights``, ``auto_class_weights`` and ``scale_pos_weight``, and like them multiplies the weights
        of the training samples, which CatBoost counts in its split scores and leaf averages too.
    hessian : {"clipped", "majorizer", "exact"}
        See :class:`focalkit.boosting.objective.FocalObjective`; "exact" for two classes only.
    options : None or dict
        Further fields of :class:`focalkit.LossSpec`: a form of the loss such as ``{"poly": 1.0}``, or
        ``{"logit_adjustment": 1.0}``, which is tau for the training data's class frequencies.
    **kwargs
        Everything else that :class:`catboost.CatBoostClassifier` takes, ``loss_function`` excepted.
        ``eval_metric`` may be "recovered_log_loss" (the default where there is an ``eval_set``),
        "focal_loss", "macro_average_precision", "error_rate", or one of CatBoost's that goes by the order or
        the largest of the scores, such as "AUC"; those of probabilities are refused unless gamma is 0 and alpha None.

    Attributes
    ----------
    classes_ : (n_classes,)
    alpha_ : (n_classes,) float64
        The class weights as used, of mean 1 over the training samples.
    focal_ : FocalObjective

    Notes
    -----
    ``predict_proba`` undoes gamma's distortion and keeps alpha's tilt, as that of
    :class:`focalkit.estimator.FocalClassifier` does. ``decision_function`` gives the focal logits.
    The focal start is the model's bias. More than two classes cost one Python call per sample and
    round, some 25 microseconds each.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> quiet = {"verbose": False, "allow_writing_files": False}
    >>> model = FocalCatBoostClassifier(gamma=2.0, alpha="balanced", iterations=20, learning_rate=0.3, **quiet)
    >>> model.fit(X, y).predict_proba(X[:1]).round(1)
    array([[1., 0.]])
    """

    def __init__(
        self,
        *,
        gamma: float = 2.0,
        alpha: Alpha = None,
        hessian: str = DEFAULT_HESSIAN,
        options: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._init_params: dict[str, Any]
        self.gamma = gamma
        self.alpha = alpha
        self.hessian = hessian
        self.options = options

    def __sklearn_is_fitted__(self) -> bool:
        """Whether there is a model."""
        return bool(self.is_fitted())

    def __repr__(self) -> str:
        """The parameters that were set, gamma and alpha always."""
        shown = self.get_params()
        if self.hessian == DEFAULT_HESSIAN:
            del shown["hessian"]
        if self.options is None:
            del shown["options"]
        own = {name: shown.pop(name) for name in _fitting.OWN_PARAMETERS if name in shown}
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in {**own, **shown}.items())})"

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """All parameters that were set, and this package's own."""
        own = {name: getattr(self, name) for name in _fitting.OWN_PARAMETERS}
        return {**self._init_params, **own}

    def set_params(self, **params: Any) -> FocalCatBoostClassifier:
        """Set parameters; this package's own ones also of a fitted model, for its next fit."""
        for name in _fitting.OWN_PARAMETERS:
            if name in params:
                setattr(self, name, params.pop(name))
        if params:
            super().set_params(**params)
        return self

    def fit(
        self,
        X: Features,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        eval_set: EvalSet | None = None,
        *,
        cat_features: Sequence[str | int] | None = None,
        text_features: Sequence[str | int] | None = None,
        embedding_features: Sequence[str | int] | None = None,
        baseline: ArrayLike | None = None,
        init_model: str | PathLike[str] | catboost.CatBoost | None = None,
        **kwargs: Any,
    ) -> FocalCatBoostClassifier:
        """Fit to ``X`` (n, n_features) and class labels ``y`` (n,) of any kind.

        Parameters
        ----------
        X, y, sample_weight, cat_features, text_features, embedding_features, baseline, init_model, **kwargs
            As for :meth:`catboost.CatBoostClassifier.fit`; ``X`` is no :class:`catboost.Pool`.
        eval_set : (X, y) or list of them, optional
            For early stopping and the best model.

        Returns
        -------
        FocalCatBoostClassifier
            Itself.

        Raises
        ------
        InputError
            Where a parameter lies outside its domain, or y has a single class.
        """
        self._refuse_rivals(X)
        params: dict[str, Any] = dict(self._init_params)
        kinds = {
            "cat_features": cat_features if cat_features is not None else params.get("cat_features"),
            "text_features": text_features if text_features is not None else params.get("text_features"),
            "embedding_features": (
                embedding_features if embedding_features is not None else params.get("embedding_features")
            ),
        }
        X = _features(X, numeric=not any(kind is not None for kind in kinds.values()))
        check_consistent_length(X, y)
        training = _fitting.read_training(y, sample_weight, self.gamma, self.alpha, self.hessian, self.options)
        objective = training.objective
        fresh = baseline is None and init_model is None
        evals = [
            self._pool(part_X, _fitting.encode(f"eval_set[{i}]", part_y, training.classes), objective, kinds, fresh)
            for i, (part_X, part_y) in enumerate(_fitting.pairs(eval_set))
        ]
        try:
            self._swap_params(self._training_params(objective, bool(evals)))
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="Failed to import numba", category=UserWarning)
                super().fit(
                    X,
                    training.targets,
                    sample_weight=_alpha_as_weights(training),
                    eval_set=evals or None,
                    baseline=start_baseline(objective, len(training.targets)) if fresh else baseline,
                    init_model=init_model,
                    **kinds,
                    **kwargs,
                )
        finally:
            self._swap_params(params)
        if fresh:
            add_start(self, objective)
        elif init_model is not None:
            _keep_bias(self, init_model)
        self._remember(objective, training.classes)
        return self

    def _refuse_rivals(self, X: Any) -> None:
        if isinstance(X, catboost.Pool):
            contracts.reject(
                "X",
                "be an array or a data frame",
                contracts.Words("a catboost.Pool"),
                "Labels are encoded here: pass X and y.",
            )
        weights = ("class_weights", "auto_class_weights", "scale_pos_weight")
        refuse_parameters(self._init_params, weights, "Give class weights as alpha, e.g. 'balanced'.")
        loss = ("loss_function", "objective", "class_names", "classes_count", "target_border")
        refuse_parameters(self._init_params, loss, "The loss is the focal loss and the classes are those of y.")
        remedy = "Training starts at the constant of least focal risk; give baseline=zeros to start at 0."
        if self._init_params.get("boost_from_average") is not None:
            contracts.reject("boost_from_average", "be left alone", self._init_params["boost_from_average"], remedy)

    def _training_params(self, objective: FocalObjective, evaluated: bool) -> dict[str, Any]:
        """Parameters as CatBoost takes them, with its defaults for its own multi-class loss."""
        params = dict(self._init_params)
        params["loss_function"] = NativeObjective(replace(objective, alpha=(1.0,) * objective.n_classes))
        metric = params.get("eval_metric", DEFAULT_METRIC if evaluated else None)
        for name in ("eval_metric", "custom_metric", "custom_loss"):
            asked = _fitting.metric_names(params.get(name) or [])
            check_metrics(name, asked, _RIGHT_METRICS, all_right=objective.is_cross_entropy)
        if metric is None:  # CatBoost wants one, and its own costs nothing
            metric = "Logloss" if objective.n_classes == 2 else "MultiClass"
        if _fitting.is_own(metric):
            metric = native_metric(objective, metric)
            metric.alpha_in_weights = True
        params["eval_metric"] = metric
        if objective.n_classes > 2:
            params["classes_count"] = objective.n_classes
            if "subsample" not in params:
                params.setdefault("bootstrap_type", "Bayesian")
        return params

    def _swap_params(self, params: dict[str, Any]) -> None:
        self._init_params = params
        self._canonized_params = None  # CatBoost's reading of them, which it caches
        self._get_canonized_params()

    def _pool(self, X: Any, targets: Array, objective: FocalObjective, kinds: dict[str, Any], fresh: bool) -> Any:
        numeric = not any(kind is not None for kind in kinds.values())
        baseline = start_baseline(objective, len(targets)) if fresh else None
        return catboost.Pool(_features(X, numeric), targets, baseline=baseline, **kinds)

    @property
    def n_features_in_(self) -> int:
        """How many features it was fitted to."""
        if not self.is_fitted():
            message = "n_features_in_ is known once the model is fitted"
            raise AttributeError(message)
        return len(self.feature_names_)

    def decision_function(self, X: Features, **kwargs: Any) -> NDArray[np.float64]:
        """Focal logits: (n,) of ``classes_[1]`` for two classes, otherwise (n, n_classes).

        ``kwargs`` as for :meth:`catboost.CatBoostClassifier.predict`.
        """
        check_is_fitted(self)
        if not isinstance(X, catboost.Pool):
            special = (
                self.get_cat_feature_indices(),
                self.get_text_feature_indices(),
                self.get_embedding_feature_indices(),
            )
            X = _features(X, numeric=not any(special))
            if X.shape[1] != self.n_features_in_:
                name = type(self).__name__
                message = (
                    f"X has {X.shape[1]} features, but {name} is expecting {self.n_features_in_} features as input"
                )
                raise contracts.InputError(message)
        scores = super().predict(X, prediction_type="RawFormulaVal", **kwargs)
        return np.asarray(scores, np.float64)

    def _staged_scores(self, X: Any, **kwargs: Any) -> Iterator[NDArray[np.float64]]:
        """Focal logits after each round, or each ``eval_period`` of them."""
        check_is_fitted(self)
        for scores in super().staged_predict(X, prediction_type="RawFormulaVal", **kwargs):
            yield np.asarray(scores, np.float64)

    def staged_predict(self, data: Features, prediction_type: str = "Class", **kwargs: Any) -> Iterator[NDArray[Any]]:
        """What :meth:`predict` gives after each round; ``kwargs`` as for CatBoost's."""
        contracts.one_of("prediction_type", prediction_type, _PREDICTIONS)
        for scores in self._staged_scores(data, **kwargs):
            yield self._predicted(scores, prediction_type)

    def staged_predict_proba(self, data: Features, **kwargs: Any) -> Iterator[NDArray[np.float64]]:
        """What :meth:`predict_proba` gives after each round; ``kwargs`` as for CatBoost's."""
        return self.staged_predict(data, "Probability", **kwargs)

    def staged_predict_log_proba(self, data: Features, **kwargs: Any) -> Iterator[NDArray[np.float64]]:
        """What :meth:`predict_log_proba` gives after each round; ``kwargs`` as for CatBoost's."""
        return self.staged_predict(data, "LogProbability", **kwargs)

    def _predicted(self, scores: NDArray[np.float64], prediction_type: str) -> NDArray[Any]:
        """Scores as CatBoost's prediction types name them."""
        if prediction_type in ("Probability", "LogProbability"):
            posterior = self.focal_.posterior(scores)
            return posterior if prediction_type == "Probability" else _log(posterior)
        return scores if prediction_type == "RawFormulaVal" else _fitting.decide(scores, self.classes_)

    def predict(self, X: Features, prediction_type: str = "Class", **kwargs: Any) -> NDArray[Any]:
        """The class of the largest logit, (n,); "RawFormulaVal" gives the logits, "Probability" the posterior."""
        contracts.one_of("prediction_type", prediction_type, _PREDICTIONS)
        return self._predicted(self.decision_function(X, **kwargs), prediction_type)

    def predict_proba(self, X: Features, **kwargs: Any) -> NDArray[np.float64]:
        """Posterior probabilities (n, n_classes), with gamma's distortion undone and alpha's tilt kept."""
        scores = self.decision_function(X, **kwargs)
        return self.focal_.posterior(scores)

    def predict_log_proba(self, X: Features, **kwargs: Any) -> NDArray[np.float64]:
        """Logarithm of :meth:`predict_proba`."""
        return _log(self.predict_proba(X, **kwargs))

    def score(self, X: Features, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Share of correct decisions."""
        return float(accuracy_score(y, self.predict(X), sample_weight=sample_weight))

    def save_model(self, fname: str | PathLike[str], format: str = "cbm", **kwargs: Any) -> None:
        """Save in a format of CatBoost's; "cbm" and "json" also hold the classes and the loss, as metadata."""
        check_is_fitted(self)
        self.get_metadata()["focalkit"] = self._as_text()
        super().save_model(fname, format=format, **kwargs)

    def load_model(self, fname: str | PathLike[str], format: str = "cbm") -> FocalCatBoostClassifier:
        """Load what :meth:`save_model` saved."""
        params = dict(self._init_params)  # which CatBoost would replace by those of training, its loss among them
        super().load_model(fname, format=format)
        self._swap_params(params)
        metadata = self.get_metadata()
        held = metadata["focalkit"] if "focalkit" in metadata.keys() else None
        self._recall(held, fname)
        return self

    def __getstate__(self) -> dict[str, Any]:
        """CatBoost's state, and what this class adds."""
        names = (*_fitting.OWN_PARAMETERS, "focal_", "alpha_", "_classes")
        own = {name: self.__dict__[name] for name in names if name in self.__dict__}
        return {"catboost": super().__getstate__(), "focalkit": own}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """The inverse of :meth:`__getstate__`."""
        super().__setstate__(state["catboost"])
        self.__dict__.update(state["focalkit"])


for _name, _remedy in REFUSED_METHODS.items():
    setattr(FocalCatBoostClassifier, _name, refuse_method(_name, _remedy))


def _alpha_as_weights(training: _fitting.Training) -> NDArray[np.float64] | None:
    """Weights of the samples times alpha of their classes; None where all are 1."""
    alpha = np.asarray(training.objective.alpha)
    if np.all(alpha == 1):
        return training.sample_weight
    of_each: NDArray[np.float64] = alpha[training.targets]
    return of_each if training.sample_weight is None else of_each * training.sample_weight


def _keep_bias(model: Any, first: Any) -> None:
    """Give ``model`` the bias of ``first``, which it continues: CatBoost keeps it only sometimes."""
    if not isinstance(first, catboost.CatBoost):
        first = catboost.CatBoost().load_model(str(first))
    scale, _ = model.get_scale_and_bias()
    model.set_scale_and_bias(scale, first.get_scale_and_bias()[1])


def _features(X: Any, numeric: bool) -> Any:
    """Features as CatBoost takes them: data frames as they are, everything else checked."""
    if hasattr(X, "columns"):
        return X
    contracts.unmasked("X", X)
    finite = "allow-nan" if numeric else False
    dtype = "numeric" if numeric else None
    checked = check_array(X, accept_sparse="csr", accept_large_sparse=False, dtype=dtype, ensure_all_finite=finite)
    if hasattr(checked, "tocsr"):
        from scipy.sparse import csr_matrix

        return csr_matrix(checked)  # CatBoost does not know sparse arrays
    return checked


def _log(posterior: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(divide="ignore"):
        return np.log(posterior)
