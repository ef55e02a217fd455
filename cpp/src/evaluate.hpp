// One call over all chunks and threads.
#pragma once
#include "focalkit/job.hpp"

namespace focalkit {

enum class Reduction : int { none, sum, mean, weighted_mean };

struct Outcome {
    double loss = 0;           // the sum over the denominator
    bool bad_targets = false;  // then what was written is meaningless
};

/// Computes ``job``. ``normalizer`` > 0 takes the place of the reduction's own denominator; ``alpha_unit`` is the power
/// of two that alpha was multiplied by.
Outcome evaluate(Job job, Reduction reduction, double normalizer, double alpha_unit = 1);

}  // namespace focalkit
