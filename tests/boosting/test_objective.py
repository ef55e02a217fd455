import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mpmath import mp, mpf
from scipy.optimize import minimize

from focalkit import InputError, LossSpec, loss_grad_hess, recover_posterior
from focalkit.boosting.objective import HESSIANS, FocalObjective
from focalkit.boosting.start import focal_start

GAMMAS = (0.0, 0.3, 1.0, 2.0, 5.0)
COUNTS = {2: [900.0, 100.0], 3: [700.0, 250.0, 50.0], 6: [500.0, 200.0, 150.0, 100.0, 40.0, 10.0]}


def draw(n_classes, n=400, scale=3.0, seed=0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    shape = n if n_classes == 2 else (n, n_classes)
    return (rng.normal(size=shape) * scale).astype(dtype), rng.integers(0, n_classes, n).astype(np.int32)


def softmax_loss(objective, scores, targets):
    """The documented loss of each sample, straight from the public functions."""
    if objective.n_classes == 2:
        scores = np.column_stack([np.zeros_like(scores), scores])
    spec = LossSpec(gamma=objective.gamma, alpha=objective.alpha, reduction="none")
    return objective.scale * loss_grad_hess(spec, scores, targets, hess=False).loss


@pytest.mark.parametrize("n_classes", COUNTS)
@pytest.mark.parametrize("gamma", GAMMAS)
@pytest.mark.parametrize("hessian", HESSIANS)
def test_the_gradient_is_that_of_the_documented_loss(n_classes, gamma, hessian):
    objective = FocalObjective.from_counts(COUNTS[n_classes], gamma, "sqrt", hessian=hessian)
    scores, targets = draw(n_classes)
    grad, _ = objective.grad_hess(scores, targets)
    for k in range(1 if n_classes == 2 else n_classes):
        step = np.zeros_like(scores)
        step[..., k] = 1e-5
        if n_classes == 2:
            step[:] = 1e-5
        rise = softmax_loss(objective, scores + step, targets) - softmax_loss(objective, scores - step, targets)
        np.testing.assert_allclose(grad if n_classes == 2 else grad[:, k], rise / 2e-5, rtol=2e-6, atol=2e-9)


@pytest.mark.parametrize("n_classes", COUNTS)
@pytest.mark.parametrize("gamma", GAMMAS)
def test_the_exact_hessian_is_the_slope_of_the_gradient(n_classes, gamma):
    objective = FocalObjective.from_counts(COUNTS[n_classes], gamma, "sqrt", hessian="exact")
    scores, targets = draw(n_classes)
    _, hess = objective.grad_hess(scores, targets)
    for k in range(1 if n_classes == 2 else n_classes):
        step = np.zeros_like(scores)
        step[..., k] = 1e-5
        if n_classes == 2:
            step[:] = 1e-5
        rise = objective.grad_hess(scores + step, targets)[0] - objective.grad_hess(scores - step, targets)[0]
        slope = (rise if n_classes == 2 else rise[:, k]) / 2e-5
        np.testing.assert_allclose(hess if n_classes == 2 else hess[:, k], slope, rtol=2e-6, atol=2e-9)


@pytest.mark.parametrize("n_classes", COUNTS)
@pytest.mark.parametrize("gamma", GAMMAS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_exact_form_is_loss_grad_hess_in_every_memory_order(n_classes, gamma, dtype):
    objective = FocalObjective.from_counts(COUNTS[n_classes], gamma, "balanced", hessian="exact")
    scores, targets = draw(n_classes, dtype=dtype)
    weight = np.random.default_rng(1).random(len(targets))
    alpha_t = np.asarray(objective.alpha)[targets] * objective.scale
    spec = LossSpec("sigmoid" if n_classes == 2 else "softmax", gamma, reduction="sum")
    _, grad, hess = loss_grad_hess(spec, scores, targets, sample_weight=weight * alpha_t)
    rtol = 40 * np.finfo(dtype).eps
    for order in "CF":
        ours = objective.grad_hess(np.asarray(scores, order=order), targets, weight)
        assert all(part.dtype == dtype and part.shape == scores.shape for part in ours)
        np.testing.assert_allclose(ours[0], grad, rtol=rtol, atol=1e-30)
        np.testing.assert_allclose(ours[1], hess, rtol=rtol, atol=np.finfo(dtype).eps * np.abs(grad).max())
        assert n_classes == 2 or ours[0].flags.f_contiguous == (order == "F")


@given(
    st.integers(2, 6),
    st.floats(0, 6),
    st.floats(0.1, 30),
    st.sampled_from([np.float32, np.float64]),
    st.integers(0, 10**6),
)
def test_majorizer_and_clipped_are_positive_and_nowhere_below_the_exact_hessian(n_classes, gamma, scale, dtype, seed):
    scores, targets = draw(n_classes, n=60, scale=scale, seed=seed, dtype=dtype)
    forms = {}
    for hessian in HESSIANS:
        objective = FocalObjective(gamma, (0.5, *[1.5] * (n_classes - 1)), (0.0,) * n_classes, 0.7, hessian)
        grad, forms[hessian] = objective.grad_hess(scores, targets)
        assert np.isfinite(grad).all()
        assert np.isfinite(forms[hessian]).all()
    slack = 60 * (2 + gamma) * np.finfo(dtype).eps * np.abs(forms["exact"]) + np.finfo(dtype).tiny
    assert (forms["clipped"] >= forms["exact"] - slack).all()
    assert (forms["majorizer"] >= forms["exact"] - slack).all()
    assert (forms["clipped"] >= 0).all()
    assert (forms["majorizer"] >= 0).all()
    assert (forms["majorizer"][np.abs(scores) < 10] > 0).all() or n_classes > 2


@pytest.mark.parametrize("gamma", GAMMAS)
def test_the_majorizer_stays_within_its_stated_bound(gamma):
    objective = FocalObjective(gamma, (1.0, 1.0), (0.0, 0.0), hessian="majorizer")
    scores = np.linspace(-40, 40, 4001)
    grad, hess = objective.grad_hess(scores, np.ones(4001, np.int32))
    p = 1 / (1 + np.exp(-scores))
    ratio = -grad / (1 / (1 + np.exp(scores)))
    np.testing.assert_allclose(hess, (1 + gamma) * ratio * p / (1 + np.exp(scores)), rtol=1e-12)
    assert (hess <= (1 + gamma) * ratio / 4 * (1 + 1e-12)).all()
    _, exact = FocalObjective(gamma, (1.0, 1.0), (0.0, 0.0), hessian="exact").grad_hess(scores, np.ones(4001, np.int32))
    np.testing.assert_allclose(hess[-1], exact[-1], rtol=1e-10)  # tight on easy samples


@pytest.mark.parametrize("n_classes", COUNTS)
@pytest.mark.parametrize("hessian", HESSIANS)
def test_without_gamma_every_form_is_cross_entropys_hessian(n_classes, hessian):
    objective = FocalObjective.from_counts(COUNTS[n_classes], 0.0, hessian=hessian)
    scores, targets = draw(n_classes)
    grad, hess = objective.grad_hess(scores, targets)
    p = objective.posterior(scores)
    p = p[:, 1] if n_classes == 2 else p
    true = targets if n_classes == 2 else np.eye(n_classes)[targets]
    assert objective.scale == 1
    np.testing.assert_allclose(hess, p * (1 - p), rtol=1e-9, atol=1e-16)
    np.testing.assert_allclose(grad, p - true, rtol=1e-9, atol=1e-15)


@given(st.integers(3, 6), st.floats(0, 6), st.floats(0.1, 8), st.integers(0, 10**6))
def test_the_whole_matrices_are_positive_bounds_and_have_the_same_diagonals(n_classes, gamma, scale, seed):
    scores, targets = draw(n_classes, n=8, scale=scale, seed=seed)
    alpha, start = (0.5, *[1.5] * (n_classes - 1)), (0.0,) * n_classes
    for i in range(len(scores)):
        whole = {}
        for hessian in HESSIANS:
            objective = FocalObjective(gamma, alpha, start, 0.7, hessian)
            grad, whole[hessian] = objective.grad_hess_matrix(scores[i], int(targets[i]), 1.3)
            weight = np.array([1.3])
            one, diagonal = objective.grad_hess(scores[i : i + 1], targets[i : i + 1], weight)
            size = np.abs(whole[hessian]).max() + 1e-300
            np.testing.assert_allclose(grad, one[0], rtol=1e-12, atol=1e-300)
            np.testing.assert_allclose(np.diag(whole[hessian]), diagonal[0], rtol=1e-9, atol=1e-12 * size)
            assert np.abs(whole[hessian].sum(axis=1)).max() < 1e-13 * size * n_classes
        slack = 1e-12 * np.abs(whole["majorizer"]).max() + 1e-300
        for hessian in ("majorizer", "clipped"):
            assert np.linalg.eigvalsh(whole[hessian])[0] > -slack
            assert np.linalg.eigvalsh(whole[hessian] - whole["exact"])[0] > -slack
        # a factor of 2 makes the majorizer's diagonal a bound of the whole exact matrix
        assert np.linalg.eigvalsh(2 * np.diag(np.diag(whole["majorizer"])) - whole["exact"])[0] > -slack


@pytest.mark.parametrize("gamma", GAMMAS)
def test_the_exact_matrix_is_the_slope_of_the_gradient(gamma):
    objective = FocalObjective(gamma, (1.0, 2.0, 0.5, 1.0), (0.0,) * 4, hessian="exact")
    scores, target = np.array([0.3, -1.0, 2.0, 0.1]), 1
    _, matrix = objective.grad_hess_matrix(scores, target)
    for k in range(4):
        step = np.eye(4)[k] * 1e-6
        above, below = (objective.grad_hess_matrix(scores + sign * step, target)[0] for sign in (1, -1))
        np.testing.assert_allclose(matrix[k], (above - below) / 2e-6, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("hessian", HESSIANS)
def test_saturated_scores_give_finite_numbers(dtype, hessian):
    for n_classes in (2, 3):
        objective = FocalObjective.from_counts(COUNTS[n_classes], 0.5, hessian=hessian)
        column = np.array([-1e4, -200, -100, -17, 17, 100, 200, 1e4], dtype)
        scores = column if n_classes == 2 else np.column_stack([column, np.zeros_like(column), -column])
        for target in range(n_classes):
            grad, hess = objective.grad_hess(scores, np.full(8, target, np.int32))
            assert np.isfinite(grad).all()
            assert np.isfinite(hess).all()
            assert hessian == "exact" or (hess >= 0).all()


# ---- the start


@pytest.mark.parametrize("gamma", [0.1, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0])
@pytest.mark.parametrize("prior", [0.5, 0.3, 0.01, 1e-6, 1 - 1e-6])
def test_the_binary_start_is_the_50_digit_root(gamma, prior):
    mp.dps = 50
    g = mpf(gamma)

    def slope(s):  # of loss(s), written out
        p, q = 1 / (1 + mp.exp(-s)), 1 / (1 + mp.exp(s))
        return -(q**g) * (q - g * p * mp.log(p))

    weight = mpf(prior) / (1 - mpf(prior))
    start = focal_start([1 - prior, prior], gamma)
    ours = start[1] - start[0]
    root = mp.findroot(lambda s: mp.log(slope(-s) / slope(s)) - mp.log(weight), mpf(float(ours)) + mpf("0.01"))
    # the prior itself, as doubles, is known to this
    noise = 4e-16 * (1 + abs(float(mp.log(weight))))
    assert abs(ours - root) < noise + 4e-16 * abs(root)


@given(st.integers(2, 9), st.floats(0.01, 8), st.integers(0, 10**6))
def test_the_risk_of_the_start_has_no_slope(n_classes, gamma, seed):
    weights = 10 ** np.random.default_rng(seed).uniform(0, 5, n_classes)
    start = focal_start(weights, gamma)
    assert abs(np.exp(start).sum() - 1) < 1e-14
    spec = LossSpec(gamma=gamma, alpha=weights, reduction="sum")
    _, grad, _ = loss_grad_hess(spec, np.tile(start, (n_classes, 1)), np.arange(n_classes), hess=False)
    assert np.abs(grad.sum(0)).max() <= 3e-14 * np.abs(grad).sum(0).max()


@pytest.mark.parametrize("gamma", [0.5, 2.0, 5.0])
def test_no_other_constant_has_a_smaller_risk(gamma):
    weights = np.array([700.0, 200.0, 80.0, 20.0])
    spec = LossSpec(gamma=gamma, alpha=weights, reduction="sum")

    def risk(z):
        value, grad, _ = loss_grad_hess(spec, np.tile(z, (4, 1)), np.arange(4), hess=False)
        return float(value), grad.sum(0)

    ours = risk(focal_start(weights, gamma))[0]
    rng = np.random.default_rng(0)
    for _ in range(3):
        found = minimize(risk, rng.normal(size=4) * 3, jac=True, method="BFGS", options={"gtol": 1e-6 * ours})
        assert found.fun >= ours * (1 - 1e-13)
    start = focal_start(weights, gamma)
    for _ in range(40):
        assert risk(start + rng.normal(size=4) * 10 ** rng.uniform(-4, 1))[0] >= ours


def test_the_start_maps_back_to_the_class_frequencies_and_is_not_their_logarithm():
    counts = np.array([9000.0, 900.0, 100.0])
    start = focal_start(counts, 2.0)
    np.testing.assert_allclose(recover_posterior(np.exp(start)[None], 2.0)[0], counts / counts.sum(), rtol=1e-12)
    assert np.abs(start - np.log(counts / counts.sum())).max() > 1
    np.testing.assert_allclose(focal_start(counts, 0.0), np.log(counts / counts.sum()), rtol=1e-15)


def test_a_class_without_weight_still_has_a_start():
    assert np.isfinite(focal_start([5, 0, 3], 2.0)).all()
    assert np.isfinite(focal_start([5, 0], 2.0)).all()


@pytest.mark.parametrize("alpha", [None, "balanced", "sqrt"])
@pytest.mark.parametrize("n_classes", COUNTS)
@pytest.mark.parametrize("hessian", ["majorizer", "clipped"])
@pytest.mark.parametrize("gamma", [0.5, 2.0, 5.0])
def test_the_scale_makes_the_first_sums_of_hessians_those_of_cross_entropy(alpha, n_classes, hessian, gamma):
    counts = np.asarray(COUNTS[n_classes])
    focal = FocalObjective.from_counts(counts, gamma, alpha, hessian=hessian)
    plain = FocalObjective.from_counts(counts, 0.0, alpha)
    sums = []
    for objective in (focal, plain):
        scores = np.tile(objective.start_scores, (n_classes, 1))
        scores = scores[:, 0] if n_classes == 2 else scores
        _, hess = objective.grad_hess(scores, np.arange(n_classes, dtype=np.int32), counts)
        sums.append(hess.sum())
    assert np.isclose(sums[0], sums[1], rtol=1e-10)
    np.testing.assert_allclose(np.asarray(focal.alpha) @ counts, counts.sum())


@pytest.mark.parametrize("n_classes", COUNTS)
def test_posteriors_sum_to_one_and_only_the_populations_has_alpha_divided_out(n_classes):
    objective = FocalObjective.from_counts(COUNTS[n_classes], 2.0, "balanced")
    scores, _ = draw(n_classes)
    tilted, own = objective.posterior(scores), objective.population_posterior(scores)
    np.testing.assert_allclose(tilted.sum(1), 1)
    again = tilted / np.asarray(objective.alpha)
    np.testing.assert_allclose(own, again / again.sum(1, keepdims=True), rtol=1e-10)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([5],), "counts must be one number >= 0 for each"),
        (([0, 0],), "counts must be one number >= 0 for each"),
        (([5, -1],), "counts must be one number >= 0 for each"),
        (([5, np.nan],), "counts must be one number >= 0 for each"),
        (([5, 5], -1.0), "gamma must be a number in"),
        (([5, 5], np.nan), "gamma must be a number in"),
        (([5, 5], "2"), "gamma must be a number in"),
        (([5, 5], 2.0, "nonsense"), "alpha must be"),
        (([5, 5], 2.0, [0.0, 1.0]), "alpha must leave both classes a weight above 0"),
        (([5, 0], 2.0, [0.0, 1.0]), "alpha must leave a class with samples a weight above 0"),
        (([5, 5, 5], 2.0, 0.25), "alpha must be a vector for 3 classes"),
    ],
)
def test_bad_arguments_are_refused_with_the_way_out(arguments, message):
    with pytest.raises(InputError, match=message):
        FocalObjective.from_counts(*arguments)


def test_an_unknown_hessian_is_refused():
    with pytest.raises(InputError, match="hessian must be one of 'clipped', 'majorizer', 'exact'"):
        FocalObjective.from_counts([5, 5], hessian="gauss-newton")
