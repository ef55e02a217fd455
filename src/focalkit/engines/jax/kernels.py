"""Who computes is settled when a program is lowered: the compiled kernels on the processor, XLA's operations elsewhere.

The kernels are a foreign function of XLA (``jax.ffi``), which reads the logits once and writes loss and derivatives in
the same pass, on XLA's own buffers and threads. A program that is exported must run where focalkit is not installed:
it has none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from focalkit._core import reduction
from focalkit._core.call import Call, ClassParameters, class_axis, form_numbers, loss_shape
from focalkit._core.spec import REDUCTIONS, LossSpec
from focalkit.engines import _cpu, plain
from focalkit.engines._inputs import beyond_float32
from focalkit.engines.jax.ops import OPS

Operands: TypeAlias = dict[str, Any]

_TARGET = "focalkit_loss"
_PER_CLASS = ("gamma", "alpha", "alpha_other", "adjustment", "margin")
_IN_ORDER = ("logits", "targets", *_PER_CLASS, "sample_weight", "keep", "normalizer")
#: Kernels read vectors to the end of a register.
_BEYOND = (0.0,) * 16
_TARGET_DTYPES = ("int8", "uint8", "bool", "int32", "int64", "float16", "bfloat16", "float32", "float64")


def _minor_version() -> int:
    """Of XLA's foreign function interface, from the header that comes with jaxlib."""
    header = Path(jax.ffi.include_dir(), "xla", "ffi", "api", "c_api.h").read_text(encoding="utf-8")
    found = re.search(r"#define XLA_FFI_API_MINOR (\d+)", header)
    assert found is not None
    return int(found[1])


jax.ffi.register_ffi_target(_TARGET, _cpu.xla_loss(_minor_version()), platform="cpu")


def evaluate(spec: LossSpec, order: int, operands: Operands, inplace: bool = False) -> tuple[Any, ...]:
    """Loss, and from ``order`` 1 the gradient and 2 the Hessian's diagonal, by whoever is best where it will run.

    ``operands`` has ``logits``, ``targets`` and ``gamma``, and if given ``alpha`` and ``alpha_other`` = 1 - alpha,
    ``sample_weight`` and ``normalizer``; the spec's own gamma and alpha are not meant. A class id out of range makes
    every result NaN. ``inplace`` has XLA write the gradient over the logits, of which it makes a copy first where
    anybody needs them later.
    """
    meshes = [jax.sharding.get_abstract_mesh(), *(jax.typeof(x).sharding.mesh for x in operands.values())]
    if not all(mesh.empty for mesh in meshes):  # shard_map, sharding in types: XLA knows how its own are cut
        return by_operations(spec, order, operands)
    names = tuple(sorted(operands))
    return tuple(
        _evaluate.bind(*map(operands.get, names), spec=spec, order=order, inplace=inplace, names=names, n_mapped=0)
    )


def by_operations(spec: LossSpec, order: int, operands: Operands) -> tuple[Any, ...]:
    """As :func:`evaluate` in XLA's operations; of order 0 differentiable in every operand."""
    parameters = ClassParameters(*map(operands.get, ClassParameters._fields))
    logits, targets, weight, normalizer = map(operands.get, ("logits", "targets", "sample_weight", "normalizer"))
    call = Call(spec, logits, targets, weight, normalizer, parameters)
    result = plain.evaluate(call, order, OPS)
    poison = jnp.where(_known(spec, operands), 0.0, jnp.nan)
    return tuple(part + poison.astype(part.dtype) for part in result[: order + 1])


def differentiable(spec: LossSpec, order: int, operands: Operands) -> tuple[Any, ...]:
    """Loss and gradient as functions whose every derivative is exact."""
    if order == 0:
        return by_operations(spec, 0, operands)

    def total(logits: Any) -> Any:
        (value,) = by_operations(spec, 0, {**operands, "logits": logits})
        return jnp.sum(value.astype(OPS.compute_dtype(logits))), value

    grad, value = jax.grad(total, has_aux=True)(operands["logits"])
    return value, grad


def _known(spec: LossSpec, operands: Operands) -> Any:
    """Whether every class id is one."""
    ids, logits = operands["targets"], operands["logits"]
    if OPS.is_float(ids):
        return jnp.bool_(True)
    ids = ids.astype(OPS.index)
    limit = logits.shape[class_axis(spec, logits.ndim)] if spec.link == "softmax" else 2
    return jnp.all(((ids >= 0) & (ids < limit)) | ~reduction.counted(spec, ids, -1, OPS))


# the primitive; axes of vmap stand in front of each operand, of full length or of 1

_evaluate = Primitive("focalkit_loss")
_evaluate.multiple_results = True


def _lengths(shapes: Iterable[tuple[int, ...]], n_mapped: int) -> tuple[int, ...]:
    axes = zip(*(shape[:n_mapped] for shape in shapes), strict=True)
    return tuple(next((length for length in lengths if length != 1), 1) for lengths in axes)


def _abstract(
    *avals: Any, spec: LossSpec, order: int, names: tuple[str, ...], n_mapped: int, inplace: bool
) -> list[Any]:
    logits = avals[names.index("logits")]
    lengths, shape = _lengths((aval.shape for aval in avals), n_mapped), logits.shape[n_mapped:]
    rows = loss_shape(spec, shape) if spec.reduction == "none" else ()
    shapes = [(*lengths, *rows), *[(*lengths, *shape)] * order]
    return [jax.core.ShapedArray(one, logits.dtype) for one in shapes]


@lru_cache(maxsize=256)
def _compiled(**parameters: Any) -> Any:
    return jax.jit(partial(_evaluate.bind, **parameters))


def _batch(operands: Any, axes: Any, *, n_mapped: int, **parameters: Any) -> Any:
    moved = [
        jnp.expand_dims(x, 0) if axis is None else jnp.moveaxis(x, axis, 0)
        for x, axis in zip(operands, axes, strict=True)
    ]
    results = _evaluate.bind(*moved, n_mapped=n_mapped + 1, **parameters)
    return results, [0] * len(results)


def _mapped(function: Callable[..., Any], operands: Any, n_mapped: int) -> Any:
    """``vmap`` over the axes in front; those of length 1 are everybody's."""
    lengths = _lengths((x.shape for x in operands), n_mapped)
    if not lengths:
        return function(*operands)
    shared = [x.shape[0] != lengths[0] for x in operands]
    parts = [x[0] if one else x for x, one in zip(operands, shared, strict=True)]
    axes = tuple(None if one else 0 for one in shared)
    return jax.vmap(lambda *rest: _mapped(function, rest, n_mapped - 1), axes)(*parts)


def _operations(
    *operands: Any, spec: LossSpec, order: int, names: tuple[str, ...], n_mapped: int, inplace: bool
) -> list[Any]:
    def one(*arrays: Any) -> tuple[Any, ...]:
        return by_operations(spec, order, dict(zip(names, arrays, strict=True)))

    return list(_mapped(one, operands, n_mapped))


def _kernels(
    *operands: Any, spec: LossSpec, order: int, names: tuple[str, ...], n_mapped: int, inplace: bool
) -> list[Any]:
    given = dict(zip(names, operands, strict=True))
    far = beyond_float32(spec.without("gamma"))
    if not spec.has_kernels or (far and OPS.compute_dtype(given["logits"]) != jnp.float64):
        return _operations(*operands, spec=spec, order=order, names=names, n_mapped=n_mapped, inplace=inplace)
    given = _for_kernels(spec, given, n_mapped)
    if spec.keep_hardest is not None or spec.negatives_per_positive is not None:
        given["keep"] = _mined(spec, given, n_mapped)
    return _call(spec, order, given, n_mapped, inplace)


def _for_kernels(spec: LossSpec, given: Operands, n_mapped: int) -> Operands:
    """Operands in the dtypes and shapes that the kernels read."""
    logits, targets = given["logits"], given["targets"]
    if targets.dtype.name not in _TARGET_DTYPES:
        given["targets"] = targets.astype(OPS.index)
    elif spec.link == "sigmoid" and targets.dtype.name in ("float16", "bfloat16"):
        given["targets"] = targets.astype(jnp.float32)
    for name in ("gamma", "alpha", "alpha_other", "normalizer"):
        if name in given:  # one number is a vector of one
            dtype = OPS.wide_dtype if name == "normalizer" else OPS.compute_dtype(logits)
            given[name] = given[name].astype(dtype).reshape((*given[name].shape[:n_mapped], -1))
    for name, vector in zip(("adjustment", "margin"), spec.shift_vectors(), strict=True):
        if vector is not None:
            padded = jnp.asarray(vector if len(vector) == 1 else vector + _BEYOND, OPS.compute_dtype(logits))
            given[name] = padded.reshape((*(1,) * n_mapped, -1))
    if "sample_weight" in given:
        given["sample_weight"] = _weights(spec, given["sample_weight"], logits.shape[n_mapped:], n_mapped)
    return given


def _weights(spec: LossSpec, weight: Any, shape: tuple[int, ...], n_mapped: int) -> Any:
    """Per sample where the classes come next, per target otherwise."""
    weight = weight.astype(OPS.wide_dtype)
    front, own, rows = weight.shape[:n_mapped], weight.shape[n_mapped:], loss_shape(spec, shape)
    if own == rows or class_axis(spec, len(shape)) == 1:
        return weight
    weight = weight.reshape((*front, *own, *(1,) * (len(rows) - len(own))))
    return jnp.broadcast_to(weight, (*front, *rows))


def _mined(spec: LossSpec, given: Operands, n_mapped: int) -> Any:
    """What hard example mining keeps, chosen before losses are rounded to a half type."""
    forward = replace(spec, reduction="none", keep_hardest=None, negatives_per_positive=None)
    rest = {name: operand for name, operand in given.items() if name != "normalizer"}
    (losses,) = _call(forward, 0, rest, n_mapped, False, rounded=False)

    def keep(losses: Any, targets: Any) -> Any:
        axis = class_axis(spec, targets.ndim)
        counted = reduction.counted(spec, targets, axis, OPS).reshape(-1)
        positive = reduction.positive(spec, targets, axis, OPS).reshape(-1)
        kept = reduction.kept(spec, losses.reshape(-1), counted, positive, OPS, reduction.largest(OPS))
        return kept.reshape(losses.shape)

    return _mapped(keep, (losses, given["targets"]), n_mapped)


def _call(spec: LossSpec, order: int, given: Operands, n_mapped: int, inplace: bool, rounded: bool = True) -> list[Any]:
    logits, (form, number, negative) = given["logits"], form_numbers(spec)
    shape, inner, each = logits.shape[n_mapped:], OPS.compute_dtype(logits), spec.reduction == "none"
    nothing = jnp.zeros((*(1,) * n_mapped, 0), inner)
    operands = [given.get(name, nothing) for name in _IN_ORDER]
    lengths = _lengths((x.shape for x in operands), n_mapped)
    results = [((*lengths, *(loss_shape(spec, shape) if each else ())), logits.dtype if each and rounded else inner)]
    results += [((*lengths, *shape), logits.dtype)] * order
    over = {0: 1} if inplace and order == 1 and logits.shape == results[1][0] else {}
    shapes = [jax.ShapeDtypeStruct(*result) for result in results]
    loss, *derivatives = jax.ffi.ffi_call(_TARGET, shapes, input_output_aliases=over)(
        *operands,
        rank=np.int64(len(shape)),
        sigmoid=np.int64(spec.link == "sigmoid"),
        reduction=np.int64(REDUCTIONS.index(spec.reduction)),
        class_axis=np.int64(class_axis(spec, len(shape))),
        ignore_index=np.float64(spec.ignore_index),
        label_smoothing=np.float64(spec.label_smoothing),
        logit_scale=np.float64(spec.scale),
        form=np.int64(form),
        form_number=np.float64(number),
        form_gamma=np.float64(negative),
    )
    return [loss.astype(logits.dtype) if rounded else loss, *derivatives]


_lower_operations = mlir.lower_fun(_operations, multiple_results=True)
_lower_kernels = mlir.lower_fun(_kernels, multiple_results=True)


def _lower_for_processor(context: Any, *operands: Any, **parameters: Any) -> Any:
    module = context.module_context
    elsewhere = getattr(module.lowering_parameters, "for_export", False)
    several = getattr(module.axis_context, "num_devices", 1) not in (None, 1)  # a foreign call is not cut into shards
    return (_lower_operations if elsewhere or several else _lower_kernels)(context, *operands, **parameters)


def _jvp(
    primals: Any, tangents: Any, *, spec: LossSpec, order: int, names: tuple[str, ...], n_mapped: int, inplace: bool
) -> Any:
    """Where JAX has forgotten the rule of ``evaluate``, as it does inside jax.checkpoint."""
    moving = [i for i, tangent in enumerate(tangents) if type(tangent) is not ad.Zero]

    def one(*arrays: Any) -> tuple[Any, ...]:
        return differentiable(spec, order, dict(zip(names, arrays, strict=True)))

    def function(*moved: Any) -> list[Any]:
        operands = list(primals)
        for i, x in zip(moving, moved, strict=True):
            operands[i] = x
        return list(_mapped(one, operands, n_mapped))

    return jax.jvp(function, [primals[i] for i in moving], [tangents[i] for i in moving])


ad.primitive_jvps[_evaluate] = _jvp
_evaluate.def_abstract_eval(_abstract)
_evaluate.def_impl(lambda *operands, **parameters: _compiled(**parameters)(*operands))
batching.primitive_batchers[_evaluate] = _batch
mlir.register_lowering(_evaluate, _lower_operations)
mlir.register_lowering(_evaluate, _lower_for_processor, platform="cpu")
