"""The gallery: its quick examples run and print what they promise; `make docs` runs all of them, warnings as errors."""

from __future__ import annotations

import ast
import json
import re
import runpy
from pathlib import Path

import pytest

pytest.importorskip("matplotlib")
pytest.importorskip("sklearn")

ROOT = Path(__file__).parents[1]
EXAMPLES = {path.stem: path for path in sorted((ROOT / "examples" / "gallery").glob("*.py"))}
PRINTED = {  # what takes a second or two; the others are run by `make docs`
    "churn": r"recall: [\d.]+% at p > 0\.5, [\d.]+% with the rule",
    "credit": r"CASE WHEN p > 0\.0",
    "long_tail": r"shifted, τ = 1: balanced accuracy 8",
    "loss_family": r"focal, γ = 2: 0\.0011 at p = 0\.9",
    "multi_label": r"macro F1 [\d.]+% → [\d.]+%",
    "training_ledger": r"γ = 2, last epoch: rare carries \d+% of the loss",
}


def parts(name: str) -> tuple[str, str]:
    """Docstring and source of an example."""
    text = EXAMPLES[name].read_text(encoding="utf-8")
    return ast.get_docstring(ast.parse(text)) or "", text


@pytest.mark.parametrize("name", PRINTED)
def test_an_example_runs_and_prints_what_it_promises(name, capsys):
    import matplotlib
    import matplotlib.pyplot as plt
    from threadpoolctl import threadpool_limits

    with matplotlib.rc_context({"backend": "agg"}), threadpool_limits(1):
        runpy.run_path(str(EXAMPLES[name]), run_name="__main__")
        assert plt.get_fignums()
        plt.close("all")
    assert re.search(PRINTED[name], capsys.readouterr().out)


def test_the_gallery_has_at_least_fifteen_examples():
    assert len(EXAMPLES) >= 15


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_has_a_title_a_text_between_its_parts_and_a_picture(name):
    docstring, text = parts(name)
    title, line, *_ = docstring.split("\n")
    assert set(line) == {"="}
    assert len(line) >= len(title)
    assert "\n# %%\n# " in text
    assert "plt.subplots" in text or ".plot()" in text


def test_the_chinese_list_has_every_example_once():
    page = (ROOT / "docs" / "gallery.zh-CN.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"<gallery/(\w+)>", page)) == sorted(EXAMPLES)


NOTEBOOKS = sorted((ROOT / "examples" / "notebooks").glob("*.ipynb"))


def test_there_are_five_executed_notebooks():
    assert len(NOTEBOOKS) == 5


@pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])
def test_a_notebook_is_its_script_executed(path):
    """`python examples/notebooks/make.py` writes them anew."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    first, *code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    assert first == "%matplotlib inline"
    _, script = parts(path.stem)
    squeezed = re.sub(r"\s+", "", script)
    assert code
    assert [source for source in code if re.sub(r"\s+", "", source) not in squeezed] == []
    ours = [line for line in script.split('"""', 2)[2].splitlines() if line.strip() and not line.startswith("#")]
    assert sum(len([line for line in source.splitlines() if line.strip()]) for source in code) >= len(ours)
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    assert {output["output_type"] for output in outputs} <= {"stream", "display_data", "execute_result"}
    assert any("image/png" in output.get("data", {}) for output in outputs)
