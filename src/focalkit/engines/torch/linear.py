"""Linear layer and softmax loss in one, as an operator that eager and compiled code call alike.

``torch_chunks`` computes. The gradients come with the loss; backward scales them. Where more is asked of automatic
differentiation (a second derivative, forward mode, ``torch.func``), and for ``torch.export``, the layer and the loss
go one after the other, with all logits.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from focalkit._core import contracts
from focalkit._core.call import Call
from focalkit._core.spec import LossSpec
from focalkit.engines.torch import _internals
from focalkit.engines.torch import compiled as torch_operator
from focalkit.engines.torch import contracts as torch_contracts
from focalkit.engines.torch import data_parallel as torch_parallel
from focalkit.engines.torch import dispatch as engine
from focalkit.engines.torch import linear_chunks as torch_chunks
from focalkit.engines.torch.linear_chunks import Layer, Wanted

_ARGUMENTS = "Tensor hidden, Tensor weight, Tensor? bias, Tensor targets, Tensor? sample_weight, Tensor? normalizer, "
_ARGUMENTS += torch_operator.SPEC + ", float softcap, int budget, ScalarType inner, ScalarType dtype, bool[] wanted"
_N_TENSORS, _N_SPEC = 6, len(torch_operator.Arguments._fields)
_N_ARGUMENTS = _N_TENSORS + _N_SPEC + 5

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
    known: torch_operator.Arguments | None = None,
) -> Tensor:
    """Return the loss, reduced as ``spec`` says; ``known`` are the operators' arguments for it, made beforehand."""
    if isinstance(normalizer, str):
        spec, normalizer = _over_ranks(spec, normalizer, hidden, weight, targets, bias, sample_weight, softcap, budget)
    sample_weight, normalizer = _check(spec, hidden, weight, targets, bias, sample_weight, normalizer, softcap, budget)
    rows, n_classes, device = hidden.shape[:-1], weight.shape[0], hidden.device
    compiling = torch.compiler.is_compiling() and not torch.compiler.is_exporting()
    if sample_weight is not None:
        ones = (1,) * (len(rows) - sample_weight.dim())
        sample_weight = sample_weight.reshape(*sample_weight.shape, *ones).expand(rows).reshape(-1)
    product, dtype = _types(hidden)
    if known is None or device.type != "cpu":
        known = torch_operator.arguments_of(spec, constant=not (compiling and device.type == "cpu"))
    arguments = (
        hidden.flatten(0, -2),
        weight,
        bias,
        targets.reshape(-1, n_classes) if targets.is_floating_point() else targets.reshape(-1),
        sample_weight,
        normalizer,
        *known,
        softcap or 0.0,
        budget or (_BUDGET_OF_HOST if device.type == "cpu" else _BUDGET_OF_DEVICE),
        torch_chunks.inner_dtype(product, device),
        dtype,
        [torch.is_grad_enabled() and t is not None and t.requires_grad for t in (hidden, weight, bias)],
    )
    if torch.compiler.is_exporting() or (not compiling and _internals.functional()):
        value = _in_turn(_call(*arguments).layer())
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


class _Call(NamedTuple):
    """The arguments of the operators."""

    hidden: Tensor
    weight: Tensor
    bias: Tensor | None
    targets: Tensor
    sample_weight: Tensor | None
    normalizer: Tensor | None
    spec: torch_operator.Arguments
    softcap: float
    budget: int
    inner: torch.dtype
    dtype: torch.dtype
    wanted: Wanted

    @property
    def each(self) -> bool:
        """Whether every row's loss is returned; its gradients are then computed in backward."""
        return torch_operator.reduction_of(self.spec) == "none"

    def layer(self) -> Layer:
        """The same with the spec that the arguments stand for."""
        parts: tuple[Any, ...] = self
        return Layer(
            replace(torch_operator.spec_of(self.spec), class_axis=1), *parts[:_N_TENSORS], *parts[_N_TENSORS + 1 : -1]
        )


def _call(*arguments: Any) -> _Call:
    spec, rest = arguments[_N_TENSORS : _N_TENSORS + _N_SPEC], arguments[_N_TENSORS + _N_SPEC :]
    parts: Any = *arguments[:_N_TENSORS], torch_operator.Arguments(*spec), *rest[:-1], Wanted(*rest[-1])
    return _Call(*parts)


@torch.library.impl("focalkit::linear_loss", "default")
def _loss(*arguments: Any) -> tuple[Tensor, ...]:
    call = _call(*arguments)
    value, gradients = torch_chunks.evaluate(call.layer(), Wanted() if call.each else call.wanted)
    return value, *gradients


@torch.library.impl("focalkit::linear_gradients", "default")
def _gradients(upstream: Tensor, *arguments: Any) -> tuple[Tensor, ...]:
    call = _call(*arguments)
    return torch_chunks.evaluate(call.layer(), call.wanted, upstream)[1]


def _loss_fake(*arguments: Any) -> tuple[Tensor, ...]:
    call = _call(*arguments)
    value = call.hidden.new_empty(call.hidden.shape[:1] if call.each else (), dtype=call.dtype)
    return value, *_like(call, Wanted() if call.each else call.wanted)


def _like(call: _Call, wanted: Wanted) -> tuple[Tensor, ...]:
    pairs = zip((call.hidden, call.weight, call.bias), wanted, strict=True)
    of = [(call.weight if tensor is None else tensor, one) for tensor, one in pairs]
    return tuple(t.new_empty(t.shape if one else 0, dtype=torch_chunks.kept_dtype(t.dtype)) for t, one in of)


def _setup_context(ctx: Any, inputs: Any, output: Any) -> None:
    ctx.set_materialize_grads(False)  # or backward would be given zeros as large as the weight
    ctx.mark_non_differentiable(*output[1:])
    tensors = [at for at, one in enumerate(inputs) if isinstance(one, Tensor)]
    ctx.save_for_backward(*(inputs[at] for at in tensors), *output[1:])
    ctx.tensors = tensors
    ctx.rest = [None if isinstance(one, Tensor) else one for one in inputs]


def _backward(ctx: Any, upstream: Tensor | None, *_: Any) -> tuple[Any, ...]:
    if upstream is None:
        return (None,) * _N_ARGUMENTS
    arguments, saved = list(ctx.rest), ctx.saved_tensors
    for at, tensor in zip(ctx.tensors, saved, strict=False):
        arguments[at] = tensor
    call = _call(*arguments)
    wanted = call.wanted
    inputs: Any = call.hidden, call.weight, call.bias
    if torch.is_grad_enabled():  # the gradient is to be differentiated
        asked = [tensor for tensor, one in zip(inputs, wanted, strict=True) if one]
        found = iter(torch.autograd.grad(_in_turn(call.layer()), asked, upstream, create_graph=True))
        gradients = tuple(next(found) if one else None for one in wanted)
        return *gradients, *(None,) * (_N_ARGUMENTS - 3)
    made = saved[len(ctx.tensors) :]
    if call.each:
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
    if type(upstream) is not Tensor or _internals.is_batched(upstream) or _internals.keeps_graph():
        return gradient * upstream
    return gradient if upstream.is_cpu and upstream.item() == 1.0 else gradient.mul_(upstream)


torch.library.register_fake("focalkit::linear_loss", _loss_fake)
torch.library.register_fake("focalkit::linear_gradients", lambda upstream, *a: _like(_call(*a), _call(*a).wanted))
torch.library.register_autograd("focalkit::linear_loss", _backward, setup_context=_setup_context)


# contracts


def _over_ranks(spec: LossSpec, word: str, hidden: Any, weight: Any, targets: Any, *rest: Any) -> tuple[LossSpec, Any]:
    """The spec and the normalizer of a mean over all ranks."""
    bias, sample_weight, softcap, budget = rest
    last = replace(spec, class_axis=-1)

    def check() -> None:
        _check(spec, hidden, weight, targets, bias, sample_weight, None, softcap, budget)
        logits = hidden.new_zeros(()).expand(*hidden.shape[:-1], weight.shape[0])  # takes no memory
        torch_contracts.check(Call(last, logits, targets, sample_weight))

    return torch_parallel.global_mean(Call(last, None, targets, sample_weight), word, check)


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
    _check_layer(hidden, weight, bias)
    sample_weight = torch_contracts.weight_tensor(sample_weight, hidden)
    return sample_weight, _check_rest(spec, hidden, weight, targets, sample_weight, normalizer)


def _check_layer(hidden: Tensor, weight: Tensor, bias: Tensor | None) -> None:
    for name, tensor in (("hidden", hidden), ("weight", weight), ("bias", bias)):
        if not isinstance(tensor, Tensor):
            if name == "bias" and tensor is None:
                continue
            contracts.reject(
                name, "be a tensor of PyTorch", contracts.Words(type(tensor).__name__), "Use torch.as_tensor."
            )
        if tensor.dtype not in torch_contracts.FLOATS or tensor.layout != torch.strided:
            contract = "be a dense floating tensor (float16, bfloat16, float32 or float64)"
            contracts.reject(name, contract, contracts.Words(f"{tensor.dtype}, {tensor.layout}"), "Convert it first.")
        if tensor.device != hidden.device:
            contract = f"lie on the device of the hidden states, {hidden.device}"
            contracts.reject(
                name, contract, contracts.Words(str(tensor.device)), f"Move it with {name}.to(hidden.device)."
            )
        if tensor.dtype != hidden.dtype and not torch.is_autocast_enabled(hidden.device.type):
            contract = f"have the dtype of the hidden states, {hidden.dtype}"
            contracts.reject(
                name, contract, contracts.Words(str(tensor.dtype)), "Convert one of them, or use torch.autocast."
            )
    if hidden.dim() < 2:
        contract = "have shape (n, in_features) or (n, length, in_features)"
        contracts.reject("hidden", contract, contracts.Words(f"shape {tuple(hidden.shape)}"), "Add a batch axis.")
    width = hidden.shape[-1]
    if weight.dim() != 2 or weight.shape[1] != width or weight.shape[0] == 0:
        remedy = "Pass the weight as torch.nn.Linear holds it, one row per class."
        contracts.reject(
            "weight", f"have shape (n_classes, {width})", contracts.Words(f"shape {tuple(weight.shape)}"), remedy
        )
    if bias is not None and bias.shape != weight.shape[:1]:
        contract = f"have shape {tuple(weight.shape[:1])}"
        contracts.reject("bias", contract, contracts.Words(f"shape {tuple(bias.shape)}"), "Pass one number per class.")


def _check_rest(
    spec: LossSpec, hidden: Tensor, weight: Tensor, targets: Any, sample_weight: Tensor | None, normalizer: Any
) -> Tensor | None:
    """Targets, weights and normalizer; values as far as the kernels do not check them. Return the normalizer."""
    torch_contracts.types(hidden, targets)
    rows, n_classes = tuple(hidden.shape[:-1]), weight.shape[0]
    for name, value in spec.class_parameters().items():
        contracts.class_vector(name, value, n_classes)
    integer, shape = not targets.is_floating_point(), (*rows, n_classes)
    contracts.softmax_targets_shape(integer, targets.dtype, tuple(targets.shape), shape, len(rows), "torch")
    if sample_weight is not None:
        contracts.sample_weight_shape(tuple(sample_weight.shape), rows)
    for name, tensor in (("targets", targets), ("sample_weight", sample_weight), ("normalizer", normalizer)):
        if isinstance(tensor, Tensor) and tensor.requires_grad and torch.is_grad_enabled():
            remedy = "For a gradient in weights multiply the losses of reduction='none'; else detach it."
            contracts.reject(name, "need no gradient here", contracts.Words("a tensor that requires one"), remedy)
    if not isinstance(normalizer, Tensor):
        number = contracts.normalizer_number(normalizer, spec.reduction)
        return None if number is None else torch.tensor(number, dtype=torch.float64).to(hidden.device)
    readable = normalizer.is_cpu and normalizer.dim() == 0 and not torch.compiler.is_compiling()
    known = normalizer.item() if readable else normalizer if normalizer.dim() != 0 else 1.0
    contracts.normalizer_number(known, spec.reduction)
    return normalizer
