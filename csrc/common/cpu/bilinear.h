// Bilinear sampling on the CPU: the arithmetic of common/bilinear.h, a tile of columns at a time, so that weights and both rows
// that an output row needs stay on the stack. Downwards, a row that was interpolated for one output row is kept for the next.
#pragma once

#include <algorithm>
#include <cstdint>

#include "common/bilinear.h"

namespace fpg::cpu {

constexpr int kTile = 384;  // columns: those of a detection crop and more

// Taps of a tile's columns, as byte offsets in a row of RGB pixels. Most taps are neighbours, whose 6 bytes are read at once.
struct ColumnTile {
  int count = 0;
  int near_first = 0, near_last = 0;  // columns whose taps are neighbours and can be read as 8 bytes
  int32_t first[kTile];               // below 0 for black
  int32_t second[kTile];
  int16_t weights[4 * kTile];  // one per byte of a pixel
  // If only some pixels of a row are needed (see resample/cpu.cpp), their byte offsets; the taps then refer to these pixels.
  int kept = 0;
  int32_t keep[kTile + 2];

  template <class Axis>
  void set(const Axis& axis, int32_t x0, int32_t columns, int32_t row_pixels) {
    count = columns;
    for (int i = 0; i < columns; ++i) set_tap(i, axis(x0 + i));
    find_near(3 * row_pixels);
  }

 private:
  void set_tap(int column, Tap tap);
  void find_near(int32_t row_bytes);
};

// A row of the image at the tile's columns: 4 values per pixel, of which the last is unused.
void lerp_tile_row(const uint8_t* row, const ColumnTile& tile, int16_t* out);
// Two such rows into RGB pixels.
void lerp_tile_rows(const int16_t* first, const int16_t* second, int count, int32_t weight, uint8_t* out);

// Samples `image` (rows of row_pixels RGB pixels) at the taps of both axes. store(y, x0, count, first, second, weight) gets two
// rows for `lerp_rows`, 4 values per pixel.
template <class AxisX, class AxisY, class Store>
void sample_image(const uint8_t* image, int32_t row_pixels, const AxisX& axis_x, const AxisY& axis_y, int32_t out_height,
                  int32_t out_width, const Store& store) {
  ColumnTile tile;
  alignas(64) int16_t rows[2][4 * kTile];
  const int32_t tiles = (out_width + kTile - 1) / kTile;
  for (int32_t index = 0; index < tiles; ++index) {  // of about the same width
    const auto x0 = static_cast<int32_t>(int64_t{out_width} * index / tiles);
    tile.set(axis_x, x0, static_cast<int32_t>(int64_t{out_width} * (index + 1) / tiles) - x0, row_pixels);
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
      store(y, x0, tile.count, rows[first], rows[second], tap.weight);
    }
  }
}

// The same into an image of RGB pixels.
template <class AxisX, class AxisY>
void sample_image(const uint8_t* image, int32_t row_pixels, const AxisX& axis_x, const AxisY& axis_y, int32_t out_height,
                  int32_t out_width, uint8_t* out) {
  sample_image(image, row_pixels, axis_x, axis_y, out_height, out_width,
               [&](int32_t y, int32_t x0, int count, const int16_t* first, const int16_t* second, int32_t weight) {
                 lerp_tile_rows(first, second, count, weight, out + (static_cast<int64_t>(y) * out_width + x0) * 3);
               });
}

}  // namespace fpg::cpu
