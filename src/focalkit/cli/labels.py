"""``focalkit tune --target "t_*"``: several labels of the same rows, each by itself and together."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from focalkit._core import contracts


def show_labels(
    file: str,
    pattern: str,
    asked: dict[str, Any],
    estimator: tuple[str, float, bool],
    options: dict[str, Any],
    worth: float,
    language: str,
) -> None:
    """Tune every column whose name fits the pattern, and print a line a label and one for all."""
    from focalkit.cli.problem import from_table
    from focalkit.io.dialect import TextOptions
    from focalkit.io.features import _columns
    from focalkit.report import format as write
    from focalkit.report.messages import word
    from focalkit.report.sections import Column, Section, Table, message
    from focalkit.report.terminal.console import Terminal
    from focalkit.tuning.multilabel import tune_labels

    text = TextOptions(*(asked[key] for key in ("header", "delimiter", "decimal", "encoding")))
    found = _columns(file, text, [], asked["skip_damaged"]).names
    names = [name for name in found if fnmatchcase(name, pattern)]
    if not names:
        contracts.reject("target", "fit a column", pattern, f"The columns are {', '.join(found[:8])}.")
    rows, verdicts, labels = [], None, {}
    problem = None
    for name in names:
        others = [other for other in names if other != name]
        given = {**asked, "target": name, "drop": (*asked["drop"], *others)}
        problem = from_table(file, given, *estimator)
        values = np.unique(problem.y)
        if len(values) != 2:
            contracts.reject(f"label {name!r}", "have two values", values[:5].tolist(), "One column a label.")
        labels[name] = (problem.y == values[1]).astype(int)
    assert problem is not None
    if len({len(y) for y in labels.values()}) > 1:
        contracts.reject("target", "have a value in the same rows", pattern, "Complete the labels.")
    verdicts = tune_labels(problem.estimator, problem.X, labels, worth=worth, **options, **problem.folding)
    for name, verdict in verdicts.verdicts.items():
        of, judges = verdict.recommended, verdict.metric.shown_as
        cell = verdict.result.cells[of.cell].message
        score = write.score(of.expected.mean, of.expected.standard_error, judges)
        gain = write.interval(of.gain.mean, of.gain.low, of.gain.high, judges)
        rows.append([name, write.count(verdicts.positives[name]), cell, score, gain])
    all_of = verdicts.together
    judges = next(iter(verdicts.verdicts.values())).metric.shown_as
    total = write.interval(all_of.mean, all_of.low, all_of.high, judges)
    rows.append([message("label.together"), write.count(sum(verdicts.positives.values())), "", "", total])
    columns = [Column(message("head.label"), figure=False), Column("n"), Column(message("head.do"), figure=False)]
    columns += [Column(message("head.expected")), Column(message("head.gain"))]
    terminal = Terminal(language)
    terminal.line(f"focalkit tune · {file}: {word('label.count', language, n=len(names))}", "bold")
    terminal.show([Section("labels", "", [Table(columns, rows)])])
