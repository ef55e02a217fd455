"""A vocabulary's linear layer and its loss: time in units of its three matrix products, memory, error.

    python benchmarks/linear.py [--rounds 15] [--dtypes float32,bfloat16] [--cpu-time] [--out benchmarks/results]
    python benchmarks/linear.py --dft

Hidden states 2048×1024, weight 32000×1024, forward + backward, mean over rows, gamma 2 (or cross-entropy). The products
``h W'``, ``G W`` and ``G' h`` go into memory that is ready, in the same interleaved rounds; figures are medians over
their sum's. Memory is the process's peak above the inputs and above the gradients that are returned, each
contender in a process of its own, first call. The error is that of a gradient against float64 on the same inputs,
largest over the largest entry, beside that of rounding the true gradient.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

import focalkit

CLOCK = time.perf_counter
N, WIDTH, CLASSES = 2048, 1024, 32000
MIB = 1 << 20
Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


def focal_by_hand(logits: Tensor, targets: Tensor) -> Tensor:
    """The multi-class snippet of many repositories."""
    ce = F.cross_entropy(logits.float(), targets, reduction="none")
    return ((1 - torch.exp(-ce)) ** 2 * ce).mean()


def eager_focal(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    return focal_by_hand(F.linear(hidden, weight), targets)


def eager_ce(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(F.linear(hidden, weight), targets)


def torchs(**options: Any) -> Loss:
    chosen = torch.nn.LinearCrossEntropyOptions(**options)
    return lambda h, w, t: F.linear_cross_entropy(h, w, t, options=chosen)


def ours(mib: int, gamma: float = 2.0) -> Loss:
    budget = mib * MIB
    return lambda h, w, t: focalkit.linear_softmax_focal_loss(h, w, t, gamma=gamma, memory_budget=budget)


def contenders(dtype: torch.dtype) -> dict[str, Loss]:
    """By name; those named CE are cross-entropy, the others focal."""
    runs = {
        "CE, eager": eager_ce,
        "focal by hand, eager": eager_focal,
        "focal by hand, compiled": torch.compile(eager_focal),
        "CE, F.linear_cross_entropy, its defaults": torchs(acc_policy="auto"),
    }
    for rows in (128, 256, 512, 1024):
        given = {"batch_chunk_size": rows, "chunking_method": None, "acc_policy": "compact"}
        runs[f"CE, F.linear_cross_entropy, {rows} rows, compact"] = torchs(**given)
    for mib in (8, 16, 32, 64, 128):
        runs[f"focalkit, {mib} MiB"] = ours(mib)
    runs["focalkit CE, 64 MiB"] = ours(64, 0.0)
    return runs


def problem(dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    hidden = torch.randn(N, WIDTH).to(dtype).requires_grad_()
    weight = (torch.randn(CLASSES, WIDTH) * 0.05).to(dtype).requires_grad_()
    return hidden, weight, torch.randint(CLASSES, (N,))


def step(run: Loss, hidden: Tensor, weight: Tensor, targets: Tensor) -> None:
    hidden.grad = weight.grad = None
    run(hidden, weight, targets).backward()


def products(dtype: torch.dtype) -> Callable[[], None]:
    hidden, weight, _ = (t.detach() for t in problem(dtype))
    z, of_hidden, of_weight = torch.empty(N, CLASSES, dtype=dtype), torch.empty_like(hidden), torch.empty_like(weight)
    z.normal_()

    def run() -> None:
        torch.mm(hidden, weight.t(), out=z)
        torch.mm(z, weight, out=of_hidden)
        torch.mm(z.t(), hidden, out=of_weight)

    return run


def timed(dtype: torch.dtype, names: list[str], rounds: int) -> dict[str, float]:
    """Seconds, medians of interleaved rounds."""
    given, floor, runs = problem(dtype), products(dtype), contenders(dtype)
    times: dict[str, list[float]] = {"three products": [], **{name: [] for name in names}}
    for done in range(rounds + 1):  # the first is warm-up
        for name, values in times.items():
            given[0].grad = given[1].grad = None
            start = CLOCK()
            if name == "three products":
                floor()
            else:
                step(runs[name], *given)
            if done:
                values.append(CLOCK() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def peak() -> int:
    """Bytes that this process has held at most; ru_maxrss would be the parent's, where that was larger."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024


def memory_of(dtype: torch.dtype, name: str) -> None:
    """In a process of its own: print the peak above inputs and gradients, in MiB."""
    given, run = problem(dtype), contenders(dtype)[name]
    small = [t.detach()[:64].clone().requires_grad_() for t in given[:2]]
    step(run, *small, given[2][:64] % 64)  # libraries are loaded, compiled code is made
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts here
    before = peak()
    step(run, *given)
    returned = sum(t.grad.nbytes for t in given[:2])
    print((peak() - before - returned) / MIB)


def memory(dtype: torch.dtype, name: str) -> float:
    arguments = ["--memory-of", name, "--dtypes", str(dtype).removeprefix("torch.")]
    done = subprocess.run([sys.executable, __file__, *arguments], capture_output=True, text=True)
    return float(done.stdout.split()[-1]) if done.returncode == 0 else float("nan")


def errors(dtype: torch.dtype, names: list[str]) -> dict[str, tuple[float, float]]:
    """Of the gradients of hidden states and weight."""
    given, runs = problem(dtype), contenders(dtype)
    truth = {}
    for gamma in (0.0, 2.0):
        wide = [t.detach().double().requires_grad_() for t in given[:2]]
        focalkit.linear_softmax_focal_loss(*wide, given[2], gamma=gamma).backward()
        truth[gamma] = [t.grad for t in wide]
    found = {}
    for name in names:
        step(runs[name], *given)
        true = truth[0.0 if "CE" in name else 2.0]
        found[name] = tuple(
            float((t.grad.double() - exact).abs().max() / exact.abs().max())
            for t, exact in zip(given[:2], true, strict=True)
        )
    for gamma, label in ((0.0, "rounding CE's true gradient"), (2.0, "rounding focal's true gradient")):
        found[label] = tuple(float((e.to(dtype).double() - e).abs().max() / e.abs().max()) for e in truth[gamma])
    return found


def compare_dft(rounds: int, dtypes: list[torch.dtype]) -> None:
    """Dynamic fine-tuning beside our own cross-entropy and torch's, each over our cross-entropy, at several shapes."""
    print("| rows × width × classes | CE, ms | DFT | CE, F.linear_cross_entropy, 512 rows |\n|---|---|---|---|")
    of_torch = torchs(batch_chunk_size=512, chunking_method=None, acc_policy="compact")

    def ours(form: dict[str, float]) -> Loss:
        return lambda h, w, t: focalkit.linear_softmax_focal_loss(h, w, t, gamma=0.0, **form)

    runs: dict[str, Loss] = {"CE": ours({}), "DFT": ours({"dft": 1.0}), "torch's CE": of_torch}
    for dtype in dtypes:
        for rows, width, classes in ((2048, 1024, 32000), (4096, 512, 8000), (1024, 256, 50257), (8192, 128, 1000)):
            torch.manual_seed(0)
            hidden = torch.randn(rows, width).to(dtype).requires_grad_()
            weight = (torch.randn(classes, width) * 0.05).to(dtype).requires_grad_()
            given = hidden, weight, torch.randint(classes, (rows,))
            times: dict[str, list[float]] = {name: [] for name in runs}
            for done in range(rounds + 1):
                for name, run in runs.items():
                    start = CLOCK()
                    step(run, *given)
                    if done:
                        times[name].append(CLOCK() - start)
            unit, *others = (statistics.median(values) for values in times.values())
            cells = " | ".join(f"{other / unit:.3f}" for other in others)
            name = str(dtype).removeprefix("torch.")
            print(f"| {name}, {rows}×{width}×{classes} | {unit * 1e3:.1f} | {cells} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--dtypes", default="float32,bfloat16")
    parser.add_argument("--only", default="", help="contenders whose name has one of these, separated by |")
    parser.add_argument(
        "--cpu-time", action="store_true", help="one thread, its own time: for a machine that others use"
    )
    parser.add_argument(
        "--dft", action="store_true", help="dynamic fine-tuning beside cross-entropy, at several shapes"
    )
    parser.add_argument("--memory-of", default="")
    parser.add_argument("--out", type=Path, default=None)
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    if arguments.cpu_time:
        global CLOCK
        CLOCK = time.thread_time
        torch.set_num_threads(1)
        focalkit.set_num_threads(1)
    dtypes = [getattr(torch, name) for name in arguments.dtypes.split(",")]
    if arguments.memory_of:
        return memory_of(dtypes[0], arguments.memory_of)
    if arguments.dft:
        return compare_dft(arguments.rounds, dtypes)
    record: dict[str, Any] = {"torch": torch.__version__, "threads": torch.get_num_threads()}
    for dtype in dtypes:
        wanted = arguments.only.split("|")
        names = [name for name in contenders(dtype) if any(w in name for w in wanted)]
        before = os.getloadavg()
        seconds = timed(dtype, names, arguments.rounds)
        unit = seconds["three products"]
        error = errors(dtype, names)
        rows = {name: (seconds[name] / unit, memory(dtype, name), *error[name]) for name in names}
        print(f"\n{dtype}: three products {unit * 1e3:.0f} ms; load {before[0]:.1f} to {os.getloadavg()[0]:.1f}")
        print("| | time | MiB above the gradients | error, hidden | error, weight |\n|---|---|---|---|---|")
        for name, (ratio, mib, *error_of) in rows.items():
            print(f"| {name} | {ratio:.2f} | {mib:.0f} | {error_of[0]:.1e} | {error_of[1]:.1e} |")
        for label in (name for name in error if name.startswith("rounding")):
            print(f"| {label} | | | {error[label][0]:.1e} | {error[label][1]:.1e} |", flush=True)
        record[str(dtype)] = {"seconds": seconds, "rows": rows, "load": os.getloadavg(), "error": error}
    if arguments.out:
        arguments.out.mkdir(parents=True, exist_ok=True)
        (arguments.out / "linear.json").write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
