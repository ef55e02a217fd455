"""The neighbours of the focal loss beside the focal loss at gamma = 2, loss and gradient, in one interleaved run.

    python benchmarks/family.py [--rounds 9] [--shapes a,b] [--threads 1]

Prints a Markdown table of medians, as multiples of the focal loss's own in the same round: processor time of one
thread, so that other programs disturb less, or the time of several. timm's asymmetric loss is its formula in PyTorch,
forward and backward.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from cpu import SHAPES, make_case

from focalkit import LossSpec, loss_grad_hess
from focalkit.engines.cpu import machine

OWN = "focal γ = 2"
SHAPES_HERE = [name for name in SHAPES if name != "512×128256"]


def members(link: str, n_classes: int) -> dict[str, LossSpec]:
    prior = 1.0 / np.arange(1, n_classes + 1)
    adjustment: Any = np.log(prior / prior.sum()) if link == "softmax" else -2.0
    found = {
        OWN: LossSpec(link, 2.0),
        "logit adjustment": LossSpec(link, 2.0, logit_adjustment=adjustment),
        "poly": LossSpec(link, 2.0, poly=1.0),
        "star": LossSpec(link, 2.0, star=1.0),
        "dft": LossSpec(link, dft=1.0),
        "gce": LossSpec(link, gce=0.7),
    }
    if link == "softmax":
        margin = {"counts": prior, "largest": 0.5}
        ldam = {f"LDAM, s = {s:g}": LossSpec(link, margin=margin, scale=s) for s in (1.5, 30.0)}
        return {**found, **ldam}
    return {
        **found,
        "asymmetric": LossSpec(link, 1.0, gamma_negative=4.0, clip=0.05),
        "asymmetric, no clip": LossSpec(link, 1.0, gamma_negative=4.0),
        "quality": LossSpec(link, 2.0, quality="quality"),
        "varifocal": LossSpec(link, 2.0, quality="varifocal"),
    }


def timm_asymmetric(logits: np.ndarray, targets: np.ndarray) -> Any:
    import torch

    torch.set_num_threads(1)
    z, y = torch.from_numpy(logits).requires_grad_(), torch.from_numpy(targets)

    def run() -> None:
        z.grad = None
        p = torch.sigmoid(z)
        rest = (1 - p + 0.05).clamp(max=1)
        loss = y * torch.log(p.clamp(min=1e-8)) + (1 - y) * torch.log(rest.clamp(min=1e-8))
        pt = p * y + rest * (1 - y)
        loss = loss * torch.pow(1 - pt, 1.0 * y + 4.0 * (1 - y))
        (-loss.sum()).backward()

    return run


def measure(name: str, rounds: int, with_timm: bool, clock: Callable[[], float]) -> tuple[float, dict[str, float]]:
    """Seconds of the focal loss, and each as a multiple of it: medians of the rounds, of each its own multiple."""
    case = make_case(name)
    z, y = case.logits, case.targets
    out = machine.fresh(z)
    specs = members(case.link, z.shape[1] if z.ndim > 1 else 1)
    runs = {key: (lambda spec=spec: loss_grad_hess(spec, z, y, hess=False, out=out)) for key, spec in specs.items()}
    if with_timm and case.link == "sigmoid" and z.size <= 16_000_000:
        runs["timm's asymmetric"] = timm_asymmetric(z, y)
    times: dict[str, list[float]] = {key: [] for key in runs}
    for run in runs.values():
        run()
    for _ in range(rounds):
        for key, run in runs.items():
            start = clock()
            run()
            first = clock() - start
            more = 0 if first > 0.02 else int(min(0.02 / max(first, 1e-7), 2000))
            start = clock()
            for _ in range(more):
                run()
            times[key].append((clock() - start) / more if more else first)
    own = np.array(times[OWN])
    return float(np.median(own)), {key: float(np.median(values / own)) for key, values in times.items() if key != OWN}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--shapes", default=",".join(SHAPES_HERE))
    parser.add_argument("--no-timm", action="store_true")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    machine.set_num_threads(options.threads)
    clock = time.thread_time if options.threads == 1 else time.perf_counter
    print(f"{machine.instruction_set()}, threads: {options.threads}\n")
    for name in options.shapes.split(","):
        own, found = measure(name, options.rounds, not options.no_timm, clock)
        cells = " | ".join(f"{key} {value:.2f}" for key, value in found.items())
        print(f"| {name} | {own * 1e3:.3f} ms | {cells} |", flush=True)


if __name__ == "__main__":
    main()
