r"""What costs no retraining, scored on a sample of the predictions: shifted decisions, temperature, recovery.

The sample holds at most some number of entries per class (:class:`focalkit.diagnosis.sample.Sample`), each standing
for seen / kept entries of its class. One half of it, split by the rows' own hashes, chooses tau and the temperature;
the other half scores. The noise is the delete-one-group jackknife over groups of rows of the scoring half.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from focalkit._core.spec import PerClass
from focalkit._core.types import Array
from focalkit.diagnosis.sample import Sample
from focalkit.diagnosis.scoring import EVERYTHING, GROUPS, Exclusive, Independent, checked_prior

Real = NDArray[np.float64]

TAUS = tuple(round(0.1 * i, 1) for i in range(16))
METRICS = ("balanced_accuracy", "macro_f1", "log_loss", "calibration_error")


@dataclass(frozen=True)
class Score:
    """A figure on the scoring half, its jackknife error, and its gain over decisions as they are."""

    value: float
    error: float
    gain: float
    gain_error: float


@dataclass(frozen=True)
class Remedy:
    """One way to use the predictions.

    ``name`` is "as they are", "shifted" (the rule for balanced accuracy, of a strength tau), "decided" (the rule for
    macro F1, :func:`focalkit.decisions.fit_rule`), "temperature" or "recovered".
    ``setting`` is the tau or temperature chosen, ``scores`` by metric, ``recall`` the accuracy per row of
    the ledger (NaN for one without entries in the scoring half).
    """

    name: str
    setting: float | None
    scores: dict[str, Score]
    recall: Real


@dataclass(frozen=True)
class Remedies:
    """All of them, and the sample they were judged on: ``n_entries`` of ``n_seen``, half of it to score.

    ``in_time``: the later half.

    ``prior`` is that of each row of the ledger; with the sigmoid link, within its column.
    """

    link: str
    found: tuple[Remedy, ...]
    n_entries: int
    n_seen: int
    prior: Real
    in_time: bool = False

    def named(self, name: str) -> Remedy:
        """The remedy of this name."""
        return next(way for way in self.found if way.name == name)


def remedies(
    sample: Sample, *, prior: Array | None = None, gamma: PerClass | None = None, alpha: PerClass | None = None
) -> Remedies | None:
    """Judge the free remedies; None where the sample is too small for it (fewer than 40 entries, or one class).

    Parameters
    ----------
    sample : Sample
        Of the predictions.
    prior : (n_classes,), optional
        Frequency of the classes (sigmoid: of each column's positives) that decisions are shifted by; None: as
        counted. Figures are always of the classes as counted.
    gamma, alpha : optional
        The loss the model was trained with, as in :class:`focalkit.LossSpec`: then the posterior recovered from
        it is judged too.

    Raises
    ------
    InputError
        Where an argument breaks its contract.
    """
    sample.settle()
    if len(sample.key) < 40 or (sample.seen > 0).sum() < 2:
        return None
    pi = _counted(sample) if prior is None else checked_prior(prior, sample.link, sample.n_classes)
    first, second = _halves(sample)
    if len(np.unique(sample.stratum[first])) < 2 or len(np.unique(sample.stratum[second])) < 2:
        return None
    kind = Exclusive if sample.link == "softmax" else Independent
    chooses, scores = kind(sample, first), kind(sample, second)
    tau = max(TAUS, key=lambda t: (round(chooses.decide(chooses.shifted(pi, t)).balanced_accuracy, 12), -t))
    warm = _temperature(chooses)
    plain = scores.posterior(scores.z)
    ways: list[tuple[str, float | None, Real, Real]] = [
        ("as they are", None, scores.z, plain),
        ("shifted", tau, scores.shifted(pi, tau), plain),
        ("decided", None, scores.decided(chooses.decision_offsets()), plain),
        ("temperature", warm, scores.z, scores.posterior(scores.z / warm)),
    ]
    if gamma is not None or alpha is not None:
        better = scores.recovered(0.0 if gamma is None else gamma, alpha)
        ways.append(("recovered", None, better, better))
    base = _figures(scores, *ways[0][2:])
    found = tuple(_remedy(scores, *way, base) for way in ways)
    return Remedies(sample.link, found, len(sample.key), int(sample.seen.sum()), pi, sample.timed)


def _halves(sample: Sample) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """The entries that choose and those that score: by hashes, groups whole; or in time the earlier and the later.

    In time, what chooses holds no group of which a later row scores.
    """
    if not sample.timed:
        first = (sample.unit >> np.uint64(1)) % np.uint64(2) == 0
        return first, ~first
    kept = np.bincount(sample.stratum, minlength=sample.n_strata)
    weight = (sample.seen / np.maximum(kept, 1))[sample.stratum]
    order = np.argsort(sample.time, kind="stable")
    before = np.cumsum(weight[order])
    cut = sample.time[order[int(np.searchsorted(before, before[-1] / 2))]]
    second = sample.time > cut if (sample.time > cut).any() else sample.time >= cut
    return ~second & ~np.isin(sample.unit, sample.unit[second]), second


def _counted(sample: Sample) -> Real:
    """The prior as counted; with independent columns, of each side in its column."""
    if sample.link == "softmax":
        return np.asarray(sample.seen / sample.seen.sum())
    pairs = sample.seen.reshape(-1, 2)
    return np.asarray(pairs / np.maximum(pairs.sum(axis=1, keepdims=True), 1)).reshape(-1)


def _temperature(half: Exclusive | Independent) -> float:
    """The temperature of least log loss, by golden section in its logarithm (the loss is convex in 1/T)."""

    def nll(log_t: float) -> float:
        return float(np.average(half.cost(half.z / np.exp(log_t)), weights=half.weight))

    low, high, g = np.log(0.05), np.log(20.0), (np.sqrt(5) - 1) / 2
    a, b = high - g * (high - low), low + g * (high - low)
    fa, fb = nll(a), nll(b)
    for _ in range(40):
        if fa <= fb:
            high, b, fb = b, a, fa
            a = high - g * (high - low)
            fa = nll(a)
        else:
            low, a, fa = a, b, fb
            b = low + g * (high - low)
            fb = nll(b)
    return float(np.exp((low + high) / 2))


def _figures(half: Exclusive | Independent, z: Real, p: Real) -> tuple[dict[str, float], dict[str, Real], Real]:
    """Each metric on the half and without each group of it, and accuracy per class."""
    nll = half.nll(p)
    by: dict[str, Callable[[Any], float]] = {
        "balanced_accuracy": lambda keep: half.decide(z, keep).balanced_accuracy,
        "macro_f1": lambda keep: half.decide(z, keep).macro_f1,
        "log_loss": lambda keep: float(np.average(nll[keep], weights=half.weight[keep])),
        "calibration_error": lambda keep: half.calibration(p, keep),
    }
    groups = [half.group != g for g in range(GROUPS)]
    whole = {name: score(EVERYTHING) for name, score in by.items()}
    without = {name: np.array([score(keep) for keep in groups]) for name, score in by.items()}
    return whole, without, half.decide(z).recall


def _remedy(half: Exclusive | Independent, name: str, setting: float | None, z: Real, p: Real, base: Any) -> Remedy:
    whole, without, recall = _figures(half, z, p)
    scores = {}
    for metric in METRICS:
        gain = whole[metric] - base[0][metric]
        error, gain_error = _jackknife(without[metric]), _jackknife(without[metric] - base[1][metric])
        scores[metric] = Score(whole[metric], error, gain, gain_error)
    return Remedy(name, setting, scores, recall)


def _jackknife(values: Real) -> float:
    n = len(values)
    return float(np.sqrt((n - 1) / n * ((values - values.mean()) ** 2).sum()))
