"""NumPy arrays on the processor: compiled kernels, loss and derivatives in one pass over the logits.

Half types are computed in float32 and rounded once. Sums are in float64 over pieces of a fixed size, in a
fixed order, so the bits are the same for every number of threads. Where targets turn out to be invalid, an
``InputError`` is raised; a gradient that was asked for in ``out`` may then be partly written (but class ids
are looked at first, and so is every target where the gradient goes over the logits).
"""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from focalkit._core import contracts, reduction
from focalkit._core.call import Call, Result
from focalkit._core.ops import NUMPY
from focalkit._core.spec import LossSpec
from focalkit.engines import plain
from focalkit.engines._inputs import beyond_float32
from focalkit.engines.cpu.fast import compute


def evaluate(call: Call, order: int, out: Any = None) -> Result:
    """Loss and, from ``order`` 1, the gradient (into ``out`` where given), 2 the Hessian's diagonal of a checked call.

    Arrays are made contiguous, aligned and native-endian where the kernels need it.
    """
    spec, normalizer = call.spec, call.normalizer
    if not spec.has_kernels:
        found = plain.truth(call, order)
        if out is not None and found.grad is not None:
            out[...] = found.grad
        return found if out is None else found._replace(grad=out)
    logits, targets, weight = _native(call.logits), _native(call.targets), call.sample_weight
    if logits.dtype != np.float64 and beyond_float32(spec):
        logits = logits.astype(np.float64)
    if targets.dtype.kind in "iu" and targets.dtype.char not in "bBil":
        targets = targets.astype(np.int64)
    if targets.dtype.char == "g":
        targets = targets.astype(np.float64)
    targets, counted = without_ignored(spec, targets)
    result = compute(spec, logits, targets, weight, normalizer, order, None, True, counted)
    if isinstance(result, str):
        logits, targets = np.array(logits, order="C"), np.array(targets, order="C")  # aligned, too
        weight = None if weight is None else np.array(weight, order="C")
        result = compute(spec, logits, targets, weight, normalizer, order, None, True, counted)
    if result == "targets: values":
        changed(targets.shape)
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


def changed(shape: tuple[int, ...]) -> NoReturn:
    """Refuse targets that were in range when they were looked at."""
    got = contracts.Words(f"targets of shape {tuple(shape)} that another thread or process writes to")
    contracts.reject("targets", "stay as they are during the call", got, "Pass a copy of them.")


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


def _native(array: NDArray[Any]) -> NDArray[Any]:
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))
