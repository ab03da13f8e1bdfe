// Scaling down by a factor and back up, and a 3 x 3 convolution with one weight for the centre and one for its neighbours, on
// 8-bit RGB, rounded to nearest (ties up).
#pragma once

#include <cstdint>

#include "common/bilinear.h"
#include "common/host_device.h"
#include "common/whole.h"

namespace fpg {

// One axis of scaling down by a factor (nearest) and back up (bilinear): the tap in the small image, moved to where its pixels
// came from.
struct ResampleAxis {
  int32_t full, small_;
  int32_t in_start, in_count, out_start;
  double up, down;

  FPG_HD ResampleAxis(int32_t full_size, int32_t factor, int32_t in_first, int32_t in_size, int32_t out_first)
      : full(full_size),
        small_(full_size / factor > 1 ? full_size / factor : 1),
        in_start(in_first),
        in_count(in_size),
        out_start(out_first),
        up(1.0 / (static_cast<double>(full_size) / small_)),
        down(1.0 / (static_cast<double>(small_) / full_size)) {}

  FPG_HD int32_t origin(int32_t index) const {
    const int32_t pixel = clamp_index(static_cast<int32_t>(floor(index * down)), full);
    return clamp_index(pixel - in_start, in_count);
  }

  // In pixels of the small image.
  FPG_HD Tap small_tap(int32_t d) const { return resize_tap(out_start + d, up, small_); }

  FPG_HD Tap operator()(int32_t d) const {
    const Tap tap = small_tap(d);
    return {origin(tap.first), origin(tap.second), tap.weight};
  }
};

// Index of a neighbour: mirrored at the borders of the full image without repeating the edge, then kept inside the window.
FPG_HD int32_t mirrored_index(int32_t local, int32_t start, int32_t count, int32_t full) {
  int32_t index = local + start;
  index = index < 0 ? -index : (index >= full ? 2 * full - 2 - index : index);
  return clamp_index(clamp_index(index, full) - start, count);
}

FPG_HD uint8_t sharpen_level(int16_t around, int16_t middle, float side, float centre) {
  const float value = static_cast<float>(middle) * centre + static_cast<float>(around) * side;
  const float above = value > 0.0f ? value : 0.0f;
  return static_cast<uint8_t>(static_cast<int32_t>((above < 255.0f ? above : 255.0f) + 0.5f));
}

// A row of the result from three rows of the input (of interleaved elements).
struct SharpenRow {
  const uint8_t* above;
  const uint8_t* row;
  const uint8_t* below;
  float side, centre;

  // Elements left, middle and right of the result.
  FPG_HD uint8_t operator()(int64_t left, int64_t middle, int64_t right) const {
    const auto columns = static_cast<int16_t>(above[left] + row[left] + below[left] + above[right] + row[right] + below[right]);
    const auto around = static_cast<int16_t>(columns + above[middle] + below[middle]);
    return sharpen_level(around, row[middle], side, centre);
  }
};

}  // namespace fpg
