// Non-temporal (streaming) stores: they do not read the cache line of the result first, which halves the traffic.
#pragma once
#include "focalkit/simd/storage.hpp"

namespace focalkit::FOCALKIT_ISA {

/// What a writer multiplies by. One that does not has no such member: it is kept in registers from group to group.
template <class V, bool scaled>
struct Scaling {
    V factor{};
    FOCALKIT_INLINE void set(typename Lane<V>::type by) { factor = constant<V>(by); }
    FOCALKIT_INLINE V operator()(V v) const { return v * factor; }
};
template <class V>
struct Scaling<V, false> {
    FOCALKIT_INLINE void set(typename Lane<V>::type) {}
    FOCALKIT_INLINE V operator()(V v) const { return v; }
};

/// Writes a large result with non-temporal stores, one vector per ``advance``, so that they overlap with computation:
/// a burst of them is slow. With ``scaled`` each number is multiplied by a factor.
template <class T, bool scaled>
struct StreamingWriter : Scaling<Vec<T>, scaled> {
    typedef Vec<T> V;
    const T* from = nullptr;
    T* to = nullptr;
    int left = 0;

    void start(const T* source, int n, T* target, T by = T(1)) {
        constexpr int N = width<T>;
        const int misplaced = static_cast<int>(reinterpret_cast<std::uintptr_t>(target) % sizeof(V) / sizeof(T));
        const int whole = misplaced ? N - misplaced : 0, head = whole < n ? whole : n;
        this->set(by);
        if (head) store_some(target, (*this)(load_some(source, head, T(0))), head);
        from = source + head, to = target + head, left = n - head;
    }
    FOCALKIT_INLINE void advance() {
        constexpr int N = width<T>;
        if (left < N) return;
        stream(to, (*this)(load(from)));
        from += N, to += N, left -= N;
    }
    void finish() {
        while (left >= width<T>) advance();
        if (left) store_some(to, (*this)(load_some(from, left, T(0))), left);
        left = 0;
    }
};

}  // namespace focalkit::FOCALKIT_ISA
