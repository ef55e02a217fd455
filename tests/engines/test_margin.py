"""The kernel of the asymmetric loss with a margin gathers lanes: nothing of a block shows in what an element gets."""

from __future__ import annotations

import numpy as np
import pytest

from focalkit import LossSpec, loss_grad_hess

GAMMAS = [(1.0, 4.0), (0.0, 2.0), (2.0, 1.0), (0.5, 2.5), (1.0, 0.0), (3.0, 7.0)]


def wanted(z, y, positive, negative, clip):
    """Loss and gradient of each element in float64, by the formula of Ridnik et al. 2021."""
    z = z.astype(np.float64)
    p, q = 1 / (1 + np.exp(z)), 1 / (1 + np.exp(-z))  # of a negative
    v = np.maximum(q - clip, 0)
    n = -np.log1p(-v)
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = np.where(v > 0, p * q * (negative * v ** (negative - 1) * n + v**negative / (1 - v)), 0)
    nll = np.logaddexp(0, -z)
    loss = np.where(y == 1, p**positive * nll, np.where(v > 0, v**negative * n, 0))
    return loss, np.where(y == 1, -(p**positive) * (p + positive * q * nll), slope)


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=lambda t: np.dtype(t).name)
@pytest.mark.parametrize("share", [0.0, 0.05, 0.6, 1.0])
@pytest.mark.parametrize("offset", [-9.0, -4.0, 0.0, 9.0])  # few beyond the margin, half of them, nearly all
def test_every_element_gets_its_own_loss_wherever_the_positives_are(offset, share, dtype, instruction_set):
    rng = np.random.default_rng(int(10 * share + offset) + 9)
    n = 3 * 1024 + 37
    z = (rng.standard_normal(n) * 3 + offset).astype(dtype)
    y = (rng.random(n) < share).astype(dtype)
    for positive, negative in GAMMAS:
        spec = LossSpec("sigmoid", positive, 0.25, gamma_negative=negative, clip=0.05, reduction="sum")
        loss, slope = wanted(z, y, positive, negative, 0.05)
        weight = np.where(y == 1, 0.25, 0.75)
        # q - c of the formula itself rounds
        tolerance = (60 if dtype == np.float32 else 2e4) * float(np.finfo(dtype).eps)
        value, grad, _ = loss_grad_hess(spec, z, y, hess=False)
        assert float(value) == pytest.approx((weight * loss).sum(), rel=tolerance, abs=1e-30)
        np.testing.assert_allclose(grad, weight * slope, rtol=tolerance, atol=1e-9 if dtype == np.float32 else 1e-16)
        alone = loss_grad_hess(spec, z[:1024], y[:1024].astype(np.int64), hess=False)
        np.testing.assert_array_equal(alone.grad, grad[:1024])


@pytest.mark.parametrize("order", ["loss", "gradient", "weighted mean"])
def test_weights_of_the_sides_stay_when_a_block_is_gathered(order, instruction_set):
    rng = np.random.default_rng(3)
    z, y = rng.standard_normal(5 * 1024).astype(np.float32) * 4 - 2, rng.random(5 * 1024) < 0.1
    y = y.astype(np.float32)
    spec = LossSpec("sigmoid", 1.0, 0.8, gamma_negative=4.0, clip=0.05, reduction="weighted_mean")
    loss, slope = wanted(z, y, 1.0, 4.0, 0.05)
    weight = np.where(y == 1, 0.8, 0.2)
    want = (weight * loss).sum() / weight.sum()
    if order == "loss":
        assert float(loss_grad_hess(spec, z, y, hess=False).loss) == pytest.approx(want, rel=1e-6)
    else:
        out = z.copy() if order == "gradient" else np.empty_like(z)
        found = loss_grad_hess(spec, out if order == "gradient" else z, y, hess=False, out=out)  # also in place
        np.testing.assert_allclose(found.grad * weight.sum(), weight * slope, rtol=1e-5, atol=1e-9)


def test_what_is_not_a_number_stays_so_and_infinite_logits_have_their_limits(instruction_set):
    z = np.tile(np.array([np.nan, np.inf, -np.inf, 1.0], np.float32), 512)
    for y in (np.zeros(2048, np.float32), np.ones(2048, np.float32)):
        for gamma in (0.0, 2.0, 4.0, 2.5):
            spec = LossSpec("sigmoid", gamma, gamma_negative=gamma, clip=0.05, reduction="none")
            rows = loss_grad_hess(spec, z, y, hess=False)
            spec = LossSpec("sigmoid", gamma, gamma_negative=gamma, clip=0.05, reduction="sum")
            total = loss_grad_hess(spec, z, y, hess=False)
            assert np.isnan(total.loss)
            for found in (rows.grad, total.grad, rows.loss):
                assert np.array_equal(np.isnan(found), np.isnan(z))
            np.testing.assert_allclose(rows.loss[1::4], 0 if y[0] else 0.95**gamma * -np.log(0.05), rtol=1e-6)
            assert (rows.loss[2::4] == (np.inf if y[0] else 0)).all()
            assert (total.grad[1::4] == 0).all()
            assert (total.grad[2::4] == (-1 if y[0] else 0)).all()


def test_targets_between_0_and_1_behind_a_block_of_others_count_as_what_they_are(instruction_set):
    rng = np.random.default_rng(5)
    z = rng.standard_normal(4096).astype(np.float32)
    y = (rng.random(4096) < 0.2).astype(np.float32)
    y[3000] = 0.5
    spec = LossSpec("sigmoid", 1.0, gamma_negative=4.0, clip=0.05, reduction="sum")
    whole = loss_grad_hess(spec, z, y, hess=False)
    sides = [loss_grad_hess(spec, z[3000:3001], np.full(1, k, np.float32), hess=False) for k in (0.0, 1.0)]
    assert whole.grad[3000] == pytest.approx((float(sides[0].grad[0]) + float(sides[1].grad[0])) / 2, rel=1e-5)
    others = np.arange(4096) != 3000
    left = loss_grad_hess(spec, z[others], y[others], hess=False)
    np.testing.assert_allclose(whole.grad[others], left.grad, rtol=3e-6)
    half = (float(sides[0].loss) + float(sides[1].loss)) / 2
    assert float(whole.loss) == pytest.approx(float(left.loss) + half, rel=1e-6)
