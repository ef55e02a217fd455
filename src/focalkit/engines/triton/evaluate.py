"""Tensors on a GPU to the Triton kernels, without copies and without waiting for the device.

One launch computes loss and gradient. Before it, where the denominator depends on the data, a few small tensor
operations count the targets; hard example mining needs a launch of its own for the losses. Sums are in float64
over the partial sums of the tiles, in an order that depends on the shape only: the same bits run after run.
"""

from __future__ import annotations

import warnings
from contextlib import nullcontext
from functools import lru_cache
from typing import Any

import torch
import triton
from torch import Tensor

from focalkit._core import reduction
from focalkit._core.call import Call, Result
from focalkit.engines.torch import ops as composite
from focalkit.engines.triton.launch import FUSED, LANES, WIDE_FROM, Job, has_kernel, job_of, launch
from focalkit.engines.triton.sigmoid import scaled
from focalkit.engines.triton.softmax_hard import hard_rows


@lru_cache(maxsize=64)
def available(device: torch.device) -> bool:
    """Whether kernels run there: on NVIDIA from Volta on, on AMD, and anywhere under Triton's interpreter."""
    if not isinstance(hard_rows, triton.JITFunction):
        return True
    if device.type != "cuda" or (torch.version.hip is None and torch.cuda.get_device_capability(device) < (7, 0)):
        return False
    try:
        one = torch.ones(1, device=device)
        scale(one, one, one.dtype, inplace=True)
    except Exception as problem:  # e.g. no C compiler
        text = f"Triton cannot build kernels here, plain tensor operations take their place: {problem}"
        warnings.warn(text, RuntimeWarning, stacklevel=2)
        return False
    return True


def evaluate(call: Call, order: int = 0, out: Tensor | None = None, grad_dtype: torch.dtype | None = None) -> Result:
    """Loss and, from ``order`` 1, the gradient: into ``out``, which may be the logits, or fresh in ``grad_dtype``."""
    if call.logits.numel() == 0 or not has_kernel(call) or composite.beyond_float32(call):
        with torch.no_grad():
            value, grad, _ = composite.evaluate(call, min(order, 1))
        if grad is not None and out is not None:
            grad = out.copy_(grad)
        elif grad is not None and grad_dtype is not None:
            grad = grad.to(grad_dtype)
        return Result(value, grad)
    with torch.no_grad(), on_device(call.logits.device):
        job, xp = job_of(call), composite.Ops(call.logits.device)
        keep = None
        if call.spec.keep_hardest is not None or call.spec.negatives_per_positive is not None:
            losses = launch(job, None, None, None, reduced=False)
            positive = reduction.positive(call.spec, call.targets.detach(), job.axis, xp).reshape(-1)
            keep = reduction.kept(call.spec, losses, _counted(job, xp), positive, xp, reduction.largest(xp))
        denominator = _denominator(job, keep, xp)
        grad = None
        if order > 0:
            grad = torch.empty_like(call.logits, dtype=grad_dtype) if out is None else out
        losses = launch(job, keep, denominator, grad, reduced=call.spec.reduction != "none")
        if call.spec.reduction == "none":
            return Result(losses.view(job.rows).to(call.out_dtype), grad)
        value = losses.sum()
        if denominator is not None:
            value = value / denominator if call.normalizer is None else reduction.quotient(value, denominator, xp)
        return Result(value.to(call.out_dtype), grad)


def scale(grad: Tensor, upstream: Tensor, dtype: torch.dtype, inplace: bool) -> Tensor:
    """``upstream * grad`` in ``dtype``, rounded once; in place it costs nothing where upstream, one number, is 1."""
    inplace = inplace and grad.dtype == dtype
    dense = torch.ops.aten.is_non_overlapping_and_dense(grad)
    if not dense or grad.numel() == 0:
        return grad.mul_(upstream) if inplace else (grad * upstream).to(dtype)
    to = grad if inplace else torch.empty_like(grad, dtype=dtype)
    n, size = grad.numel(), 4096
    with on_device(grad.device):
        options = {"num_warps": 256 // LANES, **FUSED}
        scaled[(triton.cdiv(n, size),)](grad, upstream, to, n, inplace, n >= WIDE_FROM, size, **options)
    return to


def _counted(job: Job, xp: composite.Ops) -> Tensor:
    """Which rows (elements) count, flattened."""
    counted: Tensor = reduction.counted(job.call.spec, job.call.targets.detach(), job.axis, xp)
    return counted.reshape(-1)


def _denominator(job: Job, keep: Tensor | None, xp: composite.Ops) -> Tensor | None:
    """What the kernel divides by, on the device; None where there is none.

    With a ``normalizer`` of 0 and nothing counted the kernel writes a gradient of 0 whatever it divides by, so that
    targets need not be counted for it.
    """
    spec, normalizer = job.call.spec, job.call.normalizer
    if normalizer is not None:
        return xp.wide(normalizer.detach() if isinstance(normalizer, Tensor) else normalizer)
    mask: Tensor | int | None = keep
    if keep is None and spec.reduction in ("mean", "weighted_mean"):
        ignored = not reduction.all_count(spec, job.targets, xp) and _may_be(spec.ignore_index, job.targets.dtype)
        mask = _counted(job, xp) if ignored or spec.reduction == "weighted_mean" else job.n
    weight = _weights(job, xp) if spec.reduction == "weighted_mean" else None
    return reduction.denominator(spec, mask, weight, None, xp)  # type: ignore[no-any-return]


def _may_be(value: float, dtype: torch.dtype) -> bool:
    """Whether a target of this dtype can be ``value``."""
    if dtype.is_floating_point:
        return True
    info = torch.iinfo(dtype)
    return info.min <= value <= info.max


def _weights(job: Job, xp: composite.Ops) -> Tensor:
    """``alpha_t * sample_weight`` of each row (element)."""
    weight = torch.ones((), dtype=job.dtype, device=job.logits.device)
    along = [-1 if i == job.axis else 1 for i in range(job.logits.dim())]
    softmax = job.call.spec.link == "softmax"
    alpha, other = (a if a is None or a.numel() == 1 else a.view(along) for a in (job.alpha, job.other_alpha))
    if alpha is not None and (not softmax or job.soft):
        y = job.targets.to(job.dtype)
        weight = reduction.class_weight(job.call.spec, y, alpha, other, job.axis, xp)
    elif job.alpha is not None:
        ids = job.targets.long().clamp(0, job.n_classes - 1)
        weight = reduction.class_weight(job.call.spec, ids, job.alpha.expand(job.n_classes), None, job.axis, xp)
    elif softmax and job.soft:
        weight = job.targets.to(job.dtype).sum(job.axis)
    if job.sample_weight is not None:
        weight = weight * job.sample_weight
    return weight.expand(job.rows).reshape(-1)


def on_device(device: torch.device) -> Any:
    """The device of the tensors made the current one, on which Triton launches."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()
