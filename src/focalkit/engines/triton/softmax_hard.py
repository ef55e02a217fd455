"""The softmax kernel for class ids: loss and gradient of a tile of rows in one launch.

ON_CHIP the tile holds whole rows: the logits are read once and the gradient is written once. Longer rows are read
twice, the second time mostly from the cache.
"""

from __future__ import annotations

import triton
import triton.language as tl

from focalkit.engines.triton.definition import (
    anchored_exp,
    log_odds,
    log_of_total,
    loss_and_d1,
    pull_of,
    weighted,
)
from focalkit.engines.triton.tiles import (
    block,
    gammas,
    kept,
    load,
    over_scale,
    rows_here,
    starts,
    store,
    store_losses,
    sum_of_others,
    times_sample_weight,
    true_classes,
)


@triton.jit
def hard_slope(own, largest, total, weight, g, number, FORM: tl.constexpr, POWER: tl.constexpr):
    """Loss and d1, weighted, of rows whose other classes sum to ``total``."""
    m = log_odds(own, largest, log_of_total(total))
    value, slope = loss_and_d1(m, g, number, FORM, POWER)
    return weighted(weight, value), weight * slope


@triton.jit(do_not_specialize=["n_rows", "ignore_index"])
def hard_rows(
    logits,
    targets,
    sample_weight,
    keep,
    alpha,
    gamma,
    number,
    scale,
    losses,
    grad,
    n_rows,
    n_classes,
    ignore_index,
    alpha_step,
    gamma_step,
    n1,
    n2,
    z0,
    z1,
    z2,
    zc,
    g0,
    g1,
    g2,
    gc,
    FORM: tl.constexpr,
    POWER: tl.constexpr,
    REDUCED: tl.constexpr,
    ON_CHIP: tl.constexpr,
    FLAT: tl.constexpr,
    LAST: tl.constexpr,
    MULTIPLE: tl.constexpr,
    WIDE: tl.constexpr,
    COMPUTE: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """Class ids."""
    rows, inside = rows_here(n_rows, LAST, MULTIPLE, WIDE, ROWS)
    t, counted, weight = true_classes(targets, rows, inside, ignore_index, n_classes, alpha, alpha_step, COMPUTE)
    counted = kept(keep, rows, counted)
    weight = times_sample_weight(weight, sample_weight, rows, counted)
    g = gammas(gamma, t * gamma_step, (ROWS,), POWER, COMPUTE)
    at = starts(logits, rows, n1, n2, z0, z1, z2, FLAT, LAST, MULTIPLE)
    own = tl.load(at + t * zc, mask=counted, other=0).to(COMPUTE)
    if ON_CHIP:
        k, there = block(0, n_classes, LAST, MULTIPLE, WIDE, COLUMNS)
        z = load(at, k, zc, there, inside, counted, LAST, MULTIPLE, COMPUTE)
        z = tl.where(k == t[:, None], float("-inf"), z)
        largest = tl.max(z, 1)
        e = anchored_exp(z, largest[:, None])
        total = tl.sum(e, 1)
    else:
        largest, total = sum_of_others(
            at, zc, t, inside, counted, n_classes, LAST, MULTIPLE, WIDE, COMPUTE, ROWS, COLUMNS
        )
    of_form = 0.0
    if FORM != 0:
        of_form = tl.load(number)
    value, slope = hard_slope(own, largest, total, weight, g, of_form, FORM, POWER)
    store_losses(losses, tl.where(counted, value, 0.0), rows, inside, REDUCED)
    if grad is not None:
        tl.debug_barrier()  # the gradient may go over the logits: all have read what they need
        slope = over_scale(slope, scale)
        pull = pull_of(slope, total)
        to = starts(grad, rows, n1, n2, g0, g1, g2, FLAT, LAST, MULTIPLE)
        if ON_CHIP:
            part = tl.where(k == t[:, None], slope[:, None], e * pull[:, None])
            store(to, k, gc, part, there, inside, counted, LAST, MULTIPLE)
        else:
            for start in range(0, n_classes, COLUMNS):
                k, there = block(start, n_classes, LAST, MULTIPLE, WIDE, COLUMNS)
                z = load(at, k, zc, there, inside, counted, LAST, MULTIPLE, COMPUTE)
                e = anchored_exp(z, largest[:, None])
                part = tl.where(k == t[:, None], slope[:, None], e * pull[:, None])
                store(to, k, gc, part, there, inside, counted, LAST, MULTIPLE)
