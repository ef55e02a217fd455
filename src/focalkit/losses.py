"""The doors: the type of the logits chooses the engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar, Unpack

import numpy as np

from focalkit._core import contracts, host
from focalkit._core.call import Call
from focalkit._core.spec import LossSpec, PerClass, SpecOptions, cached_spec
from focalkit._core.types import Array, ArrayT, Normalizer
from focalkit.engines import _inputs
from focalkit.engines.cpu import fast
from focalkit.engines.cpu.evaluate import evaluate

Function = TypeVar("Function", bound=Callable[..., Any])

_COMMON = """
    sample_weight : array (n,) or one per target, in [0, inf), optional
        Multiplies loss, gradient and Hessian. A mask counts True as 1 and False as 0.
    normalizer : float > 0, a tensor of one, or "global", optional
        Divide the sum by this number instead of the mean's own count (RetinaNet's positives, the
        token count of a whole accumulated batch); 0 is right where no target is counted.
        PyTorch only, "global": the mean over all ranks of torch.distributed, so that gradients
        averaged over them (DDP, FSDP) are the whole batch's.
    check_finite : bool
        Refuse NaN and +inf logits. Otherwise they propagate, as NumPy's own functions do. A logit
        of -inf is a class that cannot be.
    inplace : bool
        PyTorch and JAX: the gradient may be written over the logits; no further memory of their size is
        used. In PyTorch the logits are lost; XLA copies them first where they are needed again.
    **options
        The remaining fields of :class:`LossSpec`: ``reduction``, ``ignore_index``,
        ``label_smoothing``, ``keep_hardest``, ``negatives_per_positive``, ``class_axis``.

    Returns
    -------
    array or scalar
        The loss in nats, >= 0, in the library and dtype of the logits: a scalar, or for
        ``reduction="none"`` one value per target. A mean over nothing is 0.

    Raises
    ------
    InputError
        Where an argument breaks its contract.

    Notes
    -----
    Computed as ``q**gamma * softplus(-m)`` from the log-odds m of the true class, so no digits are
    lost on easy samples: the relative error is a few units in the last place while the result is a
    normal number of its dtype.
"""


def _documented(function: Function) -> Function:
    if function.__doc__:
        function.__doc__ = function.__doc__.replace("{common}", _COMMON.strip())
    return function


@_documented
def softmax_focal_loss(
    logits: ArrayT,
    targets: Array,
    gamma: PerClass = 2.0,
    alpha: PerClass | None = None,
    *,
    sample_weight: Array | None = None,
    normalizer: Normalizer = None,
    check_finite: bool = False,
    inplace: bool = False,
    **options: Unpack[SpecOptions],
) -> ArrayT:
    r"""Focal loss over classes that exclude each other.

    .. math:: \mathrm{FL}(p_t) = -\alpha_t (1 - p_t)^{\gamma_t} \log p_t, \quad p = \mathrm{softmax}(z)

    (Lin et al. 2017, arXiv 1708.02002, eq. 5, with a softmax.)

    Parameters
    ----------
    logits : array (n, n_classes) or (n, n_classes, d1, ...)
        Raw model outputs.
    targets : integers shaped like the logits without the class axis, or probabilities shaped like them
        With probabilities y the loss is the expectation over them, sum_k y_k alpha_k loss_k.
    gamma : float or (n_classes,), in [0, inf)
        Focusing parameter, of the true class where it is a vector; 0 is cross-entropy. Default: the paper's 2; of a
        :class:`LossSpec` it is 0.
    alpha : None, float or (n_classes,), in [0, inf)
        Class weights; None weighs all alike.
    {common}

    Examples
    --------
    >>> import numpy as np
    >>> logits = np.array([[2.0, 0.0, -1.0], [0.5, 0.2, 0.1]])
    >>> float(softmax_focal_loss(logits, np.array([0, 2]), gamma=2.0).round(6))
    0.335711
    """
    return _loss("softmax", gamma, alpha, options, logits, targets, sample_weight, normalizer, check_finite, inplace)  # type: ignore[no-any-return]


@_documented
def sigmoid_focal_loss(
    logits: ArrayT,
    targets: Array,
    gamma: PerClass = 2.0,
    alpha: PerClass | None = None,
    *,
    sample_weight: Array | None = None,
    normalizer: Normalizer = None,
    check_finite: bool = False,
    inplace: bool = False,
    **options: Unpack[SpecOptions],
) -> ArrayT:
    r"""Focal loss of independent binary logits.

    .. math:: \mathrm{FL}(p_t) = -\alpha_t (1 - p_t)^\gamma \log p_t, \quad p = \sigma(z)

    (Lin et al. 2017, arXiv 1708.02002, eq. 5.)

    Parameters
    ----------
    logits : array (n,), (n, n_classes) or (n, n_classes, d1, ...)
        Raw model outputs.
    targets : 0 and 1, or soft values in [0, 1], or ignore_index, shaped like the logits
        A soft value y gives the expectation y loss(+) + (1 - y) loss(-); floats that are ignore_index
        exactly are left out as integers are.
    gamma : float or (n_classes,), in [0, inf)
        Focusing parameter, for all or for each column; 0 is cross-entropy. Default: the paper's 2; of a
        :class:`LossSpec` it is 0.
    alpha : None, float or (n_classes,), in [0, 1]
        Weight of positives; negatives get 1 - alpha. None weighs both with 1.
    {common}

    Examples
    --------
    >>> import numpy as np
    >>> sigmoid_focal_loss(np.array([3.0, -1.0]), np.array([1, 1]), reduction="none").round(6)
    array([1.09000e-04, 7.01868e-01])
    """
    return _loss("sigmoid", gamma, alpha, options, logits, targets, sample_weight, normalizer, check_finite, inplace)  # type: ignore[no-any-return]


@_documented
def softmax_cross_entropy(
    logits: ArrayT,
    targets: Array,
    alpha: PerClass | None = None,
    *,
    sample_weight: Array | None = None,
    normalizer: Normalizer = None,
    check_finite: bool = False,
    inplace: bool = False,
    **options: Unpack[SpecOptions],
) -> ArrayT:
    r"""(Balanced) cross-entropy over classes that exclude each other: the focal loss at gamma = 0.

    .. math:: \mathrm{CE}(p_t) = -\alpha_t \log p_t

    (Lin et al. 2017, arXiv 1708.02002, eq. 3.)

    Parameters
    ----------
    logits : array (n, n_classes) or (n, n_classes, d1, ...)
        Raw model outputs.
    targets : integers shaped like the logits without the class axis, or probabilities shaped like them
        With probabilities y the loss is the expectation over them, sum_k y_k alpha_k loss_k.
    alpha : None, float or (n_classes,), in [0, inf)
        Class weights; None weighs all alike.
    {common}

    Examples
    --------
    >>> import numpy as np
    >>> float(softmax_cross_entropy(np.zeros((1, 4)), np.array([3])).round(6))
    1.386294
    """
    return _loss("softmax", 0.0, alpha, options, logits, targets, sample_weight, normalizer, check_finite, inplace)  # type: ignore[no-any-return]


@_documented
def sigmoid_cross_entropy(
    logits: ArrayT,
    targets: Array,
    alpha: PerClass | None = None,
    *,
    sample_weight: Array | None = None,
    normalizer: Normalizer = None,
    check_finite: bool = False,
    inplace: bool = False,
    **options: Unpack[SpecOptions],
) -> ArrayT:
    r"""(Balanced) cross-entropy of independent binary logits: the focal loss at gamma = 0.

    .. math:: \mathrm{CE}(p_t) = -\alpha_t \log p_t

    (Lin et al. 2017, arXiv 1708.02002, eq. 3.)

    Parameters
    ----------
    logits : array (n,), (n, n_classes) or (n, n_classes, d1, ...)
        Raw model outputs.
    targets : 0 and 1, or soft values in [0, 1], or ignore_index, shaped like the logits
        A soft value y gives the expectation y loss(+) + (1 - y) loss(-); floats that are ignore_index
        exactly are left out as integers are.
    alpha : None, float or (n_classes,), in [0, 1]
        Weight of positives; negatives get 1 - alpha. None weighs both with 1.
    {common}

    Examples
    --------
    >>> import numpy as np
    >>> float(sigmoid_cross_entropy(np.array([0.0]), np.array([1])).round(6))
    0.693147
    """
    return _loss("sigmoid", 0.0, alpha, options, logits, targets, sample_weight, normalizer, check_finite, inplace)  # type: ignore[no-any-return]


class LossGradHess(NamedTuple, Generic[ArrayT]):
    """Loss, its gradient and the diagonal of its Hessian (None where it was not asked for), both in the logits."""

    loss: ArrayT
    grad: ArrayT
    hess: Any


def loss_grad_hess(
    spec: LossSpec,
    logits: ArrayT,
    targets: Array,
    *,
    sample_weight: Array | None = None,
    normalizer: Normalizer = None,
    hess: bool = True,
    out: ArrayT | None = None,
    check_finite: bool = False,
) -> LossGradHess[ArrayT]:
    r"""Loss of ``spec`` with gradient and diagonal Hessian in the logits, in closed form.

    .. math::
        \partial_t = d_1, \quad \partial_j = -d_1 r_j, \quad
        \partial_t^2 = d_2, \quad \partial_j^2 = d_2 r_j^2 - d_1 r_j (1 - r_j)

    with d1, d2 the derivatives of the loss in the log-odds of the true class t and r the softmax
    over the other classes (Lin et al. 2017, appendix B, for the sigmoid).

    Parameters
    ----------
    spec : LossSpec
        The loss. With ``reduction="none"`` the derivatives are those of the sum.
    logits, targets, sample_weight, normalizer, check_finite
        As for :func:`softmax_focal_loss` and :func:`sigmoid_focal_loss`.
    hess : bool
        Whether the Hessian is computed; its place holds None otherwise.
    out : array like the logits, optional
        Where the gradient goes; may be the logits themselves.

    Returns
    -------
    LossGradHess
        ``loss`` in nats; ``grad`` and ``hess`` shaped like the logits, in their dtype.

    Raises
    ------
    InputError
        Where an argument breaks its contract.

    Notes
    -----
    The exact Hessian is negative in places (p_t below 0.0585) for gamma > 0: second-order methods
    need a safe form of it.

    Examples
    --------
    >>> import numpy as np
    >>> loss, grad, hess = loss_grad_hess(LossSpec(gamma=0.0), np.zeros((1, 2)), np.array([1]))
    >>> grad
    array([[ 0.5, -0.5]])
    """
    if not isinstance(spec, LossSpec):
        contracts.reject("spec", "be a LossSpec", spec, "E.g. LossSpec(gamma=2.0).")
    if hess is not True and hess is not False:
        hess = contracts.flag("hess", hess)
    if check_finite is not True and check_finite is not False:
        check_finite = contracts.flag("check_finite", check_finite)
    if type(logits) is not np.ndarray:
        if host.is_tensor(logits):
            tensors = (_torch or _load_torch()).loss_grad_hess(
                spec, logits, targets, sample_weight, normalizer, hess=hess, out=out, check_finite=check_finite
            )
            return LossGradHess(*tensors)
        if host.is_jax(logits):
            return LossGradHess(
                *(_jax or _load_jax()).loss_grad_hess(
                    spec, logits, targets, sample_weight, normalizer, hess=hess, out=out, check_finite=check_finite
                )
            )
    if not check_finite:
        result = fast.attempt(spec, logits, targets, sample_weight, normalizer, 2 if hess else 1, out)
        if result is not None:
            return LossGradHess(*result)
    call = _inputs.read(spec, _host(logits), targets, sample_weight, normalizer, check_finite=check_finite)
    if out is not None:
        _check_out(out, call)
    return LossGradHess(*evaluate(call, 2 if hess else 1, out))


def _loss(
    link: str,
    gamma: Any,
    alpha: Any,
    options: Any,
    logits: Any,
    targets: Any,
    sample_weight: Any,
    normalizer: Any,
    check_finite: bool,
    inplace: bool,
) -> Any:
    if check_finite is not True and check_finite is not False:
        check_finite = contracts.flag("check_finite", check_finite)
    if inplace is not True and inplace is not False:
        inplace = contracts.flag("inplace", inplace)
    if type(logits) is not np.ndarray:  # the usual case pays for no other library
        if host.is_tensor(logits):
            engine = _torch or _load_torch()
            rest = (logits, targets, sample_weight, normalizer, check_finite, inplace)
            return engine.loss_of(link, gamma, alpha, options, *rest)
        if host.is_jax(logits):
            engine = _jax or _load_jax()
            rest = (logits, targets, sample_weight, normalizer, check_finite, inplace)
            return engine.dispatch(link, gamma, alpha, options, *rest)
    if inplace:
        remedy = "For NumPy arrays use loss_grad_hess(..., out=logits)."
        contracts.reject("inplace", "be False unless the logits are of PyTorch or JAX", inplace, remedy)
    spec = cached_spec(link, gamma, alpha, options)
    if not check_finite:
        result = fast.attempt(spec, logits, targets, sample_weight, normalizer, 0, None)
        if result is not None:
            return result[0]
    call = _inputs.read(spec, _host(logits), targets, sample_weight, normalizer, check_finite=check_finite)
    return evaluate(call, 0).loss


def tensor_loss(spec: LossSpec, logits: Any, *arguments: Any) -> Any:
    """Compute the loss of a spec made beforehand; what ``focalkit.nn`` calls."""
    if not host.is_tensor(logits):
        remedy = "Use torch.as_tensor(logits), or the functions of focalkit for NumPy arrays."
        contracts.reject("logits", "be a tensor of PyTorch", contracts.Words(type(logits).__name__), remedy)
    return (_torch or _load_torch()).loss(spec, logits, *arguments)


_torch: Any = None
_jax: Any = None


def _load_torch() -> Any:
    """Load the engine of tensors, on first use."""
    global _torch
    from focalkit.engines.torch import dispatch as torch

    _torch = torch
    return torch


def _load_jax() -> Any:
    """Load the engine of JAX's arrays, on first use."""
    global _jax
    from focalkit.engines.jax import evaluate

    _jax = evaluate
    return evaluate


def _host(logits: Any) -> Any:
    """Refuse arrays of libraries that no engine serves, rather than convert them behind the user's back."""
    library = type(logits).__module__.partition(".")[0]
    if library in ("cupy", "tensorflow"):
        contract, remedy = "be an array of NumPy, PyTorch or JAX", "Convert it with numpy.asarray(logits) first."
        contracts.reject("logits", contract, contracts.Words(f"a {library} array"), remedy)
    return logits


def _check_out(out: Any, call: Call) -> None:
    logits = call.logits
    if not isinstance(out, np.ndarray) or out.shape != logits.shape or out.dtype != logits.dtype:
        got = f"{out.dtype} of shape {out.shape}" if isinstance(out, np.ndarray) else type(out).__name__
        contract = f"be a {logits.dtype} array of shape {logits.shape}"
        contracts.reject("out", contract, contracts.Words(got), "Use numpy.empty_like(logits).")
    if not out.flags.writeable:
        contracts.reject("out", "be writeable", contracts.Words("a read-only array"), "Pass numpy.empty_like(logits).")
    where = out.__array_interface__["data"], out.strides
    is_logits = where == (logits.__array_interface__["data"], logits.strides)
    others = [] if is_logits else [("the logits", logits)]
    others += [("the targets", call.targets)]
    others += [] if call.sample_weight is None else [("the sample weights", call.sample_weight)]
    for name, other in others:
        if np.shares_memory(out, other):
            contracts.reject(
                "out",
                "be the logits themselves or memory apart",
                contracts.Words(f"an array that overlaps {name}"),
                "Copy one of them.",
            )
