// Numbers that were drawn as floats and mean integers.
#pragma once

#include <cstdint>

#include "common/host_device.h"

namespace fpg {

// A drawn number as an integer; what lies outside its range, or is none, is at its end.
FPG_HD int32_t whole(float value, int32_t low, int32_t high) {
  if (!(value > static_cast<float>(low))) return low;
  return value < static_cast<float>(high) ? static_cast<int32_t>(value) : high;
}

}  // namespace fpg
