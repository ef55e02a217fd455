"""Linear layer and loss in one against the two in turn, and what it promises beside: memory, gradients, refusals."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
import torch.nn.functional as F  # noqa: E402
from torch.autograd import gradcheck, gradgradcheck  # noqa: E402
from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402
from torch.utils._pytree import tree_leaves  # noqa: E402
from torch.utils.checkpoint import checkpoint  # noqa: E402

from focalkit import InputError, LossSpec, linear_softmax_focal_loss, softmax_focal_loss  # noqa: E402
from focalkit.engines.torch import linear as torch_linear  # noqa: E402
from focalkit.engines.torch import linear_chunks as torch_chunks  # noqa: E402
from focalkit.engines.torch import routes  # noqa: E402
from focalkit.nn import LinearFocalLoss  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")  # torch's own
# of the largest entry; half types are computed in float32 or better from the same rounded inputs
TOLERANCE = {torch.float64: 1e-13, torch.float32: 2e-6, torch.bfloat16: 2**-7, torch.float16: 2**-10}
# logits and their gradient are rounded too, as a layer in the half type does
NATIVE = {torch.bfloat16: 2**-5, torch.float16: 2**-8}


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)
    torch.set_num_threads(1)  # as many test processes as cores


#: Types that products are computed in themselves; the other half types are widened to float32.
ARITHMETIC = {"widened": frozenset(), "native": frozenset({torch.bfloat16, torch.float16})}


@pytest.fixture(autouse=True)
def _widened(monkeypatch):
    """Products of half types in float32, whatever the processor can do."""
    monkeypatch.setattr(torch_chunks, "_NATIVE", ARITHMETIC["widened"])


@pytest.fixture
def native(_widened, monkeypatch):
    """Products in the half types themselves, whatever the processor can do."""
    monkeypatch.setattr(torch_chunks, "_NATIVE", ARITHMETIC["native"])


def layer(n=37, width=8, n_classes=50, dtype=torch.float64, bias=True, ignored=True):
    hidden = torch.randn(n, width, dtype=torch.float64).to(dtype).requires_grad_()
    weight = torch.randn(n_classes, width, dtype=torch.float64).to(dtype).requires_grad_()
    given_bias = torch.randn(n_classes, dtype=torch.float64).to(dtype).requires_grad_() if bias else None
    targets = torch.randint(n_classes, (n,))
    if ignored:
        targets[::4] = -100
    return hidden, weight, targets, given_bias


def in_turn(hidden, weight, targets, bias=None, *, logit_softcap=None, memory_budget=None, dtype=torch.float64, **rest):
    """What the layer and the loss give one after the other, from the same numbers in float64."""
    hidden, weight = hidden.to(dtype), weight.to(dtype)
    z = F.linear(hidden, weight, None if bias is None else bias.to(dtype))
    if logit_softcap is not None:
        z = logit_softcap * torch.tanh(z / logit_softcap)
    return softmax_focal_loss(z, targets, class_axis=-1, **rest)


def value_and_grads(function, arguments, rest, upstream=None):
    value = function(*arguments, **rest)
    inputs = [t for t in arguments if t is not None and t.is_floating_point() and t.requires_grad]
    upstream = torch.ones_like(value) if upstream is None else upstream.to(value.dtype)
    return value.detach(), *torch.autograd.grad(value, inputs, upstream)


def widened(arguments):
    """The same numbers in float64."""
    leaves = (t if t is None or not t.is_floating_point() else t.detach().double() for t in arguments)
    return [t if t is None or not t.is_floating_point() else t.requires_grad_() for t in leaves]


def assert_close(got, want, tolerance):
    for one, other in zip(got, want, strict=True):
        assert one.shape == other.shape
        scale = float(other.abs().max()) if other.numel() else 0.0
        error = float((one.double() - other.double()).abs().max()) if other.numel() else 0.0
        assert error <= tolerance * scale, (error, scale)


# equal to the layer and the loss in turn


@st.composite
def calls(draw, dtype):
    """Arguments, options and an upstream gradient."""
    n, n_classes = draw(st.integers(0, 40)), draw(st.sampled_from([1, 2, 50, 130]))
    torch.manual_seed(draw(st.integers(0, 2**31)))
    arguments = layer(n, draw(st.integers(1, 9)), n_classes, dtype, draw(st.booleans()), draw(st.booleans()))
    per_class = draw(st.booleans())
    gamma = torch.linspace(0, 3, n_classes).tolist() if per_class else draw(st.sampled_from([0.0, 0.5, 2.0, 3.7]))
    rest = {
        "gamma": gamma,
        "alpha": draw(st.sampled_from([None, 0.25, torch.linspace(0.1, 2, n_classes).tolist()])),
        "label_smoothing": draw(st.sampled_from([0.0, 0.1])),
        "sample_weight": torch.rand(n) if draw(st.booleans()) else None,
        "reduction": draw(st.sampled_from(["mean", "sum", "none", "weighted_mean"])),
        "logit_softcap": draw(st.sampled_from([None, 3.0])),
        "memory_budget": draw(st.sampled_from([1, 3000, 20000, None])),
    }
    if draw(st.booleans()):
        hidden, weight, _, bias = arguments
        arguments = hidden, weight, torch.softmax(torch.randn(n, n_classes, dtype=torch.float64), -1).to(dtype), bias
    if rest["reduction"] in ("mean", "sum") and draw(st.booleans()):
        rest["normalizer"] = draw(st.sampled_from([7.0, torch.tensor(7.0)]))
    shape = (n,) if rest["reduction"] == "none" else ()
    return arguments, rest, torch.randn(shape, dtype=torch.float64)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_it_is_the_layer_and_the_loss_in_turn(dtype):
    @settings(max_examples=120, deadline=None)
    @given(calls(dtype))
    def check(call):
        arguments, rest, upstream = call
        upstream = upstream.to(dtype)
        got = value_and_grads(linear_softmax_focal_loss, arguments, rest, upstream)
        assert all(part.dtype == dtype for part in got)
        assert_close(got, value_and_grads(in_turn, arguments, rest, upstream), TOLERANCE[dtype] * 4)

    check()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("kind", ["widened", "native"])
def test_half_types_err_by_their_rounding_alone(dtype, kind, request):
    tolerance = TOLERANCE[dtype]
    if kind == "native":
        request.getfixturevalue("native")
        tolerance = NATIVE[dtype]
    grid = itertools.product(("mean", "none", "weighted_mean"), (None, 3.0), (3000, None), (True, False))
    for reduction, cap, budget, bias in grid:
        arguments = layer(dtype=dtype, n_classes=130, bias=bias)
        rest = {"gamma": 1.5, "reduction": reduction, "logit_softcap": cap, "memory_budget": budget}
        got = value_and_grads(linear_softmax_focal_loss, arguments, rest)
        assert all(part.dtype == dtype for part in got)
        assert_close(got, value_and_grads(in_turn, widened(arguments), rest), tolerance)


def test_a_weights_gradient_in_bfloat16_does_not_get_worse_with_the_number_of_chunks(native):
    arguments = layer(n=2048, width=16, n_classes=64, dtype=torch.bfloat16, bias=False, ignored=False)
    *_, true = value_and_grads(in_turn, widened(arguments), {"gamma": 2.0})
    errors = []
    for budget in (4096, None):
        *_, got = value_and_grads(linear_softmax_focal_loss, arguments, {"gamma": 2.0, "memory_budget": budget})
        errors.append(float((got.double() - true).norm() / true.norm()))
    assert errors[0] <= 1.2 * errors[1]


@pytest.mark.parametrize("reduction", ["mean", "weighted_mean", "none"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_a_devices_way_is_right_too(monkeypatch, native, reduction, dtype):
    """No row is left out, and the loss goes through plain tensor operations."""

    def plain(call, order):
        return routes.compute(call, routes.Route.COMPOSITE, order, call.logits if order else None).loss

    engine = torch_chunks.engine
    monkeypatch.setattr(engine, "over_logits", plain)
    monkeypatch.setattr(torch_chunks, "_counted_rows", lambda layer: None)
    arguments = layer(dtype=dtype)
    rest = {"reduction": reduction, "alpha": 0.3, "sample_weight": torch.rand(37), "memory_budget": 4000}
    got = value_and_grads(linear_softmax_focal_loss, arguments, rest)
    tolerance = NATIVE[dtype] if dtype in NATIVE else TOLERANCE[dtype]
    assert_close(got, value_and_grads(in_turn, widened(arguments), rest), tolerance)


def test_any_axes_may_stand_in_front_of_the_last():
    hidden, weight, targets, bias = layer(n=24)
    shaped = hidden.detach().reshape(2, 3, 4, 8).requires_grad_(), weight, targets.reshape(2, 3, 4), bias
    for sample_weight in (torch.rand(2), torch.rand(2, 3, 4)):
        rest = {"reduction": "none", "sample_weight": sample_weight}
        got = value_and_grads(linear_softmax_focal_loss, shaped, rest)
        assert got[0].shape == (2, 3, 4)
        assert_close(got, value_and_grads(in_turn, shaped, rest), 1e-13)


def test_strides_of_any_kind_are_taken():
    hidden, weight, targets, _ = layer(n=20, ignored=False)
    odd = hidden.detach().t().contiguous().t().requires_grad_(), weight.detach().repeat(1, 2)[:, ::2].requires_grad_()
    got = value_and_grads(linear_softmax_focal_loss, (*odd, targets), {"memory_budget": 3000})
    assert_close(got, value_and_grads(in_turn, (*odd, targets), {}), 1e-13)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_hidden_states_may_have_no_width(dtype):
    arguments = layer(width=0, dtype=dtype)
    got = value_and_grads(linear_softmax_focal_loss, arguments, {"memory_budget": 4000})
    assert_close(got, value_and_grads(in_turn, widened(arguments), {}), TOLERANCE[dtype])


@pytest.mark.parametrize("n", [0, 5])
def test_a_mean_over_nothing_is_0_with_zero_gradients(n):
    arguments = layer(n=n)
    arguments[2].fill_(-100)
    for reduction in ("mean", "weighted_mean", "sum", "none"):
        parts = value_and_grads(linear_softmax_focal_loss, arguments, {"reduction": reduction})
        assert all(bool((part == 0).all()) for part in parts)


@pytest.mark.parametrize("zero", [0, 0.0, torch.tensor(0), torch.tensor(0.0)], ids=repr)
@pytest.mark.parametrize("n", [0, 5])
def test_over_nothing_a_normalizer_of_zero_gives_zero(n, zero):
    arguments = layer(n=n)
    arguments[2].fill_(-100)
    for options in ({}, {"reduction": "sum"}, {"memory_budget": 4000}):
        parts = value_and_grads(linear_softmax_focal_loss, arguments, {"normalizer": zero, **options})
        assert all(bool((part == 0).all()) for part in parts)


def test_ignored_rows_are_left_out_and_may_hold_anything():
    arguments = layer()
    clean = value_and_grads(linear_softmax_focal_loss, arguments, {})
    hidden = arguments[0].detach().clone()
    hidden[arguments[2] == -100] = math.nan
    got = value_and_grads(linear_softmax_focal_loss, (hidden.requires_grad_(), *arguments[1:]), {})
    assert all(torch.equal(one, other) for one, other in zip(got, clean, strict=True))


def test_the_soft_caps_slope_keeps_its_digits_far_out():
    weight = torch.tensor([[60.0], [59.0]], requires_grad=True)
    hidden = torch.ones(1, 1, requires_grad=True)
    got = value_and_grads(linear_softmax_focal_loss, (hidden, weight, torch.tensor([1])), {"logit_softcap": 3.0})
    m = float(3 * (math.tanh(59 / 3) - math.tanh(20)))
    d1 = -((1 / (1 + math.exp(m))) ** 2) * (
        1 / (1 + math.exp(m)) + 2 * (1 / (1 + math.exp(-m))) * math.log1p(math.exp(-m))
    )
    assert got[2][1].item() == pytest.approx(d1 / math.cosh(59 / 3) ** 2, rel=1e-5)


# what it costs


class _Largest(TorchDispatchMode):
    """The most elements of any tensor that an operation returns."""

    most = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        sizes = [
            t.untyped_storage().nbytes() // t.element_size() for t in tree_leaves(made) if isinstance(t, torch.Tensor)
        ]
        self.most = max([self.most, *sizes])
        return made


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_no_tensor_outgrows_the_budget_and_the_gradients(dtype, reduction):
    hidden, weight, targets, bias = layer(n=3000, width=16, n_classes=400, dtype=dtype, ignored=False)
    budget = 200_000
    with _Largest() as seen:
        loss = torch_chunks.evaluate(
            torch_chunks.Layer(
                LossSpec(gamma=2.0, reduction=reduction), hidden, weight, bias, targets, None, None,
                0.0, budget, torch.float32, dtype,
            ),
            torch_chunks.Wanted(True, True, True),
            torch.ones(3000) if reduction == "none" else None,
        )  # fmt: skip
    assert loss[1].hidden.shape == hidden.shape
    assert budget // 8 < seen.most * 4 <= max(budget, hidden.numel() * 4)
    with _Largest() as seen:
        in_turn(hidden, weight, targets, bias, dtype=torch.float32)
    assert seen.most >= 3000 * 400  # the mode does see what is made


@pytest.mark.parametrize("budget", [10**5, 10**6, 10**7])
@pytest.mark.parametrize("cap", [0.0, 5.0])
@pytest.mark.parametrize("inner", [torch.float32, torch.bfloat16], ids=str)
def test_chunks_keep_to_the_budget_and_share_the_rows_evenly(budget, cap, inner):
    hidden, weight, targets, _ = layer(n=2000, width=16, n_classes=999, dtype=torch.bfloat16, ignored=False)
    spec = LossSpec(gamma=2.0)
    call = torch_chunks.Layer(spec, hidden, weight, None, targets, None, None, cap, budget, inner, torch.float32)
    run = torch_chunks._Pass(call, torch_chunks.Wanted(), None)
    per_row = 999 * inner.itemsize * (2 if cap else 1)
    assert run.chunk * per_row + run.block * 16 * inner.itemsize <= budget
    assert run.chunk * per_row >= min(0.4 * budget, 2000 * per_row)


def test_only_the_gradients_that_are_required_are_computed(monkeypatch):
    seen = []
    products = torch.mm
    monkeypatch.setattr(torch, "mm", lambda *a, **k: seen.append(1) or products(*a, **k))
    hidden, weight, targets, _ = layer()
    counts = []
    for of_hidden, of_weight in itertools.product((True, False), repeat=2):
        seen.clear()
        one, other = hidden.detach().requires_grad_(of_hidden), weight.detach().requires_grad_(of_weight)
        loss = linear_softmax_focal_loss(one, other, targets)
        assert loss.requires_grad == (of_hidden or of_weight)
        counts.append(len(seen))
    assert counts == [3, 2, 2, 1]
    seen.clear()
    with torch.no_grad():
        assert not linear_softmax_focal_loss(hidden, weight, targets).requires_grad
    assert len(seen) == 1


# under what torch does with it


@pytest.mark.parametrize("reduction", ["mean", "none"])
@pytest.mark.parametrize("cap", [None, 3.0])
def test_gradcheck(reduction, cap):
    hidden, weight, targets, bias = layer(n=5, width=3, n_classes=6)

    def f(hidden, weight, bias):
        rest = {"reduction": reduction, "logit_softcap": cap, "memory_budget": 100, "gamma": 1.3}
        return linear_softmax_focal_loss(hidden, weight, targets, bias, **rest)

    assert gradcheck(f, (hidden, weight, bias), check_batched_grad=reduction == "mean")
    assert gradgradcheck(f, (hidden, weight, bias))


def test_torch_func_and_forward_mode_are_right():
    hidden, weight, targets, _ = (None if t is None else t.detach() for t in layer(n=6, bias=False))

    def ours(hidden, weight):
        return linear_softmax_focal_loss(hidden, weight, targets, memory_budget=1000)

    def theirs(hidden, weight):
        return in_turn(hidden, weight, targets)

    for way in (lambda f: torch.func.grad(f, (0, 1)), lambda f: torch.func.hessian(f), lambda f: torch.func.jacfwd(f)):
        torch.testing.assert_close(way(ours)(hidden, weight), way(theirs)(hidden, weight))


def test_a_parameter_takes_its_gradient_without_a_copy(monkeypatch):
    pointers = []
    scaled = torch_linear._scaled
    monkeypatch.setattr(torch_linear, "_scaled", lambda g, u: pointers.append(g.data_ptr()) or scaled(g, u))
    hidden, weight, targets, _ = layer(n=8)
    linear_softmax_focal_loss(hidden, weight, targets).backward()
    assert weight.grad.data_ptr() in pointers


def test_a_kept_graph_gives_the_same_gradient_again():
    hidden, weight, targets, bias = layer(n=8)
    loss = linear_softmax_focal_loss(hidden, weight, targets, bias)
    for times in (1, 2, 3):
        loss.backward(retain_graph=True)
        expected = value_and_grads(in_turn, (hidden, weight, targets, bias), {})[2]
        torch.testing.assert_close(weight.grad, times * expected)
    weight.grad.zero_()
    (3 * loss).backward()
    torch.testing.assert_close(weight.grad, 3 * expected)
    with pytest.raises(RuntimeError, match="second time"):
        loss.backward()


def test_tied_embeddings_get_both_gradients():
    table = torch.randn(50, 8, dtype=torch.float64, requires_grad=True)
    ids, targets = torch.randint(50, (20,)), torch.randint(50, (20,))
    grads = []
    for function in (linear_softmax_focal_loss, in_turn):
        (grad,) = torch.autograd.grad(function(torch.tanh(F.embedding(ids, table)), table, targets), table)
        grads.append(grad)
    torch.testing.assert_close(*grads)


@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpointing_changes_nothing(reentrant):
    hidden, weight, targets, bias = layer()
    for reduction in ("mean", "none"):

        def f(hidden, weight, bias, reduction=reduction):
            loss = linear_softmax_focal_loss(torch.tanh(hidden), weight, targets, bias, reduction=reduction)
            return loss.square().sum()

        plain = torch.autograd.grad(f(hidden, weight, bias), (hidden, weight, bias))
        hidden.grad = weight.grad = bias.grad = None
        checkpoint(f, hidden, weight, bias, use_reentrant=reentrant).backward()
        assert all(torch.equal(t.grad, one) for t, one in zip((hidden, weight, bias), plain, strict=True))


@pytest.mark.parametrize("kind", ["widened", "native"])
@pytest.mark.parametrize("half_hidden", [True, False])
def test_autocast_gives_a_float32_loss_and_gradients_like_the_parameters(kind, half_hidden, request):
    if kind == "native":
        request.getfixturevalue("native")
    hidden, weight, targets, bias = layer(dtype=torch.float32)
    if half_hidden:
        hidden = hidden.detach().bfloat16().requires_grad_()
    for budget in (3000, None):
        with torch.autocast("cpu", torch.bfloat16):
            loss = linear_softmax_focal_loss(hidden, weight, targets, bias, memory_budget=budget)
        got = torch.autograd.grad(loss, (hidden, weight, bias))
        assert loss.dtype == torch.float32
        assert [g.dtype for g in got] == [hidden.dtype, torch.float32, torch.float32]
        true = value_and_grads(in_turn, widened((hidden, weight, targets, bias)), {})
        assert_close((loss.detach(), *got), true, NATIVE[torch.bfloat16])


def test_small_gradients_survive_float16_when_the_loss_is_scaled():
    hidden, weight, targets, _ = layer(n=64, n_classes=500, dtype=torch.float16, bias=False, ignored=False)
    loss = linear_softmax_focal_loss(hidden, weight * 0.01, targets, normalizer=1e6)
    (grad,) = torch.autograd.grad(loss.float() * 2**16, hidden)
    assert float(grad.abs().min()) > 0


@pytest.mark.parametrize(("reduction", "dynamic"), [("mean", False), ("none", True)])
def test_it_compiles_without_a_graph_break(reduction, dynamic):
    def f(hidden, weight, targets, bias, sample_weight):
        rest = {"alpha": [0.5] * 50, "reduction": reduction, "logit_softcap": 9.0, "memory_budget": 4000}
        return 2 * linear_softmax_focal_loss(hidden * 1.5, weight, targets, bias, sample_weight=sample_weight, **rest)

    torch._dynamo.reset()
    compiled = torch.compile(f, fullgraph=True, backend="aot_eager", dynamic=dynamic)
    for n in (37, 21):
        arguments, sample_weight = layer(n=n), torch.rand(n)
        got, want = (value_and_grads(lambda *a, g=g, w=sample_weight: g(*a, w), arguments, {}) for g in (compiled, f))
        assert_close(got, want, 1e-14)
    with torch.no_grad():
        assert torch.equal(compiled(*arguments, sample_weight), f(*arguments, sample_weight))


def test_an_exported_program_does_not_need_focalkit():
    hidden, weight, targets, _ = layer(n=8)

    class Model(torch.nn.Module):
        def forward(self, hidden, weight, targets):
            return linear_softmax_focal_loss(hidden, weight, targets)

    program = torch.export.export(Model(), (hidden.detach(), weight.detach(), targets))
    assert "focalkit" not in str(program.graph)
    torch.testing.assert_close(program.module()(hidden, weight, targets), in_turn(hidden, weight, targets))


def test_inference_mode_gives_the_loss():
    hidden, weight, targets, bias = layer()
    with torch.inference_mode():
        loss = linear_softmax_focal_loss(hidden * 1, weight, targets, bias, memory_budget=4000)
    torch.testing.assert_close(loss.clone(), in_turn(hidden, weight, targets, bias).detach())


def test_the_operators_keep_torchs_rules():
    hidden, weight, targets, bias = layer()
    for reduction in ("mean", "none"):
        spec = torch_chunks.engine.torch_operator.arguments_of(LossSpec(gamma=2.0, reduction=reduction))
        last = (0.0, 4000, torch.float64, torch.float64, [True] * 3)
        arguments = (hidden, weight, bias, targets, None, None, *spec, *last)
        tests = ("test_schema", "test_faketensor", "test_autograd_registration")
        torch.library.opcheck(torch.ops.focalkit.linear_loss, arguments, test_utils=tests)
    detached = [t.detach() if isinstance(t, torch.Tensor) else t for t in arguments]
    torch.library.opcheck(torch.ops.focalkit.linear_gradients, (torch.ones(37, dtype=torch.float64), *detached))


def test_runs_repeat_bit_for_bit():
    arguments = layer(n=300, n_classes=200, dtype=torch.float32)
    runs = [value_and_grads(linear_softmax_focal_loss, arguments, {"memory_budget": 30000}) for _ in range(2)]
    assert all(torch.equal(one, other) for one, other in zip(*runs, strict=True))


# what is refused


def refused(**changes):
    hidden, weight, targets, bias = layer(n=6)
    call = {"hidden": hidden, "weight": weight, "targets": targets, "bias": bias, **changes}
    with pytest.raises(InputError) as caught:
        linear_softmax_focal_loss(**call)
    return str(caught.value)


def test_what_cannot_be_done_is_refused_with_what_to_do_instead():
    weights = torch.rand(6, requires_grad=True)
    soft = torch.softmax(torch.randn(6, 50, dtype=torch.float64), -1).requires_grad_()
    assert "softmax_focal_loss on the logits" in refused(keep_hardest=0.5)
    assert "softmax_focal_loss on the logits" in refused(negatives_per_positive=3.0)
    assert "class_axis must be left out" in refused(class_axis=0)
    assert "multiply the losses" in refused(sample_weight=weights)
    assert "gamma must need no gradient" in refused(gamma=torch.tensor(2.0, requires_grad=True))
    assert "targets must need no gradient" in refused(targets=soft)
    assert "hidden must be a tensor" in refused(hidden=[[1.0]])
    assert "hidden must have shape" in refused(hidden=torch.zeros(8, dtype=torch.float64))
    assert "weight must have shape (n_classes, 8)" in refused(weight=torch.zeros(8, 50, dtype=torch.float64))
    assert "have the dtype of the hidden states" in refused(weight=torch.zeros(50, 8))
    assert "bias must have shape (50,)" in refused(bias=torch.zeros(8, dtype=torch.float64))
    assert "targets must have shape (6,)" in refused(targets=torch.zeros(5, dtype=torch.long))
    assert "targets must lie in [0, 50)" in refused(targets=torch.full((6,), 50))
    assert "targets must lie in [0, 50)" in refused(targets=torch.full((6,), 50), reduction="weighted_mean")
    assert "sample_weight must have shape" in refused(sample_weight=torch.ones(5))
    assert "sample_weight must lie in" in refused(sample_weight=-torch.ones(6))
    assert "normalizer must be a number in (0, inf)" in refused(normalizer=0.0)
    assert "normalizer must be a number in (0, inf)" in refused(normalizer=torch.tensor(-1.0))
    assert "normalizer must go with reduction" in refused(normalizer=2.0, reduction="none")
    assert "logit_softcap must be a number in (0, inf)" in refused(logit_softcap=0.0)
    assert "memory_budget must be a positive number of bytes" in refused(memory_budget=0)
    assert "alpha must be a number or have one entry for each of the 50" in refused(alpha=[1.0, 2.0])


# the module


def test_the_module_is_a_linear_layer_with_the_loss_behind_it():
    head = LinearFocalLoss(8, 50, gamma=1.0, alpha=0.5, bias=True, logit_softcap=9.0, ignore_index=3)
    twin = torch.nn.Linear(8, 50)
    head.load_state_dict(twin.state_dict())
    hidden, targets = torch.randn(4, 5, 8), torch.randint(50, (4, 5))
    expected = softmax_focal_loss(
        9 * torch.tanh(twin(hidden) / 9), targets, gamma=1.0, alpha=0.5, ignore_index=3, class_axis=-1
    )
    torch.testing.assert_close(head(hidden, targets), expected)
    torch.testing.assert_close(head.logits(hidden), 9 * torch.tanh(twin(hidden) / 9))
    shown = "in_features=8, out_features=50, bias=True, gamma=1.0, alpha=0.5, ignore_index=3, logit_softcap=9.0"
    assert repr(head) == f"LinearFocalLoss({shown})"
    with pytest.raises(InputError, match="each of the 50 classes"):
        LinearFocalLoss(8, 50, alpha=[1.0, 2.0])


def test_the_module_learns_and_shares_its_weight():
    embedding = torch.nn.Embedding(30, 8)
    head = LinearFocalLoss(8, 30, gamma=2.0)
    head.weight = embedding.weight
    ids = torch.arange(30)
    optimizer = torch.optim.SGD(embedding.parameters(), lr=5.0)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = head(embedding(ids), (ids + 1) % 30)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
