"""What a fit minimises where a weight of the loss is held fast: the function whose slope the loss's is.

The value of such a loss has another slope than its derivative says, and falls where no fit goes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from focalkit._core.spec import LossSpec
from focalkit.losses import loss_grad_hess


def minimised(spec: LossSpec) -> tuple[LossSpec, float]:
    """A loss whose slopes are its own, and what they are to be multiplied by for those of ``spec``.

    The slopes of dynamic fine-tuning, (1 - l) q + l p q, are those of Poly-1 times 1 - l, and at l = 1 those of
    generalised cross-entropy at k = 1.
    """
    if spec.dft == 1:
        return replace(spec, dft=0.0, gce=1.0), 1.0
    if spec.dft > 0:
        return replace(spec, dft=0.0, poly=spec.dft / (1 - spec.dft)), 1 - spec.dft
    return spec, 1.0


def joined(
    spec: LossSpec, logits: NDArray[Any], targets: NDArray[np.intp], weight: NDArray[np.float64] | None
) -> NDArray[np.float64]:
    """What each row's loss lacks for being continuous where gamma steps, (n,).

    Above the last step nothing; below each step the losses on its two sides differ by a constant.
    """
    assert spec.gamma_steps is not None
    at = np.array([p for p, _ in spec.gamma_steps[:-1]])
    gammas = np.array([gamma for _, gamma in spec.gamma_steps])
    nll = -np.log(at)
    jumps = ((1 - at) ** gammas[1:] - (1 - at) ** gammas[:-1]) * nll
    constants = np.append(np.cumsum(jumps[::-1])[::-1], 0.0)
    entropy = replace(spec, gamma_steps=None, reduction="none")
    rows = np.asarray(loss_grad_hess(entropy, logits, targets, hess=False).loss, np.float64)
    found = constants[len(at) - np.searchsorted(nll[::-1], rows, side="left")]
    return found if weight is None else weight * found
