// The instruction set in use.
#pragma once
#include "focalkit/job.hpp"
#include "focalkit/linear.hpp"

namespace focalkit::dispatch {

/// The kernels for this machine, or lower ones where FOCALKIT_INSTRUCTION_SET or ``choose`` says so.
const Kernels& kernels();
/// The linear model's, of the same set.
const LinearKernels& linear();
/// Takes the set of that name; false where the machine or this build has none such.
bool choose(const char* name);
/// Whether the machine and this build have it.
bool available(const char* name);

}  // namespace focalkit::dispatch
