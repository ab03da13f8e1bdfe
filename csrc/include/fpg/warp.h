// Affine warp of ragged uint8 RGB images. SBI (CVPR 2022), the geometric step of a self-blended pair.
#pragma once

#include <cstdint>

#include "fpg/ops.h"
#include "fpg/ragged.h"

namespace fpg {

// p' = s p + t with independent scales of x and y (no rotation) in coordinates of the full image, pixel centres at integers.
// Bilinear (11-bit weights), zero outside the full image, rounded to nearest. What a result needs inside the full image, but
// outside its input window, is taken as zero too: give a window that is large enough. `affine` is [items, 4] = (scale x, shift x,
// scale y, shift y), scales positive, on the device.
void warp(const RaggedView<const uint8_t>& images, const Window* windows, const RaggedView<uint8_t>& out,
          const Window* out_windows, const double* affine, const Execution& execution = {});

}  // namespace fpg
