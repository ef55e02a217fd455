// Python's arrays to hard example mining's choice. The doors make sure that they are equally long.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include "bindings/bindings.hpp"
#include "mining.hpp"

namespace nb = nanobind;

namespace focalkit {
namespace {

template <class T>
using Line = nb::ndarray<T, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

template <class T>
void choose(Line<const T> losses, Line<const bool> among, std::int64_t count, Line<bool> keep) {
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
