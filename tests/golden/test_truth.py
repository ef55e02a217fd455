"""The truth itself, against the printed formulas in arithmetic wide enough for them."""

from __future__ import annotations

import itertools
import json
import random

import pytest
from mpmath import diff, exp, fsum, log, mp, mpf

from tests.golden import make_table, truth


def printed(m, gamma):
    """-(1 - p_t)^gamma log p_t with 1 - p_t subtracted, as in the paper."""
    p = 1 / (1 + exp(-m))
    return -((1 - p) ** gamma) * log(p)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0, 5.0])
@pytest.mark.parametrize("m", [-40.0, -3.0, 0.0, 0.5, 16.75, 60.0])
def test_margins_are_the_printed_formula_and_its_derivatives(m, gamma):
    with mp.workdps(250):
        at = truth.margin(m, gamma)
        expected = [diff(lambda x: printed(x, mpf(gamma)), mpf(m), n) for n in range(3)]
        for name, value in zip(("loss", "d1", "d2"), expected, strict=True):
            assert mp.almosteq(at[name][0], value, rel_eps=mpf(10) ** -40)


@pytest.mark.parametrize("seed", range(4))
def test_rows_are_the_printed_softmax_formula_and_its_derivatives(seed):
    draw = random.Random(seed)
    z, gamma = [mpf(draw.uniform(-9, 9)) for _ in range(4)], mpf(draw.choice([0, 0.5, 2, 5]))
    weights = [mpf(draw.random()) for _ in z] if seed % 2 else [mpf(0), mpf(2), mpf(0), mpf(0)]

    def loss(*logits):
        total = fsum(exp(v) for v in logits)
        return fsum(
            -w * (1 - exp(v) / total) ** gamma * log(exp(v) / total) for v, w in zip(logits, weights, strict=True)
        )

    with mp.workdps(120):
        got = truth.row(z, weights, [gamma] * 4)
        assert mp.almosteq(got["loss"][0][0], loss(*z), rel_eps=mpf(10) ** -50)
        for j in range(4):
            for name, order in (("grad", 1), ("hess", 2)):
                expected = diff(loss, tuple(z), tuple(order * (i == j) for i in range(4)))
                assert mp.almosteq(got[name][j][0], expected, rel_eps=mpf(10) ** -30)


def test_the_condition_of_a_hopeless_loss_is_small_and_of_an_easy_one_its_margin():
    assert truth.margin_values(-1000.0, 2.0)["loss"].condition == pytest.approx(2.0)
    assert truth.margin_values(100.0, 2.0)["loss"].condition == pytest.approx(301.0)


def test_the_condition_of_d2_explodes_at_its_zero_crossing():
    assert truth.margin_values(-2.790, 2.0)["d2"].condition > 100


def test_the_committed_table_is_what_the_maker_makes():
    """What takes seconds, not minutes: of the shifted cases the first."""
    committed = json.loads(make_table.TABLE.read_text(encoding="utf-8"))
    assert make_table.margins() == committed["margins"]
    assert make_table.softmax() == committed["softmax"]
    assert list(itertools.islice(make_table.shifted(), 10)) == committed["shifted"][:10]


@pytest.mark.slow
def test_the_whole_committed_table_is_what_the_maker_makes():
    committed = json.loads(make_table.TABLE.read_text(encoding="utf-8"))
    assert list(make_table.shifted()) == committed["shifted"]
    assert make_table.form_blocks() == committed["forms"]
    assert make_table.soft_blocks() == committed["soft"]
    assert make_table.stepped_blocks() == committed["stepped"]


@pytest.mark.parametrize(("z", "y", "beta"), [(1.25, 0.25, 2.0), (-2.5, 0.75, 1.5), (4.0, 0.0, 2.0), (-3.0, 1.0, 4.0)])
def test_the_slopes_of_the_quality_loss_are_those_of_its_formula(z, y, beta):
    at = truth.quality_parts(z, y, beta)
    with mp.workdps(80):
        for order, name in enumerate(("loss", "d1", "d2")):
            want = diff(lambda x: truth.quality_value(x, y, beta), mpf(z), order)
            assert mp.almosteq(at[name][0], want, rel_eps=mpf(10) ** -20)
