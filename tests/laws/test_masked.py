"""A logit of -inf is a class that cannot be."""

from __future__ import annotations

import numpy as np
import pytest

from focalkit import LossSpec

GAMMAS = (0.0, 0.5, 2.0, 5.0)
Z = np.array([[1.0, 0.5, -2.0, 3.0], [4.0, -1.0, 0.0, 25.0]])
MASKED = np.insert(Z, 2, -np.inf, axis=1)


def targets_without_and_with_the_masked_class(soft):
    if soft:
        y = np.array([[0.5, 0.25, 0.25, 0.0], [0.125, 0.0, 0.125, 0.75]])
        return y, np.insert(y, 2, 0.0, axis=1)
    return np.array([2, 3]), np.array([3, 4])


@pytest.mark.parametrize("gamma", GAMMAS)
@pytest.mark.parametrize("soft", [False, True])
def test_a_masked_class_leaves_the_others_as_if_it_were_not_there(engine, gamma, soft):
    spec = LossSpec(gamma=gamma, reduction="none")
    t, masked_t = targets_without_and_with_the_masked_class(soft)
    loss, grad, hess = engine.loss_grad_hess(spec, MASKED, masked_t)
    for part in (grad, hess):
        np.testing.assert_array_equal(part[:, 2], 0.0)
    got = loss, np.delete(grad, 2, axis=1), np.delete(hess, 2, axis=1)
    for one, other in zip(got, engine.loss_grad_hess(spec, Z, t), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-14)


@pytest.mark.parametrize("gamma", GAMMAS)
@pytest.mark.parametrize("soft", [False, True])
def test_a_true_class_that_is_masked_has_infinite_loss_and_the_gradient_of_a_hopeless_sample(engine, gamma, soft):
    t = np.eye(5)[[2, 2]] if soft else np.array([2, 2])
    loss, grad, hess = engine.loss_grad_hess(LossSpec(gamma=gamma, alpha=0.5, reduction="none"), MASKED, t)
    assert np.all(loss == np.inf)
    np.testing.assert_array_equal(grad[:, 2], -0.5)
    others = np.exp(Z - Z.max(1, keepdims=True))
    others /= others.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(np.delete(grad, 2, axis=1), 0.5 * others, rtol=1e-14)
    np.testing.assert_array_equal(hess[:, 2], 0.0)


@pytest.mark.parametrize("gamma", GAMMAS)
@pytest.mark.parametrize("t", [np.array([1]), np.array([[0.0, 1.0, 0.0]])])
def test_the_only_class_that_can_be_has_no_loss(engine, gamma, t):
    z = np.array([[-np.inf, 3.0, -np.inf]])
    for part in engine.loss_grad_hess(LossSpec(gamma=gamma), z, t):
        np.testing.assert_array_equal(part, np.zeros_like(part))


@pytest.mark.parametrize("t", [np.array([1]), np.array([[0.25, 0.5, 0.25]])])
def test_a_row_in_which_no_class_can_be_is_nan(engine, t):
    assert np.isnan(engine.loss(LossSpec(gamma=2.0), np.full((1, 3), -np.inf), t))


@pytest.mark.parametrize("gamma", GAMMAS)
def test_a_sigmoid_logit_of_minus_infinity_is_a_certain_negative(engine, gamma):
    spec = LossSpec("sigmoid", gamma, reduction="none")
    loss, grad, hess = engine.loss_grad_hess(spec, np.array([-np.inf, -np.inf]), np.array([0, 1]))
    np.testing.assert_array_equal(loss, [0.0, np.inf])
    np.testing.assert_array_equal(grad, [0.0, -1.0])
    np.testing.assert_array_equal(hess, [0.0, 0.0])


def test_a_weight_of_zero_silences_an_infinite_loss(engine):
    spec = LossSpec(alpha=[0.0, 1.0, 1.0])
    assert engine.loss(spec, np.array([[-np.inf, 1.0, 2.0]]), np.array([0])) == 0
    assert engine.loss(LossSpec(), np.array([[-np.inf, 1.0, 2.0]]), np.array([0]), sample_weight=[0.0]) == 0
