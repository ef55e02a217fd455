"""The study's runner on tables small enough for every commit: choices inside, results resumable, nothing leaks."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

pytest.importorskip("imblearn")
pl = pytest.importorskip("polars")

from study import run  # noqa: E402
from study.analyse import collect  # noqa: E402
from study.learners import LEARNERS, Variant  # noqa: E402
from study.outcomes import OUTCOMES, choose, evaluate  # noqa: E402
from study.tables import Entry  # noqa: E402


def made(n: int = 400, share: float = 0.1, n_classes: int = 2, seed: int = 0) -> run.Table:
    random = np.random.RandomState(seed)
    y = np.where(random.rand(n) < share, n_classes - 1, random.randint(0, n_classes - 1, n))
    X = random.normal(size=(n, 3)) + 0.8 * y[:, None]
    return run.Table(
        Entry("made", "test", "made", n, 3, n_classes, int(np.bincount(y).min()), ""), X, y.astype(np.intp)
    )


@pytest.mark.parametrize("n_classes", [2, 3])
def test_a_unit_scores_every_procedure_on_every_outcome(n_classes):
    record = run.do(run.Unit("linear", "made", 0, 0), made(n_classes=n_classes, share=0.2))
    assert set(record["values"]) == {p.name for p in run.PROCEDURES}
    for values in record["values"].values():
        assert set(values) == {o.name for o in OUTCOMES}
        assert all(np.isfinite(v) for v in values.values())
    assert record == {**run.do(run.Unit("linear", "made", 0, 0), made(n_classes=n_classes, share=0.2)),
                      "seconds": record["seconds"]}  # fmt: skip


def test_the_rows_that_are_scored_choose_nothing():
    table = made()
    other = made()
    (_, test), *_ = [(a, b) for r, f, a, b in run.splits(table.X, table.y, 2, 5, 0) if (r, f) == (0, 0)]
    other.y[test] = np.random.RandomState(5).permutation(other.y[test])
    # the outer folds are stratified, so that labels move them: keep the folds and change what is scored
    first = run.do(run.Unit("linear", "made", 0, 0), table)
    split = run.splits
    try:
        run.splits = lambda X, y, k, n, seed: (  # type: ignore[assignment]
            split(table.X, table.y, k, n, seed) if len(y) == len(table.y) else split(X, y, k, n, seed)
        )
        second = run.do(run.Unit("linear", "made", 0, 0), other)
    finally:
        run.splits = split
    assert second["chosen"] == first["chosen"]
    assert second["values"] != first["values"]


def test_a_journal_is_read_as_far_as_its_lines_are_whole(tmp_path):
    for fold in range(2):
        run.write(tmp_path / "part.jsonl", {"key": json.dumps(fold), "value": fold})
    text = (tmp_path / "part.jsonl").read_text()
    for cut in range(len(text)):
        (tmp_path / "part.jsonl").write_text(text[:cut])
        found = run.finished(tmp_path)
        assert len(found) == text[: cut + 1].count("\n") - (text[cut] == "\n" and 0)
    (tmp_path / "part.jsonl").write_text(text.replace('"value": 0', '"value": 7'))
    assert list(run.finished(tmp_path)) == ["1"]


def test_results_carry_costs_in_units_of_the_better_constant_decision(tmp_path):
    record = run.do(run.Unit("linear", "made", 0, 0), made())
    run.write(tmp_path / "j.jsonl", record)
    collect(tmp_path, tmp_path / "r.parquet")
    frame = pl.read_parquet(tmp_path / "r.parquet").filter(pl.col("procedure") == "ce+rule")
    cost = frame.filter(pl.col("outcome") == "cost_imbalance")["value"][0]
    assert -100 < cost < 0
    assert cost == pytest.approx(
        -100 * record["values"]["ce+rule"]["cost_imbalance"] / ((record["rows"] - record["minority"]) / record["rows"]),
        rel=1e-5,
    )


def test_what_is_in_the_results_is_not_done_again_and_stays_there(tmp_path):
    results = tmp_path / "r.parquet"
    for fold in range(2):
        (tmp_path / str(fold)).mkdir()
        run.write(tmp_path / str(fold) / "j.jsonl", run.do(run.Unit("linear", "made", 0, fold), made()))
        collect(tmp_path / str(fold), results)
    keys = {run.Unit("linear", "made", 0, fold).key for fold in range(2)}
    assert run.collected(results) == keys
    before = pl.read_parquet(results)
    collect(tmp_path / "0", results)
    assert pl.read_parquet(results).equals(before)
    assert run.collected(tmp_path / "none.parquet") == set()


@pytest.mark.parametrize("learner", ["linear", "lightgbm", "xgboost"])
def test_the_posterior_of_weights_and_of_resampling_is_that_of_the_population(learner):
    if learner != "linear":
        pytest.importorskip(learner)
    table = made(3000, 0.08)
    variants = [Variant("alpha", alpha="balanced"), Variant("over", resample="over")]
    fitted = LEARNERS[learner].fit([(v, 0) for v in variants], table.X, table.y, seed=0)
    for v in variants:
        raw, undone = fitted[v.name, 0].both(table.X)
        assert raw[:, 1].mean() > 0.2
        assert undone[:, 1].mean() == pytest.approx(table.y.mean(), abs=0.03)


def test_a_choice_is_the_best_on_what_it_may_see():
    random = np.random.RandomState(0)
    y = (random.rand(500) < 0.1).astype(np.intp)
    good = np.clip(0.1 + 0.3 * y + 0.05 * random.normal(size=500), 0.01, 0.99)
    candidates = {
        ("bad", 0): np.full((500, 2), 0.5),
        ("good", 0): np.column_stack([1 - good, good]),
    }
    for outcome in OUTCOMES:
        assert choose(outcome, "rule", candidates, y).model[0] == "good" or outcome.name == "slope"
    best = choose(OUTCOMES[0], "rule", candidates, y)
    assert evaluate(OUTCOMES[0], best, candidates["good", 0], y, y) > 0.95
