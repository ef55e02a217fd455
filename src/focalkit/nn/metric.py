"""The diagnosis ledger as a metric of torchmetrics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from focalkit._core.spec import LossSpec
from focalkit.diagnosis import Ledger

_TABLES = ("count", "weight", "s1", "s2", "exact_loss", "exact_grad")
_COUNTS = ("n_samples", "n_ignored")


class LedgerMetric(Metric):
    r"""Where the loss goes, per class, over all batches and ranks: :class:`focalkit.Ledger` as a torchmetrics Metric.

    .. math:: \text{ledger} = \sum_{\text{ranks}} \sum_{\text{batches}} \text{ledger of the batch}

    Parameters
    ----------
    spec : LossSpec
        The loss whose sums are kept exactly; every other gamma and alpha can be asked afterwards.
    n_classes : int
        Classes (softmax) or columns (sigmoid; 1 for logits of shape (n,)).
    class_names : sequence of str, optional
        Their names.
    **options
        Of :class:`torchmetrics.Metric`, e.g. ``sync_on_compute``.

    Raises
    ------
    InputError
        Where an argument breaks its contract; NaN and +inf logits have no place in a ledger.

    Notes
    -----
    ``update`` copies the logits to the host and keeps only the ledger's sums (some 500 bins a class), which
    are added over ranks: the result is the ledger of all data, exactly. ``compute`` returns the Ledger.

    Examples
    --------
    >>> metric = LedgerMetric(LossSpec(gamma=2.0), n_classes=2)
    >>> metric.update(torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 1]))
    >>> metric.update(torch.tensor([[0.5, 0.0]]), torch.tensor([1]))
    >>> metric.compute().shares().loss.share.round(3)
    array([0.004, 0.996])
    """

    is_differentiable = False
    higher_is_better = None
    full_state_update = False

    def __init__(
        self, spec: LossSpec, n_classes: int, class_names: Sequence[str] | None = None, **options: Any
    ) -> None:
        super().__init__(**options)
        empty = Ledger(spec, n_classes, class_names)
        self._arguments = (spec, empty.n_classes, class_names)
        for name in _TABLES:
            self.add_state(name, torch.from_numpy(getattr(empty, name)), dist_reduce_fx="sum")
        for name in _COUNTS:
            self.add_state(name, torch.tensor(0), dist_reduce_fx="sum")

    def update(self, logits: Tensor, targets: Tensor, sample_weight: Tensor | None = None) -> None:
        """Add a batch; the arguments are those of the losses."""
        ledger = Ledger(*self._arguments)
        arrays: Any = (None if t is None else _host(t) for t in (logits, targets, sample_weight))
        ledger.update(*arrays)
        for name in _TABLES:
            state = getattr(self, name)
            setattr(self, name, state + torch.from_numpy(getattr(ledger, name)).to(state.device))
        for name in _COUNTS:
            setattr(self, name, getattr(self, name) + getattr(ledger, name))

    def compute(self) -> Ledger:
        """Return the ledger of everything seen since the last reset, by all ranks."""
        ledger = Ledger(*self._arguments)
        for name in _TABLES:
            setattr(ledger, name, getattr(self, name).cpu().numpy().copy())
        for name in _COUNTS:
            setattr(ledger, name, int(getattr(self, name)))
        return ledger


def _host(tensor: Any) -> Any:
    if not isinstance(tensor, Tensor):
        return tensor
    tensor = tensor.detach().cpu()
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()
