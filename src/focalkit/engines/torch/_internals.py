"""PyTorch's private names, all of them, and what takes their place where PyTorch has moved one.

``tests/engines/test_torch_internals.py`` fails by name when one of :data:`NAMES` is gone: the fallbacks are slower, or
right in fewer places.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

#: The names, with what each is asked.
NAMES = {
    "torch._C._len_torch_dispatch_stack": "whether a dispatch mode (fake tensors, counters) is on",
    "torch._C._functorch.peek_interpreter_stack": "whether torch.func transforms",
    "torch._C._functorch.is_functorch_wrapped_tensor": "whether a tensor is one of torch.func",
    "torch._C._functorch.is_legacy_batchedtensor": "whether several upstream gradients come at once",
    "torch.autograd.forward_ad._current_level": "whether forward mode is on",
    "torch._C._autograd._get_current_graph_task_keep_graph": "whether a graph is kept after this backward",
    "torch._debug_has_internal_overlap": "whether entries of a tensor share memory",
}


def _found(name: str, otherwise: Any) -> Any:
    """The private ``name``, or what stands for it."""
    try:
        return reduce(getattr, name.split(".")[1:], torch)
    except AttributeError:
        return otherwise


_forward_ad: Any = torch.autograd.forward_ad
if not hasattr(_forward_ad, "_current_level"):
    _forward_ad = SimpleNamespace(_current_level=-1)
_dispatch_modes = _found("torch._C._len_torch_dispatch_stack", lambda: 0)
_transforms = _found("torch._C._functorch.peek_interpreter_stack", lambda: None)
_is_wrapped = _found("torch._C._functorch.is_functorch_wrapped_tensor", lambda tensor: False)
_is_batched = _found("torch._C._functorch.is_legacy_batchedtensor", lambda tensor: False)
_overlap = _found("torch._debug_has_internal_overlap", lambda tensor: 2)  # too hard to tell

#: Whether the graph is kept after this backward; then its buffers are not ours to change.
keeps_graph: Callable[[], bool] = _found("torch._C._autograd._get_current_graph_task_keep_graph", lambda: True)


def transformed() -> bool:
    """Whether ``torch.func``, forward mode or a dispatch mode (fake tensors, counters) is on."""
    return _transforms() is not None or _forward_ad._current_level >= 0 or _dispatch_modes() > 0


def functional() -> bool:
    """Whether ``torch.func`` or forward mode is on."""
    return _transforms() is not None or _forward_ad._current_level >= 0


def is_batched(tensor: Tensor) -> bool:
    """Whether a tensor stands for several, as ``torch.func`` and ``is_grads_batched`` make them."""
    return bool(_is_wrapped(tensor) or _is_batched(tensor))


def overlaps_itself(tensor: Tensor) -> bool:
    """Whether entries are known to share memory, as those of an expanded view do."""
    return bool(_overlap(tensor) == 1)


def apply_without_transforms(function: type[torch.autograd.Function]) -> Any:
    """``apply`` less what serves ``torch.func``: a seventh of a small batch's time."""
    return super(torch.autograd.Function, function).apply  # type: ignore[misc]


def constant_in_graphs(function: Any) -> Any:
    """As torch.compiler.assume_constant_result, which would load the compiler with every import."""
    function._dynamo_marked_constant = True
    return function
