#include "math/crop.h"

#include <algorithm>
#include <cstring>

#include "backends_image.h"
#include "cpu/bilinear.h"
#include "cpu/hot.h"
#include "cpu/parallel.h"
#include "math/ragged_layout.h"

namespace fpg::cpu {
namespace {

FPG_HOT void store_planes(const uint8_t* __restrict bytes, int count, float* __restrict red, float* __restrict green,
                          float* __restrict blue) {
  for (int i = 0; i < count; ++i) {
    uint32_t pixel;  // little-endian, as everything that FPG_HOT and CUDA run on
    std::memcpy(&pixel, bytes + 4 * i, 4);
    red[i] = unit_level(static_cast<int32_t>(pixel & 255));
    green[i] = unit_level(static_cast<int32_t>(pixel >> 8 & 255));
    blue[i] = unit_level(static_cast<int32_t>(pixel >> 16 & 255));
  }
}

struct FloatTile {
  int count;
  int32_t first[kTile], second[kTile];
  float weights[kTile];
};

FPG_HOT void lerp_mask_row(const float* __restrict row, const FloatTile& tile, float* __restrict out) {
  for (int i = 0; i < tile.count; ++i) out[i] = lerp(row[tile.first[i]], row[tile.second[i]], tile.weights[i]);
}

FPG_HOT void lerp_mask_rows(const float* __restrict first, const float* __restrict second, float weight, int count,
                            float* __restrict out) {
  for (int i = 0; i < count; ++i) out[i] = clamp_unit(lerp(first[i], second[i], weight));
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
      lerp_mask_rows(rows[first], rows[second], tap.weight, tile.count, out + static_cast<int64_t>(y) * side + x0);
    }
  }
}

}  // namespace

void crop_resize(const CropInput& in, const CropOutput& out, const Execution& execution) {
  const auto side = static_cast<int32_t>(out.images[0].shape[3]);
  const int64_t plane = static_cast<int64_t>(side) * side;
  const bool masked = in.masks.items > 0;
  const int64_t parts = in.count + (masked ? 1 : 0);
  parallel_for(in.images[0].items * parts, execution.threads, [&](int64_t index) {
    const int64_t item = index / parts;
    const auto part = static_cast<size_t>(index % parts);
    const int32_t* crop = in.crops + 4 * item;
    const int32_t* size = in.images[0].sizes + 2 * item;
    const CropAxis axis_x(crop[2], crop[3], size[1], side), axis_y(crop[0], crop[1], size[0], side);
    if (part == static_cast<size_t>(in.count)) {
      const auto masks = layout(in.masks);
      resize_mask(masks.item(item), masks.width(item), axis_x, axis_y, side, out.masks.data + item * plane);
      return;
    }
    const auto images = layout(in.images[part]);
    float* target = out.images[part].data + item * 3 * plane;
    sample_image(images.item(item), images.width(item), axis_x, axis_y, side, side,
                 [&](int32_t y, int32_t x0, int count, const uint8_t* pixels) {
                   float* row = target + static_cast<int64_t>(y) * side + x0;
                   store_planes(pixels, count, row, row + plane, row + 2 * plane);
                 });
  });
}

}  // namespace fpg::cpu
