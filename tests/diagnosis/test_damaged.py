"""What is damaged is named, with its row or row group, and the rest is usable on request."""

import io

import numpy as np
import pyarrow.parquet as pq
import pytest

from focalkit import InputError, LossSpec, diagnose
from focalkit.diagnosis.scan import Job, scan
from focalkit.io.predictions import open_predictions
from tests.diagnosis.test_formats import K, ledger_of, table
from tests.diagnosis.test_ledger import predictions, same


@pytest.fixture(scope="module")
def data():
    logits, targets = predictions(n=3000, k=K)
    return logits.astype(np.float32), targets


def test_a_damaged_row_group_is_named_and_the_rest_usable(data, tmp_path):
    buffer = io.BytesIO()
    pq.write_table(table(*data), buffer, row_group_size=1000, compression="zstd")
    broken = bytearray(buffer.getvalue())
    start = pq.ParquetFile(buffer).metadata.row_group(1).column(1).data_page_offset
    broken[start - 200 : start + 400] = b"\xff" * 600
    (tmp_path / "p.parquet").write_bytes(broken)
    with pytest.raises(InputError, match=r"row group 1 \(rows 1,001 to 2,000\) of p.parquet"):
        ledger_of(tmp_path / "p.parquet")
    found = ledger_of(tmp_path / "p.parquet", leave_out=True)
    assert found.ledger.n_samples == 2000
    assert "row group 1" in found.said[0]


def test_a_truncated_file_among_others_is_named_and_the_rest_usable(data, tmp_path):
    pq.write_table(table(*data), tmp_path / "a.parquet")
    (tmp_path / "b.parquet").write_bytes((tmp_path / "a.parquet").read_bytes()[:-100])
    with pytest.raises(InputError, match=r"b\.parquet"):
        ledger_of(tmp_path)
    found = ledger_of(tmp_path, leave_out=True)
    assert found.ledger.n_samples == 3000
    assert "b.parquet" in found.said[0]


@pytest.mark.parametrize("kind", ["nan", "inf", "target", "masked"])
def test_an_unusable_row_is_named_by_its_number_in_the_file(data, tmp_path, kind):
    z, y = data[0].copy(), data[1].copy()
    z[2345, 1] = {"nan": np.nan, "inf": np.inf, "masked": -np.inf}.get(kind, 0)
    y[2345] = 7 if kind == "target" else 1
    pq.write_table(table(z, y), tmp_path / "p.parquet", row_group_size=1000)
    with pytest.raises(InputError, match=r"row 2346\b.*p\.parquet"):
        ledger_of(tmp_path / "p.parquet")
    found = ledger_of(tmp_path / "p.parquet", leave_out=True)
    assert found.ledger.n_samples == 2999
    assert "row 2346" in found.said[0]


def test_csv_rows_of_another_length_and_text_for_numbers_are_left_out_on_request(tmp_path):
    path = tmp_path / "p.csv"
    path.write_text("a,b,y\n1,2,0\n1,2\n3,1,1\n")
    with pytest.raises(InputError, match="Expected 3 columns"):
        ledger_of(path)
    found = ledger_of(path, leave_out=True)
    assert found.ledger.n_samples == 2
    assert "2 columns" in found.said[0]
    (tmp_path / "q.csv").write_text("a,b,y\n1,two,0\n")
    with pytest.raises(InputError, match=r"q.csv: column 'b': line 2: .*two"):
        ledger_of(tmp_path / "q.csv")
    found = ledger_of(tmp_path, leave_out=True)
    assert found.ledger.n_samples == 2
    assert "left out: row 1 of q.csv (no number)" in found.said


def test_lines_of_a_csv_that_cannot_be_used_leave_the_others_and_their_numbers(data, tmp_path):
    logits, targets = data
    lines = [",".join(repr(float(v)) for v in z) + f",{t}" for z, t in zip(logits[:400], targets[:400], strict=True)]
    lines[2] = lines[2].replace(",", ",x", 1)
    lines[9] += ",7,8"
    lines[20] = "1,2"
    lines[300] = "-9" + lines[300][lines[300].index(",") :]
    lines[300] = lines[300].rsplit(",", 1)[0] + ",0"
    path = tmp_path / "p.csv"
    path.write_text("a,b,c,d,y\n" + "\n".join(lines))
    source = open_predictions([path], leave_out=True)
    found = scan(source, Job(LossSpec(gamma=2.0), K, ("a", "b", "c", "d"), hardest=1, leave_out=True))
    assert found.ledger.n_samples == 397
    assert "left out: row 3 of p.csv (no number)" in found.said
    assert {"left out: line 11 of p.csv (7 columns)", "left out: line 22 of p.csv (2 columns)"} <= set(found.said)
    assert found.hardest.rows()[0][0].row == 301
    kept = np.delete(np.arange(400), [2, 9, 20])
    z, ids = logits[:400].astype(float), targets[:400].copy()
    z[300, 0], ids[300] = -9, 0
    same(found.ledger, diagnose(z[kept], ids[kept], LossSpec(gamma=2.0), class_names=list("abcd")), exactly=False)
