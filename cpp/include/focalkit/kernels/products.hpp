// Products of pairs of columns, summed over rows with weights: what a curvature matrix is made of. A lane is a row.
#pragma once
#include "focalkit/linear.hpp"
#include "focalkit/simd/simd.hpp"

namespace focalkit::FOCALKIT_ISA {

inline constexpr std::int64_t products_rows = 512;  // at a time: the columns of few features stay in the first cache

/// Adds to the vector of ``sums`` at w * stride + b the products of a column with ``columns_n`` that lie ``apart``,
/// each row of
/// ``weights_n`` weights. ``n`` is a multiple of the lanes.
template <int weights_n, int columns_n>
void add_products(const float* column, const float* others, std::int64_t apart, const float* weights,
                  std::int64_t weights_apart, std::int64_t n, float* sums, std::int64_t stride) {
    constexpr int lanes = width<float>;
    FloatV sum[weights_n][columns_n];
    for (int w = 0; w < weights_n; ++w)
        for (int b = 0; b < columns_n; ++b) sum[w][b] = load(sums + (w * stride + b) * lanes);
    for (std::int64_t i = 0; i < n; i += lanes) {
        const FloatV x = load(column + i);
        FloatV product[columns_n];
        for (int b = 0; b < columns_n; ++b) product[b] = x * load(others + b * apart + i);
        for (int w = 0; w < weights_n; ++w) {
            const FloatV weight = load(weights + w * weights_apart + i);
            for (int b = 0; b < columns_n; ++b) sum[w][b] = sum[w][b] + weight * product[b];
        }
    }
    for (int w = 0; w < weights_n; ++w)
        for (int b = 0; b < columns_n; ++b) store(sums + (w * stride + b) * lanes, sum[w][b]);
}

template <int weights_n>
void add_all_products(const float* columns, std::int64_t n_columns, std::int64_t apart, const float* weights,
                      std::int64_t weights_apart, std::int64_t n, float* sums, std::int64_t pairs) {
    for (std::int64_t a = 0; a < n_columns; ++a) {
        const float* column = columns + a * apart;
        for (std::int64_t b = a; b < n_columns; b += 4) {
            const std::int64_t left = n_columns - b;
            (left == 1   ? add_products<weights_n, 1>
             : left == 2 ? add_products<weights_n, 2>
             : left == 3 ? add_products<weights_n, 3>
                         : add_products<weights_n, 4>)(column, columns + b * apart, apart, weights, weights_apart, n,
                                                       sums, pairs);
            sums += (left < 4 ? left : 4) * width<float>;
        }
    }
}

/// Four lines of weights at a time, whose sums are kept by lane until the end.
inline void weighted_products(const ProductsJob& job) {
    constexpr int lanes = width<float>;
    const std::int64_t pairs = job.n_columns * (job.n_columns + 1) / 2;
    // what is left of the last rows, filled up with zeros
    const std::int64_t whole = job.rows / lanes * lanes, more = job.rows - whole;
    float* rest = new float[static_cast<std::size_t>((job.n_columns + 4) * lanes)];
    for (std::int64_t k = 0; k < job.n_columns; ++k)
        for (std::int64_t i = 0; i < lanes; ++i)
            rest[(4 + k) * lanes + i] = i < more ? job.columns[k * job.apart + whole + i] : 0.0f;
    float* sums = new float[static_cast<std::size_t>(4 * pairs * lanes)];
    for (std::int64_t first = 0; first < job.n_weights; first += 4) {
        const std::int64_t lines = job.n_weights - first < 4 ? job.n_weights - first : 4;
        const auto add = lines == 1   ? add_all_products<1>
                         : lines == 2 ? add_all_products<2>
                         : lines == 3 ? add_all_products<3>
                                      : add_all_products<4>;
        const float* weights = job.weights + first * job.rows;
        for (std::int64_t at = 0; at < 4 * pairs * lanes; ++at) sums[at] = 0;
        for (std::int64_t row = 0; row < whole; row += products_rows) {
            const std::int64_t n = whole - row < products_rows ? whole - row : products_rows;
            add(job.columns + row, job.n_columns, job.apart, weights + row, job.rows, n, sums, pairs);
        }
        if (more) {
            for (std::int64_t w = 0; w < lines; ++w)
                for (std::int64_t i = 0; i < lanes; ++i)
                    rest[w * lanes + i] = i < more ? weights[w * job.rows + whole + i] : 0.0f;
            add(rest + 4 * lanes, job.n_columns, lanes, rest, lanes, lanes, sums, pairs);
        }
        for (std::int64_t at = 0; at < lines * pairs; ++at) {
            double sum = 0;
            for (int l = 0; l < lanes; ++l) sum += static_cast<double>(sums[at * lanes + l]);
            job.sums[first * pairs + at] += sum;
        }
    }
    delete[] sums;
    delete[] rest;
}

}  // namespace focalkit::FOCALKIT_ISA
