"""What the fits of linear models are computed by: passes of compiled code over rows, and Cholesky's factors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from focalkit._core.spec import LossSpec
from focalkit.engines import _cpu
from focalkit.engines.cpu.fast import plan_of

LANES = 16
"""Columns of features are as long as a multiple of this, with zeros behind the last row."""

Real = NDArray[np.float64]


def kernel_of(spec: LossSpec) -> _cpu.Plan | None:
    """The loss as the kernels read it; None where they have none that computes it in float32 as well."""
    if not spec.has_kernels:
        return None
    plan = plan_of(spec)
    return None if plan.exceeds_float else plan


def over_rows(
    plans: Sequence[_cpu.Plan],
    columns: NDArray[Any],
    n_rows: int,
    targets: NDArray[np.int64],
    weights: Sequence[Real | None],
    theta: Real,
    *,
    loss: Real | None = None,
    grad: Real | None = None,
    curvature: Real | None = None,
    losses: Real | None = None,
) -> None:
    """Add what models' losses, their gradients and curvatures in the coefficients sum to over rows.

    Parameters
    ----------
    plans : (n_models,)
    columns : float32 or float64 (n_columns, padded)
        Features; ``padded`` is a multiple of 16, and zeros follow the last row.
    n_rows : int
    targets : (padded,)
        Class ids.
    weights : (n_models,)
        Of the rows (n_rows,), each in [0, inf), or None.
    theta : (n_models, n_columns, n_logits)
    loss : (n_models,), optional
        Added to.
    grad : (n_models, n_columns, n_logits), optional
        Added to.
    curvature : (n_models, n_entries, n_columns (n_columns + 1) / 2), optional
        Added to: the products of all pairs of columns, a <= b, weighted by the entries (k, j), k <= j < n_logits - 1,
        of the clipped curvature of the rows in their logits, whose rows sum to zero; of one logit, by its own. Columns
        of float32.
    losses : (n_models, n_rows), optional
        Written: each row's weighted loss, without the others.

    Notes
    -----
    Products are of the columns' type; they are summed in it over 2048 rows at most, and in float64 from there on.
    """
    _cpu.over_rows(plans, columns, n_rows, targets, weights, theta, loss, grad, curvature, losses)


def factored(matrices: Real) -> Real:
    """Cholesky's factors U of symmetric matrices (m, p, p), on and above the diagonals: U'U.

    Where rounding has left no positive pivot, the diagonal's own entry takes its place.
    """
    out = np.array(matrices, np.float64, order="C")
    _cpu.factored(out)
    return out


def substituted(factors: Real, which: NDArray[np.intp], vectors: Real) -> Real:
    """The solutions x (n, p) of U'U x = b for each b of ``vectors`` (n, p).

    ``which`` (n,) are the places of their factors among those of :func:`factored` (m, p, p).
    """
    out = np.array(vectors, np.float64, order="C")
    _cpu.substituted(factors, np.ascontiguousarray(which, np.int64), out)
    return out
