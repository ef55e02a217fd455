"""Tiles of rows and classes as Triton's softmax kernels read and write them.

A row is a sample or a pixel; its classes lie ``zc`` elements apart, and rows lie wherever their three strides
say, so that (n, K), (N, K, d1, …) and every other layout are read where they are. LAST says whether the classes
of a row are contiguous, or else rows are; along it all other sizes and strides are multiples of MULTIPLE: told
so, the compiler moves whole vectors. Offsets are counted in 64 bits where WIDE. What a call does not have is
None and costs nothing.
"""

from __future__ import annotations

import triton
import triton.language as tl

from focalkit.engines.triton.definition import anchored_exp


@triton.jit
def aligned(x, MULTIPLE: tl.constexpr):
    """``x`` itself."""
    return x // MULTIPLE * MULTIPLE


@triton.jit
def starts(memory, rows, n1, n2, s0, s1, s2, FLAT: tl.constexpr, LAST: tl.constexpr, MULTIPLE: tl.constexpr):
    """Where rows, counted over (n0, n1, n2), begin; FLAT where one stride does."""
    if LAST:
        s2 = aligned(s2, MULTIPLE)
    else:
        n2 = aligned(n2, MULTIPLE)
    if FLAT:
        at = rows * s2
    else:
        rest = rows // n2
        outer = (rest // n1) * aligned(s0, MULTIPLE) + (rest % n1) * aligned(s1, MULTIPLE)
        at = outer + (rows % n2) * s2
    return memory + at


@triton.jit
def rows_here(n_rows, LAST: tl.constexpr, MULTIPLE: tl.constexpr, WIDE: tl.constexpr, ROWS: tl.constexpr):
    """The rows of this program, and whether there are such."""
    program = tl.program_id(0)
    if WIDE:
        program = program.to(tl.int64)
    if not LAST:
        n_rows = aligned(n_rows, MULTIPLE)
    rows = program * ROWS + tl.arange(0, ROWS)
    return rows, rows < n_rows


@triton.jit
def block(start, n_classes, LAST: tl.constexpr, MULTIPLE: tl.constexpr, WIDE: tl.constexpr, COLUMNS: tl.constexpr):
    """Class ids from ``start`` on, and whether there are such."""
    k = start + tl.arange(0, COLUMNS)
    if LAST:
        n_classes = aligned(n_classes, MULTIPLE)
    there = k < n_classes
    if WIDE:
        k = k.to(tl.int64)
    return k[None, :], there[None, :]


@triton.jit
def load(at, k, zc, there, inside, counted, LAST: tl.constexpr, MULTIPLE: tl.constexpr, COMPUTE: tl.constexpr):
    """A tile of logits; -inf where there is none, and in rows that do not count: what is ignored may be NaN."""
    if LAST:
        mask = counted[:, None] & there
    else:
        mask = inside[:, None] & there  # a mask by pixel would break the vectors
        zc = aligned(zc, MULTIPLE)
    z = tl.load(at[:, None] + k * zc, mask=mask, other=float("-inf")).to(COMPUTE)
    return tl.where(counted[:, None], z, float("-inf"))


@triton.jit
def store(to, k, gc, part, there, inside, counted, LAST: tl.constexpr, MULTIPLE: tl.constexpr):
    """A tile of the gradient; 0 in rows that do not count."""
    if not LAST:
        gc = aligned(gc, MULTIPLE)
    tl.store(to[:, None] + k * gc, tl.where(counted[:, None], part, 0.0), mask=inside[:, None] & there)


@triton.jit
def store_losses(losses, value, rows, inside, REDUCED: tl.constexpr):
    """One loss for each row, or one sum in float64 for the tile."""
    if REDUCED:
        tl.store(losses + tl.program_id(0), tl.sum(value.to(tl.float64), 0))
    else:
        tl.store(losses + rows, value, mask=inside)


@triton.jit
def true_classes(targets, rows, inside, ignore_index, n_classes, alpha, alpha_step, COMPUTE: tl.constexpr):
    """Class ids, which rows are not ignored, and alpha_t: NaN for an id that is none, so that the loss says so."""
    t = tl.load(targets + rows, mask=inside, other=0).to(tl.int64)
    counted = inside & (t != ignore_index)
    known = (t >= 0) & (t < n_classes)
    t = tl.where(counted & known, t, 0)
    weight = tl.full(rows.shape, 1.0, COMPUTE)
    if alpha is not None:
        weight = tl.load(alpha + t * alpha_step)
    return t, counted, tl.where(known, weight, float("nan"))


@triton.jit
def kept(keep, rows, counted):
    """Which of the rows that count hard example mining keeps."""
    if keep is not None:
        counted = counted & (tl.load(keep + rows, mask=counted, other=0) != 0)
    return counted


@triton.jit
def times_sample_weight(weight, sample_weight, rows, counted):
    """``weight`` by that of the row."""
    if sample_weight is not None:
        weight = weight * tl.load(sample_weight + rows, mask=counted, other=0)
    return weight


@triton.jit
def gammas(gamma, at, shape: tl.constexpr, POWER: tl.constexpr, COMPUTE: tl.constexpr):
    """Gamma of the classes that ``at`` points to, or of the whole call."""
    if gamma is None:
        g = tl.full(shape, POWER * 1.0, COMPUTE)
    else:
        g = tl.load(gamma + at)
    return g


@triton.jit
def over_scale(slope, scale):
    """Derivatives over the denominator."""
    if scale is not None:
        slope = slope / tl.load(scale).to(slope.dtype)
    return slope


@triton.jit
def sum_of_others(
    at,
    zc,
    excluded,
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
    """The largest logit of each row but the ``excluded`` class's, and the sum of exp(z_j - largest): one pass."""
    largest = tl.full((ROWS,), float("-inf"), COMPUTE)
    sums = tl.zeros((ROWS, COLUMNS), COMPUTE)
    for start in range(0, n_classes, COLUMNS):
        k, there = block(start, n_classes, LAST, MULTIPLE, WIDE, COLUMNS)
        z = load(at, k, zc, there, inside, counted, LAST, MULTIPLE, COMPUTE)
        z = tl.where(k == excluded[:, None], float("-inf"), z)
        higher = tl.maximum(largest, tl.max(z, 1))
        fade = tl.where(higher == float("-inf"), 1.0, tl.exp(largest - higher))
        sums = sums * fade[:, None] + anchored_exp(z, higher[:, None])
        largest = higher
    return largest, tl.sum(sums, 1)
