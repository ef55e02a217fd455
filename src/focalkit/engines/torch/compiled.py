"""The kernels as an operator, so that compiled graphs call them without a break.

``focalkit::loss`` and ``focalkit::loss_and_gradient`` take the spec as numbers and text, which a graph
can hold and guard. On a GPU gamma and alpha may be tensors as well, which are not read by the host.
"""

from __future__ import annotations

import ast
import math
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from focalkit._core import contracts
from focalkit._core.spec import LossSpec
from focalkit.engines.torch import contracts as torch_contracts
from focalkit.engines.torch import cpu_kernels as torch_kernels

_ARGUMENTS = "Tensor logits, Tensor targets, Tensor? sample_weight, Tensor? normalizer, "
_ARGUMENTS += "Tensor? gamma_of_device, Tensor? alpha_of_device, "
_ARGUMENTS += "float[] gamma, float[]? alpha, str options, ScalarType dtype"
_OPTIONS = tuple(name for name in LossSpec.__dataclass_fields__ if name not in ("gamma", "alpha"))

torch.library.define("focalkit::loss", f"({_ARGUMENTS}) -> Tensor")
torch.library.define("focalkit::loss_and_gradient", f"({_ARGUMENTS}) -> (Tensor, Tensor)")


def arguments_of(spec: LossSpec) -> tuple[list[float], list[float] | None, str]:
    """The spec as arguments of the operators: gamma, alpha and the other fields as text."""

    def vector(value: Any) -> list[float]:
        return list(value) if isinstance(value, tuple) else [value]

    alpha = None if spec.alpha is None else vector(spec.alpha)
    values = tuple(getattr(spec, name) for name in _OPTIONS)
    return vector(spec.gamma), alpha, repr(tuple(None if value != value else value for value in values))


@lru_cache(maxsize=256)
def _options(text: str) -> dict[str, Any]:
    options = dict(zip(_OPTIONS, ast.literal_eval(text), strict=True))
    if options["ignore_index"] is None:  # NaN has no literal
        options["ignore_index"] = math.nan
    return options


def spec_of(gamma: list[float], alpha: list[float] | None, text: str) -> LossSpec:
    """The spec of such arguments."""
    return _spec(tuple(gamma), None if alpha is None else tuple(alpha), text)


@lru_cache(maxsize=256)
def _spec(gamma: tuple[float, ...], alpha: tuple[float, ...] | None, text: str) -> LossSpec:
    def one_or_all(vector: tuple[float, ...]) -> Any:
        return vector if len(vector) > 1 else vector[0]

    return LossSpec(gamma=one_or_all(gamma), alpha=None if alpha is None else one_or_all(alpha), **_options(text))


def _compute(
    order: int,
    logits: Tensor,
    targets: Tensor,
    weight: Any,
    normalizer: Any,
    parameters: tuple[Tensor | None, Tensor | None],
    gamma: list[float],
    alpha: list[float] | None,
    text: str,
    dtype: Any,
) -> Any:
    spec = spec_of(gamma, alpha, text)
    with torch.no_grad():
        if logits.is_cuda:
            from focalkit.engines.triton import evaluate as triton

            first = (spec, logits.detach(), targets.detach(), weight, normalizer, False)
            return triton.evaluate(
                torch_contracts.check(*first, *parameters, dtype), order, None, gradient_dtype(logits)
            )
        rest = (targets.detach(), weight, normalizer, False, dtype, order, None)
        return torch_kernels.evaluate(spec, logits.detach(), *rest)


def gradient_dtype(logits: Tensor) -> torch.dtype:
    """What the gradient is kept in until the upstream gradient has scaled it.

    float32 for the half types, but on a GPU bfloat16, which has float32's range, stays: moving memory is the cost.
    """
    stays = (torch.float32, torch.float64) if logits.is_cpu else (torch.float32, torch.float64, torch.bfloat16)
    return logits.dtype if logits.dtype in stays else torch.float32


@torch.library.impl("focalkit::loss", ("CPU", "CUDA"))
def _loss(logits: Tensor, targets: Tensor, weight: Any, normalizer: Any, gamma: Any, alpha: Any, *rest: Any) -> Tensor:
    value: Tensor = _compute(0, logits, targets, weight, normalizer, (gamma, alpha), *rest)[0]
    return value


@torch.library.impl("focalkit::loss_and_gradient", ("CPU", "CUDA"))
def _loss_and_gradient(
    logits: Tensor, targets: Tensor, weight: Any, normalizer: Any, gamma: Any, alpha: Any, *rest: Any
) -> tuple[Tensor, Tensor]:
    wide = logits.to(gradient_dtype(logits)) if logits.is_cpu else logits
    value, gradient, _ = _compute(1, wide, targets, weight, normalizer, (gamma, alpha), *rest)
    return value, gradient


def _loss_fake(logits: Tensor, *rest: Any) -> Tensor:
    *_, text, dtype = rest
    options, shape = _options(text), list(logits.shape)
    if options["reduction"] != "none":
        shape = []
    elif options["link"] == "softmax":
        del shape[options["class_axis"]]
    return logits.new_empty(shape, dtype=dtype)


def _loss_and_gradient_fake(logits: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
    return _loss_fake(logits, *rest), torch.empty_like(logits, dtype=gradient_dtype(logits))


def _setup_context(ctx: Any, inputs: Any, output: Any) -> None:
    logits, *_, text, _ = inputs
    options = _options(text)
    ctx.mark_non_differentiable(output[1])
    ctx.save_for_backward(output[1])
    ctx.dtype = logits.dtype
    ctx.axis = options["class_axis"] if (options["link"], options["reduction"]) == ("softmax", "none") else None


def _backward(ctx: Any, upstream: Tensor, _: Any) -> tuple[Any, ...]:
    if torch.is_grad_enabled():  # the gradient is to be differentiated
        remedy = "A second derivative needs the loss outside of compiled code: torch.compiler.disable it."
        contracts.reject("create_graph", "be False in compiled code", True, remedy)
    (gradient,) = ctx.saved_tensors
    upstream = upstream if ctx.axis is None else upstream.unsqueeze(ctx.axis)
    return (gradient * upstream).to(ctx.dtype), *(None,) * 9


torch.library.register_fake("focalkit::loss", _loss_fake)
torch.library.register_fake("focalkit::loss_and_gradient", _loss_and_gradient_fake)
torch.library.register_autograd("focalkit::loss_and_gradient", _backward, setup_context=_setup_context)


def loss(
    spec: LossSpec, logits: Tensor, targets: Tensor, weight: Any, normalizer: Any, parameters: Any, dtype: Any
) -> Tensor:
    """Return the loss as a call of the operator; the gradient comes with it where one is recorded."""
    arguments = (logits, targets, weight, normalizer, *parameters, *arguments_of(spec), dtype)
    if torch.is_grad_enabled() and logits.requires_grad:
        value: Tensor
        value, _ = torch.ops.focalkit.loss_and_gradient(*arguments)
        return value
    return torch.ops.focalkit.loss(*arguments)  # type: ignore[no-any-return]
