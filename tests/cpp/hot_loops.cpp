// The kernels for float, to be looked at as assembly by test_cpp.py.
#include "focalkit/kernels/plan.hpp"

namespace focalkit::FOCALKIT_ISA {
template void softmax_rows_chunk<1, float>(const Job&, std::int64_t, void*, Partial&);
template void softmax_long_rows_chunk<1, float>(const Job&, std::int64_t, void*, Partial&);
template void softmax_columns_chunk<float>(const Job&, std::int64_t, void*, Partial&);
template void sigmoid_chunk<float>(const Job&, std::int64_t, void*, Partial&);
}  // namespace focalkit::FOCALKIT_ISA
