"""A linear layer and its softmax loss, some rows at a time: the logits of all rows never exist.

For each chunk of rows the logits are made, the loss writes its gradient over them, and the products of the
layer's backward are taken while they last:

    z = x W' + b        G = dloss/dz, over z        dx = G W        dW += G' x        db += sum of G

Each product is taken once, unless the loss of each row is asked for (``reduction="none"``): its upstream gradient
comes too late, so the logits are made again. What a call takes beside what it returns: one chunk of logits, and for
bfloat16 weights a float32 sum of their gradient, since a sum kept in bfloat16 is rounded once a chunk.
"""

from __future__ import annotations

import math
import mmap
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from focalkit._core import reduction
from focalkit._core.call import Call
from focalkit._core.spec import LossSpec
from focalkit.engines.torch import cpu_kernels as torch_kernels
from focalkit.engines.torch import data_parallel as torch_parallel
from focalkit.engines.torch import dispatch as engine
from focalkit.engines.torch import ops as composite

_HALF_TYPES = frozenset({torch.float16, torch.bfloat16})
_TILE = 16  # rows, of the products
_MAPPED_FROM = 1 << 20  # bytes
_FEWEST_CLASSES, _ENOUGH_CLASSES = 64, 2048  # of a block of the weight; where products are at full speed


class Wanted(NamedTuple):
    """Which gradients are asked for."""

    hidden: bool = False
    weight: bool = False
    bias: bool = False


class Gradients(NamedTuple):
    """Of hidden states, weight and bias; empty where not wanted."""

    hidden: Tensor
    weight: Tensor
    bias: Tensor


@dataclass(frozen=True)
class Layer:
    """Checked arguments: hidden (n, d), weight (K, d), bias (K,), targets (n,) or (n, K), sample_weight (n,)."""

    spec: LossSpec
    hidden: Tensor
    weight: Tensor
    bias: Tensor | None
    targets: Tensor
    sample_weight: Tensor | None
    normalizer: Tensor | None
    softcap: float  # 0 for none
    budget: int  # bytes
    inner: torch.dtype  # of the logits and the products
    dtype: torch.dtype  # of the loss


def inner_dtype(dtype: torch.dtype, device: torch.device) -> torch.dtype:
    """Return the type that products of ``dtype`` are computed in.

    Where a processor multiplies half types slower than float32 (Intel's AVX-512 without AMX: bfloat16 at 0.57 of
    the speed), blocks of the weight are widened instead, which costs a few per cent and rounds less.
    """
    return torch.float32 if device.type == "cpu" and dtype in _HALF_TYPES - _NATIVE else dtype


def _native_types() -> frozenset[torch.dtype]:
    has: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    bfloat16 = has.get("amx_bf16") or (has.get("avx512_bf16") and "AMD" in has.get("cpu_name", ""))
    return frozenset(t for t, there in ((torch.bfloat16, bfloat16), (torch.float16, has.get("amx_fp16"))) if there)


_NATIVE = _native_types()


def kept_dtype(dtype: torch.dtype) -> torch.dtype:
    """Return the type of a gradient until the upstream gradient has scaled it: float16 would lose the small ones."""
    return torch.float32 if dtype == torch.float16 else dtype


def evaluate(layer: Layer, wanted: Wanted, upstream: Tensor | None = None) -> tuple[Tensor, Gradients]:
    """Loss, and gradients of it; with ``upstream`` (n,) the gradients of sum(upstream * loss), and no loss."""
    with torch.no_grad(), torch.autocast(layer.hidden.device.type, enabled=False):
        return _Pass(layer, wanted, upstream).result()


class _Pass:
    """One pass over the chunks."""

    def __init__(self, layer: Layer, wanted: Wanted, upstream: Tensor | None) -> None:
        self.layer, self.wanted, self.upstream = layer, wanted, upstream
        self.device, self.inner = layer.hidden.device, layer.inner
        self.sum_dtype = torch.float64 if self.inner == torch.float64 else torch.float32
        self.each = layer.spec.reduction == "none" and upstream is None
        self.spec = replace(layer.spec, reduction="none" if self.each else "sum", class_axis=1)
        self.rows = _counted_rows(layer)
        self.n = layer.hidden.shape[0] if self.rows is None else self.rows.shape[0]
        self.n_classes, self.width = layer.weight.shape
        self.block, self.chunk = self._sizes()
        self.normalizer = _denominator(layer)
        self.divisor: Tensor | None = None
        # a half type has no room for gradients over n: they are divided where they are summed, in float32
        if self.inner in _HALF_TYPES:
            self.normalizer, self.divisor = None, self.normalizer

    def _sizes(self) -> tuple[int, int]:
        """Classes of a block of the weight, and rows of a chunk."""
        layer, budget, block = self.layer, self.layer.budget, self.n_classes
        per_class = max(self.width * self.inner.itemsize, 1)
        share = budget // 8 // per_class
        if layer.weight.dtype != self.inner or self.inner != self.sum_dtype:  # blocks are copied
            block = min(block, max(share, _FEWEST_CLASSES))
            budget -= block * per_class
        elif self.device.type == "cpu":  # whose library packs whole operands: 30 MiB for 32000 classes
            block = min(block, max(share, _ENOUGH_CLASSES))
        per_row = self.n_classes * self.inner.itemsize * (2 if layer.softcap else 1)
        most = max(budget // per_row, 1)
        even = -(-self.n // max(-(-self.n // most), 1))
        return block, max(min(-(-even // _TILE) * _TILE, most), 1)

    def result(self) -> tuple[Tensor, Gradients]:
        """Loss and gradients."""
        layer, wanted = self.layer, self.wanted
        loss = self._zeros(layer.hidden.shape[:1] if self.each else (), self._loss_dtype())
        of_hidden = self._zeros(layer.hidden.shape, kept_dtype(layer.hidden.dtype), wanted.hidden)
        of_bias = self._zeros((self.n_classes,), self.sum_dtype, wanted.bias)
        sums = _WeightGradient(self) if wanted.weight else None
        self._go_through(loss, of_hidden, sums, of_bias)  # and give the chunk back before the sums are narrowed
        of_weight = self._zeros((0,), kept_dtype(layer.weight.dtype)) if sums is None else sums.finish()
        of_bias = self.divided(of_bias).to(kept_dtype((layer.weight if layer.bias is None else layer.bias).dtype))
        return self.divided(loss).to(layer.dtype), Gradients(of_hidden, of_weight, of_bias)

    def _go_through(self, loss: Tensor, of_hidden: Tensor, of_weight: _WeightGradient | None, of_bias: Tensor) -> None:
        """Add every chunk to the loss and the gradients that are wanted."""
        for part, hidden, z in self._chunks():
            slope = self._cap(z)
            value = self._loss(part, z)
            if self.each:
                loss[part] = value
            else:
                loss += value
            if slope is not None:
                z.mul_(slope)
            if self.upstream is not None:
                z.mul_(self.upstream[part].to(z.dtype)[:, None])
            if self.wanted.hidden:
                of_hidden[part] = self.divided(self._times_weight(z)).to(of_hidden.dtype)
            if of_weight is not None:
                of_weight.add(z, hidden)
            if self.wanted.bias:
                of_bias += z.sum(0, dtype=self.sum_dtype)

    def _zeros(self, shape: torch.Size | tuple[int, ...], dtype: torch.dtype, wanted: bool = True) -> Tensor:
        return torch.zeros(shape if wanted else 0, dtype=dtype, device=self.device)

    def _chunks(self) -> Iterator[tuple[Any, Tensor, Tensor]]:
        """Which rows, their hidden states and their logits, these in the memory of the chunk before."""
        layer = self.layer
        buffer = _lasting((min(self.chunk, self.n), self.n_classes), self.inner, self.device)
        for start in range(0, self.n, self.chunk):
            part = slice(start, start + self.chunk) if self.rows is None else self.rows[start : start + self.chunk]
            hidden = layer.hidden[part].to(self.inner)
            z = buffer[: hidden.shape[0]]
            for columns, weight in self._weight_blocks():
                torch.mm(hidden, weight.t(), out=z[:, columns])
            if layer.bias is not None:
                z.add_(layer.bias)
            yield part, hidden, z

    def blocks(self) -> list[slice]:
        """The classes, block by block."""
        return [slice(first, min(first + self.block, self.n_classes)) for first in range(0, self.n_classes, self.block)]

    def _weight_blocks(self) -> Iterator[tuple[slice, Tensor]]:
        """Blocks of the weight in the type of the products, each in the memory of the one before."""
        weight = self.layer.weight
        buffer = None
        for columns in self.blocks():
            rows = weight[columns]
            if rows.dtype != self.inner:
                buffer = torch.empty_like(rows, dtype=self.inner) if buffer is None else buffer
                rows = buffer[: rows.shape[0]].copy_(rows)
            yield columns, rows

    def _cap(self, z: Tensor) -> Tensor | None:
        """Logits c tanh(z / c) in place, and their slope 1 / cosh(z / c)^2, which keeps its digits where tanh is 1."""
        c = self.layer.softcap
        if not c:
            return None
        ratio = torch.div(z, c)
        torch.tanh(ratio, out=z).mul_(c)
        return ratio.cosh_().reciprocal_().square_() if any(self.wanted) else None

    def _loss(self, part: Any, z: Tensor) -> Tensor:
        """Of the rows ``part``; their gradient is written over their logits ``z``."""
        layer, order = self.layer, 1 if any(self.wanted) else 0
        weight = None if layer.sample_weight is None else layer.sample_weight[part]
        call = Call(self.spec, z, layer.targets[part], weight, self.normalizer, out_dtype=self._loss_dtype())
        return engine.over_logits(call, order)

    def _loss_dtype(self) -> torch.dtype:
        if self.each:
            return self.layer.dtype
        return torch.float32 if self.device.type == "mps" else torch.float64

    def _times_weight(self, z: Tensor) -> Tensor:
        total = torch.empty(z.shape[0], self.width, dtype=self.sum_dtype, device=self.device)
        for columns, weight in self._weight_blocks():
            _add_product(total, z[:, columns], weight, afresh=columns.start == 0)
        return total

    def divided(self, total: Tensor) -> Tensor:
        """What has been summed of undivided gradients, or of the loss, over the mean's denominator."""
        return total if self.divisor is None else total / self.divisor


class _WeightGradient:
    """The sum over chunks of G' x; apart, by blocks of classes, where it is summed wider than it is returned."""

    def __init__(self, run: _Pass) -> None:
        self.run, self.started, self.sums = run, False, list[Tensor]()
        self.shape, self.dtype = tuple(run.layer.weight.shape), kept_dtype(run.layer.weight.dtype)
        self.apart, self.once = self.dtype != run.sum_dtype, run.n <= run.chunk
        if self.apart and not self.once:
            shapes = [(columns.stop - columns.start, run.width) for columns in run.blocks()]
            self.sums = [_passing(shape, run.sum_dtype, run.device) for shape in shapes]
            return
        self.value = _lasting(self.shape, self.dtype, run.device)
        if not self.apart:
            self.sums = [self.value[columns] for columns in run.blocks()]

    def add(self, z: Tensor, hidden: Tensor) -> None:
        """Add a chunk's."""
        for number, columns in enumerate(self.run.blocks()):
            gradient = z[:, columns].t()
            if self.apart and self.once:
                total = torch.empty(gradient.shape[0], self.run.width, dtype=self.run.sum_dtype, device=z.device)
                self.value[columns] = self.run.divided(_add_product(total, gradient, hidden, afresh=True))
            else:
                _add_product(self.sums[number], gradient, hidden, afresh=not self.started)
        self.started = True

    def finish(self) -> Tensor:
        """Divide and narrow; each block's sum is given back as soon as it has been."""
        if not self.started:
            return torch.zeros(self.shape, dtype=self.dtype, device=self.run.device)
        if not self.apart:
            return self.value if self.run.divisor is None else self.value.div_(self.run.divisor)
        if not self.once:
            self.value = _lasting(self.shape, self.dtype, self.run.device)
            for columns in self.run.blocks():
                self.value[columns] = self.run.divided(self.sums.pop(0))
        return self.value


def _add_product(total: Tensor, one: Tensor, other: Tensor, afresh: bool) -> Tensor:
    """``total += one @ other``, or ``=`` afresh."""
    if one.dtype == total.dtype:
        return torch.mm(one, other, out=total) if afresh else total.addmm_(one, other)
    product = torch.mm(one, other)
    return total.copy_(product) if afresh else total.add_(product)


def _counted_rows(layer: Layer) -> Tensor | None:
    """The rows that are not ignored, where some are and asking does not wait for a device."""
    targets = layer.targets
    if targets.is_floating_point() or not targets.is_cpu:
        return None
    counted = reduction.counted(layer.spec, targets, 1, composite.Ops(targets.device))
    return None if bool(counted.all()) else counted.nonzero().squeeze(1)


def _denominator(layer: Layer) -> Tensor | None:
    """Of the mean over all rows; a given normalizer is looked at in each chunk."""
    if layer.normalizer is not None or layer.spec.reduction not in ("mean", "weighted_mean"):
        return layer.normalizer
    if layer.spec.reduction == "mean":
        total = torch_parallel.count(layer.spec, layer.targets)
    else:
        total = torch_parallel.total_weight(layer.spec, layer.targets, layer.sample_weight)
    return reduction.or_one(total, composite.Ops(total.device))  # type: ignore[no-any-return]


def _lasting(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Memory for a tensor; in host memory, of pages used before."""
    if device.type != "cpu":
        return torch.empty(shape, dtype=dtype, device=device)
    return torch_kernels.empty(shape, dtype)


def _passing(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Memory that goes back to the system when it is dropped, which no allocator promises."""
    n_bytes = math.prod(shape) * dtype.itemsize
    if device.type != "cpu" or n_bytes < _MAPPED_FROM:
        return torch.empty(shape, dtype=dtype, device=device)
    if sys.platform == "win32":
        pages = mmap.mmap(-1, n_bytes)
    else:
        pages = mmap.mmap(-1, n_bytes, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        pages.madvise(mmap.MADV_HUGEPAGE)
    return torch.frombuffer(pages, dtype=dtype).view(shape)
