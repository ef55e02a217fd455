import re
from dataclasses import replace

import numpy as np
import pytest
from tests.tuning.test_verdict import CELLS, made_result

from focalkit import shift_prior
from focalkit.report import format as write
from focalkit.report import snippet
from focalkit.report.page.tune import _explained
from focalkit.report.sections import Column, Table
from focalkit.report.tune import families, sections
from focalkit.tuning import verdict as verdicts
from focalkit.tuning.deciding import decision
from focalkit.tuning.findings import brief, findings, headline
from focalkit.tuning.result import Cell
from focalkit.tuning.scores import metric_named


def judge(result, metric=None):
    """The strict reading."""
    return verdicts.judge(result, metric, proof=True)


def test_a_proven_remedy_is_recommended_with_its_gain_interval_and_p():
    result = made_result(lambda c: 0.08 * (c.family == "focal"))
    verdict = judge(result)
    assert str(headline(verdict)).startswith("Retrain, for balanced accuracy, with focal loss: focal γ=")
    text = " ".join(map(str, findings(verdict)))
    assert "95 % interval" in text
    assert "Shown at the 5 % level (p < 0.001 after correction for 4 comparisons)." in text


def test_a_quiet_null_is_called_as_good():
    result = made_result(lambda c: 0.0, noise=0.003)
    assert "it is as good as anything tried here" in str(headline(judge(result)))


def test_a_noisy_null_is_not_called_as_good_and_names_the_rarest_class():
    result = made_result(lambda c: 0.02 * (c.family == "CE + shift"), noise=0.3)
    verdict = judge(result)
    text = str(headline(verdict)) + " ".join(map(str, findings(verdict)))
    assert "nothing was shown to beat it" in text
    assert "as good as" not in text
    assert "the rarest class, “b”, has 10 rows" in text


def test_a_remedy_that_does_harm_is_said_to():
    result = made_result(lambda c: -0.1 * (c.family == "OHEM"), noise=0.005)
    text = " ".join(judge(result).sentences())
    assert "Online hard example mining is worse than plain cross-entropy here, by" in text


@pytest.mark.parametrize(("p", "text"), [(0.0002, "p < 0.001"), (0.0123, "p = 0.012"), (0.5, "p = 0.5")])
def test_p_values_are_printed_as_in_papers(p, text):
    assert write.p_value(p) == text


def test_gains_of_scores_are_in_points_and_those_of_losses_in_their_unit():
    assert write.interval(0.012, 0.01, 0.014, "decisions") == "+1.2 [+1.0, +1.4]"
    assert write.interval(0.012, 0.01, 0.014, "probabilities") == "+0.012 [+0.010, +0.014]"
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
    assert "RemedyClassifier(FocalLGBMClassifier(), gamma=" in code
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
    assert "params={'C': 0.25}" in snippet.code(replace(result, cells=cells), judge(result))


def test_the_verdict_says_what_becomes_of_a_thousand_cases_how_sure_it_is_and_what_it_costs():
    result = made_result(lambda c: 0.08 * (c.family == "focal"))
    decided = np.tile([[1800, 150], [1850, 650]], (len(result.cells), 25, 1, 1))
    decided[result.index(Cell())] = [[2200, 50], [2400, 100]]
    result = replace(result, decided=decided, final_taus=np.ones(len(result.cells)))
    verdict = verdicts.judge(result)
    assert verdict.recommended.family == "focal"
    text = " ".join(str(part) for part in findings(verdict))
    assert "caught 20 → 60, missed 80 → 40, false alarms 20 → 200" in text
    assert "Better than plain cross-entropy with probability" in text
    assert "A retraining with another loss." in text


def test_a_free_remedy_is_said_to_cost_nothing_and_a_keeper_needs_no_words():
    free = verdicts.judge(made_result(lambda c: 0.05 * (c.family == "CE + shift")))
    assert "No retraining" in " ".join(free.sentences())
    kept = verdicts.judge(made_result(lambda c: -0.05 * (c.family != "CE")))
    assert "plain cross-entropy" in str(headline(kept))
    assert "retraining" not in " ".join(kept.sentences())


def figures(text):
    return [float(part) for part in re.findall(r"-?\d+\.\d+", text)]


@pytest.mark.parametrize("metric", ["balanced_accuracy", "log_loss"])
def test_the_gain_of_the_brief_is_the_difference_of_the_figures_beside_it(metric):
    for seed in range(12):
        result = made_result(lambda c: 0.04 * (c.family == "focal"), seed, metric=metric)
        lines = brief(verdicts.judge(result, worth=0.0))
        before, after = figures(str(lines.expect[-1]))[:2]
        gain = figures(str(lines.sure[0]))[0]
        assert gain == pytest.approx(abs(after - before), abs=1e-9)


def test_the_brief_and_the_table_of_remedies_say_the_same():
    result = made_result(lambda c: 0.04 * (c.family == "focal"))
    verdict = verdicts.judge(result)
    table = families(result, verdict)
    row = table.rows[table.chosen]
    expected, plain = (figures(str(one[2]))[0] for one in (row, table.rows[0]))
    assert figures(str(brief(verdict).expect[-1]))[:2] == [plain, expected]
    assert figures(str(row[3]))[0] == pytest.approx(expected - plain)


def test_the_rival_that_is_named_is_the_one_with_the_largest_expected_gain():
    result = made_result(lambda c: {"CE": 0.0, "focal": -0.01, "OHEM": -0.03}.get(c.family, -0.05), noise=0.002)
    verdict = verdicts.judge(result)
    assert verdict.plain_stands
    assert "The best rival, focal loss," in str(brief(verdict).sure[0])


def test_a_lead_is_called_noise_where_its_test_says_so_and_not_otherwise():
    at = CELLS.index(Cell(keep_hardest=0.5))

    def with_best_looking(lead):
        result = made_result(lambda c: 0.08 * (c.family == "CE + shift"), noise=0.001)
        result.scores[at] = result.scores[2] + lead
        verdict = verdicts.judge(result, worth=50.0)
        assert verdict.recommended.family == "CE + shift"
        return " ".join(map(str, findings(verdict)))

    noise = np.random.default_rng(0).normal(size=(25, 1))
    noise -= noise.mean()
    assert "is within the noise" in with_best_looking(0.003 + 0.05 * noise)
    clear = with_best_looking(0.03 + 0.001 * noise)
    assert "is within the noise" not in clear
    assert "part of that is the luck of the best of many" in clear


def test_without_verbose_the_report_is_the_four_lines_and_with_it_they_are_first_and_last():
    result = made_result(lambda c: 0.08 * (c.family == "focal"))
    judged = verdicts.judge_all(result)
    short, long = sections(result, judged, verbose=False), sections(result, judged)
    assert [section.name for section in short] == ["brief", "more"]
    assert (long[0].name, long[-1].name) == ("brief", "last")
    assert str(long[0].parts[0].lines) == str(long[-1].parts[0].lines) == str(short[0].parts[0].lines)
    assert [str(label) for label, _ in short[0].parts[0].lines] == ["Do", "Expect", "How sure", "What it costs"]


@pytest.mark.parametrize("alpha", [None, "power:1"])
def test_the_cut_off_that_is_named_decides_as_the_shift_does(alpha):
    rng = np.random.default_rng(0)
    result = made_result(lambda c: 0.0)
    cell = Cell(alpha, tau="chosen")
    result = replace(result, cells=(cell, *result.cells[1:]), final_taus=np.full(len(result.cells), 0.7))
    how = decision(result, 0, metric_named("balanced_accuracy"))
    posterior = rng.random((500, 2))
    posterior /= posterior.sum(axis=1, keepdims=True)
    shifted = shift_prior(posterior, np.array([0.9, 0.1]), tau=0.7).argmax(axis=1)
    # of the probabilities that ``predict_proba`` gives, with alpha undone
    np.testing.assert_array_equal(posterior[:, 1] > how.cutoff, shifted == 1)


@pytest.mark.parametrize("cell", ["▶ 91.9 ± 1.3", "91.9 ± 1.3"])
def test_the_page_explains_a_mark_of_the_surface_where_there_is_one(cell):
    explained = _explained(Table([Column("γ")], [[cell]], "surface"), left=False)
    assert any("▶" in text for text in explained.key) is ("▶" in cell)
