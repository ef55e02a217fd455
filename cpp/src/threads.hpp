// Threads for one call at a time.
#pragma once
#include <cfenv>
#include <cstdint>

#if defined(__SSE2__) || defined(_M_X64)
#include <xmmintrin.h>
#define FOCALKIT_FLUSHES 1
#endif

namespace focalkit::threads {

/// How many threads a large call would use now.
int count() noexcept;
/// Sets the most; 0 leaves it to OpenMP (OMP_NUM_THREADS, threadpoolctl) or the machine.
void set_limit(int threads) noexcept;

/// Threads that somebody else keeps: ``schedule`` has one of them call ``task(data)``, some time or other, and
/// answers false where it cannot.
struct Pool {
    int size;
    bool (*schedule)(const Pool&, void (*task)(void* data), void* data);
    void* owner;
};

/// Arithmetic as C++ has it, subnormal numbers included, on a thread whose owner has them taken for 0.
class UsualArithmetic {
public:
    UsualArithmetic() noexcept {
        std::fegetenv(&before_);
        std::fesetenv(FE_DFL_ENV);
    }
    UsualArithmetic(const UsualArithmetic&) = delete;
    UsualArithmetic& operator=(const UsualArithmetic&) = delete;
    ~UsualArithmetic() { std::fesetenv(&before_); }

private:
    std::fenv_t before_;
};

/// Where ``wanted``, results below the smallest normal number become 0 while it lives: a processor takes a hundred
/// times as long over one of them. Of logits that are scaled nearly all exponentials would be such.
class Flushing {
public:
    explicit Flushing([[maybe_unused]] bool wanted) noexcept {
#if defined(FOCALKIT_FLUSHES)
        before_ = _mm_getcsr();
        if (wanted) _mm_setcsr(before_ | _MM_FLUSH_ZERO_ON);
#endif
    }
    Flushing(const Flushing&) = delete;
    Flushing& operator=(const Flushing&) = delete;
#if defined(FOCALKIT_FLUSHES)
    ~Flushing() { _mm_setcsr(before_); }

private:
    unsigned before_;
#endif
};

/// While it lives, calls from this thread use ``pool`` and no threads of their own.
class Within {
public:
    explicit Within(const Pool& pool) noexcept;
    Within(const Within&) = delete;
    Within& operator=(const Within&) = delete;
    ~Within();

private:
    const Pool* before_;
    UsualArithmetic here_;
};

/// Calls ``work(context, piece, thread)`` for each piece in [0, pieces), on up to ``wanted`` threads.
void run(std::int64_t pieces, int wanted, void (*work)(void* context, std::int64_t piece, int thread), void* context);

}  // namespace focalkit::threads
