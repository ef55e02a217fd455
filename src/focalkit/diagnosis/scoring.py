"""Half of a sample, and what each free remedy makes of it: classes that exclude each other, or columns that do not.

Each entry stands for ``weight`` of the data; :data:`GROUPS` groups of rows are left out in turn by the jackknife.
Both kinds answer the same questions, in entries (n,) and strata (the rows of the ledger).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from focalkit._core import contracts
from focalkit._core.spec import PerClass
from focalkit._metrics import DECISION_METRICS
from focalkit.decisions.fit import fit_rule
from focalkit.decisions.goals import Maximize
from focalkit.decisions.rules import Cutoff, Weighted
from focalkit.diagnosis.sample import Sample
from focalkit.posterior import log_odds_of_logits, recover_from_log_odds

Real = NDArray[np.float64]

GROUPS = 20
BINS = 15
EVERYTHING = slice(None)


class Decided(NamedTuple):
    """What decisions are worth; ``recall`` is the accuracy in each stratum, NaN where it is empty."""

    balanced_accuracy: float
    macro_f1: float
    recall: Real


class Half:
    """Entries with their strata, weights and groups."""

    def __init__(self, sample: Sample, rows: NDArray[np.bool_]) -> None:
        self.n_classes, self.n_strata = sample.n_classes, sample.n_strata
        self.stratum = sample.stratum[rows]
        self.z: Real = sample.logits[rows].astype(np.float64)
        kept = np.bincount(self.stratum, minlength=self.n_strata)
        self.weight: Real = (sample.seen / sample.seen.sum() / np.where(kept > 0, kept, 1))[self.stratum]
        # neighbouring bits of the hash choose the half, others the group
        self.group = ((sample.unit[rows] >> np.uint64(8)) % np.uint64(GROUPS)).astype(np.intp)

    def recall(self, right: NDArray[np.bool_], keep: Any) -> tuple[Real, Real]:
        """Weight of the entries per stratum, and the share that is decided right."""
        stratum, weight = self.stratum[keep], self.weight[keep]
        true: Real = np.bincount(stratum, weight, self.n_strata).astype(np.float64)
        hit = np.bincount(stratum, weight * right[keep], self.n_strata)
        return true, np.where(true > 0, hit / np.where(true > 0, true, 1.0), np.nan)


class Exclusive(Half):
    """Rows of logits (n, n_classes); decisions are the largest.

    A class without an entry here cannot be scored: what is shifted or decided never goes to it.
    """

    def shifted(self, prior: Real, tau: float) -> Real:
        """Logits for decisions by p / prior^tau."""
        return self.decided(-tau * np.log(np.where(prior > 0, prior, 1.0))) if tau else self.z

    def decision_offsets(self) -> Real:
        """What is added to each class's logit for the best macro F1 here (:func:`focalkit.decisions.fit_rule`)."""
        p = self.posterior(self.z)
        rule = fit_rule(Maximize("macro_f1"), p, self.stratum, self.weight)
        if isinstance(rule, Cutoff):
            return np.array([_log_odds(rule.cutoff), 0.0])
        assert isinstance(rule, Weighted)
        return np.asarray(np.log(np.array(rule.weights)))

    def decided(self, offsets: Real) -> Real:
        """Logits for these decisions."""
        scored = np.bincount(self.stratum, minlength=self.n_classes) > 0
        return np.asarray(np.where(scored, self.z + offsets, -np.inf))

    def posterior(self, z: Real) -> Real:
        """Probabilities of the classes."""
        e = np.exp(z - z.max(axis=1, keepdims=True))
        return np.asarray(e / e.sum(axis=1, keepdims=True))

    def recovered(self, gamma: PerClass, alpha: PerClass | None) -> Real:
        """The posterior from a loss of this gamma and alpha."""
        weights = None if alpha is None else np.broadcast_to(np.asarray(alpha, np.float64), (self.n_classes,))
        return recover_from_log_odds(log_odds_of_logits(self.z), np.asarray(gamma, np.float64), weights)

    def decide(self, z: Real, keep: Any = EVERYTHING) -> Decided:
        """Score the decisions that logits or probabilities lead to."""
        said = z.argmax(axis=1)
        true, recall = self.recall(said == self.stratum, keep)
        hit = np.where(true > 0, recall, 0.0) * true
        named = np.bincount(said[keep], self.weight[keep], self.n_classes).astype(np.float64)
        balanced, f1 = (DECISION_METRICS[name] for name in ("balanced_accuracy", "macro_f_beta"))
        return Decided(float(balanced.value(hit, named, true)), float(f1.value(hit, named, true)), recall)

    def cost(self, z: Real) -> Real:
        """Cross-entropy of each entry, exact where probabilities have rounded to 0."""
        top = z.max(axis=1)
        total = np.log(np.exp(z - top[:, None]).sum(axis=1)) + top
        return np.asarray(total - z[np.arange(len(z)), self.stratum])

    def nll(self, p: Real) -> Real:
        """-log p of the true class of each entry."""
        return np.asarray(-np.log(np.maximum(p[np.arange(len(p)), self.stratum], np.finfo(float).tiny)))

    def calibration(self, p: Real, keep: Any) -> float:
        """Gap between the largest probability and how often it is right, over bins of it (Guo et al. 2017)."""
        confidence = p.max(axis=1)
        right = (p.argmax(axis=1) == self.stratum).astype(np.float64)
        gap = np.bincount(_bins(confidence)[keep], (self.weight * (right - confidence))[keep], BINS)
        return float(np.abs(gap).sum() / self.weight[keep].sum())


class Independent(Half):
    """Single logits (n, 1), each of one column; a positive is decided above 0, or above p = 1/2."""

    def __init__(self, sample: Sample, rows: NDArray[np.bool_]) -> None:
        super().__init__(sample, rows)
        self.column, self.positive = self.stratum // 2, self.stratum % 2

    def shifted(self, prior: Real, tau: float) -> Real:
        """Logits for decisions by p / prior^tau, ``prior`` being (2 n_classes,), negatives and positives."""
        log_prior = np.log(np.where(prior > 0, prior, 1.0)).reshape(-1, 2)
        step = np.where(self._scored(), log_prior[:, 1] - log_prior[:, 0], 0.0)
        return np.asarray(self.z - tau * step[self.column, None])

    def _scored(self) -> NDArray[np.bool_]:
        """The columns that have both sides here; the others are not shifted."""
        return np.asarray((np.bincount(self.stratum, minlength=self.n_strata) > 0).reshape(-1, 2).all(axis=1))

    def decision_offsets(self) -> Real:
        """The log-odds above which each column's positives have the best F1 here; 0 where it has one side only."""
        out = np.zeros(self.n_classes)
        for k in range(self.n_classes):
            rows = self.column == k
            y = self.positive[rows]
            if 0 < y.sum() < len(y):
                rule = fit_rule(Maximize("f1"), _sigma(self.z[rows, 0]), y, self.weight[rows])
                assert isinstance(rule, Cutoff)
                out[k] = _log_odds(rule.cutoff)
        return out

    def decided(self, offsets: Real) -> Real:
        """Logits for these decisions."""
        return np.asarray(self.z - offsets[self.column, None])

    def posterior(self, z: Real) -> Real:
        """Probabilities of negative and positive."""
        return np.column_stack([_sigma(-z[:, 0]), _sigma(z[:, 0])])

    def recovered(self, gamma: PerClass, alpha: PerClass | None) -> Real:
        """The posterior from a loss of this gamma and alpha, numbers or one per column."""
        g = np.broadcast_to(np.asarray(gamma, np.float64), (self.n_classes,))[self.column, None]
        weights = None
        if alpha is not None:
            of_positive = np.broadcast_to(np.asarray(alpha, np.float64), (self.n_classes,))[self.column]
            weights = np.column_stack([1 - of_positive, of_positive])
        return recover_from_log_odds(np.column_stack([-self.z, self.z]), g, weights)

    def decide(self, z: Real, keep: Any = EVERYTHING) -> Decided:
        """Averages over columns: of both accuracies, and of the positives' F1."""
        said = z[:, 0] > 0 if z.shape[1] == 1 else z[:, 1] > z[:, 0]
        true, recall = self.recall(said == (self.positive == 1), keep)
        positives = true[1::2]
        named = np.bincount(self.column[keep], self.weight[keep] * said[keep], self.n_classes)
        here = positives > 0
        f1 = 2 * (recall[1::2] * positives)[here] / (positives + named)[here]
        return Decided(float(np.nanmean(recall)), float(f1.mean()) if len(f1) else np.nan, recall)

    def cost(self, z: Real) -> Real:
        """Cross-entropy of each entry, exact where probabilities have rounded to 0."""
        return np.asarray(np.logaddexp(0.0, np.where(self.positive == 1, -1.0, 1.0) * z[:, 0]))

    def nll(self, p: Real) -> Real:
        """-log p of the true side of each entry."""
        return np.asarray(-np.log(np.maximum(p[np.arange(len(p)), self.positive], np.finfo(float).tiny)))

    def calibration(self, p: Real, keep: Any) -> float:
        """Gap between the positives' probability and their frequency, over bins of it, averaged over columns."""
        at = self.column * BINS + _bins(p[:, 1])
        size = self.n_classes * BINS
        gap = np.abs(np.bincount(at[keep], (self.weight * (self.positive - p[:, 1]))[keep], size))
        mass = np.bincount(self.column[keep], self.weight[keep], self.n_classes)
        here = mass > 0
        return float((gap.reshape(-1, BINS).sum(axis=1)[here] / mass[here]).mean())


def _bins(p: Real) -> NDArray[np.intp]:
    return np.minimum((p * BINS).astype(np.intp), BINS - 1)


def _log_odds(cutoff: float) -> float:
    """Of a cut-off on probabilities; one that flags all or nothing is far out."""
    inside = min(max(cutoff, 1e-15), 1 - 1e-15)
    return float(np.log(inside) - np.log1p(-inside))


def _sigma(m: Real) -> Real:
    e = np.exp(-np.abs(m))
    return np.asarray(np.where(m >= 0, 1.0, e) / (1 + e))


def checked_prior(prior: Any, link: str, n_classes: int) -> Real:
    """The prior of each stratum: class frequencies or counts, or of each column the frequency of its positives."""
    pi = np.atleast_1d(np.asarray(prior, np.float64))
    right = pi.shape == (n_classes,) and np.isfinite(pi).all() and bool(np.all(pi > 0))
    if link == "softmax":
        if not right:
            contracts.reject("prior", f"be {n_classes} positive numbers", prior, "Class frequencies, or counts.")
        return np.asarray(pi / pi.sum())
    if not right or not np.all(pi < 1):
        remedy = "The frequency of each column's positives."
        contracts.reject("prior", f"be {n_classes} number(s) between 0 and 1", prior, remedy)
    return np.column_stack([1 - pi, pi]).reshape(-1)
