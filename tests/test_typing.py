"""The public signatures have real types: what goes in comes out, and what is wrong is refused before it runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests import typed_uses

ROOT = Path(__file__).parents[1]


def test_a_type_checker_agrees_with_the_uses(tmp_path):
    api = pytest.importorskip("mypy.api")
    pytest.importorskip("torch")
    arguments = ["--strict", "--warn-unused-ignores", "--config-file", str(ROOT / "pyproject.toml")]
    said, errors, status = api.run([*arguments, "--cache-dir", str(tmp_path), str(ROOT / "tests" / "typed_uses.py")])
    assert status == 0, said + errors


def test_the_uses_run():
    typed_uses.arrays(np.eye(3, dtype=np.float32), np.arange(3))
