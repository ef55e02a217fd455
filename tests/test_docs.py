"""The pages under docs/ show the same code in both languages, and the English ones run."""

import doctest
import importlib
import inspect
import io
import re
import runpy
import shlex
import tokenize
import types
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import focalkit
from focalkit.cli import main

DOCS = Path(__file__).parents[1] / "docs"
PAGES = ("note", "diagnosis", "scale", "reading", "losses")


#: Of both languages, by their English name; a Chinese one shows the code of the English one, so that one runs.
BOTH = [DOCS.parent / "README.md", *(p for p in sorted(DOCS.glob("*.md")) if p.with_suffix(".zh-CN.md").exists())]


def code_of(path):
    """The tokens of each block of Python, without its comments, which are translated."""
    beside = (tokenize.COMMENT, tokenize.NL)
    return [
        [token.string for token in tokenize.generate_tokens(io.StringIO(block).readline) if token.type not in beside]
        for block in re.findall(r"```python\n(.*?)```", path.read_text(encoding="utf-8"), re.S)
    ]


@pytest.mark.parametrize("page", BOTH, ids=lambda page: page.stem)
def test_both_languages_show_the_same_code(page):
    assert code_of(page) == code_of(page.with_suffix(".zh-CN.md"))


@pytest.mark.parametrize("page", [f"{name}.md" for name in PAGES])
def test_every_snippet_prints_what_the_page_says(page):
    state = np.random.get_state()  # noqa: NPY002 - the note seeds the old stream
    try:
        result = doctest.testfile(str(DOCS / page), module_relative=False, encoding="utf-8")
    finally:
        np.random.set_state(state)  # noqa: NPY002
    assert result.attempted > 5
    assert result.failed == 0


@pytest.mark.parametrize("name", PAGES)
def test_both_languages_show_the_same_figures(name):
    pages = [(DOCS / f"{name}{lang}.md").read_text(encoding="utf-8") for lang in ("", ".zh-CN")]
    for pattern in (r"^>>> .*\n(?:[^>`\n].*\n)*", r"^\|[ *.\d|–-]+\|$", r"^ {4}.*$"):
        english, chinese = (re.findall(pattern, text, re.M) for text in pages)
        assert english == chinese


def test_the_page_s_tables_are_what_the_command_prints(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    from click.testing import CliRunner

    from focalkit.cli.diagnose import diagnose

    printed = [line.strip() for line in CliRunner().invoke(diagnose, []).stdout.splitlines()]
    shown = [line.strip() for line in (DOCS / "diagnosis.md").read_text(encoding="utf-8").splitlines()]
    for first_word in ("class", "most", "many", "some", "few", "rare"):
        rows = [x for x in shown if x.startswith(first_word + " ") and "  " in x]
        assert len(rows) == 2
        assert [x for x in printed if x in rows] == rows


@pytest.mark.parametrize("page", ["README.md", "docs/tuning.md"])
def test_every_code_block_runs(page, capsys):
    rng = np.random.default_rng(0)
    space = {"X": rng.normal(size=(200, 3)), "y": (rng.random(200) < 0.3).astype(int)}
    blocks = re.findall(r"```python\n(.*?)```", (DOCS.parent / page).read_text(encoding="utf-8"), re.S)
    assert blocks
    for block in blocks:
        exec(compile(block.replace("n_jobs=-1", "n_repeats=1, gammas=[0, 2]"), page, "exec"), space)


@pytest.mark.parametrize("page", BOTH, ids=lambda page: page.stem)
def test_every_link_of_a_page_leads_somewhere(page):
    for path in (page, page.with_suffix(".zh-CN.md")):
        links = re.findall(r"\]\((?!http)([^)#]+)\)", path.read_text(encoding="utf-8"))
        # the gallery's pages are made from its examples
        there = [re.sub(r"^gallery/(\w+)\.rst$", r"../examples/gallery/\1.py", link) for link in links]
        there = [link.replace("gallery/index.py", "gallery/GALLERY_HEADER.rst") for link in there]
        assert [link for link in there if not (path.parent / link).exists()] == []


def run_blocks(page, names):
    """Run the page's Python, block after block, as a reader would who has what ``names`` says."""
    for block in re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.S):
        exec(compile(block, page, "exec"), names)


@pytest.mark.parametrize(("language", "option"), [("", "en"), (".zh-CN", "zh")])
def test_the_five_minutes_are_as_the_page_says(language, option, tmp_path, monkeypatch):
    """What its table's rows become, the commands as written, and what to do; the digits of fits are no law."""
    monkeypatch.chdir(tmp_path)
    page = f"start{language}.md"
    run_blocks(page, {})
    text = (DOCS / page).read_text(encoding="utf-8")
    rows = (tmp_path / "patients.csv").read_text(encoding="utf-8").splitlines()
    (tmp_path / "new.csv").write_text("\n".join(line.rsplit(",", 1)[0] for line in rows[:9]), encoding="utf-8")
    commands = re.findall(r"^focalkit .*$", text, re.M)
    assert [line.split()[1] for line in commands] == ["tune", "predict"]
    for line in commands:
        words = [*shlex.split(line)[1:], "--language", option]
        done = CliRunner().invoke(main, words, terminal_width=80)
        assert done.exit_code == 0, done.output
        if words[0] == "tune":
            do = re.search(r"^(?:Do: |怎么做：).*", text, re.M).group()  # the first line of what the page shows
            assert "".join(do.split()) in "".join(done.output.split())
    assert len((tmp_path / "decided.csv").read_text(encoding="utf-8").splitlines()) == 9


def test_the_page_on_tuning_runs(capsys):
    run_blocks("tuning.md", {})
    assert capsys.readouterr().out.count("\n") >= 3


def test_the_page_on_decisions_runs(capsys):
    run_blocks("decisions.md", {})
    said = capsys.readouterr().out
    assert "Decide “fraud” when p > 0.04762, otherwise “ok”." in said
    assert "CASE WHEN p > 0.047" in said


def test_both_pages_on_decisions_name_the_same_options():
    pages = [(DOCS / f"decisions{language}.md").read_text(encoding="utf-8") for language in ("", ".zh-CN")]
    for pattern in (r"```(?!python)\w+\n.*?```", r"`--[^`]+`"):
        english, chinese = (re.findall(pattern, text, re.S) for text in pages)
        assert english == chinese


def test_the_example_on_costs_runs(capsys):
    path = DOCS.parent / "examples" / "decide_costs.py"
    exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), {"__name__": "__main__"})
    assert "the same for all" in capsys.readouterr().out


def test_the_page_on_boosting_runs(tmp_path, monkeypatch, capsys):
    pytest.importorskip("xgboost")
    monkeypatch.chdir(tmp_path)
    names = {}
    run_blocks("boosting.md", names)
    assert (tmp_path / "model.ubj").exists()
    np.testing.assert_allclose(names["probabilities"].sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(names["posterior"].sum(axis=1), 1, rtol=1e-6)


def test_the_page_on_pytorch_runs(tmp_path):
    torch = pytest.importorskip("torch")
    pytest.importorskip("torchmetrics")
    from torch import distributed

    written = {}
    writer = types.SimpleNamespace(add_scalar=lambda name, value, *_, **__: written.setdefault(name, value))
    hidden, targets = torch.randn(6, 2, 1024), torch.randint(3, (6,))
    model, weight = torch.nn.Linear(4, 3), torch.randn(32000, 1024)
    x = torch.randn(6, 4)
    distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/meeting", rank=0, world_size=1)
    try:
        run_blocks(
            "pytorch.md",
            {
                "model": model,
                "x": x,
                "targets": targets,
                "hidden": hidden,
                "next_tokens": torch.randint(32000, (6, 2)),
                "weight": weight,
                "alpha": [0.25, 1.0, 1.0],
                "micro_batches": [(x, targets)] * 2,
                "local_logits": torch.randn(6, 3),
                "group": distributed.group.WORLD,
                "embedding": torch.nn.Embedding(32000, 1024),
                "epoch": 1,
                "SummaryWriter": lambda: writer,
            },
        )
    finally:
        distributed.destroy_process_group()
    assert model.weight.grad is not None
    assert "focalkit/loss_share/0" in written


def test_the_page_on_jax_runs():
    jax = pytest.importorskip("jax")
    names = {}
    run_blocks("jax.md", names)
    assert names["grad"].shape == (4, 3)
    np.testing.assert_allclose(names["whole"], jax.numpy.log(3) * 4 / 9, rtol=1e-6)


@pytest.mark.parametrize("name", ["detection", "segmentation", "language-models"])
def test_a_guide_of_a_field_runs_and_has_the_tables_in_both_languages(name):
    torch = pytest.importorskip("torch")
    names = {}
    run_blocks(f"{name}.md", names)
    assert torch.isfinite(names["loss"])
    pages = [(DOCS / f"{name}{language}.md").read_text(encoding="utf-8") for language in ("", ".zh-CN")]
    english, chinese = (re.findall(r"^\|.*\|$", text, re.M) for text in pages)
    assert len(english) == len(chinese)


def test_every_page_has_both_languages_or_is_made_for_developers():
    pages = {path.name for path in DOCS.glob("*.md")}
    english = {name for name in pages if not name.endswith(".zh-CN.md")}
    alone = {"architecture.md", "benchmarks.md", "literature.md", "mathematics.md"}
    assert {name for name in english if name.replace(".md", ".zh-CN.md") not in pages} <= alone
    # the gallery's own page is made from the examples
    assert {name.replace(".zh-CN", "") for name in pages - english} - english == {"gallery.md"}


@pytest.mark.parametrize("language", ["", ".zh-CN"])
def test_the_start_page_leads_to_every_page_of_its_language(language):
    start = (DOCS / f"index{language}.md").read_text(encoding="utf-8")
    pages = {path.name for path in DOCS.glob("*.md")}
    mine = {name for name in pages if name.endswith(".zh-CN.md") == bool(language)} - {f"index{language}.md"}
    listed = set(re.findall(r"^([\w.-]+)$", start, re.M))
    assert {name.removesuffix(".md") for name in mine} <= listed


PUBLIC = {
    "focalkit": None,
    "focalkit.boosting": "focalkit.boosting",
    "focalkit.decisions": "focalkit.decisions",
    "focalkit.diagnosis": "focalkit.diagnosis",
    "focalkit.io": "focalkit.io",
    "focalkit.nn": "focalkit.nn",
    "focalkit.report": None,
    "focalkit.tuning": "focalkit.tuning",
}


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_is_in_the_reference(name):
    pytest.importorskip("torch")
    text = "\n".join(path.read_text(encoding="utf-8") for path in (DOCS / "reference").glob("*.md"))
    listed = {entry.rpartition(".")[2] for entry in re.findall(r"\.\. auto(?:class|function|exception):: (\S+)", text)}
    whole = PUBLIC[name] is not None and f".. automodule:: {PUBLIC[name]}\n   :members:" in text
    module = importlib.import_module(name)
    names = set(module.__all__)
    elsewhere = {"Ledger", "diagnose"} if name == "focalkit" else set()  # with the diagnosis
    seen = set(dir(module)) if whole else set()  # by `automodule`, what is imported when it is first asked for too
    assert names - elsewhere - listed - seen == set()


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_says_since_when_it_is_there_and_what_stands_near_it(name):
    pytest.importorskip("torch")
    names = runpy.run_path(str(DOCS / "names.py"))
    prefix = name.removeprefix("focalkit").removeprefix(".")
    for public in importlib.import_module(name).__all__:
        short = f"diagnosis.{public}" if public in ("Ledger", "diagnose") else f"{prefix}.{public}".removeprefix(".")
        assert names["near"](short), short
        for other in names["near"](short):
            module, _, leaf = f"focalkit.{other}".rpartition(".")
            if module != "focalkit.keras":  # whose backend is another test's
                assert getattr(importlib.import_module(module), leaf) is not None


def test_the_reference_puts_them_between_the_sections_of_a_docstring():
    annotate = runpy.run_path(str(DOCS / "names.py"))["annotate"]
    lines = annotate("class_weights", inspect.cleandoc(focalkit.class_weights.__doc__).splitlines())
    found = [
        line for line in lines if line in ("Parameters", "Returns", "See Also", "Examples") or "versionadded" in line
    ]
    assert found == [".. versionadded:: 0.1.0", "Parameters", "Returns", "See Also", "Examples"]
    assert "focalkit.prior_bias" in lines


def test_both_glossaries_have_the_same_entries():
    entries = [
        re.findall(r"^.+\n: ", (DOCS / f"glossary{language}.md").read_text(encoding="utf-8"), re.M)
        for language in ("", ".zh-CN")
    ]
    assert len(entries[0]) == len(entries[1]) > 20


def test_a_word_of_the_glossary_is_a_link_where_a_page_uses_it_first():
    core = pytest.importorskip("docutils.core")
    terms = runpy.run_path(str(DOCS / "terms.py"))
    page = core.publish_doctree(
        "The ledger answers for τ, and the ledger for ``τ``; `here <x>`_ the cut-off.\n\nA Cut-off."
    )
    terms["link"](types.SimpleNamespace(env=types.SimpleNamespace(docname="tuning")), page)
    links = [node for node in page.findall() if node.tagname == "reference" and "glossary" in node["classes"]]
    assert [node.astext() for node in links] == ["ledger", "τ", "cut-off"]
    assert page.astext() == "The ledger answers for τ, and the ledger for τ; here the cut-off.\n\nA Cut-off."
