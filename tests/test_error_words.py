"""What errors say was got: the user's value as written, a description without quotes, and each caller's own words."""

import ast
from collections import defaultdict
from pathlib import Path, PurePosixPath

import click
import pytest

import focalkit
from focalkit._core import contracts

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
