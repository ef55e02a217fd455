"""Tensors in host memory to the compiled kernels, without copies."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from focalkit._core import contracts
from focalkit._core.call import Call, Result, replaced
from focalkit._core.spec import LossSpec
from focalkit.engines import _cpu
from focalkit.engines._inputs import beyond_float32
from focalkit.engines.cpu import fast
from focalkit.engines.cpu.evaluate import changed, without_ignored
from focalkit.engines.torch import contracts as torch_contracts

_POOLED_FROM = 1 << 18  # elements
_HOST = torch.device("cpu")  # whatever the default device is
_FLOAT32, _FLOAT64, _BFLOAT16, _INT64 = torch.float32, torch.float64, torch.bfloat16, torch.int64
#: One number of each dtype that small batches may have.
_NUMBER = {dtype: torch.empty((), dtype=dtype, device=_HOST) for dtype in (_FLOAT32, _FLOAT64)}


def evaluate(call: Call, order: int, out: Tensor | None = None, logits: Tensor | None = None) -> Result:
    """Loss and, from ``order`` 1, the gradient (into ``out`` where given), 2 the Hessian's diagonal.

    ``logits`` are those of the call unless they are given here: another call made of it would take its time.
    """
    logits, targets, normalizer = call.logits if logits is None else logits, call.targets, call.normalizer
    if normalizer is not None:
        if isinstance(normalizer, Tensor) and normalizer.dim() == 0:
            normalizer = normalizer.item()
        normalizer = contracts.normalizer_number(normalizer, call.spec.reduction)
    weight = None if call.sample_weight is None else _weights(call.sample_weight, logits)
    grad = None if order < 1 else fresh(logits) if out is None else out
    hess = None if order < 2 else fresh(logits)
    # a normalizer of 0 is right where nothing is counted, which is to be looked at
    if not call.check_finite and normalizer != 0 and type(targets) is Tensor:
        value = _call(call.spec, logits, targets, weight, normalizer, grad, hess, call.out_dtype, False)
        if not isinstance(value, str):
            return Result(value, grad, hess)
    call = replaced(call, logits=logits, sample_weight=weight, normalizer=normalizer)
    return _carefully(call, grad, hess)


def loss(
    spec: LossSpec, logits: Tensor, targets: Tensor, sample_weight: Any, normalizer: Any, out_dtype: torch.dtype
) -> Tensor | None:
    """The loss alone, at once; None where something must be looked at, or copied, first."""
    if normalizer is not None:
        normalizer = contracts.normalizer_number(normalizer, spec.reduction)
        if normalizer == 0:
            return None
    weight = None if sample_weight is None else _weights(sample_weight, logits)
    value = _call(spec, logits, targets, weight, normalizer, None, None, out_dtype, False)
    return None if isinstance(value, str) else value


def is_small(spec: LossSpec, logits: Tensor, targets: Tensor) -> bool:
    """Whether this is a small batch in C order with nothing special: there every microsecond of the call counts."""
    return (
        targets.dtype is _INT64
        and logits.numel() < _POOLED_FROM
        and spec.reduction != "none"
        and logits.dtype in _NUMBER
        and logits.dim() == 2
        and targets.dim() == (1 if spec.link == "softmax" else 2)
        and targets.shape[0] == logits.shape[0]
        and (spec.link == "softmax" or targets.shape[1] == logits.shape[1])
        and spec.class_axis == 1
        and spec.keep_hardest is None
        and spec.negatives_per_positive is None
        and logits.layout is torch.strided
        and targets.layout is torch.strided
        and logits.is_contiguous()
        and targets.is_contiguous()
        and not logits.is_neg()
    )


def small(spec: LossSpec, logits: Tensor, targets: Tensor, grad: Tensor | None) -> Tensor:
    """Loss of a batch that :func:`is_small`; its gradient is written to ``grad``, C order, where there is one."""
    value = torch.empty_like(_NUMBER[logits.dtype])
    n, k = logits.shape
    at = logits.data_ptr(), targets.data_ptr(), 0 if grad is None else grad.data_ptr(), value.data_ptr()
    if not _cpu.evaluate_at(fast.plan_of(spec), *at, n, k, 1, logits.dtype is _FLOAT64):
        value, *_ = _carefully(Call(spec, logits.detach(), targets), grad, None)
    return value


def _carefully(call: Call, grad: Tensor | None, hess: Tensor | None) -> Result:
    """Check every contract by its own text, then compute from contiguous tensors."""
    logits, targets, spec = call.logits, call.targets, call.spec
    torch_contracts.types(logits, targets)
    y = torch_contracts.array(targets)
    checked = torch_contracts.read(call, y)
    if not targets.is_floating_point() and targets.dtype not in (torch.int8, torch.uint8, torch.int32, torch.int64):
        targets = targets.long()
    weight, normalizer = checked.sample_weight, checked.normalizer
    known, counted = without_ignored(spec, checked.targets)
    if known is not y and targets.is_floating_point():
        targets = torch.from_numpy(known)
    own = grad, hess
    for attempt in range(2):
        if attempt:
            copied = {"memory_format": torch.contiguous_format}  # and aligned
            logits, targets = logits.clone(**copied), targets.clone(**copied)
            logits = logits.double() if beyond_float32(spec) else logits
            weight = None if weight is None else np.array(weight, order="C")
            grad = None if grad is None else fresh(logits)
            hess = None if hess is None else fresh(logits)
        logits = logits.resolve_neg()
        value = _call(spec, logits, targets, weight, normalizer, grad, hess, call.out_dtype, True, counted)
        if not isinstance(value, str):
            if attempt:
                pairs = zip(own, (grad, hess), strict=True)
                grad, hess = (part if to is None or part is None else to.copy_(part) for to, part in pairs)
            return Result(value, grad, hess)
    if value == "targets: values":
        changed(tuple(targets.shape))
    shape = tuple(logits.shape)
    message = f"the kernels refused {logits.dtype} logits of shape {shape} ({value}); please report this"
    raise RuntimeError(message)


def _call(
    spec: LossSpec,
    logits: Tensor,
    targets: Tensor,
    weight: NDArray[np.float64] | None,
    normalizer: float | None,
    grad: Tensor | None,
    hess: Tensor | None,
    out_dtype: torch.dtype | None,
    checked: bool,
    counted: NDArray[np.bool_] | None = None,
) -> Tensor | str:
    """The loss, or why the kernels refuse; derivatives are written."""
    if out_dtype is None:
        out_dtype = logits.dtype
    half = (logits.dtype is _BFLOAT16) + 2 * (targets.dtype is _BFLOAT16)
    plan = fast.plan_of(spec)
    try:
        z, y = _memory(logits), _memory(targets)
    except (RuntimeError, TypeError):  # sparse, or lazily negated
        if checked:
            raise
        return "logits or targets: sparse or lazily negated"
    keep = counted
    losses: Tensor | None = None
    if spec.keep_hardest is not None or spec.negatives_per_positive is not None:
        mined = fast.mine(spec, plan, z, y, weight, half, checked, torch_contracts.array(targets), counted)
        if isinstance(mined, str):
            return mined
        keep = mined
    if spec.reduction == "none":
        losses = torch.empty(fast.rows_of(spec, tuple(logits.shape)), dtype=_inner(logits.dtype), device=_HOST)
    value = _cpu.evaluate(
        plan,
        z,
        y,
        weight,
        None if grad is None else _memory(grad),
        None if hess is None else _memory(hess),
        None if losses is None else losses.numpy(),
        keep,
        normalizer or 0.0,
        0 if grad is None else 1 if hess is None else 2,
        half,
        checked,
    )
    if isinstance(value, str):
        return value
    if losses is not None:
        return losses if losses.dtype is out_dtype else losses.to(out_dtype)
    if out_dtype is _FLOAT64 or (out_dtype is _FLOAT32 and -3e38 < value < 3e38):
        return torch.scalar_tensor(value, dtype=out_dtype, device=_HOST)  # an error beyond the range of the dtype
    return torch.scalar_tensor(value, dtype=_FLOAT64, device=_HOST).to(out_dtype)


def _inner(dtype: torch.dtype) -> torch.dtype:
    return _FLOAT64 if dtype is _FLOAT64 else _FLOAT32


def _weights(sample_weight: Any, logits: Tensor) -> NDArray[np.float64]:
    weights = torch_contracts.weight_tensor(sample_weight, logits)
    assert weights is not None
    return torch_contracts.array(weights.detach().double())  # type: ignore[no-any-return]


def _memory(tensor: Tensor) -> NDArray[Any]:
    """The memory of a tensor as an array; bfloat16 as its bits."""
    if tensor.requires_grad:
        tensor = tensor.detach()
    if tensor.dtype is _BFLOAT16:
        return tensor.view(torch.int16).numpy().view(np.uint16)
    return tensor.numpy()


def fresh(like: Tensor) -> Tensor:
    """An empty tensor laid out like ``like``; a large one in recycled memory."""
    if like.numel() < _POOLED_FROM:
        return torch.empty_like(like, requires_grad=False)
    flat = empty((like.numel(),), like.dtype)
    sizes, strides = like.shape, like.stride()
    if like.is_contiguous():
        return flat.view(sizes)
    if torch.ops.aten.is_non_overlapping_and_dense(like):
        return flat.as_strided(sizes, strides)
    return flat.view(sizes)


def empty(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """An empty tensor; a large one in recycled memory."""
    n = math.prod(shape)
    if n < _POOLED_FROM:
        return torch.empty(shape, dtype=dtype, device=_HOST)
    return torch.frombuffer(_cpu.Block(n * dtype.itemsize), dtype=dtype).view(shape)
