// Softmax along rows longer than the first cache, in blocks, each with an anchor of its own, so that the
// logits are read from memory once: e_j = exp(z_j - anchor of j's block), to be multiplied by
// exp(anchor - largest anchor).
#pragma once
#include "focalkit/kernels/rows.hpp"

namespace focalkit::FOCALKIT_ISA {

constexpr int block_of_row = 2048;

/// The scratch of one row. ``e`` holds its exponentials, or those of one block where no gradient is asked for.
template <class T>
struct LongRow : RowSums<T> {
    int classes, blocks;
    T *anchor, *sum, *factor;  // [block]
    T* e;
    T* to = nullptr;  // where the gradient goes, if it is to be written with the next row

    LongRow(const Job& job, void* scratch)
        : classes(static_cast<int>(job.classes)), blocks((classes + block_of_row - 1) / block_of_row) {
        this->logit_scale = static_cast<T>(job.logit_scale);
        anchor = this->place(scratch, width<T>);
        sum = anchor + whole_vectors<T>(blocks);
        factor = sum + whole_vectors<T>(blocks);
        e = aligned(factor + whole_vectors<T>(blocks));
    }
    static std::int64_t bytes(const Job& job) {
        const std::int64_t blocks = (job.classes + block_of_row - 1) / block_of_row;
        const std::int64_t numbers = 3 * whole_vectors<T>(blocks) + (job.order > 0 ? blocks : 1) * block_of_row;
        return RowSums<T>::bytes(width<T>) + 64 + numbers * static_cast<std::int64_t>(sizeof(T));
    }
};

/// Whether a row's gradient is written with the next row: where both stay in the second cache.
template <class S>
bool rows_wait(const Job& job) {
    using T = typename Compute<S>::type;
    return sizeof(S) == sizeof(T) && job.order == 1 && job.stream && LongRow<T>::bytes(job) <= (1 << 19) + (1 << 16);
}

/// exp(e - anchor) in place, while what lies ``ahead`` is fetched and something else is written; returns the sum.
///
/// ``adjusted``: exp(scale (e - anchor) + adjustment), the adjustments being those from class ``first`` on.
template <bool adjusted, class T, class S>
FOCALKIT_INLINE T exp_run(T* e, int padded, T anchor, Adjustment<T> adjustment, int first, const S* ahead,
                          StreamingWriter<T, true>& writes) {
    using V = Vec<T>;
    constexpr int N = width<T>, U = 4;
    const V at = constant<V>(anchor == -infinity<T>() ? T(0) : anchor);  // a block may be masked wholly
    V total[U] = {};
    const auto take = [&](int place, V& into) {
        V distance = load(e + place) - at;
        if constexpr (adjusted) {
            distance = distance * adjustment.scale + adjustment.at(first + place);
            adjustment.prefetch_at(first + place + 16 * N);
        }
        const V x = exp_nonpositive<V>(distance);
        store(e + place, x);
        into = into + x;
        prefetch(ahead + place);
        writes.advance();
    };
    int j = 0;
    for (; j + N * U <= padded; j += N * U)
        for (int u = 0; u < U; ++u) take(j + u * N, total[u]);
    for (; j < padded; j += N) take(j, total[0]);
    return reduce_add(V((total[0] + total[1]) + (total[2] + total[3])));
}

/// Block ``b`` of the gradient of a row that waits.
template <class T>
void start_block(const LongRow<T>& at, int b, StreamingWriter<T, true>& writes) {
    const int j = b * block_of_row, n = at.classes - j < block_of_row ? at.classes - j : block_of_row;
    writes.start(at.e + j, n, at.to + j, at.pull[0] * at.factor[b]);
}

/// The gradient of a row at once.
template <class T, class S>
void write_row(const LongRow<T>& at, S* to, bool streamed) {
    for (int b = 0, j = 0; b < at.blocks; ++b, j += block_of_row) {
        const int n = at.classes - j < block_of_row ? at.classes - j : block_of_row;
        scale_run(at.e + j, n, at.pull[0] * at.factor[b], to + j, streamed);
    }
    narrow(at.rows.d1[0], to + at.rows.id[0]);
}

/// The sum of a row from those of its blocks, and the factor of each, at the anchor ``largest``.
template <class T>
FOCALKIT_INLINE void add_blocks(const LongRow<T>& at, T largest, T scale) {
    using V = Vec<T>;
    const int lanes = whole_vectors<T>(at.blocks);
    for (int b = at.blocks; b < lanes; ++b) at.anchor[b] = -infinity<T>(), at.sum[b] = 0;
    V total{};
    for (int b = 0; b < lanes; b += width<T>) {
        const V f = exp_nonpositive<V>((load(at.anchor + b) - constant<V>(largest)) * scale);
        store(at.factor + b, f);
        total = total + f * load(at.sum + b);
    }
    at.largest[0] = largest;
    at.total[0] = reduce_add(total);
}

/// The exponentials of a row without the true class ``t``, its largest logit and their sum. The row ``before`` is
/// written meanwhile, if it waits.
template <bool gradient, bool adjusted, class T, class S>
FOCALKIT_NOINLINE void exp_long_row(const S* row, int t, const LongRow<T>& at, Adjustment<T> adjustment, const S* next,
                                    LongRow<T>& before) {
    using V = Vec<T>;
    T largest = -infinity<T>();
    StreamingWriter<T, true> writes;
    at.rows.true_logit[0] = widen<T>(row[t]);
    for (int b = 0, j = 0; b < at.blocks; ++b, j += block_of_row) {
        const int n = at.classes - j < block_of_row ? at.classes - j : block_of_row;
        T* e = gradient ? at.e + j : at.e;
        const T anchor = reduce_max(copy_run(row + j, n, e));
        if (t >= j && t < j + n) e[t - j] = -infinity<T>();
        at.anchor[b] = anchor;
        if (before.to) start_block(before, b, writes);
        at.sum[b] = exp_run<adjusted>(e, whole_vectors<T>(n), anchor, adjustment, j,
                                      b + 1 < at.blocks ? row + j + n : next, writes);
        writes.finish();
        largest = anchor > largest ? anchor : largest;
    }
    if (before.to) {
        before.to[before.rows.id[0]] = before.rows.d1[0];
        before.to = nullptr;
    }
    add_blocks(at, largest, adjustment.scale);
    if (at.total[0] >= least_sum<T>) return;
    const int b = t / block_of_row, j = b * block_of_row;
    const int n = at.classes - j < block_of_row ? at.classes - j : block_of_row;
    anchor_at_others(row + j, n, t - j, adjustment, j, gradient ? at.e + j : at.e, at.anchor[b], at.sum[b]);
    largest = at.anchor[0];
    for (int k = 1; k < at.blocks; ++k) largest = at.anchor[k] > largest ? at.anchor[k] : largest;
    if (largest > -infinity<T>()) add_blocks(at, largest, adjustment.scale);
}

/// The Hessian of a row at once.
template <class T, class S>
FOCALKIT_NOINLINE void write_hessian(const LongRow<T>& at, S* to, bool streamed) {
    const auto each_block = [&](auto visit) {
        for (int b = 0, j = 0; b < at.blocks; ++b, j += block_of_row)
            visit(b, j, at.classes - j < block_of_row ? at.classes - j : block_of_row);
    };
    T top = 0;
    each_block([&](int b, int j, int n) {
        Vec<T> most{};
        for (int i = 0; i < n; i += width<T>) most = maximum(load(at.e + j + i), most);
        const T here = reduce_max(most) * at.factor[b];
        top = here > top ? here : top;
    });
    RowHessian<T, false> row(at.total[0], inverse_of<T>(load(at.total))[0], top, at.rows.d1[0] * at.logit_scale,
                             at.rows.d2[0]);
    if (row.leads()) {
        each_block([&](int b, int j, int n) { row.add(at.e + j, whole_vectors<T>(n), at.factor[b]); });
        row.exclude_largest();
    }
    each_block([&](int b, int j, int n) { row.write(at.e + j, n, at.factor[b], to + j, streamed); });
    narrow(at.rows.d2[0], to + at.rows.id[0]);
}

template <int order, class S>
void softmax_long_rows_chunk(const Job& job, std::int64_t chunk, void* scratch, Partial& sums) {
    using T = typename Compute<S>::type;
    LongRow<T> one(job, scratch), other = one;
    const bool waits = rows_wait<S>(job);
    if (waits) other = LongRow<T>(job, static_cast<char*>(scratch) + LongRow<T>::bytes(job));
    const S* logits = static_cast<const S*>(job.logits.data);
    S* grad = static_cast<S*>(job.grad.data);
    const std::int64_t begin = chunk * job.rows_per_chunk;
    const std::int64_t end = begin + job.rows_per_chunk < job.rows() ? begin + job.rows_per_chunk : job.rows();
    const auto write_waiting = [](LongRow<T>& at) {
        if (at.to) write_row(at, at.to, true);
        at.to = nullptr;
    };
    for (std::int64_t r = begin; r < end; ++r) {
        LongRow<T>&at = waits && (r - begin) % 2 ? other : one, &before = &at == &one ? other : one;
        write_waiting(at);  // still waiting only where the row between was skipped
        const Rows<T>& rows = at.rows;
        read_rows(job, r, 1, width<T>, rows, sums);
        for (int lane = 0; lane < width<T>; ++lane) at.blank(lane);
        if (rows.kept[0]) {
            const S* row = logits + row_place(job, job.logits, r);
            const S* next = r + 1 < job.rows() ? logits + row_place(job, job.logits, r + 1) : row;
            if (job.adjusts()) exp_long_row<(order > 0), true>(row, rows.id[0], at, Adjustment<T>(job), next, before);
            else exp_long_row<(order > 0), false>(row, rows.id[0], at, Adjustment<T>(job), next, before);
        }
        sums.loss.add(row_tails_of_job<order>(job, at, width<T>));
        if (job.losses) store_losses<T, S>(job, r, 1, rows.loss);
        if constexpr (order > 1) {
            S* to = static_cast<S*>(job.hess.data) + row_place(job, job.hess, r);
            if (rows.kept[0]) write_hessian(at, to, job.stream);
            else
                for (int k = 0; k < at.classes; ++k) narrow(T(0), to + k);
        }
        if constexpr (order > 0) {
            S* to = grad + row_place(job, job.grad, r);
            if constexpr (sizeof(S) == sizeof(T))
                if (waits && rows.kept[0]) {
                    at.to = reinterpret_cast<T*>(to);
                    continue;
                }
            if (rows.kept[0]) write_row(at, to, job.stream);
            else  // a skipped row contributes nothing, not even a NaN
                for (int k = 0; k < at.classes; ++k) narrow(T(0), to + k);
        }
    }
    write_waiting(one);
    write_waiting(other);
    if (order > 0 && job.stream) stream_fence();
}

}  // namespace focalkit::FOCALKIT_ISA
