"""The classification losses of the ablation, each from focalkit, over all anchors of a batch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from focalkit import sigmoid_focal_loss

from .anchors import BACKGROUND_ID, IGNORED_ID, decode, nms


@dataclass(frozen=True)
class Loss:
    """A row of the ablation.

    ``alpha`` weighs positives and 1 − alpha negatives (None: 1 and 1). ``mining`` is None, "nms" (the batch of
    ``batch`` hardest anchors after suppression at ``nms``, over the whole minibatch as in the focal paper's
    table 1d) or "1:3" (the same, with at most three negatives a positive). ``star`` is β of the paper's convex FL*
    (its appendix A); ``adjustment`` is added to every logit in training: the log-odds of foreground, so that what is
    learned is what an evened-out set would teach (Menon et al. 2021).
    """

    gamma: float = 0.0
    alpha: float | None = None
    mining: str | None = None
    batch: int = 128
    nms: float = 0.7
    star: float | None = None
    adjustment: float | None = None


def targets_of(assigned: Tensor, labels: Tensor, n_classes: int) -> Tensor:
    """0 and 1 for each anchor and class (n_anchors, n_classes), −1 where the anchor is ignored."""
    targets = torch.zeros(len(assigned), n_classes, dtype=torch.long)
    positive = assigned >= 0
    targets[positive.nonzero().squeeze(1), labels[assigned[positive]]] = 1
    targets[assigned == IGNORED_ID] = -1
    return targets


def classification_loss(
    loss: Loss, logits: Tensor, targets: Tensor, assigned: Tensor, offsets: Tensor, anchors: Tensor
) -> Tensor:
    """Sum over all anchors and classes over the number of positive anchors (mining: over the anchors that are kept)."""
    n_positive = (assigned >= 0).sum().clamp(min=1)
    if loss.mining is None:
        return sigmoid_focal_loss(
            logits, targets, loss.gamma, loss.alpha, ignore_index=-1, reduction="sum", normalizer=n_positive,
            star=loss.star, logit_adjustment=loss.adjustment,
        )  # fmt: skip
    kept = _hardest(loss, logits.detach(), targets, assigned, offsets.detach(), anchors)
    return sigmoid_focal_loss(
        logits[kept], targets[kept], loss.gamma, loss.alpha, reduction="sum", normalizer=kept.sum().clamp(min=1)
    )


def _hardest(loss: Loss, logits: Tensor, targets: Tensor, assigned: Tensor, offsets: Tensor, anchors: Tensor) -> Tensor:
    """Which anchors (n, n_anchors) are trained on: non-maximum suppression by loss, then the highest losses."""
    every = sigmoid_focal_loss(logits, targets, loss.gamma, loss.alpha, ignore_index=-1, reduction="none").sum(-1)
    every[assigned == IGNORED_ID] = -1.0
    images, rows = [], []
    for i, row in enumerate(every):
        top = row.topk(min(8 * loss.batch, len(row))).indices  # what lies below is never among the hardest
        chosen = top[nms(decode(offsets[i, top], anchors[top]), row[top], loss.nms)]
        rows.append(chosen[row[chosen] >= 0])
        images.append(torch.full_like(rows[-1], i))
    image, anchor = torch.cat(images), torch.cat(rows)
    order = every[image, anchor].argsort(descending=True, stable=True)
    image, anchor = image[order], anchor[order]
    limit = loss.batch * len(every)
    if loss.mining == "1:3":
        object_of = assigned[image, anchor]
        positives = (object_of >= 0).nonzero().squeeze(1)[: limit // 4]
        negatives = (object_of == BACKGROUND_ID).nonzero().squeeze(1)
        negatives = negatives[: min(limit - len(positives), 3 * max(len(positives), 1))]
        chosen = torch.cat([positives, negatives])
    else:
        chosen = torch.arange(len(image))[:limit]
    kept = torch.zeros_like(assigned, dtype=torch.bool)
    kept[image[chosen], anchor[chosen]] = True
    return kept
