"""Losses of a batch, or of classes, that are spread over the ranks of ``torch.distributed``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from torch import Tensor

from focalkit._core.spec import PerClass, SpecOptions
from focalkit._core.types import Normalizer
from focalkit.engines.torch import class_parallel as torch_sharded
from focalkit.engines.torch import data_parallel as torch_parallel

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup


__all__ = ["global_normalizer", "parallel_softmax_focal_loss"]


def global_normalizer(local: float | Tensor, group: ProcessGroup | None = None) -> Tensor:
    r"""Denominator of the whole batch's mean, for one rank's loss under DDP or FSDP.

    .. math:: \bar D = \frac{1}{W} \sum_{r=1}^{W} D_r

    with D_r the number that rank r gives and W the number of ranks. DDP and FSDP average gradients over the
    ranks: the average of S_r / :math:`\bar D`, S_r the sums of the ranks' losses, is the whole batch's mean.

    Parameters
    ----------
    local : number or tensor of one, in [0, inf)
        This rank's count of positives, of tokens, or sum of weights; under gradient accumulation that of all
        its micro-batches together. 0 on a rank without any.
    group : ProcessGroup, optional
        The ranks whose gradients are averaged; None is all of them. Every one must call this.

    Returns
    -------
    Tensor
        A scalar in float64 (float32 on MPS) beside ``local``, to be passed as ``normalizer``. Where the sum is 0 it
        is taken for 1, so that a mean over nothing is 0. Without an initialised process group: ``local`` itself.

    Raises
    ------
    InputError
        Where ``local`` is not one number.

    Examples
    --------
    >>> global_normalizer(12)
    tensor(12., dtype=torch.float64)
    """
    return torch_parallel.global_normalizer(local, group)


def parallel_softmax_focal_loss(
    local_logits: Tensor,
    targets: Tensor,
    group: ProcessGroup | None = None,
    gamma: PerClass = 2.0,
    alpha: PerClass | None = None,
    *,
    sample_weight: Tensor | None = None,
    normalizer: Normalizer = None,
    **options: Unpack[SpecOptions],
) -> Tensor:
    r"""Focal loss over classes that are spread over ranks (vocabulary parallel).

    .. math:: \mathrm{FL}(p_t) = -\alpha_t (1 - p_t)^{\gamma_t} \log p_t, \quad p = \mathrm{softmax}(z)

    (Lin et al. 2017, arXiv 1708.02002, eq. 5, with a softmax.) Each rank holds the logits of a run of consecutive
    classes, in the order of the ranks, and all the targets.

    Parameters
    ----------
    local_logits : Tensor (n, n_local) or (n, n_local, d1, ...), or DTensor
        This rank's logits; ranks may have different numbers of classes, none too. A DTensor must be sharded on its
        class axis and brings its group along.
    targets : integer Tensor shaped like the logits without the class axis
        Ids among all classes, the same on every rank.
    group : ProcessGroup, optional
        The ranks that share the classes; None is all of them.
    gamma : float or (n_classes,), in [0, inf)
        Focusing parameter, of the true class where it is a vector; 0 is cross-entropy.
    alpha : None, float or (n_classes,), in [0, inf)
        Weights of all classes; None weighs all alike.
    sample_weight : Tensor (n,) or one per target, in [0, inf), optional
        Multiplies loss and gradient; the same on every rank.
    normalizer : float > 0, a tensor of one, or "global", optional
        As for :func:`focalkit.softmax_focal_loss`.
    **options
        ``reduction``, ``ignore_index`` and ``class_axis``, as in :class:`focalkit.LossSpec`.

    Returns
    -------
    Tensor
        The loss of the whole in nats, with the same bits on every rank: a scalar, or for ``reduction="none"`` one
        value per target. Backward gives each rank the gradient of its own logits.

    Raises
    ------
    InputError
        Where an argument breaks its contract, on every rank: the arguments of one rank, shapes, options and targets
        that differ between ranks. Soft targets, label smoothing, mining and second derivatives are refused.

    Notes
    -----
    Three all-reduces forward, none backward: a few integers per rank, in which the ranks find that they agree; the
    largest of the other classes' logits (n values); the sum of the others' exponentials beside the true class's logit
    (2n values). So 12 n bytes in float32, whatever the number of classes. The true class is left out of the sum, as
    everywhere in this package, so that easy samples keep their digits. One tensor of the size of the local logits is
    made, which becomes the gradient.

    Examples
    --------
    >>> import torch
    >>> parallel_softmax_focal_loss(torch.tensor([[2.0, 0.0, -1.0]]), torch.tensor([2]))
    tensor(2.9091)
    """
    return torch_sharded.loss(local_logits, targets, group, gamma, alpha, sample_weight, normalizer, options)
