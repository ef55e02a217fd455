"""Random problems, drawn from the domains that the checks declare."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from focalkit import LossSpec
from focalkit._core import contracts

GAMMA_PROMISED = 5.0  # docs/mathematics.md ("Accuracy") promises its budget up to here
SPECIAL_GAMMAS = (0.0, 0.1, 0.5, 1.0, 2.0, 5.0)


def within(domain, cap=2.0**100):
    """Floats of an Interval, no further than ``cap``, and away from 0 by more than its underflow zone."""
    high = min(domain.high, cap)
    low_open = not domain.low_inclusive
    high_open = not domain.high_inclusive and high == domain.high
    inside = st.floats(domain.low, high, exclude_min=low_open, exclude_max=high_open, width=32)
    return inside.filter(lambda v: v == 0 or abs(v) > 1e-6)


gammas = st.one_of(st.sampled_from(SPECIAL_GAMMAS), within(contracts.GAMMA, GAMMA_PROMISED))


def alphas(link):
    return within(contracts.ALPHA_SIGMOID) if link == "sigmoid" else within(contracts.ALPHA_SOFTMAX, 100.0)


@dataclass(frozen=True)
class Problem:
    """Arguments of one call, in float64."""

    spec: LossSpec
    logits: Any
    targets: Any
    sample_weight: Any = None

    def but(self, **changes):
        """The same problem with other fields, of the spec or its own."""
        own = {name: changes.pop(name) for name in list(changes) if name in ("logits", "targets", "sample_weight")}
        return replace(self, spec=replace(self.spec, **changes), **own)

    def loss(self, engine, **kw):
        return engine.loss(self.spec, self.logits, self.targets, sample_weight=self.sample_weight, **kw)

    def solve(self, engine, **kw):
        kw = {"sample_weight": self.sample_weight, **kw}
        return engine.loss_grad_hess(self.spec, self.logits, self.targets, **kw)

    @property
    def alpha_t(self):
        """Class weights of hard softmax targets."""
        alpha = np.ones(self.logits.shape[-1]) if self.spec.alpha is None else np.asarray(self.spec.alpha)
        return np.broadcast_to(alpha, self.logits.shape[-1:])[self.targets]


@st.composite
def problems(draw, links=("softmax", "sigmoid"), soft=(False, True), classes=(1, 7), weighted=True, **fixed):
    """Small problems (n, K) with reduction "none" unless ``fixed`` says otherwise."""
    link, n, k = draw(st.sampled_from(links)), draw(st.integers(1, 6)), draw(st.integers(*classes))
    per_class = draw(st.booleans())

    def parameter(one):
        return draw(st.lists(one, min_size=k, max_size=k)) if per_class else draw(one)

    spec = {"link": link, "gamma": parameter(gammas), "reduction": "none"}
    if draw(st.booleans()):
        spec["alpha"] = parameter(alphas(link))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    logits = random.normal(size=(n, k)) * draw(st.sampled_from([0.5, 3.0, 12.0]))
    weight = random.uniform(0.1, 3.0, n) if weighted and draw(st.booleans()) else None
    if draw(st.sampled_from(soft)):
        targets = random.dirichlet(np.ones(k), n) if link == "softmax" else random.uniform(size=(n, k))
    else:
        targets = random.integers(k, size=n) if link == "softmax" else random.integers(2, size=(n, k))
    return Problem(LossSpec(**{**spec, **fixed}), logits, targets, weight)


def assert_same(actual, expected, bits=8, scale=None):
    """Equal to 2**``bits`` eps of the largest entry of each row, or of ``scale``."""
    actual, expected = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    assert actual.shape == expected.shape
    if scale is None:
        scale = np.max(np.abs(expected), axis=-1, keepdims=True) if expected.ndim > 1 else np.abs(expected)
    error = np.abs(actual - expected)
    assert np.all(error <= 2.0**bits * np.finfo(np.float64).eps * np.asarray(scale) + 1e-300), error.max()
