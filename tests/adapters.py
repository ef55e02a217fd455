"""Engines as the laws see them: append one and every law runs over it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import focalkit
from focalkit._core.spec import SpecOptions
from focalkit.engines import _inputs, plain
from tests.budget import DTYPES


@dataclass(frozen=True)
class Engine:
    """NumPy in, NumPy out, whatever is between.

    ``loss_grad_hess(spec, logits, targets, **kw)`` takes ``sample_weight``, ``normalizer``, ``hess``,
    ``out`` and ``check_finite``; ``loss`` the same without ``hess`` and ``out``. ``dtypes`` are those of
    the logits that it computes, ``library`` the one whose arrays it has inside; a slow one sees one in
    ``thinning`` cases.
    """

    name: str
    loss: Callable[..., Any]
    loss_grad_hess: Callable[..., tuple[Any, Any, Any]]
    dtypes: tuple[Any, ...] = DTYPES
    library: str = "numpy"
    thinning: int = 1
    #: False: ``out`` is checked before the engine is asked, by ``focalkit.loss_grad_hess``.
    checks_out: bool = True

    def thinned(self, cases):
        """The cases that the engine has time for."""
        return list(cases)[:: self.thinning]


def _door_loss(spec, logits, targets, **kw):
    function = {"softmax": focalkit.softmax_focal_loss, "sigmoid": focalkit.sigmoid_focal_loss}[spec.link]
    options = {name: getattr(spec, name) for name in SpecOptions.__annotations__}
    return function(logits, targets, spec.gamma, spec.alpha, **options, **kw)


def _read(spec, logits, targets, *, sample_weight=None, normalizer=None, check_finite=False):
    return _inputs.read(spec, logits, targets, sample_weight, normalizer, check_finite=check_finite)


def of_calls(evaluate):
    """``loss`` and ``loss_grad_hess`` of an engine of host memory, ``evaluate(call, order)``."""

    def loss(spec, logits, targets, **kw):
        return evaluate(_read(spec, logits, targets, **kw), 0).loss

    def loss_grad_hess(spec, logits, targets, *, hess=True, out=None, **kw):
        value, grad, curvature = evaluate(_read(spec, logits, targets, **kw), 2 if hess else 1)
        if out is not None:
            out[...] = grad
        return value, grad if out is None else out, curvature

    return loss, loss_grad_hess


ENGINES = [
    Engine("door", _door_loss, focalkit.loss_grad_hess),
    Engine("reference", *of_calls(plain.truth), checks_out=False),
]


def _torch_engines():
    try:
        from tests.torch_adapter import engines
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        return []
    return engines(Engine)


def _triton_engines():
    """Under the interpreter a call takes some tens of milliseconds."""
    try:
        from tests import triton_adapter
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "triton"):
            raise
        return []
    return [Engine("triton", triton_adapter.loss, triton_adapter.loss_grad_hess, library="torch", thinning=30)]


def _jax_engines():
    try:
        from tests.jax_adapter import engines
    except ModuleNotFoundError as error:
        if error.name != "jax":
            raise
        return []
    return engines(Engine, _door_loss)


ENGINES += _jax_engines() + _torch_engines() + _triton_engines()
