// Compiled once per instruction set, beside kernels.cpp.
#include "focalkit/kernels/cholesky.hpp"
#include "focalkit/kernels/products.hpp"

#define FOCALKIT_JOIN_(a, b) a##b
#define FOCALKIT_JOIN(a, b) FOCALKIT_JOIN_(a, b)

namespace focalkit {

const LinearKernels* FOCALKIT_JOIN(linear_, FOCALKIT_ISA)() {
    static const LinearKernels table{{FOCALKIT_ISA::tile_logits<float>, FOCALKIT_ISA::tile_pull<float>},
                                     {FOCALKIT_ISA::tile_logits<double>, FOCALKIT_ISA::tile_pull<double>},
                                     FOCALKIT_ISA::tile_curvature,
                                     FOCALKIT_ISA::tile_products,
                                     FOCALKIT_ISA::factor,
                                     FOCALKIT_ISA::substitute};
    return &table;
}

}  // namespace focalkit
