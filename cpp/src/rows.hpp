// The kernels of rows, of every order and type: a third of the work, in a translation unit of their own.
#pragma once
#include "focalkit/kernels/long_rows.hpp"
#include "focalkit/kernels/short_rows.hpp"

#define FOCALKIT_ROWS_OF(KIND, order, S)                                                        \
    KIND template void softmax_rows_chunk<order, S>(const Job&, std::int64_t, void*, Partial&); \
    KIND template void softmax_long_rows_chunk<order, S>(const Job&, std::int64_t, void*, Partial&);
#define FOCALKIT_ROWS_OF_TYPE(KIND, S) \
    FOCALKIT_ROWS_OF(KIND, 0, S)       \
    FOCALKIT_ROWS_OF(KIND, 1, S)       \
    FOCALKIT_ROWS_OF(KIND, 2, S)
/// ``KIND``: ``extern`` where they are used, nothing where they are made.
#define FOCALKIT_ROWS(KIND)             \
    namespace focalkit::FOCALKIT_ISA {  \
    FOCALKIT_ROWS_OF_TYPE(KIND, float)  \
    FOCALKIT_ROWS_OF_TYPE(KIND, double) \
    FOCALKIT_ROWS_OF_TYPE(KIND, Half)   \
    FOCALKIT_ROWS_OF_TYPE(KIND, Bfloat) \
    }
