"""What is fitted, and what comes out: a loss with its weights and penalty, and coefficients."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Candidate(NamedTuple):
    """One model: its loss, and the start of its fit.

    ``class_weight`` is (n_classes,); ``penalty`` is the factor of half the squared norm of the
    coefficients; ``start`` (n_features, n_logits) and (n_logits,), or None for the class prior. ``options`` are
    further fields of the LossSpec.
    """

    gamma: float
    class_weight: NDArray[np.float64]
    penalty: float
    keep_hardest: float | int | None = None
    start: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None
    options: Mapping[str, Any] = MappingProxyType({})


class Solution(NamedTuple):
    """A fitted model: ``coef`` (n_logits, n_features), ``intercept`` (n_logits,), and how the fit ended."""

    coef: NDArray[np.float64]
    intercept: NDArray[np.float64]
    n_iter: int
    converged: bool
