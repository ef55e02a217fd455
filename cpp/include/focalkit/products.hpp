// Weighted products of columns as plain data. No instruction set of its own.
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

void products_baseline(const ProductsJob&);
void products_avx2(const ProductsJob&);
void products_avx512(const ProductsJob&);

}  // namespace focalkit
