"""The four losses as modules, each over a :class:`focalkit.LossSpec`."""

from __future__ import annotations

from typing import Unpack

from torch import Tensor

from focalkit._core.spec import PerClass, SpecOptions
from focalkit.nn.module import Loss

__all__ = ["SigmoidCrossEntropy", "SigmoidFocalLoss", "SoftmaxCrossEntropy", "SoftmaxFocalLoss"]


class SoftmaxFocalLoss(Loss):
    r"""Focal loss of classes that exclude each other: :func:`focalkit.softmax_focal_loss` as a module.

    .. math:: \mathrm{FL}(p_t) = -\alpha_t (1 - p_t)^{\gamma_t} \log p_t, \quad p = \mathrm{softmax}(z)

    (Lin et al. 2017, arXiv 1708.02002, eq. 5.)

    Parameters
    ----------
    gamma : float or (n_classes,), in [0, inf)
        Focusing parameter of the true class; 0 is cross-entropy.
    alpha : None, float or (n_classes,), in [0, inf)
        Class weights; None weighs all alike.
    check_finite : bool
        Refuse NaN and +inf logits, at the cost of a pass over them.
    inplace : bool
        The gradient may be written over the logits, which are lost.
    **options
        The remaining fields of :class:`focalkit.LossSpec`.

    Raises
    ------
    InputError
        Where an argument breaks its contract.

    Examples
    --------
    >>> SoftmaxFocalLoss(gamma=2.0, alpha=[0.25, 0.75])
    SoftmaxFocalLoss(gamma=2.0, alpha=(0.25, 0.75))
    """

    def __init__(
        self,
        gamma: PerClass | Tensor = 2.0,
        alpha: PerClass | Tensor | None = None,
        *,
        check_finite: bool = False,
        inplace: bool = False,
        **options: Unpack[SpecOptions],
    ) -> None:
        super().__init__("softmax", gamma, alpha, options, check_finite, inplace)


class SigmoidFocalLoss(Loss):
    r"""Focal loss of independent binary logits: :func:`focalkit.sigmoid_focal_loss` as a module.

    .. math:: \mathrm{FL}(p_t) = -\alpha_t (1 - p_t)^{\gamma_t} \log p_t, \quad p = \sigma(z)

    (Lin et al. 2017, arXiv 1708.02002, eq. 5.)

    Parameters
    ----------
    gamma : float or (n_classes,), in [0, inf)
        Focusing parameter, for all or for each column; 0 is cross-entropy.
    alpha : None, float or (n_classes,), in [0, 1]
        Weight of positives; negatives get 1 - alpha. None weighs both with 1.
    check_finite : bool
        Refuse NaN and +inf logits, at the cost of a pass over them.
    inplace : bool
        The gradient may be written over the logits, which are lost.
    **options
        The remaining fields of :class:`focalkit.LossSpec`.

    Raises
    ------
    InputError
        Where an argument breaks its contract.

    Examples
    --------
    >>> SigmoidFocalLoss(gamma=2.0, alpha=0.25, reduction="sum")
    SigmoidFocalLoss(link='sigmoid', gamma=2.0, alpha=0.25, reduction='sum')
    """

    def __init__(
        self,
        gamma: PerClass | Tensor = 2.0,
        alpha: PerClass | Tensor | None = None,
        *,
        check_finite: bool = False,
        inplace: bool = False,
        **options: Unpack[SpecOptions],
    ) -> None:
        super().__init__("sigmoid", gamma, alpha, options, check_finite, inplace)


class SoftmaxCrossEntropy(Loss):
    r"""(Balanced) cross-entropy of classes that exclude each other: :func:`focalkit.softmax_cross_entropy` as a module.

    .. math:: \mathrm{CE}(p_t) = -\alpha_t \log p_t, \quad p = \mathrm{softmax}(z)

    (Lin et al. 2017, arXiv 1708.02002, eq. 3.)

    Parameters
    ----------
    alpha : None, float or (n_classes,), in [0, inf)
        Class weights; None weighs all alike.
    check_finite : bool
        Refuse NaN and +inf logits, at the cost of a pass over them.
    inplace : bool
        The gradient may be written over the logits, which are lost.
    **options
        The remaining fields of :class:`focalkit.LossSpec`.

    Raises
    ------
    InputError
        Where an argument breaks its contract.

    Examples
    --------
    >>> import torch
    >>> SoftmaxCrossEntropy()(torch.zeros(1, 4), torch.tensor([3]))
    tensor(1.3863)
    """

    def __init__(
        self,
        alpha: PerClass | Tensor | None = None,
        *,
        check_finite: bool = False,
        inplace: bool = False,
        **options: Unpack[SpecOptions],
    ) -> None:
        super().__init__("softmax", 0.0, alpha, options, check_finite, inplace)


class SigmoidCrossEntropy(Loss):
    r"""(Balanced) cross-entropy of independent binary logits: :func:`focalkit.sigmoid_cross_entropy` as a module.

    .. math:: \mathrm{CE}(p_t) = -\alpha_t \log p_t, \quad p = \sigma(z)

    (Lin et al. 2017, arXiv 1708.02002, eq. 3.)

    Parameters
    ----------
    alpha : None, float or (n_classes,), in [0, 1]
        Weight of positives; negatives get 1 - alpha. None weighs both with 1.
    check_finite : bool
        Refuse NaN and +inf logits, at the cost of a pass over them.
    inplace : bool
        The gradient may be written over the logits, which are lost.
    **options
        The remaining fields of :class:`focalkit.LossSpec`.

    Raises
    ------
    InputError
        Where an argument breaks its contract.

    Examples
    --------
    >>> import torch
    >>> SigmoidCrossEntropy()(torch.zeros(1), torch.tensor([1]))
    tensor(0.6931)
    """

    def __init__(
        self,
        alpha: PerClass | Tensor | None = None,
        *,
        check_finite: bool = False,
        inplace: bool = False,
        **options: Unpack[SpecOptions],
    ) -> None:
        super().__init__("sigmoid", 0.0, alpha, options, check_finite, inplace)
