// Softmax over tiles: one lane a row, so a handful of classes fills the registers as well as many.
#pragma once
#include "focalkit/kernels/rows.hpp"
#include "focalkit/kernels/columns_soft.hpp"

namespace focalkit::FOCALKIT_ISA {

/// Where a tile's rows lie side by side in the arrays themselves, they are read and written there.
template <class T>
struct Direct {
    const T* from = nullptr;  // null: the logits are in the tile
    std::int64_t from_stride = 0;
    T* to = nullptr;    // null: the gradient stays in the tile
    bool late = false;  // it is written there with the next tile
    std::int64_t to_stride = 0;
    T* to_hess = nullptr;  // likewise, with the gradient
    std::int64_t to_hess_stride = 0;
    bool stream = false;
    bool more = false;    // the rows behind are read next
    bool across = false;  // the result has contiguous classes: the tile is left unscaled
};

/// A tile and what is known of its rows.
template <class T>
struct Columns {
    RowSums<T> group;
    Direct<T> direct;
    T* z = nullptr;
    int columns = 0;
    const Adjustment<T>* adjustment = nullptr;  // null: the logits are those of the loss

    /// The gradient of class ``k`` to where it belongs, from the exponentials in the tile.
    FOCALKIT_INLINE void write(std::int64_t k, int c, Vec<T> pull, Vec<T> d1, Vec<T> id) const {
        const Vec<T> of_others = softmax_gradient(load(z + k * columns + c), pull);
        const Vec<T> grad = where(id == constant<Vec<T>>(static_cast<T>(k)), d1, of_others);
        put(direct.to + k * direct.to_stride + c, grad);
    }
    FOCALKIT_INLINE void put(T* to, Vec<T> v) const {
        if (direct.stream) stream(to, v);
        else store(to, v);
    }
};

/// Whether a tile's gradient is written with the next tile: not where arithmetic alone takes as long as the memory.
inline bool writes_late(const Job& job) { return job.type == Type::f32; }

/// Masks the true class: its logit goes to rows.true_logit and -inf takes its place, so that sums leave it out.
template <class T>
FOCALKIT_INLINE void mask_true_class(T* z, int first, int last, int columns, const Rows<T>& rows) {
    for (int r = first; r < last; ++r) {
        T& logit = z[static_cast<std::int64_t>(rows.id[r]) * columns + r];
        rows.true_logit[r] = logit;
        logit = -infinity<T>();
    }
}

/// Rows of a tile that was read directly whose sum is below ``least_sum``, from exponentials anchored at the largest of
/// the other classes, as ``anchor_at_others`` has it; those beside them stay as they are.
template <bool kept, bool adjusted, class T>
FOCALKIT_NOINLINE void anchor_columns_at_others(const Columns<T>& tile, std::int64_t classes) {
    using V = Vec<T>;
    const RowSums<T>& group = tile.group;
    const int columns = tile.columns;
    for (int c = 0; c < columns; c += width<T>) {
        const V total = load(group.total + c), largest = load(group.largest + c);
        const auto leads = total < constant<V>(least_sum<T>);
        V others = constant<V>(-infinity<T>()), sum{};
        for (std::int64_t k = 0; k < classes; ++k)
            store(tile.z + k * columns + c, load(tile.direct.from + k * tile.direct.from_stride + c));
        mask_true_class(tile.z, c, c + width<T>, columns, group.rows);
        for (std::int64_t k = 0; k < classes; ++k) others = maximum(load(tile.z + k * columns + c), others);
        const V anchor = where(leads & (others > -infinity<V>()), others, largest);
        for (std::int64_t k = 0; k < classes; ++k) {
            T* at = tile.z + k * columns + c;
            V distance = load(at) - where(anchor == -infinity<V>(), V{}, anchor);
            if constexpr (adjusted) distance = distance * tile.adjustment->scale + tile.adjustment->one(k);
            const V e = exp_nonpositive<V>(distance);
            if constexpr (kept) store(at, e);
            sum = sum + e;
        }
        store(group.largest + c, anchor);
        store(group.total + c, where(leads, sum, total));
    }
}

/// Sums of exponentials, anchored at the largest logit: where logits are read directly, the true class's own among them
/// unless it leads by far. ``z`` holds the logits unless they are read directly, then, if they are to be
/// ``kept``, the exponentials. The gradient of the tile before is stored in the same pass, so that memory traffic
/// overlaps with arithmetic.
template <bool kept, bool adjusted, class T>
void column_sums(const Columns<T>& tile, const Columns<T>* before, std::int64_t classes) {
    using V = Vec<T>;
    constexpr int N = width<T>, U = 2;
    const RowSums<T>& group = tile.group;
    const Direct<T>& direct = tile.direct;
    const int columns = tile.columns;
    T* z = tile.z;
    const T scale = adjusted ? tile.adjustment->scale : T(1);
    const T* of_class = adjusted ? tile.adjustment->of_class : nullptr;
    for (int c = 0; c < columns; c += N * U) {
        V largest[U], total[U] = {};
        for (int u = 0; u < U; ++u) largest[u] = constant<V>(-infinity<T>());
        if (direct.from) {
            for (std::int64_t k = 0; k < classes; ++k)
                for (int u = 0; u < U; ++u) {
                    const V logit = load(direct.from + k * direct.from_stride + c + u * N);
                    store(z + k * columns + c + u * N, logit);
                    largest[u] = maximum(logit, largest[u]);
                }
            mask_true_class(z, c, c + N * U, columns, group.rows);
        } else {
            for (std::int64_t k = 0; k < classes; ++k)
                for (int u = 0; u < U; ++u) largest[u] = maximum(load(z + k * columns + c + u * N), largest[u]);
        }
        for (std::int64_t block = 0; block < classes; block += 64) {  // two levels keep long sums exact
            const std::int64_t end = block + 64 < classes ? block + 64 : classes;
            V sum[U] = {}, anchor[U];
            for (int u = 0; u < U; ++u) anchor[u] = where(largest[u] == -infinity<V>(), V{}, largest[u]);
            V pull[U], d1[U], id[U];
            if (before)
                for (int u = 0; u < U; ++u) before->group.load_pulls(c + u * N, pull[u], d1[u], id[u]);
            const auto exp_pass = [&]<bool more, bool writes>() {
                for (std::int64_t k = block; k < end; ++k) {
                    const T shift = of_class ? of_class[k] : T(0);
                    for (int u = 0; u < U; ++u) {
                        T* at = z + k * columns + c + u * N;
                        V distance = load(at) - anchor[u];
                        if constexpr (adjusted) distance = distance * scale + shift;
                        const V e = exp_nonpositive<V>(distance);
                        if constexpr (kept) store(at, e);
                        if constexpr (more) prefetch(direct.from + k * direct.from_stride + c + u * N + columns);
                        if constexpr (writes) before->write(k, c + u * N, pull[u], d1[u], id[u]);
                        sum[u] = sum[u] + e;
                    }
                }
            };
            if (before && direct.more) exp_pass.template operator()<true, true>();
            else if (before) exp_pass.template operator()<false, true>();
            else if (direct.more) exp_pass.template operator()<true, false>();
            else exp_pass.template operator()<false, false>();
            for (int u = 0; u < U; ++u) total[u] = total[u] + sum[u];
        }
        for (int u = 0; u < U; ++u) {
            store(group.largest + c + u * N, largest[u]);
            store(group.total + c + u * N, total[u]);
        }
    }
    if (direct.from && some_lead_by_far(group.total, columns)) anchor_columns_at_others<kept, adjusted>(tile, classes);
}

/// The Hessian from the exponentials in the tile: of all but the true class to ``h``, or all of it, and the gradient,
/// where ``direct`` says. See RowHessian.
template <class T>
FOCALKIT_NOINLINE void column_hessians(const Columns<T>& tile, T* h, std::int64_t classes) {
    using V = Vec<T>;
    constexpr int N = width<T>, U = 2;
    const RowSums<T>& group = tile.group;
    const Direct<T>& direct = tile.direct;
    const int columns = tile.columns;
    const T* z = tile.z;
    for (int c = 0; c < columns; c += N * U) {
        V pull[U], d1[U], id[U], d2[U], slope[U], total[U], inverse[U], top[U] = {}, below[U] = {}, tops[U] = {},
                                                                        rest[U];
        for (int u = 0; u < U; ++u) {
            group.load_pulls(c + u * N, pull[u], d1[u], id[u]);
            d2[u] = load(group.rows.d2 + c + u * N);
            slope[u] = d1[u] * group.logit_scale;
            total[u] = load(group.total + c + u * N);
            inverse[u] = inverse_of<T>(total[u]);
        }
        for (std::int64_t k = 0; k < classes; ++k)
            for (int u = 0; u < U; ++u) top[u] = maximum(load(z + k * columns + c + u * N), top[u]);
        for (std::int64_t k = 0; k < classes; ++k)
            for (int u = 0; u < U; ++u) {
                const V e = load(z + k * columns + c + u * N);
                const auto is_top = e == top[u];
                below[u] = below[u] + where(is_top, V{}, e);
                tops[u] = tops[u] + where(is_top, e, V{});
            }
        for (int u = 0; u < U; ++u) rest[u] = below[u] + (tops[u] - top[u]);
        for (std::int64_t k = 0; k < classes; ++k)
            for (int u = 0; u < U; ++u) {
                const V e = load(z + k * columns + c + u * N);
                const V others = where(e == top[u], rest[u], total[u] - e);
                const V hess = softmax_hessian<V>(slope[u], d2[u], e * inverse[u], others * inverse[u]);
                if (direct.to_hess) {
                    tile.write(k, c + u * N, pull[u], d1[u], id[u]);
                    tile.put(direct.to_hess + k * direct.to_hess_stride + c + u * N,
                             where(id[u] == constant<V>(static_cast<T>(k)), d2[u], hess));
                } else {
                    store(h + k * columns + c + u * N, hess);
                }
            }
    }
}

/// The gradient: where ``direct`` says, or of all but the true class in place of the exponentials.
template <class T>
void column_gradients(const Columns<T>& tile, std::int64_t classes) {
    using V = Vec<T>;
    constexpr int N = width<T>, U = 2;
    const RowSums<T>& group = tile.group;
    const int columns = tile.columns;
    for (int c = 0; c < columns; c += N * U) {
        V pull[U], d1[U], id[U];
        for (int u = 0; u < U; ++u) group.load_pulls(c + u * N, pull[u], d1[u], id[u]);
        for (std::int64_t k = 0; k < classes; ++k)
            for (int u = 0; u < U; ++u) {
                if (tile.direct.to) {
                    tile.write(k, c + u * N, pull[u], d1[u], id[u]);
                } else {
                    T* at = tile.z + k * columns + c + u * N;
                    store(at, softmax_gradient(load(at), pull[u]));
                }
            }
    }
}

/// Hard targets: the gradient in the tile, or directly with the next tile; the Hessian to ``h``. Returns the sum of the
/// losses.
template <class T>
Sum hard_columns(const Job& job, const Columns<T>& tile, const Columns<T>* before, T* h) {
    const int columns = tile.columns;
    if (job.order == 0) {
        if (tile.adjustment) column_sums<false, true, T>(tile, nullptr, job.classes);
        else column_sums<false, false, T>(tile, nullptr, job.classes);
        return row_tails_of_job<0>(job, tile.group, columns);
    }
    if (tile.adjustment) column_sums<true, true>(tile, before, job.classes);
    else column_sums<true, false>(tile, before, job.classes);
    const Sum losses =
        job.order == 1 ? row_tails_of_job<1>(job, tile.group, columns) : row_tails_of_job<2>(job, tile.group, columns);
    if (job.order > 1) column_hessians(tile, h, job.classes);
    if (!tile.direct.to_hess && !tile.direct.across && !tile.direct.late) column_gradients(tile, job.classes);
    return losses;
}

template <class T>
std::int64_t columns_scratch(const Job& job, int columns) {
    const bool dense_targets = job.soft || job.label_smoothing != 0;
    const int tiles = dense_targets ? 4 : job.order > 1 ? 2 : 1;
    return RowSums<T>::bytes(columns) + tiles * job.classes * columns * static_cast<std::int64_t>(sizeof(T));
}

/// Rows of a tile: as many as stay in the first cache, beside the tile before where that waits. Odd multiples of 32, so
/// that the same row of two classes is seldom a multiple of 4096 bytes apart, which processors take for the same
/// address.
inline int columns_of_tile(const Job& job) {
    const std::int64_t row_bytes = job.classes * (job.type == Type::f64 ? 8 : 4);
    for (int columns = most_columns; columns > 32; columns -= 64)
        if (columns * row_bytes <= (writes_late(job) ? 12288 : 24576)) return columns;
    return 32;
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
void write_across(const Job& job, std::int64_t first, int columns, const T* z, const RowSums<T>& group) {
    const Rows<T>& rows = group.rows;
    T* to = static_cast<T*>(job.grad.data) + first * job.grad.inner;
    transpose_out(to, job.grad.inner, job.classes, columns, z, columns, [&](Vec<T> e, std::int64_t k, int r) {
        const Vec<T> of_others = softmax_gradient(e, load(group.pull + r));
        return where(load(rows.place_of_id + r) == constant<Vec<T>>(static_cast<T>(k)), load(rows.d1 + r), of_others);
    });
}

template <class S>
void softmax_columns_chunk(const Job& job, std::int64_t chunk, void* scratch, Partial& sums) {
    using T = typename Compute<S>::type;
    constexpr int step = 2 * width<T>;
    const bool dense_targets = job.soft || job.label_smoothing != 0;
    const int most = columns_of_tile(job);
    const std::int64_t begin = chunk * job.rows_per_chunk;
    const std::int64_t end = begin + job.rows_per_chunk < job.rows() ? begin + job.rows_per_chunk : job.rows();
    Columns<T> tiles[2];
    const Adjustment<T> adjustment(job);
    const Columns<T>* before = nullptr;  // its gradient is yet to be written
    const auto write_before = [&] {
        if (before) column_gradients(*before, job.classes);
        before = nullptr;
    };
    for (std::int64_t first = begin; first < end; first += most) {
        const int count = end - first < most ? static_cast<int>(end - first) : most;
        const int columns = (count + step - 1) / step * step;
        const bool odd = before == &tiles[0];
        if (before && before->columns != columns) write_before();
        Columns<T>& tile = tiles[odd];
        tile.columns = columns;
        tile.adjustment = job.adjusts() ? &adjustment : nullptr;
        tile.group.logit_scale = adjustment.scale;
        char* memory = static_cast<char*>(scratch) + (odd ? columns_scratch<T>(job, most) : 0);
        T* z = tile.z = tile.group.place(memory, columns);
        T* h = z + job.classes * columns;
        Rows<T>& rows = tile.group.rows;
        const bool some_skipped = read_rows(job, first, count, columns, rows, sums);
        Direct<T> direct;
        if constexpr (sizeof(S) == sizeof(T))
            if (!dense_targets && !some_skipped && count == columns) {
                direct.from = side_by_side<const T>(job, job.logits, first, count);
                direct.from_stride = job.logits.classes;
                direct.more = direct.from && first + 2 * most <= end;
                if (job.order > 0 && job.classes < (1 << 24) && job.grad.classes != 1)
                    direct.to = side_by_side<T>(job, job.grad, first, count);
                if (direct.to && job.order > 1) {
                    direct.to_hess = side_by_side<T>(job, job.hess, first, count);
                    if (!direct.to_hess) direct.to = nullptr;
                }
                direct.late = direct.to && job.order == 1 && writes_late(job);
                direct.to_stride = job.grad.classes, direct.to_hess_stride = job.hess.classes;
                const auto whole_lines = [](const T* to, std::int64_t stride) {
                    return reinterpret_cast<std::uintptr_t>(to) % sizeof(Vec<T>) == 0 && stride % width<T> == 0;
                };
                direct.stream = job.stream && whole_lines(direct.to, direct.to_stride) &&
                                (!direct.to_hess || whole_lines(direct.to_hess, direct.to_hess_stride));
                direct.across = job.order == 1 && job.grad.classes == 1 && job.classes >= quad<T> &&
                                job.classes < (1 << 24) && job.outer == 1;
                for (int r = 0; r < columns; ++r) rows.place_of_id[r] = static_cast<T>(rows.id[r]);
            }
        tile.direct = direct;
        if (!direct.from) load_tile<T, S>(job, job.logits, first, count, z, columns);
        if (some_skipped) blank_rows(job, count, z, columns, rows);
        if (dense_targets) {
            load_dense_targets(job, first, count, z + 2 * job.classes * columns, columns, rows, sums);
            sums.loss.add(soft_columns_of_job(job, z, h, columns, rows));
            h = z + 3 * job.classes * columns;
        } else {
            if (!direct.from) mask_true_class(z, 0, columns, columns, rows);
            sums.loss.add(hard_columns(job, tile, before, h));
            before = direct.late ? &tile : nullptr;
            if (direct.across) write_across(job, first, columns, z, tile.group);
            if (job.order > 0 && !direct.to && !direct.across)
                for (int r = 0; r < count; ++r) z[static_cast<std::int64_t>(rows.id[r]) * columns + r] = rows.d1[r];
            if (job.order > 1 && !direct.to_hess)
                for (int r = 0; r < count; ++r) h[static_cast<std::int64_t>(rows.id[r]) * columns + r] = rows.d2[r];
        }
        if (job.losses) store_losses<T, S>(job, first, count, rows.loss);
        if (job.order > 0 && !direct.to && !direct.across) store_tile<T, S>(job, job.grad, first, count, z, columns);
        if (job.order > 1 && !direct.to_hess) store_tile<T, S>(job, job.hess, first, count, h, columns);
    }
    write_before();
    if (job.stream) stream_fence();
}

}  // namespace focalkit::FOCALKIT_ISA
