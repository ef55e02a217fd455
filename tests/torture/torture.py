"""Kills, signals, full disks and cut files at any moment: what follows is equal bit for bit, or refused in one line.

    python tests/torture/torture.py                        # all parts, 1,000 kills
    python tests/torture/torture.py --only kill,cut --count 50 --seed 7

Each run is a process of its own: a fork of this one, which has imported everything, so that a moment costs a tenth
of a second. What an unbroken run writes is compared in every figure with what broken ones write in the end.
"""

from __future__ import annotations

import argparse
import ctypes
import faulthandler
import importlib
import json
import os
import resource
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

#: No run takes this long, on however slow a machine; one that does hangs.
PATIENCE = 240
KILLED = -signal.SIGKILL
Child = Callable[[], None]


class Wrong(AssertionError):
    """What must not happen."""


def claim(holds: object, what: str) -> None:
    if not holds:
        raise Wrong(what)


@dataclass
class Run:
    """A command in a process of its own."""

    pid: int
    errors: int
    began: float
    code: int | None = None

    def poll(self) -> int | None:
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
        return self.code

    def wait(self, patience: float = PATIENCE) -> int:
        end = time.monotonic() + patience
        while self.poll() is None:
            if time.monotonic() > end:
                os.killpg(self.pid, signal.SIGKILL)
                claim(False, f"a run did not end within {patience} s")
            time.sleep(0.002)
        assert self.code is not None
        return self.code

    def kill(self, number: int = signal.SIGKILL) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    @cached_property
    def said(self) -> str:
        """What it wrote to the error stream, once it has ended."""
        with os.fdopen(self.errors, "rb", closefd=False) as stream:
            return stream.read().decode("utf-8", "replace")

    def __del__(self) -> None:
        os.close(self.errors)

    def orphans(self) -> list[int]:
        """Processes of its session that are left."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    fields = (entry / "stat").read_text().rpartition(")")[2].split()
                except OSError:
                    continue
                if int(fields[3]) == self.pid and fields[0] not in "ZX":
                    found.append(int(entry.name))
        return found

    def children(self) -> list[int]:
        return [pid for pid in self.orphans() if pid != self.pid]


def start(words: list[Any], before: Child = lambda: None, leave: Callable[[int], Any] = os._exit) -> Run:
    """``focalkit WORDS`` in a fork of this process, in a session of its own."""
    from focalkit.cli import main

    sys.stdout.flush()
    errors, told = os.pipe()  # no file, which would have its limits
    pid = os.fork()
    if pid:
        os.close(told)
        return Run(pid, errors, time.monotonic())
    code = 70
    try:
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDWR)
        for number, what in ((0, nothing), (1, nothing), (2, told)):
            os.dup2(what, number)
        os.closerange(3, 256)
        before()
        main([str(word) for word in words])
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except OSError:
                code = code or 74
        leave(code)


def dump_when_late() -> None:
    """Say where every thread stands, shortly before patience ends."""
    faulthandler.dump_traceback_later(PATIENCE - 20, exit=True)


def leave_as_programs_do(code: int) -> None:
    """The end of a process: Python's threads, then C's destructors, as a pool of threads has (folders here live on)."""
    try:
        threading._shutdown()  # type: ignore[attr-defined]
        ctypes.CDLL(None).exit(code)
    finally:
        os._exit(71)


def limit(n_bytes: int, *, deadly: bool = False) -> Child:
    """No file grows beyond so many bytes: an error, as of a full disk, or the end of the process at this very byte."""

    def before() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL if deadly else signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, n_bytes))

    return before


class Torture:
    """The parts, and what they need: a table, predictions, and what unbroken runs write of them."""

    def __init__(self, folder: Path, count: int, seed: int) -> None:
        self.folder, self.count, self.rng = folder, count, np.random.default_rng(seed)
        self.met: Counter[str] = Counter()
        rng = np.random.default_rng(0)
        y = (rng.random(300) < 0.2) + 0
        X = rng.normal(size=(300, 4)) + y[:, None]
        self.table = folder / "t.csv"
        np.savetxt(self.table, np.column_stack([X, y]), delimiter=",", fmt="%.4f", header="a,b,c,d,y", comments="")
        self.predictions = folder / "p.csv"
        logits = np.column_stack([rng.normal(size=(300, 2)) + 2 * np.eye(2)[y], y])
        np.savetxt(self.predictions, logits, delimiter=",", fmt="%.4f", header="logit0,logit1,y", comments="")
        grid = "--folds 3 --repeats 4 --gamma 0,1 --alpha none,sqrt --keep-hardest none --quiet"
        self.tune = ["tune", self.table, *grid.split()]
        began = time.monotonic()
        with self.place() as here:
            self.whole_run(*self.tune, "--jobs", 1, "--json", here / "r.json", "--journal", here / "j")
            self.unbroken, self.journal = figures(here / "r.json"), (here / "j").read_bytes()
        self.seconds = time.monotonic() - began

    @contextmanager
    def place(self) -> Iterator[Path]:
        here = Path(tempfile.mkdtemp(dir=self.folder))
        yield here
        shutil.rmtree(here)

    def whole_run(self, *words: Any) -> Run:
        run = start(list(words))
        claim(run.wait() == 0, f"ended with {run.code}: {run.said}")
        return run

    def resumed(self, here: Path, *more: Any) -> None:
        """Go on from the journal: as if nothing had happened, and each unit once."""
        began = time.monotonic()
        self.whole_run(*self.tune, "--jobs", 1, "--json", here / "r.json", "--journal", here / "j", *more)
        self.seconds = 0.9 * self.seconds + 0.1 * (time.monotonic() - began)
        claim(figures(here / "r.json") == self.unbroken, "what was resumed differs from an unbroken run")
        units = [record["unit"] for record in records(here / "j") if "unit" in record]
        claim(sorted(units) == [[0, fold] for fold in range(12)], f"units in the journal: {units}")
        self.met["resumed equal"] += 1

    # ------------------------------------------------------------------ parts

    def hang(self) -> None:
        """``diagnose`` of a hundred rows, ten times as often as a kill, four at a time for each core."""
        lines = self.predictions.read_text().splitlines()[:101]
        at_a_time = 4 * len(os.sched_getaffinity(0))
        with self.place() as here:
            (here / "p.csv").write_text("\n".join(lines))
            look = ["diagnose", here / "p.csv", "--quiet", "--json"]
            self.whole_run(*look, here / "first.json")
            first = (here / "first.json").read_bytes()
            running: deque[tuple[Run, Path]] = deque()
            for turn in range(10 * self.count + at_a_time):
                if turn >= at_a_time:
                    run, told = running.popleft()
                    claim(run.wait() == 0, f"ended with {run.code}: {run.said}")
                    claim(told.read_bytes() == first, "the same file gave another answer")
                    self.met["diagnosed"] += 1
                if turn < 10 * self.count:
                    told = here / f"{turn % at_a_time}.json"
                    running.append((start([*look, told], dump_when_late, leave_as_programs_do), told))

    def kill(self) -> None:
        """SIGKILL at any moment of a run, and again of those that go on from its journal."""
        while self.met["killed"] < self.count:
            with self.place() as here:
                words = [*self.tune, "--jobs", 1, "--json", here / "r.json", "--journal", here / "j"]
                for _ in range(int(self.rng.integers(1, 9))):
                    run = start(words)
                    time.sleep(self.rng.uniform(0, 1.1) * self.seconds)
                    run.kill()
                    if run.wait() == KILLED:
                        self.met["killed"] += 1
                    if (here / "r.json").exists():  # whole or not there
                        claim(figures(here / "r.json") == self.unbroken, "a killed run left other figures")
                self.resumed(here)

    def signals(self) -> None:
        """Termination, interrupt and hang-up: a quick end, nobody is left behind, the journal goes on."""
        for turn in range(max(3, self.count // 20)):
            number = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)[turn % 3]
            with self.place() as here:
                usual = lambda: [signal.signal(s, h) for s, h in USUAL.items()]  # noqa: E731
                words = [*self.tune, "--jobs", 1 + turn % 2, "--json", here / "r.json", "--journal", here / "j"]
                run = start(words, usual)
                time.sleep(self.rng.uniform(0.02, 1.1) * self.seconds)
                run.kill(number)
                run.wait(60)
                end = time.monotonic() + 20
                while run.orphans() and time.monotonic() < end:
                    time.sleep(0.02)
                claim(not run.orphans(), f"processes outlive {number!r}")
                claim("Traceback" not in run.said, run.said)
                self.met[f"{signal.Signals(number).name}, exit {run.code}"] += 1
                self.resumed(here)

    def disk(self) -> None:
        """No room for the journal: one line, and with room it goes on."""
        for n in self.moments(len(self.journal), max(10, self.count // 20)):
            with self.place() as here:
                words = [*self.tune, "--jobs", 1, "--json", here / "r.json", "--journal", here / "j"]
                one_line(start(words, limit(n)))
                self.met["no room for the journal"] += 1
                self.resumed(here)

    def small_disk(self) -> None:
        """The same on a file system that is really full (needs the right to mount one)."""
        with self.place() as here:
            mount = ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(here)]
            if os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
                self.met["small_disk skipped: no right to mount"] += 1
                return
            try:
                words = [*self.tune, "--jobs", 1, "--json", here / "r.json", "--journal", here / "j"]
                run = start(words)
                one_line(run)
                claim(not (here / "r.json").exists(), "half a result on a full disk")
                claim(sorted(p.name for p in here.iterdir()) == ["j"], "scraps on a full disk")
                subprocess.run(["mount", "-o", "remount,size=1m", str(here)], check=True)
                self.met["full disk"] += 1
                self.whole_run(*words)
                claim(figures(here / "r.json") == self.unbroken, "after a full disk other figures follow")
            finally:
                subprocess.run(["umount", str(here)], check=True)

    def worker(self) -> None:
        """A worker process is killed: one line that says so, and the journal goes on."""
        for _ in range(max(2, self.count // 50)):
            with self.place() as here:
                words = [*self.tune, "--jobs", 2, "--json", here / "r.json", "--journal", here / "j"]
                run = start(words)
                wait_until = run.began + self.rng.uniform(0.1, 1) * self.seconds
                children: list[int] = []
                while run.poll() is None and (not children or time.monotonic() < wait_until):
                    children = run.children()
                    time.sleep(0.001)
                if children:
                    try:
                        os.kill(int(self.rng.choice(children)), signal.SIGKILL)
                    except ProcessLookupError:
                        pass
                if run.wait():
                    said = [line for line in run.said.splitlines() if line.strip()]
                    claim(len(said) == 1 and "worker" in said[0], f"not one line about a worker: {run.said}")
                    self.met["a worker was killed"] += 1
                self.resumed(here)

    def two(self) -> None:
        """Two processes on one journal, one of which may be killed: nothing is done twice, both are right."""
        for turn in range(max(2, self.count // 50)):
            with self.place() as here:
                both = []
                for name in "ab":
                    (here / name).mkdir()
                    words = [*self.tune, "--jobs", 1, "--json", here / name / "r.json", "--journal", here / "j"]
                    both.append(start(words))
                if turn % 2:
                    time.sleep(self.rng.uniform(0, 1.5) * self.seconds)
                    both[0].kill()
                for run, name in zip(both, "ab", strict=True):
                    if run.wait() != KILLED:
                        claim(run.code == 0, run.said)
                        claim(figures(here / name / "r.json") == self.unbroken, "a shared journal changes figures")
                self.met["two on one journal"] += 1
                self.resumed(here)

    def cut(self) -> None:
        """The journal cut at every byte of its first line and of its last two, and resumed."""
        first = self.journal.index(b"\n") + 1
        tail = self.journal[:-1].rindex(b"\n", 0, self.journal[:-1].rindex(b"\n")) + 1
        places = [*range(first + 1), *range(tail, len(self.journal) + 1)]
        step = max(1, len(places) // max(10, self.count))
        for at in places[int(self.rng.integers(step)) :: step]:
            with self.place() as here:
                (here / "j").write_bytes(self.journal[:at])
                self.resumed(here)
                self.met["cut journals"] += 1

    def outputs(self) -> None:
        """Every file that the program writes, with the disk full and the process ended at any of its bytes."""
        for name, words, places in self.writers():
            with self.place() as here:
                self.whole_run(*words(here))
                for place in places:
                    claim((here / place).stat().st_size, f"{name} wrote no {place}")
                ends = {place: (here / place).read_bytes()[-6:] for place in places}
                largest = max((here / place).stat().st_size for place in places)
                for turn, n in enumerate(self.moments(largest, max(4, self.count // 50))):
                    before = {place: b"what was there before" for place in places}
                    for scrap in here.iterdir():
                        scrap.unlink()
                    for place, content in before.items():
                        (here / place).write_bytes(content)
                    deadly = bool(turn % 2)
                    run = start(words(here), limit(n, deadly=deadly))
                    if deadly:
                        run.wait()
                    else:
                        one_line(run)
                        left = {p.name for p in here.iterdir()} - set(places)
                        claim(not left, f"{name} leaves {left}")
                    for place, content in before.items():
                        now = (here / place).read_bytes()
                        whole = now == content or (len(now) <= n and now.endswith(ends[place]))
                        claim(whole, f"{name}: {place} is half-written ({len(now)} bytes of at most {n})")
                    self.met[f"{name} {'ended' if deadly else 'refused'} at a byte"] += 1

    def writers(self) -> Iterator[tuple[str, Callable[[Path], list[Any]], list[str]]]:
        """A command, its words, and the files that it writes in a folder."""
        for option, place in TUNED.items():
            yield f"tune {option}", lambda here, o=option, p=place: [*self.tune, "--jobs", 1, o, here / p], [place]
        both = ["r.json", "r.html"]
        look = ["diagnose", self.predictions, "--quiet"]
        yield "diagnose", lambda here: [*look, "--json", here / "r.json", "--html", here / "r.html"], both
        rule = ["decide", self.predictions, "--from", "logits", "--metric", "balanced_accuracy"]
        yield "decide", lambda here: [*rule, "--rule", here / "r.json", "--html", here / "r.html"], both
        yield "curve", lambda here: ["curve", "--out", here / "r.svg", "--png", here / "r.png"], ["r.svg", "r.png"]
        model = self.folder / "m.joblib"
        self.whole_run(*self.tune, "--jobs", 1, "--save", model)
        yield (
            "predict",
            lambda here: ["predict", model, self.table, "--trust", "--out", here / "r.csv"],
            ["r.csv"],
        )

    def scheduler(self) -> None:
        """The Dask scheduler is killed: an end in one line, and the journal goes on without it."""
        try:
            import distributed  # noqa: F401
        except ImportError:
            self.met["scheduler skipped: no Dask"] += 1
            return
        with self.place() as here:
            where = here / "s.json"
            dask = [sys.executable, "-m", "dask"]
            quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            address = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(where)]
            local = [
                "--scheduler-file",
                str(where),
                "--nthreads",
                "1",
                "--no-dashboard",
                "--local-directory",
                str(here),
            ]
            lot = [subprocess.Popen([*dask, "scheduler", *address], **quiet)]  # type: ignore[call-overload]
            lot.append(subprocess.Popen([*dask, "worker", *local, "--local-directory", str(here)], **quiet))  # type: ignore[call-overload]
            try:
                end = time.monotonic() + PATIENCE
                while not where.exists() and time.monotonic() < end:
                    time.sleep(0.05)
                at = json.loads(where.read_text())["address"]
                words = [*map(str, self.tune), "--repeats", "40", "--dask", at, "--journal", str(here / "j")]
                command = [sys.executable, "-m", "focalkit", *words]
                with (here / "stderr").open("wb") as said:
                    program = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=said, start_new_session=True)
                while program.poll() is None and not (here / "j").exists():
                    time.sleep(0.02)
                while program.poll() is None and (here / "j").read_bytes().count(b"\n") < 3:
                    time.sleep(0.02)
                lot[0].kill()
                program.wait(PATIENCE)
                said_ = [line for line in (here / "stderr").read_text().splitlines() if line.strip()]
                claim(program.returncode != 0, "a run without its scheduler ended well")
                claim(said_ and "Traceback" not in "".join(said_), "\n".join(said_))
                self.met["the scheduler was killed"] += 1
            finally:
                for process in lot[::-1]:
                    process.kill()
                    process.wait()

    def moments(self, size: int, n: int) -> list[int]:
        """So many sizes below this one, spread over it."""
        return sorted({int(x) for x in (np.arange(n) + self.rng.random(n)) / n * size})


#: What ``tune`` writes.
TUNED = {"--json": "r.json", "--html": "r.html", "--script": "r.py", "--card": "r.md", "--save": "r.joblib"}
USUAL = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL, signal.SIGHUP: signal.SIG_DFL}


def one_line(run: Run) -> None:
    """The run fails, and says why in one line, and of which file."""
    code = run.wait()
    said = [line for line in run.said.splitlines() if line.strip()]
    claim(code not in (0, 70), f"it ended with {code}: {run.said}")
    claim(len(said) == 1 and "Traceback" not in run.said and "/" in said[0], f"not one line: {run.said}")


def figures(path: Path) -> Any:
    """Everything that a run found out, but for how long it took."""
    report = json.loads(path.read_text())
    report.pop("seconds")
    return report


def records(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a journal."""
    found = []
    for line in path.read_bytes().splitlines():
        try:
            found.append(json.loads(line)["kept"])
        except (ValueError, KeyError):
            pass
    return found


PARTS = ("kill", "signals", "disk", "small_disk", "worker", "two", "cut", "outputs", "scheduler", "hang")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1000, help="moments of SIGKILL; the other parts in proportion")
    parser.add_argument("--only", help=f"parts, separated by commas: {', '.join(PARTS)}")
    parser.add_argument("--seed", type=int, help="of the moments; default: another one each time")
    options = parser.parse_args()
    seed = secrets.randbelow(10**9) if options.seed is None else options.seed
    print(f"--seed {seed}", flush=True)
    for name in (
        "focalkit.cli.diagnose",
        "focalkit.cli.problem",
        "focalkit.engines.cpu.ledger",
        "focalkit.io.predictions",
        "focalkit.io.text_batches",
        "focalkit.report.terminal.console",
        "focalkit.report.tune",
        "focalkit.tuning.search",
        "pyarrow.csv",
        "sklearn.svm",
    ):
        importlib.import_module(name)  # by this process, once for all

    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        torture = Torture(Path(folder), options.count, seed)
        for part in options.only.split(",") if options.only else PARTS:
            began = time.monotonic()
            torture.met.clear()
            try:
                getattr(torture, part)()
            except Wrong as error:
                failed += 1
                print(f"{part} FAILS: {error}", flush=True)
            except KeyboardInterrupt:
                print(f"{part} was interrupted", flush=True)
            met = ", ".join(f"{n} × {what}" for what, n in sorted(torture.met.items()))
            print(f"{part:10s} {time.monotonic() - began:6.0f} s  {met}", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
