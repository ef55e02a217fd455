from collections.abc import Sequence
from typing import Any

class Plan:
    def __init__(
        self,
        sigmoid: bool,
        reduction: int,
        label_smoothing: float,
        ignore_index: int,
        class_axis: int,
        logit_scale: float,
        form: int,
        form_number: float,
        form_gamma: float,
        gamma: Sequence[float],
        alpha: Sequence[float] | None,
        adjustment: Sequence[float] | None,
        margin: Sequence[float] | None,
        exceeds_float: bool,
    ) -> None: ...
    @property
    def exceeds_float(self) -> bool: ...

class Block:
    def __init__(self, bytes: int) -> None: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...

def evaluate(
    plan: Plan,
    logits: Any,
    targets: Any,
    sample_weight: Any,
    grad: Any,
    hess: Any,
    losses: Any,
    keep: Any,
    normalizer: float,
    order: int,
    bfloat16: int,
    checked: bool,
) -> float | str: ...
def evaluate_at(
    plan: Plan,
    logits: int,
    targets: int,
    grad: int,
    loss: int,
    outer: int,
    classes: int,
    inner: int,
    wide: bool,
    /,
) -> bool: ...
def instruction_set() -> str: ...
def choose_instruction_set(name: str) -> bool: ...
def has_instruction_set(name: str) -> bool: ...
def threads() -> int: ...
def set_threads(threads: int) -> None: ...
def held_memory() -> int: ...
def release_memory() -> int: ...
def memory_limit() -> int: ...
def set_memory_limit(bytes: int) -> None: ...
def keep_largest(losses: Any, among: Any, count: int, keep: Any) -> None: ...
def over_rows(
    plans: Sequence[Plan],
    columns: Any,
    rows: int,
    targets: Any,
    weights: Any,
    theta: Any,
    loss: Any,
    grad: Any,
    curvature: Any,
    losses: Any,
) -> None: ...
def factored(matrices: Any) -> None: ...
def substituted(factors: Any, which: Any, vectors: Any) -> None: ...
def recovered(logits: Any, gamma: float, weights: Any, out: Any) -> None: ...
def ranked(posterior: Any, targets: Any, of: Any, bins: int, precision: Any, gap: Any) -> None: ...
def shifted(posterior: Any, targets: Any, known: Any, shift: Any, right: Any, named: Any) -> None: ...
def cut(posterior: Any, targets: Any, cutoffs: Any, above: Any) -> None: ...
def cheapest_changes(
    p: Any, weights: Any, c: int, costs: Any, apart: float, first: Any
) -> tuple[Any, Any, Any, Any]: ...
def log_odds(logits: Any, ids: Any, ignore_index: int, m: Any) -> int: ...
def ledger_add(
    rows: Any,
    m: Any,
    weight: Any,
    gamma: Any,
    centre: Any,
    low: float,
    high: float,
    per_unit: float,
    extra: float,
    count: Any,
    mass: Any,
    s1: Any,
    s2: Any,
    loss: Any,
    grad: Any,
) -> None: ...
def ledger_update(
    logits: Any,
    ids: Any,
    gamma: Any,
    centre: Any,
    low: float,
    high: float,
    per_unit: float,
    extra: float,
    count: Any,
    mass: Any,
    s1: Any,
    s2: Any,
    loss: Any,
    grad: Any,
) -> bool: ...
def xla_loss(minor: int) -> Any: ...
def take_numbers(block: bytes, is_number: bytes, marks: bytes, out: Any) -> tuple[bytes, list[int]] | None: ...
