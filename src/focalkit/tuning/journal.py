"""A journal of finished units, so that a killed run goes on where it was, and several processes share one.

The file is append-only: one JSON line a record, with a CRC-32 of its bytes, written in one call under
an exclusive lock and flushed to the disk. A line that fails its checksum (the torn end of a killed
writer) is not taken, and its unit is done again. The first record says what run this is.

A unit is claimed by a lock on one byte far behind the end of the file. The kernel drops the locks of
a process that dies, however it dies, so that no claim can go stale and nothing has to guess a timeout.

Optuna's JournalStorage was weighed: it keeps trials, not folds, shows a killed process's trials as
running for ever, and would be needed by those who search nothing. Since draws do not depend on
scores (see ``trials``), there is no state of a search to keep either.
"""

from __future__ import annotations

import base64
import json
import math
import os
import stat
import threading
import zlib
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from focalkit._core import contracts
from focalkit.io.atomic import naming
from focalkit.tuning.units import Unit, UnitScores

START = b'{"crc32":"'
MALFORMED = KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError
CLAIMS = 1 << 40
"""Locks on bytes from here on: this one for appending, the next ones for the units."""


class Journal:
    """An open journal; ``done`` holds the units read so far.

    Parameters
    ----------
    path : path
        Made where it does not exist.
    identity : mapping of str to str
        What the results depend on; a journal with another one is refused.
    plans : sequence of str
        A fingerprint of each plan's cells, by its position.
    n_folds : int
        Folds of each plan.

    Raises
    ------
    InputError
        Where the file is no journal, or that of another run.
    """

    def __init__(self, path: Path, identity: Mapping[str, str], plans: list[str], n_folds: int) -> None:
        try:
            import fcntl
        except ImportError:  # pragma: no cover - other systems
            contracts.reject("journal", "be used where POSIX locks are", os.name, "Drop it: the result is the same.")
        self._fcntl: Any = fcntl
        self._path, self._plans, self._n_folds = path, plans, n_folds
        self._read, self._mutex = 0, threading.Lock()
        self._identity, self._begun = dict(identity), False
        self.done: dict[Unit, UnitScores] = {}
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        if not stat.S_ISREG(os.fstat(self._file).st_mode):
            contracts.reject("journal", "be a file on a disk, no pipe and no device", self._path, "Name a new file.")
        with self._mutex, _Lock(self):
            begin = os.pread(self._file, len(START), 0)
            if not START.startswith(begin):
                contracts.reject("journal", "be a journal of focalkit tune", self._path, "Name a new file.")
            self._take_lines()
            if not self._begun:
                if self._read == 0:
                    os.ftruncate(self._file, 0)  # at most a first line that was torn
                self._append({"run": self._identity})
                self._begun = True

    def _compare(self, there: dict[str, str]) -> None:
        """Refuse the journal of another run, and name what differs."""
        here = self._identity
        names = [name for name in {**here, **there} if here.get(name) != there.get(name)]
        if names:
            said = {name: there.get(name, "none")[:200] for name in names[:20]}
            differences = "; ".join(f"{n[:60]}: there {was}, here {here.get(n, 'none')}" for n, was in said.items())
            contract = "be of the same data, seed, options and versions"
            contracts.reject("journal", contract, self._path.name, f"It differs in {differences}. Name another file.")

    def refresh(self) -> list[Unit]:
        """Read what was appended since the last time; the units that are new."""
        with self._mutex:
            return self._take_lines()

    def claim(self, unit: Unit) -> bool:
        """Take a unit, unless it is done or another process has it."""
        with self._mutex:
            try:
                self._fcntl.lockf(self._file, self._fcntl.LOCK_EX | self._fcntl.LOCK_NB, 1, self._slot(unit))
            except OSError:
                return False
            self._take_lines()  # it may have been finished, and let go, since the last reading
            if unit in self.done:
                self._release(unit)
            return unit not in self.done

    def keep(self, unit: Unit, found: UnitScores) -> None:
        """Append a finished unit and let its claim go."""
        record = {
            "unit": list(unit),
            "cells": self._plans[unit.plan],
            "scores": found.scores.tolist(),
            "decided": _packed(found.decided),
            **({} if found.measured is None else {"measured": _packed(found.measured)}),
            "ce_logits": None if found.ce_logits is None else _packed(found.ce_logits),
            "n_unconverged": found.n_unconverged,
        }
        with self._mutex:
            with _Lock(self):
                self._append(record)
            self._release(unit)

    def close(self) -> None:
        """Let all claims go."""
        os.close(self._file)

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _slot(self, unit: Unit) -> int:
        return CLAIMS + 1 + unit.plan * self._n_folds + unit.fold

    def _release(self, unit: Unit) -> None:
        self._fcntl.lockf(self._file, self._fcntl.LOCK_UN, 1, self._slot(unit))

    def _append(self, record: dict[str, Any]) -> None:
        """Write a line and flush it; a torn end of another writer is closed first."""
        body = json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode()
        line = START + f'{zlib.crc32(body):08x}","kept":'.encode() + body + b"}\n"
        size = os.fstat(self._file).st_size
        if size and os.pread(self._file, 1, size - 1) != b"\n":
            line = b"\n" + line
        with naming(self._path):
            while line:
                line = line[os.write(self._file, line) :]
            os.fsync(self._file)

    def _take_lines(self) -> list[Unit]:
        """Read whole lines from where the last reading ended."""
        size = os.fstat(self._file).st_size
        text = bytearray()
        while self._read + len(text) < size:
            part = os.pread(self._file, 1 << 24, self._read + len(text))
            if not part:
                break
            text += part
        whole = text[: text.rfind(b"\n") + 1]
        self._read += len(whole)
        fresh: list[Unit] = []
        for line in whole.splitlines():
            body = _checked(line)
            if body is None:
                if not self._begun:
                    remedy = "Without it nothing says whose results follow: name another file."
                    contracts.reject("journal", "begin with the line that says what run it is", self._path, remedy)
                continue
            try:
                self._take(json.loads(body), fresh)
            except (*MALFORMED, zlib.error) as error:
                if isinstance(error, contracts.InputError):
                    raise
                said = body.decode(errors="replace")
                got = contracts.Words(f"{self._path}, {said[:60]}{'…' if len(said) > 60 else ''}")
                remedy = "Another program or version wrote it: name another file."
                contracts.reject("journal", "hold records of this version of focalkit tune", got, remedy)
        return fresh

    def _take(self, record: Any, fresh: list[Unit]) -> None:
        """Take a record whose checksum agrees; one of another form raises whatever comes of it."""
        if "run" in record:
            self._compare({str(name): str(value) for name, value in dict(record["run"]).items()})
            self._begun = True
            return
        if not self._begun:
            raise ValueError(record)
        plan, fold = record["unit"]
        if not (type(plan) is type(fold) is int and 0 <= fold < self._n_folds and plan >= 0):
            raise ValueError(record)
        unit = Unit(plan, fold)
        if plan >= len(self._plans) or unit in self.done:
            return
        if record["cells"] != self._plans[plan]:
            remedy = "Another space or another version of Optuna drew them: name another file."
            contracts.reject("journal", "hold the same draws", contracts.Words(f"{self._path}, plan {plan}"), remedy)
        self.done[unit] = _scores(record)
        fresh.append(unit)


class _Lock:
    """The exclusive right to append."""

    def __init__(self, journal: Journal) -> None:
        self._fcntl, self._file = journal._fcntl, journal._file

    def __enter__(self) -> None:
        self._fcntl.lockf(self._file, self._fcntl.LOCK_EX, 1, CLAIMS)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._fcntl.lockf(self._file, self._fcntl.LOCK_UN, 1, CLAIMS)


def _checked(line: bytes | bytearray) -> bytes | None:
    """The record of a line as JSON, or None where its checksum does not agree."""
    head = len(START) + len('00000000","kept":')
    body = bytes(line[head:-1])
    begin = START + f'{zlib.crc32(body):08x}","kept":'.encode()
    return body if bytes(line) == begin + body + b"}" else None


def _packed(array: NDArray[Any]) -> dict[str, Any]:
    kind = "float64" if array.dtype.kind == "f" else "int32"
    data = np.ascontiguousarray(array, "<f8" if kind == "float64" else "<i4").tobytes()
    return {"shape": list(array.shape), kind: base64.b64encode(zlib.compress(data, 1)).decode()}


def _unpacked(record: Any, kind: str, n_axes: int) -> NDArray[Any]:
    shape = tuple(map(int, record["shape"]))
    if len(shape) != n_axes or min(shape, default=0) < 0:
        raise ValueError(shape)
    n_bytes = math.prod(shape) * (8 if kind == "float64" else 4)
    # no more than it says: a line of a megabyte may hold a gigabyte
    text = zlib.decompressobj().decompress(base64.b64decode(record[kind]), n_bytes + 1)
    if len(text) != n_bytes:
        raise ValueError(len(text))
    data = np.frombuffer(text, "<f8" if kind == "float64" else "<i4")
    return data.astype(np.float64 if kind == "float64" else np.int32).reshape(shape)


def _scores(record: dict[str, Any]) -> UnitScores:
    logits = record["ce_logits"]
    if logits is not None:
        logits = _unpacked(logits, "float64", len(logits["shape"]))
    scores = np.array(record["scores"], np.float64)
    decided = _unpacked(record["decided"], "int32" if "int32" in record["decided"] else "float64", 4)
    if scores.ndim != 2 or len(scores) != len(decided):
        raise ValueError(scores.shape)
    measured = _unpacked(record["measured"], "float64", 2) if "measured" in record else None
    stopped = record["n_unconverged"]
    if type(stopped) is not int or not 0 <= stopped < 1 << 31:
        raise ValueError(stopped)
    return UnitScores(scores, decided, logits, stopped, measured)
