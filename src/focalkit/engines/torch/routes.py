"""Who computes a call: the compiled kernels, Triton's, or the composite implementation."""

from __future__ import annotations

from enum import Enum
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from focalkit._core.call import Call, Result
from focalkit.engines.torch import _internals, cpu_kernels, ops
from focalkit.engines.torch import contracts as torch_contracts


class Route(Enum):
    """The ways that a call can take."""

    KERNELS = "compiled kernels, tensors of host memory"
    TRITON = "Triton kernels, tensors of a GPU"
    COMPOSITE = "array operations, any tensor"


def route_of(logits: Tensor, on_host: bool, kernels: bool) -> Route:
    """The way of a call that kernels can compute; ``kernels`` says whether they are to."""
    if not kernels:
        return Route.COMPOSITE
    if on_host:
        return Route.KERNELS
    return Route.COMPOSITE if device_kernels(logits.device) is None else Route.TRITON


@lru_cache(maxsize=64)
def device_kernels(device: torch.device) -> Any:
    """The engine of kernels for a GPU, loaded on first use; None where there is none."""
    if device.type != "cuda":
        return None
    try:
        from focalkit.engines.triton import evaluate as triton
    except ImportError:
        return None
    return triton if triton.available(device) else None


@_internals.constant_in_graphs
def has_device_kernels(device: torch.device) -> bool:
    """Whether there are kernels for the device."""
    return device_kernels(device) is not None


def compute(
    call: Call, route: Route, order: int, out: Tensor | None = None, grad_dtype: torch.dtype | None = None
) -> Result:
    """Loss and derivatives without recording; Triton has no Hessian."""
    if route is Route.KERNELS:
        return cpu_kernels.evaluate(call, order, out)
    call = torch_contracts.check(call)
    if route is Route.TRITON and order < 2:
        return device_kernels(call.logits.device).evaluate(call, order, out, grad_dtype)  # type: ignore[no-any-return]
    value, grad, hess = ops.evaluate(call, order)
    if out is not None and grad is not None:
        grad = out.copy_(grad)
    return Result(value, grad, hess)


HALF_TYPES = frozenset({torch.float16, torch.bfloat16})


def result_dtype(logits: Tensor) -> torch.dtype:
    """The dtype of the loss: float32 for half types under autocast."""
    dtype = logits.dtype
    if dtype in HALF_TYPES and torch.is_autocast_enabled(logits.device.type):
        return torch.float32
    return dtype


def gradient_dtype(logits: Tensor) -> torch.dtype:
    """What the gradient is kept in until the upstream gradient has scaled it.

    float32 for the half types, but on a GPU bfloat16, which has float32's range, stays: moving memory is the cost.
    """
    stays = (torch.float32, torch.float64) if logits.is_cpu else (torch.float32, torch.float64, torch.bfloat16)
    return logits.dtype if logits.dtype in stays else torch.float32
