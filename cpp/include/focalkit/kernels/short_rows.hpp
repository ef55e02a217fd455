// Softmax along rows that fit into the first cache, a group of them at a time.
#pragma once
#include "focalkit/kernels/rows.hpp"

namespace focalkit::FOCALKIT_ISA {

constexpr int longest_short_row = 2048, rows_side_by_side = 4;

/// Rows of a group: as many as stay in the first cache, beside the gradients of the group before.
template <class T>
int rows_of_group(std::int64_t classes) {
    const std::int64_t fits = 14336 / (whole_vectors<T>(classes) * static_cast<std::int64_t>(sizeof(T)));
    return fits >= 32 ? 32 : fits >= 16 ? 16 : fits >= 6 ? 8 : rows_side_by_side;
}

/// The scratch of a group. ``e`` holds the rows one after the other, each padded to whole vectors.
template <class T>
struct RowGroup : RowSums<T> {
    int most, classes, padded;
    T* parts;  // [row][lane], of which the largest or the sum is sought
    T* e;
    T* done;           // gradients waiting to be streamed to the result
    T* done_hess;      // Hessians likewise
    T *top, *inverse;  // of the Hessian: the largest exponential of each row, and one over their sum

    RowGroup(const Job& job, void* scratch)
        : most(rows_of_group<T>(job.classes)),
          classes(static_cast<int>(job.classes)),
          padded(whole_vectors<T>(job.classes)) {
        this->logit_scale = static_cast<T>(job.logit_scale);
        parts = aligned(this->place(scratch, whole_vectors<T>(most)));
        e = parts + whole_vectors<T>(most) * width<T>;
        done = e + most * padded;
        done_hess = done + most * padded;
        top = done_hess + (job.order > 1 ? most * padded : 0);
        inverse = top + whole_vectors<T>(most);
    }
    static std::int64_t bytes(const Job& job) {
        const int most = rows_of_group<T>(job.classes), lanes = whole_vectors<T>(most);
        const std::int64_t all_rows = most * static_cast<std::int64_t>(whole_vectors<T>(job.classes));
        const std::int64_t numbers = lanes * width<T> + (1 + job.order) * all_rows + 2 * lanes;
        return RowSums<T>::bytes(lanes) + 64 + numbers * static_cast<std::int64_t>(sizeof(T));
    }
};

/// Joins the lanes of as many vectors as a vector has lanes: lane r of the result is of vector r.
template <class T, class Join>
FOCALKIT_INLINE Vec<T> join_lanes(const T* parts, Join join) {
    using V = Vec<T>;
    constexpr int N = width<T>, Q = quad<T>;
    T folded[N * N / Q];
    for (int r = 0; r < N; r += Q) {
        V v[Q];
        for (int q = 0; q < Q; ++q) v[q] = load(parts + (r + q) * N);
        transpose_quads(v);
        for (int q = 1; q < Q; ++q) v[0] = join(v[0], v[q]);
        store(folded + r / Q * N, v[0]);
    }
    V all = gather_quads(folded, N);
    for (int g = 1; g < N / Q; ++g) all = join(all, gather_quads(folded + g * Q, N));
    return all;
}

template <class T, class Join>
FOCALKIT_INLINE void join_rows(const RowGroup<T>& group, int lanes, T* to, Join join) {
    for (int r = 0; r < lanes; r += width<T>) store(to + r, join_lanes(group.parts + r * width<T>, join));
}

/// The logits of a group into scratch, the true class of each row masked, and the largest of each row.
template <class T, class S>
FOCALKIT_NOINLINE void copy_rows(const Job& job, const RowGroup<T>& group, std::int64_t first, int count, int lanes) {
    const Rows<T>& rows = group.rows;
    const S* logits = static_cast<const S*>(job.logits.data);
    for (int r = 0; r < count; ++r) {
        T *e = group.e + r * group.padded, *part = group.parts + r * width<T>;
        if (!rows.kept[r]) {  // nothing of it shows, not even a NaN
            for (int j = 0; j < group.padded; ++j) e[j] = 0;
            store(part, Vec<T>{});
            rows.true_logit[r] = 0;
            continue;
        }
        const S* row = logits + row_place(job, job.logits, first + r);
        store(part, copy_run(row, group.classes, e));
        rows.true_logit[r] = widen<T>(row[rows.id[r]]);
        e[rows.id[r]] = -infinity<T>();
    }
    for (int r = count; r < lanes; ++r) store(group.parts + r * width<T>, Vec<T>{});
    join_rows(group, lanes, group.largest, [](Vec<T> a, Vec<T> b) { return maximum(a, b); });
}

/// The results of the group before, which are written while this one is computed.
template <int order, class T>
struct Writers {
    StreamingWriter<T, false> grad;

    FOCALKIT_INLINE void advance() { grad.advance(); }
    void finish() { grad.finish(); }
};
template <class T>
struct Writers<2, T> {
    StreamingWriter<T, false> grad, hess;

    FOCALKIT_INLINE void advance() { grad.advance(), hess.advance(); }
    void finish() { grad.finish(), hess.finish(); }
};

/// Their exponentials and the sum of each row, a few rows side by side. Meanwhile the rows behind, ``ahead``, are
/// fetched, and those before are written.
template <int order, bool adjusted, class T, class S>
FOCALKIT_NOINLINE void exp_rows(const RowGroup<T>& group, Adjustment<T> adjustment, int count, int lanes,
                                const S* ahead, std::int64_t stride, Writers<order, T>& before) {
    using V = Vec<T>;
    constexpr int N = width<T>, U = rows_side_by_side, most = 32 * N;
    const int padded = group.padded;
    Writers<order, T> writes = before;
    for (int r = 0; r < count; r += U) {
        V anchor[U], sum[U] = {}, top[U] = {};
        for (int u = 0; u < U; ++u) {
            const T largest = group.largest[r + u];
            anchor[u] = constant<V>(largest == -infinity<T>() ? T(0) : largest);  // a row may be masked wholly
        }
        T* e = group.e + r * padded;
        const S* next = ahead + r * stride;
        for (int block = 0; block < padded; block += most) {  // two levels keep long sums exact
            const int end = block + most < padded ? block + most : padded;
            V part[U] = {};
            for (int j = block; j < end; j += N) {
                V adjustments{};
                if constexpr (adjusted) adjustments = adjustment.at(j);
                for (int u = 0; u < U; ++u) {
                    T* place = e + u * padded + j;
                    V distance = load(place) - anchor[u];
                    if constexpr (adjusted) distance = distance * adjustment.scale + adjustments;
                    const V x = exp_nonpositive<V>(distance);
                    store(place, x);
                    part[u] = part[u] + x;
                    if constexpr (order > 1) top[u] = maximum(x, top[u]);
                    prefetch(next + u * stride + j);
                    writes.advance();
                }
            }
            for (int u = 0; u < U; ++u) sum[u] = sum[u] + part[u];
        }
        for (int u = 0; u < U && r + u < count; ++u) {
            store(group.parts + (r + u) * N, sum[u]);
            if constexpr (order > 1) group.top[r + u] = reduce_max(top[u]);
        }
    }
    writes.finish();
    before = writes;
    join_rows(group, lanes, group.total, [](V a, V b) { return a + b; });
}

/// The rows whose true class leads by far anew.
template <int order, class T, class S>
FOCALKIT_INLINE void anchor_leading_rows(const Job& job, const RowGroup<T>& group, std::int64_t first, int count,
                                         int lanes) {
    if (!some_lead_by_far(group.total, lanes)) return;
    for (int r = 0; r < count; ++r) {
        if (!group.rows.kept[r] || group.total[r] >= least_sum<T>) continue;
        const S* row = static_cast<const S*>(job.logits.data) + row_place(job, job.logits, first + r);
        T* e = group.e + r * group.padded;
        anchor_at_others(row, group.classes, group.rows.id[r], Adjustment<T>(job), 0, e, group.largest[r],
                         group.total[r]);
        if (group.largest[r] == -infinity<T>()) group.largest[r] = group.rows.true_logit[r];  // no other class
        if constexpr (order > 1) {
            Vec<T> top{};
            for (int j = 0; j < group.padded; j += width<T>) top = maximum(load(e + j), top);
            group.top[r] = reduce_max(top);
        }
    }
}

/// Gradients of rows that lie side by side in the result, scaled and moved together, to be written in whole lines.
template <class T>
FOCALKIT_NOINLINE void gather_gradients(const RowGroup<T>& group, int count) {
    using V = Vec<T>;
    constexpr int N = width<T>;
    for (int r = 0; r < count; ++r) {
        const T* from = group.e + r * group.padded;
        T* row = group.done + r * group.classes;
        const V f = constant<V>(group.pull[r]);
        for (int j = 0; j < group.padded; j += N) store(row + j, V(load(from + j) * f));
        if (group.rows.kept[r]) row[group.rows.id[r]] = group.rows.d1[r];
    }
}

/// The Hessian of row ``r`` to ``to``.
template <class T, class S>
FOCALKIT_INLINE void write_hessian(const RowGroup<T>& group, int r, S* to) {
    T* e = group.e + r * group.padded;
    RowHessian<T, true> row(group.total[r], group.inverse[r], group.top[r], group.rows.d1[r] * group.logit_scale,
                            group.rows.d2[r]);
    if (row.leads()) row.add(e, group.padded, T(1)), row.exclude_largest();
    row.write(e, group.classes, T(1), to, false);
    if (group.rows.kept[r]) narrow(group.rows.d2[r], to + group.rows.id[r]);
}

template <class T>
FOCALKIT_NOINLINE void prepare_hessians(const RowGroup<T>& group, int lanes) {
    for (int r = 0; r < lanes; r += width<T>) store(group.inverse + r, inverse_of<T>(load(group.total + r)));
}

template <class T>
FOCALKIT_NOINLINE void gather_hessians(const RowGroup<T>& group, int count) {
    for (int r = 0; r < count; ++r) write_hessian(group, r, group.done_hess + r * group.classes);
}

template <int order, class S>
void softmax_rows_chunk(const Job& job, std::int64_t chunk, void* scratch, Partial& sums) {
    using T = typename Compute<S>::type;
    const RowGroup<T> group(job, scratch);
    const Rows<T>& rows = group.rows;
    const S* logits = static_cast<const S*>(job.logits.data);
    S* grad = static_cast<S*>(job.grad.data);
    const bool together = job.stream && sizeof(S) == sizeof(T) && job.outer == 1 && job.grad.inner == job.classes &&
                          (order < 2 || job.hess.inner == job.classes);
    const std::int64_t begin = chunk * job.rows_per_chunk;
    const std::int64_t end = begin + job.rows_per_chunk < job.rows() ? begin + job.rows_per_chunk : job.rows();
    Writers<order, T> before;
    for (std::int64_t first = begin; first < end; first += group.most) {
        const int count = end - first < group.most ? static_cast<int>(end - first) : group.most;
        const int lanes = whole_vectors<T>(count);
        read_rows(job, first, count, lanes, rows, sums);
        copy_rows<T, S>(job, group, first, count, lanes);
        const std::int64_t next = first + 2 * group.most <= job.rows() ? first + group.most : first;
        const S* ahead = logits + row_place(job, job.logits, next);
        if (job.adjusts())
            exp_rows<order, true>(group, Adjustment<T>(job), count, lanes, ahead, job.logits.inner, before);
        else exp_rows<order, false>(group, Adjustment<T>(job), count, lanes, ahead, job.logits.inner, before);
        anchor_leading_rows<order, T, S>(job, group, first, count, lanes);
        for (int r = 0; r < lanes; ++r)
            if (!rows.kept[r]) group.blank(r);
        sums.loss.add(row_tails_of_job<order>(job, group, lanes));
        if (job.losses) store_losses<T, S>(job, first, count, rows.loss);
        if constexpr (order > 1) prepare_hessians(group, lanes);
        if constexpr (order > 0) {
            if constexpr (sizeof(S) == sizeof(T))
                if (together) {
                    gather_gradients(group, count);
                    before.grad.start(group.done, count * group.classes,
                                      static_cast<T*>(job.grad.data) + first * job.classes);
                    if constexpr (order > 1) {
                        gather_hessians(group, count);
                        before.hess.start(group.done_hess, count * group.classes,
                                          static_cast<T*>(job.hess.data) + first * job.classes);
                    }
                    continue;
                }
            for (int r = 0; r < count; ++r) {
                S* to = grad + row_place(job, job.grad, first + r);
                scale_run(group.e + r * group.padded, group.classes, group.pull[r], to, false);
                if (rows.kept[r]) narrow(rows.d1[r], to + rows.id[r]);
                if constexpr (order > 1)
                    write_hessian(group, r, static_cast<S*>(job.hess.data) + row_place(job, job.hess, first + r));
            }
        }
    }
    before.finish();
    if (order > 0 && job.stream) stream_fence();
}

}  // namespace focalkit::FOCALKIT_ISA
