"""What results show of themselves in a notebook: a table with its findings, a data frame, a figure, sentences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from focalkit._core import contracts
from focalkit._core.extras import need
from focalkit.diagnosis.ledger import Ledger
from focalkit.diagnosis.result import Diagnosis
from focalkit.diagnosis.shares import Shares
from focalkit.report import format as write
from focalkit.report.messages import LANGUAGES, say
from focalkit.report.sections import Column, Lines, Table, message

#: Rows of a table in a notebook.
TOP = 20


def _diagnosis(result: Any) -> Diagnosis | None:
    return Diagnosis(result) if isinstance(result, Ledger) else result if isinstance(result, Diagnosis) else None


def sentences(result: Any, language: str = "en") -> list[str]:
    """What is found, in words."""
    contracts.one_of("language", language, LANGUAGES)
    return [say(finding, language) for finding in _findings(result)]


def _findings(result: Any) -> Sequence[Any]:
    found = _diagnosis(result)
    if found is not None:
        from focalkit.report.diagnose import findings

        return findings(found)
    if isinstance(result, Shares):
        return _of_shares(result)
    from focalkit.tuning import findings as of
    from focalkit.tuning.verdict import Verdict, judge

    verdict = result if isinstance(result, Verdict) else judge(result)
    return (of.headline(verdict), *of.findings(verdict))


def _of_shares(shares: Shares) -> list[Any]:
    """Where most goes, and what is easy: all that shares alone can tell."""
    if not shares.weight.sum() > 0:
        return [message("finding.nothing")]
    top = int(shares.grad.share_alpha.argmax())
    figures = {"loss": shares.loss.share_alpha[top], "grad": shares.grad.share_alpha[top]}
    easy = float((shares.easy_samples * shares.sample_share).sum())
    name, samples = shares.class_names[top], shares.sample_share[top]
    return [
        message("finding.most", name=name, samples=samples, **figures),
        message("finding.easy_now", easy=easy, now=shares.loss.easy_overall_alpha),
    ]


def html(result: Any) -> str:
    """A table and the findings."""
    return _html_table(_table(result)) + _html_lines(Lines(_findings(result)))


def _table(result: Any) -> Table:
    found = _diagnosis(result)
    if found is not None:
        from focalkit.report.diagnose import where

        return where(found, TOP)
    if isinstance(result, Shares):
        return _shares_table(result)
    from focalkit.report import tune
    from focalkit.tuning.verdict import Verdict

    return (
        tune.families(result.result, result) if isinstance(result, Verdict) else tune.families(result, _judged(result))
    )


def _judged(result: Any) -> Any:
    from focalkit.tuning.verdict import judge

    return judge(result)


def _shares_table(shares: Shares) -> Table:
    columns = [Column(message("head.class"), figure=False), Column(message("head.samples"))]
    columns += [Column(message("head.alpha")), Column(message("head.gamma"))]
    columns += [Column(message(f"head.{what}_of", stage="%")) for what in ("loss", "grad")]
    columns += [Column(message("head.easy_share"))]
    size = np.maximum(shares.grad.share, shares.grad.share_alpha)
    shown = np.sort(np.argsort(-size, kind="stable")[:TOP]).tolist()
    rows = [
        [
            *(shares.class_names[k], write.count(shares.count[k])),
            *(write.number(shares.alpha[k]), write.number(shares.gamma[k])),
            *(write.points(part.share_alpha[k]) for part in (shares.loss, shares.grad)),
            write.points(shares.easy_samples[k]),
        ]
        for k in shown
    ]
    n = len(shares.class_names)
    return Table(columns, rows, "", [message("key.top", top=TOP, n=n)] if n > TOP else [])


def _html_table(table: Table) -> str:
    """English HTML without a style of its own: the notebook's serves."""

    def cell(tag: str, thing: Any) -> str:
        return f"<{tag}>{_escaped(thing)}</{tag}>"

    head = "".join(cell("th", column.head) for column in table.columns)
    body = "".join(f"<tr>{cell('th', row[0])}{''.join(cell('td', one) for one in row[1:])}</tr>" for row in table.rows)
    title = cell("caption", table.title) if say(table.title) else ""
    key = "".join(cell("p", text) for text in table.key)
    return f"<table>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{key}"


def _html_lines(of: Lines) -> str:
    return f"<ul>{''.join(f'<li>{_escaped(text)}</li>' for text in of.texts)}</ul>"


def _escaped(thing: Any) -> str:
    from html import escape

    return escape(write.visible(say(thing)))


# --- frames


def to_frame(result: Any, library: str | None = None) -> Any:
    """The figures as a data frame of pandas or polars."""
    columns = _columns(result)
    if library is not None:
        contracts.one_of("library", library, ("pandas", "polars"))
    if library in (None, "pandas"):
        try:
            with need("pandas", "to_frame", None):
                import pandas
            return pandas.DataFrame(columns)
        except ModuleNotFoundError:
            if library is not None:
                raise
    with need("polars", "to_frame", None):
        import polars
    return polars.DataFrame(columns)


def _columns(result: Any) -> dict[str, Any]:
    found = _diagnosis(result)
    if found is not None:
        return _share_columns(found.focal) | {
            "loss_share_ce": found.plain.loss.share,
            "grad_share_ce": found.plain.grad.share,
        }
    if isinstance(result, Shares):
        return _share_columns(result)
    from focalkit.tuning.verdict import Verdict

    return _families(result) if isinstance(result, Verdict) else _cells(result)


def _share_columns(shares: Shares) -> dict[str, Any]:
    return {
        "class": list(shares.class_names),
        "samples": shares.count,
        "sample_share": shares.sample_share,
        "alpha": shares.alpha,
        "gamma": shares.gamma,
        "loss": shares.loss.total,
        "loss_share": shares.loss.share_alpha,
        "grad_share": shares.grad.share_alpha,
        "easy_samples": shares.easy_samples,
        "easy_loss": shares.loss.easy,
    }


def _cells(result: Any) -> dict[str, Any]:
    from focalkit.tuning.scores import NAMES

    cells = result.cells
    columns: dict[str, Any] = {
        "cell": [cell.title for cell in cells],
        "family": [cell.family for cell in cells],
        "alpha": ["none" if cell.alpha is None else str(cell.alpha) for cell in cells],
        "gamma": [cell.gamma for cell in cells],
    }
    for name in NAMES:
        columns[name], columns[f"{name}_error"] = result.mean_and_error(name)
    return columns


def _families(verdict: Any) -> dict[str, Any]:
    some = verdict.families
    return {
        "family": [family.family for family in some],
        "cell": [verdict.result.cells[family.cell].title for family in some],
        "expected": [family.expected.mean for family in some],
        "expected_error": [family.expected.standard_error for family in some],
        "gain": [family.gain.mean for family in some],
        "gain_low": [family.gain.low for family in some],
        "gain_high": [family.gain.high for family in some],
        "p": [family.adjusted_p for family in some],
        "recommended": [family is verdict.recommended for family in some],
    }


# --- figures


def _asked(args: Sequence[Any], options: dict[str, Any]) -> dict[str, Any]:
    """Options with the ledger's own gamma and alpha where nothing is said of them."""
    return {name: None for name in ("gamma", "alpha")[len(args) :]} | options


def plot(result: Any, *args: Any, **options: Any) -> Any:
    """The figure of a result."""
    from focalkit.report import ledger_figure

    if isinstance(result, Ledger):
        return ledger_figure.draw_ledger(result, *args, **_asked(args, options))
    if isinstance(result, Diagnosis):
        return ledger_figure.draw_ledger(result.ledger, result.gamma, result.alpha, *args, **options)
    if isinstance(result, Shares):
        return ledger_figure.draw_shares(result, *args, **options)
    from focalkit.report import tune_figure
    from focalkit.tuning.verdict import Verdict

    if isinstance(result, Verdict):
        return tune_figure.draw_families(result, *args, **options)
    return tune_figure.draw_surface(result, *args, **options)
