// A batch of images of different sizes in one buffer. Owns nothing.
#pragma once

#include <cstdint>

#include "common/host_device.h"
#include "common/tensor_view.h"

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

  bool empty() const { return items == 0 || max_height == 0 || max_width == 0; }
};

// The same as functors see it.
template <class T>
struct RaggedLayout {
  T* data;
  const int64_t* offsets;
  const int32_t* sizes;

  FPG_HD int32_t height(int64_t item) const { return sizes[2 * item]; }
  FPG_HD int32_t width(int64_t item) const { return sizes[2 * item + 1]; }
  FPG_HD T* item(int64_t index) const { return data + offsets[index]; }
  FPG_HD T* row(int64_t item_index, int64_t y, int64_t channels) const {
    return item(item_index) + y * width(item_index) * channels;
  }
};

template <class T>
RaggedLayout<T> layout(const RaggedView<T>& view) {
  return {view.data, view.offsets, view.sizes};
}

}  // namespace fpg
