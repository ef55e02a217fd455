"""PyTorch: compiled kernels for tensors on the processor, Triton's on a GPU, array operations for all else.

The kernels compute loss and gradient in one pass; backward scales that gradient (``autograd``). Where more is asked
of automatic differentiation (a second derivative, forward mode, ``torch.func``, a gradient for soft targets,
weights, alpha or gamma), on other devices, without Triton and for tensor subclasses, the loss goes through the
composite implementation (``ops``). Compiled code calls the kernels as an operator (``compiled``).
"""

from __future__ import annotations

from typing import Any, TypeAlias

import torch
from torch import Tensor

from focalkit._core import contracts
from focalkit._core.call import OF_THE_SPEC, Call, ClassParameters, numbers_and_arrays, replaced
from focalkit._core.spec import LossSpec
from focalkit.engines.torch import _internals, autograd, fast, ops
from focalkit.engines.torch import compiled as torch_operator
from focalkit.engines.torch import contracts as torch_contracts
from focalkit.engines.torch import data_parallel as torch_parallel
from focalkit.engines.torch.routes import compute, has_device_kernels, result_dtype, route_of

#: Gamma and alpha as tensors, where the spec's are not meant.
Parameters: TypeAlias = tuple[Tensor | None, ...]
NO_PARAMETERS = OF_THE_SPEC


def loss_of(
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
    # torch.compile does not look into a cache
    cached = not torch.compiler.is_compiling()
    spec, given = numbers_and_arrays(link, gamma, alpha, options, _is_tensor, cached)
    return loss(spec, logits, targets, sample_weight, normalizer, check_finite, inplace, given)


def _is_tensor(value: Any) -> bool:
    return isinstance(value, Tensor)


def loss(
    spec: LossSpec,
    logits: Tensor,
    targets: Any,
    sample_weight: Any = None,
    normalizer: Any = None,
    check_finite: bool = False,
    inplace: bool = False,
    parameters: Parameters = OF_THE_SPEC,
    kernels: bool = True,
) -> Tensor:
    """Return the loss, reduced as ``spec`` says; ``kernels=False`` keeps to the composite implementation.

    ``parameters`` are :class:`ClassParameters`, or gamma and alpha as a tuple.
    """
    kernels = kernels and spec.has_kernels
    if type(normalizer) is str:
        call = Call(spec, logits, targets, sample_weight, parameters=ClassParameters(*parameters))
        spec, normalizer = _over_ranks(call, normalizer)
    if torch.compiler.is_compiling():
        return traced_loss(spec, logits, targets, sample_weight, normalizer, parameters, kernels)
    try:
        if kernels and not inplace and parameters is OF_THE_SPEC:
            value = fast.attempt(spec, logits, targets, sample_weight, normalizer, check_finite)
            if value is not None:
                return value
        given = OF_THE_SPEC if parameters is OF_THE_SPEC else ClassParameters(*parameters)
        rest = (result_dtype(logits), check_finite, inplace)
        return _any_loss(Call(spec, logits, targets, sample_weight, normalizer, given, *rest), kernels)
    except (RuntimeError, TypeError, AttributeError):
        torch_contracts.refuse_strange(logits=logits, targets=targets, sample_weight=sample_weight)
        raise


def _over_ranks(call: Call, word: str) -> tuple[LossSpec, Any]:
    """The spec and the normalizer of a mean over all ranks."""
    return torch_parallel.global_mean(call, word, lambda: torch_contracts.check(call))


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
    """Inside torch.compile: the kernels as an operator; what they do not do, and torch.export, in array operations.

    Values cannot be checked here: the operator does it when it runs. ``inplace`` is left to the compiler.
    ``arguments`` are the spec as :func:`torch_operator.arguments_of` gives it outside of the graph.
    """
    dtype, given = result_dtype(logits), ClassParameters(*parameters)
    sample_weight = torch_contracts.weight_tensor(sample_weight, logits)
    others = (targets, sample_weight, normalizer, *given)
    recorded = torch.is_grad_enabled() and any(isinstance(a, Tensor) and a.requires_grad for a in others)
    kernels = kernels and spec.has_kernels
    if kernels and not recorded and not torch.compiler.is_exporting():
        on_gpu = logits.device.type == "cuda" and has_device_kernels(logits.device)
        if on_gpu or logits.device.type == "cpu":
            if normalizer is not None and not isinstance(normalizer, Tensor):
                normalizer = torch.full((), normalizer, dtype=torch.float64, device=logits.device)
            if on_gpu or arguments is None:
                arguments = torch_operator.arguments_of(spec, given.gamma, given.alpha, constant=on_gpu)
            return torch_operator.loss(arguments, logits, targets, sample_weight, normalizer, dtype)
    call = torch_contracts.check(Call(spec, logits, targets, sample_weight, normalizer, given, dtype))
    return ops.evaluate(call).loss  # type: ignore[no-any-return]


def _any_loss(call: Call, kernels: bool) -> Tensor:
    logits = call.logits
    arguments = (logits, call.targets, call.sample_weight, call.normalizer, *call.parameters)
    recorded = torch.is_grad_enabled()
    others = recorded and any(isinstance(a, Tensor) and a.requires_grad for a in arguments[1:])
    on_host = all(torch_contracts.ordinary(a) for a in arguments if isinstance(a, Tensor))
    if others or not (on_host or _on_device(arguments)) or _internals.transformed():
        if call.inplace:
            remedy = "Only a first gradient in the logits alone can be written over them."
            contracts.reject("inplace", "be False here", True, remedy)
        return ops.evaluate(torch_contracts.check(call)).loss  # type: ignore[no-any-return]
    if on_host and call.parameters is not OF_THE_SPEC:
        call = replaced(call, spec=torch_contracts.with_values(call.spec, call.parameters), parameters=OF_THE_SPEC)
    route = route_of(logits, on_host, kernels)
    if recorded and logits.requires_grad:
        if call.inplace:
            _may_overwrite(logits, call.targets, call.sample_weight)
        return autograd.recorded(logits, call.with_logits(None), route)
    return compute(call, route, 0).loss  # type: ignore[no-any-return]


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
    call = Call(spec, logits, targets, sample_weight, normalizer, out_dtype=logits.dtype, check_finite=check_finite)
    if type(normalizer) is str:
        spec, normalizer = _over_ranks(replaced(call, normalizer=None), normalizer)
        call = replaced(call, spec=spec, normalizer=normalizer)
    if out is not None:
        check_out(out, logits, targets, sample_weight)
    try:
        return _evaluated(call, 2 if hess else 1, out, kernels)
    except (RuntimeError, TypeError, AttributeError):
        torch_contracts.refuse_strange(logits=logits, targets=targets, sample_weight=sample_weight)
        raise


def _evaluated(call: Call, order: int, out: Tensor | None, kernels: bool) -> tuple[Tensor, Tensor, Tensor | None]:
    """Loss, gradient and, from ``order`` 2, the Hessian's diagonal."""
    spec, logits = call.spec, call.logits
    with torch.no_grad():
        arguments = (logits, call.targets, call.sample_weight, call.normalizer)
        on_host = all(torch_contracts.ordinary(a) for a in arguments if isinstance(a, Tensor))
        kernels = kernels and spec.has_kernels and (on_host or _on_device(arguments)) and not _internals.transformed()
        value, grad, curvature = compute(call, route_of(logits, on_host, kernels), order, out)
        assert grad is not None
        if out is not None and not out.is_inference():
            torch.autograd.graph.increment_version(out)
    return value, grad, curvature


def over_logits(call: Call, order: int) -> Tensor:
    """Return the loss alone; from ``order`` 1 its gradient is written over the logits. Nothing is recorded."""
    route = route_of(call.logits, call.logits.is_cpu, call.spec.has_kernels)
    return compute(call, route, order, call.logits if order else None).loss  # type: ignore[no-any-return]


def _on_device(arguments: tuple[Any, ...]) -> bool:
    plain = (Tensor, torch.nn.Parameter)
    return all(type(a) in plain and not a.is_meta for a in arguments if isinstance(a, Tensor))


def _may_overwrite(logits: Tensor, *others: Any) -> None:
    remedy = "Leave inplace out, or pass the output of a layer."
    if logits.is_leaf:
        contracts.reject("inplace", "be False where the logits are a leaf", True, remedy)
    if _internals.overlaps_itself(logits):
        contracts.reject("inplace", "be False where the logits are an expanded view", True, remedy)
    for other in others:
        if logits.numel() and isinstance(other, Tensor) and _same_storage(other, logits):
            contracts.reject("inplace", "be False where targets or weights share the logits' memory", True, remedy)


def _same_storage(one: Tensor, other: Tensor) -> bool:
    return one.untyped_storage().data_ptr() == other.untyped_storage().data_ptr()


def check_out(out: Any, logits: Tensor, targets: Any, sample_weight: Any) -> None:
    """Refuse what is not like the logits, or lies in the memory of an input other than they."""
    same = isinstance(out, Tensor) and (out.shape, out.dtype, out.device) == (logits.shape, logits.dtype, logits.device)
    if not same:
        given = isinstance(out, Tensor)
        got = f"{out.dtype} of shape {tuple(out.shape)} on {out.device}" if given else type(out).__name__
        contract = f"be a {str(logits.dtype).removeprefix('torch.')} array of shape {tuple(logits.shape)}"
        contracts.reject("out", contract, contracts.Words(got), "Use torch.empty_like(logits).")
    if _internals.overlaps_itself(out):
        contracts.reject(
            "out",
            "have its own memory for each entry",
            contracts.Words("an expanded view"),
            "Use torch.empty_like(logits).",
        )
    is_logits = out.data_ptr() == logits.data_ptr() and out.stride() == logits.stride()
    for name, other in (("logits", None if is_logits else logits), ("targets", targets), ("weights", sample_weight)):
        if isinstance(other, Tensor) and other.numel() and out.numel() and _same_storage(out, other):
            contract = "be the logits themselves or memory apart"
            contracts.reject(
                "out", contract, contracts.Words(f"a tensor in the memory of the {name}"), "Copy one of them."
            )
