"""
Hugging Face: the Trainer with focal loss
=========================================

``compute_loss_func`` receives the number of tokens of the whole accumulated batch. As our ``normalizer`` it makes
accumulation equal the large batch. The model is tiny and made at random: nothing is downloaded.
"""

import tempfile

import matplotlib.pyplot as plt
import torch
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments

from focalkit.nn import SoftmaxFocalLoss

criterion = SoftmaxFocalLoss(gamma=1.0, reduction="sum", class_axis=-1)


def compute_loss(outputs, labels, num_items_in_batch=None):
    """Focal loss of the next token. Labels of −100, padding and prompts, are not counted."""
    logits, targets = outputs.logits[:, :-1], labels[:, 1:]
    if num_items_in_batch is None:
        num_items_in_batch = (targets != -100).sum().clamp(min=1)
    return criterion(logits, targets, normalizer=num_items_in_batch)


torch.manual_seed(0)
ids = (torch.arange(12)[None] * torch.randint(1, 5, (48, 1)) + torch.randint(23, (48, 1))) % 23
rows = [{"input_ids": row, "labels": row} for row in ids]
model = GPT2LMHeadModel(
    GPT2Config(vocab_size=23, n_positions=12, n_embd=32, n_layer=1, n_head=2, bos_token_id=0, eos_token_id=0)
)
with tempfile.TemporaryDirectory() as folder:
    options = TrainingArguments(
        folder, max_steps=20, per_device_train_batch_size=8, gradient_accumulation_steps=2, learning_rate=1e-2,
        logging_steps=2, report_to=[], save_strategy="no", use_cpu=True, disable_tqdm=True, dataloader_pin_memory=False,
    )  # fmt: skip
    trainer = Trainer(model=model, args=options, train_dataset=rows, compute_loss_func=compute_loss)
    trainer.train()
history = [entry for entry in trainer.state.log_history if "loss" in entry]
losses = [float(entry["loss"]) for entry in history]
print(f"focal loss {losses[0]:.2f} → {losses[-1]:.2f}")

# %%
# The loss that the Trainer logs is the mean over tokens, whatever the accumulation.

fig, ax = plt.subplots(figsize=(7, 3))
ax.plot([entry["step"] for entry in history], losses, "o-")
ax.set(xlabel="step", ylabel="focal loss, γ = 1")
fig.tight_layout()
