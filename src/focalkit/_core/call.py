"""One request to an engine, and what comes back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from focalkit._core.forms import NAMES
from focalkit._core.spec import LossSpec, cached_spec


class ClassParameters(NamedTuple):
    """Per-class parameters as arrays of the engine's library, each in place of the spec's where it is not None.

    ``alpha_other`` is 1 - alpha for the sigmoid, where it is known to more digits than the difference would have.
    """

    gamma: Any = None
    alpha: Any = None
    alpha_other: Any = None


#: Those of the spec are meant.
OF_THE_SPEC = ClassParameters()


def numbers_and_arrays(
    link: str, gamma: Any, alpha: Any, options: Any, is_array: Callable[[Any], bool], cached: bool = True
) -> tuple[LossSpec, ClassParameters]:
    """The spec of the parameters that are numbers, and those that are arrays of an engine's library beside it."""
    gammas, alphas = is_array(gamma), is_array(alpha)
    neutral = 0.0 if options.get("star") is None else 1.0
    numbers = neutral if gammas else gamma, None if alphas else alpha
    spec = cached_spec(link, *numbers, options) if cached else LossSpec(link, *numbers, **options)
    if not (gammas or alphas):
        return spec, OF_THE_SPEC
    return spec, ClassParameters(gamma if gammas else None, alpha if alphas else None)


Record = TypeVar("Record", bound=tuple[Any, ...])


def replaced(record: Record, **changes: Any) -> Record:
    """A named tuple's ``_replace``, in words that ``torch.compile`` follows in every version that is supported."""
    kind: Any = type(record)
    return kind(*[changes.get(name, value) for name, value in zip(kind._fields, record, strict=True)])  # type: ignore[no-any-return]


class Call(NamedTuple):
    """What every engine is asked: a spec and the arrays of one call, in the engine's own library.

    ``sample_weight`` has shape (n,) or one entry per loss; ``normalizer`` is a number or an array of one.
    ``out_dtype`` is the dtype of the loss, None for that of the logits; derivatives have the logits' dtype.
    ``check_finite`` asks for a look at the logits, and ``inplace`` allows to write the gradient over them.
    """

    spec: LossSpec
    logits: Any
    targets: Any
    sample_weight: Any = None
    normalizer: Any = None
    parameters: ClassParameters = OF_THE_SPEC
    out_dtype: Any = None
    check_finite: bool = False
    inplace: bool = False

    def with_logits(self, logits: Any) -> Call:
        """The same with other logits; in a third of the time that ``_replace`` takes."""
        return Call(self.spec, logits, *self[2:])


class Result(NamedTuple):
    """The loss, and as far as they were asked for its gradient and the diagonal of its Hessian in the logits."""

    loss: Any
    grad: Any = None
    hess: Any = None


def form_numbers(spec: LossSpec) -> tuple[int, float, float]:
    """The form as kernels take it: its number among ``forms.NAMES``, its parameter, and gamma of negatives."""
    if spec.form is None:
        return 0, 0.0, 0.0
    negatives = spec.negatives[0] if spec.form.name == "asymmetric" else 0.0
    return NAMES.index(spec.form.name), spec.form.number, negatives


def class_axis(spec: LossSpec, n_axes: int) -> int:
    """The axis of the classes in logits of ``n_axes`` axes, counted from the front; -1 for binary logits (n,)."""
    if spec.link == "sigmoid" and n_axes == 1:
        return -1
    return spec.class_axis % n_axes


def loss_shape(spec: LossSpec, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of one loss per target, for logits of this shape."""
    if spec.link == "sigmoid":
        return tuple(shape)
    axis = class_axis(spec, len(shape))
    return tuple(shape[:axis]) + tuple(shape[axis + 1 :])
