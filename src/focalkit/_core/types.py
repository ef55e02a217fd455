"""Types of the public signatures. Frameworks are imported by type checkers alone; without them theirs are ``Any``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    import jax
    from torch import Tensor

Link: TypeAlias = Literal["softmax", "sigmoid"]
Reduction: TypeAlias = Literal["none", "sum", "mean", "weighted_mean"]
Scheme: TypeAlias = Literal["inverse", "balanced", "power", "sqrt", "median", "effective"]

#: Arrays that a loss is computed from: what goes in comes out.
ArrayT = TypeVar("ArrayT", NDArray[Any], "Tensor", "jax.Array")
#: Whatever else is read beside them.
Array: TypeAlias = "ArrayLike | Tensor | jax.Array"
#: A number, an array of one, or "global".
Normalizer: TypeAlias = "float | Array | None"
