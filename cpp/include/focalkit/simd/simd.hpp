// One small door to vector registers. Everything above it is written once, for a vector or a scalar.
//
// GCC and clang give arithmetic, comparison and selection on vector types by themselves; the few
// operations they lack are spelled for x86 here. Other compilers get `portable_simd.hpp`.
// The whole library of kernels is compiled once per instruction set, each time in its own namespace
// FOCALKIT_ISA, so that no function of one is ever linked into another. For the same reason nothing
// below this line uses a template of the standard library.
#pragma once
#include <cstdint>
#include <cstring>

#ifndef FOCALKIT_ISA
#define FOCALKIT_ISA baseline
#endif

#if !(defined(__GNUC__) || defined(__clang__)) && !defined(FOCALKIT_PORTABLE_SIMD)
#define FOCALKIT_PORTABLE_SIMD 1
#endif

#if defined(__AVX512F__) && defined(__AVX512DQ__) && defined(__AVX512BW__) && defined(__AVX512VL__)
#define FOCALKIT_BYTES 64
#elif defined(__AVX2__)
#define FOCALKIT_BYTES 32
#else
#define FOCALKIT_BYTES 16
#endif

#if defined(FOCALKIT_PORTABLE_SIMD)
// no intrinsics at all
#elif FOCALKIT_BYTES == 64
#define FOCALKIT_AVX512 1
#elif FOCALKIT_BYTES == 32
#define FOCALKIT_AVX2 1
#elif defined(__SSE2__)
#define FOCALKIT_SSE2 1
#endif

#if defined(FOCALKIT_AVX512) || defined(FOCALKIT_AVX2)
#include <immintrin.h>
#elif defined(FOCALKIT_SSE2)
#include <emmintrin.h>
#endif

#if defined(_MSC_VER)
#define FOCALKIT_INLINE __forceinline
#define FOCALKIT_NOINLINE __declspec(noinline)
#define FOCALKIT_RESTRICT __restrict
#else
#define FOCALKIT_INLINE inline __attribute__((always_inline))
#define FOCALKIT_NOINLINE __attribute__((noinline))
#define FOCALKIT_RESTRICT __restrict__
#endif

#if defined(FOCALKIT_PORTABLE_SIMD)
#include "focalkit/simd/portable.hpp"
#else
#include "focalkit/simd/native.hpp"
#endif

namespace focalkit::FOCALKIT_ISA {

/// The same bits as another type.
template <class To, class From>
FOCALKIT_INLINE To bits(From from) {
    static_assert(sizeof(To) == sizeof(From));
    To to;
    std::memcpy(&to, &from, sizeof to);
    return to;
}

// Scalars speak the same language as vectors.
FOCALKIT_INLINE float where(bool mask, float a, float b) { return mask ? a : b; }
FOCALKIT_INLINE double where(bool mask, double a, double b) { return mask ? a : b; }
FOCALKIT_INLINE float absolute(float x) { return __builtin_fabsf(x); }
FOCALKIT_INLINE double absolute(double x) { return __builtin_fabs(x); }

template <class V>
FOCALKIT_INLINE V constant(typename Lane<V>::type value) {
    return V{} + value;
}

/// ``-x`` where the mask is set; by the bits, for which processors have masked instructions.
template <class V, class M>
FOCALKIT_INLINE V negated(V x, M mask) {
    using U = typename Lane<V>::UInt;
    const U u = bits<U>(x);
    const U flipped = u ^ bits<U>(V(-V{}));
    return bits<V>(U(where(mask, flipped, u)));
}

/// a / b to less than a unit in the last place, for a normal b whose inverse is normal too. Sixteen divisions take a
/// divider as many cycles: there an approximate inverse and what it leaves take four operations.
template <class V>
FOCALKIT_INLINE V quotient(V a, V b) {
    return a / b;
}

/// A product rounded by itself, never as part of a fused sum, so that it is the same wherever it is used.
template <class V>
FOCALKIT_INLINE V rounded(V product) {
#if defined(FOCALKIT_AVX512)
    __asm__("" : "+v"(product));
#elif defined(FOCALKIT_AVX2) || defined(FOCALKIT_SSE2)
    __asm__("" : "+x"(product));
#elif defined(__aarch64__) && !defined(FOCALKIT_PORTABLE_SIMD)
    __asm__("" : "+w"(product));
#endif
    return product;
}

/// What rounding took from ``product`` = a b: exactly a b - product, short of overflow.
template <class V>
FOCALKIT_INLINE V product_error(V a, V b, V product) {
#if defined(FOCALKIT_AVX512) || defined(FOCALKIT_AVX2)
    return fused_subtract(a, b, product);
#else  // Dekker's: in halves of the digits, whose products are exact
    using T = typename Lane<V>::type;
    const T splitter = sizeof(T) == 4 ? T(4097) : T(134217729);
    const V ca = rounded<V>(a * splitter), cb = rounded<V>(b * splitter);
    const V a1 = rounded<V>(ca - rounded<V>(ca - a)), b1 = rounded<V>(cb - rounded<V>(cb - b));
    const V a2 = a - a1, b2 = b - b1;
    const V error = ((a1 * b1 - product) + a1 * b2 + a2 * b1) + a2 * b2;
    return where(error == error, error, V{});  // the halves of what is near the largest number overflow
#endif
}

/// a b - c, rounded once, or nearly so.
#if !defined(FOCALKIT_AVX512) && !defined(FOCALKIT_AVX2)
template <class V>
FOCALKIT_INLINE V fused_subtract(V a, V b, V c) {
    const V product = rounded<V>(a * b);
    return (product - c) + product_error<V>(a, b, product);
}
#endif

template <class V>
FOCALKIT_INLINE V infinity() {
    return constant<V>(static_cast<typename Lane<V>::type>(__builtin_inf()));
}

template <class V>
FOCALKIT_INLINE V largest_finite() {
    using T = typename Lane<V>::type;
    return constant<V>(sizeof(T) == 4 ? static_cast<T>(3.40282346638528859812e+38)
                                      : static_cast<T>(1.79769313486231570815e+308));
}

}  // namespace focalkit::FOCALKIT_ISA
