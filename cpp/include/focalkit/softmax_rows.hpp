// Softmax along rows of contiguous classes, hard targets, loss and gradient: what is limited by memory.
//
// A few rows at a time: exp of each into scratch that stays in the second cache, while the next rows are
// fetched; then what depends on the row alone, for all of them at once, a lane a row; then the scratch
// scaled into the result, with stores that do not read it first where it is large.
//
// A row goes in blocks, each with an anchor of its own, so the logits are read from memory once:
// e_j = exp(z_j - anchor of j's block), to be multiplied by f = exp(anchor - largest anchor).
#pragma once
#include "links.hpp"
#include "tiles.hpp"

namespace focalkit::FOCALKIT_ISA {

constexpr int block_of_row = 2048;

inline bool suits_rows(const Job& job) {
    return !job.soft && job.label_smoothing == 0 && job.order < 2 && job.classes >= 128 && job.logits.classes == 1 &&
           job.classes < (std::int64_t{1} << 30) && (job.order == 0 || job.grad.classes == 1);
}

template <class T>
struct RowBlocks {
    T *anchor, *sum, *factor;  // [row][block]; whole vectors
    int blocks, stride;
};

/// exp of one block, from ``z`` to ``e``; returns its anchor, and its sum without entry ``t`` if ``without``.
template <bool keep, bool without, class T, class S>
FOCALKIT_INLINE void exp_block(const S* z, int n, int t, T* e, T& anchor, T& sum) {
    using V = Vec<T>;
    using I = typename Lane<V>::Int;
    constexpr int N = width<T>, U = 4;
    const V lowest = constant<V>(-infinity<T>());
    V top[U] = {lowest, lowest, lowest, lowest};
    const int whole = n / N * N, many = n / (N * U) * (N * U);
    int j = 0;
    for (; j < many; j += N * U)
        for (int u = 0; u < U; ++u) top[u] = maximum(V(load_as(z + j + u * N)), top[u]);
    for (; j < whole; j += N) top[0] = maximum(V(load_as(z + j)), top[0]);
    if (whole < n) top[1] = maximum(V(load_some(z + whole, n - whole, -infinity<T>())), top[1]);
    anchor = reduce_max(maximum(maximum(top[0], top[1]), maximum(top[2], top[3])));
    const V at = constant<V>(anchor == -infinity<T>() ? T(0) : anchor);  // a block may be masked wholly
    V total[U] = {};
    I lane{};  // of each lane, how far behind t it is
    if constexpr (without)
        for (int i = 0; i < N; ++i) lane[i] = i - t;
    const auto take = [&](int place, V logit, V& into) {
        const V x = exp_nonpositive<V>(logit - at);
        if constexpr (keep) store(e + place, x);
        if constexpr (without) {
            into = into + where(lane == I{}, V{}, x);
            lane = lane + N;
        } else {
            into = into + x;
        }
    };
    for (j = 0; j < many; j += N * U)
        for (int u = 0; u < U; ++u) take(j + u * N, load_as(z + j + u * N), total[u]);
    for (; j < whole; j += N) take(j, load_as(z + j), total[0]);
    if (whole < n) take(whole, load_some(z + whole, n - whole, -infinity<T>()), total[1]);
    sum = reduce_add(V((total[0] + total[1]) + (total[2] + total[3])));
}

/// ``e * factor`` to the result; ``ahead`` is fetched meanwhile.
template <bool streamed, class T, class S>
FOCALKIT_INLINE void scale_block(const T* e, int n, T factor, S* to, const S* ahead) {
    using V = Vec<T>;
    constexpr int N = width<T>;
    const V f = constant<V>(factor);
    int j = 0;
    if constexpr (streamed && sizeof(S) == sizeof(T)) {
        const int misplaced = static_cast<int>(reinterpret_cast<std::uintptr_t>(to) % sizeof(V) / sizeof(T));
        const int head = misplaced ? N - misplaced : 0;
        if (head && head <= n) {
            store_some(to, V(load_some(e, head, T(0)) * f), head);
            j = head;
        }
        if (head <= n)
            for (; j + N <= n; j += N) {
                if (ahead) prefetch(ahead + j);
                stream(to + j, V(load(e + j) * f));
            }
    } else {
        for (; j + N <= n; j += N) store_as(to + j, V(load(e + j) * f));
    }
    if (j < n) store_some(to + j, V(load_some(e + j, n - j, T(0)) * f), n - j);
}

template <class T>
int rows_of_group(std::int64_t classes) {
    const std::int64_t padded = (classes + width<T> - 1) / width<T> * width<T>;
    const std::int64_t fits = 196608 / (padded * static_cast<std::int64_t>(sizeof(T)));
    return fits < 1 ? 1 : fits > 64 ? 64 : static_cast<int>(fits);
}

/// Columns of Rows<T> for a group: whole vectors.
template <class T>
int padded_rows(int rows) {
    return (rows + width<T> - 1) / width<T> * width<T>;
}

template <class T>
std::int64_t rows_scratch(const Job& job, int group) {
    const std::int64_t blocks = (job.classes + block_of_row - 1) / block_of_row;
    const std::int64_t block_stride = (blocks + width<T> - 1) / width<T> * width<T>;
    const std::int64_t padded = (job.classes + width<T> - 1) / width<T> * width<T>;
    return Rows<T>::bytes(padded_rows<T>(group)) + 256 +
           static_cast<std::int64_t>(sizeof(T)) * (3 * group * block_stride + 2 * padded_rows<T>(group) +
                                                   (job.order > 0 ? group * padded : 0));
}

/// The row's sum of e over all but the true class, relative to its largest anchor, which is returned.
template <class T>
FOCALKIT_INLINE T join_blocks(const RowBlocks<T>& parts, int row, T& sum) {
    using V = Vec<T>;
    T* anchor = parts.anchor + row * parts.stride;
    T* sums = parts.sum + row * parts.stride;
    T largest = anchor[0];
    for (int b = 1; b < parts.blocks; ++b) largest = anchor[b] > largest ? anchor[b] : largest;
    V total{};
    for (int b = 0; b < parts.stride; b += width<T>) {
        const V f = exp_nonpositive<V>(load(anchor + b) - constant<V>(largest));
        store(parts.factor + row * parts.stride + b, f);
        total = total + f * load(sums + b);
    }
    sum = reduce_add(total);
    return largest;
}

template <Power power, bool gradient, class T>
Sum row_tails(int padded, const T* largest, const T* total, const Rows<T>& rows, T* pulls) {
    using V = Vec<T>;
    LossSum total_loss;
    for (int r = 0; r < padded; r += width<T>) {
        const V gamma = load(rows.gamma + r), sum = load(total + r);
        const V m = log_odds(load(rows.own + r), load(largest + r), sum);
        const Probabilities<V> at = probabilities(m);
        const V w = modulation<power>(at, gamma);
        const V value = weighted(load(rows.weight + r), loss(at, w));
        store(rows.loss + r, value);
        total_loss.add(value);
        if constexpr (gradient) {
            const V d = load(rows.scaled + r) * d1<power>(at, w, gamma);
            store(rows.d1 + r, d);
            store(pulls + r, pull_of(d, sum));
        }
    }
    return total_loss.sum();
}

template <bool gradient, class S>
void softmax_rows_chunk(const Job& job, std::int64_t chunk, void* scratch, Partial& sums) {
    using T = typename Compute<S>::type;
    const int group = rows_of_group<T>(job.classes);
    const int classes = static_cast<int>(job.classes);
    const int padded_classes = (classes + width<T> - 1) / width<T> * width<T>;
    RowBlocks<T> parts;
    parts.blocks = (classes + block_of_row - 1) / block_of_row;
    parts.stride = (parts.blocks + width<T> - 1) / width<T> * width<T>;
    Rows<T> rows;
    const int most = padded_rows<T>(group);
    T* memory = rows.place(static_cast<T*>(scratch), most);
    const auto take = [&memory](int n) {
        T* part = memory;
        memory += n;
        return part;
    };
    T *largest = take(most), *total = take(most), *pulls = rows.d2;
    parts.anchor = take(group * parts.stride);
    parts.sum = take(group * parts.stride);
    parts.factor = take(group * parts.stride);
    T* e = reinterpret_cast<T*>((reinterpret_cast<std::uintptr_t>(memory) + 63) / 64 * 64);
    for (int i = 0; i < group * parts.stride; ++i) parts.anchor[i] = -infinity<T>(), parts.sum[i] = 0;

    const S* logits = static_cast<const S*>(job.logits.data);
    S* grad = static_cast<S*>(job.grad.data);
    const std::int64_t begin = chunk * job.rows_per_chunk;
    const std::int64_t end = begin + job.rows_per_chunk < job.rows() ? begin + job.rows_per_chunk : job.rows();
    for (std::int64_t first = begin; first < end; first += group) {
        const int count = end - first < group ? static_cast<int>(end - first) : group;
        const int padded = padded_rows<T>(count);
        read_rows(job, first, count, padded, rows, sums);
        for (int r = count; r < padded; ++r) rows.own[r] = largest[r] = 0, total[r] = 1;
        std::int64_t o = first / job.inner, i = first - o * job.inner;
        const std::int64_t next = job.outer == 1 && first + 2 * group <= job.rows() ? group : 0;
        for (int r = 0; r < count; ++r) {
            const S* row = logits + o * job.logits.outer + i * job.logits.inner;
            if (++i == job.inner) i = 0, ++o;
            const int t = rows.id[r];
            T* e_row = e + static_cast<std::int64_t>(r) * padded_classes;
            T* anchors = parts.anchor + r * parts.stride;
            T* block_sums = parts.sum + r * parts.stride;
            if (!rows.kept[r]) {  // nothing of it shows, not even a NaN
                rows.own[r] = largest[r] = 0, total[r] = 1;
                if constexpr (gradient)
                    for (int j = 0; j < padded_classes; ++j) e_row[j] = 0;
                for (int b = 0; b < parts.blocks; ++b) anchors[b] = 0, block_sums[b] = 0;
                for (int b = 0; b < parts.stride; ++b) parts.factor[r * parts.stride + b] = 1;
                continue;
            }
            rows.own[r] = widen<T>(row[t]);
            for (int b = 0, j = 0; b < parts.blocks; ++b, j += block_of_row) {
                const int n = classes - j < block_of_row ? classes - j : block_of_row;
                if (t >= j && t < j + n)
                    exp_block<gradient, true>(row + j, n, t - j, e_row + j, anchors[b], block_sums[b]);
                else
                    exp_block<gradient, false>(row + j, n, 0, e_row + j, anchors[b], block_sums[b]);
            }
            if (parts.blocks == 1) {
                largest[r] = anchors[0], total[r] = block_sums[0], parts.factor[r * parts.stride] = 1;
            } else {
                largest[r] = join_blocks(parts, r, total[r]);
            }
        }
        switch (job.power) {
            case 0: sums.loss.add(row_tails<Power::zero, gradient>(padded, largest, total, rows, pulls)); break;
            case 1: sums.loss.add(row_tails<Power::one, gradient>(padded, largest, total, rows, pulls)); break;
            case 2: sums.loss.add(row_tails<Power::two, gradient>(padded, largest, total, rows, pulls)); break;
            default: sums.loss.add(row_tails<Power::any, gradient>(padded, largest, total, rows, pulls)); break;
        }
        if (job.losses) store_losses<T, S>(job, first, count, rows.loss);
        if constexpr (gradient) {
            o = first / job.inner, i = first - o * job.inner;
            for (int r = 0; r < count; ++r) {
                S* to = grad + o * job.grad.outer + i * job.grad.inner;
                const S* row = logits + o * job.logits.outer + i * job.logits.inner;
                const S* ahead = next ? row + next * job.logits.inner : nullptr;
                if (++i == job.inner) i = 0, ++o;
                const T* e_row = e + static_cast<std::int64_t>(r) * padded_classes;
                for (int b = 0, j = 0; b < parts.blocks; ++b, j += block_of_row) {
                    const int n = classes - j < block_of_row ? classes - j : block_of_row;
                    const T factor = pulls[r] * parts.factor[r * parts.stride + b];
                    if (job.stream) scale_block<true>(e_row + j, n, factor, to + j, ahead ? ahead + j : nullptr);
                    else scale_block<false>(e_row + j, n, factor, to + j, ahead);
                }
                if (rows.kept[r]) narrow(rows.d1[r], to + rows.id[r]);
            }
        }
    }
    if (gradient && job.stream) stream_fence();
}

}  // namespace focalkit::FOCALKIT_ISA
