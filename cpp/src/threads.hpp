// Threads for one call at a time.
#pragma once
#include <cstdint>

namespace focalkit::threads {

/// How many threads a large call would use now.
int count() noexcept;
/// Sets the most; 0 leaves it to OpenMP (OMP_NUM_THREADS, threadpoolctl) or the machine.
void set_limit(int threads) noexcept;

/// Calls ``work(context, piece, thread)`` for each piece in [0, pieces), on up to ``wanted`` threads.
void run(std::int64_t pieces, int wanted, void (*work)(void* context, std::int64_t piece, int thread), void* context);

}  // namespace focalkit::threads
