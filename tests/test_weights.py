"""Class weights of every scheme against their printed formulas."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mpmath import mp, mpf
from sklearn.utils.class_weight import compute_class_weight

from focalkit import InputError, class_weights, deferred_weights, long_tail_counts, prior_bias
from focalkit.weights import SCHEMES, alpha_of_classes

COUNTS = [5000, 300, 20, 1]
counts_strategy = st.lists(st.integers(0, 10**7), min_size=1, max_size=12)


def test_inverse_is_one_over_n_and_sums_to_one():
    weights = class_weights(COUNTS, "inverse")
    np.testing.assert_allclose(weights * COUNTS, np.full(4, weights[3]), rtol=1e-14)
    assert weights.sum() == pytest.approx(1, rel=1e-15)


def test_balanced_is_that_of_scikit_learn():
    y = np.repeat(np.arange(4), COUNTS)
    expected = compute_class_weight("balanced", classes=np.arange(4), y=y)
    np.testing.assert_allclose(class_weights(COUNTS, "balanced"), expected, rtol=1e-14)
    np.testing.assert_allclose(class_weights(COUNTS), sum(COUNTS) / (4 * np.array(COUNTS)), rtol=1e-14)


@pytest.mark.parametrize("beta", [0.0, 0.25, 0.5, 1.0, 2.0])
def test_power_is_n_to_the_minus_beta_with_a_mean_of_one_over_samples(beta):
    n = np.array(COUNTS, float)
    weights = class_weights(COUNTS, "power", beta=beta)
    np.testing.assert_allclose(weights / weights[0], (n / n[0]) ** -beta, rtol=1e-13)
    assert np.average(weights, weights=n) == pytest.approx(1, rel=1e-14)


def test_named_powers_are_powers():
    np.testing.assert_allclose(class_weights(COUNTS, "sqrt"), class_weights(COUNTS, "power", beta=0.5), rtol=1e-15)
    np.testing.assert_allclose(class_weights(COUNTS, "balanced"), class_weights(COUNTS, "power"), rtol=1e-15)
    np.testing.assert_allclose(class_weights(COUNTS, "power", beta=0), np.ones(4), rtol=1e-15)


def test_a_huge_exponent_underflows_to_zero_and_never_to_nan():
    np.testing.assert_allclose(class_weights([1000, 10], "power", beta=400), [0, 101], rtol=1e-14)


def test_median_gives_the_median_class_one():
    np.testing.assert_allclose(class_weights([8, 2, 4], "median"), [0.5, 2, 1], rtol=1e-15)


@pytest.mark.parametrize("beta", [0.0, 0.5, 0.9, 0.999, 0.9999, 1 - 1e-9, 1 - 2.0**-52, 1 - 2.0**-53])
def test_effective_is_the_published_formula_even_for_beta_next_to_one(beta):
    with mp.workdps(60):
        b = mpf(beta)
        raw = [(1 - b) / (1 - b**n) for n in COUNTS]
        expected = [float(w * len(raw) / sum(raw)) for w in raw]
    np.testing.assert_allclose(class_weights(COUNTS, "effective", beta=beta), expected, rtol=1e-14)


def test_effective_goes_from_uniform_to_inverse():
    np.testing.assert_allclose(class_weights(COUNTS, "effective", beta=0), np.ones(4))
    near = class_weights(COUNTS, "effective", beta=1 - 2.0**-53)
    np.testing.assert_allclose(near / 4, class_weights(COUNTS, "inverse"), rtol=1e-11)
    np.testing.assert_array_equal(class_weights(COUNTS, "effective"), class_weights(COUNTS, "effective", beta=0.999))


@pytest.mark.parametrize("scheme", SCHEMES)
@given(counts=counts_strategy)
def test_weights_are_positive_finite_and_never_smaller_for_a_rarer_class(scheme, counts):
    weights = class_weights(counts, scheme)
    assert weights.dtype == np.float64
    assert weights.shape == (len(counts),)
    assert np.all(np.isfinite(weights))
    assert np.all(weights > 0)
    order = np.argsort(np.maximum(counts, 1), kind="stable")
    assert np.all(np.diff(weights[order]) <= 1e-12 * weights.max())


@pytest.mark.parametrize("scheme", SCHEMES)
def test_an_absent_class_weighs_like_one_sample(scheme):
    np.testing.assert_array_equal(class_weights([50, 0, 7], scheme), class_weights([50, 1, 7], scheme))


@pytest.mark.parametrize("counts", [[], [[1, 2]], [1, -1], [1, np.nan], [1, np.inf], ["a"], 5, [True, False], None])
def test_what_are_no_counts_is_refused(counts):
    with pytest.raises(InputError, match=r"^counts must be a vector of one number >= 0 per class; got .*bincount"):
        class_weights(counts)


def test_a_wrong_scheme_or_beta_is_refused():
    with pytest.raises(InputError, match=r"^scheme must be one of 'inverse', 'balanced'.*; got 'rare'"):
        class_weights(COUNTS, "rare")
    for scheme in ("inverse", "balanced", "sqrt", "median"):
        with pytest.raises(InputError, match=r"^beta must be given with scheme 'power' or 'effective' only; got 0\.5"):
            class_weights(COUNTS, scheme, beta=0.5)
    for beta in (1.0, -0.1, np.nan):
        with pytest.raises(InputError, match=r"^beta must be a number in \[0, 1\)"):
            class_weights(COUNTS, "effective", beta=beta)
    with pytest.raises(InputError, match=r"^beta must be a number in \[0, inf\)"):
        class_weights(COUNTS, "power", beta=-1)


def test_the_prior_bias_is_the_papers():
    assert prior_bias(0.01) == pytest.approx(-4.59512, abs=5e-6)
    assert prior_bias(0.5) == 0
    assert isinstance(prior_bias(np.float32(0.25)), float)


@pytest.mark.parametrize("prior", [1e-300, 1e-9, 0.3, 1 - 1e-12])
def test_the_prior_bias_gives_the_prior_back(prior):
    expected = float(mp.log(mpf(prior) / (1 - mpf(prior))))
    assert prior_bias(prior) == pytest.approx(expected, rel=1e-15)


def test_the_prior_bias_of_a_distribution_is_its_softmax():
    pi = np.array([0.7, 0.2, 0.1])
    np.testing.assert_allclose(np.exp(prior_bias(pi)), pi, rtol=1e-15)


@pytest.mark.parametrize(
    ("prior", "match"), [(0, "in"), (1, "in"), ([0.5, 0.6], "sum to 1"), ([1.0, 0.0], "in"), ("x", "in")]
)
def test_a_prior_that_is_none_is_refused(prior, match):
    with pytest.raises(InputError, match=f"^prior must .*{match}"):
        prior_bias(prior)


# counts as people have them


def test_counts_by_class_id_are_put_in_order():
    expected = class_weights(COUNTS)
    for counts in (
        {2: 20, 0: 5000, 3: 1, 1: 300},
        Counter({np.int64(1): 300, np.int64(0): 5000, np.int64(2): 20, np.int64(3): 1}),
        pd.Series(np.repeat([3, 1, 0, 2], [1, 300, 5000, 20])).value_counts(),
        pd.Series([20, 5000, 1, 300], index=[2, 0, 3, 1]),
        pd.Series(COUNTS),
    ):
        np.testing.assert_array_equal(class_weights(counts), expected)


@pytest.mark.parametrize(
    ("counts", "remedy"),
    [
        (pd.Series(["a", "b", "a"]).value_counts(), r"got \['a', 'b'\].*for name in classes"),
        ({"a": 3, "b": 2}, r"got \['a', 'b'\].*for name in classes"),
        (pd.Series([0, 3, 3]).value_counts(), r"got \[3, 0\].*counts.reindex\(range\(4\)\)"),
        ({0: 5, 2: 1}, r"counts.get\(k, 0\) for k in range\(3\)"),
        ({1: 5, 2: 1}, "Every class needs its count"),
        ({False: 5, True: 1}, "one per class in their order"),
        ({}, "E.g. numpy.bincount"),
    ],
)
def test_counts_whose_order_is_not_known_are_refused_with_the_reason(counts, remedy):
    with pytest.raises(InputError, match=rf"^counts must .*{remedy}"):
        class_weights(counts)


def test_unknown_classes_are_named_as_they_were_written():
    with pytest.raises(InputError, match=r"^alpha must name classes out of \['a', 'b'\]; got 'c'"):
        alpha_of_classes({"c": 2.0}, np.array(["a", "b"]), [1, 1])


@pytest.mark.parametrize(
    ("n_largest", "n_classes", "imbalance", "total", "last"),
    [
        (5000, 10, 10, 20431, 500),
        (5000, 10, 50, 13996, 100),
        (5000, 10, 100, 12406, 50),
        (500, 100, 10, 19573, 50),
        (500, 100, 50, 12608, 10),
        (500, 100, 100, 10847, 5),
    ],
)
def test_long_tails_have_the_totals_of_the_published_cifar_sets(n_largest, n_classes, imbalance, total, last):
    counts = long_tail_counts(n_largest, n_classes, imbalance)
    assert (counts[0], counts[-1], counts.sum()) == (n_largest, last, total)
    assert (np.diff(counts) <= 0).all()


@given(st.integers(1, 10**6), st.integers(2, 1000), st.floats(1, 1e6))
def test_a_long_tail_ends_at_the_largest_over_the_imbalance_or_is_refused(n_largest, n_classes, imbalance):
    if imbalance > n_largest * (1 + 1e-9):
        with pytest.raises(InputError, match="imbalance"):
            long_tail_counts(n_largest, n_classes, imbalance)
    elif imbalance < n_largest * (1 - 1e-9):
        counts = long_tail_counts(n_largest, n_classes, imbalance)
        assert counts[0] == n_largest
        assert counts[-1] in (int(n_largest / imbalance), round(n_largest / imbalance))


@pytest.mark.parametrize(
    "wrong",
    [{"n_largest": 0}, {"n_largest": 2.5}, {"n_classes": 1}, {"imbalance": 0.5}, {"imbalance": np.nan}],
)
def test_a_long_tail_of_impossible_shape_is_refused_by_name(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        long_tail_counts(**{"n_largest": 5000, "n_classes": 10, "imbalance": 100, **wrong})


@pytest.mark.parametrize("scheme", ["effective", "balanced", "sqrt"])
@given(epoch=st.integers(0, 300), start=st.integers(0, 300))
def test_deferred_weights_are_ones_before_their_start_and_the_scheme_from_then_on(scheme, epoch, start):
    counts = [5000, 50, 0]
    want = np.ones(3) if epoch < start else class_weights(counts, scheme)
    assert np.array_equal(deferred_weights(counts, epoch, start, scheme), want)


def test_deferred_weights_are_the_published_ones():
    """LDAM-DRW's cifar_train.py: (1 - beta) / (1 - beta^n), beta 0.9999 from epoch 160 on, scaled to sum to K."""
    counts = long_tail_counts(5000, 10, 100)
    published = (1 - 0.9999) / (1 - 0.9999**counts)
    got = deferred_weights(counts, 160, 160, beta=0.9999)
    assert np.allclose(got, published / published.sum() * 10, rtol=1e-9)


@pytest.mark.parametrize("wrong", [{"epoch": -1}, {"start": np.nan}, {"scheme": "late"}, {"beta": 2}])
def test_deferred_weights_refuse_what_they_cannot_mean_by_name(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        deferred_weights(**{"counts": [5, 3], "epoch": 1, "start": 2, **wrong})
