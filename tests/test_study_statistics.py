"""The study's statistics against published numbers, another implementation, and what must hold of any."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

sys.path.insert(0, str(Path(__file__).parents[1]))

from study.statistics import Difference, across_families, compare_ranks, corrected, ranks, regression, signed_rank

# Demsar 2006 (JMLR 7), section 3.2.2: mean ranks of C4.5, C4.5+m, C4.5+cf, C4.5+m+cf on fourteen data sets
DEMSAR = np.array([44, 28, 40.5, 27.5]) / 14


def test_tests_of_ranks_are_those_that_demsar_prints():
    found = compare_ranks(DEMSAR, 14)
    # F_F = 3.69 with 3 and 39 degrees of freedom; CD = 2.569 sqrt(4 * 5 / (6 * 14)) = 1.25
    assert found.p_value == pytest.approx(float(stats.f.sf(3.69, 3, 39)), rel=0.01)
    assert found.critical == pytest.approx(1.25, abs=5e-3)


def test_equal_figures_share_their_rank():
    np.testing.assert_allclose(ranks(np.array([[3.0, 1.0, 3.0], [1.0, 2.0, 3.0]])).mean, [2.25, 2.5, 1.25])


def test_the_signed_rank_test_agrees_with_its_definition():
    z, rope = np.array([-0.3, 0.1, 0.2, 0.05, 0.9]), 0.1
    shares = signed_rank(np.tile(z, (50, 1)), rope, np.random.default_rng(7))
    weights = np.random.default_rng(7).dirichlet([0.5] + [1.0] * 5, 50)
    padded = np.concatenate([[0.0], z])
    sums = padded[:, None] + padded[None, :]
    for share, w in zip(shares, weights, strict=True):
        mass = np.outer(w, w)
        expected = mass[sums < -2 * rope].sum(), mass[abs(sums) <= 2 * rope].sum(), mass[sums > 2 * rope].sum()
        np.testing.assert_allclose(share, expected, atol=1e-12)


def test_the_signed_rank_test_agrees_with_baycomp():
    baycomp = pytest.importorskip("baycomp")
    random = np.random.default_rng(1)
    x, y = random.normal(0.4, 1, 40), np.zeros(40)
    left, rope, right = baycomp.SignedRankTest.probs(y, x, rope=0.3, nsamples=20000)
    shares = signed_rank(np.tile(x, (20000, 1)), 0.3, random)
    ours = np.bincount(shares.argmax(axis=1), minlength=3) / len(shares)
    np.testing.assert_allclose(ours, [left, rope, right], atol=0.015)


def test_many_tables_of_one_family_count_as_one_family():
    better, worse = Difference(2.0, 0.1, 9), Difference(-2.0, 0.1, 9)
    few = across_families({"a": [better], "b": [worse], "c": [worse]}, 0.5)
    many = across_families({"a": [better] * 30, "b": [worse], "c": [worse]}, 0.5)
    assert many.mean == pytest.approx(few.mean)
    assert many.worse == pytest.approx(few.worse, abs=0.05)


def test_a_clear_difference_is_better_and_a_small_one_equivalent():
    clear = across_families({str(i): [Difference(3.0, 0.5, 9)] for i in range(20)}, 0.5)
    assert clear.better > 0.999
    assert 2.5 < clear.low < clear.mean < clear.high < 3.5
    small = across_families({str(i): [Difference(0.05, 0.1, 9)] for i in range(20)}, 0.5)
    assert small.equivalent > 0.999


def test_the_correction_widens_by_the_share_that_is_scored():
    d = np.array([1.0, 2.0, 3.0, 4.0])
    plain, two_fold = corrected(d, 0.0), corrected(d, 1.0)
    assert plain.error == pytest.approx(d.std(ddof=1) / 2)
    assert two_fold.error == pytest.approx(plain.error * np.sqrt(5))


def test_the_regression_finds_slopes_that_are_there():
    random = np.random.default_rng(0)
    a, b = random.normal(size=400), random.normal(size=400)
    found = regression(1 + 2 * a + random.normal(size=400), {"a": a, "b": b})
    assert abs(found["a"][0] - 2 * a.std()) < 4 * found["a"][1]
    assert abs(found["b"][0]) < 4 * found["b"][1]
