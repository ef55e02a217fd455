// Python's arrays to hard example mining's choice. The doors make sure that they are equally long.
#include "mining.hpp"

#include "bindings/arrays.hpp"
#include "bindings/bindings.hpp"

namespace nb = nanobind;

namespace focalkit {
namespace {

template <class T>
void choose(Dense<const T, 1> losses, Dense<const bool, 1> among, std::int64_t count, Dense<bool, 1> keep) {
    const nb::gil_scoped_release released;
    keep_largest(losses.data(), reinterpret_cast<const std::uint8_t*>(among.data()),
                 static_cast<std::int64_t>(losses.size()), count, reinterpret_cast<std::uint8_t*>(keep.data()));
}

}  // namespace

void bind_hardest(nb::module_& module) {
    module.def("keep_largest", &choose<float>);
    module.def("keep_largest", &choose<double>);
}

}  // namespace focalkit
