"""The candidates of a run, and which of them are fitted together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from focalkit._core import contracts
from focalkit._core.spec import LossSpec
from focalkit.tuning.resampling import ADJUSTED
from focalkit.tuning.result import Cell
from focalkit.weights import alpha_vector

ALPHAS: tuple[Any, ...] = (None, "power:0.25", "power:0.5", "power:0.75", "power:1")
GAMMAS = (0.0, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
KEEP_HARDEST = (0.5, 0.25, 0.1)

Plan = tuple[Cell, ...]
"""Cells that are fitted one after the other in one process; their ``params`` are equal."""


@dataclass(frozen=True)
class Grid:
    """alpha x gamma, OHEM and the shifted decisions of plain cross-entropy, with the estimator's ``params`` fixed."""

    alphas: tuple[Any, ...]
    gammas: tuple[float, ...]
    keep_hardest: tuple[float | int, ...]
    params: tuple[tuple[str, Any], ...] = ()
    rivals: tuple[str, ...] = ()

    @classmethod
    def checked(
        cls,
        alphas: Sequence[Any],
        gammas: Sequence[float],
        keep_hardest: Sequence[float | int],
        n_classes: int,
        rivals: tuple[str, ...] = (),
    ) -> Grid:
        """A grid of checked values, each a sequence or a single one; alpha None and gamma 0 are always in it."""
        alphas = [as_tuple(alpha) for alpha in _several("alphas", alphas)]
        gammas, keep_hardest = _several("gammas", gammas), _several("keep_hardest", keep_hardest)
        for alpha in alphas:
            alpha_vector(alpha, np.ones(n_classes))
        zero = [0.0, *(contracts.number("gammas", g, contracts.GAMMA, "0 is cross-entropy.") for g in gammas)]
        for part in keep_hardest:
            LossSpec(keep_hardest=part)
        return cls(
            tuple(dict.fromkeys([None, *alphas])),
            tuple(sorted(set(zero))),
            tuple(dict.fromkeys(keep_hardest)),
            (),
            rivals,
        )

    @property
    def fits(self) -> tuple[Cell, ...]:
        """Every candidate that is fitted, the simplest of each family first."""
        cells = [Cell(alpha) for alpha in self.alphas]
        cells += [Cell(alpha, gamma) for gamma in self.gammas[1:] for alpha in self.alphas]
        cells += [Cell(keep_hardest=part) for part in self.keep_hardest]
        cells += [Cell(logit_adjustment=1.0) for rival in self.rivals if rival == ADJUSTED]
        cells += [Cell(resample=rival) for rival in self.rivals if rival != ADJUSTED]
        return tuple(replace(cell, params=self.params) for cell in cells)

    def plans(self, chained: bool) -> tuple[Plan, ...]:
        """What is fitted together: all of it where each fit starts from its neighbour, otherwise each fit by itself."""
        return (self.fits,) if chained else tuple((cell,) for cell in self.fits)


def _several(name: str, given: Any) -> tuple[Any, ...]:
    """Values to try, each in a sequence, or a single one."""
    if given is None or isinstance(given, (str, float, int)):
        return (given,)
    return contracts.several(name, given, "be a sequence of values to try", "Pass a list.")


def as_tuple(alpha: Any) -> Any:
    """A vector as cells hold it."""
    return tuple(alpha) if isinstance(alpha, list) or (isinstance(alpha, np.ndarray) and alpha.ndim == 1) else alpha


def in_turn(alpha: Any) -> Any:
    """Weights of two classes as they are where the classes change places."""
    alpha = as_tuple(alpha)
    return alpha[::-1] if isinstance(alpha, tuple) else alpha


def with_decisions(fits: Sequence[Cell], *, closed: bool) -> list[tuple[int, Cell]]:
    """The candidates that come from fitted ones, each with the place of its fit: as trained, and with other decisions.

    The order is from simple to complex: plain cross-entropy, its shifted decisions (at strength 1, then at a strength
    that is chosen), then every other fit as it is and with a strength that is chosen. ``closed``: the goal has a
    cut-off of its own, which needs no choice.
    """
    out = []
    for at, cell in enumerate(fits):
        out.append((at, cell))
        if cell.family == "CE":
            out.append((at, replace(cell, tau=1.0)))
        if closed:
            out.append((at, replace(cell, tau="closed")))
        if cell.family == "CE":
            out.append((at, replace(cell, tau="chosen")))
    out += [(at, replace(cell, tau="chosen")) for at, cell in enumerate(fits) if cell.family != "CE"]
    return out
