"""What a ledger says for one gamma and alpha: plain tables of arrays, one entry per row of the ledger."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from focalkit._core.shown import Shown
from focalkit.diagnosis.expansion import ratio

Real = NDArray[np.float64]


@dataclass(frozen=True)
class Quantity:
    """Where one quantity, the loss or the size of the gradient, goes; every ``*_error`` is a bound.

    Attributes
    ----------
    total, total_error : (rows,)
        Sum over the class's samples before alpha (the loss in nats).
    share, share_error : (rows,)
        The class's share of the sum over all classes, before alpha.
    share_alpha, share_alpha_error : (rows,)
        The same after alpha.
    easy, easy_error : (rows,)
        Share of the class's own total from samples with p_t > 0.5. Alpha cancels.
    very_easy, very_easy_error : (rows,)
        The same for p_t > 0.9.
    easy_overall, very_easy_overall : float
        Over all classes, before alpha.
    easy_overall_alpha, very_easy_overall_alpha : float
        Over all classes, after alpha.
    """

    total: Real
    total_error: Real
    share: Real
    share_error: Real
    share_alpha: Real
    share_alpha_error: Real
    easy: Real
    easy_error: Real
    very_easy: Real
    very_easy_error: Real
    easy_overall: float
    very_easy_overall: float
    easy_overall_alpha: float
    very_easy_overall_alpha: float


@dataclass(frozen=True, repr=False)
class Shares(Shown):
    """Per row of a ledger: how many samples, and where loss and gradient go for one gamma and alpha.

    Attributes
    ----------
    class_names : tuple of str
        Names of the rows.
    count : (rows,) int
        Samples (soft targets: entries of positive weight).
    weight, sample_share : (rows,)
        Sum of weights, and its share.
    gamma, alpha : (rows,)
        What the table is for.
    easy_samples, very_easy_samples : (rows,)
        Share of the row's weight with p_t > 0.5 and > 0.9.
    loss, grad : Quantity
        The loss, and the size of the gradient the absolute derivative in the log-odds (in softmax logits its L1 norm
        is twice that, so shares agree).
    """

    class_names: tuple[str, ...]
    count: NDArray[np.int64]
    weight: Real
    sample_share: Real
    gamma: Real
    alpha: Real
    easy_samples: Real
    very_easy_samples: Real
    loss: Quantity
    grad: Quantity

    def __repr__(self) -> str:
        return f"Shares({len(self.class_names):,} rows, {int(self.count.sum()):,} samples)"


def quantity(zones: Real, errors: Real, alpha: Real) -> Quantity:
    """Shares from sums per row and zone of easiness (rows, 3) with their error bounds."""
    total, total_error = zones.sum(axis=1), errors.sum(axis=1)
    share = ratio(total, total_error, total.sum(), total_error.sum())
    after, after_error = alpha * total, alpha * total_error
    share_alpha = ratio(after, after_error, after.sum(), after_error.sum())
    easy = ratio(zones[:, 1:].sum(axis=1), errors[:, 1:].sum(axis=1), total, total_error)
    very_easy = ratio(zones[:, 2], errors[:, 2], total, total_error)
    return Quantity(
        total,
        total_error,
        *share,
        *share_alpha,
        *easy,
        *very_easy,
        _fraction(zones[:, 1:], zones),
        _fraction(zones[:, 2:], zones),
        _fraction(alpha[:, None] * zones[:, 1:], alpha[:, None] * zones),
        _fraction(alpha[:, None] * zones[:, 2:], alpha[:, None] * zones),
    )


def _fraction(part: NDArray[Any], whole: NDArray[Any]) -> float:
    total = float(whole.sum())
    return float(part.sum()) / total if total > 0 else 0.0
