"""JAX: every transformation, exact to any order; what is compiled for the processor and what is not."""

from __future__ import annotations

import runpy
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

jax = pytest.importorskip("jax")

import jax.numpy as jnp  # noqa: E402
import optax  # noqa: E402
from jax.test_util import check_grads  # noqa: E402
from tests.engines.random_calls import EPS, TINY, random_call  # noqa: E402
from tests.jax_adapter import by_operations, compiled_once  # noqa: E402

import focalkit  # noqa: E402
from focalkit import InputError, LossSpec  # noqa: E402
from focalkit.engines import plain  # noqa: E402

RNG = np.random.default_rng(5)
Z = RNG.normal(size=(6, 4)) * 3
T = np.array([0, 3, 1, 1, 2, -100])
Y = RNG.dirichlet(np.ones(4), 6)
ALPHA = (0.1, 0.2, 0.3, 0.4)
REDUCTIONS = ("none", "sum", "mean", "weighted_mean")


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


def softmax(z, t=T, gamma=2.0, alpha=ALPHA, **options):
    return focalkit.softmax_focal_loss(z, t, gamma, alpha, **options)


def custom_calls(function, *arguments):
    return jax.jit(function).lower(*arguments).as_text().count("@focalkit_loss")


# the same numbers as the truth


@pytest.mark.parametrize("seed", range(9))
@pytest.mark.parametrize("by", ["kernels", "operations"])
def test_random_calls_are_right(seed, by):
    if by == "operations" and seed % 3:
        pytest.skip("compiles for a second")
    call = random_call(np.random.default_rng(900 + seed), max_rows=60, max_classes=12)
    want = plain.truth(focalkit.engines._inputs.read(*call.arguments(), **call.options()), 2)
    function = focalkit.loss_grad_hess if by == "kernels" else by_operations
    got = function(call.spec, jnp.asarray(call.logits), jnp.asarray(call.targets), **call.options())
    for part, right in zip(got, want, strict=True):
        right = np.asarray(right)
        assert part.dtype == right.dtype
        assert part.shape == right.shape
        name = right.dtype.name
        wide = right.astype(np.float64)
        close = 2000 * EPS["float64" if name == "float64" else "float32"] * (1 + np.abs(wide).max(initial=0))
        rounding = EPS[name] * np.abs(wide)
        with np.errstate(invalid="ignore"):
            gap = np.abs(np.asarray(part).astype(np.float64) - wide)
        assert np.all((gap <= close + rounding + 64 * TINY[name]) | (np.asarray(part) == right) | np.isnan(wide))
        assert np.array_equal(np.isnan(np.asarray(part).astype(np.float64)), np.isnan(wide))


@pytest.mark.parametrize("x64", [False, True])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_results_have_the_dtype_of_the_logits_with_and_without_float64(x64, dtype):
    with jax.enable_x64(x64):
        z, w, n = jnp.asarray(Z, dtype), np.linspace(1, 2, 6), 3
        value, grad = jax.value_and_grad(softmax)(z, sample_weight=w, normalizer=n)
        assert value.dtype == grad.dtype == z.dtype
        right = focalkit.loss_grad_hess(
            LossSpec("softmax", 2.0, ALPHA), np.asarray(z), T, sample_weight=w, normalizer=n, hess=False
        )
        np.testing.assert_array_equal(np.asarray(grad), right.grad)
        np.testing.assert_allclose(float(value), float(right.loss), rtol=1e-2 if dtype == "bfloat16" else 1e-3)


def test_without_float64_logits_of_float64_are_those_of_float32_as_everywhere_in_jax():
    with jax.enable_x64(False):
        assert softmax(jnp.asarray(Z)).dtype == jnp.float32


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint32", "int64"])
def test_targets_may_be_any_integers(dtype):
    t = jnp.asarray(np.abs(T) % 4, dtype)
    np.testing.assert_array_equal(softmax(jnp.asarray(Z), t), softmax(Z, np.abs(T) % 4))
    assert np.isfinite(jax.jit(softmax)(jnp.asarray(Z), t))


# derivatives


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_value_and_gradient_are_one_call_of_the_kernels_and_nothing_else(reduction):
    def total(z):
        return jnp.sum(softmax(z, reduction=reduction))

    value, grad = jax.jit(jax.value_and_grad(total))(jnp.asarray(Z))
    spec = LossSpec("softmax", 2.0, ALPHA, reduction=reduction)
    right = focalkit.loss_grad_hess(spec, Z, T, hess=False)
    np.testing.assert_array_equal(grad, right.grad)
    np.testing.assert_allclose(value, right.loss.sum(), rtol=1e-15)
    if reduction != "none":
        program = jax.jit(jax.value_and_grad(total)).lower(jnp.asarray(Z)).compile().as_text()
        entry = program[program.index("ENTRY") :]
        assert entry.count("custom-call(") == 1
        assert "multiply" not in entry  # the upstream gradient of 1 costs no pass


@pytest.mark.parametrize("link", ["softmax", "sigmoid"])
@pytest.mark.parametrize("soft", [False, True])
def test_all_ways_to_a_second_derivative_agree_with_the_closed_form(link, soft):
    loss = focalkit.softmax_focal_loss if link == "softmax" else focalkit.sigmoid_focal_loss
    t = (Y if link == "softmax" else np.abs(np.sin(Z))) if soft else (T if link == "softmax" else (Z > 1).astype(int))

    def total(z):
        return loss(z, t, 1.5, ALPHA, label_smoothing=0.1)

    z = jnp.asarray(Z)
    ways = (lambda f: compiled_once(jax.hessian(f)), lambda f: compiled_once(jax.jacrev(jax.jacrev(f))))
    first, other = (np.asarray(way(total)(z)).reshape(Z.size, Z.size) for way in ways)
    spec = LossSpec(link, 1.5, ALPHA, label_smoothing=0.1)
    np.testing.assert_allclose(
        np.diag(first), focalkit.loss_grad_hess(spec, Z, t).hess.reshape(-1), rtol=1e-9, atol=1e-15
    )
    np.testing.assert_allclose(other, first, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_third_derivatives_are_right_where_all_logits_are_equal(gamma):
    # at m = 0 the derivative of |m| would be taken for 0, and at ties that of max be spread
    def loss(z):
        return softmax(z, T[:2], gamma, reduction="sum")

    z, step = jnp.zeros((2, 4)) + 0.1, 1e-5 * jnp.asarray(np.random.default_rng(6).standard_normal((2, 4)))
    hessian = compiled_once(jax.hessian(loss))
    differences = (hessian(z + step) - hessian(z - step)) / 2
    for jacobian in (jax.jacfwd, jax.jacrev):
        third = compiled_once(jacobian(jax.hessian(loss)))(z)
        np.testing.assert_allclose(jnp.tensordot(third, step, 2), differences, rtol=1e-6, atol=1e-14)


def test_every_argument_has_a_gradient():
    def total(gamma, alpha, weight, normalizer, y):
        return softmax(jnp.asarray(Z), y, gamma, alpha, sample_weight=weight, normalizer=normalizer)

    arguments = jnp.asarray(1.5), jnp.asarray(ALPHA), jnp.linspace(0.5, 2, 6), jnp.asarray(3.0), jnp.asarray(Y)
    check_grads(jax.jit(total), arguments, 2, rtol=1e-4, atol=1e-4)  # probes leave the simplex, which jit does not see


def test_the_weighted_mean_has_the_gradient_of_its_denominator():
    def total(alpha, weight):
        return softmax(jnp.asarray(Z), alpha=alpha, sample_weight=weight, reduction="weighted_mean")

    check_grads(total, (jnp.asarray(ALPHA), jnp.linspace(0.5, 2, 6)), 2, rtol=1e-4, atol=1e-4)


def test_the_diagonal_of_the_hessian_is_not_differentiated_wrongly():
    def curvature(z):
        return focalkit.loss_grad_hess(LossSpec(gamma=2.0), z, T).hess.sum()

    with pytest.raises(NotImplementedError, match=r"jax\.hessian"):
        jax.grad(curvature)(jnp.asarray(Z))


@pytest.mark.parametrize("gamma", [0.25, 0.5, 2.0])
def test_hard_samples_have_a_gradient_and_easy_ones_no_nan(gamma):
    with jax.enable_x64(False):
        z = jnp.asarray([-200.0, -40.0, 40.0, 200.0])
        both = jnp.stack([0 * z, z], 1)
        binary = jax.grad(lambda z: focalkit.sigmoid_focal_loss(z, jnp.ones(4, int), gamma, reduction="sum"))(z)
        pairs = jax.grad(lambda z: focalkit.softmax_focal_loss(z, jnp.ones(4, int), gamma, reduction="sum"))(both)
        for grad in (binary, pairs[:, 1]):
            assert np.all(np.isfinite(grad))
            np.testing.assert_allclose(grad[:2], -1.0, rtol=1e-6)
            assert grad[2] <= 0


def test_the_loss_is_that_of_optax_in_optaxs_arrangement():
    z, y = jnp.asarray(Z), jnp.asarray(np.abs(T % 2))[:, None] * jnp.ones((1, 4))
    np.testing.assert_allclose(
        focalkit.sigmoid_focal_loss(z, y, 2.0, 0.25, reduction="none"),
        optax.losses.sigmoid_focal_loss(z, y, alpha=0.25, gamma=2.0),
        rtol=1e-9,
    )
    ids = jnp.asarray(np.abs(T) % 4)
    np.testing.assert_allclose(
        focalkit.softmax_cross_entropy(z, ids, reduction="none"),
        optax.losses.softmax_cross_entropy_with_integer_labels(z, ids),
        rtol=1e-9,
    )


# transformations


def test_vmap_of_any_operands_is_a_loop_over_them():
    z = jnp.stack([Z, Z * 2, -Z])
    t = jnp.stack([T, T[::-1], T])
    gammas, normalizers = jnp.asarray([0.0, 1.0, 2.5]), jnp.asarray([1.0, 2.0, 3.0])

    def loss(z, t, gamma, normalizer):
        return softmax(z, t, gamma, normalizer=normalizer)

    for axes in ((0, 0, 0, 0), (0, None, None, None), (None, 0, None, 0), (None, None, 0, None)):
        arguments = [
            full if axis == 0 else full[0] for full, axis in zip((z, t, gammas, normalizers), axes, strict=True)
        ]
        value, grad = jax.jit(jax.vmap(jax.value_and_grad(loss), axes))(*arguments)
        for i in range(3):
            one = [
                full[i] if axis == 0 else full[0] for full, axis in zip((z, t, gammas, normalizers), axes, strict=True)
            ]
            right = jax.value_and_grad(loss)(*one)
            np.testing.assert_allclose(value[i], right[0], rtol=1e-14)
            np.testing.assert_allclose(grad[i], right[1], rtol=1e-14)


@pytest.mark.parametrize("options", [{}, {"keep_hardest": 0.5}, {"reduction": "none"}])
def test_nested_vmap_by_kernels_and_by_operations_are_the_same(options):
    z = jnp.asarray(RNG.normal(size=(2, 3, 6, 4)))
    t = jnp.asarray(RNG.integers(0, 4, (3, 6)))
    spec = LossSpec(gamma=2.0, **options)

    def of(function):
        one = partial(function, spec)
        return jax.vmap(jax.vmap(one), (0, None))(z, t)

    for kernel, operation in zip(of(focalkit.loss_grad_hess), of(by_operations), strict=True):
        np.testing.assert_allclose(kernel, operation, rtol=1e-12, atol=1e-15)


def test_a_scan_and_a_checkpoint_change_nothing():
    z = jnp.stack([Z, Z * 2, -Z])

    def total(z):
        return jax.lax.scan(lambda carry, z: (carry + jax.checkpoint(softmax)(z), None), 0.0, z)[0]

    value, grad = jax.jit(jax.value_and_grad(total))(z)
    np.testing.assert_allclose(value, sum(float(softmax(one)) for one in z), rtol=1e-14)
    np.testing.assert_allclose(grad, np.stack([jax.grad(softmax)(one) for one in z]), rtol=1e-14)


@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize("soft", [False, True])
def test_donated_logits_and_a_gradient_over_them_are_right(inplace, soft):
    t = Y if soft else T
    right = jax.grad(softmax)(jnp.asarray(Z), t)

    def loss(z):
        return softmax(z, t, inplace=inplace)

    donating = jax.jit(jax.grad(loss), donate_argnums=0)
    np.testing.assert_array_equal(donating(jnp.array(Z)), right)
    both = jax.jit(lambda z: (jax.grad(loss)(z), z * 2))  # needed later: copied first
    z = jnp.array(Z)
    grad, later = both(z)
    np.testing.assert_array_equal(grad, right)
    np.testing.assert_array_equal(later, 2 * Z)
    np.testing.assert_array_equal(z, Z)


def test_inplace_the_gradient_takes_no_memory_of_its_own():
    hidden, weight = jnp.ones((512, 8)), jnp.ones((8, 1000))

    def temporaries(inplace):
        def loss(hidden):
            return softmax(hidden @ weight, jnp.zeros(512, int), alpha=None, inplace=inplace)

        return jax.jit(jax.grad(loss)).lower(hidden).compile().memory_analysis().temp_size_in_bytes

    logits = 512 * 1000 * 8
    assert temporaries(True) < 1.1 * logits
    assert temporaries(False) > 1.9 * logits


@pytest.mark.parametrize("platforms", [["cpu"], ["cpu", "tpu", "cuda"]])
def test_an_exported_program_runs_without_focalkits_kernels(platforms):
    shape = jax.ShapeDtypeStruct((6, 4), jnp.float64)
    exported = jax.export.export(jax.jit(jax.value_and_grad(softmax)), platforms=platforms)(shape)
    assert "@focalkit_loss" not in exported.mlir_module()
    for got, right in zip(exported.call(jnp.asarray(Z)), jax.value_and_grad(softmax)(jnp.asarray(Z)), strict=True):
        np.testing.assert_allclose(got, right, rtol=1e-12, atol=1e-16)


def test_other_devices_are_given_operations_and_the_processor_kernels():
    assert custom_calls(jax.grad(softmax), jnp.asarray(Z)) == 1
    traced = jax.jit(jax.grad(softmax)).trace(jnp.asarray(Z))
    for platform in ("tpu", "cuda"):
        assert "@focalkit_loss" not in traced.lower(lowering_platforms=(platform,)).as_text()


SHARDED = """
import contextlib, os
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=4"
import jax, jax.numpy as jnp, numpy as np, focalkit
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P
rng = np.random.default_rng(0)
z, t = rng.normal(size=(16, 5)).astype("f"), rng.integers(0, 5, 16)
right = focalkit.loss_grad_hess(focalkit.LossSpec(gamma=2.0), z, t, hess=False)
loss = lambda z, t: focalkit.softmax_focal_loss(z, t)
def same(result):
    np.testing.assert_allclose(result[0], right.loss, rtol=1e-6)
    np.testing.assert_allclose(result[1], right.grad, rtol=1e-5, atol=1e-8)
mesh = jax.make_mesh((4,), ("rows",), axis_types=(AxisType.Auto,))
place = lambda x: jax.device_put(jnp.asarray(x), NamedSharding(mesh, P("rows")))
program = jax.jit(jax.value_and_grad(loss))
same(program(place(z), place(t)))
same(jax.value_and_grad(loss)(place(z), place(t)))
with jax.set_mesh(mesh):
    same(program(place(z), place(t)))
    assert program(place(z), place(t))[1].sharding.spec[0] == "rows"
@jax.shard_map(mesh=mesh, in_specs=P("rows"), out_specs=(P(), P("rows")))
def parts(z, t):
    count = jax.lax.psum((t != -100).sum(), "rows")
    value, grad = jax.value_and_grad(lambda z: focalkit.softmax_focal_loss(z, t, normalizer=count))(z)
    return jax.lax.psum(value, "rows"), grad
same(parts(z, t))
same(jax.jit(parts)(z, t))
mesh = jax.make_mesh((4,), ("rows",), axis_types=(AxisType.Explicit,))
for context in (contextlib.nullcontext(), jax.set_mesh(mesh)):
    with context:
        z1, t1 = place(z), place(t)
        same(program(z1, t1))
        same(jax.value_and_grad(loss)(z1, t1))
        assert jax.typeof(jax.jit(jax.grad(loss))(z1, t1)).sharding.spec == P("rows", None)
        each = jax.jit(lambda z, t: focalkit.softmax_focal_loss(z, t, reduction="none"))(z1, t1)
        assert jax.typeof(each).sharding.spec == P("rows")
        bits = jax.jit(lambda z: focalkit.sigmoid_focal_loss(z, (z > 0).astype(int), reduction="none"))(z1)
        assert jax.typeof(bits).sharding.spec == P("rows", None)
        hidden, weight = place(rng.normal(size=(16, 3))), jnp.ones((5, 3))
        head = jax.jit(jax.value_and_grad(lambda h, t: focalkit.linear_softmax_focal_loss(h, weight, t)))
        value, grad = head(hidden, t1)
        right_head = focalkit.softmax_focal_loss(np.asarray(hidden) @ np.ones((3, 5), "f"), t)
        np.testing.assert_allclose(value, right_head, rtol=1e-6)
        assert jax.typeof(grad).sharding.spec == P("rows", None)
print("right")
"""


def test_sharded_arrays_and_shard_map_give_the_whole_batchs_loss():
    run = subprocess.run([sys.executable, "-c", SHARDED], capture_output=True, text=True, check=False)
    assert run.stdout.strip() == "right", run.stderr


# the kernels inside XLA


def test_the_bits_are_the_same_for_any_number_of_threads():
    z = jnp.asarray(RNG.normal(size=(400, 1000)), jnp.float32)
    t = jnp.asarray(RNG.integers(0, 1000, 400))
    program = jax.jit(jax.value_and_grad(lambda z: softmax(z, t, alpha=None)))
    first, before = program(z), focalkit.get_num_threads()
    try:
        focalkit.set_num_threads(1)
        for one, other in zip(program(z), first, strict=True):
            np.testing.assert_array_equal(one, other)
    finally:
        focalkit.set_num_threads(None)
    assert focalkit.get_num_threads() == before


def test_subnormal_results_are_not_flushed_and_xlas_own_arithmetic_is_left_alone():
    with jax.enable_x64(False):
        z = jnp.asarray([[0.0, 90.0]], jnp.float32)
        grad = jax.jit(jax.grad(lambda z: focalkit.softmax_cross_entropy(z, jnp.array([1]))))(z)
        right = focalkit.loss_grad_hess(LossSpec(), np.asarray(z), np.array([1]), hess=False).grad
        assert 0 < abs(right[0, 0]) < np.finfo(np.float32).tiny
        np.testing.assert_array_equal(grad, right)


def test_many_calls_at_once_on_every_thread_of_xla_come_to_an_end():
    z = jnp.asarray(RNG.normal(size=(8, 64, 3000)), jnp.float32)
    t = jnp.asarray(RNG.integers(0, 3000, (8, 64)))
    programs = [jax.jit(jax.value_and_grad(lambda z, t=t[i]: softmax(z, t, alpha=None))) for i in range(8)]
    results = [program(z[i]) for i, program in enumerate(programs) for _ in range(5)]
    assert all(np.isfinite(value) for value, _ in jax.block_until_ready(results))


# contracts


def test_values_that_can_be_read_are_checked_and_tracers_are_not():
    z = jnp.asarray(Z)
    with pytest.raises(InputError, match=r"targets must lie in \[0, 4\)"):
        softmax(z, jnp.asarray([0, 1, 2, 3, 4, 0]))
    with pytest.raises(InputError, match=r"targets must lie in \[0, 4\)"):  # seen beside traced logits, too
        jax.grad(softmax)(z, np.array([0, 1, 2, 3, 4, 0]))
    with pytest.raises(InputError, match="sample_weight must lie in"):
        softmax(z, sample_weight=-jnp.ones(6))
    with pytest.raises(InputError, match="gamma must be"):
        softmax(z, gamma=jnp.asarray(-1.0))
    with pytest.raises(InputError, match="normalizer must be"):
        softmax(z, normalizer=jnp.asarray(-1.0))
    with pytest.raises(InputError, match="normalizer must be"):
        softmax(z, normalizer=jnp.asarray(0.0))
    with pytest.raises(InputError, match="logits must be free of NaN"):
        softmax(z * jnp.nan, check_finite=True)


@pytest.mark.parametrize("link", ["softmax", "sigmoid"])
@pytest.mark.parametrize("by", ["kernels", "operations"])
def test_a_traced_class_id_that_is_none_makes_loss_and_gradient_nan(link, by):
    t = jnp.asarray([0, 1, 2, 3, 4, 0]) if link == "softmax" else jnp.full((6, 4), 2)
    function = focalkit.loss_grad_hess if by == "kernels" else by_operations
    traced = jax.jit(partial(function, LossSpec(link, 2.0)))
    assert all(np.isnan(part).all() for part in traced(jnp.asarray(Z), t))


@pytest.mark.parametrize("by", ["kernels", "operations"])
def test_a_traced_normalizer_of_zero_is_right_over_nothing_and_shows_otherwise(by):
    function = focalkit.loss_grad_hess if by == "kernels" else by_operations
    traced = jax.jit(lambda t, n: function(LossSpec(gamma=2.0), jnp.asarray(Z), t, normalizer=n)[:2])
    value, grad = traced(jnp.full(6, -100), 0.0)
    assert value == 0
    assert not grad.any()
    assert not np.isfinite(traced(T, 0.0)[0])


@pytest.mark.parametrize("ignored", [-100, 0, 1, np.nan])
@pytest.mark.parametrize("inplace", [False, True])
def test_soft_targets_of_the_sigmoid_that_are_ignored_are_left_out_under_jit_too(ignored, inplace):
    y = np.where(np.arange(24).reshape(6, 4) % 5 == 0, ignored, np.abs(np.sin(Z)))

    def loss(z, y):
        return focalkit.sigmoid_focal_loss(z, y, 2.0, 0.25, ignore_index=ignored, inplace=inplace)

    value, grad = jax.jit(jax.value_and_grad(loss))(jnp.asarray(Z), jnp.asarray(y))
    right = focalkit.loss_grad_hess(LossSpec("sigmoid", 2.0, 0.25, ignore_index=ignored), Z, y)
    np.testing.assert_allclose(value, right.loss, rtol=1e-14)
    np.testing.assert_array_equal(grad, right.grad)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"z": jnp.zeros((6, 4), int)}, "logits must be a floating array"),
        ({"z": jnp.zeros(6)}, r"logits must have shape \(n, n_classes\)"),
        ({"t": jnp.zeros(5, int)}, r"targets must have shape \(6,\)"),
        ({"alpha": jnp.ones(3)}, "alpha must be a number or have one entry for each of the 4 classes"),
        ({"sample_weight": jnp.ones(5)}, r"sample_weight must have shape \(6,\)"),
        ({"normalizer": jnp.ones(2)}, "normalizer must be one number"),
        ({"normalizer": "global"}, "normalizer must be a number"),
    ],
)
@pytest.mark.parametrize("traced", [False, True])
def test_shapes_are_checked_inside_jit_and_outside(arguments, message, traced):
    given = {"z": jnp.asarray(Z), "t": jnp.asarray(T), **arguments}
    texts = {name: given.pop(name) for name in list(given) if isinstance(given[name], str)}

    def call(given):
        return softmax(**given, **texts)

    with pytest.raises(InputError, match=message):
        (jax.jit(call) if traced else call)(given)


def test_a_normalizer_that_xla_takes_for_0_is_refused():
    message = r"normalizer must be at least 1.18e-38, the smallest normal float32"
    with jax.enable_x64(False), pytest.raises(InputError, match=message):
        focalkit.softmax_focal_loss(jnp.asarray(Z, jnp.float32), T, normalizer=1e-39)


@pytest.mark.parametrize("fields", [{"gamma": 1e39}, {"gamma": (2.0, 1e39, 0.0)}, {"poly": 1e38}, {"scale": 3e19}])
def test_numbers_that_need_float64_are_refused_where_jax_has_none(fields):
    spec, z = LossSpec(**fields), jnp.asarray(Z[:, :3], jnp.float32)
    with jax.enable_x64(False), pytest.raises(InputError, match=r"be at most 1e\+(30|18) where JAX has no float64"):
        focalkit.loss_grad_hess(spec, z, T % 3)


def test_out_is_refused_with_what_to_do_instead():
    with pytest.raises(InputError, match=r"out must be None for arrays of JAX; got .*donate the logits"):
        focalkit.loss_grad_hess(LossSpec(), jnp.asarray(Z), T, out=np.empty_like(Z))


def test_a_program_serves_every_gamma_and_alpha():
    z = jnp.asarray(RNG.normal(size=(7, 3)))
    focalkit.softmax_focal_loss(z, np.zeros(7, int), 2.0, 0.5)
    from focalkit.engines.jax.evaluate import _compiled

    before = _compiled._cache_size()
    for gamma, alpha in ((0.0, 0.25), (1.5, 0.75)):
        focalkit.softmax_focal_loss(z, np.zeros(7, int), gamma, alpha)
    assert _compiled._cache_size() == before


def test_a_count_of_one_and_a_fraction_of_one_are_different_programs():
    z = jnp.asarray(Z)
    one = focalkit.softmax_focal_loss(z, np.abs(T) % 4, reduction="none", keep_hardest=1)
    all_ = focalkit.softmax_focal_loss(z, np.abs(T) % 4, reduction="none", keep_hardest=1.0)
    assert (one > 0).sum() == 1
    assert (all_ > 0).sum() == 6
    assert LossSpec(keep_hardest=1) != LossSpec(keep_hardest=1.0)


# what has no logits


def test_posteriors_and_weights_are_arrays_of_jax_too():
    p, prior, counts = RNG.dirichlet(np.ones(4), 6), np.array([0.4, 0.3, 0.2, 0.1]), np.array([90, 0, 7, 3])
    pairs = [
        (lambda p, g, a: focalkit.recover_posterior(p, g, a), (p, np.float64(2.0), np.array(ALPHA))),
        (lambda p, g: focalkit.recover_posterior(p, g), (p[:, 0], np.float64(1.5))),
        (lambda p, pi: focalkit.shift_prior(p, pi, 0.5), (p, prior)),
        (lambda p, pi: focalkit.shift_prior(p, pi), (p[:, 0], np.float64(0.3))),
        *[(partial(focalkit.class_weights, scheme=scheme), (counts,)) for scheme in focalkit.weights.SCHEMES],
    ]
    for function, arguments in pairs:
        arrays = [jnp.asarray(a) for a in arguments]
        for got in (function(*arrays), jax.jit(function)(*arrays)):
            assert isinstance(got, jax.Array)
            np.testing.assert_allclose(got, function(*arguments), rtol=1e-12)
    grad = jax.grad(lambda p: focalkit.recover_posterior(p, 2.0)[:, 0].sum())(jnp.asarray(p))
    assert np.isfinite(grad).all()


def test_their_values_are_checked_where_they_can_be_read():
    with pytest.raises(InputError, match="probabilities must lie in"):
        focalkit.recover_posterior(jnp.asarray([[3.0, 1.0]]), 2.0)
    with pytest.raises(InputError, match="counts must be a vector of one number >= 0 per class"):
        focalkit.class_weights(jnp.asarray([-1, 2]))
    with pytest.raises(InputError, match="prior must be 2 frequencies that sum to 1"):
        focalkit.shift_prior(jnp.asarray([[0.5, 0.5]]), jnp.asarray([0.9, 0.3]))


def test_importing_focalkit_imports_no_jax():
    code = "import sys, focalkit, focalkit.losses; print('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"


def test_the_example_with_optax_learns_the_rare_classes(capsys):
    with jax.enable_x64(False):
        found = runpy.run_path(str(Path(__file__).parents[2] / "examples" / "jax_optax.py"))
    assert "recall of each class" in capsys.readouterr().out
    assert found["losses"][-1] < found["losses"][0] / 2
    assert min(found["recall"]) > 0.8
