"""A tuning run as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
    by_name = [(name, result.mean_and_error(name)[1]) for name in NAMES]
    cells = [
        _cell(cell, {name: (result.column(name)[i], float(error[i])) for name, error in by_name})
        for i, cell in enumerate(result.cells)
    ]
    left = [
        _cell(cell, {name: (scores[:, result.names.index(name)], None) for name in NAMES})
        for cell, scores in zip(result.left, result.left_scores, strict=True)
    ]
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
        "left_after_first_repeat": left,
        "verdicts": [_verdict(result, verdict) for verdict in verdicts],
        "notes": [str(note) for note in (*notes, *result.notes)],
    }


def _cell(cell: Cell, scores: dict[str, tuple[NDArray[np.float64], float | None]]) -> dict[str, Any]:
    """A cell with its scores in each fold."""
    figures = {
        name: {"mean": float(per_fold.mean()), "standard_error": error, "per_fold": per_fold.tolist()}
        for name, (per_fold, error) in scores.items()
    }
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
        "worth": verdict.worth,
        "proof": verdict.proof,
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
