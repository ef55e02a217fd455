"""
Segmentation: thin structures, a border that nobody knows
=========================================================

Logits (n, classes, height, width) and masks (n, height, width) go in as they are. The border, where annotators
disagree, is ignored.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch

from focalkit import class_weights
from focalkit.nn import SoftmaxFocalLoss

IGNORED = 255
rng = np.random.default_rng(0)
y, x = np.mgrid[0:48, 0:48]


def scenes(n):
    """Bright thin lines (class 1) and a small disc (class 2) under noise, each disc with an unsure border."""
    images, masks = np.empty((n, 1, 48, 48), np.float32), np.zeros((n, 48, 48), np.int64)
    for image, mask in zip(images, masks, strict=True):
        angle, offset = rng.uniform(0, np.pi), rng.uniform(-10, 10)
        mask[np.abs((x - 24) * np.cos(angle) + (y - 24) * np.sin(angle) - offset) < 0.8] = 1
        r = np.hypot(x - rng.uniform(8, 40), y - rng.uniform(8, 40))
        mask[r < 4] = 2
        image[0] = 0.6 * (mask == 1) + 0.8 * (mask == 2) + rng.normal(0, 0.35, mask.shape)
        mask[(r >= 4) & (r < 5)] = IGNORED
    return torch.from_numpy(images), torch.from_numpy(masks)


(images, masks), (test_images, test_masks) = scenes(24), scenes(8)
counts = torch.bincount(masks[masks != IGNORED], minlength=3)
print("pixels:", counts.tolist())

# %%
# Balanced cross-entropy against plain cross-entropy, by intersection over union.


def train(alpha, gamma):
    """Decisions for the test images, and IoU of each class."""
    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Conv2d(1, 12, 5, padding=2), torch.nn.ReLU(), torch.nn.Conv2d(12, 12, 5, padding=2),
        torch.nn.ReLU(), torch.nn.Conv2d(12, 3, 1),
    )  # fmt: skip
    criterion = SoftmaxFocalLoss(gamma, alpha, ignore_index=IGNORED, reduction="weighted_mean")
    optimizer = torch.optim.Adam(net.parameters(), lr=0.02)
    for _ in range(60):
        optimizer.zero_grad()
        criterion(net(images), masks).backward()
        optimizer.step()
    said, known = net(test_images).argmax(1), test_masks != IGNORED
    iou = [
        float(((said == k) & (test_masks == k)).sum() / (((said == k) | (test_masks == k)) & known).sum().clamp(min=1))
        for k in range(3)
    ]
    return said, iou


results = {
    "cross-entropy": train(None, 0.0),
    "α by the square root": train(class_weights(counts, "sqrt"), 0.0),
    "focal, γ = 2": train(None, 2.0),
}
for name, (_, iou) in results.items():
    print(f"{name}: IoU {iou[0]:.2f} ground, {iou[1]:.2f} line, {iou[2]:.2f} disc")

fig, axes = plt.subplots(1, 5, figsize=(11, 2.6))
shown = [test_images[0, 0], test_masks[0].clamp(max=3), *(said[0] for said, _ in results.values())]
for ax, picture, title in zip(axes, shown, ["image", "truth", *results], strict=True):
    ax.imshow(picture.numpy())
    ax.set_title(title, fontsize=9)
    ax.axis("off")
fig.tight_layout()
