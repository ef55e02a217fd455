"""Anchors, their assignment to objects, and boxes as offsets from anchors (Lin et al. 2017, section 4)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

FOREGROUND, BACKGROUND = 0.5, 0.4
BACKGROUND_ID, IGNORED_ID = -1, -2


def make_anchors(height: int, width: int, strides: tuple[int, ...], base: float = 3.0) -> Tensor:
    """Nine anchors a cell (three scales × three aspect ratios): (n_anchors, 4) as x1, y1, x2, y2 in pixels."""
    levels = []
    for stride in strides:
        ys = (torch.arange(height // stride) + 0.5) * stride
        xs = (torch.arange(width // stride) + 0.5) * stride
        centre = torch.stack(torch.meshgrid(ys, xs, indexing="ij"), -1).flip(-1).reshape(-1, 1, 2)
        scales = base * stride * 2 ** (torch.arange(3) / 3)
        root = torch.tensor([0.5, 1.0, 2.0]).sqrt()
        half = torch.stack([torch.outer(scales, 1 / root), torch.outer(scales, root)], -1).reshape(1, 9, 2) / 2
        levels.append(torch.cat([centre - half, centre + half], -1).reshape(-1, 4))
    return torch.cat(levels)


def iou(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union of boxes (n, 4) and (m, 4): (n, m)."""
    width, height = (
        (torch.minimum(a[:, None, i + 2], b[None, :, i + 2]) - torch.maximum(a[:, None, i], b[None, :, i])).clamp_(
            min=0
        )
        for i in (0, 1)
    )
    inter = width.mul_(height)
    area_a, area_b = (a[:, 2:] - a[:, :2]).prod(-1), (b[:, 2:] - b[:, :2]).prod(-1)
    return inter / (area_a[:, None] + area_b[None] - inter).clamp(min=1e-9)


def assign(anchors: Tensor, boxes: Tensor) -> Tensor:
    """The object of each anchor: its index, BACKGROUND_ID below 0.4, IGNORED_ID between 0.4 and 0.5.

    Each object also takes the anchor that overlaps it most, so that none is without a positive.
    """
    if not len(boxes):
        return torch.full((len(anchors),), BACKGROUND_ID)
    overlap = iou(anchors, boxes)
    best, which = overlap.max(1)
    which[best < FOREGROUND] = IGNORED_ID
    which[best < BACKGROUND] = BACKGROUND_ID
    which[overlap.argmax(0)] = torch.arange(len(boxes))
    return which


def encode(boxes: Tensor, anchors: Tensor) -> Tensor:
    """Boxes as offsets from their anchors: shift over the anchor's size, log of the ratio of sizes."""
    size_a, size_b = anchors[:, 2:] - anchors[:, :2], boxes[:, 2:] - boxes[:, :2]
    shift = (boxes[:, :2] + size_b / 2 - anchors[:, :2] - size_a / 2) / size_a
    return torch.cat([shift, (size_b / size_a).log()], 1)


def decode(offsets: Tensor, anchors: Tensor) -> Tensor:
    """The inverse of :func:`encode`."""
    size = anchors[:, 2:] - anchors[:, :2]
    centre = anchors[:, :2] + size / 2 + offsets[:, :2] * size
    half = size * offsets[:, 2:].clamp(max=4).exp() / 2
    return torch.cat([centre - half, centre + half], 1)


def nms(boxes: Tensor, scores: Tensor, threshold: float) -> Tensor:
    """Greedy non-maximum suppression: indices of what is kept, by falling score."""
    order = scores.argsort(descending=True, stable=True)
    apart = (iou(boxes[order], boxes[order]) <= threshold).numpy()  # NumPy: its calls cost less than torch's
    keep = np.ones(len(order), bool)
    for i in range(len(order)):
        if keep[i]:
            keep[i + 1 :] &= apart[i, i + 1 :]
    return order[torch.from_numpy(keep)]
