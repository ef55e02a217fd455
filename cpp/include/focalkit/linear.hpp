// What the linear model's Newton steps are computed by, as plain data. No instruction set of its own.
#pragma once
#include <cstddef>
#include <cstdint>

namespace focalkit {

/// Columns of features, each contiguous and ``apart`` from the next, and lines of weights (n_weights, rows): adds to
/// ``sums`` (n_weights, pairs of columns a <= b) their products, weighted and summed over the rows.
struct ProductsJob {
    const float* columns = nullptr;
    std::int64_t n_columns = 0, apart = 0, rows = 0;
    const float* weights = nullptr;
    std::int64_t n_weights = 0;
    double* sums = nullptr;
};

struct LinearKernels {
    void (*products)(const ProductsJob&);
    /// Of a symmetric matrix (size, size): U with U'U = a on and above the diagonal, in place. Where rounding left no
    /// positive pivot, the diagonal's own entry is taken.
    void (*factor)(double* a, std::int64_t size);
    /// Solves U'U x = b in place.
    void (*substitute)(const double* u, std::int64_t size, double* b);
};

const LinearKernels* linear_baseline();
const LinearKernels* linear_avx2();
const LinearKernels* linear_avx512();

}  // namespace focalkit
