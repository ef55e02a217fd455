"""What is special to the Triton engine; its laws are those of every engine.

Without a GPU the kernels run under Triton's interpreter, and tensors of host memory count as a device's.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("triton")

from tests.triton_adapter import DEVICE, quietly  # noqa: E402
from tests.triton_adapter import engine as kernels  # noqa: E402

import focalkit  # noqa: E402
from focalkit import InputError, LossSpec, nn  # noqa: E402
from focalkit._core.call import Call, ClassParameters  # noqa: E402
from focalkit.engines.torch import contracts as torch_contracts  # noqa: E402
from focalkit.engines.torch import dispatch as engine  # noqa: E402
from focalkit.engines.torch import ops as composite  # noqa: E402
from focalkit.engines.torch import routes  # noqa: E402
from focalkit.engines.triton import launch as triton_launch  # noqa: E402

FOCAL = LossSpec(gamma=2.0)
BESIDE = pytest.mark.skipif(DEVICE.type == "cuda", reason="stands for what a GPU does by itself")


@pytest.fixture(autouse=True)
def device(monkeypatch):
    """A GPU, or host memory taken for one."""
    torch.manual_seed(0)
    if DEVICE.type == "cpu":
        monkeypatch.setattr(torch_contracts, "ordinary", lambda tensor: False)
        monkeypatch.setattr(routes, "device_kernels", lambda device: kernels)
        monkeypatch.setattr(engine, "loss", past_the_host)
    with quietly():
        yield DEVICE


def past_the_host(spec, logits, targets, weight=None, normalizer=None, finite=False, inplace=False, *rest, **by):
    """``engine.loss`` without its first look for tensors of the host."""
    parameters = ClassParameters(*rest[0]) if rest else engine.NO_PARAMETERS
    last = (routes.result_dtype(logits), finite, inplace)
    call = Call(spec, logits, targets, weight, normalizer, parameters, *last)
    return engine._any_loss(call, by.get("kernels", True))


def randn(*shape, dtype=torch.float64, scale=3.0):
    return (torch.randn(*shape, dtype=torch.float64) * scale).to(DEVICE, dtype)


def randint(n, shape):
    return torch.randint(n, shape).to(DEVICE)


def evaluate(spec, z, t, weight=None, normalizer=None, order=1, **rest):
    call = Call(spec, z, t, weight, normalizer, out_dtype=z.dtype)
    return kernels.evaluate(call, order, **rest)[:2], composite.evaluate(call, order)[:2]


def assert_agree(spec, z, t, *rest, **tolerance):
    got, want = evaluate(spec, z, t, *rest)
    torch.testing.assert_close(got, want, equal_nan=True, **tolerance)
    return got


# layouts and sizes


def layouts(plain):
    wide = plain.repeat(2, 2, 2, 2)
    yield "as it is", plain
    yield "channels last", plain.contiguous(memory_format=torch.channels_last)
    yield "transposed", plain.transpose(2, 3).contiguous().transpose(2, 3)
    yield "cropped", wide[: plain.shape[0], : plain.shape[1], : plain.shape[2], : plain.shape[3]]
    yield "every other", wide[::2, ::2, ::2, ::2]
    yield "expanded", plain[:1, :, :, :1].expand(plain.shape)


@pytest.mark.parametrize("link", ["softmax", "sigmoid"])
@pytest.mark.parametrize("soft", [False, True])
def test_any_memory_layout_is_read_where_it_is(link, soft):
    plain = randn(2, 6, 4, 5)
    hard = randint(6, (2, 4, 5)) if link == "softmax" else randint(2, plain.shape)
    t = torch.softmax(randn(*plain.shape), 1) if soft else hard
    spec = LossSpec(link, (0.5, 1.0, 2.0, 0.0, 3.0, 1.5), (0.1, 0.9, 0.3, 0.5, 0.2, 0.4))
    for (name, z), weighted in zip(layouts(plain), itertools.cycle([False, True]), strict=False):
        weight = torch.rand(2, 1, 1).to(DEVICE).expand(2, 4, 5) if weighted and link == "softmax" else None
        grad = assert_agree(spec, z, t, weight)[1]
        if name in ("channels last", "transposed"):
            assert grad.stride() == z.stride()


@pytest.mark.parametrize("link", ["softmax", "sigmoid"])
def test_strides_that_three_sizes_do_not_describe_are_copied(link):
    z = randn(2, 3, 4, 2, 6)[:, :, ::2, :, ::3].transpose(0, 3)
    t = randint(3, (2, 2, 2, 2)) if link == "softmax" else torch.rand(z.shape).to(DEVICE)
    out = torch.empty(4, 3, 2, 4, 2, dtype=z.dtype, device=DEVICE)[::2, :, :, ::2]
    got, want = evaluate(LossSpec(link, 2.0), z, t, torch.rand(2).to(DEVICE), out=out)
    assert got[1] is out
    torch.testing.assert_close(got, want)


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("last", [False, True])
def test_streamed_rows_are_those_held_on_chip(monkeypatch, soft, last):
    z = randn(3, 11, 4)
    z[0, 3, 1], z[1, :10, 2], z[2, 5, 0] = -torch.inf, -torch.inf, 60.0
    t = randint(11, (3, 4))
    t[1, 2], t[0, 0] = 10, -100
    spec = LossSpec(gamma=(0.0, 0.5, 1.0, 2.0, 3.0) * 2 + (1.5,), alpha=tuple(range(1, 12)), reduction="none")
    if soft:
        t = torch.softmax(z, 1)
    if last:
        z = z.transpose(1, 2).contiguous().transpose(1, 2)
    on_chip, _ = evaluate(spec, z, t)
    monkeypatch.setattr(triton_launch, "_tile", lambda *_: (False, 2, 4, 4))
    got = assert_agree(spec, z, t, rtol=1e-12, atol=1e-300)
    torch.testing.assert_close(got, on_chip, rtol=1e-12, atol=1e-300, equal_nan=True)
    if not soft:
        smooth = LossSpec(gamma=2.0, label_smoothing=0.1)
        assert_agree(smooth, torch.where(z == -torch.inf, -5.0, z), t, rtol=1e-12, atol=1e-300)


def test_a_million_classes_fit():
    z, t = randn(1, 1_000_000, dtype=torch.float32), randint(1_000_000, (1,))
    (value, grad), (want, want_grad) = evaluate(LossSpec(gamma=0.5), z, t)
    torch.testing.assert_close(value, want)
    torch.testing.assert_close(grad, want_grad, rtol=2e-5, atol=1e-30)


@pytest.mark.parametrize("shape", [(64, 5), (3, 5, 7), (2, 3000), (300, 80), (1, 2100, 3)], ids=str)
@pytest.mark.parametrize("link", ["softmax", "sigmoid"])
def test_offsets_of_64_bits_give_the_same_bits(monkeypatch, shape, link):
    z = randn(*shape, dtype=torch.float32)
    t = randint(shape[1], (shape[0], *shape[2:])) if link == "softmax" else randint(2, shape)
    narrow, _ = evaluate(LossSpec(link, 2.0), z, t)
    monkeypatch.setattr(triton_launch, "WIDE_FROM", 0)
    wide, want = evaluate(LossSpec(link, 2.0), z, t)
    assert all(torch.equal(*pair) for pair in zip(narrow, wide, strict=True))
    torch.testing.assert_close(wide, want)


def test_adjacent_axes_merge_where_all_strides_allow_it():
    assert triton_launch._merged((2, 3, 4), [12, 4, 1], [12, 4, 1]) == ([24], [[1], [1]])
    assert triton_launch._merged((2, 3, 4), [12, 4, 1], [0, 0, 1]) == ([6, 4], [[4, 1], [0, 1]])
    assert triton_launch._merged((2, 1, 4), [12, 7, 1], [12, 3, 1]) == ([2, 4], [[12, 1], [12, 1]])
    assert triton_launch._multiple(1000, 0, 4000) == 8
    assert triton_launch._multiple(0, 0) == 16


# what the host cannot check


@pytest.mark.parametrize("bad", [-1, 4, 2**40])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_class_id_that_is_none_gives_nan_in_its_row_alone(bad, smoothing):
    z, t = randn(3, 4), torch.tensor([1, bad, -100]).to(DEVICE)
    spec = LossSpec(gamma=2.0, alpha=(1.0, 2.0, 3.0, 4.0), reduction="none", label_smoothing=smoothing)
    call = Call(spec, z, t, out_dtype=z.dtype)
    value, grad, _ = kernels.evaluate(call, 1)
    assert value.isnan().tolist() == [False, True, False]
    assert grad.isnan().any(1).tolist() == [False, True, False]


def test_a_sigmoid_target_other_than_0_and_1_gives_nan():
    z, t = randn(3), torch.tensor([1, 2, -100]).to(DEVICE)
    call = Call(LossSpec("sigmoid", reduction="none"), z, t, out_dtype=z.dtype)
    assert kernels.evaluate(call, 1)[0].isnan().tolist() == [False, True, False]


@pytest.mark.parametrize("targets", [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.bool])
@pytest.mark.parametrize("link", ["softmax", "sigmoid"])
def test_integer_targets_of_every_width(targets, link):
    z, t = randn(5, 2), randint(2, (5,) if link == "softmax" else (5, 2)).to(targets)
    assert_agree(LossSpec(link, 2.0, 0.25, ignore_index=1, reduction="weighted_mean"), z, t)


SPECS = [
    {"keep_hardest": 0.4},
    {"keep_hardest": 3, "reduction": "weighted_mean"},
    {"negatives_per_positive": 1.0, "reduction": "sum"},
    {"label_smoothing": 0.1, "keep_hardest": 0.5},
]


@pytest.mark.parametrize("link", ["softmax", "sigmoid"])
@pytest.mark.parametrize("options", SPECS, ids=str)
def test_mining_and_denominators_are_those_of_the_plain_path(link, options):
    z, alpha = randn(9, 3), (0.2, 0.5, 0.9)
    t = randint(3, (9,)) if link == "softmax" else randint(2, (9, 3))
    t[4] = -100
    weight = torch.rand(9).to(DEVICE)
    assert_agree(LossSpec(link, 1.5, alpha, **options), z, t, weight)
    soft = torch.softmax(randn(9, 3), 1)
    assert_agree(LossSpec(link, 1.5, alpha, **options), z, soft, weight)


@pytest.mark.parametrize("normalizer", [7, 2.5, torch.tensor(3), torch.tensor(4.0, device=DEVICE)], ids=str)
def test_the_normalizer_is_a_number_or_a_tensor(normalizer):
    assert_agree(FOCAL, randn(4, 3), randint(3, (4,)), None, normalizer)


# the way through the doors


def both(function, z, upstream=None):
    """Value and gradient by the kernels and in plain operations."""
    for by_kernels in (True, False):
        leaf = z.detach().clone().requires_grad_()
        value = function(leaf, by_kernels)
        given = torch.ones_like(value) if upstream is None else torch.full_like(value, upstream)
        (grad,) = torch.autograd.grad(value, leaf, given)
        yield value.detach(), grad


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("reduction", ["none", "mean"])
@pytest.mark.parametrize("upstream", [1.0, 3.0])
def test_backward_gives_the_gradient_times_the_upstream_gradient(dtype, reduction, upstream):
    z, t = randn(6, 4, 3, dtype=dtype), randint(4, (6, 3))
    spec = LossSpec(gamma=1.5, reduction=reduction)
    got, want = both(lambda z, by_kernels: engine.loss(spec, z, t, kernels=by_kernels), z, upstream)
    assert got[1].dtype == dtype
    torch.testing.assert_close(got, want)


def test_float16_gradients_keep_what_the_upstream_gradient_brings_back_into_range():
    z, t = torch.zeros(1, 2, dtype=torch.float16, device=DEVICE), torch.tensor([0], device=DEVICE)

    def function(z, by_kernels):
        return engine.loss(LossSpec(), z, t, normalizer=1e8, kernels=by_kernels)

    got, want = both(function, z, 1e4)
    torch.testing.assert_close(got[1], torch.tensor([[-5e-5, 5e-5]], dtype=torch.float16, device=DEVICE))
    torch.testing.assert_close(got[1], want[1])


def test_a_kept_graph_gives_the_same_gradient_twice_and_second_derivatives_are_exact():
    z, t = randn(5, 3).requires_grad_(), randint(3, (5,))
    value = focalkit.softmax_focal_loss(z, t)
    upstream = torch.full_like(value, 3.0)
    first = torch.autograd.grad(value, z, upstream, retain_graph=True)[0].clone()
    (again,) = torch.autograd.grad(value, z, upstream, create_graph=True)
    torch.testing.assert_close(first, again.detach())
    (second,) = torch.autograd.grad(again.sum(), z)
    assert second.abs().max() < 1e-12  # rows of the gradient sum to 0


@pytest.mark.parametrize("link", ["softmax", "sigmoid"])
@pytest.mark.parametrize("upstream", [1.0, 0.5])
def test_inplace_writes_the_gradient_over_the_logits(link, upstream):
    source = randn(6, 4).requires_grad_()
    t = randint(4, (6,)) if link == "softmax" else randint(2, (6, 4))
    spec = LossSpec(link, 2.0)
    want = torch.autograd.grad(engine.loss(spec, source, t, kernels=False), source)[0] * upstream
    logits = source * 1
    memory, got = logits.data_ptr(), []
    value = engine.loss(spec, logits, t, inplace=True)
    logits.register_hook(got.append)
    (grad,) = torch.autograd.grad(value, source, torch.tensor(upstream, dtype=torch.float64, device=DEVICE))
    torch.testing.assert_close(grad, want)
    assert got[0].data_ptr() == memory
    with pytest.raises(InputError, match="inplace must be False where the logits are a leaf"):
        engine.loss(spec, source, t, inplace=True)


def test_gamma_and_alpha_may_be_tensors_of_the_device():
    z, t = randn(5, 3), randint(3, (5,))
    gamma, alpha = torch.tensor(2.0, device=DEVICE), torch.tensor([1.0, 2.0, 3.0], device=DEVICE)
    want = focalkit.softmax_focal_loss(z, t, 2.0, [1.0, 2.0, 3.0])
    torch.testing.assert_close(focalkit.softmax_focal_loss(z, t, gamma, alpha), want)
    module = nn.SoftmaxFocalLoss(2.0, [1.0, 2.0, 3.0]).to(DEVICE)
    torch.testing.assert_close(module(z, t), want)
    alpha.requires_grad_()  # then the plain path records it
    assert focalkit.softmax_focal_loss(z, t, gamma, alpha).requires_grad


def test_a_module_hands_over_its_buffers_only_once_they_were_written():
    """Numbers that the host knows need no general power."""
    module = nn.SigmoidFocalLoss(2.0, [0.25, 0.5, 0.75]).to(DEVICE)
    assert module._given(compiling=False) == ClassParameters()
    module.alpha.fill_(0.5)
    gamma, alpha, *_ = module._given(compiling=False)
    if DEVICE.type == "cpu":  # where they are read
        assert (gamma, alpha, module.spec.alpha) == (None, None, (0.5, 0.5, 0.5))
    else:
        assert (gamma, alpha.tolist()) == (None, [0.5, 0.5, 0.5])


def test_no_grad_computes_no_gradient_and_loss_grad_hess_has_all():
    z, t = randn(5, 3), randint(3, (5,))
    assert evaluate(FOCAL, z, t, order=0)[0][1] is None
    result = focalkit.loss_grad_hess(FOCAL, z, t)
    out = torch.empty_like(z)
    short = focalkit.loss_grad_hess(FOCAL, z, t, hess=False, out=out)
    assert short.grad is out
    torch.testing.assert_close(tuple(short[:2]), tuple(result[:2]))
    assert result.hess.shape == z.shape


class Watch(torch.utils._python_dispatch.TorchDispatchMode):
    """Notes every operation that makes the host wait for the device, or copies to it."""

    def __init__(self):
        self.seen = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.overloadpacket.__name__
        if name in ("_local_scalar_dense", "item", "nonzero", "is_nonzero", "equal", "masked_select", "scalar_tensor"):
            self.seen.append(name)
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("options", [{}, {"reduction": "weighted_mean"}, {"keep_hardest": 0.5}, {"reduction": "none"}])
@pytest.mark.parametrize("link", ["softmax", "sigmoid"])
def test_the_host_reads_nothing_back_and_copies_constants_once(monkeypatch, link, options):
    z = randn(6, 4, dtype=torch.float32)
    t = randint(4, (6,)) if link == "softmax" else randint(2, (6, 4))
    call = Call(LossSpec(link, 1.5, (0.1, 0.2, 0.3, 0.4), **options), z, t, out_dtype=z.dtype)
    kernels.evaluate(call, 1)
    copied = triton_launch._constants.cache_info().misses
    for name in ("hard_rows", "sigmoid_elements"):
        monkeypatch.setattr(triton_launch, name, Nothing())
    with Watch() as watch:
        kernels.evaluate(call, 1)
    assert watch.seen == []
    assert triton_launch._constants.cache_info().misses == copied


class Nothing:
    """A kernel whose launch does nothing."""

    def __getitem__(self, grid):
        return lambda *arguments, **options: None


# where Triton is not


def test_other_devices_and_a_missing_triton_leave_the_plain_path(monkeypatch):
    monkeypatch.undo()
    assert routes.device_kernels(torch.device("mps")) is None
    routes.device_kernels.cache_clear()
    monkeypatch.setitem(sys.modules, "focalkit.engines.triton.evaluate", None)
    monkeypatch.delattr(focalkit.engines.triton, "evaluate")
    try:
        assert routes.device_kernels(torch.device("cuda")) is None
    finally:
        routes.device_kernels.cache_clear()


@BESIDE
def test_kernels_that_cannot_be_built_leave_the_plain_path(monkeypatch):
    monkeypatch.setattr(kernels, "hard_rows", object.__new__(kernels.triton.JITFunction))
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    with pytest.warns(RuntimeWarning, match="cannot build kernels here, plain tensor operations take their place: "):
        assert not kernels.available.__wrapped__(torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (6, 1))
    assert not kernels.available.__wrapped__(torch.device("cuda"))


ASKED = """
import sys, torch, focalkit, focalkit.nn
logits = torch.zeros(4, 3, requires_grad=True)
focalkit.softmax_focal_loss(logits, torch.zeros(4, dtype=torch.long)).backward()
print("focalkit.engines.triton.evaluate" in sys.modules)
"""


def test_tensors_in_host_memory_do_not_load_triton():
    done = subprocess.run([sys.executable, "-c", ASKED], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


# compiled code


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_the_operators_know_what_they_return_on_a_gpu(dtype, reduction):
    from torch._subclasses.fake_tensor import FakeTensorMode

    spec = engine.torch_operator.arguments_of(LossSpec(gamma=2.0, reduction=reduction), constant=True)
    with FakeTensorMode():
        z = torch.empty(6, 4, 3, device="cuda", dtype=dtype)
        t = torch.empty(6, 3, device="cuda", dtype=torch.long)
        value, grad = torch.ops.focalkit.loss_and_gradient(z, t, None, None, *spec, dtype)
    assert value.shape == (() if reduction == "mean" else (6, 3))
    assert value.dtype == dtype
    assert grad.shape == z.shape
    assert grad.dtype == (torch.float32 if dtype == torch.float16 else dtype)
    assert grad.device.type == "cuda"


@BESIDE
@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")  # torch's own
def test_compiled_code_for_a_gpu_calls_the_operator(monkeypatch):
    """The graph of a machine that has a GPU, drawn with tensors that have no memory."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    monkeypatch.undo()
    monkeypatch.setattr(routes, "device_kernels", lambda device: kernels)
    graphs = []

    def keep(module, inputs):
        graphs.append(module.code)
        return module.forward

    module = nn.SoftmaxFocalLoss(2.0, [1.0, 2.0, 3.0])
    torch.compiler.reset()
    with FakeTensorMode(allow_non_fake_inputs=True):
        for name, shape in (("gamma", ()), ("alpha", (3,))):
            module._buffers[name] = torch.empty(shape, dtype=torch.float64, device="cuda")
        z, t = torch.empty(6, 3, device="cuda"), torch.empty(6, device="cuda", dtype=torch.long)
        for function in (module, lambda z, t: focalkit.softmax_focal_loss(z, t, 1.5, normalizer=7)):
            assert torch.compile(function, fullgraph=True, backend=keep)(z, t).shape == ()
    assert len(graphs) == 2
    assert all("torch.ops.focalkit.loss(" in code for code in graphs)


# every kernel for GPUs that need not be here


@pytest.mark.skipif(sys.platform != "linux", reason="Triton's compilers come with Linux")
@pytest.mark.parametrize("targets", [("sm90",), pytest.param(("sm80", "gfx942"), marks=pytest.mark.slow)], ids="-".join)
def test_every_kernel_compiles_for_nvidia_and_amd(targets, tmp_path):
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    environment |= {
        "TRITON_CACHE_DIR": str(tmp_path),
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *sys.path]),
    }
    command = [sys.executable, "-W", "error::UserWarning", str(Path(__file__).with_name("triton_compile.py")), *targets]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    builds = [json.loads(line) for line in done.stdout.splitlines()]
    names = {"hard_rows", "soft_rows", "sigmoid_elements", "scaled"}
    assert {(b["kernel"], b["target"]) for b in builds} == set(itertools.product(names, targets))
    moved = {b["case"]: b["vectors"] for b in builds if b["target"] == "sm90"}
    for case in ("rows", "rows of 100 in float32", "long rows", "pixels", "sigmoid", "sigmoid by column", "scaling"):
        assert "sm90" not in targets or moved[case] > 0, f"{case}: element by element"


def test_the_sums_of_a_call_are_its_own_whatever_the_batch():
    z, t = randn(700, 5, dtype=torch.float32), randint(5, (700,))
    first, second = (evaluate(LossSpec(gamma=2.0, reduction="sum"), z, t)[0] for _ in range(2))
    assert all(torch.equal(*pair) for pair in zip(first, second, strict=True))
    each = evaluate(LossSpec(gamma=2.0, reduction="none"), z, t)[0][0]
    np.testing.assert_allclose(float(first[0]), float(each.double().sum()), rtol=1e-7)
