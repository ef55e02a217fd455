"""Modules of PyTorch: losses over a :class:`focalkit.LossSpec`, and the ledger as a metric.

Install with ``pip install 'focalkit[torch]'``; ``LedgerMetric`` also needs torchmetrics, ``LedgerCallback`` Lightning.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from focalkit._core.extras import need

with need("torch", "focalkit.nn", "torch"):
    import torch as _torch  # noqa: F401

from focalkit.nn.linear import LinearFocalLoss
from focalkit.nn.losses import SigmoidCrossEntropy, SigmoidFocalLoss, SoftmaxCrossEntropy, SoftmaxFocalLoss
from focalkit.nn.parallel import global_normalizer, parallel_softmax_focal_loss
from focalkit.nn.shares import write_shares

if TYPE_CHECKING:
    from focalkit.nn.callback import LedgerCallback
    from focalkit.nn.metric import LedgerMetric

__all__ = [
    "LedgerCallback",
    "LedgerMetric",
    "LinearFocalLoss",
    "SigmoidCrossEntropy",
    "SigmoidFocalLoss",
    "SoftmaxCrossEntropy",
    "SoftmaxFocalLoss",
    "global_normalizer",
    "parallel_softmax_focal_loss",
    "write_shares",
]

_LATER = {"LedgerMetric": ("metric", "torchmetrics"), "LedgerCallback": ("callback", "lightning")}


def __getattr__(name: str) -> Any:
    """Load what needs a further library when it is asked for."""
    if name not in _LATER:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    module, library = _LATER[name]
    with need(library, f"focalkit.nn.{name}", None):
        return getattr(import_module(f"{__name__}.{module}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
