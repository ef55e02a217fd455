"""What draws: terminal tables, sentences, pictures and the page. Nothing is computed here.

:func:`write_page` and :func:`to_html` make the self-contained HTML page of a result.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from os import PathLike

    from focalkit.report.tracking import log_to_mlflow

__all__ = ["log_to_mlflow", "to_html", "write_page"]


def __getattr__(name: str) -> Any:
    """Import what logs results when it is first asked for."""
    if name != "log_to_mlflow":
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    from focalkit.report.tracking import log_to_mlflow

    return log_to_mlflow


def to_html(
    result: Any, *, language: str = "en", source: str = "", notes: Sequence[str] = (), command: str = ""
) -> str:
    """Return the self-contained HTML page of a result as text.

    Parameters
    ----------
    result : TuneResult, Verdict, Diagnosis, Ledger or DecisionRule
        What ``tune``, ``judge``, ``diagnose_files``, ``diagnose`` or ``decide`` returned; a run alone is judged by its
        own metric, half a point being worth a retraining.
    language : {"en", "zh-CN"}
        What the page begins in; it can be changed on the page.
    source : str, optional
        What data it is about; default what the result knows of that.
    notes : sequence of str, optional
        What was done to the data beforehand.
    command : str, optional
        The command that made it, for the foot.

    Returns
    -------
    str
        One HTML document; it loads nothing from the network.

    Raises
    ------
    InputError
        Where ``result`` is none of these, or ``language`` no language of the reports.
    """
    from focalkit._core import contracts
    from focalkit._core.message import Message
    from focalkit.decisions.rule import DecisionRule
    from focalkit.diagnosis.ledger import Ledger
    from focalkit.diagnosis.result import Diagnosis
    from focalkit.report.messages import LANGUAGES
    from focalkit.report.page.assemble import assemble

    contracts.one_of("language", language, LANGUAGES)
    for name, text in (("source", source), ("command", command)):
        if not isinstance(text, str):
            contracts.reject(name, "be a string", text, "It is shown as it is.")
    notes = contracts.several("notes", notes, "be a sequence of strings", "Pass a list of them.")
    if isinstance(result, Ledger):
        result = Diagnosis(result)
    if isinstance(result, DecisionRule):
        from focalkit.report.page import decide

        return assemble(decide.page(result, source, command), language)
    if isinstance(result, Diagnosis):
        from focalkit.report.page import diagnose

        if source or notes or not result.source:
            result = result.told(source, notes)
        return assemble(diagnose.page(result, command), language)
    from focalkit.tuning.result import TuneResult
    from focalkit.tuning.verdict import Verdict, judge

    if not isinstance(result, TuneResult | Verdict):
        contracts.reject(
            "result",
            "be a TuneResult, a Verdict, a Diagnosis, a Ledger or a DecisionRule",
            contracts.Words(type(result).__name__),
            "Run tune first.",
        )
    from focalkit.report.page import tune

    verdict = result if isinstance(result, Verdict) else judge(result)
    of = verdict.result
    about = source or Message("source.tuned", n=len(of.targets), classes=len(of.classes))
    return assemble(tune.page(of, verdict.with_others, about, notes, command), language)


def write_page(result: Any, path: str | PathLike[str], **options: Any) -> None:
    """Write :func:`to_html` to ``path``, whole or not at all.

    Parameters
    ----------
    result : TuneResult, Verdict, Diagnosis, Ledger or DecisionRule
        As for :func:`to_html`.
    path : path
        The file to write.
    **options
        Of :func:`to_html`: ``language``, ``source``, ``notes``, ``command``.

    Examples
    --------
    >>> import numpy as np
    >>> from focalkit import diagnose
    >>> from focalkit.report import write_page
    >>> ledger = diagnose(np.array([[2.0, 0.0], [0.0, 1.0]]), np.array([0, 1]))
    >>> write_page(ledger, "page.html", language="zh-CN")  # doctest: +SKIP
    """
    from focalkit._core import contracts
    from focalkit.io.atomic import write_text

    write_text(contracts.path("path", path), to_html(result, **options))


def __dir__() -> list[str]:
    return sorted(__all__)
