"""Peers' formulas beside ours: how their arguments map, and where they go wrong.

The formulas are written here as their released code has them, so that nothing of theirs need be installed.
"""

from __future__ import annotations

import numpy as np
import pytest

from focalkit import LossSpec, loss_grad_hess, sigmoid_focal_loss, softmax_cross_entropy

RNG = np.random.default_rng(7)
Z = RNG.normal(size=(60, 4)) * 3
T = RNG.integers(4, size=60)
COUNTS = np.array([5000.0, 500.0, 50.0, 5.0])
PRIOR = COUNTS / COUNTS.sum()
HARD = RNG.integers(2, size=(60, 4))


def softmax(z):
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def cross_entropy(z, t):
    return -np.log(softmax(z)[np.arange(len(z)), t])


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def test_logit_adjustment_as_menon_released_it():
    """google-research/logit_adjustment: logits + tau log(prior + 1e-12), then cross-entropy."""
    theirs = cross_entropy(Z + 1.5 * np.log(PRIOR + 1e-12), T)
    ours = softmax_cross_entropy(Z, T, logit_adjustment={"prior": COUNTS, "tau": 1.5}, reduction="none")
    np.testing.assert_allclose(ours, theirs, rtol=1e-9)


def test_balanced_softmax_as_ren_released_it():
    """jiawei-ren/BalancedMetaSoftmax: logits + log of the counts; a class without samples has no number there."""
    theirs = cross_entropy(Z + np.log(COUNTS), T)
    ours = softmax_cross_entropy(Z, T, logit_adjustment={"prior": COUNTS}, reduction="none")
    np.testing.assert_allclose(ours, theirs, rtol=1e-9)
    with np.errstate(divide="ignore"):
        assert np.isneginf(np.log(0.0))  # and so is every logit of an absent class, for good


def ldam(z, t, largest=0.5, s=30.0):
    """kaidic/LDAM-DRW: m = 1 / n^(1/4), scaled to ``largest``; the true logit less m; times s."""
    m = 1 / np.sqrt(np.sqrt(COUNTS))
    m = m * (largest / m.max())
    moved = z - np.eye(len(COUNTS))[t] * m
    return s * moved, t


def test_ldam_as_cao_released_it():
    ours = softmax_cross_entropy(Z, T, margin={"counts": COUNTS, "largest": 0.5}, scale=30.0, reduction="none")
    np.testing.assert_allclose(ours, cross_entropy(*ldam(Z, T)), rtol=1e-8, atol=1e-12)


def test_a_margin_that_was_scaled_beside_logits_that_were_not_is_another_loss():
    """RIDE and SADE take s m from logits that they do not scale: right only beside a head that is 30 times as large."""
    m = np.array(LossSpec(margin={"counts": COUNTS}).margin)
    theirs = cross_entropy(Z - np.eye(4)[T] * 30.0 * m, T)
    assert theirs.mean() > 3 * softmax_cross_entropy(Z, T, margin=m)
    np.testing.assert_allclose(softmax_cross_entropy(Z, T, margin=30.0 * m, reduction="none"), theirs, rtol=1e-9)


def timm_asymmetric(z, y, gamma_neg=4.0, gamma_pos=1.0, clip=0.05, eps=1e-8):
    """timm.loss.AsymmetricLossMultiLabel, element by element."""
    p = sigmoid(z)
    rest = np.minimum(1 - p + clip, 1)
    log_likelihood = y * np.log(np.maximum(p, eps)) + (1 - y) * np.log(np.maximum(rest, eps))
    pt = p * y + rest * (1 - y)
    return -log_likelihood * (1 - pt) ** (gamma_pos * y + gamma_neg * (1 - y))


def test_the_asymmetric_loss_as_timm_has_it():
    ours = sigmoid_focal_loss(Z, HARD, 1.0, gamma_negative=4.0, clip=0.05, reduction="none")
    np.testing.assert_allclose(ours, timm_asymmetric(Z, HARD), rtol=1e-9, atol=1e-15)


def test_a_clamped_probability_has_no_gradient_where_it_is_needed_most():
    """timm clamps p at 1e-8: a positive at logit -20 costs 18.4 whatever the logit, and learns nothing."""
    z, y = np.array([-20.0, -40.0]), np.array([1, 1])
    assert np.ptp(timm_asymmetric(z, y)) < 1e-6
    ours = loss_grad_hess(LossSpec("sigmoid", 1.0, gamma_negative=4.0, clip=0.05, reduction="none"), z, y)
    np.testing.assert_allclose(ours.loss, [20.0, 40.0], rtol=1e-6)
    np.testing.assert_allclose(ours.grad, [-1.0, -1.0], rtol=1e-6)


def test_the_asymmetric_gradient_as_boosters_copy_it_lacks_a_factor():
    """The derivative of the negatives in the logit has dp/dz = p (1 - p) before both terms, not before one."""
    z = np.linspace(-2, 2, 9)
    p, gamma, clip = sigmoid(z), 4.0, 0.05
    v = np.maximum(p - clip, 0)
    right = p * (1 - p) * (v**gamma / (1 - v) - gamma * v ** (gamma - 1) * np.log(1 - v))
    wrong = v**gamma * p / (1 - v) * (1 - p) - gamma * v ** (gamma - 1) * np.log(1 - v)
    spec = LossSpec("sigmoid", 1.0, gamma_negative=gamma, clip=clip, reduction="none")
    ours = loss_grad_hess(spec, z, np.zeros(9, int)).grad
    np.testing.assert_allclose(ours, right, rtol=1e-9)
    assert (np.abs(wrong - right) > 0.5 * right).all()


def test_quality_focal_loss_as_mmdetection_has_it():
    """mmdet.models.losses.quality_focal_loss: |p - y|^beta times cross-entropy with logits, y the IoU, 0 elsewhere."""
    score = np.where(HARD == 1, RNG.uniform(0.1, 1, HARD.shape), 0.0)
    entropy = np.maximum(Z, 0) - Z * score + np.log1p(np.exp(-np.abs(Z)))
    theirs = entropy * np.abs(sigmoid(Z) - score) ** 2.0
    ours = sigmoid_focal_loss(Z, score, 2.0, quality="quality", reduction="none")
    np.testing.assert_allclose(ours, theirs, rtol=1e-7, atol=1e-14)


def test_varifocal_loss_as_mmdetection_has_it():
    """mmdet.models.losses.varifocal_loss(alpha=0.75, gamma=2, iou_weighted=True): alpha is a weight of zeros alone."""
    score = np.where(HARD == 1, RNG.uniform(0.1, 1, HARD.shape), 0.0)
    entropy = np.maximum(Z, 0) - Z * score + np.log1p(np.exp(-np.abs(Z)))
    p = sigmoid(Z)
    weight = score * (score > 0) + 0.75 * np.abs(p - score) ** 2.0 * (score <= 0)
    ours = sigmoid_focal_loss(
        Z, score, 2.0, quality="varifocal", reduction="none", sample_weight=np.where(score > 0, 1.0, 0.75)
    )
    np.testing.assert_allclose(ours, entropy * weight, rtol=1e-8, atol=1e-14)


def test_poly_loss_as_optax_has_it():
    optax = pytest.importorskip("optax")
    import jax

    with jax.enable_x64(True):
        theirs = optax.losses.poly_loss_cross_entropy(Z, np.eye(4)[T], epsilon=2.0)
    ours = softmax_cross_entropy(Z, T, poly=2.0, reduction="none")
    np.testing.assert_allclose(ours, theirs, rtol=1e-9)


def test_dynamic_fine_tuning_as_its_trainers_write_it():
    """loss = cross_entropy * exp(-cross_entropy.detach()): the same number, and the same gradient."""
    torch = pytest.importorskip("torch")
    z = torch.from_numpy(Z).requires_grad_()
    entropy = torch.nn.functional.cross_entropy(z, torch.from_numpy(T), reduction="none")
    theirs = (entropy * torch.exp(-entropy.detach())).sum()
    (slope,) = torch.autograd.grad(theirs, z)
    ours = loss_grad_hess(LossSpec(dft=1.0, reduction="sum"), Z, T)
    np.testing.assert_allclose(ours.loss, theirs.item(), rtol=1e-10)
    np.testing.assert_allclose(ours.grad, slope.numpy(), rtol=1e-8, atol=1e-14)
