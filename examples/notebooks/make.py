"""Executed notebooks out of the gallery's scripts: python examples/notebooks/make.py

The scripts are the source. Nothing here is edited by hand; tests/test_gallery.py holds each notebook to its script.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from sphinx_gallery.gen_gallery import DEFAULT_GALLERY_CONF
from sphinx_gallery.notebook import jupyter_notebook
from sphinx_gallery.py_source_parser import split_code_and_text_blocks

FOLDER = Path(__file__).parent
NAMES = ("churn", "credit", "long_tail", "medical_risk", "training_ledger")
FIRST = "%matplotlib inline"


def unexecuted(name: str) -> dict[str, Any]:
    """The notebook of a script, without outputs."""
    _, blocks = split_code_and_text_blocks(str(FOLDER.parent / "gallery" / f"{name}.py"))
    conf = {**DEFAULT_GALLERY_CONF, "first_notebook_cell": FIRST}
    found: dict[str, Any] = jupyter_notebook(blocks, conf, str(FOLDER))
    return found


def main() -> None:
    """Write them all."""
    for name in NAMES:
        notebook = nbformat.reads(json.dumps(unexecuted(name)), as_version=4)
        NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
        for cell in notebook.cells:
            cell.metadata.pop("execution", None)  # when it ran
        notebook.metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
        notebook.nbformat, notebook.nbformat_minor = 4, 5
        for i, cell in enumerate(notebook.cells):
            cell["id"] = f"cell-{i}"
        nbformat.validate(notebook)
        nbformat.write(notebook, FOLDER / f"{name}.ipynb")
        print(name)


if __name__ == "__main__":
    main()
