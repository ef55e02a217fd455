"""RemedyClassifier: what a tuning run recommends, as one classifier of scikit-learn's manner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, TransformerMixin, clone
from sklearn.pipeline import Pipeline
from sklearn.utils import get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d

from focalkit._core import contracts
from focalkit._core.spec import LossSpec
from focalkit.decisions import CaseCost, CostMatrix, inputs
from focalkit.io.encoding import Encoding
from focalkit.tuning.classifiers import ClassifierTrainer, fit_weighted, trainer_of
from focalkit.tuning.foreign import in_words
from focalkit.tuning.grid import as_tuple
from focalkit.tuning.heads import HEADS
from focalkit.tuning.measures import CostOf
from focalkit.tuning.resampling import RIVALS, averaged, fit_rival
from focalkit.tuning.result import Cell
from focalkit.tuning.trainers import EstimatorTrainer, adjusted, plain_fit
from focalkit.weights import alpha_vector

Real = NDArray[np.float64]


class RemedyClassifier(ClassifierMixin, MetaEstimatorMixin, BaseEstimator):  # type: ignore[misc]
    """A classifier trained by a remedy for imbalanced classes, which decides by the cut-off that goes with it.

    ``predict_proba`` gives probabilities under the classes' own frequencies: what gamma, alpha and resampling do to
    them is undone. ``predict`` decides by them.

    Parameters
    ----------
    estimator : classifier or Pipeline that ends in one
        As :func:`focalkit.tuning.tune` takes it.
    alpha, gamma, keep_hardest
        Of the loss, where the estimator takes them; alpha as ``class_weight`` or ``sample_weight`` for others.
    logit_adjustment : float, optional
        tau of the logit-adjusted loss; 1 is the balanced softmax.
    resample : str, optional
        "undersample", "oversample", "smote", "bagging" or "self-paced"; or another head, "crt",
        "tau-normalised", "lws" or "cosine".
    params : mapping, optional
        Of the classifier's own parameters.
    tau : float, optional
        Strength of the prior shift: the class with the largest p_k / prior_k^tau is decided. None: the largest
        probability that the trained model gives.
    cutoff : float, optional
        Of two classes: the positive one is decided where its probability is above it.
    positive : label, optional
        Of two classes, the one that ``cutoff`` and the misses of a CaseCost are of; default: the second.
    goal : CostMatrix or CaseCost, optional
        The class of the least expected cost is decided; ``predict`` then takes the cases' own ``costs``.
    never : sequence
        Labels that no shift decides for, since they were too rare to be scored.
    random_state : int
        Of what is drawn.

    Attributes
    ----------
    members_ : list
        The trained model, or the members of an ensemble.
    classes_ : (n_classes,)
    prior_ : (n_classes,)
        Frequencies of the classes in training.

    Examples
    --------
    >>> from sklearn.datasets import make_classification
    >>> from sklearn.linear_model import LogisticRegression
    >>> X, y = make_classification(400, weights=[0.9], random_state=0)
    >>> model = RemedyClassifier(LogisticRegression(), tau=1.0).fit(X, y)
    >>> bool(model.predict(X).mean() > LogisticRegression().fit(X, y).predict(X).mean())
    True
    """

    def __init__(
        self,
        estimator: Any,
        *,
        alpha: Any = None,
        gamma: float = 0.0,
        keep_hardest: float | int | None = None,
        logit_adjustment: float | None = None,
        resample: str | None = None,
        params: Mapping[str, Any] | None = None,
        tau: float | None = None,
        cutoff: float | None = None,
        positive: Any = None,
        goal: CostMatrix | CaseCost | None = None,
        never: Sequence[Any] = (),
        random_state: int = 0,
    ) -> None:
        self.estimator = estimator
        self.alpha = alpha
        self.gamma = gamma
        self.keep_hardest = keep_hardest
        self.logit_adjustment = logit_adjustment
        self.resample = resample
        self.params = params
        self.tau = tau
        self.cutoff = cutoff
        self.positive = positive
        self.goal = goal
        self.never = never
        self.random_state = random_state

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> RemedyClassifier:
        """Train on all rows.

        Parameters
        ----------
        X : (n, n_features)
        y : (n,)
        sample_weight : (n,), optional

        Raises
        ------
        InputError
            Where the estimator does not take the remedy.
        """
        contracts.unmasked("X", X)
        X = X.tocsr() if hasattr(X, "tocsr") else X
        contracts.unmasked("y", y)
        check_classification_targets(y)
        self.classes_, ids = contracts.class_ids(column_or_1d(y, warn=True))
        weight = None if sample_weight is None else contracts.sample_weight_array(sample_weight, ids.shape)
        masses = np.bincount(ids, weights=weight, minlength=len(self.classes_))
        self.prior_ = masses / masses.sum()
        cell = self._cell(len(self.classes_))
        if self.positive is not None and (len(self.classes_) != 2 or self.positive not in self.classes_.tolist()):
            labels = ", ".join(map(repr, self.classes_.tolist()[:4]))
            contracts.reject("positive", "be one of two labels", self.positive, f"The labels are {labels}.")
        trainer = trainer_of(self.estimator, self.random_state)
        if isinstance(trainer, EstimatorTrainer | ClassifierTrainer):
            trainer.check_params("params", dict(cell.params))
        if isinstance(trainer, EstimatorTrainer):
            self.members_, self.tilt_ = self._focal(cell, X, ids, weight)
        elif isinstance(trainer, ClassifierTrainer):
            self.members_, self.tilt_ = self._own(trainer, cell, X, ids, weight)
        else:
            contracts.reject("estimator", "be a classifier", self.estimator, "E.g. FocalClassifier().")
        for name in ("n_features_in_", "feature_names_in_"):
            if hasattr(self.members_[0], name):
                setattr(self, name, getattr(self.members_[0], name))
        return self

    def _cell(self, n_classes: int) -> Cell:
        """The parameters of the training, checked with those of the decision."""
        alpha = as_tuple(self.alpha)
        alpha_vector(alpha, np.ones(n_classes))
        gamma = contracts.number("gamma", self.gamma, contracts.GAMMA, "0 is cross-entropy.")
        LossSpec(keep_hardest=self.keep_hardest)
        for name in ("logit_adjustment", "tau", "cutoff"):
            if getattr(self, name) is not None:
                contracts.number(name, getattr(self, name), contracts.REAL, "None leaves it out.")
        if self.resample is not None:
            contracts.one_of("resample", self.resample, (*RIVALS, *HEADS))
        if not isinstance(self.goal, CostMatrix | CaseCost | None):
            contracts.reject("goal", "be a CostMatrix, a CaseCost or None", self.goal, "Give tau or cutoff for others.")
        if self.goal is not None:
            inputs.matching(self.goal, n_classes)
        contracts.several("never", self.never, "be a sequence of labels", "E.g. ['rare'].")
        contracts.whole("random_state", self.random_state, 0, most=contracts.MOST_SEED)
        params = tuple(contracts.named("params", self.params, "E.g. {'C': 0.1}.").items())
        return Cell(alpha, gamma, self.keep_hardest, None, params, self.resample, self.logit_adjustment)

    def _focal(self, cell: Cell, X: Any, ids: NDArray[Any], weight: Any) -> tuple[list[Any], Real]:
        """By an estimator with alpha and gamma of its own."""
        whole = clone(self.estimator)
        prepare, model = _parts(whole)
        model.set_params(**dict(cell.params))
        masses = np.bincount(ids, weights=weight)
        if cell.resample is not None:
            rows = X if prepare is None else prepare.fit_transform(X, ids)
            members, tilt = fit_rival(
                plain_fit(model), cell.resample, rows, ids, weight, len(masses), self.random_state
            )
            return [_joined(prepare, member) for member in members], tilt
        mined = {} if cell.keep_hardest is None else {"keep_hardest": cell.keep_hardest}
        model.set_params(alpha=cell.alpha, gamma=cell.gamma, **mined)
        if cell.logit_adjustment is not None:
            model = adjusted(model, cell.logit_adjustment)
            whole = _joined(prepare, model)
        place = "sample_weight" if whole is model else f"{whole.steps[-1][0]}__sample_weight"
        whole.fit(X, ids, **({} if weight is None else {place: weight}))
        tilt = np.ones(len(masses))
        if cell.alpha is not None:
            fitted = _parts(whole)[1]
            tilt = np.asarray(getattr(fitted, "alpha_", alpha_vector(cell.alpha, masses)), np.float64)
        return [whole], tilt

    def _own(
        self, trainer: ClassifierTrainer, cell: Cell, X: Any, ids: NDArray[Any], weight: Any
    ) -> tuple[list[Any], Real]:
        """By a classifier whose loss is its own."""
        if cell.gamma or cell.keep_hardest is not None or cell.logit_adjustment is not None:
            got = contracts.Words(
                f"gamma={cell.gamma:g}, keep_hardest={cell.keep_hardest}, logit_adjustment={cell.logit_adjustment}"
            )
            contracts.reject("estimator", "take gamma, keep_hardest and logit_adjustment", got, "Leave them out.")
        masses = np.bincount(ids, weights=weight)
        if cell.alpha is not None and trainer.way is None:
            contracts.reject("estimator", "take class weights", trainer.name, "Leave alpha out.")
        if cell.resample is None:
            tilt = np.asarray(alpha_vector(cell.alpha, masses), np.float64)
            return [fit_weighted(trainer.estimator, trainer.way, cell, X, ids, tilt, weight)], tilt
        prepare, model = _parts(clone(trainer.estimator))
        inner = ClassifierTrainer(model.set_params(**dict(cell.params)))
        with in_words():
            rows = X if prepare is None else prepare.fit_transform(X, ids)

        def fit(X: Any, y: NDArray[Any], weight: Any) -> Any:
            return fit_weighted(inner.estimator, inner.way, Cell(), X, y, np.ones(0), weight)

        members, tilt = fit_rival(fit, cell.resample, rows, ids, weight, len(masses), self.random_state)
        return [_joined(prepare, member) for member in members], tilt

    def predict_proba(self, X: Any) -> Real:
        """Probabilities (n, n_classes) under the classes' frequencies in training."""
        check_is_fitted(self)
        contracts.unmasked("X", X)
        given = averaged(self.members_, X, len(self.classes_)) / self.tilt_
        return np.asarray(given / given.sum(axis=1, keepdims=True))

    def predict(self, X: Any, costs: Any = None) -> NDArray[Any]:
        """Decisions (n,).

        Parameters
        ----------
        X : (n, n_features)
        costs : (n,) or (n, n_classes, n_classes), optional
            Of each case, where ``goal`` is a CaseCost.
        """
        p = self.predict_proba(X)
        return np.asarray(self.classes_[self._decide(p, costs)])

    def _decide(self, p: Real, costs: Any) -> NDArray[np.intp]:
        if costs is not None and not isinstance(self.goal, CaseCost):
            contracts.reject("costs", "be left out", self.goal, "They go with goal=CaseCost(…).")
        if self.goal is not None:
            goal, k = self.goal, len(self.classes_)
            if isinstance(goal, CostMatrix):
                costs = goal.array
            else:
                given, costs = costs, inputs.case_matrices(goal, costs, k, len(p))
                if np.ndim(given) == 1 and not self._positive():  # amounts; matrices are in the order of the labels
                    costs = costs[:, ::-1, ::-1]
            return CostOf(goal, costs).closed(p, np.arange(len(p)))
        if self.cutoff is not None:
            if len(self.classes_) != 2:
                contracts.reject(
                    "cutoff", "be left out", contracts.Words(f"{len(self.classes_)} classes"), "It is of two classes."
                )
            k = self._positive()
            return np.where(p[:, k] > self.cutoff, k, 1 - k)
        if self.tau is None and self.logit_adjustment is not None:
            with np.errstate(divide="ignore"):  # the model's own logits
                return np.asarray((np.log(p) - self.logit_adjustment * np.log(self.prior_)).argmax(axis=1))
        if self.tau is None:
            return np.asarray((p * self.tilt_).argmax(axis=1))
        with np.errstate(divide="ignore"):
            merit = np.log(p) - self.tau * np.log(self.prior_)
        merit[:, np.isin(self.classes_, list(self.never))] = -np.inf
        return np.asarray(merit.argmax(axis=1))

    def _positive(self) -> int:
        """The place of the positive one of two classes."""
        labels = self.classes_.tolist()
        return 1 if self.positive is None else labels.index(self.positive)

    @available_if(lambda self: hasattr(_parts(self.estimator)[1], "predict_proba"))  # type: ignore[untyped-decorator]
    def predict_log_proba(self, X: Any) -> Real:
        """Logarithms of ``predict_proba``."""
        return np.asarray(np.log(self.predict_proba(X)))

    def __sklearn_tags__(self) -> Any:
        tags, inner = super().__sklearn_tags__(), get_tags(self.estimator)
        tags.input_tags = inner.input_tags
        return tags


class TableEncoder(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """The first step of a saved pipeline: a file or a data frame as the numbers that the model was trained on.

    Parameters
    ----------
    encoding : Encoding
        Of the table that was trained on.
    columns : sequence of str, optional
        Of a model that was trained on a data frame: the columns that it knows, in their order.
    """

    def __init__(self, encoding: Encoding, columns: Sequence[str] | None = None) -> None:
        self.encoding = encoding
        self.columns = columns

    def fit(self, X: Any, y: Any = None) -> TableEncoder:
        """Nothing is learned."""
        return self

    def transform(self, X: Any) -> Any:
        """Features (n, n_features); a matrix of them is as it is."""
        if getattr(self, "columns", None) is None and (isinstance(X, np.ndarray) or hasattr(X, "tocsr")):
            if X.ndim != 2 or X.shape[1] != len(self.encoding.names):
                contracts.reject(
                    "X",
                    f"have {len(self.encoding.names)} columns",
                    contracts.Words(f"shape {X.shape}"),
                    "Pass the table.",
                )
            return X
        return self.read(X)

    def read(self, source: Any, **reading: Any) -> Any:
        """Features of a file or a data frame, as the model takes them."""
        columns = getattr(self, "columns", None)  # which older files have not
        if columns is None:
            return self.encoding.matrix(source, **reading)
        return self.encoding.frame(source, **reading)[list(columns)]

    def __sklearn_is_fitted__(self) -> bool:
        return True


def _parts(estimator: Any) -> tuple[Any, Any]:
    """What prepares (None: nothing does), and the classifier itself."""
    if not isinstance(estimator, Pipeline):
        return None, estimator
    return (estimator[:-1] if len(estimator.steps) > 1 else None), estimator.steps[-1][1]


def _joined(prepare: Any, model: Any) -> Any:
    return model if prepare is None else Pipeline([("prepare", prepare), ("model", model)])
