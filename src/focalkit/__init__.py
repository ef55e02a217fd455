"""focalkit: where an imbalanced classifier's loss goes, which alpha and gamma help, and that loss, exact and fast."""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING as _TYPE_CHECKING

from focalkit._core.contracts import InputError
from focalkit._core.spec import LossSpec
from focalkit.engines.cpu.machine import get_num_threads, keep_pages, set_num_threads
from focalkit.linear_loss import linear_softmax_focal_loss
from focalkit.losses import (
    LossGradHess,
    loss_grad_hess,
    sigmoid_cross_entropy,
    sigmoid_focal_loss,
    softmax_cross_entropy,
    softmax_focal_loss,
)
from focalkit.posterior import recover_posterior, shift_prior
from focalkit.weights import class_weights, deferred_weights, long_tail_counts, prior_bias

if _TYPE_CHECKING:
    from focalkit.diagnosis import Ledger, diagnose

__version__ = "0.2.0"

__all__ = [
    "InputError",
    "Ledger",
    "LossGradHess",
    "LossSpec",
    "class_weights",
    "deferred_weights",
    "diagnose",
    "get_num_threads",
    "keep_pages",
    "linear_softmax_focal_loss",
    "long_tail_counts",
    "loss_grad_hess",
    "prior_bias",
    "recover_posterior",
    "set_num_threads",
    "shift_prior",
    "sigmoid_cross_entropy",
    "sigmoid_focal_loss",
    "softmax_cross_entropy",
    "softmax_focal_loss",
]


#: Imported when they are first asked for, as ``focalkit.nn``.
_MODULES = ("boosting", "decisions", "diagnosis", "estimator", "io", "keras", "nn", "report", "tuning")


def __getattr__(name: str) -> object:
    """Import the diagnosis when it is first asked for: a training loop may never need it. So with the modules."""
    if name in _MODULES:
        return _import_module(f"focalkit.{name}")
    if name in ("Ledger", "diagnose"):
        from focalkit import diagnosis

        globals().update(Ledger=diagnosis.Ledger, diagnose=diagnosis.diagnose)
        return globals()[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")  # noqa: EM102


def __dir__() -> list[str]:
    return sorted({*__all__, *_MODULES, "__version__"})
