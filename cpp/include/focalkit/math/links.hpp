// Logits to the log-odds of the true class and derivatives back, named as in src/focalkit/_core/links.py.
//
// softmax link: m_k = z_k - logsumexp(z_j, j != k), so that p_k = sigma(m_k) exactly, and with
// r = softmax over the other classes (r_k = 0):
//
//     grad_k = d1      grad_j = -d1 r_j
//     hess_k = d2      hess_j =  d2 r_j^2 - d1 r_j (1 - r_j)
//
// Here r_j = e_j / total with e_j = exp(z_j - largest). A lane is a row.
#pragma once
#include "focalkit/math/definition.hpp"

namespace focalkit::FOCALKIT_ISA {

/// ``true_logit - (largest + log total)``: the difference of the logits first, which is often exact.
///
/// A logit of +inf is an overflow somewhere, and makes its row NaN wherever it stands.
template <class V>
FOCALKIT_INLINE V log_odds(V true_logit, V largest, V total) {
    return where(true_logit == infinity<V>(), true_logit - true_logit, (true_logit - largest) - log_nonnegative(total));
}

/// The same of logits that are scaled, the true one of which is shifted.
template <class V>
FOCALKIT_INLINE V log_odds(V true_logit, V largest, V total, V scale, V shift) {
    const V distance = (true_logit - largest) * scale + shift;
    return where(true_logit == infinity<V>(), true_logit - true_logit, distance - log_nonnegative(total));
}

/// A running sum of e_j that can tell, without cancelling, the sum of all but any one of them.
///
/// ``total - e_j`` loses its digits only where e_j is more than half of the total, and only the
/// largest, e_j = 1, can be: that one's others are ``rest`` itself.
template <class V>
struct ExclusiveSum {
    V below{}, largest_ones{};

    FOCALKIT_INLINE void add(V e, V largest) {
        const auto leads = e == largest;
        below = below + where(leads, V{}, e);
        largest_ones = largest_ones + where(leads, largest, V{});
    }
    FOCALKIT_INLINE V rest(V largest) const { return below + (largest_ones - largest); }
};

template <class V>
FOCALKIT_INLINE V all_but(V e, V largest, V rest) {
    const V others = rest - e;
    return where(e == largest, rest, largest + where(others > V{}, others, where(others == others, V{}, others)));
}

/// -d1 / total, by which each e_j gives its gradient; without other classes there is none.
template <class V>
FOCALKIT_INLINE V pull_back(V d1, V total) {
    return where(total == V{}, where(d1 == d1, V{}, d1), -d1 / total);
}

template <class V>
FOCALKIT_INLINE V softmax_gradient(V e, V pull) {
    return e * pull;
}

/// ``r_rest`` is 1 - r_j.
template <class V>
FOCALKIT_INLINE V softmax_hessian(V d1, V d2, V r, V r_rest) {
    return d2 * r * r - d1 * r * r_rest;
}

}  // namespace focalkit::FOCALKIT_ISA
