"""Denominators of a batch that is spread over the ranks of ``torch.distributed``.

DDP and FSDP average gradients over the W ranks. So with S_r the sum of rank r's losses and D the denominator of the
whole batch, rank r's loss is S_r W / D: the average of these is the whole batch's loss, and so is their gradient.
Without an initialised process group the world is one rank.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from focalkit._core import contracts, reduction
from focalkit._core.call import Call, class_axis
from focalkit._core.spec import LossSpec
from focalkit.engines import plain
from focalkit.engines.torch import contracts as torch_contracts
from focalkit.engines.torch import ops as composite

#: What to do on the ranks that were right.
FAILED_ELSEWHERE = "Read the error of that rank: it refused its arguments, and so all ranks stop here."


def world_size(group: Any = None) -> int:
    """Number of ranks of the group; one where nothing is initialised."""
    if not (dist.is_available() and dist.is_initialized()):
        return 1
    size = dist.get_world_size(group)
    if size < 1:
        contracts.reject("group", "be one that this rank is in", group, "Call it on the ranks of the group only.")
    return size


def global_normalizer(local: Any, group: Any = None) -> Tensor:
    """(The sum over ranks of ``local``, or 1 where that is 0) / number of ranks, beside ``local``."""
    if not isinstance(local, Tensor):
        local = torch.tensor(contracts.number("local", local, contracts.SAMPLE_WEIGHT, _LOCAL), device=home(group))
    elif local.dim() != 0 or local.is_complex():
        got = contracts.Words(f"{local.dtype} of shape {tuple(local.shape)}")
        contracts.reject("local", "be one number", got, "Sum it first: local.sum().")
    n_ranks = world_size(group)
    total = local.detach().to(composite.wide_dtype(local.device)).clone()
    if n_ranks > 1:
        dist.all_reduce(total, group=group)
    return _shared(total, n_ranks)


_LOCAL = "Give this rank's count or sum of weights, e.g. (targets == 1).sum()."


def home(group: Any) -> str:
    """Where a plain number is summed: NCCL knows devices only."""
    return "cuda" if world_size(group) > 1 and dist.get_backend(group) == "nccl" else "cpu"


def _shared(total: Tensor, n_ranks: int) -> Tensor:
    """One rank's share of the denominator; a mean over nothing is 0."""
    return reduction.or_one(total, composite.Ops(total.device)) / n_ranks  # type: ignore[no-any-return]


def global_mean(call: Call, word: str, check: Callable[[], Any] | None = None) -> tuple[LossSpec, Tensor | float]:
    """Make the mean of a call one over all ranks: the spec of a sum, and the normalizer it is to be divided by.

    The call's logits are not looked at; ``check`` looks at the arguments if they have not been checked. Where
    a rank refuses its arguments every rank raises, so that none waits for it: on a device the others get NaN, since
    looking would wait for the device.
    """
    spec, targets, sample_weight = call.spec, call.targets, call.sample_weight
    n_ranks, refusal, alpha = world_size(), None, call.parameters.alpha
    try:
        _mean_over_ranks(spec, word, targets, sample_weight, alpha)
        if check is not None:
            check()
        weighted = spec.reduction == "weighted_mean"
        total = total_weight(spec, targets, sample_weight, alpha) if weighted else count(spec, targets)
    except Exception as error:
        if n_ranks == 1:
            raise
        device = targets.device if isinstance(targets, Tensor) else home(None)
        refusal, total = error, torch.zeros((), dtype=torch.float64, device=device)
    if n_ranks > 1:
        pair = torch.stack([total, torch.full_like(total, float(refusal is not None))])
        dist.all_reduce(pair)
        if refusal is not None:
            raise refusal
        total = _unless_failed(pair)
    share = _shared(total, n_ranks)
    readable = not torch.compiler.is_compiling() and torch_contracts.ordinary(share)
    return _summed(spec), share.item() if readable else share


def _unless_failed(pair: Tensor) -> Tensor:
    total, failed = pair.unbind()
    if pair.is_cpu and not torch.compiler.is_compiling():
        if failed > 0:
            got = contracts.Words(f"an error on {int(failed)} of them")
            contracts.reject("normalizer", "be 'global' where all ranks' arguments are right", got, FAILED_ELSEWHERE)
        return total
    return torch.where(failed > 0, torch.full_like(total, torch.nan), total)


@lru_cache(maxsize=64)
def _summed(spec: LossSpec) -> LossSpec:
    return replace(spec, reduction="sum")


def _mean_over_ranks(spec: LossSpec, word: str, targets: Any, sample_weight: Any, alpha: Any) -> None:
    if word != "global":
        contracts.reject("normalizer", "be a number or 'global'", word, "'global' is the mean over all ranks.")
    if spec.reduction not in ("mean", "weighted_mean"):
        remedy = "Each rank's sum or losses are its own: drop normalizer."
        contract = "go with reduction 'mean' or 'weighted_mean' where it is 'global'"
        contracts.reject("normalizer", contract, contracts.Words(f"reduction {spec.reduction!r}"), remedy)
    if spec.keep_hardest is not None or spec.negatives_per_positive is not None:
        remedy = "The hardest of the whole batch are known to no rank: drop keep_hardest and negatives_per_positive."
        contracts.reject("normalizer", "be a number where hard examples are mined", word, remedy)
    if spec.reduction == "weighted_mean" and torch.is_grad_enabled():
        if any(isinstance(a, Tensor) and a.requires_grad for a in (targets, sample_weight, alpha)):
            remedy = "The sum of weights over ranks is a constant: detach() targets, sample_weight and alpha."
            contracts.reject("normalizer", "be a number where weights are differentiated", word, remedy)


def count(spec: LossSpec, targets: Tensor) -> Tensor:
    """How many targets count."""
    xp, axis = composite.Ops(targets.device), class_axis(spec, max(1, targets.dim()))
    if not reduction.all_count(spec, targets, xp):
        return xp.count(reduction.counted(spec, targets, axis, xp))
    return xp.wide(float(targets.numel() // max(1, targets.shape[axis])))


def total_weight(spec: LossSpec, targets: Tensor, sample_weight: Any = None, alpha: Tensor | None = None) -> Tensor:
    """The sum of alpha_t * sample_weight over the targets that count."""
    xp = composite.Ops(targets.device)
    soft, axis = composite.is_soft(targets), class_axis(spec, max(1, targets.dim()))
    like = torch.empty((), dtype=xp.wide_dtype, device=targets.device)
    of_class, other = plain.alphas(spec, alpha, like, xp)
    counted: Tensor = reduction.counted(spec, targets, axis, xp)
    if spec.link == "softmax" and not soft:
        # ids outside are refused elsewhere, by who looks at values
        y = torch.where(counted, targets, torch.zeros_like(targets)).long().clamp(0, len(of_class) - 1)
    else:
        y = targets if spec.link == "softmax" else torch.where(counted, targets, torch.zeros_like(targets))
        y = y.to(like.dtype)
        along = [-1 if i == axis else 1 for i in range(y.dim())]
        of_class, other = (a if a is None or len(a) == 1 else a.reshape(along) for a in (of_class, other))
    weight = reduction.class_weight(spec, y, of_class, other, axis, xp)
    sample = torch_contracts.weight_tensor(sample_weight, targets)
    if sample is not None:
        weight = weight * sample.reshape(sample.shape + (1,) * (weight.dim() - sample.dim())).to(like.dtype)
    return torch.where(counted, weight, torch.zeros_like(weight)).sum()


def check_without_logits(spec: LossSpec, targets: Any, sample_weight: Any, n_classes: int | None = None) -> None:
    """Every contract of targets and weights, from a stand-in for the logits that takes no memory."""
    if not isinstance(targets, Tensor):
        torch_contracts.types(torch.empty(0), targets)
    shape = list(targets.shape)
    if spec.link == "softmax" and not composite.is_soft(targets):
        known = [len(value) for value in spec.class_parameters().values() if isinstance(value, tuple)]
        shape.insert(spec.class_axis % (len(shape) + 1), n_classes or [*known, 1 << 31][0])
    logits = torch.zeros((), dtype=torch.float64, device=targets.device).expand(shape)
    torch_contracts.check(Call(spec, logits, targets, sample_weight))
