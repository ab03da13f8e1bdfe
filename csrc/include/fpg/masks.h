// The mask chain of a pair, METHOD 2.3, 2.5 and 2.6 and feather' of 4.2 (SBI, CVPR 2022; FPG, ACM MM 2024): hulls of landmarks,
// affine and elastic change, feathering. Each operation is a part of one chain of stages; `soft_masks` runs it whole.
#pragma once

#include <cstddef>
#include <cstdint>

#include "fpg/ops.h"
#include "fpg/ragged.h"

namespace fpg {

constexpr int kMaskPoints = 81;
constexpr int kFeatherRadius = 32;  // largest: kernels of up to 65 pixels
constexpr int kElasticRadius = 64;  // largest, in grid steps of 2 pixels

// Everything that one item needs. An operation reads its own part; the rest is ignored.
struct MaskItem {
  // warp: p' = c + S (p - c) + t about c = (width / 2 - 0.5, height / 2 - 0.5); the translation in pixels
  double scale_x, scale_y, shift_x, shift_y;
  float landmarks[2 * kMaskPoints];  // (x, y) in pixels; finite, within +-32767
  int32_t family;                    // 0 facehull, 1 dfl_full, 2 components, 3 extended
  int32_t points;                    // 68 or 81
  int32_t height, width;             // of the full image
  int32_t y0, x0;                    // where the output's first pixel lies in it
  uint32_t key_low, key_high;        // of the elastic field's noise
  // erosion before feathering: a pixel becomes the least of this many rows above and below, columns left and right
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
  float amplitude = 0.0f;  // pixels; half of the method's alpha (see fpg/augment/warp.py)
  int32_t radius = 0;      // of the Gaussian, in grid steps
  float weights[kElasticRadius + 1] = {1.0f};
};

// The largest sizes in a batch, from which scratch memory and launches follow.
struct MaskLimits {
  int32_t height = 0, width = 0;              // of the full images
  int32_t small_height = 0, small_width = 0;  // of the feathering
  int32_t out_height = 0, out_width = 0;      // of the outputs
};

// Bytes of scratch memory of one item; the CPU needs it once per thread, a GPU once per item of the batch.
size_t mask_scratch_bytes(const MaskLimits& limits, const Elastic& elastic);

struct MaskChain {
  const MaskItem* items = nullptr;  // [count], on the device
  int64_t count = 0;
  MaskLimits limits;
  Elastic elastic;
  void* scratch = nullptr;    // 64-byte aligned
  int64_t scratch_slots = 0;  // at least min(threads, count) on the CPU, count on a GPU
  Device device{};
};

// Unions of convex hulls: out (one channel, {0, 1}) is [height, width] of each item. A pixel that a hull's outline touches
// belongs to it; the outline is the 8-connected line between the hull's corners, the truncated landmarks. Filling rounds halves
// to the right.
void face_masks(const MaskChain& chain, const RaggedView<uint8_t>& out, const Execution& execution = {});

// Affine change, nearest, zero outside; then the elastic change: the mask at p is the mask at p + field(p), nearest, mirrored at
// the border without the edge pixel. `in` holds {0, 1} and has the sizes of the items and of `out`.
void warp_masks(const MaskChain& chain, const RaggedView<const uint8_t>& in, const RaggedView<uint8_t>& out,
                const Execution& execution = {});

// Erosion and feathering of `in`, which has the sizes of the items; `out` is the window at (y0, x0). Bilinear sizes, blurs and
// comparisons have OpenCV's order of float32 operations (fused multiply-adds), on every device.
void feather_masks(const MaskChain& chain, const RaggedView<const uint8_t>& in, const RaggedView<float>& out,
                   const Execution& execution = {});

// From landmarks to the soft mask: face_masks, warp_masks and feather_masks of one item after the other, of which only what
// reaches the result is computed.
void soft_masks(const MaskChain& chain, const RaggedView<float>& out, const Execution& execution = {});

}  // namespace fpg
