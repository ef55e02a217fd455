"""What is special to the compiled engine; its laws are those of every engine."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import platform
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from random_calls import EPS, LARGEST, TINY, Call, random_call
from threadpoolctl import threadpool_limits

from focalkit import InputError, LossSpec, loss_grad_hess, sigmoid_focal_loss
from focalkit._core.call import class_axis
from focalkit.engines import _inputs, plain
from focalkit.engines.cpu import machine


def truth(call: Call) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The reference on the same logits, taken to float64 first."""
    wide = np.asarray(call.logits).astype(np.float64)
    return plain.truth(_inputs.read(call.spec, wide, call.targets, **call.options()), 2)


def assert_close(got: np.ndarray, want: np.ndarray, name: str, dtype: str, slack: float, floor: float) -> None:
    got, want = np.asarray(got).astype(np.float64), np.asarray(want)
    assert got.shape == want.shape
    nan = np.isnan(want)
    assert np.array_equal(np.isnan(got), nan), f"{name}: NaN in other places"
    limit = slack * np.abs(want) + floor
    with np.errstate(invalid="ignore"):
        bad = ~nan & ~((np.abs(got - want) <= limit) | (got == want))
    bad &= ~(np.isinf(got) & (np.abs(want) > LARGEST[dtype]))  # it overflows where the truth does
    assert not bad.any(), f"{name}: {got[bad][:3]} for {want[bad][:3]}, allowed {limit[bad][:3]}"


def size_of_shifted(spec: LossSpec, size: float) -> float:
    """The largest log-odds that logits of this size make."""
    shifts = (spec.logit_adjustment, spec.star)
    added = sum(np.abs(np.asarray(0.0 if shift is None else shift)).max() for shift in shifts)
    size = spec.scale * (size + np.max(np.asarray(0.0 if spec.margin is None else spec.margin))) + added
    return size if spec.star is None else size * max(1.0, np.max(np.asarray(spec.gamma)))


def spread_of_shifts(spec: LossSpec) -> float:
    """By how much the largest logit may lie above that of the loss: exponentials are taken beside it."""
    adjustment, margin = (np.asarray(0.0 if each is None else each) for each in (spec.logit_adjustment, spec.margin))
    return float(np.ptp(adjustment) + spec.scale * np.max(margin))


def powers_of(spec: LossSpec) -> float:
    """By how much a form multiplies relative errors beside gamma; those of p - c grow near c."""
    found = abs(spec.poly) + (spec.gamma_negative or 0.0) + 3 * (spec.quality is not None)
    return found + (1 / spec.clip if spec.clip else 0.0) + 2 * (spec.scale - 1 if spec.scale > 1 else 0)


def size_of(grad: np.ndarray) -> float:
    return float(np.abs(grad).max(initial=0, where=np.isfinite(grad)))


def size_of_terms(call: Call, grad: np.ndarray) -> float:
    """The largest gradient, also of the terms that mixed targets are made of, which may cancel in every one of them."""
    logits, axis = np.asarray(call.logits), call.spec.class_axis
    if call.spec.link == "sigmoid":
        hard = [logits > 0, logits <= 0]
    else:
        likely = logits.argmax(axis=axis)
        one_hot = np.zeros(logits.shape)
        np.put_along_axis(one_hot, np.expand_dims(likely, axis), 1, axis)
        hard = [one_hot if call.targets.shape == logits.shape else likely]
    spec = dataclasses.replace(call.spec, label_smoothing=0.0)
    terms = [dataclasses.replace(call, spec=spec, targets=t.astype(call.targets.dtype)) for t in hard]
    return max(size_of(grad), *(size_of(truth(term)[1]) for term in terms))


def missed_by(call: Call, want: tuple[np.ndarray, ...], by: float) -> list[np.ndarray]:
    """What a target minus its probability that is off by so much changes: all, where the two are equal."""
    nudged = []
    for each in (-by, by):
        smoothing = float(np.clip(call.spec.label_smoothing + 2 * each, 0, 1))
        nudged.append(dataclasses.replace(call, spec=dataclasses.replace(call.spec, label_smoothing=smoothing)))
        if call.targets.dtype.kind == "f":
            targets = call.targets.astype(np.float64)
            inside = (targets >= 0) & (targets <= 1)
            moved = np.where(inside, np.clip(targets + each, 0, 1), targets)
            nudged.append(dataclasses.replace(call, targets=moved))
    return farthest(nudged, want)


def adjusted_off(call: Call, want: tuple[np.ndarray, ...], eps: float) -> list[np.ndarray]:
    """What the rounding of scaled and adjusted logits changes: all, near the edge of a margin of probability."""
    spec, wide = call.spec, np.asarray(call.logits).astype(np.float64)
    size = np.abs(wide)
    if spec.logit_adjustment is not None:
        axis = class_axis(spec, size.ndim)
        size = np.moveaxis(np.moveaxis(size, axis, -1) + np.abs(spec.logit_adjustment) / spec.scale, -1, axis)
    return farthest([dataclasses.replace(call, logits=wide + by) for by in (-eps * size, eps * size)], want)


def farthest(nudged: list[Call], want: tuple[np.ndarray, ...]) -> list[np.ndarray]:
    with np.errstate(invalid="ignore"):
        missed = [[np.abs(one - true) for one, true in zip(truth(each), want, strict=True)] for each in nudged]
    return [np.nan_to_num(np.max(each, axis=0)) for each in zip(*missed, strict=True)]


def check_against_reference(call: Call) -> None:
    dtype = np.asarray(call.logits).dtype.name
    value, grad, hess = loss_grad_hess(*call.arguments(), **call.options())
    assert grad.dtype == call.logits.dtype
    assert hess.dtype == call.logits.dtype
    want = truth(call)
    gamma = np.max(np.asarray(call.spec.gamma), initial=0)
    inner = EPS["float32"] if EPS[dtype] > EPS["float32"] else EPS[dtype]
    size = np.abs(np.where(np.isfinite(call.logits), call.logits, 0).astype(np.float64)).max(initial=0)
    size, gamma = size_of_shifted(call.spec, size), gamma + powers_of(call.spec)
    slack = 8 * inner * (2 + gamma + np.log2(1 + max(call.logits.shape[1:], default=1)) + (1 + gamma) * size) + (
        EPS[dtype] if EPS[dtype] > inner else 0
    )
    top = max(1.0, np.max(np.asarray(1 if call.spec.alpha is None else call.spec.alpha), initial=0)) * 4
    floor = TINY[dtype] * 50 * top * (1 + gamma)
    if call.spec.link == "softmax":
        floor *= np.exp(min(60.0, spread_of_shifts(call.spec))) * max(1.0, call.spec.scale)
    mixed = call.targets.dtype.kind not in "iu" or call.spec.label_smoothing > 0
    scale = size_of_terms(call, want[1]) if mixed else size_of(want[1])
    near = [np.zeros(1)] * 3
    if call.spec.quality is not None and mixed:
        near = missed_by(call, want, 4 * inner)
    elif call.spec.clip and (call.spec.shifts or dtype == "float64"):  # where the reference has no digits to spare
        near = adjusted_off(call, want, inner)
    assert_close(value, want[0], "loss", dtype, slack, floor * max(1, call.logits.size) + near[0])
    # spread targets add terms of both signs, and so does every Hessian: judged by the largest term
    assert_close(grad, want[1], "grad", dtype, slack, floor + (slack * scale if mixed else 0) + near[1])
    assert_close(hess, want[2], "hess", dtype, slack, floor + slack * (1 + gamma) ** 2 * scale + near[2])


@pytest.mark.parametrize("link", ["softmax", "sigmoid"])
def test_a_weighted_mean_loses_nothing_over_many_equal_weights(link, instruction_set):
    n = 300_000
    z, t = (np.zeros((n, 2)), np.zeros(n, int)) if link == "softmax" else (np.zeros(n), np.ones(n))
    spec = LossSpec(link, 0.0, reduction="weighted_mean")
    value, *_ = loss_grad_hess(spec, z, t, sample_weight=np.full(n, 0.1))
    assert abs(float(value) / np.log(2) - 1) < 1e-15


@pytest.mark.parametrize("seed", range(150))
def test_agrees_with_the_reference_whatever_is_asked(seed, instruction_set):
    rng = np.random.default_rng(seed)
    for _ in range(4):
        check_against_reference(random_call(rng))


def all_results(call: Call, **options: object) -> bytes:
    return b"".join(
        np.asarray(part).tobytes() for part in loss_grad_hess(*call.arguments(), **call.options(), **options)
    )


LARGE = [
    (LossSpec("softmax", 2.0), (40_000, 10)),
    (LossSpec("softmax", 0.5), (3_000, 700)),
    (LossSpec("softmax", 1.0), (6, 50_000)),
    (LossSpec("softmax", 2.0, ignore_index=3), (2, 12, 200, 210)),
    (LossSpec("sigmoid", 1.5, 0.3), (60_000, 9)),
]


def large_call(spec: LossSpec, shape: tuple[int, ...], seed: int = 0) -> Call:
    rng = np.random.default_rng(seed)
    logits = rng.standard_normal(shape, dtype=np.float32) * 4
    rows = shape[:1] + shape[2:]
    targets = rng.integers(0, shape[1], rows) if spec.link == "softmax" else rng.integers(0, 2, shape)
    return Call(spec, logits, targets, None, None)


@pytest.mark.parametrize("n", [1, 64, 1000])
def test_a_sigmoid_alpha_of_zero_silences_an_infinite_loss(n, instruction_set):
    z = np.full(n, -np.inf, np.float32)
    assert sigmoid_focal_loss(z, np.ones(n, np.uint8), 2.0, 0.0) == 0
    assert sigmoid_focal_loss(-z, np.zeros(n, np.uint8), 2.0, 1.0) == 0
    assert sigmoid_focal_loss(z, np.ones(n, np.uint8), 2.0, 0.5) == np.inf


@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=lambda t: np.dtype(t).name)
@pytest.mark.parametrize(("gamma", "clip"), [(4.0, 0.05), (1.0, 0.25), (0.0, 0.05), (2.0, 0.05)])
def test_the_asymmetric_loss_keeps_its_digits_at_the_edge_of_its_margin(gamma, clip, dtype, instruction_set):
    """There q - c would lose them. Of the edge itself float64 is all that is known for sure."""
    mpmath = pytest.importorskip("mpmath")
    edge = np.log((1 - clip) / clip)
    beyond = np.array([1e-5, 1e-3, 0.01, 0.1, 0.5])
    z = np.repeat((beyond - edge).astype(dtype), 64)  # logits of negatives
    spec = LossSpec("sigmoid", 1.0, gamma_negative=gamma, clip=clip, reduction="sum")
    with mpmath.workdps(60):

        def loss(x):
            v = 1 / (1 + mpmath.exp(-x)) - mpmath.mpf(clip)
            return v ** mpmath.mpf(gamma) * -mpmath.log1p(-v)

        at = [mpmath.mpf(float(x)) for x in z[::64]]
        losses, slopes = [loss(x) for x in at], [mpmath.diff(loss, x, h=mpmath.mpf(10) ** -25) for x in at]
    value, slope, _ = loss_grad_hess(spec, z, np.zeros(len(z), np.uint8), hess=False)
    close = 8 * (2 + gamma) * (np.finfo(dtype).eps + np.finfo(float).eps / beyond)
    assert abs(float(value) / (64 * float(sum(losses))) - 1) < close[-1]
    want = np.array([float(x) for x in slopes])
    assert np.all(np.abs(slope[::64].astype(float) - want) <= close * want)


@pytest.mark.parametrize("bias", [0.0, 1.0, -7.3, 40.0])
@pytest.mark.parametrize("reduction", ["sum", "none"])
def test_fl_star_keeps_its_digits_far_from_0(bias, reduction, instruction_set):
    """There rounding the log-odds g m + b takes as many digits from sigma as they have before their point."""
    z = np.linspace(-20, 20, 1024, dtype=np.float32)
    spec = LossSpec("sigmoid", 1.7, star=bias, reduction=reduction)
    _, grad, _ = loss_grad_hess(spec, z, np.ones(1024, np.uint8), hess=False)
    gamma, number = float(np.float32(1.7)), float(np.float32(bias))
    want = -1 / (1 + np.exp(gamma * z.astype(np.float64) + number))
    np.testing.assert_allclose(grad, want, rtol=4 * float(np.finfo(np.float32).eps))


@pytest.fixture
def threads():
    yield machine.set_num_threads
    machine.set_num_threads(None)


@pytest.mark.parametrize(("spec", "shape"), LARGE)
def test_the_bits_do_not_depend_on_the_number_of_threads(spec, shape, threads, instruction_set):
    call = large_call(spec, shape)
    results = set()
    for n in (1, 2, 5):
        with threadpool_limits(n):
            threads(n)
            results.add(all_results(call))
    assert len(results) == 1


@pytest.mark.parametrize(("spec", "shape"), LARGE)
def test_large_inputs_agree_with_the_reference(spec, shape, instruction_set):
    check_against_reference(large_call(spec, shape))


def test_threadpoolctl_and_set_num_threads_limit_the_threads(threads):
    with threadpool_limits(1):
        assert machine.get_num_threads() == 1
    threads(1)
    assert machine.get_num_threads() == 1
    with pytest.raises(InputError, match="threads must be an int of at least 1"):
        threads(0)


def _child(queue, call):
    queue.put(all_results(call))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_computes_the_same_and_does_not_hang():
    call = large_call(*LARGE[0])
    here = all_results(call)  # starts the threads that the child will not have
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that the parent has threads is the point,
        warnings.filterwarnings(
            "ignore", r"os\.fork\(\) was called", RuntimeWarning
        )  # which JAX says where it is loaded
        child = context.Process(target=_child, args=(queue, call))
        child.start()
    assert queue.get(timeout=60) == here
    child.join(timeout=60)
    assert child.exitcode == 0


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_joblib_workers_compute_the_same(backend):
    joblib = pytest.importorskip("joblib")
    logits = np.random.default_rng(5).normal(size=(3000, 40)).astype(np.float32)
    targets = np.arange(3000) % 40
    want = loss_grad_hess(LossSpec(gamma=2.0), logits, targets, hess=False)
    call = joblib.delayed(loss_grad_hess)
    runs = joblib.Parallel(n_jobs=2, backend=backend)(
        call(LossSpec(gamma=2.0), logits, targets, hess=False) for _ in range(4)
    )
    for run in runs:
        assert run.loss == want.loss
        np.testing.assert_array_equal(run.grad, want.grad)


def test_many_python_threads_at_once_get_the_same_bits():
    call = large_call(*LARGE[1])
    with ThreadPoolExecutor(8) as pool:
        results = set(pool.map(lambda _: all_results(call), range(16)))
    assert results == {all_results(call)}


@pytest.mark.parametrize(("spec", "shape"), LARGE)
def test_the_gradient_goes_to_out_or_over_the_logits(spec, shape):
    call = large_call(spec, shape)
    want = loss_grad_hess(*call.arguments(), hess=False).grad
    out = np.empty_like(call.logits)
    assert loss_grad_hess(*call.arguments(), hess=False, out=out).grad is out
    assert np.array_equal(out, want)
    odd = np.empty(out.size + 1, out.dtype)[1:].reshape(out.shape)  # not on a line of the cache
    assert np.array_equal(loss_grad_hess(*call.arguments(), hess=False, out=odd).grad, want)
    assert loss_grad_hess(*call.arguments(), hess=False, out=call.logits).grad is call.logits
    assert np.array_equal(call.logits, want)


@pytest.mark.parametrize("shift", [1, 5, 16])
def test_out_that_overlaps_the_logits_is_refused_and_left_alone(shift):
    base = np.arange(80, dtype=np.float32)
    logits, out = base[:60].reshape(12, 5), base[shift : 60 + shift].reshape(12, 5)
    with pytest.raises(InputError, match="out must be the logits themselves or memory apart"):
        loss_grad_hess(LossSpec(), logits, np.zeros(12, int), out=out)
    assert np.array_equal(base, np.arange(80))


def test_interleaved_out_that_shares_no_element_is_taken():
    base = np.zeros((12, 10), np.float32)
    base[:, :5] = np.random.default_rng(0).standard_normal((12, 5))
    want = loss_grad_hess(LossSpec(), base[:, :5].copy(), np.zeros(12, int)).grad
    loss_grad_hess(LossSpec(), base[:, :5], np.zeros(12, int), out=base[:, 5:])
    assert np.array_equal(base[:, 5:], want)


@pytest.mark.parametrize("bad", [-1, 5, 2**31, -(2**63), 2**63 - 1, 2**32])
@pytest.mark.parametrize("shape", [(8, 5), (5000, 5), (8, 5, 6)])
def test_class_ids_out_of_range_are_refused_before_anything_is_written(bad, shape, instruction_set):
    targets = np.zeros(shape[:1] + shape[2:], np.int64)
    targets.flat[-1] = bad
    out = np.full(shape, 7.0, np.float32)
    with pytest.raises(InputError, match=r"targets must lie in \[0, 5\) or equal ignore_index=-100"):
        loss_grad_hess(LossSpec(), np.zeros(shape, np.float32), targets, out=out)
    assert (out == 7).all()


@pytest.mark.parametrize("bad", [-1, 2, 2**40, -(2**63)])
def test_binary_targets_other_than_0_and_1_are_refused(bad, instruction_set):
    targets, logits = np.zeros(5000, np.int64), np.ones(5000, np.float32)
    targets[4321] = bad
    for reduction in ("mean", "sum"):
        with pytest.raises(InputError, match="targets must be 0, 1 or ignore_index"):
            loss_grad_hess(LossSpec("sigmoid", reduction=reduction), logits, targets, hess=False, out=logits)
        assert (logits == 1).all()


@pytest.mark.parametrize("bad", [np.nan, -0.1, 1.5, np.inf])
def test_soft_values_outside_0_and_1_are_refused(bad, instruction_set):
    targets, logits = np.zeros(5000, np.float32), np.ones(5000, np.float32)
    targets[4321] = bad
    with pytest.raises(InputError, match=r"targets must lie in \[0, 1\]"):
        loss_grad_hess(LossSpec("sigmoid"), logits, targets, hess=False, out=logits)
    assert (logits == 1).all()


@pytest.mark.parametrize(("entry", "bad"), [(0, np.nan), (0, -0.1), (3, 1.5), (2, 0.3), (1, np.inf)])
@pytest.mark.parametrize("shape", [(700, 5), (70, 5, 11)])
def test_class_probabilities_that_are_none_are_refused(entry, bad, shape, instruction_set):
    targets = np.full(shape, 0.2, np.float32)
    targets[shape[0] - 3, entry, ...] = bad
    logits = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    before = logits.copy()
    for out in (None, logits):
        with pytest.raises(InputError, match=r"targets must (lie in \[0, 1\]|sum to 1)"):
            loss_grad_hess(LossSpec(), logits, targets, hess=False, out=out)
        assert np.array_equal(logits, before)


def test_recycled_memory_is_bounded_and_given_back():
    machine.release_memory()
    logits = np.zeros((4000, 300), np.float32)
    result = loss_grad_hess(LossSpec(), logits, np.zeros(4000, int), hess=False)
    del result
    assert machine.held_memory() >= logits.nbytes
    assert machine.release_memory() >= logits.nbytes
    assert machine.held_memory() == 0
    limit = machine.memory_limit()
    try:
        machine.set_memory_limit(0)
        loss_grad_hess(LossSpec(), logits, np.zeros(4000, int), hess=False)
        assert machine.held_memory() == 0
    finally:
        machine.set_memory_limit(limit)


def test_a_result_is_never_recycled_while_anyone_looks_at_it():
    logits = np.random.default_rng(0).standard_normal((4000, 300)).astype(np.float32)
    kept = [loss_grad_hess(LossSpec(gamma=g), logits, np.zeros(4000, int), hess=False).grad[::7] for g in (0.0, 2.0)]
    copies = [part.copy() for part in kept]
    for _ in range(5):
        loss_grad_hess(LossSpec(gamma=1.0), logits, np.zeros(4000, int), hess=False)
    assert all(np.array_equal(a, b) for a, b in zip(kept, copies, strict=True))


@pytest.mark.parametrize("name", machine.instruction_sets())
def test_the_environment_chooses_the_instruction_set(name):
    code = "from focalkit.engines.cpu import machine; print(machine.instruction_set())"
    environment = {**os.environ, "FOCALKIT_INSTRUCTION_SET": name}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == name


@pytest.mark.parametrize("link", ["softmax", "sigmoid"])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none", "weighted_mean"])
@pytest.mark.parametrize(("keep", "ratio"), [(0.3, None), (7, None), (None, 3.0), (0.5, 2.0)])
def test_hard_example_mining_agrees_with_the_reference(link, reduction, keep, ratio):
    rng = np.random.default_rng(3)
    logits = rng.standard_normal((200, 4)) * 3
    targets = rng.integers(0, 4, 200) if link == "softmax" else rng.integers(0, 2, (200, 4))
    targets.flat[::9] = -100
    spec = LossSpec(link, 2.0, 0.4, reduction=reduction, keep_hardest=keep, negatives_per_positive=ratio)
    check_against_reference(Call(spec, logits, targets, None, None))


@pytest.mark.parametrize("shape", [(0, 5), (0, 5, 3), (4, 5, 0)])
def test_a_mean_over_no_rows_is_0(shape):
    value, grad, hess = loss_grad_hess(LossSpec(), np.zeros(shape, np.float32), np.zeros(shape[:1] + shape[2:], int))
    assert value == 0
    assert grad.shape == hess.shape == shape


@pytest.mark.parametrize("layout", [(64, 7), (64, 300), (2, 7, 224)])
def test_a_nan_or_infinite_logit_spoils_its_own_row_only(layout, instruction_set):
    for bad in (np.nan, np.inf):
        for target in (0, 1):
            logits = np.zeros(layout, np.float32)
            logits[(1, 0) + (5,) * (len(layout) - 2)] = bad
            targets = np.full(layout[:1] + layout[2:], target)
            losses, grad, _ = loss_grad_hess(LossSpec(gamma=2.0, reduction="none"), logits, targets)
            spoiled = np.zeros(losses.shape, bool)
            spoiled[(1,) + (5,) * (len(layout) - 2)] = True
            assert np.array_equal(np.isnan(losses), spoiled)
            assert np.array_equal(np.isnan(np.moveaxis(grad, 1, -1)).all(-1), spoiled)


PAGES = """
import ctypes, resource, sys
import focalkit

library = ctypes.CDLL(None)
library.malloc.restype, library.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
library.free.argtypes = [ctypes.c_void_p]

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    memory = library.malloc(64 << 20)
    ctypes.memset(memory, 1, 64 << 20)
    library.free(memory)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

fresh = faults(), faults()
focalkit.keep_pages()
print(fresh[1], faults(), faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="speaks to glibc")
def test_kept_pages_are_not_asked_for_again():
    done = subprocess.run([sys.executable, "-c", PAGES], capture_output=True, text=True, check=True)
    before, first, again = map(int, done.stdout.split())
    assert again < 8 < before
    assert again < first
