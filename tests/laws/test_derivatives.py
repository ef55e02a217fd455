"""Gradient and Hessian against differences of the loss and of the gradient."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

from tests.laws.strategies import problems

STEP = 2.0**-9


@pytest.fixture(scope="module")
def float64_engine(engine):
    if np.float64 not in engine.dtypes:
        pytest.skip(f"{engine.name} does not compute float64, which differences need")
    return engine


def differentiate(f, x):
    """Central differences of the sixth order; their error is near STEP**6 and eps / STEP."""
    shares = {1: 3 / 4, 2: -3 / 20, 3: 1 / 60}
    return sum(c * (f(x + i * STEP) - f(x - i * STEP)) for i, c in shares.items()) / STEP


def column_moved(problem, j):
    def at(offset):
        logits = problem.logits.copy()
        logits[:, j] += offset
        return problem.but(logits=logits)

    return at


def tolerance(problem):
    alpha, gamma = np.max(problem.spec.alpha or 1.0), np.max(problem.spec.gamma)
    return 3e-11 * max(alpha, 1.0) * (1 + gamma) ** 2 * 3.0 * (1 + np.abs(problem.logits).max())


@given(problem=problems())
def test_the_gradient_is_the_derivative_of_the_loss(float64_engine, problem):
    _, grad, _ = problem.solve(float64_engine)
    for j in range(grad.shape[1]):
        at = column_moved(problem, j)

        def loss(offset, at=at):
            value = at(offset).loss(float64_engine)
            return value if value.ndim == 1 else value.sum(axis=1)

        np.testing.assert_allclose(grad[:, j], differentiate(loss, 0.0), rtol=0, atol=tolerance(problem))


@given(problem=problems())
def test_the_hessian_is_the_diagonal_derivative_of_the_gradient(float64_engine, problem):
    hess = problem.solve(float64_engine)[2]
    for j in range(hess.shape[1]):
        at = column_moved(problem, j)

        def grad(offset, at=at, j=j):
            return at(offset).solve(float64_engine, hess=False)[1][:, j]

        np.testing.assert_allclose(hess[:, j], differentiate(grad, 0.0), rtol=0, atol=tolerance(problem))


@pytest.mark.parametrize("reduction", ["mean", "sum", "weighted_mean"])
@given(problem=problems())
def test_derivatives_are_those_of_the_reduced_loss(float64_engine, problem, reduction):
    problem = problem.but(reduction=reduction)
    _, grad, _ = problem.solve(float64_engine)
    direction = np.cos(np.arange(grad.size)).reshape(grad.shape)

    def loss(offset):
        return problem.but(logits=problem.logits + offset * direction).loss(float64_engine)

    slope = differentiate(loss, 0.0)
    np.testing.assert_allclose(np.sum(grad * direction), slope, rtol=0, atol=tolerance(problem) * grad.size)
