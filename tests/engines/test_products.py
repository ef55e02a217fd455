"""Weighted products of pairs of columns and factors of small matrices, on every instruction set."""

import numpy as np
import pytest

from focalkit.engines.cpu.fast import factored, substituted, weighted_products


@pytest.mark.parametrize("n_columns", [1, 3, 4, 11])
@pytest.mark.parametrize("n_weights", [1, 2, 7])
@pytest.mark.parametrize("n", [1, 15, 512, 1100])
def test_weighted_products_are_numpys(instruction_set: str, n: int, n_weights: int, n_columns: int) -> None:
    rng = np.random.default_rng(n)
    columns = rng.normal(size=(n_columns, n + 5)).astype(np.float32)
    weights = rng.random((n_weights, n)).astype(np.float32)
    first, second = np.triu_indices(n_columns)
    sums = np.ones((n_weights, len(first)))
    weighted_products(columns, 3, weights, sums)
    part = columns[:, 3 : 3 + n].astype(np.float64)
    expected = 1 + weights.astype(np.float64) @ (part[first] * part[second]).T
    np.testing.assert_allclose(sums, expected, rtol=0, atol=1e-6 * n)


def test_rows_that_are_not_there_are_refused() -> None:
    with pytest.raises(ValueError, match="shapes"):
        weighted_products(np.ones((2, 10), np.float32), 5, np.ones((1, 6), np.float32), np.zeros((1, 3)))


@pytest.mark.parametrize("size", [1, 7, 8, 55, 160])
def test_a_factored_matrix_solves_as_numpy_does(instruction_set: str, size: int) -> None:
    rng = np.random.default_rng(size)
    roots = rng.normal(size=(3, size + 2, size))
    matrices = np.matmul(roots.transpose(0, 2, 1), roots) + 0.1 * np.eye(size)
    vector = rng.normal(size=size)
    for matrix, factor in zip(matrices, factored(matrices.transpose(0, 2, 1)), strict=True):
        np.testing.assert_allclose(substituted(factor, vector), np.linalg.solve(matrix, vector), rtol=1e-9, atol=1e-9)


def test_a_direction_without_curvature_takes_no_step_out_of_bounds(instruction_set: str) -> None:
    root = np.array([1.0, 2.0, -3.0])
    matrix = np.outer(root, root)  # one direction alone has a curvature
    found = substituted(factored(matrix[None])[0], root)
    assert root @ found == pytest.approx(1)
    assert np.abs(found).max() < 2
