"""What the curvature of the risk is: all of it, each class's block, or its diagonal; from a sample of the rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from focalkit.engines.cpu.fast import softmax_curvature
from focalkit.linear_solver.products import product_of
from focalkit.linear_solver.risk import logits_of, without_subnormals
from focalkit.linear_solver.rows import BLOCK_BYTES, Model, Rows, parts
from focalkit.losses import loss_grad_hess

PAIR_BYTES = 1 << 27
"""Products of pairs of features are kept where they need no more than this."""


def row_curvature(
    rows: Rows, models: Sequence[Model], theta: NDArray[np.float64]
) -> Iterator[tuple[slice, Any, NDArray[Any], NDArray[Any], NDArray[np.intp]]]:
    """For blocks of the sample: place, features, gradient, Hessian diagonal (n_models, rows[, K]), targets."""
    at, factor = rows.sample()
    targets = rows.targets[at]
    whole = rows.once("sampled", lambda: sampled(rows, at))
    height = max(1024, BLOCK_BYTES // (4 * len(models) * rows.n_logits))
    given = theta.astype(np.float32)
    totals = np.array([model.total for model in models])
    for part in parts(len(targets), height):
        X = whole[part]
        logits = logits_of(X, given) if not rows.sparse else sparse_logits(rows, X, theta)
        grad, hess = np.empty_like(logits), np.empty_like(logits)
        for i, model in enumerate(models):
            weight = model.weight
            if weight is not None:
                weight = weight[at][part]
            if factor is not None:
                weight = factor[part] if weight is None else weight * factor[part]
            weight = np.full(len(targets[part]), 1 / totals[i]) if weight is None else weight / totals[i]
            found = loss_grad_hess(model.spec, logits[i], targets[part], sample_weight=weight)
            grad[i], hess[i] = found.grad, found.hess
        for each in (grad, hess):
            without_subnormals(each, np.full(len(models), 1 / len(rows.targets)))
        yield part, X, grad, hess, targets[part]


def sampled(rows: Rows, at: Any) -> Any:
    """The features that the metric is computed from."""
    return rows.X[at] if rows.sparse else rows.prepared(at, np.float32)


def sparse_logits(rows: Rows, X: Any, theta: NDArray[np.float64]) -> NDArray[np.float32]:
    """Logits of sparse features."""
    product = np.stack([X @ (t[: len(rows.scale)] / rows.scale[:, None]) for t in theta])
    if rows.fit_intercept:
        product += theta[:, -1:, :]
    return np.asarray(product[:, :, 0] if rows.n_logits == 1 else product, np.float32)


def newton_matrix(rows: Rows, models: Sequence[Model], theta: NDArray[np.float64]) -> NDArray[np.float64]:
    """The curvature (n_models, p, p) of all coefficients, p = n_columns * n_logits, in theta's order."""
    D, K = rows.n_columns, rows.n_logits
    if K == len(models) == 1:  # the products of all pairs of columns would be used a few times only
        square = np.zeros((D, D))
        for _, X, _, hess, _ in row_curvature(rows, models, theta):
            square += _weighted(X, np.maximum(hess[0], 0))
        return _regular(square[None], rows.penalties(models)[:, :, 0])
    free = K - (K > 1)  # classes whose blocks are summed: with the last one's, those of a class sum to zero
    upper = np.triu_indices(free)
    sums = np.zeros((len(models), len(upper[0]), D * (D + 1) // 2))
    for part, X, grad, hess, targets in row_curvature(rows, models, theta):
        pairs = _pairs(rows, part, X)
        if K == 1:
            with product_of(2 * hess.size * len(pairs)):
                sums[:, 0] += np.maximum(hess, 0) @ pairs.T
        else:
            weights = np.concatenate([softmax_curvature(g, h, targets) for g, h in zip(grad, hess, strict=True)])
            with product_of(2 * weights.size * len(pairs)):
                sums += (weights @ pairs.T).reshape(sums.shape)
    matrix = np.empty((len(models), D, K, D, K))
    first, second = np.triu_indices(D)
    for at, (k, j) in enumerate(zip(*upper, strict=True)):
        block = np.empty((len(models), D, D))
        block[:, first, second] = sums[:, at]
        block[:, second, first] = sums[:, at]
        matrix[:, :, k, :, j] = block
        matrix[:, :, j, :, k] = block
    if K > 1:
        matrix[:, :, :free, :, free] = -matrix[:, :, :free, :, :free].sum(axis=4)
        matrix[:, :, free, :, :] = -matrix[:, :, :free].sum(axis=2)
    return _regular(matrix.reshape(len(models), D * K, D * K), np.repeat(rows.penalties(models)[:, :, 0], K, axis=1))


def _pairs(rows: Rows, part: slice, X: NDArray[np.float32]) -> NDArray[np.float32]:
    """Products of all pairs of columns (D (D + 1) / 2, rows)."""
    first, second = np.triu_indices(rows.n_columns)
    whole = rows.ready["sampled"]

    def products(of: NDArray[np.float32]) -> NDArray[np.float32]:
        columns = np.ascontiguousarray(of.T)
        return np.asarray(columns[first] * columns[second])

    if 4 * len(whole) * len(first) > PAIR_BYTES:
        return products(X)
    return rows.once("pairs", lambda: products(whole))[:, part]  # type: ignore[no-any-return]


def blocks_matrix(rows: Rows, models: Sequence[Model], theta: NDArray[np.float64]) -> NDArray[np.float64]:
    """The curvature of each class's coefficients (n_models, n_logits, D, D)."""
    D, K = rows.n_columns, rows.n_logits
    sums = np.zeros((len(models), K, D, D))
    for _, X, _, hess, _ in row_curvature(rows, models, theta):
        h = np.maximum(hess, 0).reshape(len(models), -1, K)
        for i in range(len(models)):
            for k in range(K):
                sums[i, k] += _weighted(X, h[i, :, k])
    flat = sums.reshape(len(models) * K, D, D)
    penalties = np.repeat(rows.penalties(models)[:, :, 0], K, axis=0)
    return _regular(flat, penalties).reshape(len(models), K, D, D)


def _weighted(X: NDArray[Any], weight: NDArray[Any]) -> NDArray[Any]:
    """The products of the columns of X (n, d), summed over rows of such weights (n,)."""
    with product_of(2 * X.size * X.shape[1]):
        return np.asarray((X * weight[:, None]).T @ X)


def diagonal(rows: Rows, models: Sequence[Model], theta: NDArray[np.float64]) -> NDArray[np.float64]:
    """The curvature of every coefficient by itself, shaped like theta."""
    out = np.zeros(theta.shape)
    width = len(rows.scale)
    for _, X, _, hess, _ in row_curvature(rows, models, theta):
        h = np.maximum(hess, 0).reshape(len(models), -1, rows.n_logits)
        for i in range(len(models)):
            if rows.sparse:
                out[i, :width] += (X.multiply(X).T @ h[i]) / (rows.scale * rows.scale)[:, None]
                out[i, width:] += h[i].sum(axis=0)
            else:
                out[i] += (X * X).T @ h[i]
    out += rows.penalties(models)
    floor = 1e-6 * out.max(axis=(1, 2), keepdims=True)
    return np.asarray(np.maximum(out, np.maximum(floor, 1e-300)))


def _regular(matrix: NDArray[np.float64], penalties: NDArray[np.float64]) -> NDArray[np.float64]:
    """Add the penalties (m, p) to the diagonals of (m, p, p), and a little where a direction has no curvature."""
    at = np.arange(matrix.shape[1])
    matrix[:, at, at] += penalties
    largest = matrix[:, at, at].max(axis=1, keepdims=True)
    matrix[:, at, at] += np.maximum(1e-7 * matrix[:, at, at], 1e-9 * largest) + 1e-300
    return matrix
