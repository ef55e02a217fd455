"""``focalkit curve``: Figure 1 of the focal loss paper."""

from __future__ import annotations

from pathlib import Path

import click

from focalkit._core import contracts
from focalkit.cli.options import OneLine, check_places, language_option, numbers
from focalkit.report.messages import word


@click.command(cls=OneLine)
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
@language_option
def curve(gammas: str, out: Path, png: Path | None, language: str) -> None:
    """Draw the loss against the probability of the true class (Figure 1 of the focal loss paper)."""
    from focalkit.diagnosis import loss_curves
    from focalkit.io.atomic import write_bytes
    from focalkit.report.figures import draw_loss_curves, render

    curves = loss_curves(numbers("gamma", gammas))
    paths = [out] if png is None else [out, png]
    for path in paths:
        contracts.one_of(
            "file ending", path.suffix.lower(), (".svg", ".png"), "Name the picture curve.svg or curve.png."
        )
    check_places(*paths)
    figure = draw_loss_curves(curves)
    for path in paths:
        write_bytes(path, render(figure, path.suffix.lower()[1:]))
    for path in paths:
        click.echo(word("file.figure", language, path=path))
