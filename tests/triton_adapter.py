"""The Triton kernels as the laws see them: on a GPU where there is one, else under Triton's interpreter."""

from __future__ import annotations

import os
import warnings
from contextlib import contextmanager

import numpy as np
import torch

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
if DEVICE.type == "cpu":
    os.environ["TRITON_INTERPRET"] = "1"  # read when triton is imported

from focalkit._core.call import Call  # noqa: E402
from focalkit.engines.torch import contracts as torch_contracts  # noqa: E402
from focalkit.engines.torch import dispatch as torch_engine  # noqa: E402
from focalkit.engines.torch import ops as composite  # noqa: E402
from focalkit.engines.triton import evaluate as engine  # noqa: E402
from tests import torch_adapter  # noqa: E402


@contextmanager
def quietly():
    """The interpreter computes with NumPy, which warns where a GPU gives infinity or NaN."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "All-NaN slice", RuntimeWarning)
        yield


def evaluate(spec, logits, targets, weight, normalizer, order, out=None, check_finite=False):
    """Check as the plain path does, then compute: the Hessian, which has no kernel, by plain operations."""
    weight = weight if weight is None or isinstance(weight, list) else torch_adapter.tensor(weight)
    z = torch_adapter.tensor(logits)
    y = torch_adapter.tensor(targets)
    asked = Call(spec, z, y, weight, normalizer, out_dtype=z.dtype, check_finite=check_finite)
    call = torch_contracts.check(asked)
    to = None if out is None else z if out is logits else torch_adapter.tensor(out) if hasattr(out, "ndim") else out
    if to is not None:
        torch_engine.check_out(to, z, y, weight)
    narrow = z.dtype
    if DEVICE.type == "cpu" and narrow is torch.bfloat16:
        to = torch.empty_like(z, dtype=torch.float32)  # the interpreter cuts off where a GPU rounds to nearest
    hess = composite.evaluate(call, 2).hess if order == 2 else None
    moved = [t.to(DEVICE) if isinstance(t, torch.Tensor) else t for t in call]
    with quietly():
        value, grad, _ = engine.evaluate(type(call)(*moved), min(order, 1), None if to is None else to.to(DEVICE))
    if out is not None:
        grad = to.copy_(grad)
    return tuple(torch_adapter.array(None if part is None else part.cpu().to(narrow)) for part in (value, grad, hess))


def loss(spec, logits, targets, *, sample_weight=None, normalizer=None, check_finite=False):
    return evaluate(spec, logits, targets, sample_weight, normalizer, 0, check_finite=check_finite)[0]


def loss_grad_hess(
    spec, logits, targets, *, sample_weight=None, normalizer=None, hess=True, out=None, check_finite=False
):
    order = 2 if hess else 1
    value, grad, curvature = evaluate(spec, logits, targets, sample_weight, normalizer, order, out, check_finite)
    return value, grad if out is None else out, curvature
