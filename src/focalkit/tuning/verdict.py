"""What to do, and how sure it is: a decision and a test, kept apart.

Each family of remedies (CE, CE + shift, alpha-CE, focal, OHEM) enters as the procedure "use this
family, choose its cell on the data": in every repeat its cell is chosen without the fold that then
scores it, so that having many cells is no advantage. The recommendation is the procedure of the
largest expected gain over plain cross-entropy, less three quarters of a standard error of that gain and, where it
costs a retraining, less a price; a retraining must also lead the best remedy without one by its price and six tenths
of a standard error. Of procedures that promise the same to a hair, the simplest. Nothing is asked for
proof at the 5 % level, which costs points and protects from little (benchmarks/verdict.md has the regret of this rule
and of others).

How sure the gain is, is another question: differences are paired over folds, with the Nadeau-Bengio
correction, and give the probability that the remedy is better, an interval, and the probability that
it is worse by more than a margin.

With ``proof`` the older rule decides: from plain cross-entropy one climbs to a costlier family only
where it is better at the 5 % level, Holm-corrected for the number of costlier families.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from focalkit._core import contracts
from focalkit._core.shown import Shown
from focalkit.tuning.result import FAMILIES, FREE, TuneResult, corrected_error
from focalkit.tuning.scores import Metric, judged_by
from focalkit.tuning.student import t_below, t_quantile

LEVEL = 0.05
MARGIN = 0.01
WORTH = 0.5
"""Points that a retraining must gain to be worth its trouble."""
DOUBT = 0.75
"""Standard errors that are taken off a family's expected gain."""
LEAD = 0.6
"""Standard errors by which a retraining, less its price, must lead the best remedy without one."""
HAIR = 0.1
"""Points by which a remedy must promise more than a simpler one to be recommended in its place."""


@dataclass(frozen=True)
class Estimate:
    """A mean over folds, its corrected standard error, a 95 % interval, and the p-value of "it is 0".

    ``p_above`` is the probability that it is above 0, by the t distribution of the corrected test.
    """

    mean: float
    standard_error: float
    low: float
    high: float
    p_value: float
    p_above: float = float("nan")
    freedom: int = 0

    def p_below(self, bound: float) -> float:
        """The probability that it is below ``bound``."""
        if not self.standard_error > 0:
            return float(self.mean < bound)
        return float(t_below((bound - self.mean) / self.standard_error, self.freedom))


@dataclass(frozen=True)
class FamilyVerdict:
    """One family on one metric.

    ``cell`` is what all folds together choose, ``apparent`` its mean score; ``picks`` are the cells that are chosen
    without each fold, and ``expected`` is their score in that fold; ``gain`` the paired
    difference to plain cross-entropy, positive where the family is better; ``adjusted_p`` its
    p-value after Holm. ``price`` is what the gain must exceed, ``p_worse`` the probability that the
    family is worse than plain cross-entropy by more than the margin.
    """

    family: str
    cell: int
    apparent: float
    expected: Estimate
    gain: Estimate
    adjusted_p: float
    price: float = 0.0
    p_worse: float = float("nan")
    picks: tuple[int, ...] = ()

    @property
    def promise(self) -> float:
        """The expected gain less the price."""
        return self.gain.mean - self.price

    @property
    def merit(self) -> float:
        """What the recommendation goes by: the expected gain, less doubt and price; 0 for plain cross-entropy."""
        return self.promise - DOUBT * max(float(np.nan_to_num(self.gain.standard_error)), 0.0)


@dataclass(frozen=True, repr=False)
class Verdict(Shown):
    """What to use, judged by one metric; ``result`` is the run that it is about.

    ``proof``: the recommendation was asked for proof. ``margin`` is what counts as a difference, ``worth`` the points
    that a retraining must gain.
    """

    metric: Metric
    families: tuple[FamilyVerdict, ...]
    recommended: FamilyVerdict
    best_looking: int
    result: TuneResult
    proof: bool = False
    margin: float = MARGIN
    worth: float = WORTH

    def __repr__(self) -> str:
        best = self.result.cells[self.recommended.cell]
        return f"Verdict({self.metric.name}: {self.recommended.family}, {best.title})"

    @property
    def with_others(self) -> tuple[Verdict, ...]:
        """It, and those on the other two of decisions, ranking and probabilities, judged alike."""
        others = judged_by(self.metric)[1:]
        return self, *(judge(self.result, name, worth=self.worth, proof=self.proof) for name in others)

    @property
    def runner_up(self) -> FamilyVerdict:
        """The family whose expected gain, less its price, comes next to the recommendation's."""
        others = [family for family in self.families if family is not self.recommended]
        return max(others, key=lambda family: family.merit)

    @property
    def best_rival(self) -> FamilyVerdict:
        """The rival of plain cross-entropy with the largest expected gain.

        Shifted decisions are none where decisions do not matter: they change no figure.
        """
        rivals = [family for family in self.families[1:] if family.family not in FREE] or self.families[1:]
        decides = self.metric.judges == "decisions"
        return max(self.families[1:] if decides else rivals, key=lambda family: family.gain.mean)

    @property
    def free_rival(self) -> FamilyVerdict:
        """The best of the remedies that need no retraining, plain cross-entropy among them."""
        return max((f for f in self.families if f.family in FREE), key=lambda family: family.gain.mean)

    @property
    def plain_stands(self) -> bool:
        """Whether plain cross-entropy is the recommendation."""
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
        return self.plain_stands and self.nearest.gain.high <= self.margin


def judge(result: TuneResult, metric: str | None = None, *, worth: float = WORTH, proof: bool = False) -> Verdict:
    """The verdict on ``result`` by ``metric`` (default: the one it was run for).

    Parameters
    ----------
    result : TuneResult
    metric : str, optional
    worth : float
        Points of the metric that a retraining must gain (hundredths of a score in [0, 1] or of a nat; of a cost
        or of a function's figure, per cent of plain cross-entropy's); what needs none is free.
    proof : bool
        Recommend what was shown to be better at the 5 % level only, as the module's text says.
    """
    _of_tune(result)
    name = result.metric if metric is None else contracts.one_of("metric", metric, result.names)
    check_worth(worth)
    contracts.flag("proof", proof)
    judged = result.metric_called(name)
    gain = result.gain(name)
    sign = 1 if judged.larger_is_better else -1
    n_splits = result.folds.n_splits
    cells = {family: _of_family(result, family, judged) for family in FAMILIES}
    choose = simplest_within_noise if proof else best_mean
    chosen = {f: _chosen_per_fold(gain[at], result, choose) for f, at in cells.items() if at}
    plain = float(sign * gain[cells[FAMILIES[0]][0]].mean())
    margin = MARGIN * _scale(judged, plain, 5.0)
    rows: list[dict[str, Any]] = []
    for family, (pick, honest, picks) in chosen.items():
        cell = cells[family][pick]
        difference = estimate(honest - chosen[FAMILIES[0]][1], n_splits)
        rows.append(
            {
                "family": family,
                "cell": cell,
                "apparent": float(sign * gain[cell].mean()),
                "expected": estimate(sign * honest, n_splits),
                "gain": difference,
                "price": 0.01 * worth * _scale(judged, plain, 1.0) if family not in FREE else 0.0,
                "p_worse": difference.p_below(-margin),
                "picks": tuple(cells[family][i] for i in picks),
            }
        )
    adjusted = holm(np.array([row["gain"].p_value for row in rows[1:]]))
    families = tuple(FamilyVerdict(**row, adjusted_p=float(p)) for row, p in zip(rows, [1.0, *adjusted], strict=True))
    if proof:
        recommended = families[_climb([honest for _, honest, _ in chosen.values()], n_splits)]
    else:
        # whatever the doubts about plain cross-entropy, nobody retrains for what is free
        free = max((f for f in families if f.family in FREE), key=lambda family: family.gain.mean)

        def worthwhile(of: FamilyVerdict) -> bool:
            lead = estimate(chosen[of.family][1] - chosen[free.family][1], n_splits)
            return lead.mean - of.price >= LEAD * max(float(np.nan_to_num(lead.standard_error)), 0.0)

        able = [f for f in families if f.family in FREE or worthwhile(f)]
        best = max(able, key=lambda family: family.merit)
        hair = 0.01 * HAIR * _scale(judged, plain, 1.0)
        alike = [f for f in able if min(f.merit - best.merit, f.promise - best.promise) >= -hair]
        recommended = alike[0]
    return Verdict(judged, families, recommended, int(np.argmax(gain.mean(axis=1))), result, proof, margin, worth)


def check_worth(worth: float) -> None:
    """Refuse what is no price of a retraining: a run should not end in that."""
    contracts.number("worth", worth, contracts.SAMPLE_WEIGHT, "It is in points; 0 recommends every gain.")


def _of_tune(result: object) -> None:
    if not isinstance(result, TuneResult):
        got, remedy = contracts.Words(type(result).__name__), "Pass what focalkit.tuning.tune returned."
        contracts.reject("result", "be a TuneResult", got, remedy)


def expected_on_new_rows(verdict: Verdict, family: FamilyVerdict | None = None) -> Estimate:
    """What to expect of a family (default: the recommended) on as many new rows as there are here.

    The mean over folds errs by its corrected error, and a new sample of the whole size is as lucky as the folds of one
    repeat. Repeats draw the same rows again, so that the spread is known from the folds of one: by t with a degree of
    freedom less than these. A score cannot be told more exactly than what one row of the rarest class does to it, even
    where no fold has a mistake.
    """
    result, known = verdict.result, (family or verdict.recommended).expected
    n_splits, n_folds = result.folds.n_splits, known.freedom + 1
    spread = np.nan_to_num(known.standard_error) / np.sqrt(1 / n_folds + 1 / (n_splits - 1))
    scored = verdict.metric.judges != "probabilities" and not verdict.metric.relative
    one_row = 1 / (len(result.counts) * max(int(result.counts.min()), 1)) if scored else 0.0
    error = float(np.sqrt(np.nan_to_num(known.standard_error) ** 2 + spread**2 / n_splits + one_row**2))
    if not error > 0:
        return known
    reach = float(t_quantile(1 - LEVEL / 2, max(min(known.freedom, n_splits - 1), 1))) * error
    return replace(known, standard_error=error, low=known.mean - reach, high=known.mean + reach)


def _of_family(result: TuneResult, family: str, metric: Metric) -> list[int]:
    """A family's cells; where decisions do not matter, those as trained alone."""
    at = result.of_family(family)
    if metric.judges == "decisions" or family in FREE:
        return at
    return [i for i in at if result.cells[i].tau is None]


def _scale(metric: Metric, plain: float, of_probabilities: float) -> float:
    """1 for scores in [0, 1]; for a cost, or a figure of any unit, plain cross-entropy's own."""
    if metric.relative:
        return abs(plain)
    return of_probabilities * abs(plain) if metric.judges == "probabilities" and of_probabilities > 1 else 1.0


def judge_all(result: TuneResult, *, worth: float = WORTH, proof: bool = False) -> tuple[Verdict, ...]:
    """Decisions, ranking and probabilities told apart; the run's own metric stands for its kind."""
    return judge(result, worth=worth, proof=proof).with_others


def estimate(values: NDArray[np.float64], n_splits: int) -> Estimate:
    """Mean of (n_folds,) values of repeated cross-validation with its corrected uncertainty."""
    mean = float(values.mean())
    error = float(corrected_error(values, n_splits))
    freedom = len(values) - 1
    if not error > 0:
        return Estimate(mean, error, mean, mean, 1.0 if mean == 0 else float("nan"), float(mean > 0), freedom)
    reach = float(t_quantile(1 - LEVEL / 2, freedom)) * error
    p_value = float(2 * t_below(-abs(mean) / error, freedom))
    above = float(t_below(mean / error, freedom))
    return Estimate(mean, error, mean - reach, mean + reach, p_value, above, freedom)


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


def best_mean(gain: NDArray[np.float64], n_splits: int) -> int:
    """The one of (n_cells, n_folds) with the best mean; of equals the simplest."""
    return int(np.argmax(gain.mean(axis=1)))


def _chosen_per_fold(
    gain: NDArray[np.float64], result: TuneResult, choose: Callable[[NDArray[np.float64], int], int]
) -> tuple[int, NDArray[np.float64], list[int]]:
    """The cell chosen on all folds, and per fold the score of the cell chosen without that fold, and that cell.

    The choice uses the other folds of the same repeat: their test rows are disjoint from the
    fold's own, while another repeat would have scored the very same rows.
    """
    n_splits = result.folds.n_splits
    pick = choose(gain, n_splits)
    picks: list[int] = []
    for fold in range(gain.shape[1]):
        others = result.repeat_of_fold == result.repeat_of_fold[fold]
        others[fold] = False
        if not others.any():
            others = np.arange(gain.shape[1]) != fold
        picks.append(choose(gain[:, others], n_splits))
    return pick, gain[picks, np.arange(gain.shape[1])], picks


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
