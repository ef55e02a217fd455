"""A small language model on long-tailed tokens whose last layer and loss are one module: the logits never exist.

Tokens follow Zipf's law, and each is mostly followed by its partner, which the model has to learn token by token:
of a few it sees thousands, of most a handful. The head shares its weight with the embedding. Afterwards the
cross-entropy by how frequent the token is, again without all the logits.
Run with: python examples/torch_language_model.py
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from focalkit import linear_softmax_focal_loss
from focalkit.nn import LinearFocalLoss


def tokens(n: int, length: int, vocabulary: int, seed: int) -> Tensor:
    """Make (n, length) ids: p(rank) ~ 1 / (rank + 3); after token t comes t XOR 1 in 7 of 10 cases."""
    generator = torch.Generator().manual_seed(seed)
    zipf = 1 / (torch.arange(vocabulary) + 3.0)
    ids = torch.multinomial(zipf, n * length, replacement=True, generator=generator).reshape(n, length)
    follows = torch.rand(n, length, generator=generator) < 0.7
    for i in range(1, length):
        ids[:, i] = torch.where(follows[:, i], ids[:, i - 1] ^ 1, ids[:, i])
    return ids


class LanguageModel(nn.Module):
    """Embedding, a causal convolution, and a head that takes the targets too."""

    def __init__(self, vocabulary: int, width: int, gamma: float) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        nn.init.normal_(self.embedding.weight, std=width**-0.5)
        self.body = nn.Sequential(nn.Conv1d(width, 2 * width, 2), nn.GELU(), nn.Conv1d(2 * width, width, 1))
        self.head = LinearFocalLoss(width, vocabulary, gamma=gamma, memory_budget=4 << 20)
        self.head.weight = self.embedding.weight

    def hidden(self, ids: Tensor) -> Tensor:
        """Return the states (n, length, width) that the head is given."""
        embedded = self.embedding(ids).transpose(1, 2)
        return (embedded + self.body(nn.functional.pad(embedded, (1, 0)))).transpose(1, 2)

    def forward(self, ids: Tensor) -> Tensor:
        """Return the focal loss of each next token, their mean."""
        return self.head(self.hidden(ids[:, :-1]), ids[:, 1:])


@torch.no_grad()
def by_frequency(model: LanguageModel, ids: Tensor) -> dict[str, float]:
    """Mean cross-entropy, in nats, of the tokens of a rank."""
    hidden, targets = model.hidden(ids[:, :-1]), ids[:, 1:]
    nll = linear_softmax_focal_loss(hidden, model.head.weight, targets, gamma=0.0, reduction="none")
    ranks = {"the 10 most frequent": (0, 10), "the next 90": (10, 100), "the rest": (100, len(model.head.weight))}
    return {name: nll[(targets >= low) & (targets < high)].mean().item() for name, (low, high) in ranks.items()}


def main(
    steps: int = 80, vocabulary: int = 2000, width: int = 64, batch: int = 32, length: int = 33, gamma: float = 1.0
) -> dict[str, Any]:
    """Train; return the first and last loss, and the cross-entropy by frequency."""
    torch.manual_seed(0)
    model = LanguageModel(vocabulary, width, gamma)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    losses = []
    for step in range(steps):
        optimizer.zero_grad()
        loss = model(tokens(batch, length, vocabulary, seed=step))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    test = tokens(64, length, vocabulary, seed=10**6)
    return {"first": losses[0], "last": losses[-1], "cross-entropy": by_frequency(model, test)}


if __name__ == "__main__":
    result = main()
    print(f"focal loss: {result['first']:.2f} at first, {result['last']:.2f} at last")
    for name, nll in result["cross-entropy"].items():
        print(f"cross-entropy of {name}: {nll:.2f} nats")
