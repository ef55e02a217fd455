"""``focalkit tune``: from an imbalanced table to a proven choice of loss."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from focalkit._core import contracts
from focalkit._core.message import Sentence

if TYPE_CHECKING:
    from focalkit.tuning.collection import Progress

METRIC_NAMES = ("balanced_accuracy", "macro_f1", "mcc", "average_precision", "log_loss", "calibration_error")
ESTIMATOR_NAMES = ("linear", "xgboost", "lightgbm", "catboost")


@click.command()
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option(
    "--target", metavar="NAME_OR_INDEX", help="Column to predict: its name, or its position from 0 (-1: the last)."
)
@click.option(
    "--header/--no-header", default=None, help="Whether the first line names the columns; found out by default."
)
@click.option(
    "--metric",
    type=click.Choice(METRIC_NAMES),
    default="balanced_accuracy",
    show_default=True,
    help="What the verdict's headline goes by.",
)
@click.option(
    "--gamma", "gammas", default="0,0.1,0.2,0.5,1,2,5", show_default=True, help="γ to try, separated by commas."
)
@click.option(
    "--alpha",
    "alphas",
    default="none,power:0.25,power:0.5,power:0.75,power:1",
    show_default=True,
    help="Class weights to try: none, balanced, sqrt, median, effective:β, power:β (n^-β); "
    "for two classes also the weight in (0, 1) of the second class.",
)
@click.option(
    "--keep-hardest",
    "keep",
    default="0.5,0.25,0.1",
    show_default=True,
    help="OHEM: fractions or counts to keep; none for no OHEM.",
)
@click.option(
    "--estimator",
    "name",
    type=click.Choice(ESTIMATOR_NAMES),
    default="linear",
    show_default=True,
    help="What is trained.",
)
@click.option(
    "--trials",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Draws beyond the grid: n^-β, γ and the estimator's own parameters.",
)
@click.option("--folds", type=click.IntRange(2), default=5, show_default=True)
@click.option("--repeats", type=click.IntRange(1), default=5, show_default=True)
@click.option(
    "-C", "strength", type=float, default=1.0, show_default=True, help="Linear: inverse strength of the L2 penalty."
)
@click.option("--jobs", type=int, default=-1, show_default=True, help="Processes; -1: one per core.")
@click.option("--dask", metavar="ADDRESS", help="Train on a Dask cluster: tcp://HOST:PORT, or local.")
@click.option(
    "--journal",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Keep what is finished in this file; the same command goes on from it, also in a second process at once.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option(
    "--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), help="Write every figure to this file."
)
@click.option(
    "--html",
    "html_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write one self-contained page to this file.",
)
@click.option("--language", type=click.Choice(["en", "zh-CN"]), default="en", show_default=True, help="Of the page.")
@click.option("--quiet", is_flag=True, help="No progress bar.")
def tune(
    file: Path | None,
    target: str | None,
    header: bool | None,
    metric: str,
    gammas: str,
    alphas: str,
    keep: str,
    name: str,
    trials: int,
    folds: int,
    repeats: int,
    strength: float,
    jobs: int,
    dask: str | None,
    journal: Path | None,
    seed: int,
    json_file: Path | None,
    html_file: Path | None,
    language: str,
    quiet: bool,
) -> None:
    """Find out which α and γ help on the table FILE (CSV), and whether anything does.

    Without FILE it runs on an embedded long-tailed data set (scikit-learn's digits, thinned).
    The last column is the target unless --target names another.
    """
    from rich.console import Console

    from focalkit.report.terminal import tune as text
    from focalkit.tuning.search import tune as run
    from focalkit.tuning.verdict import judge_all

    for out in (json_file, html_file, journal):
        if out is not None and not out.resolve().parent.is_dir():
            contracts.reject("output folder", "exist", str(out.resolve().parent), "Create it first.")
    console = Console()
    progress_console = Console(stderr=True)
    X, y, estimator, source, notes = _problem(file, target, header, name, strength)
    console.print(f"[bold]focalkit tune[/bold] · {source}", highlight=False)
    bar = _Bar(progress_console, shown=not (quiet or os.environ.get("CI")) and progress_console.is_terminal)
    with bar:
        result = run(
            estimator,
            X,
            y,
            alphas=[_alpha(part) for part in _parts(alphas)],
            gammas=[_number("--gamma", part) for part in _parts(gammas)],
            keep_hardest=[] if keep.strip() == "none" else [_fraction(part) for part in _parts(keep)],
            metric=metric,
            n_splits=folds,
            n_repeats=repeats,
            seed=seed,
            n_trials=trials,
            n_jobs=jobs,
            dask=dask,
            journal=journal,
            progress=bar.update,
        )
    for note in notes:
        console.print(f"[yellow]note: {note}[/yellow]", highlight=False)
    verdicts = judge_all(result)
    text.print_result(console, result, verdicts)
    if json_file is not None:
        from focalkit.report.export import write_json

        write_json(json_file, result, verdicts, source)
        console.print(f"figures: {json_file}", highlight=False)
    if html_file is not None:
        from focalkit.report.page.tune import write_html

        write_html(html_file, result, verdicts, source, [*notes], language)
        console.print(f"report: {html_file.resolve()}", highlight=False)
    if not result.finished:
        click.get_current_context().exit(130)


def _problem(
    file: Path | None, target: str | None, header: bool | None, name: str, strength: float
) -> tuple[Any, Any, Any, str, list[str]]:
    """Features, labels, the pipeline for them, and what to call it all."""
    from focalkit.io.features import read_table
    from focalkit.tuning.datasets import load_long_tail_digits
    from focalkit.tuning.estimators import named_estimator

    if file is None:
        if target is not None or header is not None:
            contracts.reject("FILE", "be given with --target and --header", None, "focalkit tune FILE --target NAME")
        X, y = load_long_tail_digits()
        source: str = Sentence(
            "embedded long-tailed digits: {n:,} rows × {width} features, {classes} classes",
            n=len(y),
            width=X.shape[1],
            classes=len(set(y.tolist())),
        )
        return X, y, named_estimator(name, X.shape[1], missing=False, C=strength), source, []
    table = read_table(file, target, header=header)
    n_classes = len(set(table.y.tolist()))
    size = {"n": len(table.y), "width": table.X.shape[1], "classes": n_classes}
    form = "{file}: {n:,} rows × {width} features, {classes} classes, target {target!r}"
    source = Sentence(form, file=file.name, target=table.target_name, **size)
    missing = bool(np.isnan(table.X).any())
    estimator = named_estimator(name, table.X.shape[1], table.categorical, missing=missing, C=strength)
    return table.X, table.y, estimator, source, [*table.notes, *_treatment(name, table.categorical, missing)]


def _treatment(name: str, categorical: tuple[int, ...], missing: bool) -> list[str]:
    """What the estimator does with texts and gaps."""
    n = len(categorical)
    if name == "linear":
        texts = Sentence("{n} text column(s) are one-hot encoded inside the folds.", n=n)
        gaps = Sentence("Missing values are imputed inside the folds.")
    else:
        texts = Sentence("{n} text column(s) are given to {name} as categories.", n=n, name=name)
        gaps = Sentence("Missing values are left to {name}.", name=name)
    return [part for part, holds in zip((texts, gaps), (categorical, missing), strict=True) if holds]


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        contracts.reject(name, "be numbers separated by commas", text, "E.g. 0,0.5,2")


def _alpha(text: str) -> Any:
    if text == "none":
        return None
    try:
        return float(text)
    except ValueError:
        return text


def _fraction(text: str) -> float | int:
    value = _number("--keep-hardest", text)
    return int(value) if value > 1 and value == int(value) else value


class _Bar:
    """What is done, how long the rest takes, and the best so far, on the terminal's error stream."""

    def __init__(self, console: Any, shown: bool) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            *(BarColumn(bar_width=24), MofNCompleteColumn(), TimeRemainingColumn()),
            TextColumn("{task.fields[best]}", style="dim"),
        )
        self.progress = Progress(*columns, console=console, transient=True, disable=not shown)
        self.task = self.progress.add_task("", total=None, best="")

    def update(self, state: Progress) -> None:
        from focalkit.report.terminal.tune import figure
        from focalkit.tuning.scores import metric_named

        best = ""
        if state.best is not None:
            score = figure(state.mean, state.standard_error, state.metric)
            best = f"best so far: {state.best.title}, {metric_named(state.metric).title} {score}"
        self.progress.update(self.task, completed=state.done, total=state.total, best=best)

    def __enter__(self) -> _Bar:
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()
