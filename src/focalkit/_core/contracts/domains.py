"""Domains, each declared once as an :class:`Interval`, and checks of what is no array of samples.

The checks read the domains, and so do the random tests.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from focalkit._core import host
from focalkit._core.contracts.errors import Words, reject


@dataclass(frozen=True)
class Interval:
    """A real interval, e.g. ``Interval(0, 1, low_inclusive=False)``."""

    low: float
    high: float
    low_inclusive: bool = True
    high_inclusive: bool = True

    def __contains__(self, value: object) -> bool:
        if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
            return False
        try:
            number = float(value)
        except OverflowError:  # an int that no float holds
            return False
        above = number >= self.low if self.low_inclusive else number > self.low
        below = number <= self.high if self.high_inclusive else number < self.high
        return above and below and -math.inf < number < math.inf

    def holds(self, values: NDArray[Any]) -> bool:
        """Whether every entry lies inside."""
        above = values >= self.low if self.low_inclusive else values > self.low
        below = values <= self.high if self.high_inclusive else values < self.high
        return bool(np.all(above & below & np.isfinite(values)))

    def __str__(self) -> str:
        left = "[" if self.low_inclusive and math.isfinite(self.low) else "("
        right = "]" if self.high_inclusive and math.isfinite(self.high) else ")"
        return f"{left}{self.low:g}, {self.high:g}{right}"


GAMMA = Interval(0, math.inf)
ALPHA_SOFTMAX = Interval(0, math.inf)
ALPHA_SIGMOID = Interval(0, 1)
#: The weight of one of two classes where neither may be without weight.
ALPHA_OF_TWO = Interval(0, 1, low_inclusive=False, high_inclusive=False)
LABEL_SMOOTHING = Interval(0, 1)
REAL = Interval(-math.inf, math.inf, low_inclusive=False, high_inclusive=False)
#: What may be added to a logit: exp of the difference of two of them is to be a number.
ADJUSTMENT = Interval(-300, 300)
MARGIN = Interval(0, math.inf)
#: What logits may be multiplied by: the Hessian has its square.
SCALE = Interval(1e-100, 1e100)
#: Of the numbers of a loss's form.
FORMS = {
    "poly": Interval(-1, math.inf),
    "star": REAL,
    "dft": Interval(0, 1),
    "gce": Interval(0, 1),
    "gamma_negative": GAMMA,
    "clip": Interval(0, 1, high_inclusive=False),
}
PROBABILITY = Interval(0, 1)
PRIOR = Interval(0, 1, low_inclusive=False, high_inclusive=False)
SAMPLE_WEIGHT = Interval(0, math.inf)
POSITIVE = Interval(0, math.inf, low_inclusive=False)
FRACTION = Interval(0, 1, low_inclusive=False)
#: What NumPy's and scikit-learn's generators take for a seed.
MOST_SEED = 2**32 - 1
BETA_EFFECTIVE = Interval(0, 1, high_inclusive=False)


def number(name: str, value: object, domain: Interval, remedy: str) -> float:
    """A scalar of ``domain`` as a float."""
    value = one_number(name, value)
    if value not in domain:
        reject(name, f"be a number in {domain}", value, remedy)
    return float(value)  # type: ignore[arg-type]


def one_number(name: str, value: object) -> object:
    """An array or tensor of one number as that number; anything else as it is."""
    if isinstance(value, (int, float, np.generic)) or getattr(value, "ndim", None) != 0:
        return value
    return array(name, value).item()


def number_or_vector(name: str, value: object, domain: Interval, remedy: str) -> float | tuple[float, ...]:
    """A scalar as a float, or a vector as a tuple, every entry in ``domain``."""
    if isinstance(value, (int, float, np.integer, np.floating)) or getattr(value, "ndim", None) == 0:
        return number(name, value, domain, remedy)
    if isinstance(value, (list, tuple)) and value and all(type(entry) in (float, int) for entry in value):
        if not all(entry in domain for entry in value):
            reject(name, f"be a number or a vector of numbers in {domain}", value, remedy)
        return tuple(float(entry) for entry in value)  # without NumPy, which torch.compile would trace
    vector = numbers(name, value, f"be a number or a vector of numbers in {domain}", remedy)
    if vector.ndim != 1 or vector.size == 0 or not domain.holds(vector):
        reject(name, f"be a number or a vector of numbers in {domain}", value, remedy)
    return tuple(float(entry) for entry in vector)


def unmasked(name: str, value: object) -> None:
    """Refuse an array with masked entries: NumPy and scikit-learn would drop the mask, and take what is below it."""
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        got = Words(f"{int(np.ma.getmaskarray(value).sum())} masked entries")
        reject(name, "be an array without a mask", got, "Leave these samples out, or fill them.")


def array(name: str, value: object) -> NDArray[Any]:
    """Whatever a user holds as a NumPy array; what NumPy would drop or refuse in its own words is refused."""
    unmasked(name, value)
    try:
        return host.array(value)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        if host.is_tensor(value):
            said = host.strange(value) or ("be an array", "a tensor without values", "Compute it first.")
            reject(name, said[0], Words(said[1]), said[2])
        reject(name, "be an array", value, "Its rows must be equally long, and its entries numbers.")


def numbers(name: str, value: object, contract: str, remedy: str) -> NDArray[np.float64]:
    """An array of numbers as float64: neither truth values nor strings, dates or complex numbers."""
    given = array(name, value)
    if given.dtype.kind not in "iufO" and given.dtype.name != "bfloat16":
        reject(name, contract, value, remedy)
    try:
        return given.astype(np.float64)
    except (TypeError, ValueError, OverflowError):  # objects that are no numbers
        reject(name, contract, value, remedy)


def shaped(name: str, value: object, *shapes: tuple[int | None, ...]) -> NDArray[Any]:
    """Numbers or truth values as an array of one of ``shapes``, where None is any length; not copied."""
    given = array(name, value)
    if given.dtype.kind not in "fiub":
        reject(name, "be an array of numbers", Words(f"dtype {given.dtype}"), "Pass a NumPy array of numbers.")
    if not any(
        len(shape) == given.ndim and all(n in (None, m) for n, m in zip(shape, given.shape, strict=True))
        for shape in shapes
    ):
        said = " or ".join(str(tuple("nk"[i] if n is None else n for i, n in enumerate(shape))) for shape in shapes)
        said = said.replace("'", "")
        reject(name, f"have shape {said}", Words(f"shape {given.shape}"), "Pass the same rows of all.")
    return given


def flag(name: str, value: object) -> bool:
    """True or False, or a number that stands for one."""
    if value is not None and not isinstance(value, bool | np.bool_ | int):
        reject(name, "be True or False", value, "Pass a bool.")
    return bool(value)


def _is_whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def most_jobs() -> int:
    """Processes that this machine may be asked for; more than there are cores by far is a slip."""
    return 64 * (os.cpu_count() or 1)


def jobs(name: str, value: object) -> int:
    """A number of processes: at least 1, or -1 for one per core."""
    if _is_whole(value) and value == -1:
        return -1
    return whole(name, value, 1, "-1 is one per core.", most=most_jobs())


def integer(name: str, value: object) -> int:
    """A whole number of either sign."""
    if not _is_whole(value):
        reject(name, "be an integer", value, "Pass a Python int.")
    return int(value)


def whole(name: str, value: object, least: int, remedy: str = "Pass an int.", *, most: int | None = None) -> int:
    """A whole number of at least ``least``, and of at most ``most``, which memory or time can hold."""
    if not _is_whole(value) or value < least:
        reject(name, f"be a whole number of at least {least}", value, remedy)
    if most is not None and value > most:
        reject(name, f"be at most {most}", value, remedy)
    return int(value)


def several(name: str, value: object, contract: str, remedy: str) -> tuple[Any, ...]:
    """The entries of a sequence, or of anything that can be gone through once but a text."""
    try:
        if not isinstance(value, (str, bytes)):
            return tuple(value)  # type: ignore[arg-type]
    except TypeError:  # nothing that has entries
        pass
    reject(name, contract, value, remedy)


def named(name: str, value: object, remedy: str = "E.g. {'poly': 1.0}; None is the focal loss.") -> dict[str, Any]:
    """Values by their names, mostly of a form or of fields of the loss; None for none."""
    if value is not None and not (isinstance(value, Mapping) and all(isinstance(key, str) for key in value)):
        reject(name, "map names to values", value, remedy)
    return {} if value is None else dict(value)


def path(name: str, value: object) -> Path:
    """The name of a file, as a path."""
    if isinstance(value, str | os.PathLike) and value != "":
        with contextlib.suppress(TypeError):  # a path of bytes
            return Path(value)
    reject(name, "be the path of a file", value, "Pass a string or a pathlib.Path.")


def one_of(name: str, value: object, choices: Sequence[str], remedy: str = "") -> str:
    """A string out of ``choices``."""
    if not isinstance(value, str) or value not in choices:
        reject(
            name, "be one of " + ", ".join(repr(choice) for choice in choices), value, remedy or "Choose one of them."
        )
    return value


def class_vector(name: str, value: float | tuple[float, ...] | None, n_classes: int) -> None:
    """A per-class vector must be as long as the logits' class axis."""
    if isinstance(value, tuple) and len(value) != n_classes:
        reject(
            name,
            f"be a number or have one entry for each of the {n_classes} classes of the logits",
            Words(f"{len(value)} entries"),
            "Pass one entry per class.",
        )
