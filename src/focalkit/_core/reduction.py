"""Every denominator, and which losses are kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from focalkit._core.spec import LossSpec


def kept(
    spec: LossSpec,
    losses: NDArray[Any],
    counted: NDArray[np.bool_],
    positive: NDArray[np.bool_],
    largest: Callable[[NDArray[Any], NDArray[np.bool_], int], NDArray[np.bool_]],
) -> NDArray[np.bool_]:
    """Which of the ``counted`` losses (n,) stay after hard example mining; ``positive`` is (n,).

    The ``largest`` stay: so many of those that a mask says; of equal losses the first, so that the choice is the same
    everywhere.
    """
    if spec.keep_hardest is None and spec.negatives_per_positive is None:
        return counted
    budget = _budget(spec.keep_hardest, int(np.count_nonzero(counted)))
    if spec.negatives_per_positive is None:
        return largest(losses, counted, budget)
    ratio = spec.negatives_per_positive
    positives, negatives = counted & positive, counted & ~positive
    places = int(np.count_nonzero(positives)) if spec.keep_hardest is None else max(1, _whole(budget / (1 + ratio)))
    keep_positives = largest(losses, positives, min(places, budget))
    n_kept = int(np.count_nonzero(keep_positives))
    places = _whole(min(ratio * max(n_kept, 1), budget - n_kept))
    return keep_positives | largest(losses, negatives, places)


def _budget(keep_hardest: float | int | None, n_counted: int) -> int:
    if keep_hardest is None or n_counted == 0:
        return n_counted
    if isinstance(keep_hardest, int):
        return min(keep_hardest, n_counted)
    # a hair below the product, so that 0.07 * 100 = 7.000000000000001 keeps 7 and not 8
    return max(1, int(np.ceil(keep_hardest * n_counted * (1 - 1e-12))))


def _whole(places: float) -> int:
    # a hair above the product, so that 0.58 * 100 = 57.99999999999999 makes 58 places
    return int(places * (1 + 1e-12))


def largest(losses: NDArray[Any], among: NDArray[np.bool_], count: int) -> NDArray[np.bool_]:
    """Where the ``count`` largest of the losses ``among`` are."""
    index = np.flatnonzero(among)
    chosen = np.zeros_like(among)
    order = np.argsort(-losses[index], kind="stable")
    order = np.roll(order, np.count_nonzero(np.isnan(losses[index])))  # NaN is the hardest of all, never hidden
    chosen[index[order[:count]]] = True
    return chosen


def denominator(
    spec: LossSpec, keep: NDArray[np.bool_], weights: NDArray[Any] | None, normalizer: float | None
) -> float:
    """What the sum of the kept losses is divided by; ``weights`` (n,) are alpha_t * sample_weight.

    A mean over nothing is 0: its denominator is given as 1, its numerator being 0.
    """
    if normalizer is not None:
        return normalizer
    if spec.reduction == "mean":
        total = float(keep.sum())
    elif spec.reduction == "weighted_mean":
        total = float(keep.sum() if weights is None else weights[keep].sum())
    else:
        return 1.0
    return total if total > 0 else 1.0
