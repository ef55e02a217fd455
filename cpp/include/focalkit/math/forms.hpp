// The neighbours of the focal loss, line for line and name for name as src/focalkit/_core/forms.py.
//
//     poly      q^g (nll + e q)
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

/// The negatives of the asymmetric loss at what ``probabilities`` found; ``gamma`` and ``number`` > 0 are single
/// numbers.
template <int order, class V, class T>
FOCALKIT_INLINE Slopes<V> clipped(const Probabilities<V>& at, T gamma, int whole, T number) {
    const auto there = at.q > constant<V>(number);
    const V v = where(there, at.q - number, where(at.q == at.q, V{}, at.q));  // what is not a number stays so
    const auto small = v < constant<V>(T(0.5));
    const V u = where(small, T(1) - v, at.p + number);
    const V safe = where(there, v, constant<V>(T(1)));
    const V beyond = where(small, (T(1) - u) - v, V{});  // of 1 - v
    const V inverse = T(1) / u;
    const V n = -(log_nonnegative(u) + beyond * inverse);
    if (order < 2 && whole > 0) {  // without a division by v
        const V less = whole_power(v, whole - 1), w = less * v;
        Slopes<V> f{where(there, w * n, where(v == v, V{}, v))};
        if constexpr (order > 0)
            f.d1 = -where(there, at.p * at.q * (gamma * n * less + w * inverse), where(v == v, V{}, v));
        return f;
    }
    const V w = power_of(v, gamma, whole);
    Slopes<V> f{where(there, w * n, where(v == v, V{}, v))};
    if constexpr (order > 0) {
        const V t = n / safe;
        const V pq = at.p * at.q, slope = gamma * t + inverse;
        f.d1 = -where(there, pq * w * slope, where(v == v, V{}, v));
        if constexpr (order > 1) {
            const V bend = gamma * ((gamma - T(1)) * t + T(2) * inverse) / safe + inverse * inverse;
            f.d2 = where(there, pq * w * (pq * bend - (at.q - at.p) * slope), where(v == v, V{}, v));
        }
    }
    return f;
}

template <Form form, Power power, int order, class V>
FOCALKIT_INLINE Slopes<V> slopes(const Probabilities<V>& at, V gamma, V number) {
    using T = typename Lane<V>::type;
    Slopes<V> f;
    if constexpr (form == Form::poly) {
        const V w = modulation<power>(at, gamma);
        f.loss = w * (at.nll + number * at.q);
        const V e = number * (gamma + T(1));
        if constexpr (order > 0) f.d1 = -w * (at.q + gamma * product_p_nll(at.p, at.nll) + rounded<V>(e * at.p) * at.q);
        if constexpr (order > 1) f.d2 = d2(at, w, gamma) + w * (e * at.p) * (at.q * ((gamma + T(1)) * at.p - at.q));
    } else if constexpr (form == Form::dft) {
        const V product = product_p_nll(at.p, at.nll), rest = T(1) - number;
        const V s = rest + number * at.p;
        f.loss = where(rest == V{}, V{}, rest * at.nll) + number * product;
        if constexpr (order > 0) f.d1 = -s * at.q;
        if constexpr (order > 1) f.d2 = s * (at.p * at.q);
    } else if constexpr (form == Form::gce) {
        const V exponent = -number * at.nll;
        const ExpAndLess<V> w = exp_and_less_one<V>(exponent);
        f.loss = w.less_one * (T(-1) / number);
        if constexpr (order > 0) f.d1 = -w.exp * at.q;
        if constexpr (order > 1) f.d2 = w.exp * at.q * (at.p - number * at.q);
    } else {
        const V w = modulation<power>(at, gamma);
        f.loss = loss(at, w);
        if constexpr (order > 0) f.d1 = d1<power>(at, w, gamma);
        if constexpr (order > 1) f.d2 = d2(at, w, gamma);
    }
    return f;
}

/// Loss and derivatives at log-odds ``m``.
template <Form form, Power power, int order, class V>
FOCALKIT_INLINE Slopes<V> slopes_at(V m, V gamma, V number) {
    using T = typename Lane<V>::type;
    if constexpr (form == Form::star) {
        // what rounding takes from g m + b is carried on: sigma of a large number has as many false digits as that
        const V product = rounded<V>(gamma * m), x = product + number, back = x - product;
        const V low = ((product - (x - back)) + (number - back)) + product_error<V>(gamma, m, product);
        const Probabilities<V> at = probabilities<V>(x, low);
        Slopes<V> f{at.nll * (T(1) / gamma)};
        if constexpr (order > 0) f.d1 = -at.q;
        if constexpr (order > 1) f.d2 = gamma * (at.p * at.q);
        return f;
    } else {
        return slopes<form, power, order>(probabilities(m), gamma, number);
    }
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
        const Slopes<V> negative = slopes<Form::focal, Power::any, order>(opposite(at, z), constant<V>(gamma), V{});
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

/// One side of the asymmetric loss: its negatives, with or without a margin of probability, or its positives.
template <int order, class V, class T>
FOCALKIT_INLINE Slopes<V> one_side(const Probabilities<V>& at, T gamma, int whole, T number) {
    if (number == 0) {
        const V exponent = constant<V>(gamma);
        const V w = whole >= 0 ? whole_power(at.q, whole) : modulation<Power::any>(at, exponent);
        Slopes<V> f{loss(at, w)};
        if constexpr (order > 0) f.d1 = d1<Power::any>(at, w, exponent);
        if constexpr (order > 1) f.d2 = d2(at, w, exponent);
        return f;
    }
    return clipped<order>(at, gamma, whole, number);
}

/// The margin of probability c of the asymmetric loss, 0 or normal, and the log-odds ``edge`` + ``edge_low`` where q =
/// c.
template <class T>
struct Clip {
    T number, edge, edge_low, near, odds;

    explicit Clip(const Job& job)
        : number(static_cast<T>(job.form_number)),
          edge(static_cast<T>(job.form_edge)),
          edge_low(static_cast<T>((job.form_edge - static_cast<double>(edge)) + job.form_edge_low)),
          near(edge > 0 ? T(0.5) * edge : infinity<T>()),
          odds(static_cast<T>(job.form_number / (1 - job.form_number))) {}
};

/// The asymmetric loss of 0/1 targets with ``whole`` gammas, both sides in one pass.
///
/// With a margin, v = max(q - c, 0) and 1 - v = p + c; a positive is what a negative would be at c = 0. One logarithm
/// serves both sides: that of 1 - v, or of 1 + e. Near its edge v is c p (exp(edge - m) - 1), which subtracts nothing.
template <int order, class V, class M, class T>
FOCALKIT_INLINE Slopes<V> asymmetric(V m, M is_negative, int whole_positive, int whole_negative, const Clip<T>& clip) {
    const V one = constant<V>(T(1));
    const V gamma = where(is_negative, constant<V>(T(whole_negative)), constant<V>(T(whole_positive)));
    if (clip.number == 0) {
        const Probabilities<V> at = probabilities(m);
        const V w = where(is_negative, whole_power(at.q, whole_negative), whole_power(at.q, whole_positive));
        Slopes<V> f{loss(at, w)};
        if constexpr (order > 0) f.d1 = d1<Power::any>(at, w, gamma);
        return f;
    }
    const auto near = is_negative & (m > constant<V>(clip.near));
    const ExpAndLess<V> from = exp_and_less_one<V>(where(near, (clip.edge - m) + clip.edge_low, -absolute(m)));
    const V e = where(near, from.exp * clip.odds, from.exp);
    const V sum = T(1) + e, larger = T(1) / sum, smaller = e * larger;
    const auto unlikely = m < V{};
    const V p = where(unlikely, smaller, larger), q = where(unlikely, larger, smaller);
    const V c = where(is_negative, constant<V>(clip.number), V{});
    const V v = maximum(V{}, V(where(near, c * p * from.less_one, q - c)));  // in this order NaN stays NaN
    const V rest = where(v < constant<V>(T(0.5)), T(1) - v, p + c);
    const V log = log_of_one_and<V>(where(is_negative, -v, e), where(is_negative, rest, sum));
    const V n = where(is_negative, (v - v) - log, maximum(V{}, V(-m)) + log);
    const auto power_less_one = [&](int whole) { return whole > 0 ? whole_power(v, whole - 1) : V{}; };
    const V less = where(is_negative, power_less_one(whole_negative), power_less_one(whole_positive));
    V w = less * v;
    if (whole_positive == 0) w = where(is_negative, w, one);
    if (whole_negative == 0) w = where(is_negative, one, w);
    Slopes<V> f{w * n};
    if constexpr (order > 0) {
        const V ratio = where(is_negative, p / rest, one);  // of p to 1 - v
        f.d1 = -q * (gamma * less * product_p_nll(p, n) + w * ratio);
        if (whole_negative == 0) f.d1 = where(v == V{}, v, f.d1);
    }
    return f;
}

}  // namespace focalkit::FOCALKIT_ISA
