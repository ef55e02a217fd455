// Python's arrays to the changes of the cheapest decision. The caller makes sure that their shapes agree.
#include "envelope.hpp"

#include <utility>

#include "bindings/arrays.hpp"
#include "bindings/bindings.hpp"

namespace nb = nanobind;

namespace focalkit {
namespace {

/// A NumPy array that owns the vector.
template <class T>
nb::ndarray<nb::numpy, T, nb::ndim<1>> hand_over(std::vector<T>&& values) {
    auto* kept = new std::vector<T>(std::move(values));
    const nb::capsule owner(kept, [](void* p) noexcept { delete static_cast<std::vector<T>*>(p); });
    return {kept->data(), {kept->size()}, owner};
}

nb::tuple changes(Dense<const double, 2> p, Dense<const double, 1> weights, std::int64_t c,
                  Dense<const double, 3> costs, double apart, Dense<std::int64_t, 1> first) {
    Changes found;
    {
        const nb::gil_scoped_release released;
        const auto classes = static_cast<std::int64_t>(p.shape(0)), n = static_cast<std::int64_t>(p.shape(1));
        const WeighedCosts given{p.data(), weights.data(), costs.data(), costs.shape(0) > 1, n, classes};
        found = cheapest_changes(given, c, apart, first.data());
    }
    return nb::make_tuple(hand_over(std::move(found.at)), hand_over(std::move(found.row)),
                          hand_over(std::move(found.before)), hand_over(std::move(found.after)));
}

}  // namespace

void bind_envelope(nb::module_& module) { module.def("cheapest_changes", &changes); }

}  // namespace focalkit
