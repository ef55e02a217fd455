"""Figure 1 and Figure 4 against the paper's formula and against sorting every sample."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from focalkit import InputError, LossSpec, diagnose
from focalkit.diagnosis import loss_curves
from tests.diagnosis.test_ledger import direct, log_odds, predictions

# the formula at p_t = .1, .3, .5, .7, .9, .99, evaluated at 50 digits
FIGURE_1 = {
    0.0: (2.302585, 1.203973, 0.693147, 0.356675, 0.105361, 0.0100503),
    0.5: (2.184424, 1.007316, 0.490129, 0.195359, 0.0333179, 1.00503e-3),
    1.0: (2.072327, 0.842781, 0.346574, 0.107003, 0.0105361, 1.00503e-4),
    2.0: (1.865094, 0.589947, 0.173287, 0.0321007, 1.053605e-3, 1.00503e-6),
    5.0: (1.359653, 0.202352, 0.0216609, 8.66720e-4, 1.053605e-6, 1.00503e-12),
}


@pytest.mark.parametrize("gamma", FIGURE_1)
def test_figure_1_has_the_values_of_the_formula(gamma):
    curves = loss_curves(n_points=100)
    at = [9, 29, 49, 69, 89, 98]
    np.testing.assert_allclose(curves.loss[curves.gammas.index(gamma)][at], FIGURE_1[gamma], rtol=5e-6)


def test_figure_1_ends_at_zero_loss_and_falls_everywhere():
    curves = loss_curves()
    assert curves.p_t[-1] == 1
    assert np.all(curves.loss[:, -1] == 0)
    assert np.all(np.diff(curves.loss, axis=1) < 0)


@pytest.mark.parametrize("bad", [[], [-1.0], [np.nan], ["a"]])
def test_a_gamma_that_is_none_is_refused(bad):
    with pytest.raises(InputError, match="gamma"):
        loss_curves(bad)


def test_fewer_than_two_points_are_refused():
    with pytest.raises(InputError, match="n_points"):
        loss_curves(n_points=1)


def lorenz(m, gamma, fractions):
    """Figure 4 by sorting: the loss of the easiest samples, whole ones only, over the total."""
    loss = np.sort(direct(m, gamma)[0])
    running = np.append(0, np.cumsum(loss)) / loss.sum()
    return running[np.round(fractions * len(m)).astype(int)]


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10**6), gamma=st.floats(0, 6), scale=st.floats(0.1, 10))
def test_cumulative_curves_equal_sorting_all_samples(seed, gamma, scale):
    logits, targets = predictions(seed, n=400, scale=scale)
    m = log_odds(logits, targets)
    ledger = diagnose(logits, targets)
    by_class, by_sign, overall = (ledger.cumulative(gamma, by) for by in ("class", "sign", "all"))
    groups = [(by_class, k, targets == k) for k in range(4)]
    groups += [(by_sign, 0, targets == 0), (by_sign, 1, targets > 0), (overall, 0, targets >= 0)]
    for curves, i, members in groups:
        if not members.any():
            continue
        true = lorenz(m[members], gamma, curves.sample_share[i])
        assert np.all(np.abs(curves.loss_share[i] - true) <= curves.loss_share_error[i] + 1e-13)
        assert curves.loss_share_error[i].max() < 5e-3


def test_between_two_points_the_true_curve_is_on_or_below_the_chord():
    logits, targets = predictions()
    m = log_odds(logits, targets)[targets == 0]
    curves = diagnose(logits, targets).cumulative(2.0)
    every = np.arange(len(m) + 1) / len(m)
    chord = np.interp(every, curves.sample_share[0], curves.loss_share[0])
    assert np.all(lorenz(m, 2.0, every) <= chord + curves.loss_share_error[0].max())


@pytest.mark.parametrize("gamma", [0.0, 2.0])
def test_the_hardest_samples_that_carry_half_the_loss_are_found(gamma):
    logits, targets = predictions(n=20_000)
    loss = np.sort(direct(log_odds(logits, targets), gamma)[0])[::-1]
    true = np.searchsorted(np.cumsum(loss), loss.sum() / 2) / len(loss)
    found = diagnose(logits, targets).cumulative(gamma, "all").hardest(0.5)[0]
    assert found == pytest.approx(true, abs=2e-3)


def test_positives_of_a_sigmoid_are_its_odd_rows():
    rng = np.random.default_rng(0)
    logits, targets = rng.normal(size=(500, 3)), rng.integers(0, 2, size=(500, 3))
    curves = diagnose(logits, targets, LossSpec("sigmoid")).cumulative(2.0, "sign")
    assert curves.names == ("negatives", "positives")
    true = lorenz(logits[targets == 1], 2.0, curves.sample_share[1])
    assert np.all(np.abs(curves.loss_share[1] - true) <= curves.loss_share_error[1] + 1e-13)


def test_a_class_without_samples_has_a_flat_curve():
    curves = diagnose(np.zeros((3, 2)), np.zeros(3, int)).cumulative(1.0)
    assert np.all(curves.loss_share[1] == 0)
    assert np.isfinite(curves.hardest()).all()
