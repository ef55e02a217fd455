"""Where units run: this process, processes of this machine, or a Dask cluster; with or without a journal."""

from __future__ import annotations

import concurrent.futures
import gc
import itertools
import multiprocessing
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from focalkit._core import contracts
from focalkit._core.extras import need
from focalkit.io import cluster
from focalkit.tuning.fingerprint import worker_versions
from focalkit.tuning.journal import Journal
from focalkit.tuning.units import Task, Unit, UnitScores, end_with, run_unit

Found = Generator[tuple[Unit, UnitScores], None, None]
Compute = Callable[[Iterable[Unit]], Found]

POLL_SECONDS = 0.2
THREADED = ("jax", "torch", "tensorflow")
KILLED = "a worker was killed, as systems do where memory runs out (fewer jobs need less)"
UNREAD = "a worker cannot read what it is given (one job needs no worker: n_jobs=1, --jobs 1)"


def run_units(
    task: Task, phases: Iterable[Sequence[Unit]], *, n_jobs: int, dask: Any, journal: Journal | None
) -> Found:
    """Every unit with its scores, in any order; those that the journal holds come first.

    A phase's units are asked for when those of the phase before have all been given.

    Raises
    ------
    ChildProcessError
        Where a worker was killed.
    """
    with _backend(task, n_jobs, dask) as compute:
        for units in phases:
            yield from compute(units) if journal is None else _with_journal(compute, units, journal)


def _with_journal(compute: Compute, units: Sequence[Unit], journal: Journal) -> Found:
    waiting = set(units)
    while waiting:
        journal.refresh()
        known = [unit for unit in units if unit in waiting and unit in journal.done]
        waiting -= set(known)
        yield from ((unit, journal.done[unit]) for unit in known)
        # lazily: a unit is claimed when a worker is nearly free, so that processes that share the journal share
        # the work; what another process holds is looked at again later, since it may die
        mine = (unit for unit in units if unit in waiting and journal.claim(unit))
        idle = not known
        for unit, found in compute(mine):
            journal.keep(unit, found)
            waiting.discard(unit)
            idle = False
            yield unit, found
        if idle and waiting:
            time.sleep(POLL_SECONDS)


@contextmanager
def _backend(task: Task, n_jobs: int, dask: Any) -> Iterator[Compute]:
    if dask is None and n_jobs == 1:
        yield lambda units: (run_unit(task, unit) for unit in units)
        return
    if dask is not None:
        with _client(dask, n_jobs) as client:
            yield lambda units: _on_cluster(client, task, units)
        return
    if task.trainer.forks and may_fork():
        with _forked(task, n_cores() if n_jobs == -1 else n_jobs) as forked:
            yield forked
        return
    from joblib import Parallel, delayed, parallel_config
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    # workers are used again: those that were started with another path would not find the modules of now
    path = tuple(map(os.path.abspath, sys.path))
    with parallel_config(backend="loky", initializer=_import_from, initargs=(path,)):
        # one unit a message: each is seconds of work, and is kept as soon as it is done
        parallel = Parallel(n_jobs=n_jobs, batch_size=1, return_as="generator_unordered")

    def compute(units: Iterable[Unit]) -> Found:
        try:
            with _held_back():
                found = parallel(delayed(run_unit)(task, unit) for unit in units)
            yield from found
        except TerminatedWorkerError as error:
            raise ChildProcessError(KILLED) from error
        except concurrent.futures.BrokenExecutor as error:
            message = f"{UNREAD}: {_last_line(error)}"
            raise ChildProcessError(message) from error

    yield compute


def _import_from(path: Sequence[str]) -> None:
    sys.path[:] = path


def _last_line(error: BaseException) -> str:
    """The last line of what is told of an error's cause, or of the error."""
    return (str(error.__cause__ or "").strip('\n" ') or str(error)).splitlines()[-1]


def n_cores() -> int:
    """Cores that this process may use."""
    from joblib import cpu_count

    return int(cpu_count())


def may_fork() -> bool:
    """Whether this process can be copied: on Linux, where no library in it computes in threads that a copy would lack.

    JAX warns of any fork, and PyTorch and TensorFlow hold locks in threads of their own.
    """
    return sys.platform == "linux" and sys.modules.keys().isdisjoint(THREADED)


@contextmanager
def _forked(task: Task, n_jobs: int) -> Iterator[Compute]:
    """Copies of this process, which have the data and the libraries from their start.

    A process that imports everything anew takes longer for it than the linear model for its fits. Other trainers may
    hold threads that a copy would lack.
    """
    context = multiprocessing.get_context("fork")
    with concurrent.futures.ProcessPoolExecutor(n_jobs, context, _inherit, (task, os.getpid())) as pool:

        def compute(units: Iterable[Unit]) -> Found:
            waiting, running = iter(units), set[Any]()
            try:
                while True:
                    with _held_back(), warnings.catch_warnings():
                        # of threads beside fork: those of the libraries are put right by them, others do not compute
                        warnings.simplefilter("ignore", DeprecationWarning)
                        for unit in itertools.islice(waiting, 2 * n_jobs - len(running)):
                            running.add(pool.submit(_run_inherited, unit))
                        done, running = concurrent.futures.wait(
                            running, timeout=POLL_SECONDS, return_when="FIRST_COMPLETED"
                        )
                    if not done and not running:
                        return
                    for future in done:
                        with _held_back():
                            found = future.result()
                        yield found
            except concurrent.futures.BrokenExecutor as error:
                raise ChildProcessError(KILLED) from error
            finally:
                for future in running:
                    future.cancel()

        yield compute


_inherited: list[Task] = []


def _inherit(task: Task, parent: int) -> None:
    gc.freeze()  # what is inherited is looked through by no collection, which would copy its pages
    _inherited[:] = [task]
    end_with(parent)  # which may have gone before it had any work for this one


def _run_inherited(unit: Unit) -> tuple[Unit, UnitScores]:
    return run_unit(_inherited[0], unit)


def _on_cluster(client: Any, task: Task, units: Iterable[Unit]) -> Found:
    """Units on the workers of a Dask cluster, also on a single one."""
    with cluster.losses_said(KILLED):
        for _, found in cluster.Work(client, run_unit, task, scatters=True).results(units):
            yield found


@contextmanager
def _held_back() -> Iterator[None]:
    """Hold Ctrl-C back until the end, where it is answered.

    Processes that are started in here inherit that, so that the program alone answers it. And what stands in an
    executor's code can leave a lock behind that its other threads wait for, or workers that nobody would end. It does
    not suffice to block the signal: another thread may get it, for which the main thread answers.
    """
    came: list[int] = []
    main = threading.current_thread() is threading.main_thread()
    usual = signal.getsignal(signal.SIGINT) if main else None
    if usual is not None:
        signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    blocks = hasattr(signal, "pthread_sigmask")
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT}) if blocks else set()
    try:
        yield
    finally:
        if blocks:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        if usual is not None:
            signal.signal(signal.SIGINT, usual)
        if came:
            signal.raise_signal(signal.SIGINT)


@contextmanager
def _client(dask: Any, n_jobs: int) -> Iterator[Any]:
    """A client of the cluster: one's own, of a scheduler's address, or of a cluster started here."""
    with need("distributed", "tune(dask=…)", "dask"):
        import distributed
    if isinstance(dask, distributed.Client):
        with cluster.losses_said(KILLED):
            _check_cluster(dask)
        yield dask
        return
    if not isinstance(dask, str) and not hasattr(dask, "scheduler_address"):
        remedy = "E.g. 'local', or 'tcp://host:8786'."
        contracts.reject("dask", "be 'local', the address of a scheduler, or a Client", dask, remedy)
    with ExitStack() as stack:
        address = dask
        if dask == "local":
            n_workers = n_cores() if n_jobs in (1, -1) else n_jobs
            address = stack.enter_context(
                distributed.LocalCluster(n_workers=n_workers, threads_per_worker=1, dashboard_address=None)
            )
        contract = "be 'local' or the address of a scheduler with workers"
        client = stack.enter_context(cluster.connected(address, "dask", contract))
        with cluster.losses_said(KILLED):
            _check_cluster(client)
        yield client


def _check_cluster(client: Any) -> None:
    """The same bits need the same versions, and one thread in each worker (settings of threads are a process's)."""
    threads = set(client.nthreads().values())
    if threads - {1}:
        remedy = "Start them with --nthreads 1 and --nworkers N."
        contracts.reject("dask", "have workers of one thread each", contracts.Words(f"{max(threads)} threads"), remedy)
    here = worker_versions()
    try:
        everywhere = cluster.everywhere(client, worker_versions)
    except ImportError as error:
        contracts.reject(
            "dask",
            "have focalkit on every worker",
            contracts.Words(str(error)),
            'pip install "focalkit[tune,dask]" there.',
        )
    for worker, there in everywhere.items():
        for name in here:
            if here[name] != there[name]:
                remedy = "Install the same version there."
                contracts.reject(
                    "dask",
                    f"have {name} {here[name]} on every worker",
                    contracts.Words(f"{there[name]} on {worker}"),
                    remedy,
                )
