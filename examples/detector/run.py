"""Train one detector and measure it: COCO's average precision, and the ledger of its anchors."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from focalkit import Ledger, LossSpec, diagnose

from .anchors import BACKGROUND_ID, assign, decode, encode, iou, make_anchors, nms
from .data import Images
from .losses import Loss, classification_loss, targets_of
from .model import Detector


@dataclass(frozen=True)
class Training:
    """How long and how: AdamW with one cycle of its learning rate and clipped gradients, or as the focal paper.

    ``paper`` is its section 4.1 but for the number of steps: SGD with momentum 0.9 at 0.01, a tenth of it after two
    thirds of the steps and a hundredth after eight ninths, and no clipping.
    """

    steps: int = 400
    batch: int = 8
    width: int = 32
    strides: tuple[int, ...] = (4, 8, 16)
    prior: float | None = 0.01
    paper: bool = False

    def optimizer(self, net: nn.Module) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
        """Its optimizer and the schedule of its learning rate."""
        optimizer: torch.optim.Optimizer
        if self.paper:
            optimizer = torch.optim.SGD(net.parameters(), lr=1e-2, momentum=0.9, weight_decay=1e-4)
            drops = [2 * self.steps // 3, 8 * self.steps // 9]
            return optimizer, torch.optim.lr_scheduler.MultiStepLR(optimizer, drops, 0.1)
        optimizer = torch.optim.AdamW(net.parameters(), lr=2e-3, weight_decay=1e-4)
        return optimizer, torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=self.steps)


@dataclass
class Outcome:
    """AP, AP50, AP75 and each class's AP in per cent, None where training diverged; the loss's share of a step.

    ``f1_plain`` is the macro F1 of detections with a score of one half and more, ``f1_chosen`` that at the cut-offs
    that are best on training images: the remedy that costs no training.
    """

    ap: float | None
    ap50: float | None
    ap75: float | None
    ap_of: dict[str, float] | None
    loss_share: float
    ratio: float
    seconds: float
    f1_plain: float | None = None
    f1_chosen: float | None = None
    detector: Detector | None = field(repr=False, default=None)


def train(loss: Loss, images: Images, training: Training, seed: int) -> tuple[Detector, float, float, bool]:
    """Return detector, the loss's share of the time, background anchors per foreground one, whether all was finite."""
    torch.manual_seed(seed)
    channels, height, width = images.pixels.shape[1:]
    anchors = make_anchors(height, width, training.strides)
    assigned = torch.stack([assign(anchors, torch.from_numpy(b)) for b in images.boxes])
    ratio = float((assigned == BACKGROUND_ID).sum() / (assigned >= 0).sum().clamp(min=1))
    n_classes = len(images.classes)
    every_target = torch.stack(
        [
            targets_of(row, torch.from_numpy(labels), n_classes).to(torch.int8)
            for row, labels in zip(assigned, images.labels, strict=True)
        ]
    )
    net = Detector(channels, n_classes, training.strides, training.width, training.prior)
    net.to(memory_format=torch.channels_last)
    optimizer, schedule = training.optimizer(net)
    pixels = torch.from_numpy(images.pixels).contiguous(memory_format=torch.channels_last)
    order = torch.Generator().manual_seed(seed)
    in_loss = total = 0.0
    for _ in range(training.steps):
        start = time.perf_counter()
        pick = torch.randint(len(images), (training.batch,), generator=order)
        logits, offsets = net(pixels[pick])
        targets = every_target[pick].long()
        before = time.perf_counter()
        value = classification_loss(loss, logits, targets, assigned[pick], offsets, anchors)
        in_loss += time.perf_counter() - before
        value = value + _box_loss(images, pick, assigned, offsets, anchors)
        optimizer.zero_grad()
        value.backward()
        if not training.paper:
            nn.utils.clip_grad_norm_(net.parameters(), 10.0)
        optimizer.step()
        schedule.step()
        total += time.perf_counter() - start
        if not torch.isfinite(value.detach()):
            return net, in_loss / total, ratio, False
    return net, in_loss / total, ratio, True


def _box_loss(images: Images, pick: Tensor, assigned: Tensor, offsets: Tensor, anchors: Tensor) -> Tensor:
    """Smooth L1 over the positive anchors, summed, over their number."""
    losses, count = [], 0
    for row, i in zip(offsets, pick.tolist(), strict=True):
        positive = assigned[i] >= 0
        if positive.any():
            boxes = torch.from_numpy(images.boxes[i])[assigned[i][positive]]
            aim = encode(boxes, anchors[positive])
            losses.append(nn.functional.smooth_l1_loss(row[positive], aim, beta=0.11, reduction="sum"))
            count += int(positive.sum())
    return torch.stack(losses).sum() / max(count, 1) if losses else offsets.sum() * 0.0


@torch.no_grad()
def predict(
    net: Detector, images: Images, most: int = 50, batch: int = 16, shift: Tensor | None = None
) -> list[dict[str, Any]]:
    """COCO's result records. ``shift`` (n_classes,) is added to the logits: decisions for other priors."""
    net.eval()
    anchors = make_anchors(*images.pixels.shape[2:], net.strides)
    records = []
    for start in range(0, len(images), batch):
        logits, offsets = net(torch.from_numpy(images.pixels[start : start + batch]))
        scores = torch.sigmoid(logits if shift is None else logits + shift)
        for i, (score, offset) in enumerate(zip(scores, offsets, strict=True)):
            for k in range(score.shape[1]):
                top = score[:, k].topk(min(200, len(score)))
                boxes = decode(offset[top.indices], anchors[top.indices])
                for j in nms(boxes, top.values, 0.5)[:most].tolist():
                    x1, y1, x2, y2 = boxes[j].tolist()
                    records.append(
                        {
                            "image_id": start + i,
                            "category_id": k,
                            "bbox": [x1, y1, x2 - x1, y2 - y1],
                            "score": float(top.values[j]),
                        }
                    )
    net.train()
    return records


def average_precision(images: Images, records: list[dict[str, Any]]) -> tuple[float, float, float, dict[str, float]]:
    """AP, AP50, AP75 and the AP of each class in per cent, by COCO's own definition (faster-coco-eval)."""
    from faster_coco_eval import COCO, COCOeval_faster

    if not records:
        return 0.0, 0.0, 0.0, dict.fromkeys(images.classes, 0.0)
    height, width = images.pixels.shape[2:]
    annotations: list[dict[str, Any]] = []
    for i, (boxes, labels) in enumerate(zip(images.boxes, images.labels, strict=True)):
        for (x1, y1, x2, y2), k in zip(boxes.tolist(), labels.tolist(), strict=True):
            area = (x2 - x1) * (y2 - y1)
            entry = {"id": len(annotations) + 1, "image_id": i, "category_id": k, "bbox": [x1, y1, x2 - x1, y2 - y1]}
            annotations.append(entry | {"area": area, "iscrowd": 0})
    truth = COCO(
        {
            "images": [{"id": i, "height": height, "width": width} for i in range(len(images))],
            "categories": [{"id": k, "name": name} for k, name in enumerate(images.classes)],
            "annotations": annotations,
        }
    )
    judge = COCOeval_faster(truth, truth.loadRes(records), iouType="bbox", print_function=lambda *_: None)
    judge.evaluate()
    judge.accumulate()
    judge.summarize()
    ap, ap50, ap75 = (100 * float(x) for x in judge.stats[:3])
    precision = judge.eval["precision"][..., 0, -1]  # (IoUs, recalls, classes), objects of all sizes
    ap_of = {
        name: 100 * float(precision[..., k].mean())
        for k, name in enumerate(images.classes)
        if (precision[..., k] >= 0).all()  # −1: a class without objects
    }
    return ap, ap50, ap75, ap_of


def detections(
    images: Images, records: list[dict[str, Any]]
) -> list[tuple[NDArray[np.float64], NDArray[np.bool_], int]]:
    """Of each class the scores, whether each detection is a hit, and the number of objects.

    Detections are matched from the highest score down, each object once, at an IoU of one half (as COCO's AP50).
    """
    records_of: dict[tuple[int, int], list[dict[str, Any]]] = defaultdict(list)
    for record in records:
        records_of[record["image_id"], record["category_id"]].append(record)
    found = []
    for k in range(len(images.classes)):
        scores, hits = [], []
        for i, (boxes, labels) in enumerate(zip(images.boxes, images.labels, strict=True)):
            truth = torch.from_numpy(boxes[labels == k]).reshape(-1, 4)
            free = np.ones(len(truth), bool)
            mine = sorted(records_of[i, k], key=lambda r: -r["score"])
            found_boxes = torch.tensor([r["bbox"] for r in mine]).reshape(-1, 4)
            found_boxes[:, 2:] += found_boxes[:, :2]
            for record, row in zip(mine, iou(found_boxes, truth).numpy(), strict=True):
                overlap = row * free
                best = int(overlap.argmax()) if len(overlap) else -1
                hit = best >= 0 and bool(overlap[best] >= 0.5)
                if hit:
                    free[best] = False
                scores.append(record["score"])
                hits.append(hit)
        found.append((np.array(scores), np.array(hits, bool), int(sum((label == k).sum() for label in images.labels))))
    return found


def best_cutoffs(images: Images, records: list[dict[str, Any]]) -> NDArray[np.float64]:
    """The cut-off of each class with the best F1 of detections on these images; infinite where nothing is found."""
    cutoffs = []
    for scores, hits, n_objects in detections(images, records):
        order = np.argsort(-scores, kind="stable")
        f1 = 2 * np.cumsum(hits[order]) / (np.arange(1, len(order) + 1) + n_objects)
        best = int(f1.argmax()) if len(f1) else -1
        cutoffs.append(scores[order][best] if best >= 0 and f1[best] > 0 else np.inf)
    return np.array(cutoffs)


def macro_f1(images: Images, records: list[dict[str, Any]], cutoffs: NDArray[np.float64] | float) -> float:
    """Mean over classes of the F1 of detections whose score is at least the cut-off, in per cent."""
    values = []
    for (scores, hits, n_objects), cutoff in zip(
        detections(images, records), np.broadcast_to(cutoffs, len(images.classes)), strict=True
    ):
        said = scores >= cutoff
        values.append(2 * hits[said].sum() / max(said.sum() + n_objects, 1))
    return 100 * float(np.mean(values))


def run(loss: Loss, training: Training, train_on: Images, test_on: Images, seed: int) -> Outcome:
    """Train with one loss and one seed, and measure on images that were not trained on."""
    start = time.perf_counter()
    net, share, ratio, finite = train(loss, train_on, training, seed)
    seconds = time.perf_counter() - start
    if not finite:
        return Outcome(None, None, None, None, share, ratio, seconds, detector=net)
    records = predict(net, test_on)
    some = first(train_on, 100)
    cutoffs = best_cutoffs(some, predict(net, some))
    plain, chosen = macro_f1(test_on, records, 0.5), macro_f1(test_on, records, cutoffs)
    return Outcome(*average_precision(test_on, records), share, ratio, seconds, plain, chosen, net)


def first(images: Images, n: int) -> Images:
    """The first ``n`` images."""
    return Images(images.pixels[:n], images.boxes[:n], images.labels[:n], images.classes)


@torch.no_grad()
def ledger_of(net: Detector, images: Images, gamma: float = 0.0) -> Ledger:
    """The ledger of all anchors that count, positives and negatives apart: the paper's figure 4 for every γ."""
    net.eval()
    anchors = make_anchors(*images.pixels.shape[2:], net.strides)
    logits, _ = net(torch.from_numpy(images.pixels))
    signs, values = [], []
    for i, boxes in enumerate(images.boxes):
        assigned = assign(anchors, torch.from_numpy(boxes))
        target = targets_of(assigned, torch.from_numpy(images.labels[i]), logits.shape[-1])
        counted = target >= 0
        values.append(logits[i][counted].numpy())
        signs.append(target[counted].numpy())
    net.train()
    return diagnose(np.concatenate(values), np.concatenate(signs), LossSpec("sigmoid", gamma))
