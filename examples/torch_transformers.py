"""Hugging Face Trainer: focal loss over tokens, divided by the whole accumulated batch's number of tokens.

``compute_loss_func`` receives ``num_items_in_batch``; as our ``normalizer`` it makes gradient accumulation equal
the large batch. A tiny randomly made model, nothing is downloaded. Needs transformers and accelerate.
Run with: python examples/torch_transformers.py
"""

from __future__ import annotations

import tempfile
from typing import Any

import torch
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments

from focalkit.nn import SoftmaxFocalLoss

VOCABULARY, LENGTH = 23, 12
CRITERION = SoftmaxFocalLoss(gamma=1.0, reduction="sum", class_axis=-1)


def compute_loss(outputs: Any, labels: torch.Tensor, num_items_in_batch: Any = None) -> torch.Tensor:
    """Next-token focal loss; labels of -100 (padding, prompts) are not counted."""
    logits, targets = outputs.logits[:, :-1], labels[:, 1:]
    if num_items_in_batch is None:
        num_items_in_batch = (targets != -100).sum().clamp(min=1)
    return CRITERION(logits, targets, normalizer=num_items_in_batch)


class Sequences(torch.utils.data.Dataset[dict[str, torch.Tensor]]):
    """Counting modulo the vocabulary, each sequence padded at the end."""

    def __len__(self) -> int:
        return 16

    def __getitem__(self, i: int) -> dict[str, torch.Tensor]:
        tokens = (torch.arange(LENGTH) + i) % VOCABULARY
        labels = tokens.clone()
        labels[LENGTH - i % 5 :] = -100
        return {"input_ids": tokens, "labels": labels}


def main(steps: int = 8, micro_batch: int = 2, accumulate: int = 4, optimizer: str = "adamw_torch") -> dict[str, Any]:
    """Train, and return the logged losses and the trained weights' sum of squares."""
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=VOCABULARY, n_positions=LENGTH, n_embd=16, n_layer=1, n_head=2,
        resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    model = GPT2LMHeadModel(config)
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            per_device_train_batch_size=micro_batch,
            gradient_accumulation_steps=accumulate,
            max_steps=steps,
            learning_rate=1e-2,
            lr_scheduler_type="constant",
            optim=optimizer,
            max_grad_norm=0.0,
            logging_steps=1,
            report_to=[],
            save_strategy="no",
            use_cpu=True,
            disable_tqdm=True,
            dataloader_num_workers=0,
        )
        trainer = Trainer(model=model, args=arguments, train_dataset=Sequences(), compute_loss_func=compute_loss)
        trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    weights = torch.cat([p.detach().flatten() for p in model.parameters()])
    return {"losses": losses, "weights": weights}


if __name__ == "__main__":
    print(main()["losses"])
