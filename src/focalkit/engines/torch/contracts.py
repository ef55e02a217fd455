"""Contracts of tensors: shapes always, values where they can be read without waiting for a device."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from focalkit._core import contracts, host
from focalkit._core.call import Call, ClassParameters, replaced
from focalkit._core.spec import LossSpec
from focalkit.engines import _inputs
from focalkit.engines.torch import _internals

FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_PLAIN_TENSORS = (Tensor, torch.nn.Parameter)  # a tuple: torch.compile does not follow every set


def ordinary(tensor: object) -> bool:
    """Whether a tensor is one of host memory, without any subclass's ways."""
    return type(tensor) in _PLAIN_TENSORS and tensor.is_cpu  # type: ignore[attr-defined]


def array(tensor: Tensor) -> Any:
    """The same memory as a NumPy array; bfloat16, which NumPy lacks, as float32."""
    tensor = tensor.detach()
    tensor = tensor.float() if tensor.dtype == torch.bfloat16 else tensor
    return tensor.resolve_conj().resolve_neg().numpy()


def check(call: Call) -> Call:
    """Check a call for the composite path and for devices; values too where all tensors are readable host memory."""
    types(call.logits, call.targets)
    call = replaced(call, sample_weight=weight_tensor(call.sample_weight, call.logits))
    given = (call.logits, call.targets, call.sample_weight, call.normalizer, *call.parameters)
    if all(ordinary(t) for t in given if isinstance(t, Tensor)) and not _internals.transformed():
        return replaced(call, targets=_readable(call))
    _shapes(call)
    if call.check_finite and not torch.compiler.is_compiling():
        _finite(call.logits)
    return call


def types(logits: Tensor, targets: object) -> None:
    """Targets are a tensor beside the logits; both are dense."""
    if not isinstance(targets, Tensor):
        got = contracts.Words(type(targets).__name__)
        contracts.reject("targets", "be a tensor, as the logits are", got, "Use torch.as_tensor(targets).")
    if logits.layout != torch.strided or targets.layout != torch.strided:
        refuse_strange(logits=logits, targets=targets)
    if targets.device != logits.device:
        contract = f"lie on the device of the logits, {logits.device}"
        contracts.reject(
            "targets", contract, contracts.Words(str(targets.device)), "Move them with targets.to(logits.device)."
        )


def refuse_strange(**given: Any) -> None:
    """Say in words which of the arguments is a tensor that no kernel and no operation takes."""
    for name, tensor in given.items():
        said = host.strange(tensor) if isinstance(tensor, Tensor) else None
        if said is not None:
            contracts.reject(name, said[0], contracts.Words(said[1]), said[2])


def weight_tensor(sample_weight: Any, logits: Tensor) -> Tensor | None:
    """Weights may be any sequence of numbers."""
    if sample_weight is None:
        return None
    if not isinstance(sample_weight, Tensor):
        try:
            return torch.as_tensor(sample_weight, device=logits.device)
        except (TypeError, ValueError, RuntimeError):
            remedy = "Pass one non-negative number per sample."
            contracts.reject("sample_weight", "be numbers", sample_weight, remedy)
    if sample_weight.device != logits.device:
        contract = f"lie on the device of the logits, {logits.device}"
        contracts.reject(
            "sample_weight", contract, contracts.Words(str(sample_weight.device)), "Move it with .to(logits.device)."
        )
    return sample_weight


def _readable(call: Call) -> Tensor:
    """Check values; return the targets, clipped where they are a little outside of [0, 1]."""
    targets: Tensor = call.targets
    weight, normalizer = call.sample_weight, call.normalizer
    if isinstance(normalizer, Tensor) and normalizer.dim() == 0:
        normalizer = normalizer.item()
    call = replaced(
        call,
        spec=with_values(call.spec, call.parameters),
        sample_weight=None if weight is None else array(weight),
        normalizer=normalizer,
    )
    y = array(targets)
    checked = read(call, y)
    if not targets.is_floating_point() or checked.targets is y:
        return targets
    return torch.where(torch.from_numpy(checked.targets == y), targets, targets.clamp(0, 1))


def read(call: Call, y: Any) -> Call:
    """Check values of host memory by the contracts of arrays; ``y`` are the targets as an array."""
    slack = contracts.SOFT_SLACK_OF_HALF if call.targets.dtype.itemsize == 2 else contracts.SOFT_SLACK
    named: dict[str, Any] = {"check_finite": call.check_finite, "soft_slack": slack, "library": "torch"}
    return _inputs.read(call.spec, array(call.logits), y, call.sample_weight, call.normalizer, **named)


def with_values(spec: LossSpec, parameters: ClassParameters) -> LossSpec:
    """The spec with the values of parameters given as tensors in host memory, checked."""
    tensors = {name: t for name, t in parameters._asdict().items() if t is not None}
    given: dict[str, Any] = {name: contracts.array(name, t.detach()) for name, t in tensors.items()}
    return replace(spec, **given) if given else spec


def _shapes(call: Call) -> None:
    spec, logits, targets, normalizer = call.spec, call.logits, call.targets, call.normalizer
    shape = tuple(logits.shape)
    if logits.dtype not in FLOATS:
        contract = "be a floating array (float16, bfloat16, float32 or float64)"
        contracts.reject(
            "logits", contract, contracts.Words(f"dtype {logits.dtype}"), "Pass raw model outputs, e.g. logits.float()."
        )
    axis = contracts.logits_shape(spec.link, shape, spec.class_axis)
    n_classes = shape[axis] if axis >= 0 else 1
    for name, value in spec.class_parameters().items():
        contracts.class_vector(name, value, n_classes)
    for name, tensor in zip(ClassParameters._fields, call.parameters, strict=True):
        if tensor is None:
            continue
        if tensor.dim() > 1 or (tensor.dim() == 1 and tensor.shape[0] != n_classes):
            contract = f"be a number or have one entry for each of the {n_classes} classes of the logits"
            contracts.reject(
                name, contract, contracts.Words(f"shape {tuple(tensor.shape)}"), "Pass one entry per class."
            )
    if targets.is_complex() or (targets.dtype.itemsize == 1 and targets.is_floating_point()):
        contracts.reject(
            "targets", "be integers or floating", contracts.Words(f"dtype {targets.dtype}"), "Pass class ids."
        )
    if spec.link == "softmax":
        integer = not targets.is_floating_point()
        contracts.softmax_targets_shape(integer, targets.dtype, tuple(targets.shape), shape, axis, "torch")
        rows = shape[:axis] + shape[axis + 1 :]
    else:
        contracts.sigmoid_targets_shape(tuple(targets.shape), shape, axis, "torch")
        rows = shape
    if call.sample_weight is not None:
        contracts.sample_weight_shape(tuple(call.sample_weight.shape), rows)
    if isinstance(normalizer, Tensor):
        contracts.normalizer_number(1.0, spec.reduction)
        if normalizer.dim() != 0:
            contracts.normalizer_number(normalizer, spec.reduction)
    else:
        contracts.normalizer_number(normalizer, spec.reduction)


def _finite(logits: Tensor) -> None:
    if type(logits) in _PLAIN_TENSORS and not _internals.transformed() and not logits.is_meta:
        contracts.finite_logits(array(logits.cpu()))
