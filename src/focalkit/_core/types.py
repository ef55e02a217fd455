"""Types of the public signatures. Frameworks are imported by type checkers alone; without them theirs are ``Any``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, TypeVar

from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    import jax
    from pandas import DataFrame
    from scipy.sparse import sparray, spmatrix
    from torch import Tensor

Link: TypeAlias = Literal["softmax", "sigmoid"]
Reduction: TypeAlias = Literal["none", "sum", "mean", "weighted_mean"]
Scheme: TypeAlias = Literal["inverse", "balanced", "power", "sqrt", "median", "effective"]

#: Arrays that a loss is computed from: what goes in comes out.
ArrayT = TypeVar("ArrayT", NDArray[Any], "Tensor", "jax.Array")
#: As ArrayT, of the frameworks alone.
TensorT = TypeVar("TensorT", "Tensor", "jax.Array")
#: Whatever else is read beside them.
Array: TypeAlias = "ArrayLike | Tensor | jax.Array"
#: As Array, without JAX's: what a function of NumPy's takes and gives an array of NumPy for.
Host: TypeAlias = "NDArray[Any] | Sequence[Any] | float | Tensor | SupportsNumPy"
#: A number, an array of one, or "global".
Normalizer: TypeAlias = "float | Array | None"

#: Predicted probabilities: an array, a tensor or a data frame.
Predictions: TypeAlias = "Array | DataFrame"
#: Rows of features: an array, a data frame or a sparse matrix.
Features: TypeAlias = "ArrayLike | DataFrame | spmatrix | sparray"
#: Class weights as classifiers take them: a scheme, a number, one per class in order or by name.
Alpha: TypeAlias = "str | float | Sequence[float] | NDArray[Any] | Tensor | Mapping[Any, float] | None"
#: What a booster watches while it is fitted.
EvalSet: TypeAlias = "tuple[Features, ArrayLike] | Sequence[tuple[Features, ArrayLike]]"


class SupportsArrow(Protocol):
    """A data frame of any library: pandas, Polars, PyArrow, DuckDB."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """A stream of record batches."""
        ...


class SupportsNumPy(Protocol):
    """A column or a data frame: pandas, Polars."""

    def to_numpy(self) -> NDArray[Any]:
        """Its values."""
        ...
