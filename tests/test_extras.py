"""A library that is not installed is a ModuleNotFoundError that names it and the command that installs it."""

import ast
import builtins
from pathlib import Path

import pytest

import focalkit
from focalkit._core.extras import need

ROOT = Path(focalkit.__file__).parent
#: The helper itself; the compiled module of focalkit; a library of another machine, which is the cluster's business.
OTHERS = ("_core/extras.py", "engines/cpu/machine.py", "tuning/execute.py")
SOURCES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py"))


def without(monkeypatch, missing):
    """Make the import of ``missing`` fail as where it is not installed."""
    real = builtins.__import__

    def load(name, *rest):
        if name == missing:
            message = f"No module named {name!r}"
            raise ModuleNotFoundError(message, name=missing)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", load)


def test_a_missing_library_is_named_with_its_extra(monkeypatch):
    without(monkeypatch, "rich.console")
    with pytest.raises(ModuleNotFoundError) as caught, need("rich", "printing tables", "tune"):
        import rich.console  # noqa: F401
    assert caught.value.name == "rich"
    assert str(caught.value) == 'printing tables needs rich; run: pip install "focalkit[tune]"'


def test_a_library_without_an_extra_is_named_itself():
    with pytest.raises(ModuleNotFoundError, match=r"text columns needs panda; run: pip install panda$"):
        with need("panda", "text columns", None):
            raise ModuleNotFoundError(name="panda")


def test_a_library_that_misses_one_of_its_own_says_so_itself(monkeypatch):
    without(monkeypatch, "pygments")
    with pytest.raises(ModuleNotFoundError, match="No module named 'pygments'"), need("rich", "tables", "tune"):
        import pygments  # noqa: F401


def test_a_library_that_cannot_be_loaded_says_why():
    error = ImportError("libgomp.so.1: cannot open shared object file")
    with pytest.raises(ImportError, match="libgomp") as caught, need("lightgbm", "trees", "lightgbm"):
        raise error
    assert not isinstance(caught.value, ModuleNotFoundError)


@pytest.mark.parametrize("path", [path for path in SOURCES if path not in OTHERS])
def test_no_missing_library_becomes_an_error_of_another_kind(path):
    """``except ImportError`` may pass something over, or go another way; what it raises comes from one helper."""
    for handler in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(handler, ast.ExceptHandler) and handler.type is not None:
            caught = {node.id for node in ast.walk(handler.type) if isinstance(node, ast.Name)}
            if caught & {"ImportError", "ModuleNotFoundError"}:
                assert "pip install" not in ast.unparse(handler)
