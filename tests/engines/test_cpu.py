"""What is special to the compiled engine; its laws are those of every engine."""

from __future__ import annotations

import numpy as np
import pytest
from random_calls import EPS, TINY, Call, random_call

from focalkit import loss_grad_hess
from focalkit.engines import _cpu, _inputs, cpu, reference


def truth(call: Call) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The reference on the same logits, taken to float64 first."""
    wide = np.asarray(call.logits).astype(np.float64)
    inputs = _inputs.read(call.spec, wide, call.targets, **call.options())
    return reference.loss_grad_hess(call.spec, inputs)


def assert_close(got: np.ndarray, want: np.ndarray, name: str, dtype: str, slack: float, floor: float) -> None:
    got, want = np.asarray(got).astype(np.float64), np.asarray(want)
    assert got.shape == want.shape
    nan = np.isnan(want)
    assert np.array_equal(np.isnan(got), nan), f"{name}: NaN in other places"
    limit = slack * np.abs(want) + floor
    with np.errstate(invalid="ignore"):
        bad = ~nan & ~((np.abs(got - want) <= limit) | (got == want))
    if dtype == "float16":  # overflows where the truth does
        bad &= ~(np.isinf(got) & (np.abs(want) > 65000))
    assert not bad.any(), f"{name}: {got[bad][:3]} for {want[bad][:3]}, allowed {limit[bad][:3]}"


def check_against_reference(call: Call) -> None:
    dtype = np.asarray(call.logits).dtype.name
    value, grad, hess = loss_grad_hess(*call.arguments(), **call.options())
    assert grad.dtype == call.logits.dtype
    assert hess.dtype == call.logits.dtype
    want = truth(call)
    gamma = np.max(np.asarray(call.spec.gamma), initial=0)
    inner = EPS["float32"] if EPS[dtype] > EPS["float32"] else EPS[dtype]
    size = np.abs(np.where(np.isfinite(call.logits), call.logits, 0).astype(np.float64)).max(initial=0)
    slack = 8 * inner * (2 + gamma + np.log2(41) + (1 + gamma) * size) + (EPS[dtype] if EPS[dtype] > inner else 0)
    top = max(1.0, np.max(np.asarray(1 if call.spec.alpha is None else call.spec.alpha), initial=0)) * 4
    floor = TINY[dtype] * 50 * top * (1 + gamma)
    mixed = call.targets.dtype.kind not in "iu" or call.spec.label_smoothing > 0
    scale = np.abs(want[1]).max(initial=0, where=np.isfinite(want[1]))
    assert_close(value, want[0], "loss", dtype, slack, floor * max(1, call.logits.size))
    # spread targets add terms of both signs, and so does every Hessian: judged by the largest term
    assert_close(grad, want[1], "grad", dtype, slack, floor + (slack * scale if mixed else 0))
    assert_close(hess, want[2], "hess", dtype, slack, floor + slack * (1 + gamma) ** 2 * scale)


@pytest.fixture(params=cpu.instruction_sets())
def instruction_set(request):
    before = cpu.instruction_set()
    assert _cpu.choose_instruction_set(request.param)
    yield request.param
    _cpu.choose_instruction_set(before)


@pytest.mark.parametrize("seed", range(150))
def test_agrees_with_the_reference_whatever_is_asked(seed, instruction_set):
    rng = np.random.default_rng(seed)
    for _ in range(4):
        check_against_reference(random_call(rng))
