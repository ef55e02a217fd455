// Storage types to and from the type computed in.
#pragma once
#include "focalkit/job.hpp"
#include "focalkit/simd/simd.hpp"

namespace focalkit::FOCALKIT_ISA {

template <class S>
struct Compute {
    typedef float type;
};
template <>
struct Compute<double> {
    typedef double type;
};

template <class T>
FOCALKIT_INLINE T widen(float x) {
    return static_cast<T>(x);
}
template <class T>
FOCALKIT_INLINE T widen(double x) {
    return static_cast<T>(x);
}
template <class T>
FOCALKIT_INLINE T widen(Bfloat x) {
    return static_cast<T>(bits<float>(static_cast<std::uint32_t>(x.bits) << 16));
}
template <class T>
FOCALKIT_INLINE T widen(Half x) {
    const std::uint32_t sign = static_cast<std::uint32_t>(x.bits & 0x8000u) << 16;
    const std::uint32_t rest = x.bits & 0x7fffu;
    if (rest >= 0x7c00u) return static_cast<T>(bits<float>(sign | 0x7f800000u | ((rest & 0x3ffu) << 13)));
    // the exponent is re-biased by a multiplication, which also makes subnormals right
    const float magnitude = bits<float>(rest << 13) * 0x1p112f;
    return static_cast<T>(bits<float>(bits<std::uint32_t>(magnitude) | sign));
}
template <class T>
FOCALKIT_INLINE T widen(std::int8_t x) {
    return static_cast<T>(x);
}
template <class T>
FOCALKIT_INLINE T widen(std::uint8_t x) {
    return static_cast<T>(x);
}
template <class T>
FOCALKIT_INLINE T widen(std::int32_t x) {
    return static_cast<T>(x);
}
template <class T>
FOCALKIT_INLINE T widen(std::int64_t x) {
    return static_cast<T>(x);
}

FOCALKIT_INLINE void narrow(float x, float* to) { *to = x; }
FOCALKIT_INLINE void narrow(double x, double* to) { *to = x; }
FOCALKIT_INLINE void narrow(float x, Bfloat* to) {
    const std::uint32_t u = bits<std::uint32_t>(x);
    const std::uint32_t rounded = (u + 0x7fffu + ((u >> 16) & 1u)) >> 16;
    to->bits = static_cast<std::uint16_t>(x == x ? rounded : 0x7fc0u);
}
FOCALKIT_INLINE void narrow(float x, Half* to) {
    const std::uint32_t u = bits<std::uint32_t>(x);
    const std::uint32_t sign = (u >> 16) & 0x8000u, size = u & 0x7fffffffu;
    std::uint32_t result;
    if (size > 0x7f800000u) {
        result = 0x7e00u;
    } else if (size >= 0x477ff000u) {  // rounds above the largest half
        result = 0x7c00u;
    } else if (size < 0x38800000u) {  // subnormal: adding 1/2 rounds at the right digit
        result = bits<std::uint32_t>(bits<float>(size) + 0.5f) - 0x3f000000u;
    } else {
        result = (size - 0x38000000u + 0xfffu + ((size >> 13) & 1u)) >> 13;
    }
    to->bits = static_cast<std::uint16_t>(sign | result);
}

/// Consecutive elements into and out of registers.
FOCALKIT_INLINE FloatV load_as(const float* from) { return load(from); }
FOCALKIT_INLINE DoubleV load_as(const double* from) { return load(from); }
FOCALKIT_INLINE void store_as(float* to, FloatV v) { store(to, v); }
FOCALKIT_INLINE void store_as(double* to, DoubleV v) { store(to, v); }
#if defined(FOCALKIT_AVX512)
FOCALKIT_INLINE FloatV load_as(const Half* from) {
    return (FloatV)_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
}
FOCALKIT_INLINE void store_as(Half* to, FloatV v) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to),
                        _mm512_cvtps_ph((__m512)v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
#elif defined(FOCALKIT_AVX2) && defined(__F16C__)
FOCALKIT_INLINE FloatV load_as(const Half* from) {
    return (FloatV)_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
}
FOCALKIT_INLINE void store_as(Half* to, FloatV v) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to),
                     _mm256_cvtps_ph((__m256)v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
#else
FOCALKIT_INLINE FloatV load_as(const Half* from) {
    float lanes[width<float>];
    for (int i = 0; i < width<float>; ++i) lanes[i] = widen<float>(from[i]);
    return load(lanes);
}
FOCALKIT_INLINE void store_as(Half* to, FloatV v) {
    float lanes[width<float>];
    store(lanes, v);
    for (int i = 0; i < width<float>; ++i) narrow(lanes[i], to + i);
}
#endif
FOCALKIT_INLINE FloatV load_as(const Bfloat* from) {
#if defined(FOCALKIT_AVX512)
    const __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
    return (FloatV)_mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
#else
    float lanes[width<float>];
    for (int i = 0; i < width<float>; ++i) lanes[i] = widen<float>(from[i]);
    return load(lanes);
#endif
}
FOCALKIT_INLINE void store_as(Bfloat* to, FloatV v) {
#if defined(FOCALKIT_AVX512)
    const __m512i u = _mm512_castps_si512((__m512)v);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(u, 16), _mm512_set1_epi32(1));
    __m512i rounded = _mm512_srli_epi32(_mm512_add_epi32(_mm512_add_epi32(u, _mm512_set1_epi32(0x7fff)), odd), 16);
    rounded = _mm512_mask_mov_epi32(rounded, _mm512_cmp_ps_mask((__m512)v, (__m512)v, _CMP_UNORD_Q),
                                    _mm512_set1_epi32(0x7fc0));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm512_cvtepi32_epi16(rounded));
#else
    float lanes[width<float>];
    store(lanes, v);
    for (int i = 0; i < width<float>; ++i) narrow(lanes[i], to + i);
#endif
}

/// The first ``n`` elements, ``fill`` in the other lanes; nothing beyond them is touched.
template <class S, class T>
FOCALKIT_INLINE Vec<T> load_some(const S* from, int n, T fill) {
    T lanes[width<T>];
    for (int i = 0; i < width<T>; ++i) lanes[i] = i < n ? widen<T>(from[i]) : fill;
    return load(lanes);
}
template <class S, class V>
FOCALKIT_INLINE void store_some(S* to, V v, int n) {
    typename Lane<V>::type lanes[width<typename Lane<V>::type>];
    store(lanes, v);
    for (int i = 0; i < n; ++i) narrow(lanes[i], to + i);
}
#if defined(FOCALKIT_AVX512)
FOCALKIT_INLINE FloatV load_some(const float* from, int n, float fill) {
    return (FloatV)_mm512_mask_loadu_ps(_mm512_set1_ps(fill), static_cast<__mmask16>((1u << n) - 1), from);
}
FOCALKIT_INLINE DoubleV load_some(const double* from, int n, double fill) {
    return (DoubleV)_mm512_mask_loadu_pd(_mm512_set1_pd(fill), static_cast<__mmask8>((1u << n) - 1), from);
}
FOCALKIT_INLINE void store_some(float* to, FloatV v, int n) {
    _mm512_mask_storeu_ps(to, static_cast<__mmask16>((1u << n) - 1), (__m512)v);
}
FOCALKIT_INLINE void store_some(double* to, DoubleV v, int n) {
    _mm512_mask_storeu_pd(to, static_cast<__mmask8>((1u << n) - 1), (__m512d)v);
}
#endif

/// ``load_as`` into a type wider or narrower than the one S is computed in (targets beside logits).
template <class T, class S>
FOCALKIT_INLINE Vec<T> load_to(const S* from) {
    if constexpr (sizeof(typename Compute<S>::type) == sizeof(T)) {
        return load_as(from);
    } else {
        T lanes[width<T>];
        for (int i = 0; i < width<T>; ++i) lanes[i] = widen<T>(from[i]);
        return load(lanes);
    }
}

/// Calls ``visit`` with a null pointer of the storage type ``type`` names.
template <class Visit>
FOCALKIT_INLINE void with_float_type(Type type, Visit visit) {
    switch (type) {
        case Type::f64: visit(static_cast<double*>(nullptr)); break;
        case Type::f16: visit(static_cast<Half*>(nullptr)); break;
        case Type::bf16: visit(static_cast<Bfloat*>(nullptr)); break;
        default: visit(static_cast<float*>(nullptr)); break;
    }
}
template <class Visit>
FOCALKIT_INLINE void with_integer_type(Type type, Visit visit) {
    switch (type) {
        case Type::i8: visit(static_cast<std::int8_t*>(nullptr)); break;
        case Type::u8: visit(static_cast<std::uint8_t*>(nullptr)); break;
        case Type::i32: visit(static_cast<std::int32_t*>(nullptr)); break;
        default: visit(static_cast<std::int64_t*>(nullptr)); break;
    }
}

}  // namespace focalkit::FOCALKIT_ISA
