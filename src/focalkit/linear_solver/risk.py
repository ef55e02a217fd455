"""The penalised focal risk of many models, its gradient, and the losses of the rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from focalkit.engines.cpu.linear import over_rows
from focalkit.linear_solver.held import joined
from focalkit.linear_solver.products import product_of
from focalkit.linear_solver.rows import Columns, Model, Rows
from focalkit.losses import loss_grad_hess


def risk(
    rows: Rows, models: Sequence[Model], theta: NDArray[np.float64], dtype: Any
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Risks (n_models,) and gradients shaped like theta (n_models, n_columns, n_logits)."""
    if rows.sparse:
        return _sparse_risk(rows, models, theta)
    values = np.zeros(len(models))
    grads = np.zeros(theta.shape)
    if compiled(rows, models):
        for part, columns in rows.column_blocks(dtype):
            over_rows(*columns_of(models, part, columns), theta, loss=values, grad=grads)
        return _with_penalty(rows, models, theta, values, grads)
    given = theta.astype(dtype)
    sizes = np.array([model.total for model in models]) / max(len(rows.targets), 1)
    for part, X in rows.blocks(len(models), dtype):
        logits = logits_of(X, given)
        for i, model in enumerate(models):
            weight = None if model.weight is None else model.weight[part]
            if model.spec.gamma_steps is not None:
                values[i] += float(joined(model.spec, logits[i], rows.targets[part], weight).sum())
            found = loss_grad_hess(
                model.spec, logits[i], rows.targets[part], sample_weight=weight, hess=False, out=logits[i]
            )
            values[i] += float(found.loss)
        grads += pulled(X, without_subnormals(logits, sizes))
    return _with_penalty(rows, models, theta, values, grads)


def compiled(rows: Rows, models: Sequence[Model]) -> bool:
    """Whether passes over these rows are compiled."""
    return rows.narrow and all(model.kernel is not None for model in models)


def columns_of(
    models: Sequence[Model], part: slice, columns: Columns
) -> tuple[list[Any], NDArray[Any], int, NDArray[np.int64], list[NDArray[np.float64] | None]]:
    """What a compiled pass is given of the models and of the rows ``part``."""
    weights = [None if model.weight is None else model.weight[part] for model in models]
    return [model.kernel for model in models], columns.X, columns.n, columns.targets, weights


def _sparse_risk(
    rows: Rows, models: Sequence[Model], theta: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    values, grads = np.zeros(len(models)), np.zeros(theta.shape)
    width = len(rows.scale)
    for i, model in enumerate(models):
        logits = np.asarray(rows.X @ (theta[i, :width] / rows.scale[:, None]), np.float64)
        if rows.fit_intercept:
            logits += theta[i, -1]
        flat = logits[:, 0] if rows.n_logits == 1 else logits
        found = loss_grad_hess(model.spec, flat, rows.targets, sample_weight=model.weight, hess=False)
        grad = found.grad.reshape(-1, rows.n_logits)
        values[i] = float(found.loss)
        if model.spec.gamma_steps is not None:
            values[i] += float(joined(model.spec, flat, rows.targets, model.weight).sum())
        grads[i, :width] = (rows.X.T @ grad) / rows.scale[:, None]
        if rows.fit_intercept:
            grads[i, -1] = grad.sum(axis=0)
    return _with_penalty(rows, models, theta, values, grads)


def _with_penalty(
    rows: Rows,
    models: Sequence[Model],
    theta: NDArray[np.float64],
    values: NDArray[np.float64],
    grads: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    totals = np.array([model.total for model in models])
    penalties = rows.penalties(models)
    values = values / totals + 0.5 * (penalties * theta * theta).sum(axis=(1, 2))
    return values, grads / totals[:, None, None] + penalties * theta


def losses(rows: Rows, models: Sequence[Model], theta: NDArray[np.float64], dtype: Any) -> NDArray[np.float64]:
    """Every row's weighted loss, (n_models, n)."""
    out = np.empty((len(models), len(rows.targets)))
    if compiled(rows, models):
        for part, columns in rows.column_blocks(dtype):
            of_part = np.empty((len(models), columns.n))
            over_rows(*columns_of(models, part, columns), theta, losses=of_part)
            out[:, part] = of_part
        return out
    given = theta.astype(dtype)
    parts: Any = [(slice(None), None)] if rows.sparse else rows.blocks(len(models), dtype)
    for part, X in parts:
        if X is None:
            product = np.stack([rows.X @ (t[: len(rows.scale)] / rows.scale[:, None]) for t in theta])
            if rows.fit_intercept:
                product += theta[:, -1:, :]
            logits = product[:, :, 0] if rows.n_logits == 1 else product
        else:
            logits = logits_of(X, given)
        for i, model in enumerate(models):
            weight = None if model.weight is None else model.weight[part]
            found = loss_grad_hess(model.each, logits[i], rows.targets[part], sample_weight=weight, hess=False)
            out[i, part] = found.loss
            if model.spec.gamma_steps is not None:
                out[i, part] += joined(model.spec, logits[i], rows.targets[part], weight)
    return out


def logits_of(X: NDArray[Any], theta: NDArray[Any]) -> NDArray[Any]:
    """(n_models, rows) for one logit, otherwise (n_models, rows, n_logits)."""
    if theta.shape[2] == 1:
        with product_of(2 * len(X) * theta.size):
            return np.asarray(theta[:, :, 0] @ X.T)
    with product_of(2 * len(X) * theta[0].size):
        return np.asarray(np.matmul(X, theta))


def without_subnormals(values: NDArray[Any], sizes: NDArray[np.float64]) -> NDArray[Any]:
    """Zero, in place, what is too small to count beside ``sizes`` (n_models,).

    The gradient of a row falls with the power gamma + 1 of its doubt, and products with subnormal numbers take a
    hundred times as long as others.
    """
    small = (sizes * np.sqrt(np.finfo(values.dtype).tiny)).astype(values.dtype)
    small = small.reshape(-1, *(1,) * (values.ndim - 1))
    values += small
    values -= small
    return values


def pulled(X: NDArray[Any], grad: NDArray[Any]) -> NDArray[Any]:
    """The gradient in theta from the one in the logits."""
    if grad.ndim == 2:
        with product_of(2 * grad.size * X.shape[1]):
            return np.asarray(grad @ X)[:, :, None]
    with product_of(2 * grad[0].size * X.shape[1]):
        return np.asarray(np.matmul(X.T, grad))
