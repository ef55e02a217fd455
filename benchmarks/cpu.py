"""Loss and gradient of one batch on the processor, ours beside everyone's, in one interleaved run.

    python benchmarks/cpu.py [--rounds 15] [--shapes a,b] [--peers a,b] [--out benchmarks/results]

Figures are medians, as multiples of the copy floor: reading the logits and writing as much with stores that
do not read first, on the same threads, into memory that is ready. Prints a Markdown table; writes it with a
JSON file and, where matplotlib is installed, a plot.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from peers import PEERS, Case

import focalkit
from focalkit import LossSpec, loss_grad_hess
from focalkit._core import reduction as _reduce
from focalkit._core.ops import NUMPY
from focalkit.engines.cpu import fast, machine

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

FLOOR = """
#include <immintrin.h>
#include <stdint.h>
extern "C" void copy(const float* from, float* to, int64_t n, int threads, int reps) {
  for (int r = 0; r < reps; ++r) {
    if (n < 100000) {  /* in the caches ordinary stores are faster */
      for (int64_t i = 0; i + 8 <= n; i += 8) _mm256_storeu_ps(to + i, _mm256_loadu_ps(from + i));
      __asm__ volatile("" ::"r"(to) : "memory");
      continue;
    }
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t block = 0; block < n / 4096; ++block)
      for (int64_t i = block * 4096; i < (block + 1) * 4096; i += 8)
        _mm256_stream_ps(to + i, _mm256_loadu_ps(from + i));
    _mm_sfence();
  }
}
extern "C" float read(const float* from, int64_t n, int threads) {
  float total = 0;
#pragma omp parallel for num_threads(threads) schedule(static) reduction(+ : total) if (n >= 100000)
  for (int64_t block = 0; block < n / 4096; ++block) {
    __m256 sum[4] = {};
    for (int64_t i = block * 4096; i < (block + 1) * 4096; i += 32)
      for (int u = 0; u < 4; ++u) sum[u] = _mm256_add_ps(sum[u], _mm256_loadu_ps(from + i + 8 * u));
    total += _mm256_cvtss_f32(_mm256_add_ps(_mm256_add_ps(sum[0], sum[1]), _mm256_add_ps(sum[2], sum[3])));
  }
  return total;
}
"""


def build_floor() -> Any:
    """The copy, and reading alone, compiled here; None where that fails (then there are times only)."""
    import ctypes

    folder = Path(tempfile.mkdtemp())
    (folder / "floor.cpp").write_text(FLOOR)
    command = ["g++", "-O3", "-mavx2", "-fopenmp", "-shared", "-fPIC", "floor.cpp", "-o", "floor.so"]
    if subprocess.run(command, cwd=folder, check=False).returncode:
        return None
    library = ctypes.CDLL(str(folder / "floor.so"))

    def copy(a: np.ndarray, b: np.ndarray, threads: int, reps: int) -> None:
        library.copy(
            ctypes.c_void_p(a.ctypes.data), ctypes.c_void_p(b.ctypes.data), ctypes.c_int64(a.size), threads, reps
        )

    def read(a: np.ndarray, threads: int) -> None:
        library.read(ctypes.c_void_p(a.ctypes.data), ctypes.c_int64(a.size), threads)

    return copy, read


def make_case(name: str) -> Case:
    link, shape = SHAPES[name]
    rng = np.random.default_rng(0)
    logits = machine.fresh(np.empty(shape, np.float32))
    logits[...] = rng.standard_normal(shape, dtype=np.float32) * 3
    if link == "softmax":
        return Case(name, link, logits, rng.integers(0, shape[1], shape[:1] + shape[2:]))
    return Case(name, link, logits, (rng.random(shape) < 0.05).astype(np.float32))


def contenders(case: Case, peers: list[str], skipped: dict[str, str]) -> dict[str, Any]:
    z, y = case.logits, case.targets
    spec, general, cube, cross_entropy = (LossSpec(case.link, g) for g in (2.0, 1.7, 3.0, 0.0))
    out = machine.fresh(z)
    half_z = z.astype(np.float64) if z.nbytes <= 1 << 28 else None
    runs: dict[str, Any] = {
        "focalkit, out=": lambda: loss_grad_hess(spec, z, y, hess=False, out=out),
        "focalkit, fresh": lambda: loss_grad_hess(spec, z, y, hess=False),
        "focalkit γ=1.7, out=": lambda: loss_grad_hess(general, z, y, hess=False, out=out),
        "focalkit γ=3, out=": lambda: loss_grad_hess(cube, z, y, hess=False, out=out),
        "focalkit γ=0, out=": lambda: loss_grad_hess(cross_entropy, z, y, hess=False, out=out),
        "focalkit, loss alone": lambda: fast.attempt(spec, z, y, None, None, 0, None),
    }
    if half_z is not None:
        out64 = np.empty_like(half_z)
        runs["focalkit float64, out="] = lambda: loss_grad_hess(spec, half_z, y, hess=False, out=out64)
    try:
        import ml_dtypes

        small = z.astype(ml_dtypes.bfloat16)
        out16 = np.empty_like(small)
        runs["focalkit bfloat16, out="] = lambda: loss_grad_hess(spec, small, y, hess=False, out=out16)
    except ImportError:
        skipped["focalkit bfloat16"] = "ml_dtypes is not installed"
    for name in peers:
        try:
            run = PEERS[name](case)
            run()
            runs[name] = run
        except Exception as problem:  # whatever a peer cannot do is reported, not fatal
            skipped[f"{name.strip()} at {case.name}"] = f"{type(problem).__name__}: {str(problem)[:80]}"
    return runs


def measure(case: Case, runs: dict[str, Any], rounds: int, floor: Any, most_seconds: float) -> dict[str, float]:
    """Medians in seconds, every round going through all contenders."""
    threads = machine.get_num_threads()
    if floor is not None:
        copy, read = floor
        runs = {"reading alone": lambda: read(case.logits, threads), **runs}
    times: dict[str, list[float]] = {name: [] for name in ("floor", *runs)}
    repeats: dict[str, int] = {}
    target = np.empty_like(case.logits) if case.logits.nbytes < 1 << 20 else machine.fresh(case.logits)
    for name, run in runs.items():
        start = time.perf_counter()
        run()
        repeats[name] = max(1, min(200, int(0.01 / max(time.perf_counter() - start, 1e-7))))
    end = time.perf_counter() + most_seconds
    for done in range(rounds):
        if done >= 3 and time.perf_counter() > end:
            break
        if floor is not None:
            reps = max(1, min(200, int(4e6 / case.logits.size)))
            start = time.perf_counter()
            for _ in range(reps):  # each a call from Python, as all are
                copy(case.logits, target, threads, 1)
            times["floor"].append((time.perf_counter() - start) / reps)
        for name, run in runs.items():
            start = time.perf_counter()
            for _ in range(repeats[name]):
                run()
            times[name].append((time.perf_counter() - start) / repeats[name])
    return {name: float(np.median(values)) for name, values in times.items() if values}


def one_thread(case: Case, rounds: int) -> float:
    """How much faster two threads are than one."""
    spec, out = LossSpec(case.link, 2.0), machine.fresh(case.logits)
    medians = []
    for threads in (1, 2):
        machine.set_num_threads(threads)
        times = []
        for _ in range(rounds):
            start = time.perf_counter()
            loss_grad_hess(spec, case.logits, case.targets, hess=False, out=out)
            times.append(time.perf_counter() - start)
        medians.append(np.median(times))
    machine.set_num_threads(None)
    return float(medians[0] / medians[1])


def peak_memory() -> dict[str, float]:
    """Peak above the logits in units of the logits, each way in a process of its own."""
    script = """
import sys
import numpy as np
from focalkit import LossSpec, loss_grad_hess
from focalkit._core import reduction as _reduce
from focalkit.engines.cpu import fast, machine
z = np.ones((4096, 20000), np.float32); y = np.zeros(4096, np.int64)
out = np.ones_like(z) if sys.argv[1] == "ready" else z if sys.argv[1] == "in place" else None
loss_grad_hess(LossSpec(), np.ones((64, 9), np.float32), y[:64])
def peak():  # ru_maxrss would be the parent's, where that was larger
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
before = peak()
if sys.argv[1] == "loss": fast.attempt(LossSpec(gamma=2.0), z, y, None, None, 0, None)
else: loss_grad_hess(LossSpec(gamma=2.0), z, y, hess=False, out=out)
print((peak() - before) * 1024 / z.nbytes)
"""
    kinds = {"fresh gradient": "fresh", "out=": "ready", "over the logits": "in place", "loss alone": "loss"}
    return {
        name: float(
            subprocess.run([sys.executable, "-c", script, kind], capture_output=True, text=True).stdout or "nan"
        )
        for name, kind in kinds.items()
    }


def beside_torch(rounds: int) -> float:
    """Ours and torch's by turns, in one process with both pools of threads, over the sum of each by itself."""
    import torch

    case = make_case("8192×1000")
    spec, out = LossSpec(case.link, 2.0), machine.fresh(case.logits)
    matrix = torch.randn(700, 700)
    ours = [lambda: loss_grad_hess(spec, case.logits, case.targets, hess=False, out=out)]
    theirs = [lambda: matrix @ matrix]
    times: dict[int, list[float]] = {0: [], 1: [], 2: []}
    for _ in range(rounds):
        for which, parts in enumerate((ours * 20, theirs * 20, (ours + theirs) * 20)):
            start = time.perf_counter()
            for part in parts:
                part()
            times[which].append(time.perf_counter() - start)
    alone, other, both = (float(np.median(values)) for values in times.values())
    return both / (alone + other)


def mining(rounds: int = 5) -> dict[str, float]:
    """Seconds of keeping the hardest tenth of 16 M sigmoid losses, of the choice alone, and of it by NumPy's sort."""
    case = make_case("sigmoid 2×100000×80")
    ids, out = case.targets.astype(np.uint8), machine.fresh(case.logits)
    spec, kept = (LossSpec("sigmoid", 2.0, keep_hardest=part) for part in (None, 0.1))
    losses = fast.attempt(LossSpec("sigmoid", 2.0, reduction="none"), case.logits, ids, None, None, 0, None)[0].reshape(
        -1
    )
    among, count = np.ones(losses.size, bool), losses.size // 10
    runs = {
        "all": lambda: loss_grad_hess(spec, case.logits, ids, hess=False, out=out),
        "the hardest": lambda: loss_grad_hess(kept, case.logits, ids, hess=False, out=out),
        "the choice": lambda: fast.largest(losses, among, count),
        "the choice by NumPy's sort": lambda: _reduce.largest(NUMPY)(losses, among, count),
    }
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
    return {name: float(np.median(values)) for name, values in times.items()}


def import_time(rounds: int = 9) -> float:
    """Import of focalkit over import of NumPy, medians of interleaved fresh processes."""
    times: dict[str, list[float]] = {"numpy": [], "focalkit": []}
    for _ in range(rounds):
        for module, values in times.items():
            code = f"import time; t = time.perf_counter(); import {module}; print(time.perf_counter() - t)"
            values.append(float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout))
    return float(np.median(times["focalkit"]) / np.median(times["numpy"]))


def table(results: dict[str, dict[str, float]]) -> str:
    rows = list(dict.fromkeys(name for result in results.values() for name in result))
    lines = ["| | " + " | ".join(results) + " |", "|---" * (len(results) + 1) + "|"]
    for row in rows:
        cells = []
        for result in results.values():
            if row not in result:
                cells.append("–")
            elif row == "floor" or "floor" not in result:
                cells.append(f"{result[row] * 1e3:.4g} ms")
            else:
                cells.append(f"{result[row] / result['floor']:.3g}")
        lines.append(f"| {row.strip()} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def plot(results: dict[str, dict[str, float]], path: Path) -> None:
    try:
        import matplotlib
    except ImportError:
        return
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(11, 5.5))
    rows = list(dict.fromkeys(n for r in results.values() for n in r if n != "floor"))
    for row in rows:
        shown = [r[row] / r["floor"] if row in r and "floor" in r else np.nan for r in results.values()]
        ours = row.startswith("focalkit")
        axes.plot(list(results), shown, "o-" if ours else "x--", label=row.strip(), linewidth=2 if ours else 1)
    axes.set_yscale("log")
    axes.set_ylabel("time over the copy floor")
    axes.legend(fontsize=7, loc="upper left", bbox_to_anchor=(1.01, 1))
    axes.tick_params(axis="x", rotation=20)
    figure.tight_layout()
    figure.savefig(path, dpi=130)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=90, help="the most for one shape, after three rounds")
    parser.add_argument("--shapes", default=",".join(SHAPES))
    parser.add_argument("--peers", default=",".join(PEERS))
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    np.seterr(all="ignore")
    peers = [name for name in PEERS if name.strip() in [p.strip() for p in arguments.peers.split(",")]]
    skipped: dict[str, str] = {}
    results: dict[str, dict[str, float]] = {}
    scaling: dict[str, float] = {}
    floor = build_floor()
    for name in arguments.shapes.split(","):
        case = make_case(name)
        runs = contenders(case, peers, skipped)
        results[name] = measure(case, runs, arguments.rounds, floor, arguments.seconds)
        scaling[name] = one_thread(case, arguments.rounds)
        print(name, {k.strip(): round(v * 1e3, 4) for k, v in results[name].items()}, flush=True)
        del case, runs
        gc.collect()
        machine.release_memory()
    text = table(results)
    extra = {"threads 1 to 2": scaling, "peak memory above the logits": peak_memory(), "import time": import_time()}
    extra["hard example mining, seconds"] = mining()
    try:
        extra["by turns with torch"] = beside_torch(arguments.rounds)
    except ImportError:
        skipped["by turns with torch"] = "torch is not installed"
    here = {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "instruction set": machine.instruction_set(),
        "threads": machine.get_num_threads(),
        "load at the end": os.getloadavg(),
        "focalkit": focalkit.__version__,
        "peak of this process, MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    arguments.out.mkdir(parents=True, exist_ok=True)
    record = {"machine": here, "seconds": results, **extra, "skipped": skipped}
    (arguments.out / "cpu.json").write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    (arguments.out / "cpu.md").write_text(text + "\n")
    plot(results, arguments.out / "cpu.png")
    print(text)
    print(json.dumps({**extra, "skipped": skipped}, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
