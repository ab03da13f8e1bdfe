// The detection crop's last step: where it looks, 8-bit levels to [0, 1], and the mask's bilinear resize in
// float.
#pragma once

#include <cstdint>

#include "common/bilinear.h"
#include "common/host_device.h"
#include "common/unit.h"

namespace fpg {

// One axis of the detection crop: pixels low..high - 1 of `limit`, clipped, at least one, resized to `size`.
struct CropAxis {
  int32_t start;
  int32_t count;
  double scale;

  FPG_HD CropAxis(int32_t low, int32_t high, int32_t limit, int32_t size)
      : start(clamp_index(low, limit)),
        count((high > start + 1 ? (high < limit ? high : limit) : start + 1) - start),
        scale(1.0 / (static_cast<double>(size) / count)) {}

  FPG_HD Tap operator()(int32_t d) const {
    const Tap tap = resize_tap(d, scale, count);
    return {start + tap.first, start + tap.second, tap.weight};
  }
};

// level / 255 without a division: 1/255 is 2^-8 plus a remainder, whose product is precise enough for the rounded sum. Equals the
// quotient for every level (the tests try all), with and without fused multiply-add.
FPG_HD float unit_level(int32_t level) {
  const auto value = static_cast<float>(level);
  return value * 0x1p-8f + value * 0x1.010102p-16f;
}

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
