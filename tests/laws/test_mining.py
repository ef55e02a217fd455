"""Which losses stay, against a choice made one by one in plain Python."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from focalkit import LossSpec


def chosen_naively(losses, counted, positive, keep, ratio):
    """Indices that stay: sort by (loss downwards, place upwards) and count in exact fractions."""

    def hardest(places, among):
        return sorted(sorted(among), key=lambda i: -losses[i])[:places]

    counted = [i for i in range(len(losses)) if counted[i]]
    budget = len(counted)
    if isinstance(keep, int):
        budget = min(keep, budget)
    elif keep is not None and budget:
        budget = max(1, math.ceil(Fraction(str(keep)) * budget))
    if ratio is None:
        return set(hardest(budget, counted))
    ratio = Fraction(str(ratio))
    positives = [i for i in counted if positive[i]]
    places = len(positives) if keep is None else max(1, math.floor(budget / (1 + ratio)))
    kept = hardest(min(places, budget), positives)
    places = min(math.floor(ratio * max(len(kept), 1)), budget - len(kept))
    return set(kept) | set(hardest(places, [i for i in counted if not positive[i]]))


keeps = st.one_of(st.none(), st.integers(1, 15), st.sampled_from([0.07, 0.1, 0.25, 0.3, 0.5, 0.9, 1.0]))
ratios = st.one_of(st.none(), st.sampled_from([0.1, 0.58, 1.0, 3.0, 2.5, 1e300]))


@given(
    link=st.sampled_from(["softmax", "sigmoid"]),
    keep=keeps,
    ratio=ratios,
    n=st.integers(0, 12),
    seed=st.integers(0, 2**32 - 1),
)
def test_what_stays_is_what_a_naive_choice_keeps(engine, link, keep, ratio, n, seed):
    random = np.random.default_rng(seed)
    spec = {"link": link, "gamma": 2.0, "alpha": 0.25}
    z = random.integers(-2, 3, (n, 3)).astype(float)  # few values, so many ties
    t = random.integers(3, size=n) if link == "softmax" else random.integers(2, size=(n, 3))
    t = np.where(random.random(t.shape) < 0.2, -100, t)
    loss, grad, hess = engine.loss_grad_hess(LossSpec(**spec, reduction="none"), z, t)
    flat, flat_t = loss.reshape(-1), t.reshape(-1)
    kept = chosen_naively(flat.tolist(), flat_t != -100, flat_t > 0, keep, ratio)
    mask = np.isin(np.arange(flat.size), list(kept)).reshape(loss.shape)
    mining = {**spec, "keep_hardest": keep, "negatives_per_positive": ratio}
    got = engine.loss_grad_hess(LossSpec(**mining, reduction="none"), z, t)
    rows = mask[:, None] if link == "softmax" else mask
    for one, other in zip(got, (loss * mask, grad * rows, hess * rows), strict=True):
        np.testing.assert_array_equal(one, other)
    mean = engine.loss_grad_hess(LossSpec(**mining, reduction="mean"), z, t)
    np.testing.assert_allclose(mean[0], flat[list(kept)].sum() / max(len(kept), 1), rtol=1e-13)
    np.testing.assert_allclose(mean[1], grad * rows / max(len(kept), 1), rtol=1e-13)


def kept(engine, spec, z, t, **kw):
    return np.flatnonzero(engine.loss(LossSpec("sigmoid", reduction="none", **spec), z, t, **kw)).tolist()


def test_of_equal_losses_the_first_stay(engine):
    assert kept(engine, {"keep_hardest": 2}, np.zeros(5), np.ones(5, int)) == [0, 1]


def test_of_many_equal_losses_the_first_stay(engine):
    assert kept(engine, {"keep_hardest": 70}, np.tile([0.0, 1.0, -1.0], 100), np.ones(300, int))[:3] == [2, 5, 8]
    assert kept(engine, {"keep_hardest": 70}, np.zeros(300), np.ones(300, int)) == list(range(70))


def test_a_soft_target_of_one_half_is_a_positive_for_sigmoid_and_class_zero_a_negative_for_softmax(engine):
    spec = {"reduction": "none", "negatives_per_positive": 1.0}
    loss = engine.loss(LossSpec("sigmoid", **spec), np.zeros(4), np.array([0.5, 0.5, 0.25, 0.25]))
    np.testing.assert_array_equal(loss > 0, [True] * 4)
    loss = engine.loss(LossSpec("softmax", **spec), np.zeros((4, 2)), np.array([[0.5, 0.5]] * 3 + [[0.25, 0.75]]))
    np.testing.assert_array_equal(loss > 0, [True, False, False, True])


def test_a_fraction_is_of_the_counted_losses(engine):
    t = np.array([1, -100, 1, -100, 1, 1])
    assert kept(engine, {"keep_hardest": 0.5}, np.arange(6.0), t) == [0, 2]


@pytest.mark.parametrize(("fraction", "n", "n_kept"), [(0.07, 100, 7), (0.1, 30, 3), (0.001, 10, 1), (1.0, 7, 7)])
def test_a_fraction_keeps_no_more_for_its_rounding(engine, fraction, n, n_kept):
    assert len(kept(engine, {"keep_hardest": fraction}, np.zeros(n), np.ones(n, int))) == n_kept


def test_a_whole_one_is_a_count_and_a_float_one_is_everything(engine):
    assert len(kept(engine, {"keep_hardest": 1}, np.zeros(5), np.ones(5, int))) == 1
    assert len(kept(engine, {"keep_hardest": 1.0}, np.zeros(5), np.ones(5, int))) == 5


def test_negatives_are_limited_per_positive(engine):
    t = np.array([0] * 8 + [1] * 2)
    z = np.arange(10.0)  # the later a negative, the harder
    assert kept(engine, {"negatives_per_positive": 3.0}, z, t) == [2, 3, 4, 5, 6, 7, 8, 9]


def test_positives_and_negatives_share_the_places_by_their_ratio(engine):
    t = np.array([0] * 20 + [1] * 8)
    z = np.r_[np.arange(20.0), np.arange(8.0)]  # the earlier a positive, the harder
    spec = {"keep_hardest": 8, "negatives_per_positive": 3.0}
    assert kept(engine, spec, z, t) == [14, 15, 16, 17, 18, 19, 20, 21]


def test_without_positives_as_many_negatives_stay_as_for_one(engine):
    assert kept(engine, {"negatives_per_positive": 3.0}, np.arange(9.0), np.zeros(9, int)) == [6, 7, 8]


def test_weights_decide_what_is_hard(engine):
    weight = np.array([1.0, 1.0, 5.0, 1.0])
    assert kept(engine, {"keep_hardest": 1}, np.zeros(4), np.ones(4, int), sample_weight=weight) == [2]


def test_nan_is_the_hardest_of_all(engine):
    z = np.array([[0.0, 1.0], [np.nan, 0.0], [-np.inf, 0.0]])
    assert np.isnan(engine.loss(LossSpec(keep_hardest=1), z, np.zeros(3, int)))


@pytest.mark.parametrize("soft", [False, True])
def test_softmax_negatives_are_class_zero(engine, soft):
    ids = np.array([0, 1, 2, 0, 0])
    t = np.eye(3)[ids] if soft else ids
    z = np.zeros((5, 3))
    loss = engine.loss(LossSpec(reduction="none", negatives_per_positive=0.5), z, t)
    np.testing.assert_array_equal(loss > 0, [True, True, True, False, False])
