"""``focalkit curve``: Figure 1 of the focal loss paper."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from focalkit._core import contracts
from focalkit._core.forms import OF_SOFT_TARGETS
from focalkit.cli.options import OneLine, check_places, language_option, numbers
from focalkit.report.messages import word

#: The fields of a LossSpec that are a number.
NUMBERS = ("poly", "star", "dft", "gce", "gamma_negative", "clip")


def form_fields(text: str) -> tuple[dict[str, Any], float | None]:
    """Read ``name:number`` pairs, separated by commas, as fields of a LossSpec, and the target of a quality loss."""
    fields: dict[str, Any] = {}
    target = None
    for part in text.split(","):
        name, _, value = (piece.strip() for piece in part.partition(":"))
        contracts.one_of("form", name, (*NUMBERS, *OF_SOFT_TARGETS, "gamma_steps"), "E.g. --form poly:1")
        if name == "gamma_steps":
            rows = [row.partition("=") for row in value.split("/")]
            fields[name] = [(_number(p, name, value), _number(gamma, name, value)) for p, _, gamma in rows]
        elif name in OF_SOFT_TARGETS:
            fields["quality"], target = name, _number(value, name, value)
        else:
            fields[name] = _number(value, name, text)
    return fields, target


def _number(text: str, name: str, whole: str) -> float:
    try:
        return float(text)
    except ValueError:
        if name == "gamma_steps":
            contracts.reject("gamma_steps", "have rows p=γ", whole, "E.g. --form gamma_steps:0.2=5/1=3")
        contracts.reject("form", "have a number after each colon", whole, "E.g. --form poly:1")


@click.command(cls=OneLine)
@click.option(
    "--gamma", "gammas", default="0,0.5,1,2,5", show_default=True, help="γ of the curves, separated by commas."
)
@click.option(
    "--form",
    "form",
    help="Another function of the same probability: poly:1, star:1, dft:1, gce:0.7, gamma_steps:0.2=5/1=3 (γ below p), "
    "gamma_negative:4,clip:0.05 (the asymmetric loss's negatives), or quality:0.8, varifocal:0.8 (of this target). "
    "dft, gce and gamma_steps go with --gamma 0.",
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
def curve(gammas: str, form: str | None, out: Path, png: Path | None, language: str) -> None:
    """Draw the loss against the probability of the true class (Figure 1 of the focal loss paper)."""
    from focalkit.diagnosis import loss_curves
    from focalkit.io.atomic import write_bytes
    from focalkit.report.figures import draw_loss_curves, render

    fields, target = ({}, None) if form is None else form_fields(form)
    curves = loss_curves(numbers("gamma", gammas), form=fields, target=target)
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
