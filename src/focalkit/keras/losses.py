"""The four losses as ``keras.losses.Loss``: one loss per sample, which Keras weighs, masks and reduces.

On the torch and JAX backends focalkit's engines compute, loss and gradient in one pass of the compiled kernels; on
TensorFlow :mod:`focalkit.keras.composite`, which Keras differentiates. Half-precision policies compute in float32, as
class ids would be rounded otherwise.
"""

from __future__ import annotations

import sys
import warnings
from typing import Any, Literal, TypeAlias, TypedDict, Unpack

import focalkit
import keras
from focalkit._core import contracts, host
from focalkit._core.spec import FAMILY_FIELDS, FromData, LossSpec, PerClass
from focalkit.keras import composite
from keras import ops

__all__ = ["SigmoidCrossEntropy", "SigmoidFocalLoss", "SoftmaxCrossEntropy", "SoftmaxFocalLoss"]

#: Outputs in [0, 1] by chance: a batch of fewer logits is not judged.
_ENOUGH = 8
#: Backends whose arrays an engine of focalkit takes.
_ENGINES = ("torch", "jax")

KerasReduction: TypeAlias = Literal["sum", "sum_over_batch_size", "mean", "mean_with_sample_weight", "none"]


class LossOptions(TypedDict, total=False):
    """Keyword arguments that all four losses take."""

    label_smoothing: float
    from_logits: bool
    reduction: KerasReduction | None
    name: str | None
    dtype: Any
    logit_adjustment: PerClass | FromData | None
    scale: float
    poly: float
    star: float | None
    dft: float
    gce: float
    gamma_steps: Any


class SoftmaxOptions(LossOptions, total=False):
    """Keyword arguments of the losses over mutually exclusive classes."""

    margin: PerClass | FromData | None
    ignore_class: int | None
    axis: int


class SigmoidOptions(LossOptions, total=False):
    """Keyword arguments of the losses of independent binary logits."""

    gamma_negative: float | None
    clip: float
    quality: str | None


class _Loss(keras.losses.Loss):  # type: ignore[misc]
    """A loss over a :class:`focalkit.LossSpec`; its subclasses name the link, and the parameters that may be set."""

    link = "softmax"
    parameters: tuple[str, ...] = ("gamma", "alpha")
    known_as = ""

    def __init__(
        self,
        gamma: PerClass,
        alpha: PerClass | None,
        *,
        label_smoothing: float = 0.0,
        from_logits: bool = True,
        reduction: KerasReduction | None = "sum_over_batch_size",
        dtype: Any = None,
        **named: Any,
    ) -> None:
        if from_logits is not True:
            remedy = "Leave the activation of the last layer out, and from_logits too."
            contracts.reject("from_logits", "be True", from_logits, remedy)
        family = {field: named.pop(field) for field in FAMILY_FIELDS if field in named}
        known = ("name", *self.parameters, *LossOptions.__annotations__)
        contracts.known_names(tuple(named), tuple(dict.fromkeys(known)), {})
        super().__init__(reduction=reduction, dtype=_at_least_float32(dtype), **{"name": self.known_as, **named})
        self.spec = LossSpec(self.link, gamma, alpha, label_smoothing=label_smoothing, reduction="none", **family)
        self._judged = False

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return one loss per sample, in nats; y_pred are logits."""
        for name, array in (("y_true", y_true), ("y_pred", y_pred)):
            if not hasattr(array, "shape"):
                contracts.reject(name, "be one array", contracts.Words(type(array).__name__), "Pass a tensor.")
        self._judge(y_pred)
        return self._losses(y_true, y_pred)

    def _losses(self, y_true: Any, y_pred: Any) -> Any:
        raise NotImplementedError

    def _judge(self, y_pred: Any) -> None:
        """Refuse probabilities in the place of logits: once, and where the values can be read."""
        torch = sys.modules.get("torch") if keras.backend.backend() == "torch" else None
        if self._judged or (torch is not None and torch.compiler.is_compiling()):
            return
        try:
            z = host.array(y_pred)
        except Exception:  # whatever a backend raises for a tensor that has no values yet
            return
        if z.dtype.kind != "f" or z.size < _ENOUGH:
            return
        self._judged = True
        if not ((z >= 0) & (z <= 1)).all() or z.max() == z.min():
            return
        remedy = "Leave the activation of the last layer out: from_logits=True is the only way here."
        if self.link == "softmax" and abs(z.sum(self.axis) - 1).max() < 1e-3:
            contracts.reject("y_pred", "be logits", contracts.Words("probabilities, whose rows sum to 1"), remedy)
        if self.link == "sigmoid":
            message = f"all of y_pred lies in [0, 1]: probabilities are no logits. {remedy}"
            warnings.warn(message, UserWarning, stacklevel=4)

    def get_config(self) -> dict[str, Any]:
        """Arguments that make the same loss again."""
        config = {**super().get_config(), "dtype": self.dtype, "label_smoothing": self.spec.label_smoothing}
        for name, value in {**{name: getattr(self.spec, name) for name in self.parameters}, **self._family}.items():
            config[name] = list(value) if isinstance(value, tuple) else value
        return config

    def __repr__(self) -> str:
        """As it would be made."""
        names = (*self.parameters, "label_smoothing")
        given = {name: getattr(self.spec, name) for name in names if getattr(self.spec, name)} | self._family
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in given.items())})"

    @property
    def _family(self) -> dict[str, Any]:
        """What makes another loss of the focal loss: the fields of the spec that differ from their defaults."""
        values = {name: getattr(self.spec, name) for name in FAMILY_FIELDS}
        return {name: value for name, value in values.items() if value != getattr(LossSpec, name)}

    def _through_engine(self, y_true: Any, y_pred: Any, class_axis: int) -> Any:
        """One loss per target from the engine that serves the backend's arrays."""
        function = focalkit.softmax_focal_loss if self.link == "softmax" else focalkit.sigmoid_focal_loss
        spec, family = self.spec, self._family
        return function(
            y_pred,
            y_true,
            family.pop("gamma_steps", spec.gamma),
            spec.alpha,
            **family,
            label_smoothing=spec.label_smoothing,
            reduction="none",
            class_axis=class_axis,
        )


class _Softmax(_Loss):
    def __init__(
        self,
        gamma: PerClass,
        alpha: PerClass | None,
        *,
        ignore_class: int | None = None,
        axis: int = -1,
        margin: PerClass | FromData | None = None,
        **options: Unpack[LossOptions],
    ) -> None:
        super().__init__(gamma, alpha, margin=margin, **options)
        self.axis = contracts.integer("axis", axis)
        self.ignore_class = None if ignore_class is None else contracts.integer("ignore_class", ignore_class)

    def _losses(self, y_true: Any, y_pred: Any) -> Any:
        axis = self.axis + len(y_pred.shape) if self.axis < 0 else self.axis
        dense = tuple(y_true.shape) == tuple(y_pred.shape)
        kept = None
        if not dense:
            if len(y_true.shape) == len(y_pred.shape) and y_true.shape[axis] == 1:
                y_true = ops.squeeze(y_true, axis)
            y_true = ops.cast(y_true, "int64" if keras.backend.backend() == "torch" else "int32")
            if self.ignore_class is not None:
                kept = ops.not_equal(y_true, self.ignore_class)
                y_true = ops.where(kept, y_true, 0)
        if keras.backend.backend() in _ENGINES:
            losses = self._through_engine(y_true, y_pred, axis)
        else:
            losses = composite.softmax(self.spec, y_true, y_pred, axis, dense)
        if kept is not None:
            losses = ops.where(kept, losses, 0.0)
            keras.src.backend.set_keras_mask(losses, kept)
        return losses

    def get_config(self) -> dict[str, Any]:
        """Arguments that make the same loss again."""
        return {**super().get_config(), "ignore_class": self.ignore_class, "axis": self.axis}


class _Sigmoid(_Loss):
    link = "sigmoid"

    def _losses(self, y_true: Any, y_pred: Any) -> Any:
        if len(y_true.shape) == len(y_pred.shape) - 1 and y_pred.shape[-1] == 1:
            y_true = ops.expand_dims(y_true, -1)
        elif len(y_pred.shape) == len(y_true.shape) - 1 and y_true.shape[-1] == 1:
            y_true = ops.squeeze(y_true, -1)
        if keras.backend.backend() in _ENGINES:
            losses = self._through_engine(y_true, y_pred, max(len(y_pred.shape) - 1, 1))
        else:
            losses = composite.sigmoid(self.spec, y_true, y_pred)
        return losses if len(y_pred.shape) == 1 else ops.mean(losses, axis=-1)


def _at_least_float32(dtype: Any) -> Any:
    policy = keras.dtype_policies.get(keras.backend.floatx() if dtype is None else dtype)
    return "float32" if policy.compute_dtype in ("float16", "bfloat16") else policy.compute_dtype


@keras.saving.register_keras_serializable(package="focalkit")
class SoftmaxFocalLoss(_Softmax):
    r"""Focal loss over mutually exclusive classes, of logits.

    .. math:: \mathrm{FL}(p_t) = -\alpha_t (1 - p_t)^{\gamma_t} \log p_t, \quad p = \mathrm{softmax}(z)

    (Lin et al. 2017, arXiv 1708.02002, eq. 5.) ``y_true`` are class ids, shaped like ``y_pred`` without the class axis
    or with 1 there, or one-hot or soft targets shaped like ``y_pred``.

    Parameters
    ----------
    gamma : float or (n_classes,), in [0, inf)
        Focusing parameter of the true class; 0 is cross-entropy.
    alpha : None, float or (n_classes,), in [0, inf)
        Class weights; None weighs all alike.
    label_smoothing : float in [0, 1]
        The target becomes ``(1 - s) y + s / n_classes``.
    ignore_class : int, optional
        Class id of samples that have no loss and are not counted.
    axis : int
        Of the classes.
    logit_adjustment, margin, scale, poly, star, dft, gce, gamma_steps
        Neighbours of the focal loss, as the fields of :class:`focalkit.LossSpec`.
    from_logits : bool
        Always True.
    reduction, name, dtype
        As for ``keras.losses.Loss``; half precision computes in float32.

    Raises
    ------
    InputError
        Where an argument breaks its contract, or y_pred are probabilities.

    Examples
    --------
    >>> model.compile("adam", SoftmaxFocalLoss(gamma=2.0, alpha=[0.25, 1.0, 1.0]))  # doctest: +SKIP
    """

    known_as = "softmax_focal_loss"

    def __init__(self, gamma: PerClass = 2.0, alpha: PerClass | None = None, **options: Unpack[SoftmaxOptions]) -> None:
        super().__init__(gamma, alpha, **options)


@keras.saving.register_keras_serializable(package="focalkit")
class SigmoidFocalLoss(_Sigmoid):
    r"""Focal loss of independent binary logits, averaged over the last axis of a sample as Keras's binary losses are.

    .. math:: \mathrm{FL}(p_t) = -\alpha_t (1 - p_t)^{\gamma} \log p_t, \quad p = \sigma(z)

    (Lin et al. 2017, arXiv 1708.02002, eq. 5.) ``y_true`` are 0 and 1 or soft values in [0, 1], shaped like ``y_pred``.

    Parameters
    ----------
    gamma : float or (n_classes,), in [0, inf)
        Focusing parameter, for all or for each column; 0 is cross-entropy.
    alpha : None, float or (n_classes,), in [0, 1]
        Weight of positives; negatives get 1 - alpha. None weighs both with 1.
    label_smoothing : float in [0, 1]
        The target becomes ``(1 - s) y + s / 2``.
    logit_adjustment, scale, poly, star, dft, gce, gamma_negative, clip, quality, gamma_steps
        Neighbours of the focal loss, as the fields of :class:`focalkit.LossSpec`.
    from_logits : bool
        Always True.
    reduction, name, dtype
        As for ``keras.losses.Loss``; half precision computes in float32.

    Raises
    ------
    InputError
        Where an argument breaks its contract.

    Examples
    --------
    >>> model.compile("adam", SigmoidFocalLoss(gamma=2.0, alpha=0.25))  # doctest: +SKIP
    """

    known_as = "sigmoid_focal_loss"

    def __init__(self, gamma: PerClass = 2.0, alpha: PerClass | None = None, **options: Unpack[SigmoidOptions]) -> None:
        super().__init__(gamma, alpha, **options)


@keras.saving.register_keras_serializable(package="focalkit")
class SoftmaxCrossEntropy(_Softmax):
    r"""(Balanced) cross-entropy over mutually exclusive classes, of logits.

    .. math:: \mathrm{CE}(p_t) = -\alpha_t \log p_t, \quad p = \mathrm{softmax}(z)

    (Lin et al. 2017, arXiv 1708.02002, eq. 3.) The arguments are those of :class:`SoftmaxFocalLoss`.

    Raises
    ------
    InputError
        Where an argument breaks its contract, or y_pred are probabilities.

    Examples
    --------
    >>> model.compile("adam", SoftmaxCrossEntropy(alpha=[0.25, 1.0, 1.0]))  # doctest: +SKIP
    """

    known_as = "softmax_cross_entropy"
    parameters = ("alpha",)

    def __init__(self, alpha: PerClass | None = None, **options: Unpack[SoftmaxOptions]) -> None:
        super().__init__(0.0, alpha, **options)


@keras.saving.register_keras_serializable(package="focalkit")
class SigmoidCrossEntropy(_Sigmoid):
    r"""(Balanced) cross-entropy of independent binary logits, averaged over the last axis of a sample.

    .. math:: \mathrm{CE}(p_t) = -\alpha_t \log p_t, \quad p = \sigma(z)

    (Lin et al. 2017, arXiv 1708.02002, eq. 3.) The arguments are those of :class:`SigmoidFocalLoss`.

    Raises
    ------
    InputError
        Where an argument breaks its contract.

    Examples
    --------
    >>> model.compile("adam", SigmoidCrossEntropy(alpha=0.75))  # doctest: +SKIP
    """

    known_as = "sigmoid_cross_entropy"
    parameters = ("alpha",)

    def __init__(self, alpha: PerClass | None = None, **options: Unpack[SigmoidOptions]) -> None:
        super().__init__(0.0, alpha, **options)
