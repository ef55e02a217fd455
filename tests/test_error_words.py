"""What errors say was got: the user's value as written, a description without quotes, and each caller's own words."""

import ast
import importlib.util
from collections import defaultdict
from pathlib import Path, PurePosixPath

import click
import numpy as np
import pytest

import focalkit
from focalkit import InputError, decisions
from focalkit._core import contracts
from focalkit.report import to_html, write_page
from tests import wrong_calls
from tests.wrong_calls import KINDS, Use, refused_or_done

SOURCE = Path(focalkit.__file__).parent
DESCRIBING = ("join", "format", "unparse")


def described(node: ast.AST | None) -> bool:
    """Whether an expression is a text made here: an f-string, a literal, ``str(...)``, a type's name."""
    if isinstance(node, ast.IfExp):
        return described(node.body) or described(node.orelse)
    if isinstance(node, ast.BinOp):
        return described(node.left) or described(node.right)
    if isinstance(node, ast.Call):
        name = node.func
        if isinstance(name, ast.Attribute):
            return name.attr in DESCRIBING
        return isinstance(name, ast.Name) and name.id in ("str", "repr")
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str)
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Attribute) and node.attr == "__name__")


def of_locals(function: ast.AST) -> dict[str, list[ast.expr]]:
    """The expressions assigned to each name."""
    found = defaultdict(list)
    for node in ast.walk(function):
        for target in node.targets if isinstance(node, ast.Assign) else ():
            if isinstance(target, ast.Name):
                found[target.id].append(node.value)
            elif isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                for one, value in zip(target.elts, node.value.elts, strict=False):
                    if isinstance(one, ast.Name):
                        found[one.id].append(value)
    return found


def quoted_descriptions(text: str) -> list[int]:
    """Lines of calls of ``reject`` whose third argument is a text made here that is not :class:`contracts.Words`."""
    nodes = list(ast.walk(ast.parse(text)))
    functions = [node for node in nodes if isinstance(node, ast.FunctionDef)]
    lines = []
    for call in nodes:
        if not isinstance(call, ast.Call) or getattr(call.func, "attr", getattr(call.func, "id", "")) != "reject":
            continue
        values = [call.args[2]]
        if isinstance(call.args[2], ast.Name) and call.args[2].id not in GIVEN:
            around = [f for f in functions if f.lineno <= call.lineno <= (f.end_lineno or 0)]
            values = of_locals(around[-1])[call.args[2].id] if around else []
        if any(map(described, values)):
            lines.append(call.lineno)
    return sorted(lines)


#: Names of local variables that hold what the user gave, once text was made of it.
GIVEN = ("name", "text", "metric", "cv")


def test_what_errors_describe_stands_without_quotes():
    calls = [p for p in SOURCE.rglob("*.py") if "reject(" in p.read_text(encoding="utf-8")]
    assert len(calls) > 50
    wrong = {str(p.relative_to(SOURCE)): quoted_descriptions(p.read_text(encoding="utf-8")) for p in calls}
    assert {name: lines for name, lines in wrong.items() if lines} == {}


@pytest.mark.parametrize(
    "got",
    ["f'shape {s}'", "'a tensor'", "type(x).__name__", "str(x.dtype)", "', '.join(x)", "None if x else f'{x}'"],
)
def test_a_description_that_is_no_words_is_found(got):
    assert quoted_descriptions(f"def f(x, s):\n    reject('x', 'be y', {got}, 'Mend it.')\n") == [2]
    assert quoted_descriptions(f"def f(x, s):\n    z = {got}\n    reject('x', 'be y', z, 'Mend it.')\n") == [3]
    assert quoted_descriptions(f"def f(x, s):\n    reject('x', 'be y', Words({got}), 'Mend it.')\n") == []


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("a", "'a'"),
        (contracts.Words("shape (3,)"), "shape (3,)"),
        (PurePosixPath("a/b.csv"), "'a/b.csv'"),
        ([PurePosixPath("a.csv"), "b"], "['a.csv', 'b']"),
    ],
)
def test_a_value_is_shown_as_the_user_wrote_it(value, shown):
    with pytest.raises(contracts.InputError, match=r"^x must be y; got") as refused:
        contracts.reject("x", "be y", value, "Mend it.")
    assert str(refused.value) == f"x must be y; got {shown}. Mend it."


def test_the_commands_say_arguments_as_their_options():
    from focalkit.cli.options import in_options

    @click.command()
    @click.option("--skip-damaged", is_flag=True)
    @click.option("--target", "targets")
    @click.option("--classes")
    @click.option("--link")
    def command():
        pass

    text = "got 'link=3'. Use skip_damaged=True, targets=, class_names= or link='softmax'; drop= is of others."
    said = "got 'link=3'. Use --skip-damaged, --target, --classes or --link softmax; drop= is of others."
    assert in_options(text, command) == said


# --- every public function, and what is no argument of it

TABLE = {"a": [1.0, 2.5, 3.0, 4.0], "b": [1.0, 2.0, 3.0, 5.5], "c": list("xyxy")}


def of_library(name, uses):
    """The uses of a library that may be missing."""
    found = importlib.util.find_spec(name)
    return list(uses()) if found else [pytest.param(None, marks=pytest.mark.skip(f"{name} is not installed"))]


@pytest.mark.parametrize(
    "use",
    [
        *wrong_calls.USES,
        *of_library("sklearn", wrong_calls.classifiers),
        *of_library("sklearn", wrong_calls.tuning),
        *of_library("torch", wrong_calls.of_torch),
    ],
    ids=lambda use: use and f"{use.name}.{use.method}".rstrip("."),
)
def test_no_wrong_argument_ends_in_an_error_of_python_s(use):
    for argument in use.arguments:
        for value in use.values:
            refused_or_done(use, **{argument: value})


@pytest.mark.parametrize("use", of_library("sklearn", wrong_calls.classifiers), ids=lambda use: use and use.name)
def test_no_mask_of_training_data_or_new_rows_is_dropped(use):
    for name in ("X", "y", "sample_weight"):
        masked = np.ma.masked_array({**use.then, "sample_weight": np.ones(12)}[name], mask=False)
        masked[3] = np.ma.masked
        with pytest.raises(InputError, match=f"{name} must be an array without a mask"):
            use(**{name: masked})
    rows = np.ma.masked_array(wrong_calls.FEATURES, mask=False)
    rows[3, 0] = np.ma.masked
    with pytest.raises(InputError, match="X must be an array without a mask"):
        use().predict(rows)


@pytest.mark.parametrize("path", [None, 3, "", b"a", ["a"], pytest.param(object(), id="object")], ids=str)
def test_what_is_no_path_of_a_file_is_refused_before_anything_is_written(path):
    ledger = focalkit.diagnose(wrong_calls.Z, wrong_calls.Y)
    rule = decisions.decide(wrong_calls.P2, wrong_calls.Y2, "f1", cv=None)
    with pytest.raises(InputError, match="path must be the path of a file"):
        write_page(ledger, path)
    if path is not None:
        with pytest.raises(InputError, match="path must be the path of a file"):
            rule.to_json(path)
        with pytest.raises(InputError, match="journal must be the path of a file"):
            focalkit.tuning.tune("linear", wrong_calls.FEATURES, wrong_calls.Y2, journal=path)


def test_no_wrong_argument_of_a_table_ends_in_an_error_of_python_s():
    table = pytest.importorskip("pyarrow").table(TABLE)
    of_columns = dict.fromkeys(("delimiter", "encoding", "drop", "keep", "groups", "weights", "time", "missing"))
    read = Use("io.read_table", {"target": "c", **of_columns}, fixed={"source": table})
    for argument in read.arguments:
        for value in KINDS:
            refused_or_done(read, **{argument: value})


@pytest.mark.parametrize("argument", ["result", "language", "source", "notes", "command"])
def test_no_wrong_argument_of_a_page_ends_in_an_error_of_python_s(argument):
    good = {"result": 3, "language": "en", "source": "", "notes": (), "command": ""}
    for value in KINDS:
        with pytest.raises(InputError):
            to_html(**{**good, argument: value})
