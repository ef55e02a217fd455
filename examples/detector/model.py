"""A feature pyramid of two or three levels under shared heads, some 10⁵ parameters."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from focalkit import prior_bias


def _block(inside: int, outside: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inside, outside, 3, stride, 1, bias=False), nn.BatchNorm2d(outside), nn.ReLU(inplace=True)
    )


class Detector(nn.Module):
    """Class logits (n, n_anchors, n_classes) and box offsets (n, n_anchors, 4) of images (n, channels, height, width).

    ``prior`` is the π of the focal paper: the probability of foreground that every anchor starts with.
    None starts at one half, as an ordinary initialisation does.
    """

    def __init__(
        self,
        channels: int,
        n_classes: int,
        strides: tuple[int, ...] = (4, 8, 16),
        width: int = 32,
        prior: float | None = 0.01,
    ) -> None:
        super().__init__()
        self.strides, self.n_classes = strides, n_classes
        self.stem = nn.Sequential(_block(channels, 16, 2), _block(16, width, 2), _block(width, width, 1))
        deeper = [s for s in (8, 16, 32) if s <= strides[-1]]
        self.stages = nn.ModuleList(nn.Sequential(_block(width, width, 2), _block(width, width, 1)) for _ in deeper)
        self.lateral = nn.ModuleList(nn.Conv2d(width, width, 1) for _ in range(1 + len(deeper)))
        self.class_tower = nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.ReLU(inplace=True))
        self.box_tower = nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.ReLU(inplace=True))
        self.class_head = nn.Conv2d(width, 9 * n_classes, 3, padding=1)
        self.box_head = nn.Conv2d(width, 9 * 4, 3, padding=1)
        for layer in (self.class_head, self.box_head):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)
        if prior is not None:
            nn.init.constant_(self.class_head.bias, float(prior_bias(prior)))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits and offsets, all levels one after the other."""
        features = [self.stem(images)]
        for stage in self.stages:
            features.append(stage(features[-1]))
        above = self.lateral[-1](features[-1])
        pyramid = [above]
        for feature, lateral in zip(features[-2::-1], list(self.lateral)[-2::-1], strict=True):
            above = lateral(feature) + nn.functional.interpolate(above, scale_factor=2.0, mode="nearest")
            pyramid.insert(0, above)
        used = pyramid[-len(self.strides) :]
        logits = [self._flat(self.class_head(self.class_tower(level)), self.n_classes) for level in used]
        offsets = [self._flat(self.box_head(self.box_tower(level)), 4) for level in used]
        return torch.cat(logits, 1), torch.cat(offsets, 1)

    @staticmethod
    def _flat(maps: Tensor, last: int) -> Tensor:
        return maps.permute(0, 2, 3, 1).reshape(len(maps), -1, last)  # channel k + last × anchor
