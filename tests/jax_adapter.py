"""JAX as the laws see it, by the compiled kernels; and XLA's operations, which take a second to compile each."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

import focalkit
from focalkit.engines.jax import kernels
from focalkit.engines.jax.contracts import operands_of
from focalkit.engines.jax.evaluate import _without_parameters

#: ``jax.jit`` for a long program that runs once: it takes less time to compile, and more to run.
compiled_once = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


def engines(make, public_loss):
    return [
        make("jax", *functions(public_loss, focalkit.loss_grad_hess), library="jax", thinning=3),
    ]


def array(result):
    return None if result is None else np.asarray(result)[()]


def functions(loss_of, loss_grad_hess_of):
    def loss(spec, logits, targets, **kw):
        with jax.enable_x64(True):
            return array(loss_of(spec, *given(logits, targets), **kw))

    def loss_grad_hess(spec, logits, targets, *, out=None, **kw):
        with jax.enable_x64(True):
            results = loss_grad_hess_of(spec, *given(logits, targets), **kw)
        return tuple(array(result) for result in results)

    return loss, loss_grad_hess


def given(logits, targets):
    return jnp.asarray(logits), targets if isinstance(targets, list) else jnp.asarray(targets)


def by_operations(spec, logits, targets, sample_weight=None, normalizer=None, hess=True, check_finite=False):
    """As ``focalkit.loss_grad_hess``, on the processor what other devices do."""
    operands = operands_of(spec, logits, targets, sample_weight, normalizer, check_finite)
    results = _compiled(_without_parameters(spec), 2 if hess else 1, operands)
    return focalkit.losses.LossGradHess(*results, *(() if hess else (None,)))


_compiled = jax.jit(kernels.by_operations, static_argnums=(0, 1))
