// A batch of images of different sizes in one buffer. Owns nothing.
#pragma once

#include <cstdint>

#include "fpg/tensor_view.h"

namespace fpg {

// Item i is a dense image of sizes[2 i] rows and sizes[2 i + 1] columns of `channels` interleaved values, starting at
// data + offsets[i]. `offsets` and `sizes` live on the device of `data`; the largest sizes are known to the host, because
// a launch needs them.
template <class T>
struct RaggedView {
  T* data = nullptr;
  const int64_t* offsets = nullptr;  // [items], in elements
  const int32_t* sizes = nullptr;    // [items, 2] = (height, width)
  int64_t items = 0;
  int channels = 1;
  int32_t max_height = 0;
  int32_t max_width = 0;
  Device device{};
};

// Where an item lies in the image it was cut from, which equations that depend on position refer to.
struct Window {
  int32_t y0;  // of the item's first pixel in the full image
  int32_t x0;
  int32_t full_height;  // of the full image
  int32_t full_width;
};

}  // namespace fpg
