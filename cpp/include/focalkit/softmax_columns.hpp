// Softmax over tiles: one lane a row, so a handful of classes fills the registers as well as many.
#pragma once
#include "soft_columns.hpp"

namespace focalkit::FOCALKIT_ISA {

/// Where a tile's rows lie side by side in the arrays themselves, they are read and written there.
template <class T>
struct Direct {
    const T* from = nullptr;  // null: the logits are in the tile
    std::int64_t from_stride = 0;
    T* to = nullptr;  // null: the gradient stays in the tile
    std::int64_t to_stride = 0;
    bool stream = false;
    bool more = false;    // the rows behind are read next
    bool across = false;  // the result has contiguous classes: the tile is left unscaled, the pulls in rows.d2
};

/// The true class apart: its logit to rows.own, and -inf in its place, so that it takes no part in sums.
template <class T>
FOCALKIT_INLINE void set_apart(T* z, int first, int last, int columns, const Rows<T>& rows) {
    for (int r = first; r < last; ++r) {
        T& logit = z[static_cast<std::int64_t>(rows.id[r]) * columns + r];
        rows.own[r] = logit;
        logit = -infinity<T>();
    }
}

/// Hard targets. ``z`` holds the logits unless they are read directly, then e, then the gradient unless that
/// is written directly; the Hessian goes to ``h``. Returns the sum of the losses.
///
/// The anchor of the exponentials is the largest logit, the true class's own among them: only what is
/// smaller than any result can be is lost by that.
template <Power power, int order, class T>
Sum hard_columns(T* z, T* h, std::int64_t classes, int columns, const Rows<T>& rows, const Direct<T>& direct) {
    using V = Vec<T>;
    constexpr int N = width<T>, U = 2;
    LossSum total_loss;
    for (int c = 0; c < columns; c += N * U) {
        V largest[U], total[U], pull[U], d1s[U], d2s[U];
        for (int u = 0; u < U; ++u) largest[u] = total[u] = constant<V>(-infinity<T>());
        if (direct.from) {
            for (std::int64_t k = 0; k < classes; ++k)
                for (int u = 0; u < U; ++u) {
                    const V logit = load(direct.from + k * direct.from_stride + c + u * N);
                    store(z + k * columns + c + u * N, logit);
                    largest[u] = maximum(logit, largest[u]);
                }
            set_apart(z, c, c + N * U, columns, rows);
        } else {
            for (std::int64_t k = 0; k < classes; ++k)
                for (int u = 0; u < U; ++u) largest[u] = maximum(load(z + k * columns + c + u * N), largest[u]);
        }
        for (int u = 0; u < U; ++u) total[u] = V{};
        for (std::int64_t block = 0; block < classes; block += 64) {  // two levels keep long sums exact
            const std::int64_t end = block + 64 < classes ? block + 64 : classes;
            V sum[U] = {}, anchor[U];
            for (int u = 0; u < U; ++u) anchor[u] = where(largest[u] == -infinity<V>(), V{}, largest[u]);
            const auto exp_pass = [&]<bool more>() {
                for (std::int64_t k = block; k < end; ++k)
                    for (int u = 0; u < U; ++u) {
                        T* at = z + k * columns + c + u * N;
                        const V e = exp_nonpositive<V>(load(at) - anchor[u]);
                        if constexpr (order > 0) store(at, e);
                        if constexpr (more) prefetch(direct.from + k * direct.from_stride + c + u * N + columns);
                        sum[u] = sum[u] + e;
                    }
            };
            if (direct.more) exp_pass.template operator()<true>();
            else exp_pass.template operator()<false>();
            for (int u = 0; u < U; ++u) total[u] = total[u] + sum[u];
        }
        for (int u = 0; u < U; ++u) {
            const int at_row = c + u * N;
            const V gamma = load(rows.gamma + at_row), scaled = load(rows.scaled + at_row);
            const V m = log_odds(load(rows.own + at_row), largest[u], total[u]);
            const Probabilities<V> at = probabilities(m);
            const V w = modulation<power>(at, gamma);
            const V value = weighted(load(rows.weight + at_row), loss(at, w));
            store(rows.loss + at_row, value);
            total_loss.add(value);
            if constexpr (order > 0) {
                d1s[u] = scaled * d1<power>(at, w, gamma);
                store(rows.d1 + at_row, d1s[u]);
                pull[u] = pull_of(d1s[u], total[u]);
            }
            if constexpr (order > 1) {
                d2s[u] = scaled * d2(at, w, gamma);
                store(rows.d2 + at_row, d2s[u]);
            }
        }
        if constexpr (order > 1) {
            V top[U] = {};
            ExclusiveSum<V> exclusive[U];
            for (std::int64_t k = 0; k < classes; ++k)
                for (int u = 0; u < U; ++u) top[u] = maximum(load(z + k * columns + c + u * N), top[u]);
            for (std::int64_t k = 0; k < classes; ++k)
                for (int u = 0; u < U; ++u) exclusive[u].add(load(z + k * columns + c + u * N), top[u]);
            for (std::int64_t k = 0; k < classes; ++k)
                for (int u = 0; u < U; ++u) {
                    const V e = load(z + k * columns + c + u * N);
                    const V safe = where(total[u] == V{}, constant<V>(T(1)), total[u]);
                    const V r_rest = all_but(e, top[u], exclusive[u].rest(top[u])) / safe;
                    store(h + k * columns + c + u * N, softmax_hessian(d1s[u], d2s[u], e / safe, r_rest));
                }
        }
        if constexpr (order > 0) {
            if (direct.across) {
                for (int u = 0; u < U; ++u) store(rows.d2 + c + u * N, pull[u]);
            } else if (direct.to) {
                V id[U];
                for (int u = 0; u < U; ++u) id[u] = load(rows.place_of_id + c + u * N);
                for (std::int64_t k = 0; k < classes; ++k)
                    for (int u = 0; u < U; ++u) {
                        const V of_others = softmax_gradient(load(z + k * columns + c + u * N), pull[u]);
                        const V grad = where(id[u] == constant<V>(static_cast<T>(k)), d1s[u], of_others);
                        T* to = direct.to + k * direct.to_stride + c + u * N;
                        if (direct.stream) stream(to, grad);
                        else store(to, grad);
                    }
            } else {
                for (std::int64_t k = 0; k < classes; ++k)
                    for (int u = 0; u < U; ++u) {
                        T* at = z + k * columns + c + u * N;
                        store(at, softmax_gradient(load(at), pull[u]));
                    }
            }
        }
    }
    return total_loss.sum();
}

template <class T>
std::int64_t columns_scratch(const Job& job, int columns) {
    const bool spread = job.soft || job.label_smoothing != 0;
    const int tiles = spread ? 4 : job.order > 1 ? 2 : 1;
    return Rows<T>::bytes(columns) + tiles * job.classes * columns * static_cast<std::int64_t>(sizeof(T));
}

/// Rows of a tile: as many as stay in the first cache. Odd multiples of 32, so that the same row of two
/// classes is seldom a multiple of 4096 bytes apart, which processors take for the same address.
inline int columns_of_tile(const Job& job) {
    const std::int64_t row_bytes = job.classes * (job.type == Type::f64 ? 8 : 4);
    for (int columns = most_columns; columns > 32; columns -= 64)
        if (columns * row_bytes <= 28672) return columns;
    return 32;
}

template <class T>
Sum hard_columns_of_job(const Job& job, T* z, T* h, int columns, const Rows<T>& rows, const Direct<T>& direct) {
    const auto with_power = [&]<Power power>() {
        if (job.order == 0) return hard_columns<power, 0>(z, h, job.classes, columns, rows, direct);
        if (job.order == 1) return hard_columns<power, 1>(z, h, job.classes, columns, rows, direct);
        return hard_columns<power, 2>(z, h, job.classes, columns, rows, direct);
    };
    switch (job.power) {
        case 0: return with_power.template operator()<Power::zero>();
        case 1: return with_power.template operator()<Power::one>();
        case 2: return with_power.template operator()<Power::two>();
        default: return with_power.template operator()<Power::any>();
    }
}

/// The tile's rows in the array itself, if they lie side by side; null if not.
template <class T>
T* side_by_side(const Job& job, const Array& array, std::int64_t first, int count) {
    if (array.inner != 1) return nullptr;
    const std::int64_t o = first / job.inner, i = first - o * job.inner;
    return i + count <= job.inner ? static_cast<T*>(array.data) + o * array.outer + i : nullptr;
}

/// Scales a tile into rows of contiguous classes.
template <class T>
void write_across(const Job& job, std::int64_t first, int columns, const T* z, const Rows<T>& rows) {
    T* to = static_cast<T*>(job.grad.data) + first * job.grad.inner;
    transpose_out(to, job.grad.inner, job.classes, columns, z, columns, [&](Vec<T> e, std::int64_t k, int r) {
        const Vec<T> of_others = softmax_gradient(e, load(rows.d2 + r));
        return where(load(rows.place_of_id + r) == constant<Vec<T>>(static_cast<T>(k)), load(rows.d1 + r), of_others);
    });
}

template <class S>
void softmax_columns_chunk(const Job& job, std::int64_t chunk, void* scratch, Partial& sums) {
    using T = typename Compute<S>::type;
    constexpr int step = 2 * width<T>;
    const bool spread = job.soft || job.label_smoothing != 0;
    const int most = columns_of_tile(job);
    const std::int64_t begin = chunk * job.rows_per_chunk;
    const std::int64_t end = begin + job.rows_per_chunk < job.rows() ? begin + job.rows_per_chunk : job.rows();
    for (std::int64_t first = begin; first < end; first += most) {
        const int count = end - first < most ? static_cast<int>(end - first) : most;
        const int columns = (count + step - 1) / step * step;
        Rows<T> rows;
        T* z = rows.place(static_cast<T*>(scratch), columns);
        T* h = z + job.classes * columns;
        const bool some_out = read_rows(job, first, count, columns, rows, sums);
        Direct<T> direct;
        if constexpr (sizeof(S) == sizeof(T))
            if (!spread && !some_out && count == columns) {
                direct.from = side_by_side<const T>(job, job.logits, first, count);
                direct.from_stride = job.logits.classes;
                direct.more = direct.from && first + 2 * most <= end;
                if (job.order == 1 && job.classes < (1 << 24) && job.grad.classes != 1)
                    direct.to = side_by_side<T>(job, job.grad, first, count);
                direct.to_stride = job.grad.classes;
                direct.stream = job.stream && reinterpret_cast<std::uintptr_t>(direct.to) % sizeof(Vec<T>) == 0 &&
                                direct.to_stride % width<T> == 0;
                direct.across = job.order == 1 && job.grad.classes == 1 && job.classes >= quad<T> &&
                                job.classes < (1 << 24) && job.outer == 1;
                for (int r = 0; r < columns; ++r) rows.place_of_id[r] = static_cast<T>(rows.id[r]);
            }
        if (!direct.from) load_tile<T, S>(job, job.logits, first, count, z, columns);
        if (some_out) blank_rows(job, count, z, columns, rows);
        if (spread) {
            spread_targets(job, first, count, z + 2 * job.classes * columns, columns, rows, sums);
            sums.loss.add(soft_columns_of_job(job, z, h, columns, rows));
            h = z + 3 * job.classes * columns;
        } else {
            if (!direct.from) set_apart(z, 0, columns, columns, rows);
            sums.loss.add(hard_columns_of_job(job, z, h, columns, rows, direct));
            if (direct.across) write_across(job, first, columns, z, rows);
            if (job.order > 0 && !direct.to && !direct.across)
                for (int r = 0; r < count; ++r) z[static_cast<std::int64_t>(rows.id[r]) * columns + r] = rows.d1[r];
            if (job.order > 1)
                for (int r = 0; r < count; ++r) h[static_cast<std::int64_t>(rows.id[r]) * columns + r] = rows.d2[r];
        }
        if (job.losses) store_losses<T, S>(job, first, count, rows.loss);
        if (job.order > 0 && !direct.to && !direct.across) store_tile<T, S>(job, job.grad, first, count, z, columns);
        if (job.order > 1) store_tile<T, S>(job, job.hess, first, count, h, columns);
    }
    if (job.stream) stream_fence();
}

}  // namespace focalkit::FOCALKIT_ISA
