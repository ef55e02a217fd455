"""Free remedies from a sample of the predictions; what ledgers hint at; what changed between two."""

import numpy as np
import pytest

from focalkit import InputError, LossSpec, diagnose, recover_posterior
from focalkit.diagnosis.advice import contradicted, starting_point
from focalkit.diagnosis.compare import changes
from focalkit.diagnosis.remedies import remedies
from focalkit.diagnosis.result import Diagnosis
from focalkit.diagnosis.sample import Sample, place_hash
from focalkit.diagnosis.scoring import Exclusive, Independent
from focalkit.io.convert import Predicted
from focalkit.report.diagnose import accuracy
from focalkit.report.diagnose import remedies as section
from focalkit.report.messages import say

K = 3
PRIOR = np.array([0.9, 0.08, 0.02])


def bayes(n=30_000, seed=0, scale=1.0):
    """Logits that are the true log posterior of Gaussian classes, times ``scale``."""
    rng = np.random.default_rng(seed)
    ids = rng.choice(K, n, p=PRIOR)
    x = rng.normal(size=(n, 2)) + np.array([[0, 0], [2, 0], [0, 2.5]])[ids]
    centres = np.array([[0, 0], [2, 0], [0, 2.5]])
    z = np.log(PRIOR) + x @ centres.T - 0.5 * (centres**2).sum(axis=1)
    return (scale * z).astype(np.float32), ids


def sample_of(z, ids, most=100_000, cuts=1):
    parts = []
    for piece in np.array_split(np.arange(len(ids)), cuts):
        parts.append(Sample("softmax", z.shape[1], most))
        parts[-1].offer(Predicted(z[piece], ids[piece], None, int(piece[0]) + 1), 0, -100)
    return parts


def by_name(found):
    return {way.name: way for way in found.found}


def test_samples_add_to_the_same_rows_in_any_order():
    z, ids = bayes(6000)
    whole = sample_of(z, ids, 900)[0]
    whole.settle()
    a, b, c = sample_of(z, ids, 900, 3)
    for total in (a + b + c, c + (a + b), (b + c) + a):
        assert np.array_equal(total.key, whole.key)
        assert np.array_equal(total.logits, whole.logits)
        assert np.array_equal(total.seen, np.bincount(ids, minlength=K))


def test_every_class_keeps_its_rows_however_rare():
    z, ids = bayes(30_000)
    some = sample_of(z, ids, 900)[0]
    some.settle()
    assert np.bincount(some.stratum, minlength=K).tolist() == [300, 300, 300]


def test_hashes_of_places_are_spread_evenly():
    keys = place_hash(0, np.arange(100_000))
    assert len(np.unique(keys)) == 100_000
    assert abs((keys >> np.uint64(63)).astype(float).mean() - 0.5) < 0.01


def test_shifted_decisions_beat_the_posterior_s_own_in_balanced_accuracy():
    found = by_name(remedies(sample_of(*bayes())[0]))
    shifted = found["shifted"].scores["balanced_accuracy"]
    assert 0.7 <= found["shifted"].setting <= 1.3
    assert shifted.gain > 4 * shifted.gain_error > 0


def test_temperature_finds_what_the_logits_were_multiplied_by():
    found = by_name(remedies(sample_of(*bayes(scale=2.5))[0]))
    assert found["temperature"].setting == pytest.approx(2.5, rel=0.1)
    score = found["temperature"].scores["log_loss"]
    assert score.gain < -4 * score.gain_error
    assert found["temperature"].scores["calibration_error"].gain < 0
    assert by_name(remedies(sample_of(*bayes())[0]))["temperature"].setting == pytest.approx(1, abs=0.06)


def test_the_posterior_of_a_focal_loss_is_recovered():
    z, ids = bayes(8000)
    e = np.exp(z.astype(float))
    truth = e / e.sum(axis=1, keepdims=True)
    grid = np.linspace(-12, 12, 2001)
    pair = 1 / (1 + np.exp(-grid))
    bent = np.interp(truth[:, 1] / (truth[:, 0] + truth[:, 1]), recover_posterior(pair, 2.0), pair)
    two = np.column_stack([np.log1p(-bent), np.log(bent)])[ids < 2]
    found = by_name(remedies(sample_of(two, ids[ids < 2])[0], gamma=2.0))
    score = found["recovered"].scores["log_loss"]
    assert score.gain < -3 * score.gain_error


def test_the_sampled_figures_are_those_of_all_rows_within_the_noise():
    z, ids = bayes(60_000)
    score = by_name(remedies(sample_of(z, ids, 3000)[0]))["as they are"].scores
    recall = [np.mean(z[ids == k].argmax(axis=1) == k) for k in range(K)]
    nll = np.log(np.exp(z.astype(float)).sum(axis=1)) - z[np.arange(len(z)), ids]
    for name, want in (("balanced_accuracy", np.mean(recall)), ("log_loss", nll.mean())):
        assert abs(score[name].value - want) < 4 * score[name].error


def test_too_few_rows_or_a_bad_prior_are_no_ground_for_remedies():
    z, ids = bayes(30)
    assert remedies(sample_of(z, ids)[0]) is None
    with pytest.raises(InputError, match="prior must be 3 positive numbers"):
        remedies(sample_of(*bayes(500))[0], prior=[1, 2])


def test_words_are_there_in_both_languages():
    found = remedies(sample_of(*bayes(2000))[0], gamma=1.0)
    some = Diagnosis(diagnose(*bayes(50)), remedies=found)
    assert [finding.id for finding in some.remedy_findings] == ["shift", "decided", "temperature", "recovered"]
    for finding in some.remedy_findings:
        assert say(finding) != say(finding, "zh-CN")
    table = section(some, 20).parts[0]
    assert [len(row) for row in table.rows] == [5] * 5
    assert len(accuracy(found)) == K


# --- independent columns

RARE = np.array([0.5, 0.05, 0.01])


def columns(n=30_000, seed=0, scale=1.0):
    """Logits that are the true log-odds of Gaussian columns, times ``scale``, and targets 0 and 1."""
    rng = np.random.default_rng(seed)
    y = (rng.random((n, K)) < RARE).astype(np.int64)
    x = rng.normal(size=(n, K)) + 2.5 * y
    z = 2.5 * x - 0.5 * 2.5**2 + np.log(RARE) - np.log1p(-RARE)
    return (scale * z).astype(np.float32), y


def column_sample(z, y, most=200_000, cuts=1):
    parts = []
    for piece in np.array_split(np.arange(len(y)), cuts):
        parts.append(Sample("sigmoid", z.shape[1], most))
        parts[-1].offer(Predicted(z[piece], y[piece], None, int(piece[0]) + 1), 0, -100)
    return parts


def test_samples_of_columns_add_in_any_order_and_keep_rare_positives():
    z, y = columns(6000)
    whole = column_sample(z, y, 600)[0]
    whole.settle()
    a, b, c = column_sample(z, y, 600, 3)
    for total in (a + b + c, c + (a + b)):
        assert np.array_equal(total.key, whole.key)
        assert np.array_equal(total.logits, whole.logits)
        assert np.array_equal(total.seen, np.column_stack([(y == 0).sum(0), (y == 1).sum(0)]).reshape(-1))
    kept = np.bincount(whole.stratum, minlength=2 * K)
    assert np.array_equal(kept, np.minimum(whole.seen, 100))


def test_ignored_and_soft_targets_of_columns_are_left_out():
    z, y = columns(500)
    y[:100, 1] = -100
    some = column_sample(z, y)[0]
    assert some.seen.reshape(-1, 2).sum(axis=1).tolist() == [500, 400, 500]
    soft = column_sample(z, np.full(y.shape, 0.3))[0]
    assert soft.seen.sum() == 0
    assert remedies(soft) is None


def test_figures_of_columns_are_sklearn_s_on_all_rows_within_the_noise():
    from sklearn.metrics import balanced_accuracy_score, f1_score, log_loss

    z, y = columns(60_000)
    score = by_name(remedies(column_sample(z, y, 30_000)[0]))["as they are"].scores
    p = 1 / (1 + np.exp(-z.astype(float)))
    want = {
        "balanced_accuracy": np.mean([balanced_accuracy_score(y[:, k], z[:, k] > 0) for k in range(K)]),
        "macro_f1": f1_score(y, z > 0, average="macro"),
        "log_loss": np.mean([log_loss(y[:, k], p[:, k]) for k in range(K)]),
    }
    for name, value in want.items():
        assert abs(score[name].value - value) < 4 * score[name].error, name
    assert score["calibration_error"].value < 0.01


def test_shifted_thresholds_help_rare_columns_and_are_named():
    found = remedies(column_sample(*columns())[0])
    shifted = found.named("shifted")
    gain = shifted.scores["balanced_accuracy"]
    assert 0.7 <= shifted.setting <= 1.3
    assert gain.gain > 4 * gain.gain_error > 0
    odds = (RARE / (1 - RARE)) ** shifted.setting
    rows = accuracy(found)
    assert [float(rows[2 * k + 1][-1]) for k in range(K)] == pytest.approx(odds / (1 + odds), rel=0.1)
    assert shifted.recall[5] > found.found[0].recall[5] + 0.2


def test_the_temperature_of_columns_is_found():
    found = by_name(remedies(column_sample(*columns(scale=2.5))[0]))
    assert found["temperature"].setting == pytest.approx(2.5, rel=0.1)
    assert found["temperature"].scores["calibration_error"].gain < 0


def test_the_posterior_of_a_weighted_focal_loss_on_columns_is_recovered():
    z, y = columns(20_000)
    grid = np.linspace(-14, 14, 4001)
    p = 1 / (1 + np.exp(-grid))
    truth = recover_posterior(p, 2.0, 0.75)
    bent = np.interp(1 / (1 + np.exp(-z.astype(float))), truth, grid).astype(np.float32)
    found = by_name(remedies(column_sample(bent, y)[0], gamma=2.0, alpha=0.75))
    exact = by_name(remedies(column_sample(z, y)[0]))["as they are"].scores["log_loss"]
    recovered = found["recovered"].scores["log_loss"]
    assert recovered.value == pytest.approx(exact.value, rel=1e-3)
    assert recovered.gain < -3 * recovered.gain_error


@pytest.mark.parametrize("row", range(4))
def test_a_single_positive_is_too_few_to_score_and_prints_dashes(row):
    z, y = columns(3000)
    y[:] = 0
    y[row, 0] = 1
    some = Diagnosis(diagnose(z, y, LossSpec("sigmoid")), remedies=remedies(column_sample(z, y)[0]))
    table = section(some, 20).parts[0]
    assert "±" not in table.rows[0][2]
    assert "nan" not in str([*table.rows, *some.sentences()])


def test_a_prior_of_columns_is_checked_and_used():
    some = column_sample(*columns(3000))[0]
    assert remedies(some, prior=[0.2, 0.3, 0.4]).prior.tolist() == [0.8, 0.2, 0.7, 0.3, 0.6, 0.4]
    for wrong in ([0.2, 0.3], [0.2, 0.3, 1.0]):
        with pytest.raises(InputError, match="prior must be 3 number"):
            remedies(some, prior=wrong)


# --- hints


def noisy(flipped, n=20_000):
    """A confident model; a share of class 1's labels belongs to class 0."""
    rng = np.random.default_rng(3)
    truth = rng.integers(0, 2, n)
    z = np.zeros((n, 2))
    z[np.arange(n), truth] = rng.normal(8, 1.5, n)
    ids = np.where((truth == 0) & (rng.random(n) < flipped), 1, truth)
    return diagnose(z, ids, LossSpec(gamma=2.0), class_names=["good", "noisy"])


def test_flipped_labels_are_found_in_their_class_and_clean_ones_are_not_accused():
    hard = contradicted(noisy(0.02))
    assert hard.suspicious.tolist() == [False, True]
    assert hard.share[1] == pytest.approx(0.02 / 1.02, rel=0.2)
    assert hard.loss[1] > 0.9
    assert not contradicted(noisy(0.0)).suspicious.any()
    found = Diagnosis(noisy(0.02), 2.0, "none")
    assert "Probable label noise in “noisy”" in "\n".join(found.sentences())
    assert "标错" in "\n".join(found.sentences("zh-CN"))


def test_a_hard_class_is_not_called_noisy():
    rng = np.random.default_rng(0)
    z, ids = rng.normal(size=(5000, 2)) * 3, rng.integers(0, 2, 5000)
    assert not contradicted(diagnose(z, ids)).suspicious.any()


@pytest.mark.parametrize("gamma", [0.0, 2.0])
def test_the_starting_point_equalises_the_gradient(gamma):
    z, ids = bayes()
    ledger = diagnose(z, ids)
    start = starting_point(ledger, gamma)
    shares = ledger.shares(gamma, start.alpha.tolist())
    assert np.allclose(shares.grad.share_alpha, 1 / K, rtol=1e-3)
    assert start.alpha.mean() == pytest.approx(1)


def test_gamma_alone_equalises_what_it_can_reach():
    z, ids = bayes()
    ledger = diagnose(z, ids)
    start = starting_point(ledger)
    share = ledger.shares(tuple(start.gamma), "none").grad.share
    aim = ledger.shares(0.0, "none").grad.total.min() / ledger.shares(tuple(start.gamma), "none").grad.total.sum()
    assert start.reached.any()
    assert np.allclose(share[start.reached], aim, rtol=1e-3)
    assert np.all(share[~start.reached] > aim)
    assert np.all(start.gamma[~start.reached] == 5)


def test_the_starting_point_of_columns_equalises_their_sides():
    z, y = columns(5000)
    ledger = diagnose(z, y, LossSpec("sigmoid"))
    start = starting_point(ledger, 1.0)
    assert np.allclose(start.alpha.reshape(-1, 2).sum(axis=1), 1)
    share = ledger.shares(1.0, tuple(start.alpha[1::2])).grad.share_alpha.reshape(-1, 2)
    assert np.allclose(share[:, 0], share[:, 1], rtol=1e-6)
    assert len(start.gamma) == K


# --- two ledgers


def test_changes_say_which_class_got_worse():
    z, ids = bayes(5000)
    worse = z.copy()
    worse[ids == 2, 2] -= 2
    names = ["a", "b", "c"]
    before, now = (diagnose(x, ids, class_names=names) for x in (z, worse))
    found = changes(before, now, 0.0)
    assert found.mean_loss[1][2] > found.mean_loss[0][2]
    assert found.grad_share[1][2] > found.grad_share[0][2]
    assert found.total_loss[1] > found.total_loss[0]
    nothing = changes(now, now)
    assert all(np.array_equal(*pair, equal_nan=True) for pair in (nothing.mean_loss, nothing.grad_share))


def test_classes_are_matched_by_name_and_foreign_ones_named():
    z, ids = bayes(2000)
    a = diagnose(z, ids, class_names=["a", "b", "c"])
    b = diagnose(z[:, ::-1], 2 - ids, class_names=["c", "b", "x"])
    found = changes(a, b)
    assert (found.class_names, found.only_before, found.only_now) == (("c", "b"), ("a",), ("x",))
    assert np.array_equal(found.count[0], found.count[1])
    with pytest.raises(InputError, match="share classes"):
        changes(a, diagnose(z, ids, class_names=["p", "q", "r"]))
    with pytest.raises(InputError, match="same link"):
        changes(a, diagnose(z, np.eye(3)[ids], LossSpec("sigmoid")))


def test_no_shift_and_no_decision_goes_to_a_class_that_cannot_be_scored():
    z, ids = bayes(6000)
    wide = np.column_stack([z, z.max(axis=1) - 0.3])  # a fourth class, second everywhere and never true
    sample = sample_of(wide, ids)[0]
    sample.settle()
    half = Exclusive(sample, np.ones(len(sample.key), bool))
    for prior in ([0.6, 0.2, 0.1, 0.1], [0.9, 0.08, 0.02, 1e-6], [1 / 3, 1 / 3, 1 / 3, 0.0]):
        assert half.shifted(np.array(prior), 1.0).argmax(axis=1).max() < 3
    offsets = half.decision_offsets()
    assert half.decided(offsets).argmax(axis=1).max() < 3
    assert (half.shifted(np.array([0.5, 0.3, 0.1, 0.1]), 0.0) == half.z).all()
    found = by_name(remedies(sample))
    plain = by_name(remedies(sample_of(z, ids)[0]))
    assert found["shifted"].scores["balanced_accuracy"].value == pytest.approx(
        plain["shifted"].scores["balanced_accuracy"].value, abs=0.02
    )


def test_an_independent_column_of_one_side_is_not_shifted():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(500, 2)).astype(np.float32)
    y = np.column_stack([rng.random(500) < 0.3, np.zeros(500, bool)]).astype(int)
    sample = Sample("sigmoid", 2, 10_000)
    sample.offer(Predicted(z, y, None), 0, -100)
    sample.settle()
    half = Independent(sample, np.ones(len(sample.key), bool))
    shifted = half.shifted(np.array([0.7, 0.3, 0.9, 0.1]), 1.0)
    one = half.column == 1
    assert (shifted[one] == half.z[one]).all()
    assert (shifted[~one] > half.z[~one]).all()
