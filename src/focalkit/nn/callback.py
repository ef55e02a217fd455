"""A Lightning callback that shows where the loss goes while a model trains."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lightning.pytorch import Callback

from focalkit._core.spec import LossSpec
from focalkit.nn.metric import LedgerMetric
from focalkit.nn.shares import write_shares

if TYPE_CHECKING:
    from lightning.pytorch import LightningModule, Trainer


class LedgerCallback(Callback):
    r"""Log each class's share of the loss and of the gradient to TensorBoard, once per epoch.

    .. math:: \text{share}_k = \sum_{i: t_i = k} \alpha_k f_\gamma(m_i) \Big/ \sum_i \alpha_{t_i} f_\gamma(m_i)

    The LightningModule's ``training_step`` (``validation_step``) returns a dict that holds the batch's
    ``"logits"`` and ``"targets"`` beside ``"loss"``; other steps are passed over. Ledgers are summed over ranks.

    Parameters
    ----------
    spec : LossSpec
        The loss that is trained.
    n_classes : int
        Classes of the logits.
    class_names : sequence of str, optional
        Their names.

    Raises
    ------
    InputError
        Where an argument breaks its contract.

    Examples
    --------
    >>> callback = LedgerCallback(LossSpec(gamma=2.0), n_classes=3)
    >>> sorted(callback.metrics)
    ['train', 'validation']
    """

    def __init__(self, spec: LossSpec, n_classes: int, class_names: Sequence[str] | None = None) -> None:
        self.metrics = {stage: LedgerMetric(spec, n_classes, class_names) for stage in ("train", "validation")}

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Add a training batch."""
        self._add("train", outputs)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Add a validation batch."""
        self._add("validation", outputs)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write and start again."""
        self._write("train", trainer)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write and start again."""
        self._write("validation", trainer)

    def _add(self, stage: str, outputs: Any) -> None:
        if isinstance(outputs, dict) and "logits" in outputs and "targets" in outputs:
            self.metrics[stage].update(outputs["logits"], outputs["targets"])

    def _write(self, stage: str, trainer: Any) -> None:
        metric = self.metrics[stage]
        if not metric.update_called:
            return
        ledger = metric.compute()
        metric.reset()
        for logger in trainer.loggers:
            if hasattr(logger.experiment, "add_scalar"):
                write_shares(logger.experiment, ledger, trainer.global_step, prefix=f"{stage}_shares")
