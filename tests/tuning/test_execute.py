"""Jobs, Dask, journals and deaths: whatever happens on the way, the bits are those of the plain run."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

import numpy as np
import pytest
from sklearn.datasets import make_classification

from focalkit import InputError
from focalkit.estimator import FocalClassifier
from focalkit.tuning import tune

GRID = {"alphas": ["power:1"], "gammas": [2.0], "keep_hardest": [0.5], "n_splits": 3, "n_repeats": 2}
X, y = make_classification(300, 5, weights=[0.85], random_state=0)


def same(a, b):
    assert a.cells == b.cells
    assert (a.scores == b.scores).all()
    assert (a.taus == b.taus).all()
    assert (a.ce_logits == b.ce_logits).all()
    assert a.notes == b.notes


@pytest.fixture(scope="module")
def plain():
    return tune(FocalClassifier(), X, y, **GRID)


def lines(path):
    return path.read_bytes().count(b"\n")


def test_a_run_that_is_cut_off_goes_on_and_ends_as_if_it_had_not_been(plain, tmp_path):
    def stop(state):
        if state.done == 3:
            raise KeyboardInterrupt

    path = tmp_path / "run.jsonl"
    cut = tune(FocalClassifier(), X, y, **GRID, journal=path, progress=stop)
    assert not cut.finished
    assert lines(path) == 1 + 3
    seen = []
    same(tune(FocalClassifier(), X, y, **GRID, journal=path, progress=lambda state: seen.append(state.done)), plain)
    assert lines(path) == 1 + 6
    assert seen == [1, 2, 3, 4, 5, 6]
    same(tune(FocalClassifier(), X, y, **GRID, journal=path, n_jobs=2), plain)
    assert lines(path) == 1 + 6


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"seed": 1}, "seed: there 0, here 1"),
        ({"gammas": [1.0]}, r"gammas: there \(0\.0, 2\.0\), here \(0\.0, 1\.0\)"),
        ({"metric": "mcc"}, "metric: there 'balanced_accuracy', here 'mcc'"),
        ({"n_repeats": 1}, "n_repeats: there 2, here 1"),
        ({"X": X + 1}, "the data's features: there"),
        ({"y": 1 - y}, "the data's target: there"),
        ({"estimator": FocalClassifier(C=3.0)}, r"estimator's C: there 1\.0, here 3\.0"),
    ],
)
def test_the_journal_of_another_run_is_refused_with_the_difference_named(plain, tmp_path, change, difference):
    given = {"estimator": FocalClassifier(), "X": X, "y": y, **GRID, "journal": tmp_path / "run.jsonl"}

    def stop(state):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tune(**given, progress=stop)
    with pytest.raises(InputError, match=difference):
        tune(**{**given, **change})


def make_deadly(flag):
    """A training function that kills its own process, once."""

    def fit(spec, train, test):
        if spec.gamma == 2.0 and spec.alpha is not None and not flag.exists():
            flag.touch()
            time.sleep(0.3)
            os.kill(os.getpid(), signal.SIGKILL)
        alpha = None if spec.alpha is None else list(spec.alpha)
        model = FocalClassifier(spec.gamma, alpha, keep_hardest=spec.keep_hardest).fit(X[train], y[train])
        return model.decision_function(X[test])

    return fit


def test_a_killed_worker_is_said_in_one_line_and_its_journal_goes_on(tmp_path):
    flag, path = tmp_path / "died", tmp_path / "run.jsonl"
    with pytest.raises(
        ChildProcessError, match=r"a worker was killed.*run.jsonl keeps \d+ of 30 pieces of work"
    ) as info:
        tune(make_deadly(flag), X, y, **GRID, n_jobs=2, journal=path)
    assert "\n" not in str(info.value)
    kept = lines(path)
    assert 1 <= kept < 31
    whole = tune(make_deadly(flag), X, y, **GRID, n_jobs=2, journal=path)
    assert lines(path) == 31
    same(whole, tune(make_deadly(flag), X, y, **GRID))


def test_a_killed_worker_without_a_journal_says_what_would_have_helped(tmp_path):
    with pytest.raises(ChildProcessError, match="a journal would have kept what was finished"):
        tune(make_deadly(tmp_path / "died"), X, y, **GRID, n_jobs=2)


def test_workers_find_the_modules_of_now_and_say_what_they_cannot_read(tmp_path, monkeypatch):
    few = {**GRID, "gammas": (0.0,), "alphas": (None,), "n_repeats": 1, "n_jobs": 2}
    (tmp_path / "trains_here.py").write_text(
        "def fit(spec, train, test):\n    return [[0.0, 1.0]] * len(test)\n"
        "def broken():\n    raise LookupError('nothing here')\n"
        "class Unreadable:\n    __call__ = staticmethod(fit)\n    def __reduce__(self):\n        return broken, ()\n"
    )
    tune(lambda spec, train, test: np.zeros((len(test), 2)), X, y, **few)  # starts workers that do not know it
    monkeypatch.syspath_prepend(tmp_path)
    import trains_here

    tune(lambda *given: np.array(trains_here.fit(*given)), X, y, **few)
    with pytest.raises(ChildProcessError, match=r"a worker cannot read what it is given \(.*\): .*nothing here"):
        tune(trains_here.Unreadable(), X, y, **few)


TABLE_OPTIONS = ["--folds", "3", "--repeats", "3", "--gamma", "0,1", "--alpha", "none,sqrt", "--keep-hardest", "none"]


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("table") / "t.csv"
    rng = np.random.default_rng(0)
    targets = (rng.random(1500) < 0.1) + 0
    np.savetxt(path, np.column_stack([rng.normal(size=(1500, 6)) + targets[:, None], targets]), delimiter=",")
    return path


def command(table, out, *more):
    return [sys.executable, "-m", "focalkit", "tune", str(table), *TABLE_OPTIONS, "--json", str(out), *map(str, more)]


def figures(out):
    report = json.loads(out.read_text())
    return report["cells"], report["chosen_tau_per_fold"], report["verdicts"]


@pytest.fixture(scope="module")
def unbroken(table, tmp_path_factory):
    out = tmp_path_factory.mktemp("unbroken") / "r.json"
    subprocess.run(command(table, out, "--jobs", 1), check=True, capture_output=True)
    return figures(out)


def test_a_program_that_is_killed_goes_on_where_it_was(table, unbroken, tmp_path):
    out, path = tmp_path / "r.json", tmp_path / "run.jsonl"
    process = subprocess.Popen(command(table, out, "--jobs", 1, "--journal", path), stdout=subprocess.DEVNULL)
    while process.poll() is None and not (path.exists() and lines(path) >= 2):
        time.sleep(0.02)
    process.kill()
    process.wait()
    kept = path.read_bytes()
    assert not out.exists()
    done = subprocess.run(command(table, out, "--jobs", 2, "--journal", path), check=True, capture_output=True)
    assert b"\r" not in done.stderr
    assert figures(out) == unbroken
    assert path.read_bytes().startswith(kept)
    assert lines(path) == 1 + 9


#: A program that gets Ctrl-C at the n-th line that its main thread comes to in a function of the standard library. A
#: second thread stands by, as those of BLAS do, so that blocking the signal in the main thread does not hold it back.
INTERRUPTED = """
import os, signal, sys, threading, time
file, function, n = sys.argv[1], sys.argv[2], int(sys.argv[3])
met = 0

def line(frame, event, arg):
    global met
    met += event == "line"
    if event == "line" and met == n:
        sys.settrace(None)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.05)
    return line

def call(frame, event, arg):
    return line if frame.f_code.co_name == function and frame.f_code.co_filename.endswith(file) else None

signal.signal(signal.SIGINT, signal.default_int_handler)  # which whoever started the tests may have had ignored
os.register_at_fork(after_in_child=lambda: sys.settrace(None))
threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
from focalkit.cli import main
sys.settrace(call)
main(sys.argv[4:])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="workers are copies of the program there")
@pytest.mark.parametrize(
    "place",
    [
        *(("futures/_base.py", "__enter__", n) for n in (4, 5, 6, 8)),  # some futures' locks are taken
        ("futures/process.py", "_launch_processes", 4),  # a worker is there, and nobody who would end it
        ("futures/process.py", "_start_executor_manager_thread", 9),
        ("futures/process.py", "submit", 12),
        ("threading.py", "wait", 12),  # while the table is read
    ],
)
def test_ctrl_c_at_any_line_of_the_executor_ends_the_program(table, tmp_path, place):
    words = ["tune", table, "--folds", "3", "--repeats", "40", "--gamma", "0,1", "--alpha", "none", "--quiet"]
    command = [sys.executable, "-c", INTERRUPTED, *map(str, place), *map(str, words), "--jobs", "2"]
    with (tmp_path / "said").open("w+") as said:
        program = subprocess.Popen(command, stdout=said, stderr=said, start_new_session=True)
        try:
            code = program.wait(120)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(program.pid, signal.SIGKILL)
        said.seek(0)
        assert "Traceback" not in said.read()
    assert code == 130


def test_a_worker_whose_program_is_gone_ends(tmp_path):
    code = "import time; from focalkit.tuning import units; units.end_with(2**30); time.sleep(60)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 1


def test_two_programs_share_a_journal_and_do_nothing_twice(table, unbroken, tmp_path):
    outs, path = [tmp_path / "a.json", tmp_path / "b.json"], tmp_path / "run.jsonl"
    both = [
        subprocess.Popen(command(table, out, "--jobs", 1, "--journal", path), stdout=subprocess.DEVNULL) for out in outs
    ]
    assert [process.wait(240) for process in both] == [0, 0]
    assert [figures(out) for out in outs] == [unbroken, unbroken]
    assert lines(path) == 1 + 9


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A scheduler and two workers, each a process of its own, on loopback."""
    pytest.importorskip("distributed")
    folder = tmp_path_factory.mktemp("cluster")
    where = folder / "scheduler.json"
    dask = [sys.executable, "-m", "dask"]
    scheduler = [*dask, "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", where]
    worker = [
        *dask,
        "worker",
        "--scheduler-file",
        where,
        "--nthreads",
        "1",
        "--no-dashboard",
        "--local-directory",
        folder,
    ]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    processes = [subprocess.Popen(args, **quiet) for args in (scheduler, worker, worker)]
    try:
        for _ in range(300):
            if where.exists() and where.read_text():  # the scheduler makes the file, then writes it
                break
            time.sleep(0.1)
        yield json.loads(where.read_text())["address"]
    finally:
        for process in processes[::-1]:
            process.terminate()
        for process in processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:  # Dask's own end, which no test is about
                process.kill()
                process.wait()


def test_a_cluster_gives_the_bits_of_one_process(plain, cluster, tmp_path):
    from distributed import Client

    with Client(cluster, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=30)
        path = tmp_path / "run.jsonl"
        same(tune(FocalClassifier(), X, y, **GRID, dask=client, journal=path), plain)
        assert lines(path) == 1 + 6
        same(tune(FocalClassifier(), X, y, **GRID, dask=cluster), plain)


def test_a_cluster_outlives_the_worker_that_alone_holds_the_data(cluster, tmp_path, monkeypatch):
    from distributed import Client

    scatter = Client.scatter
    monkeypatch.setattr(Client, "scatter", lambda *args, **options: scatter(*args, **{**options, "broadcast": False}))
    flag = tmp_path / "died"
    found = tune(make_deadly(flag), X, y, **GRID, dask=cluster)
    assert flag.exists()
    same(found, tune(make_deadly(flag), X, y, **GRID))


def test_a_scheduler_that_is_not_there_is_named(monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr("focalkit.io.cluster.CONNECT_SECONDS", 0.5)
    with pytest.raises(InputError, match="be 'local' or the address of a scheduler with workers"):
        tune(FocalClassifier(), X, y, **GRID, dask="tcp://127.0.0.1:9")


def test_without_dask_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ModuleNotFoundError, match=r'pip install "focalkit\[dask\]"'):
        tune(FocalClassifier(), X, y, **GRID, dask="local")
