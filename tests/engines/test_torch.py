"""What is special to PyTorch's engine; its laws are those of every engine."""

from __future__ import annotations

import importlib.util
import itertools
import math
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
import torch.nn.functional as F  # noqa: E402
from torch.autograd import gradcheck, gradgradcheck  # noqa: E402

import focalkit  # noqa: E402
import focalkit.nn  # noqa: E402
from focalkit import InputError, LossSpec  # noqa: E402
from focalkit.engines.torch import dispatch as engine  # noqa: E402

PATHS = pytest.mark.parametrize("kernels", [True, False], ids=["kernels", "plain"])
HALF = (torch.float16, torch.bfloat16)
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")  # torch's own


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)
    torch.set_num_threads(1)  # as many test processes as cores


def leaf(*shape, dtype=torch.float64, scale=3.0):
    return (torch.randn(*shape, dtype=dtype) * scale).requires_grad_()


def value_and_grad(function, z):
    z = z.detach().requires_grad_()
    value = function(z)
    upstream = torch.linspace(0.5, 2, value.numel(), dtype=value.dtype).reshape(value.shape)
    (grad,) = torch.autograd.grad(value, z, upstream)
    return value.detach(), grad


# F.cross_entropy at gamma = 0, over everything that it takes

SHAPES = [(6, 4), (3, 4, 5), (2, 4, 3, 2), (1, 1), (0, 3)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_cross_entropy_is_torchs_over_all_it_accepts(shape, reduction, dtype):
    k = shape[1]
    weights = (None, torch.linspace(0.5, 2, k, dtype=dtype))
    for weight, smoothing, soft, ignore in itertools.product(weights, (0.0, 0.2), (False, True), (-100, 0)):
        z = leaf(*shape, dtype=dtype)
        if soft:
            t = torch.softmax(torch.randn(shape, dtype=dtype), 1)
            if ignore != -100:
                continue  # torch refuses it
        else:
            t = torch.randint(k, (shape[0], *shape[2:]))
            t[torch.rand(t.shape) < 0.2] = ignore
        theirs_nan = reduction == "mean" and not soft and bool((t == ignore).all())

        def theirs(z, weight=weight, smoothing=smoothing, t=t, ignore=ignore):
            return F.cross_entropy(z, t, weight, ignore_index=ignore, reduction=reduction, label_smoothing=smoothing)

        ours_reduction = reduction
        if reduction == "mean" and weight is not None and not soft:
            ours_reduction = "weighted_mean"

        def ours(z, weight=weight, smoothing=smoothing, t=t, ignore=ignore, reduction=ours_reduction):
            options = {"reduction": reduction, "label_smoothing": smoothing, "ignore_index": ignore}
            return focalkit.softmax_cross_entropy(z, t, weight, **options)

        got, want = value_and_grad(ours, z), value_and_grad(theirs, z)
        if theirs_nan or z.numel() == 0:
            assert all(bool((part == 0).all()) for part in got)
            continue
        torch.testing.assert_close(got, want)


@pytest.mark.parametrize("shape", [(7,), (6, 4), (2, 4, 3), (0, 3)], ids=str)
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_sigmoid_cross_entropy_is_torchs_over_all_it_accepts(shape, reduction, dtype):
    z = leaf(*shape, dtype=dtype)
    for soft, weighted, pos_weight in itertools.product((False, True), (False, True), (None, 3.0, "per class")):
        y = torch.rand(shape, dtype=dtype) if soft else torch.randint(2, shape).to(dtype)
        weight = torch.rand(shape, dtype=dtype) if weighted else None
        if pos_weight == "per class":
            if len(shape) != 2:
                continue
            pos_weight = torch.linspace(0.5, 4, shape[1], dtype=dtype)
        positive = None if pos_weight is None else torch.as_tensor(pos_weight, dtype=dtype)

        def theirs(z, y=y, weight=weight, positive=positive):
            return F.binary_cross_entropy_with_logits(z, y, weight, reduction=reduction, pos_weight=positive)

        alpha, scale = None, weight
        if positive is not None:
            alpha = positive / (1 + positive)
            scale = ((1 + positive) * (1 if weight is None else weight)).expand(shape)

        def ours(z, y=y, alpha=alpha, scale=scale):
            return focalkit.sigmoid_cross_entropy(z, y, alpha, sample_weight=scale, reduction=reduction)

        got, want = value_and_grad(ours, z), value_and_grad(theirs, z)
        if z.numel() == 0:
            assert all(bool((part == 0).all()) for part in got)
        else:
            torch.testing.assert_close(got, want)


# peers, where they are right: logits of moderate size


def torchvision_sigmoid_focal_loss(inputs, targets, alpha=0.25, gamma=2.0, reduction="none"):
    """torchvision.ops.sigmoid_focal_loss, version 0.28, written out."""
    p = torch.sigmoid(inputs)
    ce_loss = F.binary_cross_entropy_with_logits(inputs, targets, reduction="none")
    p_t = p * targets + (1 - p) * (1 - targets)
    loss = ce_loss * ((1 - p_t) ** gamma)
    if alpha >= 0:
        loss = (alpha * targets + (1 - alpha) * (1 - targets)) * loss
    return {"none": loss, "mean": loss.mean(), "sum": loss.sum()}[reduction]


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("alpha", [0.25, -1])
def test_sigmoid_focal_loss_is_torchvisions(reduction, alpha):
    z, y = leaf(5, 3), torch.randint(2, (5, 3)).double()
    got = focalkit.sigmoid_focal_loss(z, y, 2.0, None if alpha < 0 else alpha, reduction=reduction)
    torch.testing.assert_close(got, torchvision_sigmoid_focal_loss(z, y, alpha, 2.0, reduction), rtol=1e-9, atol=1e-12)


def test_focal_losses_are_kornias():
    losses = pytest.importorskip("kornia.losses")
    z, t = leaf(4, 5, 3, 3), torch.randint(5, (4, 3, 3))
    w = torch.linspace(0.5, 2, 5, dtype=torch.float64)
    theirs = losses.focal_loss(z, t, alpha=None, gamma=1.5, reduction="none", weight=w).sum(1)
    torch.testing.assert_close(focalkit.softmax_focal_loss(z, t, 1.5, w, reduction="none"), theirs)
    theirs = losses.focal_loss(z, t, alpha=0.3, gamma=2.0, reduction="mean") * 5
    torch.testing.assert_close(focalkit.softmax_focal_loss(z, t, 2.0, [0.7, 0.3, 0.3, 0.3, 0.3]), theirs)
    y = torch.randint(2, z.shape).double()
    theirs = losses.binary_focal_loss_with_logits(z, y, alpha=0.25, gamma=2.0, reduction="mean")
    torch.testing.assert_close(focalkit.sigmoid_focal_loss(z, y, 2.0, 0.25), theirs)


def test_focal_losses_are_monais():
    losses = pytest.importorskip("monai.losses")
    z, t = leaf(4, 3, 5), torch.randint(3, (4, 5))
    theirs = losses.FocalLoss(use_softmax=True, to_onehot_y=True, gamma=2.0, reduction="sum")(z, t[:, None])
    torch.testing.assert_close(
        focalkit.softmax_focal_loss(z, t, 2.0, reduction="sum").float() / 5, theirs
    )  # over space it means
    weight = [0.5, 1.0, 2.0]
    theirs = losses.FocalLoss(use_softmax=True, to_onehot_y=True, gamma=2.0, weight=weight)(z, t[:, None]) * 3
    torch.testing.assert_close(focalkit.softmax_focal_loss(z, t, 2.0, weight).float(), theirs)
    y = torch.randint(2, z.shape).double()
    theirs = losses.FocalLoss(gamma=2.0, alpha=0.25)(z, y)
    torch.testing.assert_close(focalkit.sigmoid_focal_loss(z, y, 2.0, 0.25).float(), theirs)
    torch.testing.assert_close(focalkit.sigmoid_focal_loss(z, y, 2.0).float(), losses.FocalLoss(gamma=2.0)(z, y))


def smp_losses():
    """smp's losses without the rest of smp, which asks for timm and torchvision."""
    spec = importlib.util.find_spec("segmentation_models_pytorch")
    if spec is None:
        pytest.skip("segmentation_models_pytorch is not installed")
    name = "segmentation_models_pytorch"
    sys.modules.setdefault(name, types.ModuleType(name)).__path__ = list(spec.submodule_search_locations)
    return importlib.import_module(f"{name}.losses.focal")


def test_sigmoid_focal_loss_is_smps():
    losses = smp_losses()
    z, t = leaf(4, 1, 5, 5, scale=1.0), torch.randint(2, (4, 1, 5, 5))
    theirs = losses.FocalLoss("binary", alpha=0.25, gamma=2.0)(z, t)
    torch.testing.assert_close(focalkit.sigmoid_focal_loss(z, t, 2.0, 0.25), theirs)
    z, ids = leaf(4, 3, 5, 5, scale=1.0), torch.randint(3, (4, 5, 5))
    y = F.one_hot(ids, 3).movedim(-1, 1)
    theirs = losses.FocalLoss("multiclass", alpha=0.25, gamma=2.0)(z, ids)
    torch.testing.assert_close(focalkit.sigmoid_focal_loss(z, y, 2.0, 0.25), theirs)


# automatic differentiation


def random_call(seed, dtype=torch.float64):
    rng = np.random.default_rng(seed)
    link, soft = ("softmax", "sigmoid")[seed % 2], bool(seed // 2 % 2)
    shape = [(5, 4), (3, 4, 2), (2, 4, 3, 2)][rng.integers(3)]
    z = torch.from_numpy(rng.normal(size=shape) * 3).to(dtype)
    rows = shape if link == "sigmoid" else (shape[0], *shape[2:])
    if soft:
        t = torch.from_numpy(rng.random(shape))
        t = t / t.sum(1, keepdim=True) if link == "softmax" else t
    else:
        t = torch.from_numpy(rng.integers(2 if link == "sigmoid" else 4, size=rows))
        t[torch.from_numpy(rng.random(rows) < 0.2)] = -100
    spec = LossSpec(
        link,
        [0.0, 0.5, 2.0, (0.0, 0.5, 1.0, 3.0)][rng.integers(4)],
        [None, 0.3, (0.2, 0.4, 0.6, 0.9)][rng.integers(3)],
        label_smoothing=[0.0, 0.1][rng.integers(2)],
        reduction=["none", "sum", "mean", "weighted_mean"][rng.integers(4)],
        keep_hardest=[None, 0.5, 3][rng.integers(3)],
    )
    weight = [None, torch.from_numpy(rng.random(shape[0])), torch.from_numpy(rng.random(rows))][rng.integers(3)]
    return spec, z, t, weight


@PATHS
@pytest.mark.parametrize("seed", range(24))
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, *HALF], ids=str)
def test_backward_gives_the_gradient_times_the_upstream_gradient(seed, kernels, dtype):
    spec, z, t, weight = random_call(seed, dtype)
    z = z.requires_grad_()
    value = engine.loss(spec, z, t, weight, kernels=kernels)
    want_value, want, _ = focalkit.loss_grad_hess(spec, z, t, sample_weight=weight)
    torch.testing.assert_close(value, want_value)
    upstream = torch.rand(value.shape, dtype=dtype)
    (grad,) = torch.autograd.grad(value, z, upstream)
    if spec.reduction == "none" and spec.link == "softmax":
        upstream = upstream.unsqueeze(1)
    assert grad.dtype == dtype
    torch.testing.assert_close(grad, want * upstream)


@PATHS
@pytest.mark.parametrize("seed", range(12))
def test_gradients_pass_gradcheck_to_second_order_and_forward(seed, kernels):
    spec, z, t, weight = random_call(seed)

    def function(z):
        return engine.loss(spec, z, t, weight, kernels=kernels)

    z = z.requires_grad_()
    assert gradcheck(function, z, check_forward_ad=True, check_batched_grad=True, fast_mode=True)
    assert gradgradcheck(function, z, fast_mode=True)


@pytest.mark.parametrize("link", ["softmax", "sigmoid"])
@pytest.mark.parametrize("soft", [True, False])
def test_targets_weights_and_parameters_have_gradients(link, soft):
    z, w = leaf(5, 3), torch.rand(5, dtype=torch.float64).add_(0.5).requires_grad_()
    alpha = torch.tensor([0.3, 0.5, 0.8], dtype=torch.float64, requires_grad=True)
    gamma = torch.tensor([0.5, 1.0, 2.5], dtype=torch.float64, requires_grad=True)
    normalizer = torch.tensor(3.0, dtype=torch.float64, requires_grad=True)
    door = getattr(focalkit, f"{link}_focal_loss")
    hard = torch.randint(3, (5,)) if link == "softmax" else torch.randint(2, (5, 3))
    free = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)

    def function(z, w, alpha, gamma, normalizer, free):
        y = hard
        if soft:
            y = torch.softmax(free, 1) if link == "softmax" else torch.sigmoid(free)
        return door(z, y, gamma, alpha, sample_weight=w, normalizer=normalizer, label_smoothing=0.1)

    arguments = (z, w, alpha, gamma, normalizer, free if soft else free.detach())
    assert gradcheck(function, arguments, check_forward_ad=True, fast_mode=True)
    assert gradgradcheck(function, arguments, fast_mode=True)
    scalar = torch.tensor(0.4, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda a: door(z.detach(), hard, 2.0, a, reduction="weighted_mean"), scalar)
    assert gradcheck(lambda g: door(z.detach(), hard, g), scalar)


@pytest.mark.parametrize("z", [[[0.0, 0.0, 0.0]], [[2.0, 2.0, -1.0]], [[0.0, 50.0, -50.0]]])
@pytest.mark.parametrize("target", [[0], [1], [[0.5, 0.25, 0.25]]])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_second_derivatives_are_exact_at_ties_and_in_saturation(z, target, gamma):
    """Where abs, max and where have no derivative of their own."""
    z, target = torch.tensor(z, dtype=torch.float64), torch.tensor(target)
    spec = LossSpec("softmax", gamma)
    hessian = torch.func.hessian(lambda z: engine.loss(spec, z, target))(z)[0, :, 0, :]
    want = focalkit.loss_grad_hess(spec, z, target).hess[0]
    torch.testing.assert_close(hessian.diagonal(), want, rtol=1e-9, atol=1e-12)
    sigmoid, bits = LossSpec("sigmoid", gamma, reduction="sum"), torch.tensor([[1, 0, 1]])
    second = torch.func.hessian(lambda z: engine.loss(sigmoid, z, bits))(z)[0, :, 0, :].diagonal()
    torch.testing.assert_close(second, focalkit.loss_grad_hess(sigmoid, z, bits).hess[0], rtol=1e-9, atol=1e-300)


def test_torch_func_maps_and_differentiates():
    z, t = leaf(4, 6, 3).detach(), torch.randint(3, (4, 6))

    def loss(z, t):
        return focalkit.softmax_focal_loss(z, t, 1.5, [1.0, 2.0, 3.0])

    each = torch.stack([loss(z[i], t[i]) for i in range(4)])
    torch.testing.assert_close(torch.vmap(loss)(z, t), each)
    grads = torch.vmap(torch.func.grad(loss))(z, t)
    spec = LossSpec("softmax", 1.5, [1.0, 2.0, 3.0])
    torch.testing.assert_close(grads, torch.stack([focalkit.loss_grad_hess(spec, z[i], t[i]).grad for i in range(4)]))
    value, slope = torch.func.jvp(lambda z: loss(z, t[0]), (z[0],), (torch.ones_like(z[0]),))
    torch.testing.assert_close(value, each[0])
    assert abs(float(slope)) < 1e-12  # a shift of all logits changes nothing
    mined = torch.vmap(lambda z, t: focalkit.softmax_focal_loss(z, t, keep_hardest=2))(z, t)
    torch.testing.assert_close(mined[1], focalkit.softmax_focal_loss(z[1], t[1], keep_hardest=2))


@PATHS
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_backward_twice_through_a_kept_graph_gives_the_same_gradient(kernels, reduction):
    z, t = leaf(6, 4), torch.randint(4, (6,))
    value = engine.loss(LossSpec("softmax", 2.0, reduction=reduction), z, t, kernels=kernels)
    upstream = torch.full_like(value, 3.0)
    first, second = (torch.autograd.grad(value, z, upstream, retain_graph=True)[0].clone() for _ in range(2))
    (third,) = torch.autograd.grad(value, z, upstream)
    assert torch.equal(first, second)
    assert torch.equal(first, third)
    with pytest.raises(RuntimeError, match="second time"):
        torch.autograd.grad(value, z, upstream)


def test_backward_can_be_mapped_over_upstream_gradients():
    z, t = leaf(6, 4), torch.randint(4, (6,))
    for reduction in ("none", "mean"):
        value = focalkit.softmax_focal_loss(z, t, reduction=reduction)
        many = torch.randn(3, *value.shape, dtype=torch.float64)
        each = torch.stack([torch.autograd.grad(value, z, one, retain_graph=True)[0] for one in many])
        (batched,) = torch.autograd.grad(value, z, many, is_grads_batched=True, retain_graph=True)
        mapped = torch.vmap(lambda one, value=value: torch.autograd.grad(value, z, one, retain_graph=True)[0])(many)
        torch.testing.assert_close(batched, each)
        torch.testing.assert_close(mapped, each)


def test_gradients_accumulate_in_a_leaf_and_are_its_own():
    z, t = leaf(6, 4), torch.randint(4, (6,))
    value = focalkit.softmax_focal_loss(z, t)
    value.backward(retain_graph=True)
    kept = z.grad.clone()
    z.grad.zero_()
    value.backward()
    assert torch.equal(z.grad, kept)


# compiled code


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kernels", [True, False], ids=["operator", "plain"])
@pytest.mark.parametrize("seed", [0, 3, 9, 14])
def test_compiled_code_has_no_graph_break_and_the_same_result(kernels, seed):
    spec, z, t, weight = random_call(seed)
    z = z.requires_grad_()

    torch.compiler.reset()

    def function(z, t, weight):
        return engine.loss(spec, z, t, weight, kernels=kernels)

    compiled = torch.compile(function, fullgraph=True, backend="aot_eager")
    got, want = (value_and_grad(lambda z, f=f: f(z, t, weight), z) for f in (compiled, function))
    torch.testing.assert_close(got, want)
    with torch.no_grad():
        torch.testing.assert_close(compiled(z, t, weight), want[0])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"gamma": 1.5, "alpha": [1.0, 2.0, 3.0]},
        {"alpha": torch.tensor([1.0, 2.0, 3.0])},
        {"normalizer": 7},
        {"normalizer": torch.tensor(7.0)},
        {"reduction": "none", "label_smoothing": 0.1},
    ],
    ids=str,
)
def test_the_doors_compile(options):
    z, t = leaf(8, 3, dtype=torch.float32), torch.randint(3, (8,))

    def function(z):
        return focalkit.softmax_focal_loss(z, t, **options)

    compiled = torch.compile(function, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(value_and_grad(compiled, z), value_and_grad(function, z))


@pytest.mark.filterwarnings("ignore")
def test_another_gamma_is_another_compiled_loss():
    z, t = leaf(8, 3), torch.randint(3, (8,))
    compiled = torch.compile(lambda z, gamma: focalkit.softmax_focal_loss(z, t, gamma), fullgraph=True, backend="eager")
    for gamma in (0.5, 1.5, 2.5):
        torch.testing.assert_close(compiled(z, gamma), focalkit.softmax_focal_loss(z, t, gamma))


@pytest.mark.filterwarnings("ignore")
def test_compiled_code_still_refuses_bad_targets_when_it_runs():
    z = leaf(8, 3)
    compiled = torch.compile(lambda z, t: focalkit.softmax_focal_loss(z, t), fullgraph=True, backend="aot_eager")
    compiled(z, torch.zeros(8, dtype=torch.long))
    with pytest.raises(InputError, match=r"targets must lie in \[0, 3\)"):
        compiled(z, torch.full((8,), 3))


@pytest.mark.parametrize("order", ["loss", "loss_and_gradient"])
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_the_operators_keep_pytorchs_rules(order, reduction):
    spec = engine.torch_operator.arguments_of(LossSpec("softmax", 2.0, (1.0, 2.0, 3.0), reduction=reduction))
    z = leaf(8, 3, dtype=torch.float32).requires_grad_(order != "loss")
    arguments = (z, torch.randint(3, (8,)), None, None, *spec, torch.float32)
    torch.library.opcheck(getattr(torch.ops.focalkit, order).default, arguments)


# precision and memory


@PATHS
@pytest.mark.parametrize("dtype", HALF, ids=str)
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_autocast_gives_a_float32_loss_of_half_logits(dtype, reduction, kernels):
    z, t = leaf(64, 5, dtype=dtype), torch.randint(5, (64,))
    spec = LossSpec("softmax", 2.0, reduction=reduction)
    with torch.autocast("cpu", dtype):
        value = engine.loss(spec, z, t, kernels=kernels)
        product = focalkit.softmax_focal_loss(torch.ones(64, 3) @ torch.ones(3, 5), t)
    assert value.dtype == product.dtype == torch.float32
    wide = z.detach().float().requires_grad_()
    want = engine.loss(spec, wide, t)
    torch.testing.assert_close(value, want)
    scale = torch.full_like(value, 2.0**16)  # what a GradScaler does
    (grad,), (want_grad,) = torch.autograd.grad(value, z, scale), torch.autograd.grad(want, wide, scale)
    assert grad.dtype == dtype
    torch.testing.assert_close(grad, want_grad.to(dtype), rtol=0, atol=0)


def test_half_gradients_keep_what_the_upstream_gradient_brings_back_into_range():
    z, t = torch.tensor([[2.0, -2.0]], dtype=torch.float16, requires_grad=True), torch.tensor([0])
    value = focalkit.softmax_focal_loss(z, t, 1.0, normalizer=1e6)
    (grad,) = torch.autograd.grad(value, z, torch.tensor(5e4, dtype=torch.float16))
    p, q = 1 / (1 + math.exp(-4)), 1 / (1 + math.exp(4))
    want = -q * (q - p * math.log(p)) * 5e4 / 1e6
    assert abs(want) / 5e4 < 2**-25  # rounded on the way, it would be 0
    assert grad[0, 0].item() == pytest.approx(want, rel=2e-3, abs=1e-7)


def test_a_second_derivative_in_compiled_code_is_refused():
    z, t = leaf(6, 4), torch.randint(4, (6,))
    compiled = torch.compile(lambda z: focalkit.softmax_focal_loss(z, t), backend="eager", fullgraph=True)
    with pytest.raises(focalkit.InputError, match="create_graph must be False in compiled code"):
        torch.autograd.grad(compiled(z), z, create_graph=True)


@pytest.mark.parametrize("link", ["softmax", "sigmoid"])
@pytest.mark.parametrize("upstream", [1.0, 0.5])
@PATHS
def test_inplace_writes_the_gradient_over_the_logits(link, upstream, kernels):
    source = leaf(6, 4)
    t = torch.randint(4, (6,)) if link == "softmax" else torch.randint(2, (6, 4))
    spec = LossSpec(link, 2.0)
    want = torch.autograd.grad(engine.loss(spec, source, t), source)[0] * upstream
    logits = source * 1
    value = engine.loss(spec, logits, t, inplace=True, kernels=kernels)
    memory = logits.data_ptr()
    got = []
    logits.register_hook(got.append)
    (grad,) = torch.autograd.grad(value, source, torch.tensor(upstream, dtype=torch.float64))
    torch.testing.assert_close(grad, want)
    assert got[0].data_ptr() == memory


def test_inplace_is_refused_where_it_would_be_wrong():
    t = torch.randint(3, (4,))
    with pytest.raises(InputError, match="inplace must be False where the logits are a leaf"):
        focalkit.softmax_focal_loss(leaf(4, 3), t, inplace=True)
    with pytest.raises(InputError, match="inplace must be False where the logits are an expanded view"):
        focalkit.softmax_focal_loss((leaf(1, 3) * 1).expand(4, 3), t, inplace=True)
    z = leaf(4, 3) * 1
    with pytest.raises(InputError, match="inplace must be False where targets or weights share"):
        focalkit.sigmoid_focal_loss(z, z.detach().clamp_(0, 1), inplace=True)
    with pytest.raises(InputError, match="inplace must be False here"):
        focalkit.softmax_focal_loss(z, t, torch.tensor(2.0, requires_grad=True), inplace=True)
    value = focalkit.softmax_focal_loss(z, t, inplace=True)
    with pytest.raises(InputError, match="inplace must be False where the gradient is differentiated"):
        torch.autograd.grad(value, z, create_graph=True)
    used = torch.exp(leaf(4, 3))  # its own derivative is its value
    value = focalkit.softmax_focal_loss(used, t, inplace=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        value.backward()
    with pytest.raises(InputError, match="inplace must be False unless the logits are of PyTorch or JAX"):
        focalkit.softmax_focal_loss(np.zeros((4, 3)), t.numpy(), inplace=True)


def test_inplace_writes_nothing_where_no_gradient_is_wanted():
    z = leaf(4, 3).detach()
    before = z.clone()
    focalkit.softmax_focal_loss(z, torch.randint(3, (4,)), inplace=True)
    with torch.no_grad():
        focalkit.softmax_focal_loss(z * 1, torch.randint(3, (4,)), inplace=True)
    assert torch.equal(z, before)


@pytest.mark.parametrize("large", [False, True])
def test_any_memory_layout_gives_the_same_and_the_gradient_keeps_it(large):
    shape = (2, 8, 150, 150) if large else (2, 4, 3, 5)
    plain = torch.randn(shape)
    t = torch.randint(shape[1], (shape[0], *shape[2:]))
    spec = LossSpec("softmax", 2.0)
    want = focalkit.loss_grad_hess(spec, plain, t, hess=False)
    turned = plain.transpose(2, 3).contiguous().transpose(2, 3)
    for z in (
        plain.contiguous(memory_format=torch.channels_last),
        turned,
        plain.repeat(1, 1, 1, 2)[..., ::1][..., : shape[3]],
    ):
        z = z.detach().requires_grad_()
        value = focalkit.softmax_focal_loss(z, t, 2.0)
        (grad,) = torch.autograd.grad(value, z)
        torch.testing.assert_close((value.detach(), grad), tuple(want[:2]))
        if z is not plain and not z.is_contiguous() and torch.ops.aten.is_non_overlapping_and_dense(z):
            assert grad.stride() == z.stride()
    expanded = torch.randn(1, 4).expand(6, 4)
    ids = torch.randint(4, (6,))
    torch.testing.assert_close(
        focalkit.loss_grad_hess(spec, expanded, ids).grad,
        focalkit.loss_grad_hess(spec, expanded.contiguous(), ids).grad,
    )


def test_deterministic_mode_is_kept_and_repeats_every_bit():
    z, t = leaf(40, 7, dtype=torch.float32), torch.randint(7, (40,))
    alpha = torch.rand(7, requires_grad=True)
    torch.use_deterministic_algorithms(True)
    try:
        first, second = (
            torch.autograd.grad(focalkit.softmax_focal_loss(z, t, 2.0, a, keep_hardest=0.5), z)[0]
            for a in (alpha, alpha)
        )
    finally:
        torch.use_deterministic_algorithms(False)
    assert torch.equal(first, second)


# where tensors come from


def test_no_grad_and_inference_mode_compute_no_gradient():
    z, t = leaf(4, 3), torch.randint(3, (4,))
    want = focalkit.softmax_focal_loss(z, t)
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            value = focalkit.softmax_focal_loss(z, t)
            inner = focalkit.softmax_focal_loss(z * 1, t, sample_weight=[1, 1, 1, 1])
        assert not value.requires_grad
        assert value == inner == want.detach()
    assert want.requires_grad


@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_meta_and_fake_tensors_have_shapes_and_no_values(reduction):
    from torch._subclasses.fake_tensor import FakeTensorMode

    z, t = torch.zeros(4, 3, 5, device="meta", requires_grad=True), torch.zeros(4, 5, dtype=torch.long, device="meta")
    value = focalkit.softmax_focal_loss(z, t, reduction=reduction)
    assert value.shape == (() if reduction == "mean" else (4, 5))
    value.sum().backward()
    assert z.grad.shape == z.shape
    with pytest.raises(InputError, match=r"targets must have shape \(4, 5\); got shape \(4, 4\)\."):
        focalkit.softmax_focal_loss(z, t[:, :4])
    with FakeTensorMode():
        z, t = torch.zeros(4, 3, requires_grad=True), torch.zeros(4, dtype=torch.long)
        assert focalkit.softmax_focal_loss(z, t, reduction=reduction).shape == (() if reduction == "mean" else (4,))
        assert focalkit.loss_grad_hess(LossSpec(gamma=2.0), z, t).hess.shape == z.shape


def test_the_default_device_is_not_asked():
    z, t = leaf(4, 3), torch.randint(3, (4,))
    want = focalkit.softmax_focal_loss(z, t)
    slope = torch.autograd.grad(want, z)[0]
    with torch.device("meta"):
        got = focalkit.softmax_focal_loss(z, t)
        (got_slope,) = torch.autograd.grad(got, z)
        each = focalkit.softmax_focal_loss(z, t, reduction="none")
        plain = engine.loss(LossSpec(gamma=2.0), z, t, kernels=False)
    assert got == want
    assert torch.equal(got_slope, slope)
    torch.testing.assert_close(plain, want)
    assert each.device.type == "cpu"


def test_a_tensor_subclass_and_a_parameter_are_tensors():
    class Mine(torch.Tensor):
        pass

    z, t = torch.randn(4, 3), torch.randint(3, (4,))
    want = focalkit.softmax_focal_loss(z, t)
    assert focalkit.softmax_focal_loss(torch.nn.Parameter(z), t) == want
    value = focalkit.softmax_focal_loss(z.as_subclass(Mine), t)
    assert type(value) is Mine
    torch.testing.assert_close(value.as_subclass(torch.Tensor), want)


def test_loss_grad_hess_returns_tensors_and_writes_out():
    z, t = torch.randn(4, 3), torch.randint(3, (4,))
    out = torch.empty_like(z)
    result = focalkit.loss_grad_hess(LossSpec(gamma=2.0), z, t, out=out)
    assert result.grad is out
    plain = focalkit.loss_grad_hess(LossSpec(gamma=2.0), z.numpy(), t.numpy())
    for one, other in zip(result, plain, strict=True):
        np.testing.assert_array_equal(one.numpy(), other)
    both = torch.zeros(2, 4, 3)
    with pytest.raises(InputError, match="out must be the logits themselves or memory apart"):
        focalkit.loss_grad_hess(LossSpec("sigmoid"), both[0], both[0].clone(), out=both[1])


def test_the_normalizer_may_be_a_tensor():
    z, t = leaf(4, 3), torch.randint(3, (4,))
    want = focalkit.softmax_focal_loss(z, t, reduction="sum") / 5
    for normalizer in (5, 5.0, torch.tensor(5), torch.tensor(5.0), np.float32(5)):
        torch.testing.assert_close(focalkit.softmax_focal_loss(z, t, normalizer=normalizer), want)
    for bad in (0, torch.tensor(0), torch.tensor([1.0, 2.0])):
        with pytest.raises(InputError, match="normalizer must be"):
            focalkit.softmax_focal_loss(z, t, normalizer=bad)


# memory

PEAKS = """
import sys
import torch
from focalkit import sigmoid_focal_loss, softmax_focal_loss
from focalkit.engines.cpu import machine

torch.set_num_threads(1)
machine.set_num_threads(1)


def peak(n, inplace=False, door=softmax_focal_loss, recorded=True):
    hidden, weight = torch.randn(n, 4), torch.randn(4, 4096).requires_grad_(recorded)
    logits = hidden @ weight
    targets = torch.randint(4096, (n,)) if door is softmax_focal_loss else torch.zeros(n, 4096, dtype=torch.uint8)
    machine.release_memory()
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")
    with open("/proc/self/statm") as file:
        before = int(file.read().split()[1]) * 4096
    loss = door(logits, targets, inplace=inplace)
    if recorded:
        loss.backward()
    with open("/proc/self/status") as file:
        (line,) = [line for line in file if line.startswith("VmHWM")]
    return (int(line.split()[1]) * 1024 - before) / (logits.numel() * 4)


for n in (64, 4096):  # the first time loads what is loaded on first use
    peaks = peak(n), peak(n, inplace=True), peak(n, door=sigmoid_focal_loss), peak(n, recorded=False)
print(*peaks)
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="asks Linux for the peak")
def test_a_step_takes_one_tensor_of_the_logits_size_and_inplace_none():
    done = subprocess.run([sys.executable, "-c", PEAKS], capture_output=True, text=True, check=True)
    fresh, inplace, sigmoid, loss_alone = map(float, done.stdout.split())
    assert 0.95 < fresh < 1.1
    assert 0.95 < sigmoid < 1.1
    assert inplace < 0.05
    assert loss_alone < 0.05


# errors


def test_what_does_not_fit_is_refused_in_words():
    z, t = torch.zeros(4, 3), torch.zeros(4, dtype=torch.long)
    for bad, message in (
        ((z, t.numpy()), "targets must be a tensor, as the logits are; got ndarray"),
        ((z, t.to("meta")), "targets must lie on the device of the logits, cpu; got meta"),
        ((z.to_sparse(), t), "logits must be dense"),
        ((z.long(), t), "logits must be a floating array"),
        ((z, t + 3), r"targets must lie in \[0, 3\) or equal ignore_index=-100; got 3"),
        ((z, t[:3]), r"targets must have shape \(4,\)"),
        ((z, t.float()), r"targets must be integers of shape \(4,\), or probabilities"),
        ((z, z + 0.5), "targets must sum to 1"),
    ):
        for gradient in (False, True):
            logits = bad[0].requires_grad_(gradient and bad[0].is_floating_point())
            with pytest.raises(InputError, match=message):
                focalkit.softmax_focal_loss(logits, bad[1])
    with pytest.raises(InputError, match="logits must be free of NaN"):
        focalkit.softmax_focal_loss(z.detach() * torch.nan, t, check_finite=True)
    with pytest.raises(InputError, match="sample_weight must lie in"):
        focalkit.softmax_focal_loss(z, t, sample_weight=-torch.ones(4))
    with pytest.raises(InputError, match=r"alpha must be a number or have one entry for each of the 3 classes"):
        focalkit.softmax_focal_loss(z, t, alpha=torch.ones(2, requires_grad=True))
    with pytest.raises(InputError, match=r"gamma must be a number in \[0, inf\)"):
        focalkit.softmax_focal_loss(z, t, torch.tensor(-1.0, requires_grad=True))


def strange_tensors():
    z = torch.zeros(4, 3)
    yield "sparse", z.to_sparse(), "be dense; got torch.sparse_coo"
    yield "csr", z.to_sparse_csr(), "be dense; got torch.sparse_csr"
    yield "quantised", torch.quantize_per_tensor(z, 0.1, 0, torch.qint8), "be floating or integers; got torch.qint8"
    yield "nested", torch.nested.nested_tensor([z[0], z[1]]), "be one array; got a nested tensor"
    yield "eight bits", z.to(torch.float8_e5m2), "be of 16, 32 or 64 bits; got torch.float8_e5m2"
    yield "masked", torch.masked.masked_tensor(z, z == 0), "be without a mask; got a masked tensor"
    if torch.backends.mkldnn.is_available():
        yield "mkldnn", z.to_mkldnn(), "be dense; got torch._mkldnn"


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_tensor_that_is_no_dense_array_of_numbers_is_refused_everywhere():
    z, t = torch.zeros(4, 3), torch.zeros(4, dtype=torch.long)
    for name, bad, said in strange_tensors():
        calls = {
            "loss": lambda bad=bad: focalkit.softmax_focal_loss(bad, t),
            "derivatives": lambda bad=bad: focalkit.loss_grad_hess(LossSpec(gamma=2.0), bad, t),
            "module": lambda bad=bad: focalkit.nn.SoftmaxFocalLoss(gamma=2.0)(bad, t),
            "diagnosis": lambda bad=bad: focalkit.diagnose(bad, t),
        }
        for door, call in calls.items():
            with pytest.raises(InputError) as refusal:
                call()
            assert said in str(refusal.value), (name, door)
    with pytest.raises(InputError, match="alpha must be dense"):
        focalkit.softmax_focal_loss(z, t, alpha=z[0].to_sparse())
    with pytest.raises(InputError, match="logits must be an array; got a tensor without values"):
        focalkit.diagnose(z.to("meta"), t)


@pytest.mark.parametrize("n", [8, 20000])
def test_logits_written_in_place_after_the_loss_are_pytorchs_error_at_every_size(n):
    z = leaf(n, 3)
    logits = z * 1
    loss = focalkit.softmax_focal_loss(logits, torch.zeros(n, dtype=torch.long))
    logits.zero_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


ALIVE = """
import torch
from focalkit.nn import LinearFocalLoss
head = LinearFocalLoss(64, 8192)
head(torch.randn(32, 64), torch.zeros(32, dtype=torch.long)).backward()
"""


def test_a_gradient_that_lives_to_the_end_of_a_script_is_no_leak():
    done = subprocess.run([sys.executable, "-c", ALIVE], capture_output=True, text=True, check=True)
    assert "leaked" not in done.stderr


BLOCKED = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name="torch")
sys.meta_path.insert(0, Blocker())
import focalkit
try:
    import focalkit.nn
except ModuleNotFoundError as error:
    print(error)
"""


def test_without_torch_the_message_names_the_extra():
    done = subprocess.run([sys.executable, "-c", BLOCKED], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == 'focalkit.nn needs torch; run: pip install "focalkit[torch]"'


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("soft", [False, True])
def test_a_row_whose_other_classes_are_all_masked_has_a_hessian_of_zeros_in_forward_mode_too(gamma, soft):
    z = torch.tensor([[-torch.inf, 1.0, -torch.inf], [0.5, 1.0, -torch.inf]], dtype=torch.float64)
    t = torch.eye(3, dtype=torch.float64)[[1, 0]] if soft else torch.tensor([1, 0])
    hessian = torch.func.hessian(lambda logits: focalkit.softmax_focal_loss(logits, t, gamma, reduction="sum"))(z)
    diagonal = torch.einsum("ijij->ij", hessian)
    want = focalkit.loss_grad_hess(LossSpec(gamma=gamma, reduction="sum"), z, t).hess
    assert not hessian[0].any()
    torch.testing.assert_close(diagonal, want, rtol=1e-12, atol=1e-14)
