"""Public functions beside the loss: judged where a formula says what is right, refused in words elsewhere.

``words`` gives each function what no caller should: other types, other shapes, the ends of the numbers. It answers, or
says in one line what is wrong; no other error comes out. The judges compute in 60 digits and share no code with the
package.
"""

from __future__ import annotations

import decimal
import fractions
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from judged import PRECISION
from mpmath import mp, mpf
from mutate import pick

import focalkit as fk
from focalkit import InputError, Ledger, LossSpec, boosting, decisions, diagnosis

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

Z, T = np.array([[1.0, -2, 0.5], [0.1, 0.2, 0.3], [3, 2, 1], [0, 0, 0]]), np.array([0, 2, 1, 1])
P = np.exp(Z) / np.exp(Z).sum(1, keepdims=True)
P2, Y2 = np.linspace(0.05, 0.95, 24), np.arange(24) % 3 == 0
B = (Z > 0).astype(int)

#: Each function with arguments that it takes.
CALLS: tuple[tuple[Callable[..., Any], dict[str, Any]], ...] = (
    (fk.class_weights, {"counts": [3, 9, 1], "scheme": "power", "beta": 0.5}),
    (fk.deferred_weights, {"counts": [3, 9], "epoch": 2, "start": 1, "scheme": "effective", "beta": 0.9}),
    (fk.long_tail_counts, {"n_largest": 500, "n_classes": 4, "imbalance": 10.0}),
    (fk.prior_bias, {"prior": [0.2, 0.8]}),
    (fk.recover_posterior, {"probabilities": P, "gamma": 2.0, "alpha": [1.0, 2, 3]}),
    (fk.shift_prior, {"probabilities": P, "prior": [0.2, 0.3, 0.5], "tau": 1.0}),
    (
        fk.softmax_focal_loss,
        {"logits": Z, "targets": T, "gamma": 2.0, "alpha": [1.0, 2, 3], "sample_weight": [1.0] * 4},
    ),
    (fk.softmax_cross_entropy, {"logits": Z, "targets": T, "alpha": 0.5, "normalizer": 3.0, "label_smoothing": 0.1}),
    (fk.sigmoid_focal_loss, {"logits": Z, "targets": B, "gamma": [1.0, 2, 3], "alpha": 0.3, "reduction": "sum"}),
    (fk.sigmoid_cross_entropy, {"logits": Z, "targets": B, "alpha": [0.1, 0.2, 0.3], "ignore_index": -1}),
    (fk.loss_grad_hess, {"spec": LossSpec(gamma=1.0), "logits": Z, "targets": T, "normalizer": 2.0}),
    (
        LossSpec,
        {
            **{"link": "softmax", "gamma": 1.0, "alpha": [0.5, 1], "label_smoothing": 0.1, "reduction": "mean"},
            **{"keep_hardest": 0.5, "class_axis": 1, "logit_adjustment": [0.1, 0.2], "margin": 0.1, "scale": 2.0},
        },
    ),
    (LossSpec, {"link": "sigmoid", "gamma": 1.0, "gamma_negative": 4.0, "clip": 0.05, "negatives_per_positive": 3.0}),
    (LossSpec, {"gamma": 1.0, "poly": 1.0, "dft": 0.0, "gce": 0.0, "gamma_steps": ((0.5, 1.0), (1.0, 2.0))}),
    (fk.diagnose, {"logits": Z, "targets": T, "sample_weight": [1.0, 2, 3, 4], "class_names": ["a", "b", "c"]}),
    (Ledger, {"spec": LossSpec(gamma=2.0), "n_classes": 3, "class_names": ["a", "b", "c"]}),
    (fk.set_num_threads, {"threads": 2}),
    (diagnosis.loss_curves, {"gammas": (0.0, 2.0), "n_points": 20}),
    (decisions.as_goal, {"goal": [[0, 1], [5, 0]]}),
    (decisions.Cost, {"fn": 5.0, "fp": 1.0, "tp": 0.0, "tn": 0.0}),
    (decisions.CostMatrix, {"matrix": ((0, 1), (5, 0))}),
    (decisions.Abstain, {"review_cost": 0.2, "cost": decisions.Cost(5.0)}),
    (decisions.Constraint, {"kind": "recall", "bound": 0.9}),
    (decisions.Maximize, {"metric": "fbeta", "beta": 2.0}),
    (decisions.CaseCost, {"fp": 2.0, "tp": 0.0, "tn": 0.0}),
    (
        decisions.decide,
        {
            **{"probabilities": P2, "targets": Y2.astype(int), "goal": "f1", "sample_weight": np.ones(24), "cv": 3},
            **{"classes": [0, 1], "gamma": 2.0, "alpha": None, "calibrate": None, "prior": [0.5, 0.5], "learned": True},
        },
    ),
    (decisions.calibration, {"p": P2, "positive": Y2, "weight": np.ones(24), "n_bins": 5}),
    (decisions.estimate_prior, {"probabilities": P, "prior": [0.2, 0.3, 0.5], "sample_weight": [1.0] * 4}),
    (decisions.sort_cutoffs, {"p": P2, "positive": Y2, "weight": np.ones(24)}),
    (boosting.focal_start, {"weights": [1.0, 3.0], "gamma": 2.0}),
)

#: What nobody should give.
HOSTILE: tuple[Any, ...] = (
    *(None, True, 0, 1, -1, 2, 0.5, -0.5, 1e308, 5e-324, 2**31, 2**63, 2**70, 10**400, float("nan"), float("inf")),
    *("", "x", "f1", "\x1b[2J", "\ud800", "9" * 5000, b"x", (), [], {}, set(), [[]], [None], [[1], [1, 2]], {"a": 1}),
    *(object(), object, len, range(3), 1j, decimal.Decimal("NaN"), decimal.Decimal(1), fractions.Fraction(1, 3)),
    *(np.float16(2), np.int8(-1), np.array(1.0), np.array([]), np.zeros((0, 3)), np.zeros((4, 0)), np.zeros((2, 2, 2))),
    *(np.array(["a", "b"]), np.array([1, "b"], object), np.array([1 + 1j] * 3), np.array([1, 2, 3], "M8[s]")),
    *(np.ma.array([1.0, 2, 3], mask=[0, 1, 0]), np.array([(1, 2.0)], "i4,f8"), np.array([2**64 - 1], np.uint64)),
    *(np.array([[np.nan, 1, 2]] * 4), np.full((4, 3), -np.inf), np.array([0, 1, 2, 9]), np.ones(4, bool)),
    *(np.float64("nan"), np.array([1.0, 2.0, 3.0], ">f8"), np.longdouble(1), "balanced_accuracy", LossSpec(), [[0, 1]]),
)


def words(rng: np.random.Generator) -> None:
    """With a hostile argument or two a function answers, or says what is wrong in a line that any terminal shows."""
    function, usual = CALLS[int(rng.integers(len(CALLS)))]
    given = dict(usual)
    for name in rng.choice(list(given), min(len(given), int(rng.integers(1, 3))), replace=False):
        given[str(name)] = HOSTILE[int(rng.integers(len(HOSTILE)))]
    try:
        function(**given)
    except (InputError, MemoryError) as error:
        said = str(error)
        assert "\n" not in said.strip(), said
        assert len(said) < 2000, said
        assert not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 for c in said), repr(said)
    except Exception as error:
        told = ", ".join(f"{name}={value!r:.60}" for name, value in given.items() if value is not usual[name])
        error.add_note(f"{function.__name__}({told})")
        raise
    finally:
        fk.set_num_threads(2)


CASES = {"weights": weights, "posteriors": posteriors, "optimal": optimal, "words": words}
