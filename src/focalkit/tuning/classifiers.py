"""Who trains, when it is the user's own: any classifier in scikit-learn's manner, or predictions that are there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone, is_classifier
from sklearn.pipeline import Pipeline
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import has_fit_parameter

from focalkit._core import contracts
from focalkit._core.message import Message
from focalkit.decisions.rule import plain
from focalkit.tuning.foreign import aligned, in_words
from focalkit.tuning.result import Cell
from focalkit.tuning.trainers import (
    Data,
    EstimatorTrainer,
    FunctionTrainer,
    OfEstimator,
    Prediction,
    Trainer,
    parted,
    resampled,
)
from focalkit.weights import alpha_vector

Real = NDArray[np.float64]


@dataclass(frozen=True)
class ClassifierTrainer(OfEstimator):
    """Any classifier with ``predict_proba``, or a Pipeline that ends in one; its loss is its own.

    Class weights are given by the way that it has, which is found out: a ``class_weight`` parameter, ``sample_weight``
    in ``fit``, or the ``class_weight`` of an estimator inside it. A focusing parameter it cannot take.
    """

    @property
    def model(self) -> Any:
        """The classifier itself, of pipelines in each other the innermost."""
        return last_step(self.estimator)

    @property
    def chained(self) -> bool:
        """Every fit stands by itself."""
        return False

    @property
    def mines(self) -> bool:
        """Its loss is its own."""
        return False

    @property
    def focuses(self) -> bool:
        """Its loss is its own."""
        return False

    resamples = True
    adjusts = forks = False

    @property
    def weighs(self) -> bool:
        """Whether there is a way to give it class weights."""
        return self.way is not None

    @cached_property
    def way(self) -> tuple[str, ...] | None:
        """How class weights are given: ("class_weight", parameters) or ("sample_weight", fit's argument), or None."""
        model, prefix = self.estimator, ""
        while isinstance(model, Pipeline):
            name, model = model.steps[-1]
            prefix += f"{name}__"
        if "class_weight" in model.get_params(deep=False):
            return "class_weight", f"{prefix}class_weight"
        if has_fit_parameter(model, "sample_weight"):
            return "sample_weight", f"{prefix}sample_weight"
        inside = model.get_params()
        members = [name for name, part in inside.items() if hasattr(part, "get_params") and is_classifier(part)]
        leaves = [name for name in members if not any(other.startswith(f"{name}__") for other in members)]
        unnamed = any(part is None and name.endswith("estimator") for name, part in inside.items())
        if not leaves or unnamed or not all(f"{name}__class_weight" in inside for name in leaves):
            return None  # one that goes without would be taken for weighted when alpha is undone
        return "class_weight", *(f"{prefix}{name}__class_weight" for name in sorted(leaves))

    @property
    def notes(self) -> tuple[Message, ...]:
        """What is left out for this classifier, and how α is given."""
        if self.way is None:
            return (Message("note.no_weights", name=self.name), Message("note.no_gamma", name=self.name))
        kind, *places = self.way
        out = [Message("note.weights_by", name=self.name, way=kind), Message("note.no_gamma", name=self.name)]
        own = self.estimator.get_params()
        given = kind == "class_weight" and any(own.get(place) is not None for place in places)
        return (*out, Message("note.own_weights", name=self.name)) if given else tuple(out)

    def predictions(
        self, data: Data, cells: Sequence[Cell], train: NDArray[np.intp], test: NDArray[np.intp]
    ) -> Iterator[tuple[Cell, Prediction]]:
        """One fit for each cell, of the whole pipeline."""
        train_X, train_y = _safe_indexing(data.X, train), data.targets[train]
        test_X = _safe_indexing(data.X, test)
        counts, rows = data.masses(train), None if data.weight is None else data.weight[train]
        present = np.flatnonzero(counts)
        if any(cell.resample is not None for cell in cells):
            prepare, model = parted(clone(self.estimator))
            inner = ClassifierTrainer(model.set_params(**dict(cells[0].params)))
            with in_words():
                X = train_X if prepare is None else prepare.fit_transform(train_X, train_y)
                new = test_X if prepare is None else prepare.transform(test_X)

            def fit(X: Any, y: NDArray[Any], weight: Any) -> Any:
                return fit_weighted(inner.estimator, inner.way, Cell(), X, y, np.ones(0), weight)

            yield from resampled(fit, cells, X, train_y, rows, new, data.n_classes, train)
        for cell in cells:
            if cell.tau is not None or cell.resample is not None:
                continue
            weights = np.ones(data.n_classes)
            weights[present] = alpha_vector(cell.alpha, counts)[present]
            fitted = fit_weighted(self.estimator, self.way, cell, train_X, train_y, weights[present], rows)
            given = aligned(fitted, test_X, data.n_classes)
            posterior = given / weights
            posterior /= posterior.sum(axis=1, keepdims=True)
            yield cell, Prediction(posterior, given.argmax(axis=1), logits_of(fitted, test_X, given))


def last_step(estimator: Any) -> Any:
    """The classifier itself, behind a pipeline's other steps."""
    return last_step(estimator.steps[-1][1]) if isinstance(estimator, Pipeline) else estimator


def fit_weighted(
    estimator: Any,
    way: tuple[str, ...] | None,
    cell: Cell,
    X: Any,
    y: NDArray[Any],
    weights: Real,
    sample_weight: Real | None = None,
) -> Any:
    """A copy of the classifier, trained on labels ``y`` with ``weights`` of the classes that they have, in order.

    They are brought to a mean of 1 over the rows, so that a penalty's strength keeps its meaning.
    """
    model, options = clone(estimator).set_params(**dict(cell.params)), {}
    if way is not None and way[0] == "class_weight":
        model.set_params(**dict.fromkeys(way[1:]))
    of_rows = sample_weight
    if cell.alpha is not None:
        assert way is not None
        names, codes = np.unique(y, return_inverse=True)
        mass = np.ones(len(y)) if sample_weight is None else sample_weight
        scaled = weights * (mass.sum() / (weights[codes] @ mass))
        if way[0] == "class_weight":
            by_class = dict(zip(names.tolist(), scaled.tolist(), strict=True))
            model.set_params(**dict.fromkeys(way[1:], by_class))
        else:
            of_rows = scaled[codes] * mass
    if of_rows is not None:
        options = {_place(estimator): of_rows}
    with in_words():
        return model.fit(X, y, **options)


def _place(estimator: Any) -> str:
    """The argument of fit that takes the weights of rows."""
    prefix, model = "", estimator
    while isinstance(model, Pipeline):
        name, model = model.steps[-1]
        prefix += f"{name}__"
    if not has_fit_parameter(model, "sample_weight"):
        remedy = "Leave sample_weight out, or take another classifier."
        contracts.reject("estimator", "take sample_weight in fit", contracts.Words(type(model).__name__), remedy)
    return f"{prefix}sample_weight"


def logits_of(fitted: Any, X: Any, p: Real) -> Real | None:
    """The model's logits where it has any, of which ``p`` are the probabilities."""
    if not hasattr(fitted, "decision_function"):
        return None
    z = np.asarray(fitted.decision_function(X), np.float64)
    with np.errstate(over="ignore"):
        if z.ndim == 1 and p.shape[1] == 2:
            return z if np.allclose(1 / (1 + np.exp(-z)), p[:, 1], atol=1e-6) else None
        if z.shape != p.shape:
            return None
        e = np.exp(z - z.max(axis=1, keepdims=True))
    return z if np.allclose(e / e.sum(axis=1, keepdims=True), p, atol=1e-6) else None


def classifier_trainer(estimator: Any, seed: int) -> ClassifierTrainer:
    """The trainer of a classifier without alpha and gamma; what it draws is seeded where it is not already."""
    if not hasattr(estimator, "predict_proba"):
        remedy = "Wrap it in sklearn.calibration.CalibratedClassifierCV, or set probability=True where it has that."
        contracts.reject(
            "estimator", "have predict_proba", contracts.Words(type(last_step(estimator)).__name__), remedy
        )
    model = clone(estimator)
    open_seeds = {
        k: seed for k, v in model.get_params().items() if k.rpartition("__")[2] == "random_state" and v is None
    }
    return ClassifierTrainer(model.set_params(**open_seeds))


@dataclass(frozen=True)
class OutOfFold:
    """Predictions of a model that had not seen the rows: all that there is, where the model itself is elsewhere.

    Parameters
    ----------
    probabilities : (n,) of the second of two classes, or (n, n_classes)
        In the order of the sorted classes.
    """

    probabilities: Any

    name = "OutOfFold"
    chained = mines = focuses = weighs = resamples = adjusts = forks = False
    notes: tuple[Message, ...] = (Message("note.predictions"),)

    def checked(self, n: int, n_classes: int) -> OutOfFold:
        """The same with probabilities (n, n_classes)."""
        p = contracts.probabilities_array("probabilities", plain(self.probabilities))
        full = np.column_stack([1 - p, p]) if p.ndim == 1 else np.asarray(p, np.float64)
        if full.shape != (n, n_classes):
            shape = f"have one row for each of the {n} labels and one column for each of the {n_classes} classes"
            contracts.reject(
                "probabilities", shape, contracts.Words(f"shape {np.shape(p)}"), "Of two classes one column will do."
            )
        return OutOfFold(full)

    def turned(self) -> OutOfFold:
        """The same where the two classes change places."""
        p = contracts.probabilities_array("probabilities", plain(self.probabilities))
        return OutOfFold(np.asarray(1 - p if p.ndim == 1 else p[:, ::-1]))

    def predictions(
        self, data: Data, cells: Sequence[Cell], train: NDArray[np.intp], test: NDArray[np.intp]
    ) -> Iterator[tuple[Cell, Prediction]]:
        """Those of the rows ``test``."""
        p: Real = self.probabilities[test]
        with np.errstate(divide="ignore"):
            logits = np.log(np.maximum(p, 1e-12))
        yield Cell(), Prediction(p, p.argmax(axis=1), logits)


def trainer_of(estimator: Any, seed: int = 0) -> Trainer:
    """The trainer of whatever :func:`focalkit.tuning.tune` was given; ``seed`` for what draws and has none."""
    if isinstance(estimator, OutOfFold):
        return estimator
    if isinstance(estimator, Pipeline) and not estimator.steps:
        contracts.reject("estimator", "end in a classifier", contracts.Words("a Pipeline without steps"), "Add one.")
    if hasattr(estimator, "get_params") and not isinstance(estimator, type):
        trainer = EstimatorTrainer(estimator)
        if {"alpha", "gamma"} <= set(trainer.parameters):
            return trainer
        return classifier_trainer(estimator, seed)
    if callable(estimator) and not isinstance(estimator, type):
        return FunctionTrainer(estimator)
    contract = "be a classifier, a name, out-of-fold predictions, or a function fit_score(spec, train, test)"
    contracts.reject("estimator", contract, estimator, "E.g. FocalClassifier().")
