"""Boosters and the linear classifier with the neighbours of the focal loss."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from focalkit import InputError, LossSpec, loss_grad_hess
from focalkit.boosting import FocalObjective
from focalkit.boosting.start import start_of
from focalkit.estimator import FocalClassifier
from focalkit.posterior import recover_from_logits

RNG = np.random.default_rng(8)
MEMBERS = [
    (2.0, {"poly": 1.0}),
    (2.0, {"star": 1.0}),
    (0.0, {"dft": 0.5}),
    (0.0, {"gce": 0.7}),
    (2.0, {"logit_adjustment": 1.0}),
    (1.0, {"scale": 2.0}),
]
TWO = [*MEMBERS, (1.0, {"gamma_negative": 4.0, "clip": 0.05})]
THREE = [*MEMBERS, (1.0, {"margin": (0.1, 0.2, 0.3)})]
ALL = [([900, 100], *member) for member in TWO] + [([900, 80, 20], *member) for member in THREE]


def tables(n_classes, n=600):
    X = RNG.normal(size=(n, 3))
    logits = X @ RNG.normal(size=(3, n_classes)) * 2 + np.linspace(1, -1, n_classes)
    y = (logits + RNG.gumbel(size=logits.shape)).argmax(1)
    return X, y


@pytest.mark.parametrize(("counts", "gamma", "options"), ALL, ids=str)
def test_the_start_is_the_constant_that_minimises_the_risk(counts, gamma, options):
    objective = FocalObjective.from_counts(counts, gamma, "sqrt", options=options)
    targets = np.repeat(np.arange(len(counts)), counts)
    scores = np.tile(objective.start_scores, (len(targets), 1))
    grad, _ = objective.grad_hess(scores[:, 0] if len(counts) == 2 else scores, targets)
    assert np.abs(grad.sum(0)).max() < 1e-6 * np.abs(grad).sum()


@pytest.mark.parametrize(("counts", "gamma", "options"), ALL, ids=str)
def test_curvature_is_positive_and_never_below_the_exact_one(counts, gamma, options):
    k = len(counts)
    exact, safe = (
        FocalObjective.from_counts(counts, gamma, options=options, hessian=hessian) for hessian in ("exact", "clipped")
    )
    scores, targets = RNG.normal(size=(200, k)) * 3, RNG.integers(k, size=200)
    scores = scores[:, 1] - scores[:, 0] if k == 2 else scores
    grad, hess = safe.grad_hess(scores, targets)
    same, least = exact.grad_hess(scores, targets)
    np.testing.assert_array_equal(grad, same)
    assert (hess >= 0).all()
    assert (hess >= least - 1e-12).all()
    if "clip" not in options:
        assert (hess > 0).all()


BINARY = [
    *((gamma, {}) for gamma in (0.5, 2.0)),
    *((gamma, {"poly": e}) for gamma in (0.0, 1.0, 3.0) for e in (-1.0, 1.0, 40.0)),
    *((gamma, {"star": b}) for gamma, b in ((2.0, 1.0), (0.05, 1.0), (5.0, -3.0))),
    *((0.0, {"gce": k}) for k in (1e-3, 0.7, 0.95)),
    *((0.0, {"dft": share}) for share in (0.5, 0.99)),
    *((2.0, {"quality": kind}) for kind in ("quality", "varifocal")),
    *(
        (g, {"gamma_negative": n, "clip": c})
        for g in (0.0, 1.0)
        for n in (0.0, 0.5, 4.0)
        for c in (0.0, 0.01, 0.2, 0.6)
    ),
    (2.0, {"scale": 3.0, "logit_adjustment": 1.0, "poly": 1.0}),
    (1.0, {"scale": 0.5, "gamma_negative": 2.0, "clip": 0.1}),
]


@pytest.mark.parametrize(("gamma", "options"), BINARY, ids=str)
def test_the_start_of_two_classes_is_where_the_risk_is_least(gamma, options):
    for share in (1e-6, 0.001, 0.02, 0.05, 0.2, 0.5, 0.7, 0.97):
        for alpha in (None, "sqrt", "balanced"):
            counts = np.array([1 - share, share]) * 1e6
            objective = FocalObjective.from_counts(counts, gamma, alpha, options=options)
            spec = replace(objective.unscaled_spec[0], reduction="none")

            def risk(z, spec=spec, counts=counts):
                both = [loss_grad_hess(spec, z, np.full(len(z), y), hess=False) for y in (0, 1)]
                return [
                    counts[0] * getattr(both[0], part) + counts[1] * getattr(both[1], part) for part in ("loss", "grad")
                ]

            start, span = objective.start_scores[0], 600.0 / spec.scale
            if risk(np.array([span]))[1] < 0:  # it falls for ever
                assert options["clip"] > 0
                plain = FocalObjective.from_counts(counts, 0.0, alpha)
                np.testing.assert_allclose(start * spec.scale, plain.start_scores[0], atol=1e-12)
                continue
            near = 1e-6 * max(1.0, abs(start))
            slopes = risk(np.array([start - near, start + near]))[1]
            assert slopes[0] <= 0 <= slopes[1]
            if "dft" in options:  # whose weight is not differentiated
                continue
            z = np.linspace(-span, span, 20001)
            for _ in range(4):
                values = risk(z)[0]
                z = np.linspace(-1, 1, 2001) * np.ptp(z) / 2000 + z[values.argmin()]
            rounded = 4 * np.finfo(float).eps * (1 + abs(start)) * np.abs(slopes).max()  # the start itself, at a kink
            assert risk(np.array([start]))[0] <= values.min() * (1 + 1e-12) + rounded


@pytest.mark.parametrize(
    ("gamma", "options"),
    [
        *((gamma, {"poly": e}) for gamma in (0.0, 2.0) for e in (-1.0, 1e3)),
        *((gamma, {"star": b}) for gamma, b in ((2.0, 1.0), (0.05, 1.0), (5.0, -3.0))),
        *((0.0, {"gce": k}) for k in (1e-3, 0.9)),
        *((0.0, {"dft": share}) for share in (0.5, 0.9999)),
        *((0.0, {"margin": most, "scale": scale}) for most, scale in ((0.35, 64.0), (0.5, 10.0))),
        (1.0, {"logit_adjustment": 1.0, "margin": 0.3, "scale": 2.0, "poly": 1.0}),
    ],
    ids=str,
)
def test_the_start_of_several_classes_leaves_the_risk_no_slope(gamma, options):
    rng = np.random.default_rng(3)
    for n_classes in (3, 5, 12):
        for decades in (1, 3, 6):
            counts = 10 ** rng.uniform(0, decades, n_classes)
            objective = FocalObjective.from_counts(counts, gamma, options=options)
            scores = np.tile(objective.start_scores, (n_classes, 1))
            grad, _ = objective.grad_hess(scores, np.arange(n_classes), counts)
            assert (np.abs(grad.sum(0)) <= 1e-7 * np.abs(grad).sum(0)).all()


@pytest.mark.parametrize("counts", [[500, 300, 200], [9990, 9, 1], list(np.logspace(0, 2, 10))], ids=str)
def test_a_form_near_the_one_without_a_minimiser_starts_far_out(counts):
    want = np.log(counts) / (1 - 0.99)  # p^(1 - k) is proportional to the class frequencies
    found = start_of(counts, LossSpec(gce=0.99))
    np.testing.assert_allclose(found, want - want.max() - np.log(np.exp(want - want.max()).sum()), rtol=1e-7, atol=1e-9)


def test_where_float64_has_no_curvature_at_the_start_the_form_is_named():
    with pytest.raises(InputError, match="options must leave the loss some curvature"):
        FocalObjective.from_counts([1000, 0], 0.0, options={"gce": 0.99})


@pytest.mark.parametrize(
    "options",
    [
        {"label_smoothing": 0.1},
        {"ignore_index": 1},
        {"keep_hardest": 0.5},
        {"negatives_per_positive": 3.0},
        {"reduction": "mean"},
        {"class_axis": 0},
        {"link": "sigmoid"},
        {"gamma": 1.0},
        {"alpha": 0.25},
        {"poli": 1.0},
    ],
    ids=str,
)
def test_fields_that_an_objective_cannot_serve_are_refused(options):
    name = next(iter(options))
    with pytest.raises(InputError, match=rf"got '{name}'\..* Known are logit_adjustment, margin, scale"):
        FocalObjective.from_counts([90, 10], 2.0, options=options)
    with pytest.raises(InputError, match=f"got '{name}'"):
        FocalObjective(2.0, (1.0, 1.0), (0.0, 0.0), options=options)


def test_what_has_no_minimiser_starts_where_cross_entropy_does():
    plain = FocalObjective.from_counts([900, 80, 20], 0.0)
    np.testing.assert_allclose(FocalObjective.from_counts([900, 80, 20], 0.0, options={"dft": 1.0}).start, plain.start)


def test_the_bound_of_the_focal_loss_is_refused_for_other_forms():
    with pytest.raises(InputError, match="be 'clipped' or 'exact' for this form"):
        FocalObjective.from_counts([90, 10], 2.0, hessian="majorizer", options={"poly": 1.0})


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize(("gamma", "options"), [(2.0, {"poly": 1.0}), (0.0, {"logit_adjustment": 1.0})], ids=str)
def test_boosters_take_them_and_come_back_from_their_files(n_classes, gamma, options, tmp_path):
    xgboost = pytest.importorskip("xgboost")
    assert xgboost
    from focalkit.boosting import FocalXGBClassifier

    X, y = tables(n_classes)
    model = FocalXGBClassifier(gamma=gamma, options=options, n_estimators=30, max_depth=3).fit(X, y)
    assert (model.predict(X) == y).mean() > 0.7
    model.save_model(tmp_path / "model.ubj")
    again = FocalXGBClassifier()
    again.load_model(tmp_path / "model.ubj")
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    assert again.get_params()["gamma"] == gamma


def test_lightgbm_and_catboost_take_them_too():
    lightgbm, catboost = pytest.importorskip("lightgbm"), pytest.importorskip("catboost")
    assert lightgbm
    assert catboost
    from focalkit.boosting import FocalCatBoostClassifier, FocalLGBMClassifier

    X, y = tables(3)
    options = {"poly": 1.0}
    one = FocalLGBMClassifier(gamma=1.0, hessian="clipped", options=options, n_estimators=20, verbose=-1).fit(X, y)
    two = FocalCatBoostClassifier(
        gamma=1.0, options=options, iterations=20, learning_rate=0.3, verbose=0, allow_writing_files=False
    ).fit(X, y)
    for model in (one, two):
        assert (model.predict(X).reshape(-1) == y).mean() > 0.7
        np.testing.assert_allclose(model.predict_proba(X).sum(1), 1)


@pytest.mark.parametrize("n_classes", [2, 4])
def test_with_an_intercept_training_on_adjusted_logits_is_a_shift_of_the_intercept(n_classes):
    X, y = tables(n_classes)
    plain = FocalClassifier(0.0, tol=1e-8).fit(X, y)
    adjusted = FocalClassifier(0.0, logit_adjustment=1.0, tol=1e-8).fit(X, y)
    prior = np.log(np.bincount(y) / len(y))
    shift = prior[1:] - prior[:1] if n_classes == 2 else prior - prior.mean()
    np.testing.assert_allclose(adjusted.coef_, plain.coef_, atol=1e-5)
    np.testing.assert_allclose(adjusted.intercept_, plain.intercept_ - shift, atol=1e-4)
    np.testing.assert_allclose(adjusted.predict_proba(X), plain.predict_proba(X), atol=1e-4)
    counts = np.bincount(y, minlength=n_classes)
    rare = counts.argmin()
    assert (adjusted.predict(X) == rare).sum() >= (plain.predict(X) == rare).sum()


@pytest.mark.parametrize(
    ("gamma", "options"), [(1.0, {"poly": 1.0}), (2.0, {"star": 0.5}), (0.0, {"gce": 0.5})], ids=str
)
def test_the_linear_classifier_minimises_the_risk_of_its_spec(gamma, options):
    X, y = tables(3)
    model = FocalClassifier(gamma, C=1.0, options=options, tol=1e-7).fit(X, y)
    spec = LossSpec("softmax", gamma, **options)
    assert model.spec_ == spec
    grad = loss_grad_hess(spec, model.decision_function(X), y, hess=False).grad
    slope = grad.T @ X + model.coef_ / (model.C * len(y))
    assert np.abs(slope).max() < 1e-5
    np.testing.assert_allclose(model.predict_proba(X), recover_from_logits(model.decision_function(X), spec))


def test_fields_that_the_classifier_has_elsewhere_are_refused():
    X, y = tables(2)
    with pytest.raises(InputError, match="Known are margin, scale"):
        FocalClassifier(options={"reduction": "sum"}).fit(X, y)
