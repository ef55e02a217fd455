"""What errors say was got: the user's value as written, a description without quotes, and each caller's own words."""

import ast
import warnings
from collections import defaultdict
from pathlib import Path, PurePosixPath

import click
import numpy as np
import pytest

import focalkit
from focalkit import InputError, LossSpec, decisions
from focalkit import io as tables
from focalkit._core import contracts
from focalkit.report import to_html

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

Z = np.random.default_rng(0).normal(size=(6, 3))
Y = np.array([0, 1, 2, 0, 1, 2])
P = np.exp(Z) / np.exp(Z).sum(axis=1, keepdims=True)
ONE, BITS = np.array([0.1, 0.4, 0.6, 0.8, 0.3, 0.9]), np.array([0, 0, 1, 1, 0, 1])
F1 = decisions.Maximize("f1")
TABLE = {"a": [1.0, 2.5, 3.0, 4.0], "b": [1.0, 2.0, 3.0, 5.5], "c": list("xyxy")}


class Odd:
    """Nothing that any argument is."""


WRONG = {
    "None": None, "text": "abc", "3": 3, "-1": -1, "NaN": float("nan"), "inf": float("inf"), "True": True, "[]": [],
    "ragged": [[1.0, 2.0], [3.0]], "NaNs": np.full((6, 3), np.nan), "another shape": np.zeros((2, 2, 2)),
    "dict": {"a": 1}, "set": {1, 2}, "bytes": b"abc", "complex": 1j, "texts": ["a", "b"], "0-d": np.array(2.0),
    "dates": np.array(["2020-01-01"], "M8[D]"), "an object": Odd(), "a class": int,
}  # fmt: skip

CALLS = {
    "softmax_focal_loss": dict(
        logits=Z, targets=Y, gamma=2.0, alpha=None, sample_weight=None, normalizer=None, inplace=False,
        label_smoothing=0.0, ignore_index=-100, reduction="mean", keep_hardest=None, class_axis=1,
        logit_adjustment=None, margin=None, poly=0.0,
    ),
    "sigmoid_focal_loss": dict(
        logits=Z, targets=(Z > 0).astype(int), gamma=2.0, alpha=None, gamma_negative=None, quality=None,
        negatives_per_positive=None,
    ),
    "loss_grad_hess": dict(
        spec=LossSpec(), logits=Z, targets=Y, sample_weight=None, normalizer=None, hess=True, out=None
    ),
    "linear_softmax_focal_loss": dict(hidden=Z, weight=Z, targets=Y),
    "class_weights": dict(counts=[1, 2, 3], scheme="effective", beta=0.9),
    "deferred_weights": dict(counts=[1, 2, 3], epoch=1, start=2),
    "long_tail_counts": dict(n_largest=100, n_classes=3, imbalance=10),
    "prior_bias": dict(prior=0.1),
    "recover_posterior": dict(probabilities=P, gamma=2.0, alpha=None),
    "shift_prior": dict(probabilities=P, prior=[0.2, 0.3, 0.5], tau=1.0),
    "diagnose": dict(logits=Z, targets=Y, spec=None, sample_weight=None, class_names=None),
    "diagnosis.Ledger": dict(spec=LossSpec(), n_classes=3, class_names=None),
    "diagnosis.loss_curves": dict(gammas=(0.0, 1.0), n_points=10, form=None),
    "diagnosis.diagnose_files": dict(
        files="nowhere.csv", targets=(), class_names=(), drop=(), link=None, gamma=2.0, alpha=None, against=()
    ),
    "decisions.decide": dict(
        probabilities=ONE, targets=BITS, goal=F1, costs=None, classes=None, calibrate=None, random_state=0, cv=None
    ),
    "decisions.fit_rule": dict(goal=F1, probabilities=ONE, targets=BITS, sample_weight=None, cutoffs=None),
    "decisions.score": dict(goal=F1, rule=decisions.fit_rule(F1, ONE, BITS), probabilities=ONE, targets=BITS),
    "decisions.sort_cutoffs": dict(p=ONE, positive=BITS, weight=None),
    "decisions.calibration": dict(p=ONE, positive=BITS, weight=None, n_bins=3),
    "decisions.estimate_prior": dict(probabilities=P, prior=np.ones(3) / 3, sample_weight=None),
    "decisions.DecisionRule.from_json": dict(text="{}"),
    "decisions.as_goal": dict(goal="f1"),
    "decisions.Cost": dict(fn=2.0, fp=1.0),
    "decisions.CostMatrix": dict(matrix=((0, 1), (2, 0))),
    "decisions.Constraint": dict(kind="precision", bound=0.9),
    "decisions.Maximize": dict(metric="f_beta", beta=1.0),
    "decisions.Abstain": dict(review_cost=0.1, share=None, cost=None),
    "tuning.judge": dict(result=None),
    "tuning.judge_all": dict(result=None),
}  # fmt: skip


def refused_or_done(function, **given):
    """Nothing but an error of this package's, or one that names what to install, comes of wrong arguments."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            function(**given)
        except (InputError, ModuleNotFoundError):
            pass


@pytest.mark.parametrize("name", CALLS)
def test_no_wrong_argument_ends_in_an_error_of_python_s(name):
    function = focalkit
    for part in name.split("."):
        function = getattr(function, part)
    for argument in CALLS[name]:
        for kind, value in WRONG.items():
            try:
                refused_or_done(function, **{**CALLS[name], argument: value})
            except Exception as error:
                pytest.fail(f"{name}({argument}={kind}): {type(error).__name__}: {error}")


def test_no_wrong_argument_of_a_table_ends_in_an_error_of_python_s():
    table = pytest.importorskip("pyarrow").table(TABLE)
    for argument in ("target", "delimiter", "encoding", "drop", "keep", "groups", "weights", "time", "missing"):
        for value in WRONG.values():
            refused_or_done(tables.read_table, **{"source": table, "target": "c", argument: value})


@pytest.mark.parametrize("argument", ["result", "language", "source", "notes", "command"])
def test_no_wrong_argument_of_a_page_ends_in_an_error_of_python_s(argument):
    good = {"result": 3, "language": "en", "source": "", "notes": (), "command": ""}
    for value in WRONG.values():
        with pytest.raises(InputError):
            to_html(**{**good, argument: value})
