// Python's arrays to the pass of the diagnosis. The door, focalkit.engines.cpu.ledger, has checked them.
#include <algorithm>
#include <cmath>
#include <vector>

#include "bindings/arrays.hpp"
#include "bindings/bindings.hpp"
#include "dispatch.hpp"

namespace nb = nanobind;

namespace focalkit {
namespace {

template <class T>
using Read = Dense<const T, 1>;
template <class T>
using Write = Dense<T, 1>;

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
    return dispatch::kernels().log_odds(job);
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

struct Tables {
    Write<std::int64_t> count;
    Write<double> mass, s1, s2, loss, grad;
};

/// Adds ``n`` entries (row, m, weight or 1) to tables row x bin and to exact sums row x zone, in their order. Rows are
/// loaded once and bounded here, since they may lie in memory that the caller changes meanwhile; what is no row, or has
/// no log-odds, is skipped.
void add(const std::int64_t* rows, const double* m, const double* weight, std::int64_t n, Read<double>& gamma,
         Read<double>& centre, const Bins& bins, Tables& to) {
    const auto n_bins = static_cast<std::int64_t>(centre.shape(0));
    const auto n_rows = static_cast<std::uint64_t>(to.count.shape(0)) / static_cast<std::uint64_t>(n_bins);
    const bool one_gamma = gamma.shape(0) == 1;
    const Kernels& use = dispatch::kernels();
    constexpr std::int64_t most = 512;
    double losses[most], grads[most], gammas[most];
    std::int64_t row[most];
    for (std::int64_t first = 0; first < n; first += most, rows += most, m += most) {
        const std::int64_t some = std::min(most, n - first);
        bool skipped[most];
        for (std::int64_t i = 0; i < some; ++i) {
            const std::int64_t given = load_once(rows + i);
            skipped[i] = static_cast<std::uint64_t>(given) >= n_rows || m[i] != m[i];
            row[i] = skipped[i] ? 0 : given;
        }
        if (!one_gamma)
            for (std::int64_t i = 0; i < some; ++i) gammas[i] = gamma.data()[row[i]];
        use.terms(m, some, one_gamma ? gamma.data() : gammas, one_gamma, losses, grads);
        for (std::int64_t i = 0; i < some; ++i) {
            if (skipped[i]) continue;
            const std::int64_t bin = bins.of(m[i]), cell = row[i] * n_bins + bin;
            const double w = weight ? weight[first + i] : 1.0;
            // the open bins need no second moment, and the right one no first: there m may be +inf
            const double distance = bin == n_bins - 1 ? 0.0 : m[i] - centre.data()[bin];
            const double moment = w * distance;
            to.count.data()[cell] += 1;
            to.mass.data()[cell] += w;
            to.s1.data()[cell] += moment;
            if (bin > 0) to.s2.data()[cell] += moment * distance;
            const std::int64_t zone = row[i] * 3 + (m[i] > 0) + (m[i] > bins.extra);
            to.loss.data()[zone] += w * losses[i];
            to.grad.data()[zone] += w * grads[i];
        }
    }
}

void add_entries(Read<std::int64_t> rows, Read<double> m, nb::object weight, Read<double> gamma, Read<double> centre,
                 double low, double high, double per_unit, double extra, Write<std::int64_t> count, Write<double> mass,
                 Write<double> s1, Write<double> s2, Write<double> loss, Write<double> grad) {
    Read<double> held;
    if (!weight.is_none()) held = nb::cast<Read<double>>(weight);
    Tables to{count, mass, s1, s2, loss, grad};
    nb::gil_scoped_release free;
    add(rows.data(), m.data(), held.is_valid() ? held.data() : nullptr, static_cast<std::int64_t>(m.shape(0)), gamma,
        centre, Bins{low, high, per_unit, extra}, to);
}

/// A small batch in one go: false, and nothing done, where an id is no class or a row has no log-odds.
template <class S>
bool update(nb::ndarray<const S, nb::ndim<2>, nb::device::cpu> logits, Read<std::int64_t> ids, Read<double> gamma,
            Read<double> centre, double low, double high, double per_unit, double extra, Write<std::int64_t> count,
            Write<double> mass, Write<double> s1, Write<double> s2, Write<double> loss, Write<double> grad) {
    const auto n = static_cast<std::int64_t>(ids.shape(0));
    const auto classes = static_cast<std::uint64_t>(logits.shape(1));
    std::vector<std::int64_t> own(static_cast<std::size_t>(n));  // the caller's may change meanwhile
    for (std::int64_t i = 0; i < n; ++i) own[static_cast<std::size_t>(i)] = load_once(ids.data() + i);
    for (const std::int64_t id : own)
        if (static_cast<std::uint64_t>(id) >= classes) return false;
    std::vector<double> m(own.size());
    LogOddsJob job;
    job.logits = logits.data();
    job.wide = sizeof(S) == 8;
    job.rows = n;
    job.classes = static_cast<std::int64_t>(classes);
    job.row_stride = logits.stride(0);
    job.class_stride = logits.stride(1);
    job.ids = own.data();
    job.ignore_index = -1;
    job.m = m.data();
    if (dispatch::kernels().log_odds(job)) return false;
    Tables to{count, mass, s1, s2, loss, grad};
    add(own.data(), m.data(), nullptr, n, gamma, centre, Bins{low, high, per_unit, extra}, to);
    return true;
}

template <class S>
void bind_type(nb::module_& module) {
    module.def("log_odds", &log_odds<S>, nb::arg("logits"), nb::arg("ids"), nb::arg("ignore_index"), nb::arg("m"));
    module.def("ledger_update", &update<S>, nb::arg("logits").noconvert(), nb::arg("ids").noconvert(), nb::arg("gamma"),
               nb::arg("centre"), nb::arg("low"), nb::arg("high"), nb::arg("per_unit"), nb::arg("extra"),
               nb::arg("count"), nb::arg("mass"), nb::arg("s1"), nb::arg("s2"), nb::arg("loss"), nb::arg("grad"));
}

}  // namespace

void bind_ledger(nb::module_& module) {
    bind_type<float>(module);
    bind_type<double>(module);
    module.def("ledger_add", &add_entries, nb::arg("rows"), nb::arg("m"), nb::arg("weight").none(), nb::arg("gamma"),
               nb::arg("centre"), nb::arg("low"), nb::arg("high"), nb::arg("per_unit"), nb::arg("extra"),
               nb::arg("count"), nb::arg("mass"), nb::arg("s1"), nb::arg("s2"), nb::arg("loss"), nb::arg("grad"));
}

}  // namespace focalkit
