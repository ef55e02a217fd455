"""LossSpec: one frozen, self-validating description of a loss that every other part takes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache, wraps
from typing import TYPE_CHECKING, Any, TypeAlias, TypedDict

import numpy as np
from numpy.typing import NDArray

from focalkit._core import contracts
from focalkit._core.types import Reduction

if TYPE_CHECKING:
    from torch import Tensor

LINKS = ("softmax", "sigmoid")
REDUCTIONS = ("none", "sum", "mean", "weighted_mean")

_IGNORE = "Class ids are integers; NaN stands among the float targets of the sigmoid link alone."

PerClass: TypeAlias = "float | Sequence[float] | NDArray[Any] | Tensor"


class SpecOptions(TypedDict, total=False):
    """The fields of :class:`LossSpec` that every loss function takes as keyword arguments."""

    label_smoothing: float
    ignore_index: float
    reduction: Reduction
    keep_hardest: float | int | None
    negatives_per_positive: float | None
    class_axis: int


@dataclass(frozen=True, eq=False)
class LossSpec:
    r"""Cross-entropy, balanced cross-entropy, focal or alpha-balanced focal loss, for one link.

    .. math:: \mathrm{FL}(p_t) = -\alpha_t (1 - p_t)^\gamma \log p_t

    (Lin et al. 2017, arXiv 1708.02002, eq. 5.) ``gamma=0`` is cross-entropy.

    Parameters
    ----------
    link : {"softmax", "sigmoid"}
        Classes that exclude each other, or independent binary logits.
    gamma : float or sequence of float, in [0, inf)
        Focusing parameter; a vector gives each class (softmax) or column (sigmoid) its own.
    alpha : None, float or sequence of float
        None: no class weights. softmax: a weight in [0, inf) for all or for each class.
        sigmoid: a weight in [0, 1] for positives and 1 - alpha for negatives, for all or each column.
    label_smoothing : float in [0, 1]
        The target becomes ``(1 - s) y + s / n_classes`` (softmax) or ``(1 - s) y + s / 2`` (sigmoid).
    ignore_index : int, or NaN for the sigmoid link
        Targets equal to it have loss 0, gradient 0 and are not counted: integers, and for the sigmoid link
        floats too.
    reduction : {"mean", "sum", "none", "weighted_mean"}
        "mean" divides by the number of counted rows (softmax) or elements (sigmoid);
        "weighted_mean" by the sum of ``alpha_t * sample_weight`` over them.
    keep_hardest : None, float in (0, 1] or int
        Online hard example mining: only this fraction or number of the counted losses is kept,
        the largest ones (ties: the first); means are over what is kept.
    negatives_per_positive : None or float > 0
        Keep at most this many of the hardest negatives per kept positive. Negatives are class 0
        (softmax) or targets below 1/2 (sigmoid). A batch without positives keeps as many negatives
        as for one. Together with ``keep_hardest``, positives fill up to
        ``1 / (1 + negatives_per_positive)`` of the places, the hardest first.
    class_axis : int
        Axis of the logits that holds the classes.

    Raises
    ------
    InputError
        Where a value lies outside its domain.

    Examples
    --------
    >>> LossSpec(gamma=2.0, alpha=[0.25, 0.75])
    LossSpec(gamma=2.0, alpha=(0.25, 0.75))
    """

    link: str = "softmax"
    gamma: PerClass = 0.0
    alpha: PerClass | None = None
    label_smoothing: float = 0.0
    ignore_index: float = -100
    reduction: str = "mean"
    keep_hardest: float | int | None = None
    negatives_per_positive: float | None = None
    class_axis: int = 1

    def __post_init__(self) -> None:
        """Check each field against its domain and store it in its plain form."""

        def store(name: str, value: object) -> None:
            object.__setattr__(self, name, value)

        contracts.one_of("link", self.link, LINKS)
        contracts.one_of("reduction", self.reduction, REDUCTIONS)
        store(
            "gamma",
            contracts.number_or_vector(
                "gamma", self.gamma, contracts.GAMMA, "0 is cross-entropy, 2 the paper's choice."
            ),
        )
        if self.alpha is not None:
            domain = contracts.ALPHA_SIGMOID if self.link == "sigmoid" else contracts.ALPHA_SOFTMAX
            remedy = (
                "Negatives get 1 - alpha; scale the loss with sample_weight."
                if self.link == "sigmoid"
                else "class_weights() makes such vectors."
            )
            store("alpha", contracts.number_or_vector("alpha", self.alpha, domain, remedy))
        store(
            "label_smoothing",
            contracts.number("label_smoothing", self.label_smoothing, contracts.LABEL_SMOOTHING, "0 means none."),
        )
        if isinstance(self.ignore_index, float | np.floating) and np.isnan(self.ignore_index):
            if self.link == "softmax":
                contracts.reject("ignore_index", "be an integer for the softmax link", self.ignore_index, _IGNORE)
            store("ignore_index", math.nan)  # this one, so that equal specs are equal
        for name in ("ignore_index", "class_axis"):
            value = getattr(self, name)
            if value is math.nan:
                continue
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
                contracts.reject(name, "be an integer", value, "Pass a Python int.")
            bits = 63 if name == "ignore_index" else 6  # class ids have 64, and no array 64 axes
            if not -(1 << bits) <= value < 1 << bits:
                contracts.reject(name, f"lie in [-2**{bits}, 2**{bits})", value, "Leave it out for the default.")
            store(name, int(value))
        self._check_mining(store)

    def _check_mining(self, store: Any) -> None:
        keep = self.keep_hardest
        if isinstance(keep, (int, np.integer)) and not isinstance(keep, bool):
            if keep < 1:
                contracts.reject(
                    "keep_hardest", "be a count of at least 1 or a fraction in (0, 1]", keep, "None keeps everything."
                )
            store("keep_hardest", int(keep))
        elif keep is not None:
            store(
                "keep_hardest",
                contracts.number("keep_hardest", keep, contracts.FRACTION, "Pass a float fraction, or an int count."),
            )
        if self.negatives_per_positive is not None:
            ratio = contracts.number(
                "negatives_per_positive",
                self.negatives_per_positive,
                contracts.POSITIVE,
                "None sets no ratio; 3 is usual.",
            )
            store("negatives_per_positive", ratio)

    def __reduce__(self) -> tuple[Any, ...]:
        """As a call, so that every copy is checked and stored in the plain form."""
        return LossSpec, tuple(getattr(self, f.name) for f in fields(self))

    def _key(self) -> tuple[Any, ...]:
        """A count of 1 and the fraction 1.0 are equal numbers and different specs."""
        return (type(self.keep_hardest), *(getattr(self, field.name) for field in fields(self)))

    def __eq__(self, other: object) -> bool:
        """Whether both describe the same loss in the same fields."""
        return self._key() == other._key() if isinstance(other, LossSpec) else NotImplemented

    def __hash__(self) -> int:
        """Of all fields."""
        return hash(self._key())

    def __repr__(self) -> str:
        """Only what differs from plain softmax cross-entropy."""
        shown = [f"{f.name}={getattr(self, f.name)!r}" for f in fields(self) if getattr(self, f.name) != f.default]
        return f"LossSpec({', '.join(shown)})"


def cached_spec(link: str, gamma: PerClass, alpha: PerClass | None, options: Any) -> LossSpec:
    """The spec of a call; training loops ask for the same one again and again."""
    try:
        return _cached(link, gamma, alpha, **options)
    except TypeError:  # arrays have no hash
        return LossSpec(link, gamma, alpha, **options)


def _named(known_init: Any) -> Any:
    """``LossSpec.__init__``, which tells what peers' names of its arguments are called here."""
    names = tuple(f.name for f in fields(LossSpec))

    @wraps(known_init)
    def __init__(self: LossSpec, *values: Any, **named: Any) -> None:
        if named.keys() - names:
            contracts.known_names(tuple(named), names)
        known_init(self, *values, **named)

    return __init__


LossSpec.__init__ = _named(LossSpec.__init__)  # type: ignore[method-assign]

_cached: Callable[..., LossSpec] = lru_cache(maxsize=64, typed=True)(LossSpec)
