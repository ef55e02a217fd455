"""Threads of the BLAS that computes NumPy's products: one for the many small ones of a fit, all for a large one.

A product on several threads ends when the last has done its share. OpenBLAS waits for it by asking the scheduler for
other work again and again, and its idle threads do the same for a while; where another program, or another pool of
threads, has taken the processors, each of a thousand products waits for slices of other people's time.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

LARGE = 1 << 30
"""Multiplications and additions of a product that is worth threads: some ten milliseconds of one."""

_lock = threading.Lock()
_fits = 0
_found: list[tuple[Any, int]] = []
"""Each BLAS, and the threads that it had before the first of the fits that run now."""


def _in_a_copy() -> None:
    """Of this process, which has none of the fits that run in its other threads."""
    global _lock, _fits
    _lock, fits, _fits = threading.Lock(), _fits, 0
    if fits:
        _set(None)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_a_copy)


@cache
def _libraries() -> list[Any]:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(user_api="blas").lib_controllers  # type: ignore[no-any-return]


@contextmanager
def on_one_thread() -> Iterator[None]:
    """Products that are not large have one thread in here; the last of several fits at once restores what was."""
    global _fits
    with _lock:
        if not _fits:
            _found[:] = [(library, library.get_num_threads()) for library in _libraries()]
            _set(1)
        _fits += 1
    try:
        yield
    finally:
        with _lock:
            _fits -= 1
            if not _fits:
                _set(None)


@contextmanager
def product_of(operations: int) -> Iterator[None]:
    """Within :func:`on_one_thread`, a large product has the threads that were found."""
    if operations < LARGE:
        yield
        return
    with _lock:
        _set(None)
    try:
        yield
    finally:
        with _lock:
            if _fits:
                _set(1)


def _set(threads: int | None) -> None:
    """So many threads for every BLAS; None: as many as were found."""
    for library, found in _found:
        if found > 1:
            library.set_num_threads(threads or found)
