// Linear models on many rows: losses, gradients and curvatures in their coefficients, tile by tile.
#pragma once
#include <vector>

#include "evaluate.hpp"
#include "focalkit/job.hpp"

namespace focalkit {

/// Rows of features and their classes.
struct LinearRows {
    const void* columns = nullptr;  // of the jobs' type: (n_columns, apart), zeros from ``rows`` on
    std::int64_t n_columns = 0, apart = 0, rows = 0;
    const std::int64_t* targets = nullptr;  // (apart,)
};

/// A model on them. What is wanted has an address: sums are added to, losses written.
struct LinearModel {
    Job job;  // all but arrays and sizes of rows; its weights, if any, are those of the first row
    double alpha_unit = 1;
    const double* theta = nullptr;  // (n_columns, classes)
    double* loss = nullptr;         // their sum
    double* grad = nullptr;         // (n_columns, classes)
    double* curvature = nullptr;    // of float: (entries, pairs of columns), see LinearKernels
    double* losses = nullptr;       // (rows,)
};

/// The passes of all models, whose jobs have one type and as many classes: each tile is read from memory once.
void linear_pass(const LinearRows& rows, const std::vector<LinearModel>& models);

}  // namespace focalkit
