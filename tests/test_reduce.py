"""Denominators and mining, apart from any engine (laws/test_mining.py has the naive choice)."""

from __future__ import annotations

import numpy as np
import pytest

from focalkit import LossSpec, _reduce

LOSSES = np.array([0.5, 2.0, 2.0, 0.0, 9.0])
ALL = np.ones(5, bool)
POSITIVE = np.array([True, False, True, False, False])
WEIGHTS = np.array([1.0, 2.0, 4.0, 8.0, 16.0])


def kept(counted=ALL, **mining):
    return np.flatnonzero(_reduce.kept(LossSpec(**mining), LOSSES, counted, POSITIVE)).tolist()


def test_without_mining_everything_counted_stays():
    assert kept(counted=ALL & (LOSSES < 9)) == [0, 1, 2, 3]


def test_the_largest_stay_and_of_equal_ones_the_first():
    assert kept(keep_hardest=2) == [1, 4]
    assert kept(keep_hardest=0.5) == [1, 2, 4]
    assert kept(keep_hardest=99) == [0, 1, 2, 3, 4]


def test_what_is_not_counted_never_stays():
    assert kept(counted=np.array([True, False, True, True, False]), keep_hardest=2) == [0, 2]


def test_the_ratio_limits_negatives_and_fills_places():
    assert kept(negatives_per_positive=0.5) == [0, 2, 4]
    assert kept(negatives_per_positive=1e308) == [0, 1, 2, 3, 4]
    assert kept(negatives_per_positive=1.0, keep_hardest=2) == [2, 4]
    assert kept(counted=~POSITIVE, negatives_per_positive=2.0) == [1, 4]
    assert kept(counted=POSITIVE, negatives_per_positive=2.0) == [0, 2]


def test_nan_comes_before_every_number():
    losses = np.array([np.inf, 1.0, np.nan, np.nan])
    for count, expected in ((1, [2]), (2, [2, 3]), (3, [0, 2, 3])):
        got = _reduce.kept(LossSpec(keep_hardest=count), losses, np.ones(4, bool), np.ones(4, bool))
        assert np.flatnonzero(got).tolist() == expected


@pytest.mark.parametrize(
    ("reduction", "expected"), [("none", 1.0), ("sum", 1.0), ("mean", 2.0), ("weighted_mean", 5.0)]
)
def test_the_denominator_counts_what_is_kept(reduction, expected):
    assert _reduce.denominator(LossSpec(reduction=reduction), POSITIVE, WEIGHTS, None) == expected


def test_without_weights_the_weighted_mean_is_the_mean():
    assert _reduce.denominator(LossSpec(reduction="weighted_mean"), POSITIVE, None, None) == 2.0


@pytest.mark.parametrize("reduction", ["none", "sum", "mean", "weighted_mean"])
def test_over_nothing_the_denominator_is_one(reduction):
    assert _reduce.denominator(LossSpec(reduction=reduction), ~ALL, WEIGHTS, None) == 1.0
    of_weightless = _reduce.denominator(LossSpec(reduction=reduction), ALL, 0 * WEIGHTS, None)
    assert of_weightless == (5.0 if reduction == "mean" else 1.0)


def test_a_normalizer_wins():
    assert _reduce.denominator(LossSpec(), ALL, WEIGHTS, 7.5) == 7.5
