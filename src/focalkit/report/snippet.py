"""The lines of Python that use what a tuning run recommends."""

from __future__ import annotations

from typing import Any

import numpy as np

from focalkit.tuning.result import Cell, TuneResult
from focalkit.tuning.verdict import Verdict


def code(result: TuneResult, verdict: Verdict) -> str:
    """The lines that use the recommendation."""
    cell = result.cells[verdict.recommended.cell]
    tau: Any = cell.tau
    if cell.tau == "chosen":
        tau = float(result.taus.mean() if result.final_taus is None else result.final_taus[verdict.recommended.cell])
    if result.estimator.endswith(")"):
        return _code_of_function(result.estimator.partition("(")[0], cell, tau)
    lines = [*_model(result.estimator, cell), "decisions = model.predict(X_new)"]
    if tau is not None:
        cutoff = getattr(verdict.metric.goal, "cutoff", None)
        imports = (
            ["import numpy as np"] if tau == "closed" else ["import numpy as np", "from focalkit import shift_prior"]
        )
        lines = [*imports, *lines[:-1], *_decisions(cell, tau, cutoff, "make_pipeline" in "".join(lines))]
        if result.scored is not None and not result.scored.all() and tau != "closed":
            few = np.flatnonzero(~result.scored).tolist()
            lines.insert(-1, f"posterior[:, {few}] = 0  # too few rows to be scored: no shift goes to them")
    if result.masses is not None:
        lines = [_weighted(line) for line in lines]
    return "\n".join(lines)


def _weighted(line: str) -> str:
    """A line of a run whose rows were weighted."""
    fit = "focalclassifier__sample_weight" if "make_pipeline(" in line else "sample_weight"
    line = line.replace(".fit(X, y)", f".fit(X, y, {fit}=sample_weight)")
    counted = "classes, index = np.unique(y, return_inverse=True)\ncounts = np.bincount(index, sample_weight)"
    return line.replace("classes, counts = np.unique(y, return_counts=True)", counted)


def _decisions(cell: Cell, tau: Any, cutoff: float | None, pipeline: bool) -> list[str]:
    """Lines that decide by probabilities under the classes' own frequencies: what alpha tilts is divided out."""
    lines = ["classes, counts = np.unique(y, return_counts=True)", "posterior = model.predict_proba(X_new)"]
    if cell.alpha is not None:
        model = "model[-1]" if pipeline else "model"
        lines += [
            f"posterior = posterior / {model}.alpha_",
            "posterior = posterior / posterior.sum(axis=1, keepdims=True)",
        ]
    if tau == "closed":
        return [*lines, f"decisions = classes[(posterior[:, 1] > {cutoff:.6g}).astype(int)]"]
    return [
        *lines,
        f"posterior = shift_prior(posterior, counts / counts.sum(), tau={tau:.3g})",
        "decisions = classes[posterior.argmax(axis=1)]",
    ]


def _model(estimator: str, cell: Cell) -> list[str]:
    """Lines that fit the model; the linear one is scaled, a class of the user's own is theirs to import."""
    if estimator == "FocalClassifier":
        return [
            "from sklearn.pipeline import make_pipeline",
            "from sklearn.preprocessing import StandardScaler",
            "from focalkit.estimator import FocalClassifier",
            "",
            f"model = make_pipeline(StandardScaler(), FocalClassifier({_arguments(cell)})).fit(X, y)",
        ]
    boosters = ("FocalXGBClassifier", "FocalLGBMClassifier", "FocalCatBoostClassifier")
    imports = [f"from focalkit.boosting import {estimator}", ""] if estimator in boosters else []
    return [*imports, f"model = {estimator}({_arguments(cell)}).fit(X, y)"]


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
    params = "".join(f", {key}={value!r}" for key, value in cell.params)
    classes = ["classes, counts = np.unique(y[train], return_counts=True)"]
    call = f"logits = {name}(LossSpec({', '.join(spec)}), train, new{params})"
    shift = [] if tau is None else [f"logits = logits - {tau:.3g} * np.log(counts / counts.sum())"]
    decide = "decisions = classes[np.argmax(logits, axis=1)]"
    return "\n".join(
        ["import numpy as np", f"from focalkit import {', '.join(names)}", "", *classes, *made, call, *shift, decide]
    )


def _arguments(cell: Cell) -> str:
    arguments: list[str] = [f"gamma={cell.gamma:g}"]
    if cell.alpha is not None:
        alpha: Any = list(cell.alpha) if isinstance(cell.alpha, tuple) else cell.alpha
        arguments.append(f"alpha={alpha!r}")
    if cell.keep_hardest is not None:
        arguments.append(f"keep_hardest={cell.keep_hardest!r}")
    arguments += [f"{name}={value!r}" for name, value in cell.params]
    return ", ".join(arguments)
