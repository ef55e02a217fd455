"""A ledger answers for the neighbours of the focal loss too, and its bounds hold."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from focalkit import InputError, LossSpec, loss_grad_hess
from focalkit.diagnosis import Ledger, loss_curves
from focalkit.diagnosis.advice import contradicted, starting_point
from focalkit.diagnosis.expansion import ratio

RNG = np.random.default_rng(12)
Z = RNG.normal(size=(4000, 4)) * 5
T = RNG.choice(4, p=[0.9, 0.06, 0.03, 0.01], size=4000)
Z[::50] *= 8  # into the open cells
HARD = (RNG.random((4000, 4)) < 0.1).astype(int)

FORMS = [
    (2.0, {"poly": 1.0}),
    (1.0, {"poly": -1.0}),
    (0.0, {"poly": 40.0}),
    (2.0, {"star": 1.0}),
    (0.5, {"star": -1.0}),
    (0.0, {"dft": 1.0}),
    (0.0, {"dft": 0.25}),
    (0.0, {"gce": 0.7}),
    (0.0, {"gce": 1.0}),
    (0.0, {"gamma_steps": [(0.2, 5.0), (1.0, 3.0)]}),
    (0.0, {"gamma_steps": [(0.1, 1.0), (0.5, 2.0), (1.0, 0.0)]}),
]
MARGINS = [(1.0, 4.0, 0.05), (0.0, 2.0, 0.05), (2.0, 1.0, 0.2), (0.5, 2.5, 0.01), (1.0, 0.0, 0.5), (1.0, 0.5, 0.001)]


def ledger_of(spec, z=Z, t=T):
    ledger = Ledger(spec, 4)
    ledger.update(z, t)
    return ledger


def sums_of(spec, z=Z, t=T):
    """Loss and |d1| summed by class, from the samples themselves."""
    spec = LossSpec(spec.link, spec.gamma, **spec.form_fields, reduction="none")
    found = loss_grad_hess(spec, z, t, hess=False)
    slope = np.abs(found.grad[np.arange(len(t)), t])
    return (np.bincount(t, values, minlength=4) for values in (found.loss, slope))


@pytest.mark.parametrize(("gamma", "form"), FORMS, ids=str)
def test_shares_of_a_form_are_right_within_their_bounds(gamma, form):
    spec = LossSpec(gamma=gamma, **form)
    asked = ledger_of(LossSpec(gamma=2.0)).shares(gamma=gamma, form=form)
    own = ledger_of(spec).shares()
    for shares in (asked, own):
        for part, want in zip((shares.loss, shares.grad), sums_of(spec), strict=True):
            right = want / want.sum()
            assert (np.abs(part.share - right) <= part.share_error).all()
            assert part.share_error.max() < (0.02 if "gamma_steps" in form else 1e-3)


KINDS = [
    *((gamma, {"poly": e}) for gamma in (0.0, 0.5, 1.0, 2.0, 5.0) for e in (-1.0, 1.0, 1e4)),
    *((gamma, {"star": b}) for gamma in (0.01, 0.5, 2.0, 100.0) for b in (-30.0, 0.0, 1.0, 30.0)),
    *((0.0, {"dft": share}) for share in (1e-6, 0.5, 1.0)),
    *((0.0, {"gce": k}) for k in (1e-6, 1e-3, 0.5, 1.0)),
    (0.0, {"gamma_steps": [(0.2, 5.0), (1.0, 3.0)]}),
    *((0.5, {"gamma_negative": n, "clip": c}) for n in (0.0, 0.5, 1.0, 2.0, 2.5, 4.0)
      for c in (1e-20, 0.05, 0.2, 0.5, 0.9, 1 - 1e-9)),
    *((gamma, {}) for gamma in (0.0, 0.5, 1.0, 2.0, 30.0)),
]  # fmt: skip


def hard_places(rng, clip):
    """Log-odds about where a margin begins, at edges of bins, all alike, far out, and anywhere."""
    edge = np.log1p(-clip) - np.log(clip) if clip else 0.0
    n = int(rng.integers(1, 40))
    about = edge + rng.choice([1e-15, 1e-9, 1e-3, 0.05, 0.2]) * rng.normal(size=n)
    places = [
        about,
        np.full(n, edge),
        np.ceil(about * 8) / 8,
        np.zeros(n),
        -np.exp(rng.uniform(3, 6, n)),
        rng.normal(size=n) * rng.choice([1, 5, 30]),
    ]
    return np.concatenate([places[i] for i in rng.choice(len(places), int(rng.integers(1, 4)))])


@pytest.mark.parametrize(("gamma", "form"), KINDS, ids=str)
def test_bounds_hold_in_the_hard_places(gamma, form):
    spec = LossSpec("sigmoid", gamma, **form, reduction="none")
    for seed in range(40):
        rng = np.random.default_rng(seed)
        m, sides = hard_places(rng, form.get("clip", 0.0)), rng.random() < 0.5
        t = rng.integers(2, size=len(m)) if sides else np.zeros(len(m), int)
        z = np.where(t == 1, m, -m)[:, None]
        found = loss_grad_hess(spec, z, t[:, None], hess=False)
        ledger = Ledger(LossSpec("sigmoid", 3.0), 1)
        ledger.update(z, t[:, None])
        shares = ledger.shares(gamma=gamma, form=form)
        for part, values in ((shares.loss, found.loss[:, 0]), (shares.grad, np.abs(found.grad[:, 0]))):
            want = np.array([math.fsum(values[t == side]) for side in (0, 1)])
            easy, very_easy = (
                np.array([math.fsum(values[(t == side) & (m > floor)]) for side in (0, 1)])
                for floor in (0, math.log(9))
            )
            assert (np.abs(part.total - want) <= part.total_error).all()
            for got, error, of, whole in (
                (part.share, part.share_error, want, want.sum()),
                (part.easy, part.easy_error, easy, want),
                (part.very_easy, part.very_easy_error, very_easy, want),
            ):
                there = np.broadcast_to(whole > 0, of.shape)
                assert (np.abs(got - of / np.where(whole > 0, whole, 1.0))[there] <= error[there]).all()
                assert (got >= 0).all()
                assert (got <= 1).all()


def test_far_out_a_form_s_bounds_are_of_use():
    ledger = Ledger(LossSpec(), 2)
    ledger.update(np.array([[-30.0, 0.0], [-208.0, 0.0]]), np.zeros(2, int))
    star = ledger.shares(gamma=0.01, form={"star": 1.0}).loss
    assert star.total_error[0] < 0.3 * star.total[0]
    gce = ledger.shares(gamma=0.0, form={"gce": 1e-6}).loss
    assert gce.total_error[0] < gce.total[0] <= 238.0


def test_the_bound_of_a_share_holds_for_all_sums_within_theirs():
    rng = np.random.default_rng(4)
    for _ in range(3000):
        part, rest = 10.0 ** rng.uniform(-12, 6, 2)
        errors = np.array([part, rest]) * rng.choice([0, 1e-14, 0.1, 0.99, 1.5], 2)
        share, bound = ratio(np.array([part]), errors[:1], part + rest, errors.sum())
        for signs in ([1, 1], [1, -1], [-1, 1], [-1, -1]):
            a, b = (Fraction(max(x, 0.0)) for x in np.array([part, rest]) + signs * errors)
            if a + b > 0:
                assert abs(a / (a + b) - Fraction(share[0])) <= Fraction(bound[0]) + Fraction(1, 10**17)


def test_the_focal_loss_is_asked_of_a_form_s_ledger_by_no_fields():
    spec = LossSpec(gamma=2.0)
    right = ledger_of(spec).shares()
    got = ledger_of(LossSpec(gamma=2.0, poly=1.0)).shares(form={})
    np.testing.assert_array_equal(got.loss.share, right.loss.share)


def test_a_ledger_of_shifted_logits_sees_what_training_saw():
    shift = {"logit_adjustment": {"prior": [9000, 600, 300, 100]}, "margin": (0.1, 0.2, 0.3, 0.5), "scale": 2.0}
    spec = LossSpec(gamma=1.0, **shift, reduction="none")
    want = loss_grad_hess(spec, Z, T, hess=False).loss
    got = ledger_of(spec).shares()
    totals = np.bincount(T, want, minlength=4)
    np.testing.assert_allclose(got.loss.share, totals / totals.sum(), rtol=1e-9)


def test_the_asymmetric_loss_has_two_gammas_in_its_ledger():
    spec = LossSpec("sigmoid", 1.0, gamma_negative=4.0, reduction="none")
    losses = loss_grad_hess(spec, Z, HARD, hess=False).loss
    want = np.array([losses[:, k][HARD[:, k] == side].sum() for k in range(4) for side in (0, 1)])
    got = ledger_of(spec, Z, HARD).shares()
    np.testing.assert_allclose(got.loss.share, want / want.sum(), rtol=1e-9)


@pytest.mark.parametrize(("positives", "negatives", "clip"), MARGINS)
def test_shares_of_an_asymmetric_loss_with_a_margin_are_right_within_their_bounds(positives, negatives, clip):
    form = {"gamma_negative": negatives, "clip": clip}
    spec = LossSpec("sigmoid", positives, reduction="none", **form)
    found = loss_grad_hess(spec, Z, HARD, hess=False)
    asked = ledger_of(LossSpec("sigmoid", 2.0), Z, HARD).shares(gamma=positives, form=form)
    own = ledger_of(spec, Z, HARD).shares()
    for shares in (asked, own):
        for part, values in ((shares.loss, found.loss), (shares.grad, np.abs(found.grad))):
            want = np.array([values[:, k][HARD[:, k] == side].sum() for k in range(4) for side in (0, 1)])
            right = want / want.sum()
            assert (np.abs(part.share - right) <= part.share_error).all()
            assert part.share_error.max() < 3e-3


def test_curves_of_an_asymmetric_loss_with_a_margin_are_of_each_side():
    spec = LossSpec("sigmoid", 4.0, gamma_negative=4.0, clip=0.05, reduction="none")
    ledger = ledger_of(spec, Z, HARD)
    negatives = -Z[HARD == 0]
    losses = loss_grad_hess(spec, Z, HARD, hess=False).loss[HARD == 0]
    by_sign = ledger.cumulative(by="sign")
    for m in (4.0, 2.0, 0.0, -3.0):
        easier = by_sign.sample_share[0] <= (negatives > m).mean() + 1e-12
        share, error = by_sign.loss_share[0][easier].max(), by_sign.loss_share_error[0][easier].max()
        assert abs(share - losses[negatives > m].sum() / losses.sum()) <= error
        assert error < 1e-3
    with pytest.raises(InputError, match="by must be 'class' or 'sign' for this form"):
        ledger.cumulative(by="all")


SOFT = np.where(HARD == 1, 0.8, 0.0)


@pytest.mark.parametrize("kind", ["quality", "varifocal"])
def test_the_quality_losses_are_answered_for_targets_of_0_and_1(kind):
    spec = LossSpec("sigmoid", 1.5, quality=kind, reduction="none")
    found = loss_grad_hess(spec, Z, HARD, hess=False)
    shares = ledger_of(LossSpec("sigmoid", 2.0), Z, HARD).shares(gamma=1.5, form={"quality": kind})
    for part, values in ((shares.loss, found.loss), (shares.grad, np.abs(found.grad))):
        want = np.array([values[:, k][HARD[:, k] == side].sum() for k in range(4) for side in (0, 1)])
        assert (np.abs(part.share - want / want.sum()) <= part.share_error).all()


@pytest.mark.parametrize("kind", ["quality", "varifocal"])
def test_what_no_table_of_log_odds_holds_is_refused(kind):
    ledger = Ledger(LossSpec("sigmoid"), 4)
    ledger.update(Z, HARD, np.where(HARD == 1, 2.0, 1.0))
    for of in (ledger_of(LossSpec("sigmoid"), Z, SOFT), ledger_of(LossSpec("sigmoid"), Z, HARD) + ledger, ledger):
        with pytest.raises(InputError, match="be one that a ledger answers for"):
            of.shares(gamma=1.0, form={"quality": kind})
    with pytest.raises(InputError, match="be one that a ledger answers for"):
        Ledger(LossSpec("sigmoid", 1.0, quality=kind), 4)


@pytest.mark.parametrize(("gamma", "form"), FORMS, ids=str)
def test_findings_and_starting_points_are_made_of_a_form_s_ledger_too(gamma, form):
    ledger = ledger_of(LossSpec(gamma=gamma, **form))
    noise, start = contradicted(ledger), starting_point(ledger)
    assert np.isfinite(noise.loss).all()
    assert np.isfinite(start.alpha).all()
    plain = ledger_of(LossSpec()).shares().loss.share
    np.testing.assert_allclose(ledger.shares(gamma=0.0, form={}).loss.share, plain, rtol=1e-6)


def test_a_form_s_ledger_survives_json_and_adds():
    spec = LossSpec(gamma=2.0, poly=1.0, margin=(0.1, 0.2, 0.3, 0.4))
    whole, half = ledger_of(spec), Ledger(spec, 4)
    half.update(Z[:2000], T[:2000])
    other = Ledger.from_json(half.to_json())
    other.update(Z[2000:], T[2000:])
    np.testing.assert_allclose(other.shares().loss.share, whole.shares().loss.share, rtol=1e-12)


def test_curves_of_forms_are_those_of_the_loss():
    curves = loss_curves([2.0], 10, {"poly": 1.0})
    p = curves.p_t
    np.testing.assert_allclose(curves.loss[0], -((1 - p) ** 2) * np.log(p) + (1 - p) ** 3, atol=1e-12)
    curves = loss_curves([1.0], 100, {"gamma_negative": 4.0, "clip": 0.05})
    missing = np.maximum(1 - curves.p_t - 0.05, 0)
    np.testing.assert_allclose(curves.loss[0], missing**4 * -np.log1p(-missing), atol=1e-12)


@pytest.mark.parametrize("y", [0.0, 0.7, 1.0])
def test_curves_of_the_quality_losses_are_those_of_a_target(y):
    curves = loss_curves([2.0], 10, {"quality": "quality"}, target=y)
    p = curves.p_t[:-1]
    entropy = -y * np.log(p) - (1 - y) * np.log1p(-p)
    np.testing.assert_allclose(curves.loss[0][:-1], (y - p) ** 2 * entropy, atol=1e-12)
    curves = loss_curves([2.0], 10, {"quality": "varifocal"}, target=y)
    np.testing.assert_allclose(curves.loss[0][:-1], y * entropy if y else -(p**2) * np.log1p(-p), atol=1e-12)
    with pytest.raises(InputError, match="target must be left out for this form"):
        loss_curves([2.0], 10, {"poly": 1.0}, target=y)
