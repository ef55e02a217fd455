"""What is done to probabilities before a rule is applied: training undone, calibration, another prior.

Steps take and give probabilities (n, n_classes), or of two classes those of the positive (n,). They are plain data, so
that a saved rule carries them.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from focalkit._core import contracts, definition
from focalkit.decisions.rules import Bands, Cutoffs, both_sides
from focalkit.posterior import log_odds_of_logits, recover_posterior

Real = NDArray[np.float64]
TINY = float(np.finfo(np.float64).tiny)


class Step:
    """What all steps share."""

    def apply(self, p: Real) -> Real:
        """Probabilities after the step."""
        raise NotImplementedError

    def to_dict(self) -> dict[str, Any]:
        """The step as plain data; :func:`step_from_dict` reads it back."""
        return {"step": type(self).__name__, **asdict(self)}  # type: ignore[call-overload]


def logits_of(p: Real) -> Real:
    """Finite log-odds (n,) of probabilities (n,), or logarithms (n, n_classes) of those of each class."""
    log_p = np.log(np.maximum(p, TINY))
    return np.asarray(log_p - np.log(np.maximum(1 - p, TINY)) if p.ndim == 1 else log_p)


def _sigmoid(z: Real) -> Real:
    e = np.exp(-np.abs(z))
    return np.asarray(np.where(z >= 0, 1.0, e) / (1 + e))


def _like(p: Real, full: Real) -> Real:
    return full[:, 1] if p.ndim == 1 else full


@dataclass(frozen=True)
class Recover(Step):
    """The true posterior from probabilities that a focal loss of ``gamma`` and class weights ``alpha`` learned."""

    gamma: float | tuple[float, ...] = 0.0
    alpha: tuple[float, ...] | None = None

    def apply(self, p: Real) -> Real:
        """:func:`focalkit.recover_posterior`."""
        return _like(p, recover_posterior(both_sides(p), self.gamma, self.alpha))


@dataclass(frozen=True)
class Reweigh(Step):
    """Probabilities times ``factors``, made to sum to 1: Bayes' formula for another class balance."""

    factors: tuple[float, ...]

    def apply(self, p: Real) -> Real:
        """Posterior under the other balance."""
        full = both_sides(p) * np.array(self.factors)
        return _like(p, full / np.maximum(full.sum(axis=1, keepdims=True), TINY))


@dataclass(frozen=True)
class Temperature(Step):
    """softmax(log p / temperature), then the posterior map of the focal loss of ``gamma``.

    With gamma above 0 it is focal temperature scaling (Komisarenko and Kull 2024, arXiv 2408.11598).
    """

    temperature: float
    gamma: float = 0.0

    def apply(self, p: Real) -> Real:
        """Softened or sharpened probabilities."""
        z = self._logits(logits_of(p))
        if p.ndim == 1:
            return _sigmoid(z)
        e = np.exp(z - z.max(axis=1, keepdims=True))
        return np.asarray(e / e.sum(axis=1, keepdims=True))

    def log_losses(self, log_p: Real, targets: NDArray[Any]) -> Real:
        """Minus the logarithm of the true class's probability (n,) after the step, of :func:`logits_of` before it."""
        z = self._logits(log_p)
        if z.ndim == 1:
            return np.logaddexp(0.0, np.where(targets, -z, z))
        top = z.max(axis=1)
        return np.asarray(top + np.log(np.exp(z - top[:, None]).sum(axis=1)) - z[np.arange(len(z)), targets])

    def _logits(self, log_p: Real) -> Real:
        """What the sigmoid (n,) or the softmax (n, n_classes) makes the step's probabilities of."""
        z = log_p / self.temperature
        if not self.gamma:
            return z
        gamma = np.asarray(self.gamma)
        if z.ndim == 1:
            return np.asarray(definition.log_h(z, gamma, np) - definition.log_h(-z, gamma, np))
        return np.asarray(definition.log_h(log_odds_of_logits(z), gamma, np))


@dataclass(frozen=True)
class Isotonic(Step):
    """A rising line through points (``x``, ``y``), of two classes."""

    x: tuple[float, ...]
    y: tuple[float, ...]

    def apply(self, p: Real) -> Real:
        """Linear between the points, flat beyond."""
        return np.interp(p, self.x, self.y)


@dataclass(frozen=True)
class Beta(Step):
    """Logistic of ``a`` log p - ``b`` log(1 - p) + ``c`` (Kull et al. 2017), of two classes."""

    a: float
    b: float
    c: float

    def apply(self, p: Real) -> Real:
        """Probabilities after beta calibration."""
        z = self.a * np.log(np.maximum(p, TINY)) - self.b * np.log(np.maximum(1 - p, TINY)) + self.c
        return _sigmoid(z)


@dataclass(frozen=True)
class EachLabel(Step):
    """Of several labels: the steps of each, on its own probabilities."""

    labels: tuple[tuple[Step, ...], ...]

    def apply(self, p: Real) -> Real:
        """Probabilities (n, n_labels) after each label's steps."""
        return np.column_stack([apply_all(steps, p[:, k]) for k, steps in enumerate(self.labels)])

    def to_dict(self) -> dict[str, Any]:
        """The steps of each label as plain data."""
        return {"step": "EachLabel", "labels": [[step.to_dict() for step in steps] for steps in self.labels]}


STEPS: dict[str, type[Step]] = {c.__name__: c for c in (Recover, Reweigh, Temperature, Isotonic, Beta)}


def step_from_dict(data: dict[str, Any]) -> Step:
    """The step that :meth:`Step.to_dict` wrote."""
    if data.get("step") == "EachLabel":
        return EachLabel(tuple(tuple(map(step_from_dict, steps)) for steps in data["labels"]))
    kind = STEPS.get(str(data.get("step")))
    if kind is None:
        contracts.reject("step", f"be one of {', '.join(STEPS)}", data.get("step"), "Was it saved by a newer version?")
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in data.items()}
    return kind(**{name: value for name, value in values.items() if name != "step"})


def apply_all(steps: tuple[Step, ...], p: Real) -> Real:
    """Probabilities after every step, in order."""
    for step in steps:
        p = step.apply(p)
    return p


def own_scale(cutoff: float, steps: tuple[Step, ...]) -> float:
    """The cut-off on probabilities before ``steps``, of two classes: they only ever rise, so by bisection."""
    if not steps or not 0 <= cutoff < 1:
        return cutoff
    low, high = 0.0, 1.0
    if apply_all(steps, np.array([0.0]))[0] > cutoff:
        return -1.0
    for _ in range(200):
        middle = low + (high - low) / 2
        if middle in (low, high):
            break
        if apply_all(steps, np.array([middle]))[0] > cutoff:
            high = middle
        else:
            low = middle
    return low


def own_bands(rule: Bands, steps: tuple[Step, ...]) -> Bands:
    """Bands on probabilities before ``steps``."""
    return Bands(own_scale(rule.lower, steps), own_scale(rule.upper, steps))


def own_cutoffs(rule: Cutoffs, steps: tuple[Step, ...]) -> tuple[float, ...]:
    """Cut-offs on each label's probabilities before ``steps``."""
    of_label = steps[0].labels if steps and isinstance(steps[0], EachLabel) else ((),) * len(rule.cutoffs)
    return tuple(own_scale(cutoff, each) for cutoff, each in zip(rule.cutoffs, of_label, strict=True))
