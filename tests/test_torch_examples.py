"""The examples run, in small, and show what they say."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
EXAMPLES = Path(__file__).parents[1] / "examples"


def load(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def test_the_plain_loop_learns():
    result = load("torch_loop").main(epochs=4, counts=(400, 120, 40, 12))
    assert result["last"] < 0.6 * result["first"]
    assert 0.3 < result["mean_p_true"] <= 1


def test_accumulated_gradients_equal_those_of_the_large_batch():
    result = load("torch_accumulation").main()
    assert result["ours"] < 1e-13
    assert result["naive"] > 1e-2


def test_the_dense_head_starts_at_its_prior_and_learns():
    result = load("torch_dense_head").main(steps=10)
    assert result["first_probability"] == pytest.approx(0.01, rel=0.1)
    assert result["last"] < result["first"]


@pytest.mark.filterwarnings("ignore")
def test_lightning_trains_and_logs_shares(tmp_path):
    for library in ("lightning", "torchmetrics", "tensorboard"):
        pytest.importorskip(library)
    result = load("torch_lightning").main(epochs=2, n=300, folder=str(tmp_path))
    assert result["last"] < result["first"]
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    (file,) = tmp_path.rglob("events.out.tfevents.*")
    tags = reader.EventAccumulator(str(file)).Reload().Tags()["scalars"]
    assert {f"train_shares/loss_share/{name}" for name in ("common", "seldom", "rare")} <= set(tags)


@pytest.mark.filterwarnings("ignore")
def test_hugging_faces_trainer_accumulates_to_the_large_batch():
    for library in ("transformers", "accelerate"):
        pytest.importorskip(library)
    example = load("torch_transformers")
    small = example.main(steps=2, micro_batch=2, accumulate=4, optimizer="sgd")
    large = example.main(steps=2, micro_batch=8, accumulate=1, optimizer="sgd")
    assert small["losses"][-1] < small["losses"][0]
    torch.testing.assert_close(small["weights"], large["weights"], rtol=1e-4, atol=1e-6)


def test_the_language_model_learns_its_frequent_tokens_first():
    result = load("torch_language_model").main(steps=40, vocabulary=300, width=32, batch=16)
    assert result["last"] < 0.8 * result["first"]
    nll = list(result["cross-entropy"].values())
    assert nll == sorted(nll)
