"""A RetinaNet-style dense head: sigmoid focal loss over all anchors, divided by the number of positives.

As in Lin et al. 2017 (arXiv 1708.02002): gamma 2, alpha 0.25, the last layer's bias set so that every anchor
starts with probability 0.01, anchors in doubt ignored, the sum over all anchors divided by those assigned to
an object. Run with: python examples/torch_dense_head.py
"""

from __future__ import annotations

import torch
from torch import nn

from focalkit import prior_bias
from focalkit.nn import SigmoidFocalLoss, global_normalizer

IGNORED = -1


class Head(nn.Module):
    """Class logits (n, classes, anchors, height, width) of a feature map."""

    def __init__(self, channels: int, n_classes: int, n_anchors: int, prior: float = 0.01) -> None:
        super().__init__()
        self.shape = (n_classes, n_anchors)
        self.tower = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU())
        self.last = nn.Conv2d(channels, n_classes * n_anchors, 3, padding=1)
        nn.init.normal_(self.last.weight, std=0.01)
        nn.init.constant_(self.last.bias, float(prior_bias(prior)))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return the logits."""
        return self.last(self.tower(features)).unflatten(1, self.shape)


def main(steps: int = 30, size: int = 16, n_classes: int = 4, n_anchors: int = 3) -> dict[str, float]:
    """Train on one made image and return the first and last loss, and the mean first probability."""
    torch.manual_seed(0)
    head = Head(8, n_classes, n_anchors)
    features = torch.randn(2, 8, size, size)
    targets = torch.zeros(2, n_classes, n_anchors, size, size, dtype=torch.long)
    targets[0, 1, 0, 3, 4] = targets[1, 2, 1, 8, 9] = 1
    targets[0, :, 0, 3, 5] = IGNORED  # overlaps the object by 0.4 to 0.5
    criterion = SigmoidFocalLoss(gamma=2.0, alpha=0.25, ignore_index=IGNORED, reduction="sum", inplace=True)
    optimizer = torch.optim.Adam(head.parameters(), lr=3e-3)
    with torch.no_grad():
        start = float(torch.sigmoid(head(features)).mean())
    losses = []
    for _ in range(steps):
        n_positives = global_normalizer((targets == 1).sum())  # over all ranks, and 1 where there is none
        loss = criterion(head(features), targets, normalizer=n_positives)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return {"first": losses[0], "last": losses[-1], "first_probability": start}


if __name__ == "__main__":
    print(main())
