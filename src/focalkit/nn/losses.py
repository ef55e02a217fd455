"""The four losses as modules, each over a :class:`focalkit.LossSpec`."""

from __future__ import annotations

from typing import Any, Unpack

import torch
from torch import Tensor, nn

from focalkit._core import contracts
from focalkit._core.spec import LossSpec, PerClass, SpecOptions
from focalkit.engines.torch import data_parallel as torch_parallel
from focalkit.engines.torch.dispatch import loss
from focalkit.losses import tensor_loss

__all__ = ["SigmoidCrossEntropy", "SigmoidFocalLoss", "SoftmaxCrossEntropy", "SoftmaxFocalLoss"]

_PARAMETERS = ("gamma", "alpha")


class _Loss(nn.Module):
    """A loss over ``spec``; the buffers ``gamma`` and ``alpha`` hold its parameters in float64."""

    gamma: Tensor
    alpha: Tensor | None
    _spec: LossSpec

    def __init__(self, spec: LossSpec, check_finite: bool = False, inplace: bool = False) -> None:
        super().__init__()
        self.check_finite = check_finite
        self.inplace = inplace
        self.register_buffer("gamma", None)
        self.register_buffer("alpha", None)
        self._store(spec, torch.get_default_device())
        self.register_load_state_dict_post_hook(_read_buffers)

    @property
    def spec(self) -> LossSpec:
        """The loss that is computed; assign another one to change it, e.g. for deferred re-weighting."""
        self._follow_buffers()
        return self._spec

    @spec.setter
    def spec(self, spec: LossSpec) -> None:
        if not isinstance(spec, LossSpec) or spec.link != self._spec.link:
            contract = f"be a LossSpec with the {self._spec.link} link"
            contracts.reject("spec", contract, spec, "Use the module of the other link.")
        self._store(spec, self.gamma.device)

    def _store(self, spec: LossSpec, device: torch.device) -> None:
        self._spec = spec
        for name in _PARAMETERS:
            value = getattr(spec, name)
            wide = torch.float32 if device.type == "mps" else torch.float64
            self._buffers[name] = None if value is None else torch.tensor(value, dtype=wide, device=device)

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        """Move the buffers to another device; their dtype is their own, so that .half() rounds nothing."""
        super()._apply(fn, recurse)
        self._store(self._spec, self.gamma.device)
        return self

    def forward(self, logits: Tensor, targets: Tensor, sample_weight: Any = None, normalizer: Any = None) -> Tensor:
        """Return the loss, in nats; the arguments are those of the function of the same name."""
        if isinstance(logits, Tensor) and logits.is_cpu:
            self._follow_buffers()
            return loss(self._spec, logits, targets, sample_weight, normalizer, self.check_finite, self.inplace)
        first = (self._spec, logits, targets, sample_weight, normalizer, self.check_finite, self.inplace)
        return tensor_loss(*first, self._tensors(logits))  # type: ignore[no-any-return]

    def total_weight(self, targets: Tensor, sample_weight: Any = None) -> Tensor:
        """Return the sum of alpha_t * sample_weight over what is counted, by which "weighted_mean" divides.

        A scalar in float64. Added up over micro-batches, and over ranks by :func:`focalkit.nn.global_normalizer`, it is
        the normalizer with which their sums (``reduction="sum"``) make one weighted mean.
        """
        torch_parallel.check_without_logits(self.spec, targets, sample_weight)
        return torch_parallel.total_weight(self.spec, targets, sample_weight)

    def _follow_buffers(self) -> None:
        """A buffer written in place, by the user or by a broadcast over ranks, changes the spec."""
        if not torch.compiler.is_compiling() and self._written():
            _read_buffers(self)

    def _written(self) -> bool:
        """Whether a buffer was written in place after the spec; buffers of inference mode count no versions."""
        gamma, alpha = self._buffers["gamma"], self._buffers["alpha"]  # as attributes they take half a microsecond each
        assert gamma is not None
        return not gamma.is_inference() and bool(gamma._version or (alpha is not None and alpha._version))

    def _tensors(self, logits: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """Gamma and alpha as tensors of the logits' device, where the spec may not know them and reading would wait."""
        if isinstance(logits, Tensor) and self.gamma.device == logits.device:
            if torch.compiler.is_compiling() or self.gamma.is_inference() or self._written():
                return self.gamma, self.alpha
        return None, None

    def extra_repr(self) -> str:
        """Whatever differs from the default."""
        flags = [f"{name}=True" for name in ("check_finite", "inplace") if getattr(self, name)]
        return ", ".join([repr(self._spec)[len("LossSpec(") : -1], *flags]).strip(", ")


class SoftmaxFocalLoss(_Loss):
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
        gamma: PerClass = 2.0,
        alpha: PerClass | None = None,
        *,
        check_finite: bool = False,
        inplace: bool = False,
        **options: Unpack[SpecOptions],
    ) -> None:
        super().__init__(LossSpec("softmax", gamma, alpha, **options), check_finite, inplace)


class SigmoidFocalLoss(_Loss):
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
        gamma: PerClass = 2.0,
        alpha: PerClass | None = None,
        *,
        check_finite: bool = False,
        inplace: bool = False,
        **options: Unpack[SpecOptions],
    ) -> None:
        super().__init__(LossSpec("sigmoid", gamma, alpha, **options), check_finite, inplace)


class SoftmaxCrossEntropy(_Loss):
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
    >>> SoftmaxCrossEntropy()(torch.zeros(1, 4), torch.tensor([3]))
    tensor(1.3863)
    """

    def __init__(
        self,
        alpha: PerClass | None = None,
        *,
        check_finite: bool = False,
        inplace: bool = False,
        **options: Unpack[SpecOptions],
    ) -> None:
        super().__init__(LossSpec("softmax", 0.0, alpha, **options), check_finite, inplace)


class SigmoidCrossEntropy(_Loss):
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
    >>> SigmoidCrossEntropy()(torch.zeros(1), torch.tensor([1]))
    tensor(0.6931)
    """

    def __init__(
        self,
        alpha: PerClass | None = None,
        *,
        check_finite: bool = False,
        inplace: bool = False,
        **options: Unpack[SpecOptions],
    ) -> None:
        super().__init__(LossSpec("sigmoid", 0.0, alpha, **options), check_finite, inplace)


def _read_buffers(module: _Loss, _: Any = None) -> None:
    """Make the spec follow the buffers, e.g. after a state was loaded."""
    if module.gamma.is_meta:
        return
    values = {name: None if b is None else b.tolist() for name, b in module._buffers.items() if name in _PARAMETERS}
    fields = {name: getattr(module._spec, name) for name in module._spec.__dataclass_fields__}
    module._store(LossSpec(**{**fields, **values}), module.gamma.device)
