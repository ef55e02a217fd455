"""Defects seen in released losses, each as the sentence that is true here instead."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special
from sklearn.metrics import log_loss

from focalkit import InputError, LossSpec

rng = np.random.default_rng(11)
IMAGE, MASK = rng.normal(size=(2, 3, 4, 4)), rng.integers(3, size=(2, 4, 4))
ROWS, IDS = rng.normal(size=(50, 7)) * 10, rng.integers(7, size=50)


def test_gamma_below_one_has_a_finite_gradient_where_p_t_rounds_to_one(engine):
    for dtype in engine.dtypes:
        z = np.array([20.0, 50.0, 100.0]).astype(dtype)
        _, grad, hess = engine.loss_grad_hess(LossSpec("sigmoid", 0.5, reduction="sum"), z, np.ones(3, int))
        assert np.all(np.isfinite(grad.astype(float)))
        assert np.all(np.isfinite(hess.astype(float)))
        if dtype != np.float16:
            assert np.all(grad[:2] < 0)


@pytest.mark.parametrize("m", [11.125, 12.0, 16.0, 30.0])
def test_easy_samples_keep_their_digits_in_float32(engine, m):
    q = np.exp(-m) / (1 + np.exp(-m))
    for spec, z, t in (
        (LossSpec("sigmoid", 2.0), np.float32([m]), np.array([1])),
        (LossSpec("softmax", 2.0), np.float32([[0.0, m]]), np.array([1])),
    ):
        assert engine.loss(spec, z, t) == pytest.approx(q**2 * np.log1p(np.exp(-m)), rel=2e-6)


@pytest.mark.parametrize("size", [20.0, 1e3, 1e4])
def test_the_gradient_of_a_hopeless_sample_is_minus_its_weight_and_never_clipped(engine, size):
    _, grad, _ = engine.loss_grad_hess(LossSpec(gamma=2.0, alpha=0.5), np.array([[-size, 0.0]]), np.array([0]))
    np.testing.assert_allclose(grad, [[-0.5, 0.5]], rtol=1e-6)


def test_p_t_is_never_taken_from_a_weighted_cross_entropy(engine):
    z, t, alpha = np.array([[0.5, 0.0]]), np.array([0]), 3.0
    p = special.softmax(z, axis=1)[0, 0]
    assert engine.loss(LossSpec(gamma=2.0, alpha=alpha), z, t) == pytest.approx(-alpha * (1 - p) ** 2 * np.log(p))


def test_every_class_id_counts_unless_it_is_the_ignore_index(engine):
    z = np.zeros((3, 3))
    np.testing.assert_allclose(engine.loss(LossSpec(reduction="none"), z, np.array([0, 1, 2])), np.log(3))
    for silent in (-2, -1, 3):
        with pytest.raises(InputError, match=rf"targets must lie in \[0, 3\) or equal ignore_index=-100; got {silent}"):
            engine.loss(LossSpec(), z, np.array([0, silent, 2]))


def test_the_mean_divides_by_counted_pixels_and_not_by_classes_or_ignored_ones(engine):
    mask = MASK.copy()
    mask[0, :2] = -100
    each = engine.loss(LossSpec(gamma=2.0, reduction="none"), IMAGE, mask)
    assert each.shape == (2, 4, 4)
    assert engine.loss(LossSpec(gamma=2.0), IMAGE, mask) == pytest.approx(each.sum() / 24)


def test_an_ignore_index_that_matches_nothing_changes_nothing(engine):
    one, other = (engine.loss_grad_hess(LossSpec(gamma=2.0, ignore_index=i), IMAGE, MASK) for i in (-100, 255))
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


def test_reduction_none_returns_one_loss_per_target(engine):
    assert engine.loss(LossSpec(reduction="none"), IMAGE, MASK).shape == MASK.shape
    z = ROWS[:5, :2]
    assert engine.loss(LossSpec("sigmoid", reduction="none"), z, np.ones((5, 2), int)).shape == (5, 2)


@pytest.mark.parametrize("reduction", ["mean", "weighted_mean", "sum"])
def test_weighted_class_ids_and_one_hot_targets_divide_alike(engine, reduction):
    spec, z, t = (
        LossSpec(alpha=[1.0, 2.0, 5.0], reduction=reduction),
        rng.normal(size=(5, 3)),
        np.array([0, 2, 2, 1, 0]),
    )
    assert engine.loss(spec, z, t) == pytest.approx(engine.loss(spec, z, np.eye(3)[t]), rel=1e-14)


def test_the_weighted_mean_of_cross_entropy_is_that_of_scikit_learn(engine):
    z, t, alpha = ROWS[:9, :3] / 5, np.arange(9) % 3, np.array([1.0, 2.0, 5.0])
    loss = engine.loss(LossSpec(alpha=alpha, reduction="weighted_mean"), z, t)
    assert loss == pytest.approx(log_loss(t, special.softmax(z, axis=1), sample_weight=alpha[t]), rel=1e-12)


@pytest.mark.parametrize("reduction", ["mean", "weighted_mean"])
def test_a_batch_without_positives_is_finite(engine, reduction):
    spec = LossSpec("sigmoid", 2.0, 0.25, reduction=reduction, negatives_per_positive=3.0)
    loss, grad, _ = engine.loss_grad_hess(spec, ROWS[:8, 0], np.zeros(8, int))
    assert np.isfinite(loss)
    assert np.count_nonzero(grad) == 3


def test_targets_of_the_caller_are_never_rewritten(engine):
    mask = np.where(MASK == 2, -100, MASK)
    before = mask.copy()
    engine.loss_grad_hess(LossSpec(gamma=2.0, label_smoothing=0.1), IMAGE, mask)
    np.testing.assert_array_equal(mask, before)


def test_softmax_derivatives_are_not_those_of_a_sigmoid_per_class(engine):
    z, t = np.array([[1.0, -0.5, 0.25]]), np.array([0])
    _, grad, _ = engine.loss_grad_hess(LossSpec("softmax"), z, t)
    _, sigmoid_grad, _ = engine.loss_grad_hess(LossSpec("sigmoid", reduction="sum"), z, np.array([[1, 0, 0]]))
    np.testing.assert_allclose(grad, special.softmax(z, axis=1) - [[1, 0, 0]], rtol=1e-14)
    np.testing.assert_allclose(sigmoid_grad, special.expit(z) - [[1, 0, 0]], rtol=1e-14)
    assert np.abs(grad - sigmoid_grad).min() > 0.05


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0, 5.0])
def test_the_exact_hessian_is_negative_only_where_p_t_is_below_0_0585(engine, gamma):
    p = np.linspace(0.0585, 0.9999, 500)
    hess = engine.loss_grad_hess(LossSpec("sigmoid", gamma, reduction="sum"), special.logit(p), np.ones(500, int))[2]
    assert np.all(hess > 0)
    hard = engine.loss_grad_hess(LossSpec("sigmoid", gamma, reduction="sum"), np.array([-15.0]), np.ones(1, int))[2]
    assert (hard[0] < 0) == (gamma > 0)


@pytest.mark.parametrize("alpha", [np.ones(5), np.ones((5, 1)), [0.5, 0.5]])
def test_an_alpha_that_is_not_one_per_class_is_refused_and_never_broadcast(engine, alpha):
    with pytest.raises(InputError, match="alpha must be a number or"):
        engine.loss(LossSpec(alpha=alpha), np.zeros((5, 3)), np.zeros(5, int))


@pytest.mark.parametrize("weight", [np.ones((5, 1)), np.ones((1, 5)), np.ones(3), np.ones((5, 3)), 1.0])
def test_a_sample_weight_of_another_shape_is_refused_and_never_broadcast(engine, weight):
    with pytest.raises(InputError, match=r"sample_weight must have shape \(5,\); got"):
        engine.loss(LossSpec(), np.zeros((5, 3)), np.zeros(5, int), sample_weight=weight)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_softmax_underflow_is_never_divided_by(engine, gamma):
    z = np.array([[-1e4, 1e4, 0.0]])
    for t, expected in ((0, 2e4), (1, 0.0), (2, 1e4)):
        loss, grad, _ = engine.loss_grad_hess(LossSpec(gamma=gamma), z, np.array([t]))
        assert loss == expected
        np.testing.assert_array_equal(grad, np.eye(3)[[1]] - np.eye(3)[[t]])


def test_right_peers_agree_on_plain_cross_entropy(engine):
    z, t = ROWS, IDS
    expected = -special.log_softmax(z, axis=1)[np.arange(50), t]
    np.testing.assert_allclose(
        engine.loss(LossSpec(reduction="none"), z, t), expected, rtol=1e-12, atol=1e-13
    )  # theirs rounds at the logits' size
    mild = special.softmax(z / 5, axis=1)  # log_loss clips probabilities
    assert engine.loss(LossSpec(), z / 5, t) == pytest.approx(log_loss(t, mild, labels=range(7)), rel=1e-12)
    binary = engine.loss(LossSpec("sigmoid", reduction="none"), z[:, 0], t % 2)
    np.testing.assert_allclose(binary, -special.log_expit(np.where(t % 2, z[:, 0], -z[:, 0])), rtol=1e-13)
