"""Damage by structure: bytes, headers and footers above all; cells of a text, leaves of JSON, headers of arrays."""

from __future__ import annotations

import json
import struct
import zlib
from typing import Any

import numpy as np

INTEGERS = (0, 1, -1, 2, 127, 255, 2**15, 2**16 - 1, 2**31 - 1, -(2**31), 2**32 - 1, 2**40, 2**62, -(2**63))
CELLS = (
    b"", b'"', b'""', b'"a', b'a"b', b"\x00", b"\xff", b"\xc3", b"\xed\xa0\x80", b"\r", b"\n", b'"\n"', b"9" * 400,
    b"1e400", b"-1e-400", b"nan", b"-inf", b"0x1p3", b"1_000", b"1,5", b"1.000,5", b"\xe2\x80\xae", b"\x1b[31m", b"NA",
    b"#DIV/0!", b"12%", b"$5", "−3".encode(), b"\xc2\xa07", b"true", b"2020-01-01", b"'", b";", b",", b"\t", b"|",
)  # fmt: skip
LEAVES = (
    *(None, True, False, -1, 0, 1, 0.5, -0.5, 1e308, -1e308, 1e-320, 2**31, 2**63, 2**70, 10**400),
    *(float("nan"), float("inf")),
    "", "x", "1", "\x1b[2J", "\ud800", [], {}, [[]], [None], {"a": 1}, [1, [2]], "ledger", "9" * 5000,
)  # fmt: skip


SHAPES = ("()", "(-1,)", "(3,)", "(1, 1, 1)", "(999999999999, 9)", "(0,)", "('a',)", "(2.0, 2)", "None", "(3")
DTYPES = (
    *("'|O'", "'<f2'", "'>f8'", "'<c16'", "'|S7'", "'<U3'", "'<M8[s]'", "'|V8'", "'<f16'", "'|b1'", "'zzz'"),
    "[('a', '<f4')]",
)


def pick(rng: np.random.Generator, values: Any) -> Any:
    return values[int(rng.integers(len(values)))]


def place(rng: np.random.Generator, n: int) -> int:
    """Somewhere in n bytes: anywhere, near the beginning, or near the end."""
    where, near = rng.integers(3), int(rng.integers(min(n, 400)))
    return (int(rng.integers(n)), near, n - 1 - near)[where]


def flipped(data: bytes, rng: np.random.Generator) -> bytes:
    """One bit is another."""
    if not data:
        return data
    out = bytearray(data)
    out[place(rng, len(out))] ^= 1 << int(rng.integers(8))
    return bytes(out)


def of_bytes(data: bytes, rng: np.random.Generator) -> bytes:
    """One of the ways in which a file goes bad."""
    if not data:
        return bytes(rng.integers(0, 256, 8, np.uint8))
    at, n = place(rng, len(data)), int(2 ** rng.uniform(0, 8))
    kind = rng.integers(9)
    if kind <= 1:
        return flipped(data, rng)
    if kind == 2:
        return data[:at]
    if kind == 3:
        return data[:at] + data[at + n :]
    if kind == 4:
        return data[:at] + bytes(rng.integers(0, 256, n, np.uint8)) + data[at:]
    if kind == 5:
        return data[:at] + data[at : at + n] * 2 + data[at + n :]
    if kind == 6:
        return data[:at] + bytes([pick(rng, (0, 255, 10, 34, 127))]) + data[at + 1 :]
    form = pick(rng, ("<i", "<q", "<h", "b"))
    size = struct.calcsize(form)
    at -= at % size if kind == 7 else 0
    number = int(pick(rng, INTEGERS)) & (2 ** (8 * size) - 1)
    return data[:at] + number.to_bytes(size, "little") + data[at + size :]


def of_text(data: bytes, rng: np.random.Generator) -> bytes:
    """A cell, a line or their order."""
    lines = data.split(b"\n")
    at = int(rng.integers(len(lines)))
    kind = rng.integers(7)
    if kind <= 2:
        mark = pick(rng, (b",", b";", b"\t", b"|"))
        cells = lines[at].split(mark)
        cells[int(rng.integers(len(cells)))] = pick(rng, CELLS)
        lines[at] = mark.join(cells)
    elif kind == 3:
        lines.insert(at, lines[0])
    elif kind == 4:
        lines.insert(at, pick(rng, CELLS) * int(rng.integers(1, 4)))
    elif kind == 5:
        del lines[at]
    else:
        lines[at : at + 2] = [b"".join(lines[at : at + 2])]
    return b"\n".join(lines)


def of_json(value: Any, rng: np.random.Generator) -> Any:
    """Another value at a random leaf or branch; a key that is gone, new, or of another name."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        out, key = dict(value), pick(rng, list(value))
        kind = rng.random()
        if kind < 0.1:
            del out[key]
        elif kind < 0.15:
            out[key + "x"] = out.pop(key)
        elif kind < 0.2:
            out["more"] = pick(rng, LEAVES)
        else:
            out[key] = of_json(value[key], rng)
        return out
    if isinstance(value, list) and value and rng.random() < 0.9:
        out_, at = list(value), int(rng.integers(len(value)))
        kind = rng.random()
        if kind < 0.1:
            del out_[at]
        elif kind < 0.2:
            out_.insert(at, out_[at])
        else:
            out_[at] = of_json(value[at], rng)
        return out_
    if isinstance(value, float) and rng.random() < 0.3:
        return value * float(pick(rng, (-1, 2, 1e-9, 1 + 1e-12, 1e9)))
    if isinstance(value, int) and rng.random() < 0.3:
        return value + int(pick(rng, (-1, 1, 1000)))
    return pick(rng, LEAVES)


def dumped(value: Any) -> bytes:
    return json.dumps(value).encode("utf-8", "surrogatepass")


def of_npy(data: bytes, rng: np.random.Generator) -> bytes:
    """The header of an array says something else."""
    at = data.find(b"{")
    end = data.find(b"}", at)
    header = data[at : end + 1].decode("latin-1")
    shape = header[header.find("(") : header.find(")") + 1]
    dtype = header[header.find(": '") + 2 : header.find("',") + 1]
    ways = (shape, SHAPES), (dtype, DTYPES), ("False", ("True", "None", "'x'")), ("{", ("", "{{", "{'m': 1, "))
    was, now = pick(rng, ways)
    header = header.replace(was, pick(rng, now), 1)
    room = len(data[at : data.find(b"\n", at)]) - len(header)
    return data[:at] + header.encode("latin-1") + b" " * max(room, 0) + data[data.find(b"\n", at) :]


def of_journal(data: bytes, rng: np.random.Generator) -> bytes:
    """A record that says something else under a right checksum; or lines that go, come again or change places."""
    lines = data.splitlines(keepends=True)
    at = int(rng.integers(len(lines)))
    kind = rng.integers(4)
    if kind == 0:
        body = json.dumps(of_json(json.loads(lines[at])["kept"], rng), separators=(",", ":")).encode()
        lines[at] = b'{"crc32":"' + f"{zlib.crc32(body):08x}".encode() + b'","kept":' + body + b"}\n"
    elif kind == 1:
        del lines[at]
    elif kind == 2:
        lines.insert(int(rng.integers(len(lines) + 1)), lines[at])
    else:
        return of_bytes(data, rng)
    return b"".join(lines)
