// The neighbours of the focal loss, line for line and name for name as src/focalkit/_core/forms.py.
//
//     poly      q^g (nll + e q), which is q^g ((nll - q) + (1 + e) q): nothing cancels where e nears -1
//     star      -log sigma(g m + b) / g
//     dft       ((1 - l) + l p) nll, p not differentiated
//     gce       (1 - p^k) / k
//     clipped   v^g (-log(1 - v)), v = max(q - c, 0)
//     quality   |y - p|^g (y nll(z) + (1 - y) nll(-z)): of the logit and a soft target
#pragma once
#include "focalkit/math/definition.hpp"

namespace focalkit::FOCALKIT_ISA {

/// A loss and its derivatives at some log-odds, as many as ``order`` asks for.
template <class V>
struct Slopes {
    V loss, d1{}, d2{};
};

/// ``x^n`` for x in [0, 1] and a ``whole`` n of at most 8, the same in all lanes.
template <class V>
FOCALKIT_INLINE V whole_power(V x, int whole) {
    using T = typename Lane<V>::type;
    V w = whole & 1 ? x : constant<V>(T(1));
    if (whole < 2) return w;
    const V square = x * x, fourth = square * square;
    if (whole & 2) w = w * square;
    if (whole & 4) w = w * fourth;
    return whole & 8 ? V(fourth * fourth) : w;
}

/// ``x^exponent`` for x in [0, 1], 1 where the exponent is 0.
template <class V>
FOCALKIT_INLINE V any_power(V x, V exponent) {
    using T = typename Lane<V>::type;
    const V raised = exp_nonpositive<V>(exponent * minimum(V{}, log_nonnegative(x)));
    return where(exponent == V{}, constant<V>(T(1)), where(x == V{}, V{}, raised));
}

/// -1, or the exponent where it is a small integer.
template <class T>
FOCALKIT_INLINE int whole_of(T exponent) {
    return exponent <= T(8) && exponent == static_cast<T>(static_cast<int>(exponent)) ? static_cast<int>(exponent) : -1;
}

template <class V, class T>
FOCALKIT_INLINE V power_of(V x, T exponent, int whole) {
    return whole >= 0 ? whole_power(x, whole) : any_power(x, constant<V>(exponent));
}

/// The gammas of positives and negatives, where a form has one for each. For 0/1 targets the varifocal loss is such a
/// form: cross-entropy on positives.
template <class T>
struct Sides {
    T positive, negative;
    int whole_positive, whole_negative;

    Sides(const Job& job, T gamma)
        : positive(job.form == Form::varifocal ? T(0) : gamma),
          negative(job.form == Form::varifocal ? gamma : static_cast<T>(job.form_gamma)),
          whole_positive(whole_of(positive)),
          whole_negative(whole_of(negative)) {}
    bool whole() const { return whole_positive >= 0 && whole_negative >= 0; }
};

/// The margin of probability c of the asymmetric loss, and the log-odds where q = c in three parts, the first of which
/// has few digits; ``top`` is a little above. A margin below every probability that matters is none.
template <class T>
struct Clip {
    static constexpr T least = sizeof(T) == 4 ? T(1e-30) : T(1e-290);
    T number, over_rest, over_number, edge, high, middle, low, top;

    explicit Clip(const Job& job) : number(static_cast<T>(job.form_number)) {
        if (number < least) number = 0;
        over_rest = static_cast<T>(1 / (1 - job.form_number));
        over_number = static_cast<T>(1 / job.form_number);
        const double grid = sizeof(T) == 4 ? 0x1p9 : 0x1p32;  // that of ln 2 in exp_remainder
        const double coarse = static_cast<double>(static_cast<std::int64_t>(job.form_edge * grid)) / grid;
        const double fine = job.form_edge - coarse;
        edge = static_cast<T>(job.form_edge), high = static_cast<T>(coarse), middle = static_cast<T>(fine);
        low = static_cast<T>((fine - static_cast<double>(middle)) + job.form_edge_low);
        top = edge + absolute(edge) * (sizeof(T) == 4 ? T(0x1p-23) : T(0x1p-52));  // not below the edge
    }
};

/// ``x^exponent`` for a normal x in (0, 1] and an exponent > 0, the logarithm and its product carried to more digits.
template <class V>
FOCALKIT_INLINE V exact_power(V x, V exponent) {
    using T = typename Lane<V>::type;
    const LogParts<V> parts(x, constant<V>(LogParts<V>::bias));
    const T high = sizeof(T) == 4 ? T(0.693359375) : T(6.93147180369123816490e-01);
    const T low = sizeof(T) == 4 ? T(2.12194440e-4) : T(-1.90821492927058770002e-10);
    const V whole = parts.k * high, rest = log_near_one<V>(parts.t) - parts.k * low;
    const V log = minimum(V{}, V(whole + rest)), log_low = (whole - log) + rest;
    const V product = rounded<V>(exponent * log);
    return exp_nonpositive<V>(product, product_error<V>(exponent, log, product) + exponent * log_low) + (x - x);
}

/// e = exp(m - edge) at m = -z, which is not to be above 1 by more than rounding, and e - 1. m - edge is not rounded.
template <class V, class T>
FOCALKIT_INLINE ExpAndLess<V> from_edge(V z, const Clip<T>& clip) {
    const T most = (sizeof(T) == 4 ? T(104) : T(746)) - clip.edge;
    const V at = minimum(constant<V>(most), z);  // in this order NaN stays NaN
    const V shifted = exp_shifted<V>(-clip.edge - at);
    const V r = exp_remainder<V>(at, shifted, clip.high, clip.middle, clip.low);
    const V more = exp_less_one(r), power = scale_by_power(constant<V>(T(1)), shifted);
    return {power + power * more, (power - T(1)) + power * more};
}

/// A negative of the asymmetric loss with a margin: v = max(q - c, 0) and u = 1 - v = p + c. Multiplied, ``pq`` makes
/// first derivatives so.
template <class V>
struct BeyondMargin {
    V v, u, pq, p_less_q;
};

/// With e = exp(m - edge) and d = 1 / (1 - c) + e / c: v = (1 - e) / d, p = e / (c d) and q = 1 / ((1 - c) d). Nothing
/// is subtracted but e from 1, which ``from_edge`` does.
template <class V, class T>
FOCALKIT_INLINE BeyondMargin<V> beyond_margin(const ExpAndLess<V>& e, const Clip<T>& clip, T multiply = 1) {
    const V odd = clip.over_number * rounded<V>(e.exp);  // apart from that in d, which a fused sum does not round
    const V inverse = quotient(constant<V>(T(1)), V(clip.over_number * e.exp + clip.over_rest));
    const V p = odd * inverse, q = (multiply * clip.over_rest) * inverse;
    return {maximum(V{}, V(-e.less_one * inverse)), p + clip.number, p * q, p - q};
}

/// v^g (-log u) and its derivatives in m.
template <int order, class V, class T>
FOCALKIT_INLINE Slopes<V> clipped(const BeyondMargin<V>& at, T gamma, int whole) {
    const V v = at.v;
    V n = minus_log_of_rest(v, at.u);
    if (whole <= 0) n = n + (v - v);  // what is not a number stays so
    if (order < 2 && whole > 0) {     // without a division by v
        const V less = whole_power(v, whole - 1);
        Slopes<V> f{less * v * n};
        if constexpr (order > 0) f.d1 = -at.pq * (gamma * n + quotient(v, at.u)) * less;
        return f;
    }
    const auto nothing = v == V{};
    const V safe = where(nothing, constant<V>(T(1)), v);  // n is 0 there
    const V w = whole >= 0 ? whole_power(v, whole) : exact_power<V>(safe, constant<V>(gamma));
    const V less = whole > 0 ? whole_power(v, whole - 1) : V(w / safe);
    Slopes<V> f{w * n};
    if constexpr (order > 0) {
        const V inverse = T(1) / at.u, slope = gamma * n + v * inverse;
        f.d1 = where(nothing, V{}, -(at.pq * less * slope));
        if constexpr (order > 1) {
            const V bend = gamma * ((gamma - T(1)) * (n / safe) + T(2) * inverse) + v * inverse * inverse;
            f.d2 = where(nothing, V{}, at.pq * less * (at.pq * bend + at.p_less_q * slope));
        }
    }
    return f;
}

template <int order, class V, class T>
FOCALKIT_INLINE Slopes<V> clipped(V m, T gamma, int whole, const Clip<T>& clip) {
    const V z = maximum(constant<V>(-clip.top), V(-m));  // in this order NaN stays NaN
    return clipped<order>(beyond_margin(from_edge(z, clip), clip), gamma, whole);
}

/// ``nll - q`` at log-odds ``m``, to a few ulp even where it is q^2 / 2.
template <class V>
FOCALKIT_INLINE V excess(const Probabilities<V>& at, V m) {
    const V likely = log1p_less_share<V>(at.e, at.smaller);
    return where(m < V{}, likely + (absolute(m) - (at.q - at.p)), likely);
}

/// The form's own parameter as ``slopes`` takes it: of poly 1 more.
template <class T>
FOCALKIT_INLINE T form_number(const Job& job) {
    return static_cast<T>(job.form == Form::poly ? 1 + job.form_number : job.form_number);
}

/// Generalised cross-entropy by p^k, less 1 too, which is exp of k log p; without the second derivative.
template <class V>
FOCALKIT_INLINE V gce_exponent(const Probabilities<V>& at, V number) {
    return -number * at.nll;
}
template <int order, class V>
FOCALKIT_INLINE Slopes<V> gce(const ExpAndLess<V>& w, V q, V number) {
    using T = typename Lane<V>::type;
    Slopes<V> f{w.less_one * (T(-1) / number)};
    if constexpr (order > 0) f.d1 = -w.exp * q;
    return f;
}

template <Form form, Power power, int order, class V>
FOCALKIT_INLINE Slopes<V> slopes(const Probabilities<V>& at, V m, V gamma, V number) {
    using T = typename Lane<V>::type;
    Slopes<V> f;
    if constexpr (form == Form::poly) {
        const V square = rounded<V>(at.q * at.q), k = gamma + T(1);
        const V w = power == Power::two ? square : modulation<power>(at, gamma);
        const V over = excess(at, m), finite = minimum(largest_finite<V>(), over);
        f.loss = w * (over + number * at.q);
        if constexpr (order > 0)
            f.d1 = -w * (square + at.p * ((number * k) * at.q) + gamma * rounded<V>(at.p * finite));
        if constexpr (order > 1) {
            const V first = (at.p * (k * at.q)) * ((T(2) - number) * at.q + (number * k) * at.p);
            f.d2 = w *
                   minimum(largest_finite<V>(), V(first + gamma * (rounded<V>(at.p * finite) * (gamma * at.p - at.q))));
        }
    } else if constexpr (form == Form::dft) {
        const V product = product_p_nll(at.p, at.nll), rest = T(1) - number;
        const V s = rest + number * at.p;
        f.loss = where(rest == V{}, V{}, rest * at.nll) + number * product;
        if constexpr (order > 0) f.d1 = -s * at.q;
        if constexpr (order > 1) f.d2 = s * (at.p * at.q);
    } else if constexpr (form == Form::gce) {
        const ExpAndLess<V> w = exp_and_less_one<V>(gce_exponent(at, number));
        f = gce<order>(w, at.q, number);
        if constexpr (order > 1) f.d2 = w.exp * at.q * (at.p - number * at.q);
    } else {
        const V w = modulation<power>(at, gamma);
        f.loss = loss(at, w);
        if constexpr (order > 0) f.d1 = d1<power>(at, w, gamma);
        if constexpr (order > 1) f.d2 = d2(at, w, gamma);
    }
    return f;
}

/// The log-odds g m + b of star, and what rounding took from it: sigma of a large number has as many false digits as
/// that.
template <class V>
struct WithLow {
    V high, low;
};
template <class V>
FOCALKIT_INLINE WithLow<V> star_log_odds(V m, V gamma, V number) {
    const V product = rounded<V>(gamma * m), x = product + number, back = x - product;
    return {x, ((product - (x - back)) + (number - back)) + product_error<V>(gamma, m, product)};
}

/// The exponential with which ``slopes_at`` begins.
template <Form form, class V>
FOCALKIT_INLINE V decay_at(V m, V gamma, V number) {
    if constexpr (form == Form::star) {
        const WithLow<V> x = star_log_odds(m, gamma, number);
        return decay(x.high, x.low);
    } else {
        return decay(m);
    }
}

/// Loss and derivatives at log-odds ``m``; ``e`` is ``decay_at`` it.
template <Form form, Power power, int order, class V>
FOCALKIT_INLINE Slopes<V> slopes_at(V m, V gamma, V number, V e) {
    using T = typename Lane<V>::type;
    if constexpr (form == Form::star) {
        const Probabilities<V> at = probabilities(star_log_odds(m, gamma, number).high, e);
        Slopes<V> f{at.nll * (T(1) / gamma)};
        if constexpr (order > 0) f.d1 = -at.q;
        if constexpr (order > 1) f.d2 = gamma * (at.p * at.q);
        return f;
    } else {
        return slopes<form, power, order>(probabilities(m, e), m, gamma, number);
    }
}
template <Form form, Power power, int order, class V>
FOCALKIT_INLINE Slopes<V> slopes_at(V m, V gamma, V number) {
    return slopes_at<form, power, order>(m, gamma, number, decay_at<form>(m, gamma, number));
}

/// Quality and varifocal loss at the logit ``z``, of a target y and 1 - y; in the logit.
template <Form form, int order, class V, class T>
FOCALKIT_INLINE Slopes<V> soft_slopes(V z, V y, V rest, T gamma, int whole) {
    const Probabilities<V> at = probabilities(z);
    const V entropy = weighted(y, at.nll) + weighted(rest, at.nll_other);
    const V s = where(y == V{}, at.p, where(rest == V{}, -at.q, at.p - y));  // p - y
    Slopes<V> f;
    if constexpr (form == Form::varifocal) {
        const auto none = y == V{};
        const V weight = where(none, V{}, y);
        f.loss = weighted(weight, entropy);
        f.d1 = weight * s, f.d2 = weight * (at.p * at.q);
        const Slopes<V> negative = slopes<Form::focal, Power::any, order>(opposite(at, z), -z, constant<V>(gamma), V{});
        f.loss = where(none, negative.loss, f.loss);
        f.d1 = where(none, -negative.d1, f.d1), f.d2 = where(none, negative.d2, f.d2);
        return f;
    } else {
        const V size = absolute(s), pq = at.p * at.q;
        const V w = power_of(size, gamma, whole);
        f.loss = weighted(w, entropy);
        if constexpr (order > 0) {
            // |s|^(g - 1) pq entropy: the share of s in pq is bounded where s is 0 or 1 - s is
            const V safe = where(size == V{}, constant<V>(T(1)), size);
            const V finite = minimum(largest_finite<V>(), entropy);  // of an infinite logit it is not, and pq is 0
            const V pull = gamma * (pq / safe) * finite;
            const V slope = size + where(size == V{}, V{}, pull);
            f.d1 = w * where(s < V{}, -slope, slope);
            if constexpr (order > 1) {
                const V bend = gamma * (gamma - T(1)) * (pq / safe) * (pq / safe) * finite;
                const V turn = gamma * (pq / safe) * where(s < V{}, -(at.q - at.p), at.q - at.p) * finite;
                const V inner = where(size == V{}, V{}, bend + turn);
                f.d2 = w * (inner + T(2) * gamma * pq + pq);
            }
        }
        return f;
    }
}

/// One side of the asymmetric loss without a margin.
template <int order, class V, class T>
FOCALKIT_INLINE Slopes<V> one_side(const Probabilities<V>& at, T gamma, int whole) {
    const V exponent = constant<V>(gamma);
    const V w = whole >= 0 ? whole_power(at.q, whole) : modulation<Power::any>(at, exponent);
    Slopes<V> f{loss(at, w)};
    if constexpr (order > 0) f.d1 = d1<Power::any>(at, w, exponent);
    if constexpr (order > 1) f.d2 = d2(at, w, exponent);
    return f;
}

/// The asymmetric loss of 0/1 targets at log-odds ``m``; of ``whole`` gammas without a margin by products alone.
template <bool whole, int order, class V, class M, class T>
FOCALKIT_INLINE Slopes<V> asymmetric(V m, V e, M is_negative, const Sides<T>& sides, const Clip<T>& clip) {
    const Probabilities<V> at = probabilities(m, e);
    if constexpr (whole) {
        const V gamma = where(is_negative, constant<V>(sides.negative), constant<V>(sides.positive));
        const V w =
            where(is_negative, whole_power(at.q, sides.whole_negative), whole_power(at.q, sides.whole_positive));
        Slopes<V> f{loss(at, w)};
        if constexpr (order > 0) f.d1 = d1<Power::any>(at, w, gamma);
        return f;
    } else {
        const Slopes<V> f = one_side<order>(at, sides.positive, sides.whole_positive);
        const Slopes<V> g = clip.number == 0 ? one_side<order>(at, sides.negative, sides.whole_negative)
                                             : clipped<order>(m, sides.negative, sides.whole_negative, clip);
        return {where(is_negative, g.loss, f.loss), where(is_negative, g.d1, f.d1), where(is_negative, g.d2, f.d2)};
    }
}

}  // namespace focalkit::FOCALKIT_ISA
