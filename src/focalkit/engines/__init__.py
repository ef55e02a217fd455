"""Where the losses are computed, each engine in a package of its own."""

from __future__ import annotations

import sys
from typing import Any


def is_jax(value: object) -> bool:
    """Whether ``value`` is an array of JAX, or a tracer of one; nobody has one who has not imported it."""
    jax: Any = sys.modules.get("jax")
    return jax is not None and isinstance(value, getattr(jax, "Array", ()))
