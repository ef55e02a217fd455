"""A Keras callback that shows where the loss goes while a model trains."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

import keras
from focalkit._core import contracts
from focalkit._core.spec import LossSpec
from focalkit.diagnosis import Ledger, diagnose


class LedgerCallback(keras.callbacks.Callback):  # type: ignore[misc]
    r"""Diagnose a model's logits after every epoch: each class's share of the loss and of the gradient.

    .. math:: \text{share}_k = \sum_{i: t_i = k} \alpha_k f_\gamma(m_i) \Big/ \sum_i \alpha_{t_i} f_\gamma(m_i)

    The shares go into the logs, as ``loss_share_<class>`` and ``gradient_share_<class>``, and so into the history.

    Parameters
    ----------
    x, y : arrays
        Samples, e.g. of validation, and their class ids (n,).
    spec : LossSpec
        The loss that is trained.
    class_names : sequence of str, optional
    batch_size : int, optional
        Of the predictions.

    Attributes
    ----------
    ledgers : list of Ledger
        One per epoch.

    Raises
    ------
    InputError
        Where the predictions, y or spec break their contract.

    Examples
    --------
    >>> model.fit(x, y, callbacks=[LedgerCallback(x_val, y_val, criterion.spec)])  # doctest: +SKIP
    """

    def __init__(
        self,
        x: ArrayLike,
        y: ArrayLike,
        spec: LossSpec,
        class_names: Sequence[str] | None = None,
        batch_size: int | None = None,
    ) -> None:
        super().__init__()
        self.x, self.y, self.spec = x, contracts.array("y", y), spec
        self.class_names, self.batch_size = class_names, batch_size
        self.ledgers: list[Ledger] = []

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Predict, diagnose, and add the shares to the logs."""
        logits = np.asarray(self.model.predict(self.x, batch_size=self.batch_size, verbose=0))
        ledger = diagnose(logits, self.y, self.spec, class_names=self.class_names)
        self.ledgers.append(ledger)
        shares = ledger.shares()
        if logs is not None:
            for k, name in enumerate(shares.class_names):
                logs[f"loss_share_{name}"] = float(shares.loss.share_alpha[k])
                logs[f"gradient_share_{name}"] = float(shares.grad.share_alpha[k])
