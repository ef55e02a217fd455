"""The softmax loss over classes that are spread over the ranks of a group.

Forward the ranks exchange, in three all-reduces: what each was asked, in a few integers; the largest logit of the
classes that are not the true one; the sum of their exponentials, and the true class's logit. From these every rank
has the same log-odds ``m``, and the gradient of its own logits without hearing of the others again.
"""

from __future__ import annotations

import math
import zlib
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from focalkit._core import contracts, definition, forms, links, reduction
from focalkit._core.call import Call, loss_shape
from focalkit._core.spec import LossSpec
from focalkit.engines import plain
from focalkit.engines._inputs import beyond_float32
from focalkit.engines.torch import contracts as torch_contracts
from focalkit.engines.torch import data_parallel as torch_parallel
from focalkit.engines.torch import ops as composite
from focalkit.engines.torch._internals import keeps_graph
from focalkit.engines.torch.routes import result_dtype

_COLUMNS = ("failed", "rows", "classes", "options", "targets", "sample_weight")


class _Shard(NamedTuple):
    """One rank's part of a checked call; its classes start at ``first``."""

    call: Call
    group: Any
    first: int
    n_classes: int
    axis: int


def loss(
    logits: Any, targets: Any, group: Any, gamma: Any, alpha: Any, sample_weight: Any, normalizer: Any, options: Any
) -> Tensor:
    """Return the loss of the whole; see ``focalkit.nn.parallel_softmax_focal_loss``."""
    logits, targets, sample_weight, group = _locals(logits, targets, sample_weight, group, options)
    refusal, mine = None, [1, *(0,) * (len(_COLUMNS) - 1)]
    try:
        spec = LossSpec("softmax", gamma, alpha, **options)
        sample_weight, normalizer = _refuse(spec, logits, targets, sample_weight, normalizer)
        mine = _signature(spec, logits, targets, sample_weight, normalizer)
    except Exception as error:
        refusal = error
    table = _exchange(mine, group, logits.device if isinstance(logits, Tensor) else torch_parallel.home(group))
    if refusal is not None:
        raise refusal
    _agree(table)
    rank = dist.get_rank(group) if len(table) > 1 else 0
    n_local = [row[_COLUMNS.index("classes")] for row in table]
    torch_parallel.check_without_logits(spec, targets, sample_weight, sum(n_local))
    if isinstance(normalizer, str):
        spec, normalizer = torch_parallel.global_mean(Call(spec, None, targets, sample_weight), normalizer)
    call = Call(spec, logits, targets, sample_weight, normalizer, out_dtype=result_dtype(logits))
    shard = _Shard(call, group, sum(n_local[:rank]), sum(n_local), spec.class_axis % logits.dim())
    if torch.is_grad_enabled() and logits.requires_grad:
        return _Sharded.apply(logits, shard)  # type: ignore[no-any-return]
    with torch.no_grad():
        return _compute(shard, False)[0]


def _locals(logits: Any, targets: Any, sample_weight: Any, group: Any, options: Any) -> tuple[Any, Any, Any, Any]:
    """Tensors of this rank and the group, out of DTensors where they are such."""
    if not hasattr(logits, "device_mesh"):
        return logits, targets, sample_weight, group
    axis = options.get("class_axis", 1) % logits.dim()
    spread = [i for i, placement in enumerate(logits.placements) if not placement.is_replicate()]
    if len(spread) != 1 or not logits.placements[spread[0]].is_shard(axis):
        remedy = f"Use logits.redistribute(placements=[Shard({axis})])."
        contracts.reject("local_logits", f"be sharded on their class axis, {axis}, alone", logits.placements, remedy)
    if group is not None:
        contracts.reject("group", "be None where the logits are a DTensor", group, "Its mesh has the group.")

    def whole(name: str, tensor: Any) -> Any:
        if not hasattr(tensor, "device_mesh"):
            return tensor
        if not all(placement.is_replicate() for placement in tensor.placements):
            remedy = "Every rank needs them all: .redistribute(placements=[Replicate()])."
            contracts.reject(name, "be replicated", tensor.placements, remedy)
        return tensor.to_local()

    group = logits.device_mesh.get_group(spread[0])
    return logits.to_local(), whole("targets", targets), whole("sample_weight", sample_weight), group


def _refuse(
    spec: LossSpec, logits: Any, targets: Any, sample_weight: Any, normalizer: Any
) -> tuple[Tensor | None, Any]:
    """What cannot be computed from shards; returns the weights as a tensor, and the normalizer as a number."""
    if not isinstance(logits, Tensor):
        contracts.reject(
            "local_logits", "be a tensor of PyTorch", contracts.Words(type(logits).__name__), "Use torch.as_tensor."
        )
    torch_contracts.types(logits, targets)
    contracts.logits_shape("softmax", tuple(max(1, size) for size in logits.shape), spec.class_axis)
    if composite.is_soft(targets) or targets.is_complex():
        contracts.reject(
            "targets",
            "be class ids",
            contracts.Words(f"dtype {targets.dtype}"),
            "Classes in shards have no soft targets.",
        )
    axis = spec.class_axis % logits.dim()
    contracts.softmax_targets_shape(True, targets.dtype, tuple(targets.shape), tuple(logits.shape), axis, "torch")
    for name, unset in (("label_smoothing", 0.0), ("keep_hardest", None), ("negatives_per_positive", None)):
        if getattr(spec, name) != unset:
            remedy = "Leave it out, or gather the logits for softmax_focal_loss."
            contracts.reject(name, f"be {unset} where the classes are in shards", getattr(spec, name), remedy)
    weight = torch_contracts.weight_tensor(sample_weight, logits)
    if weight is not None and weight.requires_grad:
        contracts.reject(
            "sample_weight",
            "be without gradient where the classes are in shards",
            contracts.Words("one"),
            "detach() it.",
        )
    if isinstance(normalizer, Tensor) and normalizer.dim() == 0 and normalizer.is_cpu:
        normalizer = normalizer.item()
    if not isinstance(normalizer, (Tensor, str)):
        normalizer = contracts.normalizer_number(normalizer, spec.reduction)
    elif isinstance(normalizer, Tensor):
        contracts.normalizer_number(1.0 if normalizer.dim() == 0 else normalizer, spec.reduction)
    return weight, normalizer


def _signature(spec: LossSpec, logits: Tensor, targets: Tensor, weight: Tensor | None, normalizer: Any) -> list[int]:
    """What the ranks must agree on, as integers; only the number of classes may differ."""
    rows = loss_shape(spec, tuple(logits.shape))
    shapes = rows, tuple(targets.shape), None if weight is None else tuple(weight.shape)
    known = type(normalizer) if isinstance(normalizer, Tensor) else normalizer
    options = repr((shapes, logits.dtype, spec.reduction, spec.ignore_index, known))
    given = spec.class_parameters()
    options += repr((tuple(given), spec.form))
    parameters = np.array([entry for value in (spec.scale, *given.values()) for entry in np.ravel(value)])
    asked = zlib.crc32(parameters.tobytes(), zlib.crc32(options.encode()))
    bits = None if weight is None else weight.double().view(torch.int64)
    sums = [torch.zeros_like(targets.sum()) if t is None else _checksum(t) for t in (targets, bits)]
    return [0, math.prod(rows), logits.shape[spec.class_axis], asked, *torch.stack(sums).tolist()]


def _checksum(integers: Tensor) -> Tensor:
    flat = integers.reshape(-1).long()
    return (flat * (torch.arange(len(flat), device=flat.device) * 0x9E3779B1 + 1)).sum()


def _exchange(mine: list[int], group: Any, device: Any) -> list[list[int]]:
    """Every rank's integers."""
    n_ranks = torch_parallel.world_size(group)
    if n_ranks == 1:
        return [mine]
    table = torch.zeros((n_ranks, len(mine)), dtype=torch.int64)
    table[dist.get_rank(group)] = torch.tensor(mine)
    table = table.to(device)
    dist.all_reduce(table, group=group)
    return table.tolist()


def _agree(table: list[list[int]]) -> None:
    columns = dict(zip(_COLUMNS, zip(*table, strict=True), strict=True))
    failed = [rank for rank, flag in enumerate(columns["failed"]) if flag]
    if failed:
        got = contracts.Words(f"an error on rank {', '.join(map(str, failed))} of the group")
        contracts.reject("arguments", "be right on every rank", got, torch_parallel.FAILED_ELSEWHERE)
    if len(set(columns["rows"])) > 1:
        remedy = "Only the number of classes may differ: give every rank the same rows."
        contracts.reject("local_logits", "have the same rows on every rank", columns["rows"], remedy)
    for name in ("options", "targets", "sample_weight"):
        if len(set(columns[name])) > 1:
            other = [rank for rank, value in enumerate(columns[name]) if value != columns[name][0]]
            got = contracts.Words(f"others than rank 0's on rank {', '.join(map(str, other))} of the group")
            remedy = "Every rank takes part in the loss of the same rows, with the same arguments and dtype."
            contracts.reject(name, "be the same on every rank", got, remedy)


class _Sharded(torch.autograd.Function):
    """Loss whose gradient in the local logits is computed with it."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, shard: _Shard) -> Tensor:
        value, grad = _compute(shard, True)
        ctx.axis, ctx.dtype = shard.axis if value.dim() else None, logits.dtype
        ctx.save_for_backward(grad)
        return value

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> Any:
        if torch.is_grad_enabled():
            remedy = "A second derivative needs all logits: gather them for softmax_focal_loss."
            contracts.reject("create_graph", "be False where the classes are in shards", True, remedy)
        (grad,) = ctx.saved_tensors
        if ctx.axis is not None:
            upstream = upstream.unsqueeze(ctx.axis)
        return (grad * upstream if keeps_graph() else grad.mul_(upstream)).to(ctx.dtype), None


def _compute(shard: _Shard, with_grad: bool) -> tuple[Tensor, Tensor | None]:
    call, axis = shard.call, shard.axis
    spec, moved = call.spec, call.logits.detach().movedim(axis, -1)
    rows, n_local = moved.shape[:-1], moved.shape[-1]
    dtype, xp = composite.compute_dtype(moved), composite.Ops(moved.device)
    dtype = torch.float64 if beyond_float32(spec) else dtype
    e = torch.empty((*rows, max(1, n_local)), dtype=dtype, device=moved.device)
    e.copy_(moved if n_local else torch.full_like(e, -torch.inf))  # without classes, one that cannot be
    e = e.flatten(0, -2)

    given = call.targets.reshape(-1).long()
    counted = reduction.counted(spec, given, axis, xp)
    ids = torch.where(counted, given, torch.zeros_like(given))
    own_class = counted & (ids >= shard.first) & (ids < shard.first + n_local)
    column = torch.where(own_class, ids - shard.first, torch.zeros_like(ids))[:, None]
    of_column = e.gather(1, column)[:, 0]
    own = torch.where(own_class, of_column, torch.zeros_like(of_column))
    _put(e, column, own_class, torch.full_like(own, -torch.inf))
    largest = e.amax(1)
    _all_reduce(largest, "MAX", shard.group)
    e.sub_(torch.where(largest == -torch.inf, torch.zeros_like(largest), largest)[:, None])
    adjustment, margin = plain.shifts(spec, e, xp)
    if spec.scale != 1:
        e.mul_(spec.scale)
    if adjustment is not None:
        e[:, :n_local].add_(adjustment[shard.first : shard.first + n_local])
    sums = torch.stack([e.exp_().sum(1), own])
    _all_reduce(sums, "SUM", shard.group)
    others, own = sums
    total = torch.where(largest == -torch.inf, torch.ones_like(others), others)
    m = links.log_odds(own, largest, total.log(), xp, spec.scale)
    for shift, sign in ((adjustment, 1), (margin, -1)):
        m = m if shift is None else m + sign * shift.expand(shard.n_classes)[ids]

    gamma = plain.parameter(None, spec.gamma, m, xp).expand(shard.n_classes)[ids]
    alpha = plain.alphas(spec, None, m, xp)[0].expand(shard.n_classes)
    weight = reduction.class_weight(spec, ids, alpha, None, -1, xp)
    sample = plain.sample_weight(call, m, xp)
    weight = weight if sample is None else weight * sample
    scale = reduction.denominator(spec, counted, weight, call.normalizer, xp)
    scale = torch.ones((), device=m.device) if scale is None else scale
    value = definition.weighted(weight, forms.loss(m, gamma, spec.form, xp), xp)
    value = torch.where(counted, value, torch.zeros_like(value))
    if spec.reduction == "none":
        value = value.reshape(rows)
    else:
        value = xp.total(value) / scale
    if not with_grad:
        return value.to(call.out_dtype), None
    d1 = (weight * forms.d1(m, gamma, spec.form, xp) * (spec.scale / scale)).to(dtype)
    e.mul_((-d1 / total)[:, None])
    _put(e, column, own_class, d1)
    e.masked_fill_(~counted[:, None], 0)
    return value.to(call.out_dtype), e.view(*rows, e.shape[1])[..., :n_local].movedim(-1, axis)


def _put(e: Tensor, column: Tensor, own_class: Tensor, value: Tensor) -> None:
    """Write ``value`` to the true classes that are here."""
    e.scatter_(1, column, torch.where(own_class[:, None], value[:, None], e.gather(1, column)))


def _all_reduce(tensor: Tensor, operation: str, group: Any) -> None:
    if torch_parallel.world_size(group) > 1:
        dist.all_reduce(tensor, getattr(dist.ReduceOp, operation), group)
