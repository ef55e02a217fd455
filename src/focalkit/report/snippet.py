"""The lines of Python that use what a tuning run recommends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from focalkit.decisions import CaseCost, Cost, CostMatrix
from focalkit.tuning.deciding import strength
from focalkit.tuning.grid import in_turn
from focalkit.tuning.linear import LinearTable
from focalkit.tuning.result import Cell, Origin, TuneResult
from focalkit.tuning.verdict import Verdict

BOOSTERS = ("FocalXGBClassifier", "FocalLGBMClassifier", "FocalCatBoostClassifier")


def code(result: TuneResult, verdict: Verdict) -> str:
    """The lines that use the recommendation; whole where it is known where the data came from."""
    at = verdict.recommended.cell
    if result.estimator.endswith(")"):
        tau = None if result.cells[at].tau is None else strength(result, at)
        return _code_of_function(result.estimator.partition("(")[0], result.cells[at], tau)
    if result.estimator == "OutOfFold":
        return _code_of_predictions(result, verdict)
    origin = result.origin or _unknown(result)
    arguments = [origin.estimator, *(f"{name}={value!r}" for name, value in remedy(result, verdict).items())]
    call = f"model = RemedyClassifier({', '.join(arguments)})"
    if len(call) > 100:
        call = "model = RemedyClassifier(\n    " + ",\n    ".join(arguments) + ",\n)"
    weight = "" if result.masses is None else f", {origin.weight}"
    goal = remedy(result, verdict).get("goal")
    goals = [] if goal is None else [f"from focalkit.decisions import {type(goal).__name__}"]
    imports = _imports(["from focalkit.tuning import RemedyClassifier", *goals, *origin.imports])
    new = origin.new
    if isinstance(goal, CaseCost):  # the rows to decide bring their amounts
        new = (*new[:-1], f"{new[-1].removesuffix(')')}, costs={origin.costs})")
    return "\n".join([*imports, "", *origin.reading, call, f"model.fit(X, y{weight})", "", *new])


def remedy(result: TuneResult, verdict: Verdict) -> dict[str, Any]:
    """The recommendation as arguments of :class:`focalkit.tuning.RemedyClassifier`; those at their default left out."""
    at = verdict.recommended.cell
    cell = result.cells[at]
    out: dict[str, Any] = {}
    for name in ("alpha", "gamma", "keep_hardest", "logit_adjustment", "resample"):
        value = getattr(cell, name)
        if name == "alpha" and result.turned:  # the classifier goes by the order of the labels
            value = 1 - value if isinstance(value, float) else in_turn(value)
        if value is not None and value != 0.0:
            out[name] = list(value) if isinstance(value, tuple) else value
    if cell.params:
        out["params"] = dict(cell.params)
    goal = verdict.metric.goal
    if cell.tau == "closed":
        if isinstance(goal, Cost):
            out["cutoff"] = float(f"{goal.cutoff:.6g}")
        else:
            out["goal"] = goal.ordered((1, 0)) if result.turned and isinstance(goal, CostMatrix) else goal
        if result.turned:
            out["positive"] = _plain(result.classes[1])
    elif cell.tau is not None:
        out["tau"] = strength(result, at)
        if result.scored is not None and not result.scored.all():
            out["never"] = [_plain(result.classes[k]) for k in np.flatnonzero(~result.scored)]
    if result.seed:
        out["random_state"] = result.seed
    return out


def fitted(result: TuneResult, verdict: Verdict, estimator: Any, X: Any, y: Any, sample_weight: Any = None) -> Any:
    """The recommendation, trained on all rows."""
    from focalkit.tuning.remedy import RemedyClassifier

    estimator = estimator.made() if isinstance(estimator, LinearTable) else estimator
    return RemedyClassifier(estimator, **remedy(result, verdict)).fit(X, y, sample_weight)


def _plain(label: Any) -> Any:
    return label.item() if hasattr(label, "item") else label


def _imports(lines: Sequence[str]) -> list[str]:
    """One import a module, sorted."""
    of: dict[str, set[str]] = {}
    for line in lines:
        if line.startswith("from "):
            module, _, name = line.removeprefix("from ").partition(" import ")
            of.setdefault(module, set()).add(name)
    modules = [f"from {module} import {', '.join(sorted(names))}" for module, names in sorted(of.items())]
    return [*sorted({line for line in lines if not line.startswith("from ")}), *modules]


def _unknown(result: TuneResult) -> Origin:
    """Where it is the user's arrays that were tuned: the names that they have in the documentation."""
    new = ("decisions = model.predict(X_new)",)
    if result.estimator == "FocalClassifier":
        imports = (
            "from focalkit.estimator import FocalClassifier",
            "from sklearn.pipeline import make_pipeline",
            "from sklearn.preprocessing import StandardScaler",
        )
        return Origin(imports, (), "make_pipeline(StandardScaler(), FocalClassifier())", new)
    if result.estimator in BOOSTERS:
        return Origin((f"from focalkit.boosting import {result.estimator}",), (), f"{result.estimator}()", new)
    return Origin((), (), "estimator", new)


def _code_of_predictions(result: TuneResult, verdict: Verdict) -> str:
    """Lines that decide on probabilities of new rows, (n, n_classes) in the order of the classes that they name."""
    labels = [_plain(label) for label in result.classes]
    how = remedy(result, verdict)
    if "cutoff" in how:
        decide = f"decisions = classes[(probabilities[:, 1] > {how['cutoff']}).astype(int)]"
    elif "tau" in how:
        prior = [float(f"{p:.6g}") for p in result.prior]
        decide = f"decisions = classes[(probabilities / np.array({prior}) ** {how['tau']:g}).argmax(axis=1)]"
    elif "goal" in how:
        n, costs = len(labels), verdict.metric.goal
        matrix = (
            f"np.array({costs.array.tolist()})" if isinstance(costs, CostMatrix) else f"{costs!r}.matrices(costs, {n})"
        )
        decide = (
            f"decisions = classes[(probabilities[:, None] @ {matrix})[:, 0].argmin(axis=1)]  # the least expected cost"
        )
    else:
        decide = "decisions = classes[probabilities.argmax(axis=1)]"
    goals = ["from focalkit.decisions import CaseCost"] if isinstance(how.get("goal"), CaseCost) else []
    return "\n".join(["import numpy as np", *goals, "", f"classes = np.array({labels!r})", decide])


def _code_of_function(name: str, cell: Cell, tau: Any) -> str:
    """Lines that call a training function; its logits are in the order of the sorted classes."""
    spec, made, names = [f"gamma={cell.gamma:g}"] if cell.gamma else [], [], ["LossSpec"]
    if isinstance(cell.alpha, str):
        scheme, _, beta = cell.alpha.partition(":")
        made = [f'alpha = class_weights(counts, "{scheme}"' + (f", beta={beta})" if beta else ")")]
        spec.append("alpha=alpha")
        names.append("class_weights")
    elif cell.alpha is not None:
        pair = (1 - cell.alpha, cell.alpha) if isinstance(cell.alpha, float) else cell.alpha
        spec.append(f"alpha={pair!r}")
    if cell.keep_hardest is not None:
        spec.append(f"keep_hardest={cell.keep_hardest!r}")
    if cell.logit_adjustment is not None:
        made.append(f"adjustment = {cell.logit_adjustment:g} * np.log(counts / counts.sum())")
        spec.append("logit_adjustment=tuple(adjustment)")
    params = "".join(f", {key}={value!r}" for key, value in cell.params)
    classes = ["classes, counts = np.unique(y[train], return_counts=True)"]
    call = f"logits = {name}(LossSpec({', '.join(spec)}), train, new{params})"
    by = (tau or 0.0) - (cell.logit_adjustment or 0.0)
    shift = [] if tau is None or not by else [f"logits = logits - {by:.3g} * np.log(counts / counts.sum())"]
    decide = "decisions = classes[np.argmax(logits, axis=1)]"
    return "\n".join(
        ["import numpy as np", f"from focalkit import {', '.join(names)}", "", *classes, *made, call, *shift, decide]
    )
