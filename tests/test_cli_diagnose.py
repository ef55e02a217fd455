"""``focalkit diagnose`` and ``focalkit curve`` from the outside."""

import io
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner

from focalkit import Ledger, LossSpec, diagnose
from focalkit.cli import main
from focalkit.cli.curve import curve, form_fields
from focalkit.cli.diagnose import diagnose as command
from focalkit.diagnosis import Diagnosis
from focalkit.report.diagnose import sections, where
from focalkit.report.terminal.console import Terminal
from tests.diagnosis.test_ledger import predictions


def run(*args, of=command):
    return CliRunner().invoke(of, [str(a) for a in args], catch_exceptions=False)


@pytest.fixture
def file(tmp_path):
    logits, targets = predictions(n=500)
    rows = [",".join(f"{v:.9g}" for v in z) + f",{t}" for z, t in zip(logits, targets, strict=True)]
    path = tmp_path / "p.csv"
    path.write_text("a,b,[bold]c,d,y\n" + "\n".join(rows))
    return path


def test_without_a_file_it_says_that_its_predictions_are_made_up():
    result = run()
    assert result.exit_code == 0
    assert "made-up" in result.stdout
    assert "Findings" in result.stdout


def test_the_table_shows_every_class_as_it_is_written(file):
    result = run(file, "--gamma", 1, "--alpha", "balanced")
    assert result.exit_code == 0
    for word in ("500 targets", "[bold]c", "γ=1", "balanced"):
        assert word in result.stdout
    assert result.stderr == ""


def test_csv_and_npz_of_the_same_predictions_give_the_same_table(file, tmp_path):
    table = np.loadtxt(file, delimiter=",", skiprows=1)
    names = np.array(["a", "b", "[bold]c", "d"])
    np.savez(tmp_path / "p.npz", logits=table[:, :4], targets=table[:, 4].astype(int), class_names=names)
    first, second = run(file), run(tmp_path / "p.npz")
    assert first.stdout.split("Where", 1)[1] == second.stdout.split("Where", 1)[1]


def test_what_is_read_is_not_written_over(file, tmp_path):
    before = file.read_bytes()
    (tmp_path / "link.csv").symlink_to(file)
    for place in (file, tmp_path / "link.csv"):
        done = run("diagnose", file, "--json", place, of=main)
        assert done.exit_code == 2
        assert "output must be another file than those that are read" in done.output
    assert file.read_bytes() == before
    done = run("diagnose", file, "--json", "", of=main)
    assert "output must be a file" in done.output


def test_json_holds_the_ledger(file, tmp_path):
    out = tmp_path / "ledger.json"
    assert run(file, "--json", out, "--gamma", 0.5).exit_code == 0
    ledger = Ledger.from_json(out.read_text(encoding="utf-8"))
    assert (ledger.n_samples, ledger.spec) == (500, LossSpec(gamma=0.5))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["ledger.json", "p.csv"]


@pytest.mark.parametrize(
    "args",
    [
        ("nowhere.csv",),
        ("FILE", "--target", "none"),
        ("FILE", "--gamma", "x"),
        ("FILE", "--gamma", "-1"),
        ("FILE", "--gamma", "1,2"),
        ("FILE", "--alpha", "frequency"),
        ("FILE", "--alpha", "1,2"),
        ("FILE", "--alpha", "-1"),
        ("FILE", "--json", "nowhere/x.json"),
        ("--target", "y"),
    ],
)
def test_wrong_use_is_one_line_on_stderr_and_exit_code_2(file, args):
    result = run(*[file if a == "FILE" else a for a in args])
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("focalkit: ")
    assert result.stdout == ""


def test_probabilities_are_refused_with_the_way_to_logits(tmp_path):
    (tmp_path / "p.csv").write_text("a,b,y\n" + "0.5,0.5,0\n" * 9)
    result = run(tmp_path / "p.csv")
    assert result.exit_code == 2
    assert "log(p)" in result.stderr


def test_suspected_probabilities_of_a_sigmoid_are_warned_about(tmp_path):
    (tmp_path / "p.csv").write_text("z,y\n" + "0.5,0\n0.2,1\n" * 9)
    result = run(tmp_path / "p.csv")
    assert result.exit_code == 0
    assert result.stderr.startswith("warning: all logits lie in [0, 1]")


@pytest.mark.parametrize("module", ["pyarrow", "rich", "matplotlib"])
def test_a_missing_extra_is_named_with_its_install_command(module, file, tmp_path):
    name = "curve" if module == "matplotlib" else "diagnose"
    args = ["--out", str(tmp_path / "c.svg")] if name == "curve" else [str(file)]
    code = f"import sys; sys.modules[{module!r}] = None\nfrom focalkit.cli import {name}\n{name}({args!r})"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert 'pip install "focalkit[' in result.stderr
    assert result.stderr.count("\n") == 1


def test_importing_the_package_loads_no_extra():
    extras = "{'pyarrow', 'matplotlib', 'rich', 'click', 'scipy', 'sklearn'}"
    code = f"import sys, focalkit; print(sorted({extras} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


# --- the table itself


def test_merge_order_does_not_change_what_is_printed(file):
    logits, targets = predictions(n=600)
    parts = [diagnose(logits[i::3], targets[i::3]) for i in range(3)]
    texts = []
    for order in ((0, 1, 2), (2, 1, 0), (1, 2, 0)):
        ledger = parts[order[0]] + parts[order[1]] + parts[order[2]]
        stream = io.StringIO()
        Terminal(file=stream, width=100).show(sections(Diagnosis(ledger, 2.0, "inverse")))
        texts.append(stream.getvalue())
    assert len(set(texts)) == 1


def test_many_classes_are_cut_to_the_top_and_said():
    rng = np.random.default_rng(0)
    ledger = diagnose(rng.normal(size=(500, 100)), rng.integers(0, 100, 500))
    assert len(where(Diagnosis(ledger, 2.0, "inverse"), 7).rows) == 7


def test_without_alpha_the_table_has_no_columns_for_it():
    ledger = diagnose(*predictions(n=50))
    with_alpha, without = (where(Diagnosis(ledger, 2.0, alpha), 20) for alpha in ("inverse", "none"))
    assert len(with_alpha.columns) - len(without.columns) == 3


def test_nothing_but_ignored_targets_is_said_in_words():
    ledger = diagnose(np.zeros((3, 2)), np.full(3, -100))
    assert Diagnosis(ledger, 2.0, "inverse").sentences() == ["No targets count: there is no loss to share."]


def test_an_absent_class_is_named():
    assert (
        "Without any sample" in Diagnosis(diagnose(np.zeros((3, 3)), np.array([0, 1, 1])), 2.0, "none").sentences()[0]
    )


# --- the picture


def test_curve_writes_the_same_svg_and_png_each_time(tmp_path):
    contents = []
    for i in range(2):
        svg, png = tmp_path / f"{i}.svg", tmp_path / f"{i}.png"
        assert run("--out", svg, "--png", png, of=curve).exit_code == 0
        contents.append((svg.read_bytes(), png.read_bytes()))
    assert contents[0] == contents[1]
    assert b"<svg" in contents[0][0]
    assert contents[0][1].startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("form", "fields"),
    [
        ("poly:1", ({"poly": 1.0}, None)),
        ("gamma_negative:4,clip:0.05", ({"gamma_negative": 4.0, "clip": 0.05}, None)),
        ("varifocal:0.8", ({"quality": "varifocal"}, 0.8)),
        ("gamma_steps:0.2=5/1=3", ({"gamma_steps": [(0.2, 5.0), (1.0, 3.0)]}, None)),
    ],
)
def test_the_curve_of_a_form_is_drawn_from_its_text(tmp_path, form, fields):
    assert form_fields(form) == fields
    picture = tmp_path / "c.svg"
    assert run("--gamma", "0", "--form", form, "--out", picture, of=curve).exit_code == 0
    assert b"<svg" in picture.read_bytes()


@pytest.mark.parametrize(
    "args",
    [
        *[("--gamma", "-1"), ("--gamma", ""), ("--out", "c.pdf"), ("--out", "nowhere/c.svg")],
        *[("--form", bad) for bad in ("poly", "quality:2", "gamma_steps:0.2=5/3", "nu:1", "poly:1,varifocal:0.5")],
    ],
)
def test_a_curve_that_cannot_be_drawn_is_one_line_and_exit_code_2(args):
    result = run(*args, of=curve)
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1


def test_a_place_that_cannot_be_written_is_one_line_and_exit_code_1(tmp_path):
    (tmp_path / "c.svg").mkdir()
    result = run("--out", tmp_path / "c.svg", of=curve)
    assert result.exit_code in (1, 2)
    assert "Traceback" not in result.output


# --- beside the ledger


@pytest.fixture
def parquet(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    logits, targets = predictions(n=800)
    columns = {f"logit_{k}": logits[:, k] for k in range(4)}
    pq.write_table(pa.table({**columns, "label": targets}), tmp_path / "p.parquet")
    return tmp_path / "p.parquet"


def test_hardest_rows_and_free_remedies_follow_the_findings(parquet):
    result = run(parquet, "--hardest", 3, "--train-gamma", "1")
    assert result.exit_code == 0
    for part in ("What costs no retraining", "recovered", "The hardest rows of each class", "800 targets"):
        assert part in result.stdout


@pytest.fixture
def columns(tmp_path):
    rng = np.random.default_rng(0)
    y = (rng.random((900, 2)) < [0.3, 0.1]).astype(int)
    np.savez(tmp_path / "s.npz", logits=rng.normal(size=y.shape) + 3 * y - 2, targets=y, class_names=["dog", "cat"])
    return tmp_path / "s.npz"


def test_independent_columns_have_free_remedies_too(columns, tmp_path):
    page = tmp_path / "s.html"
    args = ("--link", "sigmoid", "--prior", "0.3,0.1", "--train-gamma", 2, "--train-alpha", "0.25")
    result = run(columns, *args, "--html", page)
    assert result.exit_code == 0, result.stderr
    for part in ("What costs no retraining", "posterior", "Accuracy per class", "cat: positive", "within each column"):
        assert part in " ".join(result.stdout.split())
    assert "判为正的阈值" in page.read_text(encoding="utf-8")
    wrong = run(columns, "--link", "sigmoid", "--prior", "0.3,1.5")
    assert (wrong.exit_code, wrong.stderr.count("\n")) == (2, 1)


def test_the_easy_mass_and_the_starting_point_are_listed_per_class(parquet):
    out = run(parquet, "--gamma", 1).stdout
    for part in ("Easy samples of each class", ">\u00a00.9", "A starting point, not advice", "γ alone"):
        assert part in out


def test_saved_ledgers_are_read_added_and_compared(parquet, tmp_path):
    assert run(parquet, "--json", tmp_path / "a.json").exit_code == 0
    result = run(tmp_path / "a.json", tmp_path / "a.json", "--against", parquet)
    assert result.exit_code == 0
    assert "1,600 targets" in result.stdout
    assert "What changed" in result.stdout
    assert "What costs no retraining" not in result.stdout


def test_the_page_is_written_whole_in_the_language_asked_for(parquet, tmp_path):
    page = tmp_path / "page.html"
    assert run(parquet, "--html", page, "--language", "zh-CN", "--hardest", 2).exit_code == 0
    text = page.read_text(encoding="utf-8")
    assert '<html lang="zh-CN">' in text
    assert "标错" in text
    assert sorted(p.name for p in tmp_path.iterdir()) == ["p.parquet", "page.html"]


def test_open_shows_the_page(parquet, tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr("click.launch", opened.append)
    assert run(parquet, "--html", tmp_path / "page.html", "--open").exit_code == 0
    assert opened == [(tmp_path / "page.html").as_uri()]


def test_what_is_left_out_is_warned_about(parquet, tmp_path):
    (tmp_path / "q.parquet").write_bytes(parquet.read_bytes()[:-9])
    assert run(parquet, tmp_path / "q.parquet").exit_code == 2
    result = run(parquet, tmp_path / "q.parquet", "--skip-damaged")
    assert result.exit_code == 0
    assert result.stderr.startswith("warning: left out: file q.parquet")


@pytest.mark.parametrize(
    "args",
    [
        ("--hardest", "3"),
        ("FILE", "--train-gamma", "x"),
        ("FILE", "--train-alpha", "1,2"),
        ("FILE", "--prior", "1,2"),
        ("FILE", "--against", "nowhere.parquet"),
        ("FILE", "ledger.json"),
        ("FILE", "--html", "nowhere/x.html"),
        ("FILE", "--probabilities"),
    ],
)
def test_wrong_use_of_the_rest_is_one_line_too(parquet, args):
    result = run(*[parquet if a == "FILE" else a for a in args])
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1, result.stderr
    assert result.stderr.startswith("focalkit: ")
