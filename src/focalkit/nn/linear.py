"""The last layer of a model and its loss as one module, without all the logits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Unpack

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from focalkit._core import contracts
from focalkit._core.spec import LossSpec, PerClass, SpecOptions
from focalkit._core.types import Normalizer
from focalkit.engines.torch import compiled
from focalkit.linear_loss import linear_loss
from focalkit.nn.module import PARAMETERS, HoldsSpec

__all__ = ["LinearFocalLoss"]

#: Of rows and columns of a weight that PyTorch can hold.
MOST = 2**31


class LinearFocalLoss(HoldsSpec, nn.Linear):
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
        gamma: PerClass | Tensor = 2.0,
        alpha: PerClass | Tensor | None = None,
        *,
        bias: bool = False,
        logit_softcap: float | None = None,
        memory_budget: int | None = None,
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
        **options: Unpack[SpecOptions],
    ) -> None:
        spec = LossSpec("softmax", _number("gamma", gamma), _number("alpha", alpha), **options)
        for name, value in spec.class_parameters().items():
            contracts.class_vector(name, value, n_classes)
        contracts.whole("in_features", in_features, 0, "It is the width of the hidden states.", most=MOST)
        contracts.whole("n_classes", n_classes, 1, "E.g. the size of the vocabulary.", most=MOST)
        super().__init__(in_features, n_classes, contracts.flag("bias", bias), device, dtype)
        self.logit_softcap, self.memory_budget = logit_softcap, memory_budget
        self.spec = spec

    @property
    def spec(self) -> LossSpec:
        """The loss that is computed; assign another one to change it."""
        return self._spec

    @spec.setter
    def spec(self, spec: LossSpec) -> None:
        if not isinstance(spec, LossSpec) or spec.link != "softmax":
            contract = "be a LossSpec with the softmax link"
            contracts.reject("spec", contract, spec, "Independent columns have no softmax: use SigmoidFocalLoss.")
        for name, value in spec.class_parameters().items():
            contracts.class_vector(name, value, self.out_features)
        self._spec = spec
        self._numbers, self._arguments = compiled.apart(spec)

    def __setattr__(self, name: str, value: Any) -> None:
        """Assign a field of the spec, or anything else as modules do."""
        if name in PARAMETERS:
            self.spec = replace(self.spec, **{name: _number(name, value)})
        else:
            super().__setattr__(name, value)

    def forward(  # type: ignore[override]
        self, hidden: Tensor, targets: Tensor, sample_weight: Tensor | None = None, normalizer: Normalizer = None
    ) -> Tensor:
        """Return the loss, in nats; the arguments are those of the function of the same name."""
        rest = (targets, self.bias, sample_weight, normalizer, self.logit_softcap, self.memory_budget)
        traced = torch.compiler.is_compiling() and not torch.compiler.is_exporting()
        if traced and not isinstance(normalizer, str) and hidden.device.type == "cpu":
            return linear_loss(  # type: ignore[no-any-return]
                self._numbers, hidden, self.weight, *rest, known=self._arguments
            )
        return linear_loss(self._spec, hidden, self.weight, *rest)  # type: ignore[no-any-return]

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


def _number(name: str, value: Any) -> Any:
    """Refuse a gamma or alpha that is to be learned, for which there is no gradient here."""
    if isinstance(value, Tensor) and value.requires_grad:
        remedy = "Detach it, or use SoftmaxFocalLoss on the logits."
        contracts.reject(name, "need no gradient here", contracts.Words("a tensor that requires one"), remedy)
    return value
