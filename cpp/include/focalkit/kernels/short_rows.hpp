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
    T* done;  // gradients waiting to be streamed to the result

    RowGroup(const Job& job, void* scratch)
        : most(rows_of_group<T>(job.classes)),
          classes(static_cast<int>(job.classes)),
          padded(whole_vectors<T>(job.classes)) {
        parts = aligned(this->place(scratch, whole_vectors<T>(most)));
        e = parts + whole_vectors<T>(most) * width<T>;
        done = e + most * padded;
    }
    static std::int64_t bytes(const Job& job) {
        const int most = rows_of_group<T>(job.classes), lanes = whole_vectors<T>(most);
        const std::int64_t all_rows = most * static_cast<std::int64_t>(whole_vectors<T>(job.classes));
        const std::int64_t numbers = lanes * width<T> + (job.order > 0 ? 2 : 1) * all_rows;
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

/// Their exponentials and the sum of each row, a few rows side by side. Meanwhile the rows behind, ``ahead``, are
/// fetched, and those before are written.
template <class T, class S>
FOCALKIT_NOINLINE void exp_rows(const RowGroup<T>& group, int count, int lanes, const S* ahead, std::int64_t stride,
                                StreamingWriter<T, false>& before) {
    using V = Vec<T>;
    constexpr int N = width<T>, U = rows_side_by_side, most = 32 * N;
    const int padded = group.padded;
    StreamingWriter<T, false> writes = before;
    for (int r = 0; r < count; r += U) {
        V anchor[U], sum[U] = {};
        for (int u = 0; u < U; ++u) {
            const T largest = group.largest[r + u];
            anchor[u] = constant<V>(largest == -infinity<T>() ? T(0) : largest);  // a row may be masked wholly
        }
        T* e = group.e + r * padded;
        const S* next = ahead + r * stride;
        for (int block = 0; block < padded; block += most) {  // two levels keep long sums exact
            const int end = block + most < padded ? block + most : padded;
            V part[U] = {};
            for (int j = block; j < end; j += N)
                for (int u = 0; u < U; ++u) {
                    T* place = e + u * padded + j;
                    const V x = exp_nonpositive<V>(load(place) - anchor[u]);
                    store(place, x);
                    part[u] = part[u] + x;
                    prefetch(next + u * stride + j);
                    writes.advance();
                }
            for (int u = 0; u < U; ++u) sum[u] = sum[u] + part[u];
        }
        for (int u = 0; u < U && r + u < count; ++u) store(group.parts + (r + u) * N, sum[u]);
    }
    writes.finish();
    before = writes;
    join_rows(group, lanes, group.total, [](V a, V b) { return a + b; });
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

template <bool gradient, class S>
void softmax_rows_chunk(const Job& job, std::int64_t chunk, void* scratch, Partial& sums) {
    using T = typename Compute<S>::type;
    const RowGroup<T> group(job, scratch);
    const Rows<T>& rows = group.rows;
    const S* logits = static_cast<const S*>(job.logits.data);
    S* grad = static_cast<S*>(job.grad.data);
    const bool together = job.stream && sizeof(S) == sizeof(T) && job.outer == 1 && job.grad.inner == job.classes;
    const std::int64_t begin = chunk * job.rows_per_chunk;
    const std::int64_t end = begin + job.rows_per_chunk < job.rows() ? begin + job.rows_per_chunk : job.rows();
    StreamingWriter<T, false> before;
    for (std::int64_t first = begin; first < end; first += group.most) {
        const int count = end - first < group.most ? static_cast<int>(end - first) : group.most;
        const int lanes = whole_vectors<T>(count);
        read_rows(job, first, count, lanes, rows, sums);
        copy_rows<T, S>(job, group, first, count, lanes);
        const std::int64_t next = first + 2 * group.most <= job.rows() ? first + group.most : first;
        exp_rows(group, count, lanes, logits + row_place(job, job.logits, next), job.logits.inner, before);
        for (int r = 0; r < lanes; ++r)
            if (!rows.kept[r]) group.blank(r);
        sums.loss.add(row_tails_of_job<gradient>(job, group, lanes));
        if (job.losses) store_losses<T, S>(job, first, count, rows.loss);
        if constexpr (gradient) {
            if constexpr (sizeof(S) == sizeof(T))
                if (together) {
                    gather_gradients(group, count);
                    before.start(group.done, count * group.classes,
                                 static_cast<T*>(job.grad.data) + first * job.classes);
                    continue;
                }
            for (int r = 0; r < count; ++r) {
                S* to = grad + row_place(job, job.grad, first + r);
                scale_run(group.e + r * group.padded, group.classes, group.pull[r], to, false);
                if (rows.kept[r]) narrow(rows.d1[r], to + rows.id[r]);
            }
        }
    }
    before.finish();
    if (gradient && job.stream) stream_fence();
}

}  // namespace focalkit::FOCALKIT_ISA
