"""Weighted products of pairs of columns, on every instruction set."""

import numpy as np
import pytest

from focalkit.engines.cpu.fast import weighted_products


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
