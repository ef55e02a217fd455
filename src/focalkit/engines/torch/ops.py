"""The composite engine on tensors: any device, any transformation, any argument differentiable.

Half types are computed in float32 and rounded once; sums are in float64 where the device has it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from focalkit._core import ops
from focalkit._core.call import Call, Result, replaced
from focalkit._core.forms import Form
from focalkit.engines import _inputs, plain
from focalkit.engines.torch import definition


class Ops(definition.Namespace, ops.Ops):
    """Tensors on one device, with the differentiable definition."""

    boolean, index, hair = torch.bool, torch.int64, 1e-12
    floor, ceil, isnan = torch.floor, torch.ceil, torch.isnan
    moveaxis, broadcast_to = torch.movedim, torch.broadcast_to

    def __init__(self, device: torch.device) -> None:
        super().__init__(device)
        self.wide_dtype = wide_dtype(device)
        if self.wide_dtype == torch.float32:
            self.hair = 2.0**-21

    def astype(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        """``x`` in another dtype."""
        return x.to(dtype)

    def is_float(self, x: Tensor) -> bool:
        """Whether a tensor holds real numbers."""
        return x.is_floating_point()

    def compute_dtype(self, logits: Tensor) -> torch.dtype:
        """float64 for float64, float32 for all others."""
        return compute_dtype(logits)

    def parameter(self, value: Any, like: Tensor) -> Tensor:
        """A tensor (1,) or (n_classes,)."""
        if not isinstance(value, Tensor):
            value = torch.tensor(value, dtype=torch.float64, device="cpu")
        return value.reshape(-1).to(device=like.device, dtype=like.dtype)  # type: ignore[no-any-return]

    def wide(self, number: Any) -> Tensor:
        """A tensor of one number."""
        return torch.as_tensor(number, dtype=self.wide_dtype, device=self.device)

    def minimum(self, one: Tensor, other: Tensor | float) -> Tensor:
        """The smaller of two counts; a number goes along with the operation instead of becoming a tensor first."""
        return torch.minimum(one, other) if isinstance(other, Tensor) else one.clamp(max=other)

    def maximum(self, one: Tensor, other: Tensor | float) -> Tensor:
        """The larger of two counts, as :meth:`minimum`."""
        return torch.maximum(one, other) if isinstance(other, Tensor) else one.clamp(min=other)

    def count(self, mask: Tensor) -> Tensor:
        """How many entries are true."""
        return mask.sum().to(self.wide_dtype)

    def total(self, x: Tensor) -> Tensor:
        """The sum of all entries."""
        return x.sum(dtype=self.wide_dtype)

    def argsort(self, x: Tensor) -> Tensor:
        """The order of a vector, stable and ascending."""
        return torch.argsort(x, stable=True)

    def contiguous(self, x: Tensor) -> Tensor:
        """The same tensor in C order."""
        return x.contiguous()

    def stop_gradient(self, x: Tensor) -> Tensor:
        """``x`` without its graph."""
        return x.detach()

    def loss(self, m: Tensor, gamma: Tensor) -> Any:
        """The loss as a function of the log-odds, with exact derivatives of every order."""
        return definition.loss(m, gamma)

    def form_loss(self, m: Tensor, gamma: Tensor, form: Form) -> Any:
        """The loss of a form, likewise."""
        return definition.form_loss(m, gamma, form)

    def soft_loss(self, z: Tensor, y: Tensor, gamma: Tensor, form: Form) -> Any:
        """The loss of a form of soft targets, likewise."""
        return definition.soft_loss(z, y, gamma, form)

    def log_odds(self, logits: Tensor, ids: Tensor) -> Any:
        """``m`` (n,) of the classes ``ids``."""
        return definition.log_odds(logits, ids)

    def log_odds_of_all(self, logits: Tensor) -> Any:
        """``m`` (n, n_classes) of every class."""
        return definition.log_odds_of_all(logits)


def evaluate(call: Call, order: int = 0) -> Result:
    """Loss and derivatives of tensors, as :func:`focalkit.engines.plain.evaluate` has them."""
    logits = call.logits
    with torch.autocast("cpu" if logits.is_meta else logits.device.type, enabled=False):
        if not beyond_float32(call):
            return plain.evaluate(call, order, Ops(logits.device))
        dtype = logits.dtype if call.out_dtype is None else call.out_dtype
        wide = replaced(call, logits=logits.to(wide_dtype(logits.device)), out_dtype=dtype)
        value, *derivatives = plain.evaluate(wide, order, Ops(logits.device))
        return Result(value, *(None if part is None else part.to(logits.dtype) for part in derivatives))


def beyond_float32(call: Call) -> bool:
    """Whether float32 would overflow on the way to what it can hold, as far as numbers of Python tell."""
    if call.logits.dtype == torch.float64:
        return False
    normalizer = call.normalizer if isinstance(call.normalizer, (float, int)) else None
    return _inputs.beyond_float32(call.spec, normalizer)


def is_soft(targets: Tensor) -> bool:
    """Whether targets are probabilities."""
    return targets.is_floating_point()


def wide_dtype(device: torch.device) -> torch.dtype:
    """What sums are taken in."""
    return torch.float32 if device.type == "mps" else torch.float64


def compute_dtype(logits: Tensor) -> torch.dtype:
    """float64 for float64, float32 for all others."""
    return torch.float64 if logits.dtype == torch.float64 else torch.float32
