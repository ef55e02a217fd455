#include "bindings/bindings.hpp"

NB_MODULE(_cpu, module) {
    module.doc() = "Compiled kernels; focalkit.engines.cpu is their public API.";
    focalkit::bind_evaluate(module);
    focalkit::bind_machine(module);
    focalkit::bind_ledger(module);
    focalkit::bind_hardest(module);
    focalkit::bind_xla(module);
}
