// 3 x 3 convolution with one weight for the centre and one for its neighbours, on 8-bit RGB, rounded to nearest (ties up).
#pragma once

#include <cstdint>

#include "math/bilinear.h"
#include "math/host_device.h"

namespace fpg {

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
