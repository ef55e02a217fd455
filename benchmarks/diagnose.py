"""Diagnosis against Polars streaming and DuckDB, which compute only the plain loss per class and decile of p_t.

python benchmarks/diagnose.py                       # 4,000,000 rows x 10 classes, interleaved, in a scratch folder
python benchmarks/diagnose.py --rows 20e6 --memory  # peak memory of `focalkit diagnose`, a process of its own
python benchmarks/diagnose.py --update              # cost of Ledger.update against a small model's step
"""

from __future__ import annotations

import argparse
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

K = 10


def write(path, n_rows, kind):
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng, writer = np.random.default_rng(0), None
    for start in range(0, n_rows, 1 << 18):
        n = min(1 << 18, n_rows - start)
        z = rng.standard_normal((n, K), dtype=np.float32) * 2
        y = np.minimum(rng.geometric(0.4, n) - 1, K - 1)
        z[np.arange(n), y] += 3
        columns = {f"logit_{k}": z[:, k] for k in range(K)}
        if kind == "list":
            columns = {"logits": pa.FixedSizeListArray.from_arrays(pa.array(z.reshape(-1)), K)}
        table = pa.table({**columns, "label": y})
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    writer.close()


def ours(path, sample=0, hardest=0):
    from focalkit import LossSpec
    from focalkit.diagnosis.scan import Job, scan
    from focalkit.io.predictions import open_predictions

    source = open_predictions([path])
    return scan(source, Job(LossSpec(gamma=2.0), K, source.class_names, hardest, sample)).ledger


def polars_streaming(path):
    import polars as pl

    z = [pl.col(f"logit_{k}").cast(pl.Float64) for k in range(K)]
    own = pl.coalesce(*(pl.when(pl.col("label") == k).then(z[k]) for k in range(K)))
    top = pl.max_horizontal(*z)
    nll = pl.sum_horizontal(*((x - top).exp() for x in z)).log() + top - own
    lazy = pl.scan_parquet(path).select("label", nll=nll)
    lazy = lazy.with_columns(decile=((-pl.col("nll")).exp() * 10).floor().cast(pl.Int8))
    return lazy.group_by("label", "decile").agg(pl.col("nll").sum(), pl.len()).collect(engine="streaming")


def duckdb_sql(path):
    import duckdb

    top = f"greatest({', '.join(f'logit_{k}' for k in range(K))})"
    total = " + ".join(f"exp(logit_{k}::DOUBLE - top)" for k in range(K))
    own = "CASE label " + " ".join(f"WHEN {k} THEN logit_{k}" for k in range(K)) + " END"
    inner = f"SELECT label, {own}::DOUBLE AS own, {top}::DOUBLE AS top, * EXCLUDE label FROM '{path}'"
    nll = f"SELECT label, ln({total}) - (own - top) AS nll FROM ({inner})"
    return duckdb.sql(
        f"SELECT label, floor(exp(-nll) * 10)::INT AS d, sum(nll), count(*) FROM ({nll}) GROUP BY ALL"
    ).fetchall()


def race(path, rounds):
    runners = {
        "focalkit, the ledger": ours,
        "focalkit, with --hardest 20 and remedies": lambda p: ours(p, 20_000, 20),
        "Polars streaming": polars_streaming,
        "DuckDB": duckdb_sql,
    }
    times = {name: [] for name in runners}
    for turn in range(rounds + 1):
        for name, run in runners.items():
            start = time.perf_counter()
            run(path)
            if turn:  # the first is to warm up
                times[name].append(time.perf_counter() - start)
    return {name: np.array(values) for name, values in times.items()}


def peak_memory(path):
    command = [sys.executable, "-m", "focalkit", "diagnose", str(path), "--hardest", "20", "--quiet"]
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024, time.perf_counter() - start


def update_cost(rounds=400, n=256, width=256, features=128):
    """A step of a two-layer perceptron in NumPy (forward, backward, momentum), and Ledger.update on its logits."""
    from focalkit import Ledger, LossSpec, loss_grad_hess

    rng, spec = np.random.default_rng(0), LossSpec(gamma=2.0)
    X, y = rng.normal(size=(n, features)).astype(np.float32), rng.integers(0, K, n)
    layers = [rng.normal(size=s).astype(np.float32) * 0.1 for s in ((features, width), (width, width), (width, K))]
    speed = [np.zeros_like(w) for w in layers]
    ledger, step, update = Ledger(spec, K), [], []
    for _ in range(rounds):
        start = time.perf_counter()
        h1 = np.maximum(X @ layers[0], 0)
        h2 = np.maximum(h1 @ layers[1], 0)
        z = h2 @ layers[2]
        grad = loss_grad_hess(spec, z, y, hess=False).grad
        back2 = (grad @ layers[2].T) * (h2 > 0)
        back1 = (back2 @ layers[1].T) * (h1 > 0)
        for i, g in enumerate((X.T @ back1, h1.T @ back2, h2.T @ grad)):
            speed[i] = 0.9 * speed[i] - 0.01 * g
            layers[i] += speed[i]
        middle = time.perf_counter()
        ledger.update(z, y)
        step.append(middle - start)
        update.append(time.perf_counter() - middle)
    return np.median(step), np.median(update)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=float, default=4e6)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--kind", choices=["columns", "list"], default="columns")
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--update", action="store_true")
    options = parser.parse_args()
    if options.update:
        step, update = update_cost()
        print(f"step {1e6 * step:.0f} us, update {1e6 * update:.0f} us: {100 * update / step:.1f} %")
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "p.parquet"
        write(path, int(options.rows), options.kind)
        size = path.stat().st_size / 2**20
        print(f"{platform.machine()}, {int(options.rows):,} rows x {K}, {options.kind}, {size:.0f} MiB")
        if options.memory:
            peak, seconds = peak_memory(path)
            print(f"peak memory {peak:.0f} MiB, {seconds:.1f} s")
            return
        times = race(path, options.rounds)
        least = {name: values.min() for name, values in times.items()}
        for name, values in times.items():
            ratio = least[name] / least["focalkit, the ledger"]
            rate = options.rows / np.median(values) / 1e6
            seconds = f"{np.median(values):6.2f} s (best {values.min():.2f})"
            print(f"{name:42s} {seconds}  {rate:5.1f} M rows/s  {ratio:5.2f}")


if __name__ == "__main__":
    main()
