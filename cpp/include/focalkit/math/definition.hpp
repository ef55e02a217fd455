// The mathematics, line for line and name for name as src/focalkit/_core/definition.py.
//
//     loss(m) =  q^g nll                 p = sigma(m), q = sigma(-m), nll = softplus(-m) = -log p
//     d1(m)   = -q^g (q + g p nll)       d loss / dm
//     d2(m)   =  q^g p ((1 + 2g) q + g nll (g p - q))
//
// V is a scalar or a vector of float or double.
#pragma once
#include "focalkit/job.hpp"
#include "focalkit/math/vector_math.hpp"

namespace focalkit::FOCALKIT_ISA {

/// Which powers of q the whole call needs: those of gamma = 0, 1 and 2 cost no power at all, ``halves`` are products of
/// q and its square root, ``whole`` ones are small and may differ between positives and negatives, ``any`` may be 0 in
/// places.
enum class Power { zero, one, two, halves, whole, positive, any };

template <class V>
struct Probabilities {
    V p, q, nll;
    V nll_other;       // softplus(m) = -log q
    V nll_other_low;   // what rounding took from it
    V e{}, smaller{};  // exp(-|m|), and the smaller of p and q
};

/// exp(-|m|), with which ``probabilities`` begins.
template <class V>
FOCALKIT_INLINE V decay(V m) {
    return exp_nonpositive<V>(-absolute(m));
}

/// ``p``, ``q`` and ``nll`` at log-odds ``m``, each to a few ulp; ``e`` is exp(-|m|).
///
/// 1 - p is never a subtraction: with e in (0, 1], the larger of p and q is
/// 1 / (1 + e) and the smaller e / (1 + e); nll = max(-m, 0) + log1p(e) has no cancelling terms.
template <class V>
FOCALKIT_INLINE Probabilities<V> probabilities(V m, V e) {
    using T = typename Lane<V>::type;
    const V size = absolute(m);
    const V larger = T(1) / (T(1) + e);
    const V smaller = e * larger;
    const auto unlikely = m < V{};
    const V log1p_e = log1p_unit(e);
    const V sum = size + log1p_e;
    const V low = (size - sum) + log1p_e;
    Probabilities<V> at;
    at.p = where(unlikely, smaller, larger);
    at.q = where(unlikely, larger, smaller);
    at.nll = where(unlikely, sum, log1p_e);
    at.nll_other = where(unlikely, log1p_e, sum);
    at.nll_other_low = where(unlikely, V{}, low);
    at.e = e, at.smaller = smaller;
    return at;
}
template <class V>
FOCALKIT_INLINE Probabilities<V> probabilities(V m) {
    return probabilities(m, decay(m));
}

/// The same at -m.
template <class V>
FOCALKIT_INLINE Probabilities<V> opposite(const Probabilities<V>& at, V m) {
    using T = typename Lane<V>::type;
    const V low = where(m >= V{}, V{}, (-m - at.nll) + at.nll_other);
    return {at.q, at.p, at.nll_other, at.nll, T(1) * low, at.e, at.smaller};
}

/// ``q^gamma``, and 1 where gamma is 0 even at q = 0 (cross-entropy has no modulation).
///
/// A general power is exp(-gamma softplus(m)), its product carried to twice the digits.
template <Power power, class V>
FOCALKIT_INLINE V modulation(const Probabilities<V>& at, V gamma) {
    using T = typename Lane<V>::type;
    if constexpr (power == Power::zero) return constant<V>(T(1));
    if constexpr (power == Power::one) return at.q;
    if constexpr (power == Power::two) return at.q * at.q;
    if constexpr (power == Power::halves) {  // the same in all lanes, and at least 1/2
        const int twice = static_cast<int>(2 * gamma[0]);
        V w = twice % 2 ? square_root(at.q) : at.q;
        for (int more = (twice - 1) / 2; more > 0; --more) w = w * at.q;
        return w;
    }
    const V exponent = rounded<V>(gamma * at.nll_other);
    const V low = product_error<V>(gamma, at.nll_other, exponent) + gamma * at.nll_other_low;
    const V raised = exp_nonpositive<V>(-exponent, -low);
    if constexpr (power == Power::positive) return raised;
    return where(gamma == V{}, constant<V>(T(1)), raised);
}

/// ``p * nll``, and its limit 0 where p is 0 (there nll may be infinite).
template <class V>
FOCALKIT_INLINE V product_p_nll(V p, V nll) {
    return p * minimum(largest_finite<V>(), nll);
}

/// ``q^gamma nll``, in nats; ``w`` is the modulation, which is never infinite.
template <class V>
FOCALKIT_INLINE V loss(const Probabilities<V>& at, V w) {
    return w * at.nll;
}

/// First derivative in ``m``: a negative sum of positive terms, so nothing cancels.
template <Power power, class V>
FOCALKIT_INLINE V d1(const Probabilities<V>& at, V w, V gamma) {
    if constexpr (power == Power::zero) return -at.q;
    return -w * (at.q + gamma * product_p_nll(at.p, at.nll));
}

/// Second derivative in ``m``; negative where p_t < p*(gamma) <= 0.0585 (the loss is not convex there).
template <class V>
FOCALKIT_INLINE V d2(const Probabilities<V>& at, V w, V gamma) {
    using T = typename Lane<V>::type;
    const V p_nll = product_p_nll(at.p, at.nll);
    // bracketed so that it shares no product with d1, which would round differently beside it; halved and doubled, and
    // bounded, for a gamma whose square or double overflows (w is 0 there)
    const V bracket = at.p * (T(0.5) + gamma) * (T(2) * at.q) + gamma * (p_nll * (gamma * at.p - at.q));
    return w * minimum(largest_finite<V>(), bracket);
}

/// ``weight * value``, where a weight of 0 silences an infinite loss but never a NaN.
template <class V>
FOCALKIT_INLINE V weighted(V weight, V value) {
    return where((weight == V{}) & (value == infinity<V>()), V{}, weight * value);
}

/// The sum of vectors of losses. In double their rounding is carried along; floats lose nothing that shows.
struct LossSum {
    DoubleV high{}, low{};

    FOCALKIT_INLINE void add(FloatV v) { high = add_wide(high, v); }
    FOCALKIT_INLINE void add(DoubleV v) {
        const DoubleV sum = high + v, part = sum - high;
        low = low + ((high - (sum - part)) + (v - part));
        high = sum;
    }
    FOCALKIT_INLINE Sum sum() const {
        Sum all;
        for (int i = 0; i < width<double>; ++i) {
            all.add(high[i]);
            all.low += low[i];
        }
        return all;
    }
};

}  // namespace focalkit::FOCALKIT_ISA
