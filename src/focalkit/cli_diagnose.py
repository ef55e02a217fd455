"""``focalkit diagnose`` and ``focalkit curve``."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from focalkit import _checks
from focalkit._checks import InputError
from focalkit._spec import LossSpec, PerClass


def _one_line_errors(command: Callable[..., None]) -> Callable[..., None]:
    """Contract breaks are one line and exit code 2; a missing extra or an unwritable file one line and 1."""

    @functools.wraps(command)
    def wrapped(**options: Any) -> None:
        context = click.get_current_context()
        try:
            command(**options)
        except InputError as error:
            click.echo(f"focalkit: {error}", err=True)
            context.exit(2)
        except ImportError as error:
            click.echo(f"focalkit: {error}", err=True)
            context.exit(1)
        except OSError as error:
            click.echo(f"focalkit: {error.strerror or error}: {error.filename or ''}".rstrip(": "), err=True)
            context.exit(1)

    return wrapped


@click.command()
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option(
    "--target",
    "targets",
    metavar="NAME_OR_INDEX",
    multiple=True,
    help="CSV: column of the true class, its name or its position from 0; default the last. "
    "With the sigmoid link once per logit column.",
)
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
    "--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), help="Write the ledger to this file."
)
@_one_line_errors
def diagnose(
    file: Path | None,
    targets: tuple[str, ...],
    header: bool | None,
    link: str | None,
    gamma: str,
    alpha: str,
    top: int,
    json_file: Path | None,
) -> None:
    """Show where the loss of the predictions in FILE goes, before and after α and γ.

    FILE is CSV, one column per logit and one with the true class, or .npz with arrays logits and
    targets. Without FILE it runs on made-up predictions.
    """
    from focalkit.diagnosis import Ledger

    _check_folder(json_file)
    gammas, alphas = _gamma(gamma), _alpha(alpha)
    if not isinstance(alphas, str):
        LossSpec(link or "softmax", alpha=alphas)
    ledger, notes = _ledger(file, targets, header, link, gammas)
    if not isinstance(alphas, str):
        ledger.alpha_of(alphas)
    assert isinstance(ledger, Ledger)
    _print(ledger, notes, gammas, alphas, top)
    if json_file is not None:
        from focalkit.report.files import write_text

        write_text(json_file, ledger.to_json())
        click.echo(f"ledger: {json_file}")


def _print(ledger: Any, notes: list[str], gamma: PerClass, alpha: Any, top: int) -> None:
    try:
        from rich.console import Console
    except ImportError as error:
        message = 'the tables need rich; run: pip install "focalkit[tune]"'
        raise ImportError(message) from error
    from focalkit.report.diagnosis_text import print_diagnosis

    console = Console()
    console.print("[bold]focalkit diagnose[/bold] · ", end="")
    console.print(notes[0], highlight=False, markup=False)
    for note in notes[1:]:
        click.echo(f"warning: {note}", err=True)
    print_diagnosis(console, ledger, gamma, alpha, top=top)


def _ledger(
    file: Path | None, targets: tuple[str, ...], header: bool | None, link: str | None, gamma: PerClass
) -> tuple[Any, list[str]]:
    """Fill the ledger of FILE; the notes are what it was made of, then warnings."""
    from focalkit.diagnosis import Ledger
    from focalkit.diagnosis import diagnose as run
    from focalkit.diagnosis.demo import NAMES, SEED, made_up_predictions
    from focalkit.diagnosis.reading import read_predictions

    if file is None:
        if targets or header is not None or link is not None:
            _checks.reject("FILE", "be given with --target, --header and --link", None, "focalkit diagnose FILE …")
        logits, ids = made_up_predictions()
        ledger = run(logits, ids, LossSpec(gamma=gamma), class_names=NAMES)
        source = f"made-up predictions (seeded noise, seed {SEED}; no model behind them): {len(ids):,} rows, 5 classes"
        return ledger, [source]
    opened = read_predictions(file, targets, link, header=header)
    names = opened.class_names if opened.n_classes > 1 else None
    ledger = Ledger(LossSpec(opened.link, gamma=gamma), opened.n_classes, names)
    for batch in opened.batches:
        ledger.update(*batch)
    what = f"{opened.n_classes} classes" if opened.link == "softmax" else f"{opened.n_classes} independent logit(s)"
    ignored = f", {ledger.n_ignored:,} ignored" if ledger.n_ignored else ""
    source = f"{opened.source}: {ledger.n_samples:,} targets{ignored}, {what} ({opened.link}), target {opened.target}"
    return ledger, [source, *opened.warnings]


def _check_folder(path: Path | None) -> None:
    if path is not None and not path.resolve().parent.is_dir():
        _checks.reject("output folder", "exist", str(path.resolve().parent), "Create it first.")


def _numbers(name: str, text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        _checks.reject(name, "be numbers separated by commas", text, "E.g. 0,0.5,2")


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
        _checks.reject(
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
    from focalkit.report.figures import draw_loss_curves, render
    from focalkit.report.files import write_bytes

    curves = loss_curves(_numbers("gamma", gammas))
    paths = [out] if png is None else [out, png]
    for path in paths:
        _check_folder(path)
        _checks.one_of("file ending", path.suffix.lower(), (".svg", ".png"), "Name the picture curve.svg or curve.png.")
    figure = draw_loss_curves(curves)
    for path in paths:
        write_bytes(path, render(figure, path.suffix.lower()[1:]))
        click.echo(f"figure: {path}")
