"""Forward + backward on a GPU, ours beside everyone's, with the device's copy bandwidth measured in the same rounds.

    python benchmarks/gpu.py [--rounds 15] [--shapes a,b] [--dtypes bfloat16,float32] [--out benchmarks/results]
    python benchmarks/gpu.py --device cpu --smoke

Medians, mean reduction, gamma 2. A cell holds milliseconds and, in per cent, the share of the copy bandwidth, the
bytes being those of the logits read once and the gradient written once: what a copy of the logits moves. The
caches are emptied before each run. ``--smoke`` runs tiny shapes under Triton's interpreter: it shows that this
file works, and its times mean nothing.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

if "--smoke" in sys.argv:
    os.environ["TRITON_INTERPRET"] = "1"  # read when triton is imported

import torch
import torch.nn.functional as F
from torch_bench import focal_by_hand, torchvision_form

import focalkit
from focalkit.engines.torch import dispatch as engine
from focalkit.engines.torch import routes

Run = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]

SHAPES: dict[str, tuple[str, tuple[int, ...]]] = {
    "65536×100": ("softmax", (65536, 100)),
    "16384×1000": ("softmax", (16384, 1000)),
    "8192×32000": ("softmax", (8192, 32000)),
    "4096×128256": ("softmax", (4096, 128256)),
    "dense 16×21×512×512": ("softmax", (16, 21, 512, 512)),
    "sigmoid 2×100000×80": ("sigmoid", (200_000, 80)),
}
TINY: dict[str, tuple[str, tuple[int, ...]]] = {
    "64×100": ("softmax", (64, 100)),
    "2×20000": ("softmax", (2, 20000)),
    "dense 2×21×8×8": ("softmax", (2, 21, 8, 8)),
    "sigmoid 32×80": ("sigmoid", (32, 80)),
}
INPLACE = "focalkit, in place"


def peers(link: str, n_axes: int) -> dict[str, Callable[[], Run]]:
    """Losses of (logits, targets), each made on demand: what is not installed is named and left out."""

    def liger() -> Run:
        from liger_kernel.transformers import LigerCrossEntropyLoss

        if n_axes != 2:
            message = "takes (n, n_classes) only"
            raise NotImplementedError(message)
        return LigerCrossEntropyLoss()  # type: ignore[no-any-return]

    def torchvision() -> Run:
        from torchvision.ops import sigmoid_focal_loss

        return lambda z, y: sigmoid_focal_loss(z, y, reduction="mean")

    def compiled(loss: Run) -> Callable[[], Run]:
        return lambda: torch.compile(loss, dynamic=False)

    if link == "softmax":
        return {
            "focalkit": lambda: lambda z, y: focalkit.softmax_focal_loss(z, y, 2.0),
            INPLACE: lambda: lambda z, y: focalkit.softmax_focal_loss(z, y, 2.0, inplace=True),
            "focalkit CE": lambda: focalkit.softmax_cross_entropy,
            "F.cross_entropy": lambda: F.cross_entropy,
            "CE compiled": compiled(F.cross_entropy),
            "focal by hand": lambda: focal_by_hand,
            "focal compiled": compiled(focal_by_hand),
            "Liger CE": liger,
        }
    return {
        "focalkit": lambda: lambda z, y: focalkit.sigmoid_focal_loss(z, y, 2.0, 0.25),
        INPLACE: lambda: lambda z, y: focalkit.sigmoid_focal_loss(z, y, 2.0, 0.25, inplace=True),
        "F.binary_cross_entropy": lambda: F.binary_cross_entropy_with_logits,
        "torchvision": torchvision,
        "torchvision's form": lambda: torchvision_form,
        "its form compiled": compiled(torchvision_form),
    }


class Clock:
    """Milliseconds and peak memory of a run, on the device's own clock where it has one."""

    def __init__(self, device: torch.device) -> None:
        self.on_gpu = device.type == "cuda"
        self.flush = torch.empty(1 << 28 if self.on_gpu else 1, dtype=torch.uint8, device=device)

    def time(self, run: Callable[[], Any]) -> float:
        self.flush.zero_()
        if not self.on_gpu:
            start = time.perf_counter()
            run()
            return (time.perf_counter() - start) * 1e3
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        run()
        end.record()
        end.synchronize()
        return float(begin.elapsed_time(end))

    def peak(self, run: Callable[[], Any]) -> float:
        """Bytes above what was allocated before."""
        if not self.on_gpu:
            run()
            return 0.0
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        run()
        torch.cuda.synchronize()
        return float(torch.cuda.max_memory_allocated() - before)


def step(loss: Run, logits: torch.Tensor, targets: torch.Tensor, inplace: bool) -> Callable[[], None]:
    """One forward + backward; ``inplace`` needs logits that are no leaf, here a view of one."""

    def run() -> None:
        logits.grad = None
        loss(logits.view_as(logits) if inplace else logits, targets).backward()

    return run


def measure(
    shape: tuple[str, tuple[int, ...]], dtype: torch.dtype, device: torch.device, rounds: int, skipped: dict[str, str]
) -> dict[str, dict[str, float]]:
    """Median milliseconds, share of the copy bandwidth, and peak memory in units of the logits."""
    link, sizes = shape
    torch.manual_seed(0)
    original = (torch.randn(sizes, device=device) * 3).to(dtype)
    logits = torch.nn.Parameter(original.clone())
    if link == "softmax":
        targets = torch.randint(sizes[1], (sizes[0], *sizes[2:]), device=device)
    else:
        targets = (torch.rand(sizes, device=device) < 0.1).to(dtype)
    clock, runs, peaks = Clock(device), {}, {}
    torch.compiler.reset()
    for name, make in peers(link, len(sizes)).items():
        try:
            run = step(make(), logits, targets, name == INPLACE)
            run()  # builds what has to be built
        except Exception as problem:  # whatever a peer cannot do is reported, not fatal
            skipped[name] = f"{type(problem).__name__}: {str(problem)[:80]}"
            continue
        logits.grad = None
        with torch.no_grad():
            logits.copy_(original)
        runs[name], peaks[name] = run, clock.peak(run)
    copy = torch.empty_like(original)
    runs["copy"] = lambda: copy.copy_(original)
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            with torch.no_grad():
                logits.copy_(original)  # what runs in place has written over them
            times[name].append(clock.time(run))
            logits.grad = None
    milliseconds = {name: statistics.median(values) for name, values in times.items()}
    n_bytes = original.numel() * original.element_size()
    return {
        name: {
            "ms": value,
            "share": milliseconds["copy"] / value,
            "GB/s": 2 * n_bytes / value / 1e6,
            "memory": peaks.get(name, 0.0) / n_bytes,
        }
        for name, value in milliseconds.items()
    }


def table(results: dict[str, dict[str, dict[str, float]]], link: str) -> str:
    """Milliseconds, share of the bandwidth and peak memory of each contender."""
    names = [name for name in ("copy", *peers(link, 2)) if any(name in row for row in results.values())]
    lines = ["| | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for case, row in results.items():
        cells = [f"{case} ({row['copy']['GB/s']:.0f} GB/s)"]
        for name in names:
            at = row.get(name)
            text = "–" if at is None else f"{at['ms']:.3g} ms, {at['share']:.0%}, {at['memory']:.1f}×"
            cells.append(f"{row['copy']['ms']:.3g} ms" if name == "copy" else text)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def pretend() -> None:
    """Let the interpreter take tensors of host memory, so that this file can be tried without a GPU."""
    from focalkit.engines.triton import evaluate as triton

    routes.device_kernels = lambda device: triton  # type: ignore[assignment]
    engine.route_of = lambda *_: routes.Route.TRITON  # type: ignore[assignment]


def main() -> None:
    """Run, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--shapes", default=None)
    parser.add_argument("--dtypes", default="bfloat16,float32")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--smoke", action="store_true", help="tiny shapes under the interpreter, one round")
    parser.add_argument("--out", type=Path, default=None)
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    device = torch.device(arguments.device)
    shapes, rounds = (TINY, 1) if arguments.smoke else (SHAPES, arguments.rounds)
    if arguments.smoke:
        pretend()
    elif device.type != "cuda" or not torch.cuda.is_available():
        parser.error("there is no GPU here; --device cpu --smoke tries this file out")
    elif routes.device_kernels(torch.device(device.type, device.index or 0)) is None:
        parser.error("Triton is not here or cannot build kernels")
    import triton

    setting = {
        "date": date.today().isoformat(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "the interpreter",
        "torch": torch.__version__,
        "triton": triton.__version__,
        "focalkit": focalkit.__version__,
        "rounds": rounds,
    }
    print(setting, flush=True)
    results: dict[str, dict[str, dict[str, dict[str, float]]]] = {"softmax": {}, "sigmoid": {}}
    skipped: dict[str, dict[str, str]] = {}
    for name in arguments.shapes.split(",") if arguments.shapes else shapes:
        for dtype in arguments.dtypes.split(","):
            case, left_out = f"{name} {dtype}", {}
            row = measure(shapes[name], getattr(torch, dtype), device, rounds, left_out)
            results[shapes[name][0]][case] = row
            if left_out:
                skipped[case] = left_out
            print(case, {key: round(value["ms"], 4) for key, value in row.items()}, left_out or "", flush=True)
            gc.collect()
    text = "\n\n".join(table(rows, link) for link, rows in results.items() if rows)
    print(f"\nmilliseconds, share of the copy bandwidth, peak memory above the logits in units of them\n\n{text}")
    if arguments.out:
        arguments.out.mkdir(parents=True, exist_ok=True)
        whole = {"setting": setting, "results": results, "skipped": skipped}
        (arguments.out / "gpu.json").write_text(
            json.dumps(whole, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
        )
        (arguments.out / "gpu.md").write_text(f"{setting}\n\n{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
