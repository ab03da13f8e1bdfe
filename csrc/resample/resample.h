// Scaling down and up again, or sharpening, of ragged uint8 RGB images. SBI (CVPR 2022), a step of a self-blended pair.
#pragma once

#include <cstdint>

#include "common/execution.h"
#include "common/ragged.h"
#include "common/rectangles.h"

namespace fpg {

// A change, per item:
//   0  factor: down to floor(size / factor), at least 1 pixel, nearest, and back up, bilinear; 0 for none
//   1  weight of each of the 8 neighbours of a 3 x 3 convolution, 0 for none      2  weight of its centre
// At most one of both. Borders of the full image are mirrored without the edge pixel; the result is rounded to nearest.
constexpr int kResampleFields = 3;
constexpr int kMaxFactor = 1 << 20;

// Items are windows of larger images; sizes and the down-scaling grid are those of the full image. What a result needs outside
// its input window is taken from the nearest pixel inside.
struct ResampleArguments {
  RaggedView<const uint8_t> images;     // 3 channels
  const Window* windows = nullptr;      // [items], on the device, as what follows
  RaggedView<uint8_t> out;              // 3 channels
  const Window* out_windows = nullptr;  // [items]
  const float* changes = nullptr;       // [items, kResampleFields]

  Device device() const { return images.device; }
  bool validate(const Execution& execution) const;
};

void resample(const ResampleArguments& arguments, const Execution& execution = {});

namespace cuda {
void resample(const ResampleArguments& arguments, const Execution& execution);
}

}  // namespace fpg
