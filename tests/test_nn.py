"""The modules: a spec with buffers."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import focalkit  # noqa: E402
from focalkit import InputError, LossSpec  # noqa: E402
from focalkit.nn import LinearFocalLoss, SigmoidCrossEntropy, SigmoidFocalLoss, SoftmaxCrossEntropy, SoftmaxFocalLoss  # noqa: E402

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


def test_parameters_per_class_are_buffers_that_are_saved_and_loaded():
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
    assert module.alpha.device.type == "meta"
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


NEW = torch.tensor([5.0, 0.1, 0.1], dtype=torch.float64)


def assigned(module):
    module.alpha = NEW
    return module(Z, IDS)


def registered(module):
    module.register_buffer("alpha", NEW)
    return module(Z, IDS)


def as_accelerate_does(module):
    module._buffers["alpha"] = NEW
    return module(Z, IDS)


def in_a_functional_call(module):
    return torch.func.functional_call(module, {"alpha": NEW}, (Z, IDS))


def a_parameter(module):
    module.alpha = torch.nn.Parameter(NEW.clone())
    return module(Z, IDS).detach()


def in_half_precision(module):
    module.alpha = NEW.bfloat16()
    module(Z, IDS)
    module.alpha = NEW
    return module(Z, IDS)


def loaded_over(module):
    module.load_state_dict({"alpha": NEW}, assign=True)
    return module(Z, IDS)


@pytest.mark.parametrize(
    "replaced",
    [assigned, registered, as_accelerate_does, in_a_functional_call, a_parameter, in_half_precision, loaded_over],
)
def test_a_tensor_that_is_replaced_is_noticed(replaced):
    want = focalkit.softmax_focal_loss(Z, IDS, 2.0, NEW)
    module = SoftmaxFocalLoss(2.0, [1.0, 1.0, 1.0])
    torch.testing.assert_close(replaced(module), want, rtol=1e-12, atol=0)
    if replaced is not in_a_functional_call:
        assert module.spec.alpha == (5.0, 0.1, 0.1)
        assert module.state_dict()["alpha"].tolist() == NEW.tolist()


@pytest.mark.parametrize("value", [None, 0.5, [5.0, 0.1, 0.1], NEW.numpy()], ids=str)
def test_alpha_takes_numbers_vectors_and_none_by_turns(value):
    module = SoftmaxFocalLoss(2.0, [1.0, 1.0, 1.0])
    module.alpha = value
    torch.testing.assert_close(module(Z, IDS), focalkit.softmax_focal_loss(Z, IDS, 2.0, value))
    module.gamma = 1.0
    torch.testing.assert_close(module(Z, IDS), focalkit.softmax_focal_loss(Z, IDS, 1.0, value))
    assert module.gamma == 1.0
    module.alpha = NEW
    torch.testing.assert_close(module(Z, IDS), focalkit.softmax_focal_loss(Z, IDS, 1.0, NEW))
    module._buffers["alpha"] = None
    torch.testing.assert_close(module(Z, IDS), focalkit.softmax_focal_loss(Z, IDS, 1.0))


@pytest.mark.parametrize("kind", [SoftmaxFocalLoss, SigmoidFocalLoss])
@pytest.mark.parametrize(
    "wrap", [torch.nn.Parameter, lambda t: t.clone().requires_grad_()], ids=["Parameter", "tensor"]
)
def test_gamma_and_alpha_can_be_learned(kind, wrap):
    """The gradients are those of the function that takes them as tensors."""
    gamma, alpha = wrap(torch.tensor([0.5, 1.0, 2.0])), wrap(torch.tensor([0.3, 0.2, 0.6]))
    targets = IDS if kind is SoftmaxFocalLoss else BITS
    function = focalkit.softmax_focal_loss if kind is SoftmaxFocalLoss else focalkit.sigmoid_focal_loss
    module = kind(gamma, alpha)
    named = dict(module.named_parameters())
    assert (named["gamma"] is gamma and named["alpha"] is alpha) if isinstance(gamma, torch.nn.Parameter) else not named
    got = torch.autograd.grad(module(Z, targets), (gamma, alpha))
    torch.testing.assert_close(got, torch.autograd.grad(function(Z, targets, gamma, alpha), (gamma, alpha)))
    assert all(bool(part.abs().min() > 0) for part in got)
    with torch.no_grad():
        alpha.mul_(1.5)
        torch.testing.assert_close(module(Z, targets), function(Z, targets, gamma, alpha))


def test_a_functional_call_differentiates_alpha():
    module = SoftmaxFocalLoss(2.0, [1.0, 1.0, 1.0])
    got = torch.func.grad(lambda alpha: torch.func.functional_call(module, {"alpha": alpha}, (Z, IDS)))(NEW)
    torch.testing.assert_close(got, torch.func.grad(lambda a: focalkit.softmax_focal_loss(Z, IDS, 2.0, a))(NEW))
    assert module.spec.alpha == (1.0, 1.0, 1.0)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("requires_grad", [False, True])
def test_tensors_of_any_kind_are_read_as_numbers_by_a_spec(dtype, requires_grad):
    alpha = NEW.to(dtype).requires_grad_(requires_grad)
    spec = LossSpec(gamma=torch.tensor(2.0, dtype=dtype, requires_grad=requires_grad), alpha=alpha)
    assert spec == LossSpec(gamma=2.0, alpha=alpha.detach().double().tolist())
    assert SoftmaxFocalLoss(2.0, alpha).spec == spec
    got = focalkit.softmax_focal_loss(Z, IDS, 2.0, alpha).detach()
    torch.testing.assert_close(got, focalkit.softmax_focal_loss(Z, IDS, 2.0, spec.alpha))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("reduction", "none"),
        ("label_smoothing", 0.3),
        ("ignore_index", 1),
        ("keep_hardest", 0.5),
        ("negatives_per_positive", 1.0),
        ("class_axis", -1),
    ],
)
def test_options_are_attributes_that_can_be_read_and_assigned(name, value):
    module = SoftmaxFocalLoss(2.0)
    assert getattr(module, name) == getattr(LossSpec(), name)
    setattr(module, name, value)
    assert getattr(module, name) == getattr(module.spec, name) == value
    assert module(Z, IDS).equal(focalkit.softmax_focal_loss(Z, IDS, 2.0, **{name: value}))
    if name not in ("keep_hardest", "negatives_per_positive", "class_axis"):
        head = LinearFocalLoss(4, 3)
        setattr(head, name, value)
        hidden = torch.randn(6, 4)
        assert getattr(head, name) == value
        want = focalkit.softmax_focal_loss(head.logits(hidden), IDS, 2.0, **{name: value})
        torch.testing.assert_close(head(hidden, IDS), want)


def test_options_are_checked_when_they_are_assigned_and_torchs_names_are_refused():
    module = SoftmaxFocalLoss(2.0)
    with pytest.raises(InputError, match="reduction must be one of"):
        module.reduction = "batchmean"
    with pytest.raises(InputError, match=r"weight must not be assigned to SoftmaxFocalLoss; .*Assign alpha"):
        module.weight = NEW
    with pytest.raises(InputError, match="link must not be assigned"):
        module.link = "sigmoid"
    with pytest.raises(InputError, match="gamma must need no gradient here"):
        LinearFocalLoss(4, 3).gamma = torch.nn.Parameter(torch.tensor(1.0))


def checkpoints(**options):
    """Models that differ in their last part: torch's loss, and ours."""
    theirs = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.CrossEntropyLoss(**options))
    return theirs, lambda *a, **k: torch.nn.Sequential(torch.nn.Linear(3, 3), SoftmaxFocalLoss(*a, **k))


def test_a_model_with_torchs_cross_entropy_and_one_with_ours_load_each_others_checkpoints():
    theirs, ours = checkpoints()
    for model in (ours(), ours(gamma=1.5, alpha=0.25, label_smoothing=0.1)):
        model.load_state_dict(theirs.state_dict(), strict=True)
        theirs.load_state_dict(model.state_dict(), strict=True)
        assert set(model.state_dict()) == set(theirs.state_dict())
    weighted = ours(2.0, [1.0, 2.0, 3.0])
    weighted.load_state_dict(theirs.state_dict(), strict=True)
    assert weighted[1].spec.alpha == (1.0, 2.0, 3.0)


def test_the_weight_of_a_checkpoint_of_torchs_cross_entropy_becomes_alpha():
    theirs, ours = checkpoints(weight=torch.tensor([1.0, 2.0, 0.5]))
    for model in (ours(), ours(2.0, [1.0, 1.0, 1.0])):
        model.load_state_dict(theirs.state_dict(), strict=True)
        assert model[1].spec == LossSpec(gamma=2.0, alpha=(1.0, 2.0, 0.5))
    with pytest.raises(RuntimeError, match="Unexpected key"):
        SigmoidFocalLoss().load_state_dict({"weight": NEW})
    with pytest.raises(RuntimeError, match="Missing key"):
        SoftmaxFocalLoss(2.0, torch.nn.Parameter(NEW)).load_state_dict({})


def test_a_checkpoint_that_holds_numbers_too_is_taken():
    module = SoftmaxFocalLoss(2.0)
    module.load_state_dict({"gamma": torch.tensor(1.25, dtype=torch.float64), "alpha": NEW})
    assert module.spec == LossSpec(gamma=1.25, alpha=(5.0, 0.1, 0.1))
    module = SigmoidFocalLoss(2.0)
    module.load_state_dict({"gamma": torch.tensor(0.5), "alpha": torch.tensor(0.25)})
    assert module.spec == LossSpec("sigmoid", 0.5, 0.25)


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")  # torch's own
def test_what_torchs_older_compilers_cannot_do_is_said():
    model = torch.nn.Sequential(torch.nn.Linear(3, 3), SoftmaxFocalLoss())
    with pytest.raises(NotImplementedError, match=r"torch.jit.script cannot compile SoftmaxFocalLoss: leave the loss"):
        torch.jit.script(model)
    with pytest.raises(InputError, match=r"got a torch.fx.Proxy. .*is_leaf_module"):
        torch.fx.symbolic_trace(SoftmaxFocalLoss())


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
    with pytest.raises(InputError, match="logits must be a tensor of PyTorch; got ndarray"):
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


SCHEDULES = {
    "gamma": [LossSpec(gamma=g) for g in (2.0, 1.5, 1.0, 0.5)],
    "alpha": [LossSpec(gamma=2.0, alpha=(a, 1.0, 2.0)) for a in (0.5, 0.4, 0.3, 0.2)],
    "label_smoothing": [LossSpec(gamma=2.0, label_smoothing=s) for s in (0.1, 0.05, 0.01, 0.0)],
    "keep_hardest": [LossSpec(gamma=2.0, keep_hardest=k) for k in (0.9, 0.7, 4, 3)],
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("option", SCHEDULES)
@pytest.mark.parametrize("dynamic", [None, True])
def test_a_schedule_of_any_option_compiles_once(option, dynamic):
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    module, head, hidden = SoftmaxFocalLoss(SCHEDULES[option][0].gamma), LinearFocalLoss(4, 3), torch.randn(6, 4)
    module.spec = head.spec = SCHEDULES[option][0]
    compiled = torch.compile(module, fullgraph=True, backend="aot_eager", dynamic=dynamic)
    compiled_head = torch.compile(head, fullgraph=True, backend="aot_eager", dynamic=dynamic)
    for spec in SCHEDULES[option]:
        module.spec = spec
        torch.testing.assert_close(compiled(Z, IDS), module(Z, IDS))
        if option != "keep_hardest":
            head.spec = spec
            torch.testing.assert_close(compiled_head(hidden, IDS), head(hidden, IDS))
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] <= 3  # the head's check of gamma is traced with it


@pytest.mark.filterwarnings("ignore")
def test_compiled_code_follows_a_buffer_and_differentiates_a_parameter():
    module = SoftmaxFocalLoss(2.0, [1.0, 1.0, 1.0])
    compiled = torch.compile(module, fullgraph=True, backend="aot_eager")
    compiled(Z, IDS)
    module.alpha.copy_(NEW)
    torch.testing.assert_close(compiled(Z, IDS), focalkit.softmax_focal_loss(Z, IDS, 2.0, NEW))
    module.alpha[0] = -1
    with pytest.raises(InputError, match="alpha must be"):
        compiled(Z, IDS)
    module.alpha = torch.nn.Parameter(NEW.clone())
    got, want = (torch.autograd.grad(f(Z, IDS), module.alpha) for f in (compiled, module))
    torch.testing.assert_close(got, want)


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


def test_a_script_that_ends_while_a_large_gradient_is_alive_says_nothing():
    code = """
import torch
from focalkit.nn import LinearFocalLoss
head = LinearFocalLoss(64, 8192)
head(torch.randn(32, 64), torch.zeros(32, dtype=torch.long)).backward()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""
