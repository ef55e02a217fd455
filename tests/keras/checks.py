"""What the losses of focalkit.keras promise, on the backend that KERAS_BACKEND names; run by ``test_keras.py``."""

import contextlib
import re
from pathlib import Path

import numpy as np
import pytest

import focalkit.keras
import keras
from focalkit import InputError, LossSpec
from focalkit.keras import LedgerCallback, SigmoidCrossEntropy, SigmoidFocalLoss, SoftmaxCrossEntropy, SoftmaxFocalLoss
from keras import ops
from tests.wrong_calls import of_keras, refused_or_done

RNG = np.random.default_rng(0)
Z = (3 * RNG.normal(size=(40, 4))).astype("float32")
IDS = RNG.integers(4, size=40)
ONE_HOT = np.eye(4, dtype="float32")[IDS]
BITS = (RNG.random((40, 4)) < 0.3).astype("float32")
WEIGHT = RNG.random(40).astype("float32")
ALPHA = [0.5, 1.0, 2.0, 0.1]


def value(x):
    return ops.convert_to_numpy(x)


def close(got, want, tolerance=3e-6):
    np.testing.assert_allclose(value(got), np.asarray(want), rtol=tolerance, atol=1e-7)


def gradient(loss, y_true, z, **rest):
    """Of a Keras loss in the logits, by whatever differentiates on this backend."""
    backend = keras.backend.backend()
    if backend == "torch":
        tensor = ops.convert_to_tensor(z).requires_grad_()
        loss(y_true, tensor, **rest).backward()
        return tensor.grad
    if backend == "jax":
        import jax

        return jax.jit(jax.grad(lambda z: loss(y_true, z, **rest)))(z)
    import tensorflow as tf

    tensor = tf.convert_to_tensor(z)
    with tf.GradientTape() as tape:
        tape.watch(tensor)
        found = loss(y_true, tensor, **rest)
    return tape.gradient(found, tensor)


@pytest.mark.parametrize(
    ("gamma", "alpha", "smoothing"),
    [(0.0, None, 0.0), (0.5, ALPHA, 0.0), (2.0, None, 0.1), ([0.0, 0.5, 1.0, 3.0], ALPHA, 0.1)],
    ids=str,
)
def test_softmax_is_the_function_for_ids_columns_and_one_hot_targets(gamma, alpha, smoothing):
    rest = {"gamma": gamma, "alpha": alpha, "label_smoothing": smoothing}
    loss = SoftmaxFocalLoss(**rest)
    want = focalkit.softmax_focal_loss(Z.astype("f8"), IDS, **rest)
    _, slope, _ = focalkit.loss_grad_hess(LossSpec(**rest), Z.astype("f8"), IDS, hess=False)
    for y in (IDS, IDS[:, None], ONE_HOT):
        close(loss(y, Z), want)
        np.testing.assert_allclose(value(gradient(loss, y, Z)), slope, rtol=2e-4, atol=1e-7)
    weighted = focalkit.softmax_focal_loss(Z.astype("f8"), IDS, sample_weight=WEIGHT, **rest)
    close(loss(IDS, Z, sample_weight=WEIGHT), weighted)


@pytest.mark.parametrize(("gamma", "alpha"), [(0.0, None), (0.5, 0.25), (2.0, [0.1, 0.5, 0.9, 0.3])], ids=str)
def test_sigmoid_is_the_function(gamma, alpha):
    rest = {"gamma": gamma, "alpha": alpha, "label_smoothing": 0.1}
    loss = SigmoidFocalLoss(**rest)
    close(loss(BITS, Z), focalkit.sigmoid_focal_loss(Z.astype("f8"), BITS.astype(int), **rest))
    _, slope, _ = focalkit.loss_grad_hess(LossSpec("sigmoid", **rest), Z.astype("f8"), BITS.astype(int), hess=False)
    np.testing.assert_allclose(value(gradient(loss, BITS, Z)), slope, rtol=2e-4, atol=1e-7)
    none = SigmoidFocalLoss(**rest, reduction=None)(BITS, Z)
    assert value(none).shape == (40,)
    single = SigmoidFocalLoss(gamma)(BITS[:, 0], Z[:, :1])
    close(single, focalkit.sigmoid_focal_loss(Z[:, 0].astype("f8"), BITS[:, 0].astype(int), gamma))


PRIOR = np.log([0.6, 0.25, 0.1, 0.05]).tolist()
SOFTMAX_FAMILY = [
    (2.0, {"logit_adjustment": PRIOR}),
    (0.0, {"margin": [0.05, 0.1, 0.2, 0.5], "scale": 3.0}),
    (2.0, {"poly": 1.5}),
    (2.0, {"star": 1.0}),
    (0.0, {"dft": 1.0}),
    (0.0, {"gce": 0.7}),
    ([(0.2, 5.0), (1.0, 3.0)], {}),
]
SIGMOID_FAMILY = [
    (2.0, {"logit_adjustment": -1.0}),
    (1.0, {"gamma_negative": 4.0, "clip": 0.05}),
    (2.0, {"quality": "quality"}),
    (2.0, {"quality": "varifocal"}),
]


@pytest.mark.parametrize(("gamma", "family"), SOFTMAX_FAMILY, ids=str)
def test_neighbours_over_classes_are_the_function_and_survive_their_config(gamma, family):
    loss = SoftmaxFocalLoss(gamma, **family)
    again = SoftmaxFocalLoss.from_config(loss.get_config())
    want = focalkit.softmax_focal_loss(Z.astype("f8"), IDS, gamma, **family)
    spec = LossSpec("softmax", gamma, **family)
    slope = focalkit.loss_grad_hess(spec, Z.astype("f8"), IDS, hess=False).grad
    for y in (IDS, ONE_HOT):
        close(loss(y, Z), want, 1e-5)
        close(again(y, Z), want, 1e-5)
        np.testing.assert_allclose(value(gradient(loss, y, Z)), slope, rtol=5e-4, atol=1e-7)


@pytest.mark.parametrize(("gamma", "family"), SIGMOID_FAMILY, ids=str)
def test_neighbours_of_bits_are_the_function_and_survive_their_config(gamma, family):
    loss = SigmoidFocalLoss(gamma, 0.25, **family)
    again = SigmoidFocalLoss.from_config(loss.get_config())
    for y in (BITS, BITS * 0.75):
        want = focalkit.sigmoid_focal_loss(Z.astype("f8"), y.astype("f8"), gamma, 0.25, **family)
        close(loss(y, Z), want, 1e-5)
        close(again(y, Z), want, 1e-5)


@pytest.mark.parametrize(("gamma", "family"), [*SOFTMAX_FAMILY, *SIGMOID_FAMILY], ids=str)
def test_what_keras_differentiates_is_the_function(gamma, family):
    from focalkit.keras import composite

    z = ops.convert_to_tensor(Z)
    if (gamma, family) in SIGMOID_FAMILY:
        spec, double, targets = LossSpec("sigmoid", gamma, 0.25, reduction="none", **family), Z.astype("f8"), BITS
        got = [composite.sigmoid(spec, ops.convert_to_tensor(BITS), z)]
        want = focalkit.sigmoid_focal_loss(double, targets.astype(int), gamma, 0.25, reduction="none", **family)
    else:
        spec = LossSpec("softmax", gamma, ALPHA, reduction="none", **family)
        ids, columns = ops.convert_to_tensor(IDS), ops.convert_to_tensor(ONE_HOT)
        got = [composite.softmax(spec, ids, z, 1, False), composite.softmax(spec, columns, z, 1, True)]
        want = focalkit.softmax_focal_loss(Z.astype("f8"), IDS, gamma, ALPHA, reduction="none", **family)
    for one in got:
        np.testing.assert_allclose(value(one), want, rtol=2e-5, atol=1e-7)


def test_cross_entropies_are_kerass():
    close(
        SoftmaxCrossEntropy()(IDS, Z), value(keras.losses.SparseCategoricalCrossentropy(from_logits=True)(IDS, Z)), 1e-5
    )
    close(SigmoidCrossEntropy()(BITS, Z), value(keras.losses.BinaryCrossentropy(from_logits=True)(BITS, Z)), 1e-5)


@pytest.mark.parametrize("reduction", ["sum", "sum_over_batch_size", "mean", "mean_with_sample_weight", "none", None])
def test_every_reduction_and_ignored_class_is_as_kerass(reduction):
    ours = SoftmaxCrossEntropy(ignore_class=2, reduction=reduction)
    theirs = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=2, reduction=reduction)
    for rest in ({}, {"sample_weight": WEIGHT}):
        close(ours(IDS, Z, **rest), value(theirs(IDS, Z, **rest)), 1e-5)


def test_more_axes_and_another_axis_of_the_classes():
    z = (3 * RNG.normal(size=(3, 5, 6, 4))).astype("float32")
    y = RNG.integers(4, size=(3, 5, 6))
    want = focalkit.softmax_focal_loss(z.astype("f8"), y, 2.0, class_axis=-1)
    close(SoftmaxFocalLoss()(y, z), want)
    close(SoftmaxFocalLoss(axis=1)(y, np.moveaxis(z, -1, 1)), want)
    close(SoftmaxFocalLoss(axis=1)(y[:, None], np.moveaxis(z, -1, 1)), want)


def test_easy_and_hard_samples_keep_digits_and_finite_gradients():
    z = np.array([[25.0, 0.0], [-60.0, 40.0], [90.0, 0.0], [0.0, float("-inf")]], "float32")
    y = np.array([0, 0, 0, 0])
    for gamma in (0.5, 2.0):
        got = value(SoftmaxFocalLoss(gamma, reduction="none")(y, z))
        want = focalkit.softmax_focal_loss(z.astype("f8"), y, gamma, reduction="none")
        np.testing.assert_allclose(got, want, rtol=2e-5, atol=1e-37)
        slope = value(gradient(SoftmaxFocalLoss(gamma), y[:3], z[:3]))
        assert np.isfinite(slope).all()
        assert abs(slope[1]).min() > 0


def test_probabilities_are_refused_with_the_remedy():
    p = np.exp(Z) / np.exp(Z).sum(1, keepdims=True)
    with pytest.raises(InputError, match=r"y_pred must be logits; .*Leave the activation of the last layer out"):
        SoftmaxFocalLoss()(IDS, p)
    with pytest.warns(UserWarning, match="probabilities are no logits"):
        SigmoidFocalLoss()(BITS, 1 / (1 + np.exp(-Z)))
    with pytest.raises(InputError, match=r"from_logits must be True; got False"):
        SoftmaxFocalLoss(from_logits=False)
    with pytest.raises(InputError, match=r"gamma must be"):
        SigmoidFocalLoss(-1.0)
    with pytest.raises(InputError, match=r"alpha must be a number or have one entry for each of the 4 classes"):
        SoftmaxFocalLoss(alpha=[1.0, 2.0])(IDS, Z)


@pytest.mark.parametrize(
    "loss",
    [
        SoftmaxFocalLoss(1.5, ALPHA, label_smoothing=0.1, ignore_class=3, axis=-1, reduction="sum", name="mine"),
        SigmoidFocalLoss([1.0, 2.0, 0.0, 1.0], 0.25),
        SoftmaxCrossEntropy(ALPHA, reduction=None),
        SigmoidCrossEntropy(0.75, dtype="float64"),
    ],
    ids=lambda loss: type(loss).__name__,
)
def test_a_loss_is_made_again_from_its_config(loss):
    held = keras.losses.serialize(loss)
    again = keras.losses.deserialize(held)
    assert type(again) is type(loss)
    assert again.get_config() == loss.get_config()
    assert again.spec == loss.spec
    targets = BITS if "Sigmoid" in type(loss).__name__ else IDS
    np.testing.assert_array_equal(value(again(targets, Z)), value(loss(targets, Z)))


@pytest.mark.parametrize("policy", ["float16", "bfloat16", "float64", keras.DTypePolicy("mixed_bfloat16")], ids=str)
def test_half_precision_computes_in_float32_so_that_class_ids_stay_whole(policy):
    loss = SoftmaxFocalLoss(dtype=policy)
    assert loss.dtype == ("float64" if policy == "float64" else "float32")
    z, y = RNG.normal(size=(3, 700)).astype("float32"), np.array([257, 513, 699])
    close(loss(y, z), focalkit.softmax_focal_loss(z.astype("f8"), y, 2.0))


def model(dtype=None):
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Input((6,)), keras.layers.Dense(16, "relu", dtype=dtype), keras.layers.Dense(3, dtype=dtype)]
    return keras.Sequential(layers)


X = RNG.normal(size=(240, 6)).astype("float32")
Y = np.searchsorted([0.5, 1.5], X[:, 0] + 0.2 * RNG.normal(size=240))


@pytest.mark.parametrize(("dtype", "jit_compile"), [(None, False), ("mixed_bfloat16", True)])
def test_a_model_is_fitted_saved_and_loaded(dtype, jit_compile, tmp_path):
    jit_compile = jit_compile and keras.backend.backend() != "torch"  # there it takes a C++ compiler; see the next test
    net = model(dtype)
    criterion = SoftmaxFocalLoss(2.0, [0.5, 1.0, 2.0])
    net.compile(keras.optimizers.Adam(0.05), criterion, jit_compile=jit_compile)
    ledger = LedgerCallback(X, Y, criterion.spec, ["a", "b", "c"])
    fitted = net.fit(
        X, Y, batch_size=48, epochs=4, verbose=0, class_weight={0: 1.0, 1: 2.0, 2: 3.0}, callbacks=[ledger]
    )
    history = fitted.history
    assert history["loss"][-1] < 0.6 * history["loss"][0]
    assert len(ledger.ledgers) == 4
    assert sum(history[f"loss_share_{name}"][-1] for name in "abc") == pytest.approx(1, abs=1e-6)
    net.save(tmp_path / "net.keras")
    again = keras.saving.load_model(tmp_path / "net.keras")
    assert again.loss.get_config() == criterion.get_config()
    assert again.evaluate(X, Y, verbose=0) == pytest.approx(net.evaluate(X, Y, verbose=0), rel=1e-5)


def test_jax_computes_in_one_call_of_the_kernels():
    if keras.backend.backend() != "jax":
        pytest.skip("JAX alone")
    import jax

    for loss, y in ((SoftmaxFocalLoss(), IDS), (SigmoidFocalLoss(alpha=0.25), BITS)):
        lowered = jax.jit(jax.value_and_grad(lambda z, y, loss=loss: loss(y, z))).lower(Z, y)
        assert lowered.as_text().count("@focalkit_loss(") == 1


def test_two_devices_train_as_one():
    if keras.backend.backend() != "jax":
        pytest.skip("a strategy of one process: JAX's")
    found = []
    for distribution in (None, keras.distribution.DataParallel(devices=keras.distribution.list_devices()[:2])):
        with distribution.scope() if distribution else contextlib.nullcontext():
            net = model()
            net.compile(keras.optimizers.SGD(0.1), SoftmaxFocalLoss(2.0, [0.5, 1.0, 2.0]))
            found.append(net.fit(X, Y, batch_size=48, epochs=2, shuffle=False, verbose=0).history["loss"])
    np.testing.assert_allclose(*found, rtol=1e-5)


def test_torch_compiles_the_loss_without_a_graph_break():
    if keras.backend.backend() != "torch":
        pytest.skip("torch alone")
    import torch

    loss = SoftmaxFocalLoss(2.0, ALPHA, reduction="none")
    y, z = torch.as_tensor(IDS), torch.as_tensor(Z)
    compiled = torch.compile(lambda y, z: loss.call(y, z), fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(y, z), loss.call(y, z))


def test_the_page_on_keras_runs():
    page = (Path(__file__).parents[2] / "docs/keras.md").read_text(encoding="utf-8")
    names = {"x": X, "y": Y, "x_val": X[:50], "y_val": Y[:50]}
    for block in re.findall(r"```python\n(.*?)```", page, re.S):
        exec(compile(block, "keras.md", "exec"), names)
    assert len(names["history"].history["loss_share_0"]) == 2


def test_the_pages_claims_of_kerass_focal_losses_hold():
    """Where one of these fails, Keras has mended it: the page is to say so."""
    hard = np.array([[-30.0, 30.0]], "float32")
    theirs = keras.losses.CategoricalFocalCrossentropy(from_logits=True)
    assert abs(value(gradient(theirs, np.array([[1.0, 0.0]], "float32"), hard))).max() < 1e-3
    assert abs(value(gradient(SoftmaxFocalLoss(), np.array([0]), hard))).max() > 0.9
    one, other = (keras.losses.BinaryFocalCrossentropy(alpha=a, from_logits=True)(BITS, Z) for a in (0.25, 0.9))
    assert value(one) == value(other)


def test_a_loss_shows_what_it_is_made_of_and_names_a_misspelt_argument():
    shown = repr(SoftmaxFocalLoss(2.0, alpha=[1, 2, 3], poly=1.0))
    assert shown == "SoftmaxFocalLoss(gamma=2.0, alpha=(1.0, 2.0, 3.0), poly=1.0)"
    with pytest.raises(InputError, match=r"got 'label_smoothin'\. Did you mean 'label_smoothing'\?"):
        SoftmaxFocalLoss(label_smoothin=0.1)
    with pytest.raises(InputError, match="got 'ignore_class'"):
        SigmoidFocalLoss(ignore_class=1)


@pytest.mark.parametrize("use", of_keras(), ids=lambda use: use.name)
def test_no_wrong_argument_ends_in_an_error_of_python_s(use):
    for argument in use.arguments:
        for value in use.values:
            refused_or_done(use, **{argument: value})


def test_the_module_shows_its_public_names_alone():
    assert dir(focalkit.keras) == focalkit.keras.__all__
