"""What is fitted, and what comes out: a loss with its weights and penalty, and coefficients."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from focalkit._core import contracts
from focalkit._core.spec import LossSpec
from focalkit.weights import alpha_of_classes


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


def candidate_of(
    *,
    gamma: float,
    alpha: Any,
    keep_hardest: float | int | None,
    C: float,
    classes: NDArray[Any],
    counts: NDArray[np.float64],
    options: Mapping[str, Any],
    start: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None,
) -> Candidate:
    """The candidate of a model's parameters, for rows of these ``classes`` with weights ``counts`` (n_classes,).

    Class weights are scaled to mean 1 over the rows, so that ``C`` keeps its meaning.

    Raises
    ------
    InputError
        Where a parameter lies outside its domain.
    """
    given = contracts.one_number("C", C)
    if isinstance(given, float | np.floating) and given == np.inf:
        C = np.inf
    else:
        C = contracts.number("C", given, contracts.POSITIVE, "Large values penalise less, inf does not at all.")
    contracts.number("gamma", gamma, contracts.GAMMA, "0 is cross-entropy, 2 the paper's choice.")
    if keep_hardest is not None:
        LossSpec(keep_hardest=keep_hardest)
    weights = alpha_of_classes(alpha, classes, counts)
    weighted = float((weights * counts).sum())
    if not weighted > 0:
        contracts.reject("alpha", "leave some row a weight above 0", alpha, "Every row would count nothing.")
    total = float(counts.sum())
    return Candidate(float(gamma), weights * (total / weighted), 1 / (C * total), keep_hardest, start, options)


class Solution(NamedTuple):
    """A fitted model: ``coef`` (n_logits, n_features), ``intercept`` (n_logits,), and how the fit ended."""

    coef: NDArray[np.float64]
    intercept: NDArray[np.float64]
    n_iter: int
    converged: bool
