"""Posteriors recovered from the minimiser of the focal risk, which is found here by minimising it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mpmath import log, mp, mpf
from scipy import optimize, special

from focalkit import InputError, LossSpec, loss_grad_hess, recover_posterior, shift_prior
from focalkit.posterior import recover_from_log_odds

GAMMAS = (0.0, 0.5, 1.0, 2.0, 5.0)


def logits_of_least_risk(eta, gamma, alpha):
    """Minimise sum_k eta_k alpha_k FL_k over the logits, the last one held at 0; then solve grad = 0."""
    spec, y = LossSpec("softmax", gamma, alpha, reduction="sum"), np.asarray(eta)[None]

    def risk(free):
        loss, grad, _ = loss_grad_hess(spec, np.append(free, 0.0)[None], y, hess=False)
        return float(loss), grad[0, :-1]

    start = np.log(eta[:-1]) - np.log(eta[-1])
    found = optimize.minimize(risk, start, jac=True, method="BFGS", options={"gtol": 1e-7})
    free = found.x
    for _ in range(6):  # Newton, the Jacobian of the gradient by differences
        grad = risk(free)[1]
        jacobian = optimize.approx_fprime(free, lambda x: risk(x)[1], 1e-6)
        free = free - np.linalg.solve(np.atleast_2d(jacobian), grad)
    assert np.abs(risk(free)[1]).max() < 1e-14
    return np.append(free, 0.0)


@pytest.mark.parametrize("gamma", GAMMAS)
@pytest.mark.parametrize("n_classes", [2, 3, 8])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_posterior_comes_back_from_the_minimiser_of_the_risk(gamma, n_classes, weighted):
    random = np.random.default_rng(100 * n_classes + int(10 * gamma))
    for _ in range(3):
        eta = random.dirichlet(np.full(n_classes, 2.0))
        alpha = random.uniform(0.3, 3, n_classes) if weighted else None
        q = special.softmax(logits_of_least_risk(eta, gamma, alpha))
        np.testing.assert_allclose(recover_posterior(q[None], gamma, alpha)[0], eta, atol=1e-9, rtol=0)
        if gamma >= 1:
            assert np.abs(q - eta).max() > 1e-3  # there was something to undo


@pytest.mark.parametrize("gamma", GAMMAS)
def test_a_gamma_per_class_is_undone_too(gamma):
    eta, gammas = np.array([0.5, 0.3, 0.2]), [gamma, 1.0, 2.0]
    q = special.softmax(logits_of_least_risk(eta, gammas, None))
    np.testing.assert_allclose(recover_posterior(q[None], gammas)[0], eta, atol=1e-9, rtol=0)


@pytest.mark.parametrize("alpha", [None, 0.25])
@pytest.mark.parametrize("gamma", GAMMAS)
def test_the_binary_form_undoes_the_sigmoid_loss(gamma, alpha):
    spec = LossSpec("sigmoid", gamma, alpha, reduction="sum")
    for eta in (0.02, 0.3, 0.5, 0.9):
        slope = lambda z, eta=eta: float(loss_grad_hess(spec, np.array([z]), np.array([eta])).grad[0])  # noqa: E731
        z = optimize.brentq(slope, -30, 30, xtol=1e-14, rtol=1e-14)
        assert recover_posterior(special.expit([z]), gamma, alpha)[0] == pytest.approx(eta, abs=1e-9)


KNOWN = {
    1: (0.557, 0.650, 0.774, 0.927, 0.977),
    2: (0.538, 0.601, 0.694, 0.846, 0.927),
    5: (0.518, 0.549, 0.597, 0.695, 0.776),
}


@pytest.mark.parametrize(("gamma", "rounded"), KNOWN.items())
def test_the_published_distortions_are_undone(gamma, rounded):
    for q, eta in zip(rounded, (0.6, 0.75, 0.9, 0.99, 0.999), strict=True):
        low, high = recover_posterior(np.array([q - 6e-4, q + 6e-4]), gamma)
        assert low < eta < high


def published(q, gamma):
    """h(q_k) normalised, as printed, in wide arithmetic; 1 - v subtracted."""
    with mp.workdps(60):
        q, g = [mpf(float(v)) for v in q], mpf(gamma)
        q = [v / sum(q) for v in q]
        h = [v / ((1 - v) ** g - g * (1 - v) ** (g - 1) * v * log(v)) for v in q]
        return [float(v / sum(h)) for v in h]


@pytest.mark.parametrize("gamma", GAMMAS)
@pytest.mark.parametrize("scale", [1.0, 10.0])
def test_the_map_is_the_published_one(gamma, scale):
    for z in np.random.default_rng(8).normal(size=(10, 5)) * scale:
        q = special.softmax(z)
        np.testing.assert_allclose(recover_posterior(q[None], gamma)[0], published(q, gamma), rtol=1e-12)


@given(seed=st.integers(0, 2**32 - 1), gamma=st.floats(0, 5), k=st.integers(1, 9), scale=st.sampled_from([1.0, 30.0]))
def test_the_order_is_kept_and_rows_sum_to_one(seed, gamma, k, scale):
    q = special.softmax(np.random.default_rng(seed).normal(size=(4, k)) * scale, axis=1)
    before, eta = q.copy(), recover_posterior(q, gamma)
    np.testing.assert_array_equal(q, before)
    np.testing.assert_allclose(eta.sum(axis=1), 1, rtol=1e-14)
    ranked = np.take_along_axis(eta, np.argsort(q, axis=1), axis=1)
    assert np.all(np.diff(ranked, axis=1) >= -1e-15)


@given(q=st.floats(0.5, 1), gamma=st.floats(0.01, 5))
def test_binary_focal_probabilities_are_never_over_confident(q, gamma):
    assert recover_posterior(np.array([q]), gamma)[0] >= q - 1e-15


def test_gamma_zero_returns_the_probabilities_and_alpha_is_divided_out():
    q = np.array([[0.2, 0.3, 0.5]])
    np.testing.assert_allclose(recover_posterior(q, 0.0), q, rtol=1e-15)
    expected = q / [1, 2, 4] / (q / [1, 2, 4]).sum()
    np.testing.assert_allclose(recover_posterior(q, 0.0, [1, 2, 4]), expected, rtol=1e-14)
    np.testing.assert_allclose(recover_posterior(q, 2.0, 3.0), recover_posterior(q, 2.0), rtol=1e-14)


@pytest.mark.parametrize("gamma", [*GAMMAS, 100.0])
@pytest.mark.parametrize("alpha", [None, [0.25, 1.0, 4.0]])
def test_saturated_probabilities_stay_finite(gamma, alpha):
    q = np.array([[1.0, 0.0, 0.0], [0.0, 0.5, 0.5], [1 - 1e-16, 1e-300, 0.0], [1e-320, 1.0, 0.0]])
    eta = recover_posterior(q, gamma, alpha)
    assert np.all(np.isfinite(eta))
    np.testing.assert_allclose(eta.sum(axis=1), 1, rtol=1e-14)
    assert np.all(eta[q == 0] == 0)
    np.testing.assert_array_equal(recover_posterior(np.array([0.0, 1.0]), gamma), [0.0, 1.0])


def test_from_log_odds_nothing_is_lost_where_probabilities_round_to_one():
    m = np.array([[50.0, -50.0]])
    eta = recover_from_log_odds(m, 2.0)
    rare = np.log(3) - 3 * 50  # asymptote: logit eta = (1 + gamma) m - log(1 + gamma)
    assert np.log(eta[0, 1]) == pytest.approx(rare, rel=1e-12)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (([0.5], -1.0), r"^gamma must be a number in \[0, inf\)"),
        (([0.5], [1.0, 2.0]), "^gamma must be a number .*Binary probabilities"),
        (([0.5], 2.0, 1.0), r"^alpha must be a number in \(0, 1\)"),
        (([[0.5, 0.5]], 2.0, [1.0, 0.0]), r"^alpha must be .* in \(0, inf\).*A class of weight 0 left no trace"),
        (([[0.5, 0.5]], 2.0, [1.0, 1.0, 1.0]), "^alpha must be a number or have one entry for each of the 2"),
        (([[0.5, 0.5]], [2.0] * 3), "^gamma must be a number or have one entry for each of the 2"),
        (([3.5, -1.0], 2.0), r"^probabilities must lie in \[0, 1\]; got 3.5.*These look like logits"),
    ],
)
def test_what_cannot_be_recovered_is_refused(arguments, match):
    with pytest.raises(InputError, match=match):
        recover_posterior(*arguments)


# shift_prior


def test_a_shift_is_bayes_rule_for_another_balance():
    q, prior = np.array([[0.7, 0.2, 0.1], [0.05, 0.9, 0.05]]), np.array([0.8, 0.15, 0.05])
    for tau in (-1.0, 0.0, 0.5, 1.0, 2.0):
        raw = q * prior**-tau
        np.testing.assert_allclose(shift_prior(q, prior, tau), raw / raw.sum(axis=1, keepdims=True), rtol=1e-13)


def test_no_strength_and_a_uniform_prior_change_nothing():
    q = np.array([[0.7, 0.2, 0.1]])
    np.testing.assert_allclose(shift_prior(q, [0.8, 0.15, 0.05], 0.0), q, rtol=1e-14)
    np.testing.assert_allclose(shift_prior(q, [1 / 3] * 3), q, rtol=1e-14)


def test_a_probability_equal_to_the_prior_becomes_one_half():
    np.testing.assert_allclose(shift_prior(np.array([0.01, 0.3]), 0.01)[0], 0.5, rtol=1e-13)


def test_impossible_and_certain_classes_stay_so():
    q = np.array([[1.0, 0.0], [0.0, 1.0]])
    np.testing.assert_array_equal(shift_prior(q, [0.99, 0.01], 50.0), q)
    np.testing.assert_array_equal(shift_prior(np.array([0.0, 1.0]), 0.01), [0.0, 1.0])


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (([0.5], [0.5, 0.5]), "^prior must be one number for probabilities of shape"),
        (([[0.5, 0.5]], 0.5), "^prior must be 2 frequencies that sum to 1"),
        (([[0.5, 0.5]], [0.5, 0.4]), "^prior must be 2 frequencies that sum to 1"),
        (([[0.5, 0.5]], [1.0, 0.0]), r"^prior must be a number or a vector of numbers in \(0, 1\)"),
        (([0.5], 0.5, np.inf), r"^tau must be a number in"),
    ],
)
def test_a_prior_that_does_not_fit_is_refused(arguments, match):
    with pytest.raises(InputError, match=match):
        shift_prior(*arguments)


@pytest.mark.parametrize("options", [{}, {"poly": 1.0}, {"logit_adjustment": (0.3, -0.2, 0.9)}], ids=str)
def test_a_spec_s_label_smoothing_is_undone_from_the_minimiser_of_its_own_risk(options):
    spec = LossSpec(gamma=2.0, alpha=(1.0, 2.0, 0.5), label_smoothing=0.2, reduction="sum", **options)
    eta = np.array([[0.7, 0.25, 0.05]])
    found = optimize.root(lambda z: loss_grad_hess(spec, z[None], eta, hess=False).grad[0], np.zeros(3), tol=1e-13)
    p = special.softmax(found.x)[None]
    np.testing.assert_allclose(recover_posterior(p, spec), eta, atol=1e-7)


def test_a_sigmoid_s_label_smoothing_is_undone_too():
    spec = LossSpec("sigmoid", 2.0, 0.25, label_smoothing=0.1, reduction="sum")
    z = optimize.brentq(lambda z: loss_grad_hess(spec, np.array([z]), np.array([0.9]), hess=False).grad[0], -9, 9)
    np.testing.assert_allclose(recover_posterior(special.expit([z]), spec), [0.9], atol=1e-9)
    assert recover_posterior(np.array([1e-9]), spec) == 0.0  # below what smoothed targets can teach


def test_targets_smoothed_to_nothing_have_no_way_back():
    with pytest.raises(InputError, match="nothing of them was learned"):
        recover_posterior(np.array([[0.5, 0.5]]), LossSpec(label_smoothing=1.0))


@pytest.mark.parametrize("share", [0.5, 0.999, 1 - 1e-10])
def test_dft_near_one_keeps_the_digits_of_what_is_left(share):
    """Of two classes, d1 of each times its posterior is the same with q of the other."""
    m = np.array([-24.0, -9.0, -1.0, 0.5, 4.0, 15.0])
    p, q = special.expit(m), special.expit(-m)
    own, other = p / ((1 - share) + share * p), q / ((1 - share) + share * q)
    got = recover_posterior(np.stack([p, q], 1), LossSpec(dft=share))
    np.testing.assert_allclose(got, np.stack([own, other], 1) / (own + other)[:, None], rtol=1e-12)
