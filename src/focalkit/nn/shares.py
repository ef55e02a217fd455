"""Per-class shares of a ledger, to a TensorBoard writer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from focalkit._core import contracts
from focalkit._core.spec import PerClass
from focalkit.diagnosis import Ledger

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


def write_shares(
    writer: SummaryWriter,
    ledger: Ledger,
    step: int,
    *,
    gamma: PerClass | None = None,
    alpha: PerClass | str | None = None,
    prefix: str = "focalkit",
) -> None:
    r"""Write each class's share of the loss and of the gradient, after alpha, as scalars.

    .. math:: \text{share}_k = \sum_{i: t_i = k} \alpha_k f_\gamma(m_i) \Big/ \sum_i \alpha_{t_i} f_\gamma(m_i)

    Parameters
    ----------
    writer : torch.utils.tensorboard.SummaryWriter
        Or anything with its ``add_scalar(tag, value, step)``.
    ledger : Ledger
        Of an epoch, say; one without samples writes nothing.
    step : int
        Place on the time axis.
    gamma, alpha
        As for :meth:`Ledger.shares`; None asks for the ledger's own.
    prefix : str
        Tags are ``{prefix}/loss_share/{class}`` and ``{prefix}/gradient_share/{class}``.

    Examples
    --------
    >>> import numpy as np
    >>> from focalkit import LossSpec
    >>> class Printer:
    ...     def add_scalar(self, tag, value, step):
    ...         print(tag, round(value, 3), step)
    >>> ledger = Ledger(LossSpec(gamma=2.0), n_classes=2)
    >>> ledger.update(np.array([[2.0, 0.0], [0.0, 1.0], [0.5, 0.0]]), np.array([0, 1, 1]))
    >>> write_shares(Printer(), ledger, step=7)
    focalkit/loss_share/0 0.004 7
    focalkit/gradient_share/0 0.008 7
    focalkit/loss_share/1 0.996 7
    focalkit/gradient_share/1 0.992 7
    """
    if not isinstance(ledger, Ledger):
        contracts.reject("ledger", "be a Ledger", contracts.Words(type(ledger).__name__), "Make one by diagnose().")
    if not ledger.n_samples:
        return
    shares = ledger.shares(gamma, alpha)
    for name, of_loss, of_grad in zip(
        shares.class_names, shares.loss.share_alpha, shares.grad.share_alpha, strict=True
    ):
        writer.add_scalar(f"{prefix}/loss_share/{name}", float(of_loss), step)
        writer.add_scalar(f"{prefix}/gradient_share/{name}", float(of_grad), step)
