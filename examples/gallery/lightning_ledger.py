"""
Lightning: which class is trained on?
=====================================

The loss is a plain module. ``LedgerMetric`` sums up each epoch's logits,
so that each class's share of loss and gradient can be told for every γ. With a TensorBoard logger ``LedgerCallback``
does the same by itself.
"""

import logging
import tempfile
import warnings

import matplotlib.pyplot as plt
import torch
from lightning.pytorch import LightningModule, Trainer
from torch.utils.data import DataLoader, TensorDataset

from focalkit.nn import LedgerMetric, SoftmaxFocalLoss

logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
torch.manual_seed(0)
counts = [600, 120, 24]
targets = torch.repeat_interleave(torch.arange(3), torch.tensor(counts))
features = torch.randn(len(targets), 6) + 1.5 * torch.eye(3, 6)[targets]


class Classifier(LightningModule):
    """A linear classifier with focal loss."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(6, 3)
        self.criterion = SoftmaxFocalLoss(gamma=2.0)
        self.metric, self.ledgers = LedgerMetric(self.criterion.spec, 3), []

    def training_step(self, batch, batch_idx):
        x, y = batch
        logits = self.layer(x)
        self.metric.update(logits.detach(), y)
        return self.criterion(logits, y)

    def on_train_epoch_end(self):
        self.ledgers.append(self.metric.compute())
        self.metric.reset()

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=0.02)


model = Classifier()
with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Lightning's advice on loggers and workers
    trainer = Trainer(
        max_epochs=4, accelerator="cpu", default_root_dir=folder, logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(model, DataLoader(TensorDataset(features, targets), batch_size=32, shuffle=True))

# %%
# Shares of the last epoch, at the γ of the training and at others, from the same ledger.

fig, ax = plt.subplots(figsize=(7, 3.4))
for i, gamma in enumerate((0.0, 2.0, 5.0)):
    share = model.ledgers[-1].shares(gamma=gamma).loss.share
    ax.bar([k + 0.27 * i - 0.27 for k in range(3)], 100 * share, 0.27, label=f"γ = {gamma:g}")
    print(f"γ = {gamma:g}:", [f"{s:.0%}" for s in share])
ax.set(xticks=range(3), xticklabels=[f"{n} samples" for n in counts], ylabel="share of the loss, %")
ax.legend()
fig.tight_layout()
