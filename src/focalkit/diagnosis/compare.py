"""What changed between two ledgers: two models, two epochs, two data sets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from focalkit._core import contracts
from focalkit._core.spec import PerClass
from focalkit.diagnosis.ledger import Ledger
from focalkit.diagnosis.shares import Shares

Real = NDArray[np.float64]


@dataclass(frozen=True)
class Changes:
    """Per row, from the ``before`` ledger to the ``now`` one; each pair is (before, now).

    Attributes
    ----------
    class_names : tuple of str
        Rows of the now ledger that the before one has too, in its order.
    mean_loss : (rows,) pairs
        Loss per sample in nats, at the gamma asked for, before alpha.
    grad_share : (rows,) pairs
        Share of the gradient, after alpha.
    easy_samples : (rows,) pairs
        Share of the row's samples with p_t > 0.5.
    total_loss : pair of float
        Mean loss over all rows.
    """

    class_names: tuple[str, ...]
    count: tuple[NDArray[np.int64], NDArray[np.int64]]
    mean_loss: tuple[Real, Real]
    grad_share: tuple[Real, Real]
    easy_samples: tuple[Real, Real]
    total_loss: tuple[float, float]
    only_before: tuple[str, ...]
    only_now: tuple[str, ...]


def changes(before: Ledger, now: Ledger, gamma: PerClass | None = None, alpha: PerClass | str | None = None) -> Changes:
    """Compare two ledgers of the same link; classes are matched by name."""
    if before.spec.link != now.spec.link:
        remedy = f"The other is {now.spec.link}."
        contracts.reject("ledgers", "be of the same link to be compared", before.spec.link, remedy)
    there = {name: k for k, name in enumerate(before.class_names)}
    mine = [k for k, name in enumerate(now.class_names) if name in there]
    theirs = [there[now.class_names[k]] for k in mine]
    if not mine:
        contracts.reject("ledgers", "share classes to be compared", list(before.class_names), "Check the class names.")
    old, new = before.shares(gamma, alpha), now.shares(gamma, alpha)

    def pair(field: str) -> tuple[Real, Real]:
        return getattr(old, field)[theirs], getattr(new, field)[mine]

    def mean(total: Real, weight: Real) -> Real:
        return np.where(weight > 0, total / np.where(weight > 0, weight, 1.0), np.nan)

    return Changes(
        tuple(now.class_names[k] for k in mine),
        (old.count[theirs], new.count[mine]),
        (mean(old.loss.total, old.weight)[theirs], mean(new.loss.total, new.weight)[mine]),
        (old.grad.share_alpha[theirs], new.grad.share_alpha[mine]),
        pair("easy_samples"),
        (_mean_loss(old), _mean_loss(new)),
        tuple(n for n in before.class_names if n not in now.class_names),
        tuple(n for n in now.class_names if n not in there),
    )


def _mean_loss(shares: Shares) -> float:
    total, weight = float(shares.loss.total.sum()), float(shares.weight.sum())
    return total / weight if weight > 0 else 0.0
