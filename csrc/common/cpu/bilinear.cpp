#include "common/cpu/bilinear.h"

#include <cstring>

#include "common/cpu/hot.h"

namespace fpg::cpu {
namespace {

uint32_t pixel_at(const uint8_t* row, int32_t offset) {
  uint32_t pixel = 0;
  if (offset >= 0) std::memcpy(&pixel, row + offset, 3);
  return pixel;
}

// Both pixels of each column, 4 bytes each, of which the last is unused.
void gather(const uint8_t* row, const ColumnTile& tile, uint32_t* __restrict first, uint32_t* __restrict second) {
  const auto far = [&](int from, int to) {
    for (int i = from; i < to; ++i) {
      first[i] = pixel_at(row, tile.first[i]);
      second[i] = pixel_at(row, tile.second[i]);
    }
  };
  far(0, tile.near_first);
  for (int i = tile.near_first; i < tile.near_last; ++i) {
    uint64_t both;
    std::memcpy(&both, row + tile.first[i], 8);
    first[i] = static_cast<uint32_t>(both);
    second[i] = static_cast<uint32_t>(both >> 24);
  }
  far(tile.near_last, tile.count);
}

FPG_HOT void lerp_pixels(const uint8_t* __restrict p0, const uint8_t* __restrict p1, const int16_t* __restrict weights,
                         int values, int16_t* __restrict out) {
  for (int i = 0; i < values; ++i) out[i] = lerp_columns(p0[i], p1[i], weights[i]);
}

FPG_HOT void lerp_values(const int16_t* __restrict first, const int16_t* __restrict second, int16_t w0, int16_t w1, int values,
                         uint8_t* __restrict out) {
  for (int i = 0; i < values; ++i) out[i] = lerp_rows(first[i], second[i], w0, w1);
}

// Pixels of 4 bytes into pixels of 3.
void store_rgb(const uint8_t* pixels, int count, uint8_t* out) {
  for (int i = 0; i + 1 < count; ++i)
    std::memcpy(out + 3 * i, pixels + 4 * i, 4);  // the fourth byte is overwritten by the next pixel
  if (count > 0) std::memcpy(out + 3 * (count - 1), pixels + 4 * (count - 1), 3);
}

}  // namespace

void ColumnTile::set_tap(int column, Tap tap) {
  // Interpolating a pixel with itself gives that pixel, whatever the weight.
  const bool single = tap.first == tap.second;
  first[column] = 3 * tap.first;
  second[column] = single ? 3 * tap.first + 3 : 3 * tap.second;
  std::fill_n(weights + 4 * column, 4, single ? int16_t{0} : column_weight(tap.weight));
}

void ColumnTile::find_near(int32_t row_bytes) {
  const auto near = [&](int i) { return first[i] >= 0 && second[i] == first[i] + 3 && first[i] + 8 <= row_bytes; };
  near_first = 0;
  while (near_first < count && !near(near_first)) ++near_first;
  near_last = near_first;
  while (near_last < count && near(near_last)) ++near_last;
  const auto exists = [&](int32_t offset) { return offset + 3 <= row_bytes ? offset : -3; };
  for (int i = 0; i < count; ++i)
    if (i < near_first || i >= near_last) second[i] = exists(second[i]);
}

void lerp_tile_row(const uint8_t* row, const ColumnTile& tile, int16_t* out) {
  alignas(64) uint32_t first[kTile], second[kTile];
  uint8_t thin[3 * (kTile + 2) + 8];
  if (tile.kept > 0) {
    for (int i = 0; i < tile.kept; ++i) std::memcpy(thin + 3 * i, row + tile.keep[i], 3);
    std::memset(thin + 3 * tile.kept, 0, 8);
    row = thin;
  }
  gather(row, tile, first, second);
  lerp_pixels(reinterpret_cast<const uint8_t*>(first), reinterpret_cast<const uint8_t*>(second), tile.weights, 4 * tile.count,
              out);
}

void lerp_tile_rows(const int16_t* first, const int16_t* second, int count, int32_t weight, uint8_t* out) {
  alignas(64) uint8_t pixels[4 * kTile];
  lerp_values(first, second, static_cast<int16_t>(kWeightOne - weight), static_cast<int16_t>(weight), 4 * count, pixels);
  store_rgb(pixels, count, out);
}

}  // namespace fpg::cpu
