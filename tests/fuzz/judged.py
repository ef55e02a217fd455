"""Small random calls with parameters from the ends of their ranges, judged in 60-digit arithmetic.

The judge is ``tests/golden/truth.py``, which shares no code with the package; here it gets weights, reductions and
denominators. Arrays and tensors go through the same cases.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from mpmath import inf, mp, mpf
from tests.golden import truth

from focalkit import LossSpec, loss_grad_hess

GAMMAS = (0.0, 1.0, 2.0, 0.5, 1.5, 1.7, 3.0, 5.0, 30.0, 1e-46, 5e-324, 1e-20, 1e6, 1e20, 1e39, 1e200)

#: mpmath's precision is that of all threads.
PRECISION = threading.RLock()


def size(rng: np.random.Generator, reach: float) -> float:
    """A weight: usual, or of 10 to the power of plus or minus ``reach``."""
    return float(rng.uniform(0.1, 3) if rng.random() < 0.5 else 10.0 ** rng.uniform(-reach, reach))


def case(rng: np.random.Generator) -> tuple[LossSpec, dict[str, Any]]:
    link = str(rng.choice(["softmax", "sigmoid"]))
    n, k = int(rng.integers(1, 4)), int(rng.integers(2 if link == "softmax" else 1, 6))
    if link == "softmax" and rng.random() < 0.15:
        k = int(rng.choice([64, 65, 100]))  # the kernels along rows
    dtype = np.dtype(rng.choice(["f4", "f8", "f4", "f2"]))
    scale = float(rng.choice([0.1, 1, 5, 30, 300] if dtype != np.float16 else [0.1, 1, 5, 30]))
    logits = (rng.standard_normal((n, k)) * scale).astype(dtype)
    if rng.random() < 0.1:
        logits[rng.integers(n), rng.integers(k)] = -np.inf
    if link == "softmax":
        targets = rng.integers(0, k, n)
    else:
        targets = rng.integers(0, 2, (n, k))
    gamma: Any = float(rng.choice(GAMMAS))
    if rng.random() < 0.2:
        gamma = [float(g) for g in rng.choice(GAMMAS, k)]
    reduction = str(rng.choice(["mean", "sum", "none", "weighted_mean"]))
    # a weighted mean does not know the scale of its weights; elsewhere results are to be numbers of their dtype
    reach = 140 if reduction == "weighted_mean" else 8
    alpha: Any = None
    if rng.random() < 0.5:
        one = size(rng, reach)
        alpha = float(rng.uniform(0.01, 0.99)) if link == "sigmoid" else one
        if rng.random() < 0.4:
            alpha = [
                float(a) for a in (rng.uniform(0.01, 0.99, k) if link == "sigmoid" else rng.uniform(0.5, 2, k) * one)
            ]
    weight = rng.uniform(0.2, 2, n) * size(rng, reach) if rng.random() < 0.5 else None
    normalizer = size(rng, reach) if reduction in ("mean", "sum") and rng.random() < 0.3 else None
    spec = LossSpec(link, gamma, alpha, reduction=reduction)
    return spec, {"logits": logits, "targets": targets, "sample_weight": weight, "normalizer": normalizer}


def judge(spec: LossSpec, call: dict[str, Any], got: tuple[Any, Any, Any]) -> None:
    """Raise where loss, gradient or Hessian is not what the definition says."""
    z, y, weight = call["logits"], call["targets"], call["sample_weight"]
    n, k = z.shape
    vector = lambda value, default: value if isinstance(value, tuple) else (default if value is None else value,) * k  # noqa: E731
    gammas, alphas = vector(spec.gamma, 0.0), vector(spec.alpha, None)
    digits = 60 if max(gammas) < 1e10 else 700  # of q beside 1, which such a gamma brings out
    with PRECISION, mp.workdps(digits):
        losses, terms, weights = [], [], []
        for i in range(n):
            w = mpf(1) if weight is None else mpf(float(weight[i]))
            if spec.link == "softmax":
                own = w * (1 if alphas[y[i]] is None else mpf(alphas[y[i]]))
                hot = [own if j == y[i] else mpf(0) for j in range(k)]
                values = truth.row_values([float(v) for v in z[i]], hot, [mpf(g) for g in gammas])
                rows = [(values["loss"][0], values["grad"], values["hess"], own)]
            else:
                rows = []
                for j in range(k):
                    sign = 1 if y[i, j] else -1
                    a = None if alphas[j] is None else mpf(alphas[j])
                    own = w * (mpf(1) if a is None else a if sign > 0 else 1 - a)
                    at = truth.margin_values(sign * mpf(float(z[i, j])), mpf(gammas[j]))
                    of = {name: truth.Value(own * v.value, own * v.scale) for name, v in at.items()}
                    grad = truth.Value(sign * of["d1"].value, of["d1"].scale)
                    rows.append((of["loss"], [grad], [of["d2"]], own))
            for loss, grad, hess, own in rows:
                losses.append(loss)
                terms.append((grad, hess))
                weights.append(own)
        denominator = mpf(1)
        if call["normalizer"] is not None:
            denominator = mpf(call["normalizer"])
        elif spec.reduction == "mean":
            denominator = mpf(len(losses))
        elif spec.reduction == "weighted_mean":
            denominator = sum(weights) or mpf(1)
        total = truth.Value(sum(v.value for v in losses), sum(v.scale for v in losses if v.scale == v.scale))
        largest = max(weights) / denominator
        reference = [losses if spec.reduction == "none" else [total]]
        reference += [[v for grad, _ in terms for v in grad], [v for _, hess in terms for v in hess]]
        for name, value, want in zip(("loss", "grad", "hess"), got, reference, strict=True):
            flat = np.asarray(value).reshape(-1)
            assert len(flat) == len(want), name
            for place, (is_, should) in enumerate(zip(flat, want, strict=True)):
                check(float(is_), should, denominator, largest, spec, z.dtype, k, f"{name}[{place}]")


def check(got: float, want: Any, denominator: Any, largest: Any, spec: LossSpec, dtype: Any, k: int, what: str) -> None:
    top, value, scale = mpf(float(np.finfo(dtype).max)), want.value / denominator, want.scale / denominator
    if abs(value) > top * mpf("0.99"):
        assert abs(got) > 0.98 * float(top), f"{what}: {got!r} for {mp.nstr(value, 12)}"
        return
    wide = np.finfo(np.float32 if dtype == np.float16 else dtype)
    gamma = max(spec.gamma) if isinstance(spec.gamma, tuple) else spec.gamma
    limit = 16 * mpf(float(wide.eps)) * (mpf(4) + min(gamma, 64) + k) * scale
    # results and what they are made of may be subnormal, where digits are lost
    limit += 64 * mpf(float(wide.smallest_normal)) * (1 + mpf(gamma)) ** 2 * max(mpf(1), largest)
    limit += mpf(float(np.finfo(dtype).eps)) * abs(value) + mpf(float(np.finfo(dtype).smallest_subnormal))
    if limit == inf or limit != limit:
        return
    assert abs(mpf(got) - value) <= limit, (  # false for NaN
        f"{what}: {got!r} for {mp.nstr(value, 12)}, allowed {mp.nstr(limit, 3)}"
    )


def judged(rng: np.random.Generator) -> None:
    """One case as arrays."""
    spec, call = case(rng)
    judge(spec, call, tuple(loss_grad_hess(spec, **call)))


def judged_tensors(rng: np.random.Generator) -> None:
    """One case as tensors."""
    import torch

    spec, call = case(rng)
    given = dict(call, logits=torch.from_numpy(call["logits"]), targets=torch.from_numpy(call["targets"]))
    judge(spec, call, tuple(part.numpy() for part in loss_grad_hess(spec, **given)))
