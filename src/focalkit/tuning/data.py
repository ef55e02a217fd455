"""What is trained on, what comes out, and what whoever trains can do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from focalkit._core.message import Message
from focalkit.tuning.result import Cell


class Prediction(NamedTuple):
    """What a fitted candidate says of n test rows.

    ``posterior`` (n, n_classes) is under the training prior, ``decisions`` (n,) are class ids,
    ``logits`` (n,) or (n, n_classes), None where the model has none. ``converged``: whether its fit ended by itself.
    """

    posterior: NDArray[np.float64]
    decisions: NDArray[Any]
    logits: NDArray[np.float64] | None
    converged: bool = True


class Data(NamedTuple):
    """The whole data: features, class ids (n,), how many classes there are, and weights (n,) of the rows."""

    X: Any
    targets: NDArray[np.intp]
    n_classes: int
    weight: NDArray[np.float64] | None = None

    def masses(self, rows: NDArray[np.intp]) -> NDArray[Any]:
        """Rows of each class (n_classes,) among ``rows``, or their weights."""
        weight = None if self.weight is None else self.weight[rows]
        return np.bincount(self.targets[rows], weights=weight, minlength=self.n_classes)


class Trainer(Protocol):
    """Fits cells on rows of the data and predicts others."""

    @property
    def name(self) -> str:
        """What is tuned, for people."""

    @property
    def chained(self) -> bool:
        """Whether each fit starts from its neighbour, so that the cells of a fold belong together."""

    @property
    def mines(self) -> bool:
        """Whether it can keep the hardest samples only."""

    @property
    def focuses(self) -> bool:
        """Whether its loss takes gamma."""

    @property
    def weighs(self) -> bool:
        """Whether it takes class weights."""

    @property
    def resamples(self) -> bool:
        """Whether it can be trained on other rows than there are."""

    @property
    def adjusts(self) -> bool:
        """Whether its loss takes logit adjustment."""

    @property
    def forks(self) -> bool:
        """Whether copies of this process can train it."""

    @property
    def notes(self) -> tuple[Message, ...]:
        """What a reader of the report should know of it."""

    def predictions(
        self, data: Data, cells: Sequence[Cell], train: NDArray[np.intp], test: NDArray[np.intp]
    ) -> Iterator[tuple[Cell, Prediction]]:
        """Train on the rows ``train`` and predict the rows ``test``, for every cell without tau."""
