"""Two checkouts of focalkit, each with its compiled module, in two processes that compute by turns.

    python benchmarks/before_after.py ../old . [--rounds 15] [--only "64×5"] [--torch]

Processor time of one thread, so that other programs disturb less; medians over the rounds, and the ratio of after to
before. Only public functions are called, so that any two commits can be compared. 3 % slower is too slow. Arrays lie at
the same places of a huge page in both processes, for where memory lies is worth 20 %; tensors lie where they come to.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

SHAPES = {
    "64×5": ("softmax", (64, 5)),
    "4096×10": ("softmax", (4096, 10)),
    "65536×100": ("softmax", (65536, 100)),
    "8192×1000": ("softmax", (8192, 1000)),
    "512×32000": ("softmax", (512, 32000)),
    "dense 2×21×512×512": ("softmax", (2, 21, 512, 512)),
    "sigmoid 50000×80": ("sigmoid", (50000, 80)),
    "binary 4 M": ("sigmoid", (4_000_000,)),
}


def laid(array: Any, lines: int) -> Any:
    """A copy that begins so many cache lines behind a boundary of 2 MiB."""
    import numpy as np

    page = 2 << 20
    memory = np.empty(array.nbytes + 2 * page, np.uint8)
    start = -memory.ctypes.data % page + 64 * lines
    copy = memory[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


def arrays() -> dict:
    """Loss alone, with gradient, and with Hessian, of arrays."""
    import numpy as np

    import focalkit

    focalkit.set_num_threads(1)
    cases = {}
    for name, (link, shape) in SHAPES.items():
        rng = np.random.default_rng(0)
        if link == "softmax":
            targets = rng.integers(0, shape[1], shape[:1] + shape[2:])
        else:
            targets = (rng.random(shape) < 0.05).astype(np.uint8)
        z, t = laid(rng.standard_normal(shape, dtype=np.float32) * 3, 0), laid(targets, 40)
        out = laid(np.zeros(shape, np.float32), 90)
        loss = getattr(focalkit, f"{link}_focal_loss")
        spec, other = focalkit.LossSpec(link, 2.0), focalkit.LossSpec(link, 1.7)

        def grad(spec, hess=False, z=z, t=t, out=out):
            return focalkit.loss_grad_hess(spec, z, t, hess=hess, out=out)

        cases[f"{name}, loss"] = lambda loss=loss, z=z, t=t: loss(z, t)
        cases[f"{name}, gradient"] = lambda grad=grad, spec=spec: grad(spec)
        cases[f"{name}, gradient, γ = 1.7"] = lambda grad=grad, spec=other: grad(spec)
        cases[f"{name}, Hessian"] = lambda grad=grad, spec=spec: grad(spec, True)
    return cases


def tensors() -> dict:
    """The modules of focalkit.nn at shapes where the call is the cost: training, and without a gradient."""
    import torch

    from focalkit.nn import SigmoidFocalLoss, SoftmaxFocalLoss

    torch.set_num_threads(1)
    cases = {}
    for n, k in ((64, 5), (4096, 10)):
        torch.manual_seed(0)
        z, t, w = (torch.randn(n, k) * 3).requires_grad_(), torch.randint(k, (n,)), torch.rand(n)
        bits, soft = (torch.rand(n, k) < 0.1).float(), torch.softmax(torch.randn(n, k), 1)
        plain, none = SoftmaxFocalLoss(2.0), SoftmaxFocalLoss(2.0, reduction="none")
        alpha, sigmoid = SoftmaxFocalLoss(2.0, [1.0 + i for i in range(k)]), SigmoidFocalLoss(2.0, 0.25)
        losses = {
            "plain": lambda f=plain, z=z, t=t: f(z, t),
            "α of each class": lambda f=alpha, z=z, t=t: f(z, t),
            "sample weights": lambda f=plain, z=z, t=t, w=w: f(z, t, w),
            "α and sample weights": lambda f=alpha, z=z, t=t, w=w: f(z, t, w),
            "a normalizer": lambda f=plain, z=z, t=t: f(z, t, None, 7.0),
            "soft targets": lambda f=plain, z=z, y=soft: f(z, y),
            "sigmoid": lambda f=sigmoid, z=z, y=bits: f(z, y),
            "one by one": lambda f=none, z=z, t=t: f(z, t),
        }
        for name, loss in losses.items():

            def training(loss=loss, z=z):
                z.grad = None
                loss().sum().backward()

            def judging(loss=loss):
                with torch.no_grad():
                    loss()

            cases[f"{n}×{k} {name}, forward + backward"] = training
            cases[f"{n}×{k} {name}, no gradient"] = judging
    return cases


def serve(tree: str, kind: str) -> None:
    """Answer each line, the name of a case, by the seconds that it took."""
    import time

    sys.path.insert(0, str(Path(tree).resolve() / "src"))
    import focalkit

    assert focalkit.__file__.startswith(str(Path(tree).resolve())), focalkit.__file__
    cases = tensors() if kind == "torch" else arrays()
    repeats = {}
    for name, run in cases.items():
        for _ in range(3):
            run()
        start = time.thread_time()
        run()
        repeats[name] = max(1, min(400, int(0.006 / max(1e-7, time.thread_time() - start))))
    print(json.dumps(list(cases)), flush=True)
    for line in sys.stdin:
        name = line.strip()
        start = time.thread_time()
        for _ in range(repeats[name]):
            cases[name]()
        print((time.thread_time() - start) / repeats[name], flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--only", default="", help="cases whose name has this in it")
    parser.add_argument("--torch", action="store_true", help="the modules instead of arrays")
    arguments = parser.parse_args()
    kind = "torch" if arguments.torch else "arrays"
    workers = [
        subprocess.Popen(
            [sys.executable, __file__, "serve", str(tree), kind],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for tree in (arguments.before, arguments.after)
    ]
    known = [json.loads(worker.stdout.readline()) for worker in workers]
    names = [name for name in known[0] if arguments.only in name]

    def seconds(worker: subprocess.Popen, name: str) -> float:
        worker.stdin.write(name + "\n")
        worker.stdin.flush()
        return float(worker.stdout.readline())

    times: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in names}
    for turn in range(arguments.rounds):
        for name in names:
            for which in (0, 1) if turn % 2 else (1, 0):
                times[name][which].append(seconds(workers[which], name))
    print("| | before, µs | after, µs | after / before | of the shortest |\n|---|---|---|---|---|")
    for name, (before, after) in times.items():
        one, other = statistics.median(before), statistics.median(after)
        least = min(after) / min(before)
        print(f"| {name} | {one * 1e6:.1f} | {other * 1e6:.1f} | {other / one:.2f} | {least:.2f} |")
    for worker in workers:
        worker.stdin.close()


if __name__ == "__main__":
    serve(*sys.argv[2:4]) if sys.argv[1:2] == ["serve"] else main()
