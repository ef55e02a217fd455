// Python's arrays to the pass of the diagnosis. The door, focalkit.engines.cpu_ledger, has checked them.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "bind.hpp"
#include "dispatch.hpp"
#include "ledger.hpp"

namespace nb = nanobind;

namespace focalkit {
namespace {

template <class T>
using Read = nb::ndarray<const T, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
template <class T>
using Write = nb::ndarray<T, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

const LedgerKernels& kernels() {
    const char* name = dispatch::kernels().name;
#if defined(FOCALKIT_HAS_X86_KERNELS)
    if (std::strcmp(name, "avx512") == 0) return *ledger_kernels_avx512();
    if (std::strcmp(name, "avx2") == 0) return *ledger_kernels_avx2();
#endif
    (void)name;
    return *ledger_kernels_baseline();
}

template <class S>
std::int64_t log_odds(nb::ndarray<const S, nb::ndim<2>, nb::device::cpu> logits, Read<std::int64_t> ids,
                      std::int64_t ignore_index, Write<double> m) {
    LogOddsJob job;
    job.logits = logits.data();
    job.wide = sizeof(S) == 8;
    job.rows = static_cast<std::int64_t>(logits.shape(0));
    job.classes = static_cast<std::int64_t>(logits.shape(1));
    job.row_stride = logits.stride(0);
    job.class_stride = logits.stride(1);
    job.ids = ids.data();
    job.ignore_index = ignore_index;
    job.m = m.data();
    nb::gil_scoped_release free;
    return kernels().log_odds(job);
}

/// Bins (low, low + 1/per_unit], ... with one open on each side and one more edge at ``extra``.
struct Bins {
    double low, high, per_unit, extra;
    std::int64_t of(double m) const {
        const double at = std::ceil(std::min(std::max(m, low - 1), high + 1) * per_unit);
        const double inside = std::min(std::max(at, low * per_unit), high * per_unit + 1);
        return static_cast<std::int64_t>(inside - low * per_unit) + (m > extra);
    }
};

/// Adds entries (row, m, weight) to tables row x bin and to exact sums row x zone, in the order of the entries.
void add(Read<std::int64_t> rows, Read<double> m, nb::object weight, Read<double> gamma, Read<double> centre, Bins bins,
         Write<std::int64_t> count, Write<double> mass, Write<double> s1, Write<double> s2, Write<double> loss,
         Write<double> grad, std::int64_t n_bins) {
    const double* w = nullptr;
    Read<double> held;
    if (!weight.is_none()) {
        held = nb::cast<Read<double>>(weight);
        w = held.data();
    }
    const auto n = static_cast<std::int64_t>(m.shape(0));
    const bool one_gamma = gamma.shape(0) == 1;
    const LedgerKernels& use = kernels();
    nb::gil_scoped_release free;
    constexpr std::int64_t most = 512;
    double losses[most], grads[most], gammas[most];
    for (std::int64_t first = 0; first < n; first += most) {
        const std::int64_t some = std::min(most, n - first);
        const std::int64_t* row = rows.data() + first;
        const double* at = m.data() + first;
        if (!one_gamma)
            for (std::int64_t i = 0; i < some; ++i) gammas[i] = gamma.data()[row[i]];
        use.terms(at, some, one_gamma ? gamma.data() : gammas, one_gamma, losses, grads);
        for (std::int64_t i = 0; i < some; ++i) {
            const std::int64_t bin = bins.of(at[i]), cell = row[i] * n_bins + bin;
            const double wi = w ? w[first + i] : 1.0;
            // the open bins need no second moment, and the right one no first: there m may be +inf
            const double distance = bin == n_bins - 1 ? 0.0 : at[i] - centre.data()[bin];
            const double moment = wi * distance;
            count.data()[cell] += 1;
            mass.data()[cell] += wi;
            s1.data()[cell] += moment;
            if (bin > 0) s2.data()[cell] += moment * distance;
            const std::int64_t zone = row[i] * 3 + (at[i] > 0) + (at[i] > bins.extra);
            loss.data()[zone] += wi * losses[i];
            grad.data()[zone] += wi * grads[i];
        }
    }
}

}  // namespace

void bind_ledger(nb::module_& module) {
    module.def("log_odds", &log_odds<float>, nb::arg("logits"), nb::arg("ids"), nb::arg("ignore_index"), nb::arg("m"));
    module.def("log_odds", &log_odds<double>, nb::arg("logits"), nb::arg("ids"), nb::arg("ignore_index"), nb::arg("m"));
    module.def(
        "ledger_add",
        [](Read<std::int64_t> rows, Read<double> m, nb::object weight, Read<double> gamma, Read<double> centre,
           double low, double high, double per_unit, double extra, Write<std::int64_t> count, Write<double> mass,
           Write<double> s1, Write<double> s2, Write<double> loss, Write<double> grad) {
            add(rows, m, weight, gamma, centre, Bins{low, high, per_unit, extra}, count, mass, s1, s2, loss, grad,
                static_cast<std::int64_t>(centre.shape(0)));
        },
        nb::arg("rows"), nb::arg("m"), nb::arg("weight").none(), nb::arg("gamma"), nb::arg("centre"), nb::arg("low"),
        nb::arg("high"), nb::arg("per_unit"), nb::arg("extra"), nb::arg("count"), nb::arg("mass"), nb::arg("s1"),
        nb::arg("s2"), nb::arg("loss"), nb::arg("grad"));
}

}  // namespace focalkit
