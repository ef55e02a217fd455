"""What the mathematics, the reductions and the composite engine ask of an array library; and NumPy's answer."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from focalkit._core import definition, forms, links
from focalkit._core.forms import Form


class Ops(ABC):
    """An array library as :mod:`~focalkit._core.definition`, ``links``, ``reduction`` and the composite engine see it.

    Arrays have ``shape``, ``ndim``, ``dtype``, ``reshape``, indexing and operators.
    """

    # functions of the library, with NumPy's meaning
    abs: Any
    exp: Any
    log: Any
    log1p: Any
    expm1: Any
    floor: Any  # of counts, as ceil
    ceil: Any
    isnan: Any
    where: Any
    argmax: Any  # (array, axis), as sum and max
    sum: Any
    max: Any
    zeros_like: Any
    ones_like: Any  # with dtype=
    full_like: Any
    arange: Any  # (n)
    broadcast_to: Any  # (array, shape)
    moveaxis: Any  # (array, from, to)

    inf: float
    nan: float
    #: dtype of masks; of class ids
    boolean: Any
    index: Any
    #: A little less than any step between the shares and counts of hard example mining, relative, in the wide dtype.
    hair: float

    def minimum(self, one: Any, other: Any) -> Any:
        """The smaller of two counts, the second of which may be a number."""
        return self.where(one < other, one, other)

    def maximum(self, one: Any, other: Any) -> Any:
        """The larger of two counts, the second of which may be a number."""
        return self.where(one > other, one, other)

    @abstractmethod
    def astype(self, x: Any, dtype: Any) -> Any:
        """``x`` in another dtype."""

    @abstractmethod
    def is_float(self, x: Any) -> bool:
        """Whether an array holds real numbers, not integers or truth values."""

    @abstractmethod
    def compute_dtype(self, logits: Any) -> Any:
        """The dtype that losses of these logits are computed in."""

    @abstractmethod
    def parameter(self, value: Any, like: Any) -> Any:
        """An array or a tuple of numbers as an array (1,) or (n_classes,) in the dtype of ``like``, where that is."""

    @abstractmethod
    def wide(self, number: Any) -> Any:
        """A number or array of one as an array of one in the widest dtype that the device has."""

    @abstractmethod
    def count(self, mask: Any) -> Any:
        """How many entries are true, in the wide dtype."""

    @abstractmethod
    def total(self, x: Any) -> Any:
        """The sum of all entries, taken in the wide dtype."""

    @abstractmethod
    def argsort(self, x: Any) -> Any:
        """The order of a vector, stable and ascending."""

    @abstractmethod
    def contiguous(self, x: Any) -> Any:
        """The same array in C order, where the library has orders."""

    @abstractmethod
    def stop_gradient(self, x: Any) -> Any:
        """``x`` as a constant of differentiation."""

    @abstractmethod
    def loss(self, m: Any, gamma: Any) -> Any:
        """``definition.loss``, differentiable where the library differentiates."""

    @abstractmethod
    def form_loss(self, m: Any, gamma: Any, form: Form) -> Any:
        """``forms.loss`` of a form, differentiable where the library differentiates."""

    @abstractmethod
    def soft_loss(self, z: Any, y: Any, gamma: Any, form: Form) -> Any:
        """``forms.soft_loss``, likewise."""

    @abstractmethod
    def log_odds(self, logits: Any, ids: Any) -> Any:
        """``m`` (n,) of the classes ``ids`` in ``logits`` (n, n_classes), differentiable in the logits."""

    @abstractmethod
    def log_odds_of_all(self, logits: Any) -> Any:
        """``m`` (n, n_classes) of every class, differentiable."""


class NumPyOps(Ops):
    """NumPy, in float64 whatever the logits' dtype."""

    inf, nan = np.inf, np.nan
    boolean, index, hair = np.bool_, np.int64, 1e-12
    abs, exp, log, log1p, expm1, isnan = np.abs, np.exp, np.log, np.log1p, np.expm1, np.isnan
    floor, ceil = math.floor, math.ceil  # of counts, which are numbers of Python
    zeros_like, ones_like, full_like = (
        staticmethod(np.zeros_like),
        staticmethod(np.ones_like),
        staticmethod(np.full_like),
    )
    where, argmax, sum, max = (
        staticmethod(np.where),
        staticmethod(np.argmax),
        staticmethod(np.sum),
        staticmethod(np.max),
    )
    arange, broadcast_to, moveaxis = np.arange, staticmethod(np.broadcast_to), staticmethod(np.moveaxis)

    def astype(self, x: Any, dtype: Any) -> Any:
        """``x`` in another dtype."""
        return np.asarray(x).astype(dtype, copy=False)[()]

    def is_float(self, x: NDArray[Any]) -> bool:
        """Whether an array holds real numbers (bfloat16 as ml_dtypes gives it too)."""
        return x.dtype.kind not in "biu"

    def compute_dtype(self, logits: NDArray[Any]) -> Any:
        """float64: this is the truth that other engines are held to."""
        return np.float64

    def parameter(self, value: Any, like: NDArray[Any]) -> NDArray[Any]:
        """An array (1,) or (n_classes,)."""
        return np.asarray(value, like.dtype).reshape(-1)

    def minimum(self, one: Any, other: Any) -> Any:
        """The smaller of two numbers."""
        return min(one, other)

    def maximum(self, one: Any, other: Any) -> Any:
        """The larger of two numbers."""
        return max(one, other)

    def wide(self, number: Any) -> Any:
        """A float64."""
        return np.float64(number)

    def count(self, mask: NDArray[Any]) -> Any:
        """How many entries are true."""
        return float(np.count_nonzero(mask))

    def total(self, x: NDArray[Any]) -> Any:
        """The sum of all entries."""
        return x.sum(dtype=np.float64)

    def argsort(self, x: NDArray[Any]) -> NDArray[Any]:
        """The order of a vector, stable and ascending."""
        return np.argsort(x, kind="stable")

    def contiguous(self, x: NDArray[Any]) -> NDArray[Any]:
        """The same array in C order."""
        return np.ascontiguousarray(x)

    def stop_gradient(self, x: Any) -> Any:
        """``x``: nothing is differentiated."""
        return x

    def loss(self, m: Any, gamma: Any) -> Any:
        """``definition.loss``."""
        return definition.loss(m, gamma, self)

    def form_loss(self, m: Any, gamma: Any, form: Form) -> Any:
        """``forms.loss``."""
        return forms.loss(m, gamma, form, self)

    def soft_loss(self, z: Any, y: Any, gamma: Any, form: Form) -> Any:
        """``forms.soft_loss``."""
        return forms.soft_loss(z, y, gamma, form, self)

    def log_odds(self, logits: Any, ids: Any) -> Any:
        """``m`` (n,) of the classes ``ids``."""
        return links.softmax_log_odds(logits, ids, self)[0]

    def log_odds_of_all(self, logits: Any) -> Any:
        """``m`` (n, n_classes) of every class."""
        return links.softmax_log_odds_all(logits, self)[0]


NUMPY = NumPyOps()
