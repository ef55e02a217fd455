r"""What costs no retraining, scored on a sample of the predictions: shifted decisions, temperature, recovery.

The sample holds at most some number of rows per class (:class:`focalkit.diagnosis.sample.Sample`), each standing for
seen / kept rows of its class. One half of it, split by the rows' own hashes, chooses tau and the temperature; the
other half scores. The noise is the delete-one-group jackknife over :data:`GROUPS` groups of the scoring half.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from focalkit import _checks
from focalkit._spec import PerClass
from focalkit.binning import log_odds
from focalkit.diagnosis.sample import Sample
from focalkit.posterior import recover_from_log_odds

Real = NDArray[np.float64]

TAUS = tuple(round(0.1 * i, 1) for i in range(16))
GROUPS = 20
BINS = 15
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
    """One way to use the predictions: ``name`` "as they are", "shifted", "temperature" or "recovered".

    ``setting`` is the tau or temperature chosen, ``scores`` by metric, ``recall`` the accuracy per class
    (NaN for a class without rows in the scoring half).
    """

    name: str
    setting: float | None
    scores: dict[str, Score]
    recall: Real


@dataclass(frozen=True)
class Remedies:
    """All of them, and the sample they were judged on: ``n_rows`` of ``n_seen``, half of it to score."""

    found: tuple[Remedy, ...]
    n_rows: int
    n_seen: int
    prior: Real


class _Half:
    """Rows with posteriors; each stands for ``weight`` rows of the data."""

    def __init__(self, sample: Sample, rows: NDArray[np.bool_], prior: Real) -> None:
        self.ids = sample.ids[rows]
        self.z = sample.logits[rows].astype(np.float64)
        kept = np.bincount(self.ids, minlength=sample.n_classes)
        self.weight = (prior / np.where(kept > 0, kept, 1))[self.ids]
        # neighbouring bits of the hash choose the half, others the group
        self.group = ((sample.key[rows] >> np.uint64(8)) % np.uint64(GROUPS)).astype(np.intp)

    def without(self, group: int) -> NDArray[np.bool_]:
        return np.asarray(self.group != group)


def remedies(
    sample: Sample, *, prior: Any = None, gamma: PerClass | None = None, alpha: PerClass | None = None
) -> Remedies | None:
    """Judge the free remedies; None where the sample is too small for it (fewer than 40 rows, or one class).

    Parameters
    ----------
    sample : Sample
        Of the predictions, all classes excluding each other.
    prior : (n_classes,), optional
        Frequency of the classes that decisions are shifted by; None: as counted. Figures are always of the
        classes as counted.
    gamma, alpha : optional
        The loss the model was trained with: then the posterior recovered from it is judged too.

    Raises
    ------
    InputError
        Where an argument breaks its contract.
    """
    sample.settle()
    present = sample.seen > 0
    if len(sample.ids) < 40 or present.sum() < 2:
        return None
    counted = sample.seen / sample.seen.sum()
    pi = counted if prior is None else _prior(prior, sample.n_classes)
    first = (sample.key >> np.uint64(1)) % np.uint64(2) == 0
    chooses, scores = _Half(sample, first, counted), _Half(sample, ~first, counted)
    with np.errstate(divide="ignore"):
        shift = np.where(pi > 0, np.log(np.where(pi > 0, pi, 1.0)), 0.0)
    tau = max(TAUS, key=lambda t: (round(_decide(chooses, chooses.z - t * shift)[0], 12), -t))
    warm = _temperature(chooses)
    plain = _posterior(scores.z)
    ways: list[tuple[str, float | None, Real, Real]] = [
        ("as they are", None, scores.z, plain),
        ("shifted", tau, scores.z - tau * shift, plain),
        ("temperature", warm, scores.z, _posterior(scores.z / warm)),
    ]
    if gamma is not None or alpha is not None:
        better = _recovered(scores.z, 0.0 if gamma is None else gamma, alpha, sample.n_classes)
        ways.append(("recovered", None, better, better))
    base = _figures(scores, *ways[0][2:])
    found = tuple(_remedy(scores, *way, base) for way in ways)
    return Remedies(found, len(sample.ids), int(sample.seen.sum()), pi)


def _prior(prior: Any, n_classes: int) -> Real:
    pi = np.asarray(prior, np.float64)
    if pi.shape != (n_classes,) or not np.all(pi > 0) or not np.isfinite(pi).all():
        _checks.reject("prior", f"be {n_classes} positive numbers", prior, "Class frequencies, or counts.")
    return np.asarray(pi / pi.sum())


def _posterior(z: Real) -> Real:
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return np.asarray(e / e.sum(axis=1, keepdims=True))


def _recovered(z: Real, gamma: PerClass, alpha: PerClass | None, n_classes: int) -> Real:
    m = np.column_stack([log_odds(z, np.full(len(z), k), -1)[0] for k in range(n_classes)])
    weights = None if alpha is None else np.broadcast_to(np.asarray(alpha, np.float64), (n_classes,))
    return recover_from_log_odds(m, np.asarray(gamma, np.float64), weights)


def _nll(half: _Half, z: Real, temperature: float) -> float:
    scaled = z / temperature
    top = scaled.max(axis=1)
    total = np.log(np.exp(scaled - top[:, None]).sum(axis=1)) + top
    return float(np.average(total - scaled[np.arange(len(z)), half.ids], weights=half.weight))


def _temperature(half: _Half) -> float:
    """The temperature of least log loss, by golden section in its logarithm (the loss is convex in 1/T)."""
    low, high, g = np.log(0.05), np.log(20.0), (np.sqrt(5) - 1) / 2
    a, b = high - g * (high - low), low + g * (high - low)
    fa, fb = _nll(half, half.z, float(np.exp(a))), _nll(half, half.z, float(np.exp(b)))
    for _ in range(40):
        if fa <= fb:
            high, b, fb = b, a, fa
            a = high - g * (high - low)
            fa = _nll(half, half.z, float(np.exp(a)))
        else:
            low, a, fa = a, b, fb
            b = low + g * (high - low)
            fb = _nll(half, half.z, float(np.exp(b)))
    return float(np.exp((low + high) / 2))


def _decide(half: _Half, z: Real, keep: Any = slice(None)) -> tuple[float, float, Real]:
    """Balanced accuracy, macro F1 and accuracy per class of the decisions argmax z."""
    said, ids, weight = z.argmax(axis=1)[keep], half.ids[keep], half.weight[keep]
    n = z.shape[1]
    true = np.bincount(ids, weight, n)
    hit = np.bincount(ids[said == ids], weight[said == ids], n)
    named = np.bincount(said, weight, n)
    here = true > 0
    recall = np.where(here, hit / np.where(here, true, 1.0), np.nan)
    f1 = 2 * hit[here] / (true[here] + named[here])
    return float(np.nanmean(recall)), float(f1.mean()), recall


def _figures(half: _Half, z: Real, p: Real) -> tuple[dict[str, float], dict[str, Real], Real]:
    """Each metric on the half and without each group of it, and accuracy per class."""
    own = p[np.arange(len(p)), half.ids]
    nll = -np.log(np.maximum(own, np.finfo(float).tiny))
    confidence, said = p.max(axis=1), p.argmax(axis=1)
    at = np.minimum((confidence * BINS).astype(np.intp), BINS - 1)
    right = (said == half.ids).astype(np.float64)

    def calibration(keep: Any) -> float:
        gap = np.bincount(at[keep], (half.weight * (right - confidence))[keep], BINS)
        return float(np.abs(gap).sum() / half.weight[keep].sum())

    by: dict[str, Callable[[Any], float]] = {
        "balanced_accuracy": lambda keep: _decide(half, z, keep)[0],
        "macro_f1": lambda keep: _decide(half, z, keep)[1],
        "log_loss": lambda keep: float(np.average(nll[keep], weights=half.weight[keep])),
        "calibration_error": calibration,
    }
    groups = [half.without(g) for g in range(GROUPS)]
    whole = {name: score(slice(None)) for name, score in by.items()}
    without = {name: np.array([score(keep) for keep in groups]) for name, score in by.items()}
    return whole, without, _decide(half, z)[2]


def _remedy(half: _Half, name: str, setting: float | None, z: Real, p: Real, base: Any) -> Remedy:
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
