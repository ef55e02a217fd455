"""Random calls of loss, gradient and Hessian, saved, so that two builds can be compared.

python packaging/calls.py 1 here.npy
PYTHONPATH=site qemu-aarch64-static -L arm arm/usr/bin/python3.11 packaging/calls.py 1 there.npy
python packaging/calls.py compare here.npy there.npy
"""

from __future__ import annotations

import platform
import sys

import numpy as np


def calls(seed: int, path: str) -> None:
    """300 calls of either link, float32 and float64, γ from 0 to 5, with and without α."""
    from focalkit import LossSpec, loss_grad_hess

    rng, found = np.random.default_rng(seed), []
    for i in range(300):
        link, dtype = ("softmax", "sigmoid")[i % 2], (np.float32, np.float64)[i // 2 % 2]
        n, k = int(rng.integers(1, 40)), int(rng.integers(2, 70))
        logits = (rng.normal(size=(n, k)) * 10 ** rng.uniform(-1, 2)).astype(dtype)
        targets = rng.integers(0, k, n) if link == "softmax" else rng.integers(0, 2, (n, k))
        gamma = float(rng.choice([0, 0.3, 0.5, 1, 2, 3.7, 5]))
        alpha = (rng.random(k) + 0.1) if link == "softmax" else 0.25
        result = loss_grad_hess(LossSpec(link, gamma, alpha if i % 3 else None), logits, targets)
        found += [np.float64(part).ravel() for part in result]
    np.save(path, np.concatenate(found))
    print(platform.machine(), sum(len(part) for part in found), "numbers")


def compare(here: str, there: str) -> None:
    """Relative differences of numbers above 1e-30."""
    x, y = np.load(here), np.load(there)
    assert np.isfinite(y).all()
    large = np.abs(x) > 1e-30
    relative = np.abs(x - y)[large] / np.abs(x[large])
    print("relative difference: " + ", ".join(f"{q:.1%} {np.quantile(relative, q):.1e}" for q in (0.5, 0.999, 1)))


if __name__ == "__main__":
    compare(*sys.argv[2:]) if sys.argv[1] == "compare" else calls(int(sys.argv[1]), sys.argv[2])
