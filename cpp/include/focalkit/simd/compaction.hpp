// Sets of lanes; lanes gathered one behind the other, and put back.
#pragma once
#include "focalkit/simd/simd.hpp"

namespace focalkit::FOCALKIT_ISA {

/// Lane i is bit i.
typedef std::uint16_t LaneSet;

FOCALKIT_INLINE int size(LaneSet set) {
#if defined(FOCALKIT_AVX512) || defined(FOCALKIT_AVX2)
    return __builtin_popcount(set);
#else
    int n = 0;
    for (unsigned left = set; left != 0; left &= left - 1) ++n;
    return n;
#endif
}

/// Which lanes are equal to ``value``; which are above it, or not a number.
template <class V, class T>
FOCALKIT_INLINE LaneSet lanes_equal(V v, T value) {
#if defined(FOCALKIT_AVX512)
    if constexpr (sizeof(T) == 4) return _mm512_cmp_ps_mask((__m512)v, _mm512_set1_ps(value), _CMP_EQ_OQ);
    else return _mm512_cmp_pd_mask((__m512d)v, _mm512_set1_pd(value), _CMP_EQ_OQ);
#elif defined(FOCALKIT_AVX2)
    if constexpr (sizeof(T) == 4)
        return static_cast<LaneSet>(_mm256_movemask_ps(_mm256_cmp_ps((__m256)v, _mm256_set1_ps(value), _CMP_EQ_OQ)));
    else return static_cast<LaneSet>(_mm256_movemask_pd(_mm256_cmp_pd((__m256d)v, _mm256_set1_pd(value), _CMP_EQ_OQ)));
#elif defined(FOCALKIT_SSE2)
    if constexpr (sizeof(T) == 4)
        return static_cast<LaneSet>(_mm_movemask_ps(_mm_cmpeq_ps((__m128)v, _mm_set1_ps(value))));
    else return static_cast<LaneSet>(_mm_movemask_pd(_mm_cmpeq_pd((__m128d)v, _mm_set1_pd(value))));
#else
    unsigned set = 0;
    for (int i = 0; i < width<T>; ++i) set |= static_cast<unsigned>(v[i] == value) << i;
    return static_cast<LaneSet>(set);
#endif
}
template <class V, class T>
FOCALKIT_INLINE LaneSet lanes_above(V v, T value) {
#if defined(FOCALKIT_AVX512)
    if constexpr (sizeof(T) == 4) return _mm512_cmp_ps_mask((__m512)v, _mm512_set1_ps(value), _CMP_NLE_UQ);
    else return _mm512_cmp_pd_mask((__m512d)v, _mm512_set1_pd(value), _CMP_NLE_UQ);
#elif defined(FOCALKIT_AVX2)
    if constexpr (sizeof(T) == 4)
        return static_cast<LaneSet>(_mm256_movemask_ps(_mm256_cmp_ps((__m256)v, _mm256_set1_ps(value), _CMP_NLE_UQ)));
    else return static_cast<LaneSet>(_mm256_movemask_pd(_mm256_cmp_pd((__m256d)v, _mm256_set1_pd(value), _CMP_NLE_UQ)));
#elif defined(FOCALKIT_SSE2)
    if constexpr (sizeof(T) == 4)
        return static_cast<LaneSet>(_mm_movemask_ps(_mm_cmpnle_ps((__m128)v, _mm_set1_ps(value))));
    else return static_cast<LaneSet>(_mm_movemask_pd(_mm_cmpnle_pd((__m128d)v, _mm_set1_pd(value))));
#else
    unsigned set = 0;
    for (int i = 0; i < width<T>; ++i) set |= static_cast<unsigned>(!(v[i] <= value)) << i;
    return static_cast<LaneSet>(set);
#endif
}

/// ``seen`` with the bits of y of the lanes outside the set, which are those where y is 1.
template <class V>
FOCALKIT_INLINE V join_outside(V seen, V y, LaneSet set) {
    using U = typename Lane<V>::UInt;
#if defined(FOCALKIT_AVX512)
    const LaneSet rest = static_cast<LaneSet>(~set);
    if constexpr (sizeof(typename Lane<V>::type) == 4)
        return (V)_mm512_mask_or_ps((__m512)seen, rest, (__m512)seen, (__m512)y);
    else return (V)_mm512_mask_or_pd((__m512d)seen, static_cast<__mmask8>(rest), (__m512d)seen, (__m512d)y);
#else
    (void)set;
    return where(y != typename Lane<V>::type(1), bits<V>(U(bits<U>(seen) | bits<U>(y))), seen);
#endif
}

#if defined(FOCALKIT_AVX2)
/// For each set of 8 lanes: which lane comes at which place when they are gathered, and the place of each lane.
struct LaneOrders {
    std::uint8_t gather[256][8]{}, scatter[256][8]{};

    constexpr LaneOrders() {
        for (int set = 0; set < 256; ++set)
            for (int lane = 0, n = 0; lane < 8; ++lane)
                if (set >> lane & 1) {
                    gather[set][n] = static_cast<std::uint8_t>(lane);
                    scatter[set][lane] = static_cast<std::uint8_t>(n++);
                }
    }
};
inline constexpr LaneOrders lane_orders;

FOCALKIT_INLINE __m256 in_order(__m256 v, const std::uint8_t* lanes) {
    const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(lanes));
    return _mm256_permutevar8x32_ps(v, _mm256_cvtepu8_epi32(bytes));
}
#endif

/// Stores the lanes of ``v`` in the set one behind the other, and returns how many; may write a whole vector.
template <class V, class T>
FOCALKIT_INLINE int gather(T* to, V v, LaneSet set) {
#if defined(FOCALKIT_AVX512)
    if constexpr (sizeof(T) == 4) _mm512_storeu_ps(to, _mm512_maskz_compress_ps(set, (__m512)v));
    else _mm512_storeu_pd(to, _mm512_maskz_compress_pd(static_cast<__mmask8>(set), (__m512d)v));
    return size(set);
#else
#if defined(FOCALKIT_AVX2)
    if constexpr (sizeof(T) == 4) {
        _mm256_storeu_ps(to, in_order((__m256)v, lane_orders.gather[set]));
        return size(set);
    }
#endif
    T lanes[width<T>];
    store(lanes, v);
    int n = 0;
    for (int i = 0; i < width<T>; ++i) {
        to[n] = lanes[i];
        n += set >> i & 1;
    }
    return n;
#endif
}

/// ``others``, and in the lanes of the set the next ones of ``from``, which moves on.
template <class V, class T>
FOCALKIT_INLINE V scatter(const T*& from, LaneSet set, V others) {
#if defined(FOCALKIT_AVX512)
    const V next = load(from);
    from += size(set);
    if constexpr (sizeof(T) == 4) return (V)_mm512_mask_expand_ps((__m512)others, set, (__m512)next);
    else return (V)_mm512_mask_expand_pd((__m512d)others, static_cast<__mmask8>(set), (__m512d)next);
#else
#if defined(FOCALKIT_AVX2)
    if constexpr (sizeof(T) == 4) {
        const __m256 next = in_order((__m256)load(from), lane_orders.scatter[set]);
        const __m256i bit = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
        const __m256i chosen = _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32(set), bit), bit);
        from += size(set);
        return (V)_mm256_blendv_ps((__m256)others, next, _mm256_castsi256_ps(chosen));
    }
#endif
    T lanes[width<T>];
    store(lanes, others);
    for (int i = 0; i < width<T>; ++i) {
        const bool chosen = set >> i & 1;
        lanes[i] = chosen ? *from : lanes[i];
        from += chosen;
    }
    return load(lanes);
#endif
}

}  // namespace focalkit::FOCALKIT_ISA
