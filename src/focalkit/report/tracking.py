"""Results in an MLflow run: figures, parameters, what was said of them, and the page."""

from __future__ import annotations

import math
import re
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, NamedTuple

from focalkit import __version__
from focalkit._core.extras import need
from focalkit.decisions.rule import DecisionRule
from focalkit.diagnosis.ledger import Ledger
from focalkit.diagnosis.result import Diagnosis
from focalkit.report import to_html

if TYPE_CHECKING:
    from focalkit.tuning.result import TuneResult
    from focalkit.tuning.verdict import Verdict

#: MLflow takes no other signs in a name, no longer values of a parameter, and no longer tags.
_NO_NAME = re.compile(r"[^\w\-. :/]", re.ASCII)
_LONGEST_PARAMETER, _LONGEST_TAG = 500, 5000


class _Logged(NamedTuple):
    """A result as MLflow keeps it."""

    metrics: dict[str, float]
    parameters: dict[str, str]
    said: list[str]
    data: str


def log_to_mlflow(
    result: TuneResult | Verdict | Diagnosis | Ledger | DecisionRule, *, prefix: str = "focalkit", language: str = "en"
) -> str:
    """Log a result to MLflow: into the active run, or into a new one.

    Parameters
    ----------
    result : TuneResult, Verdict, Diagnosis, Ledger or DecisionRule
        What ``tune``, ``judge``, ``diagnose_files``, ``diagnose`` or ``decide`` returned.
    prefix : str
        What the names of metrics, parameters and tags begin with, and the folder of the artifacts.
    language : {"en", "zh-CN"}
        Of the sentences, and of the page as it opens.

    Returns
    -------
    str
        The id of the run.

    Raises
    ------
    InputError
        Where ``result`` is none of these, or ``language`` no language of the reports.
    ModuleNotFoundError
        Where MLflow is not installed.

    Notes
    -----
    Metrics, of ``tune``: for each figure, of the recommended remedy, ``gain`` over plain cross-entropy with its
    ``standard_error``, the probability ``better`` that there is one, and ``expected`` on new data. Of a rule: each
    figure ``before`` and ``after``. Of a diagnosis: ``loss_share`` and ``gradient_share`` of each class. Parameters
    name the remedy, the goal, or gamma and alpha. The tag ``said`` has the sentences. Artifacts are ``page.html`` and
    ``result.json``. Where MLflow keeps a run is its own setting (``mlflow.set_tracking_uri``).
    """
    page = to_html(result, language=language)  # which refuses what is no result
    if isinstance(result, DecisionRule):
        logged = _of_rule(result)
    elif isinstance(result, Diagnosis | Ledger):
        logged = _of_diagnosis(Diagnosis(result) if isinstance(result, Ledger) else result, language)
    else:
        from focalkit.tuning.verdict import Verdict, judge

        logged = _of_tune(result if isinstance(result, Verdict) else judge(result), language)
    with need("mlflow", "log_to_mlflow", "mlflow"):
        import mlflow

    numbers = {name: float(value) for name, value in logged.metrics.items() if math.isfinite(value)}
    tags = {"said": " ".join(logged.said)[:_LONGEST_TAG], "version": __version__}
    active = mlflow.active_run()
    with mlflow.start_run() if active is None else nullcontext(active) as run:
        mlflow.log_metrics(_named(prefix, numbers))
        mlflow.log_params(_named(prefix, {name: text[:_LONGEST_PARAMETER] for name, text in logged.parameters.items()}))
        mlflow.set_tags(_named(prefix, tags))
        mlflow.log_text(page, f"{prefix}/page.html")
        mlflow.log_text(logged.data, f"{prefix}/result.json")
    return str(run.info.run_id)


def _named(prefix: str, values: dict[str, Any]) -> dict[str, Any]:
    """The values by names that MLflow takes; those that would become the same stay apart."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        allowed = _NO_NAME.sub("_", f"{prefix}/{name}")
        while allowed in found:
            allowed += "_"
        found[allowed] = value
    return found


def _of_tune(judged: Verdict, language: str) -> _Logged:
    from focalkit.report.export import as_json
    from focalkit.tuning.verdict import expected_on_new_rows

    result, verdicts = judged.result, judged.with_others
    metrics, parameters = {}, {"estimator": result.estimator}
    for verdict in verdicts:
        name, chosen = verdict.metric.name, verdict.recommended
        parameters[f"{name}/remedy"] = str(result.cells[chosen.cell].title)
        metrics[f"{name}/gain"] = chosen.gain.mean
        metrics[f"{name}/standard_error"] = chosen.gain.standard_error
        metrics[f"{name}/better"] = chosen.gain.p_above
        metrics[f"{name}/expected"] = expected_on_new_rows(verdict).mean
    said = [text for verdict in verdicts for text in verdict.sentences(language)]
    return _Logged(metrics, parameters, said, as_json(result, verdicts, ""))


def _of_diagnosis(found: Diagnosis, language: str) -> _Logged:
    shares = found.focal
    metrics = {}
    for k, name in enumerate(shares.class_names):
        metrics[f"loss_share/{name}"] = shares.loss.share_alpha[k]
        metrics[f"gradient_share/{name}"] = shares.grad.share_alpha[k]
    parameters = {"gamma": str(found.gamma), "alpha": str(found.alpha)}
    return _Logged(metrics, parameters, found.sentences(language), found.to_json())


def _of_rule(rule: DecisionRule) -> _Logged:
    metrics = {}
    for figure in rule.report.figures if rule.report is not None else ():
        metrics[f"{figure.name}/before"], metrics[f"{figure.name}/after"] = figure.before.value, figure.after.value
    return _Logged(metrics, {"goal": repr(rule.goal)}, [rule.sentence], rule.to_json())
