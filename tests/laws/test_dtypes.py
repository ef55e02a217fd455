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


@pytest.mark.parametrize("link", ["softmax", "sigmoid"])
@pytest.mark.parametrize("targets", ["hard", "smooth", "soft"])
@pytest.mark.parametrize("normalizer", [1e-30, 1e-39, 1e-44, 1e-100, 1e-300])
def test_over_a_tiny_normalizer_only_what_is_beyond_the_dtype_is_infinite(engine, dtype, link, targets, normalizer):
    if dtype == np.float64:
        pytest.skip("float64 is what the others are compared with")
    z = np.array([[0, -80, 3], [-80, 0, 80], [60, 0, 0], [0, 0, 0.5], [80, -80, 0], [1, 2, 3.0]])
    t = np.array([0, 2, 1, 2, 0, -100])
    if link == "softmax":
        z[0, 1] = -np.inf
    else:
        t = np.where(t[:, None] == -100, -100, t[:, None] == np.arange(3)).astype(int)
    if targets == "soft":
        t = np.eye(3)[[0, 2, 1, 2, 0, 1]].astype(np.float32) if link == "softmax" else np.abs(t % 2 - 0.25)
    smoothing = 0.1 if targets == "smooth" and link == "sigmoid" else 0.0
    spec = LossSpec(link, 2.0, reduction="sum", label_smoothing=smoothing)
    got = engine.loss_grad_hess(spec, z.astype(dtype), t, normalizer=normalizer)
    with np.errstate(over="ignore", invalid="ignore"):
        for part, wide in zip(got, engine.loss_grad_hess(spec, z, t, normalizer=normalizer), strict=True):
            want = np.asarray(wide).astype(dtype).astype(float)
            info = ml_dtypes.finfo(dtype)
            np.testing.assert_allclose(
                np.asarray(part).astype(float), want, rtol=2 * float(info.eps), atol=float(info.smallest_normal)
            )


def test_an_entry_without_a_derivative_has_none_over_a_normalizer_beyond_float64(engine):
    if engine.library == "jax":
        pytest.skip("XLA has no subnormal numbers: the normalizer is refused")
    z = np.array([[0, 3.0, 800], [2, 1, 0]])
    for link, t in (("softmax", np.array([2, -100])), ("sigmoid", np.array([[0, 1, 1], [-100, -100, -100]]))):
        _, grad, hess = engine.loss_grad_hess(LossSpec(link, 2.0, reduction="sum"), z, t, normalizer=1e-320)
        for part in (grad, hess):
            assert not np.isnan(part).any()
            assert not part[1].any()
            assert part[0, 2] == 0
