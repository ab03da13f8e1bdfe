// The detection crop's last step: 8-bit levels to [0, 1], and the mask's bilinear resize in float.
#pragma once

#include <cstdint>

#include "math/bilinear.h"
#include "math/blend.h"
#include "math/host_device.h"

namespace fpg {

FPG_HD float unit_level(int32_t level) { return static_cast<float>(level) / 255.0f; }

// As resize_tap, but with the exact fraction: the weight of `second`.
struct FloatTap {
  int32_t first;
  int32_t second;
  float weight;
};

FPG_HD FloatTap float_tap(const CropAxis& axis, int32_t d) {
  const auto position = static_cast<float>((d + 0.5) * axis.scale - 0.5);
  const float below = floorf(position);
  const auto first = static_cast<int32_t>(below);
  return {axis.start + clamp_index(first, axis.count), axis.start + clamp_index(first + 1, axis.count), position - below};
}

FPG_HD float lerp(float a, float b, float weight) { return a * (1.0f - weight) + b * weight; }

}  // namespace fpg
