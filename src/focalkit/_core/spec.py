"""LossSpec: one frozen, self-validating description of a loss that every other part takes."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache, wraps
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeAlias, TypedDict

import numpy as np
from numpy.typing import NDArray

from focalkit._core import contracts
from focalkit._core.forms import Form
from focalkit._core.types import Reduction

if TYPE_CHECKING:
    from torch import Tensor

LINKS = ("softmax", "sigmoid")
REDUCTIONS = ("none", "sum", "mean", "weighted_mean")

_IGNORE = "Class ids are integers; NaN stands among the float targets of the sigmoid link alone."

PerClass: TypeAlias = "float | Sequence[float] | NDArray[Any] | Tensor"


#: A per-class parameter made from the data: ``{"prior": …, "tau": …}`` or ``{"counts": …, "largest": …}``.
FromData: TypeAlias = "Mapping[str, Any]"
#: The fields of a spec that may have one value per class, in the order in which engines hand them on.
CLASS_PARAMETERS = ("gamma", "alpha", "logit_adjustment", "margin")
#: The fields that choose another form than the focal loss.
FORM_FIELDS = ("poly", "star", "dft", "gce", "gamma_negative", "clip", "quality", "gamma_steps")
#: A smaller number of a form is as good as none, and no number for many processors.
_LEAST_NORMAL = sys.float_info.min
#: Below these numbers of a form kernels have no digits for what they multiply.
_LEAST_OF_KERNELS = {"gce": 2.0**-52, "clip": 1e-150}
#: All fields that make another loss of the focal loss, or other log-odds.
FAMILY_FIELDS = ("logit_adjustment", "margin", "scale", *FORM_FIELDS)


class SpecOptions(TypedDict, total=False):
    """The fields of :class:`LossSpec` that every loss function takes as keyword arguments."""

    logit_adjustment: PerClass | FromData | None
    margin: PerClass | FromData | None
    scale: float
    poly: float
    star: float | None
    dft: float
    gce: float
    gamma_negative: float | None
    clip: float
    quality: str | None
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
    gamma : float or sequence of float, in [0, inf), or a table
        Focusing parameter; a vector gives each class (softmax) or column (sigmoid) its own. Default: 0, cross-entropy,
        where :func:`softmax_focal_loss` and :func:`sigmoid_focal_loss` take the paper's 2. A table of rows
        ``(p, gamma)`` has it step with the probability of the true class, which is not differentiated:
        ``[(0.2, 5), (1, 3)]`` is FLSD-53. It becomes ``gamma_steps``.
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
    logit_adjustment : None, sequence of float (sigmoid: or float), or a mapping
        Added to the logits before the loss: ``scale * z + a``. ``{"prior": pi, "tau": 1.0}`` is tau log pi_k (softmax;
        counts do as well) or tau logit pi_k (sigmoid): logit adjustment, with tau = 1 the balanced softmax. Decisions
        are then taken from the logits themselves.
    margin : None, float, sequence of float >= 0, or a mapping
        softmax: subtracted from the true class's logit, ``scale * (z_t - margin_t)``.
        ``{"counts": n, "largest": 0.5}`` is LDAM's C n_k^(-1/4), whose largest is 0.5.
    scale : float in [1e-100, 1e100]
        Multiplies the logits (and margins) before the loss; LDAM's s.
    poly : float >= -1
        Poly-1: ``poly * (1 - p_t)^(gamma + 1)`` is added to the loss. At gamma = 0 symmetric cross-entropy is
        ``poly = 4 * beta / alpha``.
    star : None or float
        FL*: ``-log sigmoid(gamma * m + star) / gamma`` of the log-odds m of the true class; convex.
    dft : float in [0, 1]
        Dynamic fine-tuning: cross-entropy times ``(1 - dft) + dft * p_t``, a weight that is not differentiated.
    gce : float in [0, 1]
        Generalised cross-entropy ``(1 - p_t^gce) / gce``, for labels that may be wrong; 0 is cross-entropy.
    gamma_negative : None or float >= 0
        sigmoid, the asymmetric loss: gamma of negatives, where ``gamma`` is that of positives.
    clip : float in [0, 1)
        sigmoid, the asymmetric loss: taken from the probability of negatives, which have no loss below it.
    quality : None, "quality" or "varifocal"
        sigmoid, for targets between 0 and 1: ``|y - p|^gamma`` times cross-entropy, or ``y`` times cross-entropy where
        y > 0 and the focal loss where y = 0.
    gamma_steps : None or rows (p, gamma)
        The table that was given as ``gamma``.

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
    logit_adjustment: PerClass | FromData | None = None
    margin: PerClass | FromData | None = None
    scale: float = 1.0
    poly: float = 0.0
    star: float | None = None
    dft: float = 0.0
    gce: float = 0.0
    gamma_negative: float | None = None
    clip: float = 0.0
    quality: str | None = None
    gamma_steps: tuple[tuple[float, float], ...] | None = None

    #: Whether kernels compute it; the composite implementation computes all.
    has_kernels = True

    def __post_init__(self) -> None:
        """Check each field against its domain and store it in its plain form."""

        def store(name: str, value: object) -> None:
            object.__setattr__(self, name, value)

        contracts.one_of("link", self.link, LINKS)
        contracts.one_of("reduction", self.reduction, REDUCTIONS)
        if _is_table(self.gamma):
            store("gamma_steps", self.gamma)
            store("gamma", 0.0)
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
        if isinstance(self.ignore_index, (float, np.floating)) and np.isnan(self.ignore_index):
            if self.link == "softmax":
                contracts.reject("ignore_index", "be an integer for the softmax link", self.ignore_index, _IGNORE)
            store("ignore_index", math.nan)  # this one, so that equal specs are equal
        for name in ("ignore_index", "class_axis"):
            value = getattr(self, name)
            if value is math.nan:
                continue
            value = contracts.integer(name, value)
            bits = 63 if name == "ignore_index" else 6  # class ids have 64, and no array 64 axes
            if not -(1 << bits) <= value < 1 << bits:
                contracts.reject(name, f"lie in [-2**{bits}, 2**{bits})", value, "Leave it out for the default.")
            store(name, value)
        self._check_mining(store)
        self._check_shifts(store)
        self._check_forms(store)

    @property
    def form(self) -> Form | None:
        """The function of the log-odds, or of the logit and a soft target; None for the focal loss."""
        if self.gamma_negative is not None or self.clip:
            return Form("asymmetric", self.clip)
        if self.quality is not None:
            return Form(self.quality)
        if self.gamma_steps is not None:
            return Form("steps", 0.0, self.gamma_steps)
        if self.star is not None:
            return Form("star", self.star)
        for name in ("poly", "dft", "gce"):
            if abs(value := getattr(self, name)) >= _LEAST_NORMAL:
                return Form(name, value)
        return None

    @property
    def form_fields(self) -> dict[str, Any]:
        """The fields that make the form, of those that differ from the default."""
        return {f.name: getattr(self, f.name) for f in _FORM_FIELDS if getattr(self, f.name) != f.default}

    @property
    def negatives(self) -> tuple[Any, Form | None]:
        """Gamma and form of the negatives of a sigmoid."""
        if self.form is None or self.form.name != "asymmetric":
            return self.gamma, self.form
        gamma = self.gamma if self.gamma_negative is None else self.gamma_negative
        return gamma, Form("clipped", self.clip) if self.clip else None

    @property
    def positives(self) -> tuple[Any, Form | None]:
        """Gamma and form of the true class of a softmax and of the positives of a sigmoid."""
        return self.gamma, None if self.form is not None and self.form.name == "asymmetric" else self.form

    @property
    def sides(self) -> tuple[tuple[Any, Form | None], tuple[Any, Form | None]]:
        """Gamma and form, functions of the log-odds, of a sigmoid's targets 0 and of its targets 1."""
        if self.quality is None:
            return self.negatives, self.positives
        return (self.gamma, None), (0.0 if self.quality == "varifocal" else self.gamma, None)

    def class_parameters(self) -> dict[str, float | tuple[float, ...]]:
        """The parameters that may differ from class to class, of those that are set: a number or one per class."""
        given = {name: getattr(self, name) for name in CLASS_PARAMETERS}
        return {name: value for name, value in given.items() if value is not None}

    @property
    def shifts(self) -> bool:
        """Whether the loss is one of other logits than those that are given: scaled, adjusted or less a margin."""
        return self.scale != 1 or self.logit_adjustment is not None or self.margin is not None

    def without(self, *names: str) -> LossSpec:
        """The same with neutral values in place of gamma and alpha, for who takes these from tensors."""
        neutral: dict[str, Any] = {"gamma": 0.0 if self.star is None else 1.0, "alpha": None}
        return replace(self, **{name: neutral[name] for name in names}) if names else self

    def shift_vectors(self) -> tuple[tuple[float, ...] | None, tuple[float, ...] | None]:
        """``logit_adjustment`` and ``scale * margin`` as kernels take them, None where there is none.

        A softmax does not change with a constant added to all logits: its adjustments are moved to have 0 as the
        largest, so that exponentials of logits below the largest stay within 1.
        """
        adjustment, margin = (
            value if value is None or isinstance(value, tuple) else (value,)
            for value in (self.logit_adjustment, self.margin)
        )
        if adjustment is not None and self.link == "softmax":
            largest = max(adjustment)
            adjustment = tuple(a - largest for a in adjustment)
        return adjustment, None if margin is None else tuple(self.scale * m for m in margin)

    def _check_forms(self, store: Any) -> None:
        """The forms' own parameters; of several forms that exclude each other none is silently left out."""
        remedy = "The default is the focal loss."
        for name in ("poly", "dft", "gce", "clip"):
            store(name, contracts.number(name, getattr(self, name), contracts.FORMS[name], remedy))
        for name in ("star", "gamma_negative"):
            if getattr(self, name) is not None:
                store(name, contracts.number(name, getattr(self, name), contracts.FORMS[name], remedy))
        if self.quality is not None:
            contracts.one_of("quality", self.quality, ("quality", "varifocal"))
        if self.gamma_steps is not None:
            store("gamma_steps", _steps(self.gamma_steps))
        tiny = any(0 < getattr(self, name) < least for name, least in _LEAST_OF_KERNELS.items())
        if tiny or self.gamma_steps is not None:
            store("has_kernels", False)
        given = self.form_fields
        if not given:
            return
        kinds = {"asymmetric" if name in ("gamma_negative", "clip") else name for name in given}
        if len(kinds) > 1:
            remedy = "Each is another function of the same log-odds: keep one of them."
            contracts.reject("the form of the loss", "be one", contracts.Words(", ".join(given)), remedy)
        name = next(iter(given))
        if self.link == "softmax" and name in ("gamma_negative", "clip", "quality"):
            remedy = "A softmax has no negatives, and its soft targets are probabilities of classes: use the sigmoid."
            contracts.reject(name, "be left out for the softmax link", given[name], remedy)
        gammas: Any = self.gamma if isinstance(self.gamma, tuple) else (self.gamma,)
        if name in ("dft", "gce", "gamma_steps") and any(gammas):
            contracts.reject("gamma", f"be 0 beside {name}", self.gamma, f"{name} takes the place of its power.")
        if name == "star" and not min(gammas) > 0:
            contracts.reject("gamma", "be above 0 beside star", self.gamma, "FL* is divided by it.")
        if kinds & {"asymmetric", "quality"} and isinstance(self.gamma, tuple):
            contracts.reject("gamma", f"be one number beside {name}", self.gamma, "Give one for all columns.")

    def _check_shifts(self, store: Any) -> None:
        store("scale", contracts.number("scale", self.scale, contracts.SCALE, "1 leaves the logits as they are."))
        if self.logit_adjustment is not None:
            store("logit_adjustment", _adjustment(self.link, self.logit_adjustment))
        if self.margin is None:
            return
        if self.link == "sigmoid":
            remedy = "Independent columns have no true logit among others: use logit_adjustment."
            contracts.reject("margin", "be None for the sigmoid link", self.margin, remedy)
        given = self.margin
        if isinstance(given, Mapping):
            given = _margins(given)
        remedy = "LDAM's are {'counts': n, 'largest': 0.5}."
        store("margin", contracts.number_or_vector("margin", given, contracts.MARGIN, remedy))

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


def _is_table(gamma: Any) -> bool:
    """Whether gamma is rows of two numbers, not one number per class."""
    if isinstance(gamma, (list, tuple)):
        return len(gamma) > 0 and all(isinstance(row, (list, tuple)) for row in gamma)
    # a number, which a compiled graph may hold as a symbol, is asked nothing
    return not isinstance(gamma, (int, float)) and getattr(gamma, "ndim", 0) == 2


def _steps(table: Any) -> tuple[tuple[float, float], ...]:
    """Rows (p, gamma) by rising p, the last at 1."""
    remedy = "E.g. gamma=[(0.2, 5), (1, 3)]: 5 where p_t is below 0.2, 3 above."
    table = table.tolist() if hasattr(table, "tolist") else table
    try:
        rows = tuple(tuple(row) for row in table)
    except TypeError:  # it has no rows, or they have no entries
        rows = ()
    if not rows or any(len(row) != 2 for row in rows):
        contracts.reject("gamma", "have rows of two numbers, (p, gamma), as a table", table, remedy)
    upper = [contracts.number("p in gamma's table", p, contracts.FRACTION, remedy) for p, _ in rows]
    if any(a >= b for a, b in pairwise(upper)) or upper[-1] != 1:
        contracts.reject("gamma", "have rising p, the last one 1, as a table", table, remedy)
    gammas = [contracts.number("gamma", g, contracts.GAMMA, remedy) for _, g in rows]
    return tuple(zip(upper, gammas, strict=True))


def _adjustment(link: str, given: Any) -> float | tuple[float, ...]:
    """What is added to the logits: as it is given, or tau times the log of a prior (sigmoid: its logit)."""
    name = "logit_adjustment"
    if isinstance(given, Mapping):
        prior, tau = _entries(name, given, "prior", "tau", 1.0)
        tau = contracts.number(f"{name}['tau']", tau, contracts.REAL, "1 is the balanced softmax.")
        domain, remedy = contracts.PRIOR, "Give the frequency of positives of each column."
        if link == "softmax":
            domain, remedy = contracts.POSITIVE, "Give class frequencies or counts; an absent class counts as one."
        values = contracts.number_or_vector(f"{name}['prior']", prior, domain, remedy)
        if isinstance(values, tuple) and link == "softmax":
            total = math.fsum(values)
            given = tuple(tau * math.log(value / total) for value in values)
        elif isinstance(values, tuple):
            given = tuple(tau * (math.log(value) - math.log1p(-value)) for value in values)
        else:
            given = tau * (math.log(values) - math.log1p(-values)) if link == "sigmoid" else values
    remedy = "E.g. {'prior': class_counts, 'tau': 1.0}."
    value = contracts.number_or_vector(name, given, contracts.ADJUSTMENT, remedy)
    if link == "softmax" and not isinstance(value, tuple):
        contracts.reject(name, "have one entry per class for the softmax link", value, "One for all changes nothing.")
    return value


def _margins(given: Mapping[str, Any]) -> tuple[float, ...]:
    """LDAM's C n_k^(-1/4), C such that the rarest class has the ``largest``."""
    counts, largest = _entries("margin", given, "counts", "largest", 0.5)
    largest = contracts.number("margin['largest']", largest, contracts.MARGIN, "LDAM has 0.5.")
    remedy = "Give one number > 0 per class; an absent class counts as one."
    n = contracts.number_or_vector("margin['counts']", counts, contracts.POSITIVE, remedy)
    n = n if isinstance(n, tuple) else (n,)
    return tuple(largest * (min(n) / count) ** 0.25 for count in n)


def _entries(name: str, given: Mapping[str, Any], first: str, second: str, default: float) -> tuple[Any, Any]:
    if first not in given or set(given) - {first, second}:
        contract = f"be a vector, or a mapping with {first!r} and, if it is not {default:g}, {second!r}"
        contracts.reject(name, contract, dict(given), f"E.g. {{{first!r}: …, {second!r}: {default:g}}}.")
    return given[first], given.get(second, default)


def family_options(options: Any, *elsewhere: str) -> dict[str, Any]:
    """The mapping ``options`` as a dict of fields of the family, without those that have their place ``elsewhere``."""
    given = contracts.named("options", options)
    contracts.known_names(tuple(given), [name for name in FAMILY_FIELDS if name not in elsewhere])
    return given


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
        contracts.known_names(tuple(named), names)
        if values and "link" in named:
            remedy = "The name of the loss has its link: softmax or sigmoid."
            contracts.reject("link", "be given once", named["link"], remedy)
        known_init(self, *values, **named)

    return __init__


LossSpec.__init__ = _named(LossSpec.__init__)  # type: ignore[method-assign]

_FORM_FIELDS = tuple(f for f in fields(LossSpec) if f.name in FORM_FIELDS)
_cached: Callable[..., LossSpec] = lru_cache(maxsize=64, typed=True)(LossSpec)
