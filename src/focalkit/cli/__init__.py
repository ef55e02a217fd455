"""The command line: ``focalkit`` with its commands tune, predict, diagnose, decide and curve."""

from __future__ import annotations

import sys
from importlib import import_module

from focalkit import __version__
from focalkit._core.extras import need

try:
    with need("click", "the command line", "tune"):
        import click
except ModuleNotFoundError as error:  # pragma: no cover - tested in a subprocess
    sys.exit(f"focalkit: {error}")

from focalkit.cli.options import one_line_errors

COMMANDS = ("tune", "predict", "diagnose", "decide", "curve")
"""Each in the module of its name, which is loaded when it is called or its help is asked for."""


def _command(name: str) -> click.Command:
    command: click.Command = getattr(import_module(f"focalkit.cli.{name}"), name)
    globals()[name] = command  # not the module of that name
    return command


def __getattr__(name: str) -> click.Command:
    """Load a command when it is first asked for."""
    if name in COMMANDS:
        return _command(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")  # noqa: EM102


class _Friendly(click.Group):
    """Every command's errors are one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Their names."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load one."""
        return _command(cmd_name) if cmd_name in COMMANDS else None

    def invoke(self, ctx: click.Context) -> object:
        with one_line_errors(ctx):
            return super().invoke(ctx)


@click.group(cls=_Friendly, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "--version", prog_name="focalkit")
def main() -> None:
    """Where an imbalanced classifier's loss goes, which α and γ help, and that loss, exact and fast."""
