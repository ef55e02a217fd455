// Python's arrays to the figures of held-out rows (focalkit/_held_out.py).
#include <limits>
#include <stdexcept>

#include "bindings/arrays.hpp"
#include "bindings/bindings.hpp"
#include "held_out.hpp"

namespace nb = nanobind;

namespace focalkit {
namespace {

using Table = Dense<const double, 2>;
using Ids = Dense<const std::int64_t, 1>;

template <class A>
std::int64_t size(const A& array, std::size_t axis = 0) {
    return static_cast<std::int64_t>(array.shape(axis));
}

void need(bool holds) {
    if (!holds) throw std::invalid_argument("shapes differ");
}

void need_ids(const Ids& ids, std::int64_t classes) {
    for (std::int64_t i = 0; i < size(ids); ++i)
        if (ids.data()[i] < 0 || ids.data()[i] >= classes) throw std::invalid_argument("no such class");
}

void recovered(Table logits, double gamma, nb::object weights, Dense<double, 2> out) {
    const std::int64_t n = size(out), classes = size(out, 1);
    const bool one_logit = size(logits, 1) == 1;
    need(size(logits) == n && classes > 1 && (one_logit ? classes == 2 : size(logits, 1) == classes));
    const double* each = nullptr;
    if (!weights.is_none()) {
        const auto given = nb::cast<Dense<const double, 1>>(weights);
        need(size(given) == classes);
        each = given.data();
    }
    const nb::gil_scoped_release released;
    recover(logits.data(), n, classes, one_logit, gamma, each, out.data());
}

void ranked(Table posterior, Ids targets, Ids of, std::int64_t bins, Dense<double, 1> precision, Dense<double, 1> gap) {
    const std::int64_t n = size(posterior), classes = size(posterior, 1);
    need(size(targets) == n && size(precision) == classes && size(gap) == classes && bins > 0);
    need_ids(of, classes);
    if (n > std::numeric_limits<std::int32_t>::max()) throw std::length_error("more than 2^31 - 1 rows");
    const nb::gil_scoped_release released;
    for (std::int64_t i = 0; i < size(of); ++i) {
        const std::int64_t k = of.data()[i];
        class_figures(posterior.data() + k, n, classes, targets.data(), k, bins, precision.data()[k], gap.data()[k]);
    }
}

void shifted(Table posterior, Ids targets, Ids known, Table shift, Dense<std::int64_t, 2> right,
             Dense<std::int64_t, 2> named) {
    const std::int64_t n = size(posterior), classes = size(posterior, 1), shifts = size(shift, 1);
    need(size(targets) == n && size(shift) == size(known) && size(known) > 0);
    need(size(right) == shifts && size(named) == shifts && size(right, 1) == classes && size(named, 1) == classes);
    need_ids(known, classes);
    const nb::gil_scoped_release released;
    count_shifts(posterior.data(), n, classes, targets.data(), known.data(), size(known), shift.data(), shifts,
                 right.data(), named.data());
}

void cut(Table posterior, Ids targets, Dense<const double, 1> cutoffs, Dense<std::int64_t, 2> above) {
    need(size(posterior, 1) == 2 && size(targets) == size(posterior));
    need(size(above) == 2 && size(above, 1) == size(cutoffs) + 1);
    need_ids(targets, 2);
    const nb::gil_scoped_release released;
    count_cutoffs(posterior.data(), size(posterior), targets.data(), cutoffs.data(), size(cutoffs), above.data());
}

}  // namespace

void bind_held_out(nb::module_& module) {
    module.def("recovered", &recovered, nb::arg(), nb::arg(), nb::arg().none(), nb::arg().noconvert());
    module.def("ranked", &ranked, nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg().noconvert(),
               nb::arg().noconvert());
    module.def("shifted", &shifted, nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg().noconvert(),
               nb::arg().noconvert());
    module.def("cut", &cut, nb::arg(), nb::arg(), nb::arg(), nb::arg().noconvert());
}

}  // namespace focalkit
