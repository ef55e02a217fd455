"""What must be equal to what, whoever computes it."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from focalkit import LossSpec
from tests.laws.strategies import Problem, assert_same, problems

hard_softmax = problems(links=["softmax"], soft=[False])
hard_sigmoid = problems(links=["sigmoid"], soft=[False])


def row_scale(problem):
    """(n, 1): bounds the terms of any derivative of a row."""
    alpha, gamma = np.max(problem.spec.alpha or 1.0), np.max(problem.spec.gamma)
    weight = np.ones(len(problem.logits)) if problem.sample_weight is None else problem.sample_weight
    return (weight * max(alpha, 1.0) * (1 + gamma) ** 2 * (1 + np.abs(problem.logits).max()))[:, None]


def assert_same_solution(actual, expected, problem, bits=8):
    scale = row_scale(problem)
    for one, other in zip(actual, expected, strict=True):
        assert_same(one, other, bits, np.broadcast_to(scale, np.shape(one)) if np.ndim(one) > 1 else scale[:, 0])


@given(problem=hard_softmax)
def test_gamma_zero_is_balanced_softmax_cross_entropy(engine, problem):
    problem = problem.but(gamma=0.0)
    log_p = special.log_softmax(problem.logits, axis=1)
    p, rows = np.exp(log_p), np.arange(len(log_p))
    weight = problem.alpha_t * (1.0 if problem.sample_weight is None else problem.sample_weight)
    onehot = np.arange(p.shape[1]) == problem.targets[:, None]
    expected = -weight * log_p[rows, problem.targets], weight[:, None] * (p - onehot), weight[:, None] * p * (1 - p)
    assert_same_solution(problem.solve(engine), expected, problem)


@given(problem=hard_sigmoid)
def test_gamma_zero_is_balanced_sigmoid_cross_entropy(engine, problem):
    problem = problem.but(gamma=0.0)
    alpha = np.asarray(0.5 if problem.spec.alpha is None else problem.spec.alpha)
    weight = np.where(problem.targets == 1, alpha, 1 - alpha) * (2.0 if problem.spec.alpha is None else 1.0)
    weight = weight * (1.0 if problem.sample_weight is None else problem.sample_weight[:, None])
    p = special.expit(problem.logits)
    loss = -weight * special.log_expit(np.where(problem.targets == 1, problem.logits, -problem.logits))
    assert_same_solution(problem.solve(engine), (loss, weight * (p - problem.targets), weight * p * (1 - p)), problem)


@given(problem=problems(weighted=False), seed=st.integers(0, 2**32 - 1))
def test_sample_weights_multiply(engine, problem, seed):
    weight = np.random.default_rng(seed).uniform(0, 5, problem.logits.shape[0])
    plain, weighted = problem.solve(engine), problem.but(sample_weight=weight).solve(engine)
    for one, other in zip(weighted, plain, strict=True):
        assert_same(one, (weight * np.asarray(other).T).T)


@given(problem=problems(links=["sigmoid"], weighted=False))
def test_sample_weights_may_be_one_per_target(engine, problem):
    weight = np.linspace(0, 2, problem.logits.size).reshape(problem.logits.shape)
    plain, weighted = problem.solve(engine), problem.but(sample_weight=weight).solve(engine)
    for one, other in zip(weighted, plain, strict=True):
        assert_same(one, weight * np.asarray(other))


@given(problem=hard_softmax)
def test_alpha_multiplies_each_row_by_the_weight_of_its_class(engine, problem):
    plain, weighted = problem.but(alpha=None).solve(engine), problem.solve(engine)
    for one, other in zip(weighted, plain, strict=True):
        assert_same(one, (problem.alpha_t * np.asarray(other).T).T)


@given(problem=hard_sigmoid, alpha=st.floats(0.01, 0.99))
def test_alpha_weighs_positives_and_one_minus_alpha_negatives(engine, problem, alpha):
    plain, weighted = problem.but(alpha=None).solve(engine), problem.but(alpha=alpha).solve(engine)
    for one, other in zip(weighted, plain, strict=True):
        assert_same(one, np.where(problem.targets == 1, alpha, 1 - alpha) * other)


@given(problem=problems(), value=st.floats(0.01, 0.99))
def test_a_scalar_parameter_is_a_uniform_vector(engine, problem, value):
    k = problem.logits.shape[1]
    scalar, vector = (problem.but(alpha=a, gamma=g).solve(engine) for a, g in ((value, 2.0), ([value] * k, [2.0] * k)))
    assert_same_solution(vector, scalar, problem)


@given(problem=hard_softmax)
def test_gamma_per_class_is_that_of_the_true_class(engine, problem):
    gamma = np.linspace(0, 5, problem.logits.shape[1])
    got = problem.but(gamma=gamma).solve(engine)
    for i, t in enumerate(problem.targets):
        expected = problem.but(gamma=gamma[t]).solve(engine)
        for one, other in zip(got, expected, strict=True):
            assert_same(one[i], other[i])


@given(problem=problems(links=["sigmoid"], weighted=False))
def test_gamma_and_alpha_per_column_treat_each_column_alone(engine, problem):
    k = problem.logits.shape[1]
    gamma, alpha = np.linspace(0, 5, k), np.linspace(0.1, 0.9, k)
    got = problem.but(gamma=gamma, alpha=alpha).solve(engine)
    for j in range(k):
        spec = LossSpec("sigmoid", gamma[j], alpha[j], reduction="none")
        for one, other in zip(
            got, Problem(spec, problem.logits[:, j], problem.targets[:, j]).solve(engine), strict=True
        ):
            assert_same(one[:, j], other)


@given(problem=problems(links=["softmax"]), eighths=st.integers(-(2**22), 2**22))
def test_a_shift_of_all_logits_changes_not_one_bit(engine, problem, eighths):
    logits = np.round(problem.logits * 8) / 8
    plain = problem.but(logits=logits).solve(engine)
    shifted = problem.but(logits=logits + eighths / 8).solve(engine)
    for one, other in zip(shifted, plain, strict=True):
        np.testing.assert_array_equal(one, other)


@given(problem=problems(links=["softmax"]), seed=st.integers(0, 2**32 - 1))
def test_permuting_the_classes_permutes_the_derivatives(engine, problem, seed):
    k = problem.logits.shape[1]
    order = np.random.default_rng(seed).permutation(k)  # class order[i] moves to place i

    def moved(parameter):
        return np.broadcast_to(parameter, (k,))[order]

    targets = problem.targets[:, order] if problem.targets.ndim == 2 else np.argsort(order)[problem.targets]
    alpha = None if problem.spec.alpha is None else moved(problem.spec.alpha)
    other = problem.but(logits=problem.logits[:, order], targets=targets, alpha=alpha, gamma=moved(problem.spec.gamma))
    loss, grad, hess = problem.solve(engine)
    assert_same_solution(other.solve(engine), (loss, grad[:, order], hess[:, order]), problem)


@given(problem=problems(links=["softmax"]))
def test_softmax_gradient_rows_sum_to_zero(engine, problem):
    _, grad, _ = problem.solve(engine)
    assert_same(grad.sum(axis=1), np.zeros(len(grad)), scale=row_scale(problem)[:, 0])


@given(problem=problems(links=["softmax"], soft=[False], classes=(2, 2)))
def test_softmax_of_two_classes_is_the_sigmoid_of_their_difference(engine, problem):
    problem = problem.but(alpha=None, gamma=1.5, logits=np.round(problem.logits * 8) / 8)
    loss, grad, hess = problem.solve(engine)
    binary = LossSpec("sigmoid", 1.5, reduction="none")
    difference = problem.logits[:, 1] - problem.logits[:, 0]
    expected = Problem(binary, difference, problem.targets, problem.sample_weight).solve(engine)
    for one, other in zip((loss, grad[:, 1], hess[:, 1]), expected, strict=True):
        assert_same(one, other)
    assert_same(grad[:, 0], -expected[1])
    assert_same(hess[:, 0], expected[2])


@given(problem=problems(soft=[False]))
def test_a_one_hot_soft_target_equals_the_hard_target(engine, problem):
    if problem.spec.link == "softmax":
        soft = (np.arange(problem.logits.shape[1]) == problem.targets[:, None]).astype(float)
    else:
        soft = problem.targets.astype(float)
    for reduction in ("none", "mean", "sum", "weighted_mean"):
        one, other = (problem.but(targets=t, reduction=reduction) for t in (soft, problem.targets))
        assert_same_solution(one.solve(engine)[1:], other.solve(engine)[1:], problem)
        assert_same(one.loss(engine), other.loss(engine), 12)


@given(problem=problems(soft=[True]))
def test_the_loss_of_a_soft_target_is_the_expectation_over_hard_ones(engine, problem):
    expected = [0.0, 0.0, 0.0]
    k = problem.logits.shape[1] if problem.spec.link == "softmax" else 2
    for j in range(k):
        if problem.spec.link == "softmax":
            share, targets = problem.targets[:, j], np.full(len(problem.logits), j)
        else:
            share, targets = (problem.targets if j else 1 - problem.targets), np.full(problem.logits.shape, j)
        parts = problem.but(targets=targets).solve(engine)
        expected = [e + (np.asarray(share).T * np.asarray(part).T).T for e, part in zip(expected, parts, strict=True)]
    assert_same_solution(problem.solve(engine), expected, problem)


@given(problem=problems(), smoothing=st.sampled_from([0.0, 0.1, 0.5, 1.0]))
def test_label_smoothing_equals_the_explicit_soft_target(engine, problem, smoothing):
    k = problem.logits.shape[1] if problem.spec.link == "softmax" else 2
    soft = problem.targets
    if problem.spec.link == "softmax" and soft.ndim == 1:
        soft = np.arange(k) == soft[:, None]
    smoothed = problem.but(label_smoothing=smoothing)
    explicit = problem.but(targets=(1 - smoothing) * soft.astype(float) + smoothing / k)
    assert_same_solution(smoothed.solve(engine), explicit.solve(engine), problem)


@given(problem=problems())
def test_a_row_does_not_depend_on_the_other_rows(engine, problem):
    together = problem.solve(engine)
    for i in range(len(problem.logits)):
        weight = None if problem.sample_weight is None else problem.sample_weight[i : i + 1]
        part = problem.but(logits=problem.logits[i : i + 1], targets=problem.targets[i : i + 1], sample_weight=weight)
        for one, other in zip(part.solve(engine), together, strict=True):
            assert_same(one[0], other[i])


@given(problem=problems())
def test_the_same_call_gives_the_same_bits(engine, problem):
    for reduction in ("none", "mean"):
        first, second = (problem.but(reduction=reduction).solve(engine) for _ in range(2))
        for one, other in zip(first, second, strict=True):
            np.testing.assert_array_equal(one, other)


@given(problem=problems())
def test_the_loss_alone_and_without_hessian_is_the_same(engine, problem):
    for reduction in ("none", "mean", "sum", "weighted_mean"):
        asked = problem.but(reduction=reduction)
        loss, grad, _ = asked.solve(engine)
        short_loss, short_grad, none = asked.solve(engine, hess=False)
        assert none is None
        np.testing.assert_array_equal(short_grad, grad)
        np.testing.assert_array_equal(short_loss, loss)
        np.testing.assert_array_equal(asked.loss(engine), loss)


@given(problem=problems())
def test_focal_loss_lies_between_zero_and_cross_entropy(engine, problem):
    focal, entropy = problem.solve(engine)[0], problem.but(gamma=0.0).solve(engine)[0]
    assert np.all(focal >= 0)
    assert np.all(focal <= entropy * (1 + 1e-14))
