"""The skill for assistants: it ships with the package, and every command and line of Python in it runs."""

from __future__ import annotations

import json
import re
import shlex
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

SKILL = files("focalkit") / ".agents" / "skills" / "focalkit" / "SKILL.md"
INDEX = files("focalkit") / "llms.txt"
ROOT = Path(__file__).parents[1]

pl = pytest.importorskip("polars")
pytest.importorskip("sklearn")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", SKILL.read_text(encoding="utf-8"), re.M | re.S)


@pytest.fixture
def at_work(tmp_path, monkeypatch):
    random = np.random.RandomState(0)
    y = random.rand(300) < 0.15
    columns = {"amount": random.normal(40 + 25 * y, 15), "age": random.randint(18, 80, 300)}
    pl.DataFrame({**columns, "fraud": np.where(y, "yes", "no")}).write_csv(tmp_path / "table.csv")
    p = random.beta(1, 6, 400)
    pl.DataFrame({"p": p, "target": (random.rand(400) < p).astype(int)}).write_parquet(tmp_path / "predictions.parquet")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_its_head_is_what_assistants_read():
    head = SKILL.read_text(encoding="utf-8").split("---")[1]
    fields = dict(line.split(": ", 1) for line in head.strip().splitlines())
    assert fields["name"] == "focalkit"
    assert 50 < len(fields["description"]) <= 1024


def test_every_command_in_it_runs(at_work):
    from click.testing import CliRunner

    from focalkit.cli import main

    commands = [line for block in blocks("sh") for line in block.splitlines() if line]
    assert len(commands) >= 5
    for command in commands:
        name, *arguments = shlex.split(command)
        assert name == "focalkit"
        if arguments[0] == "tune" and "--folds" not in arguments:
            arguments += ["--folds", "2", "--repeats", "1", "--gamma", "0,2", "--jobs", "1"]
        result = CliRunner().invoke(main, arguments, catch_exceptions=False)
        assert result.exit_code == 0, f"{command}\n{result.output}"
    verdict = json.loads((at_work / "verdict.json").read_text())
    first = verdict["verdicts"][0]
    assert set(first["brief"]) >= {"do", "expect", "sure", "costs"}
    assert all({"id", "values"} <= set(finding) for finding in first["findings"])
    assert {"mean", "standard_error"} <= set(next(iter(verdict["cells"][0]["scores"].values())))
    assert {"sentence", "rule", "figures"} <= set(json.loads((at_work / "rule.json").read_text()))


def test_every_line_of_python_in_it_runs():
    random = np.random.RandomState(0)
    p = random.beta(1, 6, 400)
    names = {"probabilities": p, "targets": (random.rand(400) < p).astype(int)}
    for block in blocks("python"):
        exec(compile(block, "SKILL.md", "exec"), names)
    assert set(np.unique(names["decided"])) <= {0, 1}


def test_finding_ids_that_it_names_exist():
    said = (ROOT / "src/focalkit/report/messages/en.py").read_text(encoding="utf-8")
    for name in ("use_cutoff", "per_thousand", "sure"):
        assert name in SKILL.read_text(encoding="utf-8")
        assert re.search(rf"\b{name}\b", said), name


def test_the_index_points_at_pages_that_exist():
    targets = re.findall(r"\]\(([^)]+)\)", INDEX.read_text(encoding="utf-8"))
    assert len(targets) > 10
    for target in targets:
        assert (ROOT / target).exists(), target
