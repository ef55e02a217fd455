// Cholesky's factors of small symmetric matrices: Newton's steps of the linear model.
#pragma once
#include "focalkit/linear.hpp"
#include "focalkit/simd/simd.hpp"

namespace focalkit::FOCALKIT_ISA {

/// A pivot below this share of its diagonal entry is what rounding left, and the entry takes its place.
inline constexpr double least_pivot = 1e-9;

/// ``a`` (size, size), of which the upper triangle is read, becomes U with U'U = a on and above the diagonal.
inline void factor(double* a, std::int64_t size) {
    for (std::int64_t k = 0; k < size; ++k) {
        double* row = a + k * size;
        double pivot = row[k], entry = pivot;
        for (std::int64_t i = 0; i < k; ++i) entry += a[i * size + k] * a[i * size + k];  // as it was given
        if (!(pivot > least_pivot * entry)) pivot = entry > 0 ? entry : 1;
        const double root = square_root(constant<DoubleV>(pivot))[0], inverse = 1 / root;
        row[k] = root;
        for (std::int64_t j = k + 1; j < size; ++j) row[j] *= inverse;
        for (std::int64_t i = k + 1; i < size; ++i) {
            double* FOCALKIT_RESTRICT to = a + i * size;
            const double* FOCALKIT_RESTRICT from = row;
            const double by = from[i];
            for (std::int64_t j = i; j < size; ++j) to[j] -= by * from[j];
        }
    }
}

/// Solves U'U x = ``b`` in place.
inline void substitute(const double* u, std::int64_t size, double* FOCALKIT_RESTRICT b) {
    constexpr int lanes = width<double>;
    for (std::int64_t k = 0; k < size; ++k) {
        const double* FOCALKIT_RESTRICT row = u + k * size;
        const double x = b[k] / row[k];
        b[k] = x;
        for (std::int64_t j = k + 1; j < size; ++j) b[j] -= row[j] * x;
    }
    for (std::int64_t k = size; k-- > 0;) {
        const double* FOCALKIT_RESTRICT row = u + k * size;
        DoubleV sum{};
        std::int64_t j = k + 1;
        for (; j + lanes <= size; j += lanes) sum = sum + load(row + j) * load(b + j);
        double lane[lanes];
        store(lane, sum);
        double total = b[k];
        for (int l = 0; l < lanes; ++l) total -= lane[l];
        for (; j < size; ++j) total -= row[j] * b[j];
        b[k] = total / row[k];
    }
}

}  // namespace focalkit::FOCALKIT_ISA
