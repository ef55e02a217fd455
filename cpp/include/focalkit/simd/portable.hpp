// Vectors as small arrays, for compilers without the vector extension (MSVC); included by simd.hpp only.
// The optimiser makes vector code of the fixed loops. FOCALKIT_PORTABLE_SIMD chooses it anywhere.
#pragma once
#include <cmath>
#include <cstddef>

#if defined(_MSC_VER) && !defined(__clang__)
#define __builtin_fabsf fabsf
#define __builtin_fabs fabs
#define __builtin_inf() HUGE_VAL
#endif

namespace focalkit::FOCALKIT_ISA {

template <class T, int n>
struct Lanes {
    T lane[n];

    T& operator[](int i) { return lane[i]; }
    const T& operator[](int i) const { return lane[i]; }
};

#define FOCALKIT_LANEWISE(op)                                                   \
    template <class T, int n>                                                   \
    FOCALKIT_INLINE Lanes<T, n> operator op(Lanes<T, n> a, Lanes<T, n> b) {     \
        Lanes<T, n> r;                                                          \
        for (int i = 0; i < n; ++i) r.lane[i] = a.lane[i] op b.lane[i];         \
        return r;                                                               \
    }                                                                           \
    template <class T, int n, class A>                                          \
    FOCALKIT_INLINE Lanes<T, n> operator op(Lanes<T, n> a, A b) {               \
        Lanes<T, n> r;                                                          \
        for (int i = 0; i < n; ++i) r.lane[i] = a.lane[i] op static_cast<T>(b); \
        return r;                                                               \
    }                                                                           \
    template <class T, int n, class A>                                          \
    FOCALKIT_INLINE Lanes<T, n> operator op(A a, Lanes<T, n> b) {               \
        Lanes<T, n> r;                                                          \
        for (int i = 0; i < n; ++i) r.lane[i] = static_cast<T>(a) op b.lane[i]; \
        return r;                                                               \
    }
FOCALKIT_LANEWISE(+)
FOCALKIT_LANEWISE(-)
FOCALKIT_LANEWISE(*)
FOCALKIT_LANEWISE(/)
FOCALKIT_LANEWISE(&)
FOCALKIT_LANEWISE(|)
FOCALKIT_LANEWISE(^)
#undef FOCALKIT_LANEWISE

template <class T, int n>
FOCALKIT_INLINE Lanes<T, n> operator-(Lanes<T, n> a) {
    for (int i = 0; i < n; ++i) a.lane[i] = -a.lane[i];
    return a;
}
template <class T, int n>
FOCALKIT_INLINE Lanes<T, n> operator<<(Lanes<T, n> a, int by) {
    for (int i = 0; i < n; ++i) a.lane[i] <<= by;
    return a;
}
template <class T, int n>
FOCALKIT_INLINE Lanes<T, n> operator>>(Lanes<T, n> a, int by) {
    for (int i = 0; i < n; ++i) a.lane[i] >>= by;
    return a;
}
template <class T, int n>
FOCALKIT_INLINE Lanes<T, n>& operator|=(Lanes<T, n>& a, Lanes<T, n> b) {
    for (int i = 0; i < n; ++i) a.lane[i] |= b.lane[i];
    return a;
}

/// The outcome of a comparison.
template <int n>
struct Mask {
    bool lane[n];
};
template <int n>
FOCALKIT_INLINE Mask<n> operator&(Mask<n> a, Mask<n> b) {
    for (int i = 0; i < n; ++i) a.lane[i] = a.lane[i] && b.lane[i];
    return a;
}
template <int n>
FOCALKIT_INLINE Mask<n> operator|(Mask<n> a, Mask<n> b) {
    for (int i = 0; i < n; ++i) a.lane[i] = a.lane[i] || b.lane[i];
    return a;
}
#define FOCALKIT_COMPARISON(op)                                                 \
    template <class T, int n>                                                   \
    FOCALKIT_INLINE Mask<n> operator op(Lanes<T, n> a, Lanes<T, n> b) {         \
        Mask<n> r;                                                              \
        for (int i = 0; i < n; ++i) r.lane[i] = a.lane[i] op b.lane[i];         \
        return r;                                                               \
    }                                                                           \
    template <class T, int n, class A>                                          \
    FOCALKIT_INLINE Mask<n> operator op(Lanes<T, n> a, A b) {                   \
        Mask<n> r;                                                              \
        for (int i = 0; i < n; ++i) r.lane[i] = a.lane[i] op static_cast<T>(b); \
        return r;                                                               \
    }
FOCALKIT_COMPARISON(<)
FOCALKIT_COMPARISON(<=)
FOCALKIT_COMPARISON(>)
FOCALKIT_COMPARISON(>=)
FOCALKIT_COMPARISON(==)
FOCALKIT_COMPARISON(!=)
#undef FOCALKIT_COMPARISON

template <class T, int n>
FOCALKIT_INLINE Lanes<T, n> where(Mask<n> mask, Lanes<T, n> a, Lanes<T, n> b) {
    for (int i = 0; i < n; ++i) a.lane[i] = mask.lane[i] ? a.lane[i] : b.lane[i];
    return a;
}

using FloatV = Lanes<float, FOCALKIT_BYTES / 4>;
using DoubleV = Lanes<double, FOCALKIT_BYTES / 8>;
using IntV = Lanes<std::int32_t, FOCALKIT_BYTES / 4>;
using LongV = Lanes<std::int64_t, FOCALKIT_BYTES / 8>;
using UIntV = Lanes<std::uint32_t, FOCALKIT_BYTES / 4>;
using ULongV = Lanes<std::uint64_t, FOCALKIT_BYTES / 8>;

template <class T>
using Vec = Lanes<T, FOCALKIT_BYTES / static_cast<int>(sizeof(T))>;

template <class V>
struct Lane;
template <>
struct Lane<FloatV> {
    typedef float type;
    typedef IntV Int;
    typedef UIntV UInt;
};
template <>
struct Lane<DoubleV> {
    typedef double type;
    typedef LongV Int;
    typedef ULongV UInt;
};
template <>
struct Lane<float> {
    typedef float type;
    typedef std::int32_t Int;
    typedef std::uint32_t UInt;
};
template <>
struct Lane<double> {
    typedef double type;
    typedef std::int64_t Int;
    typedef std::uint64_t UInt;
};

template <class T>
inline constexpr int width = FOCALKIT_BYTES / static_cast<int>(sizeof(T));

template <class T>
FOCALKIT_INLINE Vec<T> load(const T* from) {
    Vec<T> v;
    std::memcpy(&v, from, sizeof v);
    return v;
}
template <class T, int n>
FOCALKIT_INLINE void store(T* to, Lanes<T, n> v) {
    std::memcpy(to, &v, sizeof v);
}
template <class T, int n>
FOCALKIT_INLINE Lanes<T, n> square_root(Lanes<T, n> x) {
    for (int i = 0; i < n; ++i) x.lane[i] = static_cast<T>(::sqrt(static_cast<double>(x.lane[i])));
    return x;
}
template <class T, int n>
FOCALKIT_INLINE void stream(T* to, Lanes<T, n> v) {
    std::memcpy(to, &v, sizeof v);
}
FOCALKIT_INLINE void stream_fence() {}
FOCALKIT_INLINE void prefetch(const void*) {}
FOCALKIT_INLINE void prefetch_near(const void*) {}

template <class T, int n>
FOCALKIT_INLINE Lanes<T, n> absolute(Lanes<T, n> x) {
    for (int i = 0; i < n; ++i) x.lane[i] = std::fabs(x.lane[i]);
    return x;
}
/// The larger, the smaller; ``b`` where either is NaN.
template <class T, int n>
FOCALKIT_INLINE Lanes<T, n> maximum(Lanes<T, n> a, Lanes<T, n> b) {
    for (int i = 0; i < n; ++i) a.lane[i] = a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i];
    return a;
}
template <class T, int n>
FOCALKIT_INLINE Lanes<T, n> minimum(Lanes<T, n> a, Lanes<T, n> b) {
    for (int i = 0; i < n; ++i) a.lane[i] = a.lane[i] < b.lane[i] ? a.lane[i] : b.lane[i];
    return a;
}
FOCALKIT_INLINE float minimum(float a, float b) { return a < b ? a : b; }
FOCALKIT_INLINE double minimum(double a, double b) { return a < b ? a : b; }
FOCALKIT_INLINE float maximum(float a, float b) { return a > b ? a : b; }
FOCALKIT_INLINE double maximum(double a, double b) { return a > b ? a : b; }

template <class T, int n>
FOCALKIT_INLINE T reduce_add(Lanes<T, n> v) {
    for (int half = n / 2; half > 0; half /= 2)
        for (int i = 0; i < half; ++i) v.lane[i] += v.lane[i + half];
    return v.lane[0];
}
template <class T, int n>
FOCALKIT_INLINE T reduce_max(Lanes<T, n> v) {
    for (int i = 1; i < n; ++i) v.lane[0] = v.lane[i] > v.lane[0] ? v.lane[i] : v.lane[0];
    return v.lane[0];
}
template <class T, int n>
FOCALKIT_INLINE DoubleV add_wide(DoubleV total, Lanes<T, n> v) {
    constexpr int m = width<double>;
    for (int i = 0; i < n; ++i) total.lane[i % m] += static_cast<double>(v.lane[i]);
    return total;
}

template <class T>
inline constexpr int quad = 16 / static_cast<int>(sizeof(T));

template <class T>
FOCALKIT_INLINE Vec<T> gather_quads(const T* from, std::ptrdiff_t stride) {
    Vec<T> v;
    for (int g = 0; g < FOCALKIT_BYTES / 16; ++g) std::memcpy(v.lane + g * quad<T>, from + g * stride, 16);
    return v;
}
template <class T>
FOCALKIT_INLINE void scatter_quads(T* to, std::ptrdiff_t stride, Vec<T> v) {
    for (int g = 0; g < FOCALKIT_BYTES / 16; ++g) std::memcpy(to + g * stride, v.lane + g * quad<T>, 16);
}
/// Each quad of the vectors transposed: vector i, lane j of its quads to vector j, lane i.
template <class V, int q>
FOCALKIT_INLINE void transpose_quads(V (&v)[q]) {
    for (int g = 0; g < FOCALKIT_BYTES / 16; ++g)
        for (int i = 0; i < q; ++i)
            for (int j = i + 1; j < q; ++j) {
                const auto kept = v[i].lane[g * q + j];
                v[i].lane[g * q + j] = v[j].lane[g * q + i];
                v[j].lane[g * q + i] = kept;
            }
}

}  // namespace focalkit::FOCALKIT_ISA
