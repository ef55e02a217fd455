from dataclasses import replace

import numpy as np
import pytest
from tests.tuning.test_verdict import made_result

from focalkit.report import format as write
from focalkit.report import snippet
from focalkit.tuning import verdict as verdicts
from focalkit.tuning.findings import findings, headline
from focalkit.tuning.result import Cell


def judge(result, metric=None):
    """The strict reading."""
    return verdicts.judge(result, metric, proof=True)


def test_a_proven_remedy_is_recommended_with_its_gain_interval_and_p():
    result = made_result(lambda c: 0.08 * (c.family == "focal"))
    verdict = judge(result)
    assert str(headline(result, verdict)).startswith("For balanced accuracy, use focal loss: focal γ=")
    text = " ".join(map(str, findings(result, verdict)))
    assert "It improves balanced accuracy by" in text
    assert "95 % interval" in text
    assert "p < 0.001 after correction for 4 comparisons" in text
    assert "Nothing costlier (online hard example mining) was shown to be better still." in text


def test_a_quiet_null_is_called_as_good():
    result = made_result(lambda c: 0.0, noise=0.003)
    assert "plain cross-entropy is as good as anything tried here" in str(headline(result, judge(result)))


def test_a_noisy_null_is_not_called_as_good_and_names_the_rarest_class():
    result = made_result(lambda c: 0.02 * (c.family == "CE + shift"), noise=0.3)
    verdict = judge(result)
    text = str(headline(result, verdict)) + " ".join(map(str, findings(result, verdict)))
    assert "nothing was shown to beat plain cross-entropy" in text
    assert "as good as" not in text
    assert "The rarest class, “b”, has 10 rows" in text


def test_a_remedy_that_does_harm_is_said_to():
    result = made_result(lambda c: -0.1 * (c.family == "OHEM"), noise=0.005)
    text = " ".join(judge(result).sentences())
    assert "Online hard example mining is worse than plain cross-entropy here, by" in text


@pytest.mark.parametrize(("p", "text"), [(0.0002, "p < 0.001"), (0.0123, "p = 0.012"), (0.5, "p = 0.5")])
def test_p_values_are_printed_as_in_papers(p, text):
    assert write.p_value(p) == text


def test_gains_of_scores_are_in_points_and_those_of_losses_in_their_unit():
    assert write.interval(0.012, 0.01, 0.014, "decisions") == "+1.2 [+1.0, +1.4]"
    assert write.interval(0.012, 0.01, 0.014, "probabilities") == "+0.012 [+0.01, +0.014]"
    assert write.interval(0.0, 0.0, 0.0, "decisions") == "–"


@pytest.mark.parametrize("family", ["CE", "CE + shift", "α-CE", "focal", "OHEM"])
def test_the_code_of_every_remedy_runs(family):
    result = made_result(lambda c: 0.1 * (c.family == family))
    verdict = judge(result)
    assert verdict.recommended.family == family
    rng = np.random.default_rng(0)
    space = {"X": rng.normal(size=(120, 2)), "y": np.repeat(["a", "b"], [90, 30]), "X_new": rng.normal(size=(5, 2))}
    exec(snippet.code(result, verdict), space)
    assert set(space["decisions"]) <= {"a", "b"}


def test_the_code_of_a_booster_imports_it():
    result = replace(made_result(lambda c: 0.1 * (c.family == "focal")), estimator="FocalLGBMClassifier")
    code = snippet.code(result, judge(result))
    assert code.startswith("from focalkit.boosting import FocalLGBMClassifier\n")
    assert "FocalLGBMClassifier(gamma=" in code
    assert "StandardScaler" not in code


@pytest.mark.parametrize("family", ["CE", "CE + shift", "α-CE", "focal", "OHEM"])
def test_the_code_of_a_training_function_calls_it_with_the_loss(family):
    result = replace(made_result(lambda c: 0.1 * (c.family == family)), estimator="fit(spec, train, test)")
    verdict = judge(result)
    calls = []

    def fit(spec, train, test):
        calls.append(spec)
        return np.zeros((len(test), 2))

    space = {"fit": fit, "y": np.repeat(["a", "b"], [90, 30]), "train": np.arange(120), "new": np.arange(5)}
    exec(snippet.code(result, verdict), space)
    cell = result.cells[verdict.recommended.cell]
    assert calls[0].gamma == cell.gamma
    assert (calls[0].alpha is None) == (cell.alpha is None)
    assert calls[0].keep_hardest == cell.keep_hardest
    assert len(space["decisions"]) == 5


def test_the_code_has_the_parameters_that_a_search_drew():
    result = made_result(lambda c: 0.1 * (c.family == "focal"))
    cells = tuple(replace(cell, params=(("C", 0.25),)) if cell.family == "focal" else cell for cell in result.cells)
    assert "C=0.25)" in snippet.code(replace(result, cells=cells), judge(result))


def test_the_verdict_says_what_becomes_of_a_thousand_cases_how_sure_it_is_and_what_it_costs():
    result = made_result(lambda c: 0.08 * (c.family == "focal"))
    decided = np.tile([[1800, 150], [1850, 650]], (len(result.cells), 1, 1))
    decided[result.index(Cell())] = [[2200, 50], [2400, 100]]
    result = replace(result, decided=decided, final_taus=np.ones(len(result.cells)))
    verdict = verdicts.judge(result)
    assert verdict.recommended.family == "focal"
    text = " ".join(str(part) for part in findings(result, verdict))
    assert "caught 20 → 60, missed 80 → 40, false alarms 20 → 200" in text
    assert "Better than plain cross-entropy with probability" in text
    assert "costs a retraining" in text


def test_a_free_remedy_is_said_to_cost_nothing_and_a_keeper_needs_no_words():
    free = verdicts.judge(made_result(lambda c: 0.05 * (c.family == "CE + shift")))
    assert "costs nothing" in " ".join(free.sentences())
    kept = verdicts.judge(made_result(lambda c: -0.05 * (c.family != "CE")))
    assert "plain cross-entropy" in str(headline(kept.result, kept))
    assert "costs a retraining" not in " ".join(kept.sentences())
