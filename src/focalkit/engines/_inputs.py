"""One checked call: what every engine on host memory starts from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from focalkit._core import contracts
from focalkit._core.spec import LossSpec


@dataclass(frozen=True)
class Inputs:
    """Arrays that keep their contracts; nothing is copied that need not be.

    ``axis`` is the class axis of ``logits`` (-1 for binary logits of shape (n,)); ``rows`` the shape
    of one loss per target; ``soft`` says that targets are probabilities shaped like the logits.
    """

    logits: NDArray[Any]
    targets: NDArray[Any]
    sample_weight: NDArray[np.float64] | None
    normalizer: float | None
    axis: int
    n_classes: int
    rows: tuple[int, ...]
    soft: bool


def read(
    spec: LossSpec,
    logits: object,
    targets: object,
    sample_weight: object = None,
    normalizer: object = None,
    *,
    check_finite: bool = False,
) -> Inputs:
    """Check one call against every contract."""
    z = contracts.logits_array(logits)
    axis = contracts.logits_shape(spec.link, z.shape, spec.class_axis)
    n_classes = z.shape[axis] if axis >= 0 else 1
    for name in ("alpha", "gamma"):
        contracts.class_vector(name, getattr(spec, name), n_classes)
    if spec.link == "softmax":
        y = contracts.softmax_targets(targets, z.shape, axis, spec.ignore_index)
        rows = z.shape[:axis] + z.shape[axis + 1 :]
    else:
        y = contracts.sigmoid_targets(targets, z.shape, spec.ignore_index)
        rows = z.shape
    weight = contracts.sample_weight_array(sample_weight, rows)
    denominator = contracts.normalizer_number(normalizer, spec.reduction)
    if check_finite:
        contracts.finite_logits(z)
    return Inputs(z, y, weight, denominator, axis, n_classes, rows, y.dtype.kind not in "iu")
