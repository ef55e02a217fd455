"""PyTorch's private names are where they were; this file says which one PyTorch has moved."""

from __future__ import annotations

import ast
from functools import reduce
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

import focalkit  # noqa: E402
from focalkit.engines.torch import _internals  # noqa: E402


@pytest.mark.parametrize("name", _internals.NAMES)
def test_the_private_name_is_there(name):
    assert reduce(getattr, name.split(".")[1:], torch) is not None


def private_names(path):
    """Attributes with an underscore that are reached through ``torch``."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
            inner = node.value
            while isinstance(inner, ast.Attribute):
                inner = inner.value
            if isinstance(inner, ast.Name) and inner.id == "torch":
                yield ast.unparse(node)


def test_no_other_file_leans_on_private_names():
    source = Path(focalkit.__file__).parent
    found = {(path.name, name) for path in source.rglob("*.py") for name in private_names(path)}
    assert {file for file, _ in found} <= {"_internals.py"}, found


def test_the_answers_are_those_of_pytorch():
    assert not _internals.transformed()
    assert not _internals.functional()
    seen = []
    torch.func.vmap(lambda x: seen.extend([_internals.functional(), _internals.is_batched(x)]) or x)(torch.ones(2))
    assert seen == [True, True]
    with torch.autograd.forward_ad.dual_level():
        assert _internals.functional()
    assert _internals.overlaps_itself(torch.ones(1).expand(3))
    assert not _internals.overlaps_itself(torch.ones(3))


def test_a_name_that_is_gone_has_a_stand_in():
    assert _internals._found("torch._C._nothing_of_this_name", 7) == 7
