// Which of some losses are the largest: hard example mining's choice.
#pragma once
#include <cstdint>

namespace focalkit {

/// Sets ``keep`` to 1 at the ``count`` largest of ``n`` losses, those with ``among`` = 0 left out (null: none is). Of
/// equal ones the first are taken, and NaN before all others. The rest of ``keep`` stays as it is.
template <class T>
void keep_largest(const T* losses, const std::uint8_t* among, std::int64_t n, std::int64_t count, std::uint8_t* keep);

}  // namespace focalkit
