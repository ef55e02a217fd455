"""What a pass over predictions came to: the ledger, and all that is said about it, each computed once."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from focalkit._core import contracts
from focalkit._core.message import Finding, Message
from focalkit._core.shown import Shown
from focalkit._core.spec import LossSpec, PerClass
from focalkit.diagnosis.advice import Contradicted, StartingPoint, contradicted, starting_point
from focalkit.diagnosis.compare import Changes, changes
from focalkit.diagnosis.findings import of_changes, of_diagnosis, of_remedies
from focalkit.diagnosis.hardest import HardRow
from focalkit.diagnosis.ledger import Ledger
from focalkit.diagnosis.remedies import Remedies
from focalkit.diagnosis.shares import Shares

if TYPE_CHECKING:
    from focalkit.diagnosis.sample import Sample


@dataclass
class Diagnosis(Shown):
    """Where the loss of some predictions goes, for one gamma and alpha, and what there is beside it.

    Made by :func:`focalkit.diagnosis.diagnose_files`, or of a ledger: ``Diagnosis(ledger, 2.0, "inverse")``.

    Attributes
    ----------
    ledger : Ledger
        The sums; every other gamma and alpha can be asked of it.
    gamma : None, float or (n_classes,)
        What the findings are for; None: the ledger's own.
    alpha : None, str, float or (n_classes,)
        As for :meth:`Ledger.shares`.
    source : str
        What the predictions are, in a few words.
    notes : tuple of str
        What the reader did or warns of.
    alerts : tuple of str
        Those of the notes that were known before the predictions were read.
    hardest : tuple of HardRow
        The rows with the largest loss of each class, where they were asked for.
    remedies : Remedies or None
        Post-hoc corrections, scored on a sample of the predictions.
    before : Diagnosis or None
        What these predictions are compared with.
    files : tuple of str
        Names that :attr:`HardRow.file` numbers.
    sample : Sample or None
        The rows that ``remedies`` were judged on.
    """

    ledger: Ledger
    gamma: Any = None
    alpha: Any = None
    source: str = ""
    notes: tuple[Any, ...] = ()
    alerts: tuple[Any, ...] = ()
    hardest: tuple[HardRow, ...] = ()
    remedies: Remedies | None = None
    before: Diagnosis | None = None
    files: tuple[str, ...] = ()
    sample: Sample | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.ledger, Ledger):
            contracts.reject("ledger", "be a Ledger", self.ledger, "Make one by focalkit.diagnose(logits, targets).")
        gamma = self.ledger.spec.gamma if self.gamma is None else self.gamma
        self.gamma = LossSpec(self.ledger.spec.link, gamma=gamma).gamma
        self._shares: dict[PerClass, Shares] = {}

    def __repr__(self) -> str:
        ledger = self.ledger
        return (
            f"Diagnosis({ledger.n_samples:,} targets, {len(ledger.class_names):,} rows, {len(self.findings)} findings)"
        )

    def shares(self, gamma: PerClass) -> Shares:
        """The ledger's shares for ``gamma`` and this alpha; each number and the own gamma once."""
        gamma = LossSpec(self.ledger.spec.link, gamma=gamma).gamma
        if isinstance(gamma, tuple) and gamma != self.gamma:
            return self.ledger.shares(gamma, self.alpha)
        if gamma not in self._shares:
            self._shares[gamma] = self.ledger.shares(gamma, self.alpha)
        return self._shares[gamma]

    def to_json(self) -> str:
        """Return the ledger as :meth:`Ledger.to_json`, which reads it back, with the findings beside it."""
        kept = (*self.findings, *self.change_findings, *self.remedy_findings)
        data = [{"id": f.id, "values": f.values, "text": str(f)} for f in kept]
        rows = [{"class": r.class_index, "p_t": r.p_t, "file": r.file, "row": r.row} for r in self.hardest]
        beside = {
            "focalkit": version("focalkit"),
            "source": str(self.source),
            "gamma": self.gamma,
            "alpha": self.alpha,
            "notes": [str(note) for note in self.notes],
            "findings": data,
            "hardest": rows,
            "files": self.files,
        }
        text = json.dumps(finite(beside), ensure_ascii=False, allow_nan=False)
        return f'{self.ledger.to_json()[:-1]}, "diagnosis": {text}}}'

    def told(self, source: str = "", notes: Sequence[Any] = ()) -> Diagnosis:
        """The same about ``source``, with more ``notes``; without a source its size stands for it."""
        about = source or self.source or Message("source.arrays", size=size(self.ledger))
        told = copy(self)  # with what was computed already
        told.source, told.notes = about, (*notes, *self.notes)
        return told

    @property
    def plain(self) -> Shares:
        """The shares under cross-entropy."""
        return self.shares(0.0)

    @property
    def focal(self) -> Shares:
        """The shares under the loss asked for."""
        return self.shares(self.gamma)

    @property
    def weighted(self) -> bool:
        """Whether alpha tells any classes apart."""
        return not np.all(self.plain.alpha == self.plain.alpha[0])

    @cached_property
    def rarest(self) -> int:
        """The row with the smallest weight of those that have any."""
        mass = self.ledger.weight.sum(axis=1)
        return int(np.argmin(np.where(mass > 0, mass, np.inf)))

    @cached_property
    def start(self) -> StartingPoint:
        """What would equalise the gradient of these predictions."""
        return starting_point(self.ledger, self.gamma, shares=self.shares)

    @cached_property
    def contradicted(self) -> Contradicted:
        """Where the model is sure of something else than the label."""
        return contradicted(self.ledger, self.gamma, shares=self.shares)

    @cached_property
    def changes(self) -> Changes | None:
        """What changed since :attr:`before`."""
        if self.before is None:
            return None
        return changes(self.before.ledger, self.ledger, self.gamma, self.alpha)

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """What the figures say, with stable ids; ``str()`` of one is its sentence in English."""
        return of_diagnosis(self)

    @cached_property
    def change_findings(self) -> tuple[Finding, ...]:
        """What is said of :attr:`changes`."""
        return () if self.changes is None else of_changes(self.changes)

    @cached_property
    def remedy_findings(self) -> tuple[Finding, ...]:
        """What is said of :attr:`remedies`."""
        return () if self.remedies is None else of_remedies(self.remedies)


def size(ledger: Ledger) -> Message:
    """How large a ledger is, in words."""
    ignored = Message("source.ignored", n=ledger.n_ignored) if ledger.n_ignored else ""
    return Message(f"source.{ledger.spec.link}", n=ledger.n_samples, ignored=ignored, classes=ledger.n_classes)


def finite(value: Any) -> Any:
    """Plain data for JSON: what is not a number becomes null, arrays become lists."""
    if isinstance(value, dict):
        return {key: finite(entry) for key, entry in value.items()}
    if isinstance(value, np.ndarray):
        return finite(value.tolist())
    if isinstance(value, (list, tuple)):
        return [finite(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
