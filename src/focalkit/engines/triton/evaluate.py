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

from focalkit.engines.torch import plain as torch_plain
from focalkit.engines.torch.plain import Call
from focalkit.engines.triton.launch import FUSED, LANES, WIDE_FROM, Job, job_of, launch
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


def evaluate(
    call: Call, order: int = 0, out: Tensor | None = None, grad_dtype: torch.dtype | None = None
) -> tuple[Tensor, Tensor | None, None]:
    """Loss and, from ``order`` 1, the gradient: into ``out``, which may be the logits, or fresh in ``grad_dtype``."""
    if call.logits.numel() == 0:
        value, grad, _ = torch_plain.evaluate(call, min(order, 1))
        return value, grad if out is None else out, None
    with torch.no_grad(), on_device(call.logits.device):
        job = job_of(call)
        keep = None
        if call.spec.keep_hardest is not None or call.spec.negatives_per_positive is not None:
            losses = launch(job, None, None, None, reduced=False)
            keep = torch_plain.kept(call.spec, losses, *_counted_and_positive(call))
        denominator = _denominator(call, job, keep)
        grad = None
        if order > 0:
            grad = torch.empty_like(call.logits, dtype=grad_dtype) if out is None else out
        losses = launch(job, keep, denominator, grad, reduced=call.spec.reduction != "none")
        if call.spec.reduction == "none":
            return losses.view(job.rows).to(call.out_dtype), grad, None
        total = losses.sum()
        value = total if denominator is None else total / denominator
        return value.to(call.out_dtype), grad, None


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


def _counted_and_positive(call: Call) -> tuple[Tensor, Tensor]:
    """Which rows (elements) count, and which are positives, flattened."""
    spec, targets = call.spec, call.targets.detach()
    if torch_plain.is_soft(targets):
        if spec.link == "softmax":
            positive = targets.select(torch_plain.axis_of(call), 0).reshape(-1) < 0.5
        else:
            positive = targets.reshape(-1) >= 0.5
        return torch.ones_like(positive), positive
    flat = targets.reshape(-1).long()
    return flat != spec.ignore_index, flat > 0


def _denominator(call: Call, job: Job, keep: Tensor | None) -> Tensor | None:
    """As ``_reduce.denominator``, on the device; None where there is none to divide by."""
    spec, device = call.spec, call.logits.device
    if call.normalizer is not None:
        given = call.normalizer
        if isinstance(given, Tensor) and given.device == device:
            return given.detach().double()
        return torch.full((), float(given), dtype=torch.float64, device=device)
    if spec.reduction == "mean":
        if keep is not None:
            return torch.count_nonzero(keep).clamp_(min=1)
        if job.soft or not _may_be(spec.ignore_index, job.targets.dtype):
            return torch.full((), float(job.n), dtype=torch.float64, device=device)
        return torch.count_nonzero(job.targets != spec.ignore_index).clamp_(min=1)
    if spec.reduction == "weighted_mean":
        weight = _weights(job)
        counted = _counted_and_positive(call)[0] if keep is None else keep
        total = torch.where(counted, weight, torch.zeros_like(weight)).sum(dtype=torch.float64)
        return torch.where(total > 0, total, torch.ones_like(total))
    return None


def _may_be(value: int, dtype: torch.dtype) -> bool:
    info = torch.iinfo(dtype)
    return info.min <= value <= info.max


def _weights(job: Job) -> Tensor:
    """``alpha_t * sample_weight`` of each row (element)."""
    weight = torch.ones((), dtype=job.dtype, device=job.logits.device)
    along = [-1 if i == job.axis else 1 for i in range(job.logits.dim())]
    if job.alpha is not None and job.other_alpha is not None:
        y = job.targets.to(job.dtype)
        alpha, other = (a if a.numel() == 1 else a.view(along) for a in (job.alpha, job.other_alpha))
        weight = y * alpha + (1 - y) * other
    elif job.soft and job.call.spec.link == "softmax":
        alpha = weight if job.alpha is None else job.alpha.view(along) if job.alpha.numel() > 1 else job.alpha
        weight = (job.targets.to(job.dtype) * alpha).sum(job.axis)
    elif job.alpha is not None:
        ids = job.targets.long().clamp(0, job.n_classes - 1)
        weight = job.alpha[ids] if job.alpha.numel() > 1 else job.alpha
    if job.sample_weight is not None:
        weight = weight * job.sample_weight
    return weight.expand(job.rows).reshape(-1)


def on_device(device: torch.device) -> Any:
    """The device of the tensors made the current one, on which Triton launches."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()
