// Affine warp of ragged uint8 RGB images. SBI (CVPR 2022), the geometric step of a self-blended pair.
#pragma once

#include <cstdint>

#include "common/execution.h"
#include "common/ragged.h"
#include "common/rectangles.h"

namespace fpg {

// p' = s p + t with independent scales of x and y (no rotation) in coordinates of the full image, pixel centres at integers.
// Bilinear (11-bit weights), zero outside the full image, rounded to nearest. What a result needs inside the full image, but
// outside its input window, counts as zero, too: the window has to be large enough.
struct WarpArguments {
  RaggedView<const uint8_t> images;     // 3 channels
  const Window* windows = nullptr;      // [items], on the device, as what follows
  RaggedView<uint8_t> out;              // 3 channels
  const Window* out_windows = nullptr;  // [items]
  const double* affine = nullptr;       // [items, 4] = (scale x, shift x, scale y, shift y), scales positive

  Device device() const { return images.device; }
  bool validate(const Execution& execution) const;
};

void warp(const WarpArguments& arguments, const Execution& execution = {});

namespace cuda {
void warp(const WarpArguments& arguments, const Execution& execution);
}

}  // namespace fpg
