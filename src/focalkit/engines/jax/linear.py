"""A linear layer and its softmax loss, some rows at a time: the logits of all rows never exist.

For each chunk of rows the logits are made, the loss writes its gradient over them, and the products of the layer's
backward are taken while they last. Differentiation scales those gradients. All other derivatives (a second one, one in
targets, weights, alpha or gamma, of losses one by one) make the logits of a chunk again where they are needed
(``jax.checkpoint``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero
from jax.sharding import PartitionSpec

from focalkit._core import contracts, reduction
from focalkit._core.spec import LossSpec
from focalkit.engines.jax import evaluate as engine
from focalkit.engines.jax.contracts import floating, operands_of
from focalkit.engines.jax.kernels import Operands
from focalkit.engines.jax.meshes import automatic
from focalkit.engines.jax.ops import OPS

_LAYER = ("hidden", "weight", "bias")
_PER_ROW = ("hidden", "targets", "sample_weight")
#: Bytes where none are given. A device needs larger products to be busy.
_BUDGET_OF_HOST, _BUDGET_OF_DEVICE = 32 << 20, 512 << 20
#: Classes of which the gradient of the weight is made at a time.
_CLASSES = 2048


class Layer(NamedTuple):
    """What is compiled for: the loss, the cap of the logits (0: none) and the bytes of a chunk."""

    spec: LossSpec
    softcap: float
    budget: int


def loss(
    spec: LossSpec,
    hidden: Any,
    weight: Any,
    targets: Any,
    bias: Any,
    sample_weight: Any,
    normalizer: Any,
    softcap: float | None,
    budget: int | None,
    gamma: Any = None,
    alpha: Any = None,
) -> Any:
    """Return the loss, reduced as ``spec`` says."""
    given = {name: floating(name, x) for name, x in zip(_LAYER, (hidden, weight, bias), strict=True) if x is not None}
    _check_layer(given)
    rows, n_classes = given["hidden"].shape[:-1], given["weight"].shape[0]
    spec = replace(spec, class_axis=-1)
    logits = jax.ShapeDtypeStruct((*rows, n_classes), given["hidden"].dtype)
    operands = operands_of(spec, logits, targets, sample_weight, normalizer, False, gamma, alpha)
    operands.pop("logits")
    soft = OPS.is_float(operands["targets"])
    operands["targets"] = operands["targets"].reshape((-1, n_classes) if soft else -1)
    if "sample_weight" in operands:
        per_row = operands["sample_weight"]
        per_row = per_row.reshape(*per_row.shape, *(1,) * (len(rows) - per_row.ndim))
        operands["sample_weight"] = jnp.broadcast_to(per_row, rows).reshape(-1)
    operands |= given | {"hidden": given["hidden"].reshape(-1, given["hidden"].shape[-1])}
    on_host = jax.default_backend() == "cpu"
    layer = Layer(
        replace(spec.without("gamma", "alpha"), class_axis=1),
        float(softcap or 0.0),
        budget or (_BUDGET_OF_HOST if on_host else _BUDGET_OF_DEVICE),
    )
    (value,) = automatic(
        lambda operands: (_compiled(layer, operands),),
        operands,
        operands["hidden"],
        lambda hidden: (PartitionSpec(*([hidden[0]] if spec.reduction == "none" else [])),),
    )
    return value.reshape(rows) if spec.reduction == "none" else value


def _check_layer(given: Operands) -> None:
    hidden, weight = given["hidden"], given["weight"]
    for name, array in given.items():
        if array.dtype != hidden.dtype:
            contract = f"have the dtype of the hidden states, {hidden.dtype}"
            contracts.reject(
                name,
                contract,
                contracts.Words(str(array.dtype)),
                f"Convert one of them, e.g. {name}.astype(hidden.dtype).",
            )
    if hidden.ndim < 2:
        contract = "have shape (n, in_features) or (n, length, in_features)"
        contracts.reject("hidden", contract, contracts.Words(f"shape {hidden.shape}"), "Add a batch axis.")
    if weight.ndim != 2 or weight.shape[1] != hidden.shape[-1] or weight.shape[0] == 0:
        remedy = "Pass one row per class, e.g. the transpose of a flax or haiku kernel."
        contract = f"have shape (n_classes, {hidden.shape[-1]})"
        contracts.reject("weight", contract, contracts.Words(f"shape {weight.shape}"), remedy)
    if "bias" in given and given["bias"].shape != weight.shape[:1]:
        contract = f"have shape {weight.shape[:1]}"
        contracts.reject(
            "bias", contract, contracts.Words(f"shape {given['bias'].shape}"), "Pass one number per class."
        )


# the loss and its derivatives


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _loss(layer: Layer, operands: Operands) -> Any:
    return _any_derivative(layer, operands)


_compiled = jax.jit(lambda layer, operands: _loss(layer, operands), static_argnums=0, inline=True)


@partial(_loss.defjvp, symbolic_zeros=True)
def _jvp(layer: Layer, primals: Any, tangents: Any) -> Any:
    (operands,), (dots,) = primals, tangents
    dots = {name: dot for name, dot in dots.items() if not isinstance(dot, SymbolicZero)}
    if layer.spec.reduction == "none" or not set(dots) <= set(_LAYER):

        def function(moving: Operands) -> Any:
            return _any_derivative(layer, {**operands, **moving})

        return jax.jvp(function, ({name: operands[name] for name in dots},), (dots,))
    value, gradients = _value_and_gradients(layer, tuple(sorted(dots)), operands)
    inner = OPS.compute_dtype(value)
    products = [jnp.vdot(gradients[name].astype(inner), dots[name].astype(inner)) for name in sorted(dots)]
    return value, sum(products[1:], products[0]).astype(value.dtype)


@partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _value_and_gradients(layer: Layer, wanted: tuple[str, ...], operands: Operands) -> tuple[Any, Operands]:
    return _one_pass(layer, wanted, operands)


@_value_and_gradients.defjvp
def _second_jvp(layer: Layer, wanted: tuple[str, ...], primals: Any, tangents: Any) -> Any:
    def function(operands: Operands) -> Any:
        def total(chosen: Operands) -> Any:
            return _any_derivative(layer, {**operands, **chosen})

        return jax.value_and_grad(total)({name: operands[name] for name in wanted})

    return jax.jvp(function, primals, tangents)


def _any_derivative(layer: Layer, operands: Operands) -> Any:
    """The loss from losses of rows, chunk by chunk; no chunk's logits outlive it."""
    spec = replace(layer.spec, reduction="none")
    shared = {name: x for name, x in operands.items() if name not in (*_PER_ROW, "normalizer")}

    @jax.checkpoint
    def losses(part: Operands) -> Any:
        logits = _logits(layer, {**shared, **part})
        inner = {name: x for name, x in {**shared, **part}.items() if name not in _LAYER}
        return engine.of_operands(spec, 0, {**inner, "logits": logits})[0]

    each = jnp.concatenate(
        [jnp.zeros(0, OPS.compute_dtype(operands["hidden"])), *_over_chunks(layer, losses, operands)]
    )
    dtype = operands["hidden"].dtype
    if layer.spec.reduction == "none":
        return each.astype(dtype)
    total, scale = OPS.total(each), _denominator(layer.spec, operands)
    return (total if scale is None else total / scale).astype(dtype)


def _over_chunks(layer: Layer, function: Callable[[Operands], Any], operands: Operands) -> list[Any]:
    """``function`` of the chunks of rows, flattened: those of full length in a loop, and the rest."""
    n, chunk = operands["hidden"].shape[0], _rows_of_chunk(layer, operands)
    whole = n // chunk * chunk
    per_row = {name: operands[name] for name in _PER_ROW if name in operands}
    results = []
    if whole:
        parts = {name: x[:whole].reshape(-1, chunk, *x.shape[1:]) for name, x in per_row.items()}
        results.append(jax.lax.map(function, parts).reshape(-1))
    if whole < n:
        results.append(function({name: x[whole:] for name, x in per_row.items()}))
    return results


def _one_pass(layer: Layer, wanted: tuple[str, ...], operands: Operands) -> tuple[Any, Operands]:
    """Loss and gradients, each product taken once."""
    hidden, weight = operands["hidden"], operands["weight"]
    n, chunk, inner = hidden.shape[0], _rows_of_chunk(layer, operands), OPS.compute_dtype(hidden)
    spec = replace(layer.spec, reduction="sum")
    shared = {name: x for name, x in operands.items() if name not in (*_PER_ROW, *_LAYER, "normalizer")}
    per_row = {name: operands[name] for name in _PER_ROW if name in operands}
    scale = _denominator(layer.spec, operands)
    factor = jnp.ones((), inner) if scale is None else (1 / scale).astype(inner)

    def step(sums: Operands, start: Any, length: int) -> Operands:
        part = {name: jax.lax.dynamic_slice_in_dim(x, start, length) for name, x in per_row.items()}
        rows = part.pop("hidden")
        z = _product(rows, weight.T, inner)
        if "bias" in operands:
            z = z + operands["bias"].astype(inner)
        capped = layer.softcap * jnp.tanh(z / layer.softcap) if layer.softcap else z
        value, grad = engine.of_operands(spec, 1, {**shared, **part, "logits": capped})
        if layer.softcap:  # 1 - tanh^2, which keeps its digits where tanh is 1
            grad = grad / jnp.cosh(z / layer.softcap) ** 2
        sums = {**sums, "loss": sums["loss"] + value.astype(OPS.wide_dtype)}
        if "bias" in wanted:
            sums["bias"] = sums["bias"] + jnp.sum(grad, 0)
        grad = grad.astype(hidden.dtype)
        if "weight" in wanted:
            sums["weight"] = _add_products(sums["weight"], grad, rows, factor)
        if "hidden" in wanted:
            of_rows = (_product(grad, weight, inner) * factor).astype(hidden.dtype)
            sums["hidden"] = jax.lax.dynamic_update_slice_in_dim(sums["hidden"], of_rows, start, 0)
        return sums

    sums = {"loss": jnp.zeros((), OPS.wide_dtype)}
    for name in wanted:
        sums[name] = jnp.zeros(operands[name].shape, hidden.dtype if name == "hidden" else inner)
    if n // chunk:
        starts = jnp.arange(n // chunk) * chunk
        sums, _ = jax.lax.scan(lambda sums, start: (step(sums, start, chunk), None), sums, starts)
    if n % chunk:
        sums = step(sums, n // chunk * chunk, n % chunk)
    value = sums.pop("loss")
    value = (value if scale is None else value / scale).astype(hidden.dtype)
    if "bias" in wanted:
        sums["bias"] = sums["bias"] * factor
    return value, {name: x.astype(hidden.dtype) for name, x in sums.items()}


def _add_products(total: Any, grad: Any, rows: Any, factor: Any) -> Any:
    """``total + factor * grad.T @ rows``, some classes at a time, so that no product is held beside the total."""
    n_classes = total.shape[0]
    block = -(-n_classes // -(-n_classes // _CLASSES))

    def add(total: Any, start: Any, length: int) -> Any:
        product = _product(jax.lax.dynamic_slice_in_dim(grad, start, length, 1).T, rows, total.dtype)
        here = jax.lax.dynamic_slice_in_dim(total, start, length)
        return jax.lax.dynamic_update_slice_in_dim(total, here + factor * product, start, 0)

    whole = n_classes // block
    total = jax.lax.fori_loop(0, whole, lambda i, total: add(total, i * block, block), total)
    return add(total, whole * block, n_classes % block) if n_classes % block else total


def _product(one: Any, other: Any, dtype: Any) -> Any:
    return jnp.matmul(one, other, preferred_element_type=dtype)


def _logits(layer: Layer, operands: Operands) -> Any:
    z = _product(operands["hidden"], operands["weight"].T, OPS.compute_dtype(operands["hidden"]))
    if "bias" in operands:
        z = z + operands["bias"].astype(z.dtype)
    return layer.softcap * jnp.tanh(z / layer.softcap) if layer.softcap else z


def _rows_of_chunk(layer: Layer, operands: Operands) -> int:
    """As many as the budget holds: a divisor of all rows above half of that, or else chunks about equally long.

    Rows that are left over are a second program, with memory of its own.
    """
    n, width = operands["hidden"].shape[0], operands["weight"].shape[0]
    per_row = width * OPS.compute_dtype(operands["hidden"]).itemsize * (2 if layer.softcap else 1)
    most = max(layer.budget // per_row, 1)
    rows: int = max(-(-n // max(-(-n // most), 1)), 1)
    return next((d for d in range(rows, most // 2, -1) if n % d == 0), rows)


def _denominator(spec: LossSpec, operands: Operands) -> Any:
    """Of the mean over all rows."""
    targets, inner = operands["targets"], OPS.compute_dtype(operands["hidden"])
    counted = reduction.counted(spec, targets, 1, OPS)
    weight = None
    if spec.reduction == "weighted_mean":
        n_classes = operands["weight"].shape[0]
        ids = targets if OPS.is_float(targets) else jnp.where(counted, targets, 0).astype(OPS.index)
        alpha = jnp.broadcast_to(operands.get("alpha", jnp.ones((), inner)), (n_classes,))
        weight = reduction.class_weight(spec, ids, alpha, None, -1, OPS)
        weight = weight * operands["sample_weight"] if "sample_weight" in operands else weight
    return reduction.denominator(spec, counted, weight, operands.get("normalizer"), OPS)
