"""The softmax kernel for targets spread over classes: loss and gradient of a tile of rows in one launch.

The expected loss sums over all classes, so each has its own log-odds, loss and pull on the others. ON_CHIP the
tile holds whole rows; longer rows are read for the leading class, for the sum without it, for the loss, and for
the gradient, after the first time mostly from the cache.
"""

from __future__ import annotations

import triton
import triton.language as tl

from focalkit.engines.triton.definition import (
    all_but,
    anchored_exp,
    d1,
    log_odds,
    log_of_total,
    loss,
    modulation,
    probabilities,
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
def first_of(z, k, top, n_classes):
    """The first class of each row whose logit is the ``top``; none where that is NaN."""
    return tl.min(tl.where(z == top[:, None], k, n_classes), 1)


@triton.jit
def leading_class(
    at,
    zc,
    inside,
    counted,
    n_classes,
    LAST: tl.constexpr,
    MULTIPLE: tl.constexpr,
    WIDE: tl.constexpr,
    COMPUTE: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """The largest logit of each row and its class: one pass."""
    top = tl.full((ROWS,), float("-inf"), COMPUTE)
    leader = tl.zeros((ROWS,), tl.int64)
    for start in range(0, n_classes, COLUMNS):
        k, there = block(start, n_classes, LAST, MULTIPLE, WIDE, COLUMNS)
        z = load(at, k, zc, there, inside, counted, LAST, MULTIPLE, COMPUTE)
        top_here = tl.max(z, 1)
        leader = tl.where(top_here > top, first_of(z, k, top_here, n_classes).to(tl.int64), leader)
        top = tl.maximum(top, top_here)
    return top, leader


@triton.jit
def soft_tile(
    z,
    k,
    there,
    row,
    HARD: tl.constexpr,
    POWER: tl.constexpr,
    LAST: tl.constexpr,
    MULTIPLE: tl.constexpr,
    COMPUTE: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """Of every class of a tile: loss and d1, weighted, p, -d1 / q by which it pulls the others, and whether it leads.

    ``row`` is what all tiles of a row have in common, in the order of the first statement. The weight is
    ``y_k alpha_k sample_weight``, the target smoothed. Only the leading class can have p > 1/2: its log-odds come from
    a sum without it; for every other class 1 - p >= 1/2 and subtracting its share is safe.
    """
    targets_at, yc, t, inside, counted, weight, alpha, alpha_step, gamma, gamma_step, smooth, leading = row
    leader, top, rest, m_leading = leading
    if HARD:
        y = (k == t[:, None]).to(COMPUTE)
    else:
        y = load(targets_at, k, yc, there, inside, counted, LAST, MULTIPLE, COMPUTE)
    if smooth is not None:
        y = tl.load(smooth) * y + tl.load(smooth + 1)
    if alpha is not None:
        y = y * tl.load(alpha + k * alpha_step, mask=there, other=0)
    share = tl.where(there & counted[:, None], y * weight[:, None], 0.0)
    g = gammas(gamma, tl.where(there, k, 0) * gamma_step, (1, COLUMNS), POWER, COMPUTE)

    e = anchored_exp(z, top[:, None])
    leads = k == leader[:, None]
    m = log_odds(z, top[:, None], tl.log(all_but(e, 1.0, rest[:, None])))
    m = tl.where(leads, m_leading[:, None], m)
    p, q, nll, nll_other = probabilities(m)
    w = modulation(q, nll_other, g, POWER)
    slope = share * d1(p, q, nll, w, g, POWER)
    pull = tl.where(leads, 0.0, -slope / tl.where(leads, 1.0, q))
    return weighted(share, loss(nll, w)), slope, p, pull, leads


@triton.jit
def largest_and_rest(largest, rests):
    """Across a tile: the largest of all ``largest``, and the sum of all the other entries."""
    top = tl.max(largest, 1)
    equal = largest == top[:, None]
    below = tl.sum(tl.where(equal, 0.0, largest) + rests, 1)
    return top, below + (tl.sum(equal.to(top.dtype), 1) - 1) * top


@triton.jit
def soft_gradient(z, slope, p, pull, leads, slope_leading, largest_pull, rest_of_pulls, largest, total):
    """grad_j = d1_j - sum_{k != j} d1_k p_j / q_k; the leading class's p_j / q_b is r_j, the softmax without it."""
    r = anchored_exp(z, largest[:, None]) / tl.where(total == 0, 1.0, total)[:, None]
    from_leading = tl.where(leads, 0.0, slope_leading[:, None] * r)
    return slope + p * all_but(pull, largest_pull[:, None], rest_of_pulls[:, None]) - from_leading


@triton.jit(do_not_specialize=["n_rows", "ignore_index"])
def soft_rows(
    logits,
    targets,
    sample_weight,
    keep,
    alpha,
    gamma,
    scale,
    smooth,
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
    y0,
    y1,
    y2,
    yc,
    HARD: tl.constexpr,
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
    """Targets spread over classes: probabilities, or class ids (HARD) that are smoothed."""
    rows, inside = rows_here(n_rows, LAST, MULTIPLE, WIDE, ROWS)
    if HARD:
        t, counted, weight = true_classes(targets, rows, inside, ignore_index, n_classes, None, 0, COMPUTE)
        targets_at = targets + rows
    else:
        t, counted, weight = rows, inside, tl.full((ROWS,), 1.0, COMPUTE)
        targets_at = starts(targets, rows, n1, n2, y0, y1, y2, FLAT, LAST, MULTIPLE)
    counted = kept(keep, rows, counted)
    weight = times_sample_weight(weight, sample_weight, rows, counted)
    at = starts(logits, rows, n1, n2, z0, z1, z2, FLAT, LAST, MULTIPLE)
    to = at
    inverse = over_scale(tl.full((ROWS,), 1.0, COMPUTE), scale)[:, None]
    if grad is not None:
        to = starts(grad, rows, n1, n2, g0, g1, g2, FLAT, LAST, MULTIPLE)

    if ON_CHIP:
        k, there = block(0, n_classes, LAST, MULTIPLE, WIDE, COLUMNS)
        z = load(at, k, zc, there, inside, counted, LAST, MULTIPLE, COMPUTE)
        top = tl.max(z, 1)
        leader = first_of(z, k, top, n_classes)
        others = tl.where(k == leader[:, None], float("-inf"), z)
        largest = tl.max(others, 1)
        total = tl.sum(anchored_exp(others, largest[:, None]), 1)
    else:
        top, leader = leading_class(at, zc, inside, counted, n_classes, LAST, MULTIPLE, WIDE, COMPUTE, ROWS, COLUMNS)
        largest, total = sum_of_others(
            at, zc, leader, inside, counted, n_classes, LAST, MULTIPLE, WIDE, COMPUTE, ROWS, COLUMNS
        )
    m_leading = log_odds(top, largest, log_of_total(total))
    leading = (leader, top, total * tl.exp(largest - top), m_leading)
    row = (targets_at, yc, t, inside, counted, weight, alpha, alpha_step, gamma, gamma_step, smooth, leading)

    value = tl.zeros((ROWS, COLUMNS), COMPUTE)
    slope_leading = tl.zeros((ROWS, COLUMNS), COMPUTE)
    pulls = tl.zeros((ROWS, COLUMNS), COMPUTE)
    rests = tl.zeros((ROWS, COLUMNS), COMPUTE)
    if ON_CHIP:
        value, slope, p, pulls, leads = soft_tile(z, k, there, row, HARD, POWER, LAST, MULTIPLE, COMPUTE, COLUMNS)
        slope_leading = tl.where(leads, slope, 0.0)
    else:
        for start in range(0, n_classes, COLUMNS):
            k, there = block(start, n_classes, LAST, MULTIPLE, WIDE, COLUMNS)
            z = load(at, k, zc, there, inside, counted, LAST, MULTIPLE, COMPUTE)
            part, slope, p, pull, leads = soft_tile(z, k, there, row, HARD, POWER, LAST, MULTIPLE, COMPUTE, COLUMNS)
            value += part
            slope_leading += tl.where(leads, slope, 0.0)
            rests += tl.minimum(pulls, pull)  # each lane keeps its largest apart
            pulls = tl.maximum(pulls, pull)
    store_losses(losses, tl.where(counted, tl.sum(value, 1), 0.0), rows, inside, REDUCED)

    if grad is not None:
        tl.debug_barrier()  # the gradient may go over the logits: all have read what they need
        d_leading = tl.sum(slope_leading, 1)
        largest_pull, rest_of_pulls = largest_and_rest(pulls, rests)
        if ON_CHIP:
            part = soft_gradient(z, slope, p, pulls, leads, d_leading, largest_pull, rest_of_pulls, largest, total)
            store(to, k, gc, part * inverse, there, inside, counted, LAST, MULTIPLE)
        else:
            for start in range(0, n_classes, COLUMNS):
                k, there = block(start, n_classes, LAST, MULTIPLE, WIDE, COLUMNS)
                z = load(at, k, zc, there, inside, counted, LAST, MULTIPLE, COMPUTE)
                part, slope, p, pull, leads = soft_tile(z, k, there, row, HARD, POWER, LAST, MULTIPLE, COMPUTE, COLUMNS)
                part = soft_gradient(z, slope, p, pull, leads, d_leading, largest_pull, rest_of_pulls, largest, total)
                store(to, k, gc, part * inverse, there, inside, counted, LAST, MULTIPLE)
