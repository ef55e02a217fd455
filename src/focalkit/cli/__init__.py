"""The command line: ``focalkit`` with its commands tune, predict, diagnose, decide and curve."""

from __future__ import annotations

import sys

from focalkit import __version__
from focalkit._core.extras import need

try:
    with need("click", "the command line", "tune"):
        import click
except ModuleNotFoundError as error:  # pragma: no cover - tested in a subprocess
    sys.exit(f"focalkit: {error}")

from focalkit.cli.curve import curve
from focalkit.cli.decide import decide
from focalkit.cli.diagnose import diagnose
from focalkit.cli.options import one_line_errors
from focalkit.cli.predict import predict
from focalkit.cli.tune import tune


class _Friendly(click.Group):
    """Every command's errors are one line."""

    def invoke(self, ctx: click.Context) -> object:
        with one_line_errors(ctx):
            return super().invoke(ctx)


@click.group(cls=_Friendly, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "--version", prog_name="focalkit")
def main() -> None:
    """Where an imbalanced classifier's loss goes, which α and γ help, and that loss, exact and fast."""


for command in (tune, predict, diagnose, decide, curve):
    main.add_command(command)
