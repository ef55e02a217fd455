// One linear model on many rows: loss, gradient and curvature in its coefficients, tile by tile.
#pragma once
#include "evaluate.hpp"
#include "focalkit/job.hpp"

namespace focalkit {

/// What is wanted has an address: sums are added to, losses written.
struct LinearPass {
    const void* columns = nullptr;  // of the job's type: (n_columns, apart), zeros from ``rows`` on
    std::int64_t n_columns = 0, apart = 0, rows = 0;
    const std::int64_t* targets = nullptr;  // (apart,)
    const double* theta = nullptr;          // (n_columns, classes)
    double* loss = nullptr;                 // their sum
    double* grad = nullptr;                 // (n_columns, classes)
    double* curvature = nullptr;            // of float: (entries, pairs of columns), see LinearKernels
    double* losses = nullptr;               // of double: (rows,)
};

/// ``job`` has all but arrays and sizes of rows, its weights, if any, those of the first row; a sum of losses.
void linear_pass(const LinearPass& pass, const Job& job, double alpha_unit);

}  // namespace focalkit
