import html
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from focalkit.cli import main

SHARED = Path(__file__).parents[2] / "shared" / "data"
QUICK = [
    "--folds",
    "2",
    "--repeats",
    "1",
    "--gamma",
    "0,2",
    "--alpha",
    "none,balanced",
    "--keep-hardest",
    "0.5",
    "--jobs",
    "1",
]


@pytest.fixture
def table(tmp_path):
    rng = np.random.default_rng(0)
    y = (rng.random(240) < 0.15).astype(int)
    X = rng.normal(size=(240, 3)) + 1.2 * y[:, None]
    rows = [f"{a:.4f},{b:.4f},{c:.4f},{'ill' if t else 'well'}" for (a, b, c), t in zip(X, y, strict=True)]
    path = tmp_path / "patients.csv"
    path.write_text("a,b,c,state\n" + "\n".join(rows) + "\n")
    return path


def run(*arguments, **options):
    return CliRunner(env={"COLUMNS": "140"}).invoke(main, [str(a) for a in arguments], **options)


def test_a_table_gets_tables_a_verdict_and_code(table):
    done = run("tune", table, "--target", "state", *QUICK, "--verbose")
    assert done.exit_code == 0, done.output
    for part in (
        "patients.csv: 240 rows × 3 features, 2 classes",
        "Verdict",
        "Decisions.",
        "Ranking.",
        "Probabilities.",
        "plain CE",
        "OHEM, hardest 50%",
        "α at γ = 0",
        "RemedyClassifier(",
        "named_estimator('linear'",
    ):
        assert part in done.output, part


def test_the_printed_code_runs(table):
    from focalkit.io.features import read_table

    done = run("tune", table, *QUICK, "--verbose")
    code = done.output.split("To use it")[1].partition("\nDo: ")[0]
    data = read_table(table)
    space = {"X": data.X, "y": data.y, "X_new": data.X}
    exec(code, space)
    assert set(space["decisions"]) <= {"ill", "well"}


def test_json_and_page_are_written_whole(table, tmp_path):
    out, page = tmp_path / "r.json", tmp_path / "r.html"
    done = run("tune", table, *QUICK, "--json", out, "--html", page, "--language", "zh-CN")
    assert done.exit_code == 0, done.output
    report = json.loads(out.read_text())
    assert {cell["family"] for cell in report["cells"]} == {"CE", "CE + shift", "α-CE", "focal", "OHEM"}
    assert [v["judges"] for v in report["verdicts"]] == ["decisions", "ranking", "probabilities"]
    html = page.read_text(encoding="utf-8")
    assert '<html lang="zh-CN">' in html
    assert html.count("<script") == 4  # words, ledger, decision, code
    assert re.search(r"script-src 'sha256-[^' ]+'\"", html)
    assert not re.search(r"(?:src|href)\s*=|url\(|https?://(?!www\.w3\.org)", html)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["patients.csv", "r.html", "r.json"]


def test_hostile_class_names_are_escaped(tmp_path):
    path = tmp_path / "t.csv"
    names = ["<script>alert(1)</script>", "[bold]&amp;\"'"]
    rng = np.random.default_rng(0)
    path.write_text(
        "a,t\n"
        + "".join(f'{rng.normal() + 2 * (i % 2):.3f},"{names[i % 2]}"\n'.replace('"\'"', '""\'"') for i in range(80))
    )
    page = tmp_path / "r.html"
    done = run("tune", path, *QUICK, "--html", page)
    assert done.exit_code == 0, done.output
    assert "<script>" in done.output
    html = page.read_text(encoding="utf-8")
    assert html.count("<script") == 4
    assert "&lt;script&gt;" in html
    assert "\\u003cscript\\u003e" in html


def test_the_metric_decides_the_headline(table):
    assert "for Matthews correlation" in run("tune", table, *QUICK, "--metric", "mcc").output


def test_explicit_alphas_for_two_classes(table):
    done = run("tune", table, *QUICK[:6], "--alpha", "0.25,0.75", "--jobs", "1", "--keep-hardest", "none", "--verbose")
    assert done.exit_code == 0, done.output
    assert "0.75" in done.output
    assert "OHEM" not in done.output.split("Verdict")[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.csv"], "file must be an existing file"),
        (["{table}", "--target", "nope"], "name a column out of: a, b, c, state"),
        (["{table}", "--gamma", "-1"], "gammas must be a number in"),
        (["{table}", "--gamma", "x"], "--gamma must be numbers separated by commas"),
        (["{table}", "--alpha", "nope"], "alpha must be none, inverse"),
        (["{table}", "--metric", "nope"], "metric must be one of"),
        (["{table}", "-C", "0"], "C must be a number in"),
        (["{table}", "--keep-hardest", "2.5"], "keep_hardest must be"),
        (["{table}", "--json", "/no/such/folder/r.json"], "output folder must exist"),
        (["--target", "x"], "FILE must be given"),
    ],
)
def test_bad_arguments_get_one_line_and_exit_code_2(table, arguments, message):
    done = run("tune", *[a.format(table=table) for a in arguments], *([] if "--gamma" in arguments else QUICK[:4]))
    assert done.exit_code == 2, done.output
    assert message in done.output
    assert "Traceback" not in done.output
    assert len([line for line in done.output.splitlines() if "focalkit:" in line]) <= 1


def test_the_journal_of_another_run_gets_one_line_and_exit_code_2(table, tmp_path):
    path = tmp_path / "run.jsonl"
    assert run("tune", table, *QUICK, "--journal", path).exit_code == 0
    done = run("tune", table, *QUICK, "--journal", path, "--seed", "3")
    assert done.exit_code == 2
    assert "It differs in seed: there 0, here 3. Name another file." in done.output
    assert "Traceback" not in done.output


def test_trials_join_the_remedies(table):
    pytest.importorskip("optuna")
    done = run(
        "tune", table, *QUICK[:4], "--gamma", "0", "--alpha", "none", "--jobs", "1", "--trials", "2", "--verbose"
    )
    assert done.exit_code == 0, done.output
    assert "C=" in done.output


def test_a_booster_is_tuned_by_name_with_texts_as_categories(tmp_path):
    pytest.importorskip("lightgbm")
    rng = np.random.default_rng(0)
    path = tmp_path / "t.csv"
    rows = [f"{rng.normal() + k % 2:.3f},{'red' if k % 3 else 'blue'},{'ab'[k % 2]}" for k in range(120)]
    path.write_text("x,colour,t\n" + "\n".join(rows) + "\n")
    done = run(
        "tune",
        path,
        *QUICK[:4],
        "--gamma",
        "1",
        "--alpha",
        "none",
        "--jobs",
        "1",
        "--estimator",
        "lightgbm",
        "--verbose",
    )
    assert done.exit_code == 0, done.output
    assert "1 text column(s) are given to lightgbm as categories." in done.output
    assert "named_estimator('lightgbm'" in done.output


def test_a_terminal_shows_a_bar_with_the_best_so_far(monkeypatch):
    from rich.console import Console

    from focalkit.cli.options import Progress

    console = Console(force_terminal=True, width=120, file=io.StringIO())
    bar = Progress("progress.tune", "en", quiet=False, console=console)
    with bar:
        bar.update(3, 10, "3 of 10", "best so far: focal γ=2")
        bar.bar.refresh()
    shown = console.file.getvalue()
    assert "tuning" in shown
    assert "3 of 10" in shown
    assert "best so far: focal γ=2" in shown


def test_a_pipe_gets_a_line_a_minute_with_name_count_and_time_left(capsys, monkeypatch):
    from focalkit.cli import options

    clock = iter([0.0, 30.0, 61.0, 90.0, 122.0])
    monkeypatch.setattr(options.time, "monotonic", lambda: next(clock))
    bar = options.Progress("progress.tune", "en", quiet=False)
    for done in (2, 4, 6, 8):
        bar.update(done, 10, f"{done} of 10")
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "focalkit: tuning, 4 of 10, about 1:32 left",
        "focalkit: tuning, 8 of 10, about 0:30 left",
    ]


def test_a_short_run_in_a_pipe_says_nothing_of_its_progress(table):
    assert "best so far" not in run("tune", table, *QUICK).output


@pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning")  # JAX's, where other tests loaded it
def test_ctrl_c_leaves_the_finished_folds_usable(tmp_path):
    rng = np.random.default_rng(0)
    y = np.arange(6000) % 3
    X = rng.normal(size=(6000, 12)) + y[:, None]
    path = tmp_path / "big.csv"
    np.savetxt(path, np.column_stack([X, y]), delimiter=",", fmt="%.5f")
    out = tmp_path / "r.json"
    journal = tmp_path / "j"
    command = [sys.executable, "-m", "focalkit", "tune", str(path), "--repeats", "400", "--json", str(out)]
    process = subprocess.Popen(
        [*command, "--jobs", "2", "--journal", str(journal)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
        # whoever started the tests in the background had it ignored
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 90
    while process.poll() is None and time.monotonic() < deadline:
        if journal.exists() and len(journal.read_bytes().splitlines()) > 4:  # folds are finished
            break
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert "Traceback" not in stderr, stderr
    assert process.returncode == 130
    if out.exists():
        assert "Interrupted" in stdout
        assert json.loads(out.read_text())["finished"] is False
    else:
        assert "interrupted" in stderr


def test_without_the_extra_the_command_says_what_to_install():
    code = "import sys; sys.modules['click'] = None; import focalkit.cli"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert 'pip install "focalkit[tune]"' in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(not SHARED.exists(), reason="the shared data are not here")
def test_shifted_decisions_win_on_mammography_and_weighting_spoils_its_ranking(tmp_path):
    out = tmp_path / "r.json"
    done = run(
        "tune", SHARED / "mammography.csv", "--repeats", "1", "--gamma", "0,2", "--alpha", "none,power:1", "--json", out
    )
    assert done.exit_code == 0, done.output
    report = json.loads(out.read_text())
    assert report["verdicts"][0]["recommended"] == "CE + shift"
    assert report["verdicts"][1]["recommended"] == "CE"
    figures = {cell["title"]: cell["scores"] for cell in report["cells"]}
    assert 0.86 < figures["CE shifted, τ chosen"]["balanced_accuracy"]["mean"] < 0.90
    loss = figures["plain CE"]["average_precision"]["mean"] - figures["CE, α n^-1"]["average_precision"]["mean"]
    assert 0.05 < loss < 0.12


FOREST = "sklearn.ensemble.RandomForestClassifier(n_estimators=5)"


def test_a_class_of_classifiers_is_tuned_by_its_name_behind_the_usual_preparation(tmp_path):
    path = with_text_and_gaps(tmp_path)
    done = run("tune", path, *QUICK, "--estimator", FOREST)
    assert done.exit_code == 0, done.output
    assert "RandomForestClassifier is given α by class_weight." in done.output
    assert "1 text column(s) are one-hot encoded inside the folds." in done.output


def with_text_and_gaps(tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "t.csv"
    rows = [
        f"{'' if k % 11 == 0 else format(rng.normal() + k % 2, '.3f')},{'red' if k % 3 else 'blue'},{'ab'[k % 2]}"
        for k in range(120)
    ]
    path.write_text("x,colour,t\n" + "\n".join(rows) + "\n")
    return path


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("os.system(command='true')", "name a class of classifiers"),
        ("os.system('true')", "a class with literal arguments"),
        ("sklearn.preprocessing.StandardScaler()", "name a class of classifiers"),
        ("sklearn.tree.DecisionTreeClassifier(max_depth=__import__('os').getpid())", "have a literal as its max_depth"),
        ("sklearn.tree.DecisionTreeClassifier(no_such=1)", "have arguments that its class takes"),
        ("forest", "be one of linear, xgboost, lightgbm, catboost"),
        ("model.joblib", "be trusted"),
    ],
)
def test_nothing_is_called_but_a_class_of_classifiers_with_literals(table, text, message):
    done = run("tune", table, *QUICK, "--estimator", text)
    assert done.exit_code == 2, done.output
    assert message in done.output
    assert "Traceback" not in done.output


def test_a_library_that_is_not_installed_is_named_with_what_installs_it(table):
    done = run("tune", table, *QUICK, "--estimator", "no_such_library.Model()")
    assert done.exit_code == 1, done.output
    assert "pip install no_such_library" in done.output


def test_a_saved_model_is_tuned_once_it_is_trusted_on_the_columns_that_it_knew(tmp_path):
    joblib, pandas = pytest.importorskip("joblib"), pytest.importorskip("pandas")
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    path = with_text_and_gaps(tmp_path)
    frame = pandas.read_csv(path)
    prepare = make_column_transformer((OneHotEncoder(), ["colour"]), (SimpleImputer(), ["x"]))
    model = make_pipeline(prepare, LogisticRegression(C=0.5)).fit(frame[["colour", "x"]], frame["t"])
    saved = tmp_path / "model.joblib"
    joblib.dump(model, saved)
    done = run("tune", path, *QUICK, "--estimator", saved, "--trust")
    assert done.exit_code == 0, done.output
    assert "LogisticRegression is given α by class_weight." in done.output
    again = tmp_path / "again.joblib"
    done = run("tune", path, *QUICK, "--estimator", saved, "--trust", "--save", again)
    assert done.exit_code == 0, done.output
    decided = run("predict", again, path, "--trust")
    assert decided.exit_code == 0, decided.output
    encoder, judged = (step for _, step in joblib.load(again).steps)
    p = np.array([line.split(",")[-1] for line in decided.output.splitlines()[1:]], float)
    np.testing.assert_allclose(p, judged.predict_proba(frame[["colour", "x"]])[:, 1], rtol=1e-4)
    assert list(encoder.transform(frame).columns) == ["colour", "x"]
    done = run("tune", path, *QUICK, "--estimator", again, "--trust")
    assert done.exit_code == 0, done.output
    (tmp_path / "broken.joblib").write_bytes(b"no model")
    done = run("tune", path, *QUICK, "--estimator", tmp_path / "broken.joblib", "--trust")
    assert done.exit_code == 2, done.output
    assert "be a model that joblib saved" in done.output


def test_predictions_alone_are_tuned(tmp_path):
    rng = np.random.default_rng(0)
    y = rng.random(400) < 0.15
    p = 1 / (1 + np.exp(2.0 - rng.normal(size=400) - 1.5 * y))
    path = tmp_path / "p.csv"
    lines = [f"{1 - q:.5f},{q:.5f},{'ill' if t else 'well'}" for q, t in zip(p, y, strict=True)]
    path.write_text("p_well,p_ill,state\n" + "\n".join(lines) + "\n")
    done = run("tune", path, "--predictions", "--folds", "3", "--repeats", "2")
    assert done.exit_code == 0, done.output
    assert "400 out-of-fold predictions, 2 classes" in done.output
    assert "flag “ill” where p >" in done.output


def test_four_lines_answer_and_everything_else_waits_for_verbose(table):
    labels = ["Do", "Expect", "How sure", "What it costs"]
    done = run("tune", table, *QUICK)
    assert done.exit_code == 0, done.output
    starts = [line.partition(":")[0] for line in done.output.splitlines()]
    assert [start for start in starts if start in labels] == labels
    assert "OHEM, hardest" not in done.output
    long = run("tune", table, *QUICK, "--verbose").output
    assert long.count("How sure: ") == 2
    assert long.index("How sure: ") < long.index("OHEM, hardest") < long.rindex("How sure: ")


def test_columns_that_say_how_rows_count_are_no_features_and_are_used(table, tmp_path):
    rng = np.random.default_rng(1)
    head, *rows = table.read_text().splitlines()
    more = [
        f"{row},{rng.integers(60)},{2.0 if row.endswith('ill') else 1.0},2026-01-{i % 28 + 1:02d}"
        for i, row in enumerate(rows)
    ]
    path = tmp_path / "more.csv"
    path.write_text("\n".join([head + ",clinic,w,day", *more]) + "\n")
    figures = tmp_path / "t.json"
    columns = {"--groups": "clinic", "--weights": "w", "--time": "day"}
    every = [word for pair in columns.items() for word in pair]
    seen = set()
    for given in ([], ["--weights", "w"], ["--groups", "clinic"], ["--time", "day"]):
        dropped = [word for flag, name in columns.items() if flag not in given for word in ("--drop", name)]
        done = run("tune", path, "--target", "state", *QUICK, *given, *dropped, "--json", figures)
        assert done.exit_code == 0, done.output
        assert "240 rows × 3 features" in done.output
        seen.add(json.dumps(json.loads(figures.read_text())["cells"]))
    assert len(seen) == 4
    assert run("tune", path, "--target", "state", *QUICK, *every).exit_code == 0
    assert "--weights" in run("tune", "--weights", "w").stderr


def test_several_labels_get_a_line_each_and_one_together(tmp_path):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 2))
    lines = [f"{a:.3f},{b:.3f},{int(a > 1)},{int(b + rng.normal() > 1.5)}" for a, b in X]
    path = tmp_path / "t.csv"
    path.write_text("a,b,t_x,t_y\n" + "\n".join(lines) + "\n")
    model = tmp_path / "model.joblib"
    done = run("tune", path, "--target", "t_*", *QUICK, "--save", model)
    assert done.exit_code == 0, done.output
    assert run("predict", model, path, "--trust").output.startswith("decision_t_x,decision_t_y,p_t_x,p_t_y")
    refused = run("predict", model, path, "--trust", "--cost-column", "a")
    assert refused.exit_code == 2
    assert "--cost-column must be left out for several labels" in refused.stderr
    starts = [line.split()[0] for line in done.output.splitlines() if line.strip()]
    assert [start for start in starts if start in ("t_x", "t_y", "together")] == ["t_x", "t_y", "together"]
    assert run("tune", path, "--target", "u_*", *QUICK).exit_code == 2


def test_every_place_answers_at_the_worth_and_the_proof_that_were_asked_for(tmp_path):
    places = {name: tmp_path / f"out.{name}" for name in ("json", "html", "card")}
    words = ["tune", *QUICK, "--quiet", *(str(part) for name, place in places.items() for part in (f"--{name}", place))]
    said = set()
    cases = ([["--worth", "0"], "worth", 0.0], [["--worth", "90"], "worth", 90.0], [["--proof"], "proof", True])
    for asked, key, value in cases:
        done = CliRunner(env={"COLUMNS": "600"}).invoke(main, [*words, *asked])
        assert done.exit_code == 0, done.output
        told = json.loads(places["json"].read_text())["verdicts"][0]
        headline = told["brief"]["do"][0]
        said.add(headline)
        assert told[key] == value
        assert headline in re.sub(r"\s+", " ", done.output)
        assert headline in re.sub(r"\s+", " ", html.unescape(places["html"].read_text()))
        assert headline in places["card"].read_text()
    assert len(said) > 1


def test_costs_go_by_the_names_in_their_file_and_misses_by_the_rarer_or_the_second_column(tmp_path):
    rng = np.random.default_rng(0)
    rare = rng.random(300) < 0.2
    X = rng.normal(size=(300, 2)) + rare[:, None]
    table, predictions = tmp_path / "t.csv", tmp_path / "p.csv"
    words = np.where(rare, "bad", "good")
    table.write_text("a,b,y\n" + "\n".join(f"{a:.4f},{b:.4f},{w}" for (a, b), w in zip(X, words, strict=True)) + "\n")
    p = np.clip(0.2 + 0.2 * X[:, 0], 0.02, 0.98)
    lines = [f"{1 - q:.4f},{q:.4f},{w}" for q, w in zip(p, words, strict=True)]
    predictions.write_text("p_good,p_bad,y\n" + "\n".join(lines) + "\n")
    named, plain, other = (tmp_path / f"{name}.csv" for name in ("named", "plain", "other"))
    named.write_text(",good,bad\ngood,0,1\nbad,20,0\n")
    plain.write_text("0,20\n1,0\n")  # of bad and good, as sorted
    other.write_text("0,1\n20,0\n")  # of good and bad, as the columns of the predictions
    cases = [
        (table, ["--target", "y"], [["--costs", named], ["--costs", plain], ["--cost", "fn=20,fp=1"]]),
        (
            predictions,
            ["--target", "y", "--predictions"],
            [["--costs", named], ["--costs", other], ["--cost", "fn=20,fp=1"]],
        ),
    ]
    for file, asked, costs in cases:
        told = [json.loads(run("tune", file, *asked, *QUICK, "--quiet", *c, "--json", "-").stdout) for c in costs]
        means = [one["cells"][0]["scores"] for one in told]
        assert means[0] == means[1] == means[2]
        assert len({one["verdicts"][0]["brief"]["expect"][0] for one in told}) == 1
        assert "“bad”" in told[0]["verdicts"][0]["brief"]["expect"][0]
    good = run("tune", table, "--target", "y", *QUICK, "--quiet", "--cost", "fn=20,fp=1", "--positive", "good")
    assert "“good”: caught" in good.output


def test_what_a_saved_model_and_its_script_need_is_said_or_written(tmp_path):
    table = tmp_path / "t.csv"
    rng = np.random.default_rng(0)
    ill = rng.random(300) < 0.2
    rows = [
        f"{a:.4f},{10 ** (3 * b):.3f},{int(t)}"
        for a, b, t in zip(rng.normal(size=300) + ill, rng.random(300), ill, strict=True)
    ]
    table.write_text("\n".join(["a,amount,ill", *rows]) + "\n")
    script, model = tmp_path / "s.py", tmp_path / "m.joblib"
    words = ("tune", table, "--target", "ill", *QUICK, "--quiet")
    assert run(*words, "-C", "inf", "--script", script).exit_code == 0
    assert 'C=float("inf")' in script.read_text()
    done = run(*words, "--cost-column", "amount", "--cost", "fp=5", "--save", model)
    assert done.exit_code == 0, done.output
    assert "on 300 new rows -" not in done.output  # amounts, and so costs, are not negative
    for refused, said in (
        (run(*words, "--save", "-"), "save must be a file"),
        (run(*words, "--drop", "ill"), "target must be another column than those left out"),
        (run(*words, "--weights", "amount", "--cost-column", "amount"), "weights must be another column than costs"),
        (run("predict", model, table, "--trust"), "--cost-column must name the column"),
        (run("predict", model, table, "--trust", "--cost-column", "amount", "--drop", "a"), "--drop must be left out"),
    ):
        assert refused.exit_code == 2, refused.output
        assert said in refused.output
    assert run("predict", model, table, "--trust", "--cost-column", "amount").exit_code == 0
