"""Nothing is lost at the end, wrong options are one line before any work, and Python can do what the commands do."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner

from focalkit.cli import main
from focalkit.diagnosis import diagnose_demo, diagnose_files
from focalkit.report import write_page

QUICK = "--folds 2 --repeats 1 --gamma 0,2 --alpha none --keep-hardest none --jobs 1".split()


def run(*words, **options):
    return CliRunner(env={"COLUMNS": "100"}).invoke(main, [str(word) for word in words], **options)


def apart(*words, **environment):
    """In a process of its own, as a user would."""
    environment = {**os.environ, "COLUMNS": "80", **environment}
    command = [sys.executable, "-m", "focalkit", *map(str, words)]
    return subprocess.run(command, capture_output=True, env=environment, timeout=240, check=False)


@pytest.fixture
def predictions(tmp_path):
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 3, 300)
    logits = rng.normal(size=(300, 3)) + 2 * np.eye(3)[targets]
    np.savez(tmp_path / "p.npz", logits=logits, targets=targets, class_names=["a", "b", "c"])
    return tmp_path / "p.npz"


# --- nothing is lost at the end


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "cp936"])
@pytest.mark.parametrize("words", [("diagnose",), ("tune", *QUICK)], ids=["diagnose", "tune"])
def test_a_terminal_without_greek_gets_the_report_and_the_files_are_there(tmp_path, encoding, words):
    page, figures = tmp_path / "r.html", tmp_path / "r.json"
    done = apart(*words, "--quiet", "--html", page, "--json", figures, PYTHONIOENCODING=encoding)
    assert done.returncode == 0, done.stderr
    assert done.stderr == b""
    assert page.read_text(encoding="utf-8").rstrip().endswith("</html>")
    assert json.loads(figures.read_text(encoding="utf-8"))
    assert "Findings" in done.stdout.decode(encoding) or "How sure" in done.stdout.decode(encoding)


def test_the_files_are_written_where_printing_fails(tmp_path, monkeypatch):
    from focalkit.report.terminal.console import Terminal

    def broken(*_):
        raise BrokenPipeError

    monkeypatch.setattr(Terminal, "show", broken)
    monkeypatch.setattr(os, "dup2", lambda *_: None)
    monkeypatch.setattr(sys.stdout, "fileno", lambda: 1, raising=False)
    done = run("diagnose", "--html", tmp_path / "r.html", "--json", tmp_path / "r.json")
    assert done.exit_code == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["r.html", "r.json"]


@pytest.mark.parametrize("command", [("diagnose",), ("tune", *QUICK)], ids=["diagnose", "tune"])
def test_a_place_that_cannot_be_written_is_found_out_before_the_work(tmp_path, command, monkeypatch):
    def worked(*_, **__):
        pytest.fail("the work was begun")

    monkeypatch.setattr(sys.modules["focalkit.cli.diagnose"], "diagnose_demo", worked)
    monkeypatch.setattr("focalkit.tuning.search.tune", worked)
    (tmp_path / "folder").mkdir()
    for place in ("folder", "folder/none/r.json"):
        done = run(*command, "--json", tmp_path / place)
        assert done.exit_code in (1, 2)
        assert done.stderr.startswith("focalkit: ")
        assert done.stderr.count("\n") == 1


def test_a_file_that_must_not_be_written_is_refused_and_stays(tmp_path, monkeypatch):
    place = tmp_path / "r.json"
    place.write_text("mine")
    place.chmod(0o444)
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    done = run("diagnose", "--json", place)
    assert done.exit_code == 1
    assert "Permission denied" in done.stderr
    assert place.read_text() == "mine"


def test_two_reports_in_one_file_are_refused(tmp_path):
    done = run("diagnose", "--json", tmp_path / "r", "--html", tmp_path / "r")
    assert done.exit_code == 2
    assert "another file for each report" in done.stderr


# --- options


@pytest.mark.parametrize(
    "words",
    [
        ("tune", "--seed", 2**32),
        ("tune", "--seed", "1" + "0" * 30),
        ("tune", "--seed", -1),
        ("tune", "--jobs", 0),
        ("tune", "--jobs", 10**6),
        ("tune", "--jobs", "two"),
        ("tune", "--keep-hardest", "1e400"),
        ("tune", "--keep-hardest", "nan"),
        ("tune", "--gamma", "inf"),
        ("tune", "--alpha", "power:x"),
        ("tune", "--alpha", "power:-1"),
        ("tune", "--folds", 1),
        ("tune", "--trials", -1),
        ("tune", "--metric", "niceness"),
        ("tune", "--worth", "nan"),
        ("tune", "--worth", "inf"),
        ("tune", "--target", "a", "--target", "b"),
        ("tune", "--folds", 3, "--folds", 4),
        ("tune", "--nonsense"),
        ("diagnose", "--jobs", 0),
        ("diagnose", "--top", 0),
        ("diagnose", "--gamma", ""),
        ("diagnose", "--gamma", "2,nan,1"),
        ("diagnose", "--alpha", "power:"),
        ("diagnose", "--alpha", "frequency"),
        ("diagnose", "--gamma", 1, "--gamma", 2),
        ("curve", "--gamma", "0,,1"),
        ("curve", "--out", "a.svg", "--out", "b.svg"),
    ],
    ids=lambda words: " ".join(map(str, words))[:40],
)
def test_an_option_out_of_its_domain_is_one_line_and_exit_code_2(words):
    done = run(*words)
    assert done.exit_code == 2, done.output
    assert done.stderr.startswith("focalkit: ")
    assert done.stderr.count("\n") == 1
    assert done.stdout == "" or words[0] == "tune"


def test_the_alpha_that_tune_recommends_is_one_that_diagnose_takes(predictions):
    done = run("diagnose", predictions, "--alpha", "power:0.25")
    assert done.exit_code == 0, done.stderr
    assert "α by “power:0.25”" in done.stdout


def test_every_option_s_choices_are_those_of_the_library():
    from focalkit.cli import tune as module
    from focalkit.tuning.estimators import NAMES as estimators
    from focalkit.tuning.scores import NAMES as metrics

    words = sys.modules["focalkit.cli.tune"]
    assert words.NAMES[: len(metrics)] == metrics[: len(words.NAMES)]
    assert words.ESTIMATORS == estimators
    assert module.name == "tune"


# --- languages


@pytest.mark.parametrize("code", ["zh", "zh-CN"])
def test_the_terminal_speaks_chinese(predictions, code):
    import re

    done = run("diagnose", predictions, "--hardest", 2, "--language", code)
    assert done.exit_code == 0, done.stderr
    for part in ("损失花在了哪里", "结论", "不用重新训练就能做的", "各类别中最难的行"):
        assert part in done.stdout
    left = set(re.findall("[A-Za-z]{4,}", done.stdout))
    assert left <= {"focalkit", "diagnose", "softmax", "targets", "prior", "inverse"}


def test_tune_speaks_chinese():
    done = run("tune", *QUICK, "--language", "zh")
    assert done.exit_code == 0, done.stderr
    for part in ("怎么做：", "会怎样：", "有多确定：", "代价：", "平衡准确率"):
        assert part in done.stdout


# --- from Python


def test_python_does_what_the_command_does(predictions, tmp_path):
    assert run("diagnose", predictions, "--hardest", 2, "--alpha", "sqrt", "--json", tmp_path / "a.json").exit_code == 0
    found = diagnose_files(predictions, hardest=2, alpha="sqrt")
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == json.loads(found.to_json())
    again = diagnose_files(tmp_path / "a.json", against=[predictions], alpha="sqrt")
    assert [finding.id for finding in again.change_findings] == ["mean_loss"]
    assert again.findings == found.findings
    write_page(found, tmp_path / "p.html", language="zh-CN", command="focalkit diagnose p.npz")
    assert "focalkit diagnose p.npz" in (tmp_path / "p.html").read_text(encoding="utf-8")


def test_what_has_no_rows_is_not_asked_for_rows(tmp_path):
    (tmp_path / "l.json").write_text(diagnose_demo().ledger.to_json())
    with pytest.raises(ValueError, match="hardest must be asked of predictions"):
        diagnose_files(tmp_path / "l.json", hardest=3)
