// The neighbours of the focal loss, line for line and name for name as src/focalkit/_core/forms.py.
//
//     poly      q^g (nll + e q), which is q^g ((nll - q) + (1 + e) q): nothing cancels where e nears -1; as ``raised``,
//               which is for e >= 0, as it stands
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
    static constexpr T least = sizeof(T) == 4 ? T(1e-18) : T(1e-150);
    static constexpr T most = sizeof(T) == 4 ? T(104) : T(746);           // e to that is beyond all numbers
    T number, rest, over_rest, odds, rise, edge, high, middle, low, top;  // rest is 1 - c

    explicit Clip(const Job& job) : number(static_cast<T>(job.form_number)) {
        const double c = job.form_number;
        if (number < least) number = 0;
        rest = static_cast<T>(1 - c), over_rest = static_cast<T>(1 / (1 - c));
        odds = static_cast<T>(c / (1 - c)), rise = static_cast<T>(c * (1 - c));
        const auto whole = [](double x) { return static_cast<double>(static_cast<std::int64_t>(x)); };
        // the grids of ln 2 in exp_remainder, and of logits: sums of these are not rounded where they are small
        const double grid = sizeof(T) == 4 ? 0x1p9 : 0x1p32, fine_grid = sizeof(T) == 4 ? 0x1p24 : 0x1p53;
        const double coarse = whole(job.form_edge * grid) / grid;
        const double fine = whole((job.form_edge - coarse) * fine_grid) / fine_grid;
        edge = static_cast<T>(job.form_edge), high = static_cast<T>(coarse), middle = static_cast<T>(fine);
        low = static_cast<T>(((job.form_edge - coarse) - fine) + job.form_edge_low);
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

/// What a negative's logit z, not below -top, lies above the edge where q = c: d = r - n ln 2, from which rounding
/// takes nothing. For float r is in [0, ln 2].
template <class V>
struct Steps {
    V n, r;
};
template <class V, class T>
FOCALKIT_INLINE Steps<V> steps_from_edge(V z, const Clip<T>& clip) {
    const V at = minimum(constant<V>(Clip<T>::most - clip.edge), z);  // NaN stays NaN
    const T half_step = sizeof(T) == 4 ? T(0.34657359) : T(0);
    const V shifted = exp_shifted(V((half_step - clip.edge) - at));
    const V n = shifted - (sizeof(T) == 4 ? T(12582912.0) : T(6755399441055744.0));
    return {n, exp_remainder(at, n, clip.high, clip.middle, clip.low)};
}

/// 2^n and G = c (1 - c) (e^d - 1), 0 below the edge, times 2^n: neither overflows.
template <class V>
struct FromEdge {
    V power, rise;
};
template <class V, class T>
FOCALKIT_INLINE FromEdge<V> from_edge(const Steps<V>& d, const Clip<T>& clip) {
    const V power = times_power(constant<V>(T(1)), d.n), more = exp_less_one_of_step(d.r);
    return {power, maximum(V{}, V((clip.rise - clip.rise * power) + clip.rise * more))};
}

/// A negative of the asymmetric loss with a margin: v = max(q - c, 0), w = v / (1 - v), p q and p - q. Multiplied,
/// ``pq`` makes first derivatives so.
template <class V>
struct BeyondMargin {
    V v, w, pq, p_less_q;
};

/// w = G / (1 + G c / (1 - c)), v = G / D of D = 1 + G / (1 - c), p = (1 - c) / D. Nothing is subtracted but 1 from
/// e^d.
template <class V, class T>
FOCALKIT_INLINE V odds_beyond_margin(const FromEdge<V>& at, const Clip<T>& clip) {
    return quotient(at.rise, V(at.power + at.rise * clip.odds));
}
template <class V, class T>
FOCALKIT_INLINE V inverse_of_margin(const FromEdge<V>& at, const Clip<T>& clip) {
    return T(1) / (at.power + at.rise * clip.over_rest);
}
template <class V, class T>
FOCALKIT_INLINE BeyondMargin<V> beyond_margin(const FromEdge<V>& at, V w, V inverse, const Clip<T>& clip,
                                              T multiply = 1) {
    const T times = multiply * clip.rest;
    const V v = at.rise * inverse, p = at.power * inverse;
    return {v, w, p * (v * times + times * clip.number), p * clip.rest - (v + clip.number)};
}

/// v^g n, n = -log(1 - v) = log(1 + w), and its derivatives in m.
template <int order, class V, class T>
FOCALKIT_INLINE Slopes<V> clipped(const BeyondMargin<V>& at, V n, T gamma, int whole) {
    const V v = at.v;
    if (whole <= 0) n = n + (v - v);  // what is not a number stays so
    const V slope = gamma * n + at.w;
    if (order < 2 && whole > 0) {  // without a division by v
        const V less = whole_power(v, whole - 1);
        Slopes<V> f{less * v * n};
        if constexpr (order > 0) f.d1 = -at.pq * slope * less;
        return f;
    }
    const auto nothing = v == V{};
    const V safe = where(nothing, constant<V>(T(1)), v);  // n is 0 there
    const V power = whole >= 0 ? whole_power(v, whole) : exact_power<V>(safe, constant<V>(gamma));
    const V less = whole > 0 ? whole_power(v, whole - 1) : V(power / safe);
    Slopes<V> f{power * n};
    if constexpr (order > 0) f.d1 = where(nothing, V{}, -(at.pq * less * slope));
    if constexpr (order > 1) {
        const V inverse = T(1) + at.w;  // of 1 - v
        const V pull = gamma * at.pq;   // first, so that no factor overflows before a smaller one has been at it
        const V bend = pull * (n / safe) * (gamma - T(1)) + pull * (T(2) * inverse) + at.pq * (at.w * inverse);
        const V curve = minimum(largest_finite<V>(), V(bend + at.p_less_q * slope));
        f.d2 = where(nothing, V{}, at.pq * less * curve);
    }
    return f;
}
template <int order, class V, class T>
FOCALKIT_INLINE Slopes<V> clipped(V m, T gamma, int whole, const Clip<T>& clip) {
    const V z = maximum(constant<V>(-clip.top), V(-m));  // in this order NaN stays NaN
    const FromEdge<V> at = from_edge(steps_from_edge(z, clip), clip);
    const V w = odds_beyond_margin(at, clip);
    return clipped<order>(beyond_margin(at, w, inverse_of_margin(at, clip), clip), log1p_nonnegative(w), gamma, whole);
}

/// ``nll - q`` at log-odds ``m``, to a few ulp even where it is q^2 / 2.
template <class V>
FOCALKIT_INLINE V excess(const Probabilities<V>& at, V m) {
    const V likely = log1p_less_share<V>(at.e, at.smaller);
    return where(m < V{}, likely + (absolute(m) - (at.q - at.p)), likely);
}

/// The form's own parameter as ``slopes`` takes it, before it is rounded: of poly 1 more, of dft what is left of 1.
template <class T>
FOCALKIT_INLINE T form_number(const Job& job) {
    const double number = job.form_number;
    return static_cast<T>(job.form == Form::poly ? 1 + number : job.form == Form::dft ? 1 - number : number);
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
        const V over = excess(at, m), p_over = rounded<V>(at.p * minimum(largest_finite<V>(), over));
        f.loss = w * (over + number * at.q);
        if constexpr (order > 0) f.d1 = -w * (square + at.p * ((number * k) * at.q) + gamma * p_over);
        if constexpr (order > 1) {
            const V first = (at.p * (k * at.q)) * ((T(2) - number) * at.q + (number * k) * at.p);
            f.d2 = w * minimum(largest_finite<V>(), V(first + gamma * (p_over * (gamma * at.p - at.q))));
        }
    } else if constexpr (form == Form::raised) {
        const V w = modulation<power>(at, gamma), p_nll = rounded<V>(product_p_nll(at.p, at.nll));
        const V k = gamma + T(1), more = rounded<V>(number * k) * at.p;
        f.loss = w * (at.nll + number * at.q);
        if constexpr (order > 0) f.d1 = -w * (at.q * (T(1) + more) + gamma * p_nll);
        if constexpr (order > 1) {
            const V first = at.p * (T(0.5) + gamma) * (T(2) * at.q) + at.q * (rounded<V>(more) * (k * at.p - at.q));
            f.d2 = w * minimum(largest_finite<V>(), V(first + gamma * (p_nll * (gamma * at.p - at.q))));
        }
    } else if constexpr (form == Form::dft) {
        const V product = product_p_nll(at.p, at.nll), held = T(1) - number;
        const V s = number + held * at.p;
        f.loss = where(number == V{}, V{}, number * at.nll) + held * product;
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

/// The log-odds at which sigma is taken: g m + b of star, or m.
template <Form form, class V>
FOCALKIT_INLINE V inner_log_odds(V m, V gamma, V number) {
    if constexpr (form == Form::star) return gamma * m + number;
    else return m;
}

/// The exponential with which ``slopes_at`` begins, at ``x`` = ``inner_log_odds``. Rounding takes as many digits from
/// an exponential as x has before its point: that of star is reduced from g m and b themselves, n ln 2 away from x.
template <Form form, class V>
FOCALKIT_INLINE V decay_at(V x, V m, V gamma, V number) {
    if constexpr (form == Form::star) {
        const V shifted = exp_shifted(x);
        return exp_of_opposite_size(x, shifted, exp_remainder_of_sum(gamma, m, number, shifted));
    } else {
        return decay(x);
    }
}

/// Loss and derivatives at log-odds ``m``; ``x`` is ``inner_log_odds`` of it, and ``e`` ``decay_at`` it.
template <Form form, Power power, int order, class V>
FOCALKIT_INLINE Slopes<V> slopes_at(V m, V x, V gamma, V number, V e) {
    using T = typename Lane<V>::type;
    if constexpr (form == Form::star) {
        const Probabilities<V> at = probabilities(x, e);
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
    const V x = inner_log_odds<form>(m, gamma, number);
    return slopes_at<form, power, order, V>(m, x, gamma, number, decay_at<form>(x, m, gamma, number));
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
                const V turn = where(s < V{}, at.p - at.q, at.q - at.p);
                const V bend = gamma * (pq / safe) * finite * ((gamma - T(1)) * (pq / safe) + turn);
                const V inner = where(size == V{}, V{}, bend) + T(2) * (gamma * pq) + pq;
                f.d2 = w * minimum(largest_finite<V>(), inner);
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
