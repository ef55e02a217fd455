// A job of a type narrower than float64, computed in float64.
#pragma once
#include <list>
#include <vector>

#include "focalkit/job.hpp"

namespace focalkit {

/// Copies of a job's arrays and parameters in float64, and ``job`` over them.
class Wide {
public:
    explicit Wide(const Job& narrow);
    Wide(const Wide&) = delete;
    Wide& operator=(const Wide&) = delete;

    /// Rounds what was computed into the results of the narrow job.
    void write_back() const;

    Job job;

private:
    double* block(std::int64_t size);
    Array like_logits();
    PerClass parameter(const PerClass& narrow);

    const Job& narrow_;
    std::list<std::vector<double>> blocks_;
};

}  // namespace focalkit
