import json

import numpy as np
import pytest
from click.testing import CliRunner

from focalkit import InputError
from focalkit.cli import main
from focalkit.estimator import FocalClassifier
from focalkit.report.export import as_dict
from focalkit.tuning import tune_labels

SMALL = {"alphas": [None], "gammas": [0.0], "keep_hardest": [], "n_splits": 3, "n_repeats": 1}


def test_each_label_gets_a_verdict_with_its_n_and_the_mean_gain_is_that_of_the_labels():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 3))
    labels = {name: (X[:, k] + rng.normal(size=300) > 1.6).astype(int) for k, name in enumerate("abc")}
    found = tune_labels(FocalClassifier(), X, labels, **SMALL)
    assert list(found.verdicts) == list("abc")
    assert found.positives == {name: int(y.sum()) for name, y in labels.items()}
    gains = [verdict.recommended.gain.mean for verdict in found.verdicts.values()]
    assert found.together.mean == pytest.approx(np.mean(gains))
    assert found.together.low <= found.together.mean <= found.together.high


def test_what_is_no_label_is_refused():
    with pytest.raises(InputError, match="be 0 or 1 in every row"):
        tune_labels(FocalClassifier(), np.ones((4, 1)), {"a": [0, 1, 2, 0]}, **SMALL)


def test_every_output_of_the_command_holds_every_label(tmp_path):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(240, 2))
    y = (X + rng.normal(size=(240, 2)) > 1.2).astype(int)
    table = tmp_path / "t.csv"
    rows = [f"{a:.4f},{b:.4f},{i},{'yes' if j else 'no'}" for (a, b), (i, j) in zip(X, y, strict=True)]
    table.write_text("\n".join(["a,b,t_x,t_y", *rows]) + "\n")
    places = {o: tmp_path / f"out.{o}" for o in ("json", "html", "script", "card", "save")}
    options = [part for o, place in places.items() for part in (f"--{o}", str(place))]
    few = ["--gamma", "0", "--alpha", "none", "--keep-hardest", "none", "--repeats", "1", "--folds", "3", "--jobs", "1"]
    done = CliRunner().invoke(main, ["tune", str(table), "--target", "t_*", *few, "--quiet", *options])
    assert done.exit_code == 0, done.output
    assert "left out as asked" not in done.output
    figures = json.loads(places["json"].read_text())
    assert list(figures["labels"]) == ["t_x", "t_y"]
    assert [one["positives"] for one in figures["labels"].values()] == y.sum(axis=0).tolist()
    gains = [one["verdicts"][0] for one in figures["labels"].values()]
    best = [next(f for f in one["families"] if f["family"] == one["recommended"])["gain"]["mean"] for one in gains]
    assert figures["together"]["mean"] == pytest.approx(np.mean(best))
    for place in (places["html"], places["card"]):
        assert all(name in place.read_text() for name in ("t_x", "t_y"))
    names: dict = {}
    exec(places["script"].read_text(), names)
    out = CliRunner().invoke(main, ["predict", str(places["save"]), str(table), "--trust"]).output.splitlines()
    assert out[0] == "decision_t_x,decision_t_y,p_t_x,p_t_y"
    decided = np.array([line.split(",")[:2] for line in out[1:]])
    assert (decided[:, 0] == names["decisions"]["t_x"].astype(str)).all()
    assert (decided[:, 1] == names["decisions"]["t_y"]).all()
    assert "t_y = yes" in done.output


def test_a_journal_of_several_labels_is_one_a_label(tmp_path):
    X = np.random.default_rng(0).normal(size=(60, 1))
    labels = {"a": np.arange(60) % 3 == 0, "b": np.arange(60) % 4 == 0}
    first, again = (tune_labels(FocalClassifier(), X, labels, journal=tmp_path / "j", **SMALL) for _ in range(2))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["j.0", "j.1"]
    assert first.together == again.together


def test_a_run_that_is_stopped_keeps_the_labels_it_has_finished():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 3))
    labels = {name: (X[:, k] + rng.normal(size=300) > 1.6).astype(int) for k, name in enumerate("abc")}
    seen = []

    def stop(progress):
        seen.append(progress.done)
        if len(seen) == 9:
            raise KeyboardInterrupt

    found = tune_labels(FocalClassifier(), X, labels, **{**SMALL, "n_repeats": 2}, progress=stop)
    assert not found.finished
    assert list(found.verdicts) == ["a", "b"]
    assert found.verdicts["b"].result.scores.shape[1] == 3
    assert np.isfinite(found.together.mean)


def a_table(tmp_path, rare=3):
    """Two labels, the second of ``rare`` rows."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 2))
    first, second = X[:, 0] + rng.normal(size=300) > 1.2, np.arange(300) < rare
    rows = [f"{a:.4f},{b:.4f},{i:d},{j:d}" for (a, b), i, j in zip(X, first, second, strict=True)]
    place = tmp_path / "t.csv"
    place.write_text("\n".join(["a,b,t_x,t_few", *rows]) + "\n")
    return place


def test_of_words_the_rarer_is_the_label_and_gaps_in_other_rows_are_refused(tmp_path):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 2))
    ill = X + rng.normal(size=(300, 2)) > 1.2
    place, model, card = tmp_path / "t.csv", tmp_path / "m.joblib", tmp_path / "c.md"
    words = [["disease" if i else "normal" for i in column] for column in ill.T]
    few = [
        "--gamma",
        "0",
        "--alpha",
        "none,balanced",
        "--keep-hardest",
        "none",
        "--repeats",
        "1",
        "--jobs",
        "1",
        "--quiet",
    ]

    def write(first, second):
        rows = [f"{a:.4f},{b:.4f},{i},{j}" for (a, b), i, j in zip(X, first, second, strict=True)]
        place.write_text("\n".join(["a,b,t_x,t_y", *rows]) + "\n")

    write(*words)
    words_of = ["tune", str(place), "--target", "t_*", *few]
    done = CliRunner().invoke(main, [*words_of, "--save", str(model), "--card", str(card), "--cost", "fn=9,fp=1"])
    assert done.exit_code == 0, done.output
    assert "t_x = disease" in done.output
    assert "are “disease”: caught" in card.read_text()
    out = CliRunner().invoke(main, ["predict", str(model), str(place), "--trust"]).output.splitlines()
    decided, p = ([line.split(",")[k] for line in out[1:]] for k in (0, 2))
    assert set(decided) == {"disease", "normal"}
    assert np.mean(np.array(p, float)[ill[:, 0]]) > np.mean(np.array(p, float)[~ill[:, 0]])
    write(["", *words[0][1:]], [*words[1][:-1], ""])
    refused = CliRunner().invoke(main, words_of)
    assert refused.exit_code == 2
    assert "label 't_y' must have a value in the same rows as 't_x'" in refused.output


def test_worth_and_proof_hold_for_every_label_and_every_figure():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 3))
    labels = {name: (X[:, k] + rng.normal(size=300) > 1.6).astype(int) for k, name in enumerate("ab")}
    few = {**SMALL, "alphas": [None, "balanced"]}
    for asked in ({"worth": 90.0}, {"proof": True}):
        found = tune_labels(FocalClassifier(), X, labels, **asked, **few)
        for name, verdict in found.verdicts.items():
            assert (verdict.worth, verdict.proof) == (asked.get("worth", 0.5), asked.get("proof", False))
            told = as_dict(verdict.result, verdict.with_others, "")["verdicts"]
            assert [each.worth for each in verdict.with_others] == [verdict.worth] * 3
            assert told[0]["recommended"] == found.verdicts[name].recommended.family
    with pytest.raises(InputError, match="proof must"):
        tune_labels(FocalClassifier(), X, labels, proof="yes", **few)


def test_what_is_noted_of_one_label_is_said_with_its_name(tmp_path):
    few = ["--gamma", "0", "--alpha", "none", "--keep-hardest", "none", "--repeats", "1", "--jobs", "1", "--quiet"]
    page = tmp_path / "p.html"
    words = ["tune", str(a_table(tmp_path)), "--target", "t_*", *few]
    done = CliRunner().invoke(main, [*words, "--html", str(page)])
    assert done.exit_code == 0, done.output
    assert "note: t_few: 1 class(es) have fewer distinct rows" in done.output.replace("\n", " ")
    assert "t_few: 1 class(es) have fewer distinct rows" in page.read_text()
    assert "How sure:" not in done.output
    assert CliRunner().invoke(main, [*words, "--verbose"]).output.count("How sure:") == 2
    refused = CliRunner().invoke(main, [*words, "--predictions"])
    assert refused.exit_code == 2
    assert "one column with --predictions" in refused.output


def test_progress_is_told_of_all_labels_as_one_run():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 3))
    labels = {name: (X[:, k] + rng.normal(size=300) > 1.6).astype(int) for k, name in enumerate("abc")}
    told = []
    tune_labels(FocalClassifier(), X, labels, progress=told.append, **SMALL)
    done = [state.done for state in told]
    assert done == sorted(done)
    assert told[-1].done == told[-1].total
    assert len({state.total for state in told}) == 1
