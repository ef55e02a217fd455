"""The script, the saved model and the card of ``focalkit tune``: each runs as pasted and decides alike."""

import contextlib
import csv
import io
import os
import runpy
import subprocess
import sys
import warnings

import numpy as np
import pytest
from click.testing import CliRunner

from focalkit.cli import main
from focalkit.io import read_table

QUICK = "--folds 2 --repeats 1 --gamma 0,2 --alpha none,balanced --keep-hardest none --jobs 1 --quiet".split()
N = 240


def run(*arguments):
    return CliRunner(env={"COLUMNS": "140"}).invoke(main, [str(a) for a in arguments])


def columns(classes=2, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.choice(classes, N, p=[0.8, 0.2] if classes == 2 else [0.6, 0.25, 0.15])
    return y, rng.normal(size=(N, 2)) + y[:, None], rng.random(N)


def numbers(path):
    y, X, _ = columns()
    rows = [f"{a:.4f},{b:.4f},{'ill' if k else 'well'}" for (a, b), k in zip(X, y, strict=True)]
    path.write_text("a,b,state\n" + "\n".join(rows) + "\n")


def text_and_gaps(path):
    y, X, u = columns()
    colour = np.where(u < 0.3 + 0.3 * y, "red", np.where(u < 0.8, "blue", 'none of them, "really"'))
    with path.open("w", newline="") as stream:
        out = csv.writer(stream)
        out.writerow(["a", "colour", "b", "state"])
        for i in range(N):
            out.writerow(["" if i % 7 == 0 else f"{X[i, 0]:.3f}", "" if i % 5 == 0 else colour[i], X[i, 1], "ny"[y[i]]])


def three_classes(path):
    y, X, _ = columns(3)
    rows = [f"{a:.4f},{b:.4f},{k}" for (a, b), k in zip(X, y, strict=True)]
    path.write_text("a,b,target\n" + "\n".join(rows) + "\n")


def without_a_header(path):
    y, X, _ = columns()
    path.write_text("\n".join(f"{a:.4f};{b:.4f};{k}" for (a, b), k in zip(X, y, strict=True)).replace(".", ",") + "\n")


def weighted_in_groups(path):
    y, X, u = columns()
    rows = [f"{a:.4f},{b:.4f},{1 + w:.3f},g{i // 2},{k}" for i, ((a, b), w, k) in enumerate(zip(X, u, y, strict=True))]
    path.write_text("a,b,w,group,target\n" + "\n".join(rows) + "\n")


FIXTURES = {
    numbers: [],
    text_and_gaps: [],
    three_classes: [],
    without_a_header: ["--target", "-1"],
    weighted_in_groups: ["--weights", "w", "--groups", "group"],
}
FOREST = ["--estimator", "sklearn.ensemble.RandomForestClassifier(n_estimators=5)"]
BAYES = ["--estimator", "sklearn.naive_bayes.GaussianNB()"]
CASES = [(made, more) for made in FIXTURES for more in ([], FOREST)]
CASES += [(text_and_gaps, [*BAYES, "--rivals", "undersample"]), (numbers, ["--metric", "cost:5:1"])]


def pasted(script, in_its_own_process):
    """What a script says; where a process of its own is not the point, none is started."""
    if in_its_own_process:
        found = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False, cwd=script.parent)
        assert found.returncode == 0, found.stderr
        return found.stdout
    with contextlib.redirect_stdout(io.StringIO()) as said, contextlib.chdir(script.parent), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        runpy.run_path(str(script), run_name="__main__")
    return said.getvalue()


@pytest.mark.parametrize(("made", "more"), CASES, ids=lambda c: c.__name__ if callable(c) else " ".join(c[-1:])[:22])
def test_the_script_runs_as_pasted_and_decides_as_the_saved_model_does(tmp_path, made, more):
    path, script, model, card = (tmp_path / name for name in ("t.csv", "s.py", "m.joblib", "c.md"))
    made(path)
    given = ["tune", path, *QUICK, *FIXTURES[made], *more]
    done = run(*given, "--script", script, "--save", model, "--card", card)
    assert done.exit_code == 0, done.output
    script.write_text(script.read_text() + "\nprint(*decisions, sep='\\n')\n")
    said = pasted(script, in_its_own_process=(made, more) == CASES[0])
    decided = run("predict", model, path, "--trust")
    assert decided.exit_code == 0, decided.output
    rows = list(csv.DictReader(io.StringIO(decided.output)))
    assert [row["decision"] for row in rows] == said.split("\n")[:-1]
    assert len(rows) == N
    for row in rows[:20]:
        assert sum(float(v) for name, v in row.items() if name.startswith("p_")) == pytest.approx(1, abs=1e-4)
    text = card.read_text(encoding="utf-8")
    assert "## Verdict" in text
    assert script.read_text().split("\nprint(")[0].strip() in text


@pytest.fixture
def saved(tmp_path):
    path, model = tmp_path / "t.csv", tmp_path / "m.joblib"
    text_and_gaps(path)
    done = run("tune", path, *QUICK, "--save", model)
    assert done.exit_code == 0, done.output
    return path, model


def test_new_rows_need_no_target_and_their_columns_may_stand_in_any_order(saved, tmp_path):
    path, model = saved
    lines = list(csv.DictReader(io.StringIO(path.read_text())))
    new = tmp_path / "new.csv"
    with new.open("w", newline="") as stream:
        out = csv.writer(stream)
        out.writerow(["more", "b", "colour", "a"])
        out.writerows([["x", row["b"], row["colour"], row["a"]] for row in lines])
        out.writerow(["x", "0.5", "a colour that nobody has seen", ""])
    first, second = run("predict", model, path, "--trust").output, run("predict", model, new, "--trust").output
    assert second.splitlines()[:-1] == first.splitlines()
    assert len(second.splitlines()) == N + 2


def test_a_saved_model_is_tuned_again_without_its_remedy(saved):
    path, model = saved
    again = run("tune", path, *QUICK, "--estimator", model, "--trust")
    assert again.exit_code == 0, again.output
    plain = run("tune", path, *QUICK)

    def verdict(text):
        return text[text.index("Do:") :]

    assert verdict(again.output) == verdict(plain.output)
    other = run("tune", path, *QUICK, "--estimator", model, "--trust", "--drop", "a")
    assert other.exit_code == 2
    assert "estimator must be of the columns" in other.output


def test_decisions_go_to_a_file_whole(saved, tmp_path):
    path, model = saved
    out = tmp_path / "d.csv"
    done = run("predict", model, path, "--trust", "--out", out)
    assert done.exit_code == 0, done.output
    assert out.read_text().startswith("decision,p_n,p_y\n")
    assert str(out) in done.output


def test_a_model_is_loaded_only_where_it_is_trusted(saved, tmp_path):
    path, model = saved

    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "boom"),)

    import joblib

    joblib.dump(Bomb(), tmp_path / "bomb.joblib")
    done = run("predict", tmp_path / "bomb.joblib", path)
    assert done.exit_code == 2
    assert "--trust says that you trust this one" in done.output
    assert not (tmp_path / "boom").exists()
    assert run("predict", model, path).exit_code == 2


def test_what_is_no_saved_model_or_lacks_a_column_is_told_in_one_line(saved, tmp_path):
    path, model = saved
    import joblib
    from sklearn.linear_model import LogisticRegression

    joblib.dump(LogisticRegression(), tmp_path / "other.joblib")
    done = run("predict", tmp_path / "other.joblib", path, "--trust")
    assert done.exit_code == 2
    assert "be one that focalkit tune saved" in done.output
    (tmp_path / "new.csv").write_text("a,colour\n1,red\n")
    done = run("predict", model, tmp_path / "new.csv", "--trust")
    assert done.exit_code == 2
    assert "have the columns that the model knew" in done.output


def test_the_saved_pipeline_takes_files_frames_and_matrices_in_python(saved):
    pandas, joblib = pytest.importorskip("pandas"), pytest.importorskip("joblib")
    path, model = saved
    pipeline = joblib.load(model)
    by_file = pipeline.predict(str(path))
    assert (by_file == pipeline.predict(pandas.read_csv(path))).all()
    assert (by_file == pipeline.predict(read_table(path).X)).all()
    assert pipeline.predict_proba(str(path)).sum(axis=1) == pytest.approx(1)


def test_predictions_alone_have_no_model_to_save(tmp_path):
    done = run("tune", "p.csv", "--predictions", "--save", tmp_path / "m.joblib")
    assert done.exit_code == 2, done.output
