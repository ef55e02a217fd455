"""The ledger against direct sums over samples."""

import itertools
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mp

from focalkit import InputError, Ledger, LossSpec, diagnose
from focalkit.diagnosis import bins, storage
from focalkit.diagnosis.expansion import _suprema, cell_sums

GAMMAS = (0.0, 0.1, 0.5, 1.0, 2.0, 5.0)


def direct(m, gamma):
    """Loss and |d1| written as in the paper, on log-odds; independent of the package."""
    m = np.asarray(m, float)
    e = np.exp(-np.abs(m))
    q, p = np.where(m > 0, e / (1 + e), 1 / (1 + e)), np.where(m > 0, 1 / (1 + e), e / (1 + e))
    nll = np.logaddexp(0, -m)
    return q**gamma * nll, q**gamma * (q + gamma * p * nll)


def predictions(seed=0, n=4000, k=4, scale=2.5):
    rng = np.random.default_rng(seed)
    targets = rng.choice(k, size=n, p=np.arange(k, 0, -1) / np.arange(k, 0, -1).sum())
    logits = rng.normal(size=(n, k)) * scale
    logits[np.arange(n), targets] += 2
    return logits, targets


def log_odds(logits, targets):
    out = []
    for z, t in zip(logits.astype(float), targets, strict=True):
        others = np.delete(z, t)
        out.append(z[t] - others.max() - np.log(np.exp(others - others.max()).sum()))
    return np.array(out)


def same(a, b, *, exactly=True):
    compare = np.testing.assert_array_equal if exactly else lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-12)
    for name in storage.ARRAYS:
        x, y = getattr(a, name), getattr(b, name)
        scale = 1e-12 * (1 + np.abs(y).max())
        compare(x, y) if exactly else np.testing.assert_allclose(x, y, rtol=1e-12, atol=scale)
    assert (a.spec, a.class_names, a.n_samples, a.n_ignored) == (b.spec, b.class_names, b.n_samples, b.n_ignored)


# --- bins


@given(st.floats(-60, 80))
def test_every_log_odds_lies_in_its_bin(m):
    i = int(bins.bin_of(np.array([m]))[0])
    if i == bins.LEFT:
        assert m <= bins.LOW
    elif i == bins.RIGHT:
        assert m > bins.HIGH
    else:
        assert bins.LOWER[i] < m <= bins.UPPER[i]


@given(st.floats(-1e300, 1e300))
def test_easiness_is_decided_exactly_by_the_bin(m):
    zone = bins.ZONE[bins.bin_of(np.array([m]))][0]
    assert zone == (m > 0) + (m > math.log(9))


# --- sums and their bounds


@settings(deadline=None, max_examples=150)
@given(
    m=st.lists(st.floats(-40, 60), min_size=1, max_size=60),
    gamma=st.one_of(st.sampled_from(GAMMAS), st.floats(0, 8)),
    seed=st.integers(0, 9),
    tight=st.booleans(),
)
def test_the_true_error_of_a_cell_never_exceeds_its_bound(m, gamma, seed, tight):
    rng = np.random.default_rng(seed)
    m = np.array(m)
    m = m[:1] + (m - m[:1]) * 1e-3 if tight else m
    w = rng.uniform(0.1, 3, size=len(m))
    index = bins.bin_of(m)
    distance = np.where(index == bins.RIGHT, 0, m - bins.CENTRE[index])
    used = np.unique(index)
    tables = [np.bincount(index, x, bins.N_BINS)[used] for x in (np.ones_like(m), w, w * distance, w * distance**2)]
    sums = cell_sums(used, *tables, np.full(len(used), gamma))
    loss, grad = direct(m, gamma)
    for k, cell in enumerate(used):
        at = index == cell
        true_loss, true_grad = math.fsum((w * loss)[at]), math.fsum((w * grad)[at])
        assert abs(sums.loss[k] - true_loss) <= sums.loss_error[k]
        assert abs(sums.grad[k] - true_grad) <= sums.grad_error[k]


@pytest.mark.parametrize("gamma", [0.0, 0.3, 1.0, 2.0, 5.0])
def test_bounds_on_third_and_fourth_derivative_hold_against_50_digits(gamma):
    with mp.workdps(50):
        for lower in (-19.875, -3.0, -0.125, 0.0, 1.0, 2.125, 6.0, 20.0):
            upper = lower + 0.125
            sup3, sup4 = _suprema(np.array(lower), np.array(upper), np.array(gamma))
            for t in (0, 0.3, 0.7, 1):
                at = mp.mpf(lower) + t * mp.mpf("0.125")

                def loss(x):
                    return (1 / (1 + mp.exp(x))) ** gamma * mp.log1p(mp.exp(-x))

                assert abs(mp.diff(loss, at, 3)) <= sup3 * (1 + 1e-12)
                assert abs(mp.diff(loss, at, 4)) <= sup4 * (1 + 1e-12)


@pytest.mark.parametrize("gamma", GAMMAS)
def test_class_sums_are_right_to_1e_5_and_within_their_bound(gamma):
    logits, targets = predictions()
    loss, grad = direct(log_odds(logits, targets), gamma)
    shares = diagnose(logits, targets, LossSpec(gamma=3.0)).shares(gamma)
    for quantity, values in ((shares.loss, loss), (shares.grad, grad)):
        true = np.array([math.fsum(values[targets == k]) for k in range(4)])
        assert np.all(np.abs(quantity.total - true) <= quantity.total_error)
        np.testing.assert_allclose(quantity.total, true, rtol=1e-5)
        assert np.all(np.abs(quantity.share - true / true.sum()) <= quantity.share_error)
        assert np.all(quantity.share_error < 3e-4)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10**6), gamma=st.floats(0, 6), beta=st.floats(0, 2), scale=st.floats(0.1, 12))
def test_shares_and_easy_shares_never_exceed_their_bounds(seed, gamma, beta, scale):
    logits, targets = predictions(seed, n=200, scale=scale)
    m = log_odds(logits, targets)
    counts = np.bincount(targets, minlength=4)
    alpha = np.maximum(counts, 1.0) ** -beta
    s = diagnose(logits, targets, LossSpec(gamma=9.0)).shares(gamma, alpha)
    for quantity, values in zip((s.loss, s.grad), direct(m, gamma), strict=True):
        after = np.bincount(targets, values * alpha[targets], 4)
        assert np.all(np.abs(quantity.share_alpha - after / after.sum()) <= quantity.share_alpha_error + 1e-14)
        total = np.bincount(targets, values, 4)
        there = total > 0
        for part, error, floor in (
            (quantity.easy, quantity.easy_error, 0.0),
            (quantity.very_easy, quantity.very_easy_error, math.log(9)),
        ):
            true = np.bincount(targets, values * (m > floor), 4)
            assert np.all(np.abs(part - true / np.where(there, total, 1))[there] <= error[there] + 1e-14)


@pytest.mark.parametrize(("gamma", "worst"), [(1.0, 4e-4), (2.0, 1e-3), (5.0, 6e-3)])
def test_a_class_skewed_in_one_bin_is_as_right_as_the_docs_say(gamma, worst):
    rng = np.random.default_rng(0)
    for n in (3, 10, 500):
        for centre in (-8, -1, 0, 3, 6, 12):
            m = centre + 0.125 * rng.beta(0.3, 0.9, n)
            total = diagnose(np.column_stack([m, 0 * m]), np.zeros(n, int), LossSpec()).shares(gamma).loss
            true = math.fsum(direct(m, gamma)[0])
            assert abs(total.total[0] - true) <= min(total.total_error[0], worst * true)


def test_sums_of_the_asked_spec_are_exact():
    logits, targets = predictions()
    gamma = np.array([0.5, 1.0, 2.0, 3.0])
    m = log_odds(logits, targets)
    loss, grad = direct(m, gamma[targets])
    shares = diagnose(logits, targets, LossSpec(gamma=gamma, alpha=[1, 2, 3, 4])).shares()
    np.testing.assert_allclose(shares.loss.total, np.bincount(targets, loss), rtol=1e-12)
    np.testing.assert_allclose(shares.grad.total, np.bincount(targets, grad), rtol=1e-12)
    after = np.bincount(targets, loss) * [1, 2, 3, 4]
    np.testing.assert_allclose(shares.loss.share_alpha, after / after.sum(), rtol=1e-12)


def test_a_gamma_vector_asked_afterwards_is_per_class():
    logits, targets = predictions()
    gamma = np.array([0.5, 1.0, 2.0, 3.0])
    loss, _ = direct(log_odds(logits, targets), gamma[targets])
    shares = diagnose(logits, targets, LossSpec(gamma=0.0)).shares(gamma)
    np.testing.assert_allclose(shares.loss.total, np.bincount(targets, loss), rtol=1e-5)


def test_easy_samples_are_counted_exactly():
    logits, targets = predictions()
    p_t = 1 / (1 + np.exp(-log_odds(logits, targets)))
    shares = diagnose(logits, targets).shares()
    for k in range(4):
        of_class = p_t[targets == k]
        assert shares.easy_samples[k] == pytest.approx((of_class > 0.5).mean(), abs=1e-15)
        assert shares.very_easy_samples[k] == pytest.approx((of_class > 0.9).mean(), abs=1e-15)


# --- adding


@settings(deadline=None, max_examples=30)
@given(cuts=st.lists(st.integers(0, 300), max_size=4), order=st.randoms(use_true_random=False))
def test_ledgers_of_any_partition_added_in_any_order_are_the_whole(cuts, order):
    logits, targets = predictions(n=300)
    whole = diagnose(logits, targets)
    edges = [0, *sorted(cuts), 300]
    parts = [diagnose(logits[a:b], targets[a:b]) for a, b in itertools.pairwise(edges)]
    order.shuffle(parts)
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    same(total, whole, exactly=False)


def test_updates_in_pieces_equal_one_call():
    logits, targets = predictions()
    ledger = Ledger(LossSpec(gamma=2.0), 4)
    for i in range(0, len(targets), 7):
        ledger.update(logits[i : i + 7], targets[i : i + 7])
    same(ledger, diagnose(logits, targets), exactly=False)


def test_ledgers_of_different_losses_or_classes_are_not_added():
    logits, targets = predictions(n=50)
    with pytest.raises(InputError, match="same spec"):
        diagnose(logits, targets) + diagnose(logits, targets, LossSpec(gamma=1.0))
    with pytest.raises(InputError, match="same class_names"):
        diagnose(logits, targets) + diagnose(logits, targets, class_names=list("abcd"))


def test_a_refused_batch_leaves_the_ledger_as_it_was():
    logits, targets = predictions(n=200_000, k=2)
    ledger, untouched = diagnose(logits, targets), diagnose(logits, targets)
    logits[-1, 0] = np.nan
    with pytest.raises(InputError, match=r"nan in row 199999, column 0"):
        ledger.update(logits, targets)
    same(ledger, untouched)


# --- keeping


@pytest.mark.parametrize("spec", [LossSpec(gamma=1.3, alpha=[1, 2, 3, 0.1]), LossSpec(gamma=[0, 1, 2, 3])])
def test_json_round_trip_keeps_every_bit(spec):
    logits, targets = predictions(n=999)
    ledger = diagnose(
        logits, targets, spec, sample_weight=np.linspace(0.1, 3, 999), class_names=["甲", 'b"', "<c>", "d"]
    )
    same(Ledger.from_json(ledger.to_json()), ledger)


def test_json_holds_only_bins_with_samples():
    text = diagnose(np.array([[1.0, 0.0]]), np.array([0])).to_json()
    assert [row["bin"] for row in json.loads(text)["rows"]] == [[168], []]


@pytest.mark.parametrize("damage", ["", "[]", "{", '{"format": "focalkit-ledger", "version": 99}', "null"])
def test_text_that_is_no_ledger_is_refused(damage):
    with pytest.raises(InputError, match="text must be"):
        Ledger.from_json(damage)


def test_a_ledger_with_a_part_missing_is_refused():
    document = json.loads(diagnose(*predictions(n=20)).to_json())
    for name in ("spec", "rows", "n_samples", "class_names"):
        with pytest.raises(InputError, match="text must be"):
            Ledger.from_json(json.dumps({k: v for k, v in document.items() if k != name}))
    document["rows"].pop()
    with pytest.raises(InputError):
        Ledger.from_json(json.dumps(document))


@pytest.mark.parametrize(
    "reading", [{"reduction": "sum"}, {"reduction": "none", "ignore_index": -1}, {"class_axis": -1}]
)
def test_what_only_says_how_batches_are_read_parts_no_ledgers(reading):
    logits, targets = predictions(n=60)
    mine, theirs = (diagnose(logits, targets, LossSpec(gamma=2.0, **options)) for options in (reading, {}))
    assert mine == theirs
    assert Ledger.from_json(mine.to_json()) == mine
    assert (mine + Ledger.from_json(mine.to_json())).n_samples == 120


@pytest.mark.parametrize("link", ["softmax", "sigmoid"])
def test_a_sum_of_ledgers_is_the_ledger_of_all(link):
    logits, targets = predictions(n=90)
    targets = targets if link == "softmax" else np.eye(4)[targets]
    spec = LossSpec(link, 2.0)
    parts = [diagnose(logits[i::3], targets[i::3], spec) for i in range(3)]
    assert sum(parts) == parts[0] + parts[1] + parts[2]
    assert sum(parts[:1]) == parts[0]
    assert sum(parts[:1]) is not parts[0]
    assert parts[0] != parts[1]
    assert parts[0] != diagnose(logits[0::3], targets[0::3], LossSpec(link, 1.0))
    with pytest.raises(TypeError):
        1 + parts[0]
    with pytest.raises(TypeError):
        hash(parts[0])
