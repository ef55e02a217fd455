// Compiled once per instruction set, beside kernels.cpp.
#include "focalkit/kernels/products.hpp"

#define FOCALKIT_JOIN_(a, b) a##b
#define FOCALKIT_JOIN(a, b) FOCALKIT_JOIN_(a, b)

namespace focalkit {

void FOCALKIT_JOIN(products_, FOCALKIT_ISA)(const ProductsJob& job) { FOCALKIT_ISA::weighted_products(job); }

}  // namespace focalkit
