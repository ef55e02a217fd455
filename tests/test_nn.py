"""The modules: a spec with buffers."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import focalkit  # noqa: E402
from focalkit import InputError, LossSpec  # noqa: E402
from focalkit.nn import SigmoidCrossEntropy, SigmoidFocalLoss, SoftmaxCrossEntropy, SoftmaxFocalLoss  # noqa: E402

Z = torch.from_numpy(np.random.default_rng(2).normal(size=(6, 3)) * 3)
IDS, BITS = torch.arange(6) % 3, (Z > 0).long()


@pytest.mark.parametrize(
    ("module", "function", "targets"),
    [
        (SoftmaxFocalLoss(1.5, [1, 2, 3], reduction="sum"), "softmax_focal_loss", IDS),
        (SigmoidFocalLoss(1.5, [0.1, 0.2, 0.3], reduction="sum"), "sigmoid_focal_loss", BITS),
        (SoftmaxCrossEntropy([1, 2, 3], reduction="sum"), "softmax_cross_entropy", IDS),
        (SigmoidCrossEntropy([0.1, 0.2, 0.3], reduction="sum"), "sigmoid_cross_entropy", BITS),
    ],
)
def test_a_module_is_its_function(module, function, targets):
    weight, spec = torch.linspace(1, 2, 6), module.spec
    options = {"sample_weight": weight, "normalizer": 4, "alpha": spec.alpha, "reduction": "sum"}
    options |= {} if "entropy" in function else {"gamma": spec.gamma}
    want = getattr(focalkit, function)(Z, targets, **options)
    assert module(Z, targets, weight, 4) == want
    assert module(Z, targets, sample_weight=weight, normalizer=4) == want


def test_gamma_is_two_unless_told():
    assert SoftmaxFocalLoss().spec == LossSpec(gamma=2.0)
    assert SigmoidFocalLoss().spec == LossSpec("sigmoid", 2.0)


def test_repr_shows_what_differs_from_the_default():
    assert repr(SoftmaxFocalLoss(alpha=[1, 2])) == "SoftmaxFocalLoss(gamma=2.0, alpha=(1.0, 2.0))"
    assert repr(SoftmaxCrossEntropy(inplace=True)) == "SoftmaxCrossEntropy(inplace=True)"
    assert repr(SigmoidFocalLoss(reduction="sum")) == "SigmoidFocalLoss(link='sigmoid', gamma=2.0, reduction='sum')"


def test_parameters_are_buffers_that_are_saved_and_loaded():
    trained = SoftmaxFocalLoss([0.1, 0.2, 0.3], [1.0, 2.0, 0.1])
    state = trained.state_dict()
    assert set(state) == {"gamma", "alpha"}
    fresh = SoftmaxFocalLoss([0.0, 0.0, 0.0], [1.0, 1.0, 1.0])
    fresh.load_state_dict(state)
    assert fresh.spec == trained.spec
    assert fresh(Z, IDS) == trained(Z, IDS)
    with pytest.raises(RuntimeError, match="size mismatch"):
        SoftmaxFocalLoss(2.0, [1.0, 1.0]).load_state_dict(SoftmaxFocalLoss(2.0, [1.0, 2.0, 3.0]).state_dict())


def test_casting_a_model_rounds_no_parameter():
    module = torch.nn.Sequential(SoftmaxFocalLoss(2.0, [0.1, 0.2, 0.7])).half()[0]
    assert module.alpha.dtype == torch.float64
    assert module.spec.alpha == (0.1, 0.2, 0.7)


def test_a_module_moves_to_another_device_and_back():
    module = SoftmaxFocalLoss(2.0, [0.1, 0.2, 0.7]).to("meta")
    assert module.alpha.device.type == module.gamma.device.type == "meta"
    assert module(Z.to("meta"), IDS.to("meta")).device.type == "meta"
    back = module.to_empty(device="cpu")
    assert back(Z, IDS) == SoftmaxFocalLoss(2.0, [0.1, 0.2, 0.7])(Z, IDS)
    with torch.device("meta"):
        assert SoftmaxFocalLoss(2.0, [0.1, 0.2, 0.7]).alpha.device.type == "meta"


@pytest.mark.filterwarnings("ignore:for .*copying from a non-meta parameter:UserWarning")  # that is what is tested
def test_a_module_made_in_inference_mode_and_a_state_loaded_on_meta_keep_the_spec():
    with torch.inference_mode():
        module = SoftmaxFocalLoss(2.0, [1.0, 2.0, 3.0])
    assert module(Z, IDS) == SoftmaxFocalLoss(2.0, [1.0, 2.0, 3.0])(Z, IDS)
    there = SoftmaxFocalLoss(2.0, [1.0, 2.0, 3.0]).to("meta")
    there.load_state_dict(module.state_dict(), assign=False)
    assert there.spec.alpha == (1.0, 2.0, 3.0)


def test_a_buffer_written_in_place_is_followed():
    module = SoftmaxFocalLoss(2.0, [1.0, 1.0, 1.0])
    module.alpha.copy_(torch.tensor([1.0, 2.0, 3.0]))
    assert module(Z, IDS) == SoftmaxFocalLoss(2.0, [1.0, 2.0, 3.0])(Z, IDS)
    assert module.spec.alpha == (1.0, 2.0, 3.0)
    module.alpha[0] = -1
    with pytest.raises(InputError, match="alpha must be"):
        module(Z, IDS)


def test_the_spec_can_be_changed_between_epochs():
    module = SoftmaxFocalLoss(2.0)
    module.spec = LossSpec(gamma=2.0, alpha=(1.0, 2.0, 3.0))
    assert module(Z, IDS) == SoftmaxFocalLoss(2.0, [1.0, 2.0, 3.0])(Z, IDS)
    assert module.alpha.tolist() == [1.0, 2.0, 3.0]
    for bad in (LossSpec("sigmoid"), None):
        with pytest.raises(InputError, match="spec must be a LossSpec with the softmax link"):
            module.spec = bad


@pytest.mark.parametrize("copy_of", [copy.deepcopy, lambda module: pickle.loads(pickle.dumps(module))])
def test_a_copy_is_the_same_loss(copy_of):
    module = SoftmaxFocalLoss(2.0, [1.0, 2.0, 3.0], reduction="sum", inplace=True)
    twin = copy_of(module)
    assert twin.spec == module.spec
    assert twin(Z, IDS) == module(Z, IDS)
    twin.load_state_dict(SoftmaxFocalLoss(1.0, [3.0, 2.0, 1.0]).state_dict())
    assert twin.spec.alpha == (3.0, 2.0, 1.0)
    assert module.spec.alpha == (1.0, 2.0, 3.0)


def test_flags_reach_the_loss():
    with pytest.raises(InputError, match="logits must be free of NaN"):
        SoftmaxFocalLoss(check_finite=True)(Z * torch.nan, IDS)
    with pytest.raises(InputError, match="inplace must be False where the logits are a leaf"):
        SoftmaxFocalLoss(inplace=True)(Z.clone().requires_grad_(), IDS)
    with pytest.raises(InputError, match="logits must be a tensor of PyTorch; got 'ndarray'"):
        SoftmaxFocalLoss()(Z.numpy(), IDS)
    with pytest.raises(TypeError, match="size_average"):
        SoftmaxFocalLoss(size_average=True)


@pytest.mark.filterwarnings("ignore")
def test_a_compiled_module_has_no_graph_break_and_follows_its_spec():
    module = SoftmaxFocalLoss(2.0, [1.0, 2.0, 3.0])
    compiled = torch.compile(module, fullgraph=True, backend="aot_eager")
    z = Z.clone().requires_grad_()
    torch.testing.assert_close(compiled(z, IDS), module(z, IDS))
    module.spec = LossSpec(gamma=1.0)
    torch.testing.assert_close(compiled(z, IDS), module(z, IDS))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("strict", [False, True])
def test_an_exported_model_has_plain_operations_only(strict):
    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer, self.loss = torch.nn.Linear(3, 3).double(), SoftmaxFocalLoss(2.0, [1.0, 2.0, 3.0])

        def forward(self, z, t):
            return self.loss(self.layer(z), t)

    model, n = Model(), torch.export.Dim("n")
    exported = torch.export.export(model, (Z, IDS), dynamic_shapes=({0: n}, {0: n}), strict=strict)
    assert not any("focalkit" in str(node.target) for node in exported.graph.nodes)
    torch.testing.assert_close(exported.module()(Z[:4], IDS[:4]), model(Z[:4], IDS[:4]))


# the ledger as a metric


def ledgers_equal(one, other):
    assert one.n_samples == other.n_samples
    for name in ("count", "weight", "s1", "s2", "exact_loss", "exact_grad"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-12, atol=1e-12)


@pytest.fixture
def metric():
    pytest.importorskip("torchmetrics")
    from focalkit.nn import LedgerMetric

    return LedgerMetric(LossSpec(gamma=2.0, alpha=(1, 2, 3)), 3, ["a", "b", "c"])


def test_a_ledger_metric_is_the_ledger_of_all_batches(metric):
    metric.update(Z[:2], IDS[:2])
    metric.update(Z[2:], IDS[2:], torch.linspace(1, 2, 4, dtype=torch.float64))
    whole = focalkit.Ledger(metric.compute().spec, 3, ["a", "b", "c"])
    whole.update(Z[:2].numpy(), IDS[:2].numpy())
    whole.update(Z[2:].numpy(), IDS[2:].numpy(), np.linspace(1, 2, 4))
    ledgers_equal(metric.compute(), whole)
    assert metric.compute().class_names == ("a", "b", "c")
    metric.reset()
    assert int(metric.n_samples) == 0


def test_a_ledger_metric_gives_the_ledger_of_a_batch_and_counts_it(metric):
    first = metric(Z[:2], IDS[:2])
    assert first.n_samples == 2
    assert metric(Z[2:].bfloat16(), IDS[2:]).n_samples == 4
    assert metric.compute().n_samples == 6


def ledger_of(rank):
    from focalkit.nn import LedgerMetric

    metric = LedgerMetric(LossSpec(gamma=2.0), 3)
    metric.update(Z[rank::2], IDS[rank::2])
    return metric.compute().to_json()


def test_ledger_metrics_add_up_over_ranks(ranks):
    pytest.importorskip("torchmetrics")
    whole = focalkit.diagnose(Z.numpy(), IDS.numpy(), LossSpec(gamma=2.0))
    for text in ranks(2, ledger_of):
        ledgers_equal(focalkit.Ledger.from_json(text), whole)


def test_shares_are_written_to_tensorboard(tmp_path):
    tensorboard = pytest.importorskip("torch.utils.tensorboard")
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    from focalkit.nn import write_shares

    ledger = focalkit.diagnose(Z.numpy(), IDS.numpy(), LossSpec(gamma=2.0))
    with tensorboard.SummaryWriter(tmp_path) as writer:
        write_shares(writer, ledger, 3)
        write_shares(writer, focalkit.Ledger(LossSpec(), 3), 4)
    events = reader.EventAccumulator(str(tmp_path)).Reload()
    assert len(events.Tags()["scalars"]) == 6
    (scalar,) = events.Scalars("focalkit/loss_share/1")
    assert (scalar.step, scalar.value) == (3, pytest.approx(ledger.shares().loss.share[1]))


def test_public_names_are_listed_and_documented():
    from focalkit import nn

    for name in nn.__all__:
        if name == "LedgerCallback":
            pytest.importorskip("lightning")
        assert getattr(nn, name).__doc__
    with pytest.raises(AttributeError, match="has no attribute 'FocalLoss'"):
        _ = nn.FocalLoss
