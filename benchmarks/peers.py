"""The losses that people use today, each as ``make(case) -> run``: loss and gradient of one batch, mean reduction.

A peer that is not installed, or has no such loss, is left out and named in the result.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

Run = Callable[[], Any]


@dataclass
class Case:
    """One batch: float32 logits, class ids or 0/1 targets."""

    name: str
    link: str
    logits: np.ndarray
    targets: np.ndarray
    gamma: float = 2.0


def numpy_closed_form(case: Case) -> Run:
    """The formula as a NumPy user writes it, with a stable softmax."""
    z, y, g = case.logits, case.targets, case.gamma

    def softmax() -> Any:
        e = np.exp(z - z.max(axis=1, keepdims=True))
        p = e / e.sum(axis=1, keepdims=True)
        index = np.expand_dims(y, 1)
        p_t = np.take_along_axis(p, index, 1)
        log_p = np.log(p_t)
        q = 1 - p_t
        value = (-(q**g) * log_p).mean()
        scale = q**g - g * p_t * q ** (g - 1) * log_p
        grad = p * scale
        np.put_along_axis(grad, index, np.take_along_axis(grad, index, 1) - scale, 1)
        return value, grad / y.size

    def sigmoid() -> Any:
        s = 2 * y - 1
        m = s * z
        p = 1 / (1 + np.exp(-m))
        q = 1 - p
        nll = np.logaddexp(0, -m)
        w = q**g
        return (w * nll).mean(), -s * w * (q + g * p * nll) / y.size

    return softmax if case.link == "softmax" else sigmoid


def _torch_run(case: Case, loss: Any) -> Run:
    import torch

    z = torch.from_numpy(case.logits.copy()).requires_grad_()
    y = torch.from_numpy(case.targets)
    if case.link == "sigmoid":
        y = y.float()

    def run() -> Any:
        z.grad = None
        value = loss(z, y)
        value.backward()
        return value, z.grad

    return run


def _torch_cross_entropy(case: Case) -> Any:
    import torch.nn.functional as F

    return F.cross_entropy if case.link == "softmax" else F.binary_cross_entropy_with_logits


def _torch_focal(case: Case) -> Any:
    """What is copied from snippet to snippet; for the sigmoid, torchvision's own lines."""
    import torch
    import torch.nn.functional as F

    g = case.gamma

    def softmax(z: Any, y: Any) -> Any:
        ce = F.cross_entropy(z, y, reduction="none")
        return ((1 - torch.exp(-ce)) ** g * ce).mean()

    def sigmoid(z: Any, y: Any) -> Any:
        p = torch.sigmoid(z)
        ce = F.binary_cross_entropy_with_logits(z, y, reduction="none")
        p_t = p * y + (1 - p) * (1 - y)
        return (ce * (1 - p_t) ** g).mean()

    return softmax if case.link == "softmax" else sigmoid


def _compiled(loss: Any) -> Any:
    import torch

    torch.compiler.reset()  # the shapes before count as recompilations, and a ninth would run uncompiled
    return torch.compile(loss, dynamic=False)


def torch_cross_entropy(case: Case) -> Run:
    return _torch_run(case, _torch_cross_entropy(case))


def torch_cross_entropy_compiled(case: Case) -> Run:
    return _torch_run(case, _compiled(_torch_cross_entropy(case)))


def torch_focal(case: Case) -> Run:
    return _torch_run(case, _torch_focal(case))


def torch_focal_compiled(case: Case) -> Run:
    return _torch_run(case, _compiled(_torch_focal(case)))


def kornia(case: Case) -> Run:
    from kornia.losses import binary_focal_loss_with_logits, focal_loss

    if case.link == "softmax":
        return _torch_run(case, lambda z, y: focal_loss(z, y, alpha=None, gamma=case.gamma, reduction="mean"))
    return _torch_run(
        case, lambda z, y: binary_focal_loss_with_logits(z, y, alpha=None, gamma=case.gamma, reduction="mean")
    )


def monai(case: Case) -> Run:
    from monai.losses import FocalLoss

    softmax = case.link == "softmax"
    module = FocalLoss(gamma=case.gamma, use_softmax=softmax, to_onehot_y=softmax, include_background=True)
    return _torch_run(case, lambda z, y: module(z, y[:, None] if softmax else y))


def smp(case: Case) -> Run:
    if case.logits.size > 10_000_000 or case.logits.shape[-1] > 500:
        message = "loops over the classes in Python: minutes"
        raise RuntimeError(message)
    module = _smp_losses().FocalLoss("multiclass" if case.link == "softmax" else "multilabel", gamma=case.gamma)
    return _torch_run(case, module)


@cache
def _smp_losses() -> Any:
    """Give its losses without the rest of it, which loads torchvision: that may be built for another torch."""
    name = "segmentation_models_pytorch"
    if (spec := importlib.util.find_spec(name)) is None:
        raise ModuleNotFoundError(name=name)
    sys.modules.setdefault(name, types.ModuleType(name)).__path__ = list(spec.submodule_search_locations or [])
    return importlib.import_module(f"{name}.losses.focal")


def optax(case: Case) -> Run:
    import jax
    import jax.numpy as jnp
    import optax as library

    g = case.gamma
    z = jnp.asarray(np.moveaxis(case.logits, 1, -1) if case.link == "softmax" else case.logits)
    y = jnp.asarray(case.targets)

    def softmax(z: Any) -> Any:
        ce = library.softmax_cross_entropy_with_integer_labels(z, y)
        return ((1 - jnp.exp(-ce)) ** g * ce).mean()

    def sigmoid(z: Any) -> Any:
        return library.sigmoid_focal_loss(z, y.astype(z.dtype), gamma=g).mean()

    step = jax.jit(jax.value_and_grad(softmax if case.link == "softmax" else sigmoid))

    def run() -> Any:
        value, grad = step(z)
        grad.block_until_ready()
        return value, grad

    return run


PEERS: dict[str, Callable[[Case], Run]] = {
    "NumPy closed form": numpy_closed_form,
    "torch CE / BCE": torch_cross_entropy,
    "torch CE / BCE compiled": torch_cross_entropy_compiled,
    "torch focal by hand": torch_focal,
    "torch focal compiled": torch_focal_compiled,
    "kornia": kornia,
    "MONAI": monai,
    "smp": smp,
    "optax jit": optax,
}
