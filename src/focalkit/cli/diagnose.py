"""``focalkit diagnose`` and ``focalkit curve``."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from focalkit._core import contracts
from focalkit._core.extras import need
from focalkit._core.spec import LossSpec, PerClass
from focalkit.cli.errors import one_line_errors
from focalkit.cli.more import SAMPLE, free_remedies, print_more, write_and_open
from focalkit.cli.scan import Diagnosed, How, columns_of, diagnosed, made_up, no_file_options


def _one_line_errors(command: Callable[..., None]) -> Callable[..., None]:
    """For a command that is called outside its group, too."""

    @functools.wraps(command)
    def wrapped(**options: Any) -> None:
        with one_line_errors(click.get_current_context()):
            command(**options)

    return wrapped


@click.command()
@click.argument("files", nargs=-1, metavar="[FILE]...")
@click.option(
    "--target",
    "targets",
    metavar="NAME_OR_INDEX",
    multiple=True,
    help="Column of the true class, its name or its position from 0; default the last; in Parquet and Arrow files "
    "target, label or y where there is one. "
    "Independent or one-hot classes: once per logit column, or one list column.",
)
@click.option("--logits", metavar="NAME", help="List column with the logits, or what the logit columns begin with.")
@click.option("--weight", metavar="NAME_OR_INDEX", help="Column of sample weights.")
@click.option("--classes", metavar="A,B,…", help="Names of the classes, where the files do not tell.")
@click.option("--probabilities", is_flag=True, help="The columns hold probabilities: take their logits.")
@click.option(
    "--header/--no-header", default=None, help="CSV: whether the first line names the columns; found out by default."
)
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
    help="Class weights: none, inverse, balanced, sqrt, power, median, effective, or numbers separated by commas "
    "(sigmoid: weight of the positives).",
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
@click.option("--jobs", type=click.IntRange(1), help="Threads; default one per core.")
@click.option("--dask", metavar="ADDRESS", help="Read on the workers of this Dask scheduler, e.g. tcp://10.0.0.1:8786.")
@click.option(
    "--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), help="Write the ledger to this file."
)
@click.option(
    "--html",
    "html_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write a page with sliders to it.",
)
@click.option("--open", "open_it", is_flag=True, help="Open the page (without --html: a temporary one) in the browser.")
@click.option("--language", type=click.Choice(["en", "zh-CN"]), default="en", show_default=True, help="Of the page.")
@click.option("--quiet", is_flag=True, help="No progress bar.")
@_one_line_errors
def diagnose(
    files: tuple[str, ...],
    targets: tuple[str, ...],
    logits: str | None,
    weight: str | None,
    classes: str | None,
    probabilities: bool,
    header: bool | None,
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

    FILE is Parquet, Arrow, CSV, .npz with arrays logits and targets, a pair of .npy files, a folder or
    a glob of such, a URL that fsspec opens, or a ledger saved by --json. Without FILE it runs on made-up
    predictions.
    """
    _check_folder(json_file)
    _check_folder(html_file)
    gammas, alphas = _gamma(gamma), _alpha(alpha)
    if not isinstance(alphas, str):
        LossSpec(link or "softmax", alpha=alphas)
    if not files:
        no_file_options(click.get_current_context(), _ABOUT_FILES)
    options = {"logits": logits, "weight": weight, "probabilities": probabilities, "header": header, "link": link}
    asked = columns_of(targets, classes, **options)
    how = How(asked, gammas, hardest, SAMPLE, skip_damaged, dask, jobs, quiet)
    done = diagnosed(files, how) if files else made_up(gammas, SAMPLE)
    if not isinstance(alphas, str):
        done.ledger.alpha_of(alphas)
    free = free_remedies(done, train_gamma, train_alpha, prior)
    before = diagnosed(against, replace(how, hardest=0, sample=0)) if against else None
    _print(done, gammas, alphas, top)
    print_more(done, before, free, gammas, alphas, top)
    if json_file is not None:
        from focalkit.io.atomic import write_text

        write_text(json_file, done.ledger.to_json())
        click.echo(f"ledger: {json_file}")
    if html_file is not None or open_it:
        write_and_open(done, free, gammas, alphas, language, html_file, open_it)


_ABOUT_FILES = (
    *("targets", "logits", "weight", "classes", "probabilities", "header", "link", "hardest", "against", "train_gamma"),
    *("train_alpha", "prior", "skip_damaged", "dask"),
)


def _print(done: Diagnosed, gamma: PerClass, alpha: Any, top: int) -> None:
    with need("rich", "printing tables", "tune"):
        from rich.console import Console
    from focalkit.report.terminal.diagnose import print_diagnosis

    console = Console()
    console.print("[bold]focalkit diagnose[/bold] · ", end="")
    console.print(done.source, highlight=False, markup=False)
    for warning in done.warnings:
        click.echo(f"warning: {warning}", err=True)
    print_diagnosis(console, done.ledger, gamma, alpha, top=top)


def _check_folder(path: Path | None) -> None:
    if path is not None and not path.resolve().parent.is_dir():
        contracts.reject("output folder", "exist", str(path.resolve().parent), "Create it first.")


def _numbers(name: str, text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        contracts.reject(name, "be numbers separated by commas", text, "E.g. 0,0.5,2")


def _gamma(text: str) -> PerClass:
    values = _numbers("gamma", text)
    checked: PerClass = LossSpec(gamma=values[0] if len(values) == 1 else values).gamma
    return checked


def _alpha(text: str) -> Any:
    from focalkit.weights import SCHEMES

    if text in ("none", *SCHEMES):
        return text
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        contracts.reject(
            "alpha", f"be none, {', '.join(SCHEMES)} or numbers separated by commas", text, "E.g. inverse, or 0.25"
        )
    return values[0] if len(values) == 1 else values


@click.command()
@click.option(
    "--gamma", "gammas", default="0,0.5,1,2,5", show_default=True, help="γ of the curves, separated by commas."
)
@click.option(
    "--out",
    "out",
    type=click.Path(path_type=Path, dir_okay=False),
    default="curve.svg",
    show_default=True,
    help="Picture to write; its ending chooses the format: .svg or .png.",
)
@click.option("--png", "png", type=click.Path(path_type=Path, dir_okay=False), help="Write it as PNG to this file too.")
@_one_line_errors
def curve(gammas: str, out: Path, png: Path | None) -> None:
    """Draw the loss against the probability of the true class (Figure 1 of the focal loss paper)."""
    from focalkit.diagnosis import loss_curves
    from focalkit.io.atomic import write_bytes
    from focalkit.report.figures import draw_loss_curves, render

    curves = loss_curves(_numbers("gamma", gammas))
    paths = [out] if png is None else [out, png]
    for path in paths:
        _check_folder(path)
        contracts.one_of(
            "file ending", path.suffix.lower(), (".svg", ".png"), "Name the picture curve.svg or curve.png."
        )
    figure = draw_loss_curves(curves)
    for path in paths:
        write_bytes(path, render(figure, path.suffix.lower()[1:]))
        click.echo(f"figure: {path}")
