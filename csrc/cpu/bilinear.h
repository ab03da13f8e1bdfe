// Bilinear sampling on the CPU: the arithmetic of math/bilinear.h, a tile of columns at a time, so that weights and both rows
// that an output row needs stay on the stack. Downwards, a row that was interpolated for one output row is kept for the next.
#pragma once

#include <algorithm>
#include <cstdint>

#include "math/bilinear.h"

namespace fpg::cpu {

constexpr int kTile = 128;  // columns

// Taps of a tile's columns, as byte offsets in a row of RGB pixels.
struct ColumnTile {
  int count = 0;
  int safe = 0;  // leading columns whose pixels can be read as 4 bytes
  int32_t first[kTile];
  int32_t second[kTile];
  uint32_t first_mask[kTile];  // 0x00ffffff, or 0 for black
  uint32_t second_mask[kTile];
  int16_t weights[4 * kTile];  // one per byte of a pixel

  template <class Axis>
  void set(const Axis& axis, int32_t x0, int32_t columns, int32_t row_pixels) {
    count = columns;
    safe = 0;
    for (int i = 0; i < columns; ++i) {
      const Tap tap = axis(x0 + i);
      first[i] = 3 * std::max(tap.first, 0);
      second[i] = 3 * std::max(tap.second, 0);
      first_mask[i] = tap.first < 0 ? 0 : 0x00ffffffu;
      second_mask[i] = tap.second < 0 ? 0 : 0x00ffffffu;
      std::fill_n(weights + 4 * i, 4, column_weight(tap.weight));
      if (safe == i && std::max(first[i], second[i]) + 4 <= 3 * row_pixels) safe = i + 1;
    }
  }
};

// A row of the image at the tile's columns: 4 values per pixel, the last without meaning.
void lerp_tile_row(const uint8_t* row, const ColumnTile& tile, int16_t* out);
// Two such rows into 8-bit pixels of 4 bytes.
void lerp_tile_rows(const int16_t* first, const int16_t* second, int count, int32_t weight, uint8_t* out);
// Pixels of 4 bytes into pixels of 3.
void store_rgb(const uint8_t* pixels, int count, uint8_t* out);

// Samples `image` (rows of row_pixels RGB pixels) at the taps of both axes; store(y, x0, columns, pixels) gets pixels of 4 bytes.
template <class AxisX, class AxisY, class Store>
void sample_image(const uint8_t* image, int32_t row_pixels, const AxisX& axis_x, const AxisY& axis_y, int32_t out_height,
                  int32_t out_width, const Store& store) {
  ColumnTile tile;
  alignas(64) int16_t rows[2][4 * kTile];
  alignas(64) uint8_t pixels[4 * kTile];
  for (int32_t x0 = 0; x0 < out_width; x0 += kTile) {
    tile.set(axis_x, x0, std::min(out_width - x0, kTile), row_pixels);
    int32_t held[2] = {-2, -2};  // which rows of the image `rows` hold
    const auto fetch = [&](int32_t y, int32_t keep) {
      if (held[0] == y) return 0;
      if (held[1] == y) return 1;
      const int slot = held[0] == keep ? 1 : 0;
      if (y < 0)
        std::fill_n(rows[slot], 4 * tile.count, int16_t{0});
      else
        lerp_tile_row(image + static_cast<int64_t>(y) * row_pixels * 3, tile, rows[slot]);
      held[slot] = y;
      return slot;
    };
    for (int32_t y = 0; y < out_height; ++y) {
      const Tap tap = axis_y(y);
      const int first = fetch(tap.first, tap.second);
      const int second = fetch(tap.second, tap.first);
      lerp_tile_rows(rows[first], rows[second], tile.count, tap.weight, pixels);
      store(y, x0, tile.count, pixels);
    }
  }
}

}  // namespace fpg::cpu
