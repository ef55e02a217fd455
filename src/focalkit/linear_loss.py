"""The door to a linear layer and its softmax loss in one, for tensors of PyTorch, which it does not import itself."""

from __future__ import annotations

from typing import Any, Unpack

from focalkit._spec import LossSpec, PerClass, SpecOptions

__all__ = ["linear_softmax_focal_loss"]


def linear_softmax_focal_loss(
    hidden: Any,
    weight: Any,
    targets: Any,
    bias: Any = None,
    *,
    gamma: PerClass = 2.0,
    alpha: PerClass | None = None,
    sample_weight: Any = None,
    normalizer: Any = None,
    logit_softcap: float | None = None,
    memory_budget: int | None = None,
    **options: Unpack[SpecOptions],
) -> Any:
    return linear_loss(
        LossSpec("softmax", gamma, alpha, **options), hidden, weight, targets, bias, sample_weight, normalizer, logit_softcap, memory_budget
    )


def linear_loss(spec: LossSpec, *arguments: Any) -> Any:
    """Compute the loss of a spec made beforehand; what ``focalkit.nn`` calls."""
    from focalkit.engines import torch_linear

    return torch_linear.loss(spec, *arguments)
