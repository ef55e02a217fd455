"""Losses for Keras 3: focal loss and cross-entropy of logits, on every backend of Keras.

Install with ``pip install "focalkit[keras]"`` and the backend of your choice.
"""

from __future__ import annotations

from focalkit._core.extras import need

with need("keras", "focalkit.keras", "keras"):
    import keras as _keras  # noqa: F401

from focalkit.keras.callback import LedgerCallback
from focalkit.keras.losses import SigmoidCrossEntropy, SigmoidFocalLoss, SoftmaxCrossEntropy, SoftmaxFocalLoss

__all__ = ["LedgerCallback", "SigmoidCrossEntropy", "SigmoidFocalLoss", "SoftmaxCrossEntropy", "SoftmaxFocalLoss"]


def __dir__() -> list[str]:
    return sorted(__all__)
