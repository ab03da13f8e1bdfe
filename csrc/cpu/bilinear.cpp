#include "cpu/bilinear.h"

#include <cstring>

#include "cpu/hot.h"

namespace fpg::cpu {
namespace {

// Pixels at byte offsets, 4 bytes each with the last one zero.
void gather(const uint8_t* row, const int32_t* offsets, const uint32_t* masks, int count, int safe, uint32_t* out) {
  for (int i = 0; i < safe; ++i) {
    uint32_t pixel;
    std::memcpy(&pixel, row + offsets[i], 4);
    out[i] = pixel & masks[i];
  }
  for (int i = safe; i < count; ++i) {
    uint32_t pixel = 0;
    std::memcpy(&pixel, row + offsets[i], 3);
    out[i] = pixel & masks[i];
  }
}

FPG_HOT void lerp_pixels(const uint8_t* __restrict p0, const uint8_t* __restrict p1, const int16_t* __restrict weights,
                         int values, int16_t* __restrict out) {
  for (int i = 0; i < values; ++i) out[i] = lerp_columns(p0[i], p1[i], weights[i]);
}

FPG_HOT void lerp_values(const int16_t* __restrict first, const int16_t* __restrict second, int16_t w0, int16_t w1, int values,
                         uint8_t* __restrict out) {
  for (int i = 0; i < values; ++i) out[i] = lerp_rows(first[i], second[i], w0, w1);
}

}  // namespace

void lerp_tile_row(const uint8_t* row, const ColumnTile& tile, int16_t* out) {
  alignas(64) uint32_t first[kTile], second[kTile];
  gather(row, tile.first, tile.first_mask, tile.count, tile.safe, first);
  gather(row, tile.second, tile.second_mask, tile.count, tile.safe, second);
  lerp_pixels(reinterpret_cast<const uint8_t*>(first), reinterpret_cast<const uint8_t*>(second), tile.weights, 4 * tile.count,
              out);
}

void lerp_tile_rows(const int16_t* first, const int16_t* second, int count, int32_t weight, uint8_t* out) {
  lerp_values(first, second, static_cast<int16_t>(kWeightOne - weight), static_cast<int16_t>(weight), 4 * count, out);
}

void store_rgb(const uint8_t* pixels, int count, uint8_t* out) {
  for (int i = 0; i + 1 < count; ++i)
    std::memcpy(out + 3 * i, pixels + 4 * i, 4);  // the fourth byte is overwritten by the next pixel
  if (count > 0) std::memcpy(out + 3 * (count - 1), pixels + 4 * (count - 1), 3);
}

}  // namespace fpg::cpu
