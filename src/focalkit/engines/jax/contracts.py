"""Contracts of JAX arrays: shapes always, values where they lie in host memory and can be read.

Inside a transformation an array is a tracer: it has a shape and no values.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from focalkit._core import contracts
from focalkit._core.call import loss_shape
from focalkit._core.spec import LossSpec
from focalkit.engines.jax.ops import OPS

FLOATS = ("float16", "bfloat16", "float32", "float64")


def operands_of(
    spec: LossSpec,
    logits: Any,
    targets: Any,
    sample_weight: Any,
    normalizer: Any,
    check_finite: bool,
    gamma: Any = None,
    alpha: Any = None,
) -> dict[str, Any]:
    """The checked arrays of a call, by name."""
    logits = floating("logits", logits)
    shape = logits.shape
    axis = contracts.logits_shape(spec.link, shape, spec.class_axis)
    n_classes = shape[axis] if axis >= 0 else 1
    operands = {"logits": logits, "targets": _targets(spec, targets, shape, axis)}
    operands |= _parameters(spec, n_classes, OPS.compute_dtype(logits), gamma, alpha)
    rows = loss_shape(spec, shape)
    if sample_weight is not None:
        operands["sample_weight"] = _weights(sample_weight, rows)
    if normalizer is not None:
        operands["normalizer"] = _normalizer(spec, normalizer)
    if check_finite and readable(logits):
        contracts.finite_logits(np.asarray(logits))
    return operands


def readable(value: Any) -> bool:
    """Whether the values of an argument can be looked at without waiting for a device."""
    if not isinstance(value, jax.Array):
        return True
    if isinstance(value, jax.core.Tracer) or not value.is_fully_addressable:
        return False
    return all(device.platform == "cpu" for device in value.devices())


def floating(name: str, value: Any) -> Any:
    """A floating array of JAX."""
    array = jnp.asarray(value)
    if array.dtype.name not in FLOATS:
        contract = "be a floating array (float16, bfloat16, float32 or float64)"
        contracts.reject(name, contract, f"dtype {array.dtype}", "Pass raw model outputs, e.g. logits.astype(float).")
    return array


def _targets(spec: LossSpec, targets: Any, shape: tuple[int, ...], axis: int) -> Any:
    if readable(targets):
        values = np.asarray(targets)
        if spec.link == "softmax":
            contracts.softmax_targets(values, shape, axis, spec.ignore_index)
        else:
            contracts.sigmoid_targets(values, shape, spec.ignore_index)
    targets = jnp.asarray(targets)
    known = jnp.issubdtype(targets.dtype, jnp.integer) or targets.dtype == bool
    if not known and targets.dtype.name not in FLOATS:
        contracts.reject("targets", "be integers or floating", f"dtype {targets.dtype}", "Pass class ids.")
    if spec.link == "softmax":
        contracts.softmax_targets_shape(known, targets.dtype, targets.shape, shape, axis)
    else:
        contracts.sigmoid_targets_shape(targets.shape, shape)
    return targets.astype(jnp.uint8) if targets.dtype == bool else targets


def _parameters(spec: LossSpec, n_classes: int, dtype: Any, gamma: Any, alpha: Any) -> dict[str, Any]:
    """Gamma and alpha as arrays, so that a program serves all their values."""
    given = {"gamma": gamma, "alpha": alpha}
    for name, array in given.items():
        if array is None:
            contracts.class_vector(name, getattr(spec, name), n_classes)
            continue
        if readable(array):
            LossSpec(spec.link, **{name: np.asarray(array, np.float64)})
        if array.ndim > 1 or (array.ndim == 1 and array.shape[0] != n_classes):
            contract = f"be a number or have one entry for each of the {n_classes} classes of the logits"
            contracts.reject(name, contract, f"shape {array.shape}", "Pass one entry per class.")
    found = {"gamma": np.asarray(spec.gamma) if gamma is None else gamma}
    if alpha is not None or spec.alpha is not None:
        found["alpha"] = np.asarray(spec.alpha) if alpha is None else alpha
        found["alpha_other"] = 1 - found["alpha"]  # before it is rounded
    return {name: jnp.asarray(array, dtype) for name, array in found.items()}


def _weights(weights: Any, rows: tuple[int, ...]) -> Any:
    if readable(weights):
        contracts.sample_weight_array(weights, rows)
    weights = jnp.asarray(weights)
    contracts.sample_weight_shape(weights.shape, rows)
    return weights if jnp.issubdtype(weights.dtype, jnp.floating) else weights.astype(OPS.wide_dtype)


def _normalizer(spec: LossSpec, normalizer: Any) -> Any:
    array = isinstance(normalizer, jax.Array)
    if array and normalizer.ndim:
        contracts.reject("normalizer", "be one number", f"shape {normalizer.shape}", "Sum it first, e.g. by jax.lax.psum.")
    if readable(normalizer):
        normalizer = contracts.normalizer_number(normalizer.item() if array else normalizer, spec.reduction)
    else:
        contracts.normalizer_number(1.0, spec.reduction)
    return OPS.wide(normalizer)
