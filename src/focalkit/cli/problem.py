"""What ``focalkit tune`` is to work on: data, estimator, and the lines of Python that make them again."""

from __future__ import annotations

import ast
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from focalkit._core import contracts
from focalkit._core.message import Message
from focalkit.cli.goals import matrix_goal

#: Options of read_table that the script repeats where they are given.
READ = (
    "header", "delimiter", "decimal", "encoding", "drop", "keep", "groups", "weights", "time", "costs", "missing",
    "skip_damaged",
)  # fmt: skip
#: Named here, so that they need no scikit-learn; a test holds them equal to the estimators'.
ESTIMATORS = ("linear", "xgboost", "lightgbm", "catboost")
NEW = "  # the file of the rows to decide"


@dataclass
class Problem:
    """Features, labels and estimator; what to call it all, what was noted, what the folds go by, where it came from.

    ``classes`` are the labels in the order of a file's columns, where it has one.
    """

    X: Any
    y: Any
    estimator: Any
    source: str
    notes: list[str] = field(default_factory=list)
    folding: dict[str, Any] = field(default_factory=dict)
    origin: Any = None
    encoding: Any = None
    classes: Any = None

    def matrix_goal(self, path: Path) -> Any:
        """The goal of ``--costs FILE``, in the order of the sorted labels."""
        labels = np.unique(self.y) if self.classes is None else np.asarray(self.classes)
        order = np.argsort(labels, kind="stable")
        goal = matrix_goal(path, labels.tolist())
        return goal.ordered(order.tolist()) if len(goal.matrix) == len(labels) else goal


def from_table(
    file: str | None, asked: dict[str, Any], name: str, strength: float, trust: bool, demo: str = "rare-digit"
) -> Problem:
    """A table of a file, or an embedded one, and the estimator for it."""
    from focalkit.io.features import read_table

    if file is None:
        return _embedded(name, strength, demo)
    table = read_table(file, **asked)
    label = file.rstrip("/").rsplit("/", 1)[-1]
    size = {"n": len(table.y), "width": table.X.shape[1], "classes": len(set(table.y.tolist()))}
    source = Message("source.table", file=label, target=table.target_name, **size)
    missing = bool(np.isnan(table.X).any())
    if name in ESTIMATORS:
        X, estimator = table.X, _estimator(name, table.X.shape[1], table.categorical, missing, strength)
        notes = [*table.notes, *_treatment(name, table.categorical, missing)]
    else:
        from focalkit.tuning.imported import for_table

        estimator, X = for_table(name, trust, table, missing=missing)
        behind = [step for step, _ in getattr(estimator, "steps", [])][:1] == ["prepare"]
        notes = [*table.notes, *(_treatment("linear", table.categorical, missing) if behind else [])]
    folding = {"groups": table.groups, "time": table.time, "sample_weight": table.sample_weight, "costs": table.costs}
    return Problem(
        X, table.y, estimator, source, notes, {k: v for k, v in folding.items() if v is not None},
        _origin(file, asked, table, name, strength, missing, X), table.encoding,
    )  # fmt: skip


def _embedded(name: str, strength: float, demo: str) -> Problem:
    from focalkit.tuning.datasets import DEMOS
    from focalkit.tuning.result import Origin

    X, y = DEMOS[demo]()
    load = DEMOS[demo].__name__
    source = Message(
        "source.digits" if demo == "long-tail" else "source.rare_digit",
        n=len(y),
        width=X.shape[1],
        classes=len(set(y.tolist())),
    )
    if name in ESTIMATORS:
        estimator = _estimator(name, X.shape[1], (), False, strength)
        imports, made = _named(name, strength, False, "()")
    else:
        from focalkit.tuning.imported import behind_preparation, from_text

        estimator = behind_preparation(from_text(name), X.shape[1], (), missing=False)
        imports, made = _imported(name, "()", False)
    imports = (f"from focalkit.tuning.datasets import {load}", *imports)
    origin = Origin(imports, (f"X, y = {load}()",), made, ("decisions = model.predict(X)",))
    return Problem(X, y, estimator, source, origin=origin)


def _estimator(name: str, width: int, categorical: tuple[int, ...], missing: bool, strength: float) -> Any:
    """An estimator by its name; scikit-learn is loaded where it is needed."""
    if name == "linear" and not categorical:
        from focalkit.tuning.linear import LinearTable

        return LinearTable(width, missing, strength)
    from focalkit.tuning.estimators import named_estimator

    return named_estimator(name, width, categorical, missing=missing, C=strength)


def _origin(file: str, asked: dict[str, Any], table: Any, name: str, strength: float, missing: bool, X: Any) -> Any:
    """The lines of Python that read this file as it was read, and make this estimator."""
    from focalkit.tuning.result import Origin

    given = {key: asked[key] for key in READ if asked.get(key) not in (None, (), False)}
    if asked.get("missing") == ():
        given["missing"] = ()
    call = ", ".join([repr(file), repr(table.target_name), *(f"{key}={value!r}" for key, value in given.items())])
    reading, features = (f"table = read_table({call})", "X, y = table.X, table.y"), "table.encode"
    if name in ESTIMATORS:
        imports, made = _named(name, strength, missing, "table.categorical")
    elif name.endswith((".joblib", ".pkl", ".pickle")):
        imports, made = ("import joblib",), f"joblib.load({name!r})"
        if X is not table.X:
            columns = list(X.columns)
            reading = (reading[0], f"X, y = table.frame()[{columns!r}], table.y")
            features = ""
    else:
        imports, made = _imported(name, "table.categorical", missing)
    of_text = {key: given[key] for key in ("header", "delimiter", "decimal", "encoding") if key in given}
    more = "".join(f", {key}={value!r}" for key, value in of_text.items())
    new = (
        (f"new = table.encode({file!r}{more}){NEW}", "decisions = model.predict(new)")
        if features
        else ("decisions = model.predict(X)",)
    )
    imports = ("from focalkit.io import read_table", *imports)
    amounts = "costs"
    if asked.get("costs") is not None:
        imports = (*imports, "from focalkit.io.encoding import Encoding")
        amounts = f"Encoding(({asked['costs']!r},)).matrix({file!r}{more})[:, 0]"
    return Origin(imports, reading, made, new, "table.sample_weight", amounts)


def _named(name: str, strength: float, missing: bool, categorical: str) -> tuple[tuple[str, ...], str]:
    options = "" if missing else ", missing=False"
    options += f", C={_literal(strength)}" if name == "linear" and strength != 1 else ""
    made = f"named_estimator({name!r}, X.shape[1], {categorical}{options})"
    return ("from focalkit.tuning import named_estimator",), made


def _literal(number: float) -> str:
    """A number as Python that gives it back."""
    short = f"{number:g}"
    return (short if float(short) == number else repr(number)) if math.isfinite(number) else f'float("{number}")'


def _imported(text: str, categorical: str, missing: bool) -> tuple[tuple[str, ...], str]:
    """``package.Class(…)`` as an import and a call, behind the preparation that it is given here."""
    tree = ast.parse(text.strip(), mode="eval").body
    module, _, kind = ast.unparse(tree.func if isinstance(tree, ast.Call) else tree).rpartition(".")
    arguments = ", ".join(ast.unparse(k) for k in tree.keywords) if isinstance(tree, ast.Call) else ""
    imports = (f"from {module} import {kind}", "from focalkit.tuning.imported import behind_preparation")
    return imports, f"behind_preparation({kind}({arguments}), X.shape[1], {categorical}, missing={missing})"


def from_predictions(file: str | None, target: str | None, text: dict[str, Any]) -> Problem:
    """Out-of-fold predictions of a file as what there is to tune."""
    from focalkit.decisions.files import read_predictions
    from focalkit.tuning.classifiers import OutOfFold

    if file is None:
        contracts.reject("FILE", "be given with --predictions", None, "focalkit tune FILE --predictions")
    reading = {name: value for name, value in text.items() if name in ("header", "delimiter", "decimal", "encoding")}
    found = read_predictions([file], targets=(target,) if target else (), drop=text["drop"], **reading)
    p, ids = found.probabilities, np.asarray(found.targets, np.intp)
    if p.ndim == 1:
        p = np.column_stack([1 - p, p])
    names = np.arange(p.shape[1]) if found.classes is None else np.asarray(found.classes)
    y, order = names[ids], np.argsort(names)
    size = {"n": len(y), "classes": len(names)}
    source = Message("source.out_of_fold", file=found.name, target=found.target, **size)
    return Problem(None, y, OutOfFold(p[:, order]), source, [*found.alerts], classes=names)


def save(problem: Problem, result: Any, verdict: Any, place: Path) -> None:
    """The recommendation, trained on all rows, as a pipeline that takes files, data frames and matrices."""
    from focalkit.report.snippet import fitted

    weight = problem.folding.get("sample_weight")
    save_model(problem, fitted(result, verdict, problem.estimator, problem.X, problem.y, weight), place)


def save_model(problem: Problem, model: Any, place: Path) -> None:
    """A trained classifier, behind what makes its features of a file's columns, by joblib."""
    import io

    import joblib
    from sklearn.pipeline import Pipeline

    from focalkit.io.atomic import write_bytes
    from focalkit.tuning.remedy import TableEncoder

    steps = [("model", model)]
    if problem.encoding is not None:
        columns = list(problem.X.columns) if hasattr(problem.X, "columns") else None
        steps.insert(0, ("columns", TableEncoder(problem.encoding, columns)))
    stream = io.BytesIO()
    joblib.dump(Pipeline(steps), stream, compress=3)
    write_bytes(place, stream.getvalue())


def _treatment(name: str, categorical: tuple[int, ...], missing: bool) -> list[str]:
    """What the estimator does with texts and gaps."""
    n = len(categorical)
    if name == "linear":
        texts, gaps = Message("note.one_hot", n=n), Message("note.imputed")
    else:
        texts, gaps = Message("note.categories", n=n, name=name), Message("note.missing_left", name=name)
    return [part for part, holds in zip((texts, gaps), (categorical, missing), strict=True) if holds]
