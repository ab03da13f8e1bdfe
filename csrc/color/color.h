// Colour changes of ragged uint8 RGB images. SBI (CVPR 2022), a step of a self-blended pair.
#pragma once

#include <cstdint>

#include "common/execution.h"
#include "common/ragged.h"

namespace fpg {

// A colour change, per item, in this order; a change that is not drawn has the neutral value:
//   0..2  shift of red, green and blue: integers, 0 for none; clipped to 0..255
//   3     1: go through 8-bit HSV and back, 0: do not
//   4..6  shift there of hue (0..179, modulo 180), saturation and value (clipped): integers
//   7, 8  a and b of v -> a v + b, clipped to 0..255 and truncated; 1 and 0 for none
constexpr int kColorFields = 9;

struct ColorArguments {
  RaggedView<const uint8_t> images;  // 3 channels
  const float* changes = nullptr;    // [items, kColorFields], on the device
  uint8_t* out = nullptr;            // laid out as `images`; may be the same memory

  Device device() const { return images.device; }
  bool validate(const Execution& execution) const;
};

void change_color(const ColorArguments& arguments, const Execution& execution = {});

namespace cuda {
void change_color(const ColorArguments& arguments, const Execution& execution);
}

}  // namespace fpg
