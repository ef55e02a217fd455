#pragma once
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

namespace focalkit {

/// Arrays of host memory whose entries follow one another; what is not so is copied first where nothing is written.
template <class T, int Rank>
using Dense = nanobind::ndarray<T, nanobind::ndim<Rank>, nanobind::c_contig, nanobind::device::cpu>;

}  // namespace focalkit
