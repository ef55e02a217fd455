"""The kernels as an operator, so that compiled graphs call them without a break.

``focalkit::loss`` and ``focalkit::loss_and_gradient`` take the spec as arguments that a graph can hold. A number that
changes between calls (a schedule) must not be one of them: the graph would be compiled anew for each value. On the
processor the spec's numbers are therefore a small tensor, which the operator reads when it runs; on a device, where
reading would wait, they are constants of the graph, and gamma and alpha may be tensors that the host does not read.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from focalkit._core import contracts
from focalkit._core.call import Call, ClassParameters, replaced
from focalkit._core.forms import OF_SOFT_TARGETS
from focalkit._core.spec import CLASS_PARAMETERS, LossSpec
from focalkit.engines.torch import contracts as torch_contracts
from focalkit.engines.torch import cpu_kernels as torch_kernels
from focalkit.engines.torch.routes import gradient_dtype

#: The spec as arguments: see :class:`Arguments`.
SPEC = "Tensor? gamma, Tensor? alpha, float[] vectors, Tensor? scalars, float[] constants, int[] integers, str names"
_ARGUMENTS = "Tensor logits, Tensor targets, Tensor? sample_weight, Tensor? normalizer, " + SPEC + ", ScalarType dtype"

torch.library.define("focalkit::loss", f"({_ARGUMENTS}) -> Tensor")
torch.library.define("focalkit::loss_and_gradient", f"({_ARGUMENTS}) -> (Tensor, Tensor)")


class Arguments(NamedTuple):
    """A spec as arguments of the operators.

    ``gamma`` and ``alpha`` are tensors that take the place of the spec's; ``vectors`` are its per-class parameters that
    are vectors, one behind the other. Its single numbers (per-class parameters, scale, label_smoothing, keep_hardest
    as a fraction and as a count, negatives_per_positive; 0 where there is none) stand in ``scalars`` or, where that is
    None, in ``constants``. ``integers`` are ignore_index, class_axis and how long each vector is, ``names`` the link,
    the reduction, which per-class parameters are given, and ignore_index where it is no integer.
    """

    gamma: Tensor | None
    alpha: Tensor | None
    vectors: list[float]
    scalars: Tensor | None
    constants: list[float]
    integers: list[int]
    names: str


#: More rows than there are, in a number that a tensor holds.
_EVERYTHING = 2**62


def arguments_of(
    spec: LossSpec, gamma: Tensor | None = None, alpha: Tensor | None = None, *, constant: bool = False
) -> Arguments:
    """The spec as arguments of the operators; its numbers as a tensor unless they are to be constants."""
    per_class: list[Any] = [getattr(spec, name) for name in CLASS_PARAMETERS]
    vectors = [value if isinstance(value, tuple) else () for value in per_class]
    kind, form = form_arguments(spec)
    keep: Any = spec.keep_hardest or 0
    is_count = isinstance(keep, int)
    numbers: list[Any] = [
        *(0.0 if value is None or isinstance(value, tuple) else value for value in per_class),
        spec.scale,
        *form,
        spec.label_smoothing,
        0.0 if is_count else keep,
        min(keep, _EVERYTHING) if is_count else 0,
        spec.negatives_per_positive or 0.0,
    ]
    scalars = None
    if not constant:
        # a sum of tensors takes a number that changes between calls; a constructor does not
        zero = torch.zeros((), dtype=torch.float64, device="cpu")
        scalars, numbers = torch.stack([zero + number for number in numbers]), []
    ignored, integer = spec.ignore_index, isinstance(spec.ignore_index, int)
    value = "integer" if integer else "nan" if ignored != ignored else f"{ignored}"
    given = "".join("0" if value is None else "1" for value in per_class)
    names = f"{spec.link} {spec.reduction} {given} {value} {kind}"
    integers = [int(ignored) if integer else 0, spec.class_axis, *(len(vector) for vector in vectors)]
    return Arguments(gamma, alpha, [entry for v in vectors for entry in v], scalars, numbers, integers, names)


def form_arguments(spec: LossSpec) -> tuple[str, list[float]]:
    """The form by its name, with a table of gammas behind it, its parameter and gamma of negatives."""
    if spec.form is None:
        return "focal", [0.0, 0.0]
    if spec.gamma_steps is not None:
        return "steps:" + "/".join(f"{p!r}={gamma!r}" for p, gamma in spec.gamma_steps), [0.0, 0.0]
    negative = spec.negatives[0] if spec.form.name == "asymmetric" else 0.0
    return spec.form.name, [spec.form.number, negative]


def form_of(kind: str, number: float, negative: float) -> dict[str, Any]:
    """The fields of a spec that make the form."""
    if kind == "focal":
        return {}
    if kind.startswith("steps:"):
        rows = [row.split("=") for row in kind.removeprefix("steps:").split("/")]
        return {"gamma_steps": tuple((float(p), float(gamma)) for p, gamma in rows)}
    if kind == "asymmetric":
        return {"clip": number, "gamma_negative": negative}
    return {"quality": kind} if kind in OF_SOFT_TARGETS else {kind: number}


def apart(spec: LossSpec) -> tuple[LossSpec, Arguments]:
    """The spec without its vectors, and the arguments for all of it, with the vectors as tensors in host memory."""
    vectors = {name: getattr(spec, name) for name in ("gamma", "alpha") if isinstance(getattr(spec, name), tuple)}
    gamma, alpha = (
        torch.tensor(vectors[name], dtype=torch.float64, device="cpu") if name in vectors else None
        for name in ("gamma", "alpha")
    )
    numbers = spec.without(*vectors)
    return numbers, arguments_of(numbers, gamma, alpha)


def reduction_of(arguments: Arguments) -> str:
    """The reduction of such arguments, which is known while a graph is traced."""
    return arguments.names.split()[1]


def spec_of(arguments: Arguments) -> LossSpec:
    """The spec of such arguments, with the values of tensors in host memory."""
    gamma, alpha, vectors, scalars, constants, integers, names = arguments
    numbers = constants if scalars is None else scalars.tolist()
    tensors = tuple(None if tensor is None else values(tensor) for tensor in (gamma, alpha))
    return _spec(*tensors, tuple(vectors), tuple(numbers), tuple(integers), names)


def values(tensor: Tensor) -> tuple[float, ...] | None:
    """The entries of gamma or alpha; None on a device, where reading would wait."""
    return tuple(tensor.reshape(-1).tolist()) if tensor.is_cpu else None


@lru_cache(maxsize=256)
def _spec(
    gammas: tuple[float, ...] | None,
    alphas: tuple[float, ...] | None,
    vectors: tuple[float, ...],
    numbers: tuple[float, ...],
    integers: tuple[int, ...],
    names: str,
) -> LossSpec:
    *single, scale, number, negative, smoothing, fraction, count, ratio = numbers
    ignore_index, class_axis, *lengths = integers
    link, reduction, given, ignored, kind = names.split()
    per_class: dict[str, Any] = {}
    rest = iter(vectors)
    for name, value, length, there in zip(CLASS_PARAMETERS, single, lengths, given, strict=True):
        vector = tuple(next(rest) for _ in range(length))
        per_class[name] = vector or (value if there == "1" else None)
    for name, tensor in (("gamma", gammas), ("alpha", alphas)):
        if tensor is not None:
            per_class[name] = tensor if len(tensor) > 1 else tensor[0]
    return LossSpec(
        link,
        **per_class,
        **form_of(kind, number, negative),
        scale=scale,
        label_smoothing=smoothing,
        ignore_index=ignore_index if ignored == "integer" else float(ignored),
        reduction=reduction,
        keep_hardest=int(count) or fraction or None,
        negatives_per_positive=ratio or None,
        class_axis=class_axis,
    )


def _compute(
    order: int, logits: Tensor, targets: Tensor, weight: Any, normalizer: Any, arguments: Arguments, dtype: Any
) -> Any:
    call = Call(spec_of(arguments), logits.detach(), targets.detach(), weight, normalizer, out_dtype=dtype)
    with torch.no_grad():
        if logits.is_cuda:
            from focalkit.engines.triton import evaluate as triton

            call = replaced(call, parameters=ClassParameters(arguments.gamma, arguments.alpha))
            return triton.evaluate(torch_contracts.check(call), order, None, gradient_dtype(logits))
        return torch_kernels.evaluate(call, order)


@torch.library.impl("focalkit::loss", ("CPU", "CUDA"))
def _loss(logits: Tensor, targets: Tensor, weight: Any, normalizer: Any, *rest: Any) -> Tensor:
    *spec, dtype = rest
    value: Tensor = _compute(0, logits, targets, weight, normalizer, Arguments(*spec), dtype)[0]
    return value


@torch.library.impl("focalkit::loss_and_gradient", ("CPU", "CUDA"))
def _loss_and_gradient(
    logits: Tensor, targets: Tensor, weight: Any, normalizer: Any, *rest: Any
) -> tuple[Tensor, Tensor]:
    *spec, dtype = rest
    wide = logits.to(gradient_dtype(logits)) if logits.is_cpu else logits
    value, gradient, _ = _compute(1, wide, targets, weight, normalizer, Arguments(*spec), dtype)
    return value, gradient


def _shape_of(names: str, integers: list[int], logits: Tensor) -> list[Any]:
    """The shape of the loss."""
    link, reduction, *_ = names.split()
    shape = list(logits.shape) if reduction == "none" else []
    if shape and link == "softmax":
        del shape[integers[1]]
    return shape


def _loss_fake(logits: Tensor, *rest: Any) -> Tensor:
    *_, integers, names, dtype = rest
    return logits.new_empty(_shape_of(names, integers, logits), dtype=dtype)


def _loss_and_gradient_fake(logits: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
    return _loss_fake(logits, *rest), torch.empty_like(logits, dtype=gradient_dtype(logits))


def _setup_context(ctx: Any, inputs: Any, output: Any) -> None:
    logits, *_, integers, names, _ = inputs
    link, reduction, *_ = names.split()
    ctx.mark_non_differentiable(output[1])
    ctx.save_for_backward(output[1])
    ctx.dtype = logits.dtype
    ctx.axis = integers[1] if (link, reduction) == ("softmax", "none") else None
    ctx.n_arguments = len(inputs)


def _backward(ctx: Any, upstream: Tensor, _: Any) -> tuple[Any, ...]:
    if torch.is_grad_enabled():  # the gradient is to be differentiated
        remedy = "A second derivative needs the loss outside of compiled code: torch.compiler.disable it."
        contracts.reject("create_graph", "be False in compiled code", True, remedy)
    (gradient,) = ctx.saved_tensors
    upstream = upstream if ctx.axis is None else upstream.unsqueeze(ctx.axis)
    return (gradient * upstream).to(ctx.dtype), *(None,) * (ctx.n_arguments - 1)


torch.library.register_fake("focalkit::loss", _loss_fake)
torch.library.register_fake("focalkit::loss_and_gradient", _loss_and_gradient_fake)
torch.library.register_autograd("focalkit::loss_and_gradient", _backward, setup_context=_setup_context)


def loss(
    spec: Arguments, logits: Tensor, targets: Tensor, sample_weight: Any, normalizer: Any, dtype: torch.dtype
) -> Tensor:
    """Return the loss as a call of the operator; the gradient comes with it where one is recorded."""
    arguments = (logits, targets, sample_weight, normalizer, *spec, dtype)
    if torch.is_grad_enabled() and logits.requires_grad:
        value: Tensor
        value, _ = torch.ops.focalkit.loss_and_gradient(*arguments)
        return value
    return torch.ops.focalkit.loss(*arguments)  # type: ignore[no-any-return]
