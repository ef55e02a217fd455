"""Random and hostile calls of all that the compiled module exports, and files of every format; ends at the first wrong.

    python tests/fuzz/fuzz_cpu.py --seconds 600            as installed
    tests/fuzz/sanitize.sh tests/fuzz/fuzz_cpu.py ...      under the sanitizers (FOCALKIT_SANITIZER=address or thread)

Each case is a kind and a seed, printed on failure; ``--case kind:seed`` runs one alone. The cases of ``seeds.txt``,
which once failed, come first, then fresh ones: ``--start`` (printed) is where their seeds begin. ``--threads`` runs
cases on several threads at once, while another changes the number of threads and gives memory back.
"""

from __future__ import annotations

import argparse
import dataclasses
import faulthandler
import importlib.util
import mmap
import os
import secrets
import sys
import threading
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "engines"), str(HERE.parents[1])]
import judged  # noqa: E402
import others  # noqa: E402
from random_calls import Call, random_call  # noqa: E402
from test_cpu import check_against_reference  # noqa: E402

from focalkit import InputError, LossSpec, loss_grad_hess  # noqa: E402
from focalkit.engines import _cpu  # noqa: E402
from focalkit.engines.cpu import machine as cpu  # noqa: E402


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


def some_call(rng: np.random.Generator) -> Call:
    large = rng.random() < 0.1
    return random_call(rng, max_classes=400 if large else 40, max_rows=3000 if large else 200)


def compared(rng: np.random.Generator) -> None:
    """A call of any shape, dtype and strides against the composite implementation in float64."""
    check_against_reference(some_call(rng))


def hostile(rng: np.random.Generator) -> None:
    """A call that breaks a contract, or asks for odd memory: refused in words, or computed."""
    call = some_call(rng)
    call = mined(call, rng) if rng.random() < 0.2 else spoil(call, rng)
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
        pass


CASES = {"compared": compared, "hostile": hostile, "judged": judged.judged, **others.CASES}
SHARES = {"compared": 6, "hostile": 8, "judged": 3, "ledger": 3, "addresses": 2, "hardest": 1, "pool": 1}
if importlib.util.find_spec("scipy") is not None:
    import functions

    CASES |= functions.CASES
    SHARES |= {"weights": 1, "posteriors": 1, "optimal": 1, "words": 3}
if importlib.util.find_spec("pyarrow") is not None and importlib.util.find_spec("sklearn") is not None:
    import files

    CASES |= files.CASES
    SHARES |= {"tables": 5, "predictions": 4, "ledgers": 2, "rules": 1, "journals": 2}
    CASES["runs"], SHARES["runs"] = functions.runs, 1
if importlib.util.find_spec("torch") is not None and "FOCALKIT_PACKAGE" not in os.environ:  # not under the sanitizers
    CASES["tensors"], SHARES["tensors"] = judged.judged_tensors, 2


def kind_of(seed: int, shares: dict[str, int]) -> str:
    rng = np.random.default_rng([seed, 1])
    return str(rng.choice(list(shares), p=np.array(list(shares.values())) / sum(shares.values())))


def run(kind: str, seed: int, threads: bool = False) -> None:
    rng = np.random.default_rng(seed)
    if not threads:  # what is set for all threads
        assert _cpu.choose_instruction_set(str(rng.choice(cpu.instruction_sets())))
        cpu.set_num_threads(int(rng.integers(1, 4)))
    CASES[kind](rng)


def seeds() -> list[tuple[str, int]]:
    """The corpus: cases that once failed."""
    lines = (HERE / "seeds.txt").read_text(encoding="utf-8").splitlines()
    pairs = [line.split("#")[0].strip().split(":") for line in lines if line.split("#")[0].strip()]
    return [(kind, int(seed)) for kind, seed in pairs]


#: What is being run, for whoever finds the process dead; and how long a case may take, in seconds, on a busy machine
#: that stops processes now and then.
CURRENT, LONGEST = mmap.mmap(-1, 64), 1800


def note(text: str) -> None:
    CURRENT[:] = text.encode().ljust(len(CURRENT))


class Fuzz:
    """Cases by their seeds, on one thread or several, until the time is up or one fails."""

    def __init__(self, start: int, seconds: float, shares: dict[str, int], threads: bool, keep_going: bool) -> None:
        self.end, self.next, self.shares, self.threads = time.monotonic() + seconds, start, shares, threads
        self.counts: Counter[str] = Counter()
        self.keep_going, self.findings, self.failed = keep_going, Counter[str](), False
        self.lock = threading.Lock()

    def case(self, kind: str, seed: int) -> None:
        if not self.threads:
            note(f"{kind}:{seed}, case {self.counts.total() + 1}")
            faulthandler.dump_traceback_later(LONGEST, exit=True)
        try:
            run(kind, seed, self.threads)
        except Exception as error:
            self.failed = not self.keep_going
            at = traceback.extract_tb(error.__traceback__)[-1]
            finding = f"{kind}, {type(error).__name__} at {Path(at.filename).name}:{at.lineno}"
            with self.lock:
                self.findings[finding] += 1
            if self.findings[finding] == 1:
                traceback.print_exc()
                print(f"--case {kind}:{seed} fails", flush=True)
        with self.lock:
            self.counts[kind] += 1

    def work(self) -> None:
        while time.monotonic() < self.end and not self.failed:
            with self.lock:
                seed, self.next = self.next, self.next + 1
            self.case(kind_of(seed, self.shares), seed)

    def go(self) -> int:
        """Run it, and tell what came of it."""
        if self.threads:
            helpers = [threading.Thread(target=self.work) for _ in range(4)] + [threading.Thread(target=self.disturb)]
            for helper in helpers:
                helper.start()
            for helper in helpers:
                helper.join()
        else:
            for kind, seed in seeds():
                if kind in self.shares:
                    self.case(kind, seed)
            self.work()
        for finding, n in self.findings.items():
            print(f"{n} x {finding}")
        print(f"{self.counts.total()} cases: {dict(self.counts)}", flush=True)
        note("")
        return int(bool(self.findings))

    def go_in_a_child(self) -> int:
        """The same in a process of its own: where that crashes or hangs, the case is told."""
        child = os.fork()
        if not child:
            code = 3
            try:
                code = self.go()
            finally:
                sys.stdout.flush()
                os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        current = bytes(CURRENT).decode().strip("\0 ")
        if current:  # it crashed, or took too long, which ends it with the code of a finding
            print(f"--case {current}: the process ended with {code}", flush=True)
            return 3
        return code

    def disturb(self) -> None:
        """Change what all calls share, as long as they run."""
        rng = np.random.default_rng(0)
        while time.monotonic() < self.end and not self.failed:
            cpu.set_num_threads(int(rng.integers(1, 5)))
            if rng.random() < 0.3:
                cpu.release_memory()
            time.sleep(0.002)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--case", help="kind:seed")
    parser.add_argument("--start", type=int, help="first seed; default: another one each time")
    parser.add_argument("--threads", action="store_true")
    parser.add_argument("--keep-going", action="store_true", help="go on behind what is wrong; each place is told once")
    parser.add_argument("--only", help="kinds, separated by commas")
    arguments = parser.parse_args()
    faulthandler.enable()
    np.seterr(all="ignore")
    warnings.simplefilter("ignore")
    if arguments.case:
        kind, seed = arguments.case.split(":")
        run(kind, int(seed))
        return 0
    start = secrets.randbelow(10**9) if arguments.start is None else arguments.start
    shares = {k: v for k, v in SHARES.items() if not arguments.only or k in arguments.only.split(",")}
    print(f"--start {start}", flush=True)
    fuzz = Fuzz(start, arguments.seconds, shares, arguments.threads, arguments.keep_going)
    return fuzz.go() if arguments.threads or not hasattr(os, "fork") else fuzz.go_in_a_child()


if __name__ == "__main__":
    sys.exit(main())
