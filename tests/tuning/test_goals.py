"""Goals beyond class counts: cost matrices, costs of the cases, scorers, functions; each against its definition."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from click.testing import CliRunner
from sklearn.metrics import fbeta_score, jaccard_score, make_scorer, roc_auc_score

from focalkit._core.contracts import InputError
from focalkit.cli import main
from focalkit.decisions import Abstain, CaseCost, Cost, CostMatrix, Maximize
from focalkit.estimator import FocalClassifier
from focalkit.report.snippet import code, remedy
from focalkit.tuning import Cell, OutOfFold, RemedyClassifier, judge, tune
from focalkit.tuning.collection import Collection
from focalkit.tuning.scores import Metric, bound, metric_of
from focalkit.tuning.shifts import TAUS, choose

SMALL = {"n_splits": 4, "n_repeats": 2}


def predictions(n: int = 400, n_classes: int = 2, seed: int = 0):
    rng = np.random.default_rng(seed)
    y = rng.choice(n_classes, n, p=np.array([0.8, 0.2] if n_classes == 2 else [0.7, 0.2, 0.1]))
    p = np.exp(rng.normal(size=(n, n_classes)) + 1.5 * np.eye(n_classes)[y] + np.log([0.8, 0.2, 0.1][:n_classes]))
    return p / p.sum(axis=1, keepdims=True), y


def of_folds(result, cell):
    return result.column(result.metric)[result.index(cell)]


def expected(result, said, value):
    """What decisions of all rows are worth in each fold, by a function of the fold's rows."""
    return np.array([value(split.test, said[split.test]) for split in result.folds.splits])


def test_a_cost_matrix_scores_the_decisions_of_least_expected_cost() -> None:
    p, y = predictions(n_classes=3)
    c = np.array([[0.0, 1, 4], [6, 0, 3], [30, 5, -1]])
    result = tune(OutOfFold(p), None, y, metric=CostMatrix(c), **SMALL)
    for cell, said in ((Cell(), p.argmax(axis=1)), (Cell(tau="closed"), (p @ c).argmin(axis=1))):
        costs = expected(result, said, lambda rows, said: c[y[rows], said].mean())
        np.testing.assert_allclose(of_folds(result, cell), costs, rtol=1e-12)


def test_amounts_of_the_cases_decide_and_score_each_case() -> None:
    p, y = predictions()
    amounts = np.random.default_rng(1).lognormal(2, 1, len(y))
    result = tune(OutOfFold(p[:, 1]), None, y, metric=CaseCost(fp=5), costs=amounts, **SMALL)
    said = (p[:, 1] * amounts > (1 - p[:, 1]) * 5).astype(int)
    costs = expected(result, said, lambda at, d: (amounts[at] * (y[at] > d) + 5.0 * (y[at] < d)).mean())
    np.testing.assert_allclose(of_folds(result, Cell(tau="closed")), costs, rtol=1e-12)
    assert judge(result).metric.costs


def test_costs_row_by_row_are_those_of_class_counts() -> None:
    """One cost as a goal of two classes, from counts, and as a matrix that is applied to every row."""
    p, y = predictions()
    by_counts = tune(OutOfFold(p), None, y, metric=Cost(fn=7, fp=2), **SMALL)
    goal = CostMatrix([[0, 2], [7, 0]])
    metric = bound(Metric("cost_matrix", goal), y, np.array([0, 1]), None, None)
    assert metric_of(goal).name == metric_of([[0, 2], [7, 0]]).name == by_counts.metric
    from focalkit.tuning.shifts import taus_of
    from focalkit.tuning.trainers import Data
    from focalkit.tuning.units import Task, Unit, run_unit

    plans = ((Cell(),),)
    task = Task(OutOfFold(p), Data(None, y, 2), by_counts.folds.splits, plans, metric, np.ones(2, bool))
    collection = Collection(task, 1, 4)
    for fold in range(len(task.splits)):
        collection.add(*run_unit(task, Unit(0, fold)))
    table = collection.table([0], list(range(len(task.splits))), metric)
    assert table.cells == by_counts.cells
    np.testing.assert_allclose(table.scores[:, :, -1], by_counts.column(by_counts.metric), rtol=1e-12)
    np.testing.assert_array_equal(table.final_taus, by_counts.final_taus)
    assert len(taus_of(2)) == len(collection.found[Unit(0, 0)].measured[0]) - 2


@pytest.mark.parametrize("weighted", [False, True])
def test_a_scorer_of_rankings_gives_its_own_figure(weighted: bool) -> None:
    p, y = predictions()
    weight = np.random.default_rng(2).uniform(0.5, 2, len(y)) if weighted else None
    result = tune(OutOfFold(p), None, y, metric="roc_auc", sample_weight=weight, **SMALL)
    assert result.metric == "scorer:roc_auc"
    assert judge(result).metric.judges == "ranking"

    def auc(rows, said):
        return roc_auc_score(y[rows], said, sample_weight=None if weight is None else weight[rows])

    np.testing.assert_allclose(of_folds(result, Cell()), expected(result, p[:, 1], auc), rtol=1e-12)


def test_a_scorer_of_probabilities_is_told_from_one_of_rankings() -> None:
    p, y = predictions()
    result = tune(OutOfFold(p), None, y, metric="neg_brier_score", **SMALL)
    assert judge(result).metric.judges == "probabilities"


def jaccard(y_true, y_pred):
    return jaccard_score(y_true, y_pred, pos_label="yes")


@pytest.mark.parametrize("metric", [jaccard, make_scorer(jaccard_score, pos_label="yes")])
def test_functions_and_scorers_of_decisions_are_told_labels_and_choose_their_shift(metric) -> None:
    p, y = predictions()
    names = np.array(["no", "yes"])
    result = tune(OutOfFold(p), None, names[y], metric=metric, **SMALL)
    verdict = judge(result)
    assert verdict.metric.judges == "decisions"
    plain = expected(result, p.argmax(axis=1), lambda rows, said: jaccard_score(y[rows], said))
    np.testing.assert_allclose(of_folds(result, Cell()), plain, rtol=1e-12)
    shifted = p[:, 1] > 1 / (
        1 + (result.prior[0] / result.prior[1]) ** result.final_taus[result.index(Cell(tau="chosen"))]
    )
    assert jaccard_score(y, shifted) > jaccard_score(y, p.argmax(axis=1))
    assert of_folds(result, Cell(tau="chosen")).mean() > plain.mean()


def test_the_rule_for_the_goal_is_tried_on_every_loss_too() -> None:
    p, y = predictions()
    X = np.log(p[:, 1:])
    result = tune(FocalClassifier(), X, y, metric=make_scorer(fbeta_score, beta=2), n_splits=3, n_repeats=1)
    families = {cell.family for cell in result.cells if cell.tau == "chosen"}
    assert families == {"CE + shift", "α-CE", "focal", "OHEM"}


def test_goals_that_do_not_fit_are_refused_in_words() -> None:
    p, y = predictions()
    for options, words in (
        ({"metric": CaseCost(fp=1)}, "costs must be given"),
        ({"metric": CaseCost(fp=1), "costs": np.ones(3)}, "costs must have 400 entries; got 3"),
        ({"metric": CaseCost(fp=1), "costs": np.where(y == 1, np.nan, 1.0)}, "costs must be finite"),
        ({"metric": CaseCost(fp=1), "costs": np.where(y == 1, -1.0, 1.0)}, "costs must be at least 0"),
        (
            {"metric": CaseCost(fp=9, tp=9), "costs": np.ones(400)},
            "costs must have its right decisions on the diagonal",
        ),
        ({"metric": "mcc", "costs": np.ones(400)}, "costs must be left out"),
        ({"metric": np.ones((3, 3)) - np.eye(3)}, r"cost matrix must have shape \(2, 2\)"),
        ({"metric": "no_such_scorer"}, "or a scorer's name"),
        ({"metric": lambda a, b: float("nan")}, "metric must be a number"),
        ({"metric": lambda a, b: a.no_such}, "metric must score 2 classes; got AttributeError"),
    ):
        with pytest.raises(InputError, match=words):
            tune(OutOfFold(p), None, y, **SMALL, **options)
    with pytest.raises(InputError, match="pos_label"):
        tune(OutOfFold(p), None, np.array(["a", "b"])[y], metric="jaccard", **SMALL)


def test_a_journal_keeps_what_a_measure_said_and_refuses_other_amounts(tmp_path) -> None:
    p, y = predictions()
    asked = {"metric": CaseCost(fp=5), "costs": np.linspace(1, 9, len(y)), "journal": tmp_path / "j", **SMALL}
    first, again = (tune(OutOfFold(p), None, y, **asked) for _ in range(2))
    np.testing.assert_array_equal(first.scores, again.scores)
    with pytest.raises(InputError, match="the data's costs"):
        tune(OutOfFold(p), None, y, **{**asked, "costs": np.ones(len(y))})


def test_the_rule_of_the_costs_is_what_the_remedy_decides_by() -> None:
    rng = np.random.default_rng(0)
    y = (rng.random(500) < 0.2).astype(int)
    X = rng.normal(size=(500, 2)) + y[:, None]
    amounts = rng.uniform(1, 40, 500)
    model = RemedyClassifier(FocalClassifier(), gamma=0.0, goal=CaseCost(fp=5)).fit(X, y)
    p = model.predict_proba(X)[:, 1]
    np.testing.assert_array_equal(model.predict(X, costs=amounts), (p * amounts > (1 - p) * 5).astype(int))
    with pytest.raises(InputError, match="costs must be given with the goal CaseCost"):
        model.predict(X)
    matrix = RemedyClassifier(FocalClassifier(), gamma=0.0, goal=CostMatrix([[0, 1], [9, 0]])).fit(X, y)
    np.testing.assert_array_equal(matrix.predict(X), (matrix.predict_proba(X)[:, 1] > 0.1).astype(int))


# --- the command


@pytest.fixture
def table(tmp_path):
    """A table whose third column says what missing a case costs: the dear ones are not the likely ones."""
    rng = np.random.default_rng(3)
    y = (rng.random(500) < 0.25).astype(int)
    X = rng.normal(size=(500, 2)) + 1.2 * y[:, None]
    amount = np.where(rng.random(500) < 0.5, 1.0, 60.0)
    path = tmp_path / "cases.csv"
    lines = [f"{a:.4f},{b:.4f},{c:g},{'bad' if k else 'good'}" for (a, b), c, k in zip(X, amount, y, strict=True)]
    path.write_text("\n".join(["a,b,amount,label", *lines]) + "\n")
    return path


def run(*arguments: object):
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code == 0, result.output
    return result.output


def few(*more: object):
    return (*more, "--gamma", "0", "--alpha", "none", "--keep-hardest", "none", "--repeats", 1, "--jobs", 1, "--quiet")


def test_a_column_of_costs_goes_through_to_the_saved_model_and_the_script(table, tmp_path) -> None:
    model, script = tmp_path / "m.joblib", tmp_path / "s.py"
    asked = ("--cost-column", "amount", "--cost", "fp=5", "--save", model, "--script", script)
    said = run("tune", table, "--target", "label", *few(*asked))
    assert "cost of a case (a miss its own amount, a false alarm 5)" in said.replace("\n", " ")
    assert "goal=CaseCost(" in script.read_text()
    names: dict = {}
    exec(script.read_text(), names)
    out = run("predict", model, table, "--trust", "--cost-column", "amount").splitlines()[1:]
    decided = [line.partition(",")[0] for line in out]
    assert decided == list(names["decisions"])
    assert set(decided) == {"good", "bad"}


def test_costs_of_two_mistakes_a_matrix_and_a_function_are_goals_of_the_command(table, tmp_path, monkeypatch) -> None:
    matrix = tmp_path / "costs.csv"
    matrix.write_text("0,8\n3,0\n")
    (tmp_path / "my_goals.py").write_text("def right(y_true, y_pred):\n    return float((y_true == y_pred).mean())\n")
    monkeypatch.syspath_prepend(tmp_path)
    for asked, words in (
        (("--cost", "fn=8,fp=3"), "cost of a case (a miss 8, a false alarm 3)"),
        (("--costs", matrix), "cost of a case (a miss 8, a false alarm 3)"),  # of the rarer, bad, the first line
        (("--metric", "my_goals.right"), "right"),
        (("--metric", "roc_auc"), "roc_auc"),
    ):
        assert words in run("tune", table, "--target", "label", *few(*asked)).replace("\n", " ")
    clash = CliRunner().invoke(main, ["tune", str(table), "--metric", "mcc", "--cost", "fn=1"])
    assert clash.exit_code == 2
    assert "goal must be one; got --metric and --cost" in clash.output


def test_the_code_for_a_cost_matrix_of_three_classes_is_whole() -> None:
    p, y = predictions(n_classes=3)
    result = tune(FocalClassifier(), np.log(p[:, 1:]), y, metric=[[0, 1, 1], [9, 0, 9], [60, 9, 0]], n_repeats=1)
    verdict = judge(result)
    assert verdict.recommended.family != "CE"
    names = {"X": np.log(p[:, 1:]), "y": y, "X_new": np.log(p[:, 1:])}
    exec(code(result, verdict), names)
    assert len(names["decisions"]) == len(y)
    assert "goal" in remedy(result, verdict) or "tau" in remedy(result, verdict)


@pytest.mark.parametrize("goal", ["abstention", "abstain:0.1", Abstain(share=0.1)])
def test_abstention_is_refused_with_the_reason_and_the_way_that_there_is(goal):
    with pytest.raises(InputError, match=r"metric must decide every case.*Tune by costs, then.*decide with Abstain"):
        metric_of(goal)


@pytest.mark.parametrize("metric", ["precision:0.9", "alerts:0.05", "false_positive_rate:0.005"])
def test_a_bound_is_met_by_a_cut_off_above_a_half(metric) -> None:
    p, y = predictions(4000)
    result = tune(OutOfFold(p[:, 1]), None, y, metric=metric, **SMALL)
    assert result.column(metric)[result.index(Cell())].mean() < 0  # half is too low a cut-off for this bound
    verdict = judge(result)
    assert verdict.recommended.family == "CE + shift"
    assert verdict.recommended.expected.mean > 0.1
    assert code(result, verdict)


def test_other_goals_take_no_cut_off_above_a_half() -> None:
    counts = np.zeros((len(TAUS), 2, 2))
    counts[:20, 0] = 200  # far better at negative strengths
    assert TAUS[choose(Maximize("macro_f1"), counts, np.array([200, 200]), TAUS)] >= 0


def test_the_rival_that_is_named_could_change_the_figure() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 3))
    y = (X[:, 0] + rng.normal(size=300) > 1).astype(int)
    result = tune(FocalClassifier(), X, y, metric="log_loss", gammas=(0.0,), alphas=(None, "balanced"), **SMALL)
    assert judge(result).best_rival.family == "α-CE"


def test_a_function_of_the_working_directory_is_found(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [part for part in sys.path if part])
    (tmp_path / "profit_of_mine.py").write_text(
        "def profit(y_true, y_pred):\n    return float((y_true == y_pred).sum())\n"
    )
    rng = np.random.default_rng(0)
    rows = "\n".join(f"{a:.3f},{int(a + b > 1)}" for a, b in rng.normal(size=(200, 2)))
    (tmp_path / "t.csv").write_text("a,target\n" + rows + "\n")
    given = ["t.csv", "--repeats", "1", "--gamma", "0", "--alpha", "none", "--keep-hardest", "none"]
    done = CliRunner().invoke(main, ["tune", *given, "--metric", "profit_of_mine.profit"])
    assert done.exit_code == 0, done.output
    assert "for profit" in done.output
