#include <algorithm>
#include <cstring>

#include "common/cpu/bilinear.h"
#include "common/cpu/hot.h"
#include "common/cpu/parallel.h"
#include "common/cpu/stream.h"
#include "common/dispatch.h"
#include "crop/crop.h"
#include "crop/math.h"

namespace fpg {
namespace cpu {
namespace {

// The last step of `lerp_rows`, with its levels as planes.
FPG_HOT void lerp_planes(const int16_t* __restrict first, const int16_t* __restrict second, int16_t w0, int16_t w1, int count,
                         bool past_cache, float* __restrict red, float* __restrict green, float* __restrict blue) {
  alignas(64) uint8_t bytes[4 * kTile];
  for (int i = 0; i < 4 * count; ++i) bytes[i] = lerp_rows(first[i], second[i], w0, w1);
  alignas(64) float levels[3][kTile];
  for (int i = 0; i < count; ++i) {
    uint32_t pixel;  // little-endian, like all machines that FPG_HOT and CUDA support
    std::memcpy(&pixel, bytes + 4 * i, 4);
    levels[0][i] = unit_level(static_cast<int32_t>(pixel & 255));
    levels[1][i] = unit_level(static_cast<int32_t>(pixel >> 8 & 255));
    levels[2][i] = unit_level(static_cast<int32_t>(pixel >> 16 & 255));
  }
  store_row(levels[0], count, past_cache, red);
  store_row(levels[1], count, past_cache, green);
  store_row(levels[2], count, past_cache, blue);
}

// Taps of a tile's columns in a row of the mask; in [near_first, near_last) the second is the pixel after the first.
struct FloatTile {
  int count, near_first, near_last;
  int32_t first[kTile], second[kTile];
  float weights[kTile];
};

FPG_HOT void lerp_pairs(const float* __restrict pairs, const float* __restrict weights, int count, float* __restrict out) {
  for (int i = 0; i < count; ++i) out[i] = lerp(pairs[2 * i], pairs[2 * i + 1], weights[i]);
}

void lerp_mask_row(const float* row, const FloatTile& tile, float* out) {
  alignas(64) float pairs[2 * kTile];
  const auto far = [&](int from, int to) {
    for (int i = from; i < to; ++i) {
      pairs[2 * i] = row[tile.first[i]];
      pairs[2 * i + 1] = row[tile.second[i]];
    }
  };
  far(0, tile.near_first);
  for (int i = tile.near_first; i < tile.near_last; ++i) std::memcpy(pairs + 2 * i, row + tile.first[i], 2 * sizeof(float));
  far(tile.near_last, tile.count);
  lerp_pairs(pairs, tile.weights, tile.count, out);
}

FPG_HOT void lerp_mask_rows(const float* __restrict first, const float* __restrict second, float weight, int count,
                            bool past_cache, float* __restrict out) {
  alignas(64) float row[kTile];
  for (int i = 0; i < count; ++i) row[i] = clamp_unit(lerp(first[i], second[i], weight));
  store_row(row, count, past_cache, out);
}

void resize_mask(const float* mask, int32_t row_pixels, const CropAxis& axis_x, const CropAxis& axis_y, int32_t side,
                 float* out) {
  FloatTile tile;
  alignas(64) float rows[2][kTile];
  for (int32_t x0 = 0; x0 < side; x0 += kTile) {
    tile.count = std::min(side - x0, kTile);
    for (int i = 0; i < tile.count; ++i) {
      const FloatTap tap = float_tap(axis_x, x0 + i);
      tile.first[i] = tap.first;
      tile.second[i] = tap.second;
      tile.weights[i] = tap.weight;
    }
    const auto near = [&](int i) { return tile.second[i] == tile.first[i] + 1; };
    tile.near_first = 0;
    while (tile.near_first < tile.count && !near(tile.near_first)) ++tile.near_first;
    tile.near_last = tile.near_first;
    while (tile.near_last < tile.count && near(tile.near_last)) ++tile.near_last;
    int32_t held[2] = {-1, -1};
    const auto fetch = [&](int32_t y, int32_t keep) {
      if (held[0] == y) return 0;
      if (held[1] == y) return 1;
      const int slot = held[0] == keep ? 1 : 0;
      lerp_mask_row(mask + static_cast<int64_t>(y) * row_pixels, tile, rows[slot]);
      held[slot] = y;
      return slot;
    };
    for (int32_t y = 0; y < side; ++y) {
      const FloatTap tap = float_tap(axis_y, y);
      const int first = fetch(tap.first, tap.second);
      const int second = fetch(tap.second, tap.first);
      lerp_mask_rows(rows[first], rows[second], tap.weight, tile.count, side <= kTile, out + static_cast<int64_t>(y) * side + x0);
    }
  }
}

void run(const CropArguments& in, const Execution& execution) {
  const auto side = static_cast<int32_t>(in.out[0].shape[3]);
  const int64_t plane = static_cast<int64_t>(side) * side;
  const bool masked = in.masks.items > 0;
  const int64_t parts = in.count + (masked ? 1 : 0);
  parallel_for(in.images[0].items * parts, execution.threads, [&](int64_t index) {
    const int64_t item = index / parts;
    const auto part = static_cast<size_t>(index % parts);
    const Crop& crop = in.crops[item];
    const int32_t* size = in.images[0].sizes + 2 * item;
    const CropAxis axis_x(crop.x0, crop.x1, size[1], side), axis_y(crop.y0, crop.y1, size[0], side);
    if (part == static_cast<size_t>(in.count)) {
      const auto masks = layout(in.masks);
      resize_mask(masks.item(item), masks.width(item), axis_x, axis_y, side, in.masks_out.data + item * plane);
      return finish_rows();
    }
    const auto images = layout(in.images[part]);
    float* target = in.out[part].data + item * 3 * plane;
    sample_image(images.item(item), images.width(item), axis_x, axis_y, side, side,
                 [&](int32_t y, int32_t x0, int count, const int16_t* first, const int16_t* second, int32_t weight) {
                   float* row = target + static_cast<int64_t>(y) * side + x0;
                   lerp_planes(first, second, static_cast<int16_t>(kWeightOne - weight), static_cast<int16_t>(weight), count,
                               side <= kTile, row, row + plane, row + 2 * plane);
                 });
    finish_rows();
  });
}

}  // namespace
}  // namespace cpu

bool CropArguments::validate(const Execution&) const {
  expect(count >= 1 && count <= kMaxCropImages,
         "images: expected 1 to " + std::to_string(kMaxCropImages) + ", got " + std::to_string(count));
  const RaggedView<const uint8_t>& first = images[0];
  const auto shape = out[0].shape;
  const int64_t side = shape[3];
  expect(side >= 1 && shape[2] == side, "out: expected [B, 3, S, S] with S >= 1, got " + text(shape));
  for (size_t i = 0; i < static_cast<size_t>(count); ++i) {
    check_ragged("images", images[i], first.items, 3, first.device);
    check_tensor("out", out[i], {first.items, 3, side, side}, first.device);
  }
  if (masks.items > 0) {
    check_ragged("masks", masks, first.items, 1, first.device);
    check_tensor("masks_out", masks_out, {first.items, 1, side, side}, first.device);
  }
  if (first.items == 0) return false;
  check_pointer("crops", crops);
  check_pointer("images", first.data);
  return true;
}

void crop_resize(const CropArguments& arguments, const Execution& execution) {
  dispatch(arguments, execution, cpu::run, FPG_GPU_KERNEL(cuda::crop_resize));
}

}  // namespace fpg
