#include "denominator.hpp"

namespace focalkit {

bool overwrites_logits(const Job& job) { return job.order > 0 && job.grad.data == job.logits.data; }

bool validates_first(const Job& job) { return job.order > 0 && !job.soft && (!job.sigmoid || overwrites_logits(job)); }

// | reduction     | normalizer | order 0       | order 1, 2: derivatives are scaled by it as they are written         |
// |---------------|------------|---------------|-----------------------------------------------------------------------|
// | any           | > 0        | given         | given | | none, sum     |            | one           | one | |
// weighted_mean |            | weights       | weights                                                               |
// | mean          |            | counted_after | counted_now:   hard example mining (the mask says), soft targets (all
// | |               |            |               |                count), ids that are validated first (softmax; in
// place)| |               |            |               | counted_after: 0/1 targets of a sigmoid, which are as many as
// the      | |               |            |               |                logits: reading them twice would cost more
// than a       | |               |            |               |                second pass in the rare case that some
// are ignored      |
//
// A denominator of 0 is taken as 1: a mean over an empty set is 0.
Denominator denominator_of(const Job& job, Reduction reduction, double normalizer) {
    if (normalizer > 0) return Denominator::given;
    switch (reduction) {
        case Reduction::none:
        case Reduction::sum: return Denominator::one;
        case Reduction::weighted_mean: return Denominator::weights;
        case Reduction::mean: break;
    }
    const bool known = job.keep || job.soft || validates_first(job);
    return job.order > 0 && known ? Denominator::counted_now : Denominator::counted_after;
}

}  // namespace focalkit
