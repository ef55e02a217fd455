"""JAX: loss and gradient of one batch beside Optax, and a vocabulary's layer by chunks beside all of its logits.

    python benchmarks/jax_bench.py [--rounds 15] [--seconds 8] [--shapes 64×5,…] [--no-linear] [--keep-pages]
                                   [--out FILE.json]

Under ``jit``, float32, gamma 2, mean; fresh results; interleaved rounds in one process, medians. Optax's softmax focal
loss is written on its cross-entropy, as users do; the sigmoid one is ``optax.losses.sigmoid_focal_loss``. Before each
contender a tenth of a second passes: XLA gives back what a program used after its result is ready, and the next one
would pay for that. Memory is a process's peak above the inputs and the gradients that are returned, each contender in
a process of its own.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import focalkit

SHAPES = {
    "64×5": ("softmax", (64, 5)),
    "4096×10": ("softmax", (4096, 10)),
    "65536×100": ("softmax", (65536, 100)),
    "8192×1000": ("softmax", (8192, 1000)),
    "2048×32000": ("softmax", (2048, 32000)),
    "sigmoid 2×100000×80": ("sigmoid", (2, 100000, 80)),
}
N, WIDTH, CLASSES = 2048, 1024, 32000
GAMMA = 2.0
PAUSE = 0.1  # seconds
MIB = 1 << 20
Function = Callable[..., Any]


def by_hand(logits: Any, targets: Any) -> Any:
    """The softmax focal loss on Optax's cross-entropy."""
    ce = optax.losses.softmax_cross_entropy_with_integer_labels(logits, targets)
    return ((1 - jnp.exp(-ce)) ** GAMMA * ce).mean()


SOFTMAX: dict[str, Function] = {
    "focalkit": lambda z, y: focalkit.softmax_focal_loss(z, y, GAMMA),
    "Optax, focal on its cross-entropy": by_hand,
    "Optax, cross-entropy alone": lambda z, y: optax.losses.softmax_cross_entropy_with_integer_labels(z, y).mean(),
}
SIGMOID: dict[str, Function] = {
    "focalkit": lambda z, y: focalkit.sigmoid_focal_loss(z, y, GAMMA, class_axis=-1),
    "Optax, sigmoid_focal_loss": lambda z, y: optax.losses.sigmoid_focal_loss(z, y, gamma=GAMMA).mean(),
    "Optax, binary cross-entropy alone": lambda z, y: optax.losses.sigmoid_binary_cross_entropy(z, y).mean(),
}
LAYERS: dict[str, Function] = {
    "focalkit, linear and loss": lambda h, w, y: focalkit.linear_softmax_focal_loss(h, w, y, gamma=GAMMA),
    "all logits, focalkit's loss": lambda h, w, y: focalkit.softmax_focal_loss(h @ w.T, y, GAMMA, inplace=True),
    "all logits, Optax": lambda h, w, y: by_hand(h @ w.T, y),
}


def batch(link: str, shape: tuple[int, ...]) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    logits = jnp.asarray(2 * rng.standard_normal(shape, np.float32))
    if link == "softmax":
        return logits, jnp.asarray(rng.integers(shape[-1], size=shape[0]))
    return logits, jnp.asarray((rng.random(shape) < 0.02).astype(np.float32))


def layer(rows: int = N) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(0)
    hidden = jnp.asarray(rng.standard_normal((rows, WIDTH), np.float32))
    weight = jnp.asarray(0.05 * rng.standard_normal((CLASSES, WIDTH), np.float32))
    return hidden, weight, jnp.asarray(rng.integers(CLASSES, size=rows))


def timed(runs: dict[str, Callable[[], Any]], rounds: int, seconds: float) -> dict[str, float]:
    """Medians of interleaved rounds, in seconds; results are dropped before the next call."""
    repeats = {}
    for name, run in runs.items():
        jax.block_until_ready(run())
        start = time.perf_counter()
        jax.block_until_ready(run())
        repeats[name] = max(1, int(2e-3 / (time.perf_counter() - start)))
    times: dict[str, list[float]] = {name: [] for name in runs}
    start = time.perf_counter()
    for done in range(rounds):
        if done >= 3 and time.perf_counter() - start > seconds:
            break
        for name, run in runs.items():
            time.sleep(PAUSE)
            began = time.perf_counter()
            for _ in range(repeats[name]):
                result = jax.block_until_ready(run())
                del result
            times[name].append((time.perf_counter() - began) / repeats[name])
    return {name: statistics.median(values) for name, values in times.items()}


def losses(shape: str, arguments: argparse.Namespace) -> dict[str, float]:
    link, size = SHAPES[shape]
    given = batch(link, size)
    steps = {
        name: jax.jit(jax.value_and_grad(function))
        for name, function in (SOFTMAX if link == "softmax" else SIGMOID).items()
    }
    return timed(
        {name: lambda step=step: step(*given) for name, step in steps.items()}, arguments.rounds, arguments.seconds
    )


def peak() -> int:
    """Bytes that this process has held at most."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024


def memory_of(name: str) -> None:
    """In a process of its own: print the peak above inputs and gradients, in MiB."""
    given = layer()
    shapes = [jax.ShapeDtypeStruct(x.shape, x.dtype) for x in given]
    step = jax.jit(jax.value_and_grad(LAYERS[name], (0, 1))).lower(*shapes).compile()
    first = jax.block_until_ready(step(*given))  # threads and the products' scratch are every contender's
    del first
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # what was freed is given back, so that it is not counted as held
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts here
    before = peak()
    _, gradients = jax.block_until_ready(step(*given))
    print((peak() - before - sum(g.nbytes for g in gradients)) / MIB)


def memory(name: str) -> float:
    done = subprocess.run([sys.executable, __file__, "--memory-of", name], capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def table(rows: dict[str, dict[str, float]], unit: str) -> None:
    names = next(iter(rows.values()))
    print("| | focalkit, ms | " + " | ".join(name for name in names if name != unit) + " |")
    print("|---" * (len(names) + 1) + "|")
    for row, seconds in rows.items():
        ours, others = seconds[unit], [value for name, value in seconds.items() if name != unit]
        print(
            f"| {row} | {ours * 1e3:.3g} | " + " | ".join(f"{other / ours:.2f}" for other in others) + " |", flush=True
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=8.0, help="stop a shape after this time and three rounds")
    parser.add_argument("--shapes", default=",".join(SHAPES))
    parser.add_argument("--no-linear", action="store_true")
    parser.add_argument("--keep-pages", action="store_true", help="call focalkit.keep_pages() first")
    parser.add_argument("--memory-of", default="")
    parser.add_argument("--out", type=Path, default=None)
    arguments = parser.parse_args()
    if arguments.memory_of:
        return memory_of(arguments.memory_of)
    if arguments.keep_pages:
        focalkit.keep_pages()
    keeps = arguments.keep_pages or "MALLOC_TRIM_THRESHOLD_" in os.environ
    kept = "keeps its pages" if keeps else "has its defaults"
    print(f"jax {jax.__version__}, optax {optax.__version__}; the allocator {kept}; load {os.getloadavg()[0]:.1f}\n")
    record: dict[str, Any] = {"jax": jax.__version__, "optax": optax.__version__, "allocator": kept}
    shapes = [shape for shape in arguments.shapes.split(",") if shape]
    for link in ("softmax", "sigmoid"):
        rows = {shape: losses(shape, arguments) for shape in shapes if SHAPES[shape][0] == link}
        if rows:
            table(rows, "focalkit")
            print()
        record |= rows
    if not arguments.no_linear:
        given = layer()
        steps = {name: jax.jit(jax.value_and_grad(function, (0, 1))) for name, function in LAYERS.items()}
        runs = {name: lambda step=step: step(*given) for name, step in steps.items()}
        seconds = timed(runs, arguments.rounds, 4 * arguments.seconds)
        full = seconds["all logits, Optax"]
        print(
            f"| {N}×{WIDTH} to {CLASSES} classes | ms | of Optax's time | MiB above the gradients |\n|---|---|---|---|"
        )
        for name, value in seconds.items():
            print(f"| {name} | {value * 1e3:.0f} | {value / full:.2f} | {memory(name):.0f} |", flush=True)
        record["linear"] = seconds
    print(f"\nload {os.getloadavg()[0]:.1f}")
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
