"""What a rule does, as figures: the part of a rule that is read and not applied."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from focalkit._core import contracts
from focalkit._core.message import Message
from focalkit.decisions.calibration import Calibration
from focalkit.decisions.figures import Figure
from focalkit.decisions.prior import PriorEstimate
from focalkit.decisions.rules import Rule


@dataclass(frozen=True)
class Promise:
    """A constraint on rows that the rule was not learned on.

    ``value`` is the bounded figure, ``bound95`` its one-sided 95 % Clopper-Pearson bound on ``n_cases`` cases,
    ``met`` whether any cut-off keeps the bound in the data, ``kept`` whether ``bound95`` keeps it too.
    """

    kind: str
    bound: float
    value: float
    bound95: float
    n_cases: int
    n_positives: int
    met: bool
    kept: bool


@dataclass(frozen=True)
class Curve:
    """Up to some hundred cut-offs of two classes, from nothing flagged to everything: per 1,000 cases.

    ``points`` names some of them: p > 0.5 (``half``), the class's frequency (``balanced``), the best on these rows for
    balanced accuracy, F1 and Matthews (``best_…``), and the rule's own (``rule``, or ``lower`` and ``upper``).
    """

    cutoff: tuple[float, ...]
    caught: tuple[float, ...]
    false_alarms: tuple[float, ...]
    positives: float
    negatives: float
    points: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class Sampled:
    """Rows of each class with what each stands for, of several classes: probabilities, class, weight."""

    probabilities: NDArray[np.float64]
    targets: NDArray[np.int64]
    weight: NDArray[np.float64]


@dataclass(frozen=True)
class DecisionReport:
    """Figures of a rule.

    Attributes
    ----------
    figures : tuple of Figure
        Per 1,000 cases and as shares, before and after, on rows that the rule was not learned on (where
        ``cross_fitted``). ``recall:k`` is that of class k.
    interval : str
        ``bootstrap`` or ``jackknife``, stratified by class.
    fold_rules : tuple of Rule
        The rule learned on each fold's rest.
    fold_cutoffs : tuple of float
        Of one cut-off, those of the folds, on the model's own probabilities.
    promise : Promise or None
        Of a constraint.
    calibration : Calibration or None
        Of two classes, of the probabilities that the rule is applied to.
    fold_bands : tuple of (float, float)
        Of two cut-offs, the lower and the upper of each fold, on the same probabilities.
    fold_labels : tuple of tuple of float
        Of several labels, the cut-offs of each fold, one a label, on the same probabilities.
    prior : PriorEstimate or None
        Where it was estimated from unlabelled predictions.
    notes : tuple of str
        What the reader must know.
    """

    n_rows: int
    class_weight: tuple[float, ...]
    figures: tuple[Figure, ...]
    interval: str
    cross_fitted: bool
    fold_rules: tuple[Rule, ...] = ()
    fold_cutoffs: tuple[float, ...] = ()
    promise: Promise | None = None
    calibration: Calibration | None = None
    calibration_before: Calibration | None = None
    prior: PriorEstimate | None = None
    notes: tuple[Message, ...] = ()
    curve: Curve | None = field(default=None, repr=False)
    sample: Sampled | None = field(default=None, repr=False)
    kappa: float | None = None
    curves: tuple[Curve, ...] = field(default=(), repr=False)
    fold_bands: tuple[tuple[float, float], ...] = ()
    fold_labels: tuple[tuple[float, ...], ...] = ()
    seed: int = 0

    def __repr__(self) -> str:
        """Its size; ``figures`` and ``to_dict()`` have what is in it."""
        how = "cross-fitted" if self.cross_fitted else "optimistic"
        return f"DecisionReport({self.n_rows:,} rows, {len(self.figures)} figures, {how})"

    def figure(self, name: str) -> Figure:
        """The figure of this name; InputError where there is none."""
        names = [figure.name for figure in self.figures]
        return self.figures[names.index(contracts.one_of("name", name, names))]

    @property
    def fold_spread(self) -> tuple[float | tuple[float, ...], ...]:
        """The cut-offs of each fold: one, two, or one a label."""
        return self.fold_cutoffs or self.fold_bands or self.fold_labels

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        out: dict[str, Any] = {
            "rows": self.n_rows,
            "interval": self.interval,
            "cross_fitted": self.cross_fitted,
            "per_1000": [figure.to_dict() for figure in self.figures],
            "fold_cutoffs": [list(c) if isinstance(c, tuple) else c for c in self.fold_spread],
            "seed": self.seed,
            "notes": [str(note) for note in self.notes],
        }
        if self.promise is not None:
            out["promise"] = vars(self.promise)
        if self.calibration is not None:
            c = self.calibration
            out["calibration"] = {"intercept": [c.intercept, c.intercept_error], "slope": [c.slope, c.slope_error]}
        if self.prior is not None:
            out["prior"] = {**vars(self.prior), "prior": list(self.prior.prior), "error": list(self.prior.error)}
        return out
