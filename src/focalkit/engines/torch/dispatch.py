"""PyTorch: compiled kernels for tensors on the processor, Triton's on a GPU, plain tensor operations for all else.

The kernels compute loss and gradient in one pass; backward scales that gradient. Where more is asked of
automatic differentiation (a second derivative, forward mode, ``torch.func``, a gradient for soft targets,
weights, alpha or gamma), on other devices, without Triton and for tensor subclasses, the loss goes through
``ops``, the composite implementation. Compiled code calls the kernels as an operator (``torch_operator``).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeAlias

import torch
from torch import Tensor

from focalkit._core import contracts
from focalkit._core.call import Call, ClassParameters
from focalkit._core.spec import LossSpec
from focalkit.engines.torch import compiled as torch_operator
from focalkit.engines.torch import contracts as torch_contracts
from focalkit.engines.torch import cpu_kernels as torch_kernels
from focalkit.engines.torch import data_parallel as torch_parallel
from focalkit.engines.torch import ops as composite
from focalkit.engines.torch.compiled import gradient_dtype

Parameters: TypeAlias = tuple[Tensor | None, Tensor | None]
#: spec, targets, sample_weight, normalizer, check_finite, inplace, (gamma, alpha), dtype of the loss, who computes
#: ("cpu", "triton" or "plain"), dtype of the logits if a half type
Rest: TypeAlias = tuple[LossSpec, Any, Any, Any, bool, bool, Parameters, torch.dtype, str, torch.dtype | None]

#: Gamma and alpha as tensors, where the spec's are not meant.
NO_PARAMETERS: Parameters = (None, None)
_HALF_TYPES = frozenset({torch.float16, torch.bfloat16})


def door(
    known_spec: Callable[..., LossSpec],
    link: str,
    gamma: Any,
    alpha: Any,
    options: Any,
    logits: Tensor,
    targets: Any,
    sample_weight: Any,
    normalizer: Any,
    check_finite: bool,
    inplace: bool,
) -> Tensor:
    """Compute one of the four losses; gamma and alpha may be tensors."""
    numbers = not isinstance(gamma, Tensor) and not isinstance(alpha, Tensor)
    if numbers and not torch.compiler.is_compiling():
        spec = known_spec(link, gamma, alpha, options)
        return loss(spec, logits, targets, sample_weight, normalizer, check_finite, inplace)
    parameters = gamma if isinstance(gamma, Tensor) else None, alpha if isinstance(alpha, Tensor) else None
    plain = 0.0 if parameters[0] is not None else gamma, None if parameters[1] is not None else alpha
    spec = LossSpec(link, *plain, **options)
    parameters = NO_PARAMETERS if numbers else parameters
    return loss(spec, logits, targets, sample_weight, normalizer, check_finite, inplace, parameters)


def loss(
    spec: LossSpec,
    logits: Tensor,
    targets: Any,
    sample_weight: Any = None,
    normalizer: Any = None,
    check_finite: bool = False,
    inplace: bool = False,
    parameters: Parameters = NO_PARAMETERS,
    kernels: bool = True,
) -> Tensor:
    """Return the loss, reduced as ``spec`` says; ``kernels=False`` keeps to plain tensor operations."""
    if type(normalizer) is str:
        spec, normalizer = _over_ranks(spec, normalizer, logits, targets, sample_weight, parameters)
    if torch.compiler.is_compiling():
        return traced_loss(spec, logits, targets, sample_weight, normalizer, parameters, kernels)
    if (  # the common case first, for small batches
        type(logits) is Tensor
        and type(targets) is Tensor
        and kernels
        and not inplace
        and sample_weight is None
        and (normalizer is None or not isinstance(normalizer, Tensor))
        and parameters is NO_PARAMETERS
        and logits.is_cpu
        and targets.is_cpu
        and not targets.requires_grad
        and not torch_contracts.transformed()
    ):
        recorded = logits.requires_grad and torch.is_grad_enabled()
        if recorded and normalizer is None and not check_finite and torch_kernels.is_small(spec, logits, targets):
            small = (spec, targets, None, None, False, False, parameters, logits.dtype, "cpu", None)
            return _fused_small(logits, small)  # type: ignore[no-any-return]
        dtype = _result_dtype(logits)
        if recorded:
            rest = (spec, targets, None, normalizer, check_finite, False, parameters, dtype, "cpu", _half(logits))
            return _fused(logits, rest)  # type: ignore[no-any-return]
        return torch_kernels.evaluate(spec, logits, targets, None, normalizer, check_finite, dtype, 0, None)[0]
    return _any_loss(spec, logits, targets, sample_weight, normalizer, check_finite, inplace, parameters, kernels)


def _over_ranks(
    spec: LossSpec, word: str, logits: Tensor, targets: Any, sample_weight: Any, parameters: Parameters
) -> tuple[LossSpec, Any]:
    """The spec and the normalizer of a mean over all ranks."""

    def check() -> None:
        torch_contracts.check(spec, logits, targets, sample_weight, None, False, *parameters, logits.dtype)

    return torch_parallel.global_mean(spec, word, targets, sample_weight, parameters, check)


def traced_loss(
    spec: LossSpec,
    logits: Tensor,
    targets: Tensor,
    sample_weight: Any,
    normalizer: Any,
    parameters: Parameters,
    kernels: bool = True,
    arguments: torch_operator.Arguments | None = None,
) -> Tensor:
    """Inside torch.compile: the kernels as an operator; what they do not do, and torch.export, in plain operations.

    Values cannot be checked here: the operator does it when it runs. ``inplace`` is left to the compiler.
    ``arguments`` are the spec as :func:`torch_operator.arguments_of` gives it outside of the graph.
    """
    dtype = _result_dtype(logits)
    sample_weight = torch_contracts.weight_tensor(sample_weight, logits)
    others = (targets, sample_weight, normalizer, *parameters)
    recorded = torch.is_grad_enabled() and any(isinstance(a, Tensor) and a.requires_grad for a in others)
    if kernels and not recorded and not torch.compiler.is_exporting():
        on_gpu = logits.device.type == "cuda" and _has_device_kernels(logits.device)
        if on_gpu or logits.device.type == "cpu":
            if normalizer is not None and not isinstance(normalizer, Tensor):
                normalizer = torch.full((), normalizer, dtype=torch.float64, device=logits.device)
            if on_gpu or arguments is None:
                arguments = torch_operator.arguments_of(spec, *parameters, constant=on_gpu)
            return torch_operator.loss(arguments, logits, targets, sample_weight, normalizer, dtype)
    call = torch_contracts.check(spec, logits, targets, sample_weight, normalizer, False, *parameters, dtype)
    return composite.evaluate(call).loss  # type: ignore[no-any-return]


def _any_loss(
    spec: LossSpec,
    logits: Tensor,
    targets: Any,
    sample_weight: Any,
    normalizer: Any,
    check_finite: bool,
    inplace: bool,
    parameters: Parameters,
    kernels: bool,
) -> Tensor:
    dtype = _result_dtype(logits)
    arguments = (logits, targets, sample_weight, normalizer, *parameters)
    recorded = torch.is_grad_enabled()
    others = recorded and any(isinstance(a, Tensor) and a.requires_grad for a in arguments[1:])
    on_host = all(torch_contracts.ordinary(a) for a in arguments if isinstance(a, Tensor))
    if others or not (on_host or _on_device(arguments)) or torch_contracts.transformed():
        if inplace:
            remedy = "Only a first gradient in the logits alone can be written over them."
            contracts.reject("inplace", "be False here", inplace, remedy)
        first = (spec, logits, targets, sample_weight, normalizer, check_finite)
        return composite.evaluate(torch_contracts.check(*first, *parameters, dtype)).loss  # type: ignore[no-any-return]
    if on_host and parameters is not NO_PARAMETERS:
        spec = torch_contracts.with_values(spec, *parameters)
        parameters = NO_PARAMETERS
    by = _who(logits, on_host, kernels)
    narrow = _half(logits)
    rest = (spec, targets, sample_weight, normalizer, check_finite, inplace, parameters, dtype, by, narrow)
    if recorded and logits.requires_grad:
        if inplace:
            _may_overwrite(logits, targets, sample_weight)
        return _fused(logits, rest)  # type: ignore[no-any-return]
    return _compute(logits, rest, 0, None)[0]


def _who(logits: Tensor, on_host: bool, kernels: bool) -> str:
    """Who computes a call that kernels can."""
    if not kernels:
        return "plain"
    if on_host:
        return "cpu"
    return "plain" if _device_kernels(logits.device) is None else "triton"


@lru_cache(maxsize=64)
def _device_kernels(device: torch.device) -> Any:
    """The engine of kernels for a GPU, loaded on first use; None where there is none."""
    if device.type != "cuda":
        return None
    try:
        from focalkit.engines.triton import evaluate as triton
    except ImportError:
        return None
    return triton if triton.available(device) else None


def _has_device_kernels(device: torch.device) -> bool:
    return _device_kernels(device) is not None


# as torch.compiler.assume_constant_result does, which would load the compiler with every import of this file
_has_device_kernels._dynamo_marked_constant = True  # type: ignore[attr-defined]


def _half(logits: Tensor) -> torch.dtype | None:
    return logits.dtype if logits.dtype in _HALF_TYPES else None


def _result_dtype(logits: Tensor) -> torch.dtype:
    dtype = logits.dtype
    if dtype in _HALF_TYPES and torch.is_autocast_enabled(logits.device.type):
        return torch.float32
    return dtype


def loss_grad_hess(
    spec: LossSpec,
    logits: Tensor,
    targets: Any,
    sample_weight: Any = None,
    normalizer: Any = None,
    hess: bool = True,
    out: Any = None,
    check_finite: bool = False,
    kernels: bool = True,
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return loss, gradient and diagonal Hessian, none of them recorded for automatic differentiation."""
    if type(normalizer) is str:
        spec, normalizer = _over_ranks(spec, normalizer, logits, targets, sample_weight, NO_PARAMETERS)
    if out is not None:
        _check_out(out, logits, targets, sample_weight)
    with torch.no_grad():
        arguments = (logits, targets, sample_weight, normalizer)
        on_host = all(torch_contracts.ordinary(a) for a in arguments if isinstance(a, Tensor))
        kernels = kernels and (on_host or _on_device(arguments)) and not torch_contracts.transformed()
        by = _who(logits, on_host, kernels)
        rest = (spec, targets, sample_weight, normalizer, check_finite, False, NO_PARAMETERS, logits.dtype, by, None)
        value, grad, curvature = _compute(logits, rest, 2 if hess else 1, out)
        assert grad is not None
        if out is not None and not out.is_inference():
            torch.autograd.graph.increment_version(out)
    return value, grad, curvature


def over_logits(
    spec: LossSpec, logits: Tensor, targets: Tensor, weight: Any, normalizer: Any, dtype: torch.dtype, order: int
) -> Tensor:
    """Return the loss alone; from ``order`` 1 its gradient is written over the logits. Nothing is recorded."""
    by = _who(logits, logits.is_cpu, True)
    rest = (spec, targets, weight, normalizer, False, False, NO_PARAMETERS, dtype, by, None)
    return _compute(logits, rest, order, logits if order else None)[0]


def _on_device(arguments: tuple[Any, ...]) -> bool:
    plain = (Tensor, torch.nn.Parameter)
    return all(type(a) in plain and not a.is_meta for a in arguments if isinstance(a, Tensor))


def _compute(
    logits: Tensor, rest: Rest, order: int, out: Tensor | None, grad_dtype: torch.dtype | None = None
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Loss and derivatives without recording, by kernels or in plain operations; Triton has no Hessian."""
    spec, targets, sample_weight, normalizer, check_finite, _, parameters, dtype, by, _ = rest
    if by == "cpu":
        return torch_kernels.evaluate(spec, logits, targets, sample_weight, normalizer, check_finite, dtype, order, out)
    first = (spec, logits, targets, sample_weight, normalizer, check_finite)
    call = torch_contracts.check(*first, *parameters, dtype)
    if by == "triton" and order < 2:
        return _device_kernels(logits.device).evaluate(call, order, out, grad_dtype)  # type: ignore[no-any-return]
    value, grad, hess = composite.evaluate(call, order)
    if out is not None and grad is not None:
        grad = out.copy_(grad)
    return value, grad, hess


class _Fused(torch.autograd.Function):
    """Loss whose gradient in the logits is computed with it."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, rest: Rest) -> Tensor:
        arguments, out, inplace, weight = logits.detach(), None, rest[5], rest[2]
        wide = None
        if inplace:
            out = arguments
        elif rest[8] == "triton":
            wide = gradient_dtype(logits)
        elif rest[9] is not None:  # the gradient stays wide until the upstream gradient has scaled it
            out = arguments = arguments.float()
        if rest[8] == "cpu":
            spec, targets, weight, normalizer, check_finite, _, _, dtype, *_ = rest
            value, grad, _ = torch_kernels.evaluate(
                spec, arguments, targets, weight, normalizer, check_finite, dtype, 1, out
            )
        else:
            value, grad, _ = _compute(arguments, rest, 1, out, wide)
        ctx.rest = rest
        if inplace:
            torch.autograd.graph.increment_version(logits)
            ctx.save_for_backward(grad)
        elif weight is None:
            ctx.save_for_backward(grad, logits, rest[1])
        else:
            ctx.save_for_backward(grad, logits, rest[1], torch_contracts.weight_tensor(weight, logits))
        return value

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> Any:
        if torch.is_grad_enabled():
            return _gradient_again(ctx, upstream), None
        grad = ctx.saved_tensors[0]
        batched = _is_batched(upstream)  # several upstream gradients at once
        if ctx.rest[8] == "triton" and upstream.dim() == 0 and not batched:
            gpu, dtype = _device_kernels(grad.device), ctx.rest[9] or grad.dtype
            return gpu.scale(grad, upstream, dtype, inplace=not _kept_for_later()), None
        if upstream.dim() == 0 and upstream.is_cpu and not batched and upstream.item() == 1.0:
            scaled = grad
        else:
            spec = ctx.rest[0]
            if spec.reduction == "none" and spec.link == "softmax":
                upstream = upstream.unsqueeze(spec.class_axis)
            scaled = grad * upstream if batched or _kept_for_later() else grad.mul_(upstream)
        half = ctx.rest[9]
        return scaled if half is None else scaled.to(half), None


class _FusedSmall(_Fused):
    """The same for small batches, whose gradient is kept where autograd does not look after it: that takes its time."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, rest: Rest) -> Tensor:
        value, ctx.grad = torch_kernels.small(rest[0], logits, rest[1])
        ctx.rest = rest
        ctx.save_for_backward(None, logits, rest[1])
        return value

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> Any:
        if torch.is_grad_enabled():
            return _gradient_again(ctx, upstream), None
        grad = ctx.saved_tensors[0] if ctx.grad is None else ctx.grad  # the first says that the graph is gone
        if _kept_for_later() or _is_batched(upstream):
            return grad * upstream, None
        ctx.grad = None
        return grad if upstream.item() == 1.0 else grad.mul_(upstream), None


#: ``apply`` less what serves torch.func, which never comes here: a seventh of a small batch's time.
_fused: Any = super(torch.autograd.Function, _Fused).apply
_fused_small: Any = super(torch.autograd.Function, _FusedSmall).apply


def _is_batched(tensor: Tensor) -> bool:
    return _functorch.is_functorch_wrapped_tensor(tensor) or _functorch.is_legacy_batchedtensor(tensor)


_functorch = torch._C._functorch


#: Whether the graph is kept after this backward; then its buffers are not ours to change.
_kept_for_later = getattr(torch._C._autograd, "_get_current_graph_task_keep_graph", lambda: True)


def _gradient_again(ctx: Any, upstream: Tensor) -> Tensor:
    """Return the gradient as a function of the logits that can be differentiated again."""
    spec, _, _, normalizer, _, inplace, (gamma, alpha), dtype, *_ = ctx.rest
    if inplace:
        remedy = "The logits are gone: a second derivative needs them."
        contracts.reject("inplace", "be False where the gradient is differentiated", True, remedy)
    _, logits, targets, *weight = ctx.saved_tensors
    parameters = ClassParameters(gamma, alpha)
    call = Call(spec, logits, targets, weight[0] if weight else None, normalizer, parameters, dtype)
    grad: Tensor
    (grad,) = torch.autograd.grad(composite.evaluate(call).loss, logits, upstream, create_graph=True)
    return grad


def _may_overwrite(logits: Tensor, *others: Any) -> None:
    remedy = "Leave inplace out, or pass the output of a layer."
    if logits.is_leaf:
        contracts.reject("inplace", "be False where the logits are a leaf", True, remedy)
    if torch._debug_has_internal_overlap(logits) == 1:
        contracts.reject("inplace", "be False where the logits are an expanded view", True, remedy)
    for other in others:
        if logits.numel() and isinstance(other, Tensor) and _same_storage(other, logits):
            contracts.reject("inplace", "be False where targets or weights share the logits' memory", True, remedy)


def _same_storage(one: Tensor, other: Tensor) -> bool:
    return one.untyped_storage().data_ptr() == other.untyped_storage().data_ptr()


def _check_out(out: Any, logits: Tensor, targets: Any, sample_weight: Any) -> None:
    same = isinstance(out, Tensor) and (out.shape, out.dtype, out.device) == (logits.shape, logits.dtype, logits.device)
    if not same:
        got = (
            f"{out.dtype} of shape {tuple(out.shape)} on {out.device}"
            if isinstance(out, Tensor)
            else type(out).__name__
        )
        contract = f"be a {str(logits.dtype).removeprefix('torch.')} array of shape {tuple(logits.shape)}"
        contracts.reject("out", contract, got, "Use torch.empty_like(logits).")
    if torch._debug_has_internal_overlap(out) == 1:
        contracts.reject(
            "out", "have its own memory for each entry", "an expanded view", "Use torch.empty_like(logits)."
        )
    is_logits = out.data_ptr() == logits.data_ptr() and out.stride() == logits.stride()
    for name, other in (("logits", None if is_logits else logits), ("targets", targets), ("weights", sample_weight)):
        if isinstance(other, Tensor) and other.numel() and out.numel() and _same_storage(out, other):
            contract = "be the logits themselves or memory apart"
            contracts.reject("out", contract, f"a tensor in the memory of the {name}", "Copy one of them.")
