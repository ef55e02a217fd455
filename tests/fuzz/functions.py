"""Public functions beside the loss: judged where a formula says what is right, refused in words elsewhere.

``words`` gives each function what no caller should (``tests/wrong_calls.py``). The judges compute in 60 digits and
share no code with the package.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from judged import PRECISION
from mpmath import mp, mpf
from mutate import pick
from tests.wrong_calls import HOSTILE, KINDS, USES, Use, refused_or_done, tuning

import focalkit as fk
from focalkit import InputError, decisions

# --- judged


def near(got: Any, want: list[Any], digits: float, what: str) -> None:
    for is_, should in zip(np.asarray(got, float).reshape(-1), want, strict=True):
        assert abs(mpf(float(is_)) - should) <= mpf(digits) * abs(should) + mpf(10) ** -320, (
            f"{what}: {is_!r} for {mp.nstr(should, 17)}"
        )


def weights(rng: np.random.Generator) -> None:
    """Class weights, their deferral, and the bias of a prior."""
    k = int(rng.integers(1, 9))
    counts = np.floor(10.0 ** rng.uniform(0, pick(rng, (2, 6, 15)), k))
    counts[rng.random(k) < 0.1] = 0
    scheme = pick(rng, ("inverse", "balanced", "power", "sqrt", "median", "effective"))
    beta = None
    if scheme == "power" and rng.random() < 0.7:
        beta = float(rng.uniform(0, 3))
    elif scheme == "effective" and rng.random() < 0.7:
        beta = float(1 - 10.0 ** -rng.uniform(0, 12)) if rng.random() < 0.9 else 0.0
    with PRECISION, mp.workdps(60):
        n = [max(mpf(float(c)), mpf(1)) for c in counts]
        if scheme == "inverse":
            raw = [1 / c for c in n]
            want = [w / sum(raw) for w in raw]
        elif scheme == "median":
            ordered = sorted(n)
            middle = (ordered[(k - 1) // 2] + ordered[k // 2]) / 2
            want = [middle / c for c in n]
        elif scheme == "effective":
            base = mpf(0.999 if beta is None else beta)
            raw = [(1 - base) / (1 - base**c) for c in n]
            want = [w * k / sum(raw) for w in raw]
        else:
            power = {"balanced": mpf(1), "sqrt": mpf("0.5")}.get(scheme, mpf(1 if beta is None else beta))
            raw = [c**-power for c in n]
            want = [w * sum(n) / sum(c * w for c, w in zip(n, raw, strict=True)) for w in raw]
        given: Any = pick(rng, (counts, counts.tolist(), {i: float(c) for i, c in enumerate(counts)}))
        near(fk.class_weights(given, scheme, beta=beta), want, 1e-13, f"{scheme}, {beta}, {counts}")
        start = float(rng.integers(0, 9))
        near(fk.deferred_weights(given, start, start, scheme, beta=beta), want, 1e-13, scheme)
        near(fk.deferred_weights(given, 0, start + 1, scheme, beta=beta), [mpf(1)] * k, 0, scheme)
        prior = rng.dirichlet(np.full(k + 1, pick(rng, (0.05, 1, 20))))
        if (prior > 0).all() and (prior < 1).all():
            near(fk.prior_bias(prior), [mp.log(mpf(float(p))) for p in prior], 1e-12, f"{prior}")
        one = float(10.0 ** -rng.uniform(0.01, 300))
        near(fk.prior_bias(one), [mp.log(mpf(one) / (1 - mpf(one)))], 1e-12, f"{one}")
    largest, factor = int(rng.integers(1, 10**6)), float(10.0 ** rng.uniform(0, 4))
    try:
        kept = fk.long_tail_counts(largest, k + 1, factor)
    except InputError:
        assert largest / factor < 1 + 1e-9, (largest, factor)
    else:
        with PRECISION, mp.workdps(60):
            exact = [largest * mpf(factor) ** (mpf(-i) / k) for i in range(k + 1)]
        assert all(
            abs(n - mp.floor(e)) <= (abs(e - mp.nint(e)) < 1e-6) for n, e in zip(kept.tolist(), exact, strict=True)
        )


def posteriors(rng: np.random.Generator) -> None:
    """Posteriors that were learned by a focal loss, and those for another balance of classes."""
    n, k = int(rng.integers(1, 4)), int(rng.integers(2, 7))
    p = rng.dirichlet(np.full(k, pick(rng, (0.02, 0.3, 1, 30))), n)
    gamma = float(pick(rng, (0, 0.3, 1, 2, 5, 30)))
    alpha = None if rng.random() < 0.5 else [float(a) for a in 10.0 ** rng.uniform(-3, 3, k)]
    prior, tau = rng.dirichlet(np.full(k, pick(rng, (0.3, 3)))), float(pick(rng, (0, 1, 0.5, -1, 3)))
    with PRECISION, mp.workdps(60):
        recovered, shifted = [], []
        for row in p:
            q = [mpf(float(v)) for v in row]
            h = []
            for i, v in enumerate(q):
                rest = sum(q[:i] + q[i + 1 :])
                if v == 0 or (rest == 0 and gamma):  # the limit is not asked about here
                    h.append(mpf(0) if v == 0 else None)
                    continue
                log = mp.log(v) if v < 0.5 else mp.log1p(-rest)
                below = rest**gamma - (gamma * rest ** (gamma - 1) * v * log if gamma else 0)
                h.append(v / below / (1 if alpha is None else mpf(alpha[i])))
            recovered.append(None if None in h else [v / sum(h) for v in h])
            s = [v * mpf(float(c)) ** -mpf(tau) for v, c in zip(q, prior, strict=True)]
            shifted.append([v / sum(s) for v in s])
        got = fk.recover_posterior(p, gamma, alpha)
        for row, want in zip(got, recovered, strict=True):
            if want is not None:
                near(row, want, 1e-11 * (1 + gamma), f"recovered from {p}, {gamma}, {alpha}")
        if (prior > 0).all():
            for row, want in zip(fk.shift_prior(p, prior, tau), shifted, strict=True):
                near(row, want, 1e-11, f"shifted {p}, {prior}, {tau}")


def optimal(rng: np.random.Generator) -> None:
    """No cut-off does better than the one that is found, counted in whole rows."""
    n = int(rng.integers(2, 30))
    p, y = rng.random(n).round(int(rng.integers(1, 4))), rng.random(n) < 0.4
    y[:2] = [False, True]
    goal: Any = pick(rng, ("balanced_accuracy", "f1", "mcc", "accuracy", "cost"))
    if goal == "cost":
        goal = decisions.Cost(fn=float(rng.uniform(0.1, 20)), fp=float(rng.uniform(0.1, 3)))
    goal = decisions.as_goal(goal)
    rule = decisions.fit_rule(goal, p, y.astype(int), learned=True)
    found = decisions.score(goal, rule, p, y.astype(int))
    for cut in sorted({-1.0, *p.tolist()}):
        flagged = p > cut
        tp, fp, fn, tn = ((a & b).sum() for a, b in ((flagged, y), (flagged, ~y), (~flagged, y), (~flagged, ~y)))
        other = _figure(goal, int(tp), int(fp), int(fn), int(tn))
        assert other <= found + 1e-12 if goal.larger_is_better else other >= found - 1e-12, (
            goal,
            cut,
            other,
            found,
            p,
            y,
        )


def _figure(goal: Any, tp: int, fp: int, fn: int, tn: int) -> float:
    n = tp + fp + fn + tn
    if isinstance(goal, decisions.Cost):
        return (goal.fn * fn + goal.fp * fp) / n
    if goal.metric == "accuracy":
        return (tp + tn) / n
    if goal.metric == "balanced_accuracy":
        return (tp / (tp + fn) + tn / (tn + fp)) / 2
    if goal.metric == "f_beta":
        return 2 * tp / (2 * tp + fp + fn) if tp else 0.0
    below = math.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    return (tp * tn - fp * fn) / below if below else 0.0


# --- refused in words


def words(rng: np.random.Generator) -> None:
    """With a hostile argument or two a function answers, or says what is wrong in a line that any terminal shows."""
    _wronged(rng, USES, HOSTILE)


def runs(rng: np.random.Generator) -> None:
    """The same of tuning runs and what is asked of them."""
    _wronged(rng, _runs(), KINDS)


@functools.cache
def _runs() -> tuple[Use, ...]:
    return tuple(tuning())


def _wronged(rng: np.random.Generator, uses: Sequence[Use], values: Sequence[Any]) -> None:
    use = uses[int(rng.integers(len(uses)))]
    names = rng.choice(use.arguments, min(len(use.arguments), int(rng.integers(1, 3))), replace=False)
    try:
        refused_or_done(use, **{str(name): values[int(rng.integers(len(values)))] for name in names})
    finally:
        fk.set_num_threads(2)


CASES = {"weights": weights, "posteriors": posteriors, "optimal": optimal, "words": words}
