r"""Features as a network would give them, of a made long tail of 100 classes: what to change in the last layer?

python examples/long_tail_features.py features.npz
focalkit tune features.npz --rivals heads,logit-adjusted --alpha none,sqrt,balanced --gamma 0,2 --keep-hardest none \
    --repeats 1
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from focalkit import long_tail_counts


def features(n_largest: int = 250, n_classes: int = 100, imbalance: float = 50, width: int = 48) -> tuple[Any, Any]:
    """Clouds around directions that lie in ten groups of alike classes, by the counts of CIFAR-100-LT's form."""
    rng = np.random.default_rng(0)
    counts = rng.permutation(long_tail_counts(n_largest, n_classes, imbalance))
    groups = rng.normal(size=(10, width))
    centres = 1.5 * groups[np.arange(n_classes) % 10] + rng.normal(size=(n_classes, width))
    y = np.repeat(np.arange(n_classes), counts)
    return centres[y] + 1.6 * rng.normal(size=(len(y), width)), y


if __name__ == "__main__":
    X, y = features()
    path = sys.argv[1] if len(sys.argv) > 1 else "features.npz"
    np.savez(path, X=X.astype(np.float32), y=y)
    print(f"{path}: {len(y):,} rows, {X.shape[1]} features, {len(set(y.tolist()))} classes")
