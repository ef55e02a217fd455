"""What SECURITY.md says of each input holds: a test for each sentence of its table."""

import _thread
import ast
import base64
import contextlib
import hashlib
import html
import http.server
import io
import json
import pickle
import re
import subprocess
import sys
import threading
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner

from focalkit import InputError, Ledger, LossSpec, diagnose, loss_grad_hess
from focalkit._core.printable import visible
from focalkit.cli import main
from focalkit.decisions import decide
from focalkit.diagnosis import diagnose_files
from focalkit.io import read_table

RNG = np.random.default_rng(0)


class Payload:
    """Runs a command when it is unpickled."""

    def __init__(self, flag):
        self.flag = flag

    def __reduce__(self):
        return (Path.touch, (self.flag,))


def run(*words):
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "t.csv"
    X, y = RNG.normal(size=(120, 2)), np.arange(120) % 4 == 0
    np.savetxt(path, np.column_stack([X, y]), delimiter=",", header="a,b,y", comments="", fmt="%.4f")
    return path


def test_every_input_of_the_table_is_asked_about_here():
    text = (Path(__file__).parents[1] / "SECURITY.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| ")][1:]
    assert rows == [
        "arrays and tensors in memory",
        "CSV, Parquet, Arrow, Feather, JSON, .npy, .npz and other tables",
        "a ledger (`.json`) and a journal of `tune`",
        "class, column and file names",
        '`tune --estimator "package.Class(…)"`',
        "a URL",
        "a saved model (`.joblib`, pickle)",
    ]


@pytest.mark.parametrize("bad", [2**31, -(2**62), 5, -1])
def test_no_class_id_leads_outside_the_array(bad):
    with pytest.raises(InputError, match="targets must lie in"):
        loss_grad_hess(LossSpec(), np.zeros((2, 5)), np.array([0, bad]))


@pytest.mark.parametrize("name", ["t.npz", "t.npy", "t.pkl", "t.joblib", "t.csv", "t.pt"])
@pytest.mark.parametrize("read", [read_table, diagnose_files])
def test_nothing_in_a_file_is_run(tmp_path, name, read):
    flag, path = tmp_path / "ran", tmp_path / name
    if name == "t.npz":
        np.savez(path, logits=np.array([Payload(flag)] * 9, object), targets=np.arange(9) % 2)
    elif name == "t.npy":
        np.save(path, np.array([Payload(flag)] * 9, object), allow_pickle=True)
        np.save(tmp_path / "y.npy", np.arange(9) % 2)
    else:
        path.write_bytes(pickle.dumps(Payload(flag)))
    with pytest.raises(InputError):
        read([path, tmp_path / "y.npy"] if name == "t.npy" else path)
    assert not flag.exists()


def test_a_formula_of_a_spreadsheet_is_a_text(tmp_path):
    (tmp_path / "t.csv").write_text("a,b,y\n" + "=1+1,2.5,x\n=cmd|' /C calc'!A0,3.5,z\n" * 40)
    table = read_table(tmp_path / "t.csv")
    assert table.categories[0] == ("=1+1", "=cmd|' /C calc'!A0")


def test_a_ledger_that_no_diagnosis_can_have_written_is_refused():
    document = json.loads(diagnose(RNG.normal(size=(30, 3)), np.arange(30) % 3).to_json())
    document["rows"][0]["count"][0] = -5
    with pytest.raises(InputError, match="no diagnosis has written it"):
        Ledger.from_json(json.dumps(document))


def test_a_journal_with_a_damaged_first_line_is_refused(table, tmp_path):
    words = ["tune", table, "--folds", 3, "--repeats", 1, "--gamma", "0,1", "--alpha", "none", "--keep-hardest", "none"]
    words += ["--quiet", "--jobs", 1, "--journal", tmp_path / "j"]
    assert run(*words).exit_code == 0
    text = bytearray((tmp_path / "j").read_bytes())
    text[40] ^= 1
    (tmp_path / "j").write_bytes(text)
    done = run(*words)
    assert done.exit_code == 2
    assert "begin with the line that says what run it is" in done.output


def test_control_characters_of_names_never_reach_the_terminal_and_are_text_on_a_page(tmp_path):
    nasty = "\x1b[31mred</script><script>alert(1)</script>"
    z = RNG.normal(size=(60, 3))
    np.savez(tmp_path / "p.npz", logits=z, targets=np.arange(60) % 3, class_names=["a", nasty, "c"])
    done = run("diagnose", tmp_path / "p.npz", "--html", tmp_path / "p.html", "--quiet")
    assert done.exit_code == 0
    assert "\x1b[31mred" not in done.output
    assert "alert(1)" in done.output
    page = (tmp_path / "p.html").read_text(encoding="utf-8")
    assert "<script>alert(1)" not in page
    assert "\x1b" not in page


NAMES = ["a\nimport os", "b\r\nimport os", "c\u2028import os\x1b[2J", "d\x9b2J"]


def test_a_name_is_no_statement_of_the_python_that_is_written(monkeypatch):
    from focalkit.report import labels

    y = np.arange(160) % 4
    written = decide(RNG.dirichlet(np.ones(4), 160), np.array(NAMES)[y], "balanced_accuracy").to_numpy()
    assert [type(part).__name__ for part in ast.parse(written).body] == ["Import", "FunctionDef"]
    monkeypatch.setattr(labels, "code_of", lambda *_: "decisions = 1")
    written = labels.code(SimpleNamespace(verdicts=dict.fromkeys(NAMES, SimpleNamespace(result=None))))
    assert [type(part).__name__ for part in ast.parse(written).body] == ["Assign"] * 5


@pytest.mark.parametrize(
    "name",
    [
        *NAMES,
        "![i](http://x/y.png)",
        "[t](u)",
        "*a* _b_ ~~c~~ `d` a_b",
        "<i>&lt;",
        "a\\*b*",
        "a|b",
        "``",
        "\\*a\\*",
        "a\\|b",
        "c\\",
    ],
)
def test_a_name_is_text_in_a_model_card(name):
    MarkdownIt = pytest.importorskip("markdown_it").MarkdownIt

    from focalkit.report.card import text

    markdown = MarkdownIt("gfm-like", {"linkify": False})
    assert markdown.renderInline(text(name)) == html.escape(visible(name)).replace("&#x27;", "'")
    cell = markdown.render(f"| x |\n| --- |\n| {text(name)} |").partition("<td>")[2].partition("</td>")[0]
    assert cell == html.escape(visible(name)).replace("&#x27;", "'")


def test_a_json_on_a_terminal_has_no_control_characters(monkeypatch):
    from focalkit.cli.options import write_out

    terminal = SimpleNamespace(buffer=io.BytesIO(), isatty=lambda: True)
    monkeypatch.setattr(sys, "stdout", terminal)
    write_out(Path("-"), '{"a":\n "\x9b2J\u202e"}')
    assert terminal.buffer.getvalue() == b'{"a":\n "\\x9b2J\\u202e"}\n'


@pytest.mark.parametrize(
    "word", ["os.system('x')", "subprocess.Popen('x')", "sklearn.svm.SVC(C=__import__('os'))", "a.B(c={[]: 1})"]
)
def test_an_estimator_is_a_class_of_classifiers_with_literals(table, word):
    done = run("tune", table, "--estimator", word, "--quiet")
    assert done.exit_code == 2
    assert len(done.output.strip().splitlines()) == 1


@pytest.mark.parametrize("command", ["tune", "predict"])
def test_a_saved_model_is_loaded_only_where_it_is_trusted(table, tmp_path, command):
    flag, model = tmp_path / "ran", tmp_path / "m.joblib"
    model.write_bytes(pickle.dumps(Payload(flag)))
    done = run("predict", model, table) if command == "predict" else run("tune", table, "--estimator", model)
    assert done.exit_code == 2
    assert "--trust" in done.output
    assert not flag.exists()


def test_a_url_that_answers_badly_is_told_in_one_line():
    done = run("tune", "http://127.0.0.1:9/t.csv", "--quiet")
    assert done.exit_code in (1, 2)
    assert len(done.output.strip().splitlines()) == 1


def test_a_line_without_an_end_is_refused(tmp_path, monkeypatch):
    from focalkit.io import records

    monkeypatch.setattr(records, "LONGEST", 1 << 22)
    (tmp_path / "t.csv").write_bytes(b"a,b,y\n" + b"1,2,x\n" * 9 + b"9" * (6 << 20))
    with pytest.raises(InputError, match=r"line 11: .*line"):
        read_table(tmp_path / "t.csv")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("command", ["diagnose", "tune"])
def test_a_table_at_a_url_that_never_ends_is_read_until_it_is_interrupted(command):
    pytest.importorskip("aiohttp")
    interrupted = threading.Event()

    class Endless(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(b"a,b,y\n" + b"0.1,0.2,1\n0.3,0.4,0\n" * 200_000)
                if not interrupted.is_set():
                    interrupted.set()
                    _thread.interrupt_main()
                while True:
                    self.wfile.write(b"0.1,0.2,1\n0.3,0.4,0\n" * 1000)

        do_HEAD = do_GET

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Endless) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        done = run(command, f"http://127.0.0.1:{server.server_port}/t.csv", "--quiet")
        server.shutdown()
    assert done.exit_code == 130
    assert done.stderr == "focalkit: interrupted\n"


class Parts(HTMLParser):
    """What a page consists of: addresses that it names, and what is between the tags of its scripts and styles."""

    def __init__(self):
        super().__init__()
        self.outside, self.inside, self.at = [], [], ""

    def handle_starttag(self, tag, attrs):
        self.at = "" if ("type", "application/json") in attrs else tag
        self.outside += [value for name, value in attrs if name in ADDRESSES and not (value or "").startswith("#")]
        assert tag not in ("link", "iframe", "object", "embed", "base", "img", "audio", "video", "source")

    def handle_endtag(self, tag):
        self.at = ""

    def handle_data(self, data):
        if self.at in ("script", "style"):
            self.inside.append(data)


ADDRESSES = ("src", "href", "srcset", "action", "formaction", "poster", "data", "background", "ping", "xlink:href")


@pytest.fixture(params=["diagnose", "tune", "decide"])
def page(request, table, tmp_path):
    words = {"tune": (table, "--folds", 2, "--repeats", 1, "--gamma", "0,1", "--alpha", "none", "--jobs", 1)}
    if request.param != "tune":
        p = RNG.dirichlet(np.ones(3), 90)
        np.savez(tmp_path / "p.npz", probabilities=p, logits=np.log(p), targets=np.arange(90) % 3)
        words = {"diagnose": (tmp_path / "p.npz",), "decide": (tmp_path / "p.npz", "--metric", "macro_f1")}
    done = run(request.param, *words[request.param], "--html", tmp_path / "p.html")
    assert done.exit_code == 0, done.output
    return (tmp_path / "p.html").read_text(encoding="utf-8")


def test_a_report_is_one_file_without_outside_parts_that_runs_what_is_inside_alone(page):
    parts = Parts()
    parts.feed(page)
    assert parts.outside == []
    assert len(parts.inside) == 2
    policy = page.partition('http-equiv="Content-Security-Policy" content="')[2].partition('"')[0]
    for part in parts.inside:
        assert not re.search(
            r"@import|url\(|\bfetch\(|XMLHttpRequest|WebSocket|EventSource|sendBeacon|\bimport\(", part
        )
        digest = base64.b64encode(hashlib.sha256(part.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy


def test_a_page_has_a_policy_that_allows_no_connection(tmp_path):
    np.savez(tmp_path / "p.npz", logits=RNG.normal(size=(60, 3)), targets=np.arange(60) % 3)
    run("diagnose", tmp_path / "p.npz", "--html", tmp_path / "p.html", "--quiet")
    page = (tmp_path / "p.html").read_text(encoding="utf-8")
    policy = page.partition('http-equiv="Content-Security-Policy" content="')[2].partition('"')[0]
    assert "default-src 'none'" in policy
    assert "sha256-" in policy
    assert "unsafe" not in policy
    assert "connect-src" not in policy


def test_importing_the_package_loads_nothing_that_runs_what_a_file_says():
    code = "import focalkit, sys; print(sorted({'joblib', 'dill', 'cloudpickle'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
