"""Training's price: forward + backward on tensors in host memory, ours beside torch's, in one interleaved run.

    python benchmarks/torch_bench.py [--rounds 15] [--shapes a,b] [--step] [--call] [--out benchmarks/results]
    MALLOC_MMAP_THRESHOLD_=17179869184 MALLOC_TRIM_THRESHOLD_=17179869184 python benchmarks/torch_bench.py

Float32, mean reduction, gamma 2, medians. ``logits.grad`` is fresh in every round, as in training. The first
table gives milliseconds and the rivals as multiples of ours; ``--step`` adds a small compiled model's training step.
On a machine that others use, ``--cpu-time`` counts one thread's own time instead.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

import focalkit
from focalkit.engines.cpu import machine
from focalkit.engines.torch import dispatch as engine
from focalkit.nn import SigmoidFocalLoss, SoftmaxCrossEntropy, SoftmaxFocalLoss

CLOCK = time.perf_counter

SHAPES: dict[str, tuple[str, tuple[int, ...]]] = {
    "64×5": ("softmax", (64, 5)),
    "4096×10": ("softmax", (4096, 10)),
    "65536×100": ("softmax", (65536, 100)),
    "8192×1000": ("softmax", (8192, 1000)),
    "2048×32000": ("softmax", (2048, 32000)),
    "512×128256": ("softmax", (512, 128256)),
    "dense 8×21×512×512": ("softmax", (8, 21, 512, 512)),
    "sigmoid 2×100000×80": ("sigmoid", (200_000, 80)),
    "binary 10 M": ("sigmoid", (10_000_000,)),
}


def focal_by_hand(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """The multi-class snippet of many repositories."""
    ce = F.cross_entropy(logits, targets, reduction="none")
    return ((1 - torch.exp(-ce)) ** 2 * ce).mean()


def torchvision_form(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """torchvision.ops.sigmoid_focal_loss, alpha = 0.25, mean."""
    p = torch.sigmoid(logits)
    ce = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    p_t = p * targets + (1 - p) * (1 - targets)
    return ((0.25 * targets + 0.75 * (1 - targets)) * ce * (1 - p_t) ** 2).mean()


def contenders(link: str, compiled: bool) -> dict[str, Callable[..., torch.Tensor]]:
    """Losses of (logits, targets)."""
    if link == "softmax":
        ours, focal, plain = SoftmaxFocalLoss(2.0), focal_by_hand, F.cross_entropy
        runs: dict[str, Any] = {"focalkit": ours, "focalkit CE": SoftmaxCrossEntropy(), "F.cross_entropy": plain}
    else:
        ours, focal = SigmoidFocalLoss(2.0, 0.25), torchvision_form
        plain = F.binary_cross_entropy_with_logits
        runs = {"focalkit": ours, "F.binary_cross_entropy": plain}
    runs["focal by hand"] = focal
    if compiled:
        torch.compiler.reset()
        runs["CE compiled"], runs["focal compiled"] = (torch.compile(f, dynamic=False) for f in (plain, focal))
    return runs


def round_of(function: Callable[..., torch.Tensor], logits: torch.Tensor, targets: torch.Tensor, repeat: int) -> float:
    """Seconds of one forward + backward."""
    start = CLOCK()
    for _ in range(repeat):
        logits.grad = None
        function(logits, targets).backward()
    seconds = (CLOCK() - start) / repeat
    logits.grad = None
    return seconds


def measure(name: str, rounds: int, compiled: bool) -> dict[str, float]:
    """Medians in milliseconds."""
    link, shape = SHAPES[name]
    torch.manual_seed(0)
    logits = (torch.randn(shape) * 3).requires_grad_()
    if link == "softmax":
        targets = torch.randint(shape[1], (shape[0], *shape[2:]))
    else:
        targets = (torch.rand(shape) < 0.1).float()
    runs = contenders(link, compiled)
    given = {k: targets.to(torch.uint8) if link == "sigmoid" and k.startswith("focalkit") else targets for k in runs}
    repeat = max(1, min(300, 2_000_000 // logits.numel()))
    times: dict[str, list[float]] = {key: [] for key in runs}
    for turn in range(rounds + 2):
        for key, function in runs.items():
            seconds = round_of(function, logits, given[key], repeat)
            if turn > 1:
                times[key].append(seconds)
    del logits, targets, given
    gc.collect()
    return {key: statistics.median(values) * 1e3 for key, values in times.items()}


class Nothing(torch.autograd.Function):
    """What any loss with a Python autograd node pays."""

    @staticmethod
    def forward(ctx: Any, logits: torch.Tensor) -> torch.Tensor:
        ctx.gradient = torch.empty_like(logits)
        return logits.new_empty(())

    @staticmethod
    def backward(ctx: Any, upstream: torch.Tensor) -> torch.Tensor:
        return ctx.gradient


def small_call(rounds: int) -> dict[str, float]:
    """Medians in milliseconds of forward + backward at 64×5, where the call is the cost."""
    torch.manual_seed(0)
    logits, targets = (torch.randn(64, 5) * 3).requires_grad_(), torch.randint(5, (64,))
    nothing, spec = super(torch.autograd.Function, Nothing).apply, focalkit.LossSpec(gamma=2.0)
    runs: dict[str, Any] = {
        "a Python autograd node that does nothing": lambda z, t: nothing(z),
        "focalkit's engine": lambda z, t: engine.loss(spec, z, t),
        "softmax_focal_loss": focalkit.softmax_focal_loss,
        "F.cross_entropy": F.cross_entropy,
        "SoftmaxFocalLoss": SoftmaxFocalLoss(2.0),
        "torch.nn.CrossEntropyLoss": torch.nn.CrossEntropyLoss(),
    }
    times = [{name: round_of(run, logits, targets, 300) for name, run in runs.items()} for _ in range(rounds + 2)][2:]
    return {name: statistics.median(turn[name] for turn in times) * 1e3 for name in runs}


def training_step(rounds: int) -> dict[str, float]:
    """Medians in milliseconds of one step of a compiled two-layer model, 1024 × 256 -> 1000 classes."""
    torch.manual_seed(0)
    features, targets = torch.randn(1024, 256), torch.randint(1000, (1024,))
    losses: dict[str, Any] = {
        "F.cross_entropy": F.cross_entropy,
        "focal by hand": focal_by_hand,
        "focalkit CE": SoftmaxCrossEntropy(),
        "focalkit focal": SoftmaxFocalLoss(2.0),
    }
    steps = {}
    for name, loss in losses.items():
        model = torch.nn.Sequential(torch.nn.Linear(256, 512), torch.nn.ReLU(), torch.nn.Linear(512, 1000))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        forward = torch.compile(lambda x, t, model=model, loss=loss: loss(model(x), t), fullgraph=True, dynamic=False)

        def step(forward: Any = forward, optimizer: Any = optimizer) -> None:
            forward(features, targets).backward()
            optimizer.step()
            optimizer.zero_grad()

        steps[name] = step
    times: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(rounds + 3):
        for name, step in steps.items():
            start = CLOCK()
            for _ in range(3):
                step()
            if turn > 2:
                times[name].append((CLOCK() - start) / 3)
    return {name: statistics.median(values) * 1e3 for name, values in times.items()}


def table(results: dict[str, dict[str, float]]) -> str:
    """Return ours in milliseconds and the others as multiples of it."""
    columns = ["focalkit CE", "F.cross_entropy / BCE", "focal by hand", "CE compiled", "focal compiled"]
    lines = ["| forward + backward | focalkit focal, ms | " + " | ".join(columns) + " |"]
    lines.append("|---" * (len(columns) + 2) + "|")
    for name, row in results.items():
        row = {**row, "F.cross_entropy / BCE": row.get("F.cross_entropy", row.get("F.binary_cross_entropy"))}
        ours = row["focalkit"]
        cells = [f"{row[c] / ours:.2f}" if row.get(c) else "–" for c in columns]
        lines.append(f"| {name} | {ours:.3g} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Run, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--shapes", default=",".join(SHAPES))
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--cpu-time", action="store_true", help="of one thread, where other programs are running")
    parser.add_argument("--step", action="store_true")
    parser.add_argument("--call", action="store_true", help="only the price of a small call, in parts")
    parser.add_argument("--out", type=Path, default=None)
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    global CLOCK
    if arguments.cpu_time:
        CLOCK, arguments.threads = time.process_time, 1
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
        machine.set_num_threads(arguments.threads)
    kept = "MALLOC_MMAP_THRESHOLD_" in os.environ
    allocator = "pages kept (MALLOC_MMAP_THRESHOLD_, MALLOC_TRIM_THRESHOLD_)" if kept else "default"
    setting = {
        "allocator": allocator,
        "torch": torch.__version__,
        "focalkit": focalkit.__version__,
        "threads": torch.get_num_threads(),
        "clock": CLOCK.__name__,
        "load": os.getloadavg()[0],
        "rounds": arguments.rounds,
    }
    print(setting, flush=True)
    if arguments.call:
        for name, value in small_call(arguments.rounds).items():
            print(f"{name}: {value * 1e3:.1f} µs")
        return
    results = {}
    for name in arguments.shapes.split(","):
        results[name] = measure(name, arguments.rounds, not arguments.no_compile)
        print(name, {key: round(value, 4) for key, value in results[name].items()}, flush=True)
    print(table(results))
    steps = training_step(arguments.rounds) if arguments.step else {}
    for name, value in steps.items():
        print(f"training step, {name}: {value:.2f} ms")
    if arguments.out:
        arguments.out.mkdir(parents=True, exist_ok=True)
        path = arguments.out / f"torch-{'kept' if kept else 'default'}.json"
        text = json.dumps({"setting": setting, "results": results, "steps": steps}, indent=1, ensure_ascii=False)
        path.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
