"""Input validation of a call on host memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from focalkit._core import contracts, reduction
from focalkit._core.call import Call, loss_shape
from focalkit._core.ops import NUMPY
from focalkit._core.spec import LossSpec

_MOST_GAMMA = 1e30  # so many times that what is multiplied by it is still a number
_EPS_FLOAT32 = 2.0**-23
_LARGE = 1e12  # whose square is a number too
_LOWEST_ADJUSTMENT = -60.0  # exp of it leaves float32 its digits


def read(
    spec: LossSpec,
    logits: object,
    targets: object,
    sample_weight: object = None,
    normalizer: object = None,
    *,
    check_finite: bool = False,
    soft_slack: float | None = None,
    library: str = "numpy",
) -> Call:
    """Check one call against every contract; nothing is copied that need not be.

    Soft targets a little outside of [0, 1] are clipped; ``soft_slack`` says how little where their dtype does not.
    ``library`` is the user's, whose functions an error names.
    """
    z = contracts.logits_array(logits, library)
    axis = contracts.logits_shape(spec.link, z.shape, spec.class_axis)
    n_classes = z.shape[axis] if axis >= 0 else 1
    for name, value in spec.class_parameters().items():
        contracts.class_vector(name, value, n_classes)
    check = contracts.softmax_targets if spec.link == "softmax" else contracts.sigmoid_targets
    y = check(targets, z.shape, axis, spec.ignore_index, soft_slack, library)
    weight = contracts.sample_weight_array(sample_weight, loss_shape(spec, z.shape))
    denominator = contracts.normalizer_number(normalizer, spec.reduction)
    if denominator == 0:
        counted = reduction.counted(spec, y, axis, NUMPY)
        denominator = contracts.normalizer_of_nothing(denominator, int(np.count_nonzero(counted)))
    if check_finite:
        contracts.finite_logits(z)
    return Call(spec, z, y, weight, denominator)


def beyond_float32(spec: LossSpec, normalizer: float | None = None) -> bool:
    """Whether float32 would overflow on the way to results that it can hold; then narrower logits go through float64.

    That is so for a gamma near the end of float32's range, for an alpha there or lost beside another, for numbers of a
    form far from 1 and from 0 and scales of the logits far from 1, for a normalizer so small that one over it is
    beyond, and for adjustments of logits so far apart that their exponentials have few digits.
    """

    def entries(value: Any) -> tuple[float, ...]:
        return value if isinstance(value, tuple) else (value or 0.0,)

    gamma, alpha = max(entries(spec.gamma)), entries(spec.alpha)
    small = normalizer is not None and 0 < normalizer < 1 / _LARGE
    far = min(spec.shift_vectors()[0] or (0.0,)) < _LOWEST_ADJUSTMENT
    lost = max(alpha) > _LARGE or any(0 < a < 1e-25 for a in alpha)
    of_form = (spec.poly or 0.0) > _LARGE or (spec.star is not None and max(abs(spec.star), gamma) > _LARGE)
    tiny = 0 < spec.gce < _EPS_FLOAT32 or 0 < spec.clip < 1e-18  # which kernels take for none
    scaled = not 1 / _LARGE <= spec.scale <= _LARGE
    beyond = max(gamma, spec.gamma_negative or 0.0) > _MOST_GAMMA
    return small or far or lost or of_form or tiny or scaled or beyond
