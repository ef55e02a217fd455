"""DecisionClassifier: any scikit-learn classifier, deciding by a rule that was learned out of fold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from focalkit._core import contracts
from focalkit._core.extras import need
from focalkit._core.types import Array, Features
from focalkit.decisions.goals import Goal

with need("sklearn", "DecisionClassifier", "tune"):
    from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
    from sklearn.model_selection import check_cv
    from sklearn.utils import _safe_indexing, get_tags
    from sklearn.utils.metadata_routing import (
        MetadataRouter,
        MethodMapping,
        get_routing_for_object,
        process_routing,
    )
    from sklearn.utils.metaestimators import available_if
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.parallel import Parallel, delayed
    from sklearn.utils.validation import (
        _num_samples,
        check_array,
        check_is_fitted,
        column_or_1d,
        has_fit_parameter,
        indexable,
    )

from sklearn import get_config

from focalkit.decisions import inputs
from focalkit.decisions.goals import CaseCost, as_goal
from focalkit.decisions.learn import Asked, learn
from focalkit.decisions.report import DecisionReport
from focalkit.decisions.rule import DecisionRule, plain

if TYPE_CHECKING:
    from sklearn.model_selection import BaseCrossValidator


Real = NDArray[np.float64]


_CV, _FIVE = "be an integer, a splitter, splits or 'prefit'", "5 folds are usual."


def _has(method: str) -> Any:
    return lambda self: hasattr(getattr(self, "estimator_", self.estimator), method)


class DecisionClassifier(ClassifierMixin, MetaEstimatorMixin, BaseEstimator):  # type: ignore[misc]
    """A classifier whose decisions serve a goal: costs, a metric, a bound, abstention.

    ``fit`` predicts the probabilities of every row by models that were not trained on it, learns the rule on them
    (:func:`focalkit.decisions.decide`), and trains the model on all rows. Copies of a row, with a weight or repeated,
    share a fold.

    Parameters
    ----------
    estimator : classifier with predict_proba
        Any of scikit-learn's or a pipeline.
    goal : Goal, str or cost matrix
        E.g. ``Cost(fn=100, fp=1)``, ``"mcc"``, ``Constraint("recall", 0.95)``.
    cv : int, splitter, iterable or "prefit"
        Folds. "prefit": ``estimator`` is trained already, on other rows than ``fit`` is given (or its out-of-fold
        predictions are passed as ``probabilities``).
    learned, calibrate, prior
        As in :func:`focalkit.decisions.decide`.
    n_jobs : int, optional
        Folds trained at a time.
    random_state : int
        Of the folds and the bootstrap.

    Attributes
    ----------
    estimator_ : classifier
        Trained on all rows.
    rule_ : DecisionRule
    decision_report_ : DecisionReport
        What the rule does per 1,000 cases, before and after, with intervals.
    classes_ : (n_classes,)

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from focalkit.decisions import Cost
    >>> rng = np.random.default_rng(0)
    >>> y = rng.random(500) < 0.1
    >>> X = rng.normal(size=(500, 2)) + y[:, None]
    >>> model = DecisionClassifier(LogisticRegression(), Cost(fn=9, fp=1)).fit(X, y)
    >>> bool(model.predict(X).mean() > LogisticRegression().fit(X, y).predict(X).mean())
    True
    """

    def __init__(
        self,
        estimator: BaseEstimator,
        goal: Goal | str = "balanced_accuracy",
        *,
        cv: int | BaseCrossValidator | Iterable[Any] = 5,
        learned: bool | None = None,
        calibrate: str | None = "auto",
        prior: Array | Mapping[Any, float] | None = None,
        n_jobs: int | None = None,
        random_state: int = 0,
    ) -> None:
        self.estimator = estimator
        self.goal = goal
        self.cv = cv
        self.learned = learned
        self.calibrate = calibrate
        self.prior = prior
        self.n_jobs = n_jobs
        self.random_state = random_state

    def fit(
        self,
        X: Features,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        costs: ArrayLike | None = None,
        groups: ArrayLike | None = None,
        probabilities: Array | None = None,
        **params: Any,
    ) -> DecisionClassifier:
        """Learn the rule out of fold, and the model on all rows.

        Parameters
        ----------
        X : (n, n_features)
        y : (n,)
        sample_weight : (n,), optional
            Of the rule, and of the estimator where it takes them.
        costs : (n,) or (n, n_classes, n_classes), optional
            Of each case, for :class:`CaseCost`.
        groups : (n,), optional
            Rows of one group stay in one fold.
        probabilities : (n,) or (n, n_classes), optional
            Out-of-fold predictions that are there already.
        **params
            Metadata for the estimator's fit.

        Raises
        ------
        InputError
            Where there are not two classes, or an argument breaks its contract.
        """
        goal = as_goal(self.goal)
        if isinstance(self.estimator, type) or not hasattr(self.estimator, "fit"):
            got = contracts.Words(repr(self.estimator))
            contracts.reject("estimator", "be a classifier with predict_proba", got, "E.g. LogisticRegression().")
        if self.random_state is not None:
            contracts.whole("random_state", self.random_state, 0, most=contracts.MOST_SEED)
        contracts.unmasked("X", X)
        contracts.unmasked("y", y)
        X, y = indexable(X, y)
        if y is None:
            contracts.reject("y", "be given", None, "This estimator requires y to be passed, but the target y is None.")
        if _num_samples(X) == 0:
            contracts.reject("X", "have rows", contracts.Words("0 sample(s)"), "Pass the rows to learn from.")
        y = np.asarray(column_or_1d(y, warn=True))
        if y.dtype.kind == "f" and not np.isfinite(y).all():
            contracts.reject(
                "y", "be finite", contracts.Words("Input y contains NaN or infinity (inf)"), "Leave those rows out."
            )
        check_classification_targets(y)
        n = _num_samples(y)
        classes, ids = np.unique(y, return_inverse=True)
        weight = None if sample_weight is None else contracts.sample_weight_array(sample_weight, (n,))
        if weight is not None and not (weight > 0).any():
            contracts.reject(
                "sample_weight", "be positive for some row", contracts.Words("every weight zero"), "Leave it out."
            )
        if len(np.unique(ids if weight is None else ids[weight > 0])) < 2:
            got = contracts.Words(f"1 class, {classes[0]!r}, in the rows that weigh anything")
            contracts.reject("y", "hold two classes", got, "One class leaves nothing to decide.")
        of_estimator = self._routed(weight, params)
        prefit = isinstance(self.cv, str) and self.cv == "prefit"
        if isinstance(self.cv, str) and not prefit:
            contracts.reject("cv", _CV, self.cv, _FIVE)
        rows = np.ones(n, bool) if weight is None else weight > 0
        folds = self._folds(X, y, ids, rows, groups, 5 if prefit else self.cv)
        if prefit:
            check_is_fitted(self.estimator)
            self.estimator_ = self.estimator
            p = self._aligned(self.estimator, X, classes) if probabilities is None else probabilities
        else:
            p = self._out_of_fold(X, y, folds, classes, of_estimator) if probabilities is None else probabilities
            self.estimator_ = clone(self.estimator).fit(X, y, **of_estimator)
        p = contracts.shaped("probabilities", plain(p), (None,), (None, None)).astype(np.float64)
        if len(p) != n:
            contracts.reject("probabilities", f"have {n} rows", len(p), "One row of predictions for each row of X.")
        rows &= (folds >= 0) & ~np.isnan(p.reshape(n, -1)).any(axis=1)
        p = p[rows]
        if not len(p):
            contracts.reject("probabilities", "be known of some row", contracts.Words("NaN in all"), "Leave them out.")
        contracts.probabilities_array("probabilities", p)
        of_case = None
        if isinstance(goal, CaseCost) or costs is not None:
            of_case = inputs.of_case(goal, costs, len(classes), n)
        data = inputs.Data(
            p,
            ids[rows].astype(np.intp),
            None if weight is None else weight[rows],
            None if of_case is None else of_case[rows],
            tuple(classes.tolist()),
        )
        inputs.matching(goal, len(classes))
        numbered = np.unique(folds[rows], return_inverse=True)[1].astype(np.intp)
        asked = Asked(goal, self.learned, self.calibrate, self.prior, None, self.random_state)
        several = numbered.max() > 0 and all(
            len(np.unique(data.y[numbered != f])) > 1 for f in range(numbered.max() + 1)
        )
        self.classes_ = classes
        self.rule_: DecisionRule = learn(data, numbered if several else None, asked)
        self.decision_report_: DecisionReport | None = self.rule_.report
        for name in ("n_features_in_", "feature_names_in_"):
            if hasattr(self.estimator_, name):
                setattr(self, name, getattr(self.estimator_, name))
        return self

    def _routed(self, weight: Any, params: dict[str, Any]) -> dict[str, Any]:
        """What the estimator's fit is given."""
        if get_config()["enable_metadata_routing"]:
            given = {**params, **({} if weight is None else {"sample_weight": weight})}
            return dict(process_routing(self, "fit", **given).estimator.fit)
        if params:
            remedy = "Turn metadata routing on: sklearn.set_config(enable_metadata_routing=True)."
            contracts.reject("fit", "be given metadata by routing", sorted(params), remedy)
        return (
            {"sample_weight": weight}
            if weight is not None and has_fit_parameter(self.estimator, "sample_weight")
            else {}
        )

    def _folds(
        self, X: Any, y: Any, ids: NDArray[Any], rows: NDArray[np.bool_], groups: Any, cv: Any
    ) -> NDArray[np.intp]:
        """A fold for each row of positive weight, -1 where it is in none."""
        out = np.full(len(ids), -1)
        if isinstance(cv, int | np.integer):
            contracts.whole("cv", cv, 2, _FIVE)
        if isinstance(cv, int | np.integer) and groups is None:
            some = np.flatnonzero(rows)
            out[some] = inputs.spread_folds(ids[some], int(cv), self.random_state, _unit(X, some))
            return out
        if isinstance(cv, int | np.integer):
            from sklearn.model_selection import StratifiedGroupKFold

            cv = StratifiedGroupKFold(int(cv), shuffle=True, random_state=self.random_state)
        if cv is None or (hasattr(cv, "split") and not isinstance(cv, bytes)):
            splits: Any = check_cv(cv, y, classifier=True).split(X, y, groups)
        else:
            splits = contracts.several("cv", cv, _CV, _FIVE)
        for fold, split in enumerate(splits):
            try:
                _, test = split
                out[test] = fold
            except (TypeError, ValueError, IndexError):
                got = contracts.Words(f"{split!r} among its splits")
                contracts.reject("cv", f"hold pairs of row numbers below {len(out)}", got, _FIVE)
        out[~rows] = -1
        if not (out >= 0).any():
            contracts.reject("cv", "put rows into folds", contracts.Words("none of them there"), _FIVE)
        return out

    def _out_of_fold(self, X: Any, y: Any, folds: NDArray[Any], classes: NDArray[Any], params: dict[str, Any]) -> Real:
        """Each row's probabilities by a model that was trained on the other folds."""
        out = np.full((len(folds), len(classes)), np.nan)
        numbers = [f for f in np.unique(folds) if f >= 0]

        def one(fold: int) -> tuple[NDArray[np.intp], Real]:
            test, train = np.flatnonzero(folds == fold), np.flatnonzero((folds != fold) & (folds >= 0))
            train = _with_rare(y, folds, train)
            of_train = {name: _part(value, train, len(folds)) for name, value in params.items()}
            model = clone(self.estimator).fit(_safe_indexing(X, train), _safe_indexing(y, train), **of_train)
            return test, self._aligned(model, _safe_indexing(X, test), classes)

        if len(numbers) < 2:
            model = clone(self.estimator).fit(X, y, **params)
            return self._aligned(model, X, classes)
        for test, p in Parallel(n_jobs=self.n_jobs)(delayed(one)(f) for f in numbers):
            out[test] = p
        return out

    def _aligned(self, model: Any, X: Any, classes: NDArray[Any]) -> Real:
        """Probabilities in the order of ``classes``; 0 for those the model has not seen."""
        if not hasattr(model, "predict_proba"):
            name = type(model).__name__
            contracts.reject("estimator", "have predict_proba", name, "Wrap it in CalibratedClassifierCV.")
        contracts.unmasked("X", X)
        p = np.asarray(model.predict_proba(X), np.float64)
        full = np.zeros((len(p), len(classes)))
        full[:, np.searchsorted(classes, model.classes_)] = p
        return full

    def predict(self, X: Features, *, costs: ArrayLike | None = None) -> NDArray[Any]:
        """Decisions (n,), "review" where a person decides; ``costs`` of each case where the goal is CaseCost."""
        check_is_fitted(self)
        p = self._aligned(self.estimator_, X, self.classes_)
        ids = self.rule_.decide(p, costs)
        if (ids < 0).any():
            return np.where(ids < 0, "review", self.classes_.astype(object)[np.maximum(ids, 0)])
        return np.asarray(self.classes_[ids])

    @available_if(_has("predict_proba"))  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Features) -> Real:
        """The estimator's own probabilities, unchanged."""
        check_is_fitted(self)
        return np.asarray(self.estimator_.predict_proba(X))

    def score(self, X: Features, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Accuracy of the decisions, where a case that a person decides is not decided rightly."""
        right = np.asarray(self.predict(X)) == np.asarray(column_or_1d(y))
        weight = None if sample_weight is None else np.asarray(sample_weight, np.float64)
        return float(np.average(right, weights=weight))

    @available_if(_has("predict_log_proba"))  # type: ignore[untyped-decorator]
    def predict_log_proba(self, X: Features) -> Real:
        """The estimator's own log probabilities, unchanged."""
        check_is_fitted(self)
        return np.asarray(self.estimator_.predict_log_proba(X))

    def get_metadata_routing(self) -> Any:
        """What the estimator's fit is passed on, and what this class asks for itself."""
        mapping = MethodMapping().add(caller="fit", callee="fit")
        router = MetadataRouter(owner=self.__class__.__name__).add_self_request(self)
        return router.add(estimator=get_routing_for_object(self.estimator), method_mapping=mapping)

    def __sklearn_tags__(self) -> Any:
        tags, inner = super().__sklearn_tags__(), get_tags(self.estimator)
        tags.input_tags = inner.input_tags
        tags.classifier_tags.multi_class = inner.classifier_tags is None or inner.classifier_tags.multi_class
        return tags


def _part(value: Any, rows: NDArray[np.intp], n: int) -> Any:
    """The rows of metadata that has one entry a row."""
    return _safe_indexing(value, rows) if hasattr(value, "__len__") and len(value) == n else value


def _with_rare(y: Any, folds: NDArray[Any], train: NDArray[np.intp]) -> NDArray[np.intp]:
    """``train``; where a model would see one class only, all rows that are in some fold."""
    return train if len(np.unique(_safe_indexing(y, train))) > 1 else np.flatnonzero(folds >= 0)


def _unit(X: Any, rows: NDArray[np.intp]) -> NDArray[np.intp] | None:
    """A number for each distinct row of numbers, the same in any order of the rows; None where X is something else."""
    if hasattr(X, "tocsr"):  # equal rows have equal sums of random multiples
        sums = X.tocsr()[rows] @ np.random.default_rng(0).random(X.shape[1])
        return np.asarray(np.unique(sums, return_inverse=True)[1].ravel(), np.intp)
    try:
        values = check_array(X, dtype="numeric", ensure_all_finite=False)
    except (TypeError, ValueError):
        return None
    if values.dtype.kind not in "fiub":
        return None
    return np.asarray(np.unique(values[rows], axis=0, return_inverse=True)[1].ravel(), np.intp)
