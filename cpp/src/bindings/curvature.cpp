// The clipped curvature of softmax rows in their logits, as weights of products of features
// (linear_solver/curvature.py).
#include <algorithm>
#include <stdexcept>
#include <vector>

#include "bindings/arrays.hpp"
#include "bindings/bindings.hpp"
#include "dispatch.hpp"

namespace nb = nanobind;

namespace focalkit {
namespace {

constexpr std::int64_t height = 256;

/// From gradients and Hessian diagonals (n, K) of rows of class ``targets``: the entries (k, j), k <= j < K - 1, of
/// ``d2 u u' - d1 (diag r - r r')``, an entry after the other, in ``out`` (K (K - 1) / 2, n). Every row of that matrix
/// sums to zero, so that the last class's entries are known from the others.
void softmax_curvature(Dense<const float, 2> grad, Dense<const float, 2> hess, Dense<const std::int64_t, 1> targets,
                       Dense<float, 2> out) {
    const std::int64_t n = static_cast<std::int64_t>(grad.shape(0)), classes = static_cast<std::int64_t>(grad.shape(1));
    const bool alike = hess.shape(0) == grad.shape(0) && hess.shape(1) == grad.shape(1) &&
                       targets.shape(0) == grad.shape(0) && out.shape(1) == grad.shape(0) &&
                       static_cast<std::int64_t>(out.shape(0)) == classes * (classes - 1) / 2;
    for (std::int64_t i = 0; alike && i < n; ++i)
        if (targets.data()[i] < 0 || targets.data()[i] >= classes) throw std::invalid_argument("no such class");
    if (!alike) throw std::invalid_argument("shapes differ");
    const nb::gil_scoped_release released;
    std::vector<float> others(static_cast<std::size_t>(classes * height)), pulled(others.size());
    float slope[height], bend[height];
    for (std::int64_t first = 0; first < n; first += height) {
        const std::int64_t rows = std::min(height, n - first);
        for (std::int64_t i = 0; i < rows; ++i) {
            const float* g = grad.data() + (first + i) * classes;
            const std::int64_t t = targets.data()[first + i];
            slope[i] = g[t];
            bend[i] = std::max(hess.data()[(first + i) * classes + t], 0.0f);
            const float scale = g[t] < 0 ? -1 / g[t] : 0.0f;
            for (std::int64_t k = 0; k < classes; ++k) {
                const float r = k == t ? 0.0f : g[k] * scale;
                others[static_cast<std::size_t>(k * height + i)] = r;
                pulled[static_cast<std::size_t>(k * height + i)] = k == t ? 1.0f : -r;
            }
        }
        float* entry = out.data() + first;
        for (std::int64_t k = 0; k < classes - 1; ++k) {
            const float *rk = others.data() + k * height, *uk = pulled.data() + k * height;
            for (std::int64_t j = k; j < classes - 1; ++j, entry += n) {
                const float *rj = others.data() + j * height, *uj = pulled.data() + j * height;
                for (std::int64_t i = 0; i < rows; ++i) entry[i] = bend[i] * uk[i] * uj[i] + slope[i] * rk[i] * rj[i];
                if (k == j)
                    for (std::int64_t i = 0; i < rows; ++i) entry[i] -= slope[i] * rk[i];
            }
        }
    }
}

/// Of rows that begin at ``first``: adds the products of all pairs of ``columns`` (D, n), weighted by each line of
/// ``weights`` (n_weights, rows), to ``sums`` (n_weights, D (D + 1) / 2).
void weighted_products(Dense<const float, 2> columns, std::int64_t first, Dense<const float, 2> weights,
                       Dense<double, 2> sums) {
    const auto n = static_cast<std::int64_t>(columns.shape(1)), n_columns = static_cast<std::int64_t>(columns.shape(0));
    ProductsJob job;
    job.rows = static_cast<std::int64_t>(weights.shape(1));
    job.n_weights = static_cast<std::int64_t>(weights.shape(0));
    if (first < 0 || job.rows > n - first || sums.shape(0) != weights.shape(0) ||
        static_cast<std::int64_t>(sums.shape(1)) != n_columns * (n_columns + 1) / 2)
        throw std::invalid_argument("shapes differ");
    job.columns = columns.data() + first;
    job.n_columns = n_columns;
    job.apart = n;
    job.weights = weights.data();
    job.sums = sums.data();
    const nb::gil_scoped_release released;
    dispatch::linear().products(job);
}

/// Factors each of ``matrices`` (m, p, p) in place.
void factored(Dense<double, 3> matrices) {
    const auto size = static_cast<std::int64_t>(matrices.shape(1));
    if (matrices.shape(2) != matrices.shape(1)) throw std::invalid_argument("shapes differ");
    const nb::gil_scoped_release released;
    for (std::size_t i = 0; i < matrices.shape(0); ++i)
        dispatch::linear().factor(matrices.data() + static_cast<std::int64_t>(i) * size * size, size);
}

/// Solves U'U x = ``vector`` in place, by the factor U of a matrix.
void substituted(Dense<const double, 2> factor, Dense<double, 1> vector) {
    if (factor.shape(0) != factor.shape(1) || vector.shape(0) != factor.shape(0))
        throw std::invalid_argument("shapes differ");
    dispatch::linear().substitute(factor.data(), static_cast<std::int64_t>(factor.shape(0)), vector.data());
}

}  // namespace

void bind_curvature(nb::module_& module) {
    // what is written is never a copy that would be lost
    module.def("softmax_curvature", &softmax_curvature, nb::arg(), nb::arg(), nb::arg(), nb::arg().noconvert());
    module.def("weighted_products", &weighted_products, nb::arg(), nb::arg(), nb::arg(), nb::arg().noconvert());
    module.def("factored", &factored, nb::arg().noconvert());
    module.def("substituted", &substituted, nb::arg(), nb::arg().noconvert());
}

}  // namespace focalkit
