// Bilinear sampling of 8-bit images, separable: columns first, then rows, as OpenCV resizes them.
//
// Coordinates are pixel centres: pixel i of n covers [i - 1/2, i + 1/2]; resizing maps d to (d + 1/2) n_in / n_out - 1/2. Weights
// are 11-bit integers. Between the two passes a value is kept as 128 times itself, truncated (15 bits), so that both passes fit
// 16-bit lanes.
#pragma once

#include <cmath>
#include <cstdint>

#include "common/host_device.h"
#include "common/ragged.h"

namespace fpg {

constexpr int32_t kWeightOne = 2048;

// Where a coordinate falls: (1 - weight / 2048) of pixel `first` and weight / 2048 of `second`. Pixel -1 is black.
struct Tap {
  int32_t first;
  int32_t second;
  int32_t weight;  // 0..2047
};

FPG_HD int32_t clamp_index(int32_t index, int32_t count) { return index < 0 ? 0 : (index < count ? index : count - 1); }

// `fraction` in [0, 1]; rounds to nearest, ties to even.
FPG_HD Tap make_tap(int32_t first, double fraction) {
  const auto weight = static_cast<int32_t>(rint(fraction * kWeightOne));
  const int32_t whole = weight == kWeightOne ? 1 : 0;
  return {first + whole, first + whole + 1, whole ? 0 : weight};
}

// Pixel d after resizing by 1 / scale; what lies outside repeats the edge. Single precision, as OpenCV computes it.
FPG_HD Tap resize_tap(int32_t d, double scale, int32_t count) {
  const auto position = static_cast<float>((d + 0.5) * scale - 0.5);
  const float below = floorf(position);
  const Tap tap = make_tap(static_cast<int32_t>(below), static_cast<double>(position - below));
  return {clamp_index(tap.first, count), clamp_index(tap.second, count), tap.weight};
}

// The weight as lerp_columns wants it: weight / 2048 in steps of 2^-16, less 1 from 1/2 on.
FPG_HD int16_t column_weight(int32_t weight) { return static_cast<int16_t>(weight < 1024 ? weight * 32 : (weight - 2048) * 32); }

// floor((p0 (2048 - w) + p1 w) / 16) from 8-bit p0 and p1, with nothing wider than 16 bits: the nearer of the two pixels, plus
// the high half of a product.
FPG_HD int16_t lerp_columns(int16_t p0, int16_t p1, int16_t weight) {
  const auto difference = static_cast<int16_t>((p1 - p0) * 128);
  const auto product = static_cast<int16_t>((difference * weight) >> 16);
  const auto step = static_cast<int16_t>(weight < 0 ? difference : 0);
  return static_cast<int16_t>(p0 * 128 + step + product);
}

// Back to 8 bits, rounded: (s0 w0 + s1 w1) / 2^18 with each product truncated to 16 bits first.
FPG_HD uint8_t lerp_rows(int16_t s0, int16_t s1, int16_t w0, int16_t w1) {
  const auto a = static_cast<int16_t>((s0 * w0) >> 16);
  const auto b = static_cast<int16_t>((s1 * w1) >> 16);
  return static_cast<uint8_t>(static_cast<int16_t>(a + b + 2) >> 2);
}

// One channel of one pixel. `image` points at the channel; rows of `width` pixels of 3 channels.
FPG_HD int16_t lerp_row_at(const uint8_t* image, int32_t width, int32_t y, Tap x) {
  if (y < 0) return 0;
  const uint8_t* row = image + static_cast<int64_t>(y) * width * 3;
  const int16_t p0 = x.first < 0 ? int16_t{0} : static_cast<int16_t>(row[3 * x.first]);
  const int16_t p1 = x.second < 0 ? int16_t{0} : static_cast<int16_t>(row[3 * x.second]);
  return lerp_columns(p0, p1, column_weight(x.weight));
}

FPG_HD uint8_t sample_at(const uint8_t* image, int32_t width, Tap x, Tap y) {
  return lerp_rows(lerp_row_at(image, width, y.first, x), lerp_row_at(image, width, y.second, x),
                   static_cast<int16_t>(kWeightOne - y.weight), static_cast<int16_t>(y.weight));
}

}  // namespace fpg
