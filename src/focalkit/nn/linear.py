"""The last layer of a model and its loss as one module, without all the logits."""

from __future__ import annotations

from typing import Any, Unpack

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from focalkit._core import contracts
from focalkit._core.spec import LossSpec, PerClass, SpecOptions
from focalkit.linear_loss import linear_loss

__all__ = ["LinearFocalLoss"]


class LinearFocalLoss(nn.Linear):
    r"""A model's last linear layer with its focal loss: :func:`focalkit.linear_softmax_focal_loss` as a module.

    .. math:: \mathrm{FL}(p_t) = -\alpha_t (1 - p_t)^{\gamma_t} \log p_t, \quad p = \mathrm{softmax}(W x + b)

    (Lin et al. 2017, arXiv 1708.02002, eq. 5.) In training it takes hidden states and targets and returns the loss, in
    evaluation :meth:`logits` gives what ``torch.nn.Linear`` would. It is a ``torch.nn.Linear`` with the same parameters
    and ``state_dict``, so it takes the place of a model's head, and shares a weight as one does:
    ``head.weight = embedding.weight``.

    Parameters
    ----------
    in_features : int
        Width d of the hidden states.
    n_classes : int
        Classes, e.g. the vocabulary.
    gamma : float or (n_classes,), in [0, inf)
        Focusing parameter of the true class; 0 is cross-entropy.
    alpha : None, float or (n_classes,), in [0, inf)
        Class weights; None weighs all alike.
    bias : bool
        Whether the layer has one; heads of language models have not.
    logit_softcap : float > 0, optional
        Cap c of the logits, c tanh(z / c).
    memory_budget : int, optional
        Bytes for the logits that exist at a time; None chooses.
    device, dtype
        Of the parameters, as for ``torch.nn.Linear``.
    **options
        Of :class:`focalkit.LossSpec`: ``reduction``, ``ignore_index``, ``label_smoothing``.

    Raises
    ------
    InputError
        Where an argument breaks its contract.

    Examples
    --------
    >>> head = LinearFocalLoss(8, 1000, gamma=2.0)
    >>> loss = head(torch.randn(2, 5, 8), torch.randint(1000, (2, 5)))
    >>> loss.backward()
    >>> head.logits(torch.randn(2, 5, 8)).shape
    torch.Size([2, 5, 1000])
    """

    def __init__(
        self,
        in_features: int,
        n_classes: int,
        gamma: PerClass = 2.0,
        alpha: PerClass | None = None,
        *,
        bias: bool = False,
        logit_softcap: float | None = None,
        memory_budget: int | None = None,
        device: Any = None,
        dtype: Any = None,
        **options: Unpack[SpecOptions],
    ) -> None:
        self.spec = LossSpec("softmax", gamma, alpha, **options)
        for name in ("gamma", "alpha"):
            contracts.class_vector(name, getattr(self.spec, name), n_classes)
        self.logit_softcap, self.memory_budget = logit_softcap, memory_budget
        super().__init__(in_features, n_classes, bias, device, dtype)

    def forward(  # type: ignore[override]
        self, hidden: Tensor, targets: Tensor, sample_weight: Any = None, normalizer: Any = None
    ) -> Tensor:
        """Return the loss, in nats; the arguments are those of the function of the same name."""
        rest = (targets, self.bias, sample_weight, normalizer, self.logit_softcap, self.memory_budget)
        loss: Tensor = linear_loss(self.spec, hidden, self.weight, *rest)
        return loss

    def logits(self, hidden: Tensor) -> Tensor:
        """Return the logits (..., n_classes) of hidden states (..., in_features), all of them."""
        z = F.linear(hidden, self.weight, self.bias)
        return z if self.logit_softcap is None else self.logit_softcap * torch.tanh(z / self.logit_softcap)

    def extra_repr(self) -> str:
        """Sizes, and whatever differs from the default."""
        named = {"logit_softcap": self.logit_softcap, "memory_budget": self.memory_budget}
        flags = [f"{name}={value!r}" for name, value in named.items() if value is not None]
        options = [repr(self.spec)[len("LossSpec(") : -1]] if self.spec != LossSpec() else []
        return ", ".join([super().extra_repr(), *options, *flags])
