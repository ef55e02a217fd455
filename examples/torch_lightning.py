"""Lightning: the loss is a plain module, the ledger a callback that logs each class's share of the loss.

Needs lightning, torchmetrics and tensorboard. Run with: python examples/torch_lightning.py
"""

from __future__ import annotations

import tempfile

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from torch.utils.data import DataLoader, TensorDataset

from focalkit.nn import LedgerCallback, SoftmaxFocalLoss


class Classifier(LightningModule):
    """A small classifier."""

    def __init__(self, features: int, n_classes: int) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Linear(features, 16), torch.nn.ReLU(), torch.nn.Linear(16, n_classes)
        )
        self.criterion = SoftmaxFocalLoss(gamma=2.0)
        self.losses: list[float] = []

    def training_step(self, batch: tuple[torch.Tensor, torch.Tensor], batch_idx: int) -> dict[str, torch.Tensor]:
        """Return what the ledger needs beside the loss."""
        features, targets = batch
        logits = self.layers(features)
        loss = self.criterion(logits, targets)
        self.losses.append(loss.item())
        return {"loss": loss, "logits": logits.detach(), "targets": targets}

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam."""
        return torch.optim.Adam(self.parameters(), lr=1e-2)


def main(epochs: int = 3, n: int = 600, folder: str | None = None) -> dict[str, float]:
    """Train, and return the first and last batch's loss."""
    torch.manual_seed(0)
    targets = torch.multinomial(torch.tensor([0.8, 0.15, 0.05]), n, replacement=True)
    features = torch.randn(3, 6)[targets] * 2 + torch.randn(n, 6)
    model = Classifier(6, 3)
    trainer = Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=TensorBoardLogger(folder or tempfile.mkdtemp()),
        callbacks=[LedgerCallback(model.criterion.spec, 3, ["common", "seldom", "rare"])],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(model, DataLoader(TensorDataset(features, targets), batch_size=100))
    return {"first": model.losses[0], "last": model.losses[-1]}


if __name__ == "__main__":
    print(main())
