// Numbers in [0, 1].
#pragma once

#include "common/host_device.h"

namespace fpg {

FPG_HD float clamp_unit(float value) {
  const float above = value < 0.0f ? 0.0f : value;  // NaN is kept
  return above > 1.0f ? 1.0f : above;
}

}  // namespace fpg
