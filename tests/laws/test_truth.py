"""Fresh random problems against 60-digit arithmetic, and logits too large for anything else."""

from __future__ import annotations

import itertools

import ml_dtypes
import numpy as np
import pytest
from mpmath import mpf

from focalkit import LossSpec
from tests.budget import QUANTITIES, allowed, assert_within_budget
from tests.golden import truth

GAMMAS = (0.0, 0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0)
WIDE = tuple(np.dtype(t) for t in (np.float64, np.float32))


def random_rows(soft):
    random = np.random.default_rng(17 + soft)
    for i in range(60):
        k, gamma = int(random.integers(2, 6)), float(random.choice(GAMMAS))
        scale = 10.0 ** random.uniform(-1, 4)
        z = (random.normal(size=k) * scale).astype(np.float32)
        if i % 3 == 0:  # saturated: one class leads by 10 to 100
            z = (random.normal(size=k) + random.uniform(10, 100) * (np.arange(k) == random.integers(k))).astype(
                np.float32
            )
        alpha = random.uniform(0.1, 4, k).astype(np.float32).astype(float)
        y = random.dirichlet(np.full(k, 0.5)).astype(np.float32) if soft else np.eye(k, dtype=np.float32)[i % k]
        weights = [mpf(float(a)) * mpf(float(b)) for a, b in zip(alpha, y, strict=True)]
        yield z, y, gamma, alpha, truth.row_values([float(v) for v in z], weights, [gamma] * k)


@pytest.fixture(scope="module", params=[False, True], ids=["hard", "soft"])
def rows(request):
    return request.param, list(random_rows(request.param))


@pytest.mark.parametrize("dtype", WIDE, ids=str)
def test_random_softmax_rows_keep_the_budget(engine, rows, dtype):
    soft, drawn = rows
    if dtype not in engine.dtypes:
        pytest.skip(f"{engine.name} does not compute {dtype}")
    for z, y, gamma, alpha, expected in engine.thinned(drawn):
        target = y[None] if soft else np.array([int(np.argmax(y))])
        got = engine.loss_grad_hess(LossSpec("softmax", gamma, alpha, reduction="none"), z[None].astype(dtype), target)
        for name, result in zip(QUANTITIES, (got[0], got[1][0], got[2][0]), strict=True):
            value = np.array([float(v.value) for v in expected[name]])
            condition = np.array([v.condition for v in expected[name]])
            assert_within_budget(result, value, condition, gamma, len(z), dtype, max(alpha))


@pytest.mark.parametrize("dtype", WIDE, ids=str)
def test_random_soft_sigmoid_elements_keep_the_budget(engine, dtype):
    if dtype not in engine.dtypes:
        pytest.skip(f"{engine.name} does not compute {dtype}")
    random = np.random.default_rng(19)
    z = (random.normal(size=60) * 10 ** random.uniform(-1, 4, 60)).astype(np.float32)
    z[::3] = random.uniform(-100, 100, 20).astype(np.float32)
    y = np.where(np.arange(60) % 5 == 0, 0, random.random(60)).astype(np.float32)
    alpha = 0.25
    for gamma in GAMMAS:
        spec = LossSpec("sigmoid", gamma, alpha, reduction="none")
        got = engine.loss_grad_hess(spec, z.astype(dtype), y)
        for i, (m, share) in enumerate(zip(z.tolist(), y.tolist(), strict=True)):
            positive, negative = truth.margin_values(m, gamma), truth.margin_values(-m, gamma)
            for column, sign, result in zip(("loss", "d1", "d2"), (1, -1, 1), got, strict=True):
                up, down = mpf(share) * alpha, (1 - mpf(share)) * (1 - alpha)
                value = up * positive[column].value + sign * down * negative[column].value
                scale = up * positive[column].scale + down * negative[column].scale
                condition = float(scale / abs(value)) if value else 1.0
                assert_within_budget(result[i], float(value), condition, gamma, 2, dtype)


@pytest.mark.parametrize("size", [50.0, 88.0, 120.0, 750.0, 1e4, 1e30, 5e37, 1e300])
@pytest.mark.parametrize("link", ["softmax", "sigmoid"])
def test_finite_logits_of_any_size_give_no_nan_and_no_infinity(engine, size, link):
    signs = np.array([[1, -1, 0], [-1, 1, 1], [-1, -1, -1], [0, 0, 0]])
    n_targets = 3 if link == "softmax" else 2
    targets = [np.full(4 if link == "softmax" else (4, 3), t) for t in range(n_targets)] + [np.full((4, 3), 1 / 3)]
    dtypes = [dtype for dtype in engine.dtypes if 4 * size <= float(ml_dtypes.finfo(dtype).max)]
    calls = itertools.product(dtypes, (*GAMMAS, 0.01, 4.5), (0.0, 0.1), targets)
    for dtype, gamma, smoothing, t in engine.thinned(calls):
        spec = LossSpec(link, gamma, 0.25, reduction="none", label_smoothing=smoothing)
        for part in engine.loss_grad_hess(spec, (signs * size).astype(dtype), t):
            assert np.all(np.isfinite(part.astype(np.float64)))


def test_the_budget_can_be_broken_by_the_naive_formula():
    """The tolerance is worth something: float32 1 - p is far outside of it at log-odds 12."""
    z, one = np.float32(12.0), np.float32(1)  # before NumPy 2 a number of Python's made float64 of them
    p = one / (one + np.exp(-z))
    naive = -((one - p) ** np.float32(2)) * np.log(p)
    exact = truth.margin_values(12.0, 2.0)["loss"]
    assert abs(float(naive) - float(exact.value)) > 20 * allowed(float(exact.value), exact.condition, 2, 2, np.float32)
