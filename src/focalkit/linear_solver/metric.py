"""Directions of descent: L-BFGS over a metric made of the curvature."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from focalkit.linear_solver.curvature import blocks_matrix, diagonal, newton_matrix
from focalkit.linear_solver.products import product_of
from focalkit.linear_solver.rows import Model, Rows

NEWTON_PARAMETERS = 160
"""Up to so many coefficients a model has its whole curvature matrix."""

BLOCK_FEATURES = 1024
"""Up to so many features the metric has a block for each class, above it a diagonal."""

MEMORY = 10
"""Pairs of steps and gradient changes that L-BFGS keeps."""

RENEWED = {
    "whole": frozenset([0, 2, 4, 7, 11, 16, *range(24, 1000, 12)]),
    "whole of classes": frozenset([0, 3, 8, 15, *range(25, 1000, 15)]),
    "blocks": frozenset([0, 4, 12, 30, 80]),
    "diagonal": frozenset([0, 4, 12, 30, 80]),
}
"""Steps at which the metric is made anew."""


class Metric:
    """Directions by L-BFGS (Nocedal & Wright 2006, algorithm 7.4) over a metric that is made anew now and then.

    The metric is the whole curvature matrix, each class's block of it, or its diagonal. Between renewals the pairs of
    steps and gradient changes correct it, and a step costs a gradient alone.
    """

    def __init__(self, rows: Rows, n_models: int) -> None:
        self.rows = rows
        if rows.sparse or rows.n_columns > BLOCK_FEATURES:
            self.kind = "diagonal"
        else:
            self.kind = "whole" if rows.n_columns * rows.n_logits <= NEWTON_PARAMETERS else "blocks"
        # of several classes the matrix costs many gradients, of two a few
        self.renewed = RENEWED["whole of classes" if self.kind == "whole" and rows.n_logits > 1 else self.kind]
        self.metric: dict[int, NDArray[np.float64]] = {}
        self.age = np.zeros(n_models, int)
        self.pairs: list[list[tuple[NDArray[np.float64], NDArray[np.float64], float]]] = [[] for _ in range(n_models)]

    def directions(
        self, models: Sequence[Model], theta: NDArray[np.float64], grad: NDArray[np.float64], which: NDArray[np.intp]
    ) -> NDArray[np.float64]:
        """A descent direction for each model."""
        renew = [i for i, model in enumerate(which) if int(self.age[model]) in self.renewed]
        if renew:
            self._renew([models[i] for i in renew], theta[renew], [int(which[i]) for i in renew])
        self.age[which] += 1
        return np.stack([-self._times(int(model), grad[i]) for i, model in enumerate(which)])

    def _renew(self, models: Sequence[Model], theta: NDArray[np.float64], which: Sequence[int]) -> None:
        if self.kind == "whole":
            found = _inverse(newton_matrix(self.rows, models, theta))
        elif self.kind == "blocks":
            found = _inverse(blocks_matrix(self.rows, models, theta))
        else:
            found = 1 / diagonal(self.rows, models, theta)
        for model, metric in zip(which, found, strict=True):
            self.metric[model] = metric
            if self.kind == "whole":
                self.pairs[model] = []

    def _times(self, model: int, vector: NDArray[np.float64]) -> NDArray[np.float64]:
        q, taken = vector.ravel().copy(), []
        for step, change, product in reversed(self.pairs[model]):
            factor = float(step @ q) / product
            q -= factor * change
            taken.append(factor)
        metric = self.metric[model]
        if self.kind == "whole":
            q = metric @ q
        elif self.kind == "blocks":
            q = np.einsum("kde,ek->dk", metric, q.reshape(vector.shape)).ravel()
        else:
            q = metric.ravel() * q
        for (step, change, product), factor in zip(self.pairs[model], reversed(taken), strict=True):
            q += (factor - float(change @ q) / product) * step
        return q.reshape(vector.shape)

    def forget(self) -> None:
        """Drop the pairs: the risk has changed, and the metric steers still."""
        self.pairs = [[] for _ in self.pairs]

    def learn(self, which: int, step: NDArray[np.float64], change: NDArray[np.float64]) -> None:
        """Remember a step and what it did to the gradient, where the curvature along it is positive."""
        step, change = step.ravel(), change.ravel()
        product = float(step @ change)
        if product > 1e-10 * float(step @ step) ** 0.5 * float(change @ change) ** 0.5:
            self.pairs[which] = [*self.pairs[which][1 - MEMORY :], (step, change, product)]


def _inverse(matrices: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of each of the matrices (..., p, p), one after the other."""
    with product_of(2 * matrices.shape[-1] ** 3):
        return np.linalg.inv(matrices)
