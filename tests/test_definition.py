"""The mathematics in its own precision: float32 and float64 throughout, against the golden table."""

from __future__ import annotations

import numpy as np
import pytest
from mpmath import diff, exp, log, mp, mpf

from focalkit._core import definition, forms
from focalkit._core.forms import Form
from tests.budget import TABLE, assert_within_budget, numbers
from tests.golden import truth

WIDE = (np.dtype(np.float32), np.dtype(np.float64))
GAMMAS = [block["gamma"] for block in TABLE["margins"]]


@pytest.mark.parametrize("dtype", WIDE, ids=str)
@pytest.mark.parametrize("name", ["loss", "d1", "d2"])
@pytest.mark.parametrize("block", TABLE["margins"], ids=lambda block: f"gamma={block['gamma']}")
def test_the_formula_keeps_the_budget_in_its_own_precision(dtype, name, block):
    m = np.array(block["m"], dtype)
    for gamma in (block["gamma"], np.full(len(m), block["gamma"], dtype)):
        got = getattr(definition, name)(m, gamma, np)
        assert_within_budget(got, numbers(block[name]), block[name + "_condition"], block["gamma"], 2, dtype)


def test_the_golden_margins_reach_every_zone():
    for block in TABLE["margins"]:
        m = np.array(block["m"])
        assert m.min() == -1e4
        assert m.max() == 1e4
        assert np.sum(np.abs(m) < 1) >= 10
        assert np.sum((m > 8) & (m < 40)) >= 10


@pytest.mark.parametrize("gamma", GAMMAS)
def test_limits_at_infinite_margins_are_reached(gamma):
    m = np.array([np.inf, -np.inf])
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(definition.loss(m, gamma, np), [0, np.inf])
        np.testing.assert_array_equal(definition.d1(m, gamma, np), [0, -1])
        np.testing.assert_array_equal(definition.d2(m, gamma, np), [0, 0])


@pytest.mark.parametrize("name", ["loss", "d1", "d2", "d3", "log_h"])
def test_nan_stays_nan(name):
    assert np.isnan(getattr(definition, name)(np.array([np.nan]), 2.0, np))


def test_p_and_q_are_each_exact_and_their_sum_is_one():
    m = np.linspace(-700, 700, 1401)
    p, q, nll = definition.probabilities(m, np)
    np.testing.assert_allclose(p + q, 1, rtol=1e-15)
    np.testing.assert_array_equal(q, p[::-1])
    np.testing.assert_allclose(nll[m > 40], q[m > 40], rtol=1e-15)
    np.testing.assert_allclose(q[m > 40], np.exp(-m[m > 40]), rtol=1e-15)


@pytest.mark.parametrize("gamma", GAMMAS)
def test_d3_is_the_derivative_of_d2(gamma):
    m = np.array([-30.0, -6.0, -2.8, -1.0, 0.0, 0.75, 3.0, 12.0, 30.0])
    got = definition.d3(m, gamma, np)
    for one, at in zip(got, m, strict=True):
        here, size = truth.margin(at, gamma)["d2"]
        expected = (truth.margin(mpf(float(at)) + truth.STEP, gamma)["d2"][0] - here) / truth.STEP
        assert abs(one - expected) <= 200 * np.finfo(float).eps * (1 + gamma) * (abs(expected) + size)


@pytest.mark.parametrize("gamma", GAMMAS)
def test_log_h_is_the_published_map(gamma):
    m = np.array([-700.0, -30.0, -2.0, 0.0, 1.0, 17.0, 40.0, 300.0, 800.0])
    for one, at in zip(definition.log_h(m, gamma, np), m, strict=True):
        with mp.workdps(400):
            v = 1 / (1 + exp(-mpf(at)))
            g = mpf(gamma)
            expected = log(v / ((1 - v) ** g - g * (1 - v) ** (g - 1) * v * log(v)))
        size = 1 + abs(at) * (1 + gamma)
        assert abs(one - float(expected)) <= 4 * np.finfo(float).eps * size


def slope_of(form, p, q, m, g):
    """-d1 of a form, written out."""
    focal = q**g * (q - g * p * log(p))
    if form is None:
        return focal
    number = mpf(form.number)
    if form.name == "poly":
        return focal + number * (g + 1) * p * q ** (g + 1)
    if form.name == "star":
        return 1 / (1 + exp(g * m + number))
    if form.name == "dft":
        return ((1 - number) + number * p) * q
    if form.name == "gce":
        return p**number * q
    v = q - number
    return p * q * (-g * v ** (g - 1) * log(1 - v) + v**g / (1 - v)) if v > 0 else 0


@pytest.mark.parametrize(
    "form",
    [
        None,
        *(Form("poly", e) for e in (-1.0, -0.5, 1.0, 1e4)),
        *(Form("star", b) for b in (-3.0, 0.0, 30.0)),
        *(Form("dft", share) for share in (0.3, 1 - 1e-12, 1.0)),
        *(Form("gce", k) for k in (1e-3, 0.7, 1.0)),
        *(Form("clipped", c) for c in (1e-9, 0.05, 0.5)),
    ],
    ids=str,
)
def test_the_logarithm_of_a_slope_keeps_its_digits(form):
    m = np.array([-700.0, -30.0, -2.0, 0.0, 1.0, 2.5, 17.0, 40.0, 300.0, 700.0, 900.0])
    gammas = (0.0,) if form is not None and form.name in ("dft", "gce") else (0.0, 0.5, 2.0, 5.0)
    for gamma in gammas if form is None or form.name != "star" else (0.01, 1.0, 5.0):
        with np.errstate(all="ignore"):
            got = forms.log_slope(m, np.float64(gamma), form, np)
        for one, at in zip(got, m, strict=True):
            with mp.workdps(900):
                p, q = 1 / (1 + exp(-mpf(at))), 1 / (1 + exp(mpf(at)))
                slope = slope_of(form, p, q, mpf(at), mpf(gamma))
                expected = float(log(slope)) if slope > 0 else -np.inf
            size = 1 + abs(at) * (1 + gamma) + (abs(form.number) if form is not None and form.name == "star" else 0)
            assert one == expected or abs(one - expected) <= 16 * np.finfo(float).eps * size


def test_the_paper_s_worked_numbers_hold():
    def loss(p, gamma):
        return float(definition.loss(np.log(p) - np.log1p(-p), gamma, np))

    for p, values in {
        0.1: (2.302585, 2.184424, 2.072327, 1.865094, 1.359653),
        0.5: (0.693147, 0.490129, 0.346574, 0.173287, 0.0216609),
        0.9: (0.105361, 0.0333179, 0.0105361, 1.053605e-3, 1.053605e-6),
        0.99: (0.0100503, 1.00503e-3, 1.00503e-4, 1.00503e-6, 1.00503e-12),
    }.items():
        for gamma, value in zip((0.0, 0.5, 1.0, 2.0, 5.0), values, strict=True):
            assert loss(p, gamma) == pytest.approx(value, rel=6e-6)
    assert loss(0.9, 0.0) / loss(0.9, 2.0) == pytest.approx(100)
    assert loss(1 - 10**-1.5, 0.0) / loss(1 - 10**-1.5, 2.0) == pytest.approx(1000)


@pytest.mark.parametrize(("gamma", "p"), [(0.5, 0.017663), (1, 0.043202), (2, 0.057846), (3, 0.057497), (5, 0.050236)])
def test_the_loss_stops_being_convex_at_the_known_probability(gamma, p):
    def d2(p):
        return definition.d2(np.log(p) - np.log1p(-p), gamma, np)

    assert d2(p * (1 - 1e-4)) < 0 < d2(p * (1 + 1e-4))


def test_the_second_derivative_of_the_golden_table_is_that_of_its_loss():
    with mp.workdps(80):
        assert diff(lambda x: truth.margin(x, 2.0)["loss"][0], mpf(3), 2) == pytest.approx(
            float(truth.margin(3, 2.0)["d2"][0]), rel=1e-15
        )
