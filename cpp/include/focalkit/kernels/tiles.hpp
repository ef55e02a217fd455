// A tile: some rows of the logits class by class, tile[class * columns + row], in the type
// computed in. Whatever the layout and storage of the array, kernels over few classes see this.
#pragma once
#include "focalkit/simd/streaming.hpp"
#include "focalkit/simd/traits.hpp"

namespace focalkit::FOCALKIT_ISA {

/// Calls ``visit(offset of the first row, its place in the tile, how many rows)`` for each run of
/// rows that are evenly spaced.
template <class Visit>
FOCALKIT_INLINE void each_run(const Job& job, const Array& array, std::int64_t first, int count, Visit visit) {
    std::int64_t o = first / job.inner, i = first - o * job.inner;
    for (int at = 0; at < count; ++o, i = 0) {
        const std::int64_t left = job.inner - i;
        const int n = left < count - at ? static_cast<int>(left) : count - at;
        visit(o * array.outer + i * array.inner, at, n);
        at += n;
    }
}

/// Rows of contiguous classes into columns, a quad of classes by as many rows as a vector has lanes at a
/// time; the last quad overlaps the one before.
template <class T>
void transpose_in(const T* from, std::int64_t row_stride, std::int64_t classes, int n, T* tile, int columns) {
    constexpr int N = width<T>, Q = quad<T>;
    for (int r = 0; r + N <= n; r += N)
        for (std::int64_t k = 0;; k = k + 2 * Q <= classes ? k + Q : classes - Q) {
            Vec<T> v[Q];
            for (int q = 0; q < Q; ++q) v[q] = gather_quads(from + (r + q) * row_stride + k, Q * row_stride);
            transpose_quads(v);
            for (int q = 0; q < Q; ++q) store(tile + (k + q) * columns + r, v[q]);
            if (k + Q >= classes) break;
        }
}
/// Back again; ``finish(v, class, row)`` may change each vector on its way.
template <class T, class Finish>
void transpose_out(T* to, std::int64_t row_stride, std::int64_t classes, int n, const T* tile, int columns,
                   Finish finish) {
    constexpr int N = width<T>, Q = quad<T>;
    for (int r = 0; r + N <= n; r += N)
        for (std::int64_t k = 0;; k = k + 2 * Q <= classes ? k + Q : classes - Q) {
            Vec<T> v[Q];
            for (int q = 0; q < Q; ++q) v[q] = finish(load(tile + (k + q) * columns + r), k + q, r);
            transpose_quads(v);
            for (int q = 0; q < Q; ++q) scatter_quads(to + (r + q) * row_stride + k, Q * row_stride, v[q]);
            if (k + Q >= classes) break;
        }
}

template <class T, class S>
void load_run(const S* from, const Array& array, std::int64_t classes, int n, T* tile, int columns) {
    constexpr int N = width<T>;
    if (array.inner == 1) {
        for (std::int64_t k = 0; k < classes; ++k) {
            const S* source = from + k * array.classes;
            T* target = tile + k * columns;
            int r = 0;
            for (; r + N <= n; r += N) store(target + r, load_to<T>(source + r));
            for (; r < n; ++r) target[r] = widen<T>(source[r]);
        }
    } else {
        int r = 0;
        if constexpr (sizeof(S) == sizeof(T))
            if (array.classes == 1 && classes >= quad<T>) {
                transpose_in(from, array.inner, classes, n, tile, columns);
                r = n / N * N;
            }
        for (; r < n; ++r) {
            const S* source = from + r * array.inner;
            for (std::int64_t k = 0; k < classes; ++k) tile[k * columns + r] = widen<T>(source[k * array.classes]);
        }
    }
}

template <class T, class S>
void store_run(S* to, const Array& array, std::int64_t classes, int n, const T* tile, int columns) {
    constexpr int N = width<T>;
    if (array.inner == 1) {
        for (std::int64_t k = 0; k < classes; ++k) {
            S* target = to + k * array.classes;
            const T* source = tile + k * columns;
            int r = 0;
            for (; r + N <= n; r += N) store_as(target + r, load(source + r));
            for (; r < n; ++r) narrow(source[r], target + r);
        }
    } else {
        int r = 0;
        if constexpr (sizeof(S) == sizeof(T))
            if (array.classes == 1 && classes >= quad<T>) {
                transpose_out(to, array.inner, classes, n, tile, columns,
                              [](Vec<T> v, std::int64_t, int) { return v; });
                r = n / N * N;
            }
        for (; r < n; ++r) {
            S* target = to + r * array.inner;
            for (std::int64_t k = 0; k < classes; ++k) narrow(tile[k * columns + r], target + k * array.classes);
        }
    }
}

/// ``count`` rows from ``first`` on; the columns beyond them are 0.
template <class T, class S>
void load_tile(const Job& job, const Array& array, std::int64_t first, int count, T* tile, int columns) {
    const S* data = static_cast<const S*>(array.data);
    each_run(job, array, first, count, [&](std::int64_t offset, int at, int n) {
        load_run<T, S>(data + offset, array, job.classes, n, tile + at, columns);
    });
    for (std::int64_t k = 0; k < job.classes; ++k)
        for (int r = count; r < columns; ++r) tile[k * columns + r] = 0;
}

template <class T, class S>
void store_tile(const Job& job, const Array& array, std::int64_t first, int count, const T* tile, int columns) {
    S* data = static_cast<S*>(array.data);
    each_run(job, array, first, count, [&](std::int64_t offset, int at, int n) {
        store_run<T, S>(data + offset, array, job.classes, n, tile + at, columns);
    });
}

/// What is known of each row of a tile before its logits are read.
template <class T>
struct Rows {
    std::int32_t* id;    // class, 0 where there is none
    std::uint8_t* kept;  // counted, and kept by hard example mining
    T* true_logit;
    T* gamma;
    T* weight;  // alpha_t * sample_weight; without alpha_t where targets are dense_targets over classes
    T* scaled;  // the same over the denominator
    T* loss;
    T* d1;
    T* d2;
    T* place_of_id;  // the id as a number of type T

    static std::int64_t bytes(int columns) {
        return static_cast<std::int64_t>(columns) * (9 * static_cast<int>(sizeof(T)) + 64);
    }
    /// Lays the parts out in ``memory``; returns what lies behind them.
    T* place(T* memory, int columns) {
        T** parts[] = {&true_logit, &gamma, &weight, &scaled, &loss, &d1, &d2, &place_of_id};
        for (T** part : parts) {
            *part = memory;
            memory += columns;
        }
        id = reinterpret_cast<std::int32_t*>(memory);
        memory += columns;  // T is at least as wide as an id
        kept = reinterpret_cast<std::uint8_t*>(memory);
        return reinterpret_cast<T*>(reinterpret_cast<char*>(memory) + (columns + 63) / 64 * 64);
    }
};

/// ``weight * scale``. Floats are in range here (src/evaluate.cpp sees to that); in float64, which nothing wider can
/// take the place of, the largest number stands for infinity, so that 0 times it is 0.
template <class V>
FOCALKIT_INLINE V scaled(V weight, V scale) {
    if constexpr (sizeof(typename Lane<V>::type) == 4) return weight * scale;
    return minimum(largest_finite<V>(), V(weight * scale));
}

template <class T>
T parameter(const PerClass& of, std::int64_t k, T otherwise) {
    return of ? static_cast<const T*>(of.values)[of.per_class ? k : 0] : otherwise;
}

/// A few class ids in memory of our own, loaded once: they become addresses, and the caller's memory may be changed by
/// another thread, or be a file that another process writes to.
template <class I>
struct OwnIds {
    static constexpr int most = 32;  // tiles are multiples of it
    I ids[most];

    FOCALKIT_INLINE void load(const I* from, std::int64_t step, int n) {
#if defined(__GNUC__) || defined(__clang__)
        if (step == 1) {
            if (n == most) std::memcpy(ids, from, sizeof ids);  // of a known size, without a call
            else std::memcpy(ids, from, static_cast<std::size_t>(n) * sizeof(I));
            __asm__ volatile("" : : "r"(ids) : "memory");  // from here on ``from`` is not read again in their place
            return;
        }
#endif
        for (int i = 0; i < n; ++i) ids[i] = load_once(from + i * step);
    }
};

/// Whether all of ``n`` ids are classes; they go to ``id`` whether or not. Without branches, for the usual case.
template <class I>
FOCALKIT_INLINE bool all_known(const I* ids, int n, std::uint64_t last, std::int32_t* FOCALKIT_RESTRICT id) {
    std::uint64_t seen = 0;
    for (int i = 0; i < n; ++i) {
        const auto given = static_cast<std::uint64_t>(static_cast<std::int64_t>(ids[i]));
        seen |= given | (last - given);
        id[i] = static_cast<std::int32_t>(given);
    }
    return (seen >> 63) == 0;
}

/// Ids to int32, 0 for what is ignored or out of range; returns how many count.
template <class I>
int read_ids(const I* from, std::int64_t step, int n, const Job& job, std::int32_t* FOCALKIT_RESTRICT id,
             std::uint8_t* kept, Partial& sums) {
    const std::int64_t ignore = job.ignore_index, classes = job.classes;
    const bool ignores_no_class = ignore < 0 || ignore >= classes;
    const std::uint64_t last = static_cast<std::uint64_t>(classes) - 1;
    OwnIds<I> own;
    int counted = 0;
    for (int first = 0; first < n; first += own.most, id += own.most, kept += own.most) {
        const int some = n - first < own.most ? n - first : own.most;
        own.load(from + first * step, step, some);
        const bool whole = some == own.most;  // a number that the compiler knows
        const bool known = whole ? all_known(own.ids, own.most, last, id) : all_known(own.ids, some, last, id);
        if (ignores_no_class && known) {
            if (whole) std::memset(kept, 1, own.most);
            else std::memset(kept, 1, static_cast<std::size_t>(some));
            counted += some;
            continue;
        }
        for (int i = 0; i < some; ++i) {
            const std::int64_t given = own.ids[i];
            const bool is_ignored = given == ignore;
            const bool inside = static_cast<std::uint64_t>(given) <= last;
            const bool valid = inside & !is_ignored;
            id[i] = valid ? static_cast<std::int32_t>(given) : 0;
            kept[i] = valid;
            counted += valid;
            sums.bad_targets += !inside & !is_ignored;
        }
    }
    return counted;
}

/// Class ids, weights and exponents of ``count`` rows. Ids out of range are counted and skipped, so
/// nothing is ever read at their place. Returns whether any row is skipped.
template <class T>
bool read_rows(const Job& job, std::int64_t first, int count, int columns, const Rows<T>& rows, Partial& sums) {
    int counted = 0;
    if (job.soft) {
        for (int r = 0; r < count; ++r) rows.id[r] = 0, rows.kept[r] = 1;
        counted = count;
    } else {
        with_integer_type(job.target_type, [&](auto* null) {
            using I = pointee<decltype(null)>;
            const I* ids = static_cast<const I*>(job.targets.data);
            each_run(job, job.targets, first, count, [&](std::int64_t offset, int at, int n) {
                counted += read_ids(ids + offset, job.targets.inner, n, job, rows.id + at, rows.kept + at, sums);
            });
        });
    }
    if (job.keep) {
        counted = 0;
        for (int r = 0; r < count; ++r) counted += rows.kept[r] &= job.keep[first + r] != 0;
    }
    for (int r = count; r < columns; ++r) rows.id[r] = 0, rows.kept[r] = 0;
    const T unit = static_cast<T>(job.unit);
    for (int r = 0; r < columns; ++r) rows.weight[r] = rows.kept[r] * unit;
    const ClassParameters& of = job.parameters;
    const T* gamma = static_cast<const T*>(of.gamma.values);
    if (of.gamma.per_class)
        for (int r = 0; r < columns; ++r) rows.gamma[r] = gamma[rows.id[r]];
    else
        for (int r = 0; r < columns; ++r) rows.gamma[r] = *gamma;
    if (job.sample_weight) {
        Array weights;
        weights.outer = job.weight_outer, weights.inner = job.weight_inner;
        each_run(job, weights, first, count, [&](std::int64_t offset, int at, int n) {
            for (int r = 0; r < n; ++r)
                rows.weight[at + r] *= static_cast<T>(job.sample_weight[offset + r * weights.inner] * job.weight_unit);
        });
    }
    const bool dense_targets = job.soft || job.label_smoothing != 0;  // then alpha enters class by class
    const bool weigh = job.weigh && !job.soft;                        // those of soft targets are summed with them
    const T scale = static_cast<T>(job.scale);
    if (of.alpha || job.sample_weight) {
        for (int r = 0; r < columns; ++r) {
            const T alpha = job.soft ? T(1) : parameter(of.alpha, rows.id[r], T(1));
            if (weigh) sums.weight.add(static_cast<double>(rows.weight[r]) * static_cast<double>(alpha));
            if (!dense_targets) rows.weight[r] *= alpha;
        }
    } else if (weigh) {
        sums.weight.add(static_cast<double>(counted) * job.unit);
    }
    for (int r = 0; r < columns; r += width<T>)
        store(rows.scaled + r, scaled(load(rows.weight + r), constant<Vec<T>>(scale)));
    sums.counted += counted;
    return counted != count;
}

/// Skipped rows become zeros, so that they contribute nothing, not even a NaN.
template <class T>
void blank_rows(const Job& job, int count, T* tile, int columns, const Rows<T>& rows) {
    for (int r = 0; r < count; ++r)
        if (!rows.kept[r])
            for (std::int64_t k = 0; k < job.classes; ++k) tile[k * columns + r] = 0;
}

/// ``reduction="none"``: the losses, one per row; unrounded for hard example mining.
template <class T, class S>
void store_losses(const Job& job, std::int64_t first, int count, T* loss) {
    if (job.restore != 1)
        for (int r = 0; r < count; ++r) loss[r] = static_cast<T>(static_cast<double>(loss[r]) * job.restore);
    if (job.losses_unrounded) {
        T* to = static_cast<T*>(job.losses) + first;
        for (int r = 0; r < count; ++r) to[r] = loss[r];
    } else {
        S* to = static_cast<S*>(job.losses) + first;
        for (int r = 0; r < count; ++r) narrow(loss[r], to + r);
    }
}

}  // namespace focalkit::FOCALKIT_ISA
