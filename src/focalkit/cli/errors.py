"""Errors of the command line: one line on the error stream and an exit code, never a traceback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click

from focalkit._core.contracts import InputError


@contextmanager
def one_line_errors(context: click.Context) -> Iterator[None]:
    """Contract breaks exit with 2; a missing extra or an unwritable file with 1; Ctrl-C with 130."""
    try:
        yield
    except InputError as error:
        click.echo(f"focalkit: {error}", err=True)
        context.exit(2)
    except ImportError as error:
        click.echo(f"focalkit: {error}", err=True)
        context.exit(1)
    except OSError as error:
        click.echo(f"focalkit: {error.strerror or error}: {error.filename or ''}".rstrip(": "), err=True)
        context.exit(1)
    except (KeyboardInterrupt, click.Abort):
        click.echo("focalkit: interrupted", err=True)
        context.exit(130)
