"""The kernels as an operator, so that compiled graphs call them without a break.

``focalkit::loss`` and ``focalkit::loss_and_gradient`` take the spec as text, which a graph can hold and guard.
"""

from __future__ import annotations

import ast
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from focalkit._spec import LossSpec
from focalkit.engines import torch_kernels

_ARGUMENTS = "Tensor logits, Tensor targets, Tensor? sample_weight, Tensor? normalizer, str spec, ScalarType dtype"
_FIELDS = tuple(LossSpec.__dataclass_fields__)

torch.library.define("focalkit::loss", f"({_ARGUMENTS}) -> Tensor")
torch.library.define("focalkit::loss_and_gradient", f"({_ARGUMENTS}) -> (Tensor, Tensor)")


def text_of(spec: LossSpec) -> str:
    """The spec as text."""
    return repr(tuple(getattr(spec, name) for name in _FIELDS))


@lru_cache(maxsize=256)
def _spec_of(text: str) -> LossSpec:
    return LossSpec(*ast.literal_eval(text))


def _compute(order: int, logits: Tensor, targets: Tensor, weight: Any, normalizer: Any, text: str, dtype: Any) -> Any:
    arguments = (_spec_of(text), logits.detach(), targets.detach(), weight, normalizer)
    with torch.no_grad():
        return torch_kernels.evaluate(*arguments, False, dtype, order, None)


@torch.library.impl("focalkit::loss", "CPU")
def _loss(logits: Tensor, targets: Tensor, weight: Any, normalizer: Any, text: str, dtype: Any) -> Tensor:
    value: Tensor = _compute(0, logits, targets, weight, normalizer, text, dtype)[0]
    return value


@torch.library.impl("focalkit::loss_and_gradient", "CPU")
def _loss_and_gradient(
    logits: Tensor, targets: Tensor, weight: Any, normalizer: Any, text: str, dtype: Any
) -> tuple[Tensor, Tensor]:
    wide = logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits
    value, gradient, _ = _compute(1, wide, targets, weight, normalizer, text, dtype)
    return value, gradient


def _loss_fake(logits: Tensor, targets: Tensor, weight: Any, normalizer: Any, text: str, dtype: Any) -> Tensor:
    spec = _spec_of(text)
    shape = list(logits.shape)
    if spec.reduction != "none":
        shape = []
    elif spec.link == "softmax":
        del shape[spec.class_axis]
    return logits.new_empty(shape, dtype=dtype)


def _loss_and_gradient_fake(
    logits: Tensor, targets: Tensor, weight: Any, normalizer: Any, text: str, dtype: Any
) -> tuple[Tensor, Tensor]:
    wide = torch.float64 if logits.dtype == torch.float64 else torch.float32
    value = _loss_fake(logits, targets, weight, normalizer, text, dtype)
    return value, torch.empty_like(logits, dtype=wide)


def _setup_context(ctx: Any, inputs: Any, output: Any) -> None:
    logits, *_, text, _ = inputs
    ctx.save_for_backward(output[1])
    ctx.spec, ctx.dtype = _spec_of(text), logits.dtype


def _backward(ctx: Any, upstream: Tensor, of_gradient: Any) -> tuple[Any, ...]:
    (gradient,) = ctx.saved_tensors
    if ctx.spec.reduction == "none" and ctx.spec.link == "softmax":
        upstream = upstream.unsqueeze(ctx.spec.class_axis)
    return (gradient * upstream).to(ctx.dtype), None, None, None, None, None


torch.library.register_fake("focalkit::loss", _loss_fake)
torch.library.register_fake("focalkit::loss_and_gradient", _loss_and_gradient_fake)
torch.library.register_autograd("focalkit::loss_and_gradient", _backward, setup_context=_setup_context)


def loss(spec: LossSpec, logits: Tensor, targets: Tensor, weight: Any, normalizer: Any, dtype: Any) -> Tensor:
    """Return the loss as a call of the operator; the gradient comes with it where one is recorded."""
    text = text_of(spec)
    if torch.is_grad_enabled() and logits.requires_grad:
        value: Tensor
        value, _ = torch.ops.focalkit.loss_and_gradient(logits, targets, weight, normalizer, text, dtype)
        return value
    return torch.ops.focalkit.loss(logits, targets, weight, normalizer, text, dtype)  # type: ignore[no-any-return]
