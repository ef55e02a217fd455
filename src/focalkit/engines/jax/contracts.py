"""Contracts of JAX arrays: shapes always, values where they lie in host memory and can be read.

Inside a transformation an array is a tracer: it has a shape and no values.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from focalkit._core import contracts, host, reduction
from focalkit._core.call import loss_shape
from focalkit._core.ops import NUMPY
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
    """The checked arrays of a call, by name; of logits that never exist, their shape is enough."""
    if not isinstance(logits, jax.ShapeDtypeStruct):
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
        operands["normalizer"] = _normalizer(spec, normalizer, targets, axis)
    if check_finite and host.readable(logits):
        contracts.finite_logits(np.asarray(logits))
    return operands


def floating(name: str, value: Any) -> Any:
    """A floating array of JAX."""
    array = jnp.asarray(value)
    if array.dtype.name not in FLOATS:
        contract = "be a floating array (float16, bfloat16, float32 or float64)"
        contracts.reject(
            name,
            contract,
            contracts.Words(f"dtype {array.dtype}"),
            "Pass raw model outputs, e.g. logits.astype(float).",
        )
    return array


def _targets(spec: LossSpec, targets: Any, shape: tuple[int, ...], axis: int) -> Any:
    if host.readable(targets):  # and clipped where they are a little outside of [0, 1]
        check = contracts.softmax_targets if spec.link == "softmax" else contracts.sigmoid_targets
        values = np.asarray(targets)
        checked = check(values, shape, axis, spec.ignore_index, None, "jax")
        targets = targets if checked is values or checked.dtype.kind in "iu" else checked
    targets = jnp.asarray(targets)
    integer = jnp.issubdtype(targets.dtype, jnp.integer) or targets.dtype == bool
    if not integer and targets.dtype.name not in FLOATS:
        contracts.reject(
            "targets", "be integers or floating", contracts.Words(f"dtype {targets.dtype}"), "Pass class ids."
        )
    if spec.link == "softmax":
        contracts.softmax_targets_shape(integer, targets.dtype, targets.shape, shape, axis, "jax")
    else:
        contracts.sigmoid_targets_shape(targets.shape, shape, axis, "jax")
    return targets.astype(jnp.uint8) if targets.dtype == bool else targets


def _parameters(spec: LossSpec, n_classes: int, dtype: Any, gamma: Any, alpha: Any) -> dict[str, Any]:
    """Gamma and alpha as arrays, so that a program serves all their values."""
    for name, vector in spec.class_parameters().items():
        contracts.class_vector(name, vector, n_classes)
    given = {"gamma": gamma, "alpha": alpha}
    for name, array in given.items():
        if array is None:
            continue
        if host.readable(array):
            value: dict[str, Any] = {name: np.asarray(array, np.float64)}
            LossSpec(spec.link, **value)
        if array.ndim > 1 or (array.ndim == 1 and array.shape[0] != n_classes):
            contract = f"be a number or have one entry for each of the {n_classes} classes of the logits"
            contracts.reject(name, contract, contracts.Words(f"shape {array.shape}"), "Pass one entry per class.")
    found = {"gamma": np.asarray(spec.gamma) if gamma is None else gamma}
    if alpha is not None or spec.alpha is not None:
        found["alpha"] = np.asarray(spec.alpha) if alpha is None else alpha
        found["alpha_other"] = 1 - found["alpha"]  # before it is rounded
    return {name: jnp.asarray(array, dtype) for name, array in found.items()}


def _weights(weights: Any, rows: tuple[int, ...]) -> Any:
    if host.readable(weights):
        contracts.sample_weight_array(weights, rows)
    weights = jnp.asarray(weights)
    contracts.sample_weight_shape(weights.shape, rows)
    return weights if jnp.issubdtype(weights.dtype, jnp.floating) else weights.astype(OPS.wide_dtype)


def _normalizer(spec: LossSpec, normalizer: Any, targets: Any, axis: int) -> Any:
    known = host.readable(normalizer)
    number = contracts.normalizer_number(normalizer if known else 1.0, spec.reduction)
    if getattr(normalizer, "ndim", 0):
        contracts.normalizer_number(normalizer, spec.reduction)
    smallest = float(jnp.finfo(OPS.wide_dtype).smallest_normal)
    if number is not None and 0 < number < smallest:
        contract = f"be at least {smallest:.3g}, the smallest normal {OPS.wide_dtype.name}, or 0"
        contracts.reject("normalizer", contract, number, "Set jax_enable_x64, or divide the loss by less.")
    if number == 0 and host.readable(targets):
        counted = reduction.counted(spec, np.asarray(targets), axis, NUMPY)
        contracts.normalizer_of_nothing(number, int(np.count_nonzero(counted)))
    return OPS.wide(number if known else normalizer)
