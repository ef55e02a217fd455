"""One call of the kernels: what keeps its contracts is computed at once, the checks being made in the same pass.

:func:`attempt` is where the losses of arrays begin; what it declines is checked, copied where need be, and computed
by :mod:`~focalkit.engines.cpu.evaluate`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from focalkit._core import contracts, reduction
from focalkit._core.call import class_axis, form_numbers
from focalkit._core.ops import NUMPY
from focalkit._core.spec import REDUCTIONS, LossSpec
from focalkit.engines import _cpu
from focalkit.engines._inputs import beyond_float32
from focalkit.engines.cpu.machine import empty, fresh


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
    if not spec.has_kernels:
        return None
    if out is not None and type(out) is not np.ndarray:
        return None
    if normalizer is not None:
        normalizer = contracts.normalizer_number(normalizer, spec.reduction)
        if normalizer == 0:
            return None  # only who looks at the targets can tell whether that is right
    result = compute(spec, logits, targets, sample_weight, normalizer, order, out, False)
    return None if type(result) is str else result  # type: ignore[return-value]


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
    if not spec.has_kernels:
        return "spec: a form that no kernel has"
    result = compute(spec, logits, targets, sample_weight, normalizer, order, out, False)
    return result if isinstance(result, str) else None


def _is_bfloat16(array: NDArray[Any]) -> bool:
    return array.dtype.num >= 256 and array.dtype.name == "bfloat16"


def compute(
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
            grad = fresh(z)
        elif out.dtype == dtype:
            grad = out.view(np.uint16) if half & 1 else out
        else:
            return "out: another type than the logits"
        if order == 2:
            hess = fresh(z)
    known, plan, one_mean = _last
    if known is not spec:
        plan, one_mean = _remember(spec)
    keep = counted
    losses: NDArray[Any] | None = None
    if not one_mean:
        if spec.keep_hardest is not None or spec.negatives_per_positive is not None:
            mined = mine(spec, plan, z, y, weight, half, checked, targets, counted)
            if isinstance(mined, str):
                return mined
            keep = mined
        if spec.reduction == "none":
            losses = empty(rows_of(spec, logits.shape), z.dtype)
    value: Any = _cpu.evaluate(plan, z, y, weight, grad, hess, losses, keep, normalizer or 0.0, order, half, checked)
    if type(value) is str:
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


def rows_of(spec: LossSpec, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of one loss per target; a class axis that does not exist is refused by the kernels."""
    if spec.link == "sigmoid":
        return shape
    axis = spec.class_axis + len(shape) if spec.class_axis < 0 else spec.class_axis
    return shape[:axis] + shape[axis + 1 :]


def mine(
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
    rows = rows_of(spec, z.shape)
    losses = empty(rows, np.dtype(np.float64 if z.dtype.char == "d" else np.float32))
    value = _cpu.evaluate(plan, z, y, weight, None, None, losses, None, 0.0, 0, half, checked)
    if isinstance(value, str):
        return value
    axis = class_axis(spec, z.ndim)
    if counted is None:
        counted = reduction.counted(spec, targets, axis, NUMPY).reshape(-1)
    positive = reduction.positive(spec, targets, axis, NUMPY).reshape(-1)
    kept: NDArray[np.bool_] = reduction.kept(spec, losses.reshape(-1), counted, positive, NUMPY, largest)
    return kept


def largest(losses: NDArray[Any], among: NDArray[np.bool_], count: Any) -> NDArray[np.bool_]:
    """Where the ``count`` largest of the losses ``among`` are, NaN first, of equal ones the first."""
    keep = np.zeros(losses.size, bool)
    _cpu.keep_largest(losses, among, int(count), keep)
    return keep


#: The ignore_index of kernels where that of the spec is NaN, which integers never are.
NO_ID = -(1 << 63)

#: The spec used last, as the kernels read it, and whether its loss is one number of all that counts.
_last: tuple[LossSpec | None, Any, bool] = (None, None, False)
#: Those of the last few specs, by their addresses, which stay theirs as long as they are held here: vectors of many
#: classes take their time.
_recent: dict[int, tuple[LossSpec, _cpu.Plan, bool]] = {}
_MOST_RECENT = 16


def plan_of(spec: LossSpec) -> _cpu.Plan:
    """The spec as the kernels read it; made once for a spec used again and again."""
    known, plan, _ = _last
    return plan if known is spec else _remember(spec)[0]


def _remember(spec: LossSpec) -> tuple[_cpu.Plan, bool]:
    global _last
    found = _recent.get(id(spec))
    if found is None:
        if len(_recent) >= _MOST_RECENT:
            _recent.clear()
        found = _recent[id(spec)] = (spec, *_read(spec))
    _last = found
    return found[1], found[2]


def _read(spec: LossSpec) -> tuple[_cpu.Plan, bool]:
    def vector(value: Any) -> list[float]:
        return list(value) if isinstance(value, tuple) else [value]

    adjustment, margin = (None if shift is None else list(shift) for shift in spec.shift_vectors())
    plan = _cpu.Plan(
        spec.link == "sigmoid",
        REDUCTIONS.index(spec.reduction),
        spec.label_smoothing,
        NO_ID if math.isnan(spec.ignore_index) else int(spec.ignore_index),
        spec.class_axis,
        spec.scale,
        *form_numbers(spec),
        vector(spec.gamma),
        None if spec.alpha is None else vector(spec.alpha),
        adjustment,
        margin,
        beyond_float32(spec),
    )
    one_mean = spec.reduction != "none" and spec.keep_hardest is None and spec.negatives_per_positive is None
    return plan, one_mean
