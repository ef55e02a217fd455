"""What the compiled module exports beside the loss: ledgers, addresses, mining's choice, recycled memory, threads."""

from __future__ import annotations

import numpy as np

from focalkit import InputError, Ledger, LossSpec, diagnose, loss_grad_hess
from focalkit.diagnosis import bins
from focalkit.engines import _cpu
from focalkit.engines.cpu import fast

HOSTILE = (-1, -(2**63), 2**63 - 1, 2**31, 2**32 + 1, 1000)


def misaligned(array: np.ndarray) -> np.ndarray:
    raw = np.zeros(array.nbytes + 1, np.uint8)
    view = raw[1:].view(array.dtype).reshape(array.shape)
    view[...] = array
    return view


def dressed(array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The same numbers: as they are, misaligned, of the other byte order, or behind strides."""
    kind = rng.integers(5)
    if kind == 1:
        return misaligned(array)
    if kind == 2:
        return array.astype(array.dtype.newbyteorder(">"))
    if kind == 3 and array.ndim:
        wide = np.zeros((2 * array.shape[0], *array.shape[1:]), array.dtype)
        wide[::2] = array
        return wide[::2]
    return np.asfortranarray(array) if kind == 4 else array


def ledger(rng: np.random.Generator) -> None:
    """The sums of a ledger are the loss; hostile class ids are refused or skipped."""
    n, k = int(rng.integers(1, 700)), int(rng.choice([1, 2, 3, 7, 40, 5000]))
    n = min(n, 20000 // k + 1)
    spec = LossSpec(gamma=float(rng.choice([0, 1, 2, 0.7])))
    z = (rng.standard_normal((n, k)) * 5).astype(rng.choice(["f4", "f8"]))
    t = rng.integers(0, k, n)
    found = diagnose(dressed(z, rng), dressed(t, rng), spec)
    assert found.n_samples == n
    if k > 1:
        want = float(loss_grad_hess(LossSpec(gamma=spec.gamma, reduction="sum"), z.astype(float), t, hess=False).loss)
        assert abs(found.exact_loss.sum() - want) <= 1e-10 * (n + want), (found.exact_loss.sum(), want)
    bad = t.copy()
    bad[rng.integers(n)] = rng.choice([b for b in HOSTILE if not 0 <= b < k])
    try:
        diagnose(z, bad, spec)
    except InputError:
        pass
    else:
        taken = "a class id out of range was taken"
        raise AssertionError(taken)
    _cpu.log_odds(z, bad, -100, np.empty(n))  # below every check
    empty = Ledger(spec, k)
    gamma, flat = np.array([2.0]), [table.reshape(-1) for table in empty._tables]
    assert not _cpu.ledger_update(z, bad, gamma, *bins.DESCRIBED, *flat)
    m = rng.standard_normal(n) * 30
    m[rng.integers(n)] = rng.choice([np.nan, np.inf, -np.inf])
    _cpu.ledger_add(bad, m, None, gamma, *bins.DESCRIBED, *flat)
    assert empty.count.sum() == np.count_nonzero((bad >= 0) & (bad < k) & ~np.isnan(m))


def addresses(rng: np.random.Generator) -> None:
    """``evaluate_at`` writes what ``evaluate`` returns, and refuses what it cannot do."""
    link = str(rng.choice(["softmax", "sigmoid"]))
    outer, k, inner = int(rng.integers(1, 60)), int(rng.integers(2, 130)), int(rng.choice([1, 1, 5]))
    spec = LossSpec(link, float(rng.choice([0, 1, 2, 1.3])), reduction=str(rng.choice(["mean", "sum"])))
    z = rng.standard_normal((outer, k, inner)).astype(rng.choice(["f4", "f8"]))
    t = rng.integers(0, k, (outer, inner)) if link == "softmax" else rng.integers(0, 2, z.shape)
    grad, loss = np.empty_like(z), np.empty((), z.dtype)

    def at(shift: int = 0) -> bool:
        places = z.ctypes.data + shift, t.ctypes.data, grad.ctypes.data, loss.ctypes.data
        return _cpu.evaluate_at(fast.plan_of(spec), *places, outer, k, inner, z.dtype == np.float64)

    assert at()
    want = loss_grad_hess(spec, z, t, hess=False)
    assert loss == want.loss
    assert np.array_equal(grad, want.grad)
    assert not at(shift=1)
    t.flat[rng.integers(t.size)] = rng.choice([b for b in HOSTILE if b != -100])
    assert not at()


def hardest(rng: np.random.Generator) -> None:
    """``keep_largest`` is NumPy's stable sort."""
    n = int(rng.choice([0, 1, 5, 1000, 200_000], p=[0.1, 0.2, 0.3, 0.3, 0.1]))
    losses = rng.standard_normal(n).astype(rng.choice(["f4", "f8"]))
    if rng.random() < 0.5:
        losses = np.round(losses * 3) / 3
    losses[rng.random(n) < 0.01] = np.nan
    among, count = rng.random(n) < 0.7, int(rng.integers(0, n + 2))
    keep = np.zeros(n, bool)
    _cpu.keep_largest(losses, among, count, keep)
    index = np.flatnonzero(among)
    order = index[np.lexsort((index, -losses[index], ~np.isnan(losses[index])))]
    want = np.zeros(n, bool)
    want[order[:count]] = True
    assert np.array_equal(keep, want)


def pool(rng: np.random.Generator) -> None:
    """Blocks of recycled memory overlap nobody's, and no more is held than was allowed."""
    blocks = []
    for _ in range(int(rng.integers(1, 12))):
        if blocks and rng.random() < 0.4:
            block, mark = blocks.pop(int(rng.integers(len(blocks))))
            assert (block == mark).all()
            del block
        else:
            block = np.frombuffer(_cpu.Block(int(2 ** rng.uniform(0, 23))), np.uint8)
            mark = int(rng.integers(256))
            block[:] = mark
            blocks.append((block, mark))
        kind = rng.random()
        if kind < 0.1:
            _cpu.release_memory()
        elif kind < 0.2:
            limit = int(rng.choice([0, 1 << 20, 64 << 20, 1 << 30]))
            _cpu.set_memory_limit(limit)
    assert all((block == mark).all() for block, mark in blocks)


CASES = {"ledger": ledger, "addresses": addresses, "hardest": hardest, "pool": pool}
