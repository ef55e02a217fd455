"""JAX: the losses with their derivatives, to any order and in any transformation.

One pass gives loss and gradient, which differentiation scales (``custom_jvp``). A derivative of the gradient, and one
in targets, weights, alpha, gamma or the normalizer, comes from the composite implementation.
"""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_derivatives import SymbolicZero

from focalkit._core import contracts, host
from focalkit._core.call import class_axis, numbers_and_arrays
from focalkit._core.spec import LossSpec
from focalkit.engines import _inputs
from focalkit.engines.jax import kernels
from focalkit.engines.jax.contracts import operands_of
from focalkit.engines.jax.kernels import Operands
from focalkit.engines.jax.meshes import automatic, of_results
from focalkit.engines.jax.ops import OPS


def dispatch(
    link: str,
    gamma: Any,
    alpha: Any,
    options: Any,
    logits: Any,
    targets: Any,
    sample_weight: Any,
    normalizer: Any,
    check_finite: bool,
    inplace: bool,
) -> Any:
    """Compute one of the four losses; gamma and alpha may be arrays of JAX, which may be traced."""
    spec, given = numbers_and_arrays(link, gamma, alpha, options, host.is_jax)
    wide = _wide(spec, logits, normalizer)
    operands = operands_of(spec, wide, targets, sample_weight, normalizer, check_finite, given.gamma, given.alpha)
    value = _evaluate(_without_parameters(spec), 0, inplace, operands)[0]
    return value if wide is logits else value.astype(logits.dtype)


def _evaluate(spec: LossSpec, order: int, inplace: bool, operands: Operands) -> tuple[Any, ...]:
    result: tuple[Any, ...] = automatic(
        partial(_compiled, spec, order, inplace), operands, operands["logits"], partial(of_results, spec, order)
    )
    return result


def loss_grad_hess(
    spec: LossSpec,
    logits: Any,
    targets: Any,
    sample_weight: Any = None,
    normalizer: Any = None,
    *,
    hess: bool = True,
    out: Any = None,
    check_finite: bool = False,
) -> tuple[Any, Any, Any]:
    """Return loss, gradient and, if asked for, the diagonal of the Hessian in the logits."""
    if out is not None:
        remedy = "JAX arrays do not change: take the gradient that is returned, and donate the logits to jax.jit."
        contracts.reject("out", "be None for arrays of JAX", contracts.Words(type(out).__name__), remedy)
    wide = _wide(spec, logits, normalizer)
    operands = operands_of(spec, wide, targets, sample_weight, normalizer, check_finite)
    results = _evaluate(_without_parameters(spec), 2 if hess else 1, False, operands)
    value, grad, *rest = results if wide is logits else (part.astype(logits.dtype) for part in results)
    return value, grad, rest[0] if rest else None


def of_operands(spec: LossSpec, order: int, operands: Operands) -> tuple[Any, ...]:
    """Loss and derivatives from operands that were checked; a gradient is written over the logits."""
    result: tuple[Any, ...] = _compiled(spec, order, True, operands)
    return result


#: Larger numbers of a spec leave float32 on the way to results that it can hold; Hessians have the scale's square.
_MOST = {"gamma": 1e30, "gamma_negative": 1e30, "poly": 1e30, "star": 1e30, "scale": 1e18}
#: Smaller ones, if they are not 0, it does not have.
_LEAST = {"gce": 1e-37, "clip": 1e-37}


def _wide(spec: LossSpec, logits: Any, normalizer: Any) -> Any:
    """The logits; in the widest dtype that JAX has (``jax_enable_x64``) where float32 would overflow on the way."""
    number = normalizer if isinstance(normalizer, float | int) else None
    if not OPS.is_float(logits) or not _inputs.beyond_float32(spec, number):
        return logits
    if OPS.wide_dtype != jnp.float64:
        for name, most in _MOST.items():
            value = getattr(spec, name)
            if np.max(np.abs(np.asarray(value or 0.0, np.float64))) > most:
                contract = f"be at most {most:.0e} where JAX has no float64"
                contracts.reject(name, contract, value, "jax.config.update('jax_enable_x64', True) gives it.")
        for name, least in _LEAST.items():
            value = getattr(spec, name)
            if 0 < value < least:
                contract = f"be 0 or at least {least:.0e} where JAX has no float64"
                contracts.reject(name, contract, value, "jax.config.update('jax_enable_x64', True) gives it.")
    return logits.astype(OPS.wide_dtype)


@lru_cache(maxsize=256)
def _without_parameters(spec: LossSpec) -> LossSpec:
    """What a program is compiled for."""
    return spec.without("gamma", "alpha")


@partial(jax.jit, static_argnums=(0, 1, 2), inline=True)
def _compiled(spec: LossSpec, order: int, inplace: bool, operands: Operands) -> tuple[Any, ...]:
    return _results(spec, order, inplace, operands)


@partial(jax.custom_jvp, nondiff_argnums=(0, 1, 2))
def _results(spec: LossSpec, order: int, inplace: bool, operands: Operands) -> tuple[Any, ...]:
    return kernels.evaluate(spec, order, operands, inplace)


@partial(_results.defjvp, symbolic_zeros=True)
def _jvp(spec: LossSpec, order: int, inplace: bool, primals: Any, tangents: Any) -> Any:
    (operands,), (dots,) = primals, tangents
    dots = {name: dot for name, dot in dots.items() if not isinstance(dot, SymbolicZero)}
    if order == 0 and tuple(dots) == ("logits",):
        value, grad = _results(spec, 1, inplace, operands)
        return (value,), (_along(spec, grad, dots["logits"]).astype(value.dtype),)
    if order == 2:
        message = "the Hessian's diagonal of loss_grad_hess has no derivative; differentiate jax.hessian of the loss"
        raise NotImplementedError(message)

    def function(moving: Operands) -> Any:
        return kernels.differentiable(spec, order, {**operands, **moving})

    return jax.jvp(function, ({name: operands[name] for name in dots},), (dots,))


def _along(spec: LossSpec, grad: Any, direction: Any) -> Any:
    """The change of the loss, or of each loss."""
    inner = OPS.compute_dtype(grad)
    product = grad.astype(inner) * direction.astype(inner)
    if spec.reduction != "none":
        return jnp.sum(product)
    return product if spec.link == "sigmoid" else jnp.sum(product, class_axis(spec, grad.ndim))
