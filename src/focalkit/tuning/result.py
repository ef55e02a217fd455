"""What a tuning run found: cells, their scores in every fold, and the tables made from them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from focalkit._core import contracts
from focalkit._core.message import Message
from focalkit._core.shown import Shown
from focalkit.tuning.folds import Folds
from focalkit.tuning.scores import NAMES, Metric, metric_named

FAMILIES = (
    "CE",
    "CE + shift",
    "α-CE",
    "focal",
    "OHEM",
    "logit-adjusted",
    "undersample",
    "oversample",
    "smote",
    "bagging",
    "self-paced",
    "crt",
    "tau-normalised",
    "lws",
    "cosine",
)
"""The remedies, the cheapest first."""

RESAMPLED = FAMILIES[FAMILIES.index("undersample") :]
"""Those that train on other rows, or have another head."""

HEADS = FAMILIES[FAMILIES.index("crt") :]
"""Other heads on the same features (:mod:`focalkit.tuning.heads`)."""

FREE = ("CE", "CE + shift")
"""Those that need no other training than plain cross-entropy's."""


@dataclass(frozen=True)
class Cell:
    """One candidate: a loss, and how decisions are taken from it.

    ``tau`` is the strength of the prior shift of the decisions: None (no shift), a number, or
    "chosen" (without the fold that scores it), or "closed" (the cut-off that the goal's costs ask
    for). ``params`` are the estimator's own parameters where a
    search drew them, as (name, value) pairs; empty: as the estimator was given. ``resample`` is one of
    :data:`focalkit.tuning.resampling.RIVALS` or of :data:`HEADS`; ``logit_adjustment`` is tau of
    the logit-adjusted loss (1: the balanced softmax), where that is trained with.
    """

    alpha: Any = None
    gamma: float = 0.0
    keep_hardest: float | int | None = None
    tau: float | str | None = None
    params: tuple[tuple[str, Any], ...] = ()
    resample: str | None = None
    logit_adjustment: float | None = None

    @property
    def family(self) -> str:
        """The remedy that it belongs to, out of :data:`FAMILIES`."""
        if self.resample is not None:
            return self.resample
        if self.logit_adjustment is not None:
            return "logit-adjusted"
        if self.keep_hardest is not None:
            return "OHEM"
        if self.gamma > 0:
            return "focal"
        if self.alpha is not None:
            return "α-CE"
        return "CE" if self.tau is None else "CE + shift"

    @property
    def message(self) -> Message:
        """Its name, e.g. "focal γ=2, α sqrt", in any language."""
        if not self.params:
            return self._loss_message()
        drawn = [
            f"{name}={value:.3g}" if isinstance(value, float) else f"{name}={value}" for name, value in self.params
        ]
        return Message("cell.drawn", loss=self._loss_message(), params=", ".join(drawn))

    @property
    def title(self) -> str:
        """Its name in English."""
        return str(self.message)

    def said(self, language: str = "en") -> str:
        """Its name in ``language``."""
        return self.message.said(language)

    def _loss_message(self) -> Message:
        plain = self.family in FREE
        if self.tau is not None and not plain:
            loss = replace(self, tau=None, params=())._loss_message()
            return Message("cell.closed" if self.tau == "closed" else "cell.tau_chosen", loss=loss)
        if self.tau == "closed":
            return Message("cell.shift_closed")
        if self.family in (*RESAMPLED, "logit-adjusted"):
            return Message(f"family.{self.family}")
        if self.keep_hardest is not None:
            kept = f"{self.keep_hardest:.0%}" if isinstance(self.keep_hardest, float) else f"{self.keep_hardest:,}"
            return Message("cell.mined", kept=kept)
        if self.tau is not None:
            return (
                Message("cell.shift_chosen") if self.tau == "chosen" else Message("cell.shifted", tau=f"{self.tau:g}")
            )
        name = ("plain", "focal") if self.alpha is None else ("weighted", "focal_weighted")
        return Message(f"cell.{name[self.gamma > 0]}", gamma=f"{self.gamma:g}", alpha=alpha_title(self.alpha))


def alpha_title(alpha: Any) -> str:
    """How an alpha is written in tables."""
    if alpha is None:
        return "none"
    if isinstance(alpha, str):
        scheme, _, parameter = alpha.partition(":")
        return f"n^-{parameter}" if scheme == "power" else alpha
    if isinstance(alpha, (tuple, list)):
        return "(" + ", ".join(f"{entry:.3g}" for entry in alpha) + ")"
    return f"{alpha:g}"


@dataclass(frozen=True)
class Surface:
    """One metric over alpha (rows) and gamma (columns): mean and standard error, each (n_alphas, n_gammas).

    The mean of a cell that was left after the first repeat is plain cross-entropy's, and the difference to it in that
    repeat; its standard error is NaN.
    """

    metric: str
    alphas: tuple[Any, ...]
    gammas: tuple[float, ...]
    mean: NDArray[np.float64]
    standard_error: NDArray[np.float64]


@dataclass(frozen=True)
class Origin:
    """Where a run's data and estimator came from, as lines of Python that make them again.

    ``reading`` makes ``X`` and ``y``, ``estimator`` is an expression, ``new`` decides on new rows, and ``weight`` is an
    expression for the weights of the rows, ``costs`` one for the amounts of new rows.
    """

    imports: tuple[str, ...]
    reading: tuple[str, ...]
    estimator: str
    new: tuple[str, ...]
    weight: str = "sample_weight"
    costs: str = "costs"


@dataclass(frozen=True, repr=False)
class TuneResult(Shown):
    """Scores of every cell in every fold; every table and verdict is computed from these.

    ``scores`` is (n_cells, n_folds, n_metrics) float64 in the order of ``cells``, ``repeat_of_fold``
    and :data:`focalkit.tuning.scores.METRICS`. ``ce_logits`` are plain cross-entropy's out-of-fold
    logits of the first repeat for the rows ``ce_rows`` (empty where the estimator has none).
    ``estimator`` is the name of the class, or of the training function, that was tuned. ``decided``
    (n_cells, n_folds, 2, n_classes) counts in each fold each class's rows that were decided rightly and the
    rows that were decided for it; ``final_taus`` (n_cells,) are the shifts of the prior for new data. ``masses``
    (n_classes,) are the weights of each class's rows where rows were weighted; ``scored`` (n_classes,) are the classes
    that some fold scores: to no other does a shift go. ``origin`` is where the data came from, where that is known;
    ``asked`` is the metric itself, which a name alone does not tell of a function or of costs of the rows' own.
    ``left`` are cells that were scored in the first repeat alone, since they led nothing there; ``left_scores``
    (n_left, n_splits, n_metrics) are these scores.
    """

    cells: tuple[Cell, ...]
    scores: NDArray[np.float64]
    repeat_of_fold: NDArray[np.intp]
    taus: NDArray[np.float64]
    folds: Folds
    alphas: tuple[Any, ...]
    gammas: tuple[float, ...]
    metric: str
    classes: tuple[Any, ...]
    counts: NDArray[np.intp]
    targets: NDArray[np.intp]
    ce_rows: NDArray[np.intp]
    ce_logits: NDArray[np.float64]
    seed: int
    seconds: float
    finished: bool
    estimator: str = "FocalClassifier"
    notes: tuple[str, ...] = field(default=())
    decided: NDArray[Any] | None = None
    final_taus: NDArray[np.float64] | None = None
    masses: NDArray[np.float64] | None = None
    scored: NDArray[np.bool_] | None = None
    origin: Origin | None = None
    asked: Metric | None = None
    left: tuple[Cell, ...] = ()
    left_scores: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 0, 0)))

    def metric_called(self, name: str) -> Metric:
        """The metric of that name: the one that the run was asked for, or another."""
        return self.asked if self.asked is not None and name == self.asked.name else metric_named(name)

    @property
    def prior(self) -> NDArray[np.float64]:
        """Frequency of each class (n_classes,), by the weights of the rows where they have some."""
        masses = self.counts if self.masses is None else self.masses
        return np.asarray(masses / masses.sum())

    @property
    def turned(self) -> bool:
        """Whether the two classes are not in the order of their labels: the first of these is the positive one."""
        return len(self.classes) == 2 and bool(self.classes[1] < self.classes[0])

    @property
    def rarest(self) -> int:
        """The rarest class of those that some fold scores."""
        return int(np.where(np.bool_(True) if self.scored is None else self.scored, self.prior, np.inf).argmin())

    @property
    def names(self) -> tuple[str, ...]:
        """What the last axis of ``scores`` holds: the six metrics, then the run's own where it is another."""
        return NAMES if self.metric in NAMES else (*NAMES, self.metric)

    def __repr__(self) -> str:
        n_folds = self.scores.shape[1]
        return f"TuneResult({len(self.targets):,} rows, {len(self.cells)} cells × {n_folds} folds, by {self.metric})"

    def column(self, metric: str) -> NDArray[np.float64]:
        """Scores (n_cells, n_folds) of one metric."""
        return self.scores[:, :, self.names.index(contracts.one_of("metric", metric, self.names))]

    def gain(self, metric: str) -> NDArray[np.float64]:
        """The same, with the sign changed where smaller is better."""
        sign = 1 if self.metric_called(metric).larger_is_better else -1
        return sign * self.column(metric)

    def mean_and_error(self, metric: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean and corrected standard error of each cell, (n_cells,) each."""
        values = self.column(metric)
        return values.mean(axis=1), corrected_error(values, self.folds.n_splits)

    def index(self, cell: Cell) -> int:
        """Position of ``cell``."""
        return self.cells.index(cell)

    def of_family(self, family: str) -> list[int]:
        """Positions of a family's cells, the simplest first."""
        return [i for i, cell in enumerate(self.cells) if cell.family == family]

    def surface(self, metric: str | None = None) -> Surface:
        """The alpha x gamma surface of a metric."""
        name = self.metric if metric is None else metric
        mean, error = self.mean_and_error(name)
        known = dict(zip(self.cells, zip(mean, error, strict=True), strict=True))
        plain, first = self.index(Cell()), self.repeat_of_fold == 0
        for cell, scores in zip(self.left, self.left_scores, strict=True):
            behind = scores[:, self.names.index(name)] - self.column(name)[plain, first]
            known[cell] = mean[plain] + behind.mean(), np.nan
        both = np.array([[known[Cell(alpha, gamma)] for gamma in self.gammas] for alpha in self.alphas])
        return Surface(name, self.alphas, self.gammas, both[..., 0], both[..., 1])

    def ablation_alpha(self) -> list[int]:
        """Cells of the paper's Table 1a: alpha at gamma = 0; none where some were left after the first repeat."""
        return [] if self.left else [self.index(Cell(alpha, 0.0)) for alpha in self.alphas]

    def ablation_gamma(self) -> list[int]:
        """Cells of the paper's Table 1b: each gamma at its best alpha; none where some were left."""
        if self.left:
            return []
        mean = self.gain(self.metric).mean(axis=1)
        rows = [[self.index(Cell(alpha, gamma)) for alpha in self.alphas] for gamma in self.gammas]
        return [row[int(np.argmax(mean[row]))] for row in rows]

    def ablation_mining(self) -> list[int]:
        """Cells of the paper's Table 1d: focal at its best against OHEM."""
        mean = self.gain(self.metric).mean(axis=1)
        focal = [i for i in self.of_family("focal") if self.cells[i].tau is None]
        best = [focal[int(np.argmax(mean[focal]))]] if focal else []
        return best + [i for i in self.of_family("OHEM") if self.cells[i].tau is None]


def corrected_error(values: NDArray[np.float64], n_splits: int) -> NDArray[np.float64]:
    """Standard error of a mean over the folds of repeated cross-validation, (...,) from (..., n_folds).

    Folds share training rows, so the naive s^2/J is too small: Nadeau & Bengio 2003 (Machine
    Learning 52, eq. 9) replace 1/J by 1/J + n_test/n_train, here 1/J + 1/(n_splits - 1).
    """
    n_folds = values.shape[-1]
    if n_folds < 2:
        return np.full(values.shape[:-1], np.nan)
    spread = values.std(axis=-1, ddof=1)
    return np.asarray(spread * np.sqrt(1 / n_folds + 1 / (n_splits - 1)))
