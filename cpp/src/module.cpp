#include "bind.hpp"

NB_MODULE(_cpu, module) {
    module.doc() = "Compiled kernels; focalkit.engines.cpu is their door.";
    focalkit::bind_evaluate(module);
    focalkit::bind_machine(module);
    focalkit::bind_ledger(module);
    focalkit::bind_hardest(module);
    focalkit::bind_xla(module);
}
