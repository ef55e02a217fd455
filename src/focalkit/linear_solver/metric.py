"""Directions of descent: L-BFGS over a metric made of the curvature."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from focalkit.engines.cpu.fast import factored, substituted
from focalkit.linear_solver.curvature import blocks_matrix, diagonal, newton_matrix
from focalkit.linear_solver.products import product_of
from focalkit.linear_solver.rows import Model, Rows

NEWTON_PARAMETERS = 160
"""Up to so many coefficients a model has its whole curvature matrix."""

BLOCK_FEATURES = 1024
"""Up to so many features the metric has a block for each class, above it a diagonal."""

MEMORY = 10
"""Pairs of steps and gradient changes that L-BFGS keeps."""

RENEWED = frozenset([0, 4, 12, 30, 80])
"""Steps at which a metric of blocks, or a diagonal, is made anew."""

SLOW = 0.1
"""A whole matrix is made anew where the last step lowered what the next one promises to no less than this share."""


class Metric:
    """Directions by L-BFGS (Nocedal & Wright 2006, algorithm 7.4) over a metric that is made anew now and then.

    The metric is the whole curvature matrix, factored once, each class's block of it, or its diagonal. Between renewals
    the pairs of steps and gradient changes correct it, and a step costs a gradient alone.
    """

    def __init__(self, rows: Rows, n_models: int) -> None:
        self.rows = rows
        if rows.sparse or rows.n_columns > BLOCK_FEATURES:
            self.kind = "diagonal"
        else:
            self.kind = "whole" if rows.n_columns * rows.n_logits <= NEWTON_PARAMETERS else "blocks"
        self.metric: dict[int, NDArray[np.float64]] = {}
        self.age = np.zeros(n_models, int)
        self.promised = np.full(n_models, np.inf)
        self.made_at = np.full(n_models, np.inf)  # the promise where each metric was made
        self.pairs: list[list[tuple[NDArray[np.float64], NDArray[np.float64], float]]] = [[] for _ in range(n_models)]

    def directions(
        self,
        models: Sequence[Model],
        theta: NDArray[np.float64],
        grad: NDArray[np.float64],
        which: NDArray[np.intp],
        enough: NDArray[np.float64],
        settled: NDArray[np.float64],
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """A descent direction for each model, what it promises, and what the step after it should promise.

        A promise is by how much the risk falls along the direction were it quadratic. Near a minimum Newton's steps
        lower it by a share that shrinks; of the first step, and of other methods' steps, nothing is known.
        ``enough`` (n_models,) is the promise below which no metric is made anew, nor is one below ``settled`` that was
        made there: what steps tell of the curvature is then more than what rounding has left of it.
        """
        out, promise, share = np.empty_like(grad), np.full(len(which), np.inf), np.full(len(which), np.inf)
        renew = []
        for i, model in enumerate(which):
            known = int(model) in self.metric
            if known and self.kind == "whole":
                self._point(i, int(model), grad, out, promise, share)
                # twice the change of the curvature along the last step, squared
                done = promise[i] <= enough[i] or 4 * share[i] * promise[i] <= enough[i]
                if done or share[i] < SLOW or self.made_at[model] < settled[i]:
                    share[i] *= 4
                    continue
            if self.kind == "whole" or int(self.age[model]) in RENEWED:
                renew.append(i)
        if renew:
            self._renew([models[i] for i in renew], theta[renew], [int(which[i]) for i in renew])
            self.made_at[which[renew]] = promise[renew]
        made = set(renew)
        for i, model in enumerate(which):
            if i in made or self.kind != "whole":
                self._point(i, int(model), grad, out, promise, share)
        self.age[which] += 1
        self.promised[which] = promise
        ahead = np.full(len(which), np.inf)
        if self.kind == "whole":
            np.multiply(promise, share, out=ahead, where=promise > 0)  # where the gradient is 0 no step was promised
        return out, promise, ahead

    def _point(
        self,
        i: int,
        model: int,
        grad: NDArray[np.float64],
        out: NDArray[np.float64],
        promise: NDArray[np.float64],
        share: NDArray[np.float64],
    ) -> None:
        """The direction of the i-th of some models, its promise, and its share of the last one."""
        out[i] = -self._times(model, grad[i])
        promise[i] = -0.5 * float(np.vdot(out[i], grad[i]))
        share[i] = promise[i] / self.promised[model] if np.isfinite(self.promised[model]) else np.inf

    def surprised(self, model: int) -> None:
        """A step of the model was shortened: what it promised says nothing of the next one."""
        self.promised[model] = np.inf

    def _renew(self, models: Sequence[Model], theta: NDArray[np.float64], which: Sequence[int]) -> None:
        if self.kind == "whole":
            found: NDArray[np.float64] = factored(newton_matrix(self.rows, models, theta))
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
            q = substituted(metric, q)
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
        return np.asarray(np.linalg.inv(matrices), np.float64)
