"""PyTorch as the laws see it: by the compiled kernels, and in plain tensor operations."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import torch

from focalkit.engines.torch import dispatch as engine

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)


def tensor(array):
    """A tensor in the memory of ``array`` where torch can have that."""
    array = np.asarray(array)
    if any(stride < 0 for stride in array.strides) or not array.flags.writeable:
        array = array.copy(order="K" if array.flags.writeable else "C")
        array = np.ascontiguousarray(array) if any(stride < 0 for stride in array.strides) else array
    if array.dtype == BFLOAT16:
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)


def array(result):
    """A tensor as an array, a single number as a scalar."""
    if result is None:
        return None
    result = result.detach()
    if result.dtype == torch.bfloat16:
        return result.view(torch.int16).numpy().view(BFLOAT16)[()]
    return result.numpy()[()]


def engines(make):
    return [
        make(f"torch-{name}", *functions(kernels), library="torch")
        for name, kernels in (("kernels", True), ("plain", False))
    ]


def functions(kernels):
    def loss(spec, logits, targets, *, sample_weight=None, normalizer=None, check_finite=False):
        weight = sample_weight if sample_weight is None or isinstance(sample_weight, list) else tensor(sample_weight)
        arguments = (spec, tensor(logits), tensor(targets), weight, normalizer)
        return array(engine.loss(*arguments, check_finite=check_finite, kernels=kernels))

    def loss_grad_hess(
        spec, logits, targets, *, sample_weight=None, normalizer=None, hess=True, out=None, check_finite=False
    ):
        z = tensor(logits)
        weight = sample_weight if sample_weight is None or isinstance(sample_weight, list) else tensor(sample_weight)
        to = z if out is not None and out is logits else tensor(out) if isinstance(out, np.ndarray) else out
        value, grad, curvature = engine.loss_grad_hess(
            spec, z, tensor(targets), weight, normalizer, hess, to, check_finite, kernels
        )
        if to is not None:
            assert grad is to
        return array(value), array(grad) if out is None else out, array(curvature)

    return loss, loss_grad_hess
