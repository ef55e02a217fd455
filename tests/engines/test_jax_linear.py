"""Linear layer and loss in JAX: what all the logits would give, without them."""

from __future__ import annotations

import numpy as np
import pytest

jax = pytest.importorskip("jax")

import jax.numpy as jnp  # noqa: E402

import focalkit  # noqa: E402
from focalkit import InputError  # noqa: E402

RNG = np.random.default_rng(0)
N, D, K = 37, 8, 11
LAYER = tuple(RNG.normal(size=shape) for shape in ((N, D), (K, D), (K,)))
IDS = np.where(np.arange(N) == 3, -100, RNG.integers(0, K, N))
ALPHA, WEIGHTS = np.linspace(0.5, 2, K), RNG.random(N) + 0.5


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


def chunked(hidden, weight, bias, **options):
    given = {"sample_weight": WEIGHTS, "gamma": 1.5, "alpha": ALPHA, **options}
    return focalkit.linear_softmax_focal_loss(hidden, weight, IDS, bias, memory_budget=800, **given)


def full(hidden, weight, bias, logit_softcap=None, **options):
    z = hidden @ weight.T + bias
    if logit_softcap:
        z = logit_softcap * jnp.tanh(z / logit_softcap)
    given = {"sample_weight": WEIGHTS, "gamma": 1.5, "alpha": ALPHA, **options}
    return focalkit.softmax_focal_loss(z, IDS, **given)


def assert_same(one, other):
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"reduction": "sum"},
        {"reduction": "weighted_mean", "logit_softcap": 3.0},
        {"label_smoothing": 0.1},
        {"normalizer": 7},
    ],
)
def test_loss_and_gradients_are_those_of_all_logits(options):
    layer = [jnp.asarray(x) for x in LAYER]
    assert_same(
        jax.jit(jax.value_and_grad(lambda *a: chunked(*a, **options), (0, 1, 2)))(*layer),
        jax.jit(jax.value_and_grad(lambda *a: full(*a, **options), (0, 1, 2)))(*layer),
    )


def test_losses_one_by_one_and_second_derivatives_are_exact_too():
    layer = [jnp.asarray(x) for x in LAYER]
    along = [0.1 * jnp.ones_like(x) for x in layer]

    def squares(loss):
        return jax.jit(jax.grad(lambda *a: (loss(*a, reduction="none") ** 2).sum(), (0, 1, 2)))(*layer)

    def second(loss):
        return jax.jit(lambda *a: jax.jvp(jax.grad(loss, (0, 1, 2)), a, tuple(along))[1])(*layer)

    assert_same(squares(chunked), squares(full))
    assert_same(second(chunked), second(full))


def test_all_logits_never_exist():
    n, d, k = 2048, 16, 4000
    hidden, weight, ids = jnp.ones((n, d), jnp.float32), jnp.ones((k, d), jnp.float32), np.zeros(n, int)

    def temporaries(loss):
        program = jax.jit(jax.value_and_grad(loss, (0, 1))).lower(hidden, weight).compile()
        return program.memory_analysis().temp_size_in_bytes

    budget = n * k * 4 // 32
    chunked = temporaries(lambda h, w: focalkit.linear_softmax_focal_loss(h, w, ids, memory_budget=budget))
    whole = temporaries(lambda h, w: focalkit.softmax_focal_loss(h @ w.T, ids))
    assert chunked < whole / 10


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weight": jnp.ones((K, D + 1))}, r"weight must have shape \(n_classes, 8\)"),
        ({"bias": jnp.ones(K + 1)}, r"bias must have shape \(11,\)"),
        ({"keep_hardest": 0.5}, "keep_hardest must be None here"),
        ({"memory_budget": 0}, "memory_budget must be a positive number of bytes"),
        ({"targets": np.full(N, K)}, r"targets must lie in \[0, 11\)"),
    ],
)
def test_bad_input_is_refused(change, message):
    hidden, weight, bias = (jnp.asarray(x, jnp.float32) for x in LAYER)
    given = {"hidden": hidden, "weight": weight, "targets": IDS, "bias": bias, **change}
    given = {name: x.astype(jnp.float32) if isinstance(x, jax.Array) else x for name, x in given.items()}
    with pytest.raises(InputError, match=message):
        focalkit.linear_softmax_focal_loss(**given)
