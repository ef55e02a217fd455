"""Passes over the rows of linear models and factors of small matrices, on every instruction set."""

import numpy as np
import pytest

from focalkit._core.spec import LossSpec
from focalkit.engines.cpu.linear import LANES, factored, kernel_of, over_rows, substituted
from focalkit.losses import loss_grad_hess


def columns_of(features: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.pad(features.T, ((0, 0), (0, -len(features) % LANES))))


def curvatures(spec: LossSpec, logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """The clipped curvature of each row (n, K, K): max(d2, 0) u u' - d1 (diag r - r r'), u = e_t - r."""
    found = loss_grad_hess(spec, logits, targets)
    at = np.arange(len(logits)), targets
    d1 = found.grad[at]
    r = np.where(np.eye(logits.shape[1])[targets] == 1, 0, found.grad / -d1[:, None])
    u = np.eye(logits.shape[1])[targets] - r
    bent = np.maximum(found.hess[at], 0)[:, None, None] * u[:, :, None] * u[:, None, :]
    return bent - d1[:, None, None] * (r[:, :, None] * np.eye(r.shape[1]) - r[:, :, None] * r[:, None, :])


@pytest.mark.parametrize("n", [1, 15, 2048, 2100])
@pytest.mark.parametrize("n_columns", [1, 3, 11])
@pytest.mark.parametrize("n_logits", [1, 3, 8])
def test_a_pass_sums_what_the_losses_say(instruction_set: str, n_logits: int, n_columns: int, n: int) -> None:
    rng = np.random.default_rng(n)
    features = rng.normal(size=(n, n_columns)).astype(np.float32)
    targets = rng.integers(max(n_logits, 2), size=n)
    weights = [None, 3 * rng.random(n)]
    specs = [LossSpec("sigmoid" if n_logits == 1 else "softmax", gamma, reduction="sum") for gamma in (0.0, 2.5)]
    theta = rng.normal(size=(2, n_columns, n_logits))
    ids = np.pad(targets, (0, -n % LANES))
    kernels = [kernel_of(spec) for spec in specs]
    pairs = np.triu_indices(n_columns)
    for dtype, tolerance in ((np.float64, 1e-12), (np.float32, 2e-6)):
        loss, grad = np.ones(2), np.ones(theta.shape)
        columns = columns_of(features.astype(dtype))
        over_rows(kernels, columns, n, ids, weights, theta, loss=loss, grad=grad)
        each = np.empty((2, n))
        entries = max(1, n_logits * (n_logits - 1) // 2)
        curvature = np.ones((2, entries, len(pairs[0])))
        over_rows(kernels, columns, n, ids, weights, theta, losses=each)
        if dtype == np.float32:
            over_rows(kernels, columns, n, ids, weights, theta, curvature=curvature)
        for m, spec in enumerate(specs):
            logits = features.astype(np.float64) @ theta[m]
            logits = logits[:, 0] if n_logits == 1 else logits
            found = loss_grad_hess(spec, logits, targets, sample_weight=weights[m])
            close = {"rtol": tolerance, "atol": tolerance * n}
            np.testing.assert_allclose(loss[m], 1 + found.loss, **close)
            of_rows = found.grad.reshape(n, n_logits)
            np.testing.assert_allclose(grad[m], 1 + features.T @ of_rows, **close)
            np.testing.assert_allclose(each[m].sum(), found.loss, **close)
            if dtype == np.float64:
                continue
            if n_logits == 1:
                bent = np.maximum(found.hess, 0)[:, None]
            else:
                bent = curvatures(spec, logits, targets) * (1 if m == 0 else weights[1][:, None, None])
                bent = np.stack([bent[:, k, j] for k in range(n_logits - 1) for j in range(k, n_logits - 1)], axis=1)
            products = features[:, pairs[0]] * features[:, pairs[1]]
            np.testing.assert_allclose(curvature[m], 1 + bent.T @ products, rtol=1e-4, atol=1e-5 * n)


def test_what_does_not_fit_is_refused() -> None:
    kernel = kernel_of(LossSpec("sigmoid", reduction="sum"))
    columns, theta = np.ones((2, 16), np.float32), np.zeros((1, 2, 1))
    for n, ids in ((17, np.zeros(16, int)), (16, np.zeros(15, int))):
        with pytest.raises(ValueError, match="shapes"):
            over_rows([kernel], columns, n, ids, [None], theta, loss=np.zeros(1))
    with pytest.raises(ValueError, match="class"):
        over_rows([kernel], columns, 16, np.full(16, 2), [None], theta, loss=np.zeros(1))
    with pytest.raises(ValueError, match="logits"):
        over_rows([kernel], columns, 16, np.zeros(16, int), [None], np.zeros((1, 2, 3)), loss=np.zeros(1))


@pytest.mark.parametrize("size", [1, 7, 8, 55, 160])
def test_a_factored_matrix_solves_as_numpy_does(instruction_set: str, size: int) -> None:
    rng = np.random.default_rng(size)
    roots = rng.normal(size=(3, size + 2, size))
    matrices = np.matmul(roots.transpose(0, 2, 1), roots) + 0.1 * np.eye(size)
    vectors = rng.normal(size=(2, size))
    found = substituted(factored(matrices), np.array([2, 0]), vectors)
    for matrix, vector, solution in zip(matrices[[2, 0]], vectors, found, strict=True):
        np.testing.assert_allclose(solution, np.linalg.solve(matrix, vector), rtol=1e-9, atol=1e-9)


def test_a_direction_without_curvature_takes_no_step_out_of_bounds(instruction_set: str) -> None:
    root = np.array([1.0, 2.0, -3.0])
    matrix = np.outer(root, root)  # one direction alone has a curvature
    found = substituted(factored(matrix[None]), np.zeros(1, int), root[None])[0]
    assert root @ found == pytest.approx(1)
    assert np.abs(found).max() < 2
