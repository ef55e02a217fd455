"""``focalkit decide`` from files to a rule: every goal, what it writes, what it refuses."""

import json

import numpy as np
import pytest

pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
from click.testing import CliRunner  # noqa: E402

from focalkit.cli import main  # noqa: E402
from focalkit.decisions import Cost, DecisionRule, decide  # noqa: E402
from focalkit.report.decide import _ends  # noqa: E402


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path, rng = tmp_path_factory.mktemp("predictions"), np.random.default_rng(0)
    p = 1 / (1 + np.exp(-rng.normal(-2, 1.5, 1500)))
    y = (rng.random(1500) < p).astype(int)
    table = {"p": p, "amount": rng.lognormal(3, 1, 1500), "target": y, "group": rng.integers(0, 300, 1500)}
    parquet.write_table(pa.table(table), path / "two.parquet")
    q = rng.dirichlet([4.0, 1.0, 0.5], 900)
    t = (rng.random(900)[:, None] > q.cumsum(axis=1)).sum(axis=1).clip(0, 2)
    names = np.array(["a", "b", "c"])
    lines = [",".join(["prob_a", "prob_b", "prob_c", "target"])]
    lines += [
        f"{a:.9f},{b:.9f},{1 - round(a, 9) - round(b, 9):.9f},{n}" for (a, b, _), n in zip(q, names[t], strict=True)
    ]
    (path / "three.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (path / "costs.csv").write_text(",c,a,b\na,4,0,1\nb,1,5,0\nc,0,9,2\n", encoding="utf-8")
    return path


def run(folder, *words, code=0):
    done = CliRunner().invoke(
        main, ["decide", *(str(folder / w) if w.endswith(("parquet", "csv")) else w for w in words)]
    )
    assert done.exit_code == code, done.output
    return done.output


GOALS = [
    ["--cost", "fn=100,fp=1"],
    ["--cost", "fn=100,fp=1,tp=2", "--learned"],
    ["--cost-column", "amount", "--cost", "fp=5"],
    ["--fbeta", "2"],
    ["--metric", "mcc"],
    ["--precision", "0.6"],
    ["--recall", "0.9"],
    ["--fpr", "0.05"],
    ["--alerts", "100/1000"],
    ["--abstain", "0.1"],
    ["--abstain", "0.1", "--cost", "fn=10"],
    ["--review-cost", "0.2"],
    ["--cost", "fn=9", "--prior", "0.02"],
    ["--cost", "fn=9", "--prior-from", "two.parquet"],
    ["--cost", "fn=9", "--calibrate", "temperature", "--train-gamma", "1"],
    ["--metric", "f1", "--group", "group"],
]


@pytest.mark.parametrize("goal", GOALS, ids=" ".join)
def test_every_goal_gives_a_rule_and_its_figures(folder, goal, tmp_path):
    out = tmp_path / "rule.json"
    said = run(folder, "two.parquet", "--logits", "p", *goal, "--rule", str(out))
    assert "per 1,000 cases" in said
    assert "caught" in said
    rule = DecisionRule.from_json(out)
    saved = json.loads(out.read_text(encoding="utf-8"))
    assert saved["sentence"] == rule.sentence
    assert saved["figures"]["cross_fitted"]


def test_the_rule_is_python_s(folder):
    table = parquet.read_table(folder / "two.parquet")
    want = decide(table["p"].to_numpy(), table["target"].to_numpy(), Cost(fn=100))
    said = run(folder, "two.parquet", "--logits", "p", "--cost", "fn=100", "--rule", "-")
    saved = json.loads(said[said.index("{") :])
    assert saved["cutoff"] == want.cutoff


def test_what_cannot_be_undone_is_said(folder):
    said = run(folder, "two.parquet", "--drop", "amount", "--cost", "fn=9", "--train-keep-hardest", "0.25")
    assert "Hard example mining cannot be undone" in said.replace("\n", " ")
    assert "got 2" in run(
        folder, "two.parquet", "--drop", "amount", "--cost", "fn=9", "--train-keep-hardest", "2", code=2
    )


def test_several_classes_take_a_matrix_by_name(folder, tmp_path):
    out = tmp_path / "rule.json"
    said = run(folder, "three.csv", "--costs", "costs.csv", "--rule", str(out), "--html", str(tmp_path / "page.html"))
    assert "Recall per class" in said
    rule = DecisionRule.from_json(out)
    assert rule.classes == ("a", "b", "c")
    assert rule.goal.matrix == ((0, 1, 4), (5, 0, 1), (9, 2, 0))
    assert "<svg" in (tmp_path / "page.html").read_text(encoding="utf-8") or (tmp_path / "page.html").stat().st_size


BAD = [
    ([], "goal must be given by one of"),
    (["--metric", "f1", "--recall", "0.9"], "--metric and --recall"),
    (["--abstain", "0.1", "--review-cost", "1"], "Drop one of the two"),
    (["--abstain", "0.1", "--metric", "f1"], "goal must be one"),
    (["--cost", "fp=1"], "cost must have fn"),
    (["--cost", "miss=1"], "cost must be fn=…"),
    (["--alerts", "3/0"], "alerts must be N/M"),
    (["--precision", "1.5"], "precision must be a number in (0, 1)"),
    (["--cost-column", "no"], "column must be a column of two.parquet"),
    (["--cost", "fn=9", "--prior", "0.1", "--prior-from", "two.parquet"], "prior must be given or estimated"),
]


@pytest.mark.parametrize(("goal", "message"), BAD, ids=range(len(BAD)))
def test_what_cannot_be_decided_is_one_line(folder, goal, message):
    said = run(folder, "two.parquet", "--logits", "p", *goal, code=2)
    line = [text for text in said.splitlines() if text.startswith("focalkit:")]
    assert len(line) == 1
    assert message in line[0]


def test_a_column_of_another_kind_is_not_taken_for_a_class(folder):
    said = run(folder, "two.parquet", "--drop", "group", "--cost", "fn=9", code=2)
    assert "columns must be all probabilities or all logits" in said


def test_sql_is_refused_where_standard_output_is_a_file(tmp_path):
    path = tmp_path / "p.csv"
    path.write_text("p,y\n" + "".join(f"{0.05 + 0.009 * i:.3f},{int(i % 7 == 0 or i > 80)}\n" for i in range(100)))
    told = CliRunner().invoke(main, ["decide", str(path), "--cost", "fn=9,fp=1", "--rule", "-", "--sql"])
    assert told.exit_code == 2
    assert "--sql must be left out" in told.output


def test_a_cut_off_below_0_is_told_as_0():
    assert _ends([-1.0, -1.0]) == {"low": "0", "high": "0"}
    assert _ends([-1.0, 0.25, 2.0]) == {"low": "0", "high": "1"}
