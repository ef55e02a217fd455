"""Logits to the log-odds of the true class, and derivatives back to the logits.

sigmoid link: m = +logit for a positive, -logit for a negative.
softmax link: m_k = z_k - logsumexp(z_j, j != k), so that p_k = sigma(m_k) exactly, and with
r = softmax over the other classes (r_k = 0):

    grad_k = d1      grad_j = -d1 r_j
    hess_k = d2      hess_j =  d2 r_j^2 - d1 r_j (1 - r_j)

This file imports nothing: ``xp`` is the array namespace; the class axis is the last one. A class
whose logit is -inf cannot be: it takes no part (r_j = 0).
"""


def adjusted(logits, scale, adjustment, xp):
    """``scale * z + adjustment`` of each row, less ``scale`` times its largest logit, which changes no softmax.

    The difference of the logits comes first: it is often exact, and no digits of a small adjustment are lost beside
    large logits. ``adjustment`` is (n_classes,) or None.
    """
    largest = xp.stop_gradient(xp.max(logits, -1)[..., None])
    below = (logits - xp.where(largest == -xp.inf, xp.zeros_like(largest), largest)) * scale
    return below if adjustment is None else below + adjustment


def exclusive_sum(x, xp):
    """For each entry of non-negative ``x``, the sum of all the others along the last axis.

    ``total - x`` loses its digits only where x is more than half of the total, and only the largest
    entry can be: that one's sum is taken over the others directly.
    """
    largest = one_hot(xp.argmax(x, -1), x, xp)
    rest = xp.sum(xp.where(largest, xp.zeros_like(x), x), -1)[..., None]
    others = rest - xp.where(largest, xp.zeros_like(x), x)
    top = entry(largest, x, xp)
    return xp.where(largest, rest, top + xp.where(others > 0, others, xp.zeros_like(x)))


def one_hot(index, like, xp):
    """Boolean array shaped like ``like``, true at ``index`` on the last axis."""
    return xp.arange(like.shape[-1]) == index[..., None]


def entry(true, x, xp):
    """The entry of ``x`` where the one-hot ``true`` is, the last axis kept with length 1."""
    return xp.sum(xp.where(true, x, xp.zeros_like(x)), -1)[..., None]


def softmax_of_others(logits, excluded, xp):
    """Softmax over the classes that are not ``excluded`` (a one-hot mask per row).

    Returns ``log_sum`` (their logsumexp, as the pair (largest, log of the scaled sum)), ``r`` and
    ``1 - r`` (a sum over the rest, never a subtraction from 1 that cancels).
    """
    masked = xp.where(excluded, xp.full_like(logits, -xp.inf), logits)
    largest = xp.max(masked, -1)[..., None]
    anchor = xp.where(largest == -xp.inf, xp.zeros_like(largest), largest)
    e = xp.exp(masked - anchor)
    leading = one_hot(xp.argmax(masked, -1), logits, xp)
    rest = xp.sum(xp.where(leading, xp.zeros_like(e), e), -1)[..., None]
    total = xp.where(largest == -xp.inf, xp.ones_like(rest), 1 + rest)
    return (largest[..., 0], xp.log1p(rest)[..., 0]), e / total, exclusive_sum(e, xp) / total


def softmax_log_odds(logits, targets, xp):
    """Hard targets: ``m`` (n,), ``r`` and ``1 - r`` (n, K) for the class ids ``targets`` (n,)."""
    true = one_hot(targets, logits, xp)
    (largest, log_rest), r, rest = softmax_of_others(logits, true, xp)
    own = xp.sum(xp.where(true, logits, xp.zeros_like(logits)), -1)
    return log_odds(own, largest, log_rest, xp), r, rest


def log_odds(own, largest, log_rest, xp, scale=1):
    """``scale (own - largest) - log_rest``: the difference of the logits first, which is often exact.

    A class at -inf has no odds whatever the others are, unless there are no others at all; +inf is an
    error of the model, and NaN as in logsumexp.
    """
    difference = xp.where(own == xp.inf, xp.full_like(own, xp.nan), own - largest)
    difference = xp.where((own == -xp.inf) & (largest > -xp.inf), xp.full_like(own, -xp.inf), difference)
    return difference * scale - log_rest


def softmax_log_odds_all(logits, xp):
    """Soft targets: ``m_k`` of every class (n, K), and what the way back needs.

    Only the leading class b can have p_b > 1/2. Its odds, and r of the others given b, are summed
    without it; for every other class 1 - p_k >= 1/2 and subtracting its share from the sum is safe.
    """
    leading = one_hot(xp.argmax(logits, -1), logits, xp)
    (largest, log_rest), r, rest = softmax_of_others(logits, leading, xp)
    top = xp.max(logits, -1)
    m_leading = log_odds(top, largest, log_rest, xp)
    e = xp.exp(logits - top[..., None])
    m = log_odds(logits, top[..., None], xp.log(exclusive_sum(e, xp)), xp)
    m = xp.where(leading, m_leading[..., None], m)
    return m, leading, r, rest


def softmax_gradient(d1, true, r, xp):
    """Gradient in the logits (n, K) from ``d1`` (n,), the one-hot ``true`` and ``r``."""
    return xp.where(true, d1[..., None], -d1[..., None] * r)


def softmax_hessian(d1, d2, true, r, rest, xp):
    """Diagonal of the Hessian in the logits (n, K)."""
    d1, d2 = d1[..., None], d2[..., None]
    return xp.where(true, d2, d2 * r * r - d1 * r * rest)


def softmax_gradient_soft(d1, p, q, leading, r, xp):
    """Gradient for targets spread over classes; ``d1`` (n, K) holds each class's weighted d1.

    grad_j = d1_j - sum_{k != j} d1_k p_j / q_k; the leading class's p_j / q_b is r_j.
    """
    zero = xp.zeros_like(d1)
    pull = xp.where(leading, zero, -d1 / xp.where(leading, xp.ones_like(q), q))
    return d1 + p * exclusive_sum(pull, xp) - xp.where(leading, zero, entry(leading, d1, xp) * r)


def softmax_hessian_soft(d1, d2, p, q, leading, r, rest, xp):
    """Diagonal of the Hessian for targets spread over classes.

    hess_j = d2_j + sum_{k != j} (d2_k r_kj^2 - d1_k r_kj (1 - r_kj)) with r_kj = p_j / q_k,
    and for the leading class r_bj = r_j. r_kb tends to 1 as the leading class takes all, and there
    1 - r_kb = q_b (1 - r_k) / q_k is used; any other r_kj is at most 1/2.
    """
    zero, one = xp.zeros_like(d1), xp.ones_like(d1)
    safe_q = xp.where(leading, one, q)
    first = xp.where(leading, zero, -d1 / safe_q)
    second = xp.where(leading, zero, (d1 + d2) / (safe_q * safe_q))
    second = xp.sum(second, -1)[..., None] - second
    from_leading = entry(leading, d2, xp) * r * r - entry(leading, d1, xp) * r * rest
    p_b, q_b = entry(leading, p, xp), entry(leading, q, xp)
    to_leading = xp.where(leading, zero, (d2 * p_b - d1 * q_b * rest) * p_b / (safe_q * safe_q))
    to_leading = xp.sum(to_leading, -1)[..., None]
    return d2 + xp.where(leading, to_leading, p * exclusive_sum(first, xp) + p * p * second + from_leading)
