// Compiled once per instruction set, beside kernels.cpp.
#include "rows.hpp"

FOCALKIT_ROWS()
