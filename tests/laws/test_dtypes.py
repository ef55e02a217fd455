"""Results have the logits' dtype; sums are wider inside."""

from __future__ import annotations

import math

import ml_dtypes
import numpy as np
import pytest

from focalkit import LossSpec
from tests.budget import DTYPES, HALF, assert_within_budget
from tests.laws.strategies import Problem

Z = np.random.default_rng(5).normal(size=(500, 6)) * 5


@pytest.fixture(params=DTYPES, ids=str)
def dtype(request, engine):
    if request.param not in engine.dtypes:
        pytest.skip(f"{engine.name} does not compute {request.param}")
    return request.param


@pytest.mark.parametrize("link", ["softmax", "sigmoid"])
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("reduction", ["none", "mean", "sum", "weighted_mean"])
def test_results_have_the_dtype_and_shape_of_the_logits(engine, dtype, link, soft, reduction):
    z = Z[:4].astype(dtype)
    t = np.zeros(4, int) if link == "softmax" else np.zeros((4, 6), int)
    t = np.full((4, 6), 1 / 6) if soft else t
    problem = Problem(LossSpec(link, 2.0, 0.5, reduction=reduction), z, t, np.ones(4))
    loss, grad, hess = problem.solve(engine)
    shape = () if reduction != "none" else (z.shape if link == "sigmoid" else (4,))
    for value in (loss, problem.loss(engine)):
        assert np.asarray(value).dtype == dtype
        assert np.shape(value) == shape
    for part in (grad, hess):
        assert part.dtype == dtype
        assert part.shape == z.shape


@pytest.mark.parametrize("reduction", ["none", "mean"])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_narrow_results_are_the_wide_ones_rounded_once(engine, dtype, gamma, reduction):
    z = Z.astype(dtype)
    spec, t = LossSpec(gamma=gamma, reduction=reduction), np.arange(len(z)) % 6
    wide = engine.loss_grad_hess(spec, z.astype(np.float32 if dtype in HALF else np.float64), t)
    for one, other in zip(engine.loss_grad_hess(spec, z, t), wide, strict=True):
        assert_within_budget(one, other, 80.0, gamma, 6, dtype)


def test_sums_of_many_narrow_losses_lose_nothing(engine, dtype):
    if dtype not in HALF and dtype != np.float32:
        pytest.skip("float64 has nothing wider")
    z = np.tile(Z, (-(-40 // engine.thinning), 1)).astype(dtype)
    t = np.zeros(len(z), int)
    each = engine.loss(LossSpec(gamma=0.0, reduction="none"), z.astype(np.float64), t)
    mean = float(engine.loss(LossSpec(gamma=0.0), z, t))
    assert mean == pytest.approx(math.fsum(each) / len(z), rel=2 * float(ml_dtypes.finfo(dtype).eps))


def test_float16_losses_of_hopeless_samples_are_exact(engine):
    if np.float16 not in engine.dtypes:
        pytest.skip("no float16")
    z = np.array([[0.0, 60000.0], [-60000.0, 0.0]], np.float16)
    loss, grad, _ = engine.loss_grad_hess(LossSpec(gamma=2.0, reduction="none"), z, np.array([0, 0]))
    np.testing.assert_array_equal(loss, np.float16([60000, 60000]))
    np.testing.assert_array_equal(grad, np.float16([[-1, 1], [-1, 1]]))
