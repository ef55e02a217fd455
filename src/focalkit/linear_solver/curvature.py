"""What the curvature of the risk is: all of it, each class's block, or its diagonal; from a sample of the rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from focalkit.engines.cpu.linear import over_rows
from focalkit.linear_solver.products import product_of
from focalkit.linear_solver.risk import columns_of, compiled, logits_of, without_subnormals
from focalkit.linear_solver.rows import BLOCK_BYTES, SQUARED, Model, Rows, parts
from focalkit.losses import loss_grad_hess


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
    penalties = np.repeat(rows.penalties(models)[:, :, 0], K, axis=1)
    if not compiled(rows, models) or D > SQUARED:  # of one logit
        square = np.zeros((len(models), D, D))
        for _, X, _, hess, _ in row_curvature(rows, models, theta):
            for i, h in enumerate(hess):
                square[i] += _weighted(X, np.maximum(h, 0))
        return _regular(square, penalties)
    entries = max(1, K * (K - 1) // 2)  # of a row's curvature; those of a class sum to zero, which tells the last one's
    sums = np.zeros((len(models), entries, D * (D + 1) // 2))
    at, factor = rows.sample()
    if factor is None:
        for part, columns in rows.column_blocks(np.float32):
            over_rows(*columns_of(models, part, columns), theta, curvature=sums)
    else:
        columns = rows.once("sampled columns", lambda: rows.columns(at, np.float32))
        weights = [factor if model.weight is None else factor * model.weight[at] for model in models]
        kernels = [model.kernel for model in models]
        over_rows(kernels, columns.X, columns.n, columns.targets, weights, theta, curvature=sums)
    sums /= np.array([model.total for model in models])[:, None, None]
    places = rows.once("places", lambda: _places(D))
    if K > 1:
        sums = np.matmul(rows.once("entries", lambda: _entries(K)), sums)
    blocks = sums[:, :, places].reshape(len(models), K, K, D, D).transpose(0, 3, 1, 4, 2)
    return _regular(blocks.reshape(len(models), D * K, D * K), penalties)


def _places(size: int) -> NDArray[np.intp]:
    """Where each entry (size, size) of a symmetric matrix is among those above its diagonal."""
    out = np.empty((size, size), np.intp)
    first, second = np.triu_indices(size)
    out[first, second] = out[second, first] = np.arange(len(first))
    return out


def _entries(n_classes: int) -> NDArray[np.float64]:
    """What of the entries k <= j < n_classes - 1 every entry of a row's curvature is: (n_classes ** 2, n_entries)."""
    free = n_classes - 1
    out = np.zeros((n_classes, n_classes, n_classes * free // 2))
    each = np.arange(free)
    out[each[:, None], each, _places(free)] = 1
    out[:free, free] = -out[:free, :free].sum(axis=1)
    out[free] = -out[:free].sum(axis=0)
    return out.reshape(n_classes * n_classes, -1)


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
    rooted = X * np.sqrt(weight)[:, None]
    with product_of(X.size * X.shape[1]):
        return np.asarray(rooted.T @ rooted)  # half of a symmetric product is known from the other half


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
