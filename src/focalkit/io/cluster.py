"""A Dask cluster: reached, and given work until nobody is left to do it, which is said in one line."""

from __future__ import annotations

import concurrent.futures
import functools
import itertools
import logging
import os
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from focalkit._core import contracts

CONNECT_SECONDS = 10
PATIENCE = 2.0
#: How long a cluster may be without workers, as it is while its only one is started anew, on a busy machine too.
ALONE_SECONDS = 60
#: After how long Dask lets a worker go that says nothing.
SILENT_SECONDS = 300
#: How often a piece of work may be lost: Dask's own number of deaths under one.
LOSSES = 3


def cancelled() -> tuple[type[BaseException], type[BaseException]]:
    """What work ends with that is waited for in vain."""
    import asyncio  # which takes a tenth of the time that a tuning run takes to load

    return asyncio.CancelledError, concurrent.futures.CancelledError


@contextmanager
def connected(address: Any, name: str, contract: str) -> Iterator[Any]:
    """A client of the scheduler at ``address`` that has a worker at least.

    Raises
    ------
    InputError
        About the argument ``name``, where within some seconds there is no scheduler or no worker.
    """
    import distributed

    remedy = "dask scheduler, then on each machine: dask worker ADDRESS --nworkers N --nthreads 1"
    try:
        client = distributed.Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:  # TimeoutError is an OSError
        contracts.reject(name, contract, contracts.Words(f"{address}: {_first_line(error)}"), remedy)
    with _without_logs(), client:
        try:
            client.wait_for_workers(1, timeout=CONNECT_SECONDS)
        except OSError as error:
            contracts.reject(name, contract, contracts.Words(f"{address}: {_first_line(error)}"), remedy)
        yield client


@contextmanager
def _without_logs() -> Iterator[None]:
    """Without the tracebacks that Dask's client logs of a lost connection, which is said in one line."""
    loggers = [logging.getLogger(name) for name in ("distributed.client", "tornado.application")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


class Work:
    """``function(shared, piece)`` for pieces on a cluster; what the cluster loses is sent anew.

    Dask itself computes anew what a worker that dies has under way. But scattered data is gone with the last worker
    that holds it, and with it all that waits for it; and everything is, where the connection to the scheduler breaks.
    A piece is given up after as many losses as Dask allows deaths under a piece.

    Parameters
    ----------
    scatters
        Whether ``shared`` is large: it goes to the workers once, instead of with every piece.
    retries
        How often a piece is computed again that ends in an error.
    """

    def __init__(
        self, client: Any, function: Callable[..., Any], shared: Any, *, scatters: bool = False, retries: int = 0
    ) -> None:
        self._client, self._function, self._shared = client, function, shared
        self._scatters, self._retries = scatters, retries
        self._there: Any = None if scatters else shared
        self._sent: dict[int, _Sent] = {}

    def results(self, pieces: Iterable[Any], *, ordered: bool = False) -> Generator[tuple[Any, Any], None, None]:
        """Each piece with its result: two for each worker are on their way at a time, or all of them, in their order.

        Raises
        ------
        ChildProcessError
            Where nobody is left to do the work.
        """
        waiting = enumerate(pieces)
        try:
            while True:
                room = None if ordered else max(0, 2 * max(1, self._n_workers()) - len(self._sent))
                for number, piece in itertools.islice(waiting, room):
                    self._send(number, piece, 0)
                if not self._sent:
                    return
                watched = [min(self._sent)] if ordered else list(self._sent)
                self._wait(watched)
                for number in watched:
                    for result in self._taken(self._sent[number]):
                        yield self._sent.pop(number).piece, result
                if any(number in self._sent and self._sent[number].lost for number in watched):
                    self._send_anew()
        finally:
            for sent in self._sent.values():
                sent.future.release()

    def _send(self, number: int, piece: Any, losses: int) -> None:
        if self._there is None:
            self._there = self._scattered()
        more = {"pure": False, "retries": self._retries}
        future = self._client.submit(self._function, self._there, piece, **more)
        self._sent[number] = _Sent(piece, self._there, future, losses)

    def _scattered(self) -> Any:
        for attempt in range(LOSSES + 1):
            self._wait_for_a_worker()
            try:
                to = {"workers": list(everywhere(self._client, os.getpid)), "broadcast": True}
                send = functools.partial(self._client.scatter, self._shared, **to, hash=False, asynchronous=True)
                return self._client.sync(send, callback_timeout=SILENT_SECONDS)
            except (OSError, *cancelled()):  # a worker died or stands still, or the connection broke
                if attempt == LOSSES:
                    raise
        raise AssertionError

    def _send_anew(self) -> None:
        """All pieces that are lost."""
        for number, sent in list(self._sent.items()):
            if sent.lost:
                if sent.losses == LOSSES:
                    sent.future.result()
                if self._scatters and sent.there is self._there:
                    self._there = None
                self._send(number, sent.piece, sent.losses + 1)

    def _wait(self, numbers: list[int]) -> None:
        """Wait until one of the pieces has come to an end, whatever that is, or for some seconds."""
        import distributed

        futures = [self._sent[number].future for number in numbers]
        try:
            with self._client.as_current():  # one of the caller's need not be the default, where wait() looks for it
                distributed.wait(futures, timeout=PATIENCE, return_when="FIRST_COMPLETED")
        except TimeoutError:
            self._wait_for_a_worker()
        except cancelled():
            pass  # some of them

    def _taken(self, sent: _Sent) -> tuple[Any, ...]:
        """The result alone, or nothing where there is none, or no longer."""
        if sent.future.status not in ("finished", "error"):
            return ()
        try:
            return (sent.future.result(timeout=CONNECT_SECONDS * 2**sent.losses),)
        except (OSError, *cancelled()):
            if sent.future.status == "error" or sent.losses == LOSSES:  # the work's own; or enough of it
                raise
        if not sent.lost:  # but its worker died, and Dask computes it anew
            sent.losses += 1
        return ()

    def _wait_for_a_worker(self) -> None:
        end = time.monotonic() + ALONE_SECONDS
        while not self._n_workers():
            gone = self._client.status == "closed"
            if gone or time.monotonic() > end:
                message = "the Dask scheduler is gone" if gone else "the Dask cluster has no worker left"
                raise ChildProcessError(message)
            time.sleep(0.1)

    def _n_workers(self) -> int:
        if self._client.status != "running":
            return 0
        try:
            return len(self._client.nthreads(callback_timeout=CONNECT_SECONDS))
        except (OSError, AttributeError, *cancelled()):  # the connection has just broken, or the client was closed
            return 0


@dataclass
class _Sent:
    """A piece under way, the shared data that it waits for, and how often it was lost."""

    piece: Any
    there: Any
    future: Any
    losses: int

    @property
    def lost(self) -> bool:
        """Whether the cluster knows nothing of it any more."""
        return str(self.future.status) == "cancelled"


def everywhere(client: Any, function: Callable[[], Any]) -> dict[str, Any]:
    """What each worker answers; those that do not, since they died or their machine stands still, are left out."""
    answers: dict[str, Any] = {}
    for worker in client.nthreads(callback_timeout=CONNECT_SECONDS):
        try:
            answers |= client.run(function, workers=[worker], callback_timeout=CONNECT_SECONDS)
        except (OSError, *cancelled()):
            continue
    if not answers:
        message = "no worker of the Dask cluster answers"
        raise ChildProcessError(message)
    return answers


@contextmanager
def losses_said(killed: str) -> Iterator[None]:
    """Turn what a cluster raises where it loses work into a ChildProcessError of one line."""
    from distributed import CancelledError, KilledWorker
    from distributed.comm.core import CommClosedError

    try:
        yield
    except ChildProcessError:
        raise
    except (KilledWorker, CommClosedError, CancelledError, *cancelled()) as error:
        raise ChildProcessError(killed) from error
    except OSError as error:
        if error.errno is not None:  # a file's, where the work read one: Dask's own have no number
            raise
        message = f"the Dask cluster does not answer: {_first_line(error)}"
        raise ChildProcessError(message) from error


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0] or type(error).__name__
