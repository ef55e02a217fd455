// Non-temporal (streaming) stores: they do not read the cache line of the result first, which halves the traffic.
#pragma once
#include "focalkit/simd/storage.hpp"

namespace focalkit::FOCALKIT_ISA {

/// Writes a large result with non-temporal stores, one vector per ``advance``, so that they overlap with computation:
/// a burst of them is slow. With ``scaled`` each number is multiplied by a factor.
template <class T, bool scaled>
struct StreamingWriter {
    typedef Vec<T> V;
    const T* from = nullptr;
    T* to = nullptr;
    int left = 0;
    V factor{};

    void start(const T* source, int n, T* target, T by = T(1)) {
        constexpr int N = width<T>;
        const int misplaced = static_cast<int>(reinterpret_cast<std::uintptr_t>(target) % sizeof(V) / sizeof(T));
        const int whole = misplaced ? N - misplaced : 0, head = whole < n ? whole : n;
        factor = constant<V>(by);
        if (head) store_some(target, times(load_some(source, head, T(0))), head);
        from = source + head, to = target + head, left = n - head;
    }
    FOCALKIT_INLINE void advance() {
        constexpr int N = width<T>;
        if (left < N) return;
        stream(to, times(load(from)));
        from += N, to += N, left -= N;
    }
    void finish() {
        while (left >= width<T>) advance();
        if (left) store_some(to, times(load_some(from, left, T(0))), left);
        left = 0;
    }

private:
    FOCALKIT_INLINE V times(V v) const { return scaled ? V(v * factor) : v; }
};

}  // namespace focalkit::FOCALKIT_ISA
