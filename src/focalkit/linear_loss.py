"""The door to a linear layer and its softmax loss in one. PyTorch is imported by its first call."""

from __future__ import annotations

from typing import Any, Unpack

from focalkit._core import contracts, host
from focalkit._core.call import numbers_and_arrays
from focalkit._core.spec import LossSpec, PerClass, SpecOptions
from focalkit._core.types import Array, Normalizer, TensorT


def linear_softmax_focal_loss(
    hidden: TensorT,
    weight: TensorT,
    targets: Array,
    bias: TensorT | None = None,
    *,
    gamma: PerClass = 2.0,
    alpha: PerClass | None = None,
    sample_weight: Array | None = None,
    normalizer: Normalizer = None,
    logit_softcap: float | None = None,
    memory_budget: int | None = None,
    **options: Unpack[SpecOptions],
) -> TensorT:
    r"""Focal loss of a model's last linear layer, which never holds all the logits (PyTorch and JAX).

    .. math:: \mathrm{FL}(p_t) = -\alpha_t (1 - p_t)^{\gamma_t} \log p_t, \quad p = \mathrm{softmax}(W x + b)

    (Lin et al. 2017, arXiv 1708.02002, eq. 5, with a softmax.) Equal to ``softmax_focal_loss`` of
    ``torch.nn.functional.linear(hidden, weight, bias)``; ``gamma=0`` is cross-entropy.

    Parameters
    ----------
    hidden : tensor (n, d) or (n, length, d)
        What the layer is given: any number of axes in front of the last.
    weight : tensor (n_classes, d)
        As ``torch.nn.Linear`` holds it.
    targets : integers shaped like hidden without its last axis, or probabilities (..., n_classes)
        Class ids, e.g. the next tokens.
    bias : tensor (n_classes,), optional
        Of the layer.
    gamma : float or (n_classes,), in [0, inf)
        Focusing parameter, of the true class where it is a vector; 0 is cross-entropy.
    alpha : None, float or (n_classes,), in [0, inf)
        Class weights; None weighs all alike.
    sample_weight : tensor (n,) or one per target, in [0, inf), optional
        Multiplies the losses.
    normalizer : float > 0, a tensor of one, or "global" (the mean over all ranks), optional
        Divide the sum by this number instead of the mean's own count, e.g. by the token count of a whole
        accumulated batch.
    logit_softcap : float > 0, optional
        Cap the logits z to c tanh(z / c) with this c, as Gemma 2 does.
    memory_budget : int, optional
        Bytes for the logits that exist at a time; None: 64 MiB in host memory (JAX: 32 MiB), 512 MiB on a device.
    **options
        Of :class:`LossSpec`: ``reduction``, ``ignore_index``, ``label_smoothing``.

    Returns
    -------
    tensor
        The loss in nats, >= 0, in the dtype of the hidden states (float32 under autocast): a scalar, or for
        ``reduction="none"`` one value per target. A mean over nothing is 0.

    Raises
    ------
    InputError
        Where an argument breaks its contract; ``keep_hardest`` and ``negatives_per_positive``, which need all losses
        before the first gradient, are refused, and so are gradients for anything but hidden, weight and bias.

    Notes
    -----
    Rows are taken chunk by chunk: logits, loss with its gradient over them, and the three products of a linear
    layer, each once. Beside the gradients that are returned a call holds ``memory_budget``, what the products
    themselves need, and for bfloat16 weights a float32 sum of their gradient. Ignored rows are left out (in host
    memory). Only the gradients that are required are computed, and none under ``torch.no_grad``.

    With ``reduction="none"`` backward makes the logits again, chunk by chunk: one more product. A second derivative,
    forward mode and ``torch.func`` are right, but hold all logits.

    The results are the same bits in every run, and depend in their last digits on ``memory_budget``. Half types are
    multiplied as such where the processor is good at it (AMX, or AVX512-BF16 of AMD) and on devices,
    and in float32 otherwise; their sums are in float32.

    Examples
    --------
    >>> import torch
    >>> hidden, weight = torch.randn(6, 8, requires_grad=True), torch.zeros(50, 8, requires_grad=True)
    >>> loss = linear_softmax_focal_loss(hidden, weight, torch.arange(6), gamma=0.0)
    >>> round(loss.item(), 4)
    3.912
    >>> loss.backward()
    >>> weight.grad.shape
    torch.Size([50, 8])
    """
    for name, value in (("gamma", gamma), ("alpha", alpha)):
        if not isinstance(value, (int, float)) and getattr(value, "requires_grad", False):
            remedy = "Detach it, or use softmax_focal_loss on the logits."
            contracts.reject(name, "need no gradient here", contracts.Words("a tensor that requires one"), remedy)
    arguments = (hidden, weight, targets, bias, sample_weight, normalizer, logit_softcap, memory_budget)
    if not host.is_jax(hidden):
        return linear_loss(LossSpec("softmax", gamma, alpha, **options), *arguments)  # type: ignore[no-any-return]
    spec, given = numbers_and_arrays("softmax", gamma, alpha, options, host.is_jax)
    return linear_loss(spec, *arguments, gamma=given.gamma, alpha=given.alpha)  # type: ignore[no-any-return]


def linear_loss(spec: LossSpec, hidden: Any, *arguments: Any, **parameters: Any) -> Any:
    """Compute the loss of a spec made beforehand; what ``focalkit.nn`` calls.

    ``arguments`` are those of the function in its order up to ``memory_budget``; ``parameters`` what one engine takes
    beside them.
    """
    if host.is_jax(hidden):
        from focalkit.engines.jax import linear as jax_linear

        _check_options(spec, *arguments[-2:])
        return jax_linear.loss(spec, hidden, *arguments, **parameters)
    if not host.is_tensor(hidden):
        remedy = "Use torch.as_tensor(hidden), or softmax_focal_loss on the logits for NumPy arrays."
        contracts.reject(
            "hidden", "be a tensor of PyTorch or an array of JAX", contracts.Words(type(hidden).__name__), remedy
        )
    from focalkit.engines.torch import linear as torch_linear

    _check_options(spec, *arguments[-2:])
    return torch_linear.loss(spec, hidden, *arguments, **parameters)


def _check_options(spec: LossSpec, softcap: float | None, budget: int | None) -> None:
    for name in ("keep_hardest", "negatives_per_positive"):
        if getattr(spec, name) is not None:
            remedy = "The hardest of all rows are known after the last chunk: use softmax_focal_loss on the logits."
            contracts.reject(name, "be None here", getattr(spec, name), remedy)
    if spec.class_axis not in (1, -1):
        contracts.reject("class_axis", "be left out", spec.class_axis, "The layer puts the classes on the last axis.")
    if softcap is not None:
        contracts.number("logit_softcap", softcap, contracts.POSITIVE, "None caps nothing.")
    if budget is not None and (isinstance(budget, bool) or not isinstance(budget, int) or not 0 < budget < 2**63):
        contracts.reject("memory_budget", "be a positive number of bytes", budget, "E.g. 64 * 2**20; None chooses.")
