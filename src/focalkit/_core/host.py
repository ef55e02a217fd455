"""Arrays of host memory from whatever a user holds, without importing the library that it comes from."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

_NO_TENSORS = (np.ndarray, float, int, list, tuple, type(None))


def is_tensor(value: object) -> bool:
    """Whether ``value`` is a tensor of PyTorch; nobody has a tensor who has not imported it."""
    kind = type(value)
    if kind in _NO_TENSORS:
        return False
    if kind.__module__ == "torch" and kind.__name__ == "Tensor":
        return True
    return any(base.__name__ == "Tensor" and base.__module__ == "torch" for base in kind.__mro__)


def is_jax(value: object) -> bool:
    """Whether ``value`` is an array of JAX, or a tracer that stands for one inside a transformation."""
    if type(value) in _NO_TENSORS:
        return False
    jax: Any = sys.modules.get("jax")
    return jax is not None and isinstance(value, getattr(jax, "Array", ()))


def readable(value: Any) -> bool:
    """Whether the values of an argument can be looked at without waiting for a device; a tracer has none."""
    if not is_jax(value):
        return True
    if isinstance(value, sys.modules["jax"].core.Tracer) or not value.is_fully_addressable:
        return False
    return all(device.platform == "cpu" for device in value.devices())


def namespace(*values: Any) -> Any:
    """The array library of ``values``: JAX's where one of them is of JAX, and otherwise NumPy."""
    return next((value.__array_namespace__() for value in values if is_jax(value)), np)


def checked(value: Any, check: Callable[[Any], Any]) -> Any:
    """What ``check`` makes of ``value``, as an array; an array of JAX as it is, in float32 at least.

    Values that cannot be read are not checked.
    """
    if not is_jax(value):
        return np.asarray(check(value))
    if readable(value):
        check(np.asarray(value))
    xp = value.__array_namespace__()
    return value.astype(xp.promote_types(xp.result_type(value.dtype, float), "float32"))


def is_half(value: object) -> bool:
    """Whether an array of any library has a dtype of 16 bits, float16 or bfloat16."""
    return str(getattr(value, "dtype", "")).removeprefix("torch.") in ("float16", "bfloat16")


def array(value: Any, dtype: Any = None) -> NDArray[Any]:
    """``numpy.asarray``, which takes tensors in a graph, on another device and in bfloat16 (as float32) too."""
    if is_tensor(value):
        value = value.detach()
        value = value.float() if str(value.dtype) == "torch.bfloat16" else value
        value = value.cpu().resolve_conj().resolve_neg().numpy()
    return np.asarray(value, dtype)


def strange(tensor: Any) -> tuple[str, str, str] | None:
    """Of a tensor that is no dense array of numbers: what it should be, what it is, and what makes one of it."""
    if type(tensor).__name__ == "MaskedTensor":
        return "be without a mask", "a masked tensor", "Fill it with .to_tensor(value), or leave these samples out."
    if tensor.is_nested:
        return "be one array", "a nested tensor", "Pad it, or go through its parts."
    if tensor.is_quantized:
        return "be floating or integers", str(tensor.dtype), "Use .dequantize() first."
    if str(tensor.layout) != "torch.strided":
        return "be dense", str(tensor.layout), "Use .to_dense() first."
    if tensor.dtype.itemsize == 1 and tensor.dtype.is_floating_point:
        return "be of 16, 32 or 64 bits", str(tensor.dtype), "Use .float() first."
    return None
