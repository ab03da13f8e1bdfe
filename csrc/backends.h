// What dispatch.cpp calls: each operation once per device type, arguments already validated.
#pragma once

#include "fpg/ops.h"

namespace fpg::cpu {
void perception_statistics(const PerceptionInput& input, const PerceptionOutput& output, const Execution& execution);
}  // namespace fpg::cpu

namespace fpg::cuda {
void perception_statistics(const PerceptionInput& input, const PerceptionOutput& output, const Execution& execution);
}  // namespace fpg::cuda
