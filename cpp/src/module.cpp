#include "bindings/bindings.hpp"

NB_MODULE(_cpu, module) {
    module.doc() = "Compiled kernels; focalkit.engines.cpu is their public API.";
    // a gradient may outlive the interpreter: a library that keeps tensors until the end keeps their memory, and that
    // is no leak
    nanobind::set_leak_warnings(false);
    focalkit::bind_evaluate(module);
    focalkit::bind_machine(module);
    focalkit::bind_ledger(module);
    focalkit::bind_hardest(module);
    focalkit::bind_linear(module);
    focalkit::bind_envelope(module);
    focalkit::bind_held_out(module);
    focalkit::bind_xla(module);
    focalkit::bind_text_numbers(module);
}
