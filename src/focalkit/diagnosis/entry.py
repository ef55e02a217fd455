"""The door for arrays in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from focalkit._core import contracts
from focalkit._core.spec import LossSpec
from focalkit.diagnosis.batch import check_spec
from focalkit.diagnosis.ledger import Ledger


def diagnose(
    logits: Any,
    targets: Any,
    spec: LossSpec | None = None,
    *,
    sample_weight: Any = None,
    class_names: Sequence[str] | None = None,
) -> Ledger:
    r"""Where the loss of these predictions goes, for every alpha and gamma.

    .. math:: \text{share}_k = \sum_{i: t_i = k} w_i \alpha_k f_\gamma(m_i) \Big/ \sum_i w_i \alpha_{t_i} f_\gamma(m_i)

    with f the focal loss as a function of the log-odds m of the true class (Lin et al. 2017, arXiv
    1708.02002, eq. 5).

    Parameters
    ----------
    logits : array (n,), (n, n_classes) or (n, n_classes, d1, ...)
        Raw model outputs; (n,) with the sigmoid link.
    targets : array
        Class ids, 0 and 1, or soft targets, as the loss of ``spec`` takes them.
    spec : LossSpec, optional
        The loss whose sums are kept exactly. None: focal loss with gamma 2 over classes that
        exclude each other.
    sample_weight : array (n,) or one per target, in [0, inf), optional
        Multiplies each sample's share.
    class_names : sequence of str, optional
        Names of the classes (sigmoid: columns).

    Returns
    -------
    Ledger
        float64 sums in nats; ask it for :meth:`Ledger.shares` and :meth:`Ledger.cumulative`.

    Raises
    ------
    InputError
        Where an argument breaks its contract.

    Notes
    -----
    One pass in pieces, so temporary memory does not grow with n. Logits of NaN or +inf, and a true
    class at -inf, are refused: their loss has no shares.

    Examples
    --------
    >>> import numpy as np
    >>> ledger = diagnose(np.array([1.0, -1.0, 0.5]), np.array([1, 0, 0]), LossSpec("sigmoid", gamma=2.0))
    >>> ledger.class_names
    ('negative', 'positive')
    >>> ledger.shares().loss.share.round(3)
    array([0.946, 0.054])
    """
    spec = LossSpec(gamma=2.0) if spec is None else spec
    check_spec(spec)
    z = contracts.logits_array(logits)
    axis = contracts.logits_shape(spec.link, z.shape, spec.class_axis)
    ledger = Ledger(spec, z.shape[axis] if axis >= 0 else 1, class_names)
    ledger.update(z, targets, sample_weight)
    return ledger
