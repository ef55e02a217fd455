"""Random and hostile calls of the compiled engine, compared with the reference; stops at the first difference.

    python tests/fuzz/fuzz_cpu.py --seconds 600            as installed
    tests/fuzz/sanitize.sh tests/fuzz/fuzz_cpu.py ...      under the sanitizers

Each case has a seed of its own, printed on failure; --seed runs that one alone.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
import traceback
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent / "engines"))
from random_calls import Call, random_call
from test_cpu import check_against_reference

from focalkit import InputError, LossSpec, loss_grad_hess
from focalkit.engines import _cpu
from focalkit.engines.cpu import machine


def spoil(call: Call, rng: np.random.Generator) -> Call:
    """Break one contract, or put something strange into the logits."""
    kind = rng.integers(8)
    targets = np.array(call.targets)
    logits = np.array(call.logits)
    if kind == 0 and targets.size and targets.dtype.kind in "iu":
        at = tuple(rng.integers(0, s) for s in targets.shape)
        limits = np.iinfo(targets.dtype)
        targets[at] = rng.choice([limits.min, limits.max, limits.max // 2, limits.min // 2])
    elif kind == 1 and targets.size and targets.dtype.kind == "f":
        targets.flat[rng.integers(targets.size)] = rng.choice([np.nan, np.inf, -1, 2, 1e30])
    elif kind == 2:
        targets = targets[: len(targets) // 2]
    elif kind == 3 and logits.size:
        flat = logits.reshape(-1)
        flat[rng.integers(logits.size)] = rng.choice([np.nan, np.inf, -np.inf, 6e4, -6e4])
        logits = flat.reshape(logits.shape)
    elif kind == 4 and targets.dtype.kind in "iuf":
        targets = targets.astype(rng.choice(["S1", "c8", "u8", "f2"]))
    elif kind == 5 and call.sample_weight is not None and call.sample_weight.size:
        weight = np.array(call.sample_weight)
        weight.flat[rng.integers(weight.size)] = rng.choice([np.nan, -1, np.inf])
        return dataclasses.replace(call, sample_weight=weight)
    elif kind == 6:
        logits = np.frombuffer(b"\0" + logits.tobytes(), np.uint8)[1:].view(logits.dtype).reshape(logits.shape)
    return dataclasses.replace(call, targets=targets, logits=logits)


def mined(call: Call, rng: np.random.Generator) -> Call:
    fields = {f.name: getattr(call.spec, f.name) for f in dataclasses.fields(LossSpec)}
    fields["keep_hardest"] = [None, 0.3, 5][rng.integers(3)]
    fields["negatives_per_positive"] = [None, 3.0][rng.integers(2)]
    return dataclasses.replace(call, spec=LossSpec(**fields))


def one_case(seed: int) -> str:
    rng = np.random.default_rng(seed)
    assert _cpu.choose_instruction_set(str(rng.choice(machine.instruction_sets())))
    machine.set_num_threads(int(rng.integers(1, 4)))
    large = rng.random() < 0.1
    call = random_call(rng, max_classes=400 if large else 40, max_rows=3000 if large else 200)
    kind = rng.random()
    if kind < 0.4:
        check_against_reference(call)
        return "compared"
    if kind < 0.5:
        call = mined(call, rng)
    else:
        call = spoil(call, rng)
    out = None
    if rng.random() < 0.5:
        logits = np.asarray(call.logits)
        if rng.random() < 0.5 and logits.flags.writeable:
            out = call.logits
        elif rng.random() < 0.7:
            out = np.empty_like(logits)
        else:  # overlapping by one element
            base = np.zeros(logits.size + 1, logits.dtype)
            base[:-1] = logits.reshape(-1)
            call = dataclasses.replace(call, logits=base[:-1].reshape(logits.shape))
            out = base[1:].reshape(logits.shape)
    try:
        loss_grad_hess(*call.arguments(), **call.options(), hess=bool(rng.integers(2)), out=out)
    except InputError:
        return "refused"
    return "accepted"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--start", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.seed is not None:
        print(one_case(arguments.seed))
        return 0
    end, seed = time.monotonic() + arguments.seconds, arguments.start
    counts: dict[str, int] = {}
    while time.monotonic() < end:
        try:
            kind = one_case(seed)
        except Exception:
            traceback.print_exc()
            print(f"seed {seed} fails", flush=True)
            return 1
        counts[kind] = counts.get(kind, 0) + 1
        seed += 1
    print(f"{seed - arguments.start} cases without a difference: {counts}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
