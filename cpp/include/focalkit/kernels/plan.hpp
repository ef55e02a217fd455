// Which kernel serves a job, and in which pieces.
#pragma once
#include "focalkit/kernels/elements.hpp"
#include "focalkit/kernels/columns_hard.hpp"
#include "focalkit/kernels/long_rows.hpp"
#include "focalkit/kernels/short_rows.hpp"

namespace focalkit::FOCALKIT_ISA {

/// Whether all of ``n`` class ids are classes; without branches, so that it is vector code.
template <class I>
FOCALKIT_INLINE bool all_inside(const I* ids, std::int64_t step, int n, std::int64_t classes) {
    const std::uint64_t last = static_cast<std::uint64_t>(classes) - 1;  // unsigned: nothing overflows
    std::uint64_t seen = 0;
    const auto look = [&](I given) {
        const auto id = static_cast<std::uint64_t>(static_cast<std::int64_t>(given));
        seen |= id | (last - id);
    };
    if (step == 1)
        for (int i = 0; i < n; ++i) look(ids[i]);
    else
        for (int i = 0; i < n; ++i) look(ids[i * step]);
    return (seen >> 63) == 0;
}

template <class I>
void count_run(const Job& job, std::int64_t first, std::int64_t last, Partial& sums) {
    const I* ids = static_cast<const I*>(job.targets.data);
    const std::uint64_t limit = job.sigmoid ? 2u : static_cast<std::uint64_t>(job.classes);
    const std::int64_t ignore = job.ignore_index;
    std::int64_t counted = 0, bad_targets = 0;
    const auto visit = [&](std::int64_t offset, int, int n, std::int64_t step) {
        const I* run = ids + offset;
        const auto classes = static_cast<std::int64_t>(limit);
        if ((ignore < 0 || ignore >= classes) && all_inside(run, step, n, classes)) {
            counted += n;
            return;
        }
        for (int i = 0; i < n; ++i) {
            const std::int64_t id = run[i * step];
            const bool inside = static_cast<std::uint64_t>(id) < limit, ignored = id == ignore;
            counted += inside & !ignored;
            bad_targets += !inside & !ignored;
        }
    };
    const int count = static_cast<int>(last - first);
    if (job.sigmoid) {
        each_element_run(job, job.targets, first, count, visit);
    } else {
        each_run(job, job.targets, first, count,
                 [&](std::int64_t offset, int at, int n) { visit(offset, at, n, job.targets.inner); });
    }
    sums.counted += counted;
    sums.bad_targets += bad_targets;
}

void count(const Job& job, std::int64_t first, std::int64_t last, Partial& sums) {
    with_integer_type(job.target_type, [&](auto* null) { count_run<pointee<decltype(null)>>(job, first, last, sums); });
}

/// Pieces of a fixed size, whatever the number of threads: the sums come out the same.
void cut(Job& job, std::int64_t units, std::int64_t per_chunk) {
    job.rows_per_chunk = per_chunk;
    job.chunks = (units + per_chunk - 1) / per_chunk;
}

ChunkFunction plan(Job& job) {
    ChunkFunction kernel = nullptr;
    job.stream = job.rows() * job.classes >= (1 << 20) && (job.sigmoid || job.classes >= 64 || job.logits.inner == 1);
    with_float_type(job.type, [&](auto* null) {
        using S = pointee<decltype(null)>;
        using T = typename Compute<S>::type;
        if (job.sigmoid) {
            job.scratch_bytes = sizeof(Elements<T>);
            cut(job, job.rows() * job.classes, 16 * Elements<T>::most);
            kernel = sigmoid_chunk<S>;
        } else if (suits_rows(job) && job.classes <= longest_short_row) {
            const int group = rows_of_group<T>(job.classes);
            job.scratch_bytes = RowGroup<T>::bytes(job);
            const std::int64_t groups = 131072 / (job.classes * group), shared = job.rows() / (16 * group);
            cut(job, job.rows(), group * (groups > 4 ? groups : shared > 4 ? 4 : shared > 1 ? shared : 1));
            kernel = job.order == 0   ? softmax_rows_chunk<0, S>
                     : job.order == 1 ? softmax_rows_chunk<1, S>
                                      : softmax_rows_chunk<2, S>;
        } else if (suits_rows(job)) {
            job.scratch_bytes = (rows_wait<S>(job) ? 2 : 1) * LongRow<T>::bytes(job);
            const std::int64_t shared = job.rows() / 16;
            cut(job, job.rows(), shared > 4 ? 4 : shared > 1 ? shared : 1);
            kernel = job.order == 0   ? softmax_long_rows_chunk<0, S>
                     : job.order == 1 ? softmax_long_rows_chunk<1, S>
                                      : softmax_long_rows_chunk<2, S>;
        } else {
            const int columns = columns_of_tile(job);
            job.scratch_bytes = 2 * columns_scratch<T>(job, columns);
            const std::int64_t few = 16384 / (job.classes * columns), shared = job.rows() / (64 * columns);
            const std::int64_t tiles = few > shared ? few : shared < 16 ? shared : 16;  // long enough to fetch ahead
            cut(job, job.rows(), columns * (tiles > 0 ? tiles : 1));
            kernel = softmax_columns_chunk<S>;
        }
    });
    return kernel;
}

}  // namespace focalkit::FOCALKIT_ISA
