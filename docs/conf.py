"""The site: these pages, and a reference made from docstrings. Built by `make docs`, warnings are errors."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "docs")]

os.environ.setdefault("KERAS_BACKEND", "jax")  # the one that the builder has

import names  # noqa: E402
import terms  # noqa: E402

import focalkit  # noqa: E402

project = "focalkit"
author = "The focalkit developers"
copyright = "The focalkit developers, BSD-3-Clause"
version = release = focalkit.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
exclude_patterns = ["_build", "sg_execution_times.rst"]
html_theme = "furo"
html_title = f"focalkit {version}"
html_static_path = ["_static"]
html_js_files = ["languages.js"]
# nothing is fetched while the site is built; formulas are drawn by the browser
myst_enable_extensions = ["dollarmath", "amsmath", "deflist"]
myst_heading_anchors = 3
napoleon_numpy_docstring = True
napoleon_google_docstring = False
napoleon_use_param = False
napoleon_use_rtype = False
autodoc_typehints = "none"
autodoc_member_order = "bysource"
autosummary_generate = False
# shapes in docstrings, "(n_classes,)", are no references
suppress_warnings = ["ref.python"]
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
# libraries that a page of the reference needs and the builder may lack
autodoc_mock_imports = ["lightning"]

# the gallery runs each example, keeps what it printed and drew, and offers it as a notebook; offline throughout
sphinx_gallery_conf = {
    "examples_dirs": "../examples/gallery",
    "gallery_dirs": "gallery",
    "filename_pattern": r"\.py",
    "ignore_pattern": r"__init__\.py",
    "within_subsection_order": "ExampleTitleSortKey",
    "plot_gallery": "True",
    "abort_on_example_error": True,
    "show_signature": False,
    "show_memory": False,
    "download_all_examples": False,
    "min_reported_time": 3600,
    "remove_config_comments": True,
}

#: Pages whose text lies where a reader of the repository looks for it.
SHOWN = {"architecture": "ARCHITECTURE.md", "benchmarks": "benchmarks/README.md"}
REPOSITORY = "https://github.com/focalkit/focalkit/blob/main/"


def _link_to_the_repository(app: object, name: str, source: list[str]) -> None:
    """Files outside docs/ (examples, benchmarks, policies) are read in the repository."""
    if name in SHOWN:
        file = ROOT / SHOWN[name]

        def beside(match: re.Match[str]) -> str:
            path = os.path.relpath(file.parent / match[1], ROOT / "docs")
            return f"]({path}"

        source[0] = re.sub(r"\]\((?!https?:|#)([^)#\s]+)", beside, file.read_text(encoding="utf-8"))

    def target(match: re.Match[str]) -> str:
        path = (ROOT / "docs" / match[1]).resolve()
        if not path.exists():
            return match[0]
        return f"]({REPOSITORY}{path.relative_to(ROOT).as_posix()}{match[2] or ''})"

    source[0] = re.sub(r"\]\((\.\./[^)#\s]+)(#[^)\s]*)?\)", target, source[0])


def _twin(app: object, page: str, template: str, context: dict, tree: object) -> None:
    """Name the page's twin in the other language in its head; the gallery's examples share one page in Chinese."""
    chinese = page.endswith(".zh-CN")
    twin = page.removesuffix(".zh-CN") if chinese else f"{page}.zh-CN"
    if page.startswith("gallery/"):
        twin = "gallery.zh-CN"
    elif page == "gallery.zh-CN":
        twin = "gallery/index"
    if twin in app.env.found_docs:  # type: ignore[attr-defined]
        language = "en" if chinese else "zh-CN"
        context["metatags"] += f'<link rel="alternate" hreflang="{language}" href="{context["pathto"](twin)}">'


def _skip(app: object, what: str, name: str, member: object, skip: bool, options: object) -> bool | None:
    """scikit-learn's own methods for metadata routing refer to labels of its own documentation."""
    return True if re.fullmatch(r"set_\w+_request|get_metadata_routing", name) else None


def _annotate(app: object, what: str, name: str, member: object, options: object, lines: list[str]) -> None:
    """What stands near a public name, and since when it is there."""
    short = name.removeprefix("focalkit.")
    if what in ("function", "class", "exception", "data") and short.count(".") < 2:
        lines[:] = names.annotate(short, lines)


def setup(app: object) -> None:
    """Register what the pages need."""
    app.connect("autodoc-skip-member", _skip)  # type: ignore[attr-defined]
    app.connect("autodoc-process-docstring", _annotate, priority=400)  # type: ignore[attr-defined]  # before numpydoc's form is read
    app.connect("doctree-read", terms.link)  # type: ignore[attr-defined]
    app.connect("html-page-context", _twin)  # type: ignore[attr-defined]
    app.connect("source-read", _link_to_the_repository)  # type: ignore[attr-defined]
