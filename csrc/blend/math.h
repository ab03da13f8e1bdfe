// Blending with a soft mask, per level. SBI (CVPR 2022): f = m s + (1 - m) b.
#pragma once

#include <cstdint>

#include "common/host_device.h"

namespace fpg {

FPG_HD float blend_value(float mask, float source, float background) { return mask * source + (1.0f - mask) * background; }

// The mask as a weight: clipped to [0, 1], NaN is 0. It keeps the blend of two levels inside 0..255.
FPG_HD float blend_weight(float mask) {
  const float above = mask > 0.0f ? mask : 0.0f;
  return above < 1.0f ? above : 1.0f;
}

// What is added before a blend is truncated to a level.
FPG_HD float blend_offset(bool nearest) { return nearest ? 0.5f : 0.0f; }

FPG_HD uint8_t blend_level(float weight, uint8_t source, uint8_t background, float offset) {
  return static_cast<uint8_t>(
      static_cast<int32_t>(blend_value(weight, static_cast<float>(source), static_cast<float>(background)) + offset));
}

}  // namespace fpg
