"""The neighbours of the focal loss in every way PyTorch computes: compiled, transformed, twice, in half, in parts."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402
from tests.laws.test_family import HARD, SIGMOID, SOFTMAX, T, Y, Z, members  # noqa: E402

import focalkit  # noqa: E402
from focalkit import LossSpec, loss_grad_hess  # noqa: E402
from focalkit.engines.torch import compiled, dispatch  # noqa: E402
from focalkit.nn import (  # noqa: E402
    LinearFocalLoss,
    SigmoidFocalLoss,
    SoftmaxFocalLoss,
    parallel_softmax_focal_loss,
)

z, t, y, hard = (torch.from_numpy(a[:12]) for a in (Z, T, Y, HARD))
SOFTMAX = {**SOFTMAX, "steps": (0.0, {"gamma_steps": ((0.2, 5.0), (1.0, 3.0))})}
ALL = [(name, "softmax", *rest) for name, rest in SOFTMAX.items()]
ALL += [(name, "sigmoid", *rest) for name, rest in SIGMOID.items()]
every_member = pytest.mark.parametrize(
    ("link", "gamma", "options"), [member[1:] for member in ALL], ids=[f"{m[1]} {m[0]}" for m in ALL]
)


def spec_of(link, gamma, options, **more):
    return LossSpec(link, gamma, **options, **more)


@every_member
def test_the_operator_s_arguments_hold_the_whole_spec(link, gamma, options):
    spec = spec_of(link, gamma, options, alpha=0.25)
    assert compiled.spec_of(compiled.arguments_of(spec)) == spec
    assert compiled.spec_of(compiled.apart(spec)[1]) == spec


@every_member
def test_second_derivatives_are_exact(link, gamma, options):
    spec = spec_of(link, gamma, options, reduction="sum")
    targets = t if link == "softmax" else hard
    logits = z.clone().requires_grad_()

    def loss(logits):
        return dispatch.loss(spec, logits, targets)

    (grad,) = torch.autograd.grad(loss(logits), logits, create_graph=True)
    want = loss_grad_hess(spec, z.numpy(), targets.numpy())
    torch.testing.assert_close(grad.detach(), torch.from_numpy(want.grad), rtol=1e-9, atol=1e-12)
    for column in range(5):
        (second,) = torch.autograd.grad(grad[:, column].sum(), logits, retain_graph=True)
        torch.testing.assert_close(second[:, column], torch.from_numpy(want.hess[:, column]), rtol=1e-7, atol=1e-10)


@every_member
def test_differentiated_losses_keep_the_digits_of_hopeless_and_of_easy_rows(link, gamma, options):
    m = torch.tensor([-60.0, -30.0, -17.0, -5.0, 0.3, 5.0, 17.0, 30.0], dtype=torch.float64)
    rows = torch.stack([m, torch.zeros_like(m), torch.full_like(m, -80.0)], 1) if link == "softmax" else m
    options = {k: v for k, v in options.items() if k not in ("logit_adjustment", "margin")}
    targets = torch.zeros(8, dtype=torch.long) if link == "softmax" else torch.ones(8, dtype=torch.long)
    spec = spec_of(link, gamma, options, reduction="sum")
    got = torch.func.grad(lambda logits: dispatch.loss(spec, logits, targets))(rows)
    want = loss_grad_hess(spec, rows.numpy(), targets.numpy(), hess=False).grad
    torch.testing.assert_close(got, torch.from_numpy(want), rtol=1e-12, atol=1e-300)


EASY_AND_HOPELESS = [-80.0, -60.0, -45.0, -20.0, -3.0, 0.1, 0.8, 5.0, 20.0, 50.0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("y", [0.0, 1e-20, 0.3, 1.0])
@pytest.mark.parametrize("gamma", [0.01, 0.5, 1.0, 2.5])
@pytest.mark.parametrize("quality", ["quality", "varifocal"])
@pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")
def test_differentiated_losses_of_soft_targets_keep_the_digits_of_easy_rows(quality, gamma, y, dtype):
    rows = torch.tensor([*EASY_AND_HOPELESS, -torch.inf, torch.inf], dtype=dtype)
    targets = torch.full_like(rows, y)
    spec = LossSpec("sigmoid", gamma, quality=quality, reduction="sum")

    def loss(logits):
        return dispatch.loss(spec, logits, targets)

    want = loss_grad_hess(spec, rows.numpy().astype(float), targets.numpy().astype(float))
    rtol, atol = (1e-10, 1e-300) if dtype is torch.float64 else (2e-4, 1e-36)
    logits = rows.clone().requires_grad_()
    (grad,) = torch.autograd.grad(loss(logits), logits, create_graph=True)
    (second,) = torch.autograd.grad(grad.sum(), logits)
    for got in (grad.detach(), torch.func.grad(loss)(rows)):
        np.testing.assert_allclose(got.numpy(), want.grad, rtol=rtol, atol=atol)
    for got in (second, torch.func.hessian(loss)(rows).diagonal()):
        np.testing.assert_allclose(got.numpy(), want.hess, rtol=10 * rtol, atol=10 * atol)


@pytest.mark.parametrize("quality", ["quality", "varifocal"])
def test_soft_targets_weights_and_gammas_have_derivatives(quality):
    logits, weight = torch.tensor([-2.0, -0.3, 1.0, 4.0]).double(), torch.rand(4).double()
    targets, gamma = torch.tensor([0.1, 0.7, 0.2, 0.99]).double(), torch.tensor(1.7).double()
    given = [x.requires_grad_() for x in (logits, targets, weight, gamma)]

    def loss(z, y, w, g):
        return focalkit.sigmoid_focal_loss(z, y, gamma=g, sample_weight=w, quality=quality)

    assert torch.autograd.gradcheck(loss, given)
    assert torch.autograd.gradgradcheck(loss, given)
    ends = torch.tensor([-torch.inf, torch.inf]).double()
    one = torch.ones(2, dtype=torch.float64, requires_grad=True)
    value = focalkit.sigmoid_focal_loss(ends, torch.tensor([0.0, 1.0]).double(), sample_weight=one, quality=quality)
    value.backward()
    assert value.item() == 0
    assert not one.grad.any()


@pytest.mark.parametrize("k", [1e-9, 1e-39, 1e-300, 1e-309])
def test_differentiated_losses_of_next_to_no_power_are_cross_entropy_s(k):
    rows, targets = torch.tensor([-80.0, -3.0, 0.5, 8.0, 60.0]), torch.ones(5, dtype=torch.long)
    for logits in (rows, rows.double()):
        got, want = (
            torch.func.grad(lambda z, k=k: focalkit.sigmoid_focal_loss(z, targets, 0.0, gce=k))(logits)
            for k in (k, 0.0)
        )
        torch.testing.assert_close(got, want, rtol=1e-6, atol=0)


@every_member
def test_functional_transforms_see_the_same_loss(link, gamma, options):
    spec = spec_of(link, gamma, options, reduction="sum")
    targets = t if link == "softmax" else hard
    per_row = torch.func.vmap(
        torch.func.grad(lambda row, target: dispatch.loss(spec, row[None], target[None])), randomness="error"
    )
    want = loss_grad_hess(spec, z.numpy(), targets.numpy()).grad
    torch.testing.assert_close(per_row(z, targets), torch.from_numpy(want), rtol=1e-9, atol=1e-12)


@pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")
def test_compiled_modules_are_the_same_and_follow_a_schedule():
    torch._dynamo.reset()
    for kind, targets, options in (
        (SoftmaxFocalLoss, t, {"logit_adjustment": SOFTMAX["logit_adjustment"][1]["logit_adjustment"], "poly": 1.0}),
        (SigmoidFocalLoss, hard, {"gamma_negative": 4.0, "clip": 0.05}),
    ):
        module = kind(1.0, **options)
        run = torch.compile(module, fullgraph=True, backend="aot_eager")
        name = "poly" if "poly" in options else "clip"
        for value in (options[name], 0.125, 0.25):
            setattr(module, name, value)
            logits, other = z.clone().requires_grad_(), z.clone().requires_grad_()
            run(logits, targets).backward()
            module(other, targets).backward()
            torch.testing.assert_close(logits.grad, other.grad, rtol=1e-12, atol=0)


@members(SOFTMAX)
def test_a_linear_layer_with_its_loss_is_the_two_in_turn(gamma, options):
    torch.manual_seed(3)
    head = LinearFocalLoss(6, 5, gamma, bias=True, **options).double()
    hidden = torch.randn(12, 6, dtype=torch.float64, requires_grad=True)
    head(hidden, t).backward()
    got = hidden.grad, head.weight.grad.clone(), head.bias.grad.clone()
    hidden.grad, head.weight.grad, head.bias.grad = None, None, None
    logits = F.linear(hidden, head.weight, head.bias)
    focalkit.softmax_focal_loss(logits, t, gamma, **options).backward()
    for one, other in zip(got, (hidden.grad, head.weight.grad, head.bias.grad), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-13)


@members(SOFTMAX)
def test_classes_in_one_shard_are_all_of_them(gamma, options):
    logits, other = z.clone().requires_grad_(), z.clone().requires_grad_()
    value = parallel_softmax_focal_loss(logits, t, gamma=gamma, **options)
    want = focalkit.softmax_focal_loss(other, t, gamma, **options)
    value.backward()
    want.backward()
    torch.testing.assert_close(value, want, rtol=1e-12, atol=0)
    torch.testing.assert_close(logits.grad, other.grad, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@every_member
def test_half_types_are_computed_in_float32(link, gamma, options, dtype):
    targets = t if link == "softmax" else hard
    spec = spec_of(link, gamma, options)
    narrow, wide = z.to(dtype).requires_grad_(), z.to(dtype).float().requires_grad_()
    dispatch.loss(spec, narrow, targets).backward()
    dispatch.loss(spec, wide, targets).backward()
    torch.testing.assert_close(narrow.grad, wide.grad.to(dtype), rtol=float(torch.finfo(dtype).eps), atol=1e-6)


def test_a_module_shows_and_assigns_its_form():
    module = SoftmaxFocalLoss(2.0, poly=1.0, logit_adjustment=np.log([0.5, 0.5]))
    assert "poly=1.0" in repr(module)
    module.poly = 0.0
    module.logit_adjustment = None
    assert module.spec == LossSpec(gamma=2.0)


@pytest.mark.parametrize("rows", [12, 20_000])
def test_a_module_takes_a_table_of_gammas_as_an_array(rows):
    table = np.array([(0.2, 5.0), (1.0, 3.0)])
    logits, targets = torch.randn(rows, 5, dtype=torch.float64, requires_grad=True), torch.randint(5, (rows,))
    value = SoftmaxFocalLoss(torch.from_numpy(table))(logits, targets)
    value.backward()
    want = loss_grad_hess(LossSpec(gamma=table), logits.detach().numpy(), targets.numpy(), hess=False)
    assert value.item() == pytest.approx(want.loss, rel=1e-12)
    torch.testing.assert_close(logits.grad, torch.from_numpy(want.grad), rtol=1e-10, atol=1e-16)
