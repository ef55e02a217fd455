"""JAX as the composite engine sees it (:class:`focalkit._core.ops.Ops`)."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from focalkit.engines.jax import definition


class JaxOps:
    """jax.numpy, with the differentiable definition. The widest dtype is float32 unless ``jax_enable_x64`` is set."""

    inf, nan = jnp.inf, jnp.nan
    boolean = jnp.bool_
    stop_gradient = staticmethod(jax.lax.stop_gradient)
    loss, log_odds = staticmethod(definition.loss), staticmethod(definition.log_odds)
    form_loss, soft_loss = staticmethod(definition.form_loss), staticmethod(definition.soft_loss)
    log_odds_of_all = staticmethod(definition.log_odds_of_all)

    def __getattr__(self, name: str) -> Any:
        """All else is a function of jax.numpy."""
        return getattr(jnp, name)

    @property
    def index(self) -> Any:
        """Dtype of class ids."""
        return jnp.result_type(int)

    @property
    def wide_dtype(self) -> Any:
        """Dtype of sums."""
        return jnp.result_type(float)

    @property
    def hair(self) -> float:
        """Of the wide dtype."""
        return 1e-12 if self.wide_dtype == jnp.float64 else 2.0**-21

    def astype(self, x: Any, dtype: Any) -> Any:
        """``x`` in another dtype."""
        return x.astype(dtype)

    def is_float(self, x: Any) -> bool:
        """Whether an array holds real numbers."""
        return bool(jnp.issubdtype(x.dtype, jnp.floating))

    def compute_dtype(self, logits: Any) -> Any:
        """float64 for float64, float32 for all others."""
        return jnp.dtype("float64" if logits.dtype == jnp.float64 else "float32")

    def parameter(self, value: Any, like: Any) -> Any:
        """An array (1,) or (n_classes,)."""
        return jnp.asarray(value, like.dtype).reshape(-1)

    def wide(self, number: Any) -> Any:
        """An array of one number."""
        return jnp.asarray(number, self.wide_dtype)

    def count(self, mask: Any) -> Any:
        """How many entries are true."""
        return jnp.sum(mask).astype(self.wide_dtype)

    def total(self, x: Any) -> Any:
        """The sum of all entries."""
        return jnp.sum(x, dtype=self.wide_dtype)

    def argsort(self, x: Any) -> Any:
        """The order of a vector, stable and ascending."""
        return jnp.argsort(x, stable=True)

    def contiguous(self, x: Any) -> Any:
        """``x``: XLA lays arrays out as it likes."""
        return x


OPS: Any = JaxOps()
