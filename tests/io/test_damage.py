"""Damage is refused and named, or left out whole; nothing is lost without a word."""

import io
import struct
import zipfile

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from focalkit import InputError
from focalkit.io import _streams, read_table
from focalkit.io.predictions import Trouble, batches, open_predictions

N = 5000
RNG = np.random.default_rng(0)
Z = RNG.normal(size=(N, 3))
Y = RNG.integers(0, 3, N)
ROWS = [b"%.4f,%.4f,%.4f,%s\n" % (*r, b"abc"[k : k + 1]) for r, k in zip(Z, Y, strict=True)]
HEAD = b"logit_a,logit_b,logit_c,target\n"


def taken(*paths, leave_out=False):
    trouble, parts = Trouble(leave_out), []
    source = open_predictions(paths, leave_out=leave_out)
    for piece in source.pieces:
        parts += list(batches(piece, trouble))
    return np.concatenate([b.logits for b in parts]), [*source.warnings, *trouble.said]


@pytest.mark.parametrize(
    ("line", "what"),
    [
        (b'1,"2,3,a\n', "an open quote"),
        (b"1,2\n", "2 columns"),
        (b"1,2,3,a,4\n", "5 columns"),
        (b"1,x,3,a\n", "no number"),
        (b"1,2,3,cow\n", "'cow' as target"),
        ("1,2,3,ÿ\n".encode("latin-1"), "'ÿ' as target"),
    ],
)
def test_a_bad_line_costs_itself_alone_and_is_named(tmp_path, line, what):
    path = tmp_path / "p.csv"
    path.write_bytes(HEAD + b"".join(ROWS[:3000]) + line + b"".join(ROWS[3000:]))
    with pytest.raises(InputError, match=r"3,?00[12]"):
        taken(path)
    logits, said = taken(path, leave_out=True)
    assert len(logits) == N
    assert any(what in text and ("3001" in text or "3002" in text) for text in map(str, said)), said


@pytest.mark.parametrize("quoted", [False, True])
def test_an_open_quote_among_quoted_rows_takes_no_other_row(tmp_path, quoted):
    rows = (
        [row.replace(b",", b',"', 1).replace(b",", b'",', 2).replace(b'",', b",", 1) for row in ROWS]
        if quoted
        else ROWS
    )
    path = tmp_path / "p.csv"
    path.write_bytes(HEAD + b"".join(rows[:2000]) + b'1,"2,3,a\n' + b"".join(rows[2000:]))
    logits, said = taken(path, leave_out=True)
    assert len(logits) == N
    assert sum("open quote" in text for text in said) == 1


def test_bytes_that_are_no_utf_8_in_a_text_that_is_cost_their_line(tmp_path):
    path = tmp_path / "p.csv"
    words = [row.replace(b",", b",\xc3\xa9,", 1) for row in ROWS]
    head = HEAD.replace(b",", b",note,", 1)
    path.write_bytes(head + b"".join(words[:3000]) + b"1,\xff\xfe,2,3,a\n" + b"".join(words[3000:]))
    with pytest.raises(InputError, match=r"line 3,002: bytes that are no UTF-8"):
        taken(path)
    logits, said = taken(path, leave_out=True)
    assert len(logits) == N
    assert any("line 3002" in text and "UTF-8" in text for text in said)


def test_rows_keep_their_numbers_behind_lines_that_are_left_out(tmp_path):
    path = tmp_path / "p.csv"
    path.write_bytes(
        HEAD + b"".join(ROWS[:10]) + b"1,2\n" + b"".join(ROWS[10:20]) + b'1,"2,3,a\n' + b"".join(ROWS[20:])
    )
    trouble = Trouble(True)
    parts = list(batches(open_predictions([path]).pieces[0], trouble))
    numbers = np.concatenate([b.row_of(np.arange(len(b.logits))) for b in parts])
    right = [i for i in range(1, N + 3) if i not in (11, 22)]
    assert numbers.tolist() == right


def flipped(data, at):
    data = bytearray(data)
    data[at] ^= 4
    return bytes(data)


def test_a_flipped_bit_in_a_parquet_page_is_found_by_its_checksum(tmp_path):
    out = io.BytesIO()
    made = pa.table({"logits": Z.tolist(), "label": Y})
    parquet.write_table(made, out, write_page_checksum=True, compression="none", use_dictionary=False)
    data = out.getvalue()
    (tmp_path / "p.parquet").write_bytes(flipped(data, data.find(Z[2500].tobytes()) + 6))
    with pytest.raises(InputError, match="file must be readable"):
        taken(tmp_path / "p.parquet")
    with pytest.raises(InputError, match="be a whole Parquet file"):
        read_table(tmp_path / "p.parquet")


def test_of_a_damaged_row_group_no_row_is_counted(tmp_path):
    out = io.BytesIO()
    made = pa.table({f"logit_{k}": Z[:, k] for k in range(3)} | {"label": Y})
    parquet.write_table(
        made, out, row_group_size=1000, write_page_checksum=True, compression="none", use_dictionary=False
    )
    data = out.getvalue()
    (tmp_path / "p.parquet").write_bytes(flipped(data, data.find(Z[2900, 2].tobytes()) + 6))
    logits, said = taken(tmp_path / "p.parquet", leave_out=True)
    np.testing.assert_array_equal(logits, np.delete(Z, np.s_[2000:3000], axis=0))
    assert any("row group 2 (rows 2,001 to 3,000)" in text for text in said)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_flipped_bit_in_an_npz_is_found_by_its_checksum(tmp_path, save):
    save(tmp_path / "p.npz", logits=Z, targets=Y)
    data = (tmp_path / "p.npz").read_bytes()
    (tmp_path / "p.npz").write_bytes(flipped(data, data.find(Z[2500].tobytes()) + 6 if save is np.savez else 60_000))
    for leave_out in (False, True):
        with pytest.raises(InputError, match=r"be a \.npz file"):
            taken(tmp_path / "p.npz", leave_out=leave_out)


def test_hostile_arrow_offsets_are_refused_before_use(tmp_path):
    made = pa.table({"logits": Z.tolist(), "label": Y})
    with pa.ipc.new_file(tmp_path / "p.arrow", made.schema) as writer:
        writer.write_table(made)
    data = bytearray((tmp_path / "p.arrow").read_bytes())
    offsets = np.arange(0, 3 * 100, 3, dtype=np.int32).tobytes()
    at = data.find(offsets)
    data[at + 400 : at + 404] = struct.pack("<i", 2**30)
    (tmp_path / "p.arrow").write_bytes(data)
    with pytest.raises(InputError):
        taken(tmp_path / "p.arrow")
    with pytest.raises(InputError, match="be a whole Arrow file"):
        read_table(tmp_path / "p.arrow")


def npy(header, data=b""):
    text = header.encode()
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text + data


HEADERS = {
    "brackets": npy("{'descr':'<f4','fortran_order':False,'shape':" + "(" * 3000 + "}\n"),
    "too large": npy("{'descr':'<f4','fortran_order':False,'shape':(1000000000000,3)}\n", b"\0" * 36),
    "negative": npy("{'descr':'<f4','fortran_order':False,'shape':(-3,3)}\n", b"\0" * 36),
    "objects": npy("{'descr':'|O','fortran_order':False,'shape':(3,)}\n", b"\0" * 36),
    "empty": b"",
}


@pytest.mark.parametrize("name", HEADERS)
@pytest.mark.parametrize("how", ["npy", zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_broken_headers_of_arrays_are_refused_in_one_line(tmp_path, name, how):
    np.save(tmp_path / "t.npy", np.zeros(3, int))
    if how == "npy":
        (tmp_path / "l.npy").write_bytes(HEADERS[name])
        paths = (tmp_path / "l.npy", tmp_path / "t.npy")
    else:
        with zipfile.ZipFile(tmp_path / "p.npz", "w", how) as archive:
            archive.writestr("logits.npy", HEADERS[name])
            archive.writestr("targets.npy", (tmp_path / "t.npy").read_bytes())
        paths = (tmp_path / "p.npz",)
    with pytest.raises(InputError, match=r"\.np[yz]") as error:
        taken(*paths)
    assert "\n" not in str(error.value)


def test_a_file_that_becomes_shorter_while_it_is_read_is_an_error_and_no_crash(tmp_path):
    np.save(tmp_path / "l.npy", np.zeros((300_000, 3)))
    np.save(tmp_path / "t.npy", np.zeros(300_000, int))
    source = open_predictions([tmp_path / "l.npy", tmp_path / "t.npy"])
    parts = batches(source.pieces[0], Trouble())
    next(parts)
    with open(tmp_path / "l.npy", "r+b") as stream:
        stream.truncate(2_000_000)
    with pytest.raises(InputError, match="has become shorter"):
        list(parts)


def test_memory_does_not_grow_with_the_rows_of_a_compressed_npz(tmp_path):
    import tracemalloc

    peak = {}
    for n in (200_000, 1_000_000):
        np.savez_compressed(tmp_path / "p.npz", logits=np.zeros((n, 10), "f4"), targets=np.zeros(n, "u1"))
        source = open_predictions([tmp_path / "p.npz"])
        tracemalloc.start()
        assert sum(len(b.logits) for piece in source.pieces for b in batches(piece, Trouble())) == n
        peak[n] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak[1_000_000] < 1.5 * peak[200_000]


@pytest.mark.parametrize("ending", ["csv", "parquet", "arrow", "npz"])
def test_out_of_memory_is_no_damage(tmp_path, ending, monkeypatch):
    made = pa.table({f"logit_{k}": Z[:, k] for k in range(3)} | {"label": Y})
    path = tmp_path / f"p.{ending}"
    if ending == "csv":
        path.write_bytes(HEAD + b"".join(ROWS))
    elif ending == "parquet":
        parquet.write_table(made, path)
    elif ending == "arrow":
        with pa.ipc.new_file(path, made.schema) as writer:
            writer.write_table(made)
    else:
        np.savez(path, logits=Z, targets=Y)

    def full(*_, **__):
        message = "malloc of size 64 failed"
        raise pa.ArrowMemoryError(message)

    monkeypatch.setattr("focalkit.io.batches.convert", full)
    monkeypatch.setattr("focalkit.io.predictions.arrays.batches", full)
    with pytest.raises(MemoryError):
        taken(path, leave_out=True)


def test_blocks_that_arrow_holds_are_told_apart():
    """Even those that somebody else has too, as Python has one object for each of b"" and b"x"."""
    shared = b"shared by the stream"

    class Stream:
        def __init__(self):
            self.blocks = [shared, b"x", b""]

        def read(self, size=-1):
            return self.blocks.pop(0)

    lent = _streams.Lent(Stream())
    views = [memoryview(lent.read()) for _ in range(3)]
    assert [bytes(view) for view in views] == [shared, b"x", b""]
    while views:
        assert len(lent.held()) == len(views)
        views.pop().release()
    assert not lent.held()
