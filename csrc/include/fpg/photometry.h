// Photometric changes of ragged uint8 RGB images. SBI (CVPR 2022), the colour and resampling steps of a self-blended pair.
#pragma once

#include <cstdint>

#include "fpg/ops.h"
#include "fpg/ragged.h"

namespace fpg {

// A colour change, per item, in this order; what is drawn "not at all" has the neutral value:
//   0..2  shift of red, green and blue: integers, 0 for none; clipped to 0..255
//   3     1: go through 8-bit HSV and back, 0: do not
//   4..6  shift there of hue (0..179, modulo 180), saturation and value (clipped): integers
//   7, 8  a and b of v -> a v + b, clipped to 0..255 and truncated; 1 and 0 for none
constexpr int kColorFields = 9;

// `out` has the layout of `images` (3 channels) and may be the same memory. `changes` is [items, kColorFields] on the device.
void change_color(const RaggedView<const uint8_t>& images, const float* changes, uint8_t* out, const Execution& execution = {});

// Down-scaling and back, or sharpening, per item:
//   0  factor: down to floor(size / factor), at least 1 pixel, nearest, and back up, bilinear; 0 for none
//   1  weight of each of the 8 neighbours of a 3 x 3 convolution, 0 for none      2  weight of its centre
// At most one of both. Borders of the full image are mirrored without the edge pixel; the result is rounded to nearest.
constexpr int kResampleFields = 3;
constexpr int kMaxFactor = 1 << 20;

// Items are windows of larger images; sizes and the down-scaling grid are those of the full image. What a result needs outside
// its input window is taken from the nearest pixel inside. `changes` is [items, kResampleFields].
void resample(const RaggedView<const uint8_t>& images, const Window* windows, const RaggedView<uint8_t>& out,
              const Window* out_windows, const float* changes, const Execution& execution = {});

}  // namespace fpg
