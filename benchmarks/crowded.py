"""Fits and losses beside programs that take all processors: on one thread, and on as many as there are.

    python benchmarks/crowded.py --busy 0,4

A fit is timed with BLAS's threads as they are found (as before they were limited) and as it is. A loss is timed with
one thread, and with all, which a call leaves alone where they come late.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

import focalkit as fk
from focalkit import estimator
from focalkit.estimator import FocalClassifier

FITS = ((20_000, 20, 5), (200_000, 30, 2), (100_000, 50, 7))
LOSSES = ((20_000, 5), (100_000, 5), (100_000, 50))


@contextmanager
def beside(n: int) -> Iterator[None]:
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(n)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def fit(shape: tuple[int, int, int], repeats: int) -> dict[str, float]:
    rng = np.random.default_rng(0)
    n, d, k = shape
    X = rng.normal(size=(n, d))
    y = (X[:, :k] + rng.normal(size=(n, k))).argmax(1)
    ways = {"all threads": estimator.minimise.__wrapped__, "as it is": estimator.minimise}  # type: ignore[attr-defined]
    found: dict[str, list[float]] = {way: [] for way in ways}
    try:
        for _ in range(repeats):
            for way, function in ways.items():
                estimator.minimise = function
                found[way].append(seconds(lambda: FocalClassifier().fit(X, y)))
    finally:
        estimator.minimise = ways["as it is"]
    return {way: statistics.median(times) for way, times in found.items()}


def loss(shape: tuple[int, int], repeats: int) -> dict[str, float]:
    z = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    t, spec = np.arange(len(z)) % shape[1], fk.LossSpec(gamma=2.0)
    found: dict[str, list[float]] = {"one thread": [], "as it is": []}
    for _ in range(repeats):
        for way, threads in (("one thread", 1), ("as it is", None)):
            fk.set_num_threads(threads)
            times, end = [], time.perf_counter() + 0.3
            while time.perf_counter() < end:
                times.append(seconds(lambda: fk.loss_grad_hess(spec, z, t, hess=False)))
            found[way].append(statistics.mean(times))
    fk.set_num_threads(None)
    return {way: statistics.median(times) for way, times in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--busy", default="0,4", help="how many busy programs, separated by commas")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    for n in map(int, options.busy.split(",")):
        with beside(n):
            rows: list[tuple[str, dict[str, float]]] = []
            rows += [(f"loss {a:,} × {b}", loss((a, b), options.repeats)) for a, b in LOSSES]
            rows += [(f"fit {a:,} × {b}, {c} classes", fit((a, b, c), options.repeats)) for a, b, c in FITS]
        for name, times in rows:
            print(
                f"| {n} | {name} | " + " | ".join(f"{way} {1e3 * t:.2f} ms" for way, t in times.items()) + " |",
                flush=True,
            )


if __name__ == "__main__":
    main()
