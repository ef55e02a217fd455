"""XGBoost: objectives, evaluation metrics and the estimator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from focalkit._core import contracts
from focalkit._core.extras import need
from focalkit._core.types import Alpha, EvalSet, Features
from focalkit.boosting import _fitting
from focalkit.boosting._estimator import FocalBooster, check_metrics, refuse_parameters
from focalkit.boosting.metrics import DEFAULT_METRIC, METRICS
from focalkit.boosting.objective import DEFAULT_HESSIAN, FocalObjective

with need("xgboost", "FocalXGBClassifier", "xgboost"):
    import xgboost

Array = NDArray[Any]
#: XGBoost's metrics that go by the order of the scores or by the largest.
_RIGHT_METRICS = frozenset({"auc", "aucpr", "error", "merror"})
DIAGONAL = 2.0
"""XGBoost's own factor on the diagonal of the softmax Hessian, which makes it a bound of the whole."""


def start_parameters(objective: FocalObjective) -> dict[str, Any]:
    """Parameters for :func:`xgboost.train`: the link, the number of classes and the focal start."""
    scores = objective.start_scores
    if objective.n_classes == 2:
        # a probability; beyond these bounds XGBoost would cut it off anyway
        probability = np.clip(1 / (1 + np.exp(-scores[0])), 1e-6, 1 - 1e-6)
        return {"objective": "binary:logistic", "base_score": float(probability)}
    centred = (scores - scores.mean()).tolist()
    return {"objective": "multi:softprob", "num_class": objective.n_classes, "base_score": centred}


def native_objective(objective: FocalObjective) -> Callable[[Array, Any], tuple[Array, Array]]:
    """``obj`` of :func:`xgboost.train`, to be used with :func:`start_parameters`."""

    def focal(predt: Array, dtrain: Any) -> tuple[Array, Array]:
        return _grad_hess(objective, predt, dtrain.get_label(), _weights(dtrain))

    return focal


def sklearn_objective(objective: FocalObjective) -> Callable[..., tuple[Array, Array]]:
    """``objective`` of :class:`xgboost.XGBClassifier`; give it ``base_score`` of :func:`start_parameters` too."""

    def focal(y_true: Array, y_pred: Array, sample_weight: Array | None = None) -> tuple[Array, Array]:
        return _grad_hess(objective, y_pred, y_true, sample_weight)

    return focal


def native_metric(objective: FocalObjective, *names: str) -> Callable[[Array, Any], list[tuple[str, float]]]:
    """``custom_metric`` of :func:`xgboost.train` for training with :func:`native_objective`."""
    for name in names:
        contracts.one_of("metric", name, tuple(METRICS))

    def figures(predt: Array, dmatrix: Any) -> list[tuple[str, float]]:
        targets, weight = dmatrix.get_label().astype(np.int32), _weights(dmatrix)
        return [(name, METRICS[name].compute(objective, predt, targets, weight)) for name in names]

    return figures


def _weights(dmatrix: Any) -> Array | None:
    weight = dmatrix.get_weight()
    return weight if weight.size else None


def _grad_hess(objective: FocalObjective, scores: Array, labels: Array, weight: Any) -> tuple[Array, Array]:
    targets = np.asarray(labels).astype(np.int32)
    return objective.grad_hess(scores, targets, weight, diagonal=DIAGONAL)


def _logits(probabilities: Array) -> NDArray[np.float64]:
    """The scores behind XGBoost's float32 probabilities, as far as these hold them."""
    p = np.clip(np.asarray(probabilities, np.float64), 1e-38, None)
    if p.ndim == 2:
        return np.log(p)
    return np.log(p) - np.log(np.maximum(1 - p, 2.0**-25))


class FocalXGBClassifier(FocalBooster, xgboost.XGBClassifier):  # type: ignore[misc]
    r"""XGBoost trained with the (alpha-balanced) focal loss.

    .. math:: \mathrm{FL}(p_t) = -\alpha_t (1 - p_t)^\gamma \log p_t

    (Lin et al. 2017, arXiv 1708.02002, eq. 5.) With ``gamma=0`` and ``alpha=None`` it is
    :class:`xgboost.XGBClassifier`, tree for tree and bit for bit: XGBoost's own objective is then used.
    (:func:`native_objective` at gamma = 0 equals that one to float32 rounding, which may decide
    ties between splits differently.)

    Parameters
    ----------
    gamma : float in [0, inf)
        Focusing parameter; 0 is cross-entropy. XGBoost's own ``gamma`` is here ``min_split_loss``.
    alpha : None, str, float, (n_classes,) or dict
        Class weights, as for :class:`focalkit.estimator.FocalClassifier`. XGBoost's own ``alpha``
        is ``reg_alpha``.
    hessian : {"clipped", "majorizer", "exact"}
        See :class:`focalkit.boosting.objective.FocalObjective`.
    options : None or dict
        Further fields of :class:`focalkit.LossSpec`: a form of the loss such as ``{"poly": 1.0}``, or
        ``{"logit_adjustment": 1.0}``, which is tau for the training data's class frequencies.
    min_split_loss : float, optional
        Least loss reduction of a split.
    eval_metric : str, callable or list of them, optional
        "recovered_log_loss" (the default), "focal_loss", "macro_average_precision", "error_rate", or one of
        XGBoost's that goes by the order or the largest of the scores, such as "auc"; those of probabilities are
        refused unless gamma is 0 and alpha None. A callable takes (y_true, scores), and sample_weight where there
        are weights. Early stopping goes by the last one.
    **kwargs
        Everything else that :class:`xgboost.XGBClassifier` takes, ``objective`` excepted.

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
    A ``base_score`` that is given takes the place of the focal start.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> model = FocalXGBClassifier(gamma=2.0, alpha="balanced", n_estimators=20).fit(X, y)
    >>> model.predict_proba(X[:1]).round(1)
    array([[1., 0., 0.]])
    """

    def __init__(
        self,
        *,
        gamma: float = 2.0,
        alpha: Alpha = None,
        hessian: str = DEFAULT_HESSIAN,
        options: dict[str, Any] | None = None,
        min_split_loss: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.gamma = gamma
        self.alpha = alpha
        self.hessian = hessian
        self.options = options
        self.min_split_loss = min_split_loss

    def __sklearn_tags__(self) -> Any:
        """Scikit-learn's capability tags: one label per sample."""
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = False
        return tags

    def get_xgb_params(self) -> dict[str, Any]:
        """Parameters of the booster: without this package's own, and without those of the loss."""
        params: dict[str, Any] = super().get_xgb_params()
        for name in (*_fitting.OWN_PARAMETERS, "objective", "eval_metric"):
            params.pop(name, None)
        params["gamma"] = params.pop("min_split_loss")
        return params

    def fit(
        self,
        X: Features,
        y: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
        base_margin: ArrayLike | None = None,
        eval_set: EvalSet | None = None,
        verbose: bool | int = False,
        xgb_model: str | PathLike[str] | xgboost.Booster | xgboost.XGBModel | None = None,
        sample_weight_eval_set: Sequence[ArrayLike] | None = None,
        base_margin_eval_set: Sequence[ArrayLike] | None = None,
    ) -> FocalXGBClassifier:
        """Fit to ``X`` (n, n_features) and class labels ``y`` (n,) of any kind.

        Parameters
        ----------
        X, y, sample_weight, base_margin, eval_set, verbose, xgb_model, sample_weight_eval_set, base_margin_eval_set
            As for :meth:`xgboost.XGBClassifier.fit`.

        Returns
        -------
        FocalXGBClassifier
            Itself.

        Raises
        ------
        InputError
            Where a parameter lies outside its domain, or y has a single class.
        """
        given, remedy = self.get_params(deep=False), "Give class weights as alpha, e.g. 'balanced'."
        refuse_parameters(given, ["objective"], "It is the focal loss; set gamma and alpha.", ["binary:logistic"])
        refuse_parameters(given, ["scale_pos_weight"], remedy, [1])
        X = _fitting.plain(X)
        training = _fitting.read_training(y, sample_weight, self.gamma, self.alpha, self.hessian, self.options)
        dtrain = self._matrix(None, X, training.targets, training.sample_weight, base_margin)
        parts = _fitting.pairs(eval_set)
        weights = _fitting.of_each("sample_weight_eval_set", sample_weight_eval_set, len(parts))
        margins = _fitting.of_each("base_margin_eval_set", base_margin_eval_set, len(parts))
        evals = []
        for i, ((part_X, part_y), weight, margin) in enumerate(zip(parts, weights, margins, strict=True)):
            targets = _fitting.encode(f"eval_set[{i}]", part_y, training.classes)
            weight = contracts.sample_weight_array(weight, targets.shape)
            evals.append((self._matrix(dtrain, _fitting.plain(part_X), targets, weight, margin), f"validation_{i}"))
        params = self.get_xgb_params()
        plain = training.objective.is_cross_entropy
        if xgb_model is None:
            given = params.pop("base_score", None)
            params |= start_parameters(training.objective)
            if given is not None or plain:
                params["base_score"] = given
        metric, builtin, stop = self._metrics(training.objective)
        params["eval_metric"] = builtin
        params["disable_default_eval_metric"] = not builtin
        evals_result: dict[str, Any] = {}
        self._Booster = xgboost.train(
            params,
            dtrain,
            self.get_num_boosting_rounds(),
            evals=evals,
            evals_result=evals_result,
            obj=None if plain else native_objective(training.objective),
            custom_metric=metric if evals else None,
            callbacks=[*(self.callbacks or []), *stop] or None,
            verbose_eval=verbose,
            xgb_model=xgb_model.get_booster() if isinstance(xgb_model, xgboost.XGBModel) else xgb_model,
        )
        if evals_result:
            self.evals_result_ = evals_result
        self._remember(training.objective, training.classes)
        return self

    def _matrix(self, reference: Any, X: Any, targets: Array, weight: Array | None, margin: Any) -> Any:
        """Data as XGBoost takes it: quantile sketches where the tree method uses them."""
        common = {
            "label": targets,
            "weight": weight,
            "base_margin": margin,
            "missing": self.missing,
            "nthread": self.n_jobs,
            "feature_types": self.feature_types,
            "feature_weights": self.feature_weights if reference is None else None,
            "enable_categorical": self.enable_categorical,
        }
        if self.tree_method in (None, "hist", "auto") and self.booster != "gblinear":
            return xgboost.QuantileDMatrix(X, **common, ref=reference, max_bin=self.max_bin)
        return xgboost.DMatrix(X, **common)

    def _metrics(self, objective: FocalObjective) -> tuple[Any, list[str], list[Any]]:
        """The custom metric, XGBoost's own ones by name, and early stopping by the last that was asked for."""
        asked = _fitting.metric_names(self.eval_metric or DEFAULT_METRIC)
        builtin = [m for m in asked if isinstance(m, str) and m not in METRICS]
        own = [m for m in asked if not (isinstance(m, str) and m not in METRICS)]
        check_metrics("eval_metric", builtin, _RIGHT_METRICS, all_right=objective.is_cross_entropy)

        def figures(predt: Array, dmatrix: Any) -> list[tuple[str, float]]:
            if objective.is_cross_entropy:  # under an objective of its own XGBoost passes probabilities
                predt = _logits(predt)
            found = []
            for metric in own:
                if isinstance(metric, str):
                    found += native_metric(objective, metric)(predt, dmatrix)
                else:
                    weight = _weights(dmatrix)
                    more = {} if weight is None else {"sample_weight": weight}
                    found.append((metric.__name__, float(metric(dmatrix.get_label(), predt, **more))))
            return found

        stop = []
        if self.early_stopping_rounds is not None:
            last = asked[-1]
            name = last if isinstance(last, str) else last.__name__
            larger = METRICS[last].larger_is_better if _fitting.is_own(last) else None
            stop = [
                xgboost.callback.EarlyStopping(rounds=self.early_stopping_rounds, metric_name=name, maximize=larger)
            ]
        return (figures if own else None), builtin, stop

    def _remember(self, objective: FocalObjective, classes: NDArray[Any]) -> None:
        super()._remember(objective, classes)
        self.n_classes_ = len(classes)

    def decision_function(
        self,
        X: Features,
        *,
        validate_features: bool = True,
        base_margin: ArrayLike | None = None,
        iteration_range: tuple[int, int] | None = None,
    ) -> NDArray[np.float64]:
        """Focal logits: (n,) of ``classes_[1]`` for two classes, otherwise (n, n_classes)."""
        check_is_fitted(self)
        scores = xgboost.XGBModel.predict(
            self,
            _fitting.plain(X),
            output_margin=True,
            validate_features=validate_features,
            base_margin=base_margin,
            iteration_range=iteration_range,
        )
        return np.asarray(scores, np.float64)

    def predict(
        self,
        X: Features,
        *,
        output_margin: bool = False,
        validate_features: bool = True,
        base_margin: ArrayLike | None = None,
        iteration_range: tuple[int, int] | None = None,
    ) -> NDArray[Any]:
        """The class of the largest logit, (n,); with ``output_margin`` the logits."""
        options: dict[str, Any] = {"base_margin": base_margin, "iteration_range": iteration_range}
        scores = self.decision_function(X, validate_features=validate_features, **options)
        return scores if output_margin else _fitting.decide(scores, self.classes_)

    def predict_proba(
        self,
        X: Features,
        validate_features: bool = True,
        base_margin: ArrayLike | None = None,
        iteration_range: tuple[int, int] | None = None,
    ) -> NDArray[np.float64]:
        """Posterior probabilities (n, n_classes), with gamma's distortion undone and alpha's tilt kept."""
        options: dict[str, Any] = {"base_margin": base_margin, "iteration_range": iteration_range}
        scores = self.decision_function(X, validate_features=validate_features, **options)
        return self.focal_.posterior(scores)

    def save_model(self, fname: str | PathLike[str]) -> None:
        """Save in XGBoost's own format, with classes and loss as an attribute of the booster."""
        check_is_fitted(self)
        booster = self.get_booster()
        booster.set_attr(focalkit=self._as_text())
        booster.save_model(fname)

    def load_model(self, fname: str | PathLike[str]) -> None:
        """Load what :meth:`save_model` saved."""
        booster = xgboost.Booster({"n_jobs": self.n_jobs} if self.n_jobs else None)
        booster.load_model(fname)
        self._recall(booster.attr("focalkit"), fname)
        self._Booster = booster
        self.n_classes_ = len(self._classes)
