"""A tuning run as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from focalkit import __version__
from focalkit._core.message import Finding
from focalkit.diagnosis.result import finite
from focalkit.report.snippet import code
from focalkit.tuning.findings import brief, findings, headline
from focalkit.tuning.result import Cell, TuneResult
from focalkit.tuning.scores import NAMES
from focalkit.tuning.verdict import Verdict


def as_dict(
    result: TuneResult, verdicts: tuple[Verdict, ...], source: str, notes: Sequence[str] = ()
) -> dict[str, Any]:
    """Every figure of the report, per fold too, as plain lists and numbers."""
    cells = []
    for i, cell in enumerate(result.cells):
        figures = {}
        for name in NAMES:
            mean, error = result.mean_and_error(name)
            per_fold = result.column(name)[i].tolist()
            figures[name] = {"mean": float(mean[i]), "standard_error": float(error[i]), "per_fold": per_fold}
        cells.append({**asdict(cell), "family": cell.family, "title": cell.title, "scores": figures})
    return {
        "focalkit": __version__,
        "source": source,
        "metric": result.metric,
        "seed": result.seed,
        "n_splits": result.folds.n_splits,
        "n_repeats": result.folds.n_repeats,
        "repeat_of_fold": result.repeat_of_fold.tolist(),
        "chosen_tau_per_fold": result.taus.tolist(),
        "finished": result.finished,
        "seconds": result.seconds,
        "classes": [{"name": name, "rows": int(n)} for name, n in zip(result.classes, result.counts, strict=True)],
        "alphas": list(result.alphas),
        "gammas": list(result.gammas),
        "cells": cells,
        "left_after_first_repeat": [_left(result, i) for i in range(len(result.left))],
        "verdicts": [_verdict(result, verdict) for verdict in verdicts],
        "notes": [str(note) for note in (*notes, *result.notes)],
    }


def _left(result: TuneResult, at: int) -> dict[str, Any]:
    """A cell that went no further than the first repeat, with its scores in that."""
    assert result.left_scores is not None
    cell, figures = result.left[at], {}
    for name in NAMES:
        per_fold = result.left_scores[at, :, result.names.index(name)]
        figures[name] = {"mean": float(per_fold.mean()), "standard_error": None, "per_fold": per_fold.tolist()}
    return {**asdict(cell), "family": cell.family, "title": cell.title, "scores": figures}


def as_json(result: TuneResult, verdicts: tuple[Verdict, ...], source: str, notes: Sequence[str] = ()) -> str:
    """:func:`as_dict` as text; what is not a number becomes null."""
    return (
        json.dumps(finite(as_dict(result, verdicts, source, notes)), ensure_ascii=False, indent=1, allow_nan=False)
        + "\n"
    )


def _verdict(result: TuneResult, verdict: Verdict) -> dict[str, Any]:
    return {
        "metric": verdict.metric.name,
        "judges": verdict.metric.judges,
        "recommended": verdict.recommended.family,
        "cell": verdict.recommended.cell,
        "headline": str(headline(verdict)),
        "brief": {line: [str(one) for one in said] for line, said in brief(verdict)._asdict().items()},
        "sentences": [str(finding) for finding in findings(verdict)],
        "findings": [as_data(finding) for finding in (headline(verdict), *findings(verdict))],
        "code": code(result, verdict),
        "families": [asdict(family) for family in verdict.families],
    }


def as_data(finding: Finding) -> dict[str, Any]:
    """A finding with its id, raw values and its sentence in English."""
    values = {name: str(value.message) if isinstance(value, Cell) else value for name, value in finding.values.items()}
    return {"id": finding.id, "values": values, "text": str(finding)}
