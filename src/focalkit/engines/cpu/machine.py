"""The machine as the kernels use it: instruction set, threads, and the pool of memory for large results.

Large fresh results (1 MiB and more) lie in pooled memory: once an array is garbage, its memory is kept for the
next result, up to :func:`memory_limit` bytes (1 GiB unless set). :func:`held_memory` tells how much that is now and
:func:`release_memory` gives it back to the system.
"""

from __future__ import annotations

import math
import os
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from focalkit._core import contracts

try:
    from focalkit.engines import _cpu
except ImportError as error:
    message = (
        f"focalkit's compiled kernels could not be loaded ({error}). Install the package rather than running its "
        "source tree: pip install . (it needs a C++20 compiler, e.g. g++ 11 or later)"
    )
    raise ImportError(message) from error

_POOLED_FROM = 1 << 20
_asked = os.environ.get("FOCALKIT_INSTRUCTION_SET")
if _asked and _cpu.instruction_set() != _asked:
    warnings.warn(
        f"FOCALKIT_INSTRUCTION_SET={_asked!r} is not one this machine and build have; using {_cpu.instruction_set()!r}",
        RuntimeWarning,
        stacklevel=2,
    )


def instruction_set() -> str:
    """Name the instruction set in use: "avx512", "avx2" or "baseline" (what every machine of its kind has).

    The best that the machine has, unless the environment variable ``FOCALKIT_INSTRUCTION_SET`` names a lower one.
    """
    return _cpu.instruction_set()


def instruction_sets() -> tuple[str, ...]:
    """Name all instruction sets that this machine and build have, the best first."""
    return tuple(name for name in ("avx512", "avx2", "baseline") if _cpu.has_instruction_set(name))


def set_num_threads(threads: int | None) -> None:
    """Set how many threads a large call may use; None leaves it to OpenMP.

    Never more than OpenMP allows (``OMP_NUM_THREADS``, threadpoolctl), and small inputs stay on one.

    Parameters
    ----------
    threads : int >= 1 or None
        The most threads for one call.

    Raises
    ------
    InputError
        Where ``threads`` is anything else.

    Examples
    --------
    >>> set_num_threads(1)
    >>> get_num_threads()
    1
    >>> set_num_threads(None)
    """
    if threads is not None and (
        isinstance(threads, bool) or not isinstance(threads, int) or not 1 <= threads < 1 << 31
    ):
        contracts.reject("threads", "be an int of at least 1, or None", threads, "None leaves it to OpenMP.")
    _cpu.set_threads(threads or 0)


def get_num_threads() -> int:
    """How many threads a large call would use now."""
    return _cpu.threads()


def keep_pages() -> None:
    """Let glibc keep freed memory for the next array, instead of giving its pages back to the system.

    JAX and PyTorch take the memory of a large result anew in every call, and clearing fresh pages costs more than the
    loss. This is ``MALLOC_MMAP_THRESHOLD_`` and ``MALLOC_TRIM_THRESHOLD_`` for a process that runs already: it holds as
    much memory as it ever needed at a time, arrays of 2 GiB and more excepted, and there is no way back. NumPy's
    arrays need it not: results of this package have a pool of their own.

    Raises
    ------
    NotImplementedError
        Where the C library is not glibc, as on macOS, Windows and musl.

    Examples
    --------
    >>> keep_pages()  # doctest: +SKIP
    """
    import ctypes

    library: Any = None if os.name == "nt" else ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):
        message = "keep_pages() speaks to glibc, the C library of most Linux systems, which is not here: leave it out"
        raise NotImplementedError(message)
    trim_threshold, mmap_threshold, most = -1, -3, 2**31 - 1  # malloc.h
    if not (library.mallopt(mmap_threshold, most) and library.mallopt(trim_threshold, most)):
        message = "glibc did not take the thresholds of keep_pages()"
        raise OSError(message)


def held_memory() -> int:
    """Bytes of recycled memory held for later results."""
    return _cpu.held_memory()


def release_memory() -> int:
    """Give all recycled memory back to the system; returns how many bytes that was."""
    return _cpu.release_memory()


def memory_limit() -> int:
    """The most bytes that are ever held for later results."""
    return _cpu.memory_limit()


def set_memory_limit(limit: int) -> None:
    """Set the most bytes that are ever held for later results; 0 holds nothing."""
    if isinstance(limit, bool) or not isinstance(limit, int) or not 0 <= limit < 1 << 63:
        contracts.reject("limit", "be a number of bytes", limit, "0 holds nothing.")
    _cpu.set_memory_limit(limit)


def fresh(like: NDArray[Any]) -> NDArray[Any]:
    """An array of the same shape and dtype, in C order; large ones in pooled memory."""
    return empty(like.shape, like.dtype)


def empty(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """An array in C order; a large one in pooled memory."""
    nbytes = math.prod(shape) * dtype.itemsize
    if nbytes < _POOLED_FROM:
        return np.empty(shape, dtype)
    return np.ndarray(shape, dtype, memoryview(_cpu.Block(nbytes)))
