"""JAX as the laws see it: by the compiled kernels, in XLA's operations, and without float64."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np

import focalkit
from focalkit.engines.jax import kernels
from focalkit.engines.jax.contracts import operands_of
from focalkit.engines.jax.evaluate import _without_parameters

NARROW = tuple(np.dtype(t) for t in (np.float32, np.float16, ml_dtypes.bfloat16))


def engines(make, public_loss):
    return [
        make("jax-kernels", *functions(public_loss, focalkit.loss_grad_hess), library="jax", thinning=3),
        make("jax-operations", *functions(_loss_by_operations, _by_operations), library="jax", thinning=30),
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


def _by_operations(spec, logits, targets, sample_weight=None, normalizer=None, hess=True, check_finite=False):
    operands = operands_of(spec, logits, targets, sample_weight, normalizer, check_finite)
    results = _compiled(_without_parameters(spec), 2 if hess else 1, operands)
    return results if hess else (*results, None)


def _loss_by_operations(spec, logits, targets, sample_weight=None, normalizer=None, check_finite=False):
    return _compiled(_without_parameters(spec), 0, operands_of(spec, logits, targets, sample_weight, normalizer, check_finite))[0]


_compiled = jax.jit(kernels.by_operations, static_argnums=(0, 1))
