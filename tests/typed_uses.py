"""Uses of the public functions as a type checker sees them; tests/test_typing.py has it checked, and it runs too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_type

import numpy as np
from numpy.typing import NDArray

import focalkit
from focalkit import LossSpec

if TYPE_CHECKING:
    import jax
    from torch import Tensor

    from focalkit.nn import LinearFocalLoss, SoftmaxFocalLoss


def arrays(logits: NDArray[np.float32], ids: NDArray[np.int64]) -> None:
    assert_type(focalkit.softmax_focal_loss(logits, ids, gamma=2.0), NDArray[Any])
    assert_type(focalkit.sigmoid_focal_loss(logits, (logits > 0).astype(int), alpha=0.25), NDArray[Any])
    assert_type(focalkit.softmax_cross_entropy(logits, ids.tolist(), [1.0, 2.0, 3.0], reduction="none"), NDArray[Any])
    assert_type(focalkit.sigmoid_cross_entropy(logits, logits > 0, sample_weight=[1.0] * len(ids)), NDArray[Any])
    value, grad, _ = focalkit.loss_grad_hess(LossSpec(gamma=2.0), logits, ids, normalizer=3, hess=False)
    assert_type(value, NDArray[Any])
    assert_type(grad, NDArray[Any])
    assert_type(focalkit.class_weights({0: 3, 1: 9}), NDArray[np.float64])
    assert_type(focalkit.recover_posterior([[0.7, 0.3]], gamma=2.0), NDArray[np.float64])
    assert_type(focalkit.prior_bias(0.01), float)
    assert_type(focalkit.prior_bias([0.9, 0.1]), NDArray[np.float64])
    assert_type(focalkit.diagnose(logits, ids, LossSpec(gamma=2.0)).shares().class_names, tuple[str, ...])
    assert_type(focalkit.shift_prior(np.array([0.2]), prior=0.1), NDArray[np.float64])


def tensors(logits: Tensor, ids: Tensor) -> None:
    assert_type(focalkit.softmax_focal_loss(logits, ids, gamma=logits.new_tensor(2.0), normalizer="global"), "Tensor")
    assert_type(focalkit.loss_grad_hess(LossSpec(), logits, ids, out=logits).grad, "Tensor")
    assert_type(focalkit.linear_softmax_focal_loss(logits, logits, ids, alpha=[1.0, 2.0], reduction="sum"), "Tensor")
    assert_type(focalkit.recover_posterior(logits.softmax(-1), 2.0), NDArray[np.float64])


def modules(criterion: SoftmaxFocalLoss, head: LinearFocalLoss, hidden: Tensor, ids: Tensor) -> None:
    assert_type(criterion.forward(hidden, ids, normalizer="global"), "Tensor")
    assert_type(head.forward(hidden, ids, sample_weight=hidden[:, 0]), "Tensor")
    assert_type(head.logits(hidden), "Tensor")


def jax_arrays(logits: jax.Array, ids: jax.Array) -> None:
    assert_type(focalkit.softmax_focal_loss(logits, ids, gamma=2.0), "jax.Array")
    assert_type(focalkit.linear_softmax_focal_loss(logits, logits, ids), "jax.Array")
    assert_type(focalkit.recover_posterior(logits, 2.0), "jax.Array")
    assert_type(focalkit.shift_prior(logits, [0.9, 0.1]), "jax.Array")
    assert_type(focalkit.class_weights(ids, "sqrt"), "jax.Array")


if TYPE_CHECKING:

    def wrong(logits: NDArray[np.float32], ids: NDArray[np.int64]) -> None:
        focalkit.softmax_focal_loss("logits", ids)  # type: ignore[type-var]
        focalkit.softmax_focal_loss(logits, ids, reduction="average")  # type: ignore[arg-type]
        focalkit.softmax_focal_loss(logits, ids, weight=2.0)  # type: ignore[call-arg]
        focalkit.class_weights([3, 9], "balance")  # type: ignore[call-overload]
        focalkit.linear_softmax_focal_loss(logits, logits, ids)  # type: ignore[type-var]
        focalkit.loss_grad_hess(2.0, logits, ids)  # type: ignore[arg-type]
