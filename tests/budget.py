"""How wrong a result may be: the budget of docs/mathematics.md, as a function of data that the golden table carries."""

from __future__ import annotations

import json
from pathlib import Path

import ml_dtypes
import numpy as np

TABLE = json.loads((Path(__file__).parent / "golden" / "table.json").read_text(encoding="utf-8"))
QUANTITIES = ("loss", "grad", "hess")
DTYPES = tuple(np.dtype(t) for t in (np.float64, np.float32, np.float16, ml_dtypes.bfloat16))
HALF = DTYPES[2:]


def allowed(value, condition, gamma, n_classes, dtype, weight=1.0):
    """Largest |result - value|; half types compute in float32 and round once."""
    info, value = ml_dtypes.finfo(dtype), np.abs(value)
    wide = np.finfo(np.float32) if dtype in HALF else info
    relative = 8 * float(wide.eps) * (2 + np.max(gamma) + np.log2(n_classes + 1) + np.asarray(condition))
    rounding = float(info.eps) / 2 * (1 + relative) if dtype in HALF else 0.0
    with np.errstate(over="ignore"):
        return (relative + rounding) * value + float(info.smallest_normal) * max(1.0, weight)


def assert_within_budget(result, value, condition, gamma, n_classes, dtype, weight=1.0):
    """``result`` has ``dtype`` and is ``value`` (given in float64) to the budget; infinite only where that is too."""
    result, value = np.asarray(result), np.asarray(value, np.float64)
    assert result.dtype == dtype
    got = result.astype(np.float64)
    with np.errstate(over="ignore"):
        reachable = np.isfinite(value.astype(dtype).astype(np.float64))
    assert np.array_equal(np.isfinite(got), reachable)
    assert np.array_equal(got[~reachable], np.sign(value[~reachable]) * np.inf)
    value = np.where(reachable, value, 0.0)
    excess = np.where(reachable, np.abs(got - value), 0.0) - allowed(value, condition, gamma, n_classes, dtype, weight)
    assert np.all(excess <= 0), (
        f"worst at {np.argmax(excess)}: got {got.flat[np.argmax(excess)]!r}, want {value.flat[np.argmax(excess)]!r}"
    )


def exact(array, dtype):
    """Whether every entry is one of ``dtype``."""
    wide = np.asarray(array, np.float64)
    with np.errstate(over="ignore"):
        return np.array_equal(wide.astype(dtype).astype(np.float64), wide)


def numbers(strings):
    return np.array([float(s) for s in strings])


def softmax_cases(kind="softmax"):
    """The table's softmax cases with arrays for lists."""
    for case in TABLE[kind]:
        arrays = {name: numbers(case[name]) for name in QUANTITIES}
        logits = np.array([-np.inf if z is None else z for z in case["logits"]])
        yield {**case, **arrays, "logits": logits}
