"""What the package shows, and what importing it costs."""

from __future__ import annotations

import inspect
import pathlib
import re
import subprocess
import sys

import pytest

import focalkit

FRAMEWORKS = "torch tensorflow jax keras sklearn scipy pandas pyarrow polars matplotlib rich click joblib xgboost"
FRAMEWORKS += " lightgbm catboost numba triton optuna dask ml_dtypes hypothesis mpmath"
SOURCE = pathlib.Path(focalkit.__file__).parent


def test_all_is_exactly_what_is_defined():
    for name in focalkit.__all__:  # some are imported when they are first asked for
        assert getattr(focalkit, name) is not None
    assert not hasattr(focalkit, "another")
    assert set(focalkit.__all__) <= set(dir(focalkit))
    defined = {
        name for name, value in vars(focalkit).items() if not name.startswith("_") and not inspect.ismodule(value)
    }
    assert set(focalkit.__all__) == defined
    assert focalkit.__all__ == sorted(focalkit.__all__)


def test_importing_the_package_loads_numpy_and_no_framework():
    code = "import sys, focalkit; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    command = [sys.executable, "-c", code]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True, cwd=SOURCE.parent).stdout.split()
    assert "numpy" in loaded
    assert not set(FRAMEWORKS.split()) & set(loaded)


def test_importing_the_package_does_not_load_the_diagnosis():
    code = "import sys, focalkit; print('focalkit.diagnosis' in sys.modules, focalkit.Ledger.__name__)"
    command = [sys.executable, "-c", code]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.split() == ["False", "Ledger"]


def test_modules_are_there_when_they_are_asked_for():
    code = "import sys, focalkit; print('focalkit.io' in sys.modules, focalkit.io.read_table.__name__)"
    command = [sys.executable, "-c", code]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.split() == ["False", "read_table"]


def test_the_package_shows_its_public_names_and_modules_alone():
    assert dir(focalkit) == sorted({*focalkit.__all__, *focalkit._MODULES, "__version__"})


# that of Keras chooses a backend when it is imported: tests/keras looks at it
@pytest.mark.parametrize("name", [name for name in focalkit._MODULES if name != "keras"])
def test_a_module_shows_its_public_names_alone(name):
    if name == "nn":
        pytest.importorskip("torch")
    module = getattr(focalkit, name)
    assert dir(module) == sorted(set(module.__all__))
    lazy = getattr(module, "_HOME", getattr(module, "_LATER", {}))
    assert all(name in lazy or getattr(module, name) is not None for name in module.__all__)


@pytest.mark.parametrize("name", focalkit.__all__)
def test_every_public_name_is_documented(name):
    value = getattr(focalkit, name)
    assert value.__doc__
    if inspect.isfunction(value) and name not in (
        "get_num_threads",
        "keep_pages",
        "set_num_threads",
    ):  # no mathematics in these
        for section in ("Parameters", "Returns", "Raises", "Examples"):
            assert f"{section}\n    ---" in value.__doc__, section
        assert ".. math::" in value.__doc__ or name == "class_weights"
        assert "{common}" not in value.__doc__


@pytest.mark.parametrize("name", ["_core/definition", "_core/links"])
def test_the_mathematics_imports_nothing(name):
    text = (SOURCE / f"{name}.py").read_text(encoding="utf-8")
    assert not re.search(r"^\s*(import|from) ", text, re.MULTILINE)


def test_the_version_is_the_package_s():
    assert re.fullmatch(r"\d+\.\d+\.\d+", focalkit.__version__)


def test_input_errors_are_value_errors():
    assert issubclass(focalkit.InputError, ValueError)
