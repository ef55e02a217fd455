from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from focalkit.tuning import verdict as verdicts
from focalkit.tuning.folds import Folds
from focalkit.tuning.result import Cell, TuneResult, corrected_error
from focalkit.tuning.scores import METRICS, NAMES
from focalkit.tuning.verdict import estimate, expected_on_new_rows, holm, judge_all, simplest_within_noise

ALPHAS = (None, "power:0.5", "power:1")
GAMMAS = (0.0, 1.0, 2.0)
CELLS = (
    Cell(),
    Cell(tau=1.0),
    Cell(tau="chosen"),
    *(Cell(a) for a in ALPHAS[1:]),
    *(Cell(a, g) for g in GAMMAS[1:] for a in ALPHAS),
    Cell(keep_hardest=0.5),
)


def judge(result, metric=None):
    """The strict reading."""
    return verdicts.judge(result, metric, proof=True)


def made_result(lift, seed=0, noise=0.02, n_splits=5, n_repeats=5, metric="balanced_accuracy"):
    """Scores with a common fold effect, cell noise, and ``lift(cell)`` added to every gain."""
    rng = np.random.default_rng(seed)
    n = n_splits * n_repeats
    base = 0.7 + rng.normal(scale=0.03, size=n)
    gain = np.stack([base + lift(cell) + rng.normal(scale=noise, size=n) for cell in CELLS])
    sign = np.array([1 if m.larger_is_better else -1 for m in METRICS])
    return TuneResult(
        cells=CELLS,
        scores=gain[:, :, None] * sign,
        repeat_of_fold=np.repeat(np.arange(n_repeats), n_splits),
        taus=np.ones(n),
        folds=Folds((), n_splits, n_repeats, ()),
        alphas=ALPHAS,
        gammas=GAMMAS,
        metric=metric,
        classes=("a", "b"),
        counts=np.array([90, 10]),
        targets=np.repeat([0, 1], [90, 10]),
        ce_rows=np.empty(0, int),
        ce_logits=np.empty((0, 1)),
        seed=0,
        seconds=0.0,
        finished=True,
    )


def test_the_corrected_error_is_nadeau_and_bengios():
    values = np.array([0.1, 0.3, 0.2, 0.4, 0.25])
    assert corrected_error(values, 5) == pytest.approx(values.std(ddof=1) * np.sqrt(1 / 5 + 1 / 4))


def test_the_interval_and_p_value_are_the_corrected_t_tests():
    values = np.array([0.01, 0.03, -0.02, 0.04, 0.025, 0.01, 0.0, 0.03, 0.02, 0.01])
    found = estimate(values, 5)
    error = corrected_error(values, 5)
    assert found.p_value == pytest.approx(2 * stats.t.sf(values.mean() / error, 9))
    assert found.high - found.mean == pytest.approx(stats.t.ppf(0.975, 9) * error)


def test_holm_is_the_textbook_example():
    np.testing.assert_allclose(holm(np.array([0.01, 0.04, 0.03, 0.005])), [0.03, 0.06, 0.06, 0.02])
    assert holm(np.array([np.nan, 0.01])).tolist() == [1.0, 0.02]


def test_the_simplest_cell_within_one_error_of_the_best_is_taken():
    rng = np.random.default_rng(0)
    base = rng.normal(size=25)
    gain = np.stack([base - 1.0, base + rng.normal(scale=0.1, size=25), base + 0.01 + rng.normal(scale=0.1, size=25)])
    assert simplest_within_noise(gain, 5) == 1


@pytest.mark.parametrize("metric", NAMES)
def test_without_any_effect_plain_cross_entropy_is_recommended_nearly_always(metric):
    wrong = sum(not judge(made_result(lambda c: 0.0, seed, metric=metric)).plain_stands for seed in range(40))
    assert wrong <= 4


def test_without_any_effect_the_expected_gain_is_unbiased_although_the_best_cell_looks_good():
    apparent, honest = [], []
    for seed in range(60):
        verdict = judge(made_result(lambda c: 0.0, seed))
        focal = next(f for f in verdict.families if f.family == "focal")
        result = made_result(lambda c: 0.0, seed)
        means = result.gain("balanced_accuracy").mean(axis=1)
        apparent.append(means[result.of_family("focal")].max() - means[0])
        honest.append(focal.gain.mean)
    assert np.mean(apparent) > 4 * np.std(apparent) / np.sqrt(60)
    assert abs(np.mean(honest)) < 3 * np.std(honest) / np.sqrt(60) + 5e-4


@pytest.mark.parametrize("family", ["CE + shift", "α-CE", "focal", "OHEM"])
def test_a_family_that_alone_helps_is_recommended(family):
    verdict = judge(made_result(lambda c: 0.08 * (c.family == family)))
    assert verdict.recommended.family == family
    assert verdict.recommended.gain.mean == pytest.approx(0.08, abs=0.015)
    assert verdict.recommended.adjusted_p < 0.05


def test_of_equally_good_remedies_the_cheapest_is_recommended():
    assert judge(made_result(lambda c: 0.08 * (c.family != "CE"))).recommended.family == "CE + shift"


def test_a_costlier_remedy_that_beats_the_cheap_one_too_is_recommended():
    lifts = {"CE": 0.0, "CE + shift": 0.05, "α-CE": 0.05, "focal": 0.15, "OHEM": 0.0}
    assert judge(made_result(lambda c: lifts[c.family])).recommended.family == "focal"


def test_a_worse_remedy_is_never_recommended():
    assert judge(made_result(lambda c: -0.1 * (c.family != "CE"))).plain_stands


def test_losses_are_judged_with_their_sign_turned():
    verdict = judge(made_result(lambda c: 0.08 * (c.family == "focal"), metric="log_loss"))
    assert verdict.recommended.family == "focal"
    ce = verdict.families[0]
    assert verdict.recommended.expected.mean < ce.expected.mean


def test_decisions_ranking_and_probabilities_get_a_verdict_each_the_asked_first():
    verdicts = judge_all(made_result(lambda c: 0.0, metric="mcc"))
    assert [v.metric.judges for v in verdicts] == ["decisions", "ranking", "probabilities"]
    assert verdicts[0].metric.name == "mcc"


def test_the_false_alarm_rate_over_many_runs_is_below_the_stated_level():
    alarms = sum(not judge(made_result(lambda c: 0.0, seed, noise=0.05)).plain_stands for seed in range(200, 300))
    assert alarms <= 10


def test_not_shown_to_be_better_is_not_called_equal():
    noisy = judge(made_result(lambda c: 0.03 * (c.family == "focal"), noise=0.3))
    assert noisy.plain_stands
    assert not noisy.settled
    assert noisy.nearest.gain.high > 0.01
    quiet = judge(made_result(lambda c: 0.0, noise=0.003))
    assert quiet.settled
    assert quiet.nearest.gain.high <= 0.01


def decide(result, **options):
    return verdicts.judge(result, **options).recommended


def test_a_free_remedy_needs_no_proof():
    noisy = made_result(lambda c: 0.04 * (c.family == "CE + shift"), noise=0.05)
    assert judge(noisy).plain_stands
    assert decide(noisy).family == "CE + shift"


def test_a_retraining_is_recommended_where_it_gains_more_than_it_is_worth():
    found = made_result(lambda c: 0.02 * (c.family == "focal"), noise=0.004)
    assert decide(found).family == "focal"
    assert decide(found, worth=3.0).family in ("CE", "CE + shift")


def test_on_null_data_a_retraining_is_recommended_rarely():
    quiet = sum(decide(made_result(lambda c: 0.0, seed, noise=0.01)).price > 0 for seed in range(60))
    assert quiet <= 3


def test_a_lead_over_what_is_free_that_is_noise_is_no_reason_to_retrain(monkeypatch):
    gains = {"CE": 0.0, "CE + shift": 0.1, "α-CE": 0.1, "focal": 0.1, "OHEM": 0.1}
    results = [made_result(lambda c: gains[c.family], seed, noise=0.03) for seed in range(40)]
    careful = {seed for seed, result in enumerate(results) if decide(result).price > 0}
    monkeypatch.setattr(verdicts, "LEAD", 0.0)
    rash = {seed for seed, result in enumerate(results) if decide(result).price > 0}
    assert careful < rash


def test_the_probability_of_being_better_is_that_of_the_corrected_t_test():
    gain = decide(made_result(lambda c: 0.05 * (c.family == "focal"), noise=0.02)).gain
    assert gain.p_above == pytest.approx(stats.t.cdf(gain.mean / gain.standard_error, 24))
    assert gain.p_below(0.0) == pytest.approx(1 - gain.p_above)
    assert gain.p_below(gain.low) == pytest.approx(0.025)


def test_a_new_samples_luck_widens_what_is_expected():
    verdict = verdicts.judge(made_result(lambda c: 0.05 * (c.family == "focal")))
    known, new = verdict.recommended.expected, expected_on_new_rows(verdict)
    spread = known.standard_error / np.sqrt(1 / 25 + 1 / 4)
    one_row = 1 / (len(verdict.result.counts) * verdict.result.counts.min())
    assert new.mean == known.mean
    assert new.standard_error**2 == pytest.approx(known.standard_error**2 + spread**2 / 5 + one_row**2)
    # repeats draw the same rows again: what is known of the spread is that of five folds
    assert new.high - new.mean == pytest.approx(stats.t.ppf(0.975, 4) * new.standard_error)


def test_folds_without_a_mistake_do_not_promise_that_there_will_be_none():
    result = made_result(lambda c: 0.0)
    verdict = verdicts.judge(replace(result, scores=np.ones_like(result.scores)))
    new = expected_on_new_rows(verdict)
    assert verdict.recommended.expected.standard_error == 0
    assert new.mean - new.low > 1 / (len(verdict.result.counts) * verdict.result.counts.min())


@pytest.mark.parametrize(("lead", "expected"), [(0.0005, "α-CE"), (0.003, "focal")])
def test_a_remedy_that_promises_a_hair_more_than_a_simpler_one_does_not_take_its_place(lead, expected):
    gains = {"CE": 0.0, "CE + shift": 0.0, "α-CE": 0.1, "focal": 0.1 + lead, "OHEM": 0.0}
    result = made_result(lambda cell: gains[cell.family], noise=0.0)
    assert verdicts.judge(result).recommended.family == expected
