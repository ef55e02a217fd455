"""Input validation of a call on host memory."""

from __future__ import annotations

from focalkit._core import contracts
from focalkit._core.call import Call, loss_shape
from focalkit._core.spec import LossSpec


def read(
    spec: LossSpec,
    logits: object,
    targets: object,
    sample_weight: object = None,
    normalizer: object = None,
    *,
    check_finite: bool = False,
) -> Call:
    """Check one call against every contract; nothing is copied that need not be."""
    z = contracts.logits_array(logits)
    axis = contracts.logits_shape(spec.link, z.shape, spec.class_axis)
    n_classes = z.shape[axis] if axis >= 0 else 1
    for name in ("alpha", "gamma"):
        contracts.class_vector(name, getattr(spec, name), n_classes)
    if spec.link == "softmax":
        y = contracts.softmax_targets(targets, z.shape, axis, spec.ignore_index)
    else:
        y = contracts.sigmoid_targets(targets, z.shape, spec.ignore_index)
    weight = contracts.sample_weight_array(sample_weight, loss_shape(spec, z.shape))
    denominator = contracts.normalizer_number(normalizer, spec.reduction)
    if check_finite:
        contracts.finite_logits(z)
    return Call(spec, z, y, weight, denominator)
