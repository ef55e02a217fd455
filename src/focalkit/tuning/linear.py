"""The linear model over all cells of a fold, by this package's own solver; scikit-learn is not loaded for it.

``focalkit tune TABLE`` is to answer within a second, and loading scikit-learn, with the SciPy and pandas that it
brings, takes longer than that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from focalkit._core.message import Message
from focalkit._held_out import recovered
from focalkit.linear_solver import Solution, candidate_of, minimise
from focalkit.linear_solver.rows import parts
from focalkit.tuning.data import Data, Prediction
from focalkit.tuning.result import Cell

Real = NDArray[np.float64]

LOGITS = 1 << 24
"""Logits of held-out rows that exist at a time, unless one model has more."""

BLOCK_ROWS = 1 << 14
"""Rows that exist in float64 at a time."""


@dataclass(frozen=True)
class LinearTable:
    """The linear model for a table of numbers (n, n_features), NaN where ``missing``: its parameters.

    It stands for ``named_estimator("linear", n_features, missing=missing, C=C)``, which :meth:`made` makes.
    """

    n_features: int
    missing: bool = True
    C: float = 1.0

    def made(self) -> Any:
        """The pipeline of scikit-learn."""
        from focalkit.tuning.estimators import named_estimator

        return named_estimator("linear", self.n_features, missing=self.missing, C=self.C)


@dataclass(frozen=True)
class LinearTrainer:
    """Fits the cells of a :class:`LinearTable`, with gaps filled and columns scaled as by its pipeline."""

    table: LinearTable

    name = "FocalClassifier"
    chained = mines = focuses = weighs = resamples = adjusts = forks = True
    notes: tuple[Message, ...] = ()

    @property
    def parameters(self) -> dict[str, Any]:
        """What a run's figures depend on."""
        return {"C": self.table.C, "missing": self.table.missing}

    def predictions(
        self, data: Data, cells: Sequence[Cell], train: NDArray[np.intp], test: NDArray[np.intp]
    ) -> Iterator[tuple[Cell, Prediction]]:
        """All cells fitted together."""
        rows = data.X[train]
        prepare = Preparation.of(rows)
        rows, held_out = prepare(rows), prepare(data.X[test])
        weight = None if data.weight is None else data.weight[train]
        found = fit_cells({"C": self.table.C}, cells, rows, data.targets[train], weight, held_out, data.n_classes)
        del rows  # which nobody needs any more when the held-out ones are scored
        yield from found


@dataclass(frozen=True)
class Preparation:
    """Medians for what is missing, then a mean of 0 and a variance of 1; as scikit-learn's steps of that kind do."""

    median: Real
    mean: Real
    scale: Real

    @classmethod
    def of(cls, X: NDArray[Any]) -> Preparation:
        """What rows (n, n_features) say; a column without values has a median of 0."""
        n = len(X)
        gaps = np.isnan(X)
        median = np.zeros(X.shape[1])
        if gaps.any():
            some = ~gaps.all(axis=0)
            median[some] = np.nanmedian(X[:, some], axis=0)
            X = np.where(gaps, median, X)
        mean = X.mean(axis=0, dtype=np.float64)
        variance = np.zeros(X.shape[1])
        for some in parts(n, BLOCK_ROWS):
            part = X[some] - mean
            variance += np.einsum("ij,ij->j", part, part)
        variance /= n
        # a column is constant where its spread is what rounding makes of its mean
        eps = np.finfo(np.float64).eps
        constant = variance <= n * eps * variance + (n * mean * eps) ** 2
        return cls(median, mean, np.where(constant, 1.0, np.sqrt(variance)))

    def __call__(self, X: NDArray[Any]) -> NDArray[Any]:
        """The same of other rows, in their own floating type."""
        dtype = X.dtype if X.dtype in (np.float32, np.float64) else np.dtype(np.float64)
        out = np.empty(X.shape, dtype)
        for some in parts(len(X), BLOCK_ROWS):
            rows = np.subtract(X[some], self.mean, dtype=np.float64)
            gaps = np.isnan(rows)
            if gaps.any():
                np.copyto(rows, self.median - self.mean, where=gaps)
            np.divide(rows, self.scale, out=out[some], casting="same_kind")
        return out


def fit_cells(
    settings: Mapping[str, Any],
    cells: Sequence[Cell],
    X: Any,
    y: NDArray[np.intp],
    weight: Real | None,
    test_X: Any,
    n_classes: int,
) -> Iterator[tuple[Cell, Prediction]]:
    """All cells of a linear model fitted together, and their logits as one product.

    Parameters
    ----------
    settings : mapping
        Parameters of ``FocalClassifier``: C, fit_intercept, tol, max_iter, and ``options`` of the loss.
    cells : sequence of Cell
        Those with a tau are passed over.
    X : array or sparse matrix (n, n_features)
    y : (n,)
        Class ids, of classes that may be fewer than ``n_classes``.
    weight : (n,), optional
    test_X : (n_test, n_features)
    n_classes : int
    """
    fits = [cell for cell in cells if cell.tau is None]
    classes, targets = np.unique(y, return_inverse=True)
    counts = np.bincount(targets, weight, len(classes)).astype(np.float64)
    weight = np.ones(len(y)) if weight is None else np.asarray(weight, np.float64)
    candidates = [
        candidate_of(
            gamma=cell.gamma, alpha=cell.alpha, keep_hardest=cell.keep_hardest, C=settings.get("C", 1.0),
            classes=classes, counts=counts, options=settings.get("options", {}),
        )
        for cell in fits
    ]  # fmt: skip
    solutions = minimise(
        X, targets, weight, candidates, n_classes=len(classes), fit_intercept=settings.get("fit_intercept", True),
        tol=settings.get("tol", 1e-4), max_iter=settings.get("max_iter", 500),
    )  # fmt: skip
    del X
    for cell, candidate, found, logits in zip(fits, candidates, solutions, _logits(test_X, solutions), strict=True):
        given = recovered(logits, candidate.gamma, None if cell.alpha is None else candidate.class_weight)
        if len(classes) == n_classes:
            posterior = given
        else:
            posterior = np.zeros((len(logits), n_classes))
            posterior[:, classes] = given
        index = (logits > 0).astype(np.intp) if logits.ndim == 1 else logits.argmax(axis=1)
        yield cell, Prediction(posterior, classes[index], logits, found.converged)


def _logits(X: Any, solutions: Sequence[Solution]) -> Iterator[Real]:
    """The logits of models at rows X (n, n_features): (n,) of one logit, otherwise (n, n_logits)."""
    width = len(solutions[0].coef)
    together = max(1, LOGITS // max(1, X.shape[0] * width))
    for first in range(0, len(solutions), together):
        some = solutions[first : first + together]
        coef = np.concatenate([found.coef for found in some]).T
        products = np.empty((X.shape[0], coef.shape[1]))
        for part in parts(X.shape[0], BLOCK_ROWS if isinstance(X, np.ndarray) else max(1, X.shape[0])):
            products[part] = X[part] @ coef
        for i, found in enumerate(some):
            logits = products[:, i * width : (i + 1) * width] + found.intercept
            yield logits[:, 0] if width == 1 else logits
