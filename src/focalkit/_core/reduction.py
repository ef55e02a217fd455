"""Every denominator: which targets count, what each weighs, which losses hard example mining keeps, what divides them.

``xp`` is the array library (:class:`focalkit._core.ops.Ops`). Nothing here looks at a value, so that it can be
traced, compiled and mapped, and never waits for a device.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from focalkit._core.ops import Ops
from focalkit._core.spec import LossSpec


def counted(spec: LossSpec, targets: Any, axis: int, xp: Ops) -> Any:
    """Which losses count: all but those whose target is ``ignore_index`` (NaN where that is NaN)."""
    if not xp.is_float(targets):
        return xp.astype(targets, xp.index) != spec.ignore_index
    if spec.link == "softmax":
        return xp.ones_like(_of_first_class(targets, axis), dtype=xp.boolean)
    return ~xp.isnan(targets) if math.isnan(spec.ignore_index) else targets != spec.ignore_index


def all_count(spec: LossSpec, targets: Any, xp: Ops) -> bool:
    """Whether every target counts whatever its value: probabilities of classes are never ignored."""
    return spec.link == "softmax" and xp.is_float(targets)


def positive(spec: LossSpec, targets: Any, axis: int, xp: Ops) -> Any:
    """Which targets are positives of hard example mining: not class 0, or 1/2 and more for the sigmoid."""
    if spec.link == "sigmoid":
        return targets >= 0.5
    return _of_first_class(targets, axis) < 0.5 if xp.is_float(targets) else targets != 0


def _of_first_class(targets: Any, axis: int) -> Any:
    return targets[(slice(None),) * axis + (0,)]


def class_weight(spec: LossSpec, y: Any, alpha: Any, other: Any, axis: int, xp: Ops) -> Any:
    """``alpha_t`` of each target.

    ``y`` holds class ids in [0, n_classes), or probabilities with their classes on ``axis``, or values of the sigmoid;
    ``alpha`` is (n_classes,) for class ids, and otherwise fits ``y`` by broadcasting, as ``other`` = 1 - alpha does.
    """
    if alpha is None:
        return xp.ones_like(y)
    if spec.link == "sigmoid":
        return y * alpha + (1 - y) * other
    return xp.sum(y * alpha, axis) if xp.is_float(y) else alpha[y]


def denominator(spec: LossSpec, keep: Any, weight: Any, normalizer: Any, xp: Ops) -> Any:
    """What the sum of the kept losses is divided by; None where it is not divided.

    ``keep`` is a mask, or where all are kept their number; ``weight`` holds alpha_t * sample_weight, and is looked at
    for a weighted mean alone. A mean over nothing is 0: its denominator is 1, its numerator being 0. So is a
    ``normalizer`` of 0 where nothing is kept; with something kept it stays 0, and the loss says so.
    """
    if normalizer is not None:
        given = xp.wide(normalizer)
        if isinstance(normalizer, (float, int)) and normalizer > 0:
            return given
        return xp.where((given == 0) & (_count(keep, xp) == 0), xp.ones_like(given), given)
    if spec.reduction == "mean":
        return or_one(_count(keep, xp), xp)
    if spec.reduction == "weighted_mean":
        return or_one(xp.total(xp.where(keep, weight, xp.zeros_like(weight))), xp)
    return None


def _count(keep: Any, xp: Ops) -> Any:
    return xp.wide(keep) if isinstance(keep, int) else xp.count(keep)


def or_one(total: Any, xp: Ops) -> Any:
    """The denominator of a mean: 1 over nothing."""
    return xp.where(total == 0, xp.ones_like(total), total)


def quotient(total: Any, normalizer: Any, xp: Ops) -> Any:
    """``total / normalizer``, and 0 where nothing came together and the normalizer is 0."""
    nothing = (total == 0) & (normalizer == 0)
    return xp.where(nothing, xp.zeros_like(total), total / xp.where(nothing, xp.ones_like(normalizer), normalizer))


def kept(spec: LossSpec, losses: Any, counted: Any, positive: Any, xp: Ops, largest: Callable[..., Any]) -> Any:
    """Which of the ``counted`` losses (n,) stay after hard example mining; ``positive`` is (n,).

    The ``largest`` (losses, among, count) stay: so many of those that a mask says; of equal losses the first, so that
    the choice is the same everywhere.
    """
    if spec.keep_hardest is None and spec.negatives_per_positive is None:
        return counted
    n_counted = xp.count(counted)
    budget = _budget(spec.keep_hardest, n_counted, xp)
    if spec.negatives_per_positive is None:
        return largest(losses, counted, budget)
    ratio, positives = min(spec.negatives_per_positive, 2.0**53), counted & positive
    if spec.keep_hardest is None:
        places = xp.count(positives)
    else:
        places = xp.maximum(_whole(budget / (1 + ratio), xp), 1)
    keep_positives = largest(losses, positives, xp.minimum(places, budget))
    n_kept = xp.count(keep_positives)
    places = _whole(xp.minimum(ratio * xp.maximum(n_kept, 1), budget - n_kept), xp)
    return keep_positives | largest(losses, counted & ~positive, places)


def _budget(keep_hardest: float | int | None, n_counted: Any, xp: Ops) -> Any:
    if keep_hardest is None:
        return n_counted
    if isinstance(keep_hardest, int):
        return xp.minimum(n_counted, keep_hardest)
    # a hair below the product, so that 0.07 * 100 = 7.000000000000001 keeps 7 and not 8
    return xp.minimum(xp.maximum(xp.ceil(keep_hardest * n_counted * (1 - xp.hair)), 1), n_counted)


def _whole(places: Any, xp: Ops) -> Any:
    # a hair above the product, so that 0.58 * 100 = 57.99999999999999 makes 58 places
    return xp.floor(places * (1 + xp.hair))


def largest(xp: Ops) -> Callable[..., Any]:
    """Where the ``count`` largest of the losses ``among`` are, NaN first, of equal ones the first."""

    def choose(losses: Any, among: Any, count: Any) -> Any:
        order = xp.argsort(-losses)
        group = xp.astype(~among, xp.index) + xp.astype(~(among & xp.isnan(losses)), xp.index)
        order = order[xp.argsort(group[order])]
        return among & (xp.argsort(order) < count)

    return choose
