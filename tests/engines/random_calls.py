"""Random calls over everything a loss can be asked: shapes, strides, dtypes, targets and parameters."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import ml_dtypes
import numpy as np

from focalkit import LossSpec

DTYPES = (np.float32, np.float64, np.float16, ml_dtypes.bfloat16)
EPS = {"float32": 2.0**-23, "float64": 2.0**-52, "float16": 2.0**-10, "bfloat16": 2.0**-7}
NUMBERS = {"dft": (0.3, 0.7, 1.0, 0.999, 1 - 1e-6), "gce": (0.3, 0.7, 1.0, 1e-9, 1e-39, 1e-300)}
LARGEST = {"float32": 3.4e38, "float64": 1.7e308, "float16": 65000, "bfloat16": 3.38e38}
TINY = {"float32": 2.0**-126, "float64": 2.0**-1022, "float16": 2.0**-24, "bfloat16": 2.0**-126}


@dataclass
class Call:
    spec: LossSpec
    logits: Any
    targets: Any
    sample_weight: Any
    normalizer: float | None

    def arguments(self) -> tuple[Any, ...]:
        return self.spec, self.logits, self.targets

    def options(self) -> dict[str, Any]:
        return {"sample_weight": self.sample_weight, "normalizer": self.normalizer}


def strided(array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The same values behind other strides."""
    kind = rng.integers(5)
    if kind == 0 and array.ndim > 1:
        return np.asfortranarray(array)
    if kind == 1:
        wide = np.zeros(tuple(2 * s for s in array.shape), array.dtype)
        view = wide[tuple(slice(None, None, 2) for _ in array.shape)]
        view[...] = array
        return view
    if kind == 2:
        flipped = np.ascontiguousarray(array[tuple(slice(None, None, -1) for _ in array.shape)])
        return flipped[tuple(slice(None, None, -1) for _ in array.shape)]
    if kind == 3 and array.ndim > 1:
        return np.ascontiguousarray(np.moveaxis(array, 0, -1)).transpose(-1, *range(array.ndim - 1))
    return array


def random_call(rng: np.random.Generator, *, dtype: Any = None, max_classes: int = 40, max_rows: int = 300) -> Call:
    link = str(rng.choice(["softmax", "sigmoid"]))
    dtype = DTYPES[rng.integers(len(DTYPES))] if dtype is None else dtype
    n, k = (
        int(rng.integers(0, max_rows)) if rng.random() < 0.9 else int(rng.integers(0, 3)),
        int(rng.integers(1, max_classes)),
    )
    extra = tuple(int(s) for s in rng.integers(1, 9, rng.integers(1, 3))) if rng.random() < 0.35 else ()
    n = n if not extra else n // 8
    if link == "sigmoid" and rng.random() < 0.2:
        shape, axis = (n,), 1
    else:
        axis = int(rng.integers(0, 2 + len(extra))) if rng.random() < 0.3 else 1
        shape = list((n, *extra))
        shape.insert(axis, k)
        shape = tuple(shape)
    binary = len(shape) == 1
    classes = 1 if binary else k
    scale = float(rng.choice([0.1, 1, 5, 30, 300]))
    logits = (rng.standard_normal(shape) * scale).astype(dtype)
    if rng.random() < 0.1 and logits.size:
        logits[rng.random(shape) < 0.05] = -np.inf
    rows = shape if link == "sigmoid" else shape[:axis] + shape[axis + 1 :]
    ignore = int(rng.choice([-100, -1, 255, 0]))
    soft = rng.random() < 0.3
    if soft and link == "softmax":
        y = rng.dirichlet(np.full(k, 0.5), rows) if rng.random() < 0.5 else np.eye(k)[rng.integers(0, k, rows)]
        targets = np.moveaxis(y.reshape(*rows, k), -1, axis)
        targets = targets.astype(dtype if np.dtype(dtype).itemsize > 2 else np.float32)
    elif soft:
        targets = rng.random(shape).astype(dtype)
        targets[rng.random(shape) < 0.3] = 1
        targets[rng.random(shape) < 0.3] = 0
    else:
        targets = rng.integers(0, k if link == "softmax" else 2, rows)
        if rng.random() < 0.4:
            targets = np.where(rng.random(rows) < 0.2, ignore, targets)
        kind = rng.choice(["i4", "i8", "i2", "u1", "i8"])
        if not (kind == "u1" and (targets.min(initial=0) < 0 or targets.max(initial=0) > 255)):
            targets = targets.astype(kind)
    gamma: Any = float(rng.choice([0, 1, 2, 0.5, 5, 0.1, 3, rng.random() * 6]))
    if rng.random() < 0.2:
        gamma = rng.random(classes) * 4 * (rng.random(classes) < 0.8)
    alpha: Any = None
    if rng.random() < 0.5:
        high = 1 if link == "sigmoid" else 3
        alpha = float(rng.uniform(0.01, 0.99) * high) if rng.random() < 0.5 else rng.uniform(0.01, 0.99, classes) * high
        if link == "softmax" and not np.isscalar(alpha) and rng.random() < 0.2:
            alpha[0] = 0
    reduction = str(rng.choice(["mean", "sum", "none", "weighted_mean"]))
    spec = LossSpec(
        link,
        gamma,
        alpha,
        label_smoothing=float(rng.choice([0, 0, 0, 0.1, 1.0])),
        ignore_index=ignore,
        reduction=reduction,
        class_axis=axis if rng.random() < 0.8 else axis - len(shape) if not binary else 1,
    )
    weight = None
    if rng.random() < 0.4:
        weight = rng.random(rows if rng.random() < 0.5 else rows[:1]) * 3
        weight[rng.random(weight.shape) < 0.1] = 0
        if axis == 0 and link == "softmax" and weight.shape == rows[:1] and len(rows) > 1:
            weight = rng.random(rows)
    normalizer = float(rng.uniform(0.5, 50)) if reduction in ("mean", "sum") and rng.random() < 0.2 else None
    if rng.random() < 0.4:
        logits = strided(logits, rng)
    if rng.random() < 0.3:
        targets = strided(targets, rng)
    if rng.random() < 0.4:
        spec = neighbour(spec, classes, rng)
    return Call(spec, logits, targets, weight, normalizer)


def neighbour(spec: LossSpec, classes: int, rng: np.random.Generator) -> LossSpec:
    """The spec with shifted logits, another form, or both."""
    changes: dict[str, Any] = {}
    if rng.random() < 0.5:
        changes["logit_adjustment"] = rng.normal(size=classes) * 2
    if spec.link == "softmax" and rng.random() < 0.3:
        changes["margin"] = rng.random(classes) * 0.5 if rng.random() < 0.7 else 0.35
    if rng.random() < 0.3:
        changes["scale"] = float(rng.choice([0.5, 2.0, 30.0]))
    kind = str(rng.choice(["none", "poly", "star", "dft", "gce", "asymmetric", "quality"]))
    if kind == "poly":
        changes["poly"] = float(rng.choice([-0.5, 1.0, 4.0]))
    elif kind == "star":
        changes |= {"star": float(rng.normal()), "gamma": float(rng.choice([0.5, 2.0, 4.0]))}
    elif kind in ("dft", "gce"):
        changes |= {kind: float(rng.choice(NUMBERS[kind])), "gamma": 0.0}
    elif kind != "none" and spec.link == "sigmoid":
        changes["gamma"] = float(rng.choice([0.0, 0.25, 1.0, 2.0, 1.5]))
        if kind == "asymmetric":
            changes |= {
                "gamma_negative": float(rng.choice([0.0, 2.0, 4.0, 2.5])),
                "clip": float(rng.choice([0.0, 0.05, 0.999])),
            }
        else:
            changes["quality"] = str(rng.choice(["quality", "varifocal"]))
    return replace(spec, **changes)
