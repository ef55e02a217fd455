"""A long-tailed, CIFAR-like task on made data: each loss through the same loop, over seeds.

    python benchmarks/long_tail_torch.py [--seeds 5] [--epochs 12] [--imbalance 100]

Ten classes of 3 × 8 × 8 images: smooth random templates, shifted, scaled, mixed with one another and noisy, so that
the Bayes error is well above 0. Training counts fall as n_max mu^i (CIFAR-LT's protocol); the test set is balanced
for balanced accuracy, and drawn like the training set for calibration. "shifted" divides the posterior by the
training prior before deciding (post-hoc logit adjustment, Menon et al. 2021), which costs no training.
"""

from __future__ import annotations

import argparse
import statistics
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from focalkit import LossSpec, class_weights, recover_posterior, shift_prior
from focalkit.nn import SoftmaxCrossEntropy, SoftmaxFocalLoss

K, SIDE = 10, 8


def templates(seed: int) -> torch.Tensor:
    """Smooth random pictures, one a class."""
    random = torch.Generator().manual_seed(seed)
    coarse = torch.randn(K, 3, 4, 4, generator=random)
    return F.interpolate(coarse, size=(SIDE, SIDE), mode="bilinear")


def draw(targets: torch.Tensor, of: torch.Tensor, random: torch.Generator) -> torch.Tensor:
    """Images of these classes."""
    n = len(targets)
    other = of[torch.randint(K, (n,), generator=random)]
    mix = 0.45 * torch.rand(n, 1, 1, 1, generator=random)
    scale = 0.6 + 0.8 * torch.rand(n, 1, 1, 1, generator=random)
    images = scale * ((1 - mix) * of[targets] + mix * other)
    shifts = torch.randint(-1, 2, (n, 2), generator=random)
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            here = (shifts[:, 0] == dy) & (shifts[:, 1] == dx)
            images[here] = torch.roll(images[here], (dy, dx), (2, 3))
    return images + 0.9 * torch.randn(images.shape, generator=random)


def calibration_error(probabilities: np.ndarray, targets: np.ndarray) -> float:
    """Expected calibration error of the top class, 15 bins of equal size."""
    confidence, right = probabilities.max(1), probabilities.argmax(1) == targets
    order = np.argsort(confidence)
    bins = np.array_split(order, 15)
    return float(sum(len(b) * abs(confidence[b].mean() - right[b].mean()) for b in bins) / len(order))


def log_loss(probabilities: np.ndarray, targets: np.ndarray) -> float:
    """Mean -log p of the true class."""
    return float(-np.log(np.maximum(probabilities[np.arange(len(targets)), targets], 1e-12)).mean())


def train(criterion: Any, images: torch.Tensor, targets: torch.Tensor, seed: int, epochs: int) -> torch.nn.Module:
    """Train a small convolutional net; everything but the loss is the same for all."""
    torch.manual_seed(seed)
    model = torch.nn.Sequential(
        torch.nn.Conv2d(3, 24, 3, padding=1), torch.nn.ReLU(), torch.nn.MaxPool2d(2),
        torch.nn.Conv2d(24, 48, 3, padding=1), torch.nn.ReLU(), torch.nn.MaxPool2d(2),
        torch.nn.Flatten(), torch.nn.Linear(48 * 4, K),
    )  # fmt: skip
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=1e-2)
    random = torch.Generator().manual_seed(seed)
    batches = -(-len(targets) // 128)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=epochs * batches)
    for _ in range(epochs):
        for batch in torch.randperm(len(targets), generator=random).split(128):
            loss = criterion(model(images[batch]), targets[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return model.eval()


def score(model: torch.nn.Module, spec: LossSpec, prior: np.ndarray, balanced: Any, natural: Any) -> dict[str, float]:
    """Return decisions on the balanced test set, probabilities on the natural one."""

    def probabilities(images: torch.Tensor) -> np.ndarray:
        with torch.no_grad():
            return torch.softmax(model(images).double(), 1).numpy()

    images, targets = balanced
    raw = probabilities(images)
    recovered = recover_posterior(raw, spec.gamma, spec.alpha)
    shifted = shift_prior(recovered, prior)
    accuracy = [100 * float((p.argmax(1) == targets.numpy()).mean()) for p in (raw, shifted)]
    images, targets = natural
    before = probabilities(images)
    after = recover_posterior(before, spec.gamma, spec.alpha)
    t = targets.numpy()
    return {
        "balanced accuracy": accuracy[0],
        "shifted": accuracy[1],
        "ECE raw": 100 * calibration_error(before, t),
        "ECE recovered": 100 * calibration_error(after, t),
        "log loss raw": log_loss(before, t),
        "log loss recovered": log_loss(after, t),
    }


def main() -> None:
    """Run and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--imbalance", type=float, default=100)
    parser.add_argument("--largest", type=int, default=2000)
    arguments = parser.parse_args()
    counts = np.array([int(arguments.largest * arguments.imbalance ** (-i / (K - 1))) for i in range(K)])
    prior = counts / counts.sum()
    balanced_alpha, root_alpha = (class_weights(counts, scheme) for scheme in ("balanced", "sqrt"))
    losses = {
        "CE": SoftmaxCrossEntropy(),
        "CE, alpha balanced": SoftmaxCrossEntropy(balanced_alpha, reduction="weighted_mean"),
        "CE, alpha sqrt": SoftmaxCrossEntropy(root_alpha, reduction="weighted_mean"),
        "focal 1": SoftmaxFocalLoss(1.0),
        "focal 2": SoftmaxFocalLoss(2.0),
        "focal 2, alpha sqrt": SoftmaxFocalLoss(2.0, root_alpha, reduction="weighted_mean"),
        "focal 2, alpha balanced": SoftmaxFocalLoss(2.0, balanced_alpha, reduction="weighted_mean"),
        "CE, hardest half": SoftmaxCrossEntropy(keep_hardest=0.5),
    }
    rows: dict[str, list[dict[str, float]]] = {name: [] for name in losses}
    for seed in range(arguments.seeds):
        random, of = torch.Generator().manual_seed(1000 + seed), templates(seed)
        ids = torch.repeat_interleave(torch.arange(K), torch.from_numpy(counts))
        images = draw(ids, of, random)
        even = torch.arange(K).repeat(300)
        like_training = torch.multinomial(torch.from_numpy(prior), 4000, replacement=True, generator=random)
        balanced = (draw(even, of, random), even)
        natural = (draw(like_training, of, random), like_training)
        for name, criterion in losses.items():
            model = train(criterion, images, ids, seed, arguments.epochs)
            rows[name].append(score(model, criterion.spec, prior, balanced, natural))
    columns = list(next(iter(rows.values()))[0])
    print(f"{arguments.seeds} seeds, {arguments.epochs} epochs, counts {counts.tolist()}; mean ± standard error\n")
    print("| loss | " + " | ".join(columns) + " |")
    print("|---" * (len(columns) + 1) + "|")
    for name, results in rows.items():
        cells = []
        for column in columns:
            values = [result[column] for result in results]
            spread = statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0.0
            digits = 3 if "log" in column else 1
            cells.append(f"{statistics.mean(values):.{digits}f} ± {spread:.{digits}f}")
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
