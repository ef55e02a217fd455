"""Every kind of file gives the same ledger; SQL over the same file agrees; what is damaged is named."""

import signal
import subprocess
import sys
import threading
from contextlib import contextmanager

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from focalkit import InputError, LossSpec, diagnose
from focalkit.diagnosis.scan import Job, scan, scan_dask
from focalkit.io import predictions as reading
from focalkit.io.columns import Asked
from focalkit.io.predictions import open_predictions
from tests.diagnosis.test_ledger import predictions, same

K = 4


@pytest.fixture(scope="module")
def data():
    logits, targets = predictions(n=3000, k=K)
    return logits.astype(np.float32), targets


def table(logits, targets, kind="columns"):
    if kind == "columns":
        columns = {f"logit_{k}": logits[:, k] for k in range(logits.shape[1])}
    else:
        flat = pa.array(logits.reshape(-1))
        fixed = pa.FixedSizeListArray.from_arrays(flat, logits.shape[1])
        columns = {"logits": fixed if kind == "fixed" else fixed.cast(pa.list_(pa.float32()))}
    return pa.table({"id": [f"r{i}" for i in range(len(targets))], **columns, "label": targets})


def ledger_of(*words, leave_out=False, **asked):
    source = open_predictions(words, Asked(**asked), leave_out=leave_out)
    names = None if source.n_classes == 1 else source.class_names
    return scan(source, Job(LossSpec(source.link, gamma=2.0), source.n_classes, names, leave_out=leave_out))


def whole(data, names=("0", "1", "2", "3")):
    return diagnose(*data, LossSpec(gamma=2.0), class_names=names)


@pytest.mark.parametrize("kind", ["columns", "fixed", "list"])
@pytest.mark.parametrize("ending", ["parquet", "arrow"])
def test_lists_and_columns_give_the_ledger_of_the_arrays(data, tmp_path, kind, ending):
    path, made = tmp_path / f"p.{ending}", table(*data, kind)
    if ending == "parquet":
        pq.write_table(made, path, row_group_size=700)
    else:
        with pa.ipc.new_file(path, made.schema) as writer:
            writer.write_table(made, max_chunksize=700)
    same(ledger_of(path).ledger, whole(data), exactly=False)


def test_a_sliced_fixed_size_list_starts_where_it_starts(data, tmp_path):
    made = table(*data, "fixed").slice(500, 1000)
    with pa.ipc.new_file(tmp_path / "p.arrow", made.schema) as writer:
        writer.write_table(made)
    same(ledger_of(tmp_path / "p.arrow").ledger, whole((data[0][500:1500], data[1][500:1500])), exactly=False)


def test_npy_pairs_and_stored_and_compressed_npz_give_it_too(data, tmp_path):
    np.save(tmp_path / "z.npy", data[0])
    np.save(tmp_path / "y.npy", data[1])
    np.savez(tmp_path / "a.npz", logits=data[0], targets=data[1])
    np.savez_compressed(tmp_path / "b.npz", logits=data[0], targets=data[1])
    for words in (["z.npy", "y.npy"], ["a.npz"], ["b.npz"]):
        same(ledger_of(*(tmp_path / w for w in words)).ledger, whole(data), exactly=False)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("order", ["C", "F"])
def test_rows_of_an_npz_are_those_of_the_array_in_either_order(data, tmp_path, save, order):
    from focalkit.io.npy import close, open_arrays
    from focalkit.io.sources import File

    save(tmp_path / "a.npz", logits=np.array(data[0], order=order), targets=data[1])
    held = open_arrays(File(str(tmp_path / "a.npz"), "npz"))
    parts = [held["logits"].rows(at, min(at + 700, 3000)) for at in range(0, 3000, 700)]
    close(held)
    assert np.array_equal(np.concatenate(parts), data[0])


@pytest.mark.parametrize("word", ["", "*.parquet", "**/*.parquet", "a.parquet"])
def test_folders_globs_and_files_are_read_whole(data, tmp_path, word):
    for i, name in enumerate(["a", "b"]):
        pq.write_table(table(data[0][i::2], data[1][i::2]), tmp_path / f"{name}.parquet")
    (tmp_path / "_SUCCESS").write_text("")
    n = ledger_of(f"{tmp_path}/{word}" if word else tmp_path).ledger.n_samples
    assert n == (1500 if word == "a.parquet" else 3000)


def test_the_target_may_be_the_key_of_a_partitioned_data_set(data, tmp_path):
    made = table(*data)
    for k in range(K):
        (tmp_path / f"label={k}").mkdir()
        pq.write_table(made.filter(pa.array(data[1] == k)).drop(["label"]), tmp_path / f"label={k}" / "part.parquet")
    same(ledger_of(tmp_path, targets=("label",)).ledger, whole(data), exactly=False)


def test_what_fsspec_opens_is_read(data):
    fsspec = pytest.importorskip("fsspec")
    memory = fsspec.filesystem("memory")
    for i in range(2):
        with memory.open(f"/run/p{i}.parquet", "wb") as stream:
            pq.write_table(table(data[0][i::2], data[1][i::2]), stream)
    with memory.open("/run/p.csv", "wb") as stream:
        stream.write(b"a,b,y\n1,2,0\n3,1,1\n")
    assert ledger_of("memory://run/*.parquet").ledger.n_samples == 3000
    assert ledger_of("memory://run/p.csv").ledger.n_samples == 2


@pytest.mark.parametrize("kind", ["strings", "dictionary", "one-hot list", "one-hot columns", "bytes", "floats"])
def test_targets_may_be_written_in_many_ways(data, tmp_path, kind):
    made, y = table(*data).drop(["label"]), data[1]
    names = np.array(["0", "1", "2", "3"])
    hot = np.eye(K, dtype=np.int8)[y]
    asked = {}
    if kind == "strings":
        made = made.append_column("label", pa.array(names[y]))
    elif kind == "dictionary":
        made = made.append_column("label", pa.array(names[y]).dictionary_encode())
    elif kind == "one-hot list":
        made = made.append_column("label", pa.FixedSizeListArray.from_arrays(pa.array(hot.reshape(-1)), K))
    elif kind == "one-hot columns":
        for k in range(K):
            made = made.append_column(f"is_{k}", pa.array(hot[:, k]))
        asked = {"targets": tuple(f"is_{k}" for k in range(K)), "link": "softmax"}
    else:
        made = made.append_column("label", pa.array(y.astype(np.int8 if kind == "bytes" else np.float64)))
    pq.write_table(made, tmp_path / "p.parquet")
    same(ledger_of(tmp_path / "p.parquet", **asked).ledger, whole(data), exactly=False)


def test_a_class_called_y_is_no_target(tmp_path):
    made = pa.table({"x": [1.0, 2.0], "y": [0.5, 3.0], "species": ["x", "y"]})
    pq.write_table(made, tmp_path / "p.parquet")
    assert ledger_of(tmp_path / "p.parquet").ledger.class_names == ("x", "y")


def test_names_given_by_classes_are_targets_of_a_list_column(data, tmp_path):
    names = np.array(["ant", "bee", "cat", "dog"])
    made = table(*data, "fixed").drop(["label"]).append_column("label", pa.array(names[data[1]]))
    pq.write_table(made, tmp_path / "p.parquet")
    same(ledger_of(tmp_path / "p.parquet", classes=tuple(names)).ledger, whole(data, tuple(names)), exactly=False)
    with pytest.raises(InputError, match="class_names="):
        ledger_of(tmp_path / "p.parquet")


def test_independent_logits_and_weights_are_read(tmp_path):
    rng = np.random.default_rng(0)
    z, y, w = rng.normal(size=(200, 2)), rng.integers(0, 2, (200, 2)), rng.random(200)
    made = pa.table({"logit_a": z[:, 0], "logit_b": z[:, 1], "ya": y[:, 0], "yb": y[:, 1]})
    pq.write_table(made, tmp_path / "p.parquet")
    found = ledger_of(tmp_path / "p.parquet", targets=("ya", "yb"))
    same(found.ledger, diagnose(z, y, LossSpec("sigmoid", gamma=2.0), class_names=("a", "b")), exactly=False)
    z3 = rng.normal(size=(200, 3))
    made = pa.table({"logits": list(z3), "y": y[:, 0], "w": w})
    pq.write_table(made, tmp_path / "w.parquet")
    found = ledger_of(tmp_path / "w.parquet", targets=("y",), weight="w")
    same(found.ledger, diagnose(z3, y[:, 0], LossSpec(gamma=2.0), sample_weight=w), exactly=False)


def test_probabilities_are_refused_and_taken_where_they_are_called_so(data, tmp_path):
    e = np.exp(data[0].astype(float))
    pq.write_table(table(e / e.sum(axis=1, keepdims=True), data[1]), tmp_path / "p.parquet")
    with pytest.raises(InputError, match="probabilities=True"):
        ledger_of(tmp_path / "p.parquet")
    found = ledger_of(tmp_path / "p.parquet", probabilities=True).ledger
    assert np.allclose(found.shares(1.3).loss.total, whole(data).shares(1.3).loss.total, rtol=1e-6)
    pq.write_table(table(*data), tmp_path / "z.parquet")
    with pytest.raises(InputError, match="be probabilities that sum to 1"):
        ledger_of(tmp_path / "z.parquet", probabilities=True)


# --- an independent oracle


def oracle_sql(scan_of, n=K):
    top = f"greatest({', '.join(f'logit_{k}' for k in range(n))})"
    total = " + ".join(f"exp(logit_{k}::DOUBLE - top)" for k in range(n))
    own = "CASE label " + " ".join(f"WHEN {k} THEN logit_{k}" for k in range(n)) + " END"
    inner = f"SELECT label, {own}::DOUBLE AS own, {top}::DOUBLE AS top, * EXCLUDE label FROM {scan_of}"
    nll = f"SELECT label, ln({total}) - (own - top) AS nll FROM ({inner})"
    return f"""SELECT label, sum(nll) AS loss, sum(CASE WHEN nll < ln(2) THEN nll ELSE 0 END) AS easy, count(*) AS n,
        sum(pow(1 - exp(-nll), 1.5) * nll) AS focal FROM ({nll}) GROUP BY label ORDER BY label"""


def test_duckdb_finds_the_same_sums(data, tmp_path):
    duckdb = pytest.importorskip("duckdb")
    pq.write_table(table(*data), tmp_path / "p.parquet", row_group_size=999)
    ledger = ledger_of(tmp_path / "p.parquet").ledger
    found = duckdb.sql(oracle_sql(f"'{tmp_path / 'p.parquet'}'")).fetchnumpy()
    plain = ledger.shares(0.0)
    assert np.array_equal(plain.count, found["n"])
    assert np.all(np.abs(plain.loss.total - found["loss"]) <= plain.loss.total_error + 1e-9 * found["loss"])
    assert np.allclose(plain.loss.easy, found["easy"] / found["loss"], rtol=1e-5)
    assert np.allclose(ledger.shares(1.5).loss.total, found["focal"], rtol=1e-5)


def test_polars_finds_the_same_shares(data, tmp_path):
    polars = pytest.importorskip("polars")
    pq.write_table(table(*data, "columns"), tmp_path / "p.parquet")
    z = [polars.col(f"logit_{k}").cast(polars.Float64) for k in range(K)]
    own = polars.coalesce(*(polars.when(polars.col("label") == k).then(z[k]) for k in range(K)))
    nll = polars.sum_horizontal(*(x.exp() for x in z)).log() - own
    lazy = polars.scan_parquet(tmp_path / "p.parquet").with_columns(nll=nll)
    sums = lazy.group_by("label").agg(polars.col("nll").sum()).sort("label").collect()["nll"].to_numpy()
    shares = ledger_of(tmp_path / "p.parquet").ledger.shares(0.0)
    assert np.all(np.abs(shares.loss.share - sums / sums.sum()) <= shares.loss.share_error + 1e-9)


# --- who reads what when


def test_neither_threads_nor_their_order_change_a_bit(data, tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "PIECE_ROWS", 300)
    pq.write_table(table(*data), tmp_path / "p.parquet", row_group_size=150)
    source = open_predictions([tmp_path / "p.parquet"])
    job = Job(LossSpec(gamma=2.0), K, source.class_names, hardest=5, sample=200)
    one, many = (scan(source, job, workers=n) for n in (1, 4))
    assert len(source.pieces) == 10
    same(one.ledger, many.ledger)
    assert one.ledger.to_json() == many.ledger.to_json()
    assert one.hardest.rows() == many.hardest.rows()
    assert np.array_equal(one.sample.key, many.sample.key)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A real scheduler and two worker processes on this machine."""
    with _cluster(tmp_path_factory.mktemp("dask")) as (address, _):
        yield address


@pytest.fixture
def cluster_processes(tmp_path_factory):
    """A cluster of one test's own, and its processes: the scheduler first."""
    with _cluster(tmp_path_factory.mktemp("dask"), 1) as found:
        yield found


@contextmanager
def _cluster(folder, n_workers=2):
    pytest.importorskip("distributed")
    start = [sys.executable, "-W", "ignore", "-m"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder}
    file = folder / "scheduler.json"
    options = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(file)]
    running = [subprocess.Popen([*start, "distributed.cli.dask_scheduler", *options], **quiet)]
    try:
        address = _when_written(file)
        options = [address, "--no-dashboard", "--nthreads", "1", "--no-nanny", "--host", "127.0.0.1"]
        running += [
            subprocess.Popen([*start, "distributed.cli.dask_worker", *options], **quiet) for _ in range(n_workers)
        ]
        yield address, running
    finally:
        for process in reversed(running):
            process.kill()
            process.wait(20)


def _when_written(file, seconds=40):
    import json
    import time

    for _ in range(seconds * 10):
        try:
            return json.loads(file.read_text())["address"]
        except (FileNotFoundError, ValueError):
            time.sleep(0.1)
    pytest.fail("the scheduler did not start")


@pytest.mark.filterwarnings("ignore")
def test_two_dask_workers_give_the_bits_of_one_thread(data, tmp_path, monkeypatch, cluster):
    monkeypatch.setattr(reading, "PIECE_ROWS", 300)
    for i in range(3):
        pq.write_table(table(data[0][i::3], data[1][i::3]), tmp_path / f"{i}.parquet", row_group_size=150)
    source = open_predictions([tmp_path])
    job = Job(LossSpec(gamma=2.0), K, source.class_names, hardest=5, sample=200)
    from distributed import Client

    with Client(cluster, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=60)
    here, there = scan(source, job, workers=1), scan_dask(source, job, cluster)
    assert here.ledger.to_json() == there.ledger.to_json()
    assert here.hardest.rows() == there.hardest.rows()


@pytest.mark.filterwarnings("ignore")
def test_a_scheduler_that_is_not_there_is_refused_in_one_line(data, tmp_path):
    pytest.importorskip("distributed")
    np.savez(tmp_path / "a.npz", logits=data[0], targets=data[1])
    source = open_predictions([tmp_path / "a.npz"])
    with pytest.raises(InputError, match="address of a running scheduler"):
        scan_dask(source, Job(LossSpec(), K), "nowhere")


@pytest.mark.filterwarnings("ignore")
def test_a_scheduler_without_workers_is_refused_in_one_line(data, tmp_path, monkeypatch):
    distributed = pytest.importorskip("distributed")
    monkeypatch.setattr("focalkit.io.cluster.CONNECT_SECONDS", 1)
    np.savez(tmp_path / "a.npz", logits=data[0], targets=data[1])
    source = open_predictions([tmp_path / "a.npz"])
    with (
        distributed.LocalCluster(n_workers=0, processes=False, dashboard_address=None) as empty,
        pytest.raises(InputError, match="running scheduler with workers") as info,
    ):
        scan_dask(source, Job(LossSpec(), K), empty.scheduler_address)
    assert "\n" not in str(info.value)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="no way to hold a worker on this system")
def test_a_scheduler_that_dies_ends_the_reading_in_one_line(data, tmp_path, cluster_processes, caplog):
    distributed = pytest.importorskip("distributed")
    address, (scheduler, *workers) = cluster_processes
    np.savez(tmp_path / "a.npz", logits=data[0], targets=data[1])
    source = open_predictions([tmp_path / "a.npz"])
    with distributed.Client(address, set_as_default=False) as client:
        client.wait_for_workers(len(workers), timeout=60)
    for worker in workers:
        worker.send_signal(signal.SIGSTOP)  # the reading is under way for as long as it takes
    death = threading.Timer(2, scheduler.kill)
    death.start()
    with pytest.raises(ChildProcessError, match=r"the Dask scheduler is gone|no worker left|does not answer") as info:
        scan_dask(source, Job(LossSpec(), K), address)
    death.join()
    assert "\n" not in str(info.value)
    assert not [record for record in caplog.records if record.exc_info]


# --- what is refused


def test_a_ragged_list_and_files_of_different_kinds_are_refused(data, tmp_path):
    made = pa.table({"logits": [[1.0, 2.0], [1.0]], "y": [0, 1]})
    pq.write_table(made, tmp_path / "p.parquet")
    with pytest.raises(InputError, match="lists of 2 numbers; got 1 numbers in row 2"):
        ledger_of(tmp_path / "p.parquet")
    pq.write_table(table(*data), tmp_path / "q.parquet")
    with pytest.raises(InputError, match="the same kind of predictions"):
        ledger_of(tmp_path)


@pytest.mark.parametrize(
    ("name", "content"), [("p.parquet", b"no"), ("p.arrow", b"no"), ("p.npy", b"no"), ("nothing-*.parquet", None)]
)
def test_files_that_are_not_what_they_are_called_are_refused(tmp_path, name, content):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    words = [tmp_path / name] * (2 if name.endswith("npy") else 1)
    with pytest.raises(InputError):
        ledger_of(*words)


# --- rows behind the numbers


def test_the_hardest_rows_are_those_of_the_largest_loss(data, tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "PIECE_ROWS", 500)
    pq.write_table(table(*data), tmp_path / "p.parquet", row_group_size=250)
    source = open_predictions([tmp_path / "p.parquet"])
    found = scan(source, Job(LossSpec(), K, source.class_names, hardest=7))
    z = data[0].astype(float)
    nll = np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(z)), data[1]]
    for k, rows in enumerate(found.hardest.rows()):
        (mine,) = np.nonzero(data[1] == k)
        want = mine[np.argsort(-nll[mine])][:7] + 1
        assert [r.row for r in rows] == want.tolist()
        assert np.allclose([r.p_t for r in rows], np.exp(-nll[want - 1]))


@pytest.mark.parametrize("others", [[1], [1, None]])
def test_a_target_beyond_int64_is_out_of_range_and_never_the_ignored_one(tmp_path, others):
    """2**64 - 100 comes round as -100, the usual ignore_index."""
    targets = pa.array([2**64 - 100] + others * 3, pa.uint64())
    rows = table(np.random.default_rng(0).normal(size=(len(targets), 3)), targets)
    pq.write_table(rows, tmp_path / "p.parquet")
    with pytest.raises(InputError, match="class"):
        ledger_of(str(tmp_path / "p.parquet"))
