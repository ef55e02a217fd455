"""Who trains: a classifier in scikit-learn's manner, or a user's own function. Both give predictions for cells."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from sklearn.utils import _safe_indexing, check_array

from focalkit._core import contracts, links
from focalkit._core.message import Message
from focalkit._core.spec import LossSpec
from focalkit.estimator import FocalClassifier, options_of
from focalkit.posterior import recover_from_log_odds
from focalkit.tuning.data import Data, Prediction, Trainer
from focalkit.tuning.foreign import in_words
from focalkit.tuning.linear import fit_cells
from focalkit.tuning.resampling import Fit, averaged, fit_rival
from focalkit.tuning.result import Cell
from focalkit.weights import adjustment_of, alpha_vector

__all__ = ["Data", "EstimatorTrainer", "FunctionTrainer", "OfEstimator", "Prediction", "Trainer"]

FitScore = Callable[..., Any]
"""``fit_score(spec, train, test, **params) -> logits``; see :class:`FunctionTrainer`."""


def parted(estimator: Any) -> tuple[Any, Any]:
    """A Pipeline's other steps, None where there are none, and the classifier that it ends in."""
    if not isinstance(estimator, Pipeline):
        return None, estimator
    return estimator[:-1] if len(estimator.steps) > 1 else None, estimator.steps[-1][1]


@dataclass(frozen=True)
class OfEstimator:
    """What is known of a trainer from its classifier, or the Pipeline that ends in it."""

    estimator: Any

    @property
    def model(self) -> Any:
        """The classifier itself."""
        return parted(self.estimator)[1]

    @property
    def parameters(self) -> dict[str, Any]:
        """The classifier's parameters."""
        return dict(self.model.get_params(deep=False))

    @property
    def name(self) -> str:
        """Its class."""
        return type(self.model).__name__

    def check_params(self, argument: str, params: Mapping[str, Any]) -> None:
        """Refuse values for parameters that the classifier does not have; ``argument`` is where they stand."""
        try:
            clone(self.model).set_params(**params)
        except ValueError:
            contracts.reject(argument, f"name parameters of {self.name}", sorted(params), "See its get_params().")


@dataclass(frozen=True)
class EstimatorTrainer(OfEstimator):
    """A classifier with parameters alpha and gamma, or a Pipeline that ends in one."""

    @property
    def chained(self) -> bool:
        """Whether it has warm starts."""
        return "warm_start" in self.parameters

    @property
    def mines(self) -> bool:
        """Whether it has keep_hardest."""
        return "keep_hardest" in self.parameters

    focuses = weighs = resamples = True
    notes: tuple[Message, ...] = ()

    @property
    def adjusts(self) -> bool:
        """Whether it has logit_adjustment, or options of the loss."""
        return bool({"logit_adjustment", "options"} & set(self.parameters))

    @property
    def forks(self) -> bool:
        """Whether it is this package's linear model, whose kernels put their threads right."""
        return type(self.model) is FocalClassifier

    def predictions(
        self, data: Data, cells: Sequence[Cell], train: NDArray[np.intp], test: NDArray[np.intp]
    ) -> Iterator[tuple[Cell, Prediction]]:
        """The pipeline's other steps are fitted once, on ``train``."""
        prepare, model = parted(clone(self.estimator))
        model.set_params(**dict(cells[0].params))
        train_y = data.targets[train]
        weight = None if data.weight is None else data.weight[train]
        train_X = _safe_indexing(data.X, train)
        if prepare is not None:
            train_X = prepare.fit_transform(train_X, train_y)
        test_X = _safe_indexing(data.X, test)
        if prepare is not None:
            test_X = prepare.transform(test_X)
        yield from resampled(plain_fit(model), cells, train_X, train_y, weight, test_X, data.n_classes, train)
        for cell in cells:
            if cell.logit_adjustment is not None and cell.tau is None:
                fitted = adjusted(model, cell.logit_adjustment).fit(
                    train_X, train_y, **({} if weight is None else {"sample_weight": weight})
                )
                yield cell, _predicted(fitted, cell, test_X, data, train)
        cells = [cell for cell in cells if cell.resample is None and cell.logit_adjustment is None]
        if not cells:
            return
        if type(model).fit is FocalClassifier.fit:
            yield from _linear(model, cells, train_X, train_y, weight, test_X, data.n_classes)
            return
        for cell, fitted in _path(model, self.chained, cells, train_X, train_y, weight):
            yield cell, _predicted(fitted, cell, test_X, data, train)


def _predicted(fitted: Any, cell: Cell, X: Any, data: Data, train: NDArray[np.intp]) -> Prediction:
    """What a classifier with alpha and gamma says of rows."""
    decisions = np.asarray(fitted.predict(X)).ravel()
    posterior = np.zeros((len(decisions), data.n_classes))
    posterior[:, fitted.classes_] = _posterior(fitted, cell, X, data.masses(train))
    logits = fitted.decision_function(X) if hasattr(fitted, "decision_function") else None
    return Prediction(posterior, decisions, logits)


def adjusted(model: Any, tau: float) -> Any:
    """A copy whose loss is the logit-adjusted cross-entropy: ``predict`` decides for equally frequent classes."""
    made = clone(model).set_params(alpha=None, gamma=0.0)
    parameters = made.get_params(deep=False)
    if "logit_adjustment" in parameters:
        return made.set_params(logit_adjustment=tau)
    return made.set_params(options={**(parameters["options"] or {}), "logit_adjustment": tau})


def plain_fit(model: Any) -> Fit:
    """Training a copy of a classifier with alpha and gamma by plain cross-entropy."""

    def fit(X: Any, y: NDArray[Any], weight: Any) -> Any:
        options = {} if weight is None else {"sample_weight": weight}
        return clone(model).set_params(alpha=None, gamma=0.0).fit(X, y, **options)

    return fit


def resampled(
    fit: Fit,
    cells: Sequence[Cell],
    X: Any,
    y: NDArray[Any],
    weight: Any,
    test_X: Any,
    n_classes: int,
    train: NDArray[np.intp],
) -> Iterator[tuple[Cell, Prediction]]:
    """The rivals that change the training rows; what they draw is a matter of the rows ``train`` alone."""
    for cell in cells:
        if cell.resample is None or cell.tau is not None:
            continue
        members, tilt = fit_rival(fit, cell.resample, X, y, weight, n_classes, int(train.sum()))
        given = averaged(members, test_X, n_classes)
        posterior = given / tilt
        posterior /= posterior.sum(axis=1, keepdims=True)
        yield cell, Prediction(posterior, given.argmax(axis=1), None)


def _path(model: Any, chained: bool, cells: Sequence[Cell], X: Any, y: Any, weight: Any) -> Iterator[tuple[Cell, Any]]:
    """Every fitted model; chained, each starts from its neighbour: along alpha at gamma = 0, then along gamma."""
    fits = [cell for cell in cells if cell.tau is None]
    weights = {} if weight is None else {"sample_weight": weight}
    if not chained:
        for cell in fits:
            yield cell, clone(model).set_params(**_parameters(cell)).fit(X, y, **weights)
        return
    model.set_params(warm_start=True)
    plain = copy.deepcopy(model.set_params(alpha=None, gamma=0.0).fit(X, y, **weights))
    for alpha in dict.fromkeys(cell.alpha for cell in fits):
        if alpha is not None:
            model.set_params(alpha=alpha).fit(X, y, **weights)
        walker = copy.deepcopy(model)
        for cell in fits:
            if cell.alpha == alpha and cell.keep_hardest is None:
                yield cell, walker if cell.gamma == 0 else walker.set_params(gamma=cell.gamma).fit(X, y, **weights)
    for cell in fits:
        if cell.keep_hardest is not None:
            yield cell, copy.deepcopy(plain).set_params(keep_hardest=cell.keep_hardest).fit(X, y, **weights)


def _parameters(cell: Cell) -> dict[str, Any]:
    mined = {} if cell.keep_hardest is None else {"keep_hardest": cell.keep_hardest}
    return {"alpha": cell.alpha, "gamma": cell.gamma, **mined}


def _linear(
    model: FocalClassifier, cells: Sequence[Cell], X: Any, y: Any, weight: Any, test_X: Any, n_classes: int
) -> Iterator[tuple[Cell, Prediction]]:
    """All cells of a linear model fitted together, with what else its parameters say."""
    with in_words():
        X, test_X = (check_array(part, accept_sparse="csr", dtype=[np.float64, np.float32]) for part in (X, test_X))
    counts = np.bincount(y, weight)
    settings = {name: getattr(model, name) for name in ("C", "fit_intercept", "tol", "max_iter")}
    settings["options"] = options_of(model, counts[counts > 0].astype(np.float64))
    yield from fit_cells(settings, cells, X, y, weight, test_X, n_classes)


def _posterior(model: Any, cell: Cell, X: Any, masses: NDArray[Any]) -> NDArray[np.float64]:
    """Probabilities of ``model.classes_`` under the training prior: alpha's tilt is divided out."""
    given = np.asarray(model.predict_proba(X), np.float64)
    if cell.alpha is None:
        return given
    weights = getattr(model, "alpha_", None)
    if weights is None:
        weights = alpha_vector(cell.alpha, masses[model.classes_])
    given = given / weights
    return np.asarray(given / given.sum(axis=1, keepdims=True))


@dataclass(frozen=True)
class FunctionTrainer:
    """A user's own training function: ``fit_score(spec, train, test, **params) -> logits``.

    - ``spec`` is a softmax :class:`focalkit.LossSpec`: ``gamma``, ``alpha`` (None, or one weight per
      class, found from the training rows and of mean 1 over them), ``keep_hardest`` and ``logit_adjustment`` (one
      number per class). Train with it.
    - ``train`` and ``test`` are sorted row numbers, integer arrays: what they number (arrays, a
      torch Dataset, files) is the function's own affair, in the order of ``y``. No test row may
      reach the training, early stopping included.
    - Weights of rows are its own affair as well: ``tune(sample_weight=…)`` weighs the classes and the scores.
    - ``params`` are the parameters that ``space`` draws; without trials there are none.
    - It returns logits of the rows ``test``: (n_test, n_classes) with the classes in sorted order,
      also those that no training row has, or for two classes (n_test,), those of the second. Torch
      tensors are taken too. Log-probabilities are logits; probabilities are not.

    It is called in other processes with ``n_jobs`` or ``dask``, and again for what a journal does
    not hold: the same arguments must give the same logits, so it seeds whatever it draws.
    """

    fit_score: FitScore

    @property
    def name(self) -> str:
        """Its name and what it is called with."""
        return f"{getattr(self.fit_score, '__name__', type(self.fit_score).__name__)}(spec, train, test)"

    @property
    def chained(self) -> bool:
        """Every call stands by itself."""
        return False

    @property
    def mines(self) -> bool:
        """The spec says what to keep."""
        return True

    focuses = weighs = adjusts = True
    resamples = forks = False
    notes: tuple[Message, ...] = ()

    def predictions(
        self, data: Data, cells: Sequence[Cell], train: NDArray[np.intp], test: NDArray[np.intp]
    ) -> Iterator[tuple[Cell, Prediction]]:
        """One call for each cell."""
        counts = data.masses(train)
        for cell in cells:
            if cell.tau is not None:
                continue
            weights = alpha_vector(cell.alpha, counts)
            weights = weights * (counts.sum() / (weights * counts).sum())
            alpha = None if cell.alpha is None else tuple(weights.tolist())
            adjustment = adjustment_of(cell.logit_adjustment, counts)
            spec = LossSpec(gamma=cell.gamma, alpha=alpha, keep_hardest=cell.keep_hardest, logit_adjustment=adjustment)
            given = self.fit_score(spec, train.copy(), test.copy(), **dict(cell.params))
            logits = _logits(given, len(test), data.n_classes)
            log_odds = (
                np.column_stack([-logits, logits]) if logits.ndim == 1 else links.softmax_log_odds_all(logits, np)[0]
            )
            posterior = recover_from_log_odds(log_odds, cell.gamma)
            if adjustment is not None:
                posterior = posterior * np.exp(adjustment)
                posterior /= posterior.sum(axis=1, keepdims=True)
            if cell.alpha is not None:
                posterior = posterior / weights
                posterior /= posterior.sum(axis=1, keepdims=True)
            decisions = (logits > 0).astype(np.intp) if logits.ndim == 1 else logits.argmax(axis=1)
            yield cell, Prediction(posterior, decisions, logits)


def _logits(given: Any, n_rows: int, n_classes: int) -> NDArray[np.float64]:
    if hasattr(given, "detach"):
        given = given.detach().cpu()
    logits = np.asarray(given, np.float64)
    if n_classes == 2 and logits.shape == (n_rows, 1):
        logits = logits[:, 0]
    if logits.shape != (n_rows, n_classes) and not (n_classes == 2 and logits.shape == (n_rows,)):
        contract = f"return logits of shape ({n_rows}, {n_classes}), one row for each entry of test"
        contracts.reject(
            "fit_score",
            contract,
            contracts.Words(f"shape {logits.shape}"),
            "Classes without training rows have a column.",
        )
    if np.isnan(logits).any() or np.isposinf(logits).any():
        contracts.reject(
            "fit_score", "return numbers", contracts.Words("NaN or inf among the logits"), "Did the training diverge?"
        )
    return logits
