"""focalkit: where an imbalanced classifier's loss goes, which alpha and gamma help, and that loss, exact and fast."""

from focalkit._checks import InputError
from focalkit._spec import LossSpec
from focalkit.diagnosis import Ledger, diagnose
from focalkit.engines.cpu import get_num_threads, set_num_threads
from focalkit.losses import (
    LossGradHess,
    loss_grad_hess,
    sigmoid_cross_entropy,
    sigmoid_focal_loss,
    softmax_cross_entropy,
    softmax_focal_loss,
)
from focalkit.posterior import recover_posterior, shift_prior
from focalkit.weights import class_weights, prior_bias

__version__ = "0.1.0"

__all__ = [
    "InputError",
    "Ledger",
    "LossGradHess",
    "LossSpec",
    "class_weights",
    "diagnose",
    "get_num_threads",
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
