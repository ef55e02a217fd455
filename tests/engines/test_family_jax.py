"""The neighbours of the focal loss in JAX: by the kernels and in XLA's operations, mapped and differentiated twice."""

from __future__ import annotations

import numpy as np
import pytest

jax = pytest.importorskip("jax")

import jax.numpy as jnp  # noqa: E402
from tests.jax_adapter import by_operations, compiled_once  # noqa: E402
from tests.laws.test_family import HARD, SIGMOID, SOFTMAX, T, Z, members  # noqa: E402

import focalkit  # noqa: E402
from focalkit import InputError, LossSpec, loss_grad_hess  # noqa: E402

ALL = [(name, "softmax", *rest) for name, rest in SOFTMAX.items()]
ALL += [(name, "sigmoid", *rest) for name, rest in SIGMOID.items()]
every_member = pytest.mark.parametrize(
    ("link", "gamma", "options"), [member[1:] for member in ALL], ids=[f"{m[1]} {m[0]}" for m in ALL]
)
FUNCTIONS = {"softmax": focalkit.softmax_focal_loss, "sigmoid": focalkit.sigmoid_focal_loss}
z = Z[:6]


def targets_of(link):
    return T[:6] if link == "softmax" else HARD[:6]


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


@every_member
@pytest.mark.parametrize("by", ["kernels", "operations"])
def test_every_member_is_the_truth_s(link, gamma, options, by):
    if by == "operations" and len(options) == 1 and "logit_adjustment" not in options and "poly" not in options:
        pytest.skip("compiles for a second")
    spec, t = LossSpec(link, gamma, reduction="none", **options), targets_of(link)
    want = loss_grad_hess(spec, z, t)
    function = loss_grad_hess if by == "kernels" else by_operations
    for got, right in zip(function(spec, jnp.asarray(z), jnp.asarray(t)), want, strict=True):
        np.testing.assert_allclose(got, right, rtol=1e-9, atol=1e-12)


@every_member
def test_second_derivatives_are_exact(link, gamma, options):
    t = targets_of(link)

    def loss(logits):
        return FUNCTIONS[link](logits, jnp.asarray(t), gamma, reduction="sum", **options)

    spec = LossSpec(link, gamma, reduction="sum", **options)
    want = loss_grad_hess(spec, z, t)
    np.testing.assert_allclose(jax.grad(loss)(jnp.asarray(z)), want.grad, rtol=1e-9, atol=1e-12)
    hessian = compiled_once(jax.hessian(loss))(jnp.asarray(z))
    diagonal = np.einsum("ijij->ij", np.asarray(hessian))
    np.testing.assert_allclose(diagonal, want.hess, rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("gamma", [0.01, 0.5, 2.5])
@pytest.mark.parametrize("quality", ["quality", "varifocal"])
def test_differentiated_losses_of_soft_targets_keep_the_digits_of_easy_rows(quality, gamma):
    rows = np.array([-80.0, -60.0, -45.0, -20.0, -3.0, 0.1, 0.8, 5.0, 20.0, 50.0, -np.inf, np.inf])
    spec = LossSpec("sigmoid", gamma, quality=quality, reduction="sum")

    def loss(logits, targets, weight):
        options = {"sample_weight": weight, "quality": quality, "reduction": "sum"}
        return focalkit.sigmoid_focal_loss(logits, targets, gamma, **options)

    hessian = compiled_once(jax.hessian(loss))
    for dtype, rtol, atol in ((jnp.float64, 1e-10, 1e-300), (jnp.float32, 2e-4, 1e-35)):
        for y in (0.0, 1e-12, 0.3, 1.0):
            y = float(dtype(y))
            given = jnp.asarray(rows, dtype), jnp.full(rows.shape, y, dtype), jnp.ones(rows.shape, dtype)
            want = loss_grad_hess(spec, rows, np.full(rows.shape, y))
            each = loss_grad_hess(LossSpec("sigmoid", gamma, quality=quality, reduction="none"), rows, given[1]).loss
            np.testing.assert_allclose(jax.grad(loss)(*given), want.grad, rtol=rtol, atol=atol)
            np.testing.assert_allclose(np.diag(hessian(*given)), want.hess, rtol=10 * rtol, atol=10 * atol)
            np.testing.assert_allclose(jax.grad(loss, 2)(*given), each, rtol=rtol, atol=atol)


def test_without_float64_numbers_that_float32_has_not_are_refused():
    with jax.enable_x64(False):
        for options in ({"gce": 1e-39}, {"gce": 1e-300}, {"gamma_negative": 1.0, "clip": 1e-40}):
            with pytest.raises(InputError, match="be 0 or at least 1e-37 where JAX has no float64"):
                focalkit.sigmoid_focal_loss(jnp.ones(3), jnp.ones(3, int), 0.0, **options)


def test_a_row_whose_other_classes_are_all_masked_has_a_hessian_of_zeros():
    row = jnp.array([[-jnp.inf, 1.0, -jnp.inf]])
    for options in ({}, SOFTMAX["gce"][1]):
        gamma = 0.0 if options else 2.0
        hessian = jax.hessian(
            lambda logits, g=gamma, o=options: focalkit.softmax_focal_loss(logits, jnp.array([1]), g, **o)
        )
        assert not compiled_once(hessian)(row).any()


@pytest.mark.parametrize("link", ["softmax", "sigmoid"])
def test_a_posterior_is_recovered_from_a_spec_inside_of_jit(link):
    spec = LossSpec(link, 2.0, 0.25, label_smoothing=0.1, **({"margin": 0.2} if link == "softmax" else {"scale": 2.0}))
    p = jax.nn.softmax(z) if link == "softmax" else jax.nn.sigmoid(z[:, 0])
    got = jax.jit(lambda p: focalkit.recover_posterior(p, spec))(p)
    np.testing.assert_allclose(got, focalkit.recover_posterior(np.asarray(p), spec), rtol=1e-12)


def test_a_mapped_loss_is_that_of_each_row():
    options = SOFTMAX["poly of adjusted logits"][1]
    each = jax.vmap(lambda row, t: focalkit.softmax_focal_loss(row[None], t[None], 1.0, **options))
    want = focalkit.softmax_focal_loss(z, T[:6], 1.0, reduction="none", **options)
    np.testing.assert_allclose(each(jnp.asarray(z), jnp.asarray(T[:6])), want, rtol=1e-10)


@members({name: SOFTMAX[name] for name in ("logit_adjustment", "margin", "dft")})
def test_a_linear_layer_with_its_loss_is_the_two_in_turn(gamma, options):
    rng = np.random.default_rng(3)
    hidden, weight = jnp.asarray(rng.normal(size=(6, 3))), jnp.asarray(rng.normal(size=(5, 3)))
    t = jnp.asarray(T[:6])

    def one(weight):
        return focalkit.linear_softmax_focal_loss(hidden, weight, t, gamma=gamma, **options)

    def two(weight):
        return focalkit.softmax_focal_loss(hidden @ weight.T, t, gamma, **options)

    for got, right in zip(jax.value_and_grad(one)(weight), jax.value_and_grad(two)(weight), strict=True):
        np.testing.assert_allclose(got, right, rtol=1e-10, atol=1e-13)
