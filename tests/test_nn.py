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
