"""Linear layer and softmax loss in one, as an operator that eager and compiled code call alike.

``torch_chunks`` computes. The gradients come with the loss; backward scales them. Where more is asked of automatic
differentiation (a second derivative, forward mode, ``torch.func``), and for ``torch.export``, the layer and the loss
go one after the other, with all logits.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from focalkit._core import contracts
from focalkit._core.spec import LossSpec
from focalkit.engines.torch import compiled as torch_operator
from focalkit.engines.torch import contracts as torch_contracts
from focalkit.engines.torch import data_parallel as torch_parallel
from focalkit.engines.torch import dispatch as engine
from focalkit.engines.torch import linear_chunks as torch_chunks
from focalkit.engines.torch.linear_chunks import Layer, Wanted

_ARGUMENTS = "Tensor hidden, Tensor weight, Tensor? bias, Tensor targets, Tensor? sample_weight, Tensor? normalizer, "
_ARGUMENTS += "float[] gamma, float[]? alpha, str options, float softcap, int budget, ScalarType inner, "
_ARGUMENTS += "ScalarType dtype, bool[] wanted"
_N_TENSORS, _N_ARGUMENTS = 6, 14

torch.library.define("focalkit::linear_loss", f"({_ARGUMENTS}) -> (Tensor, Tensor, Tensor, Tensor)")
torch.library.define("focalkit::linear_gradients", f"(Tensor upstream, {_ARGUMENTS}) -> (Tensor, Tensor, Tensor)")

#: Bytes where none are given. A device needs larger products to be busy.
_BUDGET_OF_HOST, _BUDGET_OF_DEVICE = 64 << 20, 512 << 20


def loss(
    spec: LossSpec,
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    bias: Tensor | None,
    sample_weight: Any,
    normalizer: Any,
    softcap: float | None,
    budget: int | None,
) -> Tensor:
    """Return the loss, reduced as ``spec`` says."""
    if isinstance(normalizer, str):
        spec, normalizer = _over_ranks(spec, normalizer, hidden, weight, targets, bias, sample_weight, softcap, budget)
    sample_weight, normalizer = _check(spec, hidden, weight, targets, bias, sample_weight, normalizer, softcap, budget)
    rows, n_classes, device = hidden.shape[:-1], weight.shape[0], hidden.device
    if sample_weight is not None:
        ones = (1,) * (len(rows) - sample_weight.dim())
        sample_weight = sample_weight.reshape(*sample_weight.shape, *ones).expand(rows).reshape(-1)
    product, dtype = _types(hidden)
    arguments = (
        hidden.flatten(0, -2),
        weight,
        bias,
        targets.reshape(-1, n_classes) if targets.is_floating_point() else targets.reshape(-1),
        sample_weight,
        normalizer,
        *torch_operator.arguments_of(replace(spec, class_axis=1)),
        softcap or 0.0,
        budget or (_BUDGET_OF_HOST if device.type == "cpu" else _BUDGET_OF_DEVICE),
        torch_chunks.inner_dtype(product, device),
        dtype,
        [torch.is_grad_enabled() and t is not None and t.requires_grad for t in (hidden, weight, bias)],
    )
    if torch.compiler.is_exporting() or (not torch.compiler.is_compiling() and torch_contracts.functional()):
        value = _in_turn(_layer(*arguments)[0])
    else:
        value = torch.ops.focalkit.linear_loss(*arguments)[0]
    return value.reshape(rows) if spec.reduction == "none" else value


def _types(hidden: Tensor) -> tuple[torch.dtype, torch.dtype]:
    """Of the products and of the loss, as autocast has them."""
    device = hidden.device.type
    if torch.is_autocast_enabled(device) and hidden.dtype != torch.float64:
        return torch.get_autocast_dtype(device), torch.float32
    return hidden.dtype, hidden.dtype


def _in_turn(layer: Layer) -> Tensor:
    """Layer and loss one after the other, with all logits: differentiable in every way."""
    bias = None if layer.bias is None else layer.bias.to(layer.inner)
    z = F.linear(layer.hidden.to(layer.inner), layer.weight.to(layer.inner), bias)
    if layer.softcap:
        z = layer.softcap * torch.tanh(z / layer.softcap)
    return engine.loss(layer.spec, z, layer.targets, layer.sample_weight, layer.normalizer).to(layer.dtype)


# the operators


def _layer(*arguments: Any) -> tuple[Layer, Wanted]:
    tensors = arguments[:_N_TENSORS]
    gamma, alpha, options, softcap, budget, inner, dtype, wanted = arguments[_N_TENSORS:]
    spec = torch_operator.spec_of(gamma, alpha, options)
    hidden, weight, bias, targets, sample_weight, normalizer = tensors
    layer = Layer(spec, hidden, weight, bias, targets, sample_weight, normalizer, softcap, budget, inner, dtype)
    return layer, Wanted(*wanted)


@torch.library.impl("focalkit::linear_loss", "default")
def _loss(*arguments: Any) -> tuple[Tensor, ...]:
    layer, wanted = _layer(*arguments)
    value, gradients = torch_chunks.evaluate(layer, Wanted() if layer.spec.reduction == "none" else wanted)
    return value, *gradients


@torch.library.impl("focalkit::linear_gradients", "default")
def _gradients(upstream: Tensor, *arguments: Any) -> tuple[Tensor, ...]:
    return torch_chunks.evaluate(*_layer(*arguments), upstream)[1]


def _loss_fake(*arguments: Any) -> tuple[Tensor, ...]:
    layer, wanted = _layer(*arguments)
    each = layer.spec.reduction == "none"
    value = layer.hidden.new_empty(layer.hidden.shape[:1] if each else (), dtype=layer.dtype)
    return value, *_like(layer, Wanted() if each else wanted)


def _like(layer: Layer, wanted: Wanted) -> tuple[Tensor, ...]:
    pairs = zip((layer.hidden, layer.weight, layer.bias), wanted, strict=True)
    of = [(layer.weight if tensor is None else tensor, one) for tensor, one in pairs]
    return tuple(t.new_empty(t.shape if one else 0, dtype=torch_chunks.kept_dtype(t.dtype)) for t, one in of)


def _setup_context(ctx: Any, inputs: Any, output: Any) -> None:
    ctx.set_materialize_grads(False)  # or backward would be given zeros as large as the weight
    ctx.mark_non_differentiable(*output[1:])
    ctx.save_for_backward(*inputs[:_N_TENSORS], *output[1:])
    ctx.rest = inputs[_N_TENSORS:]


def _backward(ctx: Any, upstream: Tensor | None, *_: Any) -> tuple[Any, ...]:
    if upstream is None:
        return (None,) * _N_ARGUMENTS
    saved = ctx.saved_tensors
    arguments = *saved[:_N_TENSORS], *ctx.rest
    layer, wanted = _layer(*arguments)
    inputs: Any = layer.hidden, layer.weight, layer.bias
    if torch.is_grad_enabled():  # the gradient is to be differentiated
        asked = [tensor for tensor, one in zip(inputs, wanted, strict=True) if one]
        found = iter(torch.autograd.grad(_in_turn(layer), asked, upstream, create_graph=True))
        gradients = tuple(next(found) if one else None for one in wanted)
        return *gradients, *(None,) * (_N_ARGUMENTS - 3)
    made = saved[_N_TENSORS:]
    if layer.spec.reduction == "none":
        made, scale = torch.ops.focalkit.linear_gradients(upstream, *arguments), None
    else:
        scale = upstream
    triples = zip(made, inputs, wanted, strict=True)
    gradients = tuple(_scaled(gradient, scale).to(of.dtype) if one else None for gradient, of, one in triples)
    return *gradients, *(None,) * (_N_ARGUMENTS - 3)


def _scaled(gradient: Tensor, upstream: Tensor | None) -> Tensor:
    """Gradient times upstream gradient, over itself where nobody asks for it again."""
    if upstream is None:
        return gradient
    if type(upstream) is not Tensor or engine._is_batched(upstream) or engine._kept_for_later():
        return gradient * upstream
    return gradient if upstream.is_cpu and upstream.item() == 1.0 else gradient.mul_(upstream)


torch.library.register_fake("focalkit::linear_loss", _loss_fake)
torch.library.register_fake("focalkit::linear_gradients", lambda upstream, *a: _like(*_layer(*a)))
torch.library.register_autograd("focalkit::linear_loss", _backward, setup_context=_setup_context)


# contracts


def _over_ranks(spec: LossSpec, word: str, hidden: Any, weight: Any, targets: Any, *rest: Any) -> tuple[LossSpec, Any]:
    """The spec and the normalizer of a mean over all ranks."""
    bias, sample_weight, softcap, budget = rest
    last = replace(spec, class_axis=-1)

    def check() -> None:
        _check(spec, hidden, weight, targets, bias, sample_weight, None, softcap, budget)
        logits = hidden.new_zeros(()).expand(*hidden.shape[:-1], weight.shape[0])  # takes no memory
        torch_contracts.check(last, logits, targets, sample_weight, None, False, None, None, logits.dtype)

    return torch_parallel.global_mean(last, word, targets, sample_weight, check=check)


def _check(
    spec: LossSpec,
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    bias: Tensor | None,
    sample_weight: Any,
    normalizer: Any,
    softcap: float | None,
    budget: int | None,
) -> tuple[Tensor | None, Tensor | None]:
    """Every contract; return sample weights and normalizer as tensors."""
    _check_options(spec, softcap, budget)
    _check_layer(hidden, weight, bias)
    sample_weight = torch_contracts.weight_tensor(sample_weight, hidden)
    return sample_weight, _check_rest(spec, hidden, weight, targets, sample_weight, normalizer)


def _check_options(spec: LossSpec, softcap: float | None, budget: int | None) -> None:
    for name in ("keep_hardest", "negatives_per_positive"):
        if getattr(spec, name) is not None:
            remedy = "The hardest of all rows are known after the last chunk: use softmax_focal_loss on the logits."
            contracts.reject(name, "be None here", getattr(spec, name), remedy)
    if spec.class_axis not in (1, -1):
        contracts.reject("class_axis", "be left out", spec.class_axis, "The layer puts the classes on the last axis.")
    if softcap is not None:
        contracts.number("logit_softcap", softcap, contracts.POSITIVE, "None caps nothing.")
    if budget is not None and (isinstance(budget, bool) or not isinstance(budget, int) or budget < 1):
        contracts.reject("memory_budget", "be a positive number of bytes", budget, "E.g. 64 * 2**20; None chooses.")


def _check_layer(hidden: Tensor, weight: Tensor, bias: Tensor | None) -> None:
    for name, tensor in (("hidden", hidden), ("weight", weight), ("bias", bias)):
        if not isinstance(tensor, Tensor):
            if name == "bias" and tensor is None:
                continue
            contracts.reject(name, "be a tensor of PyTorch", type(tensor).__name__, "Use torch.as_tensor.")
        if tensor.dtype not in torch_contracts.FLOATS or tensor.layout != torch.strided:
            contract = "be a dense floating tensor (float16, bfloat16, float32 or float64)"
            contracts.reject(name, contract, f"{tensor.dtype}, {tensor.layout}", "Convert it first.")
        if tensor.device != hidden.device:
            contract = f"lie on the device of the hidden states, {hidden.device}"
            contracts.reject(name, contract, str(tensor.device), f"Move it with {name}.to(hidden.device).")
        if tensor.dtype != hidden.dtype and not torch.is_autocast_enabled(hidden.device.type):
            contract = f"have the dtype of the hidden states, {hidden.dtype}"
            contracts.reject(name, contract, str(tensor.dtype), "Convert one of them, or use torch.autocast.")
    if hidden.dim() < 2:
        contract = "have shape (n, in_features) or (n, length, in_features)"
        contracts.reject("hidden", contract, f"shape {tuple(hidden.shape)}", "Add a batch axis.")
    width = hidden.shape[-1]
    if weight.dim() != 2 or weight.shape[1] != width or weight.shape[0] == 0:
        remedy = "Pass the weight as torch.nn.Linear holds it, one row per class."
        contracts.reject("weight", f"have shape (n_classes, {width})", f"shape {tuple(weight.shape)}", remedy)
    if bias is not None and bias.shape != weight.shape[:1]:
        contract = f"have shape {tuple(weight.shape[:1])}"
        contracts.reject("bias", contract, f"shape {tuple(bias.shape)}", "Pass one number per class.")


def _check_rest(
    spec: LossSpec, hidden: Tensor, weight: Tensor, targets: Any, sample_weight: Tensor | None, normalizer: Any
) -> Tensor | None:
    """Targets, weights and normalizer; values as far as the kernels do not check them. Return the normalizer."""
    torch_contracts.types(hidden, targets)
    rows, n_classes = tuple(hidden.shape[:-1]), weight.shape[0]
    for name in ("alpha", "gamma"):
        contracts.class_vector(name, getattr(spec, name), n_classes)
    integer, shape = not targets.is_floating_point(), (*rows, n_classes)
    contracts.softmax_targets_shape(integer, targets.dtype, tuple(targets.shape), shape, len(rows), "torch")
    if sample_weight is not None:
        contracts.sample_weight_shape(tuple(sample_weight.shape), rows)
    for name, tensor in (("targets", targets), ("sample_weight", sample_weight), ("normalizer", normalizer)):
        if isinstance(tensor, Tensor) and tensor.requires_grad and torch.is_grad_enabled():
            remedy = "For a gradient in weights multiply the losses of reduction='none'; else detach it."
            contracts.reject(name, "need no gradient here", "a tensor that requires one", remedy)
    if not isinstance(normalizer, Tensor):
        number = contracts.normalizer_number(normalizer, spec.reduction)
        return None if number is None else torch.tensor(number, dtype=torch.float64).to(hidden.device)
    readable = normalizer.is_cpu and normalizer.dim() == 0 and not torch.compiler.is_compiling()
    known = normalizer.item() if readable else normalizer if normalizer.dim() != 0 else 1.0
    contracts.normalizer_number(known, spec.reduction)
    return normalizer
