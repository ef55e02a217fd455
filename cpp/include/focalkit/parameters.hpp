// Every parameter of the loss that may differ from class to class: one place to add the next one.
//
// The kernels see views (PerClass) in the type that they compute in; src/parameters.hpp owns the numbers.
#pragma once
#include <cstdint>

// Always inline: a function shared by the instruction sets would be linked from any one of them.
#if defined(_MSC_VER) && !defined(__clang__)
#define FOCALKIT_SHARED_INLINE __forceinline
#else
#define FOCALKIT_SHARED_INLINE inline __attribute__((always_inline))
#endif

namespace focalkit {

/// No value, one for all classes, or one per class; of type float or double, as the job computes.
struct PerClass {
    const void* values = nullptr;
    bool per_class = false;

    FOCALKIT_SHARED_INLINE explicit operator bool() const { return values != nullptr; }
};

struct ClassParameters {
    PerClass gamma;        // always given
    PerClass alpha;        // weight of the true class (softmax) or of positives (sigmoid)
    PerClass alpha_other;  // sigmoid: 1 - alpha, the weight of negatives
    PerClass adjustment;   // added to the logits (times Job::logit_scale); softmax: none of them above 0
    PerClass margin;       // softmax: subtracted from the log-odds of the true class

    /// Whether anything differs from class to class.
    FOCALKIT_SHARED_INLINE bool vary() const { return gamma.per_class || alpha.per_class; }
    /// Whether the loss is one of shifted logits.
    FOCALKIT_SHARED_INLINE bool shift() const { return adjustment || margin; }
};

}  // namespace focalkit
