// What the sum of the losses is divided by.
#pragma once
#include "evaluate.hpp"

namespace focalkit {

enum class Denominator {
    given,          // the caller's normalizer
    one,            // a sum, or losses one by one
    counted_now,    // how many count, known before the pass
    counted_after,  // how many count, known after it: all, as a first guess
    weights,        // sum of alpha_t * sample_weight, which takes a pass of its own where derivatives are asked for
};

/// Which denominator ``job`` has; the table is in the .cpp.
Denominator denominator_of(const Job& job, Reduction reduction, double normalizer);

/// Whether the gradient is written over the logits.
bool overwrites_logits(const Job& job);

/// Whether class ids are validated, and counted, by a pass of their own before anything is written.
bool validates_first(const Job& job);

}  // namespace focalkit
