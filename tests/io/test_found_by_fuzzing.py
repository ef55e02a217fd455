"""What the fuzzer of files met: each was a traceback, other numbers in silence, or a name that was lost."""

import gzip
import io
import json
import os
import re
import subprocess
import sys
import threading
import zipfile

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import csv, ipc, parquet

from focalkit import InputError, Ledger, diagnose
from focalkit.decisions import DecisionRule, decide
from focalkit.diagnosis import diagnose_files
from focalkit.io import read_table

RNG = np.random.default_rng(0)
TABLE = pa.table({"a": RNG.normal(size=500), "b": RNG.normal(size=500), "label": RNG.integers(0, 2, 500)})


def flipped(data, at):
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def arrow_file():
    out = io.BytesIO()
    with ipc.new_file(out, TABLE.schema) as writer:
        writer.write_table(TABLE)
    return out.getvalue()


def test_a_flipped_bit_in_a_compressed_arrow_file_is_found_by_its_checksum(tmp_path):
    inside = gzip.compress(arrow_file(), compresslevel=0)  # the bytes lie in it as they are
    at = inside.find(TABLE["a"].to_numpy()[200].tobytes())
    (tmp_path / "t.arrow.gz").write_bytes(flipped(inside, at))
    with pytest.raises(InputError, match=r"be a whole \.gz file; got t\.arrow\.gz: CRC"):
        read_table(tmp_path / "t.arrow.gz", "label")


@pytest.mark.parametrize("read", [read_table, diagnose_files])
def test_a_damaged_parquet_file_in_a_zip_archive_is_refused_in_words(tmp_path, read):
    inside, out = io.BytesIO(), io.BytesIO()
    parquet.write_table(TABLE, inside)
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("t.parquet", inside.getvalue())
    (tmp_path / "t.zip").write_bytes(flipped(out.getvalue(), 900))
    with pytest.raises(InputError, match=r"be a whole \.zip file; got t\.parquet: Bad CRC-32"):
        read(tmp_path / "t.zip")


def test_an_archive_whose_directory_lost_arrays_is_refused(tmp_path):
    path = tmp_path / "t.npz"
    np.savez(path, X=RNG.normal(size=(50, 2)), y=RNG.integers(0, 2, 50), weights=np.ones(50))
    data = path.read_bytes()
    first, second, third = (found.start() for found in re.finditer(b"PK\x01\x02", data))
    comment = first + 32  # the length of the first entry's comment: the next entry becomes part of it
    path.write_bytes(data[:comment] + bytes([third - second]) + data[comment + 1 :])
    with pytest.raises(InputError, match=r"the archive's directory names 2 of its 3 arrays"):
        read_table(path)


def test_the_name_of_a_single_feature_of_an_npz_is_its_own(tmp_path):
    np.savez(tmp_path / "t.npz", X=RNG.normal(size=(50, 1)), y=RNG.integers(0, 2, 50), feature_names=["age"])
    assert read_table(tmp_path / "t.npz").feature_names == ("age",)


def test_names_that_are_no_utf_8_are_refused(tmp_path):
    data = arrow_file().replace(b"label", b"la\xffel")
    (tmp_path / "t.arrow").write_bytes(data)
    for read in (read_table, diagnose_files):
        with pytest.raises(InputError, match="hold its names and texts in UTF-8"):
            read(tmp_path / "t.arrow")


def test_texts_that_are_no_utf_8_in_json_are_refused(tmp_path):
    rows = b"".join(b'{"a": %d.5, "label": "%s"}\n' % (i, b"x\xa3" if i % 2 else b"y") for i in range(40))
    (tmp_path / "t.jsonl").write_bytes(rows)
    with pytest.raises(InputError, match="file must be JSON rows"):
        read_table(tmp_path / "t.jsonl")


def test_control_characters_of_a_file_stay_out_of_the_words_about_it(tmp_path):
    (tmp_path / "t.csv").write_bytes(b"a,b,label\n" + b"1,2,x\n3,4,y\n" * 30 + b"\x1b[31m\n")
    with pytest.raises(InputError) as info:
        read_table(tmp_path / "t.csv")
    assert "\x1b" not in str(info.value)
    assert "\\x1b[31m" in str(info.value)


def test_a_logit_beyond_float32_has_a_probability(tmp_path):
    z = RNG.normal(size=(60, 3))
    z[7, 1] = 1e300
    np.savez(tmp_path / "p.npz", logits=z, targets=np.arange(60) % 3)
    found = diagnose_files(tmp_path / "p.npz")
    assert found.ledger.n_samples == 60
    assert found.remedies is not None


def test_a_ledger_of_infinitely_many_classes_is_refused():
    document = json.loads(diagnose(RNG.normal(size=(9, 2)), np.arange(9) % 2).to_json())
    with pytest.raises(InputError, match="be the whole JSON of a ledger"):
        Ledger.from_json(json.dumps(document | {"n_classes": float("inf")}))


@pytest.mark.parametrize(
    "change",
    [
        {"weights": ["x", 1.0]},
        {"weights": [1.0, 1.0, 1.0, 1.0]},
        {"weights": [{}, 1.0]},
        {"matrix": [[1.0]]},
        {"steps": ["Beta"]},
        {"steps": [{"step": "EachLabel", "labels": [[]]}]},
    ],
)
def test_what_cannot_decide_is_no_decision_rule(change):
    p = RNG.dirichlet(np.ones(3), 90)
    document = json.loads(decide(p, np.arange(90) % 3, "balanced_accuracy").to_json())
    assert document["rule"] == "Weighted"
    assert len(DecisionRule.from_json(json.dumps(document)).decide(p)) == 90
    with pytest.raises(InputError, match=r"rule must be whole"):
        DecisionRule.from_json(json.dumps(document | change))


def test_a_table_is_handed_over_only_when_no_thread_of_arrow_holds_its_file(tmp_path, monkeypatch):
    """One that lets go of it while Python ends aborts the process."""
    held = []

    def read_csv(source, *more, of=csv.read_csv):
        held.append(source)
        threading.Timer(0.3, held.clear).start()
        return of(source, *more)

    monkeypatch.setattr(csv, "read_csv", read_csv)
    (tmp_path / "t.csv").write_text("a,b,y\n" + "1.5,2,x\n3.5,4.5,z\n" * 40)
    read_table(tmp_path / "t.csv")
    assert not held


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_processes_that_end_just_after_reading_a_table_end_well(tmp_path):
    (tmp_path / "t.csv").write_text("a,b,y\n" + "1.5,2,x\n3.5,4.5,z\n" * 4000)
    code = """
import os, sys
import pandas, pyarrow.compute, pyarrow.csv
from focalkit.io import read_table
ends = []
for _ in range(6):
    pid = os.fork()
    if not pid:
        read_table(sys.argv[1])
        sys.exit(0)
    ends.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
print(set(ends))
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "t.csv")], capture_output=True, text=True)
    assert done.stdout == "{0}\n", done.stderr


@pytest.mark.parametrize(
    "note", [b'{"index_columns": 5}', b"[1]", b"null", b"[" * 100_000, b"\xff", b'{"index_columns": [{}, 3]}']
)
def test_what_pandas_is_said_to_have_noted_may_be_anything(tmp_path, note):
    table = pa.table({"a": np.arange(40.0), "y": ["x", "z"] * 20})
    parquet.write_table(table.replace_schema_metadata({b"pandas": note}), tmp_path / "t.parquet")
    assert list(read_table(tmp_path / "t.parquet").feature_names) == ["a"]
