"""Denominators and mining, apart from any engine (laws/test_mining.py has the naive choice)."""

from __future__ import annotations

from contextlib import contextmanager

import numpy as np
import pytest

from focalkit import LossSpec
from focalkit._core import reduction as _reduce
from focalkit._core.ops import NUMPY
from focalkit.engines.cpu import fast, machine

LOSSES = np.array([0.5, 2.0, 2.0, 0.0, 9.0])
ALL = np.ones(5, bool)
POSITIVE = np.array([True, False, True, False, False])
WEIGHTS = np.array([1.0, 2.0, 4.0, 8.0, 16.0])
LARGEST = _reduce.largest(NUMPY)


def kept(counted=ALL, **mining):
    found = _reduce.kept(LossSpec(**mining), LOSSES, counted, POSITIVE, NUMPY, LARGEST)
    by_kernels = _reduce.kept(LossSpec(**mining), LOSSES, counted, POSITIVE, NUMPY, fast.largest)
    np.testing.assert_array_equal(by_kernels, found)
    return np.flatnonzero(found).tolist()


@contextmanager
def cpu_threads(n):
    machine.set_num_threads(n)
    try:
        yield
    finally:
        machine.set_num_threads(None)


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
        spec, counted = LossSpec(keep_hardest=count), np.ones(4, bool)
        for largest in (LARGEST, fast.largest):
            got = _reduce.kept(spec, losses, counted, ~counted, NUMPY, largest)
            assert np.flatnonzero(got).tolist() == expected


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("among", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("threads", [1, 3])
def test_the_kernels_choose_as_numpy_does(dtype, among, threads):
    rng = np.random.default_rng(3)
    with cpu_threads(threads):
        for losses in (
            rng.gamma(0.1, size=300_000) ** 9,  # from 0 to large, with subnormal numbers
            rng.integers(-2, 3, 300_000) * 0.5 * rng.choice([-1.0, 1.0], 300_000),  # ties, and zeros of both signs
            np.where(rng.random(300_000) < 0.01, np.nan, rng.choice([np.inf, 1.0, 0.0], 300_000)),
        ):
            losses, mask = losses.astype(dtype), rng.random(losses.size) < among
            for count in (0, 1, 777, 30_000, int(mask.sum()) - 1, int(mask.sum()), 400_000):
                got, want = fast.largest(losses, mask, count), LARGEST(losses, mask, max(count, 0))
                np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize(
    ("reduction", "expected"), [("none", None), ("sum", None), ("mean", 2.0), ("weighted_mean", 5.0)]
)
def test_the_denominator_counts_what_is_kept(reduction, expected):
    assert _reduce.denominator(LossSpec(reduction=reduction), POSITIVE, WEIGHTS, None, NUMPY) == expected


def test_where_all_are_kept_their_number_is_enough():
    assert _reduce.denominator(LossSpec(), 7, None, None, NUMPY) == 7.0
    assert _reduce.denominator(LossSpec(), 0, None, None, NUMPY) == 1.0


@pytest.mark.parametrize("reduction", ["mean", "weighted_mean"])
def test_over_nothing_the_denominator_is_one(reduction):
    assert _reduce.denominator(LossSpec(reduction=reduction), ~ALL, WEIGHTS, None, NUMPY) == 1.0
    of_weightless = _reduce.denominator(LossSpec(reduction=reduction), ALL, 0 * WEIGHTS, None, NUMPY)
    assert of_weightless == (5.0 if reduction == "mean" else 1.0)


def test_a_normalizer_wins():
    assert _reduce.denominator(LossSpec(), ALL, WEIGHTS, 7.5, NUMPY) == 7.5


def test_a_normalizer_of_zero_stands_only_where_something_is_kept():
    for zero in (0, 0.0, np.float32(0)):
        assert _reduce.denominator(LossSpec(), ~ALL, None, zero, NUMPY) == 1.0
        assert _reduce.denominator(LossSpec(), ALL, None, zero, NUMPY) == 0.0
