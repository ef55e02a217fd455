"""How much of a detector's training step the classification loss takes: focalkit's against torchvision's form.

python benchmarks/detector_step.py --rounds 15      # medians; both losses in every round, in changing order

The step is that of examples/detector: forward, classification loss, smooth L1, backward, clipping, AdamW.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parents[1]))

from examples.detector.anchors import assign, make_anchors
from examples.detector.losses import targets_of
from examples.detector.model import Detector

from focalkit import sigmoid_focal_loss

#: Side of an image in pixels, images a step, classes, strides of the pyramid.
SIZES = {"the scenes here": (96, 8, 3, (4, 8, 16)), "COCO's classes": (512, 2, 80, (8, 16, 32))}
GAMMA, ALPHA = 2.0, 0.25


def ours(logits: Tensor, targets: Tensor, n_positive: Tensor) -> Tensor:
    return sigmoid_focal_loss(
        logits, targets, GAMMA, ALPHA, ignore_index=-1, reduction="sum", normalizer=n_positive
    )  # fmt: skip


def theirs(logits: Tensor, targets: Tensor, n_positive: Tensor) -> Tensor:
    """``torchvision.ops.sigmoid_focal_loss`` as its RetinaNet calls it: over the anchors that are not ignored."""
    valid = targets[..., 0] >= 0
    x, y = logits[valid], targets[valid].to(logits.dtype)
    p = torch.sigmoid(x)
    ce = nn.functional.binary_cross_entropy_with_logits(x, y, reduction="none")
    p_t = p * y + (1 - p) * (1 - y)
    loss = ce * ((1 - p_t) ** GAMMA)
    alpha_t = ALPHA * y + (1 - ALPHA) * (1 - y)
    return (alpha_t * loss).sum() / n_positive


def measure(side: int, batch: int, n_classes: int, strides: tuple[int, ...], rounds: int) -> dict[str, float]:
    """Median milliseconds of a whole step, and of the loss with its gradient alone, with either loss."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    anchors = make_anchors(side, side, strides)
    corner = rng.uniform(0, 0.7 * side, (batch, 3, 2))
    boxes = torch.from_numpy(np.concatenate([corner, corner + rng.uniform(0.12, 0.3, (batch, 3, 2)) * side], 2)).float()
    assigned = torch.stack([assign(anchors, row) for row in boxes])
    labels = torch.from_numpy(rng.integers(0, n_classes, (batch, 3)))
    targets = torch.stack([targets_of(row, ids, n_classes) for row, ids in zip(assigned, labels, strict=True)])
    positive = assigned >= 0
    n_positive, images = positive.sum(), torch.randn(batch, 1, side, side).to(memory_format=torch.channels_last)
    net = Detector(1, n_classes, strides)
    net.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-4)
    fixed = net(images)[0].detach()
    torch.testing.assert_close(*(loss(fixed, targets, n_positive) for loss in (ours, theirs)), rtol=1e-4, atol=0)

    def step(loss: Callable[..., Tensor]) -> None:
        logits, offsets = net(images)
        value = (
            loss(logits, targets, n_positive)
            + nn.functional.smooth_l1_loss(
                offsets[positive], torch.zeros_like(offsets[positive]), beta=0.11, reduction="sum"
            )
            / n_positive
        )
        optimizer.zero_grad()
        value.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 10.0)
        optimizer.step()

    def alone(loss: Callable[..., Tensor]) -> None:
        loss(fixed.requires_grad_(), targets, n_positive).backward()
        fixed.grad = None

    contenders = {f"{what.__name__} {loss.__name__}": (what, loss) for what in (step, alone) for loss in (ours, theirs)}
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(rounds + 2):  # the first two warm up
        for name in list(contenders)[:: 1 if turn % 2 else -1]:
            what, loss = contenders[name]
            start = time.perf_counter()
            what(loss)
            if turn >= 2:
                times[name].append(1e3 * (time.perf_counter() - start))
    return {name: float(np.median(values)) for name, values in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    print("| step | logits | focalkit: step | its loss | share | torchvision's form: step | its loss | share |")
    print("|---|---|---|---|---|---|---|---|")
    for name, (side, batch, n_classes, strides) in SIZES.items():
        t = measure(side, batch, n_classes, strides, rounds)
        logits = batch * len(make_anchors(side, side, strides)) * n_classes
        columns = [
            text
            for who in ("ours", "theirs")
            for text in (
                f"{t[f'step {who}']:.0f} ms",
                f"{t[f'alone {who}']:.1f} ms",
                f"{t[f'alone {who}'] / t[f'step {who}']:.1%}",
            )
        ]
        print(f"| {name} | {logits:,} | " + " | ".join(columns) + " |", flush=True)


if __name__ == "__main__":
    main()
