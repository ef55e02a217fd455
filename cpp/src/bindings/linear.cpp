// What the linear model's fits are computed by (linear_solver/risk.py, linear_solver/curvature.py).
#include <nanobind/stl/optional.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <optional>
#include <stdexcept>
#include <vector>

#include "bindings/arrays.hpp"
#include "bindings/bindings.hpp"
#include "bindings/plan.hpp"
#include "dispatch.hpp"
#include "linear_pass.hpp"

namespace nb = nanobind;

namespace focalkit {
namespace {

using Weights = std::vector<std::optional<Dense<const double, 1>>>;

void require(bool holds) {
    if (!holds) throw std::invalid_argument("shapes differ");
}

/// The passes of some models over the same rows, of which the first ``rows`` count; see linear_pass.hpp.
template <class T>
void over_rows(const std::vector<const Plan*>& plans, Dense<const T, 2> columns, std::int64_t rows,
               Dense<const std::int64_t, 1> targets, const Weights& weights, Dense<const double, 3> theta,
               std::optional<Dense<double, 1>> loss, std::optional<Dense<double, 3>> grad,
               std::optional<Dense<double, 3>> curvature, std::optional<Dense<double, 2>> losses) {
    constexpr bool wide = sizeof(T) == 8;
    const std::size_t models = plans.size(), n_columns = columns.shape(0), apart = columns.shape(1);
    const std::size_t classes = theta.shape(2), entries = classes == 1 ? 1 : classes * (classes - 1) / 2;
    require(weights.size() == models && theta.shape(0) == models && theta.shape(1) == n_columns && classes > 0);
    require(rows >= 0 && static_cast<std::size_t>(rows) <= apart && apart % Tile<T>::lanes_most == 0);
    require(targets.shape(0) == apart && (!loss || loss->shape(0) == models));
    require(!grad || (grad->shape(0) == models && grad->shape(1) == n_columns && grad->shape(2) == classes));
    require(!curvature || (!wide && curvature->shape(0) == models && curvature->shape(1) == entries &&
                           curvature->shape(2) == n_columns * (n_columns + 1) / 2));
    require(!losses || (losses->shape(0) == models && losses->shape(1) == static_cast<std::size_t>(rows)));
    const std::int64_t ids = std::max<std::int64_t>(static_cast<std::int64_t>(classes), 2);
    for (std::size_t i = 0; i < apart; ++i)
        if (targets.data()[i] < 0 || targets.data()[i] >= ids) throw std::invalid_argument("no such class");
    std::vector<const double*> of_model(models, nullptr);
    for (std::size_t m = 0; m < models; ++m) {
        const bool fits = plans[m]->parameters.fit(static_cast<std::int64_t>(classes));
        if (!fits || plans[m]->sigmoid != (classes == 1)) throw std::invalid_argument("a loss of other logits");
        if (!wide && plans[m]->exceeds_float) throw std::invalid_argument("parameters beyond float32");
        if (!weights[m]) continue;
        require(weights[m]->shape(0) >= static_cast<std::size_t>(rows));
        of_model[m] = weights[m]->data();
    }
    const nb::gil_scoped_release released;
    LinearRows of_features;
    of_features.columns = columns.data(), of_features.targets = targets.data(), of_features.rows = rows;
    of_features.n_columns = static_cast<std::int64_t>(n_columns);
    of_features.apart = static_cast<std::int64_t>(apart);
    std::vector<LinearModel> passes(models);
    for (std::size_t m = 0; m < models; ++m) {
        LinearModel& pass = passes[m];
        Job& job = pass.job;
        job.type = wide ? Type::f64 : Type::f32, job.target_type = Type::i64;
        job.classes = static_cast<std::int64_t>(classes);
        plans[m]->set(job);
        if (of_model[m]) {
            job.sample_weight = of_model[m];
            job.weight_unit = unit_of(rows ? *std::max_element(of_model[m], of_model[m] + rows) : 0, wide);
        }
        pass.alpha_unit = plans[m]->alpha_unit(job);
        pass.theta = theta.data() + m * n_columns * classes;
        if (loss) pass.loss = loss->data() + m;
        if (grad) pass.grad = grad->data() + m * n_columns * classes;
        if (curvature) pass.curvature = curvature->data() + m * entries * curvature->shape(2);
        if (losses) pass.losses = losses->data() + static_cast<std::int64_t>(m) * rows;
    }
    linear_pass(of_features, passes);
}

/// Factors each of ``matrices`` (m, p, p) in place.
void factored(Dense<double, 3> matrices) {
    const auto size = static_cast<std::int64_t>(matrices.shape(1));
    require(matrices.shape(2) == matrices.shape(1));
    const nb::gil_scoped_release released;
    for (std::size_t i = 0; i < matrices.shape(0); ++i)
        dispatch::linear().factor(matrices.data() + static_cast<std::int64_t>(i) * size * size, size);
}

/// Solves U'U x = b in place for each of ``vectors`` (n, p), by the factor U at its place ``which`` (n,) of (m, p, p).
void substituted(Dense<const double, 3> factors, Dense<const std::int64_t, 1> which, Dense<double, 2> vectors) {
    const auto size = static_cast<std::int64_t>(factors.shape(1)), n = static_cast<std::int64_t>(vectors.shape(0));
    require(factors.shape(2) == factors.shape(1) && vectors.shape(1) == factors.shape(1));
    require(which.shape(0) == vectors.shape(0));
    for (std::int64_t i = 0; i < n; ++i)
        require(which.data()[i] >= 0 && which.data()[i] < static_cast<std::int64_t>(factors.shape(0)));
    const nb::gil_scoped_release released;
    for (std::int64_t i = 0; i < n; ++i)
        dispatch::linear().substitute(factors.data() + which.data()[i] * size * size, size, vectors.data() + i * size);
}

}  // namespace

void bind_linear(nb::module_& module) {
    // what is written is never a copy that would be lost
    const auto bind = [&](auto* function) {
        module.def("over_rows", function, nb::arg("plans"), nb::arg("columns").noconvert(), nb::arg("rows"),
                   nb::arg("targets"), nb::arg("weights"), nb::arg("theta"), nb::arg("loss").noconvert().none(),
                   nb::arg("grad").noconvert().none(), nb::arg("curvature").noconvert().none(),
                   nb::arg("losses").noconvert().none());
    };
    bind(&over_rows<float>);
    bind(&over_rows<double>);
    module.def("factored", &factored, nb::arg().noconvert());
    module.def("substituted", &substituted, nb::arg().noconvert(), nb::arg(), nb::arg().noconvert());
}

}  // namespace focalkit
