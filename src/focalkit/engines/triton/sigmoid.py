"""The sigmoid kernel: loss and gradient of a block of elements in one launch; and the scaling of a gradient.

Elements are counted over three sizes, along which every tensor has strides of its own (0 where it is spread).
Of logits, gradient and targets all sizes and strides but the last stride are multiples of MULTIPLE; told so, the
compiler moves whole vectors.
"""

from __future__ import annotations

import triton
import triton.language as tl

from focalkit.engines.triton.definition import d1, loss, modulation, probabilities, weighted
from focalkit.engines.triton.tiles import aligned, kept, over_scale, store_losses, times_sample_weight


@triton.jit
def elements(n, n1, n2, FLAT: tl.constexpr, MULTIPLE: tl.constexpr, WIDE: tl.constexpr, SIZE: tl.constexpr):
    """The elements of this program, whether there are such, and their three indices; FLAT where one is enough."""
    program = tl.program_id(0)
    if WIDE:
        program = program.to(tl.int64)
    i = program * SIZE + tl.arange(0, SIZE)
    inside = i < aligned(n, MULTIPLE)
    if FLAT:
        i0, i1, i2 = 0, 0, i
    else:
        n2 = aligned(n2, MULTIPLE)
        i0, i1, i2 = i // n2 // n1, i // n2 % n1, i % n2
    return i, inside, i0, i1, i2


@triton.jit
def place(i0, i1, i2, s0, s1, s2, MULTIPLE: tl.constexpr):
    """The offset of elements with these indices."""
    return i0 * aligned(s0, MULTIPLE) + i1 * aligned(s1, MULTIPLE) + i2 * s2


@triton.jit(do_not_specialize=["n", "ignore_index"])
def sigmoid_elements(
    logits,
    targets,
    sample_weight,
    keep,
    alpha,
    other_alpha,
    gamma,
    scale,
    smooth,
    losses,
    grad,
    n,
    ignore_index,
    n1,
    n2,
    z0,
    z1,
    z2,
    g0,
    g1,
    g2,
    y0,
    y1,
    y2,
    w0,
    w1,
    w2,
    a0,
    a1,
    a2,
    c0,
    c1,
    c2,
    HARD: tl.constexpr,
    POWER: tl.constexpr,
    REDUCED: tl.constexpr,
    FLAT: tl.constexpr,
    MULTIPLE: tl.constexpr,
    WIDE: tl.constexpr,
    COMPUTE: tl.constexpr,
    SIZE: tl.constexpr,
):
    """Strides: z of the logits, g of the gradient, y of the targets, w of the weights, a of alpha, c of gamma."""
    i, inside, i0, i1, i2 = elements(n, n1, n2, FLAT, MULTIPLE, WIDE, SIZE)
    y = tl.load(targets + place(i0, i1, i2, y0, y1, y2, MULTIPLE), mask=inside, other=0)
    counted, known = inside, inside | (i >= 0)
    if HARD:
        y = y.to(tl.int64)
        counted = inside & (y != ignore_index)
        known = (y == 0) | (y == 1)
    else:
        counted = inside & (y.to(COMPUTE) != ignore_index)
    y = tl.where(counted, y.to(COMPUTE), 0.0)
    counted = kept(keep, i, counted)
    z = tl.load(logits + place(i0, i1, i2, z0, z1, z2, MULTIPLE), mask=inside, other=0).to(COMPUTE)
    z = tl.where(counted, z, 0.0)  # what is ignored may be NaN

    of_positive = tl.where(known, tl.full((SIZE,), 1.0, COMPUTE), float("nan"))
    of_positive = times_sample_weight(of_positive, sample_weight, place(i0, i1, i2, w0, w1, w2, 1), counted)
    of_negative = of_positive
    if alpha is not None:
        at = place(i0, i1, i2, a0, a1, a2, 1)
        of_positive = of_positive * tl.load(alpha + at, mask=inside, other=0)
        of_negative = of_negative * tl.load(other_alpha + at, mask=inside, other=0)
    if gamma is None:
        g = tl.full((SIZE,), POWER * 1.0, COMPUTE)
    else:
        g = tl.load(gamma + place(i0, i1, i2, c0, c1, c2, 1), mask=inside, other=0)

    if HARD and smooth is None:  # one side of each element
        positive = y >= 0.5
        weight = tl.where(positive, of_positive, of_negative)
        p, q, nll, nll_other = probabilities(tl.where(positive, z, -z))
        w = modulation(q, nll_other, g, POWER)
        value = weighted(weight, loss(nll, w))
        slope = weight * d1(p, q, nll, w, g, POWER)
        slope = tl.where(positive, slope, -slope)
    else:
        if smooth is not None:
            y = tl.load(smooth) * y + tl.load(smooth + 1)
        of_positive, of_negative = y * of_positive, (1 - y) * of_negative
        p, q, nll, nll_other = probabilities(z)
        w, w_other = modulation(q, nll_other, g, POWER), modulation(p, nll, g, POWER)
        value = weighted(of_positive, loss(nll, w)) + weighted(of_negative, loss(nll_other, w_other))
        slope = of_positive * d1(p, q, nll, w, g, POWER) - of_negative * d1(q, p, nll_other, w_other, g, POWER)
    store_losses(losses, tl.where(counted, value, 0.0), i, inside, REDUCED)
    if grad is not None:
        to = grad + place(i0, i1, i2, g0, g1, g2, MULTIPLE)
        tl.store(to, tl.where(counted, over_scale(slope, scale), 0.0), mask=inside)


@triton.jit
def scaled(grad, upstream, to, n, INPLACE: tl.constexpr, WIDE: tl.constexpr, SIZE: tl.constexpr):
    """``to = upstream * grad``, both contiguous; where they are the same and upstream is 1 nothing moves."""
    factor = tl.load(upstream)
    if not (INPLACE and factor == 1):
        program = tl.program_id(0)
        if WIDE:
            program = program.to(tl.int64)
        i = program * SIZE + tl.arange(0, SIZE)
        part = tl.load(grad + i, mask=i < n, other=0)
        wide = part.to(tl.float64) if part.dtype == tl.float64 else part.to(tl.float32)
        tl.store(to + i, wide * factor.to(wide.dtype), mask=i < n)
