"""The common call first: an ordinary batch in host memory, where for small ones every microsecond counts."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from focalkit._core.call import OF_THE_SPEC, Call
from focalkit._core.spec import LossSpec
from focalkit.engines.torch import _internals, autograd, cpu_kernels
from focalkit.engines.torch import contracts as torch_contracts
from focalkit.engines.torch.routes import Route, result_dtype


def attempt(
    spec: LossSpec, logits: Tensor, targets: Any, sample_weight: Any, normalizer: Any, check_finite: bool
) -> Tensor | None:
    """Return the loss; None where a tensor is no ordinary one of host memory, or targets or weights need a gradient."""
    if not (
        type(logits) is Tensor
        and type(targets) is Tensor
        and (normalizer is None or not isinstance(normalizer, Tensor))
        and logits.is_cpu
        and targets.is_cpu
        and not targets.requires_grad
        and not _internals.transformed()
        and spec.has_kernels
    ):
        return None
    if sample_weight is not None and (
        type(sample_weight) is not Tensor or not sample_weight.is_cpu or sample_weight.requires_grad
    ):
        return None
    try:
        recorded = logits.requires_grad and torch.is_grad_enabled()
        if (
            normalizer is None
            and sample_weight is None
            and not check_finite
            and cpu_kernels.is_small(spec, logits, targets)
        ):
            if recorded:
                return autograd.recorded_small(logits, targets, spec)  # type: ignore[no-any-return]
            return cpu_kernels.small(spec, logits, targets, None)
        dtype = result_dtype(logits)
        if not recorded and not check_finite:
            value = cpu_kernels.loss(spec, logits, targets, sample_weight, normalizer, dtype)
            if value is not None:
                return value
        call = Call(spec, None, targets, sample_weight, normalizer, OF_THE_SPEC, dtype, check_finite)
        if recorded:
            return autograd.recorded(logits, call, _KERNELS)
        return cpu_kernels.evaluate(call, 0, None, logits).loss  # type: ignore[no-any-return]
    except (RuntimeError, TypeError):
        torch_contracts.refuse_strange(logits=logits, targets=targets, sample_weight=sample_weight)
        raise


_KERNELS = Route.KERNELS
