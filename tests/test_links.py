"""Logits to log-odds and back in their own precision, as every transcription has to do it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from focalkit._core import definition, links
from tests.budget import QUANTITIES, assert_within_budget, softmax_cases

WIDE = (np.dtype(np.float32), np.dtype(np.float64))


def hard(z, target, gamma, alpha):
    ids = np.array([target])
    m, r, rest = links.softmax_log_odds(z, ids, np)
    loss, d1, d2 = (alpha[ids] * f(m, gamma[ids], np) for f in (definition.loss, definition.d1, definition.d2))
    true = links.one_hot(ids, z, np)
    return loss, links.softmax_gradient(d1, true, r, np)[0], links.softmax_hessian(d1, d2, true, r, rest, np)[0]


def soft(z, target, gamma, alpha):
    m, leading, r, rest = links.softmax_log_odds_all(z, np)
    p, q, _ = definition.probabilities(m, np)
    weight = np.array([target], z.dtype) * alpha
    loss = definition.loss(m, gamma, np)
    loss = np.where(weight > 0, weight * loss, 0).sum(-1, dtype=z.dtype)
    d1, d2 = weight * definition.d1(m, gamma, np), weight * definition.d2(m, gamma, np)
    grad = links.softmax_gradient_soft(d1, p, q, leading, r, np)[0]
    return loss, grad, links.softmax_hessian_soft(d1, d2, p, q, leading, r, rest, np)[0]


@pytest.mark.parametrize("dtype", WIDE, ids=str)
@pytest.mark.parametrize("as_soft", [False, True], ids=["as given", "all as soft targets"])
def test_links_keep_the_budget_in_their_own_precision(dtype, as_soft):
    for case in softmax_cases():
        k, target = len(case["logits"]), case["target"]
        parameters = [
            np.broadcast_to(np.asarray(1.0 if v is None else v, dtype), (k,)) for v in (case["gamma"], case["alpha"])
        ]
        z = case["logits"][None].astype(dtype)
        with np.errstate(all="ignore"):
            if isinstance(target, int) and not as_soft:
                got = hard(z, target, *parameters)
            else:
                y = [float(j == target) for j in range(k)] if isinstance(target, int) else target
                got = soft(z, y, *parameters)
        for name, result in zip(QUANTITIES, got, strict=True):
            weight = max(parameters[1])
            assert_within_budget(result, case[name], case[name + "_condition"], case["gamma"], k, dtype, weight)


@given(st.lists(st.integers(0, 2**30), min_size=1, max_size=8))
def test_the_exclusive_sum_is_the_sum_of_the_others(integers):
    x = np.array(integers, float)
    expected = [sum(integers) - v for v in integers]
    np.testing.assert_array_equal(links.exclusive_sum(x, np), expected)


def test_the_exclusive_sum_of_the_largest_keeps_the_digits_of_the_small():
    x = np.array([[1e-30, 1.0, 2e-30], [3.0, 1e-20, 0.0]])
    np.testing.assert_allclose(links.exclusive_sum(x, np)[[0, 1], [1, 0]], [3e-30, 1e-20], rtol=1e-15)
    np.testing.assert_allclose(links.exclusive_sum(x, np)[0, [0, 2]], [1.0, 1.0], rtol=1e-15)


def test_log_odds_are_those_of_the_softmax_probability():
    z = np.random.default_rng(0).normal(size=(20, 5)) * 3
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    expected = np.log(p / (1 - p))
    for k in range(5):
        m, r, rest = links.softmax_log_odds(z, np.full(20, k), np)
        np.testing.assert_allclose(m, expected[:, k], rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(r.sum(axis=1), 1, rtol=1e-15)
        np.testing.assert_allclose(r + rest, np.ones((20, 5)), rtol=1e-14)
        assert np.all(r[:, k] == 0)
    np.testing.assert_allclose(links.softmax_log_odds_all(z, np)[0], expected, rtol=1e-12, atol=1e-14)


def test_one_minus_r_is_never_a_cancelled_subtraction():
    _, r, rest = links.softmax_log_odds(np.array([[0.0, 50.0, 1.0]]), np.array([0]), np)
    assert r[0, 1] == 1
    assert rest[0, 1] == pytest.approx(np.exp(-49.0), rel=1e-14)
