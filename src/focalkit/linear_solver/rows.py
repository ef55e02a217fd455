"""The rows that all models share: features at one scale, class ids, weights; and a model on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from focalkit._core.spec import LossSpec
from focalkit.engines.cpu.linear import LANES, kernel_of
from focalkit.linear_solver.candidates import Candidate
from focalkit.linear_solver.held import minimised

CURVATURE_ROWS = 16000
"""Rows that the metric is computed from, at least; fewer rows are all used."""

BLOCK_BYTES = 1 << 24
"""Logits that exist at a time in a pass over the rows."""

NEWTON_PARAMETERS = 160
"""Up to so many coefficients a model has its whole curvature matrix."""

NARROW = 512
"""Up to so many columns compiled passes compute products; of more they are the BLAS's, whose blocks suit the caches."""

SQUARED = 128
"""Up to so many columns they compute the curvature of one logit."""

KEPT_BYTES = {np.dtype(np.float32): 1 << 28, np.dtype(np.float64): 1 << 25}
"""Most of a scaled copy of the features that is kept; a larger one is made anew in every pass, block by block."""

COLUMN_BYTES = 1 << 25
"""Columns that exist at a time where they are not kept."""

TURNED_ROWS = 1024
"""Rows that are written as columns at a time: their lines stay in the cache until all of their numbers are taken."""


@dataclass(frozen=True)
class Model:
    """A candidate on certain rows: each row's weight, and what the sum of the losses is divided by."""

    spec: LossSpec
    weight: NDArray[np.float64] | None
    total: float
    penalty: float
    keep_hardest: float | int | None

    @classmethod
    def of(cls, candidate: Candidate, rows: Rows) -> Model:
        """The model of a candidate."""
        link = "sigmoid" if rows.n_logits == 1 else "softmax"
        weight = None
        if rows.weight is not None or (candidate.class_weight != 1).any():
            weight = candidate.class_weight[rows.targets]
            weight = weight if rows.weight is None else weight * rows.weight
        total = float(len(rows.targets) if weight is None else weight.sum())
        spec, share = minimised(LossSpec(link, candidate.gamma, reduction="sum", **candidate.options))
        return cls(spec, weight, total, candidate.penalty / share, candidate.keep_hardest)

    @cached_property
    def each(self) -> LossSpec:
        """The loss of every row by itself."""
        return replace(self.spec, reduction="none")

    @cached_property
    def kernel(self) -> Any:
        """The loss as compiled passes read it, or None."""
        return kernel_of(self.spec)

    @cached_property
    def keeping_spec(self) -> LossSpec:
        """The loss, of the hardest rows alone."""
        return replace(self.spec, keep_hardest=self.keep_hardest)

    def keeping(self, kept: NDArray[np.bool_]) -> Model:
        """The same with the losses of ``kept`` rows alone."""
        weight = kept.astype(np.float64) if self.weight is None else np.where(kept, self.weight, 0.0)
        total = float(weight.sum())
        return Model(self.spec, weight, total if total > 0 else 1.0, self.penalty, None)


class Columns(NamedTuple):
    """Scaled features of ``n`` rows, a column after the other (n_columns, padded), and their class ids (padded,).

    Zeros stand behind the last row, up to a multiple of :data:`focalkit.engines.cpu.linear.LANES`.
    """

    X: NDArray[Any]
    targets: NDArray[np.int64]
    n: int


@dataclass(frozen=True)
class Rows:
    """Features scaled to unit variance, class ids and weights; what every model has in common."""

    X: Any
    targets: NDArray[np.intp]
    weight: NDArray[np.float64] | None
    n_classes: int
    fit_intercept: bool
    centre: NDArray[np.float64]
    scale: NDArray[np.float64]
    sparse: bool
    ready: dict[Any, Any]

    @classmethod
    def of(
        cls,
        X: Any,
        targets: NDArray[np.intp],
        weight: NDArray[np.float64] | None,
        n_classes: int,
        fit_intercept: bool,
    ) -> Rows:
        """Find the scales; rows of no weight do not count."""
        sparse = hasattr(X, "multiply")
        if weight is not None and (weight == weight[0]).all() and weight[0] == 1:
            weight = None
        share = np.full(len(targets), 1 / len(targets)) if weight is None else weight / weight.sum()
        if sparse:
            centre = np.zeros(X.shape[1])
            square = np.asarray(X.multiply(X).T @ share, np.float64).ravel()
        else:
            centre, square = np.zeros(X.shape[1]), np.zeros(X.shape[1])
            for part in parts(len(targets), 16384):
                block = np.asarray(X[part], np.float64)
                centre += share[part] @ block
            centre = centre if fit_intercept else np.zeros(X.shape[1])
            for part in parts(len(targets), 16384):
                block = np.asarray(X[part], np.float64) - centre
                square += share[part] @ (block * block)
        scale = np.sqrt(square)
        scale[~(scale > 0)] = 1.0
        return cls(X, targets, weight, n_classes, fit_intercept, centre, scale, sparse, {})

    @property
    def n_logits(self) -> int:
        """One for two classes."""
        return 1 if self.n_classes == 2 else self.n_classes

    @property
    def n_columns(self) -> int:
        """Features and, where there is an intercept, a column of ones."""
        return len(self.scale) + int(self.fit_intercept)

    def keeps(self, dtype: Any) -> bool:
        """Whether there is room for a scaled copy of the features."""
        number = np.dtype(dtype)
        return bool(len(self.targets) * self.n_columns * number.itemsize <= KEPT_BYTES[number])

    @property
    def narrow(self) -> bool:
        """Whether compiled passes suit."""
        return self.n_columns <= NARROW and not self.sparse

    def start(self, candidate: Candidate) -> NDArray[np.float64]:
        """Where the fit of a candidate starts (n_columns, n_logits): its own start, or the class prior."""
        theta = np.zeros((self.n_columns, self.n_logits))
        if candidate.start is not None:
            coef, intercept = candidate.start
            theta[: len(self.scale)] = coef.T * self.scale[:, None]
            if self.fit_intercept:
                theta[-1] = intercept + coef @ self.centre
        elif self.fit_intercept:
            counts = np.bincount(self.targets, self.weight, self.n_classes) * candidate.class_weight
            log_counts = np.log(np.maximum(counts, 1e-12 * counts.sum()))
            theta[-1] = log_counts[1] - log_counts[0] if self.n_logits == 1 else log_counts - log_counts.mean()
        return theta

    def coefficients(self, theta: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Coefficients and intercepts of the features as they were given."""
        if self.n_logits > 1:
            # what all classes share changes no probability, and at the minimum the penalty has made it 0
            theta = theta - theta.mean(axis=1, keepdims=True)
        coef = (theta[: len(self.scale)] / self.scale[:, None]).T
        if not self.fit_intercept:
            return np.ascontiguousarray(coef), np.zeros(self.n_logits)
        return np.ascontiguousarray(coef), theta[-1] - coef @ self.centre

    def penalties(self, models: Sequence[Model]) -> NDArray[np.float64]:
        """The penalty's factor for each model and column, (n_models, n_columns, 1)."""
        of_column = np.zeros(self.n_columns)
        of_column[: len(self.scale)] = 1 / (self.scale * self.scale)
        return np.array([model.penalty for model in models])[:, None, None] * of_column[:, None]

    def prepared(self, part: Any, dtype: Any) -> NDArray[Any]:
        """Scaled features of some rows, with the column of ones."""
        block = np.empty((len(self.targets[part]), self.n_columns), dtype)
        np.subtract(self.X[part], self.centre, out=block[:, : len(self.scale)], casting="unsafe")
        block[:, : len(self.scale)] /= self.scale.astype(dtype)
        block[:, len(self.scale) :] = 1
        return block

    def blocks(self, n_models: int, dtype: Any) -> Iterator[tuple[slice, NDArray[Any]]]:
        """Slices of rows, each with its scaled features; small tables are scaled once."""
        n = len(self.targets)
        height = max(1024, BLOCK_BYTES // (np.dtype(dtype).itemsize * n_models * self.n_logits))
        if self.keeps(dtype):
            whole = self.once((dtype, "X"), lambda: self.prepared(slice(None), dtype))
            for part in parts(n, height):
                yield part, whole[part]
            return
        for part in parts(n, min(height, 8192)):
            yield part, self.prepared(part, dtype)

    def columns(self, part: Any, dtype: Any) -> Columns:
        """Scaled features of some rows as columns."""
        targets = self.targets[part]
        n, width = len(targets), len(self.scale)
        padded = n + -n % LANES
        X, ids = _aligned(self.n_columns, padded, dtype), np.zeros(padded, np.int64)
        rows, scale = self.X[part], self.scale[:, None].astype(dtype)
        for some in parts(n, TURNED_ROWS):
            of_some = X[:width, some]
            np.subtract(rows[some].T, self.centre[:, None], out=of_some, casting="unsafe")
            of_some /= scale
        X[width:, :n] = 1
        ids[:n] = targets
        return Columns(X, ids, n)

    def column_blocks(self, dtype: Any) -> Iterator[tuple[slice, Columns]]:
        """Slices of rows, each with its columns; those of small tables are made once."""
        if self.keeps(dtype):
            yield slice(None), self.once((dtype, "columns"), lambda: self.columns(slice(None), dtype))
            return
        height = COLUMN_BYTES // (self.n_columns * np.dtype(dtype).itemsize)
        for part in parts(len(self.targets), height // LANES * LANES):
            yield part, self.columns(part, dtype)

    def sample(self) -> tuple[NDArray[np.intp] | slice, NDArray[np.float64] | None]:
        """Rows for the metric, and how many rows each stands for: evenly from each class, rare ones whole."""
        return self.once("sample", self._sample)  # type: ignore[no-any-return]

    def _sample(self) -> tuple[NDArray[np.intp] | slice, NDArray[np.float64] | None]:
        n, few = len(self.targets), CURVATURE_ROWS if self.n_logits == 1 else CURVATURE_ROWS // 2
        wanted = max(few, 20 * self.n_columns)
        if n <= 2 * wanted:
            return slice(None), None
        counts = np.bincount(self.targets, minlength=self.n_classes)
        most = wanted // self.n_classes
        # what the rare classes leave is the frequent ones'
        for _ in range(self.n_classes):
            spare = wanted - np.minimum(counts, most).sum()
            open_classes = int((counts > most).sum())
            if spare < open_classes or not open_classes:
                break
            most += spare // open_classes
        chosen, factor = [], []
        for k, count in enumerate(counts):
            at = np.flatnonzero(self.targets == k)
            take = min(int(count), most)
            chosen.append(at[(np.arange(take) * count) // max(take, 1)])
            factor.append(np.full(take, count / max(take, 1)))
        return np.concatenate(chosen), np.concatenate(factor)

    def once(self, key: Any, make: Callable[[], Any]) -> Any:
        """What is made on first use."""
        if key not in self.ready:
            self.ready[key] = make()
        return self.ready[key]


def _aligned(height: int, width: int, dtype: Any) -> NDArray[Any]:
    """Zeros that begin at a line of the cache: vectors that lie across two of them are two loads."""
    out = np.zeros(height * width + LANES, dtype)
    first = -int(out.__array_interface__["data"][0]) % 64 // out.itemsize
    return out[first : first + height * width].reshape(height, width)


def parts(n: int, height: int) -> Iterator[slice]:
    """Slices of at most ``height`` of ``n`` rows."""
    for first in range(0, n, height):
        yield slice(first, min(first + height, n))
