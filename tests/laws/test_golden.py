"""Every engine against the golden table, in every dtype it computes."""

from __future__ import annotations

import numpy as np
import pytest

from focalkit import LossSpec
from tests.budget import DTYPES, QUANTITIES, TABLE, assert_within_budget, exact, numbers, softmax_cases

MARGIN_NAMES = {"loss": "loss", "grad": "d1", "hess": "d2"}


@pytest.fixture(params=DTYPES, ids=str)
def dtype(request, engine):
    if request.param not in engine.dtypes:
        pytest.skip(f"{engine.name} does not compute {request.param}")
    return request.param


def margin_blocks(dtype):
    for block in TABLE["margins"]:
        keep = [exact(m, dtype) for m in block["m"]]
        columns = {name: numbers(column)[keep] for name, column in block.items() if name != "gamma"}
        yield block["gamma"], columns


@pytest.mark.parametrize("form", ["sigmoid positive", "sigmoid negative", "softmax of two classes"])
def test_margins_keep_the_budget(engine, dtype, form):
    for gamma, block in margin_blocks(dtype):
        m, sign = block["m"], 1
        if form == "softmax of two classes":
            logits, targets = np.stack([m, 0 * m], axis=1), np.zeros(len(m), int)
            got = engine.loss_grad_hess(LossSpec("softmax", gamma, reduction="none"), logits.astype(dtype), targets)
            got = (got[0], got[1][:, 0], got[2][:, 0])
        else:
            sign = 1 if form == "sigmoid positive" else -1
            targets = np.full(len(m), int(sign > 0))
            got = engine.loss_grad_hess(LossSpec("sigmoid", gamma, reduction="none"), (sign * m).astype(dtype), targets)
        for name, result in zip(QUANTITIES, got, strict=True):
            column = MARGIN_NAMES[name]
            value = block[column] * (sign if name == "grad" else 1)
            assert_within_budget(result, value, block[column + "_condition"], gamma, 2, dtype)


def form_blocks(dtype):
    for block in TABLE["forms"]:
        keep = [exact(m, dtype) for m in block["m"]]
        columns = {name: numbers(column)[keep] for name, column in block.items() if name not in ("gamma", "options")}
        yield block["gamma"], block["options"], columns


@pytest.mark.parametrize("form", ["sigmoid positive", "sigmoid negative", "softmax of two classes"])
def test_forms_keep_the_budget(engine, dtype, form):
    for gamma, options, block in form_blocks(dtype):
        m, sign = block["m"], -1 if form == "sigmoid negative" else 1
        if "clip" in options and form != "sigmoid negative":
            continue  # the asymmetric loss's positives are the focal loss's
        if form == "softmax of two classes":
            logits, targets = np.stack([m, 0 * m], axis=1), np.zeros(len(m), int)
            spec = LossSpec("softmax", gamma, reduction="none", **options)
            got = engine.loss_grad_hess(spec, logits.astype(dtype), targets)
            got = (got[0], got[1][:, 0], got[2][:, 0])
        else:
            spec = LossSpec("sigmoid", gamma, reduction="none", **options)
            got = engine.loss_grad_hess(spec, (sign * m).astype(dtype), np.full(len(m), int(sign > 0)))
        for name, result in zip(QUANTITIES, got, strict=True):
            column = MARGIN_NAMES[name]
            value = block[column] * (sign if name == "grad" else 1)
            power = max(gamma, options.get("gamma_negative", 0.0), options.get("poly", 0.0))
            assert_within_budget(result, value, block[column + "_condition"], power + 1, 2, dtype)


def test_losses_of_soft_targets_keep_the_budget(engine, dtype):
    for block in TABLE["soft"]:
        z = np.array(block["z"])
        keep = [exact(one, dtype) for one in z]
        spec = LossSpec("sigmoid", block["gamma"], reduction="none", quality=block["quality"])
        target = block["target"]
        got = engine.loss_grad_hess(spec, z[keep].astype(dtype), np.full(sum(keep), target).astype(dtype))
        for name, result in zip(QUANTITIES, got, strict=True):
            value, condition = (numbers(block[MARGIN_NAMES[name] + part])[keep] for part in ("", "_condition"))
            assert_within_budget(result, value, condition, block["gamma"] + 1, 2, dtype)


def test_gammas_that_step_keep_the_budget(engine, dtype):
    for block in TABLE["stepped"]:
        m = np.array(block["m"])
        keep = [exact(one, dtype) for one in m]
        spec = LossSpec("sigmoid", 0.0, reduction="none", gamma_steps=block["gamma_steps"])
        got = engine.loss_grad_hess(spec, m[keep].astype(dtype), np.ones(sum(keep), int))
        for name, result in zip(QUANTITIES, got, strict=True):
            value, condition = (numbers(block[MARGIN_NAMES[name] + part])[keep] for part in ("", "_condition"))
            assert_within_budget(result, value, condition, 5.0, 2, dtype)


def test_shifted_softmax_cases_keep_the_budget(engine, dtype):
    cases = [case for case in softmax_cases("shifted") if exact_case(case, dtype)]
    for case in engine.thinned(cases):
        logits, hard = case["logits"], isinstance(case["target"], int)
        targets = np.array([case["target"]]) if hard else np.array([case["target"]]).astype(dtype)
        spec = LossSpec("softmax", case["gamma"], reduction="none", **case["options"])
        got = engine.loss_grad_hess(spec, logits[None].astype(dtype), targets)
        scale = case["options"].get("scale", 1.0)
        for name, result in zip(QUANTITIES, (got[0], got[1][0], got[2][0]), strict=True):
            condition = case[name + "_condition"]
            assert_within_budget(result, case[name], condition, case["gamma"] + 1, len(logits), dtype, scale**2)


def exact_case(case, dtype):
    return exact(case["logits"], dtype) and (isinstance(case["target"], int) or exact(case["target"], dtype))


def test_softmax_cases_keep_the_budget(engine, dtype):
    cases = [case for case in softmax_cases() if exact_case(case, dtype)]
    assert len(cases) > 60
    for case in engine.thinned(cases):
        logits, hard = case["logits"], isinstance(case["target"], int)
        targets = np.array([case["target"]]) if hard else np.array([case["target"]]).astype(dtype)
        spec = LossSpec("softmax", case["gamma"], case["alpha"], reduction="none")
        got = engine.loss_grad_hess(spec, logits[None].astype(dtype), targets)
        weight = np.max(case["alpha"] or 1.0)
        for name, result in zip(QUANTITIES, (got[0], got[1][0], got[2][0]), strict=True):
            condition = case[name + "_condition"]
            assert_within_budget(result, case[name], condition, case["gamma"], len(logits), dtype, weight)
