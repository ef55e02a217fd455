"""The conventions of docs/mathematics.md: shapes, ignored rows, denominators, whose memory is written."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from focalkit import InputError, LossSpec
from tests.laws.strategies import assert_same, problems

REDUCTIONS = ("none", "sum", "mean", "weighted_mean")
Z = np.random.default_rng(3).normal(size=(6, 4)) * 3
T = np.array([0, 3, 1, 1, 2, 0])
ALPHA = (0.5, 1.0, 2.0, 4.0)
FOCAL = LossSpec(gamma=2.0, alpha=ALPHA, reduction="none")


def but(spec=FOCAL, **changes):
    fields = {name: getattr(spec, name) for name in spec.__dataclass_fields__}
    return LossSpec(**{**fields, **changes})


def assert_all_equal(actual, expected):
    for one, other in zip(actual, expected, strict=True):
        np.testing.assert_array_equal(one, other)


# shapes


@given(problem=problems(), d1=st.integers(1, 3), d2=st.integers(1, 2))
def test_spatial_logits_are_the_flattened_rows(engine, problem, d1, d2):
    n, k = problem.logits.shape

    def spread(rows):  # (n, K) -> (n, K, d1, d2), every pixel shifted by its own place
        return np.stack([np.stack([np.roll(rows, i + j, 0) for j in range(d2)], -1) for i in range(d1)], -2)

    problem = problem.but(sample_weight=None)
    logits, targets = spread(problem.logits), spread(problem.targets)
    flat = problem.but(
        logits=np.moveaxis(logits, 1, -1).reshape(-1, k),
        targets=targets.reshape(-1) if targets.ndim == 3 else np.moveaxis(targets, 1, -1).reshape(-1, k),
    )
    loss, grad, hess = problem.but(logits=logits, targets=targets).solve(engine)
    flat_loss, flat_grad, flat_hess = flat.solve(engine)
    back = [np.moveaxis(a.reshape(n, d1, d2, k), -1, 1) for a in (flat_grad, flat_hess)]
    loss_shape = flat_loss.reshape(n, d1, d2, -1)
    expected = np.moveaxis(loss_shape, -1, 1) if problem.spec.link == "sigmoid" else loss_shape[..., 0]
    assert_same(loss, expected, scale=1 + np.abs(expected))
    for one, other in zip((grad, hess), back, strict=True):
        assert_same(one, other, scale=1 + np.abs(other).max())


@pytest.mark.parametrize("axis", [0, 1, 2, 3, -1, -2])
@pytest.mark.parametrize("link", ["softmax", "sigmoid"])
@pytest.mark.parametrize("soft", [False, True])
def test_any_class_axis_equals_the_moved_axis(engine, link, axis, soft):
    rng = np.random.default_rng(4)
    z = rng.normal(size=(2, 4, 3, 5))
    alpha = ALPHA if link == "softmax" else (0.1, 0.2, 0.6, 0.9)
    spec = LossSpec(link, (0.0, 0.5, 1.0, 2.0), alpha, reduction="none")
    t = rng.integers(4, size=(2, 3, 5)) if link == "softmax" else rng.integers(2, size=z.shape)
    if soft:
        t = (
            rng.dirichlet(np.ones(4), size=(2, 3, 5)).transpose(0, 3, 1, 2)
            if link == "softmax"
            else rng.random(z.shape)
        )
    loss, grad, hess = engine.loss_grad_hess(spec, z, t)
    moved_t = np.moveaxis(t, 1, axis) if t.ndim == 4 else t
    got = engine.loss_grad_hess(but(spec, class_axis=axis), np.moveaxis(z, 1, axis), moved_t)
    moved_loss = np.moveaxis(loss, 1, axis) if link == "sigmoid" else loss
    for one, other in zip(got, (moved_loss, np.moveaxis(grad, 1, axis), np.moveaxis(hess, 1, axis)), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-13, atol=1e-300)


@pytest.mark.parametrize("shape", [(), (4,)])
def test_softmax_logits_without_a_class_axis_are_refused(engine, shape):
    with pytest.raises(InputError, match=r"logits must have shape \(n, n_classes\) or .*; got shape"):
        engine.loss(FOCAL, np.zeros(shape), np.zeros(shape, int))


def test_binary_logits_are_one_sigmoid_column(engine):
    spec = LossSpec("sigmoid", 2.0, 0.25, reduction="none")
    z, t = Z[:, 0], T % 2
    flat = engine.loss_grad_hess(spec, z, t)
    assert_all_equal(flat, [part[:, 0] for part in engine.loss_grad_hess(spec, z[:, None], t[:, None])])


@pytest.mark.parametrize("scale", [0.0, 3.0, -1e4])
@pytest.mark.parametrize("targets", [np.zeros(2, int), np.ones((2, 1)), np.array([0, -100])])
def test_a_single_softmax_class_has_no_loss_and_no_gradient(engine, scale, targets):
    for part in engine.loss_grad_hess(LossSpec(gamma=2.0, reduction="none"), np.full((2, 1), scale), targets):
        np.testing.assert_array_equal(part, np.zeros_like(part))


def test_a_class_absent_from_the_batch_is_still_a_class(engine):
    loss, grad, _ = engine.loss_grad_hess(FOCAL, Z[:2], np.array([0, 0]))
    assert grad.shape == (2, 4)
    assert np.all(grad[:, 1:] > 0)
    part = engine.loss(but(alpha=None), Z[:2, :1], np.array([0, 0]))
    assert np.all(loss > part)


def test_targets_of_any_integer_type_are_class_ids(engine):
    expected = engine.loss_grad_hess(FOCAL, Z, T)
    for dtype in (np.int8, np.uint8, np.int16, np.int32, np.uint64):
        assert_all_equal(engine.loss_grad_hess(FOCAL, Z, T.astype(dtype)), expected)
    boolean = engine.loss_grad_hess(FOCAL, Z, T > 1)
    assert_all_equal(boolean, engine.loss_grad_hess(FOCAL, Z, (T > 1).astype(int)))


# ignored rows


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("smoothing", [0.0, 0.25])
def test_ignored_rows_are_zero_and_uncounted_even_if_their_logits_are_nan(engine, reduction, smoothing):
    z, t, keep = Z.copy(), T.copy(), np.array([True, False, True, True, False, True])
    z[1], z[4, 2] = np.nan, np.inf
    t[~keep] = -100
    weight = np.array([1.0, 7.0, 2.0, 0.5, 9.0, 1.0])
    spec = but(reduction=reduction, label_smoothing=smoothing)
    loss, grad, hess = engine.loss_grad_hess(spec, z, t, sample_weight=weight)
    expected = engine.loss_grad_hess(spec, Z[keep], T[keep], sample_weight=weight[keep])
    assert np.all(grad[~keep] == 0)
    assert np.all(hess[~keep] == 0)
    if reduction == "none":
        assert np.all(loss[~keep] == 0)
        loss = loss[keep]
    for one, other in zip((loss, grad[keep], hess[keep]), expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-13)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_ignored_elements_are_zero_and_uncounted_for_sigmoid_too(engine, reduction):
    spec = LossSpec("sigmoid", 2.0, 0.25, reduction=reduction)
    t, keep = (np.arange(24) % 2).reshape(6, 4), (np.arange(24) % 5 < 3).reshape(6, 4)
    z = np.where(keep, Z, np.nan)
    loss, grad, hess = engine.loss_grad_hess(spec, z, np.where(keep, t, -100))
    expected = engine.loss_grad_hess(spec, Z[keep], t[keep])
    loss = loss[keep] if reduction == "none" else loss
    for one, other in zip((loss, grad[keep], hess[keep]), expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-13)
    assert np.all(grad[~keep] == 0)
    assert np.all(hess[~keep] == 0)


@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
def test_the_ignore_index_is_the_users_to_choose(engine, dtype):
    t = T.astype(dtype)
    t[2] = 255
    loss, grad, _ = engine.loss_grad_hess(but(ignore_index=255), Z, t)
    assert loss[2] == 0
    assert not grad[2].any()
    with pytest.raises(InputError, match=r"targets must lie in \[0, 4\) or equal ignore_index=-100; got 255"):
        engine.loss(FOCAL, Z, t)


def test_a_class_id_can_be_the_ignore_index(engine):
    loss = engine.loss(but(ignore_index=1), Z, T)
    np.testing.assert_array_equal(loss == 0, T == 1)


# denominators


@pytest.mark.parametrize("link", ["softmax", "sigmoid"])
@pytest.mark.parametrize("weighted", [False, True])
def test_reductions_are_explicit_sums_over_what_is_counted(engine, link, weighted):
    alpha = ALPHA if link == "softmax" else (0.1, 0.2, 0.6, 0.9)
    t = np.where(np.arange(6) == 2, -100, T) if link == "softmax" else np.where(Z > 4, -100, (Z > 0).astype(int))
    spec = LossSpec(link, 2.0, alpha, reduction="none")
    w = np.linspace(0.5, 3, 6) if weighted else None
    loss, grad, hess = engine.loss_grad_hess(spec, Z, t, sample_weight=w)
    counted = t != -100
    if link == "softmax":
        alpha_t = np.asarray(alpha)[np.where(counted, t, 0)]
    else:
        alpha_t = np.where(t == 1, alpha, 1 - np.asarray(alpha))
    below = (alpha_t.T * (w if weighted else 1.0)).T[counted].sum()
    for reduction, denominator in (("sum", 1.0), ("mean", counted.sum()), ("weighted_mean", below)):
        got = engine.loss_grad_hess(but(spec, reduction=reduction), Z, t, sample_weight=w)
        for one, other in zip(got, (loss.sum(), grad, hess), strict=True):
            np.testing.assert_allclose(one, np.asarray(other) / denominator, rtol=1e-13)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_a_normalizer_takes_the_place_of_the_count(engine, reduction):
    total = engine.loss_grad_hess(but(reduction="sum"), Z, T)
    got = engine.loss_grad_hess(but(reduction=reduction), Z, T, normalizer=2.5)
    for one, other in zip(got, total, strict=True):
        np.testing.assert_allclose(one, np.asarray(other) / 2.5, rtol=1e-14)
    np.testing.assert_allclose(engine.loss(but(reduction=reduction), Z, T, normalizer=2.5), total[0] / 2.5, rtol=1e-14)


@pytest.mark.parametrize("reduction", ["none", "weighted_mean"])
def test_a_normalizer_is_refused_where_it_would_compete(engine, reduction):
    with pytest.raises(InputError, match=r"normalizer must go with reduction 'mean' or 'sum'; got"):
        engine.loss(but(reduction=reduction), Z, T, normalizer=3)


def test_a_normalizer_makes_accumulated_microbatches_equal_the_whole_batch(engine):
    spec, t = but(reduction="mean"), np.where(np.arange(6) % 3 == 1, -100, T)
    whole = engine.loss_grad_hess(spec, Z, t)
    count = int((t != -100).sum())
    parts = [engine.loss_grad_hess(spec, Z[i], t[i], normalizer=count) for i in (slice(0, 1), slice(1, 2), slice(2, 6))]
    np.testing.assert_allclose(sum(part[0] for part in parts), whole[0], rtol=1e-14)
    np.testing.assert_allclose(np.concatenate([part[1] for part in parts]), whole[1], rtol=1e-14)


def nothing():
    ignored = np.full(6, -100)
    yield "an empty batch", "softmax", Z[:0], T[:0], None
    yield "an empty batch of soft targets", "softmax", Z[:0], Z[:0], None
    yield "an empty batch of images", "softmax", np.zeros((0, 4, 3, 3)), np.zeros((0, 3, 3), int), None
    yield "images without pixels", "softmax", np.zeros((2, 4, 0)), np.zeros((2, 0), int), None
    yield "all ignored", "softmax", Z, ignored, None
    yield "all ignored and NaN", "softmax", Z * np.nan, ignored, None
    yield "all weights zero", "softmax", Z, T, np.zeros(6)
    yield "an empty batch", "sigmoid", Z[:0], Z[:0].astype(int), None
    yield "an empty binary batch", "sigmoid", Z[:0, 0], T[:0], None
    yield "all ignored", "sigmoid", Z, np.full(Z.shape, -100), None
    yield "all weights zero", "sigmoid", Z, np.ones(Z.shape, int), np.zeros(6)


@pytest.mark.parametrize(("link", "z", "t", "w"), [pytest.param(*c[1:], id=f"{c[1]} {c[0]}") for c in nothing()])
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("keep", [None, 0.5, 3])
def test_a_mean_over_nothing_is_zero_with_zero_gradient(engine, link, z, t, w, reduction, keep):
    spec = LossSpec(link, 2.0, 0.5, reduction=reduction, keep_hardest=keep)
    for part, shape in zip(engine.loss_grad_hess(spec, z, t, sample_weight=w), (None, z.shape, z.shape), strict=True):
        assert shape is None or part.shape == shape
        np.testing.assert_array_equal(part, np.zeros_like(part))


def test_alpha_zero_for_every_present_class_is_a_weighted_mean_of_zero(engine):
    loss, grad, _ = engine.loss_grad_hess(
        LossSpec(alpha=[0, 0, 1, 1], reduction="weighted_mean"), Z[:2], T[:1].repeat(2)
    )
    assert loss == 0
    assert not grad.any()


@pytest.mark.parametrize("link", ["softmax", "sigmoid"])
@pytest.mark.parametrize("zero", [0, 0.0])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_over_nothing_a_normalizer_of_zero_gives_zero(engine, link, zero, reduction):
    spec, ignored = LossSpec(link, 2.0, reduction=reduction), np.full(Z.shape[: 1 + (link == "sigmoid")], -100)
    for z, t in ((Z, ignored), (Z * np.nan, ignored), (Z[:0], ignored[:0])):
        for part in engine.loss_grad_hess(spec, z, t, normalizer=zero):
            np.testing.assert_array_equal(part, np.zeros_like(part))
        assert engine.loss(spec, z, t, normalizer=zero) == 0


@pytest.mark.parametrize("link", ["softmax", "sigmoid"])
def test_a_normalizer_of_zero_beside_counted_targets_is_refused(engine, link):
    t = T if link == "softmax" else (Z > 0).astype(int)
    with pytest.raises(
        InputError, match=r"^normalizer must be a number in \(0, inf\), or 0 where no target is counted"
    ):
        engine.loss(LossSpec(link), Z, t, normalizer=0.0)


@pytest.mark.parametrize(
    ("dtype", "ids", "ignored"),
    [
        (np.uint8, [156, 3], -100),
        (np.uint8, [156, 3], 256 + 3),
        (np.int8, [100, 3], -156),
        (np.int32, [156, 3], 2**32 + 156),
        (np.int64, [156, 3], -100),
    ],
)
def test_class_ids_are_ignored_by_their_value_and_not_by_its_last_bits(engine, dtype, ids, ignored):
    z = np.random.default_rng(6).normal(size=(2, 160))
    spec = LossSpec(gamma=2.0, ignore_index=ignored, reduction="none")
    loss, grad, _ = engine.loss_grad_hess(spec, z, np.array(ids, dtype))
    assert loss.all()
    np.testing.assert_allclose(loss, engine.loss(but(spec, ignore_index=-7), z, np.array(ids)), rtol=1e-13)
    assert grad.any(axis=1).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
@pytest.mark.parametrize("ignored", [256, 257, -255, -256])
def test_targets_of_the_sigmoid_are_ignored_by_their_value_and_not_by_its_last_bits(engine, dtype, ignored):
    spec = LossSpec("sigmoid", 2.0, ignore_index=ignored, reduction="none")
    assert engine.loss(spec, Z, (Z > 0).astype(dtype)).all()


# float targets of the sigmoid


@pytest.mark.parametrize("ignored", [-100, -1, 255, 0, 1, np.nan])
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("keep", [None, 3])
def test_float_targets_that_are_the_ignore_index_are_left_out(engine, ignored, reduction, keep):
    out = np.arange(24).reshape(6, 4) % 5 == 2
    t = np.where(out, ignored, (np.arange(24) % 3).reshape(6, 4) / 8 + 0.25)
    z = np.where(out, np.nan, Z)
    spec = LossSpec("sigmoid", 2.0, 0.3, reduction=reduction, ignore_index=ignored, keep_hardest=keep)
    loss, grad, hess = engine.loss_grad_hess(spec, z, t, sample_weight=np.arange(1.0, 7.0))
    weight = np.broadcast_to(np.arange(1.0, 7.0)[:, None], Z.shape)[~out]
    expected = engine.loss_grad_hess(but(spec, ignore_index=-7), Z[~out], t[~out], sample_weight=weight)
    loss = loss[~out] if reduction == "none" else loss
    for one, other in zip((loss, grad[~out], hess[~out]), expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)
    assert not grad[out].any()
    assert not hess[out].any()


@pytest.mark.parametrize("bad", [-100.5, 2.0, -1.0, np.nan, 1.01, -0.01])
def test_other_float_targets_outside_of_zero_to_one_name_the_ignore_index(engine, bad):
    with pytest.raises(InputError, match=r"targets must lie in \[0, 1\] or equal ignore_index=-100; got"):
        engine.loss(LossSpec("sigmoid"), Z, np.where(T[:, None] == 3, bad, 0.5) + 0 * Z)


@pytest.mark.parametrize("link", ["softmax", "sigmoid"])
def test_soft_targets_a_little_outside_are_clipped(engine, link):
    t = np.tile([1.00005, -0.00005, 0.0, 0.0], (6, 1))
    got = engine.loss_grad_hess(LossSpec(link, 2.0), Z, t)
    for one, other in zip(got, engine.loss_grad_hess(LossSpec(link, 2.0), Z, np.clip(t, 0, 1)), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-13)
    message = r"^targets must (lie in \[0, 1\]|sum to 1)"
    for off in (1.0002, 1.01):
        with pytest.raises(InputError, match=message):
            engine.loss(LossSpec(link), Z, np.tile([off, 0.0, 0.0, 0.0], (6, 1)))


@pytest.mark.parametrize("alpha", [0.0, 1.0, (0.0, 1.0, 0.5, 0.0)])
def test_a_sigmoid_alpha_of_zero_or_one_leaves_one_side_without_weight(engine, alpha):
    t = (Z > 0).astype(int)
    positive = np.broadcast_to(alpha, Z.shape)
    weight = np.where(t == 1, positive, 1 - positive)
    for reduction in REDUCTIONS:
        got = engine.loss_grad_hess(LossSpec("sigmoid", 2.0, alpha, reduction=reduction), Z, t)
        expected = engine.loss_grad_hess(LossSpec("sigmoid", 2.0, reduction=reduction), Z, t, sample_weight=weight)
        for one, other in zip(got, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-13)


# one class


def test_a_softmax_over_one_class_warns_that_a_logit_alone_is_for_the_sigmoid(engine):
    for z in (Z[:, :1], Z[:, :1].reshape(2, 1, 3)):
        with pytest.warns(
            UserWarning, match=r"^A softmax over one class.*One logit for two classes is for the sigmoid"
        ):
            engine.loss(LossSpec(), z, np.zeros((*z.shape[:1], *z.shape[2:]), int))
    with pytest.raises(InputError, match="One logit for two classes is for the sigmoid loss"):
        engine.loss(LossSpec(), Z[:, :1], np.array([0, 1, 0, 1, 0, 1]))


# memory


@pytest.mark.parametrize("link", ["softmax", "sigmoid"])
@pytest.mark.parametrize("soft", [False, True])
def test_inputs_are_left_as_they_were_and_may_be_read_only(engine, link, soft):
    t = T if link == "softmax" else (Z > 0).astype(int)
    if soft:
        t = np.full(Z.shape, 0.25)
    spec, w = LossSpec(link, 2.0, 0.5, label_smoothing=0.1, keep_hardest=0.5), np.ones(6)
    z, copies = Z.copy(), (Z.copy(), t.copy(), w.copy())
    for array in (z, t, w):
        array.setflags(write=False)
    engine.loss_grad_hess(spec, z, t, sample_weight=w)
    engine.loss(spec, z, t, sample_weight=w)
    assert_all_equal((z, t, w), copies)


def test_arrays_of_any_layout_give_the_same_result(engine):
    expected = engine.loss_grad_hess(FOCAL, Z, T)
    wide = np.repeat(np.repeat(Z, 2, 0), 3, 1)
    for z in (np.asfortranarray(Z), wide[::2, ::3], np.ascontiguousarray(Z[::-1])[::-1]):
        for t in (T, np.repeat(T, 2)[::2]):
            assert_all_equal(engine.loss_grad_hess(FOCAL, z, t), expected)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("layout", ["own", "logits", "fortran", "strided"])
def test_the_gradient_goes_to_out(engine, reduction, layout):
    if engine.library == "jax":
        pytest.skip("its arrays do not change")
    spec = but(reduction=reduction)
    expected = engine.loss_grad_hess(spec, Z, T)
    z = Z.copy()
    out = {
        "own": np.empty_like(Z),
        "logits": z,
        "fortran": np.empty(Z.shape, order="F"),
        "strided": np.empty((12, 4))[::2],
    }
    got = engine.loss_grad_hess(spec, z, T, out=out[layout])
    assert got[1] is out[layout]
    assert_all_equal(got, expected)


@pytest.mark.parametrize("bad", [np.empty((6, 3)), np.empty((6, 4), np.float32), [[0.0] * 4] * 6])
def test_an_out_that_is_not_like_the_logits_is_refused(engine, bad):
    if engine.library == "jax":
        pytest.skip("its arrays do not change")
    if not engine.checks_out:
        pytest.skip("out is checked at the door")
    with pytest.raises(InputError, match=r"out must be a float64 array of shape \(6, 4\); got"):
        engine.loss_grad_hess(FOCAL, Z, T, out=bad)
    if engine.library != "numpy":
        return  # has no read-only arrays
    read_only = np.empty_like(Z)
    read_only.setflags(write=False)
    with pytest.raises(InputError, match=r"out must be writeable; got"):
        engine.loss_grad_hess(FOCAL, Z, T, out=read_only)


# NaN and infinity


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("link", ["softmax", "sigmoid"])
@pytest.mark.parametrize("soft", [False, True])
def test_a_nan_is_never_hidden(engine, link, bad, soft):
    z, column = Z.copy(), 2
    z[3, column] = bad
    t = T if link == "softmax" else np.where(np.arange(4) == column, 0, Z < 0)
    if soft:
        t = np.full(Z.shape, 0.25)
    spec = LossSpec(link, 2.0, reduction="none", label_smoothing=0.1)
    row = engine.loss(spec, z, t)[3]
    assert not np.all(np.isfinite(row))
    for keep in (None, 1):
        for reduction in ("mean", "sum", "weighted_mean"):
            assert not np.isfinite(engine.loss(but(spec, reduction=reduction, keep_hardest=keep), z, t))
    if np.isnan(bad):
        assert np.isnan(engine.loss_grad_hess(spec, z, t)[1][3, 2])
    clean = np.arange(6) != 3
    np.testing.assert_array_equal(engine.loss(spec, z, t)[clean], engine.loss(spec, Z, t)[clean])


@pytest.mark.parametrize("column", [0, 1])
def test_plus_infinity_among_softmax_logits_shows_whichever_class_is_true(engine, column):
    z = np.array([[1.0, 2.0]])
    z[0, column] = np.inf
    for t in (np.array([0]), np.array([1]), np.array([[0.5, 0.5]]), np.array([[0.0, 1.0]])):
        loss, grad, hess = engine.loss_grad_hess(LossSpec(gamma=2.0), z, t)
        assert not np.isfinite(loss)
        assert np.isnan(grad).any()
        assert np.isnan(hess).any()


@pytest.mark.parametrize("link", ["softmax", "sigmoid"])
def test_a_nan_is_not_hidden_by_a_weight_of_zero(engine, link):
    z = np.full((1, 2), np.nan)
    t = np.zeros(1, int) if link == "softmax" else np.zeros((1, 2), int)
    assert np.isnan(engine.loss(LossSpec(link), z, t, sample_weight=[0.0]))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_check_finite_refuses_nan_and_plus_infinity_and_says_where(engine, bad):
    for dtype in engine.dtypes:
        z = Z.astype(dtype)
        z[3, 2] = bad
        with pytest.raises(
            InputError, match=r"logits must be free of NaN and \+inf; got 1 bad values, the first at \(3, 2\)\."
        ):
            engine.loss_grad_hess(FOCAL, z, T, check_finite=True)
        z[3, 2] = -np.inf
        engine.loss_grad_hess(FOCAL, z, T, check_finite=True)
