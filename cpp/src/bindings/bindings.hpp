#pragma once
#include <nanobind/nanobind.h>

namespace focalkit {

void bind_evaluate(nanobind::module_& module);
void bind_machine(nanobind::module_& module);
void bind_ledger(nanobind::module_& module);
void bind_hardest(nanobind::module_& module);
void bind_linear(nanobind::module_& module);
void bind_envelope(nanobind::module_& module);
void bind_held_out(nanobind::module_& module);
void bind_xla(nanobind::module_& module);
void bind_text_numbers(nanobind::module_& module);

}  // namespace focalkit
