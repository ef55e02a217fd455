// What the linear model is fitted by, as plain data. No instruction set of its own.
#pragma once
#include <cstddef>
#include <cstdint>

namespace focalkit {

/// Some rows of features: columns, each contiguous and ``apart`` from the next. ``rows`` is a multiple of a vector's
/// lanes: what is over has features of zero. What belongs to their logits lies class by class, ``height`` apart.
template <class T>
struct Tile {
    static constexpr std::int64_t lanes_most = 16;
    const T* columns = nullptr;
    std::int64_t n_columns = 0, apart = 0, rows = 0, height = 0;
};

template <class T>
struct TileKernels {
    /// The logits (classes, height) of coefficients ``theta`` (n_columns, classes).
    void (*logits)(const Tile<T>&, std::int64_t classes, const T* theta, T* z);
    /// Adds to ``sums`` (n_columns, classes) the products of the columns with what the logits have.
    void (*pull)(const Tile<T>&, std::int64_t classes, const T* grad, double* sums);
};

struct LinearKernels {
    TileKernels<float> narrow;
    TileKernels<double> wide;
    /// From gradient and Hessian diagonal (classes, height) of rows of class ``targets``: the entries (k, j),
    /// k <= j < classes - 1, of their clipped curvature, each ``height`` apart. Every row of that matrix sums to zero,
    /// so that the last class's entries are known from the others. Of one logit: its own.
    void (*curvature)(const float* grad, const float* hess, std::int64_t classes, std::int64_t height,
                      const std::int64_t* targets, std::int64_t rows, float* entries);
    /// Adds to ``sums`` (n_weights, pairs of columns a <= b) their products, summed over the rows with each line of
    /// weights (n_weights, height).
    void (*products)(const Tile<float>&, const float* weights, std::int64_t n_weights, double* sums);
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
