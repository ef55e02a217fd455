#include "dispatch.hpp"

#include <atomic>
#include <cstdlib>
#include <cstring>

#if defined(_MSC_VER) && defined(_M_X64)
#include <immintrin.h>
#include <intrin.h>
#endif

namespace focalkit::dispatch {
namespace {

#if defined(FOCALKIT_HAS_X86_KERNELS)
#if defined(_MSC_VER)
bool machine_has(int level) {  // the operating system must save the registers too
    int id[4], more[4];
    __cpuid(id, 1);
    const bool saves = (id[2] >> 27) & 1, fma = (id[2] >> 12) & 1, f16c = (id[2] >> 29) & 1;
    if (!saves || !fma || !f16c) return false;
    const unsigned long long state = _xgetbv(0);
    __cpuidex(more, 7, 0);
    const unsigned b = static_cast<unsigned>(more[1]);
    if (level == 3) return (state & 0x6) == 0x6 && (b >> 5 & 1) && (b >> 8 & 1);
    return (state & 0xe6) == 0xe6 && (b >> 16 & 1) && (b >> 17 & 1) && (b >> 30 & 1) && (b >> 31 & 1);
}
#else
bool machine_has(int level) {
    __builtin_cpu_init();
    const bool v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
    if (level == 3) return v3;
    return v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512cd");
}
#endif
#endif

const Kernels* find(const char* name) {
#if defined(FOCALKIT_HAS_X86_KERNELS)
    if (std::strcmp(name, "avx512") == 0 && machine_has(4)) return kernels_avx512();
    if (std::strcmp(name, "avx2") == 0 && machine_has(3)) return kernels_avx2();
#endif
    return std::strcmp(name, "baseline") == 0 ? kernels_baseline() : nullptr;
}

const Kernels* first_choice() {
    const char* asked = std::getenv("FOCALKIT_INSTRUCTION_SET");
    if (asked && *asked)
        if (const Kernels* found = find(asked)) return found;
    for (const char* name : {"avx512", "avx2"})
        if (const Kernels* found = find(name)) return found;
    return kernels_baseline();
}

std::atomic<const Kernels*> current{nullptr};

}  // namespace

const Kernels& kernels() {
    const Kernels* chosen = current.load();
    if (!chosen) current = chosen = first_choice();
    return *chosen;
}

const LinearKernels& linear() {
#if defined(FOCALKIT_HAS_X86_KERNELS)
    const Kernels* chosen = &kernels();
    if (chosen == kernels_avx512()) return *linear_avx512();
    if (chosen == kernels_avx2()) return *linear_avx2();
#endif
    return *linear_baseline();
}

bool choose(const char* name) {
    const Kernels* found = find(name);
    if (found) current = found;
    return found != nullptr;
}

bool available(const char* name) { return find(name) != nullptr; }

}  // namespace focalkit::dispatch
