"""Directions of descent: L-BFGS over a metric made of the curvature."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from focalkit.engines.cpu.linear import factored, substituted
from focalkit.linear_solver.curvature import blocks_matrix, diagonal, newton_matrix
from focalkit.linear_solver.products import product_of
from focalkit.linear_solver.risk import compiled
from focalkit.linear_solver.rows import NEWTON_PARAMETERS, Model, Rows

BLOCK_FEATURES = 1024
"""Up to so many features the metric has a block for each class, above it a diagonal."""

MEMORY = 10
"""Pairs of steps and gradient changes that L-BFGS keeps."""

RENEWED = (0, 4, 12, 30, 80)
"""Steps at which a metric of blocks, or a diagonal, is made anew."""

SLOW = 0.1
"""A whole matrix is made anew where the last step lowered what the next one promises to no less than this share."""


class Metric:
    """Directions by L-BFGS (Nocedal & Wright 2006, algorithm 7.4) over a metric that is made anew now and then.

    The metric is the whole curvature matrix, factored once, each class's block of it, or its diagonal. Between renewals
    the pairs of steps and gradient changes correct it, and a step costs a gradient alone.
    """

    def __init__(self, rows: Rows, models: Sequence[Model]) -> None:
        self.rows, n_models = rows, len(models)
        few = rows.n_columns * rows.n_logits <= NEWTON_PARAMETERS
        if rows.sparse or rows.n_columns > BLOCK_FEATURES:
            self.kind = "diagonal"
        elif few and (rows.n_logits == 1 or compiled(rows, models)):
            self.kind = "whole"
        else:
            self.kind = "blocks"
        self.metric: NDArray[np.float64] | None = None  # of each model, once the first was made
        self.known = np.zeros(n_models, bool)
        self.age = np.zeros(n_models, int)
        self.promised = np.full(n_models, np.inf)
        self.made_at = np.full(n_models, np.inf)  # the promise where each metric was made
        self.pairs: list[tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]] = []
        """Steps (n_models, p), changes (n_models, p) and their products (n_models,), infinite where there is none."""

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
        out, promise, share = np.zeros_like(grad), np.full(len(which), np.inf), np.full(len(which), np.inf)
        if self.kind != "whole":
            renew = np.isin(self.age[which], RENEWED)
        else:
            known = np.flatnonzero(self.known[which])
            self._point(known, which, grad, out, promise, share)
            # twice the change of the curvature along the last step, squared
            done = (promise <= enough) | (4 * share * promise <= enough)
            good = self.known[which] & (done | (share < SLOW) | (self.made_at[which] < settled))
            share[good] *= 4
            renew = ~good
        if renew.any():
            at = np.flatnonzero(renew)
            self._renew([models[int(i)] for i in at], theta[at], which[at])
            self.made_at[which[at]] = promise[at]
        self._point(np.flatnonzero(renew | (self.kind != "whole")), which, grad, out, promise, share)
        self.age[which] += 1
        self.promised[which] = promise
        ahead = np.full(len(which), np.inf)
        if self.kind == "whole":
            np.multiply(promise, share, out=ahead, where=promise > 0)  # where the gradient is 0 no step was promised
        return out, promise, ahead

    def _point(
        self,
        at: NDArray[np.intp],
        which: NDArray[np.intp],
        grad: NDArray[np.float64],
        out: NDArray[np.float64],
        promise: NDArray[np.float64],
        share: NDArray[np.float64],
    ) -> None:
        """The directions of the models ``at`` some places, their promises, and their shares of the last ones."""
        if not len(at):
            return
        some = grad[at]
        out[at] = -self._times(which[at], some)
        promise[at] = -0.5 * (out[at] * some).sum(axis=(1, 2))
        last = self.promised[which[at]]
        share[at] = np.where(np.isfinite(last), promise[at] / last, np.inf)

    def surprised(self, which: NDArray[np.intp]) -> None:
        """Steps of these models were shortened: what they promised says nothing of the next ones."""
        self.promised[which] = np.inf

    def _renew(self, models: Sequence[Model], theta: NDArray[np.float64], which: NDArray[np.intp]) -> None:
        if self.kind == "whole":
            found: NDArray[np.float64] = factored(newton_matrix(self.rows, models, theta))
        elif self.kind == "blocks":
            found = _inverse(blocks_matrix(self.rows, models, theta))
        else:
            found = 1 / diagonal(self.rows, models, theta)
        if self.metric is None:
            self.metric = np.empty((len(self.known), *found.shape[1:]))
        self.metric[which] = found
        self.known[which] = True
        if self.kind == "whole":
            for _, _, product in self.pairs:
                product[which] = np.inf
            self.pairs = [pair for pair in self.pairs if np.isfinite(pair[2]).any()]

    def _times(self, which: NDArray[np.intp], vectors: NDArray[np.float64]) -> NDArray[np.float64]:
        """The inverse curvature times vectors (n, n_columns, n_logits), each of its model."""
        assert self.metric is not None
        q, taken = vectors.reshape(len(which), -1).copy(), []
        pairs = [
            (step[which], change[which], product[which, None])
            for step, change, product in self.pairs
            if np.isfinite(product[which]).any()
        ]
        for step, change, product in reversed(pairs):
            factor = (step * q).sum(axis=1, keepdims=True) / product
            q -= factor * change
            taken.append(factor)
        if self.kind == "whole":
            q = substituted(self.metric, which, q)
        elif self.kind == "blocks":
            q = np.stack([_blockwise(self.metric[i], v) for i, v in zip(which, q.reshape(vectors.shape), strict=True)])
            q = q.reshape(len(which), -1)
        else:
            q *= self.metric[which].reshape(len(which), -1)
        for (step, change, product), factor in zip(pairs, reversed(taken), strict=True):
            q += (factor - (change * q).sum(axis=1, keepdims=True) / product) * step
        return q.reshape(vectors.shape)

    def forget(self) -> None:
        """Drop the pairs: the risk has changed, and the metric steers still."""
        self.pairs = []

    def learn(self, which: NDArray[np.intp], steps: NDArray[np.float64], changes: NDArray[np.float64]) -> None:
        """Remember models' steps and what they did to their gradients, where the curvature along them is positive."""
        if not len(which):
            return
        steps, changes = steps.reshape(len(which), -1), changes.reshape(len(which), -1)
        product = (steps * changes).sum(axis=1)
        least = 1e-10 * np.sqrt((steps * steps).sum(axis=1) * (changes * changes).sum(axis=1))
        step, change = np.zeros((2, len(self.known), steps.shape[1]))
        of_pair = np.full(len(self.known), np.inf)
        step[which], change[which], of_pair[which] = steps, changes, np.where(product > least, product, np.inf)
        self.pairs = [*self.pairs[1 - MEMORY :], (step, change, of_pair)]


def _blockwise(blocks: NDArray[np.float64], vector: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each class's block (n_logits, n_columns, n_columns) times its part of a vector (n_columns, n_logits)."""
    return np.asarray(np.einsum("kde,ek->dk", blocks, vector))


def _inverse(matrices: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of each of the matrices (..., p, p), one after the other."""
    with product_of(2 * matrices.shape[-1] ** 3):
        return np.asarray(np.linalg.inv(matrices), np.float64)
