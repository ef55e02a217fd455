"""A plain PyTorch loop on a long tail: focal loss, class weights from the counts, posteriors recovered afterwards.

Run with: python examples/torch_loop.py
"""

from __future__ import annotations

import torch
from torch.utils.data import DataLoader, TensorDataset

from focalkit import class_weights, recover_posterior
from focalkit.nn import SoftmaxFocalLoss


def long_tailed(counts: list[int], features: int = 8, seed: int = 0) -> TensorDataset:
    """Make Gaussian classes of the given sizes."""
    random = torch.Generator().manual_seed(seed)
    targets = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    centres = torch.randn(len(counts), features, generator=random) * 1.5
    return TensorDataset(centres[targets] + torch.randn(len(targets), features, generator=random), targets)


def main(epochs: int = 20, counts: tuple[int, ...] = (2000, 600, 180, 54)) -> dict[str, float]:
    """Train, and return the first and the last epoch's loss and the mean probability of the true class."""
    torch.manual_seed(0)
    data = long_tailed(list(counts))
    model = torch.nn.Sequential(torch.nn.Linear(8, 32), torch.nn.ReLU(), torch.nn.Linear(32, len(counts)))
    criterion = SoftmaxFocalLoss(gamma=1.0, alpha=class_weights(counts, "sqrt"), reduction="weighted_mean")
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(epochs):
        total = 0.0
        for features, targets in DataLoader(data, batch_size=256, shuffle=True):
            loss = criterion(model(features), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item()
        losses.append(total)
    with torch.no_grad():
        probabilities = torch.softmax(model(data.tensors[0]).double(), dim=1).numpy()
    # focal loss distorts probabilities: map them back to the posterior before using them as such
    posterior = recover_posterior(probabilities, criterion.spec.gamma, criterion.spec.alpha)
    own = posterior[range(len(posterior)), data.tensors[1].numpy()]
    return {"first": losses[0], "last": losses[-1], "mean_p_true": float(own.mean())}


if __name__ == "__main__":
    print(main())
