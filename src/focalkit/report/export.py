"""A tuning run as JSON."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

from focalkit import __version__
from focalkit.io.atomic import write_text
from focalkit.report import words
from focalkit.report.snippet import code
from focalkit.tuning.result import TuneResult
from focalkit.tuning.scores import NAMES
from focalkit.tuning.verdict import Verdict


def as_dict(result: TuneResult, verdicts: tuple[Verdict, ...], source: str) -> dict[str, Any]:
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
        "verdicts": [_verdict(result, verdict) for verdict in verdicts],
        "notes": list(result.notes),
    }


def write_json(path: Path, result: TuneResult, verdicts: tuple[Verdict, ...], source: str) -> None:
    """Write :func:`as_dict` to ``path``; what is not a number becomes null."""
    text = json.dumps(_finite(as_dict(result, verdicts, source)), ensure_ascii=False, indent=1, allow_nan=False)
    write_text(path, text + "\n")


def _verdict(result: TuneResult, verdict: Verdict) -> dict[str, Any]:
    return {
        "metric": verdict.metric.name,
        "judges": verdict.metric.judges,
        "recommended": verdict.recommended.family,
        "cell": verdict.recommended.cell,
        "headline": words.headline(result, verdict),
        "sentences": words.sentences(result, verdict),
        "code": code(result, verdict),
        "families": [asdict(family) for family in verdict.families],
    }


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
