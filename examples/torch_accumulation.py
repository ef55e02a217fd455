"""Gradient accumulation that equals the large batch, to rounding: one normalizer for all micro-batches.

A mean per micro-batch weighs a short one's tokens more. Dividing every micro-batch's sum by the count of the
whole batch does not. Run with: python examples/torch_accumulation.py
"""

from __future__ import annotations

import torch

from focalkit.nn import SoftmaxFocalLoss

PADDING = -100


def main(sequences: int = 12, length: int = 10, vocabulary: int = 50, micro_batch: int = 4) -> dict[str, float]:
    """Return the largest difference from the large batch's gradient, with our normalizer and with naive means."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Embedding(vocabulary, 16), torch.nn.Linear(16, vocabulary)).double()
    tokens = torch.randint(vocabulary, (sequences, length))
    targets = torch.randint(vocabulary, (sequences, length))
    for row, padded in zip(targets, torch.arange(sequences) % length, strict=True):
        row[length - int(padded) :] = PADDING
    criterion = SoftmaxFocalLoss(gamma=2.0, ignore_index=PADDING, class_axis=-1)

    def gradient(losses: list[torch.Tensor]) -> torch.Tensor:
        model.zero_grad()
        for loss in losses:
            loss.backward()
        return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])

    batches = list(zip(tokens.split(micro_batch), targets.split(micro_batch), strict=True))
    n_tokens = (targets != PADDING).sum()
    whole = gradient([criterion(model(tokens), targets)])
    ours = gradient([criterion(model(x), y, normalizer=n_tokens) for x, y in batches])
    naive = gradient([criterion(model(x), y) / len(batches) for x, y in batches])
    scale = whole.abs().max()
    return {"ours": float((ours - whole).abs().max() / scale), "naive": float((naive - whole).abs().max() / scale)}


if __name__ == "__main__":
    print(main())
