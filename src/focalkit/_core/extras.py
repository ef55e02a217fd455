"""Optional dependencies: a library that is not installed is named with the command that installs it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType


@contextmanager
def need(module: str, purpose: str, extra: str | None) -> Iterator[None]:
    """Import an optional dependency in the body; where it is missing, say what installs it.

    The import statement stays a statement, which type checkers and the import law see. A library that is there but
    misses a dependency of its own, or that cannot be loaded, raises its own error.

    Parameters
    ----------
    module : str
        The module that the body imports, e.g. ``"xgboost"``.
    purpose : str
        What needs it; the message begins with it.
    extra : str or None
        The extra of focalkit that brings it, or None where the distribution of that name is installed by itself.

    Raises
    ------
    ModuleNotFoundError
        With ``name`` the missing module, where the module is not installed.

    Examples
    --------
    >>> with need("no_such_library", "drawing", "plot"):
    ...     import no_such_library
    Traceback (most recent call last):
        ...
    ModuleNotFoundError: drawing needs no_such_library; run: pip install "focalkit[plot]"
    """
    library = module.partition(".")[0]
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != library:
            raise
        command = f"pip install {library}" if extra is None else f'pip install "focalkit[{extra}]"'
        message = f"{purpose} needs {library}; run: {command}"
        raise ModuleNotFoundError(message, name=library) from error


def module_named(name: str) -> ModuleType:
    """The module that a user names in a command, of the working directory too, where a program is not looked for.

    The directory stays on the path, at its end, so that other processes find the module as well.
    """
    here = os.getcwd()
    if here not in sys.path and "" not in sys.path:
        sys.path.append(here)
    return import_module(name)
