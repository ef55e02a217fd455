"""Results in an MLflow run, in a local store."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import focalkit
from focalkit.decisions import Cost, decide
from focalkit.estimator import FocalClassifier
from focalkit.report import log_to_mlflow
from focalkit.tuning import judge, tune

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")


@pytest.fixture(autouse=True)
def mlflow(tmp_path, monkeypatch):
    """MLflow with a store of the test's own."""
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri((tmp_path / "runs").as_uri())
    yield mlflow
    mlflow.set_tracking_uri(before)


def logged(run_id):
    import mlflow

    run = mlflow.get_run(run_id)
    folder = Path(run.info.artifact_uri.removeprefix("file://")) / "focalkit"
    return run.data, {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}


def test_a_diagnosis_is_logged_with_its_page_and_the_shares_of_each_class():
    ledger = focalkit.diagnose(np.array([[2.0, 0.0], [0.0, 1.0]]), np.array([0, 1]), class_names=["äpfel", "öpfel"])
    data, files = logged(log_to_mlflow(ledger, language="zh-CN"))
    assert sum(value for name, value in data.metrics.items() if "/loss_share/" in name) == pytest.approx(1)
    assert set(data.metrics) >= {"focalkit/gradient_share/_pfel", "focalkit/gradient_share/_pfel_"}
    assert 'lang="zh-CN"' in files["page.html"]
    assert focalkit.Ledger.from_json(files["result.json"]).class_names == ("äpfel", "öpfel")


def test_a_rule_is_logged_with_its_figures_before_and_after():
    p = np.linspace(0.01, 0.99, 200)
    rule = decide(p, (p > 0.7).astype(int), Cost(fn=9, fp=1))
    data, files = logged(log_to_mlflow(rule))
    cost = rule.report.figure("cost")
    assert data.metrics["focalkit/cost/after"] == pytest.approx(cost.after.value)
    assert data.tags["focalkit/said"] == rule.sentence
    assert json.loads(files["result.json"])["rule"]


def test_a_tuning_run_goes_into_the_run_that_is_active_and_leaves_it_open(mlflow):
    rng = np.random.default_rng(0)
    y = (rng.random(120) < 0.3).astype(int)
    X = rng.normal(size=(120, 2)) + y[:, None]
    result = tune(FocalClassifier(), X, y, gammas=[0.0], alphas=["balanced"], n_splits=3, n_repeats=1)
    with mlflow.start_run() as run:
        assert log_to_mlflow(result, prefix="mine") == run.info.run_id
        assert mlflow.active_run() is not None
    found = mlflow.get_run(run.info.run_id).data
    gain = judge(result).recommended.gain.mean
    assert found.metrics[f"mine/{judge(result).metric.name}/gain"] == pytest.approx(gain)
    assert found.params[f"mine/{judge(result).metric.name}/remedy"]


def test_what_is_no_result_is_refused_before_a_run_begins(mlflow):
    with pytest.raises(focalkit.InputError, match="result must be a TuneResult"):
        log_to_mlflow([1, 2])
    assert mlflow.active_run() is None
