"""``focalkit tune --target "t_*"``: several labels of the same rows, each by itself and together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np

from focalkit._core import contracts
from focalkit._core.message import Message
from focalkit.cli.options import Progress, announced, to_stdout, write_out

#: The options that write a file, in the order in which they are written.
PLACES = ("json", "script", "card", "model", "html")


def show_labels(
    file: str,
    pattern: str,
    asked: dict[str, Any],
    estimator: tuple[str, float, bool],
    options: dict[str, Any],
    rule: dict[str, Any],
    language: str,
    places: Mapping[str, Path | None],
    command: str,
    *,
    verbose: bool = False,
    quiet: bool = False,
) -> bool:
    """Tune every column whose name fits the pattern, write what was asked for, print a line a label and one for all.

    Returns whether it was finished.
    """
    from focalkit.report import labels as report
    from focalkit.report.messages import word
    from focalkit.report.page.assemble import assemble
    from focalkit.report.sections import Section
    from focalkit.report.terminal.console import Terminal
    from focalkit.tuning.multilabel import tune_labels

    problem, labels, about = _read(file, pattern, asked, estimator)
    shown = not to_stdout(*places.values())
    terminal = Terminal(language)
    title = f"{file}: {word('label.count', terminal.language, n=len(labels))}"
    announced(terminal, title, problem.notes, shown=shown, language=language)
    with Progress("progress.tune", language, quiet) as bar:
        told: dict[str, Any] = {**rule, **options, **problem.folding, "progress": bar.of_run}
        found = tune_labels(problem.estimator, problem.X, labels, **told)
    trained = found
    verdicts = {  # in the words of the file, as the script reads them
        name: replace(verdict, result=replace(verdict.result, **about[name]))
        for name, verdict in found.verdicts.items()
    }
    found = replace(found, verdicts=verdicts)
    label = file.rstrip("/").rsplit("/", 1)[-1]
    size = {"n": len(problem.y), "width": problem.X.shape[1], "classes": 2}
    source = Message("source.table", file=label, target=pattern, **size)
    made: dict[str, Callable[[], str]] = {
        "json": lambda: report.as_json(found, source, problem.notes),
        "script": lambda: report.code(found) + "\n",
        "card": lambda: report.card(found, source, problem.notes, command),
        "html": lambda: assemble(report.page(found, source, problem.notes, command), language),
    }
    for key in PLACES:
        place = places[key]
        if place is not None and key == "model":
            save_labels(problem, trained, labels, {name: about[name]["classes"] for name in labels}, place)
        elif place is not None:
            write_out(place, made[key]())
    if shown:
        for note in report.of_runs(found):
            terminal.line(Message("note", note=note), "yellow")
        terminal.show([Section("labels", "", [report.table(found)])])
        if verbose:
            terminal.show([section for sections in report.of_each(found) for section in sections])
        said = {"json": "file.figures", "html": "file.page", "script": "file.script", "card": "file.card"}
        for key, place in places.items():
            if place is not None:
                terminal.word(said.get(key, "file.model"), path=place)
    return found.finished


def _read(
    file: str, pattern: str, asked: dict[str, Any], estimator: tuple[str, float, bool]
) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """The problem of the features, every label as 0 and 1, and where each came from with its words for these.

    Of texts the rarer is 1, of numbers the larger.
    """
    from focalkit.cli.problem import from_table
    from focalkit.io.dialect import TextOptions
    from focalkit.io.features import _columns

    text = TextOptions(*(asked[key] for key in ("header", "delimiter", "decimal", "encoding")))
    names = _columns(file, text, [], asked["skip_damaged"]).names
    wanted = [name for name in names if fnmatchcase(name, pattern)]
    if not wanted:
        contracts.reject("target", "fit a column", pattern, f"The columns are {', '.join(names[:8])}.")
    labels, about = {}, {}
    problems: list[Any] = []
    for name in wanted:
        others = tuple(other for other in wanted if other != name)
        problem = from_table(file, {**asked, "target": name, "drop": (*asked["drop"], *others)}, *estimator)
        values, counts = np.unique(problem.y, return_counts=True)
        if len(values) != 2:
            contracts.reject(f"label {name!r}", "have two values", values[:5].tolist(), "One column a label.")
        if isinstance(values[0], str) and counts[0] < counts[1]:
            values = values[::-1]
        if problems and not _alike(problem.X, problems[0].X):
            remedy = "Complete the labels, or tune those that are there in other rows by themselves."
            contracts.reject(
                f"label {name!r}",
                f"have a value in the same rows as {wanted[0]!r}",
                contracts.Words("gaps elsewhere"),
                remedy,
            )
        problems.append(problem)
        labels[name] = (problem.y == values[1]).astype(int)
        about[name] = {"origin": problem.origin, "classes": tuple(values.tolist())}
    # what is noted of every label alike: the others are told of their own column, and of those left out for it
    problem = problems[-1]
    problem.notes = [note for note in problem.notes if all(note in other.notes for other in problems)]
    return problem, labels, about


def _alike(one: Any, other: Any) -> bool:
    """Whether two tables of features are of the same rows."""
    return bool(one.equals(other)) if hasattr(one, "equals") else np.array_equal(one, other, equal_nan=True)


def save_labels(
    problem: Any, found: Any, labels: dict[str, Any], words: dict[str, tuple[Any, Any]], place: Path
) -> None:
    """What is recommended for each label, trained on all rows, as one pipeline."""
    from focalkit.cli.problem import save_model
    from focalkit.report.snippet import fitted
    from focalkit.tuning.multilabel import LabelRemedies

    weight = problem.folding.get("sample_weight")
    models = {
        name: fitted(verdict.result, verdict, problem.estimator, problem.X, labels[name], weight)
        for name, verdict in found.verdicts.items()
    }
    save_model(problem, LabelRemedies(models, words), place)
