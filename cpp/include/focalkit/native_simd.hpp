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

/// The larger; ``b`` where either is NaN.
#if defined(FOCALKIT_AVX512)
FOCALKIT_INLINE FloatV maximum(FloatV a, FloatV b) { return (FloatV)_mm512_max_ps((__m512)a, (__m512)b); }
FOCALKIT_INLINE DoubleV maximum(DoubleV a, DoubleV b) { return (DoubleV)_mm512_max_pd((__m512d)a, (__m512d)b); }
FOCALKIT_INLINE void stream(float* to, FloatV v) { _mm512_stream_ps(to, (__m512)v); }
FOCALKIT_INLINE void stream(double* to, DoubleV v) { _mm512_stream_pd(to, (__m512d)v); }
#elif defined(FOCALKIT_AVX2)
FOCALKIT_INLINE FloatV maximum(FloatV a, FloatV b) { return (FloatV)_mm256_max_ps((__m256)a, (__m256)b); }
FOCALKIT_INLINE DoubleV maximum(DoubleV a, DoubleV b) { return (DoubleV)_mm256_max_pd((__m256d)a, (__m256d)b); }
FOCALKIT_INLINE void stream(float* to, FloatV v) { _mm256_stream_ps(to, (__m256)v); }
FOCALKIT_INLINE void stream(double* to, DoubleV v) { _mm256_stream_pd(to, (__m256d)v); }
#elif defined(FOCALKIT_SSE2)
FOCALKIT_INLINE FloatV maximum(FloatV a, FloatV b) { return (FloatV)_mm_max_ps((__m128)a, (__m128)b); }
FOCALKIT_INLINE DoubleV maximum(DoubleV a, DoubleV b) { return (DoubleV)_mm_max_pd((__m128d)a, (__m128d)b); }
FOCALKIT_INLINE void stream(float* to, FloatV v) { _mm_stream_ps(to, (__m128)v); }
FOCALKIT_INLINE void stream(double* to, DoubleV v) { _mm_stream_pd(to, (__m128d)v); }
#else
template <class V>
FOCALKIT_INLINE V maximum(V a, V b) {
    return a > b ? a : b;
}
template <class V, class T>
FOCALKIT_INLINE void stream(T* to, V v) {
    store(to, v);
}
#endif
FOCALKIT_INLINE float maximum(float a, float b) { return a > b ? a : b; }
FOCALKIT_INLINE double maximum(double a, double b) { return a > b ? a : b; }

/// Makes streamed stores visible before the threads meet.
FOCALKIT_INLINE void stream_fence() {
#if defined(FOCALKIT_AVX512) || defined(FOCALKIT_AVX2) || defined(FOCALKIT_SSE2)
    _mm_sfence();
#endif
}

FOCALKIT_INLINE void prefetch(const void* address) { __builtin_prefetch(address, 0, 2); }

template <class V>
FOCALKIT_INLINE typename Lane<V>::type reduce_add(V v) {
    typename Lane<V>::type lanes[sizeof(V) / sizeof(typename Lane<V>::type)];
    __builtin_memcpy(lanes, &v, sizeof v);
    constexpr int n = sizeof(V) / sizeof(lanes[0]);
    for (int half = n / 2; half > 0; half /= 2)
        for (int i = 0; i < half; ++i) lanes[i] += lanes[i + half];
    return lanes[0];
}

template <class V>
FOCALKIT_INLINE typename Lane<V>::type reduce_max(V v) {
    typename Lane<V>::type lanes[sizeof(V) / sizeof(typename Lane<V>::type)];
    __builtin_memcpy(lanes, &v, sizeof v);
    constexpr int n = sizeof(V) / sizeof(lanes[0]);
    auto largest = lanes[0];
    for (int i = 1; i < n; ++i) largest = lanes[i] > largest ? lanes[i] : largest;
    return largest;
}

/// ``total + sum of v`` per lane pair, in double precision.
FOCALKIT_INLINE DoubleV add_wide(DoubleV total, DoubleV v) { return total + v; }
FOCALKIT_INLINE DoubleV add_wide(DoubleV total, FloatV v) {
    constexpr int half = width<double>;
    typedef float HalfV __attribute__((vector_size(FOCALKIT_BYTES / 2)));
    HalfV low, high;
    __builtin_memcpy(&low, &v, sizeof low);
    __builtin_memcpy(&high, reinterpret_cast<const char*>(&v) + sizeof low, sizeof high);
    static_assert(sizeof(HalfV) == half * sizeof(float));
    return total + (__builtin_convertvector(low, DoubleV) + __builtin_convertvector(high, DoubleV));
}

}  // namespace focalkit::FOCALKIT_ISA
