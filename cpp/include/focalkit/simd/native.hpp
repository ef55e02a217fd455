// Vector types by the GCC / clang extension; included by simd.hpp only.
#pragma once

namespace focalkit::FOCALKIT_ISA {

typedef float FloatV __attribute__((vector_size(FOCALKIT_BYTES)));
typedef double DoubleV __attribute__((vector_size(FOCALKIT_BYTES)));
typedef std::int32_t IntV __attribute__((vector_size(FOCALKIT_BYTES)));
typedef std::int64_t LongV __attribute__((vector_size(FOCALKIT_BYTES)));
typedef std::uint32_t UIntV __attribute__((vector_size(FOCALKIT_BYTES)));
typedef std::uint64_t ULongV __attribute__((vector_size(FOCALKIT_BYTES)));

/// The vector of a scalar, and the scalar and the integers behind a vector.
template <class T>
struct VectorOf;
template <>
struct VectorOf<float> {
    typedef FloatV type;
};
template <>
struct VectorOf<double> {
    typedef DoubleV type;
};
template <class T>
using Vec = typename VectorOf<T>::type;

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

FOCALKIT_INLINE FloatV load(const float* from) {
    FloatV v;
    __builtin_memcpy(&v, from, sizeof v);
    return v;
}
FOCALKIT_INLINE DoubleV load(const double* from) {
    DoubleV v;
    __builtin_memcpy(&v, from, sizeof v);
    return v;
}
FOCALKIT_INLINE IntV load(const std::int32_t* from) {
    IntV v;
    __builtin_memcpy(&v, from, sizeof v);
    return v;
}
template <class V, class T>
FOCALKIT_INLINE void store(T* to, V v) {
    static_assert(sizeof(typename Lane<V>::type) == sizeof(T));
    __builtin_memcpy(to, &v, sizeof v);
}

template <class M, class V>
FOCALKIT_INLINE auto where(M mask, V a, V b) -> decltype(mask ? a : b) {
    return mask ? a : b;
}

template <class V>
FOCALKIT_INLINE V absolute(V x) {
    using U = typename Lane<V>::UInt;
    U u;
    __builtin_memcpy(&u, &x, sizeof u);
    u = (u << 1) >> 1;
    __builtin_memcpy(&x, &u, sizeof x);
    return x;
}

/// The larger, the smaller; ``b`` where either is NaN.
#if defined(FOCALKIT_AVX512)
FOCALKIT_INLINE FloatV maximum(FloatV a, FloatV b) { return (FloatV)_mm512_max_ps((__m512)a, (__m512)b); }
FOCALKIT_INLINE DoubleV maximum(DoubleV a, DoubleV b) { return (DoubleV)_mm512_max_pd((__m512d)a, (__m512d)b); }
FOCALKIT_INLINE FloatV minimum(FloatV a, FloatV b) { return (FloatV)_mm512_min_ps((__m512)a, (__m512)b); }
FOCALKIT_INLINE DoubleV minimum(DoubleV a, DoubleV b) { return (DoubleV)_mm512_min_pd((__m512d)a, (__m512d)b); }
FOCALKIT_INLINE void stream(float* to, FloatV v) { _mm512_stream_ps(to, (__m512)v); }
FOCALKIT_INLINE void stream(double* to, DoubleV v) { _mm512_stream_pd(to, (__m512d)v); }
FOCALKIT_INLINE FloatV square_root(FloatV x) { return (FloatV)_mm512_sqrt_ps((__m512)x); }
FOCALKIT_INLINE DoubleV square_root(DoubleV x) { return (DoubleV)_mm512_sqrt_pd((__m512d)x); }
/// a b - c, rounded once.
FOCALKIT_INLINE FloatV fused_subtract(FloatV a, FloatV b, FloatV c) {
    return (FloatV)_mm512_fmsub_ps((__m512)a, (__m512)b, (__m512)c);
}
FOCALKIT_INLINE DoubleV fused_subtract(DoubleV a, DoubleV b, DoubleV c) {
    return (DoubleV)_mm512_fmsub_pd((__m512d)a, (__m512d)b, (__m512d)c);
}
#elif defined(FOCALKIT_AVX2)
FOCALKIT_INLINE FloatV maximum(FloatV a, FloatV b) { return (FloatV)_mm256_max_ps((__m256)a, (__m256)b); }
FOCALKIT_INLINE DoubleV maximum(DoubleV a, DoubleV b) { return (DoubleV)_mm256_max_pd((__m256d)a, (__m256d)b); }
FOCALKIT_INLINE FloatV minimum(FloatV a, FloatV b) { return (FloatV)_mm256_min_ps((__m256)a, (__m256)b); }
FOCALKIT_INLINE DoubleV minimum(DoubleV a, DoubleV b) { return (DoubleV)_mm256_min_pd((__m256d)a, (__m256d)b); }
FOCALKIT_INLINE void stream(float* to, FloatV v) { _mm256_stream_ps(to, (__m256)v); }
FOCALKIT_INLINE void stream(double* to, DoubleV v) { _mm256_stream_pd(to, (__m256d)v); }
FOCALKIT_INLINE FloatV square_root(FloatV x) { return (FloatV)_mm256_sqrt_ps((__m256)x); }
FOCALKIT_INLINE DoubleV square_root(DoubleV x) { return (DoubleV)_mm256_sqrt_pd((__m256d)x); }
FOCALKIT_INLINE FloatV fused_subtract(FloatV a, FloatV b, FloatV c) {
    return (FloatV)_mm256_fmsub_ps((__m256)a, (__m256)b, (__m256)c);
}
FOCALKIT_INLINE DoubleV fused_subtract(DoubleV a, DoubleV b, DoubleV c) {
    return (DoubleV)_mm256_fmsub_pd((__m256d)a, (__m256d)b, (__m256d)c);
}
#elif defined(FOCALKIT_SSE2)
FOCALKIT_INLINE FloatV maximum(FloatV a, FloatV b) { return (FloatV)_mm_max_ps((__m128)a, (__m128)b); }
FOCALKIT_INLINE DoubleV maximum(DoubleV a, DoubleV b) { return (DoubleV)_mm_max_pd((__m128d)a, (__m128d)b); }
FOCALKIT_INLINE FloatV minimum(FloatV a, FloatV b) { return (FloatV)_mm_min_ps((__m128)a, (__m128)b); }
FOCALKIT_INLINE DoubleV minimum(DoubleV a, DoubleV b) { return (DoubleV)_mm_min_pd((__m128d)a, (__m128d)b); }
FOCALKIT_INLINE void stream(float* to, FloatV v) { _mm_stream_ps(to, (__m128)v); }
FOCALKIT_INLINE void stream(double* to, DoubleV v) { _mm_stream_pd(to, (__m128d)v); }
FOCALKIT_INLINE FloatV square_root(FloatV x) { return (FloatV)_mm_sqrt_ps((__m128)x); }
FOCALKIT_INLINE DoubleV square_root(DoubleV x) { return (DoubleV)_mm_sqrt_pd((__m128d)x); }
#else
template <class V>
FOCALKIT_INLINE V maximum(V a, V b) {
    return a > b ? a : b;
}
template <class V>
FOCALKIT_INLINE V minimum(V a, V b) {
    return a < b ? a : b;
}
template <class V, class T>
FOCALKIT_INLINE void stream(T* to, V v) {
    store(to, v);
}
template <class V>
FOCALKIT_INLINE V square_root(V x) {
    for (int i = 0; i < width<typename Lane<V>::type>; ++i) x[i] = __builtin_sqrt(x[i]);
    return x;
}
#endif
FOCALKIT_INLINE float minimum(float a, float b) { return a < b ? a : b; }
FOCALKIT_INLINE double minimum(double a, double b) { return a < b ? a : b; }
FOCALKIT_INLINE float maximum(float a, float b) { return a > b ? a : b; }
FOCALKIT_INLINE double maximum(double a, double b) { return a > b ? a : b; }

#if defined(FOCALKIT_AVX512)
FOCALKIT_INLINE FloatV quotient(FloatV a, FloatV b) {
    const __m512 near = _mm512_rcp14_ps((__m512)b), first = (__m512)(a * (FloatV)near);
    return (FloatV)_mm512_fmadd_ps(near, _mm512_fnmadd_ps((__m512)b, first, (__m512)a), first);
}
#endif

/// Makes streamed stores visible before the threads meet.
FOCALKIT_INLINE void stream_fence() {
#if defined(FOCALKIT_AVX512) || defined(FOCALKIT_AVX2) || defined(FOCALKIT_SSE2)
    _mm_sfence();
#endif
}

FOCALKIT_INLINE void prefetch(const void* address) { __builtin_prefetch(address, 0, 2); }
FOCALKIT_INLINE void prefetch_near(const void* address) { __builtin_prefetch(address, 0, 3); }  // into the first cache

/// Lanes joined by halves, always in this order: the sum is the same bits wherever the width is.
template <class T, int bytes, class Join>
FOCALKIT_INLINE T reduce_halves(const void* lanes, Join join) {
    if constexpr (bytes == 16) {
        T part[16 / sizeof(T)];
        __builtin_memcpy(part, lanes, 16);
        if constexpr (sizeof(T) == 4) return join(join(part[0], part[2]), join(part[1], part[3]));
        else return join(part[0], part[1]);
    } else {
        typedef T HalfV __attribute__((vector_size(bytes / 2)));
        HalfV low, high;
        __builtin_memcpy(&low, lanes, sizeof low);
        __builtin_memcpy(&high, static_cast<const char*>(lanes) + sizeof low, sizeof high);
        const HalfV joined = join(low, high);
        return reduce_halves<T, bytes / 2>(&joined, join);
    }
}
template <class V>
FOCALKIT_INLINE typename Lane<V>::type reduce_add(V v) {
    return reduce_halves<typename Lane<V>::type, sizeof(V)>(&v, [](auto a, auto b) { return a + b; });
}
template <class V>
FOCALKIT_INLINE typename Lane<V>::type reduce_max(V v) {
    return reduce_halves<typename Lane<V>::type, sizeof(V)>(&v, [](auto a, auto b) { return a > b ? a : b; });
}

/// ``total + sum of v`` per lane pair, in double precision.
FOCALKIT_INLINE DoubleV add_wide(DoubleV total, DoubleV v) { return total + v; }
FOCALKIT_INLINE DoubleV add_wide(DoubleV total, FloatV v) {
#if defined(FOCALKIT_AVX512)
    const __m512 f = (__m512)v;
    return total + ((DoubleV)_mm512_cvtps_pd(_mm512_castps512_ps256(f)) +
                    (DoubleV)_mm512_cvtps_pd(_mm512_extractf32x8_ps(f, 1)));
#elif defined(FOCALKIT_AVX2)
    const __m256 f = (__m256)v;
    return total + ((DoubleV)_mm256_cvtps_pd(_mm256_castps256_ps128(f)) +
                    (DoubleV)_mm256_cvtps_pd(_mm256_extractf128_ps(f, 1)));
#else
    typedef float HalfV __attribute__((vector_size(FOCALKIT_BYTES / 2)));
    HalfV low, high;
    __builtin_memcpy(&low, &v, sizeof low);
    __builtin_memcpy(&high, reinterpret_cast<const char*>(&v) + sizeof low, sizeof high);
    return total + (__builtin_convertvector(low, DoubleV) + __builtin_convertvector(high, DoubleV));
#endif
}

/// Quads are 16 bytes of a row, 4 floats or 2 doubles. ``gather_quads(from, stride)`` takes one of each of
/// the rows from, from + stride, ...; ``scatter_quads`` puts them back.
template <class T>
inline constexpr int quad = 16 / static_cast<int>(sizeof(T));

template <class T>
FOCALKIT_INLINE Vec<T> gather_quads(const T* from, std::ptrdiff_t stride) {
#if defined(FOCALKIT_AVX512)
    const auto at = [=](int g) { return _mm_loadu_ps(reinterpret_cast<const float*>(from + g * stride)); };
    __m512 v = _mm512_castps128_ps512(at(0));
    v = _mm512_insertf32x4(v, at(1), 1);
    v = _mm512_insertf32x4(v, at(2), 2);
    v = _mm512_insertf32x4(v, at(3), 3);
    return (Vec<T>)v;
#else
    Vec<T> v;
    for (int g = 0; g < FOCALKIT_BYTES / 16; ++g)
        __builtin_memcpy(reinterpret_cast<char*>(&v) + 16 * g, from + g * stride, 16);
    return v;
#endif
}
template <class T, class V>
FOCALKIT_INLINE void scatter_quads(T* to, std::ptrdiff_t stride, V v) {
#if defined(FOCALKIT_AVX512)
    const auto put = [=](int g, __m128 quarter) { _mm_storeu_ps(reinterpret_cast<float*>(to + g * stride), quarter); };
    put(0, _mm512_castps512_ps128((__m512)v));
    put(1, _mm512_extractf32x4_ps((__m512)v, 1));
    put(2, _mm512_extractf32x4_ps((__m512)v, 2));
    put(3, _mm512_extractf32x4_ps((__m512)v, 3));
#else
    for (int g = 0; g < FOCALKIT_BYTES / 16; ++g)
        __builtin_memcpy(to + g * stride, reinterpret_cast<const char*>(&v) + 16 * g, 16);
#endif
}

/// Lanes of ``a`` and ``b`` by turns, from the lower or upper half of each quad.
template <class V>
FOCALKIT_INLINE V interleave(V a, V b, bool upper) {
#if defined(FOCALKIT_AVX512)
    if constexpr (sizeof(typename Lane<V>::type) == 4)
        return (V)(upper ? _mm512_unpackhi_ps((__m512)a, (__m512)b) : _mm512_unpacklo_ps((__m512)a, (__m512)b));
    else return (V)(upper ? _mm512_unpackhi_pd((__m512d)a, (__m512d)b) : _mm512_unpacklo_pd((__m512d)a, (__m512d)b));
#elif defined(FOCALKIT_AVX2)
    if constexpr (sizeof(typename Lane<V>::type) == 4)
        return (V)(upper ? _mm256_unpackhi_ps((__m256)a, (__m256)b) : _mm256_unpacklo_ps((__m256)a, (__m256)b));
    else return (V)(upper ? _mm256_unpackhi_pd((__m256d)a, (__m256d)b) : _mm256_unpacklo_pd((__m256d)a, (__m256d)b));
#elif defined(FOCALKIT_SSE2)
    if constexpr (sizeof(typename Lane<V>::type) == 4)
        return (V)(upper ? _mm_unpackhi_ps((__m128)a, (__m128)b) : _mm_unpacklo_ps((__m128)a, (__m128)b));
    else return (V)(upper ? _mm_unpackhi_pd((__m128d)a, (__m128d)b) : _mm_unpacklo_pd((__m128d)a, (__m128d)b));
#else
    constexpr int n = quad<typename Lane<V>::type>;
    V v{};
    for (int i = 0; i < n; i += 2) {
        v[i] = a[i / 2 + (upper ? n / 2 : 0)];
        v[i + 1] = b[i / 2 + (upper ? n / 2 : 0)];
    }
    return v;
#endif
}
/// The same by pairs of floats.
FOCALKIT_INLINE FloatV interleave_pairs(FloatV a, FloatV b, bool upper) {
    return (FloatV)interleave((DoubleV)a, (DoubleV)b, upper);
}

/// Each quad of the vectors transposed: vector i, lane j of its quads to vector j, lane i. Its own inverse.
FOCALKIT_INLINE void transpose_quads(FloatV (&v)[4]) {
    const FloatV a = interleave(v[0], v[1], false), b = interleave(v[0], v[1], true);
    const FloatV c = interleave(v[2], v[3], false), d = interleave(v[2], v[3], true);
    v[0] = interleave_pairs(a, c, false);
    v[1] = interleave_pairs(a, c, true);
    v[2] = interleave_pairs(b, d, false);
    v[3] = interleave_pairs(b, d, true);
}
FOCALKIT_INLINE void transpose_quads(DoubleV (&v)[2]) {
    const DoubleV a = interleave(v[0], v[1], false), b = interleave(v[0], v[1], true);
    v[0] = a;
    v[1] = b;
}

}  // namespace focalkit::FOCALKIT_ISA
