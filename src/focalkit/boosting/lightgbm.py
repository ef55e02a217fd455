"""LightGBM: objectives, evaluation metrics and the estimator."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from os import PathLike
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.validation import check_is_fitted

from focalkit._core import contracts
from focalkit._core.extras import need
from focalkit._core.types import Alpha, EvalSet, Features
from focalkit.boosting import _fitting
from focalkit.boosting._estimator import FocalBooster, check_metrics, refuse_parameters
from focalkit.boosting.metrics import DEFAULT_METRIC, METRICS
from focalkit.boosting.objective import FocalObjective
from focalkit.io.atomic import write_text

with need("lightgbm", "FocalLGBMClassifier", "lightgbm"):
    import lightgbm

Array = NDArray[Any]
_MARK = "focalkit:"
_METRIC_NAMES = ("metric", "metrics", "metric_types")
#: LightGBM's metrics that go by the order of the scores or by the largest, and its words for none.
_RIGHT_METRICS = frozenset({"auc", "average_precision", "auc_mu", "multi_error", "", "none", "None", "null", "na"})
_BOOSTING = ("boosting_type", "boosting", "boost")
#: ways of boosting that LightGBM knows under a loss of one's own
_ANY_LOSS = ["gbdt", "gbrt", "goss"]
_LOSS = ("objective", "objective_type", "app", "application", "loss")
_CLASS_WEIGHTS = ("is_unbalance", "unbalance", "unbalanced_sets", "scale_pos_weight")
_BY_CLASS = tuple(
    f"{sign}_{kind}" for sign in ("pos", "neg") for kind in ("bagging_fraction", "sub_row", "subsample", "bagging")
)


def start_scores(objective: FocalObjective, n_samples: int) -> NDArray[np.float64]:
    """``init_score`` of a :class:`lightgbm.Dataset`: the focal start, (n,) or (n, n_classes)."""
    start = objective.start_scores
    return np.full(n_samples, start[0]) if objective.n_classes == 2 else np.tile(start, (n_samples, 1))


def add_start(booster: lightgbm.Booster, objective: FocalObjective) -> None:
    """Add the focal start to the leaves of the first trees, as LightGBM does with its own objectives.

    LightGBM does not add ``init_score`` at prediction; after this the booster's raw scores, and its
    model file, hold it.
    """
    for tree, start in enumerate(objective.start_scores.tolist()):
        n_leaves = booster.dump_model(num_iteration=1)["tree_info"][tree]["num_leaves"]
        for leaf in range(n_leaves):
            booster.set_leaf_output(tree, leaf, booster.get_leaf_output(tree, leaf) + start)


def native_objective(objective: FocalObjective) -> Callable[[Array, Any], tuple[Array, Array]]:
    """``params["objective"]`` of :func:`lightgbm.train`, on data with :func:`start_scores`; see :func:`add_start`."""

    def focal(preds: Array, dataset: Any) -> tuple[Array, Array]:
        return _grad_hess(objective, preds, dataset.get_label(), dataset.get_weight())

    return focal


def sklearn_objective(objective: FocalObjective) -> Callable[[Array, Array, Any], tuple[Array, Array]]:
    """``objective`` of :class:`lightgbm.LGBMClassifier`; fit with ``init_score`` of :func:`start_scores`."""

    def focal(y_true: Array, y_pred: Array, weight: Array | None) -> tuple[Array, Array]:
        return _grad_hess(objective, y_pred, y_true, weight)

    return focal


def native_metric(objective: FocalObjective, name: str) -> Callable[[Array, Any], tuple[str, float, bool]]:
    """``feval`` of :func:`lightgbm.train` for training with :func:`native_objective`."""
    figure = sklearn_metric(objective, name)

    def evaluate(preds: Array, dataset: Any) -> tuple[str, float, bool]:
        return figure(dataset.get_label(), preds, dataset.get_weight())

    return evaluate


def sklearn_metric(objective: FocalObjective, name: str) -> Callable[[Array, Array, Any], tuple[str, float, bool]]:
    """``eval_metric`` of :meth:`lightgbm.LGBMClassifier.fit` for training with :func:`sklearn_objective`."""
    metric = METRICS[contracts.one_of("metric", name, tuple(METRICS))]

    def evaluate(y_true: Array, y_pred: Array, weight: Array | None) -> tuple[str, float, bool]:
        value = metric.compute(objective, y_pred, np.asarray(y_true).astype(np.int32), weight)
        return name, value, metric.larger_is_better

    return evaluate


def _metric_of_probabilities(objective: FocalObjective, name: str) -> Callable[[Array, Array, Any], Any]:
    """:func:`sklearn_metric` for training under LightGBM's own log loss, which hands metrics probabilities."""
    figure = sklearn_metric(objective, name)

    def evaluate(y_true: Array, y_pred: Array, weight: Array | None) -> tuple[str, float, bool]:
        tiny, one = np.finfo(np.float64).tiny, 1 - np.finfo(np.float64).epsneg
        logs = np.log(np.clip(y_pred, tiny, one))
        return figure(y_true, logs if objective.n_classes > 2 else logs - np.log1p(-np.clip(y_pred, tiny, one)), weight)

    return evaluate


def _grad_hess(objective: FocalObjective, scores: Array, labels: Array, weight: Any) -> tuple[Array, Array]:
    # LightGBM's own factor on the diagonal of the softmax Hessian
    diagonal = objective.n_classes / (objective.n_classes - 1)
    if objective.gamma > 0 or objective.options:  # kept in float32 there; of cross-entropy rounding is to be its own
        scores = scores.astype(np.float32)
    return objective.grad_hess(scores, np.asarray(labels).astype(np.int32), weight, diagonal=diagonal)


class FocalLGBMClassifier(FocalBooster, lightgbm.LGBMClassifier):  # type: ignore[misc]
    r"""LightGBM trained with the (alpha-balanced) focal loss.

    .. math:: \mathrm{FL}(p_t) = -\alpha_t (1 - p_t)^\gamma \log p_t

    (Lin et al. 2017, arXiv 1708.02002, eq. 5.) With ``gamma=0`` and ``alpha=None`` it grows the
    trees of :class:`lightgbm.LGBMClassifier`, with equal splits and leaf values equal to rounding; "dart",
    which LightGBM knows under its own losses alone, is taken there only.

    Parameters
    ----------
    gamma : float in [0, inf)
        Focusing parameter; 0 is cross-entropy.
    alpha : None, str, float, (n_classes,) or dict
        Class weights, as for :class:`focalkit.estimator.FocalClassifier`; takes the place of
        ``is_unbalance`` and ``scale_pos_weight``. ``class_weight`` multiplies sample weights, as ever.
    hessian : {"majorizer", "clipped", "exact"}
        See :class:`focalkit.boosting.objective.FocalObjective`. The default is not that of the other
        libraries: LightGBM multiplies the softmax diagonal by K / (K - 1) only, which is no bound of
        the whole matrix (its own log loss diverges on many classes for that), and the majorizer's 1 + gamma
        makes up for it. For more than two classes a gamma below 1 shares LightGBM's risk.
    options : None or dict
        Further fields of :class:`focalkit.LossSpec`: a form of the loss such as ``{"poly": 1.0}``, or
        ``{"logit_adjustment": 1.0}``, which is tau for the training data's class frequencies.
    **kwargs
        Everything else that :class:`lightgbm.LGBMClassifier` takes, ``objective`` excepted.

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
    The focal start lies in the leaves of the first trees, so that the booster's raw scores are
    whole; with an ``init_score`` of one's own, add that to them as with LightGBM itself.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> model = FocalLGBMClassifier(gamma=2.0, alpha="balanced", n_estimators=20, verbose=-1).fit(X, y)
    >>> model.predict(X[[0, 60, 120]])
    array([0, 1, 2])
    """

    def __init__(
        self,
        *,
        gamma: float = 2.0,
        alpha: Alpha = None,
        hessian: str = "majorizer",
        options: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._Booster: Any
        self.gamma = gamma
        self.alpha = alpha
        self.hessian = hessian
        self.options = options

    def _process_params(self, stage: str) -> dict[str, Any]:
        """Parameters of the booster: without this package's own, with the focal objective while fitting."""
        params: dict[str, Any] = super()._process_params(stage)
        for name in _fitting.OWN_PARAMETERS:
            params.pop(name, None)
        if self._takes_own_loss():
            params["objective"] = "binary" if self.focal_.n_classes == 2 else "multiclass"
        else:
            params["objective"] = native_objective(self.focal_) if stage == "fit" else "None"
        if stage == "fit" and self._keep_features:
            params["feature_pre_filter"] = False
        if not set(_METRIC_NAMES) & set(self._other_params):
            params["metric"] = []
        return params

    def fit(
        self,
        X: Features,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        init_score: ArrayLike | None = None,
        eval_set: EvalSet | None = None,
        eval_names: Sequence[str] | None = None,
        eval_sample_weight: Sequence[ArrayLike] | None = None,
        eval_class_weight: Sequence[float] | None = None,
        eval_init_score: Sequence[ArrayLike] | None = None,
        eval_metric: str | Callable[..., Any] | Sequence[str | Callable[..., Any]] | None = None,
        feature_name: Sequence[str] | Literal["auto"] = "auto",
        categorical_feature: Sequence[str | int] | Literal["auto"] = "auto",
        callbacks: Sequence[Callable[..., Any]] | None = None,
        init_model: str | PathLike[str] | lightgbm.Booster | lightgbm.LGBMModel | None = None,
    ) -> FocalLGBMClassifier:
        """Fit to ``X`` (n, n_features) and class labels ``y`` (n,) of any kind.

        Parameters
        ----------
        X, y, sample_weight, init_score, eval_set, eval_names, eval_sample_weight, eval_class_weight
            As for :meth:`lightgbm.LGBMClassifier.fit`.
        eval_metric : str, callable or list of them, optional
            "recovered_log_loss" (the default), "focal_loss", "macro_average_precision", "error_rate", or one of
            LightGBM's that goes by the order or the largest of the scores: "auc", "average_precision", "auc_mu",
            "multi_error". Others would be given raw scores for probabilities, and are refused.
        eval_init_score, feature_name, categorical_feature, callbacks, init_model
            As for :meth:`lightgbm.LGBMClassifier.fit`.

        Returns
        -------
        FocalLGBMClassifier
            Itself.

        Raises
        ------
        InputError
            Where a parameter lies outside its domain, or y has a single class.
        """
        self._refuse_rivals()
        counted = sample_weight
        if self.class_weight is not None:
            by_class = compute_sample_weight(self.class_weight, y)
            own = contracts.sample_weight_array(sample_weight, by_class.shape)
            counted = by_class if own is None else own * by_class
        training = _fitting.read_training(y, counted, self.gamma, self.alpha, self.hessian, self.options)
        parts = _fitting.pairs(eval_set)
        contracts.unmasked("X", X)
        for i, (part_X, part_y) in enumerate(parts):
            contracts.unmasked(f"eval_set[{i}]", part_X)
            _fitting.encode(f"eval_set[{i}]", part_y, training.classes)
        self._refuse_boosting(training.objective)
        self.focal_ = training.objective
        own_loss = self._takes_own_loss()
        fresh = init_score is None and init_model is None and self._starts_at_average() and not own_loss
        if fresh:
            init_score = start_scores(training.objective, len(training.targets))
            if parts and eval_init_score is None:
                eval_init_score = [start_scores(training.objective, len(part_y)) for _, part_y in parts]
        asked = _fitting.metric_names(DEFAULT_METRIC if eval_metric is None else eval_metric)
        check_metrics("eval_metric", asked, _RIGHT_METRICS, all_right=False)
        metric_of = _metric_of_probabilities if own_loss else sklearn_metric
        given = {
            "sample_weight": sample_weight,
            "init_score": init_score,
            "eval_set": parts or None,
            "eval_names": eval_names,
            "eval_sample_weight": eval_sample_weight,
            "eval_class_weight": eval_class_weight,
            "eval_init_score": eval_init_score,
            "eval_metric": [metric_of(training.objective, m) if _fitting.is_own(m) else m for m in asked],
            "feature_name": feature_name,
            "categorical_feature": categorical_feature,
            "callbacks": callbacks,
            "init_model": init_model,
        }
        self._keep_features = False
        with warnings.catch_warnings():
            # its successors, eval_X and eval_y, are not encoded by LightGBM 4.7
            warnings.filterwarnings("ignore", message="The argument 'eval_set' is deprecated")
            try:
                super().fit(X, y, **given)
            except lightgbm.basic.LightGBMError as error:
                # under an objective of one's own LightGBM fails where it has put all features aside
                if "num_features()" not in str(error):
                    raise
                self._keep_features = True
                super().fit(X, y, **given)
        if fresh:
            add_start(self._Booster, training.objective)
        self._remember(training.objective, training.classes)
        return self

    def _refuse_rivals(self) -> None:
        params = self.get_params()
        refuse_parameters(params, _LOSS, "It is the focal loss; set gamma and alpha.")
        refuse_parameters(params, _CLASS_WEIGHTS, "Give class weights as alpha, e.g. 'balanced'.")
        refuse_parameters(params, _BY_CLASS, "LightGBM knows no positives under a loss of one's own; set alpha.", [1.0])
        refuse_parameters(params, ("sigmoid",), "The focal loss has none.", [1.0])
        refuse_parameters(params, ("linear_tree", "linear_trees"), "The focal start needs leaves that are constants.")
        for name in _METRIC_NAMES:
            given = params.get(name)
            asked = given.split(",") if isinstance(given, str) else _fitting.metric_names(given or [])
            check_metrics(name, asked, _RIGHT_METRICS, all_right=False)

    def _refuse_boosting(self, objective: FocalObjective) -> None:
        """Refuse what LightGBM can do under its own losses alone, which plain cross-entropy is."""
        known = [*_ANY_LOSS, "dart"] if objective.is_cross_entropy else _ANY_LOSS
        remedy = "LightGBM cannot drop or average trees under a loss of one's own: use 'gbdt'."
        refuse_parameters(self.get_params(), _BOOSTING, remedy, known)

    def _takes_own_loss(self) -> bool:
        """Whether LightGBM trains under its own log loss: plain cross-entropy whose trees are dropped."""
        params = self.get_params()
        return self.focal_.is_cross_entropy and any(params.get(name) == "dart" for name in _BOOSTING)

    def _starts_at_average(self) -> bool:
        """Whether training starts at the constant of least focal risk, as LightGBM does at the average."""
        return bool(self.get_params().get("boost_from_average", True))

    def decision_function(self, X: Features, **kwargs: Any) -> NDArray[np.float64]:
        """Focal logits: (n,) of ``classes_[1]`` for two classes, otherwise (n, n_classes).

        ``kwargs`` as for :meth:`lightgbm.LGBMClassifier.predict`.
        """
        check_is_fitted(self)
        contracts.unmasked("X", X)
        return np.asarray(lightgbm.LGBMModel.predict(self, X, raw_score=True, **kwargs))

    def predict(
        self, X: Features, raw_score: bool = False, pred_leaf: bool = False, pred_contrib: bool = False, **kwargs: Any
    ) -> Any:
        """The class of the largest logit, (n,); the flags as for :meth:`lightgbm.LGBMClassifier.predict`."""
        if pred_leaf or pred_contrib:
            return lightgbm.LGBMModel.predict(self, X, pred_leaf=pred_leaf, pred_contrib=pred_contrib, **kwargs)
        scores = self.decision_function(X, **kwargs)
        return scores if raw_score else _fitting.decide(scores, self.classes_)

    def predict_proba(
        self, X: Features, raw_score: bool = False, pred_leaf: bool = False, pred_contrib: bool = False, **kwargs: Any
    ) -> Any:
        """Posterior probabilities (n, n_classes), with gamma's distortion undone and alpha's tilt kept."""
        if raw_score or pred_leaf or pred_contrib:
            return self.predict(X, raw_score, pred_leaf, pred_contrib, **kwargs)
        scores = self.decision_function(X, **kwargs)
        return self.focal_.posterior(scores)

    def save_model(self, filename: str | PathLike[str]) -> None:
        """Save in LightGBM's own text format, which :class:`lightgbm.Booster` reads too, with classes and loss."""
        check_is_fitted(self)
        head, pandas, tail = self._Booster.model_to_string().rpartition("pandas_categorical:")
        held = self._as_text()
        write_text(contracts.path("filename", filename), f"{head}{_MARK}{held}\n{pandas}{tail}")

    def load_model(self, filename: str | PathLike[str]) -> None:
        """Load what :meth:`save_model` saved."""
        lines = contracts.path("filename", filename).read_text(encoding="utf-8").splitlines()
        held = next((line[len(_MARK) :] for line in reversed(lines) if line.startswith(_MARK)), None)
        self._recall(held, filename)
        self._Booster = lightgbm.Booster(model_file=filename)
        self._n_classes = len(self._classes)
        self._n_features = self._n_features_in = self._Booster.num_feature()
        self._best_iteration = self._Booster.best_iteration
        self.fitted_ = True
