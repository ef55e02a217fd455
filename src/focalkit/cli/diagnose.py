"""``focalkit diagnose``."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from focalkit import report
from focalkit._core.extras import need
from focalkit.cli.options import (
    READING,
    Jobs,
    OneLine,
    Progress,
    check_places,
    command_line,
    language_option,
    no_file_options,
    one_or_more,
    place_option,
    reading_options,
    to_stdout,
    write_out,
)
from focalkit.diagnosis import Diagnosis, diagnose_demo, diagnose_files
from focalkit.report.diagnose import sections
from focalkit.report.messages import say, word
from focalkit.weights import parse_alpha

if TYPE_CHECKING:
    from focalkit.report.terminal.console import Terminal


@click.command(cls=OneLine)
@click.argument("files", nargs=-1, metavar="[FILE]...")
@click.option(
    "--target",
    "targets",
    metavar="NAME_OR_INDEX",
    multiple=True,
    help="Column of the true class, its name or its position from 0; default: one called target, label or y, otherwise "
    "the last. Independent or one-hot classes: once per logit column, or one list column.",
)
@click.option(
    "--logits",
    metavar="NAME",
    help="List column with the logits, what the logit columns begin with, or their names with commas.",
)
@click.option("--weight", "--weights", "weight", metavar="NAME_OR_INDEX", help="Column of sample weights.")
@click.option(
    "--groups", metavar="NAME_OR_INDEX", help="What costs no retraining never parts rows with equal values here."
)
@click.option("--time", metavar="NAME_OR_INDEX", help="What costs no retraining is chosen on the earlier half of this.")
@click.option("--classes", metavar="A,B,…", help="Names of the classes, where the files do not tell.")
@click.option("--probabilities", is_flag=True, help="The columns hold probabilities: take their logits.")
@click.option(
    "--clip",
    type=float,
    metavar="FLOOR",
    help="With --probabilities: smaller ones are taken as this; default 1e-6 for 0.",
)
@reading_options
@click.option(
    "--link",
    type=click.Choice(["softmax", "sigmoid"]),
    help="Exclusive classes or independent logits; default sigmoid for one logit per row, softmax for more.",
)
@click.option("--gamma", default="2", show_default=True, help="Focusing parameter γ; one per class: comma-separated.")
@click.option(
    "--alpha",
    default="inverse",
    show_default=True,
    help="Class weights: none, inverse, balanced, sqrt, median, power:β (n^-β), effective:β, or numbers separated by "
    "commas (sigmoid: weight of the positives).",
)
@click.option("--top", type=click.IntRange(1), default=20, show_default=True, help="Classes shown.")
@click.option(
    "--hardest", type=click.IntRange(0), default=0, help="List that many rows with the largest loss per class."
)
@click.option("--against", metavar="FILE", multiple=True, help="Say what changed since these predictions or ledgers.")
@click.option("--train-gamma", metavar="γ", help="γ of the loss the model was trained with: recover its posterior.")
@click.option("--train-alpha", metavar="α,…", help="α of that loss, one for each class.")
@click.option("--prior", metavar="p,…", help="Class frequencies for shifted decisions; default as counted.")
@click.option("--skip-damaged", is_flag=True, help="Leave out what cannot be read, name it, and use the rest.")
@click.option("--jobs", type=Jobs(), help="Threads; default one per core.")
@click.option("--dask", metavar="ADDRESS", help="Read on the workers of this Dask scheduler, e.g. tcp://10.0.0.1:8786.")
@place_option("--json", "json_file", "Write the ledger and the findings to this file; -: to standard output.")
@place_option("--html", "html_file", "Write a page with sliders to this file.")
@click.option("--open", "open_it", is_flag=True, help="Open the page (without --html: a temporary one) in the browser.")
@language_option
@click.option("--quiet", is_flag=True, help="No progress bar.")
def diagnose(
    files: tuple[str, ...],
    targets: tuple[str, ...],
    logits: str | None,
    weight: str | None,
    groups: str | None,
    time: str | None,
    classes: str | None,
    probabilities: bool,
    clip: float | None,
    header: bool | None,
    delimiter: str | None,
    decimal: str | None,
    encoding: str | None,
    drop: tuple[str, ...],
    link: str | None,
    gamma: str,
    alpha: str,
    top: int,
    hardest: int,
    against: tuple[str, ...],
    train_gamma: str | None,
    train_alpha: str | None,
    prior: str | None,
    skip_damaged: bool,
    jobs: int | None,
    dask: str | None,
    json_file: Path | None,
    html_file: Path | None,
    open_it: bool,
    language: str,
    quiet: bool,
) -> None:
    """Show where the loss of the predictions in FILE goes, before and after α and γ.

    FILE is CSV, Parquet, Arrow, JSON lines, .npz with arrays logits and targets, a pair of .npy files, compressed or
    not, a folder or a glob of such, a URL that fsspec opens, or a ledger saved by --json. Without FILE it runs on
    made-up predictions.
    """
    check_places(json_file, html_file)
    context = click.get_current_context()
    asked: dict[str, Any] = {
        "gamma": one_or_more("gamma", gamma),
        "alpha": parse_alpha(alpha) if "," in alpha else alpha,
        "hardest": hardest,
        "train_gamma": one_or_more("train_gamma", train_gamma),
        "train_alpha": one_or_more("train_alpha", train_alpha),
        "prior": one_or_more("prior", prior),
    }
    with need("rich", "the report", "tune"):
        from focalkit.report.terminal.console import Terminal, forgiving
    forgiving(sys.stderr)
    if files:
        columns: dict[str, Any] = {
            "targets": targets,
            "logits": logits,
            "weight": weight,
            "groups": groups,
            "time": time,
            "probabilities": probabilities,
        }
        columns |= {"clip": clip, "header": header, "delimiter": delimiter, "decimal": decimal, "encoding": encoding}
        columns |= {"drop": drop, "link": link, "class_names": _names(classes)}
        found = _diagnosed(files, asked | columns, against, skip_damaged, jobs, dask, language, quiet)
    else:
        no_file_options(context, _ABOUT_FILES)
        found = diagnose_demo(asked["gamma"], asked["alpha"])
    # what was asked for is on disk before anything is said about it
    page = _place_of(html_file, open_it)
    if json_file is not None:
        write_out(json_file, found.to_json())
    if page is not None:
        write_out(page, report.to_html(found, language=language, command=command_line(context)))
    for note in found.notes:
        if note not in found.alerts:  # these were printed before the work
            click.echo(word("warning", language, warning=say(note, language)), err=True)
    if not to_stdout(json_file, html_file):
        _show(Terminal(language), found, top, json_file, page)
    if open_it and page is not None:
        click.launch(page.resolve().as_uri())


def _names(classes: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in classes.split(",")) if classes else ()


def _diagnosed(
    files: Sequence[str],
    asked: dict[str, Any],
    against: Sequence[str],
    skip_damaged: bool,
    jobs: int | None,
    dask: str | None,
    language: str,
    quiet: bool,
) -> Diagnosis:
    with Progress("progress.read", language, quiet) as bar:
        rows, done = 0, 0.0

        def tell(more: int, share: float, total: float) -> None:
            nonlocal rows, done
            rows, done = rows + more, done + share
            bar.update(done, total, word("progress.rows", language, n=rows))

        def alert(messages: Sequence[str]) -> None:
            for message in messages:
                click.echo(word("warning", language, warning=say(message, language)), err=True)

        n_jobs = None if jobs in (None, -1) else jobs
        how: dict[str, Any] = {"against": against, "skip_damaged": skip_damaged, "n_jobs": n_jobs, "dask": dask}
        return diagnose_files(files, **asked, **how, progress=tell, alert=alert)


def _place_of(html_file: Path | None, open_it: bool) -> Path | None:
    if html_file is None and open_it:
        return Path(tempfile.mkdtemp(prefix="focalkit-")) / "diagnosis.html"
    return html_file


def _show(terminal: Terminal, found: Diagnosis, top: int, json_file: Path | None, page: Path | None) -> None:
    terminal.line(f"focalkit diagnose · {say(found.source, terminal.language)}", "bold")
    terminal.show(sections(found, top))
    terminal.line()
    for key, place in (("file.ledger", json_file), ("file.page", page)):
        if place is not None:
            terminal.word(key, path=place)


_ABOUT_FILES = (
    *(
        "targets",
        "logits",
        "weight",
        "groups",
        "time",
        "classes",
        "probabilities",
        "clip",
        *READING,
        "link",
        "hardest",
        "against",
        "train_gamma",
    ),
    *("train_alpha", "prior", "skip_damaged", "dask"),
)
