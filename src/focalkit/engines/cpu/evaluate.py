"""NumPy arrays on the processor: compiled kernels, loss and derivatives in one pass over the logits.

Half types are computed in float32 and rounded once. Sums are in float64 over pieces of a fixed size, in a
fixed order, so the bits are the same for every number of threads. Where targets turn out to be invalid, an
``InputError`` is raised; a gradient that was asked for in ``out`` may then be partly written (but class ids
are looked at first, and so is every target where the gradient goes over the logits).

Large fresh results (1 MiB and more) lie in recycled memory: once an array is garbage, its memory is kept
for the next result, up to :func:`memory_limit` bytes (1 GiB unless set). :func:`held_memory` tells how much
that is now and :func:`release_memory` gives it back to the system.
"""

from __future__ import annotations

import math
import os
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from focalkit._core import contracts, reduction
from focalkit._core.call import Call, Result, class_axis
from focalkit._core.ops import NUMPY
from focalkit._core.spec import REDUCTIONS, LossSpec

try:
    from focalkit.engines import _cpu
except ImportError as error:
    message = (
        f"focalkit's compiled kernels could not be loaded ({error}). Install the package rather than running its "
        "source tree: pip install . (it needs a C++20 compiler, e.g. g++ 11 or later)"
    )
    raise ImportError(message) from error

_POOLED_FROM = 1 << 20
_LARGEST_FLOAT32 = float(np.finfo(np.float32).max)
_asked = os.environ.get("FOCALKIT_INSTRUCTION_SET")
if _asked and _cpu.instruction_set() != _asked:
    warnings.warn(
        f"FOCALKIT_INSTRUCTION_SET={_asked!r} is not one this machine and build have; using {_cpu.instruction_set()!r}",
        RuntimeWarning,
        stacklevel=2,
    )


def instruction_set() -> str:
    """Name the instruction set in use: "avx512", "avx2" or "baseline" (what every machine of its kind has).

    The best that the machine has, unless the environment variable ``FOCALKIT_INSTRUCTION_SET`` names a lower one.
    """
    return _cpu.instruction_set()


def instruction_sets() -> tuple[str, ...]:
    """Name all instruction sets that this machine and build have, the best first."""
    return tuple(name for name in ("avx512", "avx2", "baseline") if _cpu.has_instruction_set(name))


def set_num_threads(threads: int | None) -> None:
    """Set how many threads a large call may use; None leaves it to OpenMP.

    Never more than OpenMP allows (``OMP_NUM_THREADS``, threadpoolctl), and small inputs stay on one.

    Parameters
    ----------
    threads : int >= 1 or None
        The most threads for one call.

    Raises
    ------
    InputError
        Where ``threads`` is anything else.

    Examples
    --------
    >>> set_num_threads(1)
    >>> get_num_threads()
    1
    >>> set_num_threads(None)
    """
    if threads is not None and (isinstance(threads, bool) or not isinstance(threads, int) or threads < 1):
        contracts.reject("threads", "be an int of at least 1, or None", threads, "None leaves it to OpenMP.")
    _cpu.set_threads(threads or 0)


def get_num_threads() -> int:
    """How many threads a large call would use now."""
    return _cpu.threads()


def held_memory() -> int:
    """Bytes of recycled memory held for later results."""
    return _cpu.held_memory()


def release_memory() -> int:
    """Give all recycled memory back to the system; returns how many bytes that was."""
    return _cpu.release_memory()


def memory_limit() -> int:
    """The most bytes that are ever held for later results."""
    return _cpu.memory_limit()


def set_memory_limit(limit: int) -> None:
    """Set the most bytes that are ever held for later results; 0 holds nothing."""
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 0:
        contracts.reject("limit", "be a number of bytes", limit, "0 holds nothing.")
    _cpu.set_memory_limit(limit)


def attempt(
    spec: LossSpec, logits: Any, targets: Any, sample_weight: Any, normalizer: Any, order: int, out: Any
) -> tuple[Any, NDArray[Any] | None, NDArray[Any] | None] | None:
    """Compute at once what keeps its contracts, which are checked in the same pass.

    None where something is unusual or wrong: then :func:`focalkit.engines._inputs.read` says what, or
    makes a checked call of it for :func:`evaluate`.
    """
    if type(logits) is not np.ndarray or type(targets) is not np.ndarray:
        return None
    if sample_weight is not None and type(sample_weight) is not np.ndarray:
        return None
    if out is not None and type(out) is not np.ndarray:
        return None
    if normalizer is not None:
        normalizer = contracts.normalizer_number(normalizer, spec.reduction)
        if normalizer == 0:
            return None  # only who looks at the targets can tell whether that is right
    result = _compute(spec, logits, targets, sample_weight, normalizer, order, out, False)
    return None if isinstance(result, str) else result


def refusal(
    spec: LossSpec,
    logits: Any,
    targets: Any,
    sample_weight: Any = None,
    normalizer: float | None = None,
    order: int = 1,
    out: Any = None,
) -> str | None:
    """Say why :func:`attempt` leaves a call to the slow path; None where it does not. For tests and reports of bugs."""
    arrays = {"logits": logits, "targets": targets, "sample_weight": sample_weight, "out": out}
    for name, array in arrays.items():
        if type(array) is not np.ndarray and (array is not None or name in ("logits", "targets")):
            return f"{name}: no array of NumPy's own type"
    result = _compute(spec, logits, targets, sample_weight, normalizer, order, out, False)
    return result if isinstance(result, str) else None


def evaluate(call: Call, order: int, out: NDArray[Any] | None = None) -> Result:
    """Loss and, from ``order`` 1, the gradient (into ``out`` where given), 2 the Hessian's diagonal of a checked call.

    Arrays are made contiguous, aligned and native-endian where the kernels need it.
    """
    spec, normalizer = call.spec, call.normalizer
    logits, targets, weight = _native(call.logits), _native(call.targets), call.sample_weight
    if logits.dtype != np.float64 and beyond_float32(spec):
        logits = logits.astype(np.float64)
    if targets.dtype.kind in "iu" and targets.dtype.char not in "bBil":
        targets = targets.astype(np.int64)
    if targets.dtype.char == "g":
        targets = targets.astype(np.float64)
    targets, counted = without_ignored(spec, targets)
    result = _compute(spec, logits, targets, weight, normalizer, order, None, True, counted)
    if isinstance(result, str):
        logits, targets = np.array(logits, order="C"), np.array(targets, order="C")  # aligned, too
        weight = None if weight is None else np.array(weight, order="C")
        result = _compute(spec, logits, targets, weight, normalizer, order, None, True, counted)
    if isinstance(result, str):
        message = f"the kernels refused {logits.dtype} logits of shape {logits.shape} ({result}); please report this"
        raise RuntimeError(message)
    value, grad, hess = result
    dtype = call.logits.dtype
    if logits.dtype != dtype:
        with np.errstate(over="ignore"):
            value = np.asarray(value).astype(dtype)[()]
            grad, hess = (None if part is None else part.astype(dtype) for part in (grad, hess))
    if out is not None and grad is not None:
        out[...] = grad
        grad = out
    return Result(value, grad, hess)


def without_ignored(spec: LossSpec, targets: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
    """Float targets of the sigmoid with 0 for those that are ``ignore_index``, and which are not; None: all are not.

    The kernels ignore integers alone: floats they leave out as hard example mining does.
    """
    if spec.link == "softmax" or not NUMPY.is_float(targets):
        return targets, None
    counted: NDArray[np.bool_] = reduction.counted(spec, targets, 1, NUMPY)
    if counted.all():
        return targets, None
    return np.where(counted, targets, np.zeros_like(targets)), np.ascontiguousarray(counted).reshape(-1)


def beyond_float32(spec: LossSpec) -> bool:
    """Whether a gamma is too large for float32: then narrower logits are computed in float64."""
    gamma = spec.gamma
    largest: float = max(gamma) if isinstance(gamma, tuple) else gamma  # type: ignore[assignment]
    return largest > _LARGEST_FLOAT32


def _native(array: NDArray[Any]) -> NDArray[Any]:
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def _is_bfloat16(array: NDArray[Any]) -> bool:
    return array.dtype.num >= 256 and array.dtype.name == "bfloat16"


def _compute(
    spec: LossSpec,
    logits: NDArray[Any],
    targets: NDArray[Any],
    weight: NDArray[Any] | None,
    normalizer: float | None,
    order: int,
    out: NDArray[Any] | None,
    checked: bool,
    counted: NDArray[np.bool_] | None = None,
) -> tuple[Any, NDArray[Any] | None, NDArray[Any] | None] | str:
    """The result, or why the kernels refuse."""
    dtype = logits.dtype
    half = 0
    if dtype.num >= 256 or targets.dtype.num >= 256:  # the buffer protocol has no name for bfloat16
        half = _is_bfloat16(logits) + 2 * _is_bfloat16(targets)
        if not half:
            return "logits: not a floating type of the kernels"
    elif dtype.char not in "fde":
        return "logits: not a floating type of the kernels"
    z = logits.view(np.uint16) if half & 1 else logits
    y = targets.view(np.uint16) if half & 2 else targets
    grad: NDArray[Any] | None = None
    hess: NDArray[Any] | None = None
    if order:
        if out is None:
            grad = _fresh(z)
        elif out.dtype == dtype:
            grad = out.view(np.uint16) if half & 1 else out
        else:
            return "out: another type than the logits"
        if order == 2:
            hess = _fresh(z)
    plan = _plan(spec)
    keep = counted
    losses: NDArray[Any] | None = None
    if spec.keep_hardest is not None or spec.negatives_per_positive is not None:
        mined = _mine(spec, plan, z, y, weight, half, checked, targets, counted)
        if isinstance(mined, str):
            return mined
        keep = mined
    if spec.reduction == "none":
        losses = _empty(_rows(spec, logits.shape), z.dtype)
    value = _cpu.evaluate(plan, z, y, weight, grad, hess, losses, keep, normalizer or 0.0, order, half, checked)
    if isinstance(value, str):
        return value
    if half & 1:
        losses, grad, hess = (None if part is None else part.view(dtype) for part in (losses, grad, hess))
    if out is not None:
        grad = out
    return (_scalar(value, dtype) if losses is None else losses), grad, hess


def _scalar(value: float, dtype: np.dtype[Any]) -> Any:
    if value < 60000:  # within every dtype
        return dtype.type(value)
    with np.errstate(all="ignore"):
        return dtype.type(value)


def _rows(spec: LossSpec, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of one loss per target; a class axis that does not exist is refused by the kernels."""
    if spec.link == "sigmoid":
        return shape
    axis = spec.class_axis + len(shape) if spec.class_axis < 0 else spec.class_axis
    return shape[:axis] + shape[axis + 1 :]


def _mine(
    spec: LossSpec,
    plan: _cpu.Plan,
    z: NDArray[Any],
    y: NDArray[Any],
    weight: NDArray[Any] | None,
    half: int,
    checked: bool,
    targets: NDArray[Any],
    counted: NDArray[np.bool_] | None = None,
) -> NDArray[np.bool_] | str:
    """Which losses hard example mining keeps, chosen before they are rounded to a half type; or a refusal."""
    rows = _rows(spec, z.shape)
    losses = _empty(rows, np.dtype(np.float64 if z.dtype.char == "d" else np.float32))
    value = _cpu.evaluate(plan, z, y, weight, None, None, losses, None, 0.0, 0, half, checked)
    if isinstance(value, str):
        return value
    axis = class_axis(spec, z.ndim)
    if counted is None:
        counted = reduction.counted(spec, targets, axis, NUMPY).reshape(-1)
    positive = reduction.positive(spec, targets, axis, NUMPY).reshape(-1)
    kept: NDArray[np.bool_] = reduction.kept(spec, losses.reshape(-1), counted, positive, NUMPY, _largest)
    return kept


def _largest(losses: NDArray[Any], among: NDArray[np.bool_], count: Any) -> NDArray[np.bool_]:
    keep = np.zeros(losses.size, bool)
    _cpu.keep_largest(losses, among, int(count), keep)
    return keep


def _fresh(like: NDArray[Any]) -> NDArray[Any]:
    """An array of the same shape and dtype, in C order; large ones in recycled memory."""
    return _empty(like.shape, like.dtype)


def _empty(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    nbytes = math.prod(shape) * dtype.itemsize
    if nbytes < _POOLED_FROM:
        return np.empty(shape, dtype)
    return np.ndarray(shape, dtype, memoryview(_cpu.Block(nbytes)))


#: The ignore_index of kernels where that of the spec is NaN, which integers never are.
NO_ID = -(1 << 63)

_last: tuple[LossSpec | None, _cpu.Plan | None] = (None, None)


def _plan(spec: LossSpec) -> _cpu.Plan:
    """The spec as the kernels read it; made once for a spec used again and again."""
    global _last
    known, plan = _last
    if known is spec and plan is not None:
        return plan

    def vector(value: Any) -> list[float]:
        return list(value) if isinstance(value, tuple) else [value]

    plan = _cpu.Plan(
        spec.link == "sigmoid",
        REDUCTIONS.index(spec.reduction),
        spec.label_smoothing,
        NO_ID if math.isnan(spec.ignore_index) else int(spec.ignore_index),
        spec.class_axis,
        vector(spec.gamma),
        None if spec.alpha is None else vector(spec.alpha),
    )
    _last = (spec, plan)
    return plan
