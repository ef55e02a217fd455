"""The user's own estimator from the command line: a class by its name, or a saved model."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sklearn.base import clone
from sklearn.pipeline import Pipeline
from sklearn.utils import get_tags

from focalkit._core import contracts
from focalkit._core.extras import module_named, need
from focalkit.tuning.estimators import NAMES, prepared
from focalkit.tuning.remedy import RemedyClassifier, TableEncoder

EXAMPLE = "E.g. sklearn.ensemble.RandomForestClassifier(n_estimators=300)"


def from_text(text: str) -> Any:
    """The estimator of ``package.module.Class(name=literal, …)``.

    Only a class that is a classifier is ever called, and its arguments are literals: numbers, strings, truth values,
    None, and lists, tuples and dicts of these.

    Raises
    ------
    InputError
        Where it is not of that form, or names no classifier.
    """
    contract = f"be one of {', '.join(NAMES)}, a saved model (.joblib), or a class with literal arguments"
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except SyntaxError:
        contracts.reject("estimator", contract, text, EXAMPLE)
    call = tree if isinstance(tree, ast.Call) else ast.Call(tree, [], [])
    module, _, name = _dotted(call.func).rpartition(".")
    if not module or call.args:
        contracts.reject("estimator", contract, text, EXAMPLE)
    arguments = {}
    for keyword in call.keywords:
        if keyword.arg is None:
            contracts.reject("estimator", contract, text, EXAMPLE)
        try:
            arguments[keyword.arg] = ast.literal_eval(keyword.value)
        except (ValueError, TypeError):  # or a key that no dict can have
            got = contracts.Words(ast.unparse(keyword.value))
            contracts.reject("estimator", f"have a literal as its {keyword.arg}", got, "Python's own form of a number.")
    kind = _class(module, name, text)
    try:
        return kind(**arguments)
    except TypeError as error:
        contracts.reject(
            "estimator", "have arguments that its class takes", contracts.Words(str(error)), "See its documentation."
        )


def from_file(path: str, trust: bool) -> Any:
    """The saved model at ``path``, untrained again; loading one runs code, so it is asked for.

    Raises
    ------
    InputError
        Where it is not trusted, cannot be loaded, or is no classifier.
    """
    if not trust:
        remedy = "Loading a saved model runs code of whoever wrote it. --trust says that you trust this one."
        contracts.reject("estimator", "be trusted", path, remedy)
    if not Path(path).is_file():
        contracts.reject("estimator", "be an existing file", path, "Check the path.")
    import joblib

    try:
        model = joblib.load(path)
    except Exception as error:
        what = contracts.Words(f"{type(error).__name__}: {error}")
        contracts.reject("estimator", "be a model that joblib saved", what, "Save it by joblib.dump.")
    if not hasattr(model, "get_params") or not hasattr(model, "predict"):
        contracts.reject(
            "estimator", "be a classifier", contracts.Words(type(model).__name__), "Save the model by joblib.dump."
        )
    return model


def for_table(text: str, trust: bool, table: Any, *, missing: bool) -> tuple[Any, Any]:
    """The estimator that ``text`` names and the features for it: as it knew them, or behind the usual preparation."""
    if text.endswith((".joblib", ".pkl", ".pickle")):
        model = from_file(text, trust)
        own = _of_this_package(model)
        if own is not None:
            encoder, estimator = own
            encoding, columns = encoder.encoding, getattr(encoder, "columns", None)
            if list(encoding.names) != list(table.feature_names):
                got = contracts.Words(f"columns {list(table.feature_names)[:5]}")
                contract = f"be of the columns {list(encoding.names)[:5]}"
                contracts.reject("estimator", contract, got, "Check --drop and --keep.")
            return clone(estimator), table.X if columns is None else table.frame()[list(columns)]
        if hasattr(model, "feature_names_in_"):
            wanted = [str(name) for name in model.feature_names_in_]
            gone = [name for name in wanted if name not in table.feature_names]
            if gone:
                contracts.reject(
                    "estimator",
                    "find its columns in the table",
                    contracts.Words(f"none called {gone[:5]}"),
                    "Check --drop.",
                )
            return clone(model), table.frame()[wanted]
    else:
        model = from_text(text)
    return behind_preparation(clone(model), table.X.shape[1], table.categorical, missing=missing), table.X


def _of_this_package(model: Any) -> tuple[Any, Any] | None:
    """Of what ``focalkit tune --save`` wrote: what encodes its table, and the estimator without remedy and rule."""
    if not isinstance(model, Pipeline) or not isinstance(model.steps[-1][1], RemedyClassifier):
        return None
    first = model.steps[0][1]
    return (first, model.steps[-1][1].estimator) if isinstance(first, TableEncoder) else None


def behind_preparation(model: Any, n_features: int, categorical: Sequence[int], *, missing: bool) -> Any:
    """The model, behind what makes numbers of texts and gaps where it does not take them itself."""
    if not categorical and (not missing or get_tags(model).input_tags.allow_nan) and not _minds_scale(model):
        return model
    return prepared(model, n_features, categorical, missing=missing)


def _minds_scale(model: Any) -> bool:
    """Whether a model may depend on the scale of its features: all but trees and their ensembles."""
    module = type(model).__module__
    return not module.startswith(
        ("sklearn.tree", "sklearn.ensemble", "lightgbm", "xgboost", "catboost", "sklearn.pipeline")
    )


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    return f"{_dotted(node.value)}.{node.attr}" if isinstance(node, ast.Attribute) else ""


def _class(module: str, name: str, text: str) -> Any:
    with need(module, f"--estimator {module}.{name}", None):
        kind = getattr(module_named(module), name, None)
    if not (isinstance(kind, type) and hasattr(kind, "get_params") and hasattr(kind, "predict")):
        contracts.reject("estimator", "name a class of classifiers", text, EXAMPLE)
    return kind
