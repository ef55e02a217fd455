"""A verdict that survives a statistician: remedies compared pair by pair, the cheapest one first.

Each family of remedies (CE, CE + shift, alpha-CE, focal, OHEM) enters as the procedure "use this
family, choose its cell on the data": in every repeat its cell is chosen without the fold that then
scores it, so that having many cells is no advantage. Differences between families are paired over
folds, with the Nadeau-Bengio correction. From plain cross-entropy one climbs to a costlier family
only where it is better at the 5 % level, Holm-corrected for the number of costlier families.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from focalkit._core.shown import Shown
from focalkit.tuning.result import FAMILIES, TuneResult, corrected_error
from focalkit.tuning.scores import Metric, metric_named

LEVEL = 0.05
MARGIN = 0.01


@dataclass(frozen=True)
class Estimate:
    """A mean over folds, its corrected standard error, a 95 % interval, and the p-value of "it is 0"."""

    mean: float
    standard_error: float
    low: float
    high: float
    p_value: float


@dataclass(frozen=True)
class FamilyVerdict:
    """One family on one metric.

    ``cell`` is what all folds together choose, ``apparent`` its mean score; ``expected`` is the
    score of the family with its choice made without the scoring fold; ``gain`` the paired
    difference to plain cross-entropy, positive where the family is better; ``adjusted_p`` its
    p-value after Holm.
    """

    family: str
    cell: int
    apparent: float
    expected: Estimate
    gain: Estimate
    adjusted_p: float


@dataclass(frozen=True, repr=False)
class Verdict(Shown):
    """What to use, judged by one metric; ``result`` is the run that it is about."""

    metric: Metric
    families: tuple[FamilyVerdict, ...]
    recommended: FamilyVerdict
    best_looking: int
    result: TuneResult

    def __repr__(self) -> str:
        best = self.result.cells[self.recommended.cell]
        return f"Verdict({self.metric.name}: {self.recommended.family}, {best.title})"

    @property
    def plain_stands(self) -> bool:
        """Whether nothing was shown to beat plain cross-entropy."""
        return self.recommended.family == FAMILIES[0]

    @property
    def nearest(self) -> FamilyVerdict:
        """The rival of plain cross-entropy that may help most: the one whose interval reaches furthest."""
        return max(self.families[1:], key=lambda family: family.gain.high)

    @property
    def settled(self) -> bool:
        """Whether plain cross-entropy was shown to be as good, to within the margin, as every rival.

        The margin is 0.01 for scores in [0, 1] and a twentieth of plain cross-entropy's own figure
        for those of probabilities. Where plain cross-entropy stands but this is False, the folds are
        too noisy to tell: not shown to be better is not shown to be equal.
        """
        margin = MARGIN * (5 * abs(self.families[0].apparent) if self.metric.judges == "probabilities" else 1)
        return self.plain_stands and self.nearest.gain.high <= margin


def judge(result: TuneResult, metric: str | None = None) -> Verdict:
    """The verdict on ``result`` by ``metric`` (default: the one it was run for)."""
    name = metric or result.metric
    gain = result.gain(name)
    sign = 1 if metric_named(name).larger_is_better else -1
    n_splits = result.folds.n_splits
    chosen = {f: _chosen_per_fold(gain[result.of_family(f)], result) for f in FAMILIES if result.of_family(f)}
    rows: list[dict[str, Any]] = []
    for family, (pick, honest) in chosen.items():
        cell = result.of_family(family)[pick]
        rows.append(
            {
                "family": family,
                "cell": cell,
                "apparent": float(sign * gain[cell].mean()),
                "expected": estimate(sign * honest, n_splits),
                "gain": estimate(honest - chosen[FAMILIES[0]][1], n_splits),
            }
        )
    adjusted = holm(np.array([row["gain"].p_value for row in rows[1:]]))
    families = tuple(FamilyVerdict(**row, adjusted_p=float(p)) for row, p in zip(rows, [1.0, *adjusted], strict=True))
    recommended = families[_climb([honest for _, honest in chosen.values()], n_splits)]
    return Verdict(metric_named(name), families, recommended, int(np.argmax(gain.mean(axis=1))), result)


def judge_all(result: TuneResult) -> tuple[Verdict, ...]:
    """Decisions, ranking and probabilities told apart; the run's own metric stands for its kind."""
    asked = metric_named(result.metric)
    names = {"decisions": "balanced_accuracy", "ranking": "average_precision", "probabilities": "log_loss"}
    names[asked.judges] = asked.name
    order = [asked.judges, *(kind for kind in names if kind != asked.judges)]
    return tuple(judge(result, names[kind]) for kind in order)


def estimate(values: NDArray[np.float64], n_splits: int) -> Estimate:
    """Mean of (n_folds,) values of repeated cross-validation with its corrected uncertainty."""
    mean = float(values.mean())
    error = float(corrected_error(values, n_splits))
    freedom = len(values) - 1
    if not error > 0:
        return Estimate(mean, error, mean, mean, 1.0 if mean == 0 else float("nan"))
    reach = float(stats.t.ppf(1 - LEVEL / 2, freedom)) * error
    p_value = float(2 * stats.t.sf(abs(mean) / error, freedom))
    return Estimate(mean, error, mean - reach, mean + reach, p_value)


def holm(p_values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Holm's step-down adjustment (Holm 1979) of (m,) p-values; NaN counts as 1."""
    p = np.nan_to_num(p_values, nan=1.0)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * (len(p) - np.arange(len(p))))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted


def simplest_within_noise(gain: NDArray[np.float64], n_splits: int) -> int:
    """The first of (n_cells, n_folds) that is not worse than the best by more than one standard error.

    The error is that of the paired difference; the order of the cells is from simple to complex.
    """
    best = int(np.argmax(gain.mean(axis=1)))
    behind = gain[best] - gain
    error = np.nan_to_num(corrected_error(behind, n_splits))
    return int(np.argmax(behind.mean(axis=1) <= error))


def _chosen_per_fold(gain: NDArray[np.float64], result: TuneResult) -> tuple[int, NDArray[np.float64]]:
    """The cell chosen on all folds, and per fold the score of the cell chosen without that fold.

    The choice uses the other folds of the same repeat: their test rows are disjoint from the
    fold's own, while another repeat would have scored the very same rows.
    """
    n_splits = result.folds.n_splits
    pick = simplest_within_noise(gain, n_splits)
    honest = np.empty(gain.shape[1])
    for fold in range(gain.shape[1]):
        others = result.repeat_of_fold == result.repeat_of_fold[fold]
        others[fold] = False
        if not others.any():
            others = np.arange(gain.shape[1]) != fold
        honest[fold] = gain[simplest_within_noise(gain[:, others], n_splits), fold]
    return pick, honest


def _climb(honest: list[NDArray[np.float64]], n_splits: int) -> int:
    """From the cheapest family upwards: move to the cheapest that is significantly better, and repeat."""
    at = 0
    while at + 1 < len(honest):
        costlier = [estimate(scores - honest[at], n_splits) for scores in honest[at + 1 :]]
        p = holm(np.array([step.p_value for step in costlier]))
        better = [i for i, step in enumerate(costlier) if step.mean > 0 and p[i] < LEVEL]
        if not better:
            break
        at += 1 + better[0]
    return at
