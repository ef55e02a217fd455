import numpy as np
import pytest
from sklearn.metrics import average_precision_score, balanced_accuracy_score, f1_score, log_loss, matthews_corrcoef

from focalkit._metrics import MERITS
from focalkit.boosting import metrics as boosting
from focalkit.diagnosis import remedies
from focalkit.report.messages import CATALOGUES, LANGUAGES
from focalkit.tuning.scores import METRICS, NAMES, calibration_error, metric_named, score


@pytest.fixture
def predictions():
    rng = np.random.default_rng(0)
    targets = rng.choice(4, 400, p=[0.7, 0.2, 0.07, 0.03])
    logits = rng.normal(size=(400, 4)) + 2 * np.eye(4)[targets]
    posterior = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return targets, posterior.argmax(1), posterior


def test_the_six_figures_are_scikit_learns(predictions):
    targets, decisions, posterior = predictions
    figures = dict(zip(NAMES, score(targets, decisions, posterior, np.bincount(targets)), strict=True))
    assert figures["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(targets, decisions))
    assert figures["macro_f1"] == pytest.approx(f1_score(targets, decisions, average="macro"))
    assert figures["mcc"] == pytest.approx(matthews_corrcoef(targets, decisions))
    expected = average_precision_score(np.eye(4)[targets], posterior, average="macro")
    assert figures["average_precision"] == pytest.approx(expected)
    assert figures["log_loss"] == pytest.approx(log_loss(targets, posterior))


def test_of_two_classes_average_precision_is_that_of_the_rarer(predictions):
    targets, _, posterior = predictions
    binary = (targets == 0).astype(int)
    p = np.column_stack([1 - posterior[:, 0], posterior[:, 0]])
    figures = score(binary, p.argmax(1), p, np.bincount(binary))
    assert figures[NAMES.index("average_precision")] == pytest.approx(average_precision_score(binary == 0, p[:, 0]))


def test_averages_run_over_the_classes_that_a_fold_holds(predictions):
    targets, decisions, posterior = predictions
    keep = targets != 3
    figures = score(targets[keep], decisions[keep], posterior[keep], np.bincount(targets))
    recalls = [np.mean(decisions[targets == k] == k) for k in range(3)]
    assert figures[0] == pytest.approx(np.mean(recalls))
    assert np.isfinite(figures).all()


def test_a_certain_mistake_costs_much_but_not_infinity(predictions):
    targets, decisions, _ = predictions
    posterior = np.eye(4)[(targets + 1) % 4]
    assert 700 < score(targets, decisions, posterior, np.bincount(targets))[NAMES.index("log_loss")] < 710


def test_calibration_error_is_small_for_true_probabilities_and_the_gap_for_shifted_ones():
    rng = np.random.default_rng(1)
    p = rng.random(200_000)
    hit = rng.random(len(p)) < p
    assert calibration_error(hit, p) < 0.005
    assert calibration_error(hit, np.clip(p + 0.1, 0, 1)) == pytest.approx(0.095, abs=0.01)


def test_decisions_ranking_and_probabilities_are_all_judged():
    assert {metric.judges for metric in METRICS} == {"decisions", "ranking", "probabilities"}


def test_a_row_of_weight_k_counts_as_k_rows(predictions):
    targets, decisions, posterior = predictions
    weight = np.random.default_rng(1).integers(0, 4, len(targets))
    many = np.repeat(np.arange(len(targets)), weight)
    for used in (posterior, posterior.round(1)):  # ties as well
        weighted = score(targets, decisions, used, np.bincount(targets), weight.astype(float))
        repeated = score(targets[many], decisions[many], used[many], np.bincount(targets))
        names = [name for name in NAMES if name != "calibration_error"]
        assert [weighted[NAMES.index(n)] for n in names] == pytest.approx([repeated[NAMES.index(n)] for n in names])


def test_weights_that_are_all_alike_change_no_figure(predictions):
    targets, decisions, posterior = (array[:390] for array in predictions)  # 15 bins of 26 rows
    plain = score(targets, decisions, posterior, np.bincount(targets))
    for c in (1.0, 0.25, 7.0):
        same = score(targets, decisions, posterior, np.bincount(targets), np.full(390, c))
        assert same == pytest.approx(plain)


def test_every_figure_of_merit_has_its_one_entry_and_its_words():
    for name, merit in MERITS.items():
        assert merit.name == name
        assert merit.judges in ("decisions", "ranking", "probabilities")
        for language in LANGUAGES:
            assert f"metric.{name}" in CATALOGUES[language]
    assert all(metric.merit is MERITS[metric.name] for metric in METRICS)
    assert set(boosting.METRICS) <= set(MERITS)
    assert set(remedies.METRICS) <= set(MERITS)
    for name, metric in boosting.METRICS.items():
        assert metric.larger_is_better == MERITS[name].larger_is_better


@pytest.mark.parametrize(
    ("name", "title", "larger"),
    [
        ("macro_f1", "macro F1", True),
        ("f_beta:0.5", "F0.5 of the second class", True),
        ("cost:20", "cost of a case (a miss 20, a false alarm 1)", False),
        ("precision:0.9", "recall at a precision of 0.9", True),
    ],
)
def test_a_goal_s_words_and_direction_come_from_the_table(name, title, larger):
    assert metric_named(name).title == title
    assert metric_named(name).larger_is_better is larger
