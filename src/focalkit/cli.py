"""The command line: ``focalkit tune``, ``focalkit diagnose``, ``focalkit curve``."""

from __future__ import annotations

import sys

try:
    import click
except ImportError:  # pragma: no cover - tested in a subprocess
    sys.exit('focalkit: the command line needs an extra; run: pip install "focalkit[tune]"')

from focalkit import __version__
from focalkit.cli_diagnose import curve, diagnose
from focalkit.cli_tune import tune


class _Friendly(click.Group):
    """Contract breaks become one line and exit code 2, Ctrl-C one word and 130."""

    def invoke(self, ctx: click.Context) -> object:
        from focalkit import InputError

        try:
            return super().invoke(ctx)
        except InputError as error:
            click.echo(f"focalkit: {error}", err=True)
            ctx.exit(2)
        except (KeyboardInterrupt, click.Abort):
            click.echo("focalkit: interrupted", err=True)
            ctx.exit(130)
        except OSError as error:
            click.echo(f"focalkit: {error.strerror or error}: {error.filename or ''}".rstrip(": "), err=True)
            ctx.exit(1)


@click.group(cls=_Friendly, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "--version", prog_name="focalkit")
def main() -> None:
    """Where an imbalanced classifier's loss goes, which α and γ help, and that loss, exact and fast."""


for command in (tune, diagnose, curve):
    main.add_command(command)
