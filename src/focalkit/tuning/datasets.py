"""The embedded data sets."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from focalkit.weights import long_tail_counts


def _digits() -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """scikit-learn's digits, from its file where that lies where it always did: loading its package takes a second."""
    spec = find_spec("sklearn")
    file = Path(spec.origin if spec and spec.origin else "").parent / "datasets" / "data" / "digits.csv.gz"
    if not file.is_file():
        from sklearn.datasets import load_digits

        X, y = load_digits(return_X_y=True)
        return np.asarray(X, np.float64), np.asarray(y, np.intp)
    table = np.loadtxt(file, delimiter=",")
    return table[:, :-1], table[:, -1].astype(np.intp)


def load_long_tail_digits(imbalance: float = 20.0) -> tuple[NDArray[np.float64], NDArray[Any]]:
    """scikit-learn's digits, thinned to an exponential profile: class 0 has the most rows, class 9 the fewest.

    Returns
    -------
    X : (n, 64) float64
        Pixel values in [0, 16].
    y : (n,) int
        Digits.
    """
    X, y = _digits()
    sizes = long_tail_counts(int(np.bincount(y).min()), 10, imbalance)
    rng = np.random.RandomState(0)
    rows = np.concatenate([rng.permutation(np.flatnonzero(y == k))[:size] for k, size in enumerate(sizes)])
    return X[np.sort(rows)], y[np.sort(rows)]


def load_rare_digit(n_rare: int = 120) -> tuple[NDArray[np.float64], NDArray[Any]]:
    """scikit-learn's digits at a quarter of their pixels: eights, thinned to ``n_rare``, against all others.

    A linear model separates them badly, so that nearly no eight gets a probability above 1/2: what is done about the
    imbalance matters.

    Returns
    -------
    X : (n, 16) float64
        Mean pixel values in [0, 16].
    y : (n,) str
        "eight" or "other".
    """
    X, y = _digits()
    rng = np.random.RandomState(0)
    some = rng.permutation(np.flatnonzero(y == 8))[:n_rare]
    rows = np.sort(np.concatenate([np.flatnonzero(y != 8), some]))
    coarse = X[rows].reshape(-1, 4, 2, 4, 2).mean(axis=(2, 4)).reshape(-1, 16)
    return coarse, np.where(y[rows] == 8, "eight", "other")


DEMOS = {"rare-digit": load_rare_digit, "long-tail": load_long_tail_digits}
"""By the names of ``focalkit tune --demo``."""
