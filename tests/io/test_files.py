"""Formats and compression: what people have is read, and anything else is named in one line without its bytes."""

import bz2
import gzip
import http.server
import io
import json
import lzma
import pickle
import threading
import zipfile

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import feather, parquet

from focalkit import InputError
from focalkit.io import read_table
from focalkit.io.predictions import Trouble, batches, open_predictions

N = 60
RNG = np.random.default_rng(0)
A, B, Y = RNG.normal(size=N).round(3), RNG.normal(size=N).round(3), np.arange(N) % 3
TABLE = pa.table({"a": A, "b": B, "label": np.array(["x", "y", "z"])[Y]})
CSV = ("a,b,label\n" + "".join(f"{a},{b},{'xyz'[y]}\n" for a, b, y in zip(A, B, Y, strict=True))).encode()
Z = RNG.normal(size=(N, 3))
PREDICTED = (
    "logit_x,logit_y,logit_z,label\n" + "".join(f"{z[0]},{z[1]},{z[2]},{'xyz'[y]}\n" for z, y in zip(Z, Y, strict=True))
).encode()


def zstandard(data):
    return pa.compress(data, codec="zstd", asbytes=True)


def zipped(data, name="t.csv"):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)
    return out.getvalue()


PACKED = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress, ".zst": zstandard, ".zip": zipped}


def logits_of(path):
    parts = [batch for piece in open_predictions([path]).pieces for batch in batches(piece, Trouble())]
    return np.concatenate([part.logits for part in parts]), np.concatenate([part.targets for part in parts])


def whole(table):
    np.testing.assert_allclose(table.X, np.stack([A, B], axis=1))
    assert table.y.tolist() == [*"xyz"] * (N // 3)


def test_an_archive_in_an_archive_is_named(tmp_path):
    (tmp_path / "t.zip").write_bytes(zipped(gzip.compress(CSV), "t.csv.gz"))
    with pytest.raises(InputError, match="an archive in an archive"):
        read_table(tmp_path / "t.zip")


@pytest.mark.parametrize("name", ["t.dat", "table", "t.csv.txt", "data.CSV"])
def test_the_only_file_of_an_archive_may_be_called_anything(tmp_path, name):
    (tmp_path / "t.zip").write_bytes(zipped(CSV, name))
    whole(read_table(tmp_path / "t.zip"))


@pytest.mark.parametrize("ending", PACKED)
@pytest.mark.parametrize("said", [True, False])
def test_compressed_texts_are_read_by_both_whatever_they_are_called(tmp_path, ending, said):
    (tmp_path / f"t.csv{ending if said else ''}").write_bytes(PACKED[ending](CSV))
    whole(read_table(tmp_path / f"t.csv{ending if said else ''}"))
    (tmp_path / f"p.csv{ending if said else ''}").write_bytes(PACKED[ending](PREDICTED))
    logits, targets = logits_of(tmp_path / f"p.csv{ending if said else ''}")
    np.testing.assert_allclose(logits, Z)
    assert targets.tolist() == Y.tolist()


def stream(table):
    out = io.BytesIO()
    with pa.ipc.new_stream(out, table.schema) as writer:
        writer.write_table(table)
    return out.getvalue()


def file(table):
    out = io.BytesIO()
    with pa.ipc.new_file(out, table.schema) as writer:
        writer.write_table(table)
    return out.getvalue()


def parquet_of(table):
    out = io.BytesIO()
    parquet.write_table(table, out)
    return out.getvalue()


def feather_of(table):
    out = io.BytesIO()
    feather.write_feather(table, out)
    return out.getvalue()


def arff_of(table):
    del table
    head = (
        "% made\n@RELATION t\n@attribute 'a' numeric\n@ATTRIBUTE b real [-9, 9]\n@attribute label {x, 'y', z}\n@DATA\n"
    )
    return (head + "".join(f"{a}, {b}, {'xyz'[y]}\n" for a, b, y in zip(A, B, Y, strict=True))).encode()


FORMS = {
    "t.parquet": parquet_of,
    "t.arrow": stream,
    "u.arrow": file,
    "t.feather": feather_of,
    "t.jsonl": lambda t: "\n".join(map(json.dumps, t.to_pylist())).encode(),
    "t.json": lambda t: json.dumps(t.to_pylist()).encode(),
    "u.json": lambda t: json.dumps(t.to_pydict()).encode(),
    "v.json": lambda t: json.dumps(
        {"columns": t.column_names, "data": [[*r.values()] for r in t.to_pylist()]}
    ).encode(),
    "t.arff": arff_of,
    "t.dat": arff_of,
    "t.tsv": lambda _: CSV.replace(b",", b"\t"),
}


@pytest.mark.parametrize("name", FORMS)
def test_formats_are_read(tmp_path, name):
    (tmp_path / name).write_bytes(FORMS[name](TABLE))
    whole(read_table(tmp_path / name))


@pytest.mark.parametrize("name", [name for name in FORMS if name not in ("t.arff", "t.dat", "t.tsv")])
def test_predictions_of_the_same_formats_are_read(tmp_path, name):
    made = pa.table({"logit_x": Z[:, 0], "logit_y": Z[:, 1], "logit_z": Z[:, 2], "label": TABLE["label"]})
    (tmp_path / name).write_bytes(FORMS[name](made))
    logits, targets = logits_of(tmp_path / name)
    np.testing.assert_allclose(logits, Z)
    assert targets.tolist() == Y.tolist()


def test_what_save_to_disk_leaves_is_a_folder_of_tables(tmp_path):
    made = pa.table({"logits": Z.tolist(), "label": Y})
    for i in range(2):
        (tmp_path / f"data-0000{i}-of-00002.arrow").write_bytes(stream(made.slice(30 * i, 30)))
    (tmp_path / "state.json").write_text("{}")
    (tmp_path / "dataset_info.json").write_text("{}")
    np.testing.assert_allclose(logits_of(tmp_path)[0], Z)


def test_files_folders_and_globs_are_put_one_below_the_other(tmp_path):
    for i in range(3):
        parquet.write_table(TABLE.slice(20 * i, 20), tmp_path / f"{i}.parquet")
    for source in (tmp_path, f"{tmp_path}/*.parquet", [tmp_path / f"{i}.parquet" for i in range(3)]):
        whole(read_table(source))
    parquet.write_table(TABLE.rename_columns(["a", "c", "label"]), tmp_path / "3.parquet")
    with pytest.raises(InputError, match=r"3\.parquet.*same columns|same columns.*3\.parquet"):
        read_table(tmp_path)


def test_data_frames_are_read(tmp_path):
    del tmp_path
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    for frame in (TABLE, TABLE.to_pandas(), polars.from_arrow(TABLE)):
        whole(read_table(frame))
    assert pandas


FOREIGN = {
    "m.pkl": (pickle.dumps({"a": 1}), "a pickle"),
    "m.h5": (b"\x89HDF\r\n\x1a\n" + bytes(50), "HDF5"),
    "m.dta": (b"\x72\x01\x01\x00" + bytes(50), "Stata"),
    "n.dta": (b"<stata_dta><header>" + bytes(50), "Stata"),
    "m.sas7bdat": (bytes(12) + b"\xc2\xea\x81\x60" + bytes(50), "SAS"),
    "m.sqlite": (b"SQLite format 3\x00" + bytes(50), "SQLite"),
    "m.pdf": (b"%PDF-1.7 " + bytes(50), "PDF"),
    "m.orc": (b"ORC" + bytes(50), "ORC"),
    "m.html": (b"<!DOCTYPE html><p>no</p>", "web page"),
    "m.docx": (zipped(b"x", "word/document.xml"), "text document"),
    "m.pt": (zipped(b"x", "archive/data.pkl"), r"PyTorch.*numpy\.savez"),
    "two.zip": (None, "one table"),
    "m.csv": (bytes(range(256)) * 20, "be text"),
    "m.parquet": (b"a,b\n1,2\n", "Parquet"),
    "short.csv.gz": (gzip.compress(CSV)[:60], r"\.gz file"),
    "m.json": (b'{"a": 1}', "JSON rows"),
    "m.jsonl": (b'{"a": 1}\n{"a": \n', "JSON rows"),
    "sparse.arff": (b"@relation r\n@attribute a numeric\n@attribute y {0,1}\n@data\n{0 1, 1 0}\n", "ARFF.*CSV"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_what_holds_no_table_is_named_in_one_line_without_its_bytes(tmp_path, name):
    content, message = FOREIGN[name]
    if content is None:
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("a.csv", CSV)
            archive.writestr("b.csv", CSV)
    else:
        (tmp_path / name).write_bytes(content)
    for read in (read_table, lambda path: open_predictions([path])):
        with pytest.raises(InputError, match=message) as error:
            read(tmp_path / name)
        assert str(error.value).isprintable()
        assert "\\x" not in str(error.value)


def workbook(*sheets):
    """The least that is a workbook: texts in line, numbers as they are."""

    def cell(value):
        if isinstance(value, str):
            return f'<c t="inlineStr"><is><t>{value}</t></is></c>'
        return f"<c><v>{value}</v></c>"

    space = "http://schemas.openxmlformats.org"
    office, numbers = f"{space}/officeDocument/2006/relationships", range(1, len(sheets) + 1)
    kinds = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{space}/package/2006/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{kinds}.sheet.main+xml"/>'
        + "".join(
            f'<Override PartName="/xl/worksheets/sheet{i}.xml" ContentType="{kinds}.worksheet+xml"/>' for i in numbers
        )
        + "</Types>",
        "_rels/.rels": f'<Relationships xmlns="{space}/package/2006/relationships"><Relationship Id="r1" '
        f'Type="{office}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{space}/spreadsheetml/2006/main" xmlns:r="{office}"><sheets>'
        + "".join(f'<sheet name="sheet {i}" sheetId="{i}" r:id="r{i}"/>' for i in numbers)
        + "</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{space}/package/2006/relationships">'
        + "".join(
            f'<Relationship Id="r{i}" Type="{office}/worksheet" Target="worksheets/sheet{i}.xml"/>' for i in numbers
        )
        + "</Relationships>",
    }
    for i, rows in zip(numbers, sheets, strict=True):
        body = "".join(f"<row>{''.join(map(cell, row))}</row>" for row in rows)
        parts[f"xl/worksheets/sheet{i}.xml"] = (
            f'<worksheet xmlns="{space}/spreadsheetml/2006/main"><sheetData>{body}</sheetData></worksheet>'
        )
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, text in parts.items():
            archive.writestr(name, f'<?xml version="1.0" encoding="UTF-8"?>{text}')
    return out.getvalue()


@pytest.mark.parametrize("above", [[], [["Report of May"], []]])
def test_a_workbook_is_read_where_its_library_is(tmp_path, above):
    pytest.importorskip("python_calamine")
    rows = [*above, TABLE.column_names, *zip(A.tolist(), B.tolist(), TABLE["label"].to_pylist(), strict=True)]
    (tmp_path / "t.xlsx").write_bytes(workbook(rows))
    whole(read_table(tmp_path / "t.xlsx"))


def test_of_several_sheets_the_first_that_holds_a_table_is_read_and_named(tmp_path):
    pytest.importorskip("python_calamine")
    rows = [TABLE.column_names, *zip(A.tolist(), B.tolist(), TABLE["label"].to_pylist(), strict=True)]
    (tmp_path / "t.xlsx").write_bytes(workbook([["Read me"]], rows, rows[:9]))
    table = read_table(tmp_path / "t.xlsx")
    whole(table)
    assert [a.values for a in table.alerts if a.id == "sheet"] == [{"name": "sheet 2", "n": 3}]
    (tmp_path / "none.xlsx").write_bytes(workbook([["Read me"]]))
    with pytest.raises(InputError, match=r"hold a table in a sheet; got none\.xlsx"):
        read_table(tmp_path / "none.xlsx")


def test_a_missing_library_is_named_with_the_command_that_installs_it(tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "python_calamine", None)
    (tmp_path / "t.xlsx").write_bytes(workbook([["a", "t"], [1, "x"]]))
    with pytest.raises(ModuleNotFoundError, match=r'pip install "focalkit\[excel\]"'):
        read_table(tmp_path / "t.xlsx")


# --- servers


@pytest.fixture
def server():
    answers = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def do_HEAD(self):
            self.do_GET()

        def do_GET(self):
            try:
                answers[self.path](self)
            except OSError:
                pass

    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    running.daemon_threads = True
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield answers, f"http://127.0.0.1:{running.server_port}"
    running.shutdown()
    running.server_close()


def sends(data, ranges=True):
    def answer(handler):
        asked = handler.headers.get("Range") if ranges else None
        part = data
        if asked:
            low, high = asked[6:].split("-")
            part = data[int(low) : int(high or len(data)) + 1]
        handler.send_response(206 if asked else 200)
        if asked:
            handler.send_header("Content-Range", f"bytes {low}-{int(low) + len(part) - 1}/{len(data)}")
        handler.send_header("Accept-Ranges", "bytes" if ranges else "none")
        handler.send_header("Content-Length", str(len(part)))
        handler.end_headers()
        if handler.command == "GET":
            handler.wfile.write(part)

    return answer


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("ranges", [True, False])
def test_a_csv_and_a_parquet_file_are_read_over_http(server, ranges):
    pytest.importorskip("aiohttp")
    answers, url = server
    answers["/p.csv"] = sends(PREDICTED, ranges)
    np.testing.assert_allclose(logits_of(f"{url}/p.csv")[0], Z)
    if ranges:
        answers["/t.parquet"] = sends(parquet_of(TABLE))
        whole(read_table(f"{url}/t.parquet"))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("code", "said"),
    [(500, "status 500"), (403, "status 403"), (404, "be an existing file"), (302, "TooManyRedirects")],
)
def test_what_a_server_answers_wrongly_is_told_in_one_line(server, code, said):
    pytest.importorskip("aiohttp")
    answers, url = server

    def answer(handler):
        handler.send_response(code)
        handler.send_header("Content-Length", "0")
        if code == 302:
            handler.send_header("Location", "/x.csv")
        handler.end_headers()

    answers["/x.csv"] = answer
    with pytest.raises(InputError, match=said) as error:
        open_predictions([f"{url}/x.csv"])
    assert "\n" not in str(error.value)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("sent", [None, b"a,b,y\n" + b"1,2,0\n" * 9])
def test_a_server_that_falls_silent_is_left(server, sent, monkeypatch):
    pytest.importorskip("aiohttp")
    monkeypatch.setattr("focalkit.io._streams.SILENT_SECONDS", 0.2)
    answers, url = server
    left = threading.Event()

    def answer(handler):
        if sent is not None:
            handler.send_response(200)
            handler.send_header("Content-Length", "1000000")
            handler.send_header("Connection", "close")  # or what follows a HEAD is read as the next answer
            handler.end_headers()
            handler.wfile.write(sent)
            handler.wfile.flush()
        left.wait(60)

    answers["/p.csv"] = answer
    try:
        with pytest.raises(InputError, match=r"be a URL that answers; got .*[Tt]imeout") as error:
            logits_of(f"{url}/p.csv")
    finally:
        left.set()
    assert "\n" not in str(error.value)


@pytest.mark.filterwarnings("ignore")
def test_a_server_that_sends_a_line_without_end_is_left(server, monkeypatch):
    pytest.importorskip("aiohttp")
    from focalkit.io import records

    monkeypatch.setattr(records, "LONGEST", 1 << 20)
    answers, url = server

    def answer(handler):
        handler.send_response(200)
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.wfile.write(b"a,b,y\n" + b"1,2,0\n" * 400_000)
        while True:
            handler.wfile.write(b"1" * (1 << 16))

    answers["/p.csv"] = answer
    with pytest.raises(InputError, match="a line without an end"):
        logits_of(f"{url}/p.csv")
