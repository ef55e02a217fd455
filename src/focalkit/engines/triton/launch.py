"""A call laid out for the Triton kernels: pointers, sizes, strides and tiles."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from focalkit._core.call import Call, class_axis, loss_shape
from focalkit.engines.torch import ops as composite
from focalkit.engines.triton.definition import ANY_POWER, FORMS, POWERS, form_number
from focalkit.engines.triton.sigmoid import sigmoid_elements
from focalkit.engines.triton.softmax_hard import hard_rows
from focalkit.engines.triton.softmax_soft import soft_rows

WIDE_FROM = (1 << 31) - (1 << 16)  # offsets from here on are counted in 64 bits; a tile may reach over the end
LANES = 32 if torch.version.hip is None else 64
#: Asked for, since Triton is about to change its default; nothing here leans on either.
FUSED = {"enable_fp_fusion": True}
_NATIVE_TARGETS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


#: What kernels ignore where ignore_index is NaN.
_NOTHING = -(1 << 31)


class Job(NamedTuple):
    """A call as its kernel takes it. ``n`` rows (elements for the sigmoid), shaped ``rows``; ``n_classes`` classes."""

    call: Call
    logits: Tensor
    targets: Tensor
    soft: bool
    sample_weight: Tensor | None
    alpha: Tensor | None
    other_alpha: Tensor | None
    gamma: Tensor | None
    power: int
    smooth: Tensor | None
    axis: int
    n: int
    n_classes: int
    rows: tuple[int, ...]
    dtype: torch.dtype
    ignore_index: int


def has_kernel(call: Call) -> bool:
    """Whether there is one: not for shifted logits, and for another form than the focal loss with class ids alone."""
    spec = call.spec
    if spec.shifts or spec.form is None:
        return not spec.shifts
    hard = spec.link == "softmax" and not composite.is_soft(call.targets) and spec.label_smoothing == 0
    return hard and spec.has_kernels and spec.form.name in FORMS


def job_of(call: Call) -> Job:
    """The call with its parameters on the device, in the dtype that is computed in."""
    spec, logits = call.spec, call.logits.detach().resolve_neg()
    dtype, axis = composite.compute_dtype(logits), class_axis(spec, logits.dim())
    targets = call.targets.detach().resolve_neg()
    soft = composite.is_soft(targets)
    if targets.dtype is torch.bool:
        targets = targets.view(torch.uint8)
    elif not soft and targets.dtype not in _NATIVE_TARGETS:
        targets = targets.long()
    ignore_index = _NOTHING if math.isnan(spec.ignore_index) else int(spec.ignore_index)
    if ignore_index == _NOTHING and soft:
        targets = torch.where(targets.isnan(), float(_NOTHING), targets)  # kernels compare
    shape = tuple(logits.shape)
    n_classes = shape[axis] if axis >= 0 else 1
    softmax = spec.link == "softmax"
    rows = loss_shape(spec, shape)
    weight = None
    if call.sample_weight is not None:
        weight = call.sample_weight.detach().to(dtype)
        weight = weight.reshape(weight.shape + (1,) * (len(rows) - weight.dim())).expand(rows)
    gamma, power = None, ANY_POWER
    if call.parameters.gamma is None and not isinstance(spec.gamma, tuple):
        power = POWERS.get(float(spec.gamma), ANY_POWER)  # type: ignore[arg-type]
    if power == ANY_POWER:
        gamma = _parameter(call.parameters.gamma, spec.gamma, dtype, logits.device)
    alpha = other = smooth = None
    if call.parameters.alpha is not None or spec.alpha is not None:
        alpha = _parameter(call.parameters.alpha, spec.alpha, dtype, logits.device)
        if not softmax:
            other = _complement(call.parameters.alpha, spec.alpha, dtype, logits.device)
    if spec.label_smoothing:
        spread = spec.label_smoothing / (n_classes if softmax else 2)
        smooth = _constants((1 - spec.label_smoothing, spread), dtype, logits.device)
    first = (call, logits, targets, soft, weight, alpha, other, gamma, power, smooth)
    return Job(*first, axis, math.prod(rows), n_classes, rows, dtype, ignore_index)


def _parameter(given: Tensor | None, value: Any, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Gamma or alpha on the device, (1,) or (K,)."""
    if given is None:
        return _constants(value if isinstance(value, tuple) else (value,), dtype, device)
    return given.detach().reshape(-1).to(device=device, dtype=dtype).contiguous()


def _complement(given: Tensor | None, value: Any, dtype: torch.dtype, device: torch.device) -> Tensor:
    """1 - alpha, subtracted before it is rounded."""
    if given is None:
        return _constants(tuple(1 - a for a in (value if isinstance(value, tuple) else (value,))), dtype, device)
    return (1 - given.detach().reshape(-1)).to(device=device, dtype=dtype)


@lru_cache(maxsize=256)
def _constants(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Numbers on the device: copied there once, so that later calls wait for nothing and graphs can be captured."""
    with torch.inference_mode(False):
        return torch.tensor(values, dtype=torch.float64, device="cpu").to(dtype).to(device)


def launch(job: Job, keep: Tensor | None, scale: Tensor | None, grad: Tensor | None, reduced: bool) -> Tensor:
    """Run the kernel; return the losses, or where ``reduced`` sums of them."""
    kernel = _launch_softmax if job.call.spec.link == "softmax" else _launch_sigmoid
    keep = None if keep is None else keep.view(torch.uint8)
    losses = kernel(job, keep, scale, grad, reduced)
    if losses is not None:
        return losses
    plain = {"memory_format": torch.contiguous_format}  # strides that three sizes do not describe
    job = job._replace(logits=job.logits.clone(**plain), targets=job.targets.clone(**plain))
    if job.sample_weight is not None and job.call.spec.link == "sigmoid":
        job = job._replace(sample_weight=job.sample_weight.clone(**plain))
    own = None if grad is None else torch.empty_like(job.logits, dtype=grad.dtype)
    losses = kernel(job, keep, scale, own, reduced)
    assert losses is not None
    if grad is not None and own is not None:
        grad.copy_(own)
    return losses


def _launch_softmax(
    job: Job, keep: Tensor | None, scale: Tensor | None, grad: Tensor | None, reduced: bool
) -> Tensor | None:
    def split(tensor: Tensor | None) -> tuple[list[int], int]:
        if tensor is None:
            return [0] * len(job.rows), 0
        steps = list(tensor.stride())
        return steps, steps.pop(job.axis)

    z, zc = split(job.logits)
    g, gc = split(grad)
    y, yc = split(job.targets if job.soft else None)
    sizes, strides = _merged(job.rows, z, g, y)
    if len(sizes) > 3:
        return None
    flat, n1, n2, (z, g, y) = _three(sizes, strides)
    last = zc <= z[2] or job.n == 1
    if last:
        multiple = _multiple(job.n_classes, *z, *g, *y)
    else:
        multiple = _multiple(n2, zc, gc, yc, *z[:2], *g[:2], *y[:2])
    hard = not job.soft and job.smooth is None
    on_chip, rows, columns, warps = _tile(job.n_classes, last, hard, job.dtype.itemsize)
    farthest = max(job.n, *(_farthest(t) for t in (job.logits, job.targets, grad) if t is not None))
    grid = (triton.cdiv(job.n, rows),)
    losses = _losses(job, grid, reduced)
    targets = job.targets if job.soft else job.targets.contiguous()
    weight = None if job.sample_weight is None else job.sample_weight.contiguous()
    steps = [0 if p is None or p.numel() == 1 else 1 for p in (job.alpha, job.gamma)]
    pointers = (job.logits, targets, weight, keep, job.alpha, job.gamma, scale)
    counts = (job.n, job.n_classes, job.ignore_index, *steps, n1, n2)
    options = {"POWER": job.power, "REDUCED": reduced, "ON_CHIP": on_chip, "FLAT": flat, "LAST": last}
    options |= {"MULTIPLE": multiple, "WIDE": farthest >= WIDE_FROM, "COMPUTE": _compute(job)}
    options |= {"ROWS": rows, "COLUMNS": columns, "num_warps": warps, **FUSED}
    if hard:
        form = job.call.spec.form
        options["FORM"] = 0 if form is None else FORMS[form.name]
        number = None if form is None else _constants((form_number(form),), job.dtype, job.logits.device)
        hard_rows[grid](*pointers[:-1], number, scale, losses, grad, *counts, *z, zc, *g, gc, **options)
    else:
        options["HARD"] = not job.soft
        soft_rows[grid](*pointers, job.smooth, losses, grad, *counts, *z, zc, *g, gc, *y, yc, **options)
    return losses


def _launch_sigmoid(
    job: Job, keep: Tensor | None, scale: Tensor | None, grad: Tensor | None, reduced: bool
) -> Tensor | None:
    n_axes = len(job.rows)

    def along(parameter: Tensor | None) -> list[int]:
        per_column = parameter is not None and parameter.numel() > 1
        return [1 if per_column and i == job.axis else 0 for i in range(n_axes)]

    tensors = (job.logits, grad, job.targets, job.sample_weight)
    strides = [[0] * n_axes if t is None else list(t.stride()) for t in tensors]
    sizes, strides = _merged(job.rows, *strides, along(job.alpha), along(job.gamma))
    if len(sizes) > 3:
        return None
    flat, n1, n2, strides = _three(sizes, strides)
    multiple = _multiple(n2, *(step for three in strides[:3] for step in three[:2]))
    farthest = max(job.n, *(_farthest(t) for t in tensors if t is not None))
    size = 1024
    grid = (triton.cdiv(job.n, size),)
    losses = _losses(job, grid, reduced)
    parameters = (job.alpha, job.other_alpha, job.gamma)
    sigmoid_elements[grid](
        job.logits,
        job.targets,
        job.sample_weight,
        keep,
        *parameters,
        scale,
        job.smooth,
        losses,
        grad,
        job.n,
        job.ignore_index,
        n1,
        n2,
        *(step for three in strides for step in three),
        HARD=not job.soft,
        POWER=job.power,
        REDUCED=reduced,
        FLAT=flat,
        MULTIPLE=multiple,
        WIDE=farthest >= WIDE_FROM,
        COMPUTE=_compute(job),
        SIZE=size,
        num_warps=128 // LANES,
        **FUSED,
    )
    return losses


def _losses(job: Job, grid: tuple[int], reduced: bool) -> Tensor:
    dtype, n = (torch.float64, grid[0]) if reduced else (job.dtype, job.n)
    return torch.empty(n, dtype=dtype, device=job.logits.device)


def _compute(job: Job) -> Any:
    return tl.float64 if job.dtype is torch.float64 else tl.float32


def _merged(sizes: tuple[int, ...], *strides: list[int]) -> tuple[list[int], list[list[int]]]:
    """Adjacent axes made one wherever the strides of every tensor allow it; axes of one entry are gone."""
    kept: list[tuple[int, tuple[int, ...]]] = []
    for size, *steps in zip(sizes, *strides, strict=True):
        if size == 1:
            continue
        if kept and all(outer == size * step for outer, step in zip(kept[-1][1], steps, strict=True)):
            kept[-1] = kept[-1][0] * size, tuple(steps)
        else:
            kept.append((size, tuple(steps)))
    return [size for size, _ in kept], [[steps[i] for _, steps in kept] for i in range(len(strides))]


def _three(sizes: list[int], strides: list[list[int]]) -> tuple[bool, int, int, list[list[int]]]:
    """Whether one axis is enough, the two inner sizes, and three strides for each tensor."""
    missing = 3 - len(sizes)
    _, n1, n2 = [1] * missing + sizes
    return len(sizes) <= 1, n1, n2, [[0] * missing + steps for steps in strides]


def _multiple(*numbers: int) -> int:
    """The largest power of two, up to 16, that divides all."""
    return math.gcd(16, *numbers)


def _farthest(tensor: Tensor) -> int:
    """The largest offset in a tensor."""
    return sum((size - 1) * step for size, step in zip(tensor.shape, tensor.stride(), strict=True))


def _tile(n_classes: int, last: bool, hard: bool, itemsize: int) -> tuple[bool, int, int, int]:
    """Whether rows are held on chip; the rows and columns of a tile; how many warps share it.

    A thread holds some 16 numbers of float32, half of that where every class has its own loss. Where pixels are
    contiguous a tile spans at least 16 of them, which is what a memory transaction carries.
    """
    each, small, most = (16, 2048, 16384) if hard else (8, 1024, 4096)
    columns = triton.next_power_of_2(n_classes)
    rows = max(1 if last else 16, small // columns)
    on_chip = rows * columns * itemsize <= most * 4
    if not on_chip:
        rows, columns = (1, 4096 if hard else 2048) if last else (32, 128 if hard else 64)
    threads = rows * columns * itemsize // (4 * each)
    return on_chip, rows, columns, min(1024, max(128, threads)) // LANES
