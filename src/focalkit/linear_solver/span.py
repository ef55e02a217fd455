r"""Newton's method in the span of the rows, for more features than rows.

The gradient of the penalised risk is :math:`X^\top u + \lambda w` with u its derivative in the logits, so that the
minimum is a combination of the rows, :math:`w = X^\top a` (the representer theorem; Kimeldorf & Wahba 1971). A
Newton step :math:`w + X^\top \delta` with the curvature H of the logits solves

.. math:: (X X^\top + \lambda H^{-1}) \, \delta = -H^{-1} (u + \lambda a) + X w_0, \qquad \textstyle\sum_i \delta_i = 0,

where :math:`w_0` is what of the start lies outside of the span (a full step drops it) and the multiplier of the
constraint is the step of the intercept, exactly. Conjugate gradients solve it over the diagonal, which takes the
rows' very different curvatures out; the constraints hold in every iteration, since the preconditioner projects on
them (Gould, Hribar & Nocedal 2001, algorithm 6.2). What the logits do along a step is known then, and its length
costs no product. Vectors have one number for each row and class, not for each feature and class.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from focalkit._core.spec import LossSpec
from focalkit.linear_solver.products import product_of
from focalkit.linear_solver.rows import NEWTON_PARAMETERS, Model, Rows
from focalkit.losses import loss_grad_hess

GRAM_ROWS = 4096
"""Up to so many rows of a dense table have the matrix of their products."""

INNER = 100
"""Most iterations of conjugate gradients for a step."""

COARSEST, FINEST = 0.2, 1e-2
"""Steps are solved for the more exactly, the nearer the minimum is: to the root of what the last one promised."""

NEAR = 1e-2
"""From a step on that promised so small a share of the risk, the logits are computed in float64."""

Array = NDArray[np.float64]


def spans(rows: Rows, model: Model) -> bool:
    """Whether a model's minimum is a combination of rows that are fewer than the many features."""
    n, width = len(rows.targets), len(rows.scale)
    if rows.n_columns * rows.n_logits <= NEWTON_PARAMETERS or n >= width:
        return False
    plain = model.spec == LossSpec(model.spec.link, model.spec.gamma, reduction="sum")
    return plain and model.penalty > 0 and (rows.sparse or n <= GRAM_ROWS)


def minimise_in_span(rows: Rows, model: Model, theta: Array, tol: float, max_iter: int) -> tuple[Array, int, bool]:
    """Minimise a model's risk; its coefficients (n_columns, n_logits), steps, and whether it converged."""
    n, width, K = len(rows.targets), len(rows.scale), rows.n_logits
    product, rough, squares = _products(rows)
    weight = np.full(n, 1 / model.total) if model.weight is None else model.weight / model.total
    penalty = model.penalty

    def derivatives(logits: Array) -> tuple[float, Array, Array]:
        given = logits[:, 0] if K == 1 else logits
        found = loss_grad_hess(model.spec, given, rows.targets, sample_weight=weight)
        return float(found.loss), found.grad.reshape(n, K), found.hess.reshape(n, K)

    outside = theta[:width] / rows.scale[:, None]
    rest, of_rest = 1.0 if outside.any() else 0.0, np.zeros((n, K))
    if rest:
        of_rest = _logits(rows, outside)
    a, of_a = np.zeros((n, K)), np.zeros((n, K))
    intercept = theta[-1].copy() if rows.fit_intercept else np.zeros(K)
    loss, u, h = derivatives(rest * of_rest + intercept)
    value = loss + 0.5 * penalty * rest * rest * float((outside * outside).sum())
    norm = float((outside * outside).sum())
    step, converged, accuracy = 0, False, COARSEST
    rounded = rough is not product  # the logits are sums of products in float32
    while step < max_iter and not converged:
        curvature = _Curvature(u, h, rows.targets, penalty, squares, rows.fit_intercept)
        gradient = u + penalty * a
        right = rest * of_rest - curvature.inverse(gradient)
        for delta, rough_logits, multiplier in _solve(curvature, rough, right, penalty, accuracy):
            of_delta = rough_logits if rounded or rough is product else product(delta)
            towards = of_delta - rest * of_rest + multiplier  # how the logits change
            # along the step the penalty 0.5 penalty |X'a + rest w0|^2 has this slope and curvature beside the logits'
            slope = float((gradient * towards).sum())
            if rest:
                slope += penalty * rest * (float(((delta - a) * of_rest).sum() + (a * of_rest).sum()) - rest * norm)
            bend = penalty * float((delta * (of_delta - 2 * rest * of_rest)).sum() + rest * rest * norm)
            # what was solved says little of how far the risk falls, until it is solved well
            if slope < 0 and abs(slope + bend + curvature.along(towards)) < -0.3 * slope:
                break
        else:
            break
        decrement = -0.5 * slope
        accuracy = float(np.clip((decrement / value) ** 0.5, FINEST, COARSEST))
        length = 1.0
        logits = of_a + rest * of_rest + intercept
        squared = value - loss  # the penalty now
        along = slope - float((u * towards).sum())
        while length > 1e-8:
            trial, new_u, new_h = derivatives(logits + length * towards)
            new_value = trial + squared + length * along + 0.5 * length * length * bend
            if new_value <= value + 1e-4 * length * slope + 4 * np.finfo(float).eps * abs(value):
                break
            excess = new_value - value - length * slope
            length *= float(np.clip(-length * slope / (2 * excess), 0.1, 0.5)) if excess > 0 else 0.5
        else:
            break
        step += 1
        a += length * delta
        of_a += length * of_delta
        intercept += length * multiplier
        rest *= 1 - length
        value, loss, u, h = new_value, trial, new_u, new_h
        converged = length == 1 and decrement <= tol * tol * value
        if rounded and decrement <= NEAR * value:
            rounded, of_a = False, product(a)
    out = np.empty_like(theta)
    out[:width] = (_pulled(rows, a) + rest * outside) * rows.scale[:, None]
    if rows.fit_intercept:
        out[-1] = intercept
    return out, step, converged


class _Curvature:
    """The inverse of the clipped curvature of every row, and the preconditioner made of it.

    With u = e_t - r the curvature is B u u' + A (diag r - r r'), A = -d1 and B = d2; of a vector v that sums to
    zero its inverse is v_t / B in the true class and v_k / (A r_k) + v_t / A in the others, but for a constant.
    """

    def __init__(
        self, grad: Array, hess: Array, targets: NDArray[np.intp], penalty: float, squares: Array, intercept: bool
    ) -> None:
        n, K = grad.shape
        self.at: Any = (np.arange(n), targets)
        self.several, self.fit_intercept = K > 1, intercept
        least = 1e-9 * penalty / max(float(squares.max()), 1e-300)
        if self.several:
            true = np.maximum(-grad[self.at], least)
            self.slope: Array = 1 / true
            bent = np.maximum(grad, least)
            bent[self.at] = np.maximum(hess[self.at], np.maximum(FLATTEST * true, least))
        else:
            bent = np.maximum(hess, np.maximum(FLATTEST * np.abs(grad), least))
        self.each = 1 / bent
        self.scale = 1 / (penalty * self.each + squares[:, None])
        self.of_row = self.scale.sum(axis=1, keepdims=True)
        between = np.diag(self.scale.sum(axis=0))
        if self.several:
            between -= self.scale.T @ (self.scale / self.of_row)
            between += np.trace(between) / K  # what all classes share has no curvature, and is never asked for
        self.between = np.linalg.inv(between)

    def inverse(self, v: Array) -> Array:
        """The inverse curvature times v (n, n_logits), whose rows sum to zero."""
        out = v * self.each
        if self.several:
            of_true = out[self.at]
            out += (v[self.at] * self.slope)[:, None]
            out[self.at] = of_true
        return out

    def along(self, v: Array) -> float:
        """The curvature along v (n, n_logits), summed over the rows."""
        if not self.several:
            return float((v * v / self.each).sum())
        bent = 1 / self.each
        of_true = bent[self.at]
        bent[self.at] = 0
        moved = bent * v
        mean = moved.sum(axis=1) * self.slope
        apart = v[self.at] - mean
        return float((moved * v).sum() + (of_true * apart * apart - mean * mean / self.slope).sum())

    def project(self, v: Array) -> Array:
        """Scaled so that every row sums to zero."""
        out = v * self.scale
        if self.several:
            out -= self.scale * (out.sum(axis=1, keepdims=True) / self.of_row)
        return out

    def multiplier(self, projected: Array) -> Array:
        """What each class's sum over the rows has to be lowered by, to be zero (n_logits,)."""
        if not self.fit_intercept:
            return np.zeros(projected.shape[1])
        return np.asarray(self.between @ projected.sum(axis=0))

    def precondition(self, v: Array) -> Array:
        """The inverse of the diagonal, projected on both constraints."""
        out = self.project(v)
        if self.fit_intercept:
            out -= self.project(np.broadcast_to(self.multiplier(out), out.shape))
        return out


FLATTEST = 0.2
"""A row's curvature is no less than this much of its slope."""


def _solve(
    curvature: _Curvature, product: Callable[[Array], Array], right: Array, penalty: float, accuracy: float
) -> Iterator[tuple[Array, Array, Array]]:
    """Projected conjugate gradients: delta, its product, and the multipliers of the classes' constraints.

    Whenever the residual has fallen to ``accuracy`` of the first one, and to each further tenth.
    """
    delta, of_delta, rest = np.zeros_like(right), np.zeros_like(right), right
    towards = z = curvature.precondition(rest)
    size = first = float((rest * z).sum())
    for iteration in range(INNER):
        if not size > 0:
            break
        moved = product(towards)
        bent = moved + penalty * curvature.inverse(towards)
        length = size / float((towards * bent).sum())
        delta += length * towards
        of_delta += length * moved
        rest = rest - length * bent
        z = curvature.precondition(rest)
        last, size = size, float((rest * z).sum())
        if size <= accuracy * accuracy * first or iteration == INNER - 1:
            multiplier = curvature.multiplier(curvature.project(rest))
            yield delta, of_delta, multiplier - multiplier.mean() if curvature.several else multiplier
            accuracy *= 0.1
        towards = z + (size / last) * towards


def _products(rows: Rows) -> tuple[Callable[[Array], Array], Callable[[Array], Array], Array]:
    """The function v -> X X' v, the same in float32, and the rows' squared lengths; X less its centre where dense."""
    if not rows.sparse:
        gram = rows.once("gram", lambda: _gram(rows))
        exact = lambda v: gram @ v  # noqa: E731
        return exact, exact, np.diag(gram).copy()
    X = rows.once("float64", lambda: rows.X.astype(np.float64, copy=False))
    squares = rows.once("squares", lambda: np.asarray(X.multiply(X).sum(axis=1), np.float64).ravel())
    exact = lambda v: X @ (X.T @ v)  # noqa: E731
    if not 1e-30 < squares.max() < 1e30:
        return exact, exact, squares
    rough = rows.once("float32", lambda: rows.X.astype(np.float32, copy=False))
    return exact, (lambda v: rough @ (rough.T @ v.astype(np.float32))), squares


def _gram(rows: Rows) -> Array:
    n, width = rows.X.shape
    out = np.zeros((n, n))
    for first in range(0, width, 1024):
        some = slice(first, first + 1024)
        block = np.asarray(rows.X[:, some], np.float64) - rows.centre[some]
        with product_of(2 * n * block.size):
            out += block @ block.T
    return out


def _logits(rows: Rows, coef: Array) -> Array:
    """X less its centre, times coefficients (n_features, n_logits)."""
    return np.asarray(rows.X @ coef - rows.centre @ coef, np.float64)


def _pulled(rows: Rows, a: Array) -> Array:
    """The combination of rows, each less the centre, with coefficients ``a`` (n, n_logits)."""
    return np.asarray(rows.X.T @ a - np.outer(rows.centre, a.sum(axis=0)), np.float64)
