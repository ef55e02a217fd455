// OpenMP rather than a pool of our own: its library has the SONAME of the one inside torch, so both use the
// same threads and the same limits (OMP_NUM_THREADS, threadpoolctl), and its idle threads, which spin for a
// while, are not in the way of a second pool's. Its one fault is fork: the child inherits a pool of threads
// that do not exist there and waits for them for ever. So a child, and a build without OpenMP, start plain
// threads for the one call. Inside a runtime that has threads of its own (XLA's), those are used.
#include "threads.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <ctime>
#include <memory>
#include <mutex>
#include <new>
#include <thread>
#include <vector>

#if defined(_OPENMP)
#include <omp.h>
#endif
#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif

namespace focalkit::threads {
namespace {

std::atomic<int> limit{0};
std::atomic<bool> forked{false};

#if defined(__unix__) || defined(__APPLE__)
const int watching_forks = pthread_atfork(nullptr, nullptr, [] { forked = true; });
#endif

thread_local const Pool* lent = nullptr;

/// The pieces of one call in a lent pool. A thread of the pool may come when all is done, or never: nobody waits
/// for it, only for pieces that somebody has taken, so calls on every thread of a pool cannot block each other.
struct Shared {
    std::int64_t pieces;
    void (*work)(void*, std::int64_t, int);
    void* context;
    std::atomic<std::int64_t> next{0}, done{0};
    std::atomic<int> threads{0};

    void take() {
        const UsualArithmetic here;
        const int thread = threads.fetch_add(1, std::memory_order_relaxed);
        for (std::int64_t piece; (piece = next.fetch_add(1, std::memory_order_relaxed)) < pieces;) {
            work(context, piece, thread);
            if (done.fetch_add(1, std::memory_order_acq_rel) + 1 == pieces) done.notify_all();
        }
    }
};

void run_in(const Pool& pool, std::int64_t pieces, int n, void (*work)(void*, std::int64_t, int), void* context) {
    const auto shared = std::make_shared<Shared>();
    shared->pieces = pieces, shared->work = work, shared->context = context;
    for (int helper = 1; helper < n; ++helper) {
        auto* held = new (std::nothrow) std::shared_ptr<Shared>(shared);
        const auto task = [](void* data) {
            const std::unique_ptr<std::shared_ptr<Shared>> mine(static_cast<std::shared_ptr<Shared>*>(data));
            (*mine)->take();
        };
        if (!held || !pool.schedule(pool, task, held)) {
            delete held;
            break;
        }
    }
    shared->take();
    for (std::int64_t done; (done = shared->done.load(std::memory_order_acquire)) < pieces;) shared->done.wait(done);
}

/// Nanoseconds of a clock that never goes back.
std::int64_t now() noexcept {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

/// Nanoseconds that this thread had a processor, where the system tells.
std::int64_t worked() noexcept {
#if defined(CLOCK_THREAD_CPUTIME_ID)
    std::timespec time{};
    if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time) == 0)
        return std::int64_t{1'000'000'000} * time.tv_sec + time.tv_nsec;
#endif
    return now();
}

/// Where other programs have the processors, a call's threads come late, or keep the calling one from its own, and the
/// call lasts for slices of time that are far longer than its work. For so many times what it has lost, the next ones
/// stay on one thread.
constexpr std::int64_t patience = 32, longest = 250'000'000, late = 300'000;
std::atomic<std::int64_t> alone_until{0};

bool crowded() noexcept {
    const std::int64_t until = alone_until.load(std::memory_order_relaxed);
    return until != 0 && now() < until;
}

/// A call began at ``began`` and ends now; all its threads together had processors for ``work``.
void judge(std::int64_t began, std::int64_t work) noexcept {
    const std::int64_t ended = now(), lost = ended - began - work;
    if (lost > late + work) alone_until.store(ended + std::min(longest, patience * lost), std::memory_order_relaxed);
}

}  // namespace

Within::Within(const Pool& pool) noexcept : before_(lent) { lent = &pool; }

Within::~Within() { lent = before_; }

int count() noexcept {
    if (lent) {
        const int most = limit.load();
        return most > 0 ? std::min(most, lent->size) : lent->size;
    }
#if defined(_OPENMP)
    // more than OpenMP is told to use never helps, and a thread that cannot be had ends the process
    // (OMP_NUM_THREADS=1000)
    static const int sensible = std::max(16, omp_get_num_procs());
    const int available = std::min(omp_get_max_threads(), sensible);
#else
    const int available = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
#endif
    const int most = limit.load();
    return most > 0 ? std::min(most, available) : available;
}

void set_limit(int threads) noexcept { limit = threads; }

void run(std::int64_t pieces, int wanted, void (*work)(void*, std::int64_t, int), void* context) {
    const int n = static_cast<int>(std::min<std::int64_t>(wanted, pieces));
    if (n <= 1) {
        for (std::int64_t piece = 0; piece < pieces; ++piece) work(context, piece, 0);
        return;
    }
    if (lent) return run_in(*lent, pieces, n, work, context);
    if (crowded()) return run(pieces, 1, work, context);
    std::atomic<std::int64_t> next{0};
    std::atomic<std::int64_t> spent{0};
    const std::int64_t began = now();
    const auto take = [&](int thread) {
        const std::int64_t before = worked();
        for (std::int64_t piece; (piece = next.fetch_add(1, std::memory_order_relaxed)) < pieces;)
            work(context, piece, thread);
        spent.fetch_add(worked() - before, std::memory_order_relaxed);
    };
#if defined(_OPENMP)
    if (!forked.load()) {
#pragma omp parallel num_threads(n)
        take(omp_get_thread_num());
        judge(began, spent.load());
        return;
    }
#endif
    std::vector<std::thread> helpers;
    try {
        helpers.reserve(static_cast<std::size_t>(n - 1));
        for (int thread = 1; thread < n; ++thread) helpers.emplace_back(take, thread);
    } catch (...) {
        // no more threads to be had: those that started, and this one, do the work
    }
    take(0);
    for (std::thread& helper : helpers) helper.join();
    judge(began, spent.load());
}

}  // namespace focalkit::threads
