"""Meshes with explicit axes, where every operation of the loss would need its sharding spelled out.

So it is computed with those axes automatic; its results get the logits' sharding.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from focalkit._core.call import class_axis
from focalkit._core.spec import LossSpec

Specs = Callable[[PartitionSpec], tuple[PartitionSpec, ...]]


def automatic(function: Callable[[Any], Any], operands: Any, decisive: Any, specs: Specs) -> Any:
    """``function(operands)``, a tuple of arrays whose partitions are ``specs`` of that of ``decisive``, an operand."""
    sharding = jax.typeof(decisive).sharding
    if AxisType.Explicit not in sharding.mesh.axis_types:
        return function(operands)
    shardings = tuple(NamedSharding(sharding.mesh, spec) for spec in specs(sharding.spec))
    return jax.sharding.auto_axes(function, out_sharding=shardings)(operands)


def of_results(spec: LossSpec, order: int, logits: PartitionSpec) -> tuple[PartitionSpec, ...]:
    """Partitions of the loss and of ``order`` derivatives."""
    rows = list(logits)
    if spec.reduction != "none":
        rows = []
    elif spec.link == "softmax":
        del rows[class_axis(spec, len(rows))]
    return (PartitionSpec(*rows), *[logits] * order)
