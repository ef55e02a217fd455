"""What ``focalkit diagnose`` adds to the ledger: hardest rows, comparison, free remedies, the page."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import click

from focalkit._core import contracts
from focalkit._core.spec import LossSpec, PerClass
from focalkit.cli.scan import Diagnosed

#: Rows of the sample for remedies, all classes together.
SAMPLE = 20_000


def numbers(name: str, text: str) -> Any:
    """One number, or several separated by commas."""
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        contracts.reject(name, "be numbers separated by commas", text, "E.g. 0,0.5,2")
    return values[0] if len(values) == 1 else values


def free_remedies(done: Diagnosed, gamma: str | None, alpha: str | None, prior: str | None) -> Any:
    """What can be had without retraining; None for saved ledgers and tiny files."""
    asked = [name for name, value in (("train_gamma", gamma), ("train_alpha", alpha), ("prior", prior)) if value]
    if done.sample is None:
        if asked:
            contracts.reject(asked[0], "be given for predictions", "a saved ledger", "Leave it out.")
        return None
    from focalkit.diagnosis.remedies import remedies

    link, n = done.ledger.spec.link, done.ledger.n_classes
    g = None if gamma is None else LossSpec(link, gamma=numbers("train_gamma", gamma)).gamma
    a = None if alpha is None else LossSpec(link, alpha=numbers("train_alpha", alpha)).alpha
    for name, value in (("train_gamma", g), ("train_alpha", a)):
        contracts.class_vector(name, value, n)  # type: ignore[arg-type]
    p = None if prior is None else numbers("prior", prior)
    return remedies(done.sample, prior=p, gamma=g, alpha=a)


def print_more(done: Diagnosed, before: Diagnosed | None, free: Any, gamma: PerClass, alpha: Any, top: int) -> None:
    """Print what there is beside the ledger."""
    from rich.console import Console

    from focalkit.report.terminal import more as more_text

    console = Console()
    if before is not None:
        from focalkit.diagnosis.compare import changes

        for warning in before.warnings:
            click.echo(f"warning: {warning}", err=True)
        found = changes(before.ledger, done.ledger, gamma, alpha)
        console.print()
        console.print(more_text.changes_table(found, top))
        console.print(f"before: {before.source}", style="dim", highlight=False, markup=False)
        for sentence in more_text.changes_said(found):
            console.print(f"• {sentence}", highlight=False, markup=False)
    if free is not None:
        more_text.print_remedies(console, free, done.ledger.class_names, top)
    if done.hardest is not None and done.hardest.most:
        console.print()
        console.print(more_text.hardest_table(done.hardest.rows(), done.ledger.class_names, done.files, top))


def write_and_open(
    done: Diagnosed, free: Any, gamma: PerClass, alpha: Any, language: str, path: Path | None, open_it: bool
) -> None:
    """Write the page and show it in the browser where that is asked for."""
    from focalkit.report.page.diagnose import write_page

    hardest = [row for some in done.hardest.rows() for row in some] if done.hardest is not None else []
    if path is None:
        path = Path(tempfile.mkdtemp(prefix="focalkit-")) / "diagnosis.html"
    more = {"free": free, "hardest": hardest, "files": done.files}
    write_page(path, done.ledger, gamma, alpha, done.source, language=language, **more)
    click.echo(f"page: {path}")
    if open_it:
        click.launch(path.resolve().as_uri())
