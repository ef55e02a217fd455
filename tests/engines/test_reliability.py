"""Numbers at the ends of their ranges, memory that changes, processes that fork: right, or refused in words."""

from __future__ import annotations

import importlib.util
import multiprocessing
import os
import subprocess
import sys

import numpy as np
import pytest
from random_calls import Call
from test_cpu import check_against_reference

import focalkit as fk
from focalkit import InputError, LossSpec, diagnose, loss_grad_hess
from focalkit.engines.cpu import fast

RNG = np.random.default_rng(7)
LOGITS = RNG.normal(size=(200, 5)) * 3
TARGETS = RNG.integers(0, 5, 200)


def results(spec, logits, targets, **options):
    return [np.asarray(part, np.float64) for part in loss_grad_hess(spec, logits, targets, **options)]


def run(code, *arguments, **environment):
    """A script in a process of its own; warnings about fork beside threads are the point of it."""
    command = [sys.executable, "-W", "ignore", "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=500, env={**os.environ, **environment})


def misaligned(array):
    raw = np.zeros(array.nbytes + 1, np.uint8)
    view = raw[1:].view(array.dtype).reshape(array.shape)
    view[...] = array
    return view


# --- gamma ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
@pytest.mark.parametrize("gamma", [1e-46, 1e-320, 5e-324])
def test_a_gamma_that_is_0_in_the_type_computed_in_is_cross_entropy(gamma, dtype, instruction_set):
    z, t = LOGITS.reshape(-1).astype(dtype), np.arange(LOGITS.size) % 2
    got, want = (results(LossSpec("sigmoid", g), z, t) for g in (gamma, 0.0))
    for part, other in zip(got, want, strict=True):
        np.testing.assert_allclose(part, other, rtol=2e-3 if dtype == "f2" else 1e-6, atol=1e-12)


@pytest.mark.parametrize("gamma", [1e6, 1e20, 3e38, 1e39, 1e155, 1e300, 1.7e308])
@pytest.mark.parametrize("link", ["softmax", "sigmoid"])
def test_every_gamma_has_finite_derivatives_in_every_dtype(gamma, link, instruction_set):
    z = np.array([[-np.inf, 0, 0], [0, 50, 0], [0, 0, -50.0], [0, 90, 0], [-90, 0, 1], [-300, 5, 5]])
    t = np.array([0, 1, 2, 1, 0, 0]) if link == "softmax" else (z > 1).astype(int)
    wide = results(LossSpec(link, gamma), z, t)
    assert np.isfinite(wide[1]).all()
    assert np.isfinite(wide[2]).all()
    for part, other in zip(results(LossSpec(link, gamma), z.astype("f4"), t), wide, strict=True):
        np.testing.assert_allclose(part, other, rtol=1e-3, atol=1e-6)


def test_tensors_take_every_gamma_too():
    torch = pytest.importorskip("torch")
    z, t = torch.tensor(LOGITS, dtype=torch.float32), torch.tensor(TARGETS)
    got = loss_grad_hess(LossSpec(gamma=1e39), z, t)
    want = loss_grad_hess(LossSpec(gamma=1e39), LOGITS.astype("f4"), TARGETS)
    for part, other in zip(got, want, strict=True):
        assert part.dtype == torch.float32
        assert np.array_equal(part.numpy(), other)


BEYOND = [
    *(("softmax", {"scale": s}) for s in (1e-100, 1e-46, 1e30, 1e60, 1e100)),
    *(("sigmoid", {"scale": s, "gamma": 2.0}) for s in (1e-46, 6e38, 1e100)),
    *(("sigmoid", {"gamma": g, "gamma_negative": n}) for g, n in ((1.0, 6e38), (3e38, 1e300), (0.0, 1e39))),
    *((link, {"gamma": g, "star": b}) for link in ("softmax", "sigmoid") for g, b in ((3e38, 1.0), (1e30, -1e39))),
    *((link, {"poly": 1e39, "gamma": g}) for link in ("softmax", "sigmoid") for g in (0.0, 2.0)),
    *(("softmax", {"alpha": [a, 1.0, 2.0, 0.5, 1.0]}) for a in (1e39, 1e80, 1e300)),
    *(("sigmoid", {"alpha": a, "reduction": "weighted_mean"}) for a in (1e-45, 1e-50, 1e-300)),
]


@pytest.mark.parametrize(("link", "fields"), BEYOND, ids=str)
@pytest.mark.parametrize("dtype", ["f2", "f4"])
def test_a_number_beyond_float32_acts_as_it_is_on_logits_of_fewer_bits(link, fields, dtype, instruction_set):
    z, t = LOGITS[:9].astype(dtype), TARGETS[:9] if link == "softmax" else (LOGITS[:9] > 1).astype(int)
    spec = LossSpec(link, **{"reduction": "none", **fields})
    for got, want in zip(results(spec, z, t), results(spec, z.astype("f8"), t), strict=True):
        assert not np.isnan(want).any()
        with np.errstate(over="ignore"):
            np.testing.assert_allclose(got, want.astype(dtype).astype("f8"), rtol=1e-5 if dtype == "f4" else 1e-3)


@pytest.mark.parametrize("n", [1, 3, 7, 9, 200])
@pytest.mark.parametrize("shift", [100.0, 500.0, 1e3, 1e30])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_a_large_shift_of_the_convex_focal_loss_leaves_no_loss_for_any_number_of_rows(n, shift, dtype, instruction_set):
    for link, t in (("softmax", TARGETS[:n]), ("sigmoid", (LOGITS[:n] > 0).astype(int))):
        for part in results(LossSpec(link, 2.0, star=shift, reduction="sum"), LOGITS[:n].astype(dtype), t):
            np.testing.assert_allclose(part, 0.0, atol=1e-30)


# --- weights, denominators, sums -----------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [1e-6, 1e-17, 1e-45, 1e-60, 1e-300, 1e45, 1e300])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_a_weighted_mean_does_not_know_the_scale_of_its_weights(scale, dtype, instruction_set):
    z, w, a = LOGITS.astype(dtype), RNG.uniform(0.1, 2, 200), np.array([1.0, 2, 3, 4, 5])
    soft, limit = np.eye(5)[TARGETS].astype(dtype), 1e-5 if dtype == "f4" else 1e-12
    spec = LossSpec(gamma=2.0, alpha=a, reduction="weighted_mean")
    want = results(spec, z, TARGETS, sample_weight=w)
    for targets in (TARGETS, soft):
        by_alpha = results(LossSpec(gamma=2.0, alpha=a * scale, reduction="weighted_mean"), z, targets, sample_weight=w)
        by_weight = results(spec, z, targets, sample_weight=w * scale)
        for got in (by_alpha, by_weight):
            for part, other in zip(got, want, strict=True):
                np.testing.assert_allclose(part, other, rtol=limit, atol=limit * np.abs(other).max())


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("link", ["softmax", "sigmoid"])
def test_weights_beyond_float32_count_as_they_are(reduction, link):
    z, t = LOGITS.astype("f4"), TARGETS if link == "softmax" else (LOGITS > 0).astype(int)
    for scale in (1e-30, 1e30) if reduction == "none" else (1e-60, 1e60):  # losses one by one must be floats
        spec = LossSpec(link, 1.5, reduction=reduction)
        w = np.full(200, scale)
        normalizer = {} if reduction == "none" else {"normalizer": scale * 10}
        got = results(spec, z, t, sample_weight=w, **normalizer)
        want = results(spec, z.astype("f8"), t, **({} if reduction == "none" else {"normalizer": 10.0}))
        factor = scale if reduction == "none" else 1.0
        with np.errstate(over="ignore"):
            expected = [np.asarray(part * factor).astype("f4").astype(float) for part in want]
        for part, other in zip(got, expected, strict=True):
            np.testing.assert_allclose(part, other, rtol=1e-5, atol=1e-7 * min(factor, 1))


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_a_mean_is_finite_where_its_sum_is_not(dtype):
    big = 1.2e38 if dtype == "f4" else 8e307
    z = np.zeros((64, 2), dtype)
    z[:8] = -big, big  # losses of 2 big, eight of 64
    weight = None if dtype == "f8" else np.full(64, 4.0)
    loss = loss_grad_hess(LossSpec(gamma=0.0), z, np.zeros(64, int), sample_weight=weight, hess=False).loss
    assert float(loss) == pytest.approx(big / 4 * (1 if weight is None else 4), rel=1e-5)


@pytest.mark.parametrize("normalizer", [1e-320, 1e-45, 1e45, 1e300])
def test_a_row_that_is_ignored_has_gradient_0_over_any_normalizer(normalizer):
    t = np.where(np.arange(200) % 3 == 0, -100, TARGETS)
    grad = loss_grad_hess(LossSpec(gamma=2.0), LOGITS.astype("f4"), t, normalizer=normalizer, hess=False).grad
    assert not np.isnan(grad).any()
    assert (grad[t == -100] == 0).all()


def test_a_loss_beyond_float32_is_infinite_for_arrays_and_tensors():
    torch = pytest.importorskip("torch")
    z, t = np.full((8, 2), -1e38, "f4"), np.zeros(8, int)
    z[:, 1] = 1e38
    assert fk.softmax_cross_entropy(z, t, reduction="sum") == np.inf
    tensors = torch.from_numpy(z), torch.from_numpy(t)
    assert float(fk.softmax_cross_entropy(*tensors, reduction="sum")) == np.inf
    assert float(fk.softmax_cross_entropy(*tensors)) == pytest.approx(2e38)


@pytest.mark.parametrize("dtype", ["f4", "f8", "f2"])
@pytest.mark.parametrize("k", [64, 65, 100, 600, 2048, 2049, 5000])
def test_the_hessian_along_rows_is_that_of_the_composite_implementation(k, dtype, instruction_set):
    z = (RNG.normal(size=(37, k)) * 4).astype(dtype)
    z[3, 5] = 60  # one class has nearly all
    z[4, 6] = z[4, 7] = 60  # two share it
    z[5] = -np.inf  # none is there but the true class
    t = RNG.integers(0, k, 37)
    z[5, t[5]] = 1
    z[6, t[6]] = 100  # certain: the others' exponentials are subnormal
    z[7, ::2] = -np.inf
    z[7, t[7]] = 2
    t[9] = -100
    for gamma in (0.0, 2.0, 1.7):
        check_against_reference(Call(LossSpec(gamma=gamma), z, t, None, None))


# --- what the fast path takes --------------------------------------------------------------------------------

Z, T, SOFT = np.zeros((4, 3)), np.zeros(4, int), np.full((4, 3), 1 / 3)
SLOW = {
    "logits: no array of NumPy's own type": (Z.tolist(), T, {}),
    "logits: not a floating type of the kernels": (Z.astype(int), T, {}),
    "logits: unaligned or unevenly strided": (Z, T, {}),  # once it is
    "targets: not a type of the kernels": (Z, T.astype("i2"), {}),
    "targets: not one per row": (Z, T[:3], {}),
    "targets: not shaped like the logits": (Z, SOFT[:3], {}),
    "targets: values": (Z, T + 7, {}),
    "sample_weight: not float64": (Z, T, {"sample_weight": np.ones(4, "f4")}),
    "sample_weight: values": (Z, T, {"sample_weight": -np.ones(4)}),
    "sample_weight: shape": (Z, T, {"sample_weight": np.ones(3)}),
    "out: not shaped like the logits": (Z, T, {"out": np.empty((4, 4))}),
    "out: another type than the logits": (Z, T, {"out": np.empty((4, 3), "f4")}),
    "out: over the logits": (Z, SOFT, {"out": Z}),
    "spec: parameters beyond float32": (Z.astype("f4"), T, {"gamma": 1e39}),
    "spec: a vector as long as other logits": (Z, T, {"gamma": [1.0, 2.0]}),
}


@pytest.mark.parametrize("reason", SLOW)
def test_the_fast_path_says_why_it_leaves_a_call(reason):
    logits, targets, options = SLOW[reason]
    options = dict(options)
    spec = LossSpec(gamma=options.pop("gamma", 2.0))
    if reason.startswith("logits: unaligned"):
        logits = misaligned(Z)
    assert fast.refusal(spec, logits, targets, **options) == reason


USUAL = {
    "float32": (Z.astype("f4"), T, {}),
    "float64": (Z, T, {}),
    "float16": (Z.astype("f2"), T, {}),
    "int32 targets": (Z, T.astype("i4"), {}),
    "uint8 targets": (Z, T.astype("u1"), {}),
    "soft targets": (Z, SOFT, {}),
    "weights": (Z, T, {"sample_weight": np.ones(4)}),
    "a normalizer": (Z, T, {"normalizer": 3.0}),
    "out": (Z, T, {"out": np.empty((4, 3))}),
    "Fortran order": (np.asfortranarray(Z), T, {}),
    "every other row": (np.zeros((8, 3))[::2], T, {}),
    "images": (np.zeros((2, 3, 4, 5)), np.zeros((2, 4, 5), int), {}),
}


@pytest.mark.parametrize("name", USUAL)
def test_the_usual_calls_take_the_fast_path(name):
    logits, targets, options = USUAL[name]
    assert fast.refusal(LossSpec(gamma=2.0), logits, targets, **options) is None


# --- the ledger ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dress", [lambda a: a.astype(a.dtype.newbyteorder(">")), misaligned, np.asfortranarray])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_a_ledger_is_the_same_for_every_byte_order_alignment_and_stride(dress, dtype):
    z = (LOGITS * 1e-3 + 1000).astype(dtype)
    want = diagnose(z, TARGETS, LossSpec(gamma=2.0))
    got = diagnose(dress(z), dress(TARGETS), LossSpec(gamma=2.0))
    assert np.array_equal(got.exact_loss, want.exact_loss)
    assert np.array_equal(got.s2, want.s2)


def test_a_number_of_classes_that_no_memory_holds_is_refused():
    for n in (2**70, 2**50):
        with pytest.raises(InputError, match="n_classes must be a number of classes that memory holds"):
            fk.Ledger(LossSpec(), n)


# --- memory that changes, and processes ----------------------------------------------------------------------

FLIP = """
import numpy as np, threading, time, sys, os
import focalkit as fk
K = 64; z = np.random.default_rng(0).normal(size=(5000, K)).astype("f4"); t = np.zeros(5000, np.int64)
def flip():
    while True: t[::7] = 2_000_000_000; t[::7] = 1
for _ in range(2): threading.Thread(target=flip, daemon=True).start()
end = time.time() + 1.5
while time.time() < end:
    try: fk.diagnose(z, t) if sys.argv[1] == "ledger" else fk.loss_grad_hess(fk.LossSpec(gamma=2.0), z, t)
    except fk.InputError: pass
os._exit(0)
"""


@pytest.mark.parametrize("kind", ["loss", "ledger"])
def test_targets_that_another_thread_changes_crash_nothing(kind):
    done = run(FLIP, kind)
    assert done.returncode == 0, done.stderr


FORK = """
import os, signal, threading, time, numpy as np
from focalkit import LossSpec, loss_grad_hess
from focalkit.engines.cpu import machine
machine.set_num_threads(1); s = LossSpec(gamma=2.0); t = np.array([3])
z = np.random.default_rng(0).normal(size=(1, 270_000)).astype("f4")
def work():
    a, o = z.copy(), np.empty_like(z)
    while True: loss_grad_hess(s, a, t, hess=False, out=o)
for _ in range(6): threading.Thread(target=work, daemon=True).start()
out, until, n = np.empty_like(z), time.time() + 4, 0
while time.time() < until:
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL); signal.alarm(20)
        loss_grad_hess(s, z, t, hess=False, out=out); os._exit(0)
    n += 1
    if os.waitpid(pid, 0)[1] != 0: os._exit(1)
os._exit(0 if n else 2)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_child_forked_while_other_threads_compute_returns():
    done = run(FORK)
    assert done.returncode == 0, done.stderr


def _total(queue):
    queue.put(float(loss_grad_hess(LossSpec(gamma=2.0), np.zeros((9000, 40), "f4"), np.arange(9000) % 40).loss))


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_processes_that_are_spawned_compute_the_same(method):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip("not on this system")
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    child = context.Process(target=_total, args=(queue,))
    child.start()
    want = float(loss_grad_hess(LossSpec(gamma=2.0), np.zeros((9000, 40), "f4"), np.arange(9000) % 40).loss)
    assert queue.get(timeout=100) == want
    child.join(timeout=60)
    assert child.exitcode == 0


THREADS = """
import os, sys, numpy as np
if hasattr(os, "sched_setaffinity") and sys.argv[1] == "one": os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
import focalkit as fk
z = np.random.default_rng(0).normal(size=(4000, 300)).astype("f4")
print(repr(float(fk.softmax_focal_loss(z, np.arange(4000) % 300))), fk.get_num_threads())
"""


def test_a_thousand_threads_or_one_processor_change_no_bit():
    usual, many, one = (
        run(THREADS, kind, **env) for kind, env in (("", {}), ("", {"OMP_NUM_THREADS": "1000"}), ("one", {}))
    )
    assert usual.returncode == many.returncode == one.returncode == 0, many.stderr + one.stderr
    assert usual.stdout.split()[0] == many.stdout.split()[0] == one.stdout.split()[0]
    assert int(many.stdout.split()[1]) < 1000


TASKS = """
import asyncio, numpy as np, focalkit as fk
z, t = np.random.default_rng(0).normal(size=(500, 30)), np.arange(500) % 30
async def one(): return float(await asyncio.to_thread(fk.softmax_focal_loss, z, t))
async def many(): return await asyncio.gather(*[one() for _ in range(40)])
assert set(asyncio.run(many())) == {float(fk.softmax_focal_loss(z, t))}
"""
JOBLIB = """
import joblib, numpy as np, focalkit as fk
z, t = np.random.default_rng(0).normal(size=(500, 30)), np.arange(500) % 30
for backend in ("loky", "threading"):
    found = joblib.Parallel(2, backend=backend)(joblib.delayed(fk.softmax_focal_loss)(z, t) for _ in range(6))
    assert {float(loss) for loss in found} == {float(fk.softmax_focal_loss(z, t))}, backend
"""
STRICT = """
import sys; from focalkit.cli import main
sys.argv = ["focalkit", "diagnose", "--quiet"]; main()
"""
SUBINTERPRETER = """
import _xxsubinterpreters as sub, numpy as np, focalkit as fk
inner = sub.create()
try: sub.run_string(inner, "import focalkit")
except sub.RunFailedError: pass  # NumPy itself is loaded once a process
sub.destroy(inner)
assert fk.softmax_focal_loss(np.zeros((9, 3)), np.arange(9) % 3) > 0
"""


@pytest.mark.parametrize("name", ["asyncio", "joblib", "subinterpreter"])
def test_tasks_processes_and_interpreters_of_others_get_the_same(name):
    if name == "subinterpreter" and importlib.util.find_spec("_xxsubinterpreters") is None:
        pytest.skip("another version of Python calls them otherwise")
    pytest.importorskip("joblib" if name == "joblib" else "numpy")
    done = run({"asyncio": TASKS, "joblib": JOBLIB, "subinterpreter": SUBINTERPRETER}[name])
    assert done.returncode == 0, done.stderr


def test_development_mode_with_warnings_as_errors_has_nothing_to_say():
    done = subprocess.run([sys.executable, "-X", "dev", "-W", "error", "-c", STRICT], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not done.stderr


LEAK = """
import sys, numpy as np, focalkit as fk
from focalkit.io import read_table
z, t = np.random.default_rng(0).normal(size=(8, 5)), np.arange(8) % 5
def refused():
    try: fk.softmax_focal_loss(z, t, gamma=-1)
    except fk.InputError: pass
calls = {
    "loss": lambda: fk.softmax_focal_loss(z, t), "gradient": lambda: fk.loss_grad_hess(fk.LossSpec(), z, t),
    "refused": refused, "ledger": lambda: fk.diagnose(z, t), "table": lambda: read_table(sys.argv[1]),
}
def resident():
    with open("/proc/self/statm") as stream: return int(stream.read().split()[1]) * 4096
n, call = int(sys.argv[3]), calls[sys.argv[2]]
for _ in range(n // 5 + 5): call()
before = resident()
for _ in range(n): call()
print(resident() - before)
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="the system does not tell")
@pytest.mark.parametrize(
    ("name", "n"), [("loss", 1.0), ("gradient", 0.2), ("refused", 0.05), ("ledger", 2e-3), ("table", 2e-4)]
)
def test_memory_does_not_grow_with_the_calls(name, n, tmp_path):
    calls = int(n * float(os.environ.get("FOCALKIT_LEAK_CALLS", 100_000)))  # a million in make torture
    rng = np.random.default_rng(0)
    np.savetxt(tmp_path / "t.csv", np.column_stack([rng.normal(size=(200, 3)), np.arange(200) % 2]), delimiter=",")
    done = run(LEAK, str(tmp_path / "t.csv"), name, str(calls))
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 3 << 20


def test_an_empty_batch_may_be_overwritten():
    torch = pytest.importorskip("torch")
    z = torch.zeros(0, 3, requires_grad=True) * 1
    assert fk.softmax_focal_loss(z, torch.zeros(0, dtype=torch.long), inplace=True).item() == 0


# --- what is no number ---------------------------------------------------------------------------------------

HUGE, P = 10**400, np.array([[0.3, 0.7]])
NO_NUMBERS = {
    "gamma too large": lambda: fk.softmax_focal_loss(Z, T, gamma=HUGE),
    "alpha too large": lambda: fk.softmax_focal_loss(Z, T, alpha=[HUGE, 1, 1]),
    "label_smoothing too large": lambda: fk.softmax_focal_loss(Z, T, label_smoothing=HUGE),
    "normalizer too large": lambda: fk.softmax_focal_loss(Z, T, normalizer=HUGE),
    "weights too large": lambda: fk.softmax_focal_loss(Z, T, sample_weight=[HUGE] * 4),
    "ratio too large": lambda: LossSpec(negatives_per_positive=HUGE),
    "beta too large": lambda: fk.class_weights([1, 2], "power", beta=HUGE),
    "gamma to recover too large": lambda: fk.recover_posterior(P, HUGE),
    "tau too large": lambda: fk.shift_prior(P, [0.5, 0.5], HUGE),
    "ragged logits": lambda: fk.softmax_focal_loss([[1.0, 2.0], [3.0]], [0, 1]),
    "ragged targets": lambda: fk.softmax_focal_loss(Z, [[1], [1, 2], [0], [0]]),
    "probabilities of no class": lambda: fk.recover_posterior(np.zeros((3, 0)), 2.0),
    "an ignore_index of 64 bits": lambda: fk.softmax_focal_loss(Z, T, ignore_index=2**63),
    "a class_axis of 41 bits": lambda: fk.softmax_focal_loss(Z, T, class_axis=2**40),
    "threads of 41 bits": lambda: fk.set_num_threads(2**40),
    "complex gamma": lambda: fk.softmax_focal_loss(Z, T, gamma=np.array([1 + 2j, 1, 1])),
    "gamma of strings": lambda: fk.softmax_focal_loss(Z, T, gamma=["1", "2", "3"]),
    "gamma of truth values": lambda: fk.softmax_focal_loss(Z, T, gamma=[True, False, True]),
    "gamma of seconds": lambda: fk.softmax_focal_loss(Z, T, gamma=np.array([1, 2, 3], "m8[s]")),
    "complex weights": lambda: fk.softmax_focal_loss(Z, T, sample_weight=np.full(4, 1 + 1j)),
    "weights of strings": lambda: fk.softmax_focal_loss(Z, T, sample_weight=np.array(["1"] * 4)),
    "masked logits": lambda: fk.softmax_focal_loss(np.ma.array(Z, mask=Z == 0), T),
    "masked targets": lambda: fk.softmax_focal_loss(Z, np.ma.array(T, mask=[1, 0, 0, 0])),
    "masked weights": lambda: fk.softmax_focal_loss(Z, T, sample_weight=np.ma.array(np.ones(4), mask=[1] * 4)),
    "masked counts": lambda: fk.class_weights(np.ma.array([1, 100], mask=[0, 1])),
    "masked targets of a ledger": lambda: diagnose(Z, np.ma.array(T, mask=[1, 0, 0, 0])),
    "counts that no memory holds": lambda: fk.long_tail_counts(5000, 2**40, 10),
    "names that are a number": lambda: diagnose(Z, T, class_names=0.5),
    "a table of gamma without rows": lambda: LossSpec(gamma_steps=np.array(1.0)),
    "an unsigned id near 2**64": lambda: fk.softmax_focal_loss(Z, np.array([2**64 - 100] * 4, np.uint64)),
}


@pytest.mark.parametrize("name", NO_NUMBERS)
def test_what_is_no_number_here_is_an_input_error(name):
    with pytest.raises(InputError):
        NO_NUMBERS[name]()


def test_a_masked_array_without_masked_entries_is_an_array():
    assert fk.softmax_focal_loss(np.ma.array(Z), np.ma.array(T)) == fk.softmax_focal_loss(Z, T)
