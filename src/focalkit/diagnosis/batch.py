"""One checked batch of logits and targets, as entries of a ledger, in chunks of bounded size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from focalkit._core import contracts, links, reduction
from focalkit._core.call import loss_shape
from focalkit._core.ops import NUMPY
from focalkit._core.spec import LossSpec
from focalkit.engines.cpu.ledger import log_odds

Real = NDArray[np.float64]

#: Logits looked at in one go: bounds the temporary memory of an update (some 15 float64 arrays of this size).
CHUNK = 1 << 17

#: Rows of a batch whose log-odds are kept from its check to its sum (16 bytes a row).
KEPT = 1 << 20


class Entries(NamedTuple):
    """One entry per counted target and row of the ledger: row, log-odds and weight (None: all 1).

    ``sample`` (None: all, in their order) numbers the chunk's samples from ``start`` on.
    """

    row: NDArray[Any]
    m: Real
    weight: Real | None
    start: int = 0
    sample: NDArray[Any] | None = None


class Chunk(NamedTuple):
    """Rows ``start`` … of a batch: logits (r, K), targets (r,) or (r, K), weights like them or None."""

    start: int
    logits: NDArray[Any]
    targets: NDArray[Any]
    weight: NDArray[Any] | None


class Batch:
    """A batch that keeps the contracts of the losses, with its classes on the last axis."""

    def __init__(self, spec: LossSpec, logits: Any, targets: Any, sample_weight: Any) -> None:
        z = contracts.logits_array(logits)
        axis = contracts.logits_shape(spec.link, z.shape, spec.class_axis)
        if spec.link == "softmax":
            y = contracts.softmax_targets(targets, z.shape, axis, spec.ignore_index)
        else:
            y = contracts.sigmoid_targets(targets, z.shape, axis, spec.ignore_index)
        weight = contracts.sample_weight_array(sample_weight, loss_shape(spec, z.shape))
        self.spec = spec
        self.soft = y.dtype.kind not in "iu"
        self.logits = _classes_last(z, axis)
        self.n_classes = self.logits.shape[-1]
        per_logit = spec.link == "sigmoid"
        self.targets = _classes_last(y, axis) if per_logit or self.soft else y
        self.weight = weight if weight is None or not per_logit else _classes_last(weight, axis)

    def chunks(self) -> Iterator[Chunk]:
        """Cut the batch; only a batch with axes behind the classes is copied, a piece at a time."""
        rows = self.logits.shape[:-1]
        if not all(rows):
            return
        inner = int(np.prod(rows[1:], dtype=np.int64))
        step = max(1, CHUNK // self.n_classes)
        outer = max(1, step // inner)
        for first in range(0, rows[0], outer):
            piece = slice(first, first + outer)
            z = self.logits[piece].reshape(-1, self.n_classes)
            y = self._flat(self.targets[piece], len(z))
            w = None if self.weight is None else self._flat(self.weight[piece], len(z))
            for i in range(0, len(z), step):
                part = slice(i, i + step)
                yield Chunk(first * inner + i, self._shifted(z[part]), y[part], None if w is None else w[part])

    def _shifted(self, z: NDArray[Any]) -> NDArray[Any]:
        """The logits of the loss: scaled and adjusted as the spec says."""
        spec = self.spec
        if not spec.shifts:
            return z
        adjustment, _ = spec.shift_vectors()
        shift = None if adjustment is None else np.asarray(adjustment)
        wide = z.astype(np.float64)
        with np.errstate(invalid="ignore"):
            if spec.link == "softmax":
                return np.asarray(links.adjusted(wide, spec.scale, shift, NUMPY))
            return np.asarray(wide * spec.scale if shift is None else wide * spec.scale + shift)

    def _less(self, m: Real, row: NDArray[Any]) -> Real:
        """Log-odds less the margins of their classes ``row``."""
        _, margin = self.spec.shift_vectors()
        if margin is None:
            return m
        ids = np.where((row >= 0) & (row < self.n_classes), row, 0)  # of those that are ignored nothing is kept
        return np.asarray(m - np.broadcast_to(np.asarray(margin), (self.n_classes,))[ids])

    @staticmethod
    def _flat(array: NDArray[Any], n_rows: int) -> NDArray[Any]:
        return array.reshape(n_rows) if array.size == n_rows and array.ndim < 2 else array.reshape(n_rows, -1)

    @property
    def _one_class(self) -> bool:
        """Whether each row has one class: the quick way."""
        return self.spec.link == "softmax" and not self.soft and self.spec.label_smoothing == 0

    def read(self) -> Iterator[Entries]:
        """Check all chunks before the first is returned; what was computed for it is kept unless it is much."""
        keep = self.logits.size // max(self.n_classes, 1) <= KEPT
        held = [entries for chunk in self.chunks() for entries in [self._checked(chunk)] if keep]
        return iter(held) if keep else map(self.entries, self.chunks())

    def _checked(self, chunk: Chunk) -> Entries:
        if self._one_class:
            m, refused = self._log_odds(chunk)
            if not refused:
                return self._hard_entries(chunk, m)
        self.check(chunk)
        return self.entries(chunk)

    def _log_odds(self, chunk: Chunk) -> tuple[Real, int]:
        return log_odds(chunk.logits, chunk.targets.reshape(-1), int(self.spec.ignore_index))

    def check(self, chunk: Chunk) -> None:
        """Refuse logits without a log-odds, and a true class that cannot be: its loss is infinite."""
        z = chunk.logits.astype(np.float32) if chunk.logits.dtype.name == "bfloat16" else chunk.logits
        if np.all(z < np.inf) and np.all(z > -np.inf):
            return
        counts = self._weights(chunk) > 0
        rows = counts.any(axis=1, keepdims=True) if self.spec.link == "softmax" else counts
        with np.errstate(invalid="ignore"):
            bad = rows & (np.isnan(z) | np.isposinf(z))
        if bad.any():
            row, column = (int(i[0]) for i in np.nonzero(bad))
            where = contracts.Words(f"{z[row, column]} in row {chunk.start + row}, column {column}")
            contracts.reject(
                "logits", "be free of NaN and +inf", where, "Check the model's output, or leave the row out."
            )
        impossible = counts & np.isneginf(z)
        if self.spec.link == "sigmoid":
            impossible &= chunk.targets.reshape(z.shape) > 0
        if impossible.any():
            row, column = (int(i[0]) for i in np.nonzero(impossible))
            contracts.reject(
                "targets",
                "name classes whose logit is above -inf",
                contracts.Words(f"class {column} in row {chunk.start + row}"),
                "The loss there is infinite and has no shares: leave the row out, or unmask the class.",
            )

    def _weights(self, chunk: Chunk) -> Real:
        """Weight of each class (softmax) or element (sigmoid) of the chunk's targets, (r, K)."""
        shape = chunk.logits.shape
        y = chunk.targets
        if self.spec.link == "sigmoid":
            y = y.reshape(shape)
            ones: Real = np.asarray(reduction.counted(self.spec, y, 1, NUMPY), np.float64)
            return ones if chunk.weight is None else ones * chunk.weight.reshape(shape)
        if self.soft:
            mass = y.reshape(shape).astype(np.float64)
        else:
            mass = (np.arange(shape[1]) == y.reshape(-1, 1)).astype(np.float64)
        if self.spec.label_smoothing > 0:
            counted = mass.any(axis=1, keepdims=True)
            mass = (1 - self.spec.label_smoothing) * mass + counted * (self.spec.label_smoothing / shape[1])
        return mass if chunk.weight is None else mass * chunk.weight.reshape(-1, 1)

    def entries(self, chunk: Chunk) -> Entries:
        """Return the chunk's targets as entries; those of weight 0 are left out."""
        if self.spec.link == "sigmoid":
            return self._sigmoid_entries(chunk)
        if self.soft or self.spec.label_smoothing > 0:
            mass = self._weights(chunk)
            rows = mass.any(axis=1)
            with np.errstate(all="ignore"):
                m, _, _, _ = links.softmax_log_odds_all(chunk.logits[rows].astype(np.float64), np)
            at = np.nonzero(mass[rows])
            m_at = self._less(m[at], at[1])
            return Entries(at[1], m_at, mass[rows][at], chunk.start, np.flatnonzero(rows)[at[0]])
        return self._hard_entries(chunk, self._log_odds(chunk)[0])

    def _hard_entries(self, chunk: Chunk, m: Real) -> Entries:
        ids, weight = chunk.targets.reshape(-1), chunk.weight
        m = self._less(m, ids)
        keep = ids != self.spec.ignore_index
        if weight is not None:
            weight = weight.reshape(-1)
            keep &= weight > 0
        if keep.all():
            return Entries(ids, m, weight, chunk.start)
        weight = None if weight is None else weight[keep]
        return Entries(ids[keep], m[keep], weight, chunk.start, np.flatnonzero(keep))

    def _sigmoid_entries(self, chunk: Chunk) -> Entries:
        shape = chunk.logits.shape
        counts = self._weights(chunk)
        z, y = chunk.logits.astype(np.float64), chunk.targets.reshape(shape).astype(np.float64)
        y = np.where(counts > 0, y, 0.0)
        s = self.spec.label_smoothing
        y = (1 - s) * y + s / 2 if s > 0 else y
        sides = [(0, -z, counts * (1 - y)), (1, z, counts * y)]
        column = np.broadcast_to(np.arange(shape[1]), shape)
        kept = [(2 * column[w > 0] + side, m[w > 0], w[w > 0], np.nonzero(w > 0)[0]) for side, m, w in sides]
        row, m, weight, sample = (np.concatenate(parts) for parts in zip(*kept, strict=True))
        plain = chunk.weight is None and not self.soft and s == 0
        return Entries(row, m, None if plain else weight, chunk.start, sample)

    def tally(self) -> tuple[int, int]:
        """Count the targets: rows (softmax) or elements (sigmoid) that count, and ignored ones."""
        targets = self.targets
        if self.soft and self.spec.link == "softmax":
            n_ignored, total = 0, targets[..., 0].size
        else:
            n_ignored = int(np.count_nonzero(~reduction.counted(self.spec, targets, 1, NUMPY)))
            total = targets.size
        return total - n_ignored, n_ignored


def _classes_last(array: NDArray[Any], axis: int) -> NDArray[Any]:
    return array[..., None] if axis < 0 else np.moveaxis(array, axis, -1)


def check_spec(spec: object) -> None:
    """Refuse what is no spec, and mining, which depends on the batch."""
    if not isinstance(spec, LossSpec):
        contracts.reject("spec", "be a LossSpec", spec, "E.g. LossSpec(gamma=2.0).")
    if spec.keep_hardest is not None or spec.negatives_per_positive is not None:
        contracts.reject(
            "spec", "keep every sample", spec, "Which ones mining keeps depends on the batch: leave it out of the spec."
        )


def row_names(link: str, n_classes: int, class_names: Sequence[str] | None) -> tuple[str, ...]:
    """Name a ledger's rows: classes, or for each column its negatives and positives."""
    if class_names is None:
        names = tuple(str(k) for k in range(n_classes))
    else:
        contract, remedy = f"be {n_classes} different names", "Pass one name per class."
        names = tuple(map(str, contracts.several("class_names", class_names, contract, remedy)))
        if len(names) != n_classes or len(set(names)) != n_classes:
            contracts.reject("class_names", contract, class_names, remedy)
    if link == "softmax":
        return names
    if n_classes == 1 and class_names is None:
        return ("negative", "positive")
    return tuple(f"{name}: {side}" for name in names for side in ("negative", "positive"))
