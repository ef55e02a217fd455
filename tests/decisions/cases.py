"""Random predictions with ties, weights of 0, rare classes and scores at the ends."""

import numpy as np


def two_classes(rng):
    """p (n,), targets, weights; few distinct scores as often as many."""
    n = int(rng.integers(2, 25))
    p = rng.random(n) if rng.random() < 0.5 else rng.integers(0, 6, n) / 5
    y = (rng.random(n) < rng.choice([0.1, 0.4, 0.8])).astype(int)
    if rng.random() < 0.9:
        y[rng.integers(n)] = 1
        y[(int(y.argmax()) + 1) % n] = 0
    kind = rng.integers(3)
    w = [np.ones(n), rng.integers(0, 4, n).astype(float), rng.exponential(size=n)][kind]
    if w.sum() == 0 or w[y == 1].sum() == 0 or w[y == 0].sum() == 0:
        w = np.ones(n)
    return p, y, w


def several_classes(rng, k=3):
    n = int(rng.integers(3, 20))
    p = rng.dirichlet(np.ones(k), n) if rng.random() < 0.5 else None
    if p is None:
        p = rng.integers(0, 4, (n, k)).astype(float)
        p[p.sum(axis=1) == 0] = 1
        p /= p.sum(axis=1, keepdims=True)
    y = rng.integers(0, k, n)
    w = np.ones(n) if rng.random() < 0.5 else rng.exponential(size=n)
    return p, y, w
