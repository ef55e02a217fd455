"""The public signatures have real types: what goes in comes out, and what is wrong is refused before it runs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests import typed_uses

ROOT = Path(__file__).parents[1]


def test_a_type_checker_agrees_with_the_uses():
    """With the cache of ``make types``, without which the whole package is looked at for two minutes."""
    api = pytest.importorskip("mypy.api")
    pytest.importorskip("torch")
    arguments = ["--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(ROOT / ".mypy_cache")]
    said, errors, status = api.run([*arguments, str(ROOT / "tests" / "typed_uses.py")])
    assert status == 0, said + errors


def test_pyright_agrees_with_the_uses(tmp_path):
    """By basedpyright, which is pyright with all that it needs in one wheel."""
    pytest.importorskip("basedpyright")
    pytest.importorskip("torch")
    settings = {"typeCheckingMode": "standard", "include": [str(ROOT / "tests" / "typed_uses.py")]}
    settings |= {"extraPaths": [str(ROOT / "src")], "enableTypeIgnoreComments": True}
    settings |= {"reportUnnecessaryTypeIgnoreComment": "error"}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))
    command = [sys.executable, "-m", "basedpyright", "--project", str(tmp_path), "--pythonpath", sys.executable]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_uses_run():
    typed_uses.arrays(np.eye(3, dtype=np.float32), np.arange(3))
