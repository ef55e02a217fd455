"""A Dask cluster: reached, waited for, and given up in one line where it has no workers left or does not answer."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from focalkit._core import contracts

CONNECT_SECONDS = 10
PATIENCE = 2.0
CANCELLED = (asyncio.CancelledError, concurrent.futures.CancelledError)


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
    logger = logging.getLogger("distributed.client")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)


class Watch:
    """Waits for pieces of work, and gives up where nobody is left to do them."""

    def __init__(self, client: Any) -> None:
        self.client, self._alone = client, 0.0

    def done(self, futures: Collection[Any]) -> Collection[Any]:
        """Those of ``futures`` that are done: one at least, or none after some seconds."""
        import distributed

        try:
            with self.client.as_current():  # wait() looks for one, and a client of the caller's need not be the default
                found = distributed.wait(list(futures), timeout=PATIENCE, return_when="FIRST_COMPLETED").done
        except TimeoutError:
            there = self.client.status == "running" and self.client.nthreads()
            self._alone = 0.0 if there else self._alone + PATIENCE
            if self._alone >= CONNECT_SECONDS:
                message = f"the Dask cluster has no worker left ({self.client.status})"
                raise ChildProcessError(message) from None
            return ()
        self._alone = 0.0
        return found  # type: ignore[no-any-return]


@contextmanager
def losses_said(killed: str) -> Iterator[None]:
    """Turn what a cluster raises where it loses work into a ChildProcessError of one line."""
    from distributed import CancelledError, KilledWorker
    from distributed.comm.core import CommClosedError

    try:
        yield
    except ChildProcessError:
        raise
    except (KilledWorker, CommClosedError, CancelledError, *CANCELLED) as error:
        raise ChildProcessError(killed) from error
    except OSError as error:
        if error.errno is not None:  # a file's, where the work read one: Dask's own have no number
            raise
        message = f"the Dask cluster does not answer: {_first_line(error)}"
        raise ChildProcessError(message) from error


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0]
