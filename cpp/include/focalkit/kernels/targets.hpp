// Blocks of a sigmoid's elements: how they, their targets, weights and exponents are read.
#pragma once
#include "focalkit/kernels/tiles.hpp"
#include "focalkit/simd/compaction.hpp"

namespace focalkit::FOCALKIT_ISA {

/// Whether the elements lie one behind the other in C order.
inline bool contiguous(const Job& job, const Array& array) {
    return (job.inner == 1 || array.inner == 1) && (job.classes == 1 || array.classes == job.inner) &&
           (job.outer == 1 || array.outer == job.classes * job.inner);
}

/// Calls ``visit(offset, place in the block, how many, step)`` for runs of elements in C order.
template <class Visit>
FOCALKIT_INLINE void each_element_run(const Job& job, const Array& array, std::int64_t first, int count, Visit visit) {
    const bool inner_joins = array.classes == array.inner * job.inner || job.classes == 1 || job.inner == 1;
    const std::int64_t step = job.inner == 1 ? array.classes : array.inner;
    const std::int64_t line = inner_joins ? job.classes * job.inner : job.inner;
    const bool all_join = inner_joins && (array.outer == step * line || job.outer == 1);
    if (all_join) {
        visit(first * step, 0, count, step);
        return;
    }
    std::int64_t row = first / line, i = first - row * line;
    for (int at = 0; at < count; ++row, i = 0) {
        const std::int64_t left = line - i;
        const int n = left < count - at ? static_cast<int>(left) : count - at;
        const std::int64_t o = inner_joins ? row : row / job.classes;
        const std::int64_t k = inner_joins ? 0 : row - o * job.classes;
        visit(o * array.outer + k * array.classes + i * step, at, n, step);
        at += n;
    }
}

template <class T>
struct Elements {
    static constexpr int most = 1024;
    static constexpr int place = most + 32;  // not a power of two apart, which caches would take for one place
    T z[place], y[place], kept[place], gamma[place], positive[place], negative[place], loss[place], hess[place];
    T adjustment[2 * place];  // of classes one behind the other, from class 0 on
};

/// What the targets of a block hold.
template <class T>
struct Seen {
    std::int64_t counted;
    bool fractional;  // values strictly between 0 and 1
    const T* y;
};

template <class T, class S>
FOCALKIT_INLINE void load_elements(const Job& job, const Array& array, std::int64_t first, int count, T* to) {
    const S* data = static_cast<const S*>(array.data);
    each_element_run(job, array, first, count, [&](std::int64_t offset, int at, int n, std::int64_t step) {
        const S* from = data + offset;
        int i = 0;
        if (step == 1)
            for (; i + width<T> <= n; i += width<T>) store(to + at + i, load_to<T>(from + i));
        for (; i < n; ++i) to[at + i] = widen<T>(from[i * step]);
    });
}

template <class T, class S>
FOCALKIT_INLINE void store_elements(const Job& job, const Array& array, std::int64_t first, int count, const T* from) {
    S* data = static_cast<S*>(array.data);
    each_element_run(job, array, first, count, [&](std::int64_t offset, int at, int n, std::int64_t step) {
        S* to = data + offset;
        int i = 0;
        if constexpr (sizeof(S) == sizeof(T))
            if (step == 1 && job.stream) {
                StreamingWriter<T, false> writes;
                writes.start(from + at, n, to);
                writes.finish();
                return;
            }
        if (step == 1)
            for (; i + width<T> <= n; i += width<T>) store_as(to + i, load_as(from + at + i));
        for (; i < n; ++i) narrow(from[at + i], to + i * step);
    });
}

/// Soft targets. Where all are 0 and 1, as they often are, the kernel itself validates them in the same pass.
template <class T>
Seen<T> read_soft_targets(const Job& job, std::int64_t first, int count, Elements<T>& block) {
    constexpr int N = width<T>;
    const T* ys = block.y;
    with_float_type(job.target_type, [&](auto* null) {
        using Y = pointee<decltype(null)>;
        if constexpr (sizeof(Y) == sizeof(T))
            if (contiguous(job, job.targets) && count % N == 0) ys = static_cast<const T*>(job.targets.data) + first;
        if (ys == block.y) load_elements<T, Y>(job, job.targets, first, count, block.y);
    });
    for (int i = count; i % N != 0; ++i) block.y[i] = 0;
    return {count, job.label_smoothing != 0, ys};
}

/// Remembers the bits of whatever is neither 0 nor 1.
template <class V>
struct Between {
    typedef typename Lane<V>::UInt U;
    U seen{};

    template <class M>
    FOCALKIT_INLINE void look(V y, M is_not_one) {
        const U more = seen | bits<U>(y);
        seen = where(is_not_one, more, seen);
    }
    FOCALKIT_INLINE void look_outside(V y, LaneSet ones) { seen = bits<U>(join_outside(bits<V>(seen), y, ones)); }
    bool any() const {
        bool found = false;
        for (int i = 0; i < static_cast<int>(sizeof(V) / sizeof(seen[0])); ++i) found |= seen[i] != 0;
        return found;
    }
};

template <class T>
bool any_between(const T* ys, int count) {
    Between<Vec<T>> between;
    for (int i = 0; i < count; i += width<T>) {
        const Vec<T> y = load(ys + i);
        between.look(y, y != T(1));
    }
    return between.any();
}

template <class T, class I>
Seen<T> read_hard_targets(const Job& job, std::int64_t first, int count, Elements<T>& block, Partial& sums) {
    const I* data = static_cast<const I*>(job.targets.data);
    std::uint64_t all = 0;
    each_element_run(job, job.targets, first, count, [&](std::int64_t offset, int at, int n, std::int64_t step) {
        const I* from = data + offset;
        T* y = block.y + at;
        if (step == 1)  // two loops, so that the compiler vectorises the usual one
            for (int i = 0; i < n; ++i) all |= static_cast<std::uint64_t>(static_cast<std::int64_t>(from[i]));
        else
            for (int i = 0; i < n; ++i) all |= static_cast<std::uint64_t>(static_cast<std::int64_t>(from[i * step]));
        if (step == 1)
            for (int i = 0; i < n; ++i) y[i] = static_cast<T>(static_cast<std::int32_t>(from[i]));
        else
            for (int i = 0; i < n; ++i) y[i] = static_cast<T>(static_cast<std::int32_t>(from[i * step]));
    });
    const std::int64_t ignore = job.ignore_index;
    const bool fractional = job.label_smoothing != 0;
    if (all <= 1 && ignore != 0 && ignore != 1) {  // as nearly always
        if (job.keep)
            for (int i = 0; i < count; ++i) block.kept[i] = 1;
        return {count, fractional, block.y};
    }
    std::int64_t counted = 0;
    each_element_run(job, job.targets, first, count, [&](std::int64_t offset, int at, int n, std::int64_t step) {
        for (int i = 0; i < n; ++i) {
            const std::int64_t id = data[offset + i * step];
            const bool ignored = id == ignore, inside = static_cast<std::uint64_t>(id) <= 1u;
            counted += inside & !ignored;
            sums.bad_targets += !inside & !ignored;
            block.kept[at + i] = inside & !ignored;
        }
    });
    return {counted, fractional, block.y};
}

/// Targets of a block, into ``block.y`` unless they can stay where they are; what is ignored or invalid gets kept = 0.
template <class T>
Seen<T> read_elements(const Job& job, std::int64_t first, int count, Elements<T>& block, Partial& sums) {
    if (job.soft) return read_soft_targets(job, first, count, block);
    Seen<T> seen{};
    with_integer_type(job.target_type, [&](auto* null) {
        seen = read_hard_targets<T, pointee<decltype(null)>>(job, first, count, block, sums);
    });
    return seen;
}

/// Calls ``visit(place in the block, how many, class, step)`` for runs of elements whose class grows by ``step``.
template <class Visit>
FOCALKIT_INLINE void each_class_run(const Job& job, std::int64_t first, int count, Visit visit) {
    const std::int64_t step = job.inner == 1, line = step ? job.classes : job.inner, row = first / line;
    std::int64_t i = first - row * line, k = step ? i : row % job.classes;
    for (int at = 0; at < count; i = 0) {
        const std::int64_t left = line - i;
        const int n = left < count - at ? static_cast<int>(left) : count - at;
        visit(at, n, k, step);
        at += n;
        k = step || k + 1 == job.classes ? 0 : k + 1;
    }
}

/// Scales and adjusts a block of logits on their way from ``z`` to ``to``, which may be the same.
template <class T>
void adjust_elements(const Job& job, std::int64_t first, int count, const T* z, T* to) {
    const T scale = static_cast<T>(job.logit_scale);
    const PerClass& of = job.parameters.adjustment;
    if (of.per_class) {
        const T* entries = static_cast<const T*>(of.values);
        each_class_run(job, first, count, [=](int at, int n, std::int64_t k, std::int64_t step) {
            const T* from = entries + k;
            if (step)
                for (int i = 0; i < n; ++i) to[at + i] = z[at + i] * scale + from[i];
            else
                for (int i = 0; i < n; ++i) to[at + i] = z[at + i] * scale + *from;
        });
    } else {
        constexpr int N = width<T>;
        const T adjustment = parameter(of, 0, T(0));
        int i = 0;
        for (; i + N <= count; i += N) {
            prefetch(z + i + Elements<T>::most);  // of the next block
            store(to + i, Vec<T>(load(z + i) * scale + adjustment));
        }
        for (; i < count; ++i) to[i] = z[i] * scale + adjustment;
    }
}

/// Whether the adjustments of a block are a run of those that lie one behind the other.
template <class T>
bool adjustments_run(const Job& job) {
    return !job.parameters.adjustment.per_class || (job.inner == 1 && job.classes <= Elements<T>::most);
}
template <class T>
void run_adjustments(const Job& job, Elements<T>& block) {
    const PerClass& of = job.parameters.adjustment;
    const std::int64_t classes = of.per_class ? job.classes : 1;
    for (std::int64_t i = 0, k = 0; i < Elements<T>::most + classes; ++i, k = k + 1 == classes ? 0 : k + 1)
        block.adjustment[i] = parameter(of, k, T(0));
}

/// Fills per-element weights of positives and negatives, and exponents, where they are not constants.
template <class T>
void read_parameters(const Job& job, std::int64_t first, int count, bool some_skipped, Elements<T>& block) {
    const auto fill = [&](const PerClass& of, T otherwise, T* to) {
        if (of.per_class) {
            const T* entries = static_cast<const T*>(of.values);
            each_class_run(job, first, count, [=](int at, int n, std::int64_t k, std::int64_t step) {
                const T* from = entries + k;
                if (step)
                    for (int i = 0; i < n; ++i) to[at + i] = from[i];
                else
                    for (int i = 0; i < n; ++i) to[at + i] = *from;
            });
        } else {
            const T value = parameter(of, 0, otherwise);
            for (int i = 0; i < count; ++i) to[i] = value;
        }
    };
    fill(job.parameters.gamma, T(0), block.gamma);
    fill(job.parameters.alpha, T(1), block.positive);
    fill(job.parameters.alpha_other, T(1), block.negative);
    if (job.unit != 1)
        for (int e = 0; e < count; ++e) {
            block.positive[e] *= static_cast<T>(job.unit);
            block.negative[e] *= static_cast<T>(job.unit);
        }
    if (job.sample_weight) {
        Array weights;
        weights.outer = job.weight_outer, weights.classes = job.weight_classes, weights.inner = job.weight_inner;
        each_element_run(job, weights, first, count, [&](std::int64_t offset, int at, int n, std::int64_t step) {
            for (int e = 0; e < n; ++e) {
                const T w = static_cast<T>(job.sample_weight[offset + e * step] * job.weight_unit);
                block.positive[at + e] *= w;
                block.negative[at + e] *= w;
            }
        });
    }
    if (some_skipped)
        for (int e = 0; e < count; ++e)
            if (block.kept[e] == 0) block.z[e] = block.y[e] = block.positive[e] = block.negative[e] = 0;
}

}  // namespace focalkit::FOCALKIT_ISA
