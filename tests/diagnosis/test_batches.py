"""What goes into a ledger: links, targets, weights, shapes."""

import numpy as np
import pytest

from focalkit import InputError, Ledger, LossSpec, diagnose, loss_grad_hess, sigmoid_focal_loss, softmax_focal_loss
from focalkit.diagnosis import batch
from tests.diagnosis.test_ledger import direct, predictions, same


def test_ignored_targets_are_left_out():
    logits, targets = predictions(n=400)
    targets[::3] = -100
    kept = targets != -100
    ledger = diagnose(logits, targets)
    assert (ledger.n_samples, ledger.n_ignored) == (kept.sum(), (~kept).sum())
    np.testing.assert_array_equal(ledger.count, diagnose(logits[kept], targets[kept]).count)
    logits[0] = np.nan
    np.testing.assert_array_equal(diagnose(logits, targets).count, ledger.count)


def test_sample_weights_multiply_and_zero_leaves_out():
    logits, targets = predictions(n=400)
    weight = np.random.default_rng(1).integers(0, 4, size=400)
    weighted = diagnose(logits, targets, sample_weight=weight).shares(1.0)
    repeated = diagnose(logits.repeat(weight, axis=0), targets.repeat(weight)).shares(1.0)
    np.testing.assert_allclose(weighted.loss.total, repeated.loss.total, rtol=1e-12)
    np.testing.assert_allclose(weighted.weight, repeated.weight)
    assert weighted.count.sum() == (weight > 0).sum()


def test_one_hot_soft_targets_equal_class_ids():
    logits, targets = predictions(n=400)
    soft = diagnose(logits, np.eye(4)[targets])
    same(soft, diagnose(logits, targets), exactly=False)


def test_soft_targets_sum_to_the_soft_loss():
    logits, _ = predictions(n=100)
    y = np.random.default_rng(2).dirichlet(np.ones(4), size=100)
    spec = LossSpec(gamma=2.0, alpha=[1, 2, 3, 4], reduction="sum")
    shares = diagnose(logits, y, spec).shares()
    true = softmax_focal_loss(logits, y, 2.0, [1, 2, 3, 4], reduction="sum")
    assert (shares.alpha * shares.loss.total).sum() == pytest.approx(true, rel=1e-12)


@pytest.mark.parametrize("link", ["softmax", "sigmoid"])
def test_label_smoothing_sums_to_the_smoothed_loss(link):
    logits, targets = predictions(n=100)
    targets[5] = -100
    targets = targets if link == "softmax" else np.where(targets < 0, -100, targets > 1)[:, None].repeat(4, axis=1)
    spec = LossSpec(link, gamma=1.0, label_smoothing=0.1, reduction="sum")
    total = diagnose(logits, targets, spec).shares().loss.total.sum()
    assert total == pytest.approx(loss_grad_hess(spec, logits, targets).loss, rel=1e-12)


def test_gradient_size_is_half_the_l1_norm_of_the_softmax_gradient():
    logits, targets = predictions(n=300)
    grad = loss_grad_hess(LossSpec(gamma=2.0, reduction="sum"), logits, targets).grad
    by_class = np.bincount(targets, np.abs(grad).sum(axis=1) / 2)
    np.testing.assert_allclose(diagnose(logits, targets).shares().grad.total, by_class, rtol=1e-12)


def test_binary_sigmoid_has_a_row_for_negatives_and_one_for_positives():
    rng = np.random.default_rng(3)
    logits, targets = rng.normal(size=500), (rng.random(500) < 0.1).astype(int)
    spec = LossSpec("sigmoid", gamma=2.0, alpha=0.25)
    ledger = diagnose(logits, targets, spec)
    assert ledger.class_names == ("negative", "positive")
    shares = ledger.shares()
    np.testing.assert_array_equal(shares.alpha, [0.75, 0.25])
    loss, _ = direct(np.where(targets == 1, logits, -logits), 2.0)
    np.testing.assert_allclose(shares.loss.total, np.bincount(targets, loss), rtol=1e-12)
    true = sigmoid_focal_loss(logits, targets, 2.0, 0.25, reduction="sum")
    assert (shares.alpha * shares.loss.total).sum() == pytest.approx(true, rel=1e-12)


def test_sigmoid_columns_have_two_rows_each_with_their_own_gamma_and_alpha():
    rng = np.random.default_rng(4)
    logits, targets = rng.normal(size=(300, 3)), rng.integers(0, 2, size=(300, 3))
    targets[0, 1] = -100
    ledger = diagnose(logits, targets, LossSpec("sigmoid"), class_names=["a", "b", "c"])
    assert ledger.class_names[:3] == ("a: negative", "a: positive", "b: negative")
    assert (ledger.n_samples, ledger.n_ignored) == (899, 1)
    shares = ledger.shares([0, 1, 2], [0.2, 0.5, 0.7])
    np.testing.assert_allclose(shares.alpha, [0.8, 0.2, 0.5, 0.5, 0.3, 0.7])
    true = sigmoid_focal_loss(logits, targets, [0, 1, 2], [0.2, 0.5, 0.7], reduction="sum")
    assert (shares.alpha * shares.loss.total).sum() == pytest.approx(true, rel=1e-5)


def test_soft_sigmoid_targets_go_to_both_sides():
    rng = np.random.default_rng(5)
    logits, y = rng.normal(size=200), rng.random(200)
    total = diagnose(logits, y, LossSpec("sigmoid", gamma=2.0)).shares().loss.total.sum()
    assert total == pytest.approx(sigmoid_focal_loss(logits, y, 2.0, reduction="sum"), rel=1e-12)


@pytest.mark.parametrize("class_axis", [0, 1, -1])
def test_images_count_every_pixel(class_axis, monkeypatch):
    monkeypatch.setattr(batch, "CHUNK", 64)
    rng = np.random.default_rng(6)
    flat, targets = rng.normal(size=(2 * 5 * 7, 3)), rng.integers(0, 3, size=(2, 5, 7))
    logits = np.moveaxis(flat.reshape(2, 5, 7, 3), -1, class_axis)
    ledger = diagnose(logits, targets, LossSpec(gamma=2.0, class_axis=class_axis))
    np.testing.assert_array_equal(ledger.count, diagnose(flat, targets.reshape(-1)).count)
    weighted = diagnose(logits, targets, LossSpec(gamma=2.0, class_axis=class_axis), sample_weight=targets + 1.0)
    assert weighted.weight.sum() == (targets + 1).sum()


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_narrow_logits_are_summed_in_float64(dtype):
    logits, targets = predictions(n=300)
    logits = logits.astype(dtype)
    same(diagnose(logits, targets), diagnose(logits.astype(float), targets))


def test_a_masked_class_is_fine_and_a_masked_true_class_is_refused():
    logits = np.array([[0.0, -np.inf, 1.0], [1.0, 0.0, 0.0]])
    assert diagnose(logits, np.array([0, 1])).n_samples == 2
    with pytest.raises(InputError, match=r"class 1 in row 0"):
        diagnose(logits, np.array([1, 1]))
    assert diagnose(logits, np.array([1, 1]), sample_weight=[0, 1]).n_samples == 2


def test_saturated_logits_have_finite_shares():
    for scale in (1e3, 1e300):
        logits = np.array([[1.0, -1.0], [-1.0, 1.0], [0.0, 0.0]]) * scale
        shares = diagnose(logits, np.array([0, 1, 1])).shares(1.0)
        assert np.isfinite(shares.loss.share).all()


def test_an_empty_batch_and_absent_classes_have_share_zero():
    shares = diagnose(np.zeros((0, 3)), np.zeros(0, int)).shares(1.0, "balanced")
    assert shares.loss.share.tolist() == [0, 0, 0]
    shares = diagnose(np.zeros((2, 3)), np.array([0, 0])).shares(1.0, "inverse")
    assert shares.grad.share.tolist() == [1, 0, 0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda z, y: diagnose(z, y, LossSpec(keep_hardest=0.5)), "keep every sample"),
        (lambda z, y: diagnose(z, y, "focal"), "be a LossSpec"),
        (lambda z, y: diagnose(z, y, class_names=["a"]), "4 different names"),
        (lambda z, y: diagnose(z, y, class_names=["a", "a", "b", "c"]), "4 different names"),
        (lambda z, y: diagnose(z, y + 1), "targets must"),
        (lambda z, y: diagnose(z, y).shares(-1.0), "gamma must"),
        (lambda z, y: diagnose(z, y).shares([1.0, 2.0]), "gamma must"),
        (lambda z, y: diagnose(z, y).shares(alpha="frequency"), "alpha must be none, inverse, balanced"),
        (lambda z, y: diagnose(z, y).shares(alpha=[1, 2]), "alpha must"),
        (lambda z, y: diagnose(z, y).cumulative(by="row"), "by must be one of"),
        (lambda z, y: diagnose(z, y).cumulative([0, 1, 2, 3], by="sign"), "one number"),
        (lambda z, y: diagnose(z, y).update(z[:, :3], y % 3), "4 classes of this ledger"),
        (lambda z, y: Ledger(LossSpec(), 0), "n_classes must"),
        (lambda z, y: Ledger(LossSpec(gamma=[1, 2, 3]), 4), "gamma must"),
    ],
)
def test_wrong_arguments_are_named(call, message):
    with pytest.raises(InputError, match=message):
        call(*predictions(n=30))
