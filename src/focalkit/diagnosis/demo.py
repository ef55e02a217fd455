"""Made-up predictions for a first look; no model and no data are behind them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SEED = 42
COUNTS = (6000, 1800, 540, 160, 50)
NAMES = ("most", "many", "some", "few", "rare")


def made_up_predictions() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Logits (8550, 5) and class ids as out-of-fold predictions on a long-tailed set may look.

    Logits are log prior + evidence for the true class + noise, so rare classes are missed more often.
    """
    rng = np.random.default_rng(SEED)
    counts = np.array(COUNTS)
    targets = np.repeat(np.arange(len(counts)), counts)
    logits = np.log(counts / counts.sum()) + rng.normal(scale=1.1, size=(len(targets), len(counts)))
    logits[np.arange(len(targets)), targets] += rng.normal(3.5, 1.2, size=len(targets))
    return logits, targets
