// exp, log and log1p on vectors or scalars, each good to about one unit in the last place.
//
// Arguments are those the definition needs: exp of what is not positive, log of what is not
// negative, log1p of [0, 1]. NaN goes through; results below the smallest normal number lose digits, not all.
#pragma once
#include "focalkit/simd/simd.hpp"

namespace focalkit::FOCALKIT_ISA {

/// y 2^n, also where that is subnormal: n is in the low bits of ``shifted``, from where a shift moves it into
/// the exponent of a number, too high at first, which a second product takes back with the right rounding.
/// (Adding n to the exponent of y itself would spare one, and turn a NaN into a number.)
template <class V>
FOCALKIT_INLINE V scale_by_power(V y, V shifted) {
    using T = typename Lane<V>::type;
    using U = typename Lane<V>::UInt;
    if constexpr (sizeof(T) == 4) {
        const V power = bits<V>(U((bits<U>(shifted) << 23) + ((127u + 64u) << 23)));
        return y * power * 0x1p-64f;
    } else {
        const V power = bits<V>(U((bits<U>(shifted) << 52) + ((1023ull + 128ull) << 52)));
        return y * power * 0x1p-128;
    }
}
/// y 2^n for a whole number n.
template <class V>
FOCALKIT_INLINE V times_power(V y, V n) {
    using T = typename Lane<V>::type;
    return scale_by_power(y, V(n + (sizeof(T) == 4 ? T(12582912.0) : T(6755399441055744.0))));
}
#if defined(FOCALKIT_AVX512)
FOCALKIT_INLINE FloatV times_power(FloatV y, FloatV n) { return (FloatV)_mm512_scalef_ps((__m512)y, (__m512)n); }
FOCALKIT_INLINE DoubleV times_power(DoubleV y, DoubleV n) { return (DoubleV)_mm512_scalef_pd((__m512d)y, (__m512d)n); }
FOCALKIT_INLINE FloatV scale_by_power(FloatV y, FloatV shifted) {
    return times_power(y, FloatV(shifted - 12582912.0f));
}
FOCALKIT_INLINE DoubleV scale_by_power(DoubleV y, DoubleV shifted) {
    return times_power(y, DoubleV(shifted - 6755399441055744.0));
}
#endif

/// exp(r) = 1 + r + r^2 P(r) for |r| <= ln2/2; P is the minimax polynomial (relative error of exp 3e-9) for float,
/// Taylor's for double. For exp(r) - 1 what is not r is added last.
template <class V>
FOCALKIT_INLINE V exp_less_one(V r) {
    using T = typename Lane<V>::type;
    const V r2 = r * r;
    if constexpr (sizeof(T) == 4) {
        const V high = 0.0416684f + r * (0.00836885f + r * 0.001381432f);
        return r + r2 * ((0.49999994f + r * 0.1666652f) + r2 * high);
    } else {
        const V r4 = r2 * r2, r8 = r4 * r4;
        const V c23 = 1.0 / 2 + r * (1.0 / 6);
        const V c45 = 1.0 / 24 + r * (1.0 / 120);
        const V c67 = 1.0 / 720 + r * (1.0 / 5040);
        const V c89 = 1.0 / 40320 + r * (1.0 / 362880);
        const V cab = 1.0 / 3628800 + r * (1.0 / 39916800);
        const V ccd = 1.0 / 479001600 + r * (1.0 / 6227020800.0);
        const V p = ((c23 + r2 * c45) + r4 * (c67 + r2 * c89)) + r8 * (cab + r2 * ccd);
        return r + r2 * p;
    }
}
/// exp(r) - 1 in steps of 2: for float r is in [0, ln2], so that 2^-n (exp(r) - 1) and 1 - 2^-n have one sign.
template <class V>
FOCALKIT_INLINE V exp_less_one_of_step(V r) {
    if constexpr (sizeof(typename Lane<V>::type) == 4) {
        const V r2 = r * r, high = 0.0416592658f + r * (0.00836514309f + r * (0.00132075441f + r * 0.000268115138f));
        return r + r2 * ((0.49999997f + r * 0.166667446f) + r2 * high);
    } else {
        return exp_less_one(r);
    }
}
template <class V>
FOCALKIT_INLINE V exp_near_one(V r) {
    if constexpr (sizeof(typename Lane<V>::type) == 4) {
        const V p = 0.49999994f + r * (0.1666652f + r * (0.0416684f + r * (0.00836885f + r * 0.001381432f)));
        return 1.0f + r * (1.0f + r * p);
    } else {
        return 1.0 + exp_less_one(r);
    }
}

/// exp(r + low) 2^n for x = n ln 2 + r, ``shifted`` holding n in its low bits.
template <class V>
FOCALKIT_INLINE V exp_reduced(V x, V shifted, V r) {
    using T = typename Lane<V>::type;
    const V y = exp_near_one(r);
    return where(x < constant<V>(sizeof(T) == 4 ? T(-104) : T(-746)), V{}, scale_by_power(y, shifted));
}

/// n = round(x / ln 2), by adding 1.5 * 2^(digits - 1): the sum is ``shifted`` and its low bits are n.
template <class V>
FOCALKIT_INLINE V exp_shifted(V x) {
    if constexpr (sizeof(typename Lane<V>::type) == 4) return x * 1.44269504088896341f + 12582912.0f;
    else return x * 1.44269504088896338700 + 6755399441055744.0;
}

/// r = x - n ln 2 in [-ln2/2, ln2/2]. ln 2 is split so that n times its high part is exact.
template <class V>
FOCALKIT_INLINE V exp_remainder(V x, V shifted) {
    if constexpr (sizeof(typename Lane<V>::type) == 4) {
        const V n = shifted - 12582912.0f;
        return (x - n * 0.693359375f) + n * 2.12194440e-4f;
    } else {
        const V n = shifted - 6755399441055744.0;
        return (x - n * 6.93147180369123816490e-01) - n * 1.90821492927058770002e-10;
    }
}

/// r = x + (high + middle + low) + n ln 2, of which high is a multiple of what n times the high part of ln 2 is.
template <class V, class T>
FOCALKIT_INLINE V exp_remainder(V x, V n, T high, T middle, T low) {
    if constexpr (sizeof(T) == 4) return (((high + n * 0.693359375f) + x) + middle) + (low - n * 2.12194440e-4f);
    else return (((high + n * 6.93147180369123816490e-01) + x) + middle) + (low + n * 1.90821492927058770002e-10);
}

/// r = a b + c - n ln 2, where n is that of the sum, from which rounding takes nothing: c is split into what n times
/// the high part of ln 2 is a multiple of, and the rest.
template <class V>
FOCALKIT_INLINE V exp_remainder_of_sum(V a, V b, V c, V shifted) {
    if constexpr (sizeof(typename Lane<V>::type) == 4) {
        const V n = shifted - 12582912.0f, coarse = (c + 0x1.8p14f) - 0x1.8p14f;
        return fused_subtract(a, b, V(n * 0.693359375f - coarse)) + (n * 2.12194440e-4f + (c - coarse));
    } else {
        const V n = shifted - 6755399441055744.0, coarse = (c + 0x1.8p20) - 0x1.8p20;
        return fused_subtract(a, b, V(n * 6.93147180369123816490e-01 - coarse)) +
               ((c - coarse) - n * 1.90821492927058770002e-10);
    }
}

/// exp(-|x|) for x = n ln 2 + r, ``shifted`` holding n in its low bits.
template <class V>
FOCALKIT_INLINE V exp_of_opposite_size(V x, V shifted, V r) {
    using T = typename Lane<V>::type;
    const T shift = sizeof(T) == 4 ? T(12582912.0) : T(6755399441055744.0);
    const V n = -absolute(V(shifted - shift)), y = exp_near_one(negated(r, x >= V{}));
    return where(n < constant<V>(sizeof(T) == 4 ? T(-150) : T(-1076)), V{}, times_power(y, n));
}

/// exp(x) for x <= 0.
template <class V>
FOCALKIT_INLINE V exp_nonpositive(V x) {
    const V shifted = exp_shifted(x);
    return exp_reduced(x, shifted, exp_remainder(x, shifted));
}

/// exp(x + low) for x <= 0 and a correction ``low`` below its last digit.
template <class V>
FOCALKIT_INLINE V exp_nonpositive(V x, V low) {
    const V shifted = exp_shifted(x);
    return exp_reduced(x, shifted, V(exp_remainder(x, shifted) + low));
}

/// exp(x) and exp(x) - 1 for x up to 40, each relatively exact: near 0 the second is what is added to 1 for the first.
template <class V>
struct ExpAndLess {
    V exp, less_one;
};
template <class V>
FOCALKIT_INLINE ExpAndLess<V> exp_and_less_one(V x) {
    using T = typename Lane<V>::type;
    const V at = maximum(constant<V>(sizeof(T) == 4 ? T(-104) : T(-746)), x);  // in this order NaN stays NaN
    const V shifted = exp_shifted(at), more = exp_less_one(exp_remainder(at, shifted));
    const V power = scale_by_power(constant<V>(T(1)), shifted);
    return {power + power * more, (power - T(1)) + power * more};
}

/// log(1 + t) for t in [sqrt(1/2) - 1, sqrt(2) - 1]; relatively exact as t -> 0.
template <class V>
FOCALKIT_INLINE V log_near_one(V t) {
    using T = typename Lane<V>::type;
    const V t2 = t * t;
    if constexpr (sizeof(T) == 4) {
        // Cephes logf: t - t^2 / 2 + t^3 P(t)
        const V t4 = t2 * t2;
        const V c01 = 3.3333331174e-1f + t * -2.4999993993e-1f;
        const V c23 = 2.0000714765e-1f + t * -1.6668057665e-1f;
        const V c45 = 1.4249322787e-1f + t * -1.2420140846e-1f;
        const V c67 = 1.1676998740e-1f + t * -1.1514610310e-1f;
        const V p = (c01 + t2 * c23) + t4 * ((c45 + t2 * c67) + t4 * 7.0376836292e-2f);
        return t + (t2 * t * p - 0.5f * t2);
    } else {
        // fdlibm: with s = t / (2 + t), log(1 + t) = t - (t^2/2 - s (t^2/2 + R(s^2)))
        const V s = t / (2.0 + t);
        const V z = s * s, w = z * z;
        const V odd =
            z * (6.666666666666735130e-01 +
                 w * (2.857142874366239149e-01 + w * (1.818357216161805012e-01 + w * 1.479819860511658591e-01)));
        const V even = w * (3.999999999940941908e-01 + w * (2.222219843214978396e-01 + w * 1.531383769920937332e-01));
        const V half = 0.5 * t2;
        return t - (half - s * (half + (odd + even)));
    }
}

/// x = 2^k (1 + t) with 1 + t in [sqrt(1/2), sqrt(2)), and the logarithm of that.
///
/// Subtracting the bits of sqrt(1/2) makes k the exponent field. k becomes a floating number by planting it into the
/// low digits of a large one, which is taken back with the ``bias`` of the exponent.
template <class V>
struct LogParts {
    using T = typename Lane<V>::type;
    static constexpr T bias = sizeof(T) == 4 ? T(12582912.0 + 127.0) : T(6755399441055744.0 + 1023.0);
    V k, t;

    FOCALKIT_INLINE LogParts(V x, V bias) {
        using U = typename Lane<V>::UInt;
        const U u = bits<U>(x);
        if constexpr (sizeof(T) == 4) {
            const U shifted = u - 0x3f3504f3u + 0x3f800000u;
            k = bits<V>(U((shifted >> 23) + 0x4b400000u)) - bias;
            t = bits<V>(U((shifted & 0x007fffffu) + 0x3f3504f3u)) - 1.0f;
        } else {
            const U shifted = u - 0x3fe6a09e667f3bcdull + 0x3ff0000000000000ull;
            k = bits<V>(U((shifted >> 52) + 0x4338000000000000ull)) - bias;
            t = bits<V>(U((shifted & 0x000fffffffffffffull) + 0x3fe6a09e667f3bcdull)) - 1.0;
        }
    }
    FOCALKIT_INLINE V log() const {
        if constexpr (sizeof(T) == 4) return k * 0.693359375f + (log_near_one<V>(t) - k * 2.12194440e-4f);
        else return k * 6.93147180369123816490e-01 + (log_near_one<V>(t) + k * 1.90821492927058770002e-10);
    }
};

/// log(x) for x >= 0 or NaN; subnormal numbers are lifted first.
template <class V>
FOCALKIT_INLINE V log_nonnegative(V x) {
    using T = typename Lane<V>::type;
    const T lift = sizeof(T) == 4 ? T(0x1p24) : T(0x1p53), digits = sizeof(T) == 4 ? T(24) : T(53);
    const auto small = x < (sizeof(T) == 4 ? T(0x1p-126) : T(0x1p-1022));
    const V bias = where(small, constant<V>(LogParts<V>::bias + digits), constant<V>(LogParts<V>::bias));
    V result = LogParts<V>(where(small, x * lift, x), bias).log();
    result = result + (x - x);  // NaN stays NaN
    return where(x == V{}, -infinity<V>(), result);
}

/// log(1 + w) for w >= 0.
template <class V>
FOCALKIT_INLINE V log1p_nonnegative(V w) {
    LogParts<V> parts(V(typename Lane<V>::type(1) + w), constant<V>(LogParts<V>::bias));
    parts.t = where(parts.k == V{}, w, parts.t);
    return parts.log();
}
#if defined(FOCALKIT_AVX512)
/// 1 + w is 2^k (1 + t) with 1 + t in [3/4, 3/2); a minimax polynomial (relative error 8e-9).
FOCALKIT_INLINE FloatV log1p_nonnegative(FloatV w) {
    const FloatV u = 1.0f + w, k = (FloatV)_mm512_getexp_ps((__m512)(u * 1.33333337f));
    const FloatV part = (FloatV)_mm512_getmant_ps((__m512)u, _MM_MANT_NORM_p75_1p5, _MM_MANT_SIGN_zero);
    const FloatV t = where(w < 0.5f, w, FloatV(part - 1.0f)), t2 = t * t;
    const FloatV high = 0.144820616f + t * (-0.131622329f + t * (0.104483314f + t * -0.0449096039f));
    const FloatV q =
        -0.5f + t * (0.333334535f + t * (-0.250000536f + t * (0.199906066f + t * (-0.166477665f + t * high))));
    return k * 0.693147181f + (t + t2 * q);
}
#endif

/// log(1 + e) for e in [0, 1], without rounding 1 + e. For float e times a minimax polynomial (relative error 5e-9).
template <class V>
FOCALKIT_INLINE V log1p_unit(V e) {
    using T = typename Lane<V>::type;
    if constexpr (sizeof(T) == 4) {
        const V e2 = e * e;  // and no e^4: a subnormal number takes a processor as long as all the rest
        const V high = (0.106805556f - e * 0.0576644465f) + e2 * (0.0202045888f - e * 0.00331847393f);
        const V middle = (0.196953997f - e * 0.153553963f) + e2 * high;
        const V q = (0.333305121f - e * 0.249585867f) + e2 * middle;
        return e + e2 * (-0.499999315f + e * q);
    } else {
        const auto upper = e > T(0.41421356237309504880);
        const V t = where(upper, T(0.5) * (e - T(1)), e);  // log(1 + e) = log 2 + log(1 + (e - 1) / 2)
        const V l = log_near_one(t);
        return where(upper, T(0.69314718055994530942) + l, l);
    }
}

/// log(1 + e) - e / (1 + e) for e in [0, 1], of which ``share`` is e / (1 + e): with s = e / (2 + e) it is
/// 2 atanh s - 2 s / (1 + s) = s (share + s^2 (2/3 + 2/5 s^2 + ...)), all positive. A minimax polynomial in s^2.
template <class V>
FOCALKIT_INLINE V log1p_less_share(V e, V share) {
    using T = typename Lane<V>::type;
    const V s = quotient(e, V(T(2) + e)), x = s * s;
    if constexpr (sizeof(T) == 4) {
        const V p = 0.399997063f + x * (0.285923586f + x * (0.217065665f + x * 0.232243826f));
        return s * (share + x * (0.666666673f + x * p));
    } else {
        const V x2 = x * x, x4 = x2 * x2;
        const V c01 = 0.6666666666666666 + x * 0.40000000000014585;
        const V c23 = 0.28571428567108426 + x * 0.22222222717461507;
        const V c45 = 0.18181789434440715 + x * 0.15385570112464433;
        const V c67 = 0.1331414343049421 + x * 0.12001080222294926;
        const V c89 = 0.08800700613795955 + x * 0.16164125939775675;
        return s * (share + x * ((c01 + x2 * c23) + x4 * ((c45 + x2 * c67) + x4 * c89)));
    }
}

}  // namespace focalkit::FOCALKIT_ISA
