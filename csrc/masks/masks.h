// The mask chain of a pair, METHOD 2.3, 2.5 and 2.6 and feather' of 4.2 (SBI, CVPR 2022; FPG, ACM MM 2024): hulls of landmarks,
// affine and elastic change, feathering. `soft_masks` runs the whole chain of stages, `feather_masks` the end of it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "common/execution.h"
#include "common/ragged.h"
#include "common/tensor_view.h"

namespace fpg {

constexpr int kMaskPoints = 81;
constexpr int kFeatherRadius = 32;  // largest: kernels of up to 65 pixels
constexpr int kElasticRadius = 64;  // largest, in grid steps of 2 pixels

// The parameters of one item. An operation reads those that it needs.
struct MaskItem {
  // warp: p' = c + S (p - c) + t about c = (width / 2 - 0.5, height / 2 - 0.5); the translation in pixels
  double scale_x, scale_y, shift_x, shift_y;
  float landmarks[2 * kMaskPoints];  // (x, y) in pixels; finite, within +-32767
  int32_t family;                    // 0 facehull, 1 dfl_full, 2 components, 3 extended
  int32_t points;                    // 68 or 81
  int32_t height, width;             // of the full image
  int32_t y0, x0;                    // where the output's first pixel lies in it
  uint32_t key_low, key_high;        // of the elastic field's noise
  // erosion before feathering: a pixel becomes the minimum of this many rows above and below, columns left and right
  int32_t erode_up, erode_down, erode_left, erode_right;
  // feathering
  int32_t small_height, small_width;   // the size at which it blurs
  int32_t radius1, radius2;            // of the two kernels
  float weights1[kFeatherRadius + 1];  // from the middle outwards
  float weights2[kFeatherRadius + 1];
  float ratio;  // the result is multiplied by it
  int32_t reserved;
};

// The elastic field: `amplitude` x Gaussian of noise in (-1, 1) on a grid of every second pixel.
struct Elastic {
  float amplitude = 0.0f;  // pixels; half of the method's alpha (see fpg/pairs/opencv.py, elastic_field)
  int32_t radius = 0;      // of the Gaussian, in grid steps
  float weights[kElasticRadius + 1] = {1.0f};
};

// The largest sizes in a batch, from which scratch memory and launches follow.
struct MaskLimits {
  int32_t height = 0, width = 0;              // of the full images
  int32_t small_height = 0, small_width = 0;  // of the feathering
  int32_t out_height = 0, out_width = 0;      // of the outputs
};

// Bytes of scratch memory of one slot; the CPU needs one per thread, a GPU works on as many items at once as there are slots.
size_t mask_scratch_bytes(const MaskLimits& limits, const Elastic& elastic);

struct MaskChain {
  const MaskItem* items = nullptr;  // [count], on the device
  int64_t count = 0;
  MaskLimits limits;
  Elastic elastic;
  void* scratch = nullptr;    // 64-byte aligned
  int64_t scratch_slots = 0;  // at least min(threads, count) on the CPU, 1 on a GPU
  Device device{};
};

// Erosion and feathering of hard masks {0, 1}. Bilinear sizes, blurs and comparisons have OpenCV's order of float32 operations
// (fused multiply-adds), on every device.
struct FeatherMasksArguments {
  MaskChain chain;
  RaggedView<const uint8_t> masks;  // of the sizes of the items
  RaggedView<float> out;            // the windows at (y0, x0)

  Device device() const { return chain.device; }
  bool validate(const Execution& execution) const;
};

void feather_masks(const FeatherMasksArguments& arguments, const Execution& execution = {});

// From landmarks to the soft mask; only what the result depends on is computed. First the union of convex hulls of landmarks: a
// pixel that a hull's outline touches belongs to it; the outline is the 8-connected line between the hull's corners, the
// truncated landmarks, and filling rounds halves to the right. Then the affine change, nearest, zero outside, and the elastic
// change: the mask at p is the mask at p + field(p), nearest, mirrored at the border without the edge pixel. Then feathering, as
// above.
struct SoftMasksArguments {
  MaskChain chain;
  RaggedView<float> out;  // the windows at (y0, x0)

  Device device() const { return chain.device; }
  bool validate(const Execution& execution) const;
};

void soft_masks(const SoftMasksArguments& arguments, const Execution& execution = {});

namespace cuda {
void feather_masks(const FeatherMasksArguments& arguments, const Execution& execution);
void soft_masks(const SoftMasksArguments& arguments, const Execution& execution);
}  // namespace cuda

}  // namespace fpg
