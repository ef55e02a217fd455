"""The neighbours of the focal loss: what each is, in the terms of the others, on every engine."""

from __future__ import annotations

import numpy as np
import pytest

from focalkit import InputError, LossSpec
from tests.laws.strategies import assert_same

RNG = np.random.default_rng(41)
Z = RNG.normal(size=(40, 5)) * 4
T = RNG.integers(5, size=40)
Y = RNG.dirichlet(np.ones(5), 40)
COUNTS = np.array([4000.0, 1000.0, 300.0, 40.0, 8.0])
PRIOR = COUNTS / COUNTS.sum()
MARGIN = (0.05, 0.1, 0.2, 0.3, 0.5)
ONE_HOT = np.eye(5)[T]

#: Every member of the family under the softmax, with a gamma that it goes with.
SOFTMAX = {
    "logit_adjustment": (2.0, {"logit_adjustment": np.log(PRIOR)}),
    "margin": (0.0, {"margin": MARGIN, "scale": 3.0}),
    "poly": (2.0, {"poly": 1.5}),
    "star": (2.0, {"star": 1.0}),
    "dft": (0.0, {"dft": 1.0}),
    "dft, in part": (0.0, {"dft": 0.5}),
    "gce": (0.0, {"gce": 0.7}),
    "poly of adjusted logits": (1.0, {"poly": -0.5, "logit_adjustment": np.log(PRIOR), "margin": MARGIN}),
}
SIGMOID = {
    "logit_adjustment": (2.0, {"logit_adjustment": np.log(PRIOR)}),
    "scale": (1.0, {"scale": 2.0, "logit_adjustment": -1.0}),
    "poly": (2.0, {"poly": 1.5}),
    "star": (2.0, {"star": -1.0}),
    "dft": (0.0, {"dft": 1.0}),
    "gce": (0.0, {"gce": 0.7}),
    "asymmetric": (1.0, {"gamma_negative": 4.0, "clip": 0.05}),
    "asymmetric, without clip": (0.0, {"gamma_negative": 3.0}),
    "quality": (2.0, {"quality": "quality"}),
    "varifocal": (2.0, {"quality": "varifocal"}),
}


def solve(engine, z, targets, gamma=0.0, link="softmax", **options):
    return engine.loss_grad_hess(LossSpec(link, gamma, reduction="none", **options), z, targets)


def same(got, want, bits=10):
    for one, other in zip(got, want, strict=True):
        assert_same(one, other, bits, np.max(np.abs(other), initial=1e-300))


def plain(m):
    """-log sigmoid(m), and p."""
    return np.logaddexp(0, -m), 1 / (1 + np.exp(-m))


def log_odds(z, t=T):
    true = z[np.arange(len(z)), t]
    others = np.where(np.arange(z.shape[1]) == t[:, None], -np.inf, z)
    return true - np.log(np.exp(others).sum(1))


# logits


@pytest.mark.parametrize("gamma", [0.0, 2.0])
@pytest.mark.parametrize("targets", [T, Y], ids=["hard", "soft"])
def test_logit_adjustment_is_the_loss_of_adjusted_logits(engine, gamma, targets):
    got = solve(engine, Z, targets, gamma, logit_adjustment=np.log(PRIOR))
    same(got, solve(engine, Z + np.log(PRIOR), targets, gamma))


def test_counts_make_the_balanced_softmax_of_ren_2020(engine):
    got = solve(engine, Z, T, logit_adjustment={"prior": COUNTS})
    want = np.log((COUNTS * np.exp(Z)).sum(1)) - np.log(COUNTS[T]) - Z[np.arange(40), T]
    np.testing.assert_allclose(got[0], want, rtol=1e-12)


def test_a_constant_in_the_adjustment_changes_nothing_under_the_softmax(engine):
    a = np.log(PRIOR)
    same(solve(engine, Z, T, logit_adjustment=a + 7.0), solve(engine, Z, T, logit_adjustment=a))


@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_a_margin_is_taken_from_the_true_logit_before_the_scale(engine, scale):
    loss, grad, hess = solve(engine, Z, T, margin=MARGIN, scale=scale)
    want = solve(engine, scale * (Z - ONE_HOT * MARGIN), T)
    same((loss, grad, hess), (want[0], scale * want[1], scale**2 * want[2]))


def test_one_margin_for_all_is_that_of_cosface(engine):
    same(solve(engine, Z, T, margin=0.35, scale=2.0), solve(engine, Z, T, margin=(0.35,) * 5, scale=2.0))


def test_ldams_margins_fall_with_the_fourth_root_of_the_count():
    margin = np.array(LossSpec(margin={"counts": COUNTS, "largest": 0.5}).margin)
    np.testing.assert_allclose(margin, 0.5 * (COUNTS.min() / COUNTS) ** 0.25)


def test_a_sigmoid_is_adjusted_by_the_prior_s_logit(engine):
    positive = np.array([0.5, 0.2, 0.1, 0.05, 0.01])
    hard = (Y > 0.3).astype(int)
    got = solve(engine, Z, hard, 2.0, "sigmoid", logit_adjustment={"prior": positive, "tau": 0.5})
    same(got, solve(engine, Z + 0.5 * np.log(positive / (1 - positive)), hard, 2.0, "sigmoid"))


def test_masked_classes_stay_masked(engine):
    z = Z.copy()
    z[:, 2] = -np.inf
    t = np.where(T == 2, 0, T)
    loss, grad, hess = solve(engine, z, t, 1.0, logit_adjustment=np.log(PRIOR), margin=MARGIN, scale=2.0)
    assert np.isfinite(loss).all()
    assert (grad[:, 2] == 0).all()
    assert (hess[:, 2] == 0).all()


def test_large_logits_leave_the_digits_of_a_small_adjustment(engine):
    z = (Z + 1e4).astype(np.float32)
    got = solve(engine, z, T, logit_adjustment=np.log(PRIOR))
    want = solve(engine, z.astype(np.float64), T, logit_adjustment=np.log(PRIOR))
    np.testing.assert_allclose(got[0], want[0], rtol=2e-6)


# forms


def test_poly_adds_a_power_of_what_is_missing(engine):
    ce, p = plain(log_odds(Z))
    got = solve(engine, Z, T, 2.0, poly=1.5)[0]
    np.testing.assert_allclose(got, (1 - p) ** 2 * ce + 1.5 * (1 - p) ** 3, rtol=1e-9)


def test_the_least_poly_keeps_the_digits_of_easy_rows(engine):
    """At e = -1 the loss is that of -log p - q, q^2 / 2 on easy rows, and its slope -q^2."""
    m = np.array([4.0, 8.0, 12.0, 16.0, 20.0])
    z, t = np.stack([m, 0 * m], 1).astype(np.float32), np.zeros(5, int)
    q = 1 / (1 + np.exp(m))
    loss, grad, hess = solve(engine, z, t, poly=-1.0)
    np.testing.assert_allclose(loss, q * q * (1 / 2 + q / 3 + q**2 / 4 + q**3 / 5 + q**4 / 6 + q**5 / 7), rtol=1e-6)
    np.testing.assert_allclose(grad[:, 0], -q * q, rtol=2e-6)
    np.testing.assert_allclose(hess[:, 0], 2 * (1 - q) * q * q, rtol=2e-6)


def test_symmetric_cross_entropy_is_a_poly(engine):
    """alpha CE + beta RCE with log 0 = -4 (Wang et al. 2019), over alpha."""
    alpha, beta = 0.1, 1.0
    ce, p = plain(log_odds(Z))
    rce = 4.0 * (1 - p)
    got = alpha * solve(engine, Z, T, poly=4 * beta / alpha)[0]
    np.testing.assert_allclose(got, alpha * ce + beta * rce, rtol=1e-9)


def test_star_at_one_and_nothing_is_cross_entropy(engine):
    same(solve(engine, Z, T, 1.0, star=0.0), solve(engine, Z, T))


def test_star_is_convex_in_the_true_logit(engine):
    assert (solve(engine, Z, T, 2.0, star=1.0)[2] >= 0).all()
    assert (solve(engine, Z, T, 2.0)[2][np.arange(40), T] < 0).any()  # which the focal loss is not


@pytest.mark.parametrize("hard", [True, False], ids=["class ids", "one-hot"])
@pytest.mark.parametrize(("n_classes", "trailing"), [(5, 0), (70, 0), (2100, 0), (5, 256), (70, 256)])
def test_star_keeps_its_slope_however_far_the_true_class_leads(engine, n_classes, trailing, hard):
    """With a small gamma it falls slowly: a lead of 104 ends float32's exponentials, and not its gradient."""
    gamma, b = 0.05, 0.2
    lead = np.array([30.0, 90.0, 150.0, 400.0])
    z = np.zeros((4, n_classes), np.float32)
    z[:, 1:] = -lead[:, None]
    z[:, -1] -= 5
    others = np.exp(z[:, 1:] + lead[:, None]).astype(float)
    x = gamma * (lead - np.log(others.sum(1))) + b
    targets = np.zeros(4, int) if hard else np.eye(n_classes, dtype=np.float32)[np.zeros(4, int)]
    if trailing:
        z, targets = (np.repeat(a[..., None], trailing, -1) for a in (z, targets))
    loss, grad, hess = solve(engine, z, targets, gamma, star=b)
    slope = 1 / (1 + np.exp(x))
    want = slope[:, None] * np.concatenate([-np.ones((4, 1)), others / others.sum(1, keepdims=True)], 1)
    bend, value = gamma * slope * (1 - slope), np.log1p(np.exp(-x)) / gamma
    for at in [(..., 0), (..., -1)] if trailing else [()]:
        np.testing.assert_allclose(loss[at], value, rtol=1e-5)
        np.testing.assert_allclose(grad[at], want, rtol=1e-5)
        np.testing.assert_allclose(hess[:, 0][at], bend, rtol=1e-5)


def test_dft_weighs_cross_entropy_by_the_probability_that_is_held(engine):
    ce, p = plain(log_odds(Z))
    loss, grad, _ = solve(engine, Z, T, dft=1.0)
    np.testing.assert_allclose(loss, p * ce, rtol=1e-9)
    same((grad,), (p[:, None] * solve(engine, Z, T)[1],))


@pytest.mark.parametrize("link", ["softmax", "sigmoid"])
def test_a_table_of_gammas_is_the_focal_loss_of_each_row_s_gamma(engine, link):
    targets = T if link == "softmax" else HARD
    got = solve(engine, Z, targets, [(0.2, 5), (1, 3)], link)
    m = log_odds(Z) if link == "softmax" else np.where(HARD == 1, Z, -Z)
    low = plain(m)[1] < 0.2
    assert low.any()
    assert (~low).any()
    for part, five, three in zip(
        got, solve(engine, Z, targets, 5.0, link), solve(engine, Z, targets, 3.0, link), strict=True
    ):
        where = low[:, None] if link == "softmax" and part.ndim == 2 else low
        same((part,), (np.where(where, five, three),))


@pytest.mark.parametrize("share", [0.99, 0.999, 1 - 1e-6])
def test_dft_near_one_keeps_the_digits_of_what_is_left(engine, share):
    m = np.array([-40.0, -12.0, -3.0, 0.5, 4.0])
    loss, grad, hess = solve(engine, np.stack([m, 0 * m], 1).astype(np.float32), np.zeros(5, int), dft=share)
    ce, p = plain(m)
    weight, q = (1 - share) + share * p, 1 / (1 + np.exp(m))
    np.testing.assert_allclose(loss, weight * ce, rtol=2e-6)
    np.testing.assert_allclose(grad[:, 0], -weight * q, rtol=2e-6)
    np.testing.assert_allclose(hess[:, 0], weight * p * q, rtol=2e-6)


@pytest.mark.parametrize("smoothing", [0.999, 1 - 1e-5])
def test_smoothing_near_one_keeps_the_digits_of_what_is_left(engine, smoothing):
    n_classes = 1000
    alpha = np.zeros(n_classes)
    alpha[0] = 1.0
    z = np.zeros((1, n_classes), np.float32)
    loss = solve(engine, z, np.zeros(1, int), alpha=alpha, label_smoothing=smoothing)[0]
    np.testing.assert_allclose(loss, (1 - smoothing + smoothing / n_classes) * np.log(n_classes), rtol=1e-6)


def test_the_gradient_of_dft_is_that_of_one_minus_the_probability(engine):
    same((solve(engine, Z, T, dft=1.0)[1],), (solve(engine, Z, T, gce=1.0)[1],))


def test_dft_interpolates(engine):
    whole, none, half = (solve(engine, Z, T, dft=share)[:2] for share in (1.0, 0.0, 0.25))
    same(half, [0.25 * one + 0.75 * other for one, other in zip(whole, none, strict=True)])


def test_generalised_cross_entropy_lies_between_cross_entropy_and_the_error(engine):
    _, p = plain(log_odds(Z))
    np.testing.assert_allclose(solve(engine, Z, T, gce=0.7)[0], (1 - p**0.7) / 0.7, rtol=1e-9)
    small = solve(engine, Z, T, gce=1e-6)[0]
    np.testing.assert_allclose(small, solve(engine, Z, T)[0], rtol=1e-4)


@pytest.mark.parametrize("k", [1e-9, 1e-20, 1e-39, 1e-300, 1e-309])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("link", ["softmax", "sigmoid"])
def test_generalised_cross_entropy_of_next_to_no_power_is_cross_entropy(engine, link, dtype, k):
    m = np.array([-80.0, -3.0, 0.5, 8.0, 60.0, -np.inf], dtype)
    z, t = (np.stack([m, 0 * np.maximum(m, 0)], 1), np.zeros(6, int)) if link == "softmax" else (m, np.ones(6, int))
    loss, grad, hess = solve(engine, z, t, link=link, gce=k)
    want = solve(engine, z[:5], t[:5], link=link)
    for got, right in zip((loss, grad, hess), want, strict=True):
        np.testing.assert_allclose(got[:5], right, rtol=2e-6 if dtype is np.float32 else 1e-7, atol=2 * k)
    with np.errstate(over="ignore"):
        np.testing.assert_allclose(loss[5], dtype(1 / k), rtol=1e-6)
    assert not np.isnan(grad).any()
    assert not np.isnan(hess).any()


HARD = (Y > 0.25).astype(int)


def test_equal_gammas_without_clip_are_the_focal_loss(engine):
    same(solve(engine, Z, HARD, 2.0, "sigmoid", gamma_negative=2.0), solve(engine, Z, HARD, 2.0, "sigmoid"))


def test_the_asymmetric_loss_is_that_of_ridnik_2021(engine):
    p = 1 / (1 + np.exp(-Z))
    clipped = np.maximum(p - 0.05, 0)
    want = np.where(HARD == 1, (1 - p) * -np.log(p), clipped**4 * -np.log(1 - clipped))
    got = solve(engine, Z, HARD, 1.0, "sigmoid", gamma_negative=4.0, clip=0.05)
    np.testing.assert_allclose(got[0], want, rtol=1e-9, atol=1e-300)
    assert (got[1][(HARD == 0) & (p < 0.05)] == 0).all()


@pytest.mark.parametrize("c", [0.99, 0.999, 1 - 1e-5])
def test_a_clip_near_one_keeps_the_digits_of_what_is_left(engine, c):
    edge = np.log(c / (1 - c))
    z = (edge + np.array([0.5, 1.0, 3.0, 20.0])).astype(np.float32)
    p, q = 1 / (1 + np.exp(z.astype(float))), 1 / (1 + np.exp(-z.astype(float)))
    v = (1 - c) - p
    loss, grad, hess = solve(engine, z, np.zeros(4, int), 0.0, "sigmoid", gamma_negative=0.0, clip=c)
    np.testing.assert_allclose(loss, -np.log1p(-v), rtol=6e-6)
    np.testing.assert_allclose(grad, p * q / (p + c), rtol=6e-6)
    np.testing.assert_allclose(hess, p * q * (p - c * q / (p + c)) / (p + c), rtol=2e-5)


@pytest.mark.parametrize(("z", "c", "dtype"), [(60.0, 1e-20, np.float32), (600.0, 1e-200, np.float64)])
def test_a_small_clip_bounds_the_loss(engine, z, c, dtype):
    for targets in (np.zeros(1, int), np.zeros(1, dtype)):
        loss, grad, hess = solve(engine, np.array([z], dtype), targets, 0.0, "sigmoid", gamma_negative=0.0, clip=c)
        p = np.exp(-z)
        np.testing.assert_allclose(loss, -np.log(p + c), rtol=1e-6)
        np.testing.assert_allclose(grad, p / (p + c), rtol=1e-5)
        np.testing.assert_allclose(hess, -(p / (p + c)) * (c / (p + c)), rtol=1e-5, atol=1e-12)


@pytest.mark.parametrize(
    ("dtype", "gamma"), [(np.float32, g) for g in (1e15, 1e20, 1e37)] + [(np.float64, g) for g in (1e20, 1e160, 1e300)]
)
@pytest.mark.parametrize("options", [{"quality": "quality"}, {"clip": 0.05}], ids=["quality", "asymmetric"])
def test_the_largest_gammas_give_no_nan(engine, options, dtype, gamma):
    z = np.array([-200, -50, -3, 0, 0.5, 3, 17, 50, 200], dtype)
    of_negatives = {"gamma_negative": gamma} if "clip" in options else {}
    for y in (0.0, 0.3, 1.0):
        for part in solve(engine, z, np.full(9, y, dtype), gamma, "sigmoid", **options, **of_negatives):
            assert not np.isnan(part).any()


def test_quality_is_cross_entropy_of_soft_targets_by_the_distance(engine):
    ce, p = plain(Z)[0] * Y + plain(-Z)[0] * (1 - Y), 1 / (1 + np.exp(-Z))
    got = solve(engine, Z, Y, 2.0, "sigmoid", quality="quality")
    np.testing.assert_allclose(got[0], np.abs(Y - p) ** 2 * ce, rtol=1e-8)
    want = (p - Y) ** 3 + 2 * (p - Y) * p * (1 - p) * ce
    np.testing.assert_allclose(got[1], want, rtol=1e-7, atol=1e-12)


def test_quality_of_zeros_and_ones_is_the_focal_loss(engine):
    same(solve(engine, Z, HARD, 2.0, "sigmoid", quality="quality"), solve(engine, Z, HARD, 2.0, "sigmoid"))


def test_varifocal_is_cross_entropy_where_there_is_quality_and_focal_where_there_is_none(engine):
    y = np.where(HARD == 1, Y, 0.0)
    ce = plain(Z)[0] * y + plain(-Z)[0] * (1 - y)
    p = 1 / (1 + np.exp(-Z))
    got = solve(engine, Z, y, 2.0, "sigmoid", quality="varifocal")[0]
    np.testing.assert_allclose(got, np.where(y > 0, y * ce, p**2 * plain(-Z)[0]), rtol=1e-9)


@pytest.mark.parametrize("member", SIGMOID)
@pytest.mark.parametrize("y", [0.0, 0.3, 1.0])
def test_an_infinite_logit_has_the_derivatives_of_a_very_large_one(engine, member, y):
    gamma, options = SIGMOID[member]
    ends = [solve(engine, z * np.array([-1.0, 1.0]), np.full(2, y), gamma, "sigmoid", **one_class(options))
            for z in (np.inf, 1e6)]  # fmt: skip
    for at_infinity, far in zip(ends[0][1:], ends[1][1:], strict=True):
        np.testing.assert_allclose(at_infinity, far, rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize("member", SIGMOID)
def test_an_infinite_logit_of_the_target_s_sign_has_no_loss(engine, member):
    gamma, options = SIGMOID[member]
    spec = LossSpec("sigmoid", gamma, reduction="none", **{**one_class(options), "scale": 1.0})
    for targets in (np.array([0, 1]), np.array([0.0, 1.0])):
        for weight in (None, np.array([1.0, 0.0])):
            z = np.array([-np.inf, np.inf])
            loss, grad, hess = engine.loss_grad_hess(spec, z, targets, sample_weight=weight)
            for part in (engine.loss(spec, z, targets, sample_weight=weight), loss, grad, hess):
                np.testing.assert_array_equal(part, [0.0, 0.0])


def one_class(options):
    return {name: value[:1] if isinstance(value, np.ndarray) else value for name, value in options.items()}


# all of them


def members(table):
    return pytest.mark.parametrize(("gamma", "options"), list(table.values()), ids=list(table))


@members(SOFTMAX)
@pytest.mark.parametrize("targets", [T, Y], ids=["hard", "soft"])
def test_softmax_gradients_and_hessians_are_derivatives(engine, gamma, options, targets):
    derivatives_are_right(engine, "softmax", gamma, options, targets)


@members(SIGMOID)
@pytest.mark.parametrize("targets", [HARD, Y], ids=["hard", "soft"])
def test_sigmoid_gradients_and_hessians_are_derivatives(engine, gamma, options, targets):
    derivatives_are_right(engine, "sigmoid", gamma, options, targets)


def derivatives_are_right(engine, link, gamma, options, targets):
    """Along each logit, by central differences; the weight of dft is held, so that its value is not asked."""
    n, step = 8 // engine.thinning or 2, 1e-5
    z, t = Z[:n], targets[:n]
    spec = LossSpec(link, gamma, reduction="sum", **options)
    _, grad, hess = engine.loss_grad_hess(spec, z, t)
    for j in range(z.shape[1]):
        up, down = (engine.loss_grad_hess(spec, z + sign * step * (np.arange(5) == j), t) for sign in (1, -1))
        if "dft" not in options:
            np.testing.assert_allclose((up[0] - down[0]) / (2 * step), grad[:, j].sum(), rtol=1e-5, atol=1e-6)
            np.testing.assert_allclose((up[1] - down[1])[:, j] / (2 * step), hess[:, j], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("link", ["softmax", "sigmoid"])
def test_weights_multiply_and_rows_are_ignored_as_in_the_focal_loss(engine, link):
    table, targets = (SOFTMAX, T) if link == "softmax" else (SIGMOID, HARD)
    weight = RNG.uniform(0, 2, 40)
    alpha = (1.0, 2.0, 0.5, 3.0, 0.25) if link == "softmax" else 0.25
    ignored = targets.copy()
    ignored[::3] = -100
    for gamma, options in list(table.values())[:: engine.thinning]:
        base = LossSpec(link, gamma, reduction="none", **options)
        loss, grad, _ = engine.loss_grad_hess(base, Z, targets)
        each = np.asarray(alpha)[T] if link == "softmax" else np.where(HARD == 1, 0.25, 0.75)
        spec = LossSpec(link, gamma, alpha, reduction="none", **options)
        got = engine.loss_grad_hess(spec, Z, ignored, sample_weight=weight)
        factor = each * (weight if link == "softmax" else weight[:, None]) * (ignored != -100)
        same(got[:2], (factor * loss, (factor[:, None] if link == "softmax" else factor) * grad))


@pytest.mark.parametrize("link", ["softmax", "sigmoid"])
def test_extreme_logits_give_no_nan(engine, link):
    table, targets = (SOFTMAX, T) if link == "softmax" else (SIGMOID, HARD)
    signs = np.sign(Z)
    for size in (50.0, 120.0, 1e4):
        for gamma, options in list(table.values())[:: engine.thinning]:
            for part in solve(engine, (signs * size).astype(np.float32), targets, gamma, link, **options):
                assert np.isfinite(part).all()


# refusals


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"poly": 1.0, "star": 0.0, "gamma": 2.0}, "the form of the loss must be one; got poly, star"),
        ({"dft": 1.0, "gce": 0.5}, "be one"),
        ({"dft": 1.0, "gamma": 2.0}, "gamma must be 0 beside dft"),
        ({"star": 0.0}, "gamma must be above 0 beside star"),
        ({"poly": -2.0}, "poly must be a number in"),
        ({"clip": 0.05}, "clip must be left out for the softmax link"),
        ({"quality": "quality"}, "quality must be left out for the softmax link"),
        ({"link": "sigmoid", "quality": "high"}, "be one of 'quality', 'varifocal'"),
        ({"link": "sigmoid", "margin": 0.5}, "margin must be None for the sigmoid link"),
        ({"link": "sigmoid", "clip": 0.1, "gamma": (1.0, 2.0)}, "gamma must be one number beside clip"),
        ({"logit_adjustment": 0.5}, "have one entry per class for the softmax link"),
        ({"logit_adjustment": {"tau": 1.0}}, "a mapping with 'prior'"),
        ({"logit_adjustment": (0.0, 1e3)}, "logit_adjustment must"),
        ({"gamma": [(0.2, 5), (0.9, 3)]}, "have rising p, the last one 1"),
        ({"gamma": [(0.2, 5), (1, 3)], "poly": 1.0}, "be one"),
        ({"gamma": np.ones((2, 3))}, "have rows of two numbers, (p, gamma), as a table"),
        ({"scale": 0.0}, "scale must be a number in [1e-100"),
    ],
)
def test_what_cannot_be_combined_is_refused_in_words(options, words):
    with pytest.raises(InputError) as error:
        LossSpec(**options)
    assert words in str(error.value)


def test_a_vector_must_have_one_entry_per_class(engine):
    for options in ({"logit_adjustment": (0.0, 1.0)}, {"margin": (0.1, 0.2)}):
        with pytest.raises(InputError, match="one entry for each of the 5 classes"):
            engine.loss(LossSpec(reduction="none", **options), Z, T)


# NaN


@pytest.mark.parametrize("n", [3, 40])
@pytest.mark.parametrize(
    ("link", "name"), [("softmax", name) for name in SOFTMAX] + [("sigmoid", name) for name in SIGMOID]
)
def test_no_member_hides_a_nan(engine, link, name, n):
    gamma, options = (SOFTMAX if link == "softmax" else SIGMOID)[name]
    z, t = Z[:n].copy(), T[:n] if link == "softmax" else (np.arange(5) % 2 + np.zeros((n, 1))).astype(int)
    z[1] = np.nan
    loss, grad, hess = solve(engine, z, t, gamma, link, **options)
    assert np.isnan(loss[1]).all()
    assert np.isnan(grad[1]).all()
    assert np.isnan(hess[1]).all()
    assert np.isfinite(grad[[0, 2]]).all()
