"""The loss as a node of autograd's graph: its gradient is computed with it, and scaled by backward."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from focalkit._core import contracts
from focalkit._core.call import Call, replaced
from focalkit.engines.torch import _internals, cpu_kernels, ops, routes
from focalkit.engines.torch import contracts as torch_contracts
from focalkit.engines.torch.routes import HALF_TYPES, Route

_KERNELS, _TRITON = Route.KERNELS, Route.TRITON  # as attributes of the class they take their time


def recorded(logits: Tensor, call: Call, route: Route) -> Tensor:
    """The loss of logits that require a gradient; ``call`` is made without them, for the graph holds both."""
    return _fused(logits, call, route)  # type: ignore[no-any-return]


class _Fused(torch.autograd.Function):
    """Loss whose gradient in the logits is computed with it."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, call: Call, route: Route) -> Tensor:
        values, out, wide = logits.detach(), None, None
        ctx.half = logits.dtype if logits.dtype in HALF_TYPES else None
        ctx.call, ctx.route = call, route
        if call.inplace:
            out = values
        elif route is _TRITON:
            wide = routes.gradient_dtype(logits)
        elif ctx.half is not None:  # the gradient stays wide until the upstream gradient has scaled it
            out = values = values.float()
        if route is _KERNELS:
            value, grad, _ = cpu_kernels.evaluate(call, 1, out, values)
        else:
            value, grad, _ = routes.compute(call.with_logits(values), route, 1, out, wide)
        weight = call.sample_weight
        if call.inplace:
            torch.autograd.graph.increment_version(logits)
            ctx.save_for_backward(grad)
        elif weight is None:
            ctx.save_for_backward(grad, logits, call.targets)
        else:
            ctx.save_for_backward(grad, logits, call.targets, torch_contracts.weight_tensor(weight, logits))
        return value  # type: ignore[no-any-return]

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> Any:
        if torch.is_grad_enabled():
            return _gradient_again(ctx, upstream), None, None
        (grad, *_), half = ctx.saved_tensors, ctx.half
        batched = _internals.is_batched(upstream)  # several upstream gradients at once
        if ctx.route is _TRITON and upstream.dim() == 0 and not batched:
            gpu, dtype = routes.device_kernels(grad.device), half or grad.dtype
            return gpu.scale(grad, upstream, dtype, inplace=not _internals.keeps_graph()), None, None
        if upstream.dim() == 0 and upstream.is_cpu and not batched and upstream.item() == 1.0:
            scaled = grad
        else:
            spec = ctx.call.spec
            if spec.reduction == "none" and spec.link == "softmax":
                upstream = upstream.unsqueeze(spec.class_axis)
            scaled = grad * upstream if batched or _internals.keeps_graph() else grad.mul_(upstream)
        return scaled if half is None else scaled.to(half), None, None


class _FusedSmall(torch.autograd.Function):
    """The same for small batches, whose gradient is kept where autograd does not look after it: that takes its time."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor, spec: Any) -> Tensor:
        ctx.grad = grad = torch.empty_like(logits)
        value = cpu_kernels.small(spec, logits, targets, grad)
        ctx.spec = spec
        ctx.save_for_backward(None, logits, targets)
        return value

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> Any:
        if torch.is_grad_enabled():
            ctx.call = Call(ctx.spec, None, None, out_dtype=upstream.dtype)
            return _gradient_again(ctx, upstream), None, None
        saved = ctx.saved_tensors  # refuses where the graph is gone, or the logits were written since
        grad = saved[0] if ctx.grad is None else ctx.grad
        if _internals.keeps_graph() or _internals.is_batched(upstream):
            return grad * upstream, None, None
        ctx.grad = None
        return grad if upstream.item() == 1.0 else grad.mul_(upstream), None, None


_fused: Any = _internals.apply_without_transforms(_Fused)
#: The loss of a batch that is small (``cpu_kernels.is_small``): logits, targets, spec.
recorded_small: Any = _internals.apply_without_transforms(_FusedSmall)


def _gradient_again(ctx: Any, upstream: Tensor) -> Tensor:
    """Return the gradient as a function of the logits that can be differentiated again."""
    call: Call = ctx.call
    if call.inplace:
        remedy = "The logits are gone: a second derivative needs them."
        contracts.reject("inplace", "be False where the gradient is differentiated", True, remedy)
    _, logits, targets, *weight = ctx.saved_tensors
    call = replaced(call, logits=logits, targets=targets, sample_weight=weight[0] if weight else None)
    grad: Tensor
    (grad,) = torch.autograd.grad(ops.evaluate(call).loss, logits, upstream, create_graph=True)
    return grad
